//! The trace: what was on the wire and what was decided, in order. Frames are kept as bytes and put into words when somebody
//! asks, or at once if they go on to a log or a file.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::messages::LinkName;
use super::pcap::Pcap;
use super::sink::Sink;
use super::trace_event::{TraceEvent, TraceKind};
use crate::event::ConnectionId;
use crate::tap::FrameText;

/// The largest buffer that a frame leaves to a smaller one.
const MAX_SPARE: usize = 16 * 1024;

/// When the broker was made, by the clock that measures and, since the Unix epoch, by the one on the wall.
pub(crate) type Start = (Instant, Duration);

/// How a protocol puts a piece of its stream into words.
pub(crate) type Describe = fn(&[u8]) -> FrameText;

/// What the router decided about a message.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    Forwarded { number: u64, to: LinkName, address: Arc<str> },
    Waits { number: u64, address: Arc<str> },
    Dropped { number: u64, address: Arc<str>, why: Arc<str> },
    Ruled { number: u64, address: Arc<str>, what: &'static str },
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Forwarded { number, to, address } => {
                write!(f, "message {number} at {address:?} goes to {to}")
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

/// The ring of lines, and the writers that get each of them.
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
                let FrameText { channel, name, fields, payload, .. } = describe(&entry.bytes);
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
