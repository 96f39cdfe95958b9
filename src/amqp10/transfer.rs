//! A fast codec for transfers (2.7.5) in their usual encoding, since every message costs two of them. It agrees with the general
//! codec on every input (see the tests).

use bytes::BytesMut;

use super::definitions::{ReceiverSettleMode, SequenceNo};
use super::performative::Transfer;
use super::types::{DeliveryTag, WRITTEN, code, saturate};
use crate::live::live;

/// The largest size of what a transfer frame of ours has besides its payload, frame header included.
pub(crate) const OVERHEAD: usize = 64;

/// Decodes a transfer at the start of `body` if it is in a usual encoding, and returns where its payload begins. After None the
/// general decoder decides.
pub(crate) fn decode(body: &[u8]) -> Option<(Transfer, usize)> {
    let (start, size, count) = match *body {
        [code::DESCRIBED, code::SMALLULONG, 0x14, code::LIST8, size, count, ..] => {
            (6, usize::from(size).checked_sub(1)?, u32::from(count))
        }
        [code::DESCRIBED, code::SMALLULONG, 0x14, code::LIST32, s0, s1, s2, s3, c0, c1, c2, c3, ..] => {
            let size = usize::try_from(u32::from_be_bytes([s0, s1, s2, s3])).ok()?.checked_sub(4)?;
            (12, size, u32::from_be_bytes([c0, c1, c2, c3]))
        }
        _ => return None,
    };
    let payload_at = start + size;
    let mut fields = Fields { rest: body.get(start..payload_at)?, count };
    let mut transfer = Transfer {
        handle: fields.uint()??,
        delivery_id: fields.uint()?.map(SequenceNo),
        delivery_tag: fields.tag()?,
        message_format: fields.uint()?,
        settled: fields.boolean()?,
        more: fields.boolean()?.unwrap_or(false),
        rcv_settle_mode: None,
        state: None,
        resume: false,
        aborted: false,
        batchable: false,
    };
    // Many clients leave out the rest.
    if fields.count > 0 {
        transfer.rcv_settle_mode = fields.settle_mode()?;
        transfer.state = fields.null()?;
        transfer.resume = fields.boolean()?.unwrap_or(false);
        transfer.aborted = fields.boolean()?.unwrap_or(false);
        transfer.batchable = fields.boolean()?.unwrap_or(false);
    }
    (fields.count == 0 && fields.rest.is_empty()).then_some((transfer, payload_at))
}

/// A transfer frame in the usual encoding with a whole message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usual {
    pub(crate) delivery_id: u32,
    pub(crate) settled: bool,
    /// Where the payload begins and ends, from the start of the frame.
    pub(crate) payload_at: usize,
    pub(crate) end: usize,
}

/// Reads the frame at the start of `input`, if it has arrived whole and is a transfer on this channel and handle, in the usual
/// encoding, of at most `max_frame_size` bytes, with a whole delivery. After None the general decoder decides.
#[inline]
pub(crate) fn usual(input: &[u8], channel: u16, handle: u32, max_frame_size: u32) -> Option<Usual> {
    let [s0, s1, s2, s3, 2, 0, c0, c1, code::DESCRIBED, code::SMALLULONG, 0x14, code::LIST8, len, count, ..] = *input
    else {
        return None;
    };
    // The size of a list counts from behind itself.
    let (size, payload_at) = (u32::from_be_bytes([s0, s1, s2, s3]), 13 + usize::from(len));
    let end = size as usize;
    if u16::from_be_bytes([c0, c1]) != channel || size > max_frame_size || end > input.len() || payload_at > end {
        return None;
    }
    let (said, rest) = uint(input.get(14..payload_at)?)?;
    let (delivery_id, rest) = uint(rest)?;
    let [code::VBIN8, tag, ref rest @ ..] = *rest else { return None };
    let mut rest = rest.get(usize::from(tag)..)?;
    if said != handle || tag > 32 || count < 3 {
        return None;
    }
    if count > 3 {
        // Message-format 0, or none.
        rest = match *rest {
            [code::NULL | code::UINT0, ref rest @ ..] | [code::SMALLUINT, 0, ref rest @ ..] => rest,
            _ => return None,
        };
    }
    let mut settled = false;
    // Of settled, more, rcv-settle-mode, state, resume, aborted and batchable only settled and batchable may be true.
    for field in 4..count {
        let (first, others) = rest.split_first()?;
        rest = others;
        match (*first, field) {
            (code::NULL | code::FALSE, _) => {}
            (code::TRUE, 4) => settled = true,
            (code::TRUE, 10) => {}
            _ => return None,
        }
    }
    (rest.is_empty() && count <= 11).then_some(Usual { delivery_id, settled, payload_at, end })
}

