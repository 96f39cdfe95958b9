//! RabbitMQ's connection.blocked and connection.unblocked: a peer is told not to publish while the router has no room
//! for what some channel of its connection publishes.

use super::method::{Connection as Class, Method};
use super::terms::{Terms, put_method};
use crate::outbox::Outbox;

/// Counts the channels that the router has no room for, and tells the peer when there are some.
#[derive(Debug, Default)]
pub(super) struct Blocking {
    /// The number of channels that the router has no room for.
    starved: usize,
    /// Whether the peer has been sent connection.blocked, and no connection.unblocked since.
    told: bool,
}

impl Blocking {
    /// Counts a channel that has become starved (or is not starved any more). Tells the peer if the channel is the
    /// first (or was the last) of its connection.
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

    /// Forgets all channels; the peer is sent nothing.
    pub(super) fn clear(&mut self) {
        self.starved = 0;
    }
}
