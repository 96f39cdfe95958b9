//! The trace: what was on the wire and what was decided, in order. Frames are kept as bytes and put into words when somebody
//! asks, or at once if they go on to a log or a file.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::messages::Party;
use super::sink::{Sink, escaped};
use crate::line::Line;
use crate::pcap::Pcap;
use crate::snapshot::ConnectionId;

/// The largest buffer that a frame leaves to a smaller one.
const MAX_SPARE: usize = 16 * 1024;

/// When the broker was made, by the clock that measures and, since the Unix epoch, by the one on the wall.
pub(crate) type Start = (Instant, Duration);

/// How a protocol puts a piece of its stream into words.
pub(crate) type Describe = fn(&[u8]) -> Line;

/// What the router decided about a message.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    Forwarded { number: u64, to: Party, address: Arc<str> },
    Waits { number: u64, address: Arc<str> },
    Dropped { number: u64, address: Arc<str>, why: Arc<str> },
    Ruled { number: u64, address: Arc<str>, what: &'static str },
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Forwarded { number, to, address } => {
                write!(f, "message {number} at {address:?} goes to {}", crate::seen::Party::from(to))
            }
            Decision::Waits { number, address } => write!(f, "message {number} at {address:?} waits"),
            Decision::Dropped { number, address, why } => write!(f, "message {number} at {address:?} dropped: {why}"),
            Decision::Ruled { number, address, what } => {
                write!(f, "message {number} at {address:?}: a hook said {what}")
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Connected(Arc<str>),
    Disconnected,
    Frame { incoming: bool, describe: Describe },
    Decision(Decision),
    Note(Arc<str>),
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    connection: Option<ConnectionId>,
    what: What,
    /// Of a frame.
    bytes: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Trace {
    limit: usize,
    max_bytes: usize,
    entries: VecDeque<Entry>,
    bytes: usize,
    sinks: Vec<Sink>,
    /// Tells this broker's connections from those of others that write to the same place.
    salt: u64,
    started: Instant,
    /// The same, since the Unix epoch.
    started_at: Duration,
    now: Instant,
    logs: bool,
}

impl Trace {
    pub(super) fn new(limit: usize, max_bytes: usize, sinks: Vec<Sink>, salt: u64, (now, epoch): Start) -> Trace {
        let entries = VecDeque::new();
        Trace { limit, max_bytes, entries, bytes: 0, sinks, salt, started: now, started_at: epoch, now, logs: false }
    }

    pub(super) fn set_now(&mut self, now: Instant) {
        self.now = now;
        self.logs = log::log_enabled!(target: "fakebroker::trace", log::Level::Trace);
    }

    pub(super) fn is_on(&self) -> bool {
        self.limit > 0 || self.logs || !self.sinks.is_empty()
    }

    pub(super) fn decided(&mut self, decision: Decision) {
        self.note(None, What::Decision(decision), &[]);
    }

    pub(super) fn note(&mut self, connection: Option<ConnectionId>, what: What, bytes: &[u8]) {
        let mut spare = Vec::new();
        while self.entries.len() >= self.limit.max(1)
            || (self.bytes + bytes.len() > self.max_bytes && !self.entries.is_empty())
        {
            let Some(old) = self.entries.pop_front() else { break };
            self.bytes -= old.bytes.len();
            spare = old.bytes;
        }
        // What is bounded is bytes, not capacity.
        let mut kept = if spare.capacity() <= MAX_SPARE.max(bytes.len()) { spare } else { Vec::new() };
        kept.clear();
        kept.extend_from_slice(bytes);
        let entry = Entry { at: self.now, connection, what, bytes: kept };
        if self.logs || !self.sinks.is_empty() {
            self.pass_on(&entry);
        }
        if self.limit > 0 {
            self.bytes += bytes.len();
            self.entries.push_back(entry);
        }
    }

    fn pass_on(&mut self, entry: &Entry) {
        let event = self.event(entry);
        if self.logs {
            log::trace!(target: "fakebroker::trace", "{event}");
        }
        let at = self.started_at + event.at;
        for sink in &self.sinks {
            sink.put(&event, self.salt, at, &entry.bytes);
        }
    }

    fn event(&self, entry: &Entry) -> TraceEvent {
        let kind = match &entry.what {
            What::Connected(peer) => TraceKind::Connected { peer: peer.as_ref().to_owned() },
            What::Disconnected => TraceKind::Disconnected,
            What::Frame { incoming, describe } => {
                let Line { channel, name, fields, payload, .. } = describe(&entry.bytes);
                TraceKind::Frame { incoming: *incoming, channel, name: name.into_owned(), fields, payload }
            }
            What::Decision(decision) => TraceKind::Decision { text: decision.to_string() },
            What::Note(text) => TraceKind::Note { text: text.as_ref().to_owned() },
        };
        TraceEvent { at: entry.at.saturating_duration_since(self.started), connection: entry.connection, kind }
    }

    pub(super) fn events(&self) -> Vec<TraceEvent> {
        self.entries.iter().map(|entry| self.event(entry)).collect()
    }

    pub(super) fn flush(&mut self) {
        self.sinks.iter().for_each(Sink::flush);
    }

    pub(super) fn pcap(&self) -> Vec<u8> {
        let mut file = Vec::new();
        // Memory does not fail to be written to.
        let _ = Pcap::new(&mut file).and_then(|mut pcap| {
            for entry in &self.entries {
                let at = self.started_at + entry.at.saturating_duration_since(self.started);
                let Some(id) = entry.connection.map(|id| u64::from(id.get())) else { continue };
                match &entry.what {
                    What::Connected(_) => pcap.connect(id, at)?,
                    What::Disconnected => pcap.close(id, at)?,
                    What::Frame { incoming, .. } => pcap.bytes(id, *incoming, at, &entry.bytes)?,
                    What::Decision(_) | What::Note(_) => {}
                }
            }
            Ok(())
        });
        file
    }
}

/// One line of the trace. `Display` is how it reads; [`TraceEvent::to_json`] is the same for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceEvent {
    /// When, since the broker was made.
    pub at: Duration,
    /// On which connection.
    pub connection: Option<ConnectionId>,
    /// What.
    pub kind: TraceKind,
}

/// What a line of the trace is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceKind {
    /// A client connected.
    Connected {
        /// Its end of the socket.
        peer: String,
    },
    /// The connection is gone.
    Disconnected,
    /// A protocol header or a frame.
    Frame {
        /// From the client to the broker; else the other way.
        incoming: bool,
        /// The channel that it is on. A protocol header is on none.
        channel: Option<u16>,
        /// The performative or the method: `transfer`, `basic.publish`.
        name: String,
        /// Its fields with their values, as the specification spells them; those that are absent are left out.
        fields: String,
        /// Bytes of message in it.
        payload: usize,
    },
    /// The router decided something about a message.
    Decision {
        /// What, and why.
        text: String,
    },
    /// Something else happened: a hook panicked, the test took a step, a client broke the protocol.
    Note {
        /// What.
        text: String,
    },
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.6} ", self.at.as_secs_f64())?;
        match self.connection {
            Some(id) => write!(f, "{:>3} ", id.get())?,
            None => f.write_str("    ")?,
        }
        match &self.kind {
            TraceKind::Connected { peer } => write!(f, "connected from {peer}"),
            TraceKind::Disconnected => f.write_str("disconnected"),
            TraceKind::Frame { incoming, channel, name, fields, payload } => {
                f.write_str(if *incoming { "-> " } else { "<- " })?;
                channel.iter().try_for_each(|channel| write!(f, "ch {channel} "))?;
                f.write_str(name)?;
                if !fields.is_empty() {
                    write!(f, " {fields}")?;
                }
                if *payload > 0 { write!(f, " ({payload} bytes)") } else { Ok(()) }
            }
            TraceKind::Decision { text } | TraceKind::Note { text } => f.write_str(text),
        }
    }
}

