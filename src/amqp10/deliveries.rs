//! Deliveries (2.6.12 to 2.6.14), incoming and outgoing, a transfer at a time. Part of `session.rs`.
//!
//! A message that comes in one transfer, as nearly all do, is not copied. The router hands out no more than the peer's window
//! takes, so outgoing messages are written at once; only the rest of a message that is larger than what is left of the window
//! waits here.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::definitions::{Condition, Error, ReceiverSettleMode, SequenceNo};
use super::delivery_state::DeliveryState;
use super::gathered::Gathered;
use super::link::{Link, LinkEnd, LinkState, Outgoing, Partial};
use super::performative::Transfer;
use super::session::{
    Arrived, Context, FULL, INCOMING, INCOMING_WINDOW, LINK, LINK_OF_DELIVERY, MAX_UNSETTLED, RECEIVER, SENDER, Sent,
    Session, Wire,
};
use super::transfer;
use super::unmet_fields::NOT_RESUMED;
use super::violation::{Scope, Violation};
use crate::budget::Full;
use crate::config::EngineConfig;
use crate::event::{Arrival, Delivery, DeliveryKey, Destination, Event, LinkId, Run, Ticket};
use crate::ledger::Ledger;
use crate::live::live;
use crate::message::{Message, Payload};
use crate::unmet::{self, Unmet};

impl Session {
    /// Takes a transfer (2.7.5).
    pub(crate) fn on_transfer(
        &mut self,
        transfer: &Transfer,
        payload: Bytes,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        // 2.5.6: every transfer takes one unit of the window, discarded or not.
        self.next_incoming_id = self.next_incoming_id.next();
        self.incoming_window = self.incoming_window.checked_sub(1).ok_or_else(|| {
            Violation::session("2.5.6", Condition::WindowViolation, "transfer beyond the incoming window")
        })?;
        self.flow_due |= self.incoming_window <= INCOMING_WINDOW / 2;

        let handle = self.local_handle(transfer.handle)?;
        let source = (self.remote_channel.unwrap_or_default(), transfer.handle);
        let Some(link) = live(self.links.get_mut(handle), LINK) else { return Ok(()) };
        if !matches!(link.state, LinkState::Attached) {
            // 2.6.5: transfers that were under way at our detach are discarded.
            self.count_discarded(transfer);
            return Ok(());
        }
        let LinkEnd::Receiver(receiver) = &mut link.end else {
            self.count_discarded(transfer);
            return Err(Violation::link(
                handle,
                "2.6.12",
                Condition::NotAllowed,
                "transfer on a link that the peer receives on",
            ));
        };
        if matches!(transfer.state.as_deref(), Some(DeliveryState::TransactionalState(_))) {
            self.count_discarded(transfer);
            return Err(Violation::link(handle, "4.4.1", Condition::NotImplemented, "transactions are not supported"));
        }
        if transfer.resume
            && let Err(error) = note_resume(link.name.clone(), source.0, context)
        {
            self.count_discarded(transfer);
            return Err(Violation::of(Scope::Link(handle), "2.6.13", error));
        }
        match receiver.partial.take() {
            Some(mut partial) => {
                context.arriving.give_back(partial.len());
                partial.check_continuation(transfer, handle)?;
                if transfer.aborted {
                    self.abort(handle, partial.number);
                    return Ok(());
                }
                partial.push(payload, transfer, handle, context.config.max_message_size)?;
                if transfer.more {
                    return self.wait_for_more(handle, partial, context);
                }
                let (number, settled) = (partial.number, partial.settled);
                self.arrived(handle, source, (number, settled), partial.finish(), context);
            }
            None => {
                let settled = transfer.settled.unwrap_or(false);
                let number = self.begin_delivery(handle, transfer)?;
                if transfer.aborted {
                    self.abort(handle, number);
                } else if transfer.more {
                    let mut partial = Partial::begin(transfer, number);
                    partial.push(payload, transfer, handle, context.config.max_message_size)?;
                    return self.wait_for_more(handle, partial, context);
                } else if payload.len() as u64 > context.config.max_message_size {
                    return Err(super::link::too_large(handle));
                } else {
                    let format = transfer.message_format.unwrap_or(0);
                    let message = Message { payload: payload.into(), format, ..Message::default() };
                    self.arrived(handle, source, (number, settled), message, context);
                }
            }
        }
        Ok(())
    }

