//! 2.2.4 and 4.2: connections. Splits the input into frames, gives each to its channel, and decides how the connection
//! ends.
//!
//! Bytes go in through [`Connection::receive`], which returns one [`Event`] at a time, so that each frame is answered
//! before the next is read. The router's effects come in through [`Connection::apply`]. The output gathers in an
//! [`Outbox`]; [`Connection::finish_turn`] completes it. There is no socket and no clock: `now` is an argument.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BytesMut};

use super::blocking::Blocking;
use super::channel::Channel;
use super::context::Context;
use super::directory::Directory;
use super::frame::{self, Ack, Frame, FrameType};
use super::handshake::{self, Handshake, Parts, Progress};
use super::header::Header;
use super::heartbeat::Heartbeat;
use super::method::{self, CONNECTION, Channel as ChannelClass, Connection as Class, Method, MethodId, PUBLISH, Tx};
use super::terms::{Capabilities, Terms, put_method};
use super::types::{Reader, Version};
use super::violation::{ReplyCode, Scope, Violation};
use crate::budget::{Arriving, Budget};
use crate::config::EngineConfig;
use crate::event::{Arrival, Breach, DEFAULT_VHOST, Delivery, Effect, Event, LinkId, Opened, Run};
use crate::live::live;
use crate::outbox::Outbox;
use crate::unmet::{Unmet, UnmetRequests};

/// One connection of 0-9-1, 0-9 or 0-8: its phase, its channels, and the directory of its links. Call
/// [`Connection::receive`] until it returns None, and [`Connection::finish_turn`] at the end of a turn.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) config: Arc<EngineConfig>,
    pub(super) terms: Terms,
    pub(super) phase: Phase,
    pub(super) heartbeat: Heartbeat,
    pub(super) channels: Vec<Option<Box<Channel>>>,
    pub(super) directory: Directory,
    pub(super) arriving: Arriving,
    pub(super) blocking: Blocking,
    pub(super) events: VecDeque<Event>,
    /// The messages of the `Event::Messages` that is in `events`.
    arrivals: Vec<Arrival>,
    /// The number of messages that such an event may have.
    run_limit: usize,
    pub(super) breaches: VecDeque<Breach>,
    unmet: UnmetRequests,
    /// The channel whose tx.commit the router has not been sent all of.
    pub(super) committing: Option<u16>,
    /// A time before which no delivery has to be acknowledged. None if there is none to wait for.
    pub(super) acks_due: Option<Instant>,
    /// The numbers of the channels that have something to do at the end of the turn.
    pub(super) touched: Vec<u16>,
}

/// ```text
///              header         open               admit      the peer closes           the stream ends
/// AwaitHeader ───────▶ Handshake ──▶ AwaitAdmission ──▶ Opened ────────────────▶ AwaitEnd
///                          └───────────────┴───────────────┴──▶ AwaitCloseOk ──▶ Closed
///                                                      we close            close-ok
/// ```
/// Any violation leads to `AwaitCloseOk`; a peer that is silent for too long, to `Dropped`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    AwaitHeader {
        until: Instant,
    },
    Handshake(Handshake),
    /// The peer has sent open. The event loop answers [`Event::Opened`] before anything more is read.
    AwaitAdmission,
    Opened,
    /// As Opened, while the test blocks those that publish. `held`: the peer has begun to publish since, and nothing more
    /// is read.
    Blocked {
        held: bool,
    },
    /// The broker has sent close and awaits close-ok; all other frames are discarded.
    AwaitCloseOk {
        until: Instant,
    },
    /// The peer has closed and was sent close-ok. The stream is the peer's to end: a client that sees the broker end it
    /// first takes that for a failure.
    AwaitEnd {
        until: Instant,
    },
    Closed,
    /// The peer did not answer close in time, did not end the stream after its own close, or sent nothing for two
    /// heartbeats.
    Dropped,
}

