//! The protocol engine of a connection: an enum over both engines, chosen by the protocol header, so that the event loop needs
//! to know neither. It has no socket and does not know the router.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use super::translation;
use crate::amqp10;
use crate::amqp091;
use crate::budget::Budget;
use crate::config::EngineConfig;
use crate::event::{Breach, Delivery, Effect, Event, Fault, LinkId, Reason, Run};
use crate::message::{Encoding, MessageCodec};
use crate::outbox::Outbox;
use crate::tap::{FrameReader, FrameText};
use crate::unmet::Unmet;

/// Drives the engine of one connection. Until the protocol header has arrived there is none.
#[derive(Debug)]
pub(crate) struct Frontend {
    config: Arc<EngineConfig>,
    budget: Budget,
    /// The peer's socket address, for log lines.
    name: Arc<str>,
    engine: Engine,
    /// The violation of a peer whose first bytes were no protocol header that the broker supports.
    breach: Option<Breach>,
    /// Notes about what could not be translated into the peer's protocol, for the record.
    notes: Vec<String>,
}

#[derive(Debug)]
enum Engine {
    AwaitHeader {
        until: Instant,
    },
    Amqp10(Box<amqp10::Connection>),
    Amqp091(Box<amqp091::Connection>),
    /// The peer asked for no supported protocol, or for none in time.
    Refused,
}

/// Returns the codec for messages of this encoding.
pub(crate) fn message_codec(encoding: Encoding) -> MessageCodec {
    match encoding {
        Encoding::Amqp10 => amqp10::CODEC,
        Encoding::Amqp091 => amqp091::CODEC,
    }
}

/// Returns the reply code of 0-9-1 for a refusal, and its constant.
pub(crate) fn reply_code(reason: &Reason) -> (u16, &'static str) {
    let code = amqp091::ReplyCode::from(reason);
    (code.number(), code.as_str())
}

/// The frame reader of a connection that has not sent its protocol header yet.
static UNKNOWN: FrameReader = FrameReader { describe: describe_unknown, ..amqp10::FRAMES };

/// Describes a protocol header in the notation of its own protocol.
fn describe_unknown(piece: &[u8], len: usize) -> FrameText {
    let describe = match amqp091::Header::read(piece) {
        amqp091::Header::Known(_) => amqp091::FRAMES.describe,
        amqp091::Header::Partial | amqp091::Header::Unknown => amqp10::FRAMES.describe,
    };
    describe(piece, len)
}

impl Frontend {
    pub(crate) fn new(config: Arc<EngineConfig>, budget: Budget, name: Arc<str>, now: Instant) -> Frontend {
        let until = now + config.handshake_timeout;
        Frontend { config, budget, name, engine: Engine::AwaitHeader { until }, breach: None, notes: Vec::new() }
    }

    /// Returns the peer's socket address.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Reads from `input` until an event is ready for the router. None if more bytes are needed.
    pub(crate) fn receive(
        &mut self,
        input: &mut BytesMut,
        now: Instant,
        out: &mut Outbox,
        run: &mut Run,
    ) -> Option<Event> {
        if let Engine::AwaitHeader { until } = self.engine {
            self.engine = self.choose(input, now, until, out)?;
        }
        match &mut self.engine {
            Engine::Amqp10(connection) => connection.receive(input, now, out, run),
            Engine::Amqp091(connection) => connection.receive(input, now, out, run),
            Engine::AwaitHeader { .. } | Engine::Refused => {
                input.clear();
                None
            }
        }
    }

    /// Returns what every engine of this connection is given.
    fn shares(&self) -> (Arc<EngineConfig>, Budget, Arc<str>) {
        (self.config.clone(), self.budget.clone(), self.name.clone())
    }

