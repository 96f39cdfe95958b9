//! 2.2.4 and 4.2: connections. Frames in and out; owns the channels and their links.
//!
//! Bytes go in through [`Connection::receive`], which returns what the peer did an [`Event`] at a time, so that each is
//! answered before the next is read; the router's answers come in through [`Connection::apply`]; what is to be written
//! gathers in an [`Outbox`], completed by [`Connection::finish_turn`]. No socket and no clock: `now` is an argument.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use slab::Slab;

use super::channel::{Channel, ChannelState};
use super::consumer::Consumer;
use super::frame::{self, Frame, FrameType};
use super::header::Header;
use super::method::{self, CONNECTION, Connection as Class, Method, MethodId, PUBLISH};
use super::types::{Reader, Version, saturate};
use super::violation::{ReplyCode, Violation};
use crate::config::EngineConfig;
use crate::event::{Arrival, Breach, Effect, Event, LinkId, Opened, Outcome, Run};
use crate::outbox::Outbox;

/// See the module.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) config: Arc<EngineConfig>,
    /// Who it is, for the log.
    pub(super) name: Arc<str>,
    pub(super) version: Version,
    pub(super) phase: Phase,
    /// As whom the peer was let in.
    pub(super) user: Option<Arc<str>>,
    /// What it calls itself.
    pub(super) client: Option<Arc<str>>,
    pub(super) capabilities: Capabilities,
    pub(super) last_received: Instant,
    pub(super) last_sent: Instant,
    /// As agreed on with the peer.
    pub(super) frame_max: u32,
    pub(super) channel_max: u16,
    pub(super) heartbeat: Option<Duration>,
    pub(super) channels: Vec<Option<Box<Channel>>>,
    /// The channels' links and their consumers', as the router knows them.
    pub(super) links: Slab<Link>,
    next_serial: u32,
    /// Consumer tags that were made for consumers without one.
    pub(super) generated_tags: u64,
    pub(super) events: VecDeque<Event>,
    /// The messages of those events that have one.
    pub(super) arrivals: VecDeque<Arrival>,
    pub(super) breaches: VecDeque<Breach>,
    /// Channels that have something to do at the end of the turn.
    pub(super) touched: Vec<u16>,
    /// Bytes of contents that are still arriving, on all channels together.
    pub(super) partial_bytes: usize,
    /// Channels that the router has no room for.
    pub(super) starved: usize,
    /// The peer has been told not to publish.
    pub(super) blocked: bool,
}

/// What a client can do, as it says in start-ok.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Capabilities {
    pub(super) authentication_failure_close: bool,
    pub(super) consumer_cancel_notify: bool,
    pub(super) connection_blocked: bool,
}

/// ```text
///              header            start-ok           secure-ok        tune-ok         open           close
/// AwaitHeader ───────▶ AwaitStartOk ──▶ AwaitSecureOk ──▶ AwaitTuneOk ──▶ AwaitOpen ──▶ Opened ──────▶ AwaitEnd
///                            └─────────────────────────────────▲                          └▶ AwaitCloseOk ──▶ Closed
/// ```
/// A close of the peer's leads to `AwaitEnd`, ours to `AwaitCloseOk`.
/// Any violation leads to `AwaitCloseOk`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    AwaitHeader {
        until: Instant,
    },
    AwaitStartOk {
        until: Instant,
    },
    /// The client has chosen PLAIN or AMQPLAIN and not said who it is.
    AwaitSecureOk {
        until: Instant,
        plain: bool,
    },
    AwaitTuneOk {
        until: Instant,
    },
    AwaitOpen {
        until: Instant,
    },
    Opened,
    /// We have closed and wait for the peer's close-ok; everything else is discarded.
    AwaitCloseOk {
        until: Instant,
    },
    /// The peer has closed, and has our close-ok: the end of the stream is its to say. Clients that see ours first take it
    /// for a failure.
    AwaitEnd {
        until: Instant,
    },
    Closed,
    /// It did not answer our close in time, or did not end the stream after its own.
    Dropped,
}

/// One link, as the router sees it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) serial: u32,
    pub(super) channel: u16,
    pub(super) end: LinkEnd,
}

#[derive(Debug)]
pub(super) enum LinkEnd {
    /// What a channel publishes, and what it asks of the router.
    Channel,
    Consumer(Consumer),
}

