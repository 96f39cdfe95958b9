//! A header or frame between a socket and an engine, its head, and the functions of an engine that read them.

use super::frame_text::FrameText;
use crate::outbox::Pieces;

/// The direction of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the client to the broker.
    Incoming,
    /// From the broker to the client.
    Outgoing,
}

/// A whole header or frame, or a piece of a stream that is neither; or several of them that are small and lie one behind the
/// other in one piece. The bytes lie where the engine reads or has written them.
#[derive(Clone, Debug)]
pub(crate) struct Frames<'a> {
    /// The first bytes, in one piece: all but the payload at least.
    first: &'a [u8],
    /// The other bytes, and bytes of later frames.
    rest: Pieces<'a>,
    len: usize,
    count: usize,
}

impl<'a> Frames<'a> {
    /// The largest frame that is shown together with others, in bytes.
    pub(crate) const SMALL: usize = 1024;

    /// The most frames that are shown together.
    pub(super) const MAX: usize = 64;

    pub(super) fn one(first: &'a [u8], rest: Pieces<'a>, len: usize) -> Frames<'a> {
        Frames { first, rest, len, count: 1 }
    }

    /// Takes bytes that are `count` small frames.
    pub(super) fn small(bytes: &'a [u8], count: usize) -> Frames<'a> {
        Frames { first: bytes, rest: Pieces::default(), len: bytes.len(), count }
    }

    /// Returns the length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the number of frames. If there are several, [`Frames::beginning`] has all their bytes.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Returns the first bytes: all before the payload, and some or all of that.
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

/// The head of a frame: the fields that say what it is about, read without decoding the rest. The trace uses `payload_at`; rules
/// can match by each field.
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
    /// The offset of the payload in the frame. None for a frame without payload.
    pub(crate) payload_at: Option<usize>,
}

/// The peer's name of a link on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkHead<'a> {
    /// 1.0: the handle.
    Handle(u32),
    /// 0-9-1: the consumer-tag.
    ConsumerTag(&'a str),
}

/// The functions that read the stream of a protocol. Each engine has one. They check nothing and keep no state.
#[derive(Debug)]
pub(crate) struct FrameReader {
    /// Returns how many bytes at the start of a stream are its next header or frame, which may be more than have arrived. None if
    /// too few have arrived to know. Bytes that are neither are one piece to their end.
    pub(crate) extent: fn(&[u8]) -> Option<usize>,
    /// Returns where the payload begins in the bytes that `extent` measured. None for a frame without payload, and for bytes that
    /// are no frame.
    pub(crate) payload_at: fn(&[u8]) -> Option<usize>,
    /// Returns the head of the bytes that `extent` measured, given at least those before the payload. None for bytes that are no
    /// frame.
    pub(crate) head: fn(&[u8]) -> Option<FrameHead<'_>>,
    /// Returns the text of the bytes that `extent` measured, given at least those before the payload, and the whole length.
    pub(crate) describe: fn(&[u8], usize) -> FrameText,
}
