//! Messages to the anonymous terminus that could not be routed (Using the AMQP Anonymous Terminus for Message Routing, 2.2.2).
//! Part of `session.rs`.
//!
//! An unsettled message is rejected if the peer's source allows that outcome; otherwise the link is detached. Either error
//! names the message by its delivery-tag.

use bytes::Bytes;

use super::definitions::Error;
use super::encodings::map_of_one;
use super::link::{Link, LinkEnd, LinkState, Relay};
use super::session::{Context, Session};
use super::types::RawMap;
use super::violation::Violation;
use crate::event::{DeliveryKey, Fault, Outcome, Reason};

impl Session {
    fn relay(&self, handle: usize) -> Option<&Relay> {
        match self.link(handle) {
            Some(Link { end: LinkEnd::Receiver(receiver), state: LinkState::Attached, .. }) => {
                receiver.relay.as_deref()
            }
            _ => None,
        }
    }

    /// Whether a delivery is the last one of a link to the anonymous terminus.
    pub(super) fn is_relayed(&self, handle: usize, delivery: DeliveryKey) -> bool {
        let last = self.relay(handle).and_then(|relay| relay.last.as_ref());
        last.is_some_and(|(number, _)| *number == delivery.0)
    }

    /// Settles the last delivery to an anonymous terminus as rejected, by the router, which could not route it, or by a receiver.
    pub(super) fn reject_relayed(
        &mut self,
        handle: usize,
        delivery: DeliveryKey,
        fault: Fault,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        let is_routing = matches!(fault.reason, Reason::NotFound | Reason::InvalidField | Reason::DecodeError);
        if is_routing && self.relay(handle).is_some_and(|relay| !relay.rejects) {
            return self.detach_relay(handle, Error::from(fault), context);
        }
        let info = fault.info.clone().or_else(|| self.tag(handle).filter(|_| is_routing));
        self.settle(delivery, 1, &Outcome::Rejected(Some(Box::new(Fault { info, ..fault }))));
        Ok(())
    }

    /// Detaches a link to the anonymous terminus whose last message could not be routed. Does nothing to another link.
    pub(super) fn detach_relay(
        &mut self,
        handle: usize,
        error: Error,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        if self.relay(handle).is_none() {
            return Ok(());
        }
        let info = self.tag(handle).map(RawMap);
        self.detach_attached(handle, Error { info, ..error }, context)
    }

    /// Returns the entry for the info of an error that names the last delivery.
    fn tag(&self, handle: usize) -> Option<Bytes> {
        let (_, tag) = self.relay(handle)?.last.as_ref()?;
        let RawMap(info) = map_of_one("delivery-tag", &Bytes::copy_from_slice(tag.as_slice()));
        Some(info)
    }
}
