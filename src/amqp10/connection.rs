//! A connection (2.4): header exchange, SASL, open and close, idle timeouts, and its sessions.
//!
//! [`Connection::receive`] takes bytes and returns what the peer did, one [`Event`] at a time, so that each is answered before
//! the next is read. [`Connection::apply`] takes the router's answers. Output gathers in an [`Outbox`];
//! [`Connection::finish_turn`] completes it. No socket and no clock: `now` is an argument.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};

use super::channels::Channels;
use super::definitions::{Condition, Error};
use super::directory::Directory;
use super::encodings::read_string_map;
use super::frame::{self, Frame, FrameType};
use super::gathered::Gathered;
use super::idle::Idle;
use super::link::{Link, LinkEnd};
use super::performative::{Attach, Begin, Open, Performative, Transfer};
use super::session::{Context, Session, Wire};
use super::transfer;
use super::types::{Decode, Reader};
use super::unmet_fields;
use super::violation::Violation;
use crate::budget::{Arriving, Budget};
use crate::config::EngineConfig;
use crate::event::{Breach, Delivery, Effect, Event, Fault, LinkId, Opened, Outcome, Reply, Run};
use crate::live::live;
use crate::outbox::Outbox;
use crate::unmet::{Unmet, UnmetRequests};

/// One connection of AMQP 1.0. Call receive(), then apply() and deliver() for its events, then finish_turn().
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) config: Arc<EngineConfig>,
    /// The peer's address, for the log.
    pub(super) name: Arc<str>,
    pub(super) phase: Phase,
    /// The user name that the peer authenticated as.
    pub(super) user: Option<Arc<str>>,
    /// Whether this side opened the connection (`request.rs`).
    pub(super) initiated: bool,
    idle: Idle,
    /// The limits of the peer's open.
    pub(super) max_frame_size: u32,
    pub(super) channel_max: u16,
    pub(super) channels: Channels,
    pub(super) directory: Directory,
    arriving: Arriving,
    pub(super) events: VecDeque<Event>,
    /// Messages that have been read and not handed out. Empty between two calls of [`Connection::receive`].
    gathered: Gathered,
    /// A violation that follows messages which have to be answered first, and the outgoing channel of its session.
    postponed: Option<(Violation, usize)>,
    pub(super) breaches: VecDeque<Breach>,
    pub(super) unmet: UnmetRequests,
    /// Outgoing channels of sessions that may have something to write at the end of the turn.
    touched: Vec<usize>,
}

/// ```text
///              SASL header          init           AMQP header          open            close
/// AwaitHeader ────────────▶ AwaitInit ──▶ AwaitSecondHeader ──▶ AwaitOpen ──▶ Opened ─────────▶ Closed
///      └───────────────────── AMQP header ─────────────────────────▲            └─▶ AwaitClose ──▲
/// ```
/// Any violation leads to `AwaitClose`, a failed authentication straight to `Closed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    AwaitHeader {
        until: Instant,
    },
    AwaitInit {
        until: Instant,
    },
    AwaitSecondHeader {
        until: Instant,
    },
    AwaitOpen {
        until: Instant,
    },
    Opened,
    /// This side has closed and waits for the peer's close; everything else is discarded.
    AwaitClose {
        until: Instant,
    },
    Closed,
    /// The peer did not answer our close in time.
    Dropped,
}

impl Connection {
    pub(crate) fn new(
        config: Arc<EngineConfig>,
        budget: Budget,
        name: Arc<str>,
        now: Instant,
        until: Instant,
    ) -> Connection {
        let idle = Idle::new(config.idle_timeout, now);
        let arriving = Arriving::new(budget, config.max_message_size, config.max_frame_size);
        Connection {
            unmet: UnmetRequests::new(config.strict),
            config,
            name,
            phase: Phase::AwaitHeader { until },
            user: None,
            initiated: false,
            idle,
            max_frame_size: frame::MIN_MAX_FRAME_SIZE,
            channel_max: u16::MAX,
            channels: Channels::default(),
            directory: Directory::default(),
            arriving,
            events: VecDeque::new(),
            gathered: Gathered::default(),
            postponed: None,
            breaches: VecDeque::new(),
            touched: Vec::new(),
        }
    }

