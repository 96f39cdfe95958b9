//! An encoder and a decoder of AMQP 1.0 values for the peer, written from part 1 of the specification. They share nothing with
//! the broker's.

/// A value of the AMQP type system (1.6).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Ubyte(u8),
    Ushort(u16),
    Uint(u32),
    Ulong(u64),
    Byte(i8),
    Short(i16),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    /// A decimal32, 64 or 128, undecoded.
    Decimal(Vec<u8>),
    Char(char),
    Timestamp(i64),
    Uuid([u8; 16]),
    Binary(Vec<u8>),
    Text(String),
    Symbol(String),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Array(Vec<Value>),
    Described(Box<Value>, Box<Value>),
    /// Bytes that are sent as they are, for malformed fields.
    Raw(Vec<u8>),
}

use Value::*;

pub fn symbol(text: &str) -> Value {
    Symbol(text.to_owned())
}

pub fn raw(bytes: &[u8]) -> Value {
    Raw(bytes.to_vec())
}

pub fn described(code: u64, value: Value) -> Value {
    Described(Box::new(Ulong(code)), Box::new(value))
}

macro_rules! from {
    ($($from:ty => $variant:ident),*) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Value {
                $variant(value.into())
            }
        }
    )*};
}
from!(bool => Bool, u8 => Ubyte, u16 => Ushort, u32 => Uint, u64 => Ulong, i32 => Int, i64 => Long,
      &str => Text, String => Text, Vec<u8> => Binary, &[u8] => Binary);

impl Value {
    /// Returns the shortest encoding of the value.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Null => out.push(0x40),
            Bool(true) => out.push(0x41),
            Bool(false) => out.push(0x42),
            Uint(0) => out.push(0x43),
            Ulong(0) => out.push(0x44),
            Uint(n) if *n < 0x100 => out.extend([0x52, *n as u8]),
            Ulong(n) if *n < 0x100 => out.extend([0x53, *n as u8]),
            Int(n) if i8::try_from(*n).is_ok() => out.extend([0x54, *n as u8]),
            Long(n) if i8::try_from(*n).is_ok() => out.extend([0x55, *n as u8]),
            Binary(bytes) if bytes.len() < 0x100 => short(out, 0xa0, bytes),
            Text(text) if text.len() < 0x100 => short(out, 0xa1, text.as_bytes()),
            Symbol(text) if text.len() < 0x100 => short(out, 0xa3, text.as_bytes()),
            List(items) if items.is_empty() => out.push(0x45),
            List(items) => compound(out, 0xc0, items.len(), &concat(items)),
            Map(entries) => compound(out, 0xc1, entries.len() * 2, &pairs(entries)),
            Array(items) => {
                let mut body = vec![items.first().map_or(0x40, Value::wide_constructor)];
                items.iter().for_each(|item| item.put_wide(&mut body));
                compound(out, 0xe0, items.len(), &body);
            }
            Described(descriptor, value) => {
                out.push(0x00);
                descriptor.put(out);
                value.put(out);
            }
            Raw(bytes) => out.extend(bytes),
            _ => {
                out.push(self.wide_constructor());
                self.put_wide(out);
            }
        }
    }

    /// Returns the constructor that fits every value of the type, for the elements of an array.
    fn wide_constructor(&self) -> u8 {
        match self {
            Null => 0x40,
            Bool(_) => 0x56,
            Ubyte(_) => 0x50,
            Ushort(_) => 0x60,
            Uint(_) => 0x70,
            Ulong(_) => 0x80,
            Byte(_) => 0x51,
            Short(_) => 0x61,
            Int(_) => 0x71,
            Long(_) => 0x81,
            Float(_) => 0x72,
            Double(_) => 0x82,
            Decimal(bytes) => match bytes.len() {
                4 => 0x74,
                8 => 0x84,
                _ => 0x94,
            },
            Char(_) => 0x73,
            Timestamp(_) => 0x83,
            Uuid(_) => 0x98,
            Binary(_) => 0xb0,
            Text(_) => 0xb1,
            Symbol(_) => 0xb3,
            List(_) => 0xd0,
            Map(_) => 0xd1,
            Array(_) => 0xf0,
            Described(..) | Raw(_) => panic!("not for an array: write it with raw()"),
        }
    }

    fn put_wide(&self, out: &mut Vec<u8>) {
        match self {
            Null => {}
            Bool(flag) => out.push(*flag as u8),
            Ubyte(n) => out.push(*n),
            Byte(n) => out.push(*n as u8),
            Ushort(n) => out.extend(n.to_be_bytes()),
            Short(n) => out.extend(n.to_be_bytes()),
            Uint(n) => out.extend(n.to_be_bytes()),
            Int(n) => out.extend(n.to_be_bytes()),
            Float(n) => out.extend(n.to_be_bytes()),
            Char(c) => out.extend((*c as u32).to_be_bytes()),
            Ulong(n) => out.extend(n.to_be_bytes()),
            Long(n) | Timestamp(n) => out.extend(n.to_be_bytes()),
            Double(n) => out.extend(n.to_be_bytes()),
            Decimal(bytes) => out.extend(bytes),
            Uuid(bytes) => out.extend(bytes),
            Binary(bytes) => long(out, bytes),
            Text(text) | Symbol(text) => long(out, text.as_bytes()),
            List(items) => wide_compound(out, items.len(), &concat(items)),
            Map(entries) => wide_compound(out, entries.len() * 2, &pairs(entries)),
            Array(_) | Described(..) | Raw(_) => panic!("not for an array: write it with raw()"),
        }
    }
}

