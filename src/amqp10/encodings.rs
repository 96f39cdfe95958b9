//! Primitive types (1.6): reads each type that the engine uses from all of its encodings, and writes it in the shortest.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::types::{
    CodecError, Decode, DeliveryTag, Encode, Raw, RawMap, Reader, Result, Symbol, ascii, code, saturate,
};

impl Decode for bool {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        match reader.byte()? {
            code::TRUE => Ok(true),
            code::FALSE => Ok(false),
            code::BOOLEAN => match reader.byte()? {
                0 => Ok(false),
                1 => Ok(true),
                _ => Err(CodecError::Malformed("boolean that is neither 0 nor 1")),
            },
            _ => Err(CodecError::Malformed("not a boolean")),
        }
    }
}

impl Encode for bool {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(if *self { code::TRUE } else { code::FALSE });
    }
}

impl Decode for u8 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        match reader.byte()? {
            code::UBYTE => reader.byte(),
            _ => Err(CodecError::Malformed("not a ubyte")),
        }
    }
}

impl Encode for u8 {
    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&[code::UBYTE, *self]);
    }
}

impl Decode for u16 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        match reader.byte()? {
            code::USHORT => Ok(u16::from_be_bytes(reader.fixed()?)),
            _ => Err(CodecError::Malformed("not a ushort")),
        }
    }
}

impl Encode for u16 {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(code::USHORT);
        out.put_u16(*self);
    }
}

impl Decode for u32 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        match reader.byte()? {
            code::UINT0 => Ok(0),
            code::SMALLUINT => Ok(u32::from(reader.byte()?)),
            code::UINT => Ok(u32::from_be_bytes(reader.fixed()?)),
            _ => Err(CodecError::Malformed("not a uint")),
        }
    }
}

impl Encode for u32 {
    fn encode(&self, out: &mut BytesMut) {
        match u8::try_from(*self) {
            Ok(0) => out.put_u8(code::UINT0),
            Ok(small) => out.put_slice(&[code::SMALLUINT, small]),
            Err(_) => {
                out.put_u8(code::UINT);
                out.put_u32(*self);
            }
        }
    }
}

impl Decode for u64 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        match reader.byte()? {
            code::ULONG0 => Ok(0),
            code::SMALLULONG => Ok(u64::from(reader.byte()?)),
            code::ULONG => Ok(u64::from_be_bytes(reader.fixed()?)),
            _ => Err(CodecError::Malformed("not a ulong")),
        }
    }
}

impl Encode for u64 {
    fn encode(&self, out: &mut BytesMut) {
        match u8::try_from(*self) {
            Ok(0) => out.put_u8(code::ULONG0),
            Ok(small) => out.put_slice(&[code::SMALLULONG, small]),
            Err(_) => {
                out.put_u8(code::ULONG);
                out.put_u64(*self);
            }
        }
    }
}

impl Decode for Arc<str> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        reader.string().map(Arc::from)
    }
}

impl Encode for Arc<str> {
    fn encode(&self, out: &mut BytesMut) {
        put_variable(out, code::STR8, code::STR32, self.as_bytes());
    }
}

impl Decode for Symbol {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        reader.symbol().map(Symbol::new)
    }
}

impl Encode for Symbol {
    fn encode(&self, out: &mut BytesMut) {
        put_variable(out, code::SYM8, code::SYM32, self.as_str().as_bytes());
    }
}

impl Decode for Bytes {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        reader.binary().map(Bytes::copy_from_slice)
    }
}

impl Encode for Bytes {
    fn encode(&self, out: &mut BytesMut) {
        put_variable(out, code::VBIN8, code::VBIN32, self);
    }
}

impl Decode for DeliveryTag {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        reader.binary().map(DeliveryTag::new)
    }
}

impl Encode for DeliveryTag {
    fn encode(&self, out: &mut BytesMut) {
        put_variable(out, code::VBIN8, code::VBIN32, self.as_slice());
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        T::decode(reader).map(Box::new)
    }
}

impl<T: Encode> Encode for Box<T> {
    fn encode(&self, out: &mut BytesMut) {
        (**self).encode(out);
    }
}

