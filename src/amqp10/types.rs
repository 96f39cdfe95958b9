//! Types (part 1): decodes and encodes primitive values, and checks any value without building it.
//!
//! A [`Reader`] is a cursor that cannot leave its slice. Declared sizes and counts are checked against the bytes that are there
//! before they are used. Composite types are in `composite.rs`.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// The depth to which values may nest (our choice), since the stack is limited.
const MAX_DEPTH: usize = 32;

/// The number of elements without width that an array may have (our choice), since they take no bytes.
pub(super) const MAX_ZERO_WIDTH: usize = 65_536;

/// The name for `live` of bytes that an encoder fills in last: it has written them before.
pub(super) const WRITTEN: &str = "the head of what has been written";

/// The reason why bytes are not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodecError {
    /// The bytes do not decode: `amqp:decode-error`.
    Malformed(&'static str),
    /// The bytes decode to a value that the named field cannot have: `amqp:invalid-field`.
    Invalid(&'static str),
}

impl std::fmt::Display for CodecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CodecError::Malformed(what) | CodecError::Invalid(what) => f.write_str(what),
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, CodecError>;

/// The format codes (1.6).
pub(crate) mod code {
    pub(crate) const DESCRIBED: u8 = 0x00;
    pub(crate) const NULL: u8 = 0x40;
    pub(crate) const TRUE: u8 = 0x41;
    pub(crate) const FALSE: u8 = 0x42;
    pub(crate) const UINT0: u8 = 0x43;
    pub(crate) const ULONG0: u8 = 0x44;
    pub(crate) const LIST0: u8 = 0x45;
    pub(crate) const UBYTE: u8 = 0x50;
    pub(crate) const BYTE: u8 = 0x51;
    pub(crate) const SMALLUINT: u8 = 0x52;
    pub(crate) const SMALLULONG: u8 = 0x53;
    pub(crate) const SMALLINT: u8 = 0x54;
    pub(crate) const SMALLLONG: u8 = 0x55;
    pub(crate) const BOOLEAN: u8 = 0x56;
    pub(crate) const USHORT: u8 = 0x60;
    pub(crate) const SHORT: u8 = 0x61;
    pub(crate) const UINT: u8 = 0x70;
    pub(crate) const INT: u8 = 0x71;
    pub(crate) const FLOAT: u8 = 0x72;
    pub(crate) const CHAR: u8 = 0x73;
    pub(crate) const DECIMAL32: u8 = 0x74;
    pub(crate) const ULONG: u8 = 0x80;
    pub(crate) const LONG: u8 = 0x81;
    pub(crate) const DOUBLE: u8 = 0x82;
    pub(crate) const TIMESTAMP: u8 = 0x83;
    pub(crate) const DECIMAL64: u8 = 0x84;
    pub(crate) const DECIMAL128: u8 = 0x94;
    pub(crate) const UUID: u8 = 0x98;
    pub(crate) const VBIN8: u8 = 0xa0;
    pub(crate) const STR8: u8 = 0xa1;
    pub(crate) const SYM8: u8 = 0xa3;
    pub(crate) const VBIN32: u8 = 0xb0;
    pub(crate) const STR32: u8 = 0xb1;
    pub(crate) const SYM32: u8 = 0xb3;
    pub(crate) const LIST8: u8 = 0xc0;
    pub(crate) const MAP8: u8 = 0xc1;
    pub(crate) const LIST32: u8 = 0xd0;
    pub(crate) const MAP32: u8 = 0xd1;
    pub(crate) const ARRAY8: u8 = 0xe0;
    pub(crate) const ARRAY32: u8 = 0xf0;
}

/// The layout of a value (1.2), which the high nibble of its format code decides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Category {
    Fixed(usize),
    /// Width of the size field.
    Variable(usize),
    Compound(usize),
    Array(usize),
}

pub(super) fn category(format_code: u8) -> Result<Category> {
    use Category::{Array, Compound, Fixed, Variable};
    Ok(match format_code {
        0x40..=0x45 => Fixed(0),
        0x50..=0x56 => Fixed(1),
        0x60 | 0x61 => Fixed(2),
        0x70..=0x74 => Fixed(4),
        0x80..=0x84 => Fixed(8),
        0x94 | 0x98 => Fixed(16),
        code::VBIN8 | code::STR8 | code::SYM8 => Variable(1),
        code::VBIN32 | code::STR32 | code::SYM32 => Variable(4),
        code::LIST8 | code::MAP8 => Compound(1),
        code::LIST32 | code::MAP32 => Compound(4),
        code::ARRAY8 => Array(1),
        code::ARRAY32 => Array(4),
        _ => return Err(CodecError::Malformed("unknown constructor")),
    })
}