/// Reads a uint in a usual encoding. Returns it and what follows.
#[inline]
fn uint(fields: &[u8]) -> Option<(u32, &[u8])> {
    match *fields {
        [code::UINT0, ref rest @ ..] => Some((0, rest)),
        [code::SMALLUINT, value, ref rest @ ..] => Some((value.into(), rest)),
        [code::UINT, a, b, c, d, ref rest @ ..] => Some((u32::from_be_bytes([a, b, c, d]), rest)),
        _ => None,
    }
}

/// A reader of fields in their usual encodings. Each method returns None for an unusual one, Some(None) for a field that is not
/// there.
struct Fields<'a> {
    rest: &'a [u8],
    count: u32,
}

impl Fields<'_> {
    fn uint(&mut self) -> Option<Option<u32>> {
        if self.count == 0 {
            return Some(None);
        }
        self.count -= 1;
        let (value, size) = match *self.rest {
            [code::UINT0, ..] => (Some(0), 1),
            [code::SMALLUINT, value, ..] => (Some(value.into()), 2),
            [code::UINT, a, b, c, d, ..] => (Some(u32::from_be_bytes([a, b, c, d])), 5),
            [code::NULL, ..] => (None, 1),
            _ => return None,
        };
        self.rest = self.rest.get(size..)?;
        Some(value)
    }

    fn boolean(&mut self) -> Option<Option<bool>> {
        if self.count == 0 {
            return Some(None);
        }
        self.count -= 1;
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        match *first {
            code::TRUE => Some(Some(true)),
            code::FALSE => Some(Some(false)),
            code::NULL => Some(None),
            _ => None,
        }
    }

    fn tag(&mut self) -> Option<Option<DeliveryTag>> {
        if self.count == 0 {
            return Some(None);
        }
        self.count -= 1;
        match *self.rest {
            [code::VBIN8, size, ref rest @ ..] => {
                let (tag, rest) = rest.split_at_checked(size.into())?;
                self.rest = rest;
                Some(Some(DeliveryTag::new(tag)))
            }
            [code::NULL, ref rest @ ..] => {
                self.rest = rest;
                Some(None)
            }
            _ => None,
        }
    }

    fn settle_mode(&mut self) -> Option<Option<ReceiverSettleMode>> {
        if self.count == 0 {
            return Some(None);
        }
        self.count -= 1;
        let (mode, size) = match *self.rest {
            [code::NULL, ..] => (None, 1),
            [code::UBYTE, 0, ..] => (Some(ReceiverSettleMode::First), 2),
            [code::UBYTE, 1, ..] => (Some(ReceiverSettleMode::Second), 2),
            _ => return None,
        };
        self.rest = self.rest.get(size..)?;
        Some(mode)
    }

    fn null<T>(&mut self) -> Option<Option<T>> {
        match self.uint()? {
            None => Some(None),
            Some(_) => None,
        }
    }
}

/// The fields of a delivery's first transfer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) delivery_id: SequenceNo,
    pub(crate) message_format: u32,
}

