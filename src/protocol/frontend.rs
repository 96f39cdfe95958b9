//! Which protocol is this? One enum over the protocol engines, so that the event loop has to know none of them.
//! It has no socket and has never heard of the router.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use super::translation;
use crate::amqp10;
use crate::amqp091;
use crate::budget::Budget;
use crate::config::EngineConfig;
use crate::event::{Breach, Delivery, Effect, Event, Fault, LinkId, Reason, Run};
use crate::message::{Encoding, HeadReader};
use crate::outbox::Outbox;
use crate::tap::{FrameReader, FrameText};

/// One connection's protocol engine, once its first bytes have said which.
#[derive(Debug)]
pub(crate) struct Frontend {
    config: Arc<EngineConfig>,
    budget: Budget,
    /// The peer's socket address, for the log.
    name: Arc<str>,
    engine: Engine,
    /// The first bytes were nothing that is spoken here.
    breach: Option<Breach>,
    /// What was lost in translation, for who keeps a record.
    notes: Vec<String>,
}

#[derive(Debug)]
enum Engine {
    AwaitHeader {
        until: Instant,
    },
    Amqp10(Box<amqp10::Connection>),
    Amqp091(Box<amqp091::Connection>),
    /// It spoke nothing that we do.
    Refused,
}

/// What reads the head of a message of this encoding.
pub(crate) fn head_reader(encoding: Encoding) -> HeadReader {
    match encoding {
        Encoding::Amqp10 => amqp10::HEAD_READER,
        Encoding::Amqp091 => amqp091::HEAD_READER,
    }
}

/// How a stream is taken apart that has not said yet what it is.
static UNKNOWN: FrameReader = FrameReader { describe: describe_unknown, ..amqp10::FRAMES };

