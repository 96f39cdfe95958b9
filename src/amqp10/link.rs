//! One end of a link (2.6): its state, its credit, and the deliveries that have been sent or received in part.
//!
//! Links know neither their session's windows nor the router; `deliveries.rs` sends and receives their deliveries.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::definitions::{Condition, ReceiverSettleMode, Role, SequenceNo};
use super::performative::{Attach, Transfer};
use super::types::DeliveryTag;
use super::violation::Violation;
use crate::event::{Delivery, LinkId, Outcome, Ticket};
use crate::live::live;
use crate::message::{Message, Payload, PayloadBuilder};

/// Transfers without payload that one delivery may have (our choice).
const MAX_EMPTY_TRANSFERS: u32 = 1000;

/// One end of a link (2.6.1). Freed when the peer has detached.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) name: Arc<str>,
    pub(crate) state: LinkState,
    pub(crate) end: LinkEnd,
    /// Whether a flow of ours is due at the end of the turn.
    pub(crate) flow_due: bool,
    /// The number of the link's deliveries in the session's ledger.
    pub(crate) unsettled: usize,
    /// Whether this side sent the first attach.
    pub(crate) initiated: bool,
}

/// ```text
///   attach from peer      the router says yes         either side detaches
/// ────────────────▶ AwaitRoute ────────────▶ Attached ─────────▶ AwaitDetach ──▶ (freed)
///                        ├──────── refused, detached ────────────────▲
/// ────────────────▶ AwaitAttach ───────────▶ Attached
///   attach of ours    │   attach from peer
///                     └───────────▶ Refused ─────────▶ (freed)
///                null terminus from peer    detach from peer
/// ```
#[derive(Debug)]
pub(crate) enum LinkState {
    /// The router looks for the node; the peer's attach is kept for the answer.
    AwaitRoute(Box<Attach>),
    /// This side has attached, and the peer has not answered.
    AwaitAttach,
    /// The peer has answered our attach with a null terminus (2.6.3). Its detach follows.
    Refused,
    Attached,
    /// This side has detached; frames that still come for the link are discarded.
    AwaitDetach,
}

/// Our end of a link.
#[derive(Debug)]
pub(crate) enum LinkEnd {
    Sender(Sender),
    Receiver(Receiver),
}

impl Link {
    pub(crate) fn role(&self) -> Role {
        match self.end {
            LinkEnd::Sender(_) => Role::Sender,
            LinkEnd::Receiver(_) => Role::Receiver,
        }
    }

    /// Returns the link's id, its end and the count of its unsettled deliveries, if it sends.
    #[inline]
    pub(crate) fn sending(&mut self) -> Option<(LinkId, &mut Sender, &mut usize)> {
        match self {
            Link { id, end: LinkEnd::Sender(sender), unsettled, .. } => Some((*id, sender, unsettled)),
            Link { end: LinkEnd::Receiver(_), .. } => None,
        }
    }

    /// Returns the link's id, its end and the count of its unsettled deliveries, if it receives.
    #[inline]
    pub(crate) fn receiving(&mut self) -> Option<(LinkId, &mut Receiver, &mut usize)> {
        match self {
            Link { id, end: LinkEnd::Receiver(receiver), unsettled, .. } => Some((*id, receiver, unsettled)),
            Link { end: LinkEnd::Sender(_), .. } => None,
        }
    }

    /// Ends [`LinkState::AwaitRoute`] and returns the peer's attach. None in any other state.
    pub(crate) fn route_found(&mut self, next: LinkState) -> Option<Box<Attach>> {
        if !matches!(self.state, LinkState::AwaitRoute(_)) {
            return None;
        }
        match std::mem::replace(&mut self.state, next) {
            LinkState::AwaitRoute(attach) => Some(attach),
            _ => None,
        }
    }
}

/// The end that sends, to a consumer.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) delivery_count: SequenceNo,
    /// The delivery-count at which credit is used up (2.6.7).
    pub(crate) limit: SequenceNo,
    pub(crate) drain: bool,
    /// Whether the router has no more for a peer that drains. The credit is used up once the last delivery has been written.
    pub(crate) drained: bool,
    /// Deliveries that have been written in part or not at all.
    pub(crate) unfinished: usize,
    /// The outcome of a delivery that is settled without one (3.5.3).
    pub(crate) default_outcome: Outcome,
}

