//! 2.6.12 to 2.6.14: deliveries on their way in and out, a transfer at a time. A part of `session.rs`.
//!
//! A message that comes in one transfer, as nearly all do, passes without being put together; one that goes out is written
//! at once if the peer's window is open, and waits at its link otherwise.

use bytes::Bytes;

use super::definitions::{Condition, ReceiverSettleMode, SequenceNo};
use super::delivery_state::DeliveryState;
use super::directory::Directory;
use super::link::{Link, LinkEnd, LinkState, Outgoing, Partial};
use super::performative::Transfer;
use super::session::{Arrived, Context, INCOMING_WINDOW, MAX_UNSETTLED, Sent, Session, Wire};
use super::transfer;
use super::violation::Violation;
use crate::event::{DeliveryKey, Destination, Event, Ticket};
use crate::ledger::Ledger;
use crate::message::Message;

impl Session {
    /// 2.7.5: a transfer came in.
    pub(crate) fn on_transfer(
        &mut self,
        transfer: &Transfer,
        payload: Bytes,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        // 2.5.6: every transfer frame takes one place in the window, whatever becomes of it.
        self.next_incoming_id = self.next_incoming_id.next();
        self.incoming_window = self.incoming_window.checked_sub(1).ok_or_else(|| {
            Violation::session("2.5.6", Condition::WindowViolation, "transfer beyond the incoming window")
        })?;
        self.flow_due |= self.incoming_window <= INCOMING_WINDOW / 2;

        let handle = self.local_handle(transfer.handle)?;
        let Some(link) = self.links.get_mut(handle) else { return Ok(()) };
        if !matches!(link.state, LinkState::Attached) {
            // 2.6.5: what was under way when we detached is discarded.
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
        match receiver.partial.take() {
            Some(mut partial) => {
                context.directory.partial_bytes -= partial.len();
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
                self.arrived(handle, number, settled, partial.finish(), context);
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
                    self.arrived(handle, number, settled, message, context);
                }
            }
        }
        Ok(())
    }

