//! A session (2.5): its windows, its unsettled deliveries and its links.
//!
//! A peer's actions are pushed as [`Event`]s; the router's effects come in through [`Session::attached`], [`Session::grant`] and
//! so on. `deliveries.rs` (transfers), `attach.rs` (links), `request.rs` and `relay.rs` have the rest of this type.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use slab::Slab;

use super::definitions::{Condition, Error, Role, SequenceNo};
use super::delivery_state::{self, DeliveryState};
use super::directory::Directory;
use super::frame::{self, FrameType};
use super::gathered::Gathered;
use super::handles::Handles;
use super::link::{Link, LinkEnd, LinkState, Outgoing, Receiver};
use super::performative::{Begin, Disposition, Flow};
use super::types::Encode;
use super::violation::Violation;
use crate::budget::Arriving;
use crate::config::EngineConfig;
use crate::event::{DeliveryKey, Event, LinkId, Outcome, Reply, Ticket};
use crate::ledger::Ledger;
use crate::live::live;
use crate::outbox::Outbox;
use crate::unmet::{Unmet, UnmetRequests};

/// The incoming-window that is given to a peer: 128 MiB in frames of 64 KiB.
pub(super) const INCOMING_WINDOW: u32 = 2048;

/// The outgoing-window of our frames: no limit of our own.
const OUTGOING_WINDOW: u32 = u32::MAX >> 1;

/// Deliveries that may be unsettled in one direction of a session before it has to wait (outgoing) or is ended (incoming).
pub(super) const MAX_UNSETTLED: usize = 1 << 18;

/// The amount that is taken off the window which the router knows while a session has [`MAX_UNSETTLED`] unsettled deliveries:
/// more than any window has.
pub(super) const FULL: i64 = 1 << 40;

/// The names of what sessions look up with [`live`].
pub(super) const LINK: &str = "a link with a handle in use";
pub(super) const SENDER: &str = "a link that sends";
pub(super) const RECEIVER: &str = "a link that receives";
pub(super) const INCOMING: &str = "the ledger of deliveries that came in";
pub(super) const LINK_OF_DELIVERY: &str = "the link of an unsettled delivery";

/// The parts of its connection that a session needs.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a EngineConfig,
    pub(crate) wire: Wire<'a>,
    pub(crate) events: &'a mut VecDeque<Event>,
    pub(crate) gathered: &'a mut Gathered,
    pub(crate) directory: &'a mut Directory,
    /// Counts the bytes of deliveries of which not all has arrived.
    pub(crate) arriving: &'a mut Arriving,
    pub(crate) unmet: &'a mut UnmetRequests,
}

impl Context<'_> {
    /// Notes requests that are not honoured. In strict mode fails with what the peer is told.
    pub(crate) fn note_unmet(&mut self, requests: impl IntoIterator<Item = Unmet>) -> Result<(), Error> {
        match self.unmet.add(requests) {
            None => Ok(()),
            Some(text) => Err(Error::new(Condition::NotImplemented, text)),
        }
    }

    /// Pushes the outcome of a delivery, in one event with that of the delivery before if they are equal.
    fn answer(&mut self, link: LinkId, ticket: Ticket, outcome: &Outcome) {
        if let Some(Event::Answer { link: same, first, count, outcome: before }) = self.events.back_mut()
            && *same == link
            && first.later(*count) == ticket
            && *before == *outcome
        {
            *count += 1;
            return;
        }
        self.events.push_back(Event::Answer { link, first: ticket, count: 1, outcome: outcome.clone() });
    }
}

/// Writes frames into an outbox, none larger than the peer's max-frame-size.
pub(crate) struct Wire<'a> {
    pub(crate) out: &'a mut Outbox,
    pub(crate) max_frame_size: u32,
}

impl Wire<'_> {
    pub(crate) fn send(&mut self, channel: u16, performative: &impl Encode) -> Result<(), Violation> {
        let limit = self.max_frame_size;
        self.out.append(|out| frame::put(out, FrameType::Amqp, channel, limit, |body| performative.encode(body)))
    }

    /// Returns the length of the longest error description that fits a frame beside the other fields.
    pub(crate) fn description_limit(&self) -> usize {
        (self.max_frame_size as usize).saturating_sub(256).min(1024)
    }
}