impl Connection {
    pub(crate) fn new(
        config: Arc<EngineConfig>,
        budget: Budget,
        name: Arc<str>,
        version: Version,
        now: Instant,
        until: Instant,
    ) -> Connection {
        let arriving = Arriving::new(budget, config.max_message_size, config.frame_max);
        let terms = Terms {
            name,
            version,
            frame_max: frame::MIN_FRAME_MAX,
            channel_max: config.highest_channel,
            user: None,
            client: None,
            virtual_host: DEFAULT_VHOST.into(),
            capabilities: Capabilities::default(),
        };
        Connection {
            unmet: UnmetRequests::new(config.strict),
            config,
            terms,
            phase: Phase::AwaitHeader { until },
            heartbeat: Heartbeat::new(now),
            channels: Vec::new(),
            directory: Directory::default(),
            arriving,
            blocking: Blocking::default(),
            events: VecDeque::new(),
            arrivals: Vec::new(),
            run_limit: 1,
            breaches: VecDeque::new(),
            committing: None,
            acks_due: None,
            touched: Vec::new(),
        }
    }

    /// Reads frames from `input` until one leads to an event. None when another whole frame is needed.
    pub(crate) fn receive(
        &mut self,
        input: &mut BytesMut,
        now: Instant,
        out: &mut Outbox,
        run: &mut Run,
    ) -> Option<Event> {
        if !input.is_empty() {
            self.heartbeat.received(now);
        }
        self.run_limit = run.limit;
        loop {
            if let Some(event) = self.events.pop_front() {
                if matches!(event, Event::Messages { .. }) {
                    debug_assert!(run.arrivals.is_empty(), "the run is the router's until it is empty");
                    std::mem::swap(&mut run.arrivals, &mut self.arrivals);
                }
                return Some(event);
            }
            match self.step(input, now, out) {
                Ok(true) => {}
                Ok(false) if self.events.is_empty() => return None,
                Ok(false) => {}
                Err(violation) => self.fail(&violation, now, out),
            }
        }
    }

    /// Takes a protocol header, a frame, all frames of some publishes, or some acknowledgements. False if none of them
    /// is there.
    fn step(&mut self, input: &mut BytesMut, now: Instant, out: &mut Outbox) -> Result<bool, Violation> {
        match self.phase {
            Phase::AwaitHeader { until } => {
                // `frontend.rs` has checked the header.
                if input.len() < Header::SIZE {
                    return Ok(false);
                }
                input.advance(Header::SIZE);
                self.phase = Phase::Handshake(Handshake::begin(until, &mut self.parts(out)));
                Ok(true)
            }
            Phase::Opened => {
                if let Some(number) = self.committing {
                    self.carry_on_commit(number, out)?;
                    return Ok(true);
                }
                if let Some((number, size)) = frame::whole_publish(input, self.terms.frame_max)
                    && self.find_channel(number).is_some_and(Channel::awaits_method)
                {
                    self.take_publishes(number, size, input, out)?;
                    return Ok(true);
                }
                if let Some(ack) = frame::whole_ack(input)
                    && self.find_channel(ack.channel).is_some_and(Channel::awaits_method)
                {
                    self.take_acks(ack.channel, input, out)?;
                    return Ok(true);
                }
                self.take_frame(input, now, out)
            }
            Phase::Blocked { held: false } if !frame::begins_publish(input) => self.take_frame(input, now, out),
            Phase::Blocked { .. } => {
                self.hold(out);
                Ok(false)
            }
            Phase::Handshake(_) => self.take_frame(input, now, out),
            Phase::AwaitCloseOk { .. } => match frame::split(input, self.terms.frame_max) {
                Ok(Some(frame)) => {
                    self.on_frame_after_close(&frame, out);
                    Ok(true)
                }
                Ok(None) => Ok(false),
                // The stream is not one of frames any more: close-ok cannot be found in it.
                Err(_) => {
                    self.phase = Phase::Closed;
                    Ok(true)
                }
            },
            Phase::AwaitAdmission => Ok(false),
            Phase::AwaitEnd { .. } | Phase::Closed | Phase::Dropped => {
                input.clear();
                Ok(false)
            }
        }
    }

