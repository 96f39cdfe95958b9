//! A header or frame as it passes between a socket and an engine, and what can be said of it without decoding all of it.

use super::frame_text::FrameText;
use crate::outbox::Pieces;

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the client to the broker.
    Incoming,
    /// From the broker to the client.
    Outgoing,
}

/// A whole header or frame, or a piece of a stream that is neither. Its bytes lie where the engine reads or has written them.
#[derive(Clone, Debug)]
pub(crate) struct Frame<'a> {
    /// As many of the first bytes as lie in one piece: all but the payload at least.
    first: &'a [u8],
    /// Where the other bytes are, and more behind them.
    rest: Pieces<'a>,
    len: usize,
}

impl<'a> Frame<'a> {
    pub(super) fn new(first: &'a [u8], rest: Pieces<'a>, len: usize) -> Frame<'a> {
        Frame { first, rest, len }
    }

    /// Bytes in all.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first bytes: all of them, or all that comes before the payload and perhaps some of that.
    pub(crate) fn beginning(&self) -> &'a [u8] {
        self.first
    }

    /// Appends the first `count` bytes to `to`.
    pub(crate) fn copy_to(&self, mut count: usize, to: &mut Vec<u8>) {
        for piece in std::iter::once(self.first).chain(self.rest.clone()) {
            let part = piece.get(..count).unwrap_or(piece);
            to.extend_from_slice(part);
            count -= part.len();
            if count == 0 {
                return;
            }
        }
    }
}

/// What a frame is about, as far as that is known without decoding the rest of it. The trace asks where the payload begins; a
/// rule can match by all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FrameHead<'a> {
    /// The specification's name: `transfer`, `basic.publish`, `header`, `heartbeat`.
    pub(crate) kind: &'static str,
    /// None where the protocol has no channels yet.
    pub(crate) channel: Option<u16>,
    /// The link that the frame is about.
    pub(crate) link: Option<LinkHead<'a>>,
    /// The delivery-id of 1.0, the delivery-tag of 0-9-1; the first, where the frame is about several.
    pub(crate) delivery: Option<u64>,
    /// The node that the frame names: a terminus, a queue, a routing key.
    pub(crate) address: Option<&'a str>,
    /// Where the message's bytes begin, counted from the beginning of the frame. None for a frame without any.
    pub(crate) payload_at: Option<usize>,
}

/// What a peer calls a link on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkHead<'a> {
    /// 1.0: the handle.
    Handle(u32),
    /// 0-9-1: the consumer-tag.
    ConsumerTag(&'a str),
}

/// How a protocol's stream is taken apart. Each engine has one; the functions check nothing and remember nothing.
#[derive(Debug)]
pub(crate) struct FrameReader {
    /// How many bytes of a stream that begins like this are its next header or frame; more than there are, if more have to
    /// come. None if there are too few bytes to know. What is neither a header nor a frame is one piece to its end.
    pub(crate) extent: fn(&[u8]) -> Option<usize>,
    /// Where the message's bytes begin in what `extent` measured. None for a frame without any, and for what is no frame.
    pub(crate) payload_at: fn(&[u8]) -> Option<usize>,
    /// The head of what `extent` measured, given all that comes before the payload. None for what is no frame.
    pub(crate) head: fn(&[u8]) -> Option<FrameHead<'_>>,
    /// What `extent` measured, in words, given at least all that comes before the payload, and the whole length.
    pub(crate) describe: fn(&[u8], usize) -> FrameText,
}
