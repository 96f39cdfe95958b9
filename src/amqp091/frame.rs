//! 4.2.3: framing. Splits a stream into frames and writes frames. Knows nothing of their payloads but where those of a
//! publish and of an ack lie.

use bytes::{BufMut, Bytes, BytesMut};

use super::types::saturate;
use super::violation::Violation;
use crate::live::live;

/// The size of a frame header: type, channel and payload size.
pub(crate) const HEADER: usize = 7;

/// The size of a frame without its payload: its header and its frame-end octet.
pub(crate) const OVERHEAD: usize = HEADER + 1;

const END: u8 = 0xce;

/// The frame-max that every peer accepts.
pub(crate) const MIN_FRAME_MAX: u32 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameType {
    Method,
    Header,
    Body,
    Heartbeat,
}

impl FrameType {
    fn of(octet: u8) -> Option<FrameType> {
        Some(match octet {
            1 => FrameType::Method,
            2 => FrameType::Header,
            3 => FrameType::Body,
            8 => FrameType::Heartbeat,
            _ => return None,
        })
    }

    fn octet(self) -> u8 {
        match self {
            FrameType::Method => 1,
            FrameType::Header => 2,
            FrameType::Body => 3,
            FrameType::Heartbeat => 8,
        }
    }
}

/// A frame, with all its octets as they were read.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) frame_type: FrameType,
    pub(crate) channel: u16,
    pub(crate) bytes: Bytes,
}

impl Frame {
    pub(crate) fn payload(&self) -> &[u8] {
        self.bytes.get(HEADER..self.bytes.len().saturating_sub(1)).unwrap_or_default()
    }
}

/// The payload size of the frame that starts at `at`.
pub(crate) fn payload_size(bytes: &[u8], at: usize) -> Option<usize> {
    let size = bytes.get(at + 3..)?.first_chunk()?;
    usize::try_from(u32::from_be_bytes(*size)).ok()
}

/// Takes the next frame off `input`. None if not all of it has come. Fails as soon as its header is wrong, before the
/// payload comes.
pub(crate) fn split(input: &mut BytesMut, frame_max: u32) -> Result<Option<Frame>, Violation> {
    let Some(&[frame_type, c0, c1, s0, s1, s2, s3]) = input.first_chunk::<HEADER>() else {
        // 4.2.3: an unknown type is refused before the rest of the header comes.
        return match input.first().map(|octet| FrameType::of(*octet)) {
            Some(None) => Err(Violation::frame("unknown frame type")),
            _ => Ok(None),
        };
    };
    let frame_type = FrameType::of(frame_type).ok_or_else(|| Violation::frame("unknown frame type"))?;
    let size = u32::from_be_bytes([s0, s1, s2, s3]);
    if size > frame_max - saturate(OVERHEAD) {
        return Err(Violation::frame("frame larger than frame-max"));
    }
    let end = usize::try_from(size).map_err(|_| Violation::frame("frame larger than memory"))? + HEADER;
    match input.get(end) {
        None => return Ok(None),
        Some(&END) => {}
        Some(_) => return Err(Violation::frame("no frame-end octet where the frame ends")),
    }
    let bytes = input.split_to(end + 1).freeze();
    Ok(Some(Frame { frame_type, channel: u16::from_be_bytes([c0, c1]), bytes }))
}

