//! The row of consumers of a node that can be given a message, in the order of their turns: the highest priority first, and those of
//! one priority by turns. A consumer leaves the row when it can take no more, and joins it behind those of its priority when it can
//! again.

use std::collections::{HashSet, VecDeque};

use crate::event::LinkKey;
use crate::router::links::Links;

/// A consumer in the row.
#[derive(Clone, Copy, Debug)]
struct Place {
    key: LinkKey,
    priority: i64,
}

/// Consumers in the order of their turns. Those of a higher priority stand before the others.
#[derive(Debug, Default)]
pub(super) struct Row(VecDeque<Place>);

impl Row {
    /// Returns the consumer whose turn it is. Removes those before it that can take nothing now.
    #[inline]
    pub(super) fn next(&mut self, links: &mut Links) -> Option<LinkKey> {
        while let Some(Place { key, .. }) = self.0.front().copied() {
            if links.taker(key).is_some() {
                return Some(key);
            }
            self.0.pop_front();
            if let Some(consumer) = links.at_node_mut(key) {
                consumer.is_ready = false;
            }
        }
        None
    }

    /// Returns the only consumer in the row. None if there are more, or none.
    pub(super) fn only(&self) -> Option<LinkKey> {
        self.0.front().map(|place| place.key).filter(|_| self.0.len() == 1)
    }

    /// Moves the first consumer behind all others of its priority.
    #[inline]
    pub(super) fn pass(&mut self) {
        if let (Some(first), Some(last)) = (self.0.front(), self.0.back()) {
            if first.priority == last.priority {
                if self.0.len() > 1 {
                    self.0.rotate_left(1);
                }
            } else if let Some(first) = self.0.pop_front() {
                self.insert(first);
            }
        }
    }

    /// Removes the first consumer. [`Row::put_first`] takes it back.
    pub(super) fn step_aside(&mut self) -> Option<Aside> {
        self.0.pop_front().map(Aside)
    }

    /// Puts consumers that stepped aside before all others, in this order.
    pub(super) fn put_first(&mut self, consumers: Vec<Aside>) {
        consumers.into_iter().rev().for_each(|Aside(place)| self.0.push_front(place));
    }

    /// Adds a consumer behind those of its priority, if it can be given a message and is not in the row.
    pub(super) fn join(&mut self, key: LinkKey, links: &mut Links) {
        if links.taker(key).is_some()
            && let Some(consumer) = links.at_node_mut(key)
            && !std::mem::replace(&mut consumer.is_ready, true)
        {
            let priority = consumer.priority;
            self.insert(Place { key, priority });
        }
    }

    fn insert(&mut self, place: Place) {
        match self.0.back() {
            Some(last) if last.priority < place.priority => {
                let at = self.0.partition_point(|before| before.priority >= place.priority);
                self.0.insert(at, place);
            }
            _ => self.0.push_back(place),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes consumers that were detached.
    pub(super) fn strike_off(&mut self, leaving: &HashSet<LinkKey>) {
        self.0.retain(|place| !leaving.contains(&place.key));
    }
}

/// A consumer that was taken out of the row for a while: nothing that waits is for it.
#[derive(Debug)]
pub(super) struct Aside(Place);
