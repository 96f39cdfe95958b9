//! 2.6: links. One end each: credit, the delivery that is going out or coming in piece by piece.
//!
//! A link does not know its session's windows, nor who routes; `deliveries.rs` moves its deliveries.

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

/// A peer may spread a delivery over frames that carry nothing; not for ever (our choice).
const MAX_EMPTY_TRANSFERS: u32 = 1000;

/// 2.6.1. Freed when the peer has detached.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) name: Arc<str>,
    pub(crate) state: LinkState,
    pub(crate) end: LinkEnd,
    /// A flow of ours is due at the end of the turn.
    pub(crate) flow_due: bool,
    /// Its deliveries in its session's ledger.
    pub(crate) unsettled: usize,
    /// Whether we attached it, and the peer answered.
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
    /// The router has been asked; the peer's attach is kept for the answer.
    AwaitRoute(Box<Attach>),
    /// We have attached, and the peer has not answered.
    AwaitAttach,
    /// 2.6.3: the peer has answered our attach with a null terminus. Its detach follows.
    Refused,
    Attached,
    /// We have detached; what still comes for it is discarded.
    AwaitDetach,
}

/// Our end of it.
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

/// The end that sends: to a consumer.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) delivery_count: SequenceNo,
    /// 2.6.7: the delivery-count at which credit is used up.
    pub(crate) limit: SequenceNo,
    pub(crate) drain: bool,
    /// The router has no more for a peer that drains; credit goes when the last delivery has been written to its end.
    pub(crate) drained: bool,
    /// Deliveries of which not all has been written.
    pub(crate) unfinished: usize,
    /// 3.5.3: of a delivery that is settled without an outcome.
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

    /// 2.6.7: deliveries that the peer would still take.
    pub(crate) fn credit(&self) -> u32 {
        self.limit.ahead_of(self.delivery_count).unwrap_or(0)
    }

    /// 2.6.7: what the peer's flow grants. Without a delivery-count the peer has not seen our attach.
    pub(crate) fn grant(&mut self, delivery_count: Option<SequenceNo>, credit: u32) {
        // Serial arithmetic sees no further than half the circle; as credit that is as good as endless.
        const ENDLESS: u32 = (1 << 31) - 1;
        self.limit = match credit {
            0..ENDLESS => delivery_count.unwrap_or_default().plus(credit),
            ENDLESS.. => self.delivery_count.plus(ENDLESS),
        };
        self.drained = false;
    }

    /// 2.6.7: a drained peer is told that its credit is used up. True if that just happened.
    pub(crate) fn finish_drain(&mut self) -> bool {
        if !self.drained || self.unfinished > 0 {
            return false;
        }
        self.drained = false;
        self.delivery_count = if self.credit() > 0 { self.limit } else { self.delivery_count };
        true
    }
}

/// A delivery on its way out, of which not all has been written.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) handle: usize,
    pub(crate) link_serial: u32,
    pub(crate) delivery_id: SequenceNo,
    payload: Payload,
    pub(crate) format: u32,
    pub(crate) settled: bool,
    pub(crate) ticket: Ticket,
    /// Units of the window that the router has taken for it, and transfers that have been written.
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

    /// Bytes that are still to be written.
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

/// The end that receives: from a producer.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) delivery_count: SequenceNo,
    pub(crate) credit: u32,
    /// Each message says where it goes.
    pub(crate) by_to: bool,
    /// Set if the peer sends to the anonymous terminus.
    pub(crate) relay: Option<Box<Relay>>,
    /// 2.8.3: as agreed on in the attaches.
    pub(crate) settle_mode: ReceiverSettleMode,
    /// 2.6.7: we have asked for what is there now, and to be told when that was all.
    pub(crate) drain: bool,
    /// Deliveries beyond its credit that are borne: credit was taken back and the peer may not know yet, or it cannot count.
    overdraft: u32,
    pub(crate) partial: Option<Partial>,
}

/// What an anonymous terminus needs to say which message it could not route.
#[derive(Debug)]
pub(crate) struct Relay {
    /// The peer's source allows the outcome rejected.
    pub(crate) rejects: bool,
    /// The last delivery that has begun, with its tag. The router answers each before the next is read.
    pub(crate) last: Option<(u64, DeliveryTag)>,
}

impl Receiver {
    /// What RabbitMQ 3 has under way when it is given credit, it forgets to take off. A client bears that, within bounds.
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

    /// 2.6.7: a flow of ours gives `credit`, to a peer that attached or to one that we attached to. What a peer had before it
    /// may still use until it has seen that.
    pub(crate) fn grant(&mut self, credit: u32, initiated: bool) {
        let taken_back = self.credit.saturating_add(self.overdraft).saturating_sub(credit);
        self.overdraft = if initiated { Self::OVERDRAFT } else { taken_back };
        self.credit = credit;
        self.drain = false;
    }

    /// 2.6.7: the peer's own account of the link shows whether it has seen ours.
    pub(crate) fn compare(&mut self, delivery_count: SequenceNo, credit: u32) {
        if delivery_count.plus(credit) == self.delivery_count.plus(self.credit) {
            self.overdraft = 0;
        }
    }

    /// A delivery begins. False if there is no credit for it.
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

    /// 2.6.7: the peer's delivery-count while we drain. True if it has used up all credit.
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

/// A delivery of which not all has arrived.
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
    /// For a first transfer that has been checked.
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

    /// 2.7.5: what a later transfer repeats has to be the same.
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
