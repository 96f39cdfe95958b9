//! 4.2.6: content: a header with properties, and a body in frames. Keeps, reads and writes the frames of a message.
//!
//! A message is kept as the frames of its publish, octet for octet. A delivery copies what it needs from there.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::{self, FrameType, HEADER, OVERHEAD};
use super::table::Table;
use super::types::{Argument, Malformed, Reader, Result, Version, shortened};
use crate::event::ExchangeAddress;
use crate::live::live;
use crate::message::{Payload, PayloadBuilder};
use crate::outbox::Outbox;

/// 4.2.6.1: class, weight and body size, before the properties.
pub(crate) const PROPERTIES_AT: usize = 12;

/// The payloads of the frames of a kept publish: the method's, the header's, then those of the body.
#[derive(Clone, Debug)]
pub(crate) struct Frames<'a> {
    payload: &'a Payload,
    fragment: usize,
    at: usize,
}

impl<'a> Frames<'a> {
    pub(crate) fn of(payload: &'a Payload) -> Frames<'a> {
        Frames { payload, fragment: 0, at: 0 }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = (&'a Bytes, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let fragment = self.payload.fragment(self.fragment)?;
            if self.at >= fragment.len() {
                self.fragment += 1;
                self.at = 0;
                continue;
            }
            let start = self.at + HEADER;
            let end = start + frame::payload_size(fragment, self.at)?;
            self.at = end + 1;
            return Some((fragment, start..end));
        }
    }
}

/// The parts of a kept publish.
#[derive(Clone, Debug)]
pub(crate) struct Content<'a> {
    /// The buffer of the method, and the place of its payload in there.
    fragment: &'a Bytes,
    method: Range<usize>,
    /// The exchange and the routing key, each as a short string.
    address: &'a [u8],
    exchange_len: usize,
    bits: u8,
    /// The payload of the header frame.
    pub(crate) header: &'a [u8],
    pub(crate) body_size: u64,
    body: Frames<'a>,
}

/// A kept publish whose body is in one frame, or none, in a payload of one piece.
#[derive(Debug)]
pub(crate) struct Small<'a> {
    /// The exchange and the routing key, each as a short string.
    pub(crate) address: &'a [u8],
    /// The frames of header and body.
    pub(crate) content: &'a [u8],
    /// The start of the body frame in there, if there is one.
    body_at: Option<usize>,
}

impl<'a> Small<'a> {
    /// The largest body or header that is copied; a larger one is chained.
    const MAX: usize = 2048;

    #[inline]
    pub(crate) fn of(payload: &'a Payload, frame_max: u32) -> Option<Small<'a>> {
        let Payload::One(bytes) = payload else { return None };
        let room = (frame_max as usize).min(Self::MAX) - OVERHEAD;
        let header_at = HEADER + frame::payload_size(bytes, 0)? + 1;
        // Class, method, ticket; exchange and routing key; bits.
        let address = bytes.get(HEADER + 6..header_at.checked_sub(2)?)?;
        let content = bytes.get(header_at..)?;
        let header_size = frame::payload_size(content, 0)?;
        let body_at = HEADER + header_size + 1;
        let body_size = match content.len().checked_sub(body_at)? {
            0 => 0,
            left => frame::payload_size(content, body_at).filter(|size| size + OVERHEAD == left)?,
        };
        (header_size <= room && body_size <= room).then_some(Small {
            address,
            content,
            body_at: (content.len() > body_at).then_some(body_at),
        })
    }

    /// Writes the frames of header and body, with the number of another channel.
    #[inline]
    pub(crate) fn put_content(&self, out: &mut BytesMut, channel: u16) {
        let start = out.len();
        out.extend_from_slice(self.content);
        let channel = channel.to_be_bytes();
        for at in [Some(0), self.body_at].into_iter().flatten() {
            if let Some(place) = live(out.get_mut(start + at + 1..start + at + 3), "the channel of a frame") {
                place.copy_from_slice(&channel);
            }
        }
    }
}

impl<'a> Content<'a> {
    pub(crate) fn of(payload: &'a Payload) -> Option<Content<'a>> {
        let mut frames = Frames::of(payload);
        let (fragment, method) = frames.next()?;
        let (header_fragment, header) = frames.next()?;
        // Class, method, ticket; exchange and routing key; bits.
        let arguments = fragment.get(method.clone())?.get(6..)?;
        let exchange_len = usize::from(*arguments.first()?);
        let key_len = usize::from(*arguments.get(1 + exchange_len)?);
        let address = arguments.get(..exchange_len + key_len + 2)?;
        let &[bits] = arguments.get(address.len()..)? else { return None };
        let header = header_fragment.get(header)?;
        let body_size = u64::from_be_bytes(*header.get(4..)?.first_chunk()?);
        Some(Content { fragment, method, address, exchange_len, bits, header, body_size, body: frames })
    }

    pub(crate) fn exchange(&self) -> &'a [u8] {
        self.address.get(1..1 + self.exchange_len).unwrap_or_default()
    }

    pub(crate) fn routing_key(&self) -> &'a [u8] {
        self.address.get(self.exchange_len + 2..).unwrap_or_default()
    }

