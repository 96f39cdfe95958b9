//! 4.2.5.5: field tables. A table is kept as its bytes, which are checked once and decoded when they are asked for.
//!
//! The types are those that clients and brokers agree on in practice: where the letters of the specification differ
//! (`b`, `s`, `l`, `L`), they have the meaning of RabbitMQ and its clients.

use std::collections::HashSet;

use bytes::{BufMut, BytesMut};

use super::types::{Argument, Malformed, Reader, Result, Version, Writer, saturate};
use crate::value::Value;

/// The depth to which tables and arrays may be nested (our choice).
const MAX_DEPTH: usize = 32;

/// The entries of a table, without its size, known to be well-formed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table<'a>(&'a [u8]);

/// One value of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    Void,
    Boolean(bool),
    Byte(i8),
    UnsignedByte(u8),
    Short(i16),
    UnsignedShort(u16),
    Int(i32),
    UnsignedInt(u32),
    Long(i64),
    Float(f32),
    Double(f64),
    /// The number of decimal digits, and the number without its point.
    Decimal(u8, i32),
    /// Seconds since 1970.
    Timestamp(u64),
    /// Bytes, which are usually text.
    LongString(&'a [u8]),
    Bytes(&'a [u8]),
    Table(Table<'a>),
    /// The elements, each with its type.
    Array(Elements<'a>),
}

impl<'a> Table<'a> {
    /// Checks the entries of a table without its size, as AMQPLAIN has them. Fails if they are malformed.
    pub(crate) fn of_entries(bytes: &'a [u8]) -> Result<Table<'a>> {
        check_entries(bytes, 0)?;
        Ok(Table(bytes))
    }

    /// The entries, in order.
    pub(crate) fn entries(self) -> Entries<'a> {
        Entries(reader(self.0))
    }

    pub(crate) fn get(self, name: &str) -> Option<Field<'a>> {
        self.entries().find(|(key, _)| *key == name.as_bytes()).map(|(_, field)| field)
    }

    /// Whether there is a boolean of this name and it is true.
    pub(crate) fn flag(self, name: &str) -> bool {
        self.get(name) == Some(Field::Boolean(true))
    }

    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        match self.get(name)? {
            Field::LongString(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The table without the entries whose names `keep` does not accept. The others stay octet for octet.
    pub(crate) fn only(self, keep: impl Fn(&[u8]) -> bool) -> TableWriter {
        let mut kept = TableWriter::default();
        let mut entries = self.entries();
        let mut rest = self.0;
        while let Some((name, _)) = entries.next() {
            let (entry, after) = rest.split_at(rest.len() - entries.0.rest().len());
            if keep(name) {
                kept.0.put_slice(entry);
            }
            rest = after;
        }
        kept
    }

    /// The entries as values, in order.
    pub(crate) fn values(self) -> impl Iterator<Item = (String, Value)> {
        self.entries().map(|(name, field)| (String::from_utf8_lossy(name).into_owned(), field.to_value()))
    }
}

impl Field<'_> {
    /// RabbitMQ's name for the type of the field.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Field::Void => "void",
            Field::Boolean(_) => "bool",
            Field::Byte(_) => "byte",
            Field::UnsignedByte(_) => "unsignedbyte",
            Field::Short(_) => "short",
            Field::UnsignedShort(_) => "unsignedshort",
            Field::Int(_) => "signedint",
            Field::UnsignedInt(_) => "unsignedint",
            Field::Long(_) => "long",
            Field::Float(_) => "float",
            Field::Double(_) => "double",
            Field::Decimal(..) => "decimal",
            Field::Timestamp(_) => "timestamp",
            Field::LongString(_) => "longstr",
            Field::Bytes(_) => "binary",
            Field::Table(_) => "table",
            Field::Array(_) => "array",
        }
    }

    /// Converts the field to a plain value. A decimal becomes a double.
    pub(crate) fn to_value(self) -> Value {
        match self {
            Field::Void => Value::Null,
            Field::Boolean(value) => Value::Bool(value),
            Field::Byte(value) => Value::Byte(value),
            Field::UnsignedByte(value) => Value::Ubyte(value),
            Field::Short(value) => Value::Short(value),
            Field::UnsignedShort(value) => Value::Ushort(value),
            Field::Int(value) => Value::Int(value),
            Field::UnsignedInt(value) => Value::Uint(value),
            Field::Long(value) => Value::Long(value),
            Field::Float(value) => Value::Float(value),
            Field::Double(value) => Value::Double(value),
            Field::Decimal(scale, value) => Value::Double(f64::from(value) / 10_f64.powi(scale.into())),
            Field::Timestamp(seconds) => {
                Value::Timestamp(i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX))
            }
            Field::LongString(bytes) => text_or_bytes(bytes),
            Field::Bytes(bytes) => Value::Binary(bytes.to_vec()),
            Field::Table(table) => {
                // A map has each name once.
                let mut seen = HashSet::new();
                let entries = table.values().filter(|(name, _)| seen.insert(name.clone()));
                Value::Map(entries.map(|(name, value)| (Value::String(name), value)).collect())
            }
            Field::Array(elements) => Value::List(elements.iter().map(Field::to_value).collect()),
        }
    }
}

