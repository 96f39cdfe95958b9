//! Values of any type (1.6) to and from [`Value`], for messages that a test writes or reads, and for the trace. Messages that the
//! broker routes are not decoded here.

use bytes::{BufMut, BytesMut};

use super::types::{
    CodecError, Decode, Encode, MAX_ZERO_WIDTH, Reader, Result, WRITTEN, ascii, category, check_depth, code, saturate,
    utf8,
};
use crate::live::live;
use crate::value::Value;

/// Bounds the memory that decoded values take beyond their bytes: elements without width take no bytes, and an array's one
/// descriptor is repeated for each element.
pub(crate) struct Budget {
    unpaid: usize,
}

impl Budget {
    /// The cost of an element without width.
    const ELEMENT: usize = 16;

    fn spend(&mut self, count: usize, size: usize) -> Result<()> {
        let left = count.checked_mul(size).and_then(|amount| self.unpaid.checked_sub(amount));
        self.unpaid = left.ok_or(CodecError::Malformed("array whose elements take no room"))?;
        Ok(())
    }
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { unpaid: MAX_ZERO_WIDTH * Self::ELEMENT }
    }
}

impl Decode for Value {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        read(reader, &mut Budget::default())
    }
}

/// Reads one value of any type.
pub(crate) fn read(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<Value> {
    read_value(reader, 0, budget)
}

fn read_value(reader: &mut Reader<'_>, depth: usize, budget: &mut Budget) -> Result<Value> {
    check_depth(depth)?;
    let format_code = reader.byte()?;
    if format_code == code::DESCRIBED {
        let descriptor = read_value(reader, depth + 1, budget)?;
        let value = read_value(reader, depth + 1, budget)?;
        return Ok(Value::Described(Box::new((descriptor, value))));
    }
    read_body(reader, format_code, depth, budget)
}

/// Reads the value that follows a format code.
fn read_body(reader: &mut Reader<'_>, format_code: u8, depth: usize, budget: &mut Budget) -> Result<Value> {
    // An array of arrays gets here without a constructor in between.
    check_depth(depth)?;
    Ok(match format_code {
        code::NULL => Value::Null,
        code::TRUE => Value::Bool(true),
        code::FALSE => Value::Bool(false),
        code::BOOLEAN => match reader.byte()? {
            0 => Value::Bool(false),
            1 => Value::Bool(true),
            _ => return Err(CodecError::Malformed("boolean that is neither 0 nor 1")),
        },
        code::UINT0 => Value::Uint(0),
        code::ULONG0 => Value::Ulong(0),
        code::UBYTE => Value::Ubyte(reader.byte()?),
        code::USHORT => Value::Ushort(u16::from_be_bytes(reader.fixed()?)),
        code::SMALLUINT => Value::Uint(reader.byte()?.into()),
        code::UINT => Value::Uint(u32::from_be_bytes(reader.fixed()?)),
        code::SMALLULONG => Value::Ulong(reader.byte()?.into()),
        code::ULONG => Value::Ulong(u64::from_be_bytes(reader.fixed()?)),
        code::BYTE => Value::Byte(i8::from_be_bytes(reader.fixed()?)),
        code::SHORT => Value::Short(i16::from_be_bytes(reader.fixed()?)),
        code::SMALLINT => Value::Int(i8::from_be_bytes(reader.fixed()?).into()),
        code::INT => Value::Int(i32::from_be_bytes(reader.fixed()?)),
        code::SMALLLONG => Value::Long(i8::from_be_bytes(reader.fixed()?).into()),
        code::LONG => Value::Long(i64::from_be_bytes(reader.fixed()?)),
        code::FLOAT => Value::Float(f32::from_be_bytes(reader.fixed()?)),
        code::DOUBLE => Value::Double(f64::from_be_bytes(reader.fixed()?)),
        code::DECIMAL32 => Value::Decimal32(reader.fixed()?),
        code::DECIMAL64 => Value::Decimal64(reader.fixed()?),
        code::DECIMAL128 => Value::Decimal128(reader.fixed()?),
        code::CHAR => {
            let scalar = char::from_u32(u32::from_be_bytes(reader.fixed()?));
            Value::Char(scalar.ok_or(CodecError::Malformed("char that is no Unicode scalar value"))?)
        }
        code::TIMESTAMP => Value::Timestamp(i64::from_be_bytes(reader.fixed()?)),
        code::UUID => Value::Uuid(reader.fixed()?),
        code::VBIN8 => Value::Binary(variable(reader, 1)?.to_vec()),
        code::VBIN32 => Value::Binary(variable(reader, 4)?.to_vec()),
        code::STR8 => Value::String(utf8(variable(reader, 1)?)?.to_owned()),
        code::STR32 => Value::String(utf8(variable(reader, 4)?)?.to_owned()),
        code::SYM8 => Value::Symbol(ascii(variable(reader, 1)?)?.to_owned()),
        code::SYM32 => Value::Symbol(ascii(variable(reader, 4)?)?.to_owned()),
        code::LIST0 => Value::List(Vec::new()),
        code::LIST8 => Value::List(read_list(reader, 1, depth, budget)?),
        code::LIST32 => Value::List(read_list(reader, 4, depth, budget)?),
        code::MAP8 => Value::Map(read_map(reader, 1, depth, budget)?),
        code::MAP32 => Value::Map(read_map(reader, 4, depth, budget)?),
        code::ARRAY8 => Value::Array(read_array(reader, 1, depth, budget)?),
        code::ARRAY32 => Value::Array(read_array(reader, 4, depth, budget)?),
        _ => return Err(CodecError::Malformed("unknown constructor")),
    })
}

fn variable<'a>(reader: &mut Reader<'a>, width: usize) -> Result<&'a [u8]> {
    let size = reader.size(width)?;
    reader.take(size)
}

