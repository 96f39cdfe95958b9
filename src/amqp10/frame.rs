//! Framing (2.3): splits a stream into frames and writes frames, whatever their bodies are.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::definitions::Condition;
use super::types::WRITTEN;
use super::violation::Violation;
use crate::live::live;

/// The size of a frame header (2.3.1): size, data offset, type, channel.
pub(crate) const HEADER: usize = 8;

/// The frame size that every peer takes (2.8.19).
pub(crate) const MIN_MAX_FRAME_SIZE: u32 = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameType {
    Amqp,
    Sasl,
}

/// One frame, without its header and extended header. The body is a slice of what was read.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) frame_type: FrameType,
    pub(crate) channel: u16,
    pub(crate) body: Bytes,
}

/// Takes the next frame off `input`. None if it has not arrived whole; a malformed header is refused before its body arrives.
pub(crate) fn split(input: &mut BytesMut, max_frame_size: u32) -> Result<Option<Frame>, Violation> {
    let Some(&[s0, s1, s2, s3, doff, frame_type, c0, c1]) = input.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let size = u32::from_be_bytes([s0, s1, s2, s3]);
    // 2.3.1: the size includes the header; the offset counts words of four bytes and is at least two.
    if size < 8 {
        return Err(Violation::framing("2.3.1", "frame smaller than its header"));
    }
    if size > max_frame_size {
        return Err(Violation::framing("2.7.1", "frame larger than max-frame-size"));
    }
    let offset = usize::from(doff) * 4;
    let size = usize::try_from(size).map_err(|_| Violation::framing("2.3.1", "frame larger than memory"))?;
    if doff < 2 || offset > size {
        return Err(Violation::framing("2.3.1", "data offset outside the frame"));
    }
    let frame_type = match frame_type {
        0 => FrameType::Amqp,
        1 => FrameType::Sasl,
        _ => return Err(Violation::framing("2.3.1", "unknown frame type")),
    };
    if input.len() < size {
        return Ok(None);
    }
    let mut body = input.split_to(size).freeze();
    body.advance(offset);
    Ok(Some(Frame { frame_type, channel: u16::from_be_bytes([c0, c1]), body }))
}

/// Writes a frame whose body `write` writes. Fails, with part of the frame written, if it is larger than `max_frame_size`.
pub(crate) fn put(
    out: &mut BytesMut,
    frame_type: FrameType,
    channel: u16,
    max_frame_size: u32,
    write: impl FnOnce(&mut BytesMut),
) -> Result<(), Violation> {
    let start = put_header(out, frame_type, channel);
    write(out);
    let size = set_size(out, start, 0);
    if size > max_frame_size {
        return Err(Violation::session(
            "2.7.1",
            Condition::FrameSizeTooSmall,
            "the answer does not fit the peer's max-frame-size",
        ));
    }
    Ok(())
}

/// Writes a frame header whose size set_size() fills in. Returns where the frame starts.
pub(crate) fn put_header(out: &mut BytesMut, frame_type: FrameType, channel: u16) -> usize {
    let start = out.len();
    out.put_u32(0);
    out.put_u8(2);
    out.put_u8(match frame_type {
        FrameType::Amqp => 0,
        FrameType::Sasl => 1,
    });
    out.put_u16(channel);
    start
}

/// Fills in the size of the frame that starts at `start` and to which `more` bytes will be appended.
pub(crate) fn set_size(out: &mut BytesMut, start: usize, more: usize) -> u32 {
    let size = super::types::saturate(out.len() - start + more);
    let field = out.get_mut(start..).and_then(|frame| frame.first_chunk_mut());
    if let Some(field) = live(field, WRITTEN) {
        *field = size.to_be_bytes();
    }
    size
}
