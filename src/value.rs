//! Values of the AMQP 1.0 type system (part 1) in plain Rust types. Their encoding is not known here.

use std::fmt;
use std::time::{Duration, SystemTime};

/// A value of any AMQP 1.0 type, in message bodies, properties and annotations.
///
/// ```
/// use fakebroker::Value;
///
/// let value = Value::from("one coffee");
/// assert_eq!(value, "one coffee");
/// assert_eq!(value.as_str(), Some("one coffee"));
/// assert_eq!(Value::from(3_u8).as_i64(), Some(3));
/// assert_eq!(Value::from([("milk", true), ("sugar", false)]).to_string(), r#"{"milk": true, "sugar": false}"#);
/// ```
///
/// Integers keep the width that they were sent with: `Uint(3)` is not `Ulong(3)`. Comparison with a Rust number ignores the
/// width: `Value::Ulong(3) == 3` holds. Values that nest more than 32 deep are not decoded.
#[derive(Clone, Default, PartialEq)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// An unsigned integer of 8 bits.
    Ubyte(u8),
    /// An unsigned integer of 16 bits.
    Ushort(u16),
    /// An unsigned integer of 32 bits.
    Uint(u32),
    /// An unsigned integer of 64 bits.
    Ulong(u64),
    /// A signed integer of 8 bits.
    Byte(i8),
    /// A signed integer of 16 bits.
    Short(i16),
    /// A signed integer of 32 bits.
    Int(i32),
    /// A signed integer of 64 bits.
    Long(i64),
    /// A floating point number of 32 bits.
    Float(f32),
    /// A floating point number of 64 bits.
    Double(f64),
    /// A decimal number of 32 bits (IEEE 754-2008), encoded.
    Decimal32([u8; 4]),
    /// A decimal number of 64 bits, encoded.
    Decimal64([u8; 8]),
    /// A decimal number of 128 bits, encoded.
    Decimal128([u8; 16]),
    /// A Unicode character.
    Char(char),
    /// A point in time, in milliseconds since the Unix epoch.
    Timestamp(i64),
    /// A UUID (RFC 4122).
    Uuid([u8; 16]),
    /// Bytes.
    Binary(Vec<u8>),
    /// Text.
    String(String),
    /// A symbol: a name from a constrained domain, ASCII.
    Symbol(String),
    /// A list of values of any types.
    List(Vec<Value>),
    /// Keys and values, in the order in which they were sent. Two maps are equal if their order is equal too (1.6.23).
    Map(Vec<(Value, Value)>),
    /// Values of one type. Sent as a list if their types differ.
    Array(Vec<Value>),
    /// A descriptor (a symbol or a ulong) and the value that it describes.
    Described(Box<(Value, Value)>),
}

impl Value {
    /// Creates a symbol.
    ///
    /// ```
    /// use fakebroker::Value;
    /// assert_eq!(Value::symbol("amqp:not-found"), Value::Symbol("amqp:not-found".to_owned()));
    /// ```
    pub fn symbol(name: impl Into<String>) -> Value {
        Value::Symbol(name.into())
    }

    /// Creates a described value.
    pub fn described(descriptor: impl Into<Value>, value: impl Into<Value>) -> Value {
        Value::Described(Box::new((descriptor.into(), value.into())))
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Returns the value of a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// Returns the number of an integer of any width, if it fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.integer().and_then(|number| i64::try_from(number).ok())
    }