fn read_list(reader: &mut Reader<'_>, width: usize, depth: usize, budget: &mut Budget) -> Result<Vec<Value>> {
    let (count, mut body) = reader.compound(width)?;
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(read_value(&mut body, depth + 1, budget)?);
    }
    body.finish()?;
    Ok(items)
}

fn read_map(reader: &mut Reader<'_>, width: usize, depth: usize, budget: &mut Budget) -> Result<Vec<(Value, Value)>> {
    let (count, mut body) = reader.compound(width)?;
    if count % 2 != 0 {
        return Err(CodecError::Malformed("map with a key that has no value"));
    }
    let mut entries = Vec::new();
    for _ in 0..count / 2 {
        let key = read_value(&mut body, depth + 1, budget)?;
        entries.push((key, read_value(&mut body, depth + 1, budget)?));
    }
    body.finish()?;
    Ok(entries)
}

/// Whether a descriptor is a symbol or a ulong (1.2.1). Only such a one is repeated for each element of an array, since its size
/// in memory is that of its bytes.
fn is_simple(descriptor: &Value) -> bool {
    matches!(descriptor, Value::Ulong(_) | Value::Symbol(_))
}

/// Reads an array (1.6.24): one constructor, then elements without one.
fn read_array(reader: &mut Reader<'_>, width: usize, depth: usize, budget: &mut Budget) -> Result<Vec<Value>> {
    let size = reader.size(width)?;
    let mut body = Reader::new(reader.take(size)?);
    let count = body.size(width).map_err(|_| CodecError::Malformed("array without room for its count"))?;
    let mut items = Vec::new();
    if count == 0 && body.is_empty() {
        // Without elements some encoders leave the constructor out too.
        return Ok(items);
    }
    let before = body.rest().len();
    let mut descriptors = Vec::new();
    let mut format_code = body.byte()?;
    while format_code == code::DESCRIBED {
        let descriptor = read_value(&mut body, depth + descriptors.len() + 1, budget)?;
        if !is_simple(&descriptor) {
            return Err(CodecError::Malformed("array with a descriptor that is neither ulong nor symbol"));
        }
        descriptors.push(descriptor);
        format_code = body.byte()?;
    }
    // An array without elements names their type all the same.
    category(format_code)?;
    if !descriptors.is_empty() {
        budget.spend(count, before - body.rest().len())?;
    }
    let depth = depth + descriptors.len() + 1;
    for _ in 0..count {
        let left = body.rest().len();
        let item = read_body(&mut body, format_code, depth, budget)?;
        if body.rest().len() == left {
            budget.spend(1, Budget::ELEMENT)?;
        }
        let describe = |value, descriptor: &Value| Value::Described(Box::new((descriptor.clone(), value)));
        items.push(descriptors.iter().rev().fold(item, describe));
    }
    body.finish()?;
    Ok(items)
}

impl Encode for Value {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Value::Bool(flag) => flag.encode(out),
            Value::Uint(number) => number.encode(out),
            Value::Ulong(number) => number.encode(out),
            Value::List(items) => put_list(items, out),
            Value::Map(entries) => put_map(entries, out),
            Value::Array(items) => put_array(items, out),
            _ => {
                let format_code = constructor(self, is_small(self));
                out.put_u8(format_code);
                put_body(self, format_code, out);
            }
        }
    }
}

