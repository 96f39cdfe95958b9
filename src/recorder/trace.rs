//! The trace: what was on the wire and what was decided, in order. Frames are kept as bytes and put into words when somebody
//! asks, or at once if they go on to a log or a file. Of a long payload only the beginning is kept.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::RecorderConfig;
use super::messages::LinkName;
use super::pcap::Pcap;
use super::sink::Sink;
use super::trace_event::{TraceEvent, TraceKind};
use crate::event::ConnectionId;
use crate::tap::{Direction, Frame, FrameHead, FrameReader, FrameText};

/// The largest buffer that a frame leaves to another, and how many of them.
const MAX_SPARE: usize = 4 * 1024;
const MAX_SPARES: usize = 1024;

/// When the broker was made, by the clock that measures and, since the Unix epoch, by the one on the wall.
pub(crate) type Start = (Instant, Duration);

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
    /// `len` is the size of the whole frame, of which the end may not be kept.
    Frame {
        direction: Direction,
        reader: &'static FrameReader,
        len: usize,
    },
    Decision(Decision),
    Note(Arc<str>),
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    connection: Option<ConnectionId>,
    what: What,
    /// Of a frame, its bytes; without the end of a long payload.
    bytes: Vec<u8>,
}

impl Entry {
    /// Of a frame, its whole size.
    fn len(&self) -> usize {
        match self.what {
            What::Frame { len, .. } => len,
            _ => 0,
        }
    }
}

/// The ring of lines, and the writers that get each of them.
#[derive(Debug)]
pub(super) struct Trace {
    limit: usize,
    max_bytes: usize,
    /// Bytes of a payload that are kept at least. A frame without payload is kept whole.
    payload_bytes: usize,
    entries: VecDeque<Entry>,
    bytes: usize,
    sinks: Vec<Sink>,
    /// Tells this broker's connections from those of others that write to the same place.
    salt: u64,
    started: Instant,
    /// The same, since the Unix epoch.
    started_at: Duration,
    now: Instant,
    /// Whether each line goes to the log.
    logs: bool,
    /// Whether some sink takes whole frames.
    wants_bytes: bool,
    /// Frames that have come and that the engine has not read yet.
    unread: VecDeque<Entry>,
    /// Bytes of the first of these that the engine has read.
    read: usize,
    /// Buffers of frames that have gone, for those that come.
    spare: Vec<Vec<u8>>,
}

impl Trace {
    pub(super) fn new(config: RecorderConfig, salt: u64, (now, epoch): Start) -> Trace {
        let wants_bytes = config.sinks.iter().any(Sink::takes_bytes);
        Trace {
            limit: config.events,
            max_bytes: RecorderConfig::TRACE_BYTES,
            payload_bytes: if config.whole_frames { usize::MAX } else { RecorderConfig::PAYLOAD_BYTES },
            entries: VecDeque::new(),
            bytes: 0,
            sinks: config.sinks,
            salt,
            started: now,
            started_at: epoch,
            now,
            logs: false,
            wants_bytes,
            unread: VecDeque::new(),
            read: 0,
            spare: Vec::new(),
        }
    }

    pub(super) fn set_now(&mut self, now: Instant) {
        self.now = now;
        self.logs = log::log_enabled!(target: "fakebroker::trace", log::Level::Trace);
    }

    pub(super) fn is_on(&self) -> bool {
        self.limit > 0 || self.logs || !self.sinks.is_empty()
    }

    pub(super) fn decided(&mut self, decision: Decision) {
        self.note(None, What::Decision(decision));
    }

    pub(super) fn note(&mut self, connection: Option<ConnectionId>, what: What) {
        self.put(Entry { at: self.now, connection, what, bytes: Vec::new() });
    }

    /// A frame that goes to a peer.
    pub(super) fn sent(&mut self, connection: ConnectionId, reader: &'static FrameReader, frame: &Frame<'_>) {
        let entry = self.entry(connection, Direction::Outgoing, reader, frame);
        self.put(entry);
    }

    /// A frame that has come and that the engine has not read yet. Its line stands where [`Trace::read`] says that it has.
    pub(super) fn received(&mut self, connection: ConnectionId, reader: &'static FrameReader, frame: &Frame<'_>) {
        let entry = self.entry(connection, Direction::Incoming, reader, frame);
        self.unread.push_back(entry);
    }

    /// An engine has read so many bytes of the frames that have come.
    pub(super) fn read(&mut self, bytes: usize) {
        self.read = self.read.saturating_add(bytes);
        while self.unread.front().is_some_and(|entry| entry.len() <= self.read)
            && let Some(entry) = self.unread.pop_front()
        {
            self.read -= entry.len();
            self.put(entry);
        }
        if self.unread.is_empty() {
            self.read = 0;
        }
    }

    pub(super) fn forget_unread(&mut self) {
        self.unread.clear();
        self.read = 0;
    }

    fn entry(
        &mut self,
        connection: ConnectionId,
        direction: Direction,
        reader: &'static FrameReader,
        frame: &Frame<'_>,
    ) -> Entry {
        let count = if self.wants_bytes { frame.len() } else { self.kept_of(reader, frame.beginning(), frame.len()) };
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        frame.copy_to(count, &mut bytes);
        let what = What::Frame { direction, reader, len: frame.len() };
        Entry { at: self.now, connection: Some(connection), what, bytes }
    }

    /// How many bytes are kept of a frame of `len` bytes that begins like this.
    fn kept_of(&self, reader: &FrameReader, beginning: &[u8], len: usize) -> usize {
        if len <= self.payload_bytes {
            return len;
        }
        match (reader.head)(beginning) {
            Some(FrameHead { payload_at: None, .. }) => len,
            Some(FrameHead { payload_at: Some(start), .. }) => len.min(start + self.payload_bytes),
            None => self.payload_bytes,
        }
    }

    /// Adds a line, and lets the oldest go to make room for it.
    fn put(&mut self, mut entry: Entry) {
        if self.logs || !self.sinks.is_empty() {
            self.pass_on(&entry);
            if let What::Frame { reader, .. } = entry.what {
                let kept = self.kept_of(reader, &entry.bytes, entry.len());
                entry.bytes.truncate(kept);
            }
        }
        while self.entries.len() >= self.limit
            || (self.bytes + entry.bytes.len() > self.max_bytes && !self.entries.is_empty())
        {
            let Some(old) = self.entries.pop_front() else { break };
            self.bytes -= old.bytes.len();
            // What is bounded is bytes, not capacity.
            if (1..=MAX_SPARE).contains(&old.bytes.capacity()) && self.spare.len() < MAX_SPARES {
                self.spare.push(old.bytes);
            }
        }
        if self.limit > 0 {
            self.bytes += entry.bytes.len();
            self.entries.push_back(entry);
        }
    }

    /// Writes a line to the log and to all sinks.
    fn pass_on(&self, entry: &Entry) {
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
            What::Frame { direction, reader, len } => {
                let FrameText { channel, name, fields, payload } = (reader.describe)(&entry.bytes, *len);
                let incoming = *direction == Direction::Incoming;
                TraceKind::Frame { incoming, channel, name: name.into_owned(), fields, payload }
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
                    What::Frame { direction, len, .. } => {
                        pcap.bytes(id, *direction == Direction::Incoming, at, &entry.bytes, *len)?;
                    }
                    What::Decision(_) | What::Note(_) => {}
                }
            }
            Ok(())
        });
        file
    }
}
