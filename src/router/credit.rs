//! What producers may send: credit up to the window, unless a node has fallen behind, there is no room, or a test holds it
//! back. How much of it is left is the engine's to say.

use super::Router;
use super::links::NodeId;
use crate::event::{Effect, LinkKey, Outcome, Reason};
use crate::live::live;

impl Router {
    /// Gives a producer with `left` credit as much as the window has, if half of it is used and nothing holds it back.
    #[inline]
    pub(super) fn top_up(&mut self, key: LinkKey, left: u32) {
        let window = self.config.credit_window;
        if left <= window / 2
            && left < window
            && self.links.producer_mut(key).is_some_and(|producer| producer.is_supplied())
        {
            self.effects.push(Effect::Grant { link: key, credit: window });
        }
    }

    /// Gives a producer no more credit until the node has caught up.
    pub(super) fn hold(&mut self, key: LinkKey, id: NodeId) {
        // What a hook delayed may come in when its producer has gone.
        let Some(producer) = self.links.producer_mut(key) else { return };
        if producer.held_by.contains(&id) {
            return;
        }
        producer.held_by.push(id);
        if let Some(entry) = self.addresses.get_mut(id) {
            entry.held.insert(key);
        }
    }

    /// The node has caught up.
    pub(super) fn release_held(&mut self, id: NodeId) {
        let Some(entry) = self.addresses.get_mut(id) else { return };
        for key in std::mem::take(&mut entry.held) {
            if let Some(producer) = live(self.links.producer_mut(key), "a producer that is held back") {
                producer.held_by.retain(|by| *by != id);
            }
            self.top_up(key, 0);
        }
    }

    /// There was no room for what a producer sent: it gets no credit until there is.
    pub(super) fn starve(&mut self, key: LinkKey) {
        let Some(producer) = self.links.producer_mut(key) else { return };
        if !std::mem::replace(&mut producer.starved, true) {
            self.starved.push(key);
            self.effects.push(Effect::Grant { link: key, credit: 0 });
        }
    }

    /// There is room again.
    pub(super) fn feed(&mut self) {
        for key in std::mem::take(&mut self.starved) {
            if let Some(producer) = self.links.producer_mut(key) {
                producer.starved = false;
                self.top_up(key, 0);
            }
        }
    }
}

/// Whether a message was refused since there is no room for it.
pub(super) fn is_for_want_of_room(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Rejected(Some(fault)) if fault.reason == Reason::ResourceLimitExceeded)
}