/// Returns the format code for a value, the narrow one of its type or the wide one. Never one without width, except null's.
fn constructor(value: &Value, small: bool) -> u8 {
    let narrow_or = |narrow: u8, wide: u8| if small { narrow } else { wide };
    match value {
        Value::Null => code::NULL,
        Value::Bool(_) => code::BOOLEAN,
        Value::Ubyte(_) => code::UBYTE,
        Value::Ushort(_) => code::USHORT,
        Value::Uint(_) => narrow_or(code::SMALLUINT, code::UINT),
        Value::Ulong(_) => narrow_or(code::SMALLULONG, code::ULONG),
        Value::Byte(_) => code::BYTE,
        Value::Short(_) => code::SHORT,
        Value::Int(_) => narrow_or(code::SMALLINT, code::INT),
        Value::Long(_) => narrow_or(code::SMALLLONG, code::LONG),
        Value::Float(_) => code::FLOAT,
        Value::Double(_) => code::DOUBLE,
        Value::Decimal32(_) => code::DECIMAL32,
        Value::Decimal64(_) => code::DECIMAL64,
        Value::Decimal128(_) => code::DECIMAL128,
        Value::Char(_) => code::CHAR,
        Value::Timestamp(_) => code::TIMESTAMP,
        Value::Uuid(_) => code::UUID,
        Value::Binary(_) => narrow_or(code::VBIN8, code::VBIN32),
        Value::String(_) => narrow_or(code::STR8, code::STR32),
        Value::Symbol(_) => narrow_or(code::SYM8, code::SYM32),
        Value::List(_) => code::LIST32,
        Value::Map(_) => code::MAP32,
        Value::Array(_) => code::ARRAY32,
        Value::Described(_) => code::DESCRIBED,
    }
}

/// Whether the narrow encoding of a value's type fits it.
fn is_small(value: &Value) -> bool {
    match value {
        Value::Uint(number) => *number <= u8::MAX.into(),
        Value::Ulong(number) => *number <= u8::MAX.into(),
        Value::Int(number) => i8::try_from(*number).is_ok(),
        Value::Long(number) => i8::try_from(*number).is_ok(),
        Value::Binary(bytes) => u8::try_from(bytes.len()).is_ok(),
        Value::String(text) | Value::Symbol(text) => u8::try_from(text.len()).is_ok(),
        _ => false,
    }
}

/// Writes the value that follows the format code, which is one of [`constructor`]'s.
fn put_body(value: &Value, format_code: u8, out: &mut BytesMut) {
    // The narrow encodings of numbers are the last byte of the wide ones.
    let put_number = |out: &mut BytesMut, wide: &[u8]| match format_code {
        code::SMALLUINT | code::SMALLULONG | code::SMALLINT | code::SMALLLONG => out.extend(wide.last()),
        _ => out.put_slice(wide),
    };
    match value {
        Value::Null => {}
        Value::Bool(flag) => out.put_u8((*flag).into()),
        Value::Ubyte(number) => out.put_u8(*number),
        Value::Ushort(number) => out.put_u16(*number),
        Value::Uint(number) => put_number(out, &number.to_be_bytes()),
        Value::Ulong(number) => put_number(out, &number.to_be_bytes()),
        Value::Byte(number) => out.put_i8(*number),
        Value::Short(number) => out.put_i16(*number),
        Value::Int(number) => put_number(out, &number.to_be_bytes()),
        Value::Long(number) | Value::Timestamp(number) => put_number(out, &number.to_be_bytes()),
        Value::Float(number) => out.put_f32(*number),
        Value::Double(number) => out.put_f64(*number),
        Value::Decimal32(bytes) => out.put_slice(bytes),
        Value::Decimal64(bytes) => out.put_slice(bytes),
        Value::Decimal128(bytes) | Value::Uuid(bytes) => out.put_slice(bytes),
        Value::Char(char) => out.put_u32(u32::from(*char)),
        Value::Binary(bytes) => put_bytes(bytes, format_code == code::VBIN8, out),
        Value::String(text) => put_bytes(text.as_bytes(), format_code == code::STR8, out),
        Value::Symbol(name) => put_bytes(name.as_bytes(), format_code == code::SYM8, out),
        Value::List(items) => put_sized(out, items.len(), |out| items.iter().for_each(|item| item.encode(out))),
        Value::Map(entries) => put_sized(out, 2 * entries.len(), |out| put_entries(entries, out)),
        Value::Array(items) => put_sized(out, items.len(), |out| put_elements(items.iter().collect(), out)),
        Value::Described(described) => {
            described.0.encode(out);
            described.1.encode(out);
        }
    }
}

fn put_bytes(bytes: &[u8], small: bool, out: &mut BytesMut) {
    match u8::try_from(bytes.len()) {
        Ok(size) if small => out.put_u8(size),
        _ => out.put_u32(saturate(bytes.len())),
    }
    out.put_slice(bytes);
}

fn put_entries(entries: &[(Value, Value)], out: &mut BytesMut) {
    for (key, value) in entries {
        key.encode(out);
        value.encode(out);
    }
}

