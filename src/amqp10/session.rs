//! 2.5: sessions. Windows, the deliveries that are not settled yet, and the links that share them.
//!
//! A session owns its links. It does not know the connection it runs over, nor who routes: what a peer did leaves as an
//! [`Event`], what it is told comes in through [`Session::attached`], [`Session::grant`] and their like.
//! `attach.rs` is the other half of it: how links come and go.

use std::collections::VecDeque;

use bytes::Bytes;
use slab::Slab;

use super::definitions::{Condition, ReceiverSettleMode, Role, SequenceNo};
use super::delivery_state::{self, DeliveryState};
use super::directory::Directory;
use super::frame::{self, FrameType};
use super::handles::Handles;
use super::link::{Link, LinkEnd, LinkState, Outgoing, Partial};
use super::performative::{Begin, Disposition, Flow, Transfer};
use super::types::{DeliveryTag, Encode};
use super::violation::Violation;
use crate::config::EngineConfig;
use crate::event::{DeliveryKey, Destination, Event, Modified, Outcome, Ticket};
use crate::ledger::Ledger;
use crate::message::Message;
use crate::outbox::Outbox;

/// Transfers that we let a peer send before we tell it to go on: 128 MiB in frames of 64 KiB.
const INCOMING_WINDOW: u32 = 2048;

/// Deliveries that may be unsettled in one direction of a session before it has to wait (outgoing) or is ended (incoming).
const MAX_UNSETTLED: usize = 1 << 18;

/// All that a transfer frame holds besides its payload fits in this, header included.
const TRANSFER_OVERHEAD: usize = 64;

/// What a session needs of its connection while it works.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a EngineConfig,
    pub(crate) wire: Wire<'a>,
    pub(crate) events: &'a mut VecDeque<Event>,
    pub(crate) directory: &'a mut Directory,
}

/// The way out: frames into an outbox, none larger than the peer takes.
pub(crate) struct Wire<'a> {
    pub(crate) out: &'a mut Outbox,
    pub(crate) max_frame_size: u32,
}