/// One session, with its links and deliveries.
#[derive(Debug)]
pub(crate) struct Session {
    /// The outgoing channel.
    pub(super) channel: u16,
    /// The incoming channel. None while the peer has not answered our begin.
    pub(super) remote_channel: Option<u16>,
    /// Whether this side has ended the session; frames are discarded until the peer's end.
    pub(crate) ended: bool,
    /// Whether the session is in `Connection::touched`.
    pub(super) touched: bool,
    pub(super) remote_handle_max: u32,
    pub(super) next_incoming_id: SequenceNo,
    pub(super) incoming_window: u32,
    pub(super) next_outgoing_id: SequenceNo,
    pub(super) remote_incoming_window: u32,
    pub(super) links: Slab<Link>,
    pub(super) handles: Handles,
    /// Outgoing deliveries that are not settled, by delivery-id.
    pub(super) outgoing: Ledger<Sent>,
    /// Incoming deliveries that are not settled, by delivery-id. None until the first one gives the first id.
    pub(super) incoming: Option<Ledger<Arrived>>,
    /// Deliveries of which not all could be written yet, in order. Nothing else is handed to the session meanwhile, since its
    /// window is used up.
    pub(super) sending: VecDeque<Outgoing>,
    /// Whether so many deliveries are unsettled that the router hands out no more.
    pub(super) is_full: bool,
    dispositions: Vec<Range>,
    /// Handles of links with a flow due, and whether the session has one due itself.
    flows: Vec<usize>,
    pub(super) flow_due: bool,
}

/// An outgoing delivery that is not settled.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) handle: usize,
    pub(super) link_serial: u32,
    pub(super) ticket: Ticket,
}

/// An incoming delivery that is not settled.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) handle: usize,
    pub(super) link_serial: u32,
}

/// A range of deliveries for one disposition.
#[derive(Debug)]
struct Range {
    role: Role,
    first: SequenceNo,
    last: SequenceNo,
    settled: bool,
    outcome: Outcome,
}

impl Session {
    pub(crate) fn new(channel: u16) -> Session {
        Session {
            channel,
            remote_channel: None,
            ended: false,
            touched: false,
            remote_handle_max: 0,
            next_incoming_id: SequenceNo::default(),
            incoming_window: INCOMING_WINDOW,
            next_outgoing_id: SequenceNo::default(),
            remote_incoming_window: 0,
            links: Slab::new(),
            handles: Handles::default(),
            outgoing: Ledger::default(),
            incoming: None,
            sending: VecDeque::new(),
            is_full: false,
            dispositions: Vec::new(),
            flows: Vec::new(),
            flow_due: false,
        }
    }

    /// Takes the peer's begin (2.5.1).
    pub(crate) fn joined(&mut self, remote_channel: u16, begin: &Begin) {
        self.remote_channel = Some(remote_channel);
        self.remote_handle_max = begin.handle_max;
        self.next_incoming_id = begin.next_outgoing_id;
        self.remote_incoming_window = begin.incoming_window;
    }

    /// Returns our begin (2.5.1), which answers the peer's if that has come.
    pub(crate) fn begin(&self, handle_max: u32) -> Begin {
        Begin {
            remote_channel: self.remote_channel,
            next_outgoing_id: self.next_outgoing_id,
            incoming_window: self.incoming_window,
            outgoing_window: OUTGOING_WINDOW,
            handle_max,
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: None,
        }
    }

    /// Takes a flow (2.7.4).
    pub(crate) fn on_flow(&mut self, flow: &Flow, context: &mut Context<'_>) -> Result<(), Violation> {
        // 2.5.6: how far the peer's window reaches beyond what we have sent.
        let seen = flow.next_incoming_id.unwrap_or_default();
        if seen.ahead_of(self.next_outgoing_id).is_some_and(|ahead| ahead > 0) {
            return Err(Violation::session(
                "2.5.6",
                Condition::WindowViolation,
                "next-incoming-id is ahead of what was sent",
            ));
        }
        let in_flight = self.next_outgoing_id.ahead_of(seen).unwrap_or(u32::MAX);
        let before =
            std::mem::replace(&mut self.remote_incoming_window, flow.incoming_window.saturating_sub(in_flight));
        let wider = i64::from(self.remote_incoming_window) - i64::from(before);
        // 2.5.6: the peer says which transfer-id its next transfer has.
        self.next_incoming_id = flow.next_outgoing_id;
        match flow.handle {
            Some(remote_handle) => self.on_link_flow(remote_handle, flow, context)?,
            None if flow.delivery_count.is_some()
                || flow.link_credit.is_some()
                || flow.available.is_some()
                || flow.drain =>
            {
                return Err(Violation::session(
                    "2.7.4",
                    Condition::InvalidField,
                    "flow with link fields and no handle",
                ));
            }
            None => self.flow_due |= flow.echo,
        }
        // The link's credit comes first, since the same flow may take some back.
        if wider != 0 {
            context.events.push_back(Event::Window { channel: self.channel, more: wider });
        }
        self.pump(context);
        Ok(())
    }

