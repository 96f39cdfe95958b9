//! RabbitMQ's connection.blocked and connection.unblocked: a peer is told not to publish while the router has no room
//! for what some channel of its connection publishes, or while the test says so.
//!
//! As in RabbitMQ, what the test says concerns those that publish: a connection is told with its next publish, and nothing
//! is read from it then. A connection that only consumes is not told.

use std::sync::Arc;

use super::method::{Connection as Class, Method};
use super::terms::{Terms, put_method};
use super::types::shortened;
use crate::outbox::Outbox;

/// Why a peer is blocked when the router has no room.
const NO_ROOM: &str = "the broker's storage limit is reached";

/// Counts the channels that the router has no room for, and tells the peer when there are some.
#[derive(Debug, Default)]
pub(super) struct Blocking {
    /// The number of channels that the router has no room for.
    starved: usize,
    /// Why the test blocks those that publish.
    ordered: Option<Arc<str>>,
    /// Whether the peer has begun to publish since.
    publishes: bool,
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
        self.tell(terms, out);
    }

    /// Sets why the test blocks those that publish. None: it does not any more.
    pub(super) fn order(&mut self, why: Option<Arc<str>>, terms: &Terms, out: &mut Outbox) {
        self.publishes &= why.is_some();
        self.ordered = why;
        self.tell(terms, out);
    }

    /// Notes that the peer begins to publish, and tells it that it is blocked.
    pub(super) fn note_publish(&mut self, terms: &Terms, out: &mut Outbox) {
        self.publishes = true;
        self.tell(terms, out);
    }

    /// Tells the peer whether it is blocked, if that has changed and it understands the notice.
    fn tell(&mut self, terms: &Terms, out: &mut Outbox) {
        let why = match &self.ordered {
            Some(why) if self.publishes => Some(&**why),
            _ => (self.starved > 0).then_some(NO_ROOM),
        };
        let blocked = why.is_some();
        if !terms.capabilities.connection_blocked || std::mem::replace(&mut self.told, blocked) == blocked {
            return;
        }
        let notice = why.map_or(Class::Unblocked {}, |reason| Class::Blocked { reason: shortened(reason) });
        put_method(out, terms.version, 0, &Method::Connection(notice));
    }

    /// Forgets all channels; the peer is sent nothing.
    pub(super) fn clear(&mut self) {
        self.starved = 0;
    }
}