impl Connection {
    pub(crate) fn new(
        config: Arc<EngineConfig>,
        name: Arc<str>,
        version: Version,
        now: Instant,
        until: Instant,
    ) -> Connection {
        let frame_max = config.max_frame_size.max(frame::MIN_FRAME_MAX);
        let channel_max = config.channel_max;
        Connection {
            config,
            name,
            version,
            phase: Phase::AwaitHeader { until },
            user: None,
            client: None,
            capabilities: Capabilities::default(),
            last_received: now,
            last_sent: now,
            frame_max,
            channel_max,
            heartbeat: None,
            channels: Vec::new(),
            links: Slab::new(),
            next_serial: 0,
            generated_tags: 0,
            events: VecDeque::new(),
            arrivals: VecDeque::new(),
            breaches: VecDeque::new(),
            touched: Vec::new(),
            partial_bytes: 0,
            starved: 0,
            blocked: false,
        }
    }

    /// Reads from `input` up to the next thing that concerns the router. None when a whole frame more is needed.
    pub(crate) fn receive(
        &mut self,
        input: &mut BytesMut,
        now: Instant,
        out: &mut Outbox,
        run: &mut Run,
    ) -> Option<Event> {
        if !input.is_empty() {
            self.last_received = now;
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                if matches!(event, Event::Messages { .. }) {
                    run.arrivals.extend(self.arrivals.pop_front());
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

    /// Takes a header, a frame, or all frames of a publish. False if there is none.
    fn step(&mut self, input: &mut BytesMut, now: Instant, out: &mut Outbox) -> Result<bool, Violation> {
        match self.phase {
            Phase::AwaitHeader { until } => {
                // `frontend.rs` has seen that it is one of ours.
                if input.len() < Header::SIZE {
                    return Ok(false);
                }
                input.advance(Header::SIZE);
                self.put_start(out);
                self.phase = Phase::AwaitStartOk { until };
                Ok(true)
            }
            Phase::Opened => {
                if let Some((channel, size)) = frame::whole_publish(input, self.frame_max)
                    && self.awaits_method(channel)
                {
                    let content = input.split_to(size).freeze();
                    let result = self.published(channel, content.into()).map_err(|v| v.in_method(PUBLISH));
                    self.contain(result, channel, out)?;
                    return Ok(true);
                }
                let Some(frame) = frame::split(input, self.frame_max)? else { return Ok(false) };
                self.on_frame(&frame, now, out)?;
                Ok(true)
            }
            Phase::AwaitCloseOk { .. } => match frame::split(input, self.frame_max) {
                Ok(Some(frame)) => {
                    self.on_frame_after_close(&frame, out);
                    Ok(true)
                }
                Ok(None) => Ok(false),
                // The stream is no longer one of frames: no close-ok can be found in it.
                Err(_) => {
                    self.phase = Phase::Closed;
                    Ok(true)
                }
            },
            Phase::AwaitEnd { .. } | Phase::Closed | Phase::Dropped => {
                input.clear();
                Ok(false)
            }
            Phase::AwaitStartOk { .. }
            | Phase::AwaitSecureOk { .. }
            | Phase::AwaitTuneOk { .. }
            | Phase::AwaitOpen { .. } => {
                let Some(frame) = frame::split(input, self.frame_max)? else { return Ok(false) };
                self.on_frame(&frame, now, out)?;
                Ok(true)
            }
        }
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
            FrameType::Header | FrameType::Body => {
                let result = self.on_content_frame(frame);
                self.contain(result, frame.channel, out)
            }
        }
    }

    fn on_method_frame(&mut self, frame: &Frame, now: Instant, out: &mut Outbox) -> Result<(), Violation> {
        let mut reader = Reader::new(frame.payload(), self.version);
        let id = method::read_id(&mut reader)?;
        if frame.channel != 0 && id.class != CONNECTION {
            self.check_opened().map_err(|violation| violation.in_method(id))?;
            if self.is_discarding(frame.channel, id) {
                return Ok(());
            }
        }
        let result = self.on_method(frame, id, reader, now, out).map_err(|violation| violation.in_method(id));
        self.contain(result, frame.channel, out)
    }

    fn on_method(
        &mut self,
        frame: &Frame,
        id: MethodId,
        mut reader: Reader<'_>,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Violation> {
        let invalid = |what: &str| Violation::of_section("4.2.3", ReplyCode::CommandInvalid, what);
        if id.class == CONNECTION && frame.channel != 0 {
            return Err(invalid("a connection method on a channel other than 0"));
        }
        if id.class != CONNECTION && frame.channel == 0 {
            return Err(invalid("a method of a channel on channel 0"));
        }
        if id == PUBLISH {
            return self.begin_content(frame);
        }
        let Some(method) = Method::read(id, &mut reader)? else { return Err(unknown(id)) };
        if frame.channel == 0 {
            return match method {
                Method::Connection(method) => self.on_connection_method(&method, now, out),
                _ => Ok(()),
            };
        }
        self.on_channel_method(frame.channel, &method, out)
    }

    /// 2.2.4: methods of channels come after open.
    fn check_opened(&self) -> Result<(), Violation> {
        match self.phase {
            Phase::Opened => Ok(()),
            _ => Err(Violation::new(ReplyCode::CommandInvalid, "the connection is not open")),
        }
    }

    fn on_connection_method(&mut self, method: &Class<'_>, now: Instant, out: &mut Outbox) -> Result<(), Violation> {
        match (self.phase, method) {
            (_, Class::Close { reply_code, reply_text, .. }) => {
                log::debug!("{}: closed by the peer: {reply_code} {reply_text}", self.name);
                self.finish_turn(now, out);
                self.abandon();
                self.tell(0, &Method::Connection(Class::CloseOk {}), out);
                self.phase = Phase::AwaitEnd { until: now + self.config.linger };
                Ok(())
            }
            (Phase::AwaitStartOk { until }, Class::StartOk { client_properties, mechanism, response, locale: _ }) => {
                self.on_start_ok(*client_properties, mechanism, response.0, until, out)
            }
            (Phase::AwaitSecureOk { until, plain }, Class::SecureOk { response }) => {
                self.on_response(plain, response.0, until, out);
                Ok(())
            }
            (Phase::AwaitTuneOk { until }, Class::TuneOk { channel_max, frame_max, heartbeat }) => {
                self.on_tune_ok(*channel_max, *frame_max, *heartbeat)?;
                self.phase = Phase::AwaitOpen { until };
                Ok(())
            }
            (Phase::AwaitOpen { .. }, Class::Open { virtual_host, .. }) => self.on_open(virtual_host, out),
            _ => Err(Violation::new(ReplyCode::CommandInvalid, "a method that was not expected here")),
        }
    }

    /// Both sides are open.
    pub(super) fn opened(&mut self, virtual_host: &str) {
        self.phase = Phase::Opened;
        log::debug!("{}: open, {}, virtual host {virtual_host:?}", self.name, self.version.as_str());
        self.events.push_back(Event::Opened(Box::new(Opened {
            protocol: self.version.as_str(),
            container: self.client.clone(),
            host: Some(virtual_host.into()),
            user: self.user.clone(),
        })));
    }

    /// Writes a method.
    pub(super) fn tell(&self, channel: u16, method: &Method<'_>, out: &mut Outbox) {
        let _ = out.append(|out| {
            frame::put(out, FrameType::Method, channel, |out| method.write(out, self.version));
            Ok::<(), Infallible>(())
        });
    }

    /// The router's name for a new link of a channel.
    pub(super) fn add_link(&mut self, channel: u16, end: LinkEnd) -> LinkId {
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        let slot = self.links.insert(Link { serial, channel, end });
        LinkId { slot: saturate(slot), serial }
    }

    /// None for a link that is gone.
    pub(super) fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.get_mut(id.slot as usize).filter(|link| link.serial == id.serial)
    }

    pub(super) fn remove_link(&mut self, id: LinkId) -> bool {
        self.link_mut(id).is_some() && self.links.try_remove(id.slot as usize).is_some()
    }

    pub(super) fn channel_mut(&mut self, number: u16) -> Option<&mut Channel> {
        self.channels.get_mut(usize::from(number))?.as_deref_mut()
    }

    /// The channel has something to do at the end of the turn.
    pub(super) fn touch(&mut self, number: u16) {
        if let Some(channel) = self.channel_mut(number)
            && !std::mem::replace(&mut channel.touched, true)
        {
            self.touched.push(number);
        }
    }

    /// What the router wants done to a link of this connection. One that is gone needs nothing.
    pub(crate) fn apply(&mut self, effect: Effect, now: Instant, out: &mut Outbox) {
        let id = effect.link().link;
        let Some(Link { channel, .. }) = self.link_mut(id) else { return };
        let channel = *channel;
        let result = match effect {
            Effect::Deliver { mut deliveries, .. } => {
                self.deliver(id, &mut deliveries, out);
                Ok(())
            }
            Effect::Settle { first, count, outcome, .. } => {
                for delivery in (first.0..).take(count as usize) {
                    self.settle(channel, delivery, &outcome, out);
                }
                Ok(())
            }
            Effect::Drained { left, .. } => {
                self.drained(id, left, out);
                Ok(())
            }
            Effect::Grant { credit, .. } => {
                self.set_starved(channel, credit == 0, out);
                Ok(())
            }
            Effect::GrantMore { credit, .. } => {
                self.set_starved(channel, credit == 0, out);
                Ok(())
            }
            Effect::Attached { .. } => {
                self.attached(id, channel, out);
                Ok(())
            }
            Effect::Refused { fault, .. } => self.refused(id, channel, &fault, out),
            Effect::Detach { fault, .. } => self.detached(id, channel, &fault, out),
            Effect::Declared { address, messages, consumers, .. } => {
                self.declared(channel, address, messages, consumers, out);
                Ok(())
            }
            Effect::TopologyChanged { .. } => {
                self.topology_changed(channel, out);
                Ok(())
            }
            Effect::Deleted { messages, .. } | Effect::Purged { messages, .. } => {
                self.emptied(channel, messages, out);
                Ok(())
            }
        };
        if let Err(violation) = self.contain(result, channel, out) {
            self.fail(&violation, now, out);
        }
    }

    /// An event that an effect led to.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What the peer did wrong, for whoever keeps a record of it.
    pub(crate) fn poll_breach(&mut self) -> Option<Breach> {
        self.breaches.pop_front()
    }

    /// End of the turn: what has gathered is written, and consumers get the credit that acknowledgements have freed.
    pub(crate) fn finish_turn(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(number) = self.touched.pop() {
            if let Some(channel) = self.channel_mut(number) {
                channel.touched = false;
                self.put_confirms(number, out);
                self.grant_credit(number);
            }
        }
        if !out.is_empty() {
            self.last_sent = now;
        }
    }

    /// Which of the three it is.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Deliveries of a link, in its one direction, that are not settled.
    pub(crate) fn unsettled(&self, id: LinkId) -> usize {
        let link = self.links.get(id.slot as usize).filter(|link| link.serial == id.serial);
        match link.map(|link| &link.end) {
            Some(LinkEnd::Consumer(consumer)) => consumer.unacked as usize,
            _ => 0,
        }
    }

    /// Both have opened, and neither has closed.
    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Opened
    }