    /// Reads from `input` up to the next event for the router. None when more bytes are needed. Whole messages that follow each
    /// other on one link come together, in `run` (see [`Event::Messages`]).
    pub(crate) fn receive(
        &mut self,
        input: &mut BytesMut,
        now: Instant,
        out: &mut Outbox,
        run: &mut Run,
    ) -> Option<Event> {
        if !input.is_empty() {
            self.idle.received(now);
        }
        self.gathered.borrow(run);
        let event = self.next_event(input, now, out);
        debug_assert!(event.is_none() || self.gathered.is_empty(), "what was gathered comes first: {event:?}");
        self.gathered.give_back(run).or(event)
    }

    fn next_event(&mut self, input: &mut BytesMut, now: Instant, out: &mut Outbox) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let stepped = match self.postponed.take() {
                Some((violation, ours)) if self.is_still_due(&violation, ours) => {
                    self.contain(Err(violation), ours, out).map(|()| true)
                }
                Some(_) => Ok(true),
                None => self.step(input, out),
            };
            match stepped {
                Ok(true) if self.gathered.is_empty() => {}
                Ok(true) if self.postponed.is_some() => return None,
                Ok(true) => {
                    self.gather(input);
                    // The messages are answered before the next frame is read, unless that may join them.
                    if !self.gathered.goes_on_with(input) {
                        return None;
                    }
                }
                Ok(false) => return self.events.pop_front(),
                Err(violation) if !self.gathered.is_empty() => {
                    // A violation of the connection, which has no session. The messages before it are answered first.
                    self.postponed = Some((violation, usize::MAX));
                    return None;
                }
                Err(violation) => self.fail(&violation, now, out),
            }
        }
    }

    /// Takes the transfers that follow those gathered, while they are in the usual encoding and break no rule.
    fn gather(&mut self, input: &mut BytesMut) {
        let Some((link, channel, ..)) = self.gathered.place() else { return };
        let ours = live(self.channels.find_outgoing(channel), "the channel of messages that were gathered");
        if let Some(session) = ours.and_then(|ours| self.channels.session_mut(ours)) {
            session.gather(link, input, &self.config, &mut self.gathered);
        }
    }

    /// Takes one header or frame. False if none is complete.
    fn step(&mut self, input: &mut BytesMut, out: &mut Outbox) -> Result<bool, Violation> {
        match self.phase {
            Phase::AwaitHeader { until } => self.on_first_header(input, until, out),
            Phase::AwaitSecondHeader { until } => self.on_second_header(input, until, out),
            Phase::AwaitInit { until } => self.on_sasl_bytes(input, until, out),
            Phase::AwaitOpen { .. } | Phase::Opened => {
                let Some(frame) = frame::split(input, self.config.max_frame_size)? else { return Ok(false) };
                self.on_frame(frame, out)?;
                Ok(true)
            }
            Phase::AwaitClose { .. } => match frame::split(input, self.config.max_frame_size) {
                Ok(Some(frame)) => {
                    if matches!(Performative::decode(&mut Reader::new(&frame.body)), Ok(Performative::Close(_))) {
                        self.phase = Phase::Closed;
                    }
                    Ok(true)
                }
                Ok(None) => Ok(false),
                // No frame, and so no close, can be found in the stream any more.
                Err(_) => {
                    self.phase = Phase::Closed;
                    Ok(true)
                }
            },
            Phase::Closed | Phase::Dropped => {
                input.clear();
                Ok(false)
            }
        }
    }

    fn on_frame(&mut self, frame: Frame, out: &mut Outbox) -> Result<(), Violation> {
        if frame.frame_type == FrameType::Sasl {
            return Err(Violation::framing("5.3", "SASL frame after the SASL layer"));
        }
        if frame.channel > self.config.channel_max {
            return Err(Violation::framing("2.7.1", "channel above channel-max"));
        }
        if frame.body.is_empty() {
            // 2.4.5: a heartbeat.
            return Ok(());
        }
        if self.phase == Phase::Opened
            && let Some((transfer, payload_at)) = transfer::decode(&frame.body)
        {
            let mut payload = frame.body;
            payload.advance(payload_at);
            return self.on_transfer(&transfer, payload, frame.channel, out);
        }
        let mut reader = Reader::new(&frame.body);
        let performative = Performative::decode(&mut reader)?;
        let payload = frame.body.slice_ref(reader.rest());
        if !payload.is_empty() && !matches!(performative, Performative::Transfer(_)) {
            return Err(Violation::connection(
                "2.7",
                Condition::DecodeError,
                "bytes after a performative that takes none",
            ));
        }
        match (self.phase, performative) {
            (Phase::AwaitOpen { .. }, Performative::Close(close)) => self.on_close_before_open(&close, out),
            (Phase::AwaitOpen { .. }, Performative::Open(open)) => self.on_open(&open, frame.channel, out),
            (Phase::AwaitOpen { .. }, _) => Err(Violation::connection(
                "2.4.1",
                Condition::IllegalState,
                "the first frame of a connection is an open",
            )),
            (_, Performative::Open(_)) => Err(Violation::connection("2.4.1", Condition::IllegalState, "a second open")),
            (_, Performative::Close(close)) => self.on_close(&close, out),
            (_, Performative::Begin(begin)) => self.on_begin(&begin, frame.channel, out),
            (_, Performative::Transfer(transfer)) => self.on_transfer(&transfer, payload, frame.channel, out),
            (_, performative) => self.on_session_frame(performative, frame.channel, out),
        }
    }

    /// Takes the peer's open (2.4.1).
    fn on_open(&mut self, open: &Open, channel: u16, out: &mut Outbox) -> Result<(), Violation> {
        if channel != 0 {
            return Err(Violation::framing("2.4.1", "open on a channel other than 0"));
        }
        self.max_frame_size = open.max_frame_size.max(frame::MIN_MAX_FRAME_SIZE);
        self.channel_max = open.channel_max;
        if !self.initiated {
            self.put_open(None, out)?;
        }
        self.phase = Phase::Opened;
        log::debug!("{}: open, container {:?}", self.name, open.container_id);
        if self.initiated {
            self.events.push_back(Event::Reply(Box::new(Reply::Opened {
                container: open.container_id.clone(),
                max_frame_size: open.max_frame_size,
                offers: open.offered_capabilities.iter().map(|symbol| symbol.as_str().into()).collect(),
                properties: open.properties.as_ref().and_then(|map| read_string_map(map).ok()).unwrap_or_default(),
            })));
        }
        self.events.push_back(Event::Opened(Box::new(Opened {
            protocol: "AMQP 1.0",
            container: Some(open.container_id.clone()),
            host: open.hostname.clone(),
            vhost: open.virtual_host().map(Arc::from),
            user: self.user.clone(),
        })));
        self.idle.opened(open.idle_time_out)?;
        let unmet = if self.initiated { Vec::new() } else { unmet_fields::of_open(open) };
        match self.unmet.add(unmet) {
            None => Ok(()),
            Some(text) => Err(Violation::connection("2.7.1", Condition::NotImplemented, &text)),
        }
    }

    /// Takes a begin of the peer's (2.5.1) and answers it.
    fn on_begin(&mut self, begin: &Begin, channel: u16, out: &mut Outbox) -> Result<(), Violation> {
        if self.channels.find_outgoing(channel).is_some() {
            return Err(Violation::connection("2.5.1", Condition::IllegalState, "a second begin on a channel"));
        }
        if let Some(ours) = begin.remote_channel {
            return self.on_begin_answered(begin, channel, ours);
        }
        let Some(ours) = self.channels.vacant(self.channel_max) else {
            let what = "no channel left below the peer's channel-max";
            return Err(Violation::connection("2.7.1", Condition::ResourceLimitExceeded, what));
        };
        let mut session = Session::new(ours);
        session.joined(channel, begin);
        let answer = session.begin(self.config.handle_max);
        self.channels.insert(session);
        self.events.push_back(Event::ChannelOpened {
            channel: ours,
            window: begin.incoming_window.into(),
            unit: (self.max_frame_size as usize).saturating_sub(transfer::OVERHEAD),
        });
        self.channels.map(channel, ours);
        self.wire(out).send(ours, &answer)?;
        let unmet = match self.unmet.add(unmet_fields::of_begin(begin, channel)) {
            None => Ok(()),
            Some(text) => Err(Violation::session("2.7.2", Condition::NotImplemented, &text)),
        };
        self.contain(unmet, ours.into(), out)
    }

    fn on_transfer(
        &mut self,
        transfer: &Transfer,
        payload: Bytes,
        channel: u16,
        out: &mut Outbox,
    ) -> Result<(), Violation> {
        let ours = self.session_of_frame(channel)?;
        let result = self.with_session(ours, out, |session, context| match session.ended {
            true => Ok(()),
            false => session.on_transfer(transfer, payload, context),
        });
        match result {
            Err(violation) if !self.gathered.is_empty() => {
                self.postponed = Some((violation, ours));
                Ok(())
            }
            result => self.contain(result, ours, out),
        }
    }

    fn session_of_frame(&self, channel: u16) -> Result<usize, Violation> {
        let none = || Violation::connection("2.5.1", Condition::IllegalState, "frame on a channel without a session");
        self.channels.find_outgoing(channel).ok_or_else(none)
    }

    fn on_session_frame(
        &mut self,
        performative: Performative,
        channel: u16,
        out: &mut Outbox,
    ) -> Result<(), Violation> {
        let ours = self.session_of_frame(channel)?;
        if let Performative::End(end) = &performative {
            end.error.iter().for_each(|error| log::info!("{}: session ended by the peer: {error}", self.name));
            return self.on_end(&end.error, channel, ours, out);
        }
        if let Performative::Attach(attach) = &performative
            && self.channels.session(ours).is_some_and(|session| !session.ended)
        {
            self.steal(attach, out)?;
        }
        let result = self.with_session(ours, out, |session, context| match performative {
            // 2.5.5: frames that the peer sent before it saw our end are discarded.
            _ if session.ended => Ok(()),
            Performative::Attach(attach) => session.on_attach(attach, context),
            Performative::Flow(flow) => session.on_flow(&flow, context),
            Performative::Disposition(disposition) => session.on_disposition(disposition, context),
            Performative::Detach(detach) => session.on_detach(&detach, context),
            // These do not come here.
            Performative::Open(_)
            | Performative::Begin(_)
            | Performative::Transfer(_)
            | Performative::End(_)
            | Performative::Close(_) => Ok(()),
        });
        self.contain(result, ours, out)
    }

    /// Detaches the link that has the name and role of an attach (2.6.1): it is stolen.
    fn steal(&mut self, attach: &Attach, out: &mut Outbox) -> Result<(), Violation> {
        let role = attach.role.other();
        let Some(place) = self.directory.find_named(&attach.name, role) else { return Ok(()) };
        if self.channels.session(place.channel).is_some_and(|session| session.awaits_attach(place.handle)) {
            return Ok(());
        }
        let result = self.with_session(place.channel, out, |session, context| {
            let error = Error::new(Condition::Stolen, "the link was attached again elsewhere");
            session.detach(place.handle, error, context)
        });
        self.contain(result, place.channel, out)
    }

    /// Takes an end of the peer's, which may answer ours (2.5.5).
    fn on_end(&mut self, error: &Option<Error>, channel: u16, ours: usize, out: &mut Outbox) -> Result<(), Violation> {
        let result = self.with_session(ours, out, |session, context| match session.ended {
            true => Ok(()),
            false => session.end(None, context),
        });
        if let Some(session) = self.channels.remove(channel, ours) {
            self.directory.attached -= session.links.len();
        }
        if self.initiated {
            let fault = error.clone().map(Fault::from);
            self.events.push_back(Event::Reply(Box::new(Reply::Ended { session: ours, fault })));
        }
        result
    }

    /// Calls `work` with a session that cannot have ended, and with what it needs of its connection.
    pub(super) fn with_session(
        &mut self,
        ours: usize,
        out: &mut Outbox,
        work: impl FnOnce(&mut Session, &mut Context<'_>) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let Some(session) = self.channels.session_mut(ours) else { return Ok(()) };
        if !session.touched {
            session.touched = true;
            self.touched.push(ours);
        }
        let mut context = Context {
            config: &self.config,
            wire: Wire { out, max_frame_size: self.max_frame_size },
            events: &mut self.events,
            gathered: &mut self.gathered,
            directory: &mut self.directory,
            arriving: &mut self.arriving,
            unmet: &mut self.unmet,
        };
        work(session, &mut context)
    }

    /// Applies an effect of the router to a link. Does nothing if the link has been detached meanwhile.
    pub(crate) fn apply(&mut self, effect: Effect, now: Instant, out: &mut Outbox) {
        let Some(place) = self.directory.find(effect.link().link) else { return };
        let handle = place.handle;
        let result = self.with_session(place.channel, out, |session, context| {
            match effect {
                Effect::Attached { address, kind, .. } => return session.attached(handle, address, kind, context),
                Effect::Refused { fault, .. } => return session.refused(handle, Error::from(*fault), context),
                Effect::Detach { fault, .. } => return session.detach_attached(handle, Error::from(*fault), context),
                Effect::Grant { credit, .. } => session.grant(handle, credit),
                Effect::GrantMore { credit, .. } => session.grant_more(handle, credit),
                Effect::Deliver { deliveries, .. } => session.deliver(handle, deliveries.into_iter(), context),
                Effect::Drained { .. } => session.drained(handle),
                Effect::Settle { first, outcome: Outcome::Rejected(Some(fault)), count: 1, .. }
                    if session.is_relayed(handle, first) =>
                {
                    return session.reject_relayed(handle, first, *fault, context);
                }
                Effect::Settle { first, count, outcome, .. } => session.settle(first, count, &outcome),
                Effect::Unroutable { fault, .. } => return session.detach_relay(handle, Error::from(*fault), context),
                // Answers to requests that 1.0 does not have.
                Effect::Declared { .. }
                | Effect::Deleted { .. }
                | Effect::Purged { .. }
                | Effect::TopologyChanged { .. } => {}
            }
            Ok(())
        });
        if let Err(violation) = self.contain(result, place.channel, out) {
            self.fail(&violation, now, out);
        }
    }

    /// Sends messages on a link. Empties the list.
    pub(crate) fn deliver(&mut self, link: LinkId, deliveries: &mut Vec<Delivery>, out: &mut Outbox) {
        match self.directory.find(link) {
            Some(place) => {
                let _ = self.with_session(place.channel, out, |session, context| {
                    session.deliver(place.handle, deliveries.drain(..), context);
                    Ok(())
                });
            }
            // The link has been detached meanwhile; the router has its messages back with the detach.
            None => deliveries.clear(),
        }
    }

    /// Takes the next event that an effect led to.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes the next violation of the peer's, for the report.
    pub(crate) fn poll_breach(&mut self) -> Option<Breach> {
        self.breaches.pop_front()
    }

    /// Takes what the peer asked for and does not get.
    pub(crate) fn take_unmet(&mut self) -> Vec<Unmet> {
        self.unmet.take()
    }

    /// Ends the turn: writes the dispositions and flows that have gathered.
    pub(crate) fn finish_turn(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(ours) = self.touched.pop() {
            let Some(session) = self.channels.find(ours) else { continue };
            session.touched = false;
            let result = session.finish_turn(&mut Wire { out, max_frame_size: self.max_frame_size });
            if let Err(violation) = self.contain(result, ours, out) {
                self.fail(&violation, now, out);
            }
        }
        if !out.is_empty() {
            self.idle.sent(now);
        }
    }

    /// Returns the number of a link's unsettled deliveries.
    pub(crate) fn unsettled(&self, link: LinkId) -> usize {
        self.find_link(link).map_or(0, |link| link.unsettled)
    }

    /// Returns a link. None if it has been detached meanwhile.
    fn find_link(&self, link: LinkId) -> Option<&Link> {
        let place = self.directory.find(link)?;
        self.channels.session(place.channel)?.link(place.handle)
    }

    /// Returns the number of deliveries that wait for room in their sessions' windows.
    pub(crate) fn unwritten(&self) -> usize {
        self.channels.iter().map(|session| session.sending.len()).sum()
    }

    /// Returns the credit of a link on which the peer sends. 0 for any other link.
    pub(crate) fn credit(&self, link: LinkId) -> u32 {
        match self.find_link(link) {
            Some(Link { end: LinkEnd::Receiver(receiver), .. }) => receiver.credit,
            _ => 0,
        }
    }

    /// Returns the bytes of deliveries that have arrived in part.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn arriving(&self) -> usize {
        self.arriving.bytes()
    }

    /// Whether both sides have opened the connection and neither has closed it.
    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Opened
    }

    /// Whether nothing more will be read or written, beyond what is in the outbox.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed | Phase::Dropped)
    }

    /// Whether the peer's time to answer our close is over.
    pub(crate) fn is_dropped(&self) -> bool {
        self.phase == Phase::Dropped
    }

    /// Returns when [`Connection::handle_timeout`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::AwaitHeader { until }
            | Phase::AwaitInit { until }
            | Phase::AwaitSecondHeader { until }
            | Phase::AwaitOpen { until }
            | Phase::AwaitClose { until } => Some(until),
            Phase::Opened => self.idle.deadline(),
            Phase::Closed | Phase::Dropped => None,
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        if self.deadline().is_none_or(|at| at > now) {
            return;
        }
        match self.phase {
            Phase::Opened if self.idle.is_silent(now) => {
                let what = "nothing was received within the idle-time-out";
                self.fail(&Violation::connection("2.4.5", Condition::ResourceLimitExceeded, what), now, out);
            }
            Phase::Opened => {
                // 2.4.5: an empty frame, unless other bytes are about to be written.
                if out.is_empty() {
                    let _ = out.append(|body| frame::put(body, FrameType::Amqp, 0, self.max_frame_size, |_| {}));
                }
                self.idle.sent(now);
            }
            Phase::AwaitOpen { .. } => {
                let what = "no open within the time for the handshake";
                self.fail(&Violation::connection("2.4.1", Condition::ResourceLimitExceeded, what), now, out);
                self.phase = Phase::Closed;
            }
            Phase::AwaitHeader { .. } | Phase::AwaitInit { .. } | Phase::AwaitSecondHeader { .. } => {
                log::warn!("{}: closed: no open within the time for the handshake", self.name);
                self.phase = Phase::Closed;
            }
            Phase::AwaitClose { .. } => {
                log::debug!("{}: dropped: it did not answer our close", self.name);
                self.phase = Phase::Dropped;
            }
            Phase::Closed | Phase::Dropped => {}
        }
    }

    pub(super) fn wire<'a>(&self, out: &'a mut Outbox) -> Wire<'a> {
        Wire { out, max_frame_size: self.max_frame_size }
    }
}