impl Sender {
    pub(crate) fn new(default_outcome: Outcome) -> Sender {
        Sender {
            delivery_count: SequenceNo::default(),
            limit: SequenceNo::default(),
            drain: false,
            drained: false,
            unfinished: 0,
            default_outcome,
        }
    }

    /// Returns the credit that is left (2.6.7).
    pub(crate) fn credit(&self) -> u32 {
        self.limit.ahead_of(self.delivery_count).unwrap_or(0)
    }

    /// Takes the credit of the peer's flow (2.6.7). A flow without delivery-count comes from a peer that has not seen our attach.
    pub(crate) fn grant(&mut self, delivery_count: Option<SequenceNo>, credit: u32) {
        // The largest difference of two sequence numbers, which stands for any larger credit too.
        const ENDLESS: u32 = (1 << 31) - 1;
        self.limit = match credit {
            0..ENDLESS => delivery_count.unwrap_or_default().plus(credit),
            ENDLESS.. => self.delivery_count.plus(ENDLESS),
        };
        self.drained = false;
    }

    /// Uses up the credit of a peer that drains (2.6.7), once nothing more comes. True if it has just done so.
    pub(crate) fn finish_drain(&mut self) -> bool {
        if !self.drained || self.unfinished > 0 {
            return false;
        }
        self.drained = false;
        self.delivery_count = if self.credit() > 0 { self.limit } else { self.delivery_count };
        true
    }
}

/// An outgoing delivery that has not been written to its end.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) handle: usize,
    pub(crate) link_serial: u32,
    pub(crate) delivery_id: SequenceNo,
    payload: Payload,
    pub(crate) format: u32,
    pub(crate) settled: bool,
    pub(crate) ticket: Ticket,
    /// Units of the window that the router has taken for the delivery.
    pub(crate) units: u32,
    pub(crate) transfers: u32,
    fragment: usize,
    offset: usize,
    sent: usize,
}

impl Outgoing {
    pub(crate) fn new(handle: usize, link_serial: u32, delivery_id: SequenceNo, delivery: Delivery) -> Outgoing {
        let Delivery { message, settled, ticket, units } = delivery;
        let payload = match &message.history {
            Some(history) => super::section::with_history(&message.payload, history),
            None => message.payload,
        };
        Outgoing {
            handle,
            link_serial,
            delivery_id,
            payload,
            format: message.format,
            settled,
            ticket,
            units,
            transfers: 0,
            fragment: 0,
            offset: 0,
            sent: 0,
        }
    }

    /// Returns how many bytes are still to be written.
    pub(crate) fn remaining(&self) -> usize {
        self.payload.len() - self.sent
    }

    /// Hands the next `count` bytes to `put`, as ranges of fragments.
    pub(crate) fn take(&mut self, mut count: usize, mut put: impl FnMut(&Bytes, Range<usize>)) {
        while count > 0 {
            let fragment = self.payload.fragment(self.fragment);
            let Some(fragment) = live(fragment, "the rest of a payload") else { return };
            let end = fragment.len().min(self.offset + count);
            if end == self.offset {
                self.fragment += 1;
                self.offset = 0;
                continue;
            }
            put(fragment, self.offset..end);
            count -= end - self.offset;
            self.sent += end - self.offset;
            self.offset = end;
        }
    }
}

/// The end that receives, from a producer.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) delivery_count: SequenceNo,
    pub(crate) credit: u32,
    /// Whether each message is routed by its `to` field.
    pub(crate) by_to: bool,
    /// Set if the peer sends to the anonymous terminus.
    pub(crate) relay: Option<Box<Relay>>,
    /// The rcv-settle-mode of the attaches (2.8.3).
    pub(crate) settle_mode: ReceiverSettleMode,
    /// Whether this side drains (2.6.7) and waits for the peer to use up the credit.
    pub(crate) drain: bool,
    /// Deliveries beyond the credit that are accepted: credit was taken back and the peer may not know yet, or the peer counts
    /// wrongly.
    overdraft: u32,
    pub(crate) partial: Option<Partial>,
}

/// The state of an anonymous terminus, which has to name the message that it could not route.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Whether the peer's source allows the outcome rejected.
    pub(crate) rejects: bool,
    /// The last delivery that has begun, with its tag. The router answers each before the next is read.
    pub(crate) last: Option<(u64, DeliveryTag)>,
}

impl Receiver {
    /// The overdraft of a client: RabbitMQ 3 does not count the deliveries that are under way when it is given credit.
    const OVERDRAFT: u32 = 1000;