    /// Returns the number of an integer of any width, if it fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.integer().and_then(|number| u64::try_from(number).ok())
    }

    /// Returns the number of a float or a double.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Float(number) => Some(f64::from(*number)),
            Value::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the text of a string or a symbol.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) | Value::Symbol(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the bytes of a binary.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Returns the time of a timestamp, if `SystemTime` can represent it.
    pub fn as_time(&self) -> Option<SystemTime> {
        let Value::Timestamp(millis) = self else { return None };
        let distance = Duration::from_millis(millis.unsigned_abs());
        match *millis < 0 {
            true => SystemTime::UNIX_EPOCH.checked_sub(distance),
            false => SystemTime::UNIX_EPOCH.checked_add(distance),
        }
    }

    /// Returns the elements of a list or an array.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) | Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the entries of a map.
    pub fn as_map(&self) -> Option<&[(Value, Value)]> {
        match self {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Returns the value of a map for a key that is a string or a symbol.
    ///
    /// ```
    /// use fakebroker::Value;
    ///
    /// let order = Value::from([("cups", 2)]);
    /// assert_eq!(order.get("cups").and_then(Value::as_i64), Some(2));
    /// assert_eq!(order.get("plates"), None);
    /// ```
    pub fn get(&self, key: &str) -> Option<&Value> {
        find(self.as_map()?, key)
    }

    /// Returns the number of an integer of any width.
    fn integer(&self) -> Option<i128> {
        Some(match *self {
            Value::Ubyte(number) => number.into(),
            Value::Ushort(number) => number.into(),
            Value::Uint(number) => number.into(),
            Value::Ulong(number) => number.into(),
            Value::Byte(number) => number.into(),
            Value::Short(number) => number.into(),
            Value::Int(number) => number.into(),
            Value::Long(number) => number.into(),
            _ => return None,
        })
    }
}

/// Finds the value whose key is this text.
pub(crate) fn find<'a>(entries: &'a [(Value, Value)], key: &str) -> Option<&'a Value> {
    entries.iter().find(|(known, _)| known == key).map(|(_, value)| value)
}

macro_rules! from {
    ($($from:ty => $variant:ident),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Value {
                Value::$variant(value.into())
            }
        }
    )*};
}

from!(
    bool => Bool, u8 => Ubyte, u16 => Ushort, u32 => Uint, u64 => Ulong, i8 => Byte, i16 => Short, i32 => Int, i64 => Long,
    f32 => Float, f64 => Double, char => Char, &str => String, String => String, Vec<u8> => Binary, &[u8] => Binary,
    Vec<Value> => List, Vec<(Value, Value)> => Map,
);

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Value {
        Value::Binary(bytes.to_vec())
    }
}

/// Creates a map.
impl<K: Into<Value>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Value {
    fn from(entries: [(K, V); N]) -> Value {
        entries.into_iter().collect()
    }
}

/// Collects into a map.
impl<K: Into<Value>, V: Into<Value>> FromIterator<(K, V)> for Value {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Value {
        Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// Collects into a list.
impl FromIterator<Value> for Value {
    fn from_iter<I: IntoIterator<Item = Value>>(items: I) -> Value {
        Value::List(items.into_iter().collect())
    }
}

/// Converts to a timestamp: whole milliseconds, capped to the range of 64 bits.
impl From<SystemTime> for Value {
    fn from(time: SystemTime) -> Value {
        let saturate = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Value::Timestamp(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => saturate(after),
            Err(before) => -saturate(before.duration()),
        })
    }
}

/// Converts None to null.
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// Compares the text of strings and symbols.
impl PartialEq<str> for Value {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == Some(other)
    }
}

/// Compares the text of strings and symbols.
impl PartialEq<&str> for Value {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == Some(*other)
    }
}

impl PartialEq<bool> for Value {
    fn eq(&self, other: &bool) -> bool {
        self.as_bool() == Some(*other)
    }
}

impl PartialEq<f64> for Value {
    fn eq(&self, other: &f64) -> bool {
        self.as_f64() == Some(*other)
    }
}

macro_rules! compares_with_integers {
    ($($integer:ty),*) => {$(
        /// Compares the number of integers of any width.
        impl PartialEq<$integer> for Value {
            fn eq(&self, other: &$integer) -> bool {
                self.integer() == Some(i128::from(*other))
            }
        }
    )*};
}

compares_with_integers!(u8, u16, u32, u64, i8, i16, i32, i64);

