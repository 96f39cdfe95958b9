//! The row of consumers of a node that can be given a message, in the order of their turns. A consumer leaves the row when it
//! can take no more, and joins it at the end when it can again.

use std::collections::{HashSet, VecDeque};

use crate::event::LinkKey;
use crate::router::links::Links;

/// Consumers in the order of their turns.
#[derive(Debug, Default)]
pub(super) struct Row(VecDeque<LinkKey>);

impl Row {
    /// Returns the consumer whose turn it is. Removes those before it that can take nothing now.
    #[inline]
    pub(super) fn next(&mut self, links: &mut Links) -> Option<LinkKey> {
        while let Some(key) = self.0.front().copied() {
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
        self.0.front().copied().filter(|_| self.0.len() == 1)
    }

    /// Moves the first consumer to the end.
    #[inline]
    pub(super) fn pass(&mut self) {
        if self.0.len() > 1 {
            self.0.rotate_left(1);
        }
    }

    /// Removes the first consumer.
    pub(super) fn step_aside(&mut self) -> Option<LinkKey> {
        self.0.pop_front()
    }

    /// Puts consumers before all others, in this order.
    pub(super) fn put_first(&mut self, mut consumers: VecDeque<LinkKey>) {
        consumers.append(&mut self.0);
        self.0 = consumers;
    }

    /// Adds a consumer at the end, if it can be given a message and is not in the row.
    pub(super) fn join(&mut self, key: LinkKey, links: &mut Links) {
        if links.taker(key).is_some()
            && let Some(consumer) = links.at_node_mut(key)
            && !std::mem::replace(&mut consumer.is_ready, true)
        {
            self.0.push_back(key);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes consumers that were detached.
    pub(super) fn strike_off(&mut self, leaving: &HashSet<LinkKey>) {
        self.0.retain(|key| !leaving.contains(key));
    }
}