fn short(out: &mut Vec<u8>, constructor: u8, bytes: &[u8]) {
    out.extend([constructor, bytes.len() as u8]);
    out.extend(bytes);
}

fn long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(bytes);
}

/// Encodes a list, map or array, with one-byte sizes if they fit (`constructor`), else with four-byte ones.
fn compound(out: &mut Vec<u8>, constructor: u8, count: usize, body: &[u8]) {
    if count < 0x100 && body.len() < 0xff {
        out.extend([constructor, body.len() as u8 + 1, count as u8]);
        out.extend(body);
    } else {
        out.push(constructor + 0x10);
        wide_compound(out, count, body);
    }
}

fn wide_compound(out: &mut Vec<u8>, count: usize, body: &[u8]) {
    out.extend((body.len() as u32 + 4).to_be_bytes());
    out.extend((count as u32).to_be_bytes());
    out.extend(body);
}

fn concat(items: &[Value]) -> Vec<u8> {
    items.iter().flat_map(Value::encode).collect()
}

fn pairs(entries: &[(Value, Value)]) -> Vec<u8> {
    entries.iter().flat_map(|(key, value)| [key.encode(), value.encode()].concat()).collect()
}

/// Decodes one value at the front of `bytes`. The error is for the test's failure message.
pub fn decode(bytes: &mut &[u8]) -> Result<Value, String> {
    decode_at(MAX_DEPTH, bytes)
}

/// The peer also decodes its own malformed frames, to keep its ids, so it has a limit on depth too.
const MAX_DEPTH: u32 = 100;

fn decode_at(depth: u32, bytes: &mut &[u8]) -> Result<Value, String> {
    let constructor = take(bytes, 1)?[0];
    if constructor == 0x00 {
        let depth = deeper(depth)?;
        let descriptor = decode_at(depth, bytes)?;
        return Ok(Described(Box::new(descriptor), Box::new(decode_at(depth, bytes)?)));
    }
    decode_as(constructor, depth, bytes)
}

fn deeper(depth: u32) -> Result<u32, String> {
    depth.checked_sub(1).ok_or_else(|| format!("values more than {MAX_DEPTH} deep"))
}