/// Writes one line: `{"colour": "red", sizes: [1, 2], raw: b"\x00\x01"}`. Strings are in quotation marks, symbols are not;
/// long strings and binaries are shortened.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(flag) => flag.fmt(f),
            Value::Ubyte(number) => number.fmt(f),
            Value::Ushort(number) => number.fmt(f),
            Value::Uint(number) => number.fmt(f),
            Value::Ulong(number) => number.fmt(f),
            Value::Byte(number) => number.fmt(f),
            Value::Short(number) => number.fmt(f),
            Value::Int(number) => number.fmt(f),
            Value::Long(number) => number.fmt(f),
            // With a decimal point, even for a whole number.
            Value::Float(number) => write!(f, "{number:?}"),
            Value::Double(number) => write!(f, "{number:?}"),
            Value::Decimal32(bytes) => write!(f, "decimal32({})", Hex(bytes)),
            Value::Decimal64(bytes) => write!(f, "decimal64({})", Hex(bytes)),
            Value::Decimal128(bytes) => write!(f, "decimal128({})", Hex(bytes)),
            Value::Char(char) => write!(f, "{char:?}"),
            Value::Timestamp(millis) => Time(*millis).fmt(f),
            Value::Uuid(bytes) => Dashed(bytes).fmt(f),
            Value::Binary(bytes) => Quoted(bytes).fmt(f),
            Value::String(text) => put_text(text, f),
            Value::Symbol(text) if is_bare(text) => f.write_str(text),
            Value::Symbol(text) => f.write_str(":").and_then(|()| put_text(text, f)),
            Value::List(items) | Value::Array(items) => {
                f.write_str("[")?;
                put_joined(items, f, |item, f| item.fmt(f))?;
                f.write_str("]")
            }
            Value::Map(entries) => {
                f.write_str("{")?;
                put_joined(entries, f, |(key, value), f| write!(f, "{key}: {value}"))?;
                f.write_str("}")
            }
            Value::Described(described) => match &**described {
                (Value::Ulong(code), value) => write!(f, "{code:#x}({value})"),
                (descriptor, value) => write!(f, "{descriptor}({value})"),
            },
        }
    }
}

/// Writes the same as [`Display`](fmt::Display), with the type of every value.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, inner): (&str, &dyn fmt::Debug) = match self {
            Value::Null => return f.write_str("Null"),
            Value::Bool(flag) => ("Bool", flag),
            Value::Ubyte(number) => ("Ubyte", number),
            Value::Ushort(number) => ("Ushort", number),
            Value::Uint(number) => ("Uint", number),
            Value::Ulong(number) => ("Ulong", number),
            Value::Byte(number) => ("Byte", number),
            Value::Short(number) => ("Short", number),
            Value::Int(number) => ("Int", number),
            Value::Long(number) => ("Long", number),
            Value::Float(number) => ("Float", number),
            Value::Double(number) => ("Double", number),
            Value::Decimal32(bytes) => ("Decimal32", &format_args!("{}", Hex(bytes))),
            Value::Decimal64(bytes) => ("Decimal64", &format_args!("{}", Hex(bytes))),
            Value::Decimal128(bytes) => ("Decimal128", &format_args!("{}", Hex(bytes))),
            Value::Char(char) => ("Char", char),
            Value::Timestamp(millis) => ("Timestamp", &format_args!("{}", Time(*millis))),
            Value::Uuid(bytes) => ("Uuid", &format_args!("{}", Dashed(bytes))),
            Value::Binary(bytes) => ("Binary", &format_args!("{}", Quoted(bytes))),
            Value::String(text) => ("String", text),
            Value::Symbol(text) => ("Symbol", text),
            Value::List(items) => ("List", items),
            Value::Map(entries) => ("Map", entries),
            Value::Array(items) => ("Array", items),
            Value::Described(described) => {
                return f.debug_tuple("Described").field(&described.0).field(&described.1).finish();
            }
        };
        f.debug_tuple(name).field(inner).finish()
    }
}

fn put_joined<T>(
    items: &[T],
    f: &mut fmt::Formatter<'_>,
    put: impl Fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    items.iter().enumerate().try_for_each(|(index, item)| {
        if index > 0 {
            f.write_str(", ")?;
        }
        put(item, f)
    })
}

/// Whether a symbol can be read as one word without quotation marks.
fn is_bare(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"(),=[]{}".contains(&byte))
}

/// Maximum number of characters shown of a string.
const SHOWN_CHARS: usize = 256;

/// Maximum number of bytes shown of a binary.
const SHOWN_BYTES: usize = 64;

fn put_text(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match text.char_indices().nth(SHOWN_CHARS) {
        None => write!(f, "{text:?}"),
        Some((end, _)) => write!(f, "{:?}… ({} bytes)", text.get(..end).unwrap_or_default(), text.len()),
    }
}

/// Bytes, displayed as a Rust literal. Long ones are shortened.
pub(crate) struct Quoted<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(..SHOWN_BYTES) {
            Some(shown) if shown.len() < self.0.len() => {
                write!(f, "b\"{}\"… ({} bytes)", shown.escape_ascii(), self.0.len())
            }
            _ => write!(f, "b\"{}\"", self.0.escape_ascii()),
        }
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A UUID, displayed in the notation of RFC 4122.
struct Dashed<'a>(&'a [u8; 16]);

impl fmt::Display for Dashed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, byte)| {
            let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")
        })
    }
}

