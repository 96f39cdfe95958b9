//! The head of a frame (2.3, 2.7): its performative, and the link, delivery and node that this names. For the tap; the engine
//! decodes frames whole.

use super::composite::Composite;
use super::composite::Descriptor;
use super::describe;
use super::frame::HEADER;
use super::terminus::{Source, Target};
use super::types::{Decode, Reader, Result, code};
use crate::tap::{FrameHead, LinkHead};

/// Returns the head of a frame that [`describe::extent`] measured; a transfer's payload may be missing. None if the bytes are no
/// frame.
pub(crate) fn head(frame: &[u8]) -> Option<FrameHead<'_>> {
    if frame.starts_with(b"AMQP") {
        return Some(FrameHead { kind: "header", ..FrameHead::default() });
    }
    let &[_, _, _, _, doff, frame_type, c0, c1] = frame.first_chunk::<HEADER>()?;
    // 5.3.1: SASL frames have no channel.
    let channel = (frame_type == 0).then(|| u16::from_be_bytes([c0, c1]));
    let body = frame.get(usize::from(doff) * 4..)?;
    if body.is_empty() && channel.is_some() {
        return Some(FrameHead { kind: "heartbeat", channel, ..FrameHead::default() });
    }
    let mut reader = Reader::new(body);
    let descriptor = Descriptor::read(&mut reader).ok()?;
    let kind = describe::name_of(descriptor)?;
    let (count, list) = reader.list().ok()?;
    let head = FrameHead { kind, channel, ..FrameHead::default() };
    let mut fields = Fields { count, list };
    let head = match kind {
        "attach" => fields.attach(head),
        "flow" => fields.flow(head),
        "transfer" => fields.transfer(FrameHead { payload_at: Some(frame.len() - reader.rest().len()), ..head }),
        "disposition" => fields.disposition(head),
        "detach" => fields.number().map(|handle| FrameHead { link: handle.map(LinkHead::Handle), ..head }),
        _ => Ok(head),
    };
    head.ok()
}

/// Returns where the payload of a transfer begins.
pub(crate) fn payload_at(frame: &[u8]) -> Option<usize> {
    let &[_, _, _, _, doff, ..] = frame.first_chunk::<HEADER>()?;
    let start = usize::from(doff) * 4;
    match *frame.get(start..)? {
        // The usual encodings of the descriptor and the list.
        [code::DESCRIBED, code::SMALLULONG, 0x14, code::LIST8, size, ..] => Some(start + 5 + usize::from(size)),
        [code::DESCRIBED, code::SMALLULONG, 0x14, code::LIST32, s0, s1, s2, s3, ..] => {
            usize::try_from(u32::from_be_bytes([s0, s1, s2, s3])).ok()?.checked_add(start + 8)
        }
        [code::DESCRIBED, code::SMALLULONG, ..] => None,
        _ => head(frame)?.payload_at,
    }
}

/// The fields of a performative, in order.
struct Fields<'a> {
    count: usize,
    list: Reader<'a>,
}

impl<'a> Fields<'a> {
    /// Whether the next field is there.
    fn is_next(&mut self) -> Result<bool> {
        if self.count == 0 {
            return Ok(false);
        }
        self.count -= 1;
        let there = self.list.peek() != Some(code::NULL);
        if !there {
            self.list.byte()?;
        }
        Ok(there)
    }

    fn number(&mut self) -> Result<Option<u32>> {
        Ok(if self.is_next()? { Some(u32::decode(&mut self.list)?) } else { None })
    }

    fn skip(&mut self, fields: usize) -> Result<()> {
        for _ in 0..fields {
            if self.is_next()? {
                self.list.any()?;
            }
        }
        Ok(())
    }

    /// Reads an attach (2.7.3): name, handle, role, two settle modes, source, target.
    fn attach(&mut self, head: FrameHead<'a>) -> Result<FrameHead<'a>> {
        self.skip(1)?;
        let handle = self.number()?;
        let is_receiver = self.is_next()? && bool::decode(&mut self.list)?;
        self.skip(2)?;
        let source = self.address(Source::is)?;
        let target = self.address(Target::is)?;
        // The node is the source for a peer that receives, the target for one that sends.
        let address = if is_receiver { source } else { target };
        Ok(FrameHead { link: handle.map(LinkHead::Handle), address, ..head })
    }

    /// Reads the address of a terminus, its first field (3.5.3, 3.5.4).
    fn address(&mut self, is: impl FnOnce(Descriptor<'_>) -> bool) -> Result<Option<&'a str>> {
        if !self.is_next()? {
            return Ok(None);
        }
        let mut reader = self.list.clone();
        self.list.any()?;
        if !is(Descriptor::read(&mut reader)?) {
            return Ok(None);
        }
        let (count, list) = reader.list()?;
        let mut terminus = Fields { count, list };
        if terminus.is_next()? { terminus.list.string().map(Some) } else { Ok(None) }
    }

    /// Reads a flow (2.7.4): the handle is its fifth field.
    fn flow(&mut self, head: FrameHead<'a>) -> Result<FrameHead<'a>> {
        self.skip(4)?;
        Ok(FrameHead { link: self.number()?.map(LinkHead::Handle), ..head })
    }

    /// Reads a transfer (2.7.5).
    fn transfer(&mut self, head: FrameHead<'a>) -> Result<FrameHead<'a>> {
        let (handle, delivery) = (self.number()?, self.number()?);
        Ok(FrameHead { link: handle.map(LinkHead::Handle), delivery: delivery.map(u64::from), ..head })
    }

    /// Reads a disposition (2.7.6): role, first.
    fn disposition(&mut self, head: FrameHead<'a>) -> Result<FrameHead<'a>> {
        self.skip(1)?;
        Ok(FrameHead { delivery: self.number()?.map(u64::from), ..head })
    }
}