    /// 2.7.5: what has to hold of the first transfer of a delivery; gives it its number.
    fn begin_delivery(&mut self, handle: usize, transfer: &Transfer) -> Result<u64, Violation> {
        let invalid = |what| Violation::link(handle, "2.7.5", Condition::InvalidField, what);
        let Some(Link { id, end: LinkEnd::Receiver(receiver), unsettled, .. }) = self.links.get_mut(handle) else {
            return Ok(0);
        };
        let delivery_id =
            transfer.delivery_id.ok_or_else(|| invalid("the first transfer of a delivery has no delivery-id"))?;
        // 2.8.7: ids are the session's. They count on whatever else is wrong with a delivery: that concerns its link alone.
        let incoming = self.incoming.get_or_insert_with(|| Ledger::starting_at(delivery_id.0.into()));
        if SequenceNo::narrow(incoming.next()) != delivery_id {
            let what = "delivery-id does not follow the one before";
            return Err(Violation::session("2.6.12", Condition::InvalidField, what));
        }
        let number = if transfer.settled == Some(true) && !transfer.more {
            // Settled and whole: nobody will ask for it again.
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

    /// The ids of deliveries that are discarded count as well.
    fn count_discarded(&mut self, transfer: &Transfer) {
        let Some(delivery_id) = transfer.delivery_id else { return };
        let incoming = self.incoming.get_or_insert_with(|| Ledger::starting_at(delivery_id.0.into()));
        // One that goes on has been counted.
        if SequenceNo::narrow(incoming.next()) == delivery_id {
            incoming.skip();
        }
    }

    /// 2.6.14: as if it had never been sent; the credit it took is given again.
    fn abort(&mut self, handle: usize, number: u64) {
        self.remove_incoming(number);
        if let Some(Link { end: LinkEnd::Receiver(receiver), .. }) = self.links.get_mut(handle) {
            receiver.credit += 1;
            self.flow_is_due(handle);
        }
    }

    fn wait_for_more(&mut self, handle: usize, partial: Partial, context: &mut Context<'_>) -> Result<(), Violation> {
        context.directory.partial_bytes += partial.len();
        if let Some(Link { end: LinkEnd::Receiver(receiver), .. }) = self.links.get_mut(handle) {
            receiver.partial = Some(partial);
        }
        let limit = usize::try_from(context.config.max_message_size).unwrap_or(usize::MAX).saturating_mul(2);
        if context.directory.partial_bytes > limit {
            let what = "too much in deliveries that are still arriving";
            return Err(Violation::connection("2.6.14", Condition::ResourceLimitExceeded, what));
        }
        Ok(())
    }

    /// A delivery is all there.
    fn arrived(&mut self, handle: usize, number: u64, mut settled: bool, message: Message, context: &mut Context<'_>) {
        if settled {
            self.remove_incoming(number);
        } else {
            // The peer may have settled it with a disposition before its last transfer.
            settled = self.incoming.as_mut().is_none_or(|incoming| incoming.get_mut(number).is_none());
        }
        let Some(Link { id, end: LinkEnd::Receiver(receiver), .. }) = self.links.get(handle) else { return };
        let to = if receiver.by_to { super::section::destination(&message.payload) } else { Destination::Link };
        let delivery = DeliveryKey(number);
        context.events.push_back(Event::Message { link: *id, delivery, settled, to, message });
    }

    /// The router has a message for a consumer.
    pub(crate) fn deliver(
        &mut self,
        handle: usize,
        message: Message,
        settled: bool,
        ticket: Ticket,
        context: &mut Context<'_>,
    ) {
        let Some(Link { id, end: LinkEnd::Sender(sender), .. }) = self.links.get_mut(handle) else { return };
        let serial = id.serial;
        let mut delivery = Outgoing::new(message, settled, ticket);
        if sender.outgoing.is_empty() && self.put_delivery(handle, serial, &mut delivery, context) {
            return;
        }
        let delivery = delivery.kept();
        context.directory.blocked_bytes += delivery.weight();
        if let Some(Link { end: LinkEnd::Sender(sender), .. }) = self.links.get_mut(handle) {
            sender.outgoing.push_back(delivery);
        }
        self.block(handle, context);
    }

    /// The link has deliveries that wait; until they are written the router gives it no more.
    pub(super) fn block(&mut self, handle: usize, context: &mut Context<'_>) {
        if let Some(link) = self.links.get_mut(handle)
            && !std::mem::replace(&mut link.is_blocked, true)
        {
            self.blocked.push_back(handle);
            context.events.push_back(Event::Credit { link: link.id, credit: 0, drain: false });
        }
    }

    /// Writes what waits, a link at a time, as far as the peer's window reaches.
    pub(super) fn pump_blocked(&mut self, context: &mut Context<'_>) {
        while let Some(handle) = self.blocked.pop_front() {
            if !self.pump(handle, context) {
                self.blocked.push_front(handle);
                return;
            }
        }
    }

    /// Writes the deliveries of one link. False if the window closed before the last.
    fn pump(&mut self, handle: usize, context: &mut Context<'_>) -> bool {
        loop {
            let Some(link) = self.links.get_mut(handle) else { return true };
            let (id, LinkEnd::Sender(sender)) = (link.id, &mut link.end) else { return true };
            // 2.6.7: credit that was taken back holds up what has not begun, until there is some again.
            let next = sender.outgoing.front().filter(|next| next.is_begun() || sender.credit() > 0);
            if next.is_none() {
                link.is_blocked = false;
                let (credit, drain) = (sender.free_credit(), sender.drain);
                if sender.finish_drain() {
                    self.flow_is_due(handle);
                } else {
                    context.events.push_back(Event::Credit { link: id, credit, drain });
                }
                return true;
            }
            let Some(mut delivery) = sender.outgoing.pop_front() else { return true };
            context.directory.blocked_bytes -= delivery.weight();
            if !self.put_delivery(handle, id.serial, &mut delivery, context) {
                context.directory.blocked_bytes += delivery.weight();
                if let Some(Link { end: LinkEnd::Sender(sender), .. }) = self.links.get_mut(handle) {
                    sender.outgoing.push_front(delivery);
                }
                return false;
            }
        }
    }

    /// Writes a delivery, or what is left of it. False if the window closed before its end.
    fn put_delivery(
        &mut self,
        handle: usize,
        link_serial: u32,
        delivery: &mut Outgoing,
        context: &mut Context<'_>,
    ) -> bool {
        loop {
            let first = !delivery.is_begun();
            let too_many = first && !delivery.settled && self.outgoing.len() >= MAX_UNSETTLED;
            if self.remote_incoming_window == 0 || too_many {
                return false;
            }
            if first {
                // Numbered only now: a delivery that waits must not hold up those of other links.
                let number = if delivery.settled {
                    self.outgoing.skip()
                } else {
                    self.outgoing.push(Sent { handle, link_serial, ticket: delivery.ticket })
                };
                delivery.delivery_id = Some(SequenceNo::narrow(number));
                if let Some(Link { end: LinkEnd::Sender(sender), unsettled, .. }) = self.links.get_mut(handle) {
                    *unsettled += usize::from(!delivery.settled);
                    sender.delivery_count = sender.delivery_count.next();
                }
            }
            put_transfer(&mut context.wire, self.channel, handle, delivery, first);
            self.next_outgoing_id = self.next_outgoing_id.next();
            self.remote_incoming_window -= 1;
            if delivery.remaining() == 0 {
                if delivery.settled && delivery.ticket != Ticket::NONE {
                    self.sent(handle, delivery.ticket, context);
                }
                return true;
            }
        }
    }

    fn sent(&self, handle: usize, ticket: Ticket, context: &mut Context<'_>) {
        if let Some(link) = self.links.get(handle) {
            context.events.push_back(Event::Sent { link: link.id, ticket });
        }
    }

    /// Takes a delivery that came in out of the ledger. True if it was there.
    pub(super) fn remove_incoming(&mut self, number: u64) -> bool {
        let Some(arrived) = self.incoming.as_mut().and_then(|incoming| incoming.remove(number)) else { return false };
        if let Some(link) = self.links.get_mut(arrived.handle).filter(|link| link.id.serial == arrived.link_serial) {
            link.unsettled -= 1;
        }
        true
    }

    /// Forgets the deliveries of a link that goes, in both directions; returns those of which nothing was sent.
    pub(super) fn forget_deliveries(&mut self, handle: usize, directory: &mut Directory) -> Vec<Ticket> {
        let mut unsent = Vec::new();
        let Some(link) = self.links.get_mut(handle) else { return unsent };
        let serial = link.id.serial;
        let unsettled = std::mem::take(&mut link.unsettled);
        match &mut link.end {
            LinkEnd::Sender(sender) => {
                let waiting = std::mem::take(&mut sender.outgoing);
                directory.blocked_bytes -= waiting.iter().map(Outgoing::weight).sum::<usize>();
                unsent.extend(waiting.iter().filter(|delivery| !delivery.is_begun()).map(|delivery| delivery.ticket));
                if std::mem::take(&mut link.is_blocked) {
                    self.blocked.retain(|blocked| *blocked != handle);
                }
                if unsettled > 0 {
                    self.outgoing.retain(|sent| sent.link_serial != serial);
                }
            }
            LinkEnd::Receiver(receiver) => {
                directory.partial_bytes -= receiver.partial.take().map_or(0, |partial| partial.len());
                if let Some(incoming) = &mut self.incoming
                    && unsettled > 0
                {
                    incoming.retain(|arrived| arrived.link_serial != serial);
                }
            }
        }
        unsent
    }

    /// Forgets the unsettled deliveries of all links at once.
    pub(super) fn forget_unsettled(&mut self) {
        drop(self.outgoing.drain());
        if let Some(incoming) = &mut self.incoming {
            drop(incoming.drain());
        }
        self.blocked.clear();
        for (_, link) in &mut self.links {
            link.unsettled = 0;
            link.is_blocked = false;
        }
    }
}

/// Writes one transfer frame of a delivery with as much payload as fits.
fn put_transfer(wire: &mut Wire<'_>, channel: u16, handle: usize, delivery: &mut Outgoing, first: bool) {
    let room = (wire.max_frame_size as usize).saturating_sub(transfer::OVERHEAD);
    let count = delivery.remaining().min(room);
    let more = count < delivery.remaining();
    let start = delivery.delivery_id.filter(|_| first);
    let start = start.map(|delivery_id| transfer::Start { delivery_id, message_format: delivery.format });
    wire.out.append_delivery(|out| transfer::put(out, channel, handle, start, delivery.settled, more, count));
    delivery.take(count, |fragment, range| wire.out.append_payload(fragment, range));
}
