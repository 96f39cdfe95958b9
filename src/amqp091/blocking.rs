//! RabbitMQ's connection.blocked: a peer is told not to publish while there is no room for what some channel publishes.

use super::method::{Connection as Class, Method};
use super::terms::{Terms, put_method};
use crate::outbox::Outbox;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Blocking {
    /// Channels that the router has no room for.
    starved: usize,
    /// Whether the peer has been told so.
    told: bool,
}

impl Blocking {
    /// Counts a channel that there is no room for any more, or for which there is room again. Tells the peer if that is the
    /// first, or the last, of all its channels.
    pub(super) fn count(&mut self, starved: bool, terms: &Terms, out: &mut Outbox) {
        match starved {
            true => self.starved += 1,
            false => {
                debug_assert!(self.starved > 0, "a channel is counted again without having been");
                self.starved = self.starved.saturating_sub(1);
            }
        }
        let blocked = self.starved > 0;
        if !terms.capabilities.connection_blocked || std::mem::replace(&mut self.told, blocked) == blocked {
            return;
        }
        let notice = match blocked {
            true => Class::Blocked { reason: "the broker's storage limit is reached" },
            false => Class::Unblocked {},
        };
        put_method(out, terms.version, 0, &Method::Connection(notice));
    }

    /// Forgets all channels, without a word.
    pub(super) fn clear(&mut self) {
        self.starved = 0;
    }
}