    fn on_link_flow(&mut self, remote_handle: u32, flow: &Flow, context: &mut Context<'_>) -> Result<(), Violation> {
        let handle = self.local_handle(remote_handle)?;
        let Some(link) = live(self.links.get_mut(handle), LINK) else { return Ok(()) };
        if !matches!(link.state, LinkState::Attached) {
            return Ok(());
        }
        if let LinkEnd::Receiver(receiver) = &mut link.end {
            if receiver.drain && receiver.on_drained(flow.delivery_count) {
                context.events.push_back(Event::Reply(Box::new(Reply::Drained { link: link.id })));
            }
            if let (Some(delivery_count), Some(credit), false) = (flow.delivery_count, flow.link_credit, link.initiated)
            {
                receiver.compare(delivery_count, credit);
            }
        }
        if let LinkEnd::Sender(sender) = &mut link.end {
            let before = sender.credit();
            if let Some(credit) = flow.link_credit {
                sender.grant(flow.delivery_count, credit);
            }
            sender.drain = flow.drain;
            let more = i64::from(sender.credit()) - i64::from(before);
            context.events.push_back(Event::Credit { link: link.id, more, drain: flow.drain });
        }
        // Nothing else is taken from a sender's flow, since credit is given by receivers.
        if flow.echo {
            self.flow_is_due(handle);
        }
        Ok(())
    }

    pub(super) fn flow_is_due(&mut self, handle: usize) {
        if let Some(link) = live(self.links.get_mut(handle), LINK)
            && !link.flow_due
        {
            link.flow_due = true;
            self.flows.push(handle);
        }
    }

    /// Returns a link that cannot have been freed: its handle is in the map of the peer's handles, in the directory or in a
    /// ledger.
    pub(super) fn link(&self, handle: usize) -> Option<&Link> {
        live(self.links.get(handle), LINK)
    }

    /// Returns the link mutably, as [`Session::link`] does.
    pub(super) fn link_mut(&mut self, handle: usize) -> Option<&mut Link> {
        live(self.links.get_mut(handle), LINK)
    }

    /// Returns the receiving end of a link that cannot have been freed.
    pub(super) fn receiver_mut(&mut self, handle: usize) -> Option<&mut Receiver> {
        live(self.links.get_mut(handle).and_then(Link::receiving), RECEIVER).map(|(_, receiver, _)| receiver)
    }

    /// Whether a link that cannot have been freed is attached: neither side has detached it.
    pub(super) fn is_attached(&self, handle: usize) -> bool {
        self.link(handle).is_some_and(|link| matches!(link.state, LinkState::Attached))
    }

    /// Returns our handle of the link that has this handle of the peer's (2.6.2).
    pub(super) fn local_handle(&self, remote_handle: u32) -> Result<usize, Violation> {
        let unattached =
            || Violation::session("2.6.2", Condition::UnattachedHandle, "no link is attached to this handle");
        self.handles.get(remote_handle).ok_or_else(unattached)
    }