    /// Chooses the engine by the protocol header. None if it is incomplete.
    fn choose(&mut self, input: &[u8], now: Instant, until: Instant, out: &mut Outbox) -> Option<Engine> {
        use amqp10::{Header, Protocol};
        let partial = match amqp091::Header::read(input) {
            amqp091::Header::Known(version) => {
                let (config, budget, name) = self.shares();
                let connection = amqp091::Connection::new(config, budget, name, version, now, until);
                return Some(Engine::Amqp091(Box::new(connection)));
            }
            amqp091::Header::Partial => true,
            amqp091::Header::Unknown => false,
        };
        let nearest = match Header::read(input) {
            Header::Partial => return None,
            Header::Unknown(_) if partial => return None,
            Header::Known(first) if first.is_allowed_first(&self.config.users) => {
                let (config, budget, name) = self.shares();
                let connection = amqp10::Connection::new(config, budget, name, now, until);
                return Some(Engine::Amqp10(Box::new(connection)));
            }
            Header::Known(_) => Protocol::Sasl,
            Header::Unknown(nearest) if nearest.is_allowed_first(&self.config.users) => nearest,
            Header::Unknown(_) => Protocol::Sasl,
        };
        // 2.2, and 4.2.2 of 0-9-1: the reply is the header of a supported version, followed by a close.
        let begun = input.get(..Header::SIZE).unwrap_or(input);
        let what = format!("protocol header \"{}\" is not supported here", begun.escape_ascii());
        log::warn!("{}: closed: {what}", self.name);
        // A header of another version or layer begins like this too.
        if !begun.starts_with(b"AMQP") {
            self.breach = Some(Breach { section: "2.2", fault: Fault::new(Reason::NotImplemented, what) });
        }
        match amqp091::Header::is_resembled_by(begun) {
            true => amqp091::Header::put(out),
            false => nearest.put(out),
        }
        Some(Engine::Refused)
    }

    /// Lets the peer of an [`Event::Opened`] in. 1.0 has sent its open already (2.4.1: open comes before any close).
    pub(crate) fn admit(&mut self, out: &mut Outbox) {
        if let Engine::Amqp091(connection) = &mut self.engine {
            connection.admit(out);
        }
    }

    /// Blocks the peer (RabbitMQ's connection.blocked), once it publishes, for this reason. None: unblocks it. 1.0 has credit
    /// instead.
    pub(crate) fn block(&mut self, why: Option<Arc<str>>, out: &mut Outbox) {
        if let Engine::Amqp091(connection) = &mut self.engine {
            connection.block(why, out);
        }
    }

    /// Whether nothing is to be read from the peer, because it is blocked.
    pub(crate) fn holds_back(&self) -> bool {
        matches!(&self.engine, Engine::Amqp091(connection) if connection.holds_back())
    }

    /// See [`amqp10::Connection::apply`].
    pub(crate) fn apply(&mut self, effect: Effect, now: Instant, out: &mut Outbox) {
        match &mut self.engine {
            Engine::Amqp10(connection) => connection.apply(effect, now, out),
            Engine::Amqp091(connection) => connection.apply(effect, now, out),
            Engine::AwaitHeader { .. } | Engine::Refused => {}
        }
    }

    /// Delivers messages to a consumer and empties the list. Messages in the other protocol's encoding are translated.
    pub(crate) fn deliver(&mut self, link: LinkId, deliveries: &mut Vec<Delivery>, out: &mut Outbox) {
        match &mut self.engine {
            Engine::Amqp10(connection) => {
                translate(deliveries, Encoding::Amqp10, &mut self.notes);
                connection.deliver(link, deliveries, out);
            }
            Engine::Amqp091(connection) => {
                translate(deliveries, Encoding::Amqp091, &mut self.notes);
                connection.deliver(link, deliveries, out);
            }
            Engine::AwaitHeader { .. } | Engine::Refused => deliveries.clear(),
        }
    }