/// Milliseconds since the Unix epoch, displayed in ISO 8601 in UTC.
struct Time(i64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY: i64 = 24 * 60 * 60 * 1000;
        let (year, month, day) = date(self.0.div_euclid(DAY));
        let millis = self.0.rem_euclid(DAY);
        let (hours, minutes, seconds) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", millis % 1000)
    }
}

/// Returns year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
fn date(days: i64) -> (i64, i64, i64) {
    // Counted from the 1st of March 0000, so that a leap day comes last in its year, its century and its 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on, each five months have 153 days: 31, 30, 31, 30, 31.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) = if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    (era * 400 + year_of_era + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_well_in_one_line() {
        let rows: [(Value, &str); 20] = [
            (Value::Null, "null"),
            (true.into(), "true"),
            (7_u8.into(), "7"),
            ((-7_i64).into(), "-7"),
            (2.0_f32.into(), "2.0"),
            (0.5.into(), "0.5"),
            ('ü'.into(), "'ü'"),
            ("a \"b\"\n".into(), r#""a \"b\"\n""#),
            (Value::symbol("amqp:not-found"), "amqp:not-found"),
            (Value::symbol("two words"), ":\"two words\""),
            (b"\x00\xffabc".into(), r#"b"\x00\xffabc""#),
            (vec![b'a'; 1000].into(), &format!("b\"{}\"… (1000 bytes)", "a".repeat(64))),
            ("ü".repeat(300).into(), &format!("\"{}\"… (600 bytes)", "ü".repeat(256))),
            (Value::Decimal32([0, 1, 0xfe, 0xff]), "decimal32(0x0001feff)"),
            (
                Value::Uuid(*b"\x12\x34\x56\x78\x9a\xbc\xde\xf0\x12\x34\x56\x78\x9a\xbc\xde\xf0"),
                "12345678-9abc-def0-1234-56789abcdef0",
            ),
            (vec![Value::from(1), "x".into(), Value::Null].into(), r#"[1, "x", null]"#),
            (Value::Array(vec![Value::symbol("a"), Value::symbol("b")]), "[a, b]"),
            ([(Value::symbol("k"), Value::from([(1, 2)]))].into(), "{k: {1: 2}}"),
            (Value::described(0x24_u64, Value::List(Vec::new())), "0x24([])"),
            (Value::described(Value::symbol("x:filter"), "a = 1"), r#"x:filter("a = 1")"#),
        ];
        for (value, expected) in rows {
            assert_eq!(value.to_string(), expected, "{value:?}");
        }
    }

    #[test]
    fn timestamps_are_dates() {
        let rows = [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_795_250_096_789, "2026-11-21T08:34:56.789Z"),
            (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
        ];
        for (millis, expected) in rows {
            assert_eq!(Value::Timestamp(millis).to_string(), expected);
        }
        // Beyond any calendar, and no panic.
        assert!(Value::Timestamp(i64::MAX).to_string().starts_with("292278994-08-17T"));
        assert!(Value::Timestamp(i64::MIN).to_string().starts_with("-292275055-05-16T"));
    }

    #[test]
    fn numbers_compare_whatever_their_width() {
        assert_eq!(Value::Ulong(3), 3);
        assert_eq!(Value::Byte(-3), -3);
        assert_ne!(Value::Ulong(u64::MAX), -1);
        assert_ne!(Value::Uint(3), Value::Ulong(3));
        assert_eq!(Value::Ulong(u64::MAX).as_i64(), None);
        assert_eq!(Value::Byte(-1).as_u64(), None);
        assert_eq!(Value::Float(0.5), 0.5);
        assert_ne!(Value::from("3"), 3);
    }

    #[test]
    fn times_go_both_ways() {
        for millis in [0, 1, -1, 1_795_250_096_789, -62_135_596_800_000] {
            let value = Value::Timestamp(millis);
            assert_eq!(value.as_time().map(Value::from), Some(value));
        }
        let far = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_999_999);
        assert_eq!(Value::from(far), Value::Timestamp(1));
    }

    #[test]
    fn debug_tells_the_types() {
        let value = Value::from([(Value::symbol("k"), Value::from(vec![Value::Ubyte(1), b"\x00".into()]))]);
        assert_eq!(format!("{value:?}"), r#"Map([(Symbol("k"), List([Ubyte(1), Binary(b"\x00")]))])"#);
    }
}