/// Converts bytes to a string, or to binary if they are not UTF-8.
pub(crate) fn text_or_bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => Value::Binary(bytes.to_vec()),
    }
}

impl<'a> Argument<'a> for Table<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        Table::of_entries(reader.longstr()?)
    }
    fn write(&self, writer: &mut Writer<'_>) {
        writer.longstr(self.0);
    }
}

/// Reads the bytes of a table, whose encoding is the same in all versions.
fn reader(bytes: &[u8]) -> Reader<'_> {
    Reader::new(bytes, Version::V0_9_1)
}

/// Iterates over the names and values of a table.
#[derive(Clone, Debug)]
pub(crate) struct Entries<'a>(Reader<'a>);

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], Field<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        // The entries were checked when the table was made.
        Some((self.0.short_bytes().ok()?, field(&mut self.0).ok()?))
    }
}

/// The elements of an array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The elements that [`put_field`] has written.
    pub(crate) fn of_encoded(bytes: &'a [u8]) -> Elements<'a> {
        Elements(bytes)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Field<'a>> {
        let mut reader = reader(self.0);
        std::iter::from_fn(move || (!reader.is_empty()).then(|| field(&mut reader).ok()).flatten())
    }
}

/// Reads the next field. Tables and arrays in it are not checked.
fn field<'a>(reader: &mut Reader<'a>) -> Result<Field<'a>> {
    #[expect(clippy::cast_possible_wrap, reason = "the same bits")]
    Ok(match reader.octet()? {
        b'V' => Field::Void,
        b't' => Field::Boolean(reader.octet()? != 0),
        b'b' => Field::Byte(reader.octet()? as i8),
        b'B' => Field::UnsignedByte(reader.octet()?),
        b's' | b'U' => Field::Short(reader.short()? as i16),
        b'u' => Field::UnsignedShort(reader.short()?),
        b'I' => Field::Int(reader.long()? as i32),
        b'i' => Field::UnsignedInt(reader.long()?),
        b'l' | b'L' => Field::Long(reader.longlong()? as i64),
        b'f' => Field::Float(f32::from_bits(reader.long()?)),
        b'd' => Field::Double(f64::from_bits(reader.longlong()?)),
        b'D' => Field::Decimal(reader.octet()?, reader.long()? as i32),
        b'T' => Field::Timestamp(reader.longlong()?),
        b'S' => Field::LongString(reader.longstr()?),
        b'x' => Field::Bytes(reader.longstr()?),
        b'F' => Field::Table(Table(reader.longstr()?)),
        b'A' => Field::Array(Elements(reader.longstr()?)),
        _ => return Err(Malformed("a table field of an unknown type")),
    })
}

fn check_entries(bytes: &[u8], depth: usize) -> Result<()> {
    let mut reader = reader(bytes);
    while !reader.is_empty() {
        reader.short_bytes()?;
        check_field(&mut reader, depth)?;
    }
    Ok(())
}

