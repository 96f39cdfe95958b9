//! The row in which consumers of a node stand who can be given a message, so that each gets its turn. A consumer leaves the
//! row when it can take no more, and joins it again at the end when it can.

use std::collections::{HashSet, VecDeque};

use crate::event::LinkKey;
use crate::router::links::Links;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Row(VecDeque<LinkKey>);

impl Row {
    /// The consumer whose turn it is. Those before it that can take nothing leave the row.
    #[inline]
    pub(super) fn next(&mut self, links: &mut Links) -> Option<LinkKey> {
        while let Some(key) = self.0.front().copied() {
            if links.taker(key).is_some() {
                return Some(key);
            }
            self.0.pop_front();
            if let Some(consumer) = links.consumer_mut(key) {
                consumer.is_ready = false;
            }
        }
        None
    }

    /// The consumer that stands there, if there is no other.
    pub(super) fn only(&self) -> Option<LinkKey> {
        self.0.front().copied().filter(|_| self.0.len() == 1)
    }

    /// Ends the turn of the consumer that stands first: it goes to the end.
    #[inline]
    pub(super) fn pass(&mut self) {
        if self.0.len() > 1 {
            self.0.rotate_left(1);
        }
    }

    /// Takes out the consumer that stands first.
    pub(super) fn step_aside(&mut self) -> Option<LinkKey> {
        self.0.pop_front()
    }

    /// Puts consumers before all others, in this order.
    pub(super) fn put_first(&mut self, mut consumers: VecDeque<LinkKey>) {
        consumers.append(&mut self.0);
        self.0 = consumers;
    }

    /// A consumer joins the row if it can be given something and does not stand there.
    pub(super) fn join(&mut self, key: LinkKey, links: &mut Links) {
        if links.taker(key).is_some()
            && let Some(consumer) = links.consumer_mut(key)
            && !std::mem::replace(&mut consumer.is_ready, true)
        {
            self.0.push_back(key);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets consumers that have left.
    pub(super) fn strike_off(&mut self, leaving: &HashSet<LinkKey>) {
        self.0.retain(|key| !leaving.contains(key));
    }
}
