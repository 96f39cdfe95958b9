//! The trace: a ring of frames, decisions and notes, in order. Frames are kept as bytes and described when they are
//! read, or at once if the trace is logged or written. A large payload is kept in part.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::RecorderConfig;
use super::entry::{Decision, Entry, Line, What};
use super::pcap::Pcap;
use super::sink::Sink;
use super::trace_event::TraceEvent;
use crate::event::ConnectionId;
use crate::live::live;
use crate::tap::{Direction, Frame, FrameReader};

/// The size up to which a frame is kept whole.
const SMALL: usize = 1024;

/// The most lines in an entry, give or take a run of messages, and the most bytes of their frames.
const LINES: usize = 64;
const BYTES: usize = 8 * 1024;

/// The largest buffer that is kept for reuse, and how many are kept.
const MAX_SPARE: usize = 32 * 1024;
const SPARES: usize = 16;

/// The time at which the broker was made, by the broker's clock and since the Unix epoch.
pub(crate) type Start = (Instant, Duration);

/// The ring of lines, and the writers that get each of them.
#[derive(Debug)]
pub(super) struct Trace {
    limit: usize,
    max_bytes: usize,
    /// Bytes that are kept of the payload in a large frame. A frame without payload is kept whole.
    payload_bytes: usize,
    entries: VecDeque<Entry>,
    /// The number of lines in all entries: `limit` or more, once so many have come.
    lines: usize,
    /// The number of bytes of frames in all entries.
    bytes: usize,
    sinks: Vec<Sink>,
    /// Tells this broker's connections from those of others that write to the same capture.
    salt: u64,
    started: Instant,
    /// The time since the Unix epoch at `started`.
    started_at: Duration,
    now: Instant,
    /// Whether each line goes to the log.
    logs: bool,
    /// Whether some sink takes whole frames.
    wants_bytes: bool,
    unread: Unread,
    /// Buffers of entries that have fallen out, for reuse.
    spare_bytes: Vec<Vec<u8>>,
    spare_decisions: Vec<Vec<Decision>>,
}

/// The frames of one connection that have come and that its engine has not read.
#[derive(Debug, Default)]
struct Unread {
    frames: VecDeque<UnreadFrame>,
    /// The bytes that are kept of them, one frame after the other.
    bytes: Vec<u8>,
    /// The number of bytes in there of frames that have been read.
    start: usize,
    /// The number of bytes of the first frame that have been read.
    read: usize,
}

#[derive(Debug)]
struct UnreadFrame {
    reader: &'static FrameReader,
    len: usize,
    kept: usize,
}

impl Trace {
    pub(super) fn new(config: RecorderConfig, salt: u64, (now, epoch): Start) -> Trace {
        let wants_bytes = config.sinks.iter().any(Sink::takes_bytes);
        Trace {
            limit: config.events,
            max_bytes: RecorderConfig::TRACE_BYTES,
            payload_bytes: if config.whole_frames { usize::MAX } else { RecorderConfig::PAYLOAD_BYTES },
            entries: VecDeque::new(),
            lines: 0,
            bytes: 0,
            sinks: config.sinks,
            salt,
            started: now,
            started_at: epoch,
            now,
            logs: false,
            wants_bytes,
            unread: Unread::default(),
            spare_bytes: Vec::new(),
            spare_decisions: Vec::new(),
        }
    }

    pub(super) fn set_now(&mut self, now: Instant) {
        self.now = now;
        self.logs = log::log_enabled!(target: "fakebroker::trace", log::Level::Trace);
    }

    pub(super) fn is_on(&self) -> bool {
        self.limit > 0 || self.passes_on()
    }

    /// Whether each line is logged or written when it comes.
    fn passes_on(&self) -> bool {
        self.logs || !self.sinks.is_empty()
    }

    pub(super) fn connected(&mut self, connection: ConnectionId, peer: &Arc<str>) {
        self.pass_on(Some(connection), Line::Connected(peer));
        self.put(Some(connection), What::Connected(peer.clone()));
    }

    pub(super) fn disconnected(&mut self, connection: ConnectionId) {
        self.pass_on(Some(connection), Line::Disconnected);
        self.put(Some(connection), What::Disconnected);
    }

    pub(super) fn noted(&mut self, connection: Option<ConnectionId>, text: &str) {
        self.pass_on(connection, Line::Note(text));
        self.put(connection, What::Note(text.into()));
    }

    pub(super) fn decided(&mut self, decision: Decision) {
        self.pass_on(None, Line::Decision(&decision));
        if let Some(Entry { at, what: What::Decisions(decisions), lines, .. }) = self.entries.back_mut()
            && *at == self.now
            && *lines < LINES
        {
            decisions.push(decision);
            *lines += 1;
            self.lines += 1;
            return;
        }
        let mut decisions = self.spare_decisions.pop().unwrap_or_default();
        decisions.push(decision);
        self.put(None, What::Decisions(decisions));
    }