/// Writes a transfer frame up to its payload, which has `payload` bytes.
pub(crate) fn put(
    out: &mut BytesMut,
    channel: u16,
    handle: usize,
    start: Option<Start>,
    settled: bool,
    more: bool,
    payload: usize,
) {
    let [c0, c1] = channel.to_be_bytes();
    let boolean = |value| if value { code::TRUE } else { code::FALSE };
    let (settled, more) = (boolean(settled), boolean(more));
    if let (Ok(handle), Some(Start { delivery_id, message_format: 0 })) = (u8::try_from(handle), start) {
        // The usual case: the head has a fixed length.
        const LEN: usize = 30;
        const LIST_SIZE: u8 = 17;
        let [s0, s1, s2, s3] = saturate(LEN + payload).to_be_bytes();
        let [i0, i1, i2, i3] = delivery_id.0.to_be_bytes();
        #[rustfmt::skip]
        let head: [u8; LEN] = [
            s0, s1, s2, s3, 2, 0, c0, c1, code::DESCRIBED, code::SMALLULONG, 0x14, code::LIST8, LIST_SIZE, 6,
            code::SMALLUINT, handle, code::UINT, i0, i1, i2, i3, code::VBIN8, 4, i0, i1, i2, i3, code::UINT0, settled, more,
        ];
        out.extend_from_slice(&head);
        return;
    }
    let mut frame = Head { bytes: [0; OVERHEAD], len: 0 };
    // The size comes last; then data offset, type and channel; descriptor, list8 with its size and six fields.
    frame.put(&[0, 0, 0, 0, 2, 0, c0, c1, code::DESCRIBED, code::SMALLULONG, 0x14, code::LIST8, 0, 6]);
    frame.uint(saturate(handle));
    match start {
        Some(start) => {
            frame.uint(start.delivery_id.0);
            // Unique among the unsettled deliveries of the link, since the ids are.
            frame.put(&[code::VBIN8, 4]);
            frame.put(&start.delivery_id.0.to_be_bytes());
            frame.uint(start.message_format);
        }
        None => frame.put(&[code::NULL; 3]),
    }
    frame.put(&[settled, more]);
    let size = saturate(frame.len + payload).to_be_bytes();
    // The size of a list counts from behind itself.
    let list_size = u8::try_from(frame.len - 13).unwrap_or(u8::MAX);
    if let Some(field) = live(frame.bytes.first_chunk_mut(), WRITTEN) {
        *field = size;
    }
    if let Some(field) = live(frame.bytes.get_mut(12), WRITTEN) {
        *field = list_size;
    }
    out.extend_from_slice(frame.bytes.get(..frame.len).unwrap_or_default());
}

struct Head {
    bytes: [u8; OVERHEAD],
    len: usize,
}

impl Head {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(to) = live(self.bytes.get_mut(self.len..self.len + bytes.len()), "room for a transfer's head") {
            to.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    fn uint(&mut self, value: u32) {
        match u8::try_from(value) {
            Ok(0) => self.put(&[code::UINT0]),
            Ok(small) => self.put(&[code::SMALLUINT, small]),
            Err(_) => {
                self.put(&[code::UINT]);
                self.put(&value.to_be_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::performative::Performative;
    use super::super::types::{Decode, Reader};
    use super::*;
    use proptest::prelude::*;

    /// Bytes of a field as some encoder might write them, unusual and wrong ones included.
    fn field() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(vec![0x40]),
            Just(vec![0x41]),
            Just(vec![0x42]),
            Just(vec![0x43]),
            any::<u8>().prop_map(|value| vec![0x52, value]),
            any::<u32>().prop_map(|value| [vec![0x70], value.to_be_bytes().to_vec()].concat()),
            (0..3u8).prop_map(|value| vec![0x50, value]),
            (0..3u8).prop_map(|value| vec![0x56, value]),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|tag| [vec![0xa0, tag.len() as u8], tag].concat()),
            Just(vec![0xb0, 0, 0, 0, 1, 7]),
            Just(vec![0x00, 0x53, 0x24, 0x45]),
            prop::collection::vec(any::<u8>(), 0..4),
        ]
    }

    /// Fields that make a transfer more often than not.
    fn likely() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let uint = || prop_oneof![Just(vec![0x43]), any::<u8>().prop_map(|value| vec![0x52, value]), Just(vec![0x40])];
        let boolean = || prop_oneof![Just(vec![0x40]), Just(vec![0x41]), Just(vec![0x42])];
        let tag = prop::collection::vec(any::<u8>(), 0..34).prop_map(|tag| [vec![0xa0, tag.len() as u8], tag].concat());
        let mode = prop_oneof![Just(vec![0x40]), Just(vec![0x50, 0]), Just(vec![0x50, 1])];
        let head = (uint(), uint(), tag, uint(), boolean(), boolean(), mode);
        (head, Just(vec![0x40]), boolean(), boolean(), boolean(), 1..12usize).prop_map(
            |((a, b, c, d, e, f, g), h, i, j, k, count)| {
                [a, b, c, d, e, f, g, h, i, j, k].into_iter().take(count).collect()
            },
        )
    }