/// A cursor over encoded values.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Bytes not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(CodecError::Malformed("value ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(CodecError::Malformed("value ends too early"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        Ok(u8::from_be_bytes(self.fixed()?))
    }

    /// Reads a size or a count, one or four bytes wide.
    pub(super) fn size(&mut self, width: usize) -> Result<usize> {
        if width == 1 {
            return Ok(usize::from(self.byte()?));
        }
        usize::try_from(u32::from_be_bytes(self.fixed()?)).map_err(|_| CodecError::Malformed("size too large"))
    }

    /// Reads the count and the elements of a list or map whose size field is `width` bytes wide.
    pub(super) fn compound(&mut self, width: usize) -> Result<(usize, Reader<'a>)> {
        let size = self.size(width)?;
        let mut body = Reader::new(self.take(size)?);
        let count = body.size(width).map_err(|_| CodecError::Malformed("compound without room for its count"))?;
        // 1.6.22: every element takes at least its constructor.
        if count > body.rest.len() {
            return Err(CodecError::Malformed("compound with more elements than bytes"));
        }
        Ok((count, body))
    }

    /// Reads the count and the elements of a list (1.6.22).
    pub(crate) fn list(&mut self) -> Result<(usize, Reader<'a>)> {
        match self.byte()? {
            code::LIST0 => Ok((0, Reader::new(&[]))),
            code::LIST8 => self.compound(1),
            code::LIST32 => self.compound(4),
            _ => Err(CodecError::Malformed("not a list")),
        }
    }

    /// Reads the count and the keys and values of a map (1.6.23); the count is of both together.
    pub(crate) fn map(&mut self) -> Result<(usize, Reader<'a>)> {
        let (count, body) = match self.byte()? {
            code::MAP8 => self.compound(1)?,
            code::MAP32 => self.compound(4)?,
            _ => return Err(CodecError::Malformed("not a map")),
        };
        if count % 2 != 0 {
            return Err(CodecError::Malformed("map with a key that has no value"));
        }
        Ok((count, body))
    }

    pub(super) fn binary(&mut self) -> Result<&'a [u8]> {
        let width = match self.byte()? {
            code::VBIN8 => 1,
            code::VBIN32 => 4,
            _ => return Err(CodecError::Malformed("not a binary")),
        };
        let size = self.size(width)?;
        self.take(size)
    }

    pub(crate) fn string(&mut self) -> Result<&'a str> {
        let width = match self.byte()? {
            code::STR8 => 1,
            code::STR32 => 4,
            _ => return Err(CodecError::Malformed("not a string")),
        };
        let size = self.size(width)?;
        utf8(self.take(size)?)
    }

    pub(crate) fn symbol(&mut self) -> Result<&'a str> {
        let width = match self.byte()? {
            code::SYM8 => 1,
            code::SYM32 => 4,
            _ => return Err(CodecError::Malformed("not a symbol")),
        };
        let size = self.size(width)?;
        ascii(self.take(size)?)
    }

    /// Reads one value of any type, checks it whole and returns its bytes.
    pub(crate) fn any(&mut self) -> Result<&'a [u8]> {
        let before = self.rest;
        self.skip_value(0)?;
        let taken = before.len() - self.rest.len();
        Ok(before.get(..taken).unwrap_or_default())
    }

    /// Steps over one value by its size, without checking it.
    pub(crate) fn hop(&mut self) -> Result<()> {
        let size = match category(self.byte()?)? {
            Category::Fixed(width) => width,
            Category::Variable(width) => self.size(width)?,
            Category::Compound(width) | Category::Array(width) => {
                let size = self.size(width)?;
                if size < width {
                    return Err(CodecError::Malformed("compound without room for its count"));
                }
                size
            }
        };
        self.take(size).map(drop)
    }

    fn skip_value(&mut self, depth: usize) -> Result<()> {
        check_depth(depth)?;
        let format_code = self.byte()?;
        if format_code == code::DESCRIBED {
            self.skip_value(depth + 1)?;
            return self.skip_value(depth + 1);
        }
        self.skip_body(format_code, depth)
    }

    fn skip_body(&mut self, format_code: u8, depth: usize) -> Result<()> {
        // An array of arrays gets here without a constructor in between.
        check_depth(depth)?;
        match category(format_code)? {
            Category::Fixed(width) => {
                let bytes = self.take(width)?;
                check_fixed(format_code, bytes)
            }
            Category::Variable(width) => {
                let size = self.size(width)?;
                let bytes = self.take(size)?;
                match format_code {
                    code::STR8 | code::STR32 => utf8(bytes).map(drop),
                    code::SYM8 | code::SYM32 => ascii(bytes).map(drop),
                    _ => Ok(()),
                }
            }
            Category::Compound(width) => {
                let (count, mut body) = self.compound(width)?;
                if matches!(format_code, code::MAP8 | code::MAP32) && count % 2 != 0 {
                    return Err(CodecError::Malformed("map with a key that has no value"));
                }
                for _ in 0..count {
                    body.skip_value(depth + 1)?;
                }
                body.finish()
            }
            Category::Array(width) => self.skip_array(width, depth),
        }
    }

    /// Checks an array (1.6.24): one constructor, then elements without one.
    fn skip_array(&mut self, width: usize, depth: usize) -> Result<()> {
        let size = self.size(width)?;
        let mut body = Reader::new(self.take(size)?);
        let count = body.size(width).map_err(|_| CodecError::Malformed("array without room for its count"))?;
        if count == 0 && body.is_empty() {
            // Without elements some encoders leave the constructor out too.
            return Ok(());
        }
        let mut format_code = body.byte()?;
        let mut descriptors = depth;
        while format_code == code::DESCRIBED {
            descriptors += 1;
            body.skip_value(descriptors)?;
            format_code = body.byte()?;
        }
        if category(format_code)? == Category::Fixed(0) {
            if count > MAX_ZERO_WIDTH {
                return Err(CodecError::Malformed("array with too many elements of no width"));
            }
            return body.finish();
        }
        for _ in 0..count {
            body.skip_body(format_code, depth + 1)?;
        }
        body.finish()
    }

    /// Fails if bytes are left.
    pub(crate) fn finish(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(CodecError::Malformed("bytes left over after a value")) }
    }
}