    /// Adds a frame that is sent to a client.
    pub(super) fn sent(&mut self, connection: ConnectionId, reader: &'static FrameReader, frame: &Frame<'_>) {
        let (len, kept) = (frame.len(), self.wanted_of(reader, frame.beginning(), frame.len()));
        match frame.beginning().get(..kept) {
            Some(bytes) if len <= SMALL && !self.passes_on() => {
                self.add_small(connection, Direction::Outgoing, reader, bytes, 1);
            }
            Some(bytes) => self.add(connection, Direction::Outgoing, reader, bytes, len),
            None => {
                let mut bytes = Vec::with_capacity(kept);
                frame.copy_to(kept, &mut bytes);
                self.add(connection, Direction::Outgoing, reader, &bytes, len);
            }
        }
    }

    /// Takes a frame that has come and that the engine has not read yet. [`Trace::read`] adds it.
    pub(super) fn received(&mut self, reader: &'static FrameReader, frame: &Frame<'_>) {
        let (len, kept) = (frame.len(), self.wanted_of(reader, frame.beginning(), frame.len()));
        frame.copy_to(kept, &mut self.unread.bytes);
        self.unread.frames.push_back(UnreadFrame { reader, len, kept });
    }

    /// Adds the frames that an engine has read: `bytes` of those that have come.
    pub(super) fn read(&mut self, connection: ConnectionId, bytes: usize) {
        let mut unread = std::mem::take(&mut self.unread);
        unread.read += bytes;
        while let Some(UnreadFrame { reader, len, .. }) = unread.frames.front()
            && *len <= unread.read
        {
            let (reader, mut len, first) = (*reader, *len, unread.start);
            // Small frames are added together.
            let mut frames = 0;
            while let Some(frame) = unread.frames.front()
                && frame.len <= unread.read
                && (frames == 0 || frame.len <= SMALL && len <= SMALL && !self.passes_on())
            {
                len = frame.len;
                frames += 1;
                unread.read -= frame.len;
                unread.start += frame.kept;
                unread.frames.pop_front();
            }
            let kept = live(unread.bytes.get(first..unread.start), "the bytes of frames").unwrap_or_default();
            if frames > 1 {
                self.add_small(connection, Direction::Incoming, reader, kept, frames);
            } else {
                self.add(connection, Direction::Incoming, reader, kept, len);
            }
        }
        if unread.frames.is_empty() {
            unread.clear();
        }
        self.unread = unread;
    }

    pub(super) fn forget_unread(&mut self) {
        self.unread.clear();
    }

    /// The number of bytes that are written or kept of a frame of `len` bytes with this beginning.
    fn wanted_of(&self, reader: &FrameReader, beginning: &[u8], len: usize) -> usize {
        if self.wants_bytes { len } else { self.kept_of(reader, beginning, len) }
    }

    /// The number of bytes that are kept of a frame of `len` bytes with this beginning.
    fn kept_of(&self, reader: &FrameReader, beginning: &[u8], len: usize) -> usize {
        if len <= SMALL.max(self.payload_bytes) {
            return len;
        }
        match (reader.payload_at)(beginning) {
            Some(start) => len.min(start + self.payload_bytes),
            None if (reader.head)(beginning).is_some() => len,
            // Bytes that are no frame may have any length.
            None => self.payload_bytes,
        }
    }

    /// Adds a frame of `len` bytes, of which `bytes` are the first.
    fn add(
        &mut self,
        connection: ConnectionId,
        direction: Direction,
        reader: &'static FrameReader,
        bytes: &[u8],
        len: usize,
    ) {
        self.pass_on(Some(connection), Line::Frame { direction, reader, bytes, len });
        if len <= SMALL {
            return self.add_small(connection, direction, reader, bytes, 1);
        }
        let kept = if self.wants_bytes { self.kept_of(reader, bytes, len) } else { bytes.len() };
        let mut buffer = self.spare_bytes.pop().unwrap_or_default();
        buffer.extend_from_slice(bytes.get(..kept).unwrap_or(bytes));
        self.put(Some(connection), What::Frame { direction, reader, bytes: buffer, len });
    }