    /// The exchange and the routing key as slices of the kept buffer. None if one of them is not UTF-8.
    pub(crate) fn exchange_address(&self) -> Option<ExchangeAddress> {
        let start = self.method.start + 6;
        let bytes = self.fragment.slice(start..start + self.address.len());
        // Each is at most 255 octets long.
        let place = |from: usize, to: usize| Some(u16::try_from(from).ok()?..u16::try_from(to).ok()?);
        let exchange = place(1, 1 + self.exchange_len)?;
        let key = place(self.exchange_len + 2, self.address.len())?;
        ExchangeAddress::new(bytes, exchange, key)
    }

    /// The routing key as a slice of the kept buffer.
    pub(crate) fn routing_key_bytes(&self) -> Bytes {
        let start = self.method.start + 6 + self.exchange_len + 2;
        self.fragment.slice(start..start + self.address.len() - self.exchange_len - 2)
    }

    /// Whether another publish has the same exchange and routing key.
    pub(crate) fn has_destination_of(&self, other: &Content<'_>) -> bool {
        self.address == other.address
    }

    pub(crate) fn is_mandatory(&self) -> bool {
        self.bits & 1 != 0
    }

    pub(crate) fn is_immediate(&self) -> bool {
        self.bits & 2 != 0
    }

    pub(crate) fn properties(&self) -> &'a [u8] {
        self.header.get(PROPERTIES_AT..).unwrap_or_default()
    }

    /// The publish with another exchange, routing key and properties.
    pub(super) fn with_head(&self, (exchange, key): (&[u8], &[u8]), properties: &Properties<'_>) -> Payload {
        let mut head = BytesMut::new();
        put_head((exchange, key, self.bits), properties, self.body_size, &mut head);
        let mut built = PayloadBuilder::default();
        built.push(head.freeze());
        self.body_frames().for_each(|frame| built.push(frame));
        built.finish()
    }

    /// The publish with other properties.
    pub(super) fn with_properties(&self, properties: &Properties<'_>) -> Payload {
        self.with_head((self.exchange(), self.routing_key()), properties)
    }

    /// The frames of the body.
    pub(crate) fn body_frames(&self) -> impl Iterator<Item = Bytes> {
        self.body.clone().map(|(fragment, payload)| fragment.slice(payload.start - HEADER..payload.end + 1))
    }

    /// The pieces of the body.
    pub(crate) fn body(&self) -> impl Iterator<Item = &'a [u8]> {
        self.body.clone().filter_map(|(fragment, range)| fragment.get(range))
    }

    /// Writes a content for a peer: a method frame whose payload `method` writes, the header as it is, and the body in
    /// frames of at most `frame_max`. False, and nothing is written, if the header does not fit.
    pub(crate) fn put(
        &self,
        out: &mut Outbox,
        channel: u16,
        frame_max: u32,
        method: impl FnOnce(&mut BytesMut, &[u8]),
    ) -> bool {
        let room = frame_max as usize - OVERHEAD;
        if self.header.len() > room {
            return false;
        }
        out.append_delivery(|out| {
            frame::put(out, FrameType::Method, channel, |out| method(out, self.address));
            frame::put_header(out, FrameType::Header, channel, self.header.len());
            out.put_slice(self.header);
            frame::put_end(out);
        });
        let mut left = usize::try_from(self.body_size).unwrap_or(0);
        let mut frames = self.body.clone();
        let mut piece = frames.next();
        while left > 0 {
            let mut count = left.min(room);
            left -= count;
            out.append_delivery(|out| frame::put_header(out, FrameType::Body, channel, count));
            while count > 0
                && let Some((fragment, range)) = &mut piece
            {
                let part = count.min(range.len());
                out.append_payload(fragment, range.start..range.start + part);
                range.start += part;
                count -= part;
                if range.start == range.end {
                    piece = frames.next();
                }
            }
            out.append_delivery(frame::put_end);
        }
        true
    }
}

/// 4.2.5.3: cuts bytes to the length of a short string. Text is cut between characters.
fn cut(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Ok(text) => shortened(text).as_bytes(),
        Err(_) => bytes.get(..255).unwrap_or(bytes),
    }
}

/// Composes the frames of a publish as a client might send them.
pub(crate) fn compose(exchange: &[u8], routing_key: &[u8], properties: &Properties<'_>, body: &[u8]) -> Payload {
    let mut out = BytesMut::with_capacity(body.len() + 256);
    put_head((exchange, routing_key, 0), properties, body.len() as u64, &mut out);
    frame::put(&mut out, FrameType::Body, 0, |out| out.put_slice(body));
    Payload::from(out.freeze())
}

/// Writes the frames of a publish that come before its body.
fn put_head(
    (exchange, routing_key, bits): (&[u8], &[u8], u8),
    properties: &Properties<'_>,
    body_size: u64,
    out: &mut BytesMut,
) {
    let short = |text: &[u8], out: &mut BytesMut| {
        let text = cut(text);
        out.put_u8(u8::try_from(text.len()).unwrap_or(0));
        out.put_slice(text);
    };
    frame::put(out, FrameType::Method, 0, |out| {
        out.put_slice(&[0, 60, 0, 40, 0, 0]);
        short(exchange, out);
        short(routing_key, out);
        out.put_u8(bits);
    });
    frame::put(out, FrameType::Header, 0, |out| {
        out.put_slice(&[0, 60, 0, 0]);
        out.put_u64(body_size);
        properties.write(out);
    });
}