    fn body() -> impl Strategy<Value = Vec<u8>> {
        let fields = prop_oneof![likely(), prop::collection::vec(field(), 0..13)];
        let off = prop_oneof![8 => Just(0i8), 1 => -2..3i8];
        (fields, any::<bool>(), off.clone(), off, prop::collection::vec(any::<u8>(), 0..9)).prop_map(
            |(fields, long, size_off, count_off, payload)| {
                let list: Vec<u8> = fields.concat();
                let count = fields.len() as i64 + i64::from(count_off);
                let size = list.len() as i64 + i64::from(size_off);
                let mut body = vec![0x00, 0x53, 0x14];
                if long {
                    body.push(0xd0);
                    body.extend((size as u32).wrapping_add(4).to_be_bytes());
                    body.extend((count as u32).to_be_bytes());
                } else {
                    body.extend([0xc0, (size as u8).wrapping_add(1), count as u8]);
                }
                body.extend(list);
                body.extend(payload);
                body
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn agrees_with_the_general_decoder(body in body()) {
            if let Some((transfer, payload_at)) = decode(&body) {
                let mut reader = Reader::new(&body);
                prop_assert_eq!(Performative::decode(&mut reader), Ok(Performative::Transfer(transfer)));
                prop_assert_eq!(reader.rest(), &body[payload_at..]);
            }
        }

        #[test]
        fn the_usual_is_what_the_general_decoder_reads(
            body in body(), channel in 0..3u16, handle in 0..3u32, cut in 0..3usize,
        ) {
            let size = (8 + body.len()) as u32;
            let mut frame = [&size.to_be_bytes()[..], &[2, 0, 0, 1], &body].concat();
            frame.truncate(frame.len() - cut.min(body.len()));
            if let Some(usual) = usual(&frame, channel, handle, 200) {
                prop_assert!(cut == 0 && channel == 1 && size <= 200);
                let mut reader = Reader::new(&body);
                let Ok(Performative::Transfer(transfer)) = Performative::decode(&mut reader) else {
                    return Err(TestCaseError::fail("it is no transfer"));
                };
                let expected = Transfer {
                    handle,
                    delivery_id: Some(SequenceNo(usual.delivery_id)),
                    more: false,
                    state: None,
                    resume: false,
                    aborted: false,
                    ..transfer.clone()
                };
                prop_assert_eq!(&transfer, &expected);
                prop_assert_eq!(transfer.settled.unwrap_or(false), usual.settled);
                prop_assert_eq!(transfer.message_format.unwrap_or(0), 0);
                prop_assert!(transfer.rcv_settle_mode.is_none());
                prop_assert!(!transfer.delivery_tag.unwrap().is_too_long());
                prop_assert_eq!(reader.rest(), &frame[usual.payload_at..usual.end]);
            }
        }

        #[test]
        fn takes_what_clients_send(fields in likely()) {
            let list: Vec<u8> = fields.concat();
            let body = [vec![0x00, 0x53, 0x14, 0xc0, list.len() as u8 + 1, fields.len() as u8], list].concat();
            // Only a handle that is null is not for it.
            prop_assert_eq!(decode(&body).is_some(), fields[0] != [0x40]);
        }

        #[test]
        fn what_it_writes_is_what_was_meant(
            channel: u16,
            handle in prop_oneof![0..300u32, any::<u32>()],
            id: u32,
            format in prop_oneof![Just(0), any::<u32>()],
            first: bool,
            settled: bool,
            more: bool,
            payload in 0..5000usize,
        ) {
            let start = first.then_some(Start { delivery_id: SequenceNo(id), message_format: format });
            let mut out = BytesMut::new();
            put(&mut out, channel, handle as usize, start, settled, more, payload);
            prop_assert!(out.len() <= OVERHEAD);
            let size = u32::from_be_bytes([out[0], out[1], out[2], out[3]]) as usize;
            prop_assert_eq!(size, out.len() + payload);
            prop_assert_eq!(&out[4..8], &[2, 0, (channel >> 8) as u8, channel as u8]);
            let mut reader = Reader::new(&out[8..]);
            let expected = Transfer {
                handle,
                delivery_id: first.then_some(SequenceNo(id)),
                delivery_tag: first.then_some(DeliveryTag::new(&id.to_be_bytes())),
                message_format: first.then_some(format),
                settled: Some(settled),
                more,
                rcv_settle_mode: None,
                state: None,
                resume: false,
                aborted: false,
                batchable: false,
            };
            prop_assert_eq!(Performative::decode(&mut reader), Ok(Performative::Transfer(expected)));
            prop_assert!(reader.is_empty());
        }
    }
}
