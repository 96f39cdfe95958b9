//! The trace: a ring of frames, decisions and notes, in order. Frames are kept as bytes and described when they are
//! read, or at once if the trace is logged or written. A large payload is kept in part.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::RecorderConfig;
use super::entry::{Decision, Entry, KeptFrames, Line, What, first_extent};
use super::pcap::Pcap;
use super::sink::Sink;
use super::trace_event::TraceEvent;
use crate::event::ConnectionId;
use crate::live::live;
use crate::tap::{Direction, FrameReader, Frames};

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
    spare_frames: Vec<KeptFrames>,
    spare_decisions: Vec<Vec<Decision>>,
}

/// The frames of one connection that have come and that its engine has not read.
#[derive(Debug, Default)]
struct Unread {
    frames: VecDeque<UnreadFrames>,
    /// The bytes that are kept of them, one frame after the other.
    bytes: Vec<u8>,
    /// The number of bytes in there of frames that have been read.
    start: usize,
    /// The number of bytes of the first frame that have been read.
    read: usize,
}

/// A frame of `len` bytes, or `count` small frames that are kept whole.
#[derive(Debug)]
struct UnreadFrames {
    reader: &'static FrameReader,
    count: usize,
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
            spare_frames: Vec::new(),
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
        if self.passes_on() {
            decision.each_line(&mut |line| self.pass_on(None, line));
        }
        let count = decision.messages.count;
        if let Some(Entry { at, what: What::Decisions(decisions), lines, .. }) = self.entries.back_mut()
            && *at == self.now
            && *lines < LINES
        {
            decisions.push(decision);
            *lines += count;
            self.lines += count;
            return;
        }
        let mut decisions = self.spare_decisions.pop().unwrap_or_default();
        decisions.push(decision);
        self.put_lines(None, What::Decisions(decisions), count);
    }

    /// Adds frames that are sent to a client.
    pub(super) fn sent(&mut self, connection: ConnectionId, reader: &'static FrameReader, frames: &Frames<'_>) {
        let extent = (frames.count(), frames.len());
        if self.passes_on() {
            let mut bytes = Vec::new();
            frames.copy_to(self.wanted_of(reader, frames), &mut bytes);
            self.pass_on_frames(connection, Direction::Outgoing, reader, &bytes, extent);
        }
        let kept = self.kept_of(reader, frames.beginning(), extent);
        let of = (connection, Direction::Outgoing, reader);
        self.keep(of, extent, kept, |buffer| frames.copy_to(kept, buffer));
    }

    /// Takes frames that have come and that the engine has not read yet. [`Trace::read`] adds them.
    pub(super) fn received(&mut self, reader: &'static FrameReader, frames: &Frames<'_>) {
        let (count, len, kept) = (frames.count(), frames.len(), self.wanted_of(reader, frames));
        frames.copy_to(kept, &mut self.unread.bytes);
        self.unread.frames.push_back(UnreadFrames { reader, count, len, kept });
    }

    /// Adds the frames that an engine has read: `bytes` of those that have come.
    pub(super) fn read(&mut self, connection: ConnectionId, bytes: usize) {
        let mut unread = std::mem::take(&mut self.unread);
        unread.read += bytes;
        while let Some(UnreadFrames { reader, count, len, kept }) = unread.take_read() {
            let bytes =
                live(unread.bytes.get(unread.start - kept..unread.start), "the bytes of frames").unwrap_or_default();
            if self.passes_on() {
                self.pass_on_frames(connection, Direction::Incoming, reader, bytes, (count, len));
            }
            let kept = if self.wants_bytes { self.kept_of(reader, bytes, (count, len)) } else { kept };
            let of = (connection, Direction::Incoming, reader);
            self.keep(of, (count, len), kept, |buffer| buffer.extend_from_slice(bytes.get(..kept).unwrap_or(bytes)));
        }
        if unread.frames.is_empty() {
            unread.clear();
        }
        self.unread = unread;
    }

    pub(super) fn forget_unread(&mut self) {
        self.unread.clear();
    }

    /// The number of bytes that are written or kept of these frames.
    fn wanted_of(&self, reader: &FrameReader, frames: &Frames<'_>) -> usize {
        let extent = (frames.count(), frames.len());
        if self.wants_bytes { frames.len() } else { self.kept_of(reader, frames.beginning(), extent) }
    }

    /// The number of bytes that are kept of a frame of `len` bytes with this beginning, or of `count` small frames.
    fn kept_of(&self, reader: &FrameReader, beginning: &[u8], (count, len): (usize, usize)) -> usize {
        if count > 1 || len <= Frames::SMALL.max(self.payload_bytes) {
            return len;
        }
        match (reader.payload_at)(beginning) {
            Some(start) => len.min(start + self.payload_bytes),
            None if (reader.head)(beginning).is_some() => len,
            // Bytes that are no frame may have any length.
            None => self.payload_bytes,
        }
    }

    /// Adds a frame of `len` bytes, or `count` small frames. `fill` appends the `kept` bytes that are kept.
    fn keep(
        &mut self,
        (connection, direction, reader): (ConnectionId, Direction, &'static FrameReader),
        (count, len): (usize, usize),
        kept: usize,
        fill: impl FnOnce(&mut Vec<u8>),
    ) {
        let large = (count == 1 && len > Frames::SMALL).then_some(len);
        if let Some(Entry { at, connection: of, what, lines }) = self.entries.back_mut()
            && let What::Frames { direction: goes, reader: read_by, frames } = what
            && (*at, *of, *goes) == (self.now, Some(connection), direction)
            && std::ptr::eq(*read_by, reader)
            && *lines < LINES
            && frames.bytes.len() < BYTES
        {
            frames.push(kept, large, fill);
            *lines += count;
            self.lines += count;
            self.bytes += kept;
            return;
        }
        let mut frames = self.spare_frames.pop().unwrap_or_default();
        frames.push(kept, large, fill);
        self.put_lines(Some(connection), What::Frames { direction, reader, frames }, count);
    }

    /// Writes the line of each of these frames.
    #[cold]
    fn pass_on_frames(
        &mut self,
        connection: ConnectionId,
        direction: Direction,
        reader: &'static FrameReader,
        mut bytes: &[u8],
        (count, len): (usize, usize),
    ) {
        if count == 1 {
            return self.pass_on(Some(connection), Line::Frame { direction, reader, bytes, len });
        }
        while !bytes.is_empty() {
            let (frame, others) = bytes.split_at(first_extent(reader, bytes));
            self.pass_on(Some(connection), Line::Frame { direction, reader, bytes: frame, len: frame.len() });
            bytes = others;
        }
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
                What::Frames { mut frames, .. } => {
                    self.bytes -= frames.bytes.len();
                    if frames.bytes.capacity() <= MAX_SPARE && self.spare_frames.len() < SPARES {
                        frames.clear();
                        self.spare_frames.push(frames);
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
                    Line::Decision { .. } | Line::Note(_) => Ok(()),
                };
            });
        }
        file
    }
}

impl Unread {
    /// Removes and returns the first frames, as far as they have been read. Their bytes end at `start` then. None if the first
    /// frame has not been read to its end.
    fn take_read(&mut self) -> Option<UnreadFrames> {
        let first = self.frames.front_mut()?;
        let taken = if first.len <= self.read {
            self.frames.pop_front()?
        } else {
            // Of small frames, some may have been read.
            let (mut len, mut count) = (0, 0);
            while count + 1 < first.count
                && let Some(rest) = self.bytes.get(self.start + len..)
                && let extent = first_extent(first.reader, rest)
                && len + extent <= self.read
            {
                len += extent;
                count += 1;
            }
            if count == 0 {
                return None;
            }
            first.count -= count;
            first.len -= len;
            first.kept -= len;
            UnreadFrames { reader: first.reader, count, len, kept: len }
        };
        self.read -= taken.len;
        self.start += taken.kept;
        Some(taken)
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.bytes.clear();
        (self.start, self.read) = (0, 0);
    }
}