    /// Carries on with a commit, one event at a time, since the router answers each before the next.
    fn carry_on_commit(&mut self, number: u16, out: &mut Outbox) -> Result<(), Violation> {
        let limit = self.run_limit;
        let mut goes_on = false;
        let result = self.with_channel(number, out, |channel, context| {
            goes_on = channel.carry_on_commit(limit, context)?;
            Ok(())
        });
        if !goes_on {
            self.committing = None;
        }
        result
    }

    /// Takes a publish of `size` octets, and those behind it with the same method frame: the router's answer does not
    /// change whether they are legal.
    fn take_publishes(
        &mut self,
        number: u16,
        size: usize,
        input: &mut BytesMut,
        out: &mut Outbox,
    ) -> Result<(), Violation> {
        let limit = self.run_limit;
        self.with_channel(number, out, |channel, context| {
            let publish = input.split_to(size).freeze();
            let method = publish.slice(..frame::payload_size(&publish, 0).unwrap_or_default() + frame::OVERHEAD);
            channel.publish(publish.into(), context)?;
            // A publish that breaks a rule is left for the next step, after those before it have been answered.
            channel.gather_publishes(input, &method, limit, context);
            Ok(())
        })
    }

    /// Takes the acknowledgements of a channel that are at the start of the input.
    fn take_acks(&mut self, number: u16, input: &mut BytesMut, out: &mut Outbox) -> Result<(), Violation> {
        const ACK: MethodId = MethodId { class: 60, method: 80 };
        self.with_channel(number, out, |channel, context| {
            while let Some(ack) = frame::whole_ack(input).filter(|ack| ack.channel == number) {
                input.advance(Ack::SIZE);
                channel.acknowledge(ack.tag, ack.multiple, context).map_err(|violation| violation.in_method(ACK))?;
            }
            Ok(())
        })
    }

    fn take_frame(&mut self, input: &mut BytesMut, now: Instant, out: &mut Outbox) -> Result<bool, Violation> {
        let Some(frame) = frame::split(input, self.terms.frame_max)? else { return Ok(false) };
        self.on_frame(&frame, now, out)?;
        Ok(true)
    }

    fn on_frame(&mut self, frame: &Frame, now: Instant, out: &mut Outbox) -> Result<(), Violation> {
        match frame.frame_type {
            FrameType::Heartbeat if frame.channel != 0 => {
                Err(Violation::of_section("4.2.3", ReplyCode::CommandInvalid, "a heartbeat on a channel other than 0"))
            }
            // 4.2.7
            FrameType::Heartbeat if !frame.payload().is_empty() => {
                Err(Violation::of_section("4.2.7", ReplyCode::FrameError, "a heartbeat with a payload"))
            }
            FrameType::Heartbeat => Ok(()),
            FrameType::Method => self.on_method_frame(frame, now, out),
            FrameType::Header | FrameType::Body if frame.channel == 0 => {
                Err(Violation::of_section("4.2.3", ReplyCode::CommandInvalid, "content on channel 0"))
            }
            FrameType::Header | FrameType::Body if !self.is_open() => {
                Err(Violation::content("content before the connection is open"))
            }
            FrameType::Header | FrameType::Body => {
                if self.find_channel(frame.channel).is_none() {
                    return Err(not_open(frame.channel));
                }
                self.with_channel(frame.channel, out, |channel, context| channel.on_content(frame, context))
            }
        }
    }

    fn on_method_frame(&mut self, frame: &Frame, now: Instant, out: &mut Outbox) -> Result<(), Violation> {
        let mut reader = Reader::new(frame.payload(), self.terms.version);
        let id = method::read_id(&mut reader)?;
        let of_connection = id.class == CONNECTION;
        let invalid = |what: &str| Err(Violation::of_section("4.2.3", ReplyCode::CommandInvalid, what).in_method(id));
        match frame.channel {
            0 if of_connection => match read_method(id, &mut reader)? {
                Method::Connection(method) => {
                    self.on_method(&method, now, out).map_err(|violation| violation.in_method(id))
                }
                _ => invalid("a method of a channel on channel 0"),
            },
            0 => invalid("a method of a channel on channel 0"),
            _ if of_connection => invalid("a connection method on a channel other than 0"),
            // 2.2.4: channel methods come after open.
            _ if !self.is_open() => {
                Err(Violation::new(ReplyCode::CommandInvalid, "the connection is not open").in_method(id))
            }
            number => self.on_channel_method(number, frame, id, reader, out),
        }
    }