/// The channel and the size of the publish at the start of `input`: a method frame, a header frame and all its body
/// frames. None if not all of them have come or a rule is broken; [`split`] then takes frame by frame.
pub(crate) fn whole_publish(input: &[u8], frame_max: u32) -> Option<(u16, usize)> {
    let &[1, c0, c1, _, _, _, _, 0, 60, 0, 40, ..] = input else { return None };
    let limit = usize::try_from(frame_max).ok()? - OVERHEAD;
    // The end of the frame of this type that starts at `at`. None if the frame is not whole or breaks a rule.
    let end_of = |at: usize, frame_type: u8| {
        let &[kind, d0, d1, s0, s1, s2, s3] = input.get(at..)?.first_chunk::<HEADER>()?;
        let size = usize::try_from(u32::from_be_bytes([s0, s1, s2, s3])).ok()?;
        let end = at + HEADER + size;
        let good = kind == frame_type && [d0, d1] == [c0, c1] && size <= limit && input.get(end) == Some(&END);
        good.then_some(end + 1)
    };
    let header = end_of(0, 1)?;
    let mut end = end_of(header, 2)?;
    // 4.2.6.1: class, weight, body size.
    let size: [u8; 8] = *input.get(header + HEADER + 4..end)?.first_chunk()?;
    let mut left = usize::try_from(u64::from_be_bytes(size)).ok()?;
    while left > 0 {
        let next = end_of(end, 3)?;
        left = left.checked_sub(next - end - OVERHEAD).filter(|_| next - end > OVERHEAD)?;
        end = next;
    }
    Some((u16::from_be_bytes([c0, c1]), end))
}

/// A whole publish with the same method frame as another.
#[derive(Debug)]
pub(crate) struct Whole<'a> {
    /// The size of all its frames.
    pub(crate) len: usize,
    /// The payload of its header frame.
    pub(crate) header: &'a [u8],
    pub(crate) body_size: u64,
}

/// The publish at the start of `input`, if all its frames have come and its method frame is `method`, octet for octet.
pub(crate) fn whole_publish_like<'a>(input: &'a [u8], method: &[u8], frame_max: u32) -> Option<Whole<'a>> {
    if !input.starts_with(method) {
        return None;
    }
    let (_, len) = whole_publish(input, frame_max)?;
    let start = method.len() + HEADER;
    let header = input.get(start..start + payload_size(input, method.len())?)?;
    let body_size = u64::from_be_bytes(*header.get(4..)?.first_chunk()?);
    Some(Whole { len, header, body_size })
}

/// A basic.ack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) channel: u16,
    pub(crate) tag: u64,
    pub(crate) multiple: bool,
}

impl Ack {
    /// The size of its frame, which is the same in all versions: class, method, delivery-tag and a bit.
    pub(crate) const SIZE: usize = 13 + OVERHEAD;
}

/// The basic.ack at the start of `input`. None if another frame is there or not all of it has come.
pub(crate) fn whole_ack(input: &[u8]) -> Option<Ack> {
    let &[1, c0, c1, 0, 0, 0, 13, 0, 60, 0, 80, t0, t1, t2, t3, t4, t5, t6, t7, bits, END] =
        input.first_chunk::<{ Ack::SIZE }>()?
    else {
        return None;
    };
    let tag = u64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
    Some(Ack { channel: u16::from_be_bytes([c0, c1]), tag, multiple: bits & 1 != 0 })
}

/// Writes a frame whose payload `write` writes.
pub(crate) fn put(out: &mut BytesMut, frame_type: FrameType, channel: u16, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    put_header(out, frame_type, channel, 0);
    write(out);
    let size = saturate(out.len() - start - HEADER);
    let field = out.get_mut(start + 3..).and_then(|frame| frame.first_chunk_mut());
    if let Some(field) = live(field, "the size of a frame") {
        *field = size.to_be_bytes();
    }
    put_end(out);
}

/// Writes the header of a frame with a payload of `size` octets.
pub(crate) fn put_header(out: &mut BytesMut, frame_type: FrameType, channel: u16, size: usize) {
    let [c0, c1] = channel.to_be_bytes();
    let [s0, s1, s2, s3] = saturate(size).to_be_bytes();
    out.put_slice(&[frame_type.octet(), c0, c1, s0, s1, s2, s3]);
}

/// Writes the frame-end octet.
pub(crate) fn put_end(out: &mut BytesMut) {
    out.put_u8(END);
}

/// Whether the octets begin with the method frame of a basic.publish.
pub(super) fn begins_publish(input: &[u8]) -> bool {
    const PUBLISH: [u8; 4] = [0, 60, 0, 40];
    input.first() == Some(&1) && input.get(HEADER..HEADER + 4) == Some(&PUBLISH)
}