fn check_field(reader: &mut Reader<'_>, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Malformed("tables are nested too deep"));
    }
    match field(reader)? {
        Field::Table(table) => check_entries(table.0, depth + 1),
        Field::Array(elements) => {
            let mut inner = self::reader(elements.0);
            while !inner.is_empty() {
                check_field(&mut inner, depth + 1)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Writes the entries of a table, in field types that clients of all versions read.
#[derive(Debug, Default)]
pub(crate) struct TableWriter(BytesMut);

impl TableWriter {
    fn name(&mut self, name: &str) {
        Writer::new(&mut self.0, Version::V0_9_1).shortstr(name);
    }

    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        self.0.put_u8(b'S');
        Writer::new(&mut self.0, Version::V0_9_1).longstr(value.as_bytes());
        self
    }

    pub(crate) fn yes(mut self, name: &str) -> Self {
        self.name(name);
        self.0.put_slice(b"t\x01");
        self
    }

    pub(crate) fn table(mut self, name: &str, inner: &TableWriter) -> Self {
        self.name(name);
        self.0.put_u8(b'F');
        self.0.put_u32(saturate(inner.0.len()));
        self.0.put_slice(&inner.0);
        self
    }

    /// Appends a field that [`put_field`] has written.
    pub(crate) fn put_encoded(&mut self, name: &str, field: &[u8]) {
        self.name(name);
        self.0.put_slice(field);
    }

    pub(crate) fn as_table(&self) -> Table<'_> {
        Table(&self.0)
    }
}

/// Writes a field: its type, and its value.
pub(crate) fn put_field(out: &mut BytesMut, field: Field<'_>) {
    let long_bytes = |out: &mut BytesMut, letter: u8, bytes: &[u8]| {
        out.put_u8(letter);
        Writer::new(out, Version::V0_9_1).longstr(bytes);
    };
    match field {
        Field::Void => out.put_u8(b'V'),
        Field::Boolean(value) => out.put_slice(&[b't', u8::from(value)]),
        Field::Byte(value) => out.put_slice(&[b'b', value.cast_unsigned()]),
        Field::UnsignedByte(value) => out.put_slice(&[b'B', value]),
        Field::Short(value) => {
            out.put_u8(b's');
            out.put_i16(value);
        }
        Field::UnsignedShort(value) => {
            out.put_u8(b'u');
            out.put_u16(value);
        }
        Field::Int(value) => {
            out.put_u8(b'I');
            out.put_i32(value);
        }
        Field::UnsignedInt(value) => {
            out.put_u8(b'i');
            out.put_u32(value);
        }
        Field::Long(value) => {
            out.put_u8(b'l');
            out.put_i64(value);
        }
        Field::Float(value) => {
            out.put_u8(b'f');
            out.put_f32(value);
        }
        Field::Double(value) => {
            out.put_u8(b'd');
            out.put_f64(value);
        }
        Field::Decimal(scale, value) => {
            out.put_slice(&[b'D', scale]);
            out.put_i32(value);
        }
        Field::Timestamp(value) => {
            out.put_u8(b'T');
            out.put_u64(value);
        }
        Field::LongString(bytes) => long_bytes(out, b'S', bytes),
        Field::Bytes(bytes) => long_bytes(out, b'x', bytes),
        Field::Table(table) => long_bytes(out, b'F', table.0),
        Field::Array(elements) => long_bytes(out, b'A', elements.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_as_they_are_written() {
        let inner = TableWriter::default().yes("deep").text("name", "value");
        let mut writer = TableWriter::default().table("inner", &inner);
        for (name, field) in [("number", Field::Int(-2)), ("float", Field::Double(1.5))] {
            let mut encoded = BytesMut::new();
            put_field(&mut encoded, field);
            writer.put_encoded(name, &encoded);
        }
        // Bytes written by hand: name, type, value.
        let expected = b"\x05innerF\x00\x00\x00\x16\x04deept\x01\x04nameS\x00\x00\x00\x05value\
            \x06numberI\xff\xff\xff\xfe\x05floatd\x3f\xf8\x00\x00\x00\x00\x00\x00";
        assert_eq!(writer.as_table().as_bytes(), expected);
        let table = Table::of_entries(expected).unwrap();
        assert_eq!(table.get("number"), Some(Field::Int(-2)));
        let Some(Field::Table(inner)) = table.get("inner") else { panic!("no inner table") };
        assert!(inner.flag("deep"));
        assert_eq!(inner.text("name"), Some("value"));
        assert_eq!(inner.get("none"), None);
    }

    #[test]
    fn a_table_cut_off_anywhere_is_refused_unless_an_entry_ends_there() {
        let whole = b"\x01aS\x00\x00\x00\x02hi\x01bA\x00\x00\x00\x05I\x00\x00\x00\x07\x01cV";
        let ends = [0, 9, 21, whole.len()];
        for end in 0..=whole.len() {
            assert_eq!(Table::of_entries(&whole[..end]).is_ok(), ends.contains(&end), "cut off at {end}");
        }
    }

    #[test]
    fn nesting_ends_somewhere() {
        let nested = |levels: usize| {
            (0..levels).fold(Vec::new(), |inner: Vec<u8>, _| {
                let size = u32::try_from(inner.len()).unwrap().to_be_bytes();
                [&b"\x01tF"[..], &size, &inner].concat()
            })
        };
        assert!(Table::of_entries(&nested(MAX_DEPTH)).is_ok());
        assert!(Table::of_entries(&nested(MAX_DEPTH + 2)).is_err());
        assert!(Table::of_entries(&nested(1000)).is_err());
    }
}
