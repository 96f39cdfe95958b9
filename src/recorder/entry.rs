//! The entries of the trace. An entry has one or more lines: frequent lines (small frames, decisions) share one, and
//! are separated when they are read.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::messages::LoggedLink;
use super::trace_event::TraceKind;
use crate::event::ConnectionId;
use crate::tap::{Direction, FrameReader, FrameText};

/// A decision of the router about a message.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    Forwarded { number: u64, to: LoggedLink, address: Arc<str> },
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

#[derive(Debug)]
pub(super) enum What {
    Connected(Arc<str>),
    Disconnected,
    /// Small whole frames, one after the other.
    Frames {
        direction: Direction,
        reader: &'static FrameReader,
        bytes: Vec<u8>,
    },
    /// A large frame of `len` bytes, of which the end may be missing.
    Frame {
        direction: Direction,
        reader: &'static FrameReader,
        bytes: Vec<u8>,
        len: usize,
    },
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
    Decision(&'a Decision),
    Note(&'a str),
}

impl Entry {
    /// The number of bytes of frames in the entry.
    pub(super) fn bytes(&self) -> usize {
        match &self.what {
            What::Frames { bytes, .. } | What::Frame { bytes, .. } => bytes.len(),
            What::Connected(_) | What::Disconnected | What::Decisions(_) | What::Note(_) => 0,
        }
    }

    /// Calls `see` with each line, in order.
    pub(super) fn each_line<'a>(&'a self, see: &mut dyn FnMut(Line<'a>)) {
        match &self.what {
            What::Connected(peer) => see(Line::Connected(peer)),
            What::Disconnected => see(Line::Disconnected),
            What::Frames { direction, reader, bytes } => {
                let (direction, mut rest) = (*direction, &bytes[..]);
                while !rest.is_empty() {
                    let extent = (reader.extent)(rest).unwrap_or(rest.len()).clamp(1, rest.len());
                    let (bytes, others) = rest.split_at(extent);
                    see(Line::Frame { direction, reader, bytes, len: extent });
                    rest = others;
                }
            }
            What::Frame { direction, reader, bytes, len } => {
                see(Line::Frame { direction: *direction, reader, bytes, len: *len });
            }
            What::Decisions(decisions) => decisions.iter().for_each(|decision| see(Line::Decision(decision))),
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
            Line::Decision(decision) => TraceKind::Decision { text: decision.to_string() },
            Line::Note(text) => TraceKind::Note { text: text.to_owned() },
        }
    }
}