/// A header reads as its own protocol spells it.
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

    /// The peer's socket address.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Reads from `input` up to the next thing that concerns the router. None when more bytes are needed.
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

    /// What an engine shares with its frontend.
    fn shares(&self) -> (Arc<EngineConfig>, Budget, Arc<str>) {
        (self.config.clone(), self.budget.clone(), self.name.clone())
    }

    /// The engine for what the first bytes say; None while they say too little.
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
        // 2.2, and 4.2.2 of 0-9-1: answered with the header that would do, then closed.
        let begun = input.get(..Header::SIZE).unwrap_or(input);
        let what = format!("protocol header \"{}\" is not supported here", begun.escape_ascii());
        log::warn!("{}: closed: {what}", self.name);
        // Another version or another layer may be asked for.
        if !begun.starts_with(b"AMQP") {
            self.breach = Some(Breach { section: "2.2", fault: Fault::new(Reason::NotImplemented, what) });
        }
        match amqp091::Header::is_resembled_by(begun) {
            true => amqp091::Header::put(out),
            false => nearest.put(out),
        }
        Some(Engine::Refused)
    }

    /// See [`amqp10::Connection::apply`].
    pub(crate) fn apply(&mut self, effect: Effect, now: Instant, out: &mut Outbox) {
        match &mut self.engine {
            Engine::Amqp10(connection) => connection.apply(effect, now, out),
            Engine::Amqp091(connection) => connection.apply(effect, now, out),
            Engine::AwaitHeader { .. } | Engine::Refused => {}
        }
    }

    /// Messages for a consumer. Empties the list. Those of the other protocol are put into this one's words.
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

    /// Bytes of messages of which not all has arrived.
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

    /// What the peer did wrong, for whoever keeps a record of it.
    pub(crate) fn poll_breach(&mut self) -> Option<Breach> {
        match &mut self.engine {
            Engine::Amqp10(connection) => connection.poll_breach(),
            Engine::Amqp091(connection) => connection.poll_breach(),
            Engine::AwaitHeader { .. } | Engine::Refused => self.breach.take(),
        }
    }

    /// What could not be said to the peer in its protocol, for whoever keeps a record of it.
    pub(crate) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// How the bytes on the wire are taken apart.
    pub(crate) fn frames(&self) -> &'static FrameReader {
        match &self.engine {
            Engine::Amqp091(connection) if connection.version() == amqp091::Version::V0_8 => &amqp091::FRAMES_0_8,
            Engine::Amqp091(_) => &amqp091::FRAMES,
            Engine::Amqp10(_) => &amqp10::FRAMES,
            Engine::AwaitHeader { .. } | Engine::Refused => &UNKNOWN,
        }
    }

    /// Whether the first bytes have not said yet which protocol this is.
    pub(crate) fn awaits_header(&self) -> bool {
        matches!(self.engine, Engine::AwaitHeader { .. })
    }

    /// The connection is open, and nobody has closed it.
    pub(crate) fn is_open(&self) -> bool {
        match &self.engine {
            Engine::Amqp10(connection) => connection.is_open(),
            Engine::Amqp091(connection) => connection.is_open(),
            Engine::AwaitHeader { .. } | Engine::Refused => false,
        }
    }

    /// End of the turn: what has gathered is written.
    pub(crate) fn finish_turn(&mut self, now: Instant, out: &mut Outbox) {
        match &mut self.engine {
            Engine::Amqp10(connection) => connection.finish_turn(now, out),
            Engine::Amqp091(connection) => connection.finish_turn(now, out),
            Engine::AwaitHeader { .. } | Engine::Refused => {}
        }
    }

    /// Closes in the protocol's own way, for a reason that is not the peer's.
    pub(crate) fn close(&mut self, fault: Fault, now: Instant, out: &mut Outbox) {
        match &mut self.engine {
            Engine::Amqp10(connection) => connection.close_with(fault, now, out),
            Engine::Amqp091(connection) => connection.close_with(&fault, now, out),
            Engine::AwaitHeader { .. } | Engine::Refused => self.engine = Engine::Refused,
        }
    }

    /// The connection is gone: its links go too, as events say.
    pub(crate) fn abandon(&mut self) {
        match &mut self.engine {
            Engine::Amqp10(connection) => connection.abandon(),
            Engine::Amqp091(connection) => connection.abandon(),
            Engine::AwaitHeader { .. } | Engine::Refused => {}
        }
    }

    /// Deliveries of a link that are not settled.
    pub(crate) fn unsettled(&self, link: LinkId) -> usize {
        match &self.engine {
            Engine::Amqp10(connection) => connection.unsettled(link),
            Engine::Amqp091(connection) => connection.unsettled(link),
            Engine::AwaitHeader { .. } | Engine::Refused => 0,
        }
    }

    /// Credit that a link has which the peer sends on.
    pub(crate) fn credit(&self, link: LinkId) -> u32 {
        match &self.engine {
            Engine::Amqp10(connection) => connection.credit(link),
            // 0-9-1 has none.
            Engine::Amqp091(_) | Engine::AwaitHeader { .. } | Engine::Refused => 0,
        }
    }

    /// Nothing more will be read; the outbox may still have the last words.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.engine {
            Engine::Amqp10(connection) => connection.is_closed(),
            Engine::Amqp091(connection) => connection.is_closed(),
            Engine::AwaitHeader { .. } => false,
            Engine::Refused => true,
        }
    }

    /// The peer has had its time to say goodbye.
    pub(crate) fn is_dropped(&self) -> bool {
        match &self.engine {
            Engine::Amqp10(connection) => connection.is_dropped(),
            Engine::Amqp091(connection) => connection.is_dropped(),
            Engine::AwaitHeader { .. } | Engine::Refused => false,
        }
    }

    /// When [`Frontend::handle_timeout`] is due.
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

/// Puts messages of the other protocol into this one's words.
fn translate(deliveries: &mut [Delivery], encoding: Encoding, notes: &mut Vec<String>) {
    for Delivery { message, .. } in deliveries {
        if message.encoding != encoding {
            *message = translation::translated(std::mem::take(message), encoding, notes);
        }
    }
}