impl Wire<'_> {
    pub(crate) fn send(&mut self, channel: u16, performative: &impl Encode) -> Result<(), Violation> {
        let limit = self.max_frame_size;
        self.out.append(|out| frame::put(out, FrameType::Amqp, channel, limit, |body| performative.encode(body)))
    }

    /// Longest description that fits a frame with anything else we put beside it.
    pub(crate) fn description_limit(&self) -> usize {
        (self.max_frame_size as usize).saturating_sub(256).min(1024)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Session {
    /// Ours: what we send on.
    pub(super) channel: u16,
    pub(super) remote_channel: u16,
    /// We have ended it; what still comes is discarded until the peer's end.
    pub(crate) ended: bool,
    /// It is on its connection's list for the end of the turn.
    pub(super) touched: bool,
    pub(super) remote_handle_max: u32,
    next_incoming_id: SequenceNo,
    incoming_window: u32,
    next_outgoing_id: SequenceNo,
    remote_incoming_window: u32,
    pub(super) links: Slab<Link>,
    pub(super) handles: Handles,
    /// Deliveries that we sent and that are not settled, by delivery-id.
    outgoing: Ledger<Sent>,
    /// Deliveries that came in and are not settled, by delivery-id. None until the first one says where ids begin.
    incoming: Option<Ledger<Arrived>>,
    /// Handles of links with deliveries that could not be written yet, in turn.
    blocked: VecDeque<usize>,
    dispositions: Vec<Range>,
    /// Handles of links with a flow due, and whether the session has one due itself.
    flows: Vec<usize>,
    flow_due: bool,
}

/// An unsettled delivery that we sent.
#[derive(Debug)]
struct Sent {
    handle: usize,
    link_serial: u32,
    ticket: Ticket,
}

/// An unsettled delivery that came in.
#[derive(Debug)]
struct Arrived {
    link_serial: u32,
    /// 2.6.12: the peer settles after us.
    second: bool,
}

/// Deliveries with one fate, to be told in one disposition.
#[derive(Debug)]
struct Range {
    role: Role,
    first: SequenceNo,
    last: SequenceNo,
    settled: bool,
    outcome: Outcome,
}

impl Session {
    pub(crate) fn new(channel: u16, remote_channel: u16, begin: &Begin) -> Session {
        Session {
            channel,
            remote_channel,
            ended: false,
            touched: false,
            remote_handle_max: begin.handle_max,
            next_incoming_id: begin.next_outgoing_id,
            incoming_window: INCOMING_WINDOW,
            next_outgoing_id: SequenceNo::default(),
            remote_incoming_window: begin.incoming_window,
            links: Slab::new(),
            handles: Handles::default(),
            outgoing: Ledger::default(),
            incoming: None,
            blocked: VecDeque::new(),
            dispositions: Vec::new(),
            flows: Vec::new(),
            flow_due: false,
        }
    }

    /// 2.5.1: our answer to the peer's begin.
    pub(crate) fn begin(&self, handle_max: u32) -> Begin {
        Begin {
            remote_channel: Some(self.remote_channel),
            next_outgoing_id: self.next_outgoing_id,
            incoming_window: self.incoming_window,
            outgoing_window: u32::MAX >> 1,
            handle_max,
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: None,
        }
    }

    /// 2.7.4
    pub(crate) fn on_flow(&mut self, flow: &Flow, context: &mut Context<'_>) -> Result<(), Violation> {
        // 2.5.6: how far the peer's window reaches beyond what we have sent.
        let seen = flow.next_incoming_id.unwrap_or_default();
        if seen.ahead_of(self.next_outgoing_id).is_some_and(|ahead| ahead > 0) {
            return Err(Violation::session(Condition::WindowViolation, "next-incoming-id is ahead of what was sent"));
        }
        let in_flight = self.next_outgoing_id.ahead_of(seen).unwrap_or(u32::MAX);
        self.remote_incoming_window = flow.incoming_window.saturating_sub(in_flight);
        match flow.handle {
            Some(remote_handle) => self.on_link_flow(remote_handle, flow, context)?,
            None if flow.delivery_count.is_some()
                || flow.link_credit.is_some()
                || flow.available.is_some()
                || flow.drain =>
            {
                return Err(Violation::session(Condition::InvalidField, "flow with link fields and no handle"));
            }
            None => self.flow_due |= flow.echo,
        }
        self.pump_blocked(context);
        Ok(())
    }

    fn on_link_flow(&mut self, remote_handle: u32, flow: &Flow, context: &mut Context<'_>) -> Result<(), Violation> {
        let handle = self.local_handle(remote_handle)?;
        let Some(link) = self.links.get_mut(handle) else { return Ok(()) };
        if !matches!(link.state, LinkState::Attached) {
            return Ok(());
        }
        if let LinkEnd::Sender(sender) = &mut link.end {
            if let Some(credit) = flow.link_credit {
                sender.grant(flow.delivery_count, credit);
            }
            sender.drain = flow.drain;
            let (credit, drain) = (sender.free_credit(), flow.drain);
            context.events.push_back(Event::Credit { link: link.id, credit, drain });
        }
        // A sender may send link state too; credit is not its to give, so there is nothing to take from it.
        if flow.echo {
            self.flow_is_due(handle);
        }
        Ok(())
    }

    fn flow_is_due(&mut self, handle: usize) {
        if let Some(link) = self.links.get_mut(handle)
            && !link.flow_due
        {
            link.flow_due = true;
            self.flows.push(handle);
        }
    }

    /// 2.6.4: the handle of ours that goes with the peer's.
    pub(super) fn local_handle(&self, remote_handle: u32) -> Result<usize, Violation> {
        let unattached = || Violation::session(Condition::UnattachedHandle, "no link is attached to this handle");
        self.handles.get(remote_handle).ok_or_else(unattached)
    }

    /// 2.7.5
    pub(crate) fn on_transfer(
        &mut self,
        transfer: &Transfer,
        payload: Bytes,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        // 2.5.6: every transfer frame takes one place in the window, whatever becomes of it.
        self.next_incoming_id = self.next_incoming_id.next();
        self.incoming_window = self
            .incoming_window
            .checked_sub(1)
            .ok_or_else(|| Violation::session(Condition::WindowViolation, "transfer beyond the incoming window"))?;
        self.flow_due |= self.incoming_window <= INCOMING_WINDOW / 2;

        let handle = self.local_handle(transfer.handle)?;
        let Some(link) = self.links.get_mut(handle) else { return Ok(()) };
        if !matches!(link.state, LinkState::Attached) {
            return Ok(());
        }
        let LinkEnd::Receiver(receiver) = &mut link.end else {
            return Err(Violation::link(handle, Condition::NotAllowed, "transfer on a link that the peer receives on"));
        };
        if matches!(transfer.state, Some(DeliveryState::TransactionalState(_))) {
            return Err(Violation::link(handle, Condition::NotImplemented, "transactions are not supported"));
        }
        let mut partial = match receiver.partial.take() {
            Some(partial) => {
                context.directory.partial_bytes -= partial.len();
                partial.check_continuation(transfer, handle)?;
                partial
            }
            None => {
                let mut partial = Partial::begin(transfer, handle)?;
                if receiver.credit == 0 {
                    return Err(Violation::link(
                        handle,
                        Condition::TransferLimitExceeded,
                        "transfer beyond link-credit",
                    ));
                }
                receiver.credit -= 1;
                receiver.delivery_count = receiver.delivery_count.next();
                let incoming = self.incoming.get_or_insert_with(|| Ledger::starting_at(partial.delivery_id.0.into()));
                if SequenceNo::narrow(incoming.next()) != partial.delivery_id {
                    return Err(Violation::session(
                        Condition::InvalidField,
                        "delivery-id does not follow the one before",
                    ));
                }
                // Settled and whole: nobody will ask for it again.
                partial.number = if transfer.settled == Some(true) && !transfer.more {
                    incoming.skip()
                } else {
                    let mode = transfer.rcv_settle_mode.unwrap_or(receiver.rcv_settle_mode);
                    if mode == ReceiverSettleMode::Second && receiver.rcv_settle_mode == ReceiverSettleMode::First {
                        let what = "rcv-settle-mode second on a link that settles first";
                        return Err(Violation::link(handle, Condition::InvalidField, what));
                    }
                    let second = mode == ReceiverSettleMode::Second;
                    incoming.push(Arrived { link_serial: link.id.serial, second })
                };
                if incoming.len() > MAX_UNSETTLED {
                    let what = "too many unsettled deliveries";
                    return Err(Violation::session(Condition::ResourceLimitExceeded, what));
                }
                partial
            }
        };
        let incoming = self.incoming.get_or_insert_default();
        if transfer.aborted {
            // 2.6.14: as if it had never been sent; the credit it took is given again.
            incoming.remove(partial.number);
            receiver.credit += 1;
            self.flow_is_due(handle);
            return Ok(());
        }
        partial.push(payload, transfer, handle, context.config.max_message_size)?;
        if transfer.more {
            context.directory.partial_bytes += partial.len();
            let limit = usize::try_from(context.config.max_message_size).unwrap_or(usize::MAX).saturating_mul(2);
            receiver.partial = Some(partial);
            if context.directory.partial_bytes > limit {
                let what = "too much in deliveries that are still arriving";
                return Err(Violation::connection(Condition::ResourceLimitExceeded, what));
            }
            return Ok(());
        }
        if partial.settled {
            incoming.remove(partial.number);
        }
        // The peer may have settled it with a disposition before its last transfer.
        let settled = partial.settled || incoming.get_mut(partial.number).is_none();
        let delivery = DeliveryKey(partial.number);
        let message = partial.finish();
        let to = if receiver.by_to { super::section::destination(&message.payload) } else { Destination::Link };
        context.events.push_back(Event::Message { link: link.id, delivery, settled, to, message });
        Ok(())
    }

    /// 2.7.6
    pub(crate) fn on_disposition(
        &mut self,
        disposition: Disposition,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        let last = disposition.last.unwrap_or(disposition.first);
        if matches!(disposition.state, Some(DeliveryState::TransactionalState(_) | DeliveryState::Declared(_))) {
            return Err(Violation::session(Condition::NotImplemented, "transactions are not supported"));
        }
        match disposition.role {
            Role::Receiver => {
                let next = self.outgoing.next();
                let (Some(first), Some(last)) = (disposition.first.widen(next), last.widen(next)) else {
                    return Ok(());
                };
                let outcome = disposition.state.and_then(DeliveryState::into_outcome).map(Outcome::from);
                if outcome.is_none() && !disposition.settled {
                    return Ok(());
                }
                let numbers: Vec<u64> = self.outgoing.numbers_in(first..=last).collect();
                for number in numbers {
                    self.answer(number, outcome.clone(), disposition.settled, context);
                }
                self.pump_blocked(context);
            }
            Role::Sender if disposition.settled => {
                // The peer settles second, or has lost interest.
                let Some(incoming) = &mut self.incoming else { return Ok(()) };
                let next = incoming.next();
                let (Some(first), Some(last)) = (disposition.first.widen(next), last.widen(next)) else {
                    return Ok(());
                };
                let numbers: Vec<u64> = incoming.numbers_in(first..=last).collect();
                for number in numbers {
                    incoming.remove(number);
                }
            }
            Role::Sender => {}
        }
        Ok(())
    }

    /// A receiver ended a delivery of ours.
    fn answer(&mut self, number: u64, outcome: Option<Outcome>, settled: bool, context: &mut Context<'_>) {
        let Some(sent) = self.outgoing.remove(number) else { return };
        let link = self.links.get(sent.handle).filter(|link| link.id.serial == sent.link_serial);
        let default = match link.map(|link| &link.end) {
            Some(LinkEnd::Sender(sender)) => sender.default_outcome.clone(),
            _ => Outcome::Released,
        };
        let outcome = outcome.unwrap_or(default);
        if !settled {
            // 2.6.12: it has told its outcome and waits for us to settle.
            self.tell(Role::Sender, SequenceNo::narrow(number), true, outcome.clone());
        }
        if let Some(link) = link_id(&self.links, &sent) {
            context.events.push_back(Event::Answer { link, ticket: sent.ticket, outcome });
        }
    }

    /// Queues a disposition, in one range with the one before if it says the same of the next delivery.
    fn tell(&mut self, role: Role, delivery_id: SequenceNo, settled: bool, outcome: Outcome) {
        if let Some(range) = self.dispositions.last_mut()
            && range.role == role
            && range.settled == settled
            && range.last.next() == delivery_id
            && range.outcome == outcome
        {
            range.last = delivery_id;
            return;
        }
        self.dispositions.push(Range { role, first: delivery_id, last: delivery_id, settled, outcome });
    }

    /// The router lets a producer send `credit` messages.
    pub(crate) fn grant(&mut self, handle: usize, credit: u32) {
        if let Some(link) = self.links.get_mut(handle)
            && let LinkEnd::Receiver(receiver) = &mut link.end
        {
            receiver.credit = credit;
            self.flow_is_due(handle);
        }
    }

    /// The router has an outcome for a producer's delivery.
    pub(crate) fn settle(&mut self, delivery: DeliveryKey, outcome: Outcome) {
        let Some(incoming) = &mut self.incoming else { return };
        let Some(second) = incoming.get_mut(delivery.0).map(|arrived| arrived.second) else { return };
        if !second {
            incoming.remove(delivery.0);
        }
        self.tell(Role::Receiver, SequenceNo::narrow(delivery.0), !second, outcome);
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
        let Some(link) = self.links.get_mut(handle) else { return };
        let id = link.id;
        let LinkEnd::Sender(sender) = &mut link.end else { return };
        let delivery = Outgoing::new(message, settled, ticket);
        if sender.max_message_size.is_some_and(|max| delivery.len() as u64 > max) {
            // 2.7.3: larger than this consumer takes. Another one may take it.
            let outcome = Outcome::Modified(Modified { undeliverable_here: true, ..Modified::default() });
            context.events.push_back(Event::Answer { link: id, ticket, outcome });
            return;
        }
        let was_idle = sender.outgoing.is_empty();
        context.directory.blocked_bytes += delivery.remaining();
        sender.outgoing.push_back(delivery);
        if was_idle && !self.pump(handle, context) {
            self.blocked.push_back(handle);
        }
    }

    /// The router has no more for a consumer that drains.
    pub(crate) fn drained(&mut self, handle: usize) {
        if let Some(link) = self.links.get_mut(handle)
            && let LinkEnd::Sender(sender) = &mut link.end
        {
            sender.drained = true;
            if sender.finish_drain() {
                self.flow_is_due(handle);
            }
        }
    }

    /// Writes what waits, a link at a time, as far as the peer's window reaches.
    fn pump_blocked(&mut self, context: &mut Context<'_>) {
        while let Some(handle) = self.blocked.pop_front() {
            if !self.pump(handle, context) {
                self.blocked.push_front(handle);
                return;
            }
        }
    }

    /// Writes the deliveries of one link. False if the window closed before the last.
    fn pump(&mut self, handle: usize, context: &mut Context<'_>) -> bool {
        let Some(link) = self.links.get_mut(handle) else { return true };
        let serial = link.id.serial;
        let LinkEnd::Sender(sender) = &mut link.end else { return true };
        while let Some(delivery) = sender.outgoing.front_mut() {
            loop {
                if self.remote_incoming_window == 0 {
                    return false;
                }
                let first = !delivery.is_begun();
                if first {
                    if self.outgoing.len() >= MAX_UNSETTLED {
                        return false;
                    }
                    // Numbered only now: a delivery that waits must not hold up those of other links.
                    let number = if delivery.settled {
                        self.outgoing.skip()
                    } else {
                        self.outgoing.push(Sent { handle, link_serial: serial, ticket: delivery.ticket })
                    };
                    delivery.delivery_id = Some(SequenceNo::narrow(number));
                    sender.delivery_count = sender.delivery_count.next();
                }
                let written = put_transfer(&mut context.wire, self.channel, handle, delivery, first);
                context.directory.blocked_bytes -= written;
                self.next_outgoing_id = self.next_outgoing_id.next();
                self.remote_incoming_window -= 1;
                if delivery.remaining() == 0 {
                    break;
                }
            }
            sender.outgoing.pop_front();
        }
        if sender.finish_drain() {
            self.flow_is_due(handle);
        }
        true
    }

    /// Forgets the deliveries of a link that goes, in both directions.
    pub(super) fn forget_deliveries(&mut self, handle: usize, directory: &mut Directory) {
        let Some(link) = self.links.get_mut(handle) else { return };
        let serial = link.id.serial;
        match &mut link.end {
            LinkEnd::Sender(sender) => {
                let waiting = std::mem::take(&mut sender.outgoing);
                directory.blocked_bytes -= waiting.iter().map(Outgoing::remaining).sum::<usize>();
                self.blocked.retain(|blocked| *blocked != handle);
                self.outgoing.retain(|sent| sent.link_serial != serial);
            }
            LinkEnd::Receiver(receiver) => {
                directory.partial_bytes -= receiver.partial.take().map_or(0, |partial| partial.len());
                if let Some(incoming) = &mut self.incoming {
                    incoming.retain(|arrived| arrived.link_serial != serial);
                }
            }
        }
    }

    /// End of the turn: writes the dispositions and flows that have gathered.
    pub(crate) fn finish_turn(&mut self, wire: &mut Wire<'_>) -> Result<(), Violation> {
        if self.ended {
            self.dispositions.clear();
            self.flows.clear();
            return Ok(());
        }
        for range in std::mem::take(&mut self.dispositions) {
            self.put_disposition(range, wire)?;
        }
        for handle in std::mem::take(&mut self.flows) {
            self.put_link_flow(handle, wire)?;
        }
        if self.flow_due {
            let flow = self.flow();
            wire.send(self.channel, &flow)?;
        }
        Ok(())
    }

    fn put_disposition(&self, range: Range, wire: &mut Wire<'_>) -> Result<(), Violation> {
        let limit = wire.description_limit();
        let mut outcome = delivery_state::Outcome::from(range.outcome);
        if let delivery_state::Outcome::Rejected(rejected) = &mut outcome {
            rejected.error = rejected.error.take().map(|error| error.shortened(limit));
        }
        let mut disposition = Disposition {
            role: range.role,
            first: range.first,
            last: (range.last != range.first).then_some(range.last),
            settled: range.settled,
            state: Some(outcome.into()),
            batchable: false,
        };
        wire.send(self.channel, &disposition).or_else(|_| {
            // What a consumer gave with it is too large for this producer's frames; the outcome itself never is.
            disposition.state = disposition.state.map(DeliveryState::without_details);
            wire.send(self.channel, &disposition)
        })
    }

    fn put_link_flow(&mut self, handle: usize, wire: &mut Wire<'_>) -> Result<(), Violation> {
        let Some(link) = self.links.get_mut(handle) else { return Ok(()) };
        link.flow_due = false;
        if !matches!(link.state, LinkState::Attached) {
            return Ok(());
        }
        let (delivery_count, link_credit, drain) = match &link.end {
            LinkEnd::Sender(sender) => (sender.delivery_count, sender.credit(), sender.drain),
            LinkEnd::Receiver(receiver) => (receiver.delivery_count, receiver.credit, false),
        };
        let flow = Flow {
            handle: Some(super::types::saturate(handle)),
            delivery_count: Some(delivery_count),
            link_credit: Some(link_credit),
            drain,
            ..self.flow()
        };
        wire.send(self.channel, &flow)
    }

    /// The session's own state, which every flow carries; the window is opened again with it.
    fn flow(&mut self) -> Flow {
        self.flow_due = false;
        self.incoming_window = INCOMING_WINDOW;
        Flow {
            next_incoming_id: Some(self.next_incoming_id),
            incoming_window: self.incoming_window,
            next_outgoing_id: self.next_outgoing_id,
            outgoing_window: u32::MAX >> 1,
            handle: None,
            delivery_count: None,
            link_credit: None,
            available: None,
            drain: false,
            echo: false,
            properties: None,
        }
    }
}

fn link_id(links: &Slab<Link>, sent: &Sent) -> Option<crate::event::LinkId> {
    links.get(sent.handle).map(|link| link.id).filter(|id| id.serial == sent.link_serial)
}

/// Writes one transfer frame of a delivery with as much payload as fits; returns how much that was.
fn put_transfer(wire: &mut Wire<'_>, channel: u16, handle: usize, delivery: &mut Outgoing, first: bool) -> usize {
    let room = (wire.max_frame_size as usize).saturating_sub(TRANSFER_OVERHEAD);
    let count = delivery.remaining().min(room);
    let more = count < delivery.remaining();
    let id = delivery.delivery_id.filter(|_| first);
    let transfer = Transfer {
        handle: super::types::saturate(handle),
        delivery_id: id,
        // Unique among the unsettled of the link, since the ids are.
        delivery_tag: id.map(|id| DeliveryTag::new(&id.0.to_be_bytes())),
        message_format: id.map(|_| delivery.format),
        settled: Some(delivery.settled).filter(|settled| *settled),
        more,
        rcv_settle_mode: None,
        state: None,
        resume: false,
        aborted: false,
        batchable: false,
    };
    wire.out.append_delivery(|out| {
        let start = frame::put_header(out, FrameType::Amqp, channel);
        transfer.encode(out);
        frame::set_size(out, start, count);
    });
    delivery.take(count, |piece| wire.out.append_payload(piece));
    count
}