    /// Takes the transfers at the start of `input` that follow those gathered from a link, while they are in the usual encoding
    /// and break no rule (2.7.5). [`Session::on_transfer`] takes the others.
    pub(crate) fn gather(
        &mut self,
        link: LinkId,
        input: &mut BytesMut,
        config: &EngineConfig,
        gathered: &mut Gathered,
    ) {
        let Some((_, channel, remote_handle, room)) = gathered.place() else { return };
        let Some(handle) = live(self.handles.get(remote_handle), "the handle of messages that were gathered") else {
            return;
        };
        let found = self.links.get_mut(handle).filter(|found| found.id == link);
        let Some((id, receiver, unsettled)) = live(found.and_then(Link::receiving), RECEIVER) else { return };
        let Some(incoming) = live(self.incoming.as_mut(), INCOMING) else { return };
        if receiver.partial.is_some() {
            return;
        }
        let mut left = room.min(receiver.credit as usize).min(self.incoming_window as usize);
        left = left.min(MAX_UNSETTLED.saturating_sub(incoming.len()));
        let mut found = [transfer::Usual::default(); Run::MAX];
        let (mut count, mut end) = (0, 0);
        let mut next_id = SequenceNo::narrow(incoming.next());
        for slot in found.iter_mut().take(left) {
            let frame = input.get(end..).unwrap_or_default();
            let Some(usual) = transfer::usual(frame, channel, remote_handle, config.max_frame_size) else { break };
            let too_large = (usual.end - usual.payload_at) as u64 > config.max_message_size;
            if usual.delivery_id != next_id.0 || too_large {
                break;
            }
            *slot = transfer::Usual { payload_at: end + usual.payload_at, end: end + usual.end, ..usual };
            end += usual.end;
            next_id = next_id.next();
            count += 1;
        }
        if count == 0 {
            return;
        }
        // One buffer for all of them.
        let frames = input.split_to(end).freeze();
        for usual in found.iter().take(count) {
            receiver.use_credit();
            let delivery = match usual.settled {
                true => {
                    incoming.skip();
                    None
                }
                false => {
                    *unsettled += 1;
                    Some(DeliveryKey(incoming.push(Arrived { handle, link_serial: id.serial })))
                }
            };
            let message = Message { payload: frames.slice(usual.payload_at..usual.end).into(), ..Message::default() };
            gathered.push(Arrival { delivery, message }, receiver.credit);
        }
        let count = super::types::saturate(count);
        self.next_incoming_id = self.next_incoming_id.plus(count);
        self.incoming_window -= count;
        self.flow_due |= self.incoming_window <= INCOMING_WINDOW / 2;
    }

    /// Checks the first transfer of a delivery (2.7.5) and returns the delivery's number.
    fn begin_delivery(&mut self, handle: usize, transfer: &Transfer) -> Result<u64, Violation> {
        let invalid = |what| Violation::link(handle, "2.7.5", Condition::InvalidField, what);
        let link = self.links.get_mut(handle).and_then(Link::receiving);
        let Some((id, receiver, unsettled)) = live(link, RECEIVER) else { return Ok(0) };
        let delivery_id =
            transfer.delivery_id.ok_or_else(|| invalid("the first transfer of a delivery has no delivery-id"))?;
        // 2.8.7: delivery-ids belong to the session. They are counted even if the delivery breaks a rule of its link.
        let incoming = self.incoming.get_or_insert_with(|| Ledger::starting_at(delivery_id.0.into()));
        if SequenceNo::narrow(incoming.next()) != delivery_id {
            let what = "delivery-id does not follow the one before";
            return Err(Violation::session("2.6.12", Condition::InvalidField, what));
        }
        let number = if transfer.settled == Some(true) && !transfer.more {
            // A settled delivery that is whole needs no entry.
            incoming.skip()
        } else {
            *unsettled += 1;
            incoming.push(Arrived { handle, link_serial: id.serial })
        };
        if incoming.len() > MAX_UNSETTLED {
            let what = "too many unsettled deliveries";
            return Err(Violation::session("2.5.6", Condition::ResourceLimitExceeded, what));
        }
        let tag =
            transfer.delivery_tag.ok_or_else(|| invalid("the first transfer of a delivery has no delivery-tag"))?;
        if tag.is_too_long() {
            return Err(Violation::link(handle, "2.8.7", Condition::InvalidField, "delivery-tag longer than 32 bytes"));
        }
        if transfer.rcv_settle_mode == Some(ReceiverSettleMode::Second)
            && receiver.settle_mode == ReceiverSettleMode::First
        {
            return Err(invalid("rcv-settle-mode second on a link that settles first"));
        }
        if let Some(relay) = &mut receiver.relay {
            relay.last = Some((number, tag));
        }
        // 2.6.7
        if !receiver.use_credit() {
            return Err(Violation::link(
                handle,
                "2.6.7",
                Condition::TransferLimitExceeded,
                "transfer beyond link-credit",
            ));
        }
        Ok(number)
    }

