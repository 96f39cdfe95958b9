//! The entries of the trace. An entry has one or more lines: frequent lines (small frames, decisions) share one, and
//! are separated when they are read.

use std::sync::Arc;
use std::time::Instant;

use super::messages::LoggedLink;
use super::trace_event::TraceKind;
use crate::event::{ConnectionId, Numbers};
use crate::tap::{Direction, FrameReader, FrameText};

/// A decision of the router about messages. Each of them has its own line.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    pub(super) messages: Numbers,
    pub(super) address: Arc<str>,
    pub(super) kind: DecisionKind,
}

#[derive(Clone, Debug)]
pub(super) enum DecisionKind {
    Forwarded(LoggedLink),
    Waits,
    /// The message was dropped, for this reason.
    Dropped(Arc<str>),
    /// A hook decided this.
    Ruled(&'static str),
}

impl Decision {
    /// Calls `see` with the line of each message, in order.
    pub(super) fn each_line<'a>(&'a self, see: &mut dyn FnMut(Line<'a>)) {
        for number in self.messages.first..self.messages.end() {
            see(Line::Decision { number, address: &self.address, kind: &self.kind });
        }
    }
}

/// Returns the text of a decision about one message.
fn decision_text(number: u64, address: &str, kind: &DecisionKind) -> String {
    match kind {
        DecisionKind::Forwarded(to) => format!("message {number} at {address:?} goes to {to}"),
        DecisionKind::Waits => format!("message {number} at {address:?} waits"),
        DecisionKind::Dropped(why) => format!("message {number} at {address:?} dropped: {why}"),
        DecisionKind::Ruled(what) => format!("message {number} at {address:?}: a hook said {what}"),
    }
}

/// The bytes of frames of one connection in one direction, as far as they are kept.
#[derive(Debug, Default)]
pub(super) struct KeptFrames {
    pub(super) bytes: Vec<u8>,
    /// The frames larger than [`Frames::SMALL`](crate::tap::Frames::SMALL). The others are whole, and tell their length.
    pub(super) large: Vec<LargeFrame>,
}

/// A frame of `len` bytes, of which the first `kept` are in [`KeptFrames::bytes`], from `start`.
#[derive(Clone, Copy, Debug)]
pub(super) struct LargeFrame {
    pub(super) start: usize,
    pub(super) kept: usize,
    pub(super) len: usize,
}

impl KeptFrames {
    /// Adds small frames, or what is kept of a large one that has this length. `fill` appends the `kept` bytes.
    pub(super) fn push(&mut self, kept: usize, large: Option<usize>, fill: impl FnOnce(&mut Vec<u8>)) {
        if let Some(len) = large {
            self.large.push(LargeFrame { start: self.bytes.len(), kept, len });
        }
        fill(&mut self.bytes);
    }

    /// Removes all frames and keeps the buffers.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.large.clear();
    }

    /// Calls `see` with the bytes of each frame and its whole length, in order.
    fn each<'a>(&'a self, reader: &FrameReader, mut see: impl FnMut(&'a [u8], usize)) {
        let (mut rest, mut large) = (&self.bytes[..], self.large.iter().peekable());
        while !rest.is_empty() {
            let start = self.bytes.len() - rest.len();
            let (kept, len) = match large.next_if(|frame| frame.start <= start) {
                Some(frame) => (frame.kept.min(rest.len()), frame.len),
                None => {
                    let end = large.peek().map_or(self.bytes.len(), |frame| frame.start);
                    let extent = first_extent(reader, rest.get(..end - start).unwrap_or(rest));
                    (extent, extent)
                }
            };
            let (bytes, others) = rest.split_at(kept);
            see(bytes, len);
            rest = others;
        }
    }
}

/// Returns the length of the first frame in bytes. 0 if there is none.
pub(super) fn first_extent(reader: &FrameReader, frames: &[u8]) -> usize {
    (reader.extent)(frames).unwrap_or(frames.len()).max(1).min(frames.len())
}

#[derive(Debug)]
pub(super) enum What {
    Connected(Arc<str>),
    Disconnected,
    Frames { direction: Direction, reader: &'static FrameReader, frames: KeptFrames },
    Decisions(Vec<Decision>),
    Note(Arc<str>),
}

/// Lines of one kind and one moment.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) at: Instant,
    pub(super) connection: Option<ConnectionId>,
    pub(super) what: What,
    /// The number of lines.
    pub(super) lines: usize,
}

/// One line of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line<'a> {
    Connected(&'a str),
    Disconnected,
    /// A frame of `len` bytes, of which `bytes` are the first.
    Frame {
        direction: Direction,
        reader: &'static FrameReader,
        bytes: &'a [u8],
        len: usize,
    },
    Decision {
        number: u64,
        address: &'a str,
        kind: &'a DecisionKind,
    },
    Note(&'a str),
}

impl Entry {
    /// The number of bytes of frames in the entry.
    pub(super) fn bytes(&self) -> usize {
        match &self.what {
            What::Frames { frames, .. } => frames.bytes.len(),
            What::Connected(_) | What::Disconnected | What::Decisions(_) | What::Note(_) => 0,
        }
    }

    /// Calls `see` with each line, in order.
    pub(super) fn each_line<'a>(&'a self, see: &mut dyn FnMut(Line<'a>)) {
        match &self.what {
            What::Connected(peer) => see(Line::Connected(peer)),
            What::Disconnected => see(Line::Disconnected),
            What::Frames { direction, reader, frames } => {
                frames.each(reader, |bytes, len| see(Line::Frame { direction: *direction, reader, bytes, len }));
            }
            What::Decisions(decisions) => decisions.iter().for_each(|decision| decision.each_line(see)),
            What::Note(text) => see(Line::Note(text)),
        }
    }
}

impl From<Line<'_>> for TraceKind {
    fn from(line: Line<'_>) -> TraceKind {
        match line {
            Line::Connected(peer) => TraceKind::Connected { peer: peer.to_owned() },
            Line::Disconnected => TraceKind::Disconnected,
            Line::Frame { direction, reader, bytes, len } => {
                let FrameText { channel, name, fields, payload } = (reader.describe)(bytes, len);
                let incoming = direction == Direction::Incoming;
                TraceKind::Frame { incoming, channel, name: name.into_owned(), fields, payload }
            }
            Line::Decision { number, address, kind } => {
                TraceKind::Decision { text: decision_text(number, address, kind) }
            }
            Line::Note(text) => TraceKind::Note { text: text.to_owned() },
        }
    }
}