impl Decode for Raw {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        reader.any().map(|bytes| Raw(Bytes::copy_from_slice(bytes)))
    }
}

impl Encode for Raw {
    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.0);
    }
}

impl Decode for RawMap {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        match reader.peek() {
            Some(code::MAP8 | code::MAP32) => reader.any().map(|bytes| RawMap(Bytes::copy_from_slice(bytes))),
            _ => Err(CodecError::Malformed("not a map")),
        }
    }
}

impl Encode for RawMap {
    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.0);
    }
}

/// The value of a field with `multiple="true"` (1.4): a single value or an array.
impl Decode for Vec<Symbol> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let width = match reader.peek() {
            Some(code::ARRAY8) => 1,
            Some(code::ARRAY32) => 4,
            _ => return Ok(vec![Symbol::decode(reader)?]),
        };
        let whole = reader.any()?;
        let mut body = Reader::new(whole);
        body.byte()?;
        body.size(width)?;
        let count = body.size(width)?;
        let mut symbols = Vec::new();
        if count == 0 {
            return Ok(symbols);
        }
        let width = match body.byte()? {
            code::SYM8 => 1,
            code::SYM32 => 4,
            _ => return Err(CodecError::Malformed("not an array of symbols")),
        };
        for _ in 0..count {
            let size = body.size(width)?;
            symbols.push(Symbol::new(ascii(body.take(size)?)?));
        }
        Ok(symbols)
    }
}

impl Encode for Vec<Symbol> {
    fn encode(&self, out: &mut BytesMut) {
        if let [single] = self.as_slice() {
            return single.encode(out);
        }
        let data: usize = self.iter().map(|symbol| 4 + symbol.as_str().len()).sum();
        out.put_u8(code::ARRAY32);
        out.put_u32(saturate(4 + 1 + data));
        out.put_u32(saturate(self.len()));
        out.put_u8(code::SYM32);
        for symbol in self {
            out.put_u32(saturate(symbol.as_str().len()));
            out.put_slice(symbol.as_str().as_bytes());
        }
    }
}

fn put_variable(out: &mut BytesMut, short: u8, long: u8, bytes: &[u8]) {
    match u8::try_from(bytes.len()) {
        Ok(size) => out.put_slice(&[short, size]),
        Err(_) => {
            out.put_u8(long);
            out.put_u32(saturate(bytes.len()));
        }
    }
    out.put_slice(bytes);
}

/// Encodes a map from symbols to strings. None if there are no entries.
pub(crate) fn string_map(entries: &[(String, String)]) -> Option<RawMap> {
    if entries.is_empty() {
        return None;
    }
    let mut body = BytesMut::new();
    for (key, value) in entries {
        put_variable(&mut body, code::SYM8, code::SYM32, key.as_bytes());
        put_variable(&mut body, code::STR8, code::STR32, value.as_bytes());
    }
    Some(raw_map(entries.len(), &body))
}

/// Decodes the entries of a map from symbols whose values are strings; leaves the others out. Fails at a key of another type.
pub(crate) fn read_string_map(RawMap(bytes): &RawMap) -> Result<Vec<(Arc<str>, Arc<str>)>> {
    let (count, mut entries) = Reader::new(bytes).map()?;
    let mut strings = Vec::new();
    for _ in 0..count / 2 {
        let (key, value) = (Symbol::decode(&mut entries)?, entries.any()?);
        if let Ok(value) = Reader::new(value).string() {
            strings.push((key.into_inner(), value.into()));
        }
    }
    Ok(strings)
}

/// Encodes a map with one entry, whose key is a symbol.
pub(crate) fn map_of_one(key: &str, value: &impl Encode) -> RawMap {
    let mut body = BytesMut::new();
    Symbol::new(key).encode(&mut body);
    value.encode(&mut body);
    raw_map(1, &body)
}

/// Returns a map of `entries` keys and values, which are encoded in `body`.
fn raw_map(entries: usize, body: &[u8]) -> RawMap {
    let mut map = BytesMut::new();
    map.put_u8(code::MAP32);
    map.put_u32(saturate(4 + body.len()));
    map.put_u32(saturate(2 * entries));
    map.put_slice(body);
    RawMap(map.freeze())
}