    /// Nothing more will be read or written, beyond what is in the outbox.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed | Phase::Dropped)
    }

    /// The peer has had its time to answer our close.
    pub(crate) fn is_dropped(&self) -> bool {
        self.phase == Phase::Dropped
    }

    /// A channel that is closing hears nothing but the end of that.
    fn is_discarding(&self, number: u16, id: MethodId) -> bool {
        const CLOSE: MethodId = MethodId { class: 20, method: 40 };
        const CLOSE_OK: MethodId = MethodId { class: 20, method: 41 };
        let channel = self.channels.get(usize::from(number)).and_then(Option::as_ref);
        channel.is_some_and(|channel| channel.state == ChannelState::AwaitCloseOk) && id != CLOSE && id != CLOSE_OK
    }

    /// Whether a publish may begin on a channel.
    fn awaits_method(&self, number: u16) -> bool {
        let channel = self.channels.get(usize::from(number)).and_then(Option::as_ref);
        channel.is_some_and(|channel| channel.state == ChannelState::Open && channel.content.is_none())
    }
}

/// Classes of the specifications that nobody has implemented get another answer than those that are in none.
fn unknown(id: MethodId) -> Violation {
    const FILE_STREAM_TUNNEL_MESSAGE: [u16; 5] = [70, 80, 100, 110, 120];
    let code = match FILE_STREAM_TUNNEL_MESSAGE.contains(&id.class) {
        true => ReplyCode::NotImplemented,
        false => ReplyCode::CommandInvalid,
    };
    Violation::new(code, format!("unknown method {},{}", id.class, id.method))
}

/// What became of a delivery, in the router's words.
pub(super) fn outcome_of(requeue: bool) -> Outcome {
    if requeue { Outcome::Released } else { Outcome::Rejected(None) }
}