/// 4.2.6.1 and the basic class: the properties, in the order of their flags from the highest bit on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Properties<'a> {
    pub(crate) content_type: Option<&'a [u8]>,
    pub(crate) content_encoding: Option<&'a [u8]>,
    pub(crate) headers: Option<Table<'a>>,
    pub(crate) delivery_mode: Option<u8>,
    pub(crate) priority: Option<u8>,
    pub(crate) correlation_id: Option<&'a [u8]>,
    pub(crate) reply_to: Option<&'a [u8]>,
    pub(crate) expiration: Option<&'a [u8]>,
    pub(crate) message_id: Option<&'a [u8]>,
    pub(crate) timestamp: Option<u64>,
    pub(crate) kind: Option<&'a [u8]>,
    pub(crate) user_id: Option<&'a [u8]>,
    pub(crate) app_id: Option<&'a [u8]>,
    pub(crate) cluster_id: Option<&'a [u8]>,
}

const CONTENT_TYPE: u16 = 1 << 15;
const CONTENT_ENCODING: u16 = 1 << 14;
const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
pub(super) const PRIORITY: u16 = 1 << 11;
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
pub(super) const EXPIRATION: u16 = 1 << 8;
const MESSAGE_ID: u16 = 1 << 7;
const TIMESTAMP: u16 = 1 << 6;
const KIND: u16 = 1 << 5;
const USER_ID: u16 = 1 << 4;
const APP_ID: u16 = 1 << 3;
const CLUSTER_ID: u16 = 1 << 2;

impl<'a> Properties<'a> {
    /// Reads and checks the flags and properties of a content header. Fails if anything follows them.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Properties<'a>> {
        let mut reader = Reader::new(bytes, Version::V0_9_1);
        let flags = reader.short()?;
        if flags & 3 != 0 {
            return Err(Malformed("flags of properties that the class does not have"));
        }
        let reader = &mut reader;
        let is = |flag: u16| flags & flag != 0;
        let text = |reader: &mut Reader<'a>, flag| is(flag).then(|| reader.short_bytes()).transpose();
        let properties = Properties {
            content_type: text(reader, CONTENT_TYPE)?,
            content_encoding: text(reader, CONTENT_ENCODING)?,
            headers: is(HEADERS).then(|| Table::read(reader)).transpose()?,
            delivery_mode: is(DELIVERY_MODE).then(|| reader.octet()).transpose()?,
            priority: is(PRIORITY).then(|| reader.octet()).transpose()?,
            correlation_id: text(reader, CORRELATION_ID)?,
            reply_to: text(reader, REPLY_TO)?,
            expiration: text(reader, EXPIRATION)?,
            message_id: text(reader, MESSAGE_ID)?,
            timestamp: is(TIMESTAMP).then(|| reader.longlong()).transpose()?,
            kind: text(reader, KIND)?,
            user_id: text(reader, USER_ID)?,
            app_id: text(reader, APP_ID)?,
            cluster_id: text(reader, CLUSTER_ID)?,
        };
        reader.finish()?;
        Ok(properties)
    }

    /// Writes flags and properties.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_u16(0);
        let mut flags = 0;
        let mut text = |out: &mut BytesMut, flag: u16, value: Option<&[u8]>| {
            if let Some(value) = value {
                let value = cut(value);
                flags |= flag;
                out.put_u8(u8::try_from(value.len()).unwrap_or(0));
                out.put_slice(value);
            }
        };
        text(out, CONTENT_TYPE, self.content_type);
        text(out, CONTENT_ENCODING, self.content_encoding);
        let mut more = 0;
        if let Some(headers) = self.headers {
            more |= HEADERS;
            out.put_u32(super::types::saturate(headers.as_bytes().len()));
            out.put_slice(headers.as_bytes());
        }
        for (flag, octet) in [(DELIVERY_MODE, self.delivery_mode), (PRIORITY, self.priority)] {
            if let Some(octet) = octet {
                more |= flag;
                out.put_u8(octet);
            }
        }
        text(out, CORRELATION_ID, self.correlation_id);
        text(out, REPLY_TO, self.reply_to);
        text(out, EXPIRATION, self.expiration);
        text(out, MESSAGE_ID, self.message_id);
        if let Some(timestamp) = self.timestamp {
            more |= TIMESTAMP;
            out.put_u64(timestamp);
        }
        text(out, KIND, self.kind);
        text(out, USER_ID, self.user_id);
        text(out, APP_ID, self.app_id);
        text(out, CLUSTER_ID, self.cluster_id);
        let flags = flags | more;
        let field = out.get_mut(start..).and_then(|written| written.first_chunk_mut());
        if let Some(field) = live(field, "the flags of properties") {
            *field = u16::to_be_bytes(flags);
        }
    }
}