    fn on_channel_method(
        &mut self,
        number: u16,
        frame: &Frame,
        id: MethodId,
        mut reader: Reader<'_>,
        out: &mut Outbox,
    ) -> Result<(), Violation> {
        let known = self.find_channel(number);
        if known.is_some_and(|channel| channel.is_discarding(id)) {
            return Ok(());
        }
        if id == PUBLISH {
            return match known {
                Some(_) => self.with_channel(number, out, |channel, context| {
                    channel.begin_publish(frame, context).map_err(|violation| violation.in_method(id))
                }),
                None => Err(not_open(number).in_method(id)),
            };
        }
        let method = read_method(id, &mut reader)?;
        match (known, &method) {
            (Some(_), method) => {
                if *method == Method::Tx(Tx::Commit {}) {
                    self.committing = Some(number);
                }
                self.with_channel(number, out, |channel, context| {
                    channel.on_method(method, context).map_err(|violation| violation.in_method(id))
                })
            }
            (None, Method::Channel(ChannelClass::Open { .. })) => {
                self.open_channel(number, out).map_err(|violation| violation.in_method(id))
            }
            // Both sides have closed the channel at the same time, and the peer's close has freed its number.
            (None, Method::Channel(ChannelClass::CloseOk {})) => Ok(()),
            (None, _) => Err(not_open(number).in_method(id)),
        }
    }

    fn on_method(&mut self, method: &Class<'_>, now: Instant, out: &mut Outbox) -> Result<(), Violation> {
        if let Class::Close { reply_code, reply_text, .. } = method {
            log::debug!("{}: closed by the peer: {reply_code} {reply_text}", self.terms.name);
            self.finish_turn(now, out);
            self.abandon();
            self.tell(&Class::CloseOk {}, out);
            self.phase = Phase::AwaitEnd { until: now + self.config.linger };
            return Ok(());
        }
        if let (Phase::Opened | Phase::Blocked { .. }, Class::UpdateSecret { new_secret, .. }) = (self.phase, method) {
            handshake::check_secret(new_secret.0, &self.config.users, &self.terms)?;
            self.tell(&Class::UpdateSecretOk {}, out);
            return Ok(());
        }
        let Phase::Handshake(mut handshake) = self.phase else {
            return Err(Violation::new(ReplyCode::CommandInvalid, "a method that was not expected here"));
        };
        let progress = handshake.on_method(method, &mut self.parts(out))?;
        self.phase = match progress {
            Progress::GoesOn => Phase::Handshake(handshake),
            Progress::Refused { with_close: true } => Phase::AwaitCloseOk { until: handshake.until },
            Progress::Refused { with_close: false } => Phase::Closed,
            Progress::Opened { virtual_host } => {
                self.note_opened(virtual_host);
                Phase::AwaitAdmission
            }
        };
        Ok(())
    }

    fn parts<'a>(&'a mut self, out: &'a mut Outbox) -> Parts<'a> {
        let heartbeat = &mut self.heartbeat.interval;
        Parts { config: &self.config, terms: &mut self.terms, heartbeat, out, unmet: &mut self.unmet }
    }

    /// Asks the event loop for the virtual host. [`Connection::admit`] answers the peer.
    fn note_opened(&mut self, virtual_host: &str) {
        // Some clients send an empty name for the default virtual host.
        let virtual_host: Arc<str> = if virtual_host.is_empty() { DEFAULT_VHOST } else { virtual_host }.into();
        self.terms.virtual_host = virtual_host.clone();
        let Terms { name, version, user, client, .. } = &self.terms;
        log::debug!("{name}: open, {}, virtual host {virtual_host:?}", version.as_str());
        self.events.push_back(Event::Opened(Box::new(Opened {
            protocol: version.as_str(),
            container: client.clone(),
            host: Some(virtual_host.clone()),
            vhost: Some(virtual_host),
            user: user.clone(),
        })));
    }