    /// Adds whole frames, one after the other.
    fn add_small(
        &mut self,
        connection: ConnectionId,
        direction: Direction,
        reader: &'static FrameReader,
        frames: &[u8],
        count: usize,
    ) {
        if let Some(Entry { at, connection: of, what, lines }) = self.entries.back_mut()
            && let What::Frames { direction: goes, reader: read_by, bytes } = what
            && (*at, *of, *goes) == (self.now, Some(connection), direction)
            && std::ptr::eq(*read_by, reader)
            && *lines < LINES
            && bytes.len() < BYTES
        {
            bytes.extend_from_slice(frames);
            *lines += count;
            self.lines += count;
            self.bytes += frames.len();
            return;
        }
        let mut bytes = self.spare_bytes.pop().unwrap_or_default();
        bytes.extend_from_slice(frames);
        self.put_lines(Some(connection), What::Frames { direction, reader, bytes }, count);
    }

    fn put(&mut self, connection: Option<ConnectionId>, what: What) {
        self.put_lines(connection, what, 1);
    }

    fn put_lines(&mut self, connection: Option<ConnectionId>, what: What, lines: usize) {
        if self.limit > 0 {
            let entry = Entry { at: self.now, connection, what, lines };
            self.lines += lines;
            self.bytes += entry.bytes();
            self.entries.push_back(entry);
            self.shrink();
        }
    }

    /// Removes the oldest entries while those behind them have `limit` lines, or all together have too many bytes.
    fn shrink(&mut self) {
        while let Some(first) = self.entries.front()
            && (self.lines - first.lines >= self.limit || (self.bytes > self.max_bytes && self.entries.len() > 1))
            && let Some(Entry { what, lines, .. }) = self.entries.pop_front()
        {
            self.lines -= lines;
            match what {
                What::Frames { mut bytes, .. } | What::Frame { mut bytes, .. } => {
                    self.bytes -= bytes.len();
                    if bytes.capacity() <= MAX_SPARE && self.spare_bytes.len() < SPARES {
                        bytes.clear();
                        self.spare_bytes.push(bytes);
                    }
                }
                What::Decisions(mut decisions) => {
                    if self.spare_decisions.len() < SPARES {
                        decisions.clear();
                        self.spare_decisions.push(decisions);
                    }
                }
                What::Connected(_) | What::Disconnected | What::Note(_) => {}
            }
        }
    }

    /// Writes a line to the log and to all sinks.
    #[inline]
    fn pass_on(&self, connection: Option<ConnectionId>, line: Line<'_>) {
        if self.passes_on() {
            self.write(connection, line);
        }
    }

    fn write(&self, connection: Option<ConnectionId>, line: Line<'_>) {
        let event = self.event(self.now, connection, line);
        if self.logs {
            log::trace!(target: "fakebroker::trace", "{event}");
        }
        let bytes = match line {
            Line::Frame { bytes, .. } => bytes,
            _ => &[],
        };
        for sink in &self.sinks {
            sink.put(&event, self.salt, self.started_at + event.at, bytes);
        }
    }

    fn event(&self, at: Instant, connection: Option<ConnectionId>, line: Line<'_>) -> TraceEvent {
        TraceEvent { at: at.saturating_duration_since(self.started), connection, kind: line.into() }
    }

    /// Calls `see` with each of the last lines, in order.
    fn each_line<'a>(&'a self, mut see: impl FnMut(&'a Entry, Line<'a>)) {
        let mut skipped = self.lines.saturating_sub(self.limit);
        for entry in &self.entries {
            entry.each_line(&mut |line| match skipped {
                0 => see(entry, line),
                _ => skipped -= 1,
            });
        }
    }

    pub(super) fn events(&self) -> Vec<TraceEvent> {
        let mut events = Vec::with_capacity(self.lines.min(self.limit));
        self.each_line(|entry, line| events.push(self.event(entry.at, entry.connection, line)));
        events
    }

    pub(super) fn flush(&mut self) {
        self.sinks.iter().for_each(Sink::flush);
    }

    pub(super) fn pcap(&self) -> Vec<u8> {
        let mut file = Vec::new();
        // Writing to memory does not fail.
        if let Ok(mut pcap) = Pcap::new(&mut file) {
            self.each_line(|entry, line| {
                let at = self.started_at + entry.at.saturating_duration_since(self.started);
                let Some(id) = entry.connection.map(|id| u64::from(id.get())) else { return };
                let _ = match line {
                    Line::Connected(_) => pcap.connect(id, at),
                    Line::Disconnected => pcap.close(id, at),
                    Line::Frame { direction, bytes, len, .. } => {
                        pcap.bytes(id, direction == Direction::Incoming, at, bytes, len)
                    }
                    Line::Decision(_) | Line::Note(_) => Ok(()),
                };
            });
        }
        file
    }
}

impl Unread {
    fn clear(&mut self) {
        self.frames.clear();
        self.bytes.clear();
        (self.start, self.read) = (0, 0);
    }
}