    /// Returns the bytes of partly arrived messages.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn arriving(&self) -> usize {
        match &self.engine {
            Engine::Amqp10(connection) => connection.arriving(),
            Engine::Amqp091(connection) => connection.arriving(),
            Engine::AwaitHeader { .. } | Engine::Refused => 0,
        }
    }

    /// See [`amqp10::Connection::poll_event`].
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        match &mut self.engine {
            Engine::Amqp10(connection) => connection.poll_event(),
            Engine::Amqp091(connection) => connection.poll_event(),
            Engine::AwaitHeader { .. } | Engine::Refused => None,
        }
    }

    /// Takes the peer's violation, for the record. An engine has one at most.
    pub(crate) fn poll_breach(&mut self) -> Option<Breach> {
        match &mut self.engine {
            Engine::Amqp10(connection) => connection.poll_breach(),
            Engine::Amqp091(connection) => connection.poll_breach(),
            Engine::AwaitHeader { .. } | Engine::Refused => self.breach.take(),
        }
    }

    /// Takes the peer's unmet requests, for the record.
    pub(crate) fn take_unmet(&mut self) -> Vec<Unmet> {
        match &mut self.engine {
            Engine::Amqp10(connection) => connection.take_unmet(),
            Engine::Amqp091(connection) => connection.take_unmet(),
            Engine::AwaitHeader { .. } | Engine::Refused => Vec::new(),
        }
    }

    /// Takes the notes about what could not be translated for the peer.
    pub(crate) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Returns the frame reader for what this connection sends and receives.
    pub(crate) fn frames(&self) -> &'static FrameReader {
        match &self.engine {
            Engine::Amqp091(connection) if connection.version() == amqp091::Version::V0_8 => &amqp091::FRAMES_0_8,
            Engine::Amqp091(_) => &amqp091::FRAMES,
            Engine::Amqp10(_) => &amqp10::FRAMES,
            Engine::AwaitHeader { .. } | Engine::Refused => &UNKNOWN,
        }
    }

    /// Whether no engine has been chosen, because the protocol header is incomplete.
    pub(crate) fn awaits_header(&self) -> bool {
        matches!(self.engine, Engine::AwaitHeader { .. })
    }

    /// Whether the connection is open in the sense of its protocol (open, connection.open) and neither end has begun to close
    /// it.
    pub(crate) fn is_open(&self) -> bool {
        match &self.engine {
            Engine::Amqp10(connection) => connection.is_open(),
            Engine::Amqp091(connection) => connection.is_open(),
            Engine::AwaitHeader { .. } | Engine::Refused => false,
        }
    }

    /// Writes what has gathered during the turn. Call it once at the end of each turn.
    pub(crate) fn finish_turn(&mut self, now: Instant, out: &mut Outbox) {
        match &mut self.engine {
            Engine::Amqp10(connection) => connection.finish_turn(now, out),
            Engine::Amqp091(connection) => connection.finish_turn(now, out),
            Engine::AwaitHeader { .. } | Engine::Refused => {}
        }
    }

    /// Closes the connection with a fault that is not the peer's, by a close frame of its protocol.
    pub(crate) fn close(&mut self, fault: Fault, now: Instant, out: &mut Outbox) {
        match &mut self.engine {
            Engine::Amqp10(connection) => connection.close_with(fault, now, out),
            Engine::Amqp091(connection) => connection.close_with(&fault, now, out),
            Engine::AwaitHeader { .. } | Engine::Refused => self.engine = Engine::Refused,
        }
    }

    /// Queues events that detach all links, after the socket has closed.
    pub(crate) fn abandon(&mut self) {
        match &mut self.engine {
            Engine::Amqp10(connection) => connection.abandon(),
            Engine::Amqp091(connection) => connection.abandon(),
            Engine::AwaitHeader { .. } | Engine::Refused => {}
        }
    }

    /// Counts the unsettled deliveries of a link.
    pub(crate) fn unsettled(&self, link: LinkId) -> usize {
        match &self.engine {
            Engine::Amqp10(connection) => connection.unsettled(link),
            Engine::Amqp091(connection) => connection.unsettled(link),
            Engine::AwaitHeader { .. } | Engine::Refused => 0,
        }
    }

    /// Returns the credit of a link on which the peer sends.
    pub(crate) fn credit(&self, link: LinkId) -> u32 {
        match &self.engine {
            Engine::Amqp10(connection) => connection.credit(link),
            // 0-9-1 has no credit.
            Engine::Amqp091(_) | Engine::AwaitHeader { .. } | Engine::Refused => 0,
        }
    }

    /// Whether nothing more will be read. The outbox may still have bytes to write.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.engine {
            Engine::Amqp10(connection) => connection.is_closed(),
            Engine::Amqp091(connection) => connection.is_closed(),
            Engine::AwaitHeader { .. } => false,
            Engine::Refused => true,
        }
    }

    /// Whether the peer has not answered our close in time, so that the socket is to be closed.
    pub(crate) fn is_dropped(&self) -> bool {
        match &self.engine {
            Engine::Amqp10(connection) => connection.is_dropped(),
            Engine::Amqp091(connection) => connection.is_dropped(),
            Engine::AwaitHeader { .. } | Engine::Refused => false,
        }
    }

    /// Returns when [`Frontend::handle_timeout`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.engine {
            Engine::Amqp10(connection) => connection.deadline(),
            Engine::Amqp091(connection) => connection.deadline(),
            Engine::AwaitHeader { until } => Some(*until),
            Engine::Refused => None,
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        match &mut self.engine {
            Engine::Amqp10(connection) => connection.handle_timeout(now, out),
            Engine::Amqp091(connection) => connection.handle_timeout(now, out),
            Engine::AwaitHeader { until } if *until <= now => {
                log::warn!("{}: closed: no protocol header within the time for the handshake", self.name);
                self.engine = Engine::Refused;
            }
            Engine::AwaitHeader { .. } | Engine::Refused => {}
        }
    }
}

/// Translates messages that are not in this encoding.
fn translate(deliveries: &mut [Delivery], encoding: Encoding, notes: &mut Vec<String>) {
    for Delivery { message, .. } in deliveries {
        if message.encoding != encoding {
            *message = translation::translated(std::mem::take(message), encoding, notes);
        }
    }
}
