//! The credit of producers: topped up to the window unless a node has fallen behind, there is no room, or a test withholds it.
//! The engine counts how much of it is left.

use super::Router;
use super::links::NodeId;
use crate::event::{Effect, LinkKey, Outcome, Reason};
use crate::live::live;

impl Router {
    /// Tops up the credit of a producer that has `left` credit, if half of the window is used and nothing keeps credit from it.
    #[inline]
    pub(super) fn top_up(&mut self, key: LinkKey, left: u32) {
        let window = self.config.credit_window;
        if left <= window / 2
            && left < window
            && self.links.find_producer_mut(key).is_some_and(|producer| producer.is_supplied())
        {
            self.effects.push(Effect::Grant { link: key, credit: window });
        }
    }

    /// Gives a producer no more credit until the node has caught up.
    pub(super) fn hold(&mut self, key: LinkKey, id: NodeId) {
        // A message that a hook delayed may be routed after its producer has been detached.
        let Some(producer) = self.links.find_producer_mut(key) else { return };
        if producer.held_by.contains(&id) {
            return;
        }
        producer.held_by.push(id);
        if let Some(entry) = self.addresses.get_mut(id) {
            entry.held.insert(key);
        }
    }

    /// Gives credit to the producers that a node held, after it has caught up.
    pub(super) fn release_held(&mut self, id: NodeId) {
        let Some(entry) = self.addresses.get_mut(id) else { return };
        for key in std::mem::take(&mut entry.held) {
            if let Some(producer) = live(self.links.find_producer_mut(key), "a producer that is held back") {
                producer.held_by.retain(|by| *by != id);
            }
            self.top_up(key, 0);
        }
    }

    /// Gives a producer no more credit until there is room again: a message of its was refused for want of room.
    pub(super) fn starve(&mut self, key: LinkKey) {
        // A test's message has no producer, and a message that a hook delayed may have lost its own.
        let Some(producer) = self.links.find_producer_mut(key) else { return };
        if !std::mem::replace(&mut producer.starved, true) {
            self.starved.push(key);
            self.effects.push(Effect::Grant { link: key, credit: 0 });
        }
    }

    /// Gives credit to the producers that were without it for want of room.
    pub(super) fn feed(&mut self) {
        for key in std::mem::take(&mut self.starved) {
            if let Some(producer) = live(self.links.find_producer_mut(key), "a producer without room") {
                producer.starved = false;
                self.top_up(key, 0);
            }
        }
    }
}

/// Whether an outcome refuses a message for want of room.
pub(super) fn is_for_want_of_room(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Rejected(Some(fault)) if fault.reason == Reason::ResourceLimitExceeded)
}
