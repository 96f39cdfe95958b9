//! An encoder and a decoder for frames, methods, tables and content headers, written from the specification. They share nothing
//! with the broker's.

use super::Id;

pub const HEADER_0_8: &[u8; 8] = b"AMQP\x01\x01\x08\x00";
pub const HEADER_0_9: &[u8; 8] = b"AMQP\x01\x01\x00\x09";
pub const HEADER_0_9_1: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

pub const METHOD: u8 = 1;
pub const HEADER: u8 = 2;
pub const BODY: u8 = 3;
pub const HEARTBEAT: u8 = 8;

/// Encodes a frame with any payload.
pub fn frame091(frame_type: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    frame091_with_size(frame_type, channel, u32::try_from(payload.len()).unwrap(), payload, 0xce)
}

/// Encodes a frame with any size field and last octet.
pub fn frame091_with_size(frame_type: u8, channel: u16, size: u32, payload: &[u8], end: u8) -> Vec<u8> {
    [&[frame_type][..], &channel.to_be_bytes(), &size.to_be_bytes(), payload, &[end]].concat()
}

/// A method under construction.
#[derive(Clone, Debug)]
pub struct MethodBytes {
    pub channel: u16,
    pub payload: Vec<u8>,
}

pub fn method(channel: u16, (class, method): Id) -> MethodBytes {
    MethodBytes { channel, payload: [class.to_be_bytes(), method.to_be_bytes()].concat() }
}

impl MethodBytes {
    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.payload.extend(bytes.as_ref());
        self
    }

    pub fn octet(self, value: u8) -> Self {
        self.raw([value])
    }

    pub fn short(self, value: u16) -> Self {
        self.raw(value.to_be_bytes())
    }

    pub fn long(self, value: u32) -> Self {
        self.raw(value.to_be_bytes())
    }

    pub fn longlong(self, value: u64) -> Self {
        self.raw(value.to_be_bytes())
    }

    /// Appends up to eight bits in one octet.
    pub fn bits(self, bits: &[bool]) -> Self {
        assert!(bits.len() <= 8);
        self.octet(bits.iter().rev().fold(0, |octet, bit| octet << 1 | u8::from(*bit)))
    }

    pub fn shortstr(self, text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref();
        self.octet(u8::try_from(text.len()).unwrap()).raw(text)
    }

    pub fn longstr(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.long(u32::try_from(bytes.len()).unwrap()).raw(bytes)
    }

    /// Appends a table of entries made by [`entry`].
    pub fn table(self, entries: &[Vec<u8>]) -> Self {
        self.longstr(entries.concat())
    }

    pub fn bytes(&self) -> Vec<u8> {
        frame091(METHOD, self.channel, &self.payload)
    }
}

/// Encodes an entry of a table: name, type and the value's bytes.
pub fn entry(name: &str, kind: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    [&[u8::try_from(name.len()).unwrap()][..], name.as_bytes(), &[kind], value.as_ref()].concat()
}

/// Encodes a long string for a table.
pub fn text_entry(name: &str, value: &str) -> Vec<u8> {
    entry(name, b'S', sized(value.as_bytes()))
}

pub fn int_entry(name: &str, value: i32) -> Vec<u8> {
    entry(name, b'I', value.to_be_bytes())
}

pub fn bool_entry(name: &str, value: bool) -> Vec<u8> {
    entry(name, b't', [u8::from(value)])
}

pub fn table_entry(name: &str, entries: &[Vec<u8>]) -> Vec<u8> {
    entry(name, b'F', sized(&entries.concat()))
}

/// Encodes bytes behind their length in four octets.
pub fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// Encodes a content header: class 60, weight 0, body size, flags and properties.
pub fn content_header(channel: u16, size: u64, properties: &[u8]) -> Vec<u8> {
    frame091(HEADER, channel, &[&[0, 60, 0, 0][..], &size.to_be_bytes(), properties].concat())
}

pub const NO_PROPERTIES: [u8; 2] = [0, 0];

pub fn body(channel: u16, bytes: &[u8]) -> Vec<u8> {
    frame091(BODY, channel, bytes)
}

/// Encodes basic.publish with its content.
pub fn publish(channel: u16, exchange: &str, key: &str, bits: &[bool], properties: &[u8], bytes: &[u8]) -> Vec<u8> {
    let method = method(channel, super::PUBLISH).short(0).shortstr(exchange).shortstr(key).bits(bits);
    let mut frames = vec![method.bytes(), content_header(channel, bytes.len() as u64, properties)];
    frames.extend(bytes.chunks(4088).map(|chunk| body(channel, chunk)));
    frames.concat()
}

/// A cursor over the fields of a method.
#[derive(Clone, Debug)]
pub struct Args {
    bytes: Vec<u8>,
    at: usize,
}

impl Args {
    pub fn new(bytes: Vec<u8>) -> Args {
        Args { bytes, at: 0 }
    }

    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.bytes[self.at..self.at + count].to_vec();
        self.at += count;
        taken
    }

    pub fn octet(&mut self) -> u8 {
        self.take(1)[0]
    }

    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    pub fn long(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    pub fn longlong(&mut self) -> u64 {
        u64::from_be_bytes(self.take(8).try_into().unwrap())
    }

    pub fn shortstr(&mut self) -> String {
        let size = self.octet();
        String::from_utf8(self.take(size.into())).unwrap()
    }

    pub fn longstr(&mut self) -> Vec<u8> {
        let size = self.long();
        self.take(size as usize)
    }

    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }
}