impl TraceEvent {
    /// One line of JSON: `at` (seconds), `connection`, `event` (`connected`, `disconnected`, `frame`, `decision`, `note`) and
    /// what belongs to it: `peer`; `incoming`, `channel`, `name`, `fields`, `payload`; `text`.
    #[must_use]
    pub fn to_json(&self) -> String {
        use fmt::Write;
        let mut line = format!("{{\"at\":{:.6}", self.at.as_secs_f64());
        // Writing to a string does not fail.
        let mut put = |arguments: fmt::Arguments<'_>| {
            let _ = line.write_fmt(arguments);
        };
        if let Some(id) = self.connection {
            put(format_args!(",\"connection\":{}", id.get()));
        }
        match &self.kind {
            TraceKind::Connected { peer } => put(format_args!(",\"event\":\"connected\",\"peer\":{}", escaped(peer))),
            TraceKind::Disconnected => put(format_args!(",\"event\":\"disconnected\"")),
            TraceKind::Frame { incoming, channel, name, fields, payload } => {
                put(format_args!(",\"event\":\"frame\",\"incoming\":{incoming}"));
                if let Some(channel) = channel {
                    put(format_args!(",\"channel\":{channel}"));
                }
                let (name, fields) = (escaped(name), escaped(fields));
                put(format_args!(",\"name\":{name},\"fields\":{fields},\"payload\":{payload}"));
            }
            TraceKind::Decision { text } => put(format_args!(",\"event\":\"decision\",\"text\":{}", escaped(text))),
            TraceKind::Note { text } => put(format_args!(",\"event\":\"note\",\"text\":{}", escaped(text))),
        }
        put(format_args!("}}"));
        line
    }
}