    /// Takes a disposition (2.7.6).
    pub(crate) fn on_disposition(
        &mut self,
        disposition: Disposition,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        let last = disposition.last.unwrap_or(disposition.first);
        if matches!(disposition.state, Some(DeliveryState::TransactionalState(_) | DeliveryState::Declared(_))) {
            return Err(Violation::session("4.4", Condition::NotImplemented, "transactions are not supported"));
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
                self.answer(first..=last, outcome.as_ref(), disposition.settled, context);
                if self.is_full && self.outgoing.len() <= MAX_UNSETTLED / 2 {
                    self.is_full = false;
                    context.events.push_back(Event::Window { channel: self.channel, more: FULL });
                }
            }
            Role::Sender if disposition.settled => {
                // The peer settles what it has sent.
                let Some(incoming) = &mut self.incoming else { return Ok(()) };
                let next = incoming.next();
                let (Some(first), Some(last)) = (disposition.first.widen(next), last.widen(next)) else {
                    return Ok(());
                };
                let numbers: Vec<u64> = incoming.numbers_in(first..=last).collect();
                for number in numbers {
                    self.remove_if_unsettled(number);
                }
            }
            Role::Sender => {}
        }
        Ok(())
    }

    /// Settles outgoing deliveries as the receiver says.
    fn answer(
        &mut self,
        numbers: RangeInclusive<u64>,
        outcome: Option<&Outcome>,
        settled: bool,
        context: &mut Context<'_>,
    ) {
        let Session { outgoing, links, dispositions, .. } = self;
        outgoing.take_each(numbers, |number, sent| {
            let link = links.get_mut(sent.handle).filter(|link| link.id.serial == sent.link_serial);
            let Some(link) = live(link, LINK_OF_DELIVERY) else { return };
            link.unsettled -= 1;
            let outcome = match (&link.end, outcome) {
                (_, Some(outcome)) => outcome,
                (LinkEnd::Sender(sender), None) => &sender.default_outcome,
                (LinkEnd::Receiver(_), None) => &Outcome::Released,
            };
            if !settled {
                // 2.6.12: the receiver waits for us to settle.
                tell(dispositions, Role::Sender, SequenceNo::narrow(number), 1, outcome);
            }
            context.answer(link.id, sent.ticket, outcome);
        });
    }

    /// Grants `credit` more messages to a link that receives.
    pub(crate) fn grant_more(&mut self, handle: usize, credit: u32) {
        if let Some(receiver) = self.receiver_mut(handle) {
            let credit = receiver.credit.saturating_add(credit);
            self.grant(handle, credit);
        }
    }

    /// Sets the credit of a link that receives.
    pub(crate) fn grant(&mut self, handle: usize, credit: u32) {
        let Some(link) = self.link_mut(handle) else { return };
        let initiated = link.initiated;
        if let Some((_, receiver, _)) = live(link.receiving(), RECEIVER) {
            receiver.grant(credit, initiated);
            self.flow_is_due(handle);
        }
    }

    /// Settles `count` consecutive incoming deliveries with an outcome of the router's.
    pub(crate) fn settle(&mut self, first: DeliveryKey, count: u32, outcome: &Outcome) {
        let Session { incoming, links, dispositions, .. } = self;
        let Some(incoming) = live(incoming.as_mut(), INCOMING) else { return };
        let last = first.0 + u64::from(count).saturating_sub(1);
        // Deliveries that the peer has settled itself are not in the ledger any more.
        incoming.take_each(first.0..=last, |number, arrived| {
            let link = links.get_mut(arrived.handle).filter(|link| link.id.serial == arrived.link_serial);
            if let Some(link) = live(link, LINK_OF_DELIVERY) {
                link.unsettled -= 1;
            }
            tell(dispositions, Role::Receiver, SequenceNo::narrow(number), 1, outcome);
        });
    }

    /// Takes note that the router has no more messages for a link whose peer drains.
    pub(crate) fn drained(&mut self, handle: usize) {
        if let Some((_, sender, _)) = live(self.links.get_mut(handle).and_then(Link::sending), SENDER) {
            sender.drained = true;
            if sender.finish_drain() {
                self.flow_is_due(handle);
            }
        }
    }

    /// Ends the turn: writes the dispositions and flows that have gathered.
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
            self.put_flow_if_attached(handle, wire)?;
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
            // The error or the annotations may be too large for this peer's frames; the outcome alone never is.
            disposition.state = disposition.state.map(DeliveryState::without_details);
            wire.send(self.channel, &disposition)
        })
    }

    /// Writes the flow of a link. Does nothing if the link has been detached meanwhile.
    fn put_flow_if_attached(&mut self, handle: usize, wire: &mut Wire<'_>) -> Result<(), Violation> {
        let Some(link) = self.links.get_mut(handle) else { return Ok(()) };
        link.flow_due = false;
        if !matches!(link.state, LinkState::Attached) {
            return Ok(());
        }
        let (delivery_count, link_credit, drain) = match &link.end {
            LinkEnd::Sender(sender) => (sender.delivery_count, sender.credit(), sender.drain),
            LinkEnd::Receiver(receiver) => (receiver.delivery_count, receiver.credit, receiver.drain),
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

    /// Returns a flow with the session's state. It opens the incoming window again.
    fn flow(&mut self) -> Flow {
        self.flow_due = false;
        self.incoming_window = INCOMING_WINDOW;
        Flow {
            next_incoming_id: Some(self.next_incoming_id),
            incoming_window: self.incoming_window,
            next_outgoing_id: self.next_outgoing_id,
            outgoing_window: OUTGOING_WINDOW,
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

/// Queues a disposition that settles `count` deliveries from `first`, in one range with the previous one if that has the same
/// outcome and ends just before.
fn tell(dispositions: &mut Vec<Range>, role: Role, first: SequenceNo, count: u32, outcome: &Outcome) {
    let last = first.plus(count.saturating_sub(1));
    if let Some(range) = dispositions.last_mut()
        && range.role == role
        && range.last.next() == first
        && range.outcome == *outcome
    {
        range.last = last;
        return;
    }
    dispositions.push(Range { role, first, last, settled: true, outcome: outcome.clone() });
}
