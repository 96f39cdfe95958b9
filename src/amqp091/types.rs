//! 4.2.5: the data fields of methods and content headers: integers, bits, strings, and tables as bytes (`table.rs` has
//! their contents).

use bytes::{BufMut, BytesMut};

use crate::live::live;

/// The versions of the protocol, which differ in a few arguments and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V0_8,
    V0_9,
    V0_9_1,
}

impl Version {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Version::V0_8 => "AMQP 0-8",
            Version::V0_9 => "AMQP 0-9",
            Version::V0_9_1 => "AMQP 0-9-1",
        }
    }
}

/// The description of what is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

pub(crate) type Result<T> = std::result::Result<T, Malformed>;

const TRUNCATED: Malformed = Malformed("it ends in the middle of a field");

/// Reads the fields of one method or header. Never reads past their end.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    pub(crate) version: Version,
    /// 4.2.5.2: the octet from which bits are taken, and how many have been taken.
    bits: u8,
    bits_taken: u8,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], version: Version) -> Reader<'a> {
        Reader { rest: bytes, version, bits: 0, bits_taken: 8 }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn finish(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("bytes after the last field")) }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(TRUNCATED)?;
        self.rest = rest;
        self.bits_taken = 8;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(TRUNCATED)?;
        self.rest = rest;
        self.bits_taken = 8;
        Ok(*taken)
    }

    pub(crate) fn octet(&mut self) -> Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn short(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn long(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn longlong(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// 4.2.5.2: reads a bit. Successive bits share an octet, the first in the lowest place.
    pub(crate) fn bit(&mut self) -> Result<bool> {
        if self.bits_taken == 8 {
            self.bits = self.octet()?;
            self.bits_taken = 0;
        }
        let bit = self.bits >> self.bits_taken & 1;
        self.bits_taken += 1;
        Ok(bit == 1)
    }

    /// 4.2.5.3: reads up to 255 bytes.
    pub(crate) fn short_bytes(&mut self) -> Result<&'a [u8]> {
        let size = self.octet()?;
        self.take(size.into())
    }

    pub(crate) fn shortstr(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.short_bytes()?).map_err(|_| Malformed("a short string that is not UTF-8"))
    }

    pub(crate) fn longstr(&mut self) -> Result<&'a [u8]> {
        let size = self.long()?;
        self.take(usize::try_from(size).map_err(|_| TRUNCATED)?)
    }
}

/// Appends fields, as [`Reader`] reads them.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) out: &'a mut BytesMut,
    pub(crate) version: Version,
    /// The number of bits written into the last octet; 8 if the next one needs an octet of its own.
    bits: u8,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut BytesMut, version: Version) -> Writer<'a> {
        Writer { out, version, bits: 8 }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out.put_slice(bytes);
        self.bits = 8;
    }

    pub(crate) fn bit(&mut self, bit: bool) {
        if self.bits == 8 {
            self.out.put_u8(0);
            self.bits = 0;
        }
        if let Some(last) = live(self.out.last_mut(), "the octet of a bit") {
            *last |= u8::from(bit) << self.bits;
        }
        self.bits += 1;
    }

    /// Writes as much of a text as fits a short string.
    pub(crate) fn shortstr(&mut self, text: &str) {
        let text = shortened(text);
        self.bytes(&[u8::try_from(text.len()).unwrap_or(0)]);
        self.bytes(text.as_bytes());
    }

    pub(crate) fn longstr(&mut self, bytes: &[u8]) {
        self.bytes(&saturate(bytes.len()).to_be_bytes());
        self.bytes(bytes);
    }
}

/// 4.2.5.3: cuts a text to the length of a short string.
pub(crate) fn shortened(text: &str) -> &str {
    let end = (0..=text.len().min(255)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

pub(crate) fn saturate(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// A type that a method's argument can have.
pub(crate) trait Argument<'a>: Sized {
    fn read(reader: &mut Reader<'a>) -> Result<Self>;
    fn write(&self, writer: &mut Writer<'_>);
}

macro_rules! integers {
    ($($type:ty = $read:ident),*) => {$(
        impl<'a> Argument<'a> for $type {
            fn read(reader: &mut Reader<'a>) -> Result<Self> {
                reader.$read()
            }
            fn write(&self, writer: &mut Writer<'_>) {
                writer.bytes(&self.to_be_bytes());
            }
        }
    )*};
}

integers!(u8 = octet, u16 = short, u32 = long, u64 = longlong);

impl<'a> Argument<'a> for bool {
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        reader.bit()
    }
    fn write(&self, writer: &mut Writer<'_>) {
        writer.bit(*self);
    }
}

impl<'a> Argument<'a> for &'a str {
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        reader.shortstr()
    }
    fn write(&self, writer: &mut Writer<'_>) {
        writer.shortstr(self);
    }
}

/// A long string: any bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LongStr<'a>(pub(crate) &'a [u8]);

impl<'a> Argument<'a> for LongStr<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        reader.longstr().map(LongStr)
    }
    fn write(&self, writer: &mut Writer<'_>) {
        writer.longstr(self.0);
    }
}

/// An argument that 0-8 does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Since09<T>(pub(crate) T);

impl<'a, T: Argument<'a> + Default> Argument<'a> for Since09<T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        if reader.version == Version::V0_8 { Ok(Since09(T::default())) } else { T::read(reader).map(Since09) }
    }
    fn write(&self, writer: &mut Writer<'_>) {
        if writer.version > Version::V0_8 {
            self.0.write(writer);
        }
    }
}