    /// Sends open-ok, after an [`Event::Opened`] whose virtual host is there. [`Connection::close_with`] refuses the peer.
    pub(crate) fn admit(&mut self, out: &mut Outbox) {
        debug_assert_eq!(self.phase, Phase::AwaitAdmission, "a peer is admitted once");
        self.phase = Phase::Opened;
        self.tell(&Class::OpenOk { known_hosts: "" }, out);
    }

    /// Writes a method of the connection itself.
    pub(super) fn tell(&self, method: &Class<'_>, out: &mut Outbox) {
        put_method(out, self.terms.version, 0, &Method::Connection(method.clone()));
    }

    /// The channel of this number, if it is open.
    fn find_channel(&self, number: u16) -> Option<&Channel> {
        self.channels.get(usize::from(number))?.as_deref()
    }

    fn open_channel(&mut self, number: u16, out: &mut Outbox) -> Result<(), Violation> {
        if number > self.terms.channel_max {
            return Err(Violation::new(ReplyCode::ChannelError, "channel above channel-max"));
        }
        let index = usize::from(number);
        if self.channels.len() <= index {
            self.channels.resize_with(index + 1, || None);
        }
        let (mut context, channels, _) = self.context(out);
        if let Some(slot) = live(channels.get_mut(index), "the place of a channel") {
            *slot = Some(Box::new(Channel::open(number, &mut context)));
        }
        Ok(())
    }