    pub(crate) fn new(delivery_count: SequenceNo, by_to: bool) -> Receiver {
        Receiver {
            delivery_count,
            credit: 0,
            by_to,
            relay: None,
            settle_mode: ReceiverSettleMode::First,
            drain: false,
            overdraft: 0,
            partial: None,
        }
    }

    /// Grants credit by a flow of ours (2.6.7). The peer may use the credit that it had until it has seen the flow.
    pub(crate) fn grant(&mut self, credit: u32, initiated: bool) {
        let taken_back = self.credit.saturating_add(self.overdraft).saturating_sub(credit);
        self.overdraft = if initiated { Self::OVERDRAFT } else { taken_back };
        self.credit = credit;
        self.drain = false;
    }

    /// Ends the overdraft if the link state in a flow of the peer's shows that it has seen our flow (2.6.7).
    pub(crate) fn compare(&mut self, delivery_count: SequenceNo, credit: u32) {
        if delivery_count.plus(credit) == self.delivery_count.plus(self.credit) {
            self.overdraft = 0;
        }
    }

    /// Takes a unit of credit for a delivery that begins. False if there is none.
    pub(crate) fn use_credit(&mut self) -> bool {
        if let Some(credit) = self.credit.checked_sub(1) {
            self.credit = credit;
        } else if let Some(overdraft) = self.overdraft.checked_sub(1) {
            self.overdraft = overdraft;
        } else {
            return false;
        }
        self.delivery_count = self.delivery_count.next();
        true
    }

    /// Takes the delivery-count of a peer that is drained (2.6.7). True if it has used up all credit.
    pub(crate) fn on_drained(&mut self, delivery_count: Option<SequenceNo>) -> bool {
        let ahead = delivery_count.and_then(|count| count.ahead_of(self.delivery_count)).unwrap_or(0);
        let used = ahead.min(self.credit);
        self.credit -= used;
        self.delivery_count = self.delivery_count.plus(used);
        self.drain = self.credit > 0;
        !self.drain
    }
}

pub(crate) fn too_large(handle: usize) -> Violation {
    Violation::link(handle, "2.7.3", Condition::MessageSizeExceeded, "message larger than max-message-size")
}

/// An incoming delivery that has not arrived whole.
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) number: u64,
    delivery_id: SequenceNo,
    tag: DeliveryTag,
    format: u32,
    pub(crate) settled: bool,
    payload: PayloadBuilder,
    empty_transfers: u32,
}

impl Partial {
    /// Begins a delivery with its first transfer, which has been checked.
    pub(crate) fn begin(transfer: &Transfer, number: u64) -> Partial {
        Partial {
            number,
            delivery_id: transfer.delivery_id.unwrap_or_default(),
            tag: transfer.delivery_tag.unwrap_or_else(|| DeliveryTag::new(&[])),
            format: transfer.message_format.unwrap_or(0),
            settled: false,
            payload: PayloadBuilder::default(),
            empty_transfers: 0,
        }
    }

    /// Checks that the fields which a later transfer repeats have not changed (2.7.5).
    pub(crate) fn check_continuation(&self, transfer: &Transfer, handle: usize) -> Result<(), Violation> {
        let same = transfer.delivery_id.is_none_or(|id| id == self.delivery_id)
            && transfer.delivery_tag.is_none_or(|tag| tag == self.tag)
            && transfer.message_format.is_none_or(|format| format == self.format);
        if same {
            return Ok(());
        }
        Err(Violation::link(
            handle,
            "2.7.5",
            Condition::InvalidField,
            "transfer does not continue the delivery that is under way",
        ))
    }

    pub(crate) fn len(&self) -> usize {
        self.payload.len()
    }

    pub(crate) fn push(
        &mut self,
        fragment: Bytes,
        transfer: &Transfer,
        handle: usize,
        max_message_size: u64,
    ) -> Result<(), Violation> {
        self.settled |= transfer.settled.unwrap_or(false);
        if fragment.is_empty() && transfer.more {
            self.empty_transfers += 1;
            if self.empty_transfers > MAX_EMPTY_TRANSFERS {
                let what = "too many transfers without payload in one delivery";
                return Err(Violation::link(handle, "2.6.14", Condition::ResourceLimitExceeded, what));
            }
        }
        self.payload.push(fragment);
        if self.payload.len() as u64 > max_message_size {
            return Err(too_large(handle));
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Message {
        Message { payload: self.payload.finish(), format: self.format, ..Message::default() }
    }
}