fn decode_as(constructor: u8, depth: u32, bytes: &mut &[u8]) -> Result<Value, String> {
    Ok(match constructor {
        0x40 => Null,
        0x41 => Bool(true),
        0x42 => Bool(false),
        0x43 => Uint(0),
        0x44 => Ulong(0),
        0x45 => List(Vec::new()),
        0x50 => Ubyte(take(bytes, 1)?[0]),
        0x51 => Byte(take(bytes, 1)?[0] as i8),
        0x52 => Uint(take(bytes, 1)?[0].into()),
        0x53 => Ulong(take(bytes, 1)?[0].into()),
        0x54 => Int((take(bytes, 1)?[0] as i8).into()),
        0x55 => Long((take(bytes, 1)?[0] as i8).into()),
        0x56 => match take(bytes, 1)?[0] {
            0 => Bool(false),
            1 => Bool(true),
            other => return Err(format!("a boolean of {other:#04x}")),
        },
        0x60 => Ushort(u16::from_be_bytes(fixed(bytes)?)),
        0x61 => Short(i16::from_be_bytes(fixed(bytes)?)),
        0x70 => Uint(u32::from_be_bytes(fixed(bytes)?)),
        0x71 => Int(i32::from_be_bytes(fixed(bytes)?)),
        0x72 => Float(f32::from_be_bytes(fixed(bytes)?)),
        0x73 => {
            let code = u32::from_be_bytes(fixed(bytes)?);
            Char(char::from_u32(code).ok_or_else(|| format!("a char of {code:#x}"))?)
        }
        0x74 => Decimal(take(bytes, 4)?.to_vec()),
        0x80 => Ulong(u64::from_be_bytes(fixed(bytes)?)),
        0x81 => Long(i64::from_be_bytes(fixed(bytes)?)),
        0x82 => Double(f64::from_be_bytes(fixed(bytes)?)),
        0x83 => Timestamp(i64::from_be_bytes(fixed(bytes)?)),
        0x84 => Decimal(take(bytes, 8)?.to_vec()),
        0x94 => Decimal(take(bytes, 16)?.to_vec()),
        0x98 => Uuid(fixed(bytes)?),
        0xa0 => Binary(variable(bytes, 1)?.to_vec()),
        0xb0 => Binary(variable(bytes, 4)?.to_vec()),
        0xa1 => Text(utf8(variable(bytes, 1)?)?),
        0xb1 => Text(utf8(variable(bytes, 4)?)?),
        0xa3 => Symbol(ascii(variable(bytes, 1)?)?),
        0xb3 => Symbol(ascii(variable(bytes, 4)?)?),
        0xc0 | 0xd0 => List(items(deeper(depth)?, bytes, if constructor == 0xc0 { 1 } else { 4 })?),
        0xc1 | 0xd1 => {
            let items = items(deeper(depth)?, bytes, if constructor == 0xc1 { 1 } else { 4 })?;
            if items.len() % 2 == 1 {
                return Err("a map with a key and no value".into());
            }
            Map(items.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
        }
        0xe0 | 0xf0 => array(deeper(depth)?, bytes, if constructor == 0xe0 { 1 } else { 4 })?,
        other => return Err(format!("the constructor {other:#04x}")),
    })
}

fn items(depth: u32, bytes: &mut &[u8], width: usize) -> Result<Vec<Value>, String> {
    let mut body = variable(bytes, width)?;
    let count = size(&mut body, width)?;
    let items = (0..count).map(|_| decode_at(depth, &mut body)).collect::<Result<_, _>>()?;
    if !body.is_empty() {
        return Err(format!("{} bytes after a compound's last item", body.len()));
    }
    Ok(items)
}

fn array(depth: u32, bytes: &mut &[u8], width: usize) -> Result<Value, String> {
    let mut body = variable(bytes, width)?;
    let count = size(&mut body, width)?;
    let constructor = take(&mut body, 1)?[0];
    // Elements may have no width, but not without end.
    if count > body.len() + 0x10000 {
        return Err(format!("{count} elements in {} bytes", body.len()));
    }
    let items = (0..count).map(|_| decode_as(constructor, depth, &mut body)).collect::<Result<_, _>>()?;
    if !body.is_empty() {
        return Err(format!("{} bytes after an array's last element", body.len()));
    }
    Ok(Array(items))
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8], String> {
    if bytes.len() < n {
        return Err(format!("{n} bytes wanted where {} are left", bytes.len()));
    }
    let (taken, rest) = bytes.split_at(n);
    *bytes = rest;
    Ok(taken)
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], String> {
    take(bytes, N).map(|taken| taken.try_into().unwrap())
}

fn size(bytes: &mut &[u8], width: usize) -> Result<usize, String> {
    Ok(take(bytes, width)?.iter().fold(0, |size, byte| size << 8 | *byte as usize))
}

fn variable<'a>(bytes: &mut &'a [u8], width: usize) -> Result<&'a [u8], String> {
    let size = size(bytes, width)?;
    take(bytes, size)
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| format!("a string that is not UTF-8: {error}"))
}

fn ascii(bytes: &[u8]) -> Result<String, String> {
    if !bytes.is_ascii() {
        return Err("a symbol that is not ASCII".into());
    }
    utf8(bytes)
}