    /// Counts the delivery-id of a transfer that is discarded.
    fn count_discarded(&mut self, transfer: &Transfer) {
        let Some(delivery_id) = transfer.delivery_id else { return };
        let incoming = self.incoming.get_or_insert_with(|| Ledger::starting_at(delivery_id.0.into()));
        // A transfer that continues a delivery has been counted.
        if SequenceNo::narrow(incoming.next()) == delivery_id {
            incoming.skip();
        }
    }

    /// Drops a delivery that the peer aborts (2.6.14) and gives its credit back.
    fn abort(&mut self, handle: usize, number: u64) {
        self.remove_if_unsettled(number);
        if let Some(receiver) = self.receiver_mut(handle) {
            receiver.credit += 1;
            self.flow_is_due(handle);
        }
    }

    fn wait_for_more(&mut self, handle: usize, partial: Partial, context: &mut Context<'_>) -> Result<(), Violation> {
        let taken = context.arriving.take(partial.len());
        if let Some(receiver) = self.receiver_mut(handle) {
            receiver.partial = Some(partial);
        }
        taken.map_err(|full| match full {
            Full::Connection => {
                let what = "too much in deliveries that are still arriving";
                Violation::connection("2.6.14", Condition::ResourceLimitExceeded, what)
            }
            Full::Broker => Violation::no_room(handle, "2.6.14", "no room for a delivery that is still arriving"),
        })
    }

    /// Hands a whole delivery to the run for the router.
    fn arrived(
        &mut self,
        handle: usize,
        source: (u16, u32),
        (number, mut settled): (u64, bool),
        message: Message,
        context: &mut Context<'_>,
    ) {
        if settled {
            self.remove_if_unsettled(number);
        } else {
            // The peer may have settled it with a disposition before its last transfer.
            settled = self.incoming.as_mut().is_none_or(|incoming| incoming.get_mut(number).is_none());
        }
        let link = self.links.get_mut(handle).and_then(Link::receiving);
        let Some((id, receiver, _)) = live(link, RECEIVER) else { return };
        let to = if receiver.by_to { super::section::destination(&message.payload) } else { Destination::Link };
        let arrival = Arrival { delivery: (!settled).then_some(DeliveryKey(number)), message };
        context.gathered.add(id, to, source, receiver.credit, arrival);
    }

    /// Sends messages on a link. The router has checked that the link has credit for them.
    pub(crate) fn deliver(
        &mut self,
        handle: usize,
        deliveries: impl Iterator<Item = Delivery>,
        context: &mut Context<'_>,
    ) {
        let link = self.links.get_mut(handle).and_then(Link::sending);
        let Some((id, sender, unsettled)) = live(link, SENDER) else { return };
        let room = room(&context.wire);
        for delivery in deliveries {
            // 2.6.12: a delivery gets its id when it begins.
            let number = match delivery.settled {
                true => self.outgoing.skip(),
                false => {
                    *unsettled += 1;
                    self.outgoing.push(Sent { handle, link_serial: id.serial, ticket: delivery.ticket })
                }
            };
            sender.delivery_count = sender.delivery_count.next();
            let delivery_id = SequenceNo::narrow(number);
            if delivery.message.history.is_none()
                && delivery.message.payload.len() <= room
                && self.remote_incoming_window > 0
                && self.sending.is_empty()
                && let Payload::One(payload) = &delivery.message.payload
            {
                // The usual case: one transfer, written at once.
                let start = Some(transfer::Start { delivery_id, message_format: delivery.message.format });
                let len = payload.len();
                let (channel, settled) = (self.channel, delivery.settled);
                context.wire.out.append_delivery(|out| transfer::put(out, channel, handle, start, settled, false, len));
                context.wire.out.append_payload(payload, 0..len);
                self.next_outgoing_id = self.next_outgoing_id.next();
                self.remote_incoming_window -= 1;
                if delivery.units != 1 {
                    let more = i64::from(delivery.units) - 1;
                    context.events.push_back(Event::Window { channel, more });
                }
                if settled && delivery.ticket != Ticket::NONE {
                    context.events.push_back(Event::Sent { link: id, ticket: delivery.ticket });
                }
                continue;
            }
            sender.unfinished += 1;
            self.sending.push_back(Outgoing::new(handle, id.serial, delivery_id, delivery));
        }
        if !self.is_full && self.outgoing.len() >= MAX_UNSETTLED {
            self.is_full = true;
            context.events.push_back(Event::Window { channel: self.channel, more: -FULL });
        }
        self.pump(context);
    }

    /// Writes transfers of the deliveries in `sending`, as far as the peer's window reaches.
    pub(super) fn pump(&mut self, context: &mut Context<'_>) {
        while self.remote_incoming_window > 0
            && let Some(delivery) = self.sending.front_mut()
        {
            put_transfer(&mut context.wire, self.channel, delivery);
            self.next_outgoing_id = self.next_outgoing_id.next();
            self.remote_incoming_window -= 1;
            if delivery.remaining() == 0
                && let Some(delivery) = self.sending.pop_front()
            {
                self.finished(&delivery, context);
            }
        }
    }