pub(super) fn check_depth(depth: usize) -> Result<()> {
    if depth > MAX_DEPTH { Err(CodecError::Malformed("values nested too deep")) } else { Ok(()) }
}

fn check_fixed(format_code: u8, bytes: &[u8]) -> Result<()> {
    match (format_code, bytes) {
        (code::BOOLEAN, [value]) if *value > 1 => Err(CodecError::Malformed("boolean that is neither 0 nor 1")),
        (code::CHAR, bytes) => {
            let scalar = bytes.iter().fold(0, |scalar, byte| scalar << 8 | u32::from(*byte));
            char::from_u32(scalar).map(drop).ok_or(CodecError::Malformed("char that is no Unicode scalar value"))
        }
        _ => Ok(()),
    }
}

pub(super) fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| CodecError::Malformed("string that is not UTF-8"))
}

pub(super) fn ascii(bytes: &[u8]) -> Result<&str> {
    if bytes.is_ascii() { utf8(bytes) } else { Err(CodecError::Malformed("symbol that is not ASCII")) }
}

/// A type that can be read from each of its encodings.
pub(crate) trait Decode: Sized {
    fn decode(reader: &mut Reader<'_>) -> Result<Self>;
}

/// A type that can be written in its shortest encoding.
pub(crate) trait Encode {
    fn encode(&self, out: &mut BytesMut);
}

/// A symbol (1.6.21): an ASCII name from a defined domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Symbol(Arc<str>);

impl Symbol {
    pub(crate) fn new(text: impl Into<Arc<str>>) -> Symbol {
        Symbol(text.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_inner(self) -> Arc<str> {
        self.0
    }
}

/// A value of any type, checked and kept in its encoded form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw(pub(crate) Bytes);

/// A map, checked and kept in its encoded form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawMap(pub(crate) Bytes);

/// A delivery-tag (2.8.7) of at most 32 bytes. Of a longer one only the fact is kept, so that the link can refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeliveryTag {
    len: usize,
    bytes: [u8; Self::MAX],
}

impl DeliveryTag {
    pub(crate) const MAX: usize = 32;

    pub(crate) fn new(tag: &[u8]) -> DeliveryTag {
        let mut bytes = [0; Self::MAX];
        for (to, from) in bytes.iter_mut().zip(tag) {
            *to = *from;
        }
        DeliveryTag { len: tag.len(), bytes }
    }

    pub(crate) fn is_too_long(&self) -> bool {
        self.len > Self::MAX
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

/// Converts a size, which fits a frame and so a `u32`.
pub(crate) fn saturate(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
