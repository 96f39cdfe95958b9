//! A queue with one active consumer at a time (`x-single-active-consumer`). The others wait until it leaves; then the one with the
//! highest priority takes over, and of several the one that attached first. None displaces an active consumer.

use std::collections::HashSet;

use crate::event::LinkKey;
use crate::router::links::Links;

/// The active consumer of a queue.
#[derive(Debug, Default)]
pub(super) struct SingleActive(Option<LinkKey>);

impl SingleActive {
    pub(super) fn is(&self, key: LinkKey) -> bool {
        self.0 == Some(key)
    }

    /// Chooses one of the consumers, which stand in the order in which they attached, unless one is active.
    pub(super) fn choose(&mut self, consumers: &[LinkKey], links: &Links) -> Option<LinkKey> {
        if self.0.is_some() {
            return None;
        }
        let priority = |key: &&LinkKey| links.at_node(**key).map_or(i64::MIN, |consumer| consumer.priority);
        // Of equal ones max_by_key returns the last.
        self.0 = consumers.iter().rev().max_by_key(priority).copied();
        self.0
    }

    pub(super) fn strike_off(&mut self, leaving: &HashSet<LinkKey>) {
        self.0 = self.0.filter(|key| !leaving.contains(key));
    }
}