/// Writes size and count, four bytes each, and what `write` writes.
fn put_sized(out: &mut BytesMut, count: usize, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_u32(saturate(count));
    write(out);
    let size = saturate(out.len() - start - 4);
    let field = out.get_mut(start..).and_then(|written| written.first_chunk_mut());
    if let Some(field) = live(field, WRITTEN) {
        *field = size.to_be_bytes();
    }
}

/// Writes a list, map or array, in the narrow encoding if it fits.
fn put_compound(out: &mut BytesMut, short: u8, long: u8, count: usize, write: impl FnOnce(&mut BytesMut)) {
    const LONG_HEAD: usize = 9;
    const SHORT_HEAD: usize = 3;
    let start = out.len();
    out.put_u8(long);
    put_sized(out, count, write);
    let body = out.len() - start - LONG_HEAD;
    let Some(written) = live(out.get_mut(start..), WRITTEN) else { return };
    if let (Ok(size), Ok(count)) = (u8::try_from(body + 1), u8::try_from(count)) {
        if let Some(head) = live(written.first_chunk_mut(), WRITTEN) {
            *head = [short, size, count];
        }
        written.copy_within(LONG_HEAD.., SHORT_HEAD);
        out.truncate(start + SHORT_HEAD + body);
    }
}

pub(super) fn put_map(entries: &[(Value, Value)], out: &mut BytesMut) {
    put_compound(out, code::MAP8, code::MAP32, 2 * entries.len(), |out| put_entries(entries, out));
}

pub(super) fn put_binary(bytes: &[u8], out: &mut BytesMut) {
    let small = u8::try_from(bytes.len()).is_ok();
    out.put_u8(if small { code::VBIN8 } else { code::VBIN32 });
    put_bytes(bytes, small, out);
}

pub(super) fn put_list(items: &[Value], out: &mut BytesMut) {
    if items.is_empty() {
        return out.put_u8(code::LIST0);
    }
    put_compound(out, code::LIST8, code::LIST32, items.len(), |out| items.iter().for_each(|item| item.encode(out)));
}

fn put_array(items: &[Value], out: &mut BytesMut) {
    if !is_uniform(items.iter().collect()) {
        return put_list(items, out);
    }
    put_compound(out, code::ARRAY8, code::ARRAY32, items.len(), |out| put_elements(items.iter().collect(), out));
}

/// Whether one constructor fits all items, as an array requires (1.6.24).
fn is_uniform(mut items: Vec<&Value>) -> bool {
    loop {
        let Some((first, rest)) = items.split_first() else { return true };
        let kind = std::mem::discriminant(*first);
        if rest.iter().any(|item| std::mem::discriminant(*item) != kind) {
            return false;
        }
        match first {
            Value::Null => return items.len() <= MAX_ZERO_WIDTH,
            Value::Array(_) => return items.iter().all(|item| item.as_list().is_none_or(is_uniform_array)),
            Value::Described(described) => {
                if !is_simple(&described.0) || rest.iter().any(|item| descriptor(item) != Some(&described.0)) {
                    return false;
                }
                items = items.into_iter().filter_map(undescribed).collect();
            }
            _ => return true,
        }
    }
}

fn is_uniform_array(items: &[Value]) -> bool {
    is_uniform(items.iter().collect())
}

fn descriptor(value: &Value) -> Option<&Value> {
    match value {
        Value::Described(described) => Some(&described.0),
        _ => None,
    }
}

fn undescribed(value: &Value) -> Option<&Value> {
    match value {
        Value::Described(described) => Some(&described.1),
        _ => None,
    }
}

/// Writes the constructor that fits all elements, and the elements.
fn put_elements(mut items: Vec<&Value>, out: &mut BytesMut) {
    while let Some(descriptor) = items.first().copied().and_then(descriptor) {
        out.put_u8(code::DESCRIBED);
        descriptor.encode(out);
        items = items.into_iter().filter_map(undescribed).collect();
    }
    let small = items.iter().all(|item| is_small(item));
    let format_code = items.first().map_or(code::NULL, |first| constructor(first, small));
    out.put_u8(format_code);
    items.iter().for_each(|item| put_body(item, format_code, out));
}

/// A timestamp (1.6.17), in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp(pub(crate) i64);

impl Decode for Timestamp {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        match reader.byte()? {
            code::TIMESTAMP => Ok(Timestamp(i64::from_be_bytes(reader.fixed()?))),
            _ => Err(CodecError::Malformed("not a timestamp")),
        }
    }
}

impl Encode for Timestamp {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(code::TIMESTAMP);
        out.put_i64(self.0);
    }
}

#[cfg(test)]
pub(super) mod tests;