    /// The context of a channel, the channels, and the list of those that have something to do at the end of the turn.
    fn context<'a>(
        &'a mut self,
        out: &'a mut Outbox,
    ) -> (Context<'a>, &'a mut Vec<Option<Box<Channel>>>, &'a mut Vec<u16>) {
        let context = Context {
            config: &self.config,
            terms: &self.terms,
            out,
            events: &mut self.events,
            arrivals: &mut self.arrivals,
            directory: &mut self.directory,
            arriving: &mut self.arriving,
            blocking: &mut self.blocking,
            unmet: &mut self.unmet,
        };
        (context, &mut self.channels, &mut self.touched)
    }

    /// Calls `work` with an open channel. A violation of channel scope closes the channel; one of connection scope is
    /// returned.
    fn with_channel(
        &mut self,
        number: u16,
        out: &mut Outbox,
        work: impl FnOnce(&mut Channel, &mut Context<'_>) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let (mut context, channels, touched) = self.context(out);
        let Some(slot) = live(channels.get_mut(usize::from(number)), A_CHANNEL) else { return Ok(()) };
        let Some(channel) = live(slot.as_mut(), A_CHANNEL) else { return Ok(()) };
        let result = work(channel, &mut context);
        if channel.is_due() && !std::mem::replace(&mut channel.is_touched, true) {
            touched.push(number);
        }
        if channel.is_closed() {
            *slot = None;
        }
        match result {
            Ok(()) => Ok(()),
            Err(violation) => self.contain(violation, number, out),
        }
    }

    pub(super) fn contain(&mut self, violation: Violation, number: u16, out: &mut Outbox) -> Result<(), Violation> {
        if violation.0.scope == Scope::Connection {
            return Err(violation);
        }
        self.note_violation(&format!("channel {number} closed"), &violation);
        self.with_channel(number, out, |channel, context| {
            channel.close(&violation.0, context);
            Ok(())
        })
    }

    /// Applies an effect of the router to a link. An effect on a link that is gone is ignored.
    pub(crate) fn apply(&mut self, effect: Effect, now: Instant, out: &mut Outbox) {
        let Some(place) = self.directory.find(effect.link().link) else { return };
        let work = |channel: &mut Channel, context: &mut Context<'_>| channel.apply(place.end, effect, context);
        if let Err(violation) = self.with_channel(place.channel, out, work) {
            self.fail(&violation, now, out);
        }
    }

    /// Writes deliveries to a consumer of this connection. Empties the list.
    pub(crate) fn deliver(&mut self, link: LinkId, deliveries: &mut Vec<Delivery>, out: &mut Outbox) {
        if let Some(place) = self.directory.find(link) {
            let _ = self.with_channel(place.channel, out, |channel, context| {
                channel.deliver(place.end, deliveries, context);
                Ok(())
            });
        }
        deliveries.clear();
    }

    /// Takes an event that an effect led to.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes the record of a violation.
    pub(crate) fn poll_breach(&mut self) -> Option<Breach> {
        self.breaches.pop_front()
    }

    /// Takes what the peer asked for and does not get.
    pub(crate) fn take_unmet(&mut self) -> Vec<Unmet> {
        self.unmet.take()
    }

    /// Ends the turn: writes the confirms that have gathered, and gives consumers the credit that acknowledgements have
    /// freed.
    pub(crate) fn finish_turn(&mut self, now: Instant, out: &mut Outbox) {
        if !self.touched.is_empty() {
            let (timeout, mut acks_due) = (self.config.consumer_timeout, self.acks_due);
            let (mut context, channels, touched) = self.context(out);
            for number in touched.drain(..) {
                // A channel of the list may have closed since.
                if let Some(Some(channel)) = channels.get_mut(usize::from(number)) {
                    channel.finish_turn(now, &mut context);
                    if let Some(timeout) = timeout {
                        let due = channel.oldest_since().map(|since| since + timeout);
                        acks_due = [acks_due, due].into_iter().flatten().min();
                    }
                }
            }
            self.acks_due = acks_due;
            // After a rollback a delivery may be overdue already.
            if acks_due.is_some_and(|at| at <= now) {
                self.close_overdue(now, out);
            }
        }
        if !out.is_empty() {
            self.heartbeat.sent(now);
        }
    }

    /// The version of the protocol that the peer speaks.
    pub(crate) fn version(&self) -> Version {
        self.terms.version
    }

    /// The number of unsettled deliveries on a link.
    pub(crate) fn unsettled(&self, id: LinkId) -> usize {
        let Some(place) = self.directory.find(id) else { return 0 };
        live(self.find_channel(place.channel), A_CHANNEL).map_or(0, |channel| channel.unsettled(place.end))
    }

    /// Octets of the contents of which not all has arrived, and of those that transactions hold.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn arriving(&self) -> usize {
        self.arriving.bytes() + self.channels.iter().flatten().map(|channel| channel.held()).sum::<usize>()
    }

    /// Whether the connection is open and neither side has closed it.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Opened | Phase::Blocked { .. })
    }

    /// Whether the connection has ended: only what is in the outbox is still to be written.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed | Phase::Dropped)
    }

    /// Whether the socket is to be closed without writing the outbox.
    pub(crate) fn is_dropped(&self) -> bool {
        self.phase == Phase::Dropped
    }
}

/// The name of a channel in the errors of [`live`]: it has a link in the directory, or was found before.
const A_CHANNEL: &str = "a channel";

fn not_open(number: u16) -> Violation {
    Violation::new(ReplyCode::ChannelError, format!("channel {number} is not open"))
}

/// Reads the arguments of a method.
fn read_method<'a>(id: MethodId, reader: &mut Reader<'a>) -> Result<Method<'a>, Violation> {
    let read = Method::read(id, reader).map_err(|malformed| Violation::from(malformed).in_method(id))?;
    read.ok_or_else(|| unknown(id).in_method(id))
}

/// Refuses an unknown method. Those of the classes file, stream, tunnel and message are specified and not implemented
/// (540); any other is in no specification (503).
fn unknown(id: MethodId) -> Violation {
    const FILE_STREAM_TUNNEL_MESSAGE: [u16; 5] = [70, 80, 100, 110, 120];
    let code = match FILE_STREAM_TUNNEL_MESSAGE.contains(&id.class) {
        true => ReplyCode::NotImplemented,
        false => ReplyCode::CommandInvalid,
    };
    Violation::new(code, format!("unknown method {},{}", id.class, id.method))
}