    /// Ends a delivery whose last transfer has been written.
    fn finished(&mut self, delivery: &Outgoing, context: &mut Context<'_>) {
        self.correct_window(delivery, context);
        let link = self.links.get_mut(delivery.handle).and_then(Link::sending);
        let Some((id, sender, _)) = live(link, SENDER) else { return };
        sender.unfinished -= 1;
        if delivery.settled && delivery.ticket != Ticket::NONE {
            context.events.push_back(Event::Sent { link: id, ticket: delivery.ticket });
        }
        if sender.finish_drain() {
            self.flow_is_due(delivery.handle);
        }
    }

    /// Corrects the router's count of the window, if a delivery took more or fewer transfers than the router assumed.
    fn correct_window(&self, delivery: &Outgoing, context: &mut Context<'_>) {
        let more = i64::from(delivery.units) - i64::from(delivery.transfers);
        if more != 0 {
            context.events.push_back(Event::Window { channel: self.channel, more });
        }
    }

    /// Removes an incoming delivery from the ledger. Does nothing if the peer has settled it meanwhile.
    pub(super) fn remove_if_unsettled(&mut self, number: u64) {
        let Some(arrived) = self.incoming.as_mut().and_then(|incoming| incoming.remove(number)) else { return };
        let link = self.links.get_mut(arrived.handle).filter(|link| link.id.serial == arrived.link_serial);
        if let Some(link) = live(link, LINK_OF_DELIVERY) {
            link.unsettled -= 1;
        }
    }

    /// Removes the deliveries of a link that ends from the ledgers.
    pub(super) fn forget_deliveries(&mut self, handle: usize, context: &mut Context<'_>) {
        let Some(link) = live(self.links.get_mut(handle), LINK) else { return };
        let serial = link.id.serial;
        let unsettled = std::mem::take(&mut link.unsettled);
        match &mut link.end {
            LinkEnd::Sender(sender) => {
                if std::mem::take(&mut sender.unfinished) > 0 {
                    let is_its = |delivery: &Outgoing| delivery.link_serial == serial;
                    let (its, others): (VecDeque<_>, VecDeque<_>) =
                        std::mem::take(&mut self.sending).into_iter().partition(is_its);
                    self.sending = others;
                    its.iter().for_each(|delivery| self.correct_window(delivery, context));
                }
                if unsettled > 0 {
                    self.outgoing.retain(|sent| sent.link_serial != serial);
                }
            }
            LinkEnd::Receiver(receiver) => {
                context.arriving.give_back(receiver.partial.take().map_or(0, |partial| partial.len()));
                if let Some(incoming) = &mut self.incoming
                    && unsettled > 0
                {
                    incoming.retain(|arrived| arrived.link_serial != serial);
                }
            }
        }
    }

    /// Removes the unsettled deliveries of all links.
    pub(super) fn forget_unsettled(&mut self) {
        drop(self.outgoing.drain());
        if let Some(incoming) = &mut self.incoming {
            drop(incoming.drain());
        }
        self.sending.clear();
        for (_, link) in &mut self.links {
            link.unsettled = 0;
            if let LinkEnd::Sender(sender) = &mut link.end {
                sender.unfinished = 0;
            }
        }
    }
}

/// Returns how many bytes of payload fit one transfer.
pub(super) fn room(wire: &Wire<'_>) -> usize {
    (wire.max_frame_size as usize).saturating_sub(transfer::OVERHEAD)
}

/// Writes one transfer frame of a delivery with as much payload as fits.
fn put_transfer(wire: &mut Wire<'_>, channel: u16, delivery: &mut Outgoing) {
    let count = delivery.remaining().min(room(wire));
    let more = count < delivery.remaining();
    let start = transfer::Start { delivery_id: delivery.delivery_id, message_format: delivery.format };
    let start = (delivery.transfers == 0).then_some(start);
    let (handle, settled) = (delivery.handle, delivery.settled);
    delivery.transfers += 1;
    wire.out.append_delivery(|out| transfer::put(out, channel, handle, start, settled, more, count));
    delivery.take(count, |fragment, range| wire.out.append_payload(fragment, range));
}

/// 2.6.13: a delivery that goes on from an earlier attach is a new one here.
fn note_resume(link: Arc<str>, channel: u16, context: &mut Context<'_>) -> Result<(), Error> {
    let place = unmet::Place { method: "transfer", channel: Some(channel), link: Some(link), address: None };
    context.note_unmet([Unmet::new(&place, "resume", true, NOT_RESUMED)])
}
