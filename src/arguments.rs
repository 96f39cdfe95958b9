//! Arguments of declarations and bindings: values by name, compared by value. The wire encoding is not known here.

mod known;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::value::Value;

pub(crate) use known::{ArgumentOf, why_unmet};

/// A map from names to values. Equal if the same names have the same values, in any order and with any width of integer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments {
    /// The entries, in order of their names.
    entries: Box<[(Box<str>, Value)]>,
    /// An encoding of all entries in which equal values have equal bytes.
    canonical: Box<[u8]>,
    cost: usize,
}

impl Arguments {
    /// Takes entries in the order in which they arrived. Of several with one name the first counts.
    pub(crate) fn new(entries: impl IntoIterator<Item = (String, Value)>) -> Arguments {
        let mut entries: Vec<(Box<str>, Value)> =
            entries.into_iter().map(|(name, value)| (name.into_boxed_str(), value)).collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries.dedup_by(|(later, _), (first, _)| later == first);
        let mut canonical = Vec::new();
        let mut values = 0;
        for (name, value) in &entries {
            put_bytes(b's', name.as_bytes(), &mut canonical);
            values += 1 + put_canonical(value, &mut canonical);
        }
        let cost = 2 * canonical.len() + values * size_of::<(Value, Value)>();
        Arguments { entries: entries.into(), canonical: canonical.into(), cost }
    }

    /// Returns the approximate bytes that the arguments take.
    pub(crate) fn cost(&self) -> usize {
        self.cost
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let found = self.entries.binary_search_by(|(known, _)| known.as_ref().cmp(name)).ok()?;
        self.entries.get(found).map(|(_, value)| value)
    }

    /// Returns names and values, in order of the names.
    pub(crate) fn to_vec(&self) -> Vec<(String, Value)> {
        self.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
    }

    /// Iterates over names and values, in order of the names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// Whether two declarations have different values of this name, or one of them has none.
    pub(crate) fn differ_in(&self, other: &Arguments, name: &str) -> bool {
        match (self.get(name), other.get(name)) {
            (Some(a), Some(b)) => !is_same(a, b),
            (a, b) => a.is_some() != b.is_some(),
        }
    }
}

impl PartialEq for Arguments {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for Arguments {}

impl PartialOrd for Arguments {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Arguments {
    fn cmp(&self, other: &Self) -> Ordering {
        self.canonical.cmp(&other.canonical)
    }
}

impl Hash for Arguments {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.canonical.hash(state);
    }
}

/// Whether two values are equal: integers by number, text by characters, maps in any order.
pub(crate) fn is_same(a: &Value, b: &Value) -> bool {
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return a == b;
    }
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
        return a == b;
    }
    canonical(a) == canonical(b)
}

/// Returns an encoding of a value in which equal values have equal bytes.
pub(crate) fn canonical(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_canonical(value, &mut bytes);
    bytes
}

fn put_bytes(letter: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(letter);
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Encodes a value so that equal values have equal bytes. Returns the number of values in it.
fn put_canonical(value: &Value, out: &mut Vec<u8>) -> usize {
    if let Some(number) = value.as_i64() {
        put_bytes(b'i', &number.to_be_bytes(), out);
        return 1;
    }
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(flag) => out.extend_from_slice(&[b't', u8::from(*flag)]),
        Value::Float(number) => put_bytes(b'd', &f64::from(*number).to_be_bytes(), out),
        Value::Double(number) => put_bytes(b'd', &number.to_be_bytes(), out),
        Value::Timestamp(millis) => put_bytes(b'T', &millis.to_be_bytes(), out),
        Value::Decimal32(bytes) => put_bytes(b'D', bytes, out),
        Value::Decimal64(bytes) => put_bytes(b'D', bytes, out),
        Value::Decimal128(bytes) => put_bytes(b'D', bytes, out),
        Value::Uuid(bytes) => put_bytes(b'u', bytes, out),
        Value::Char(char) => put_bytes(b'c', &u32::from(*char).to_be_bytes(), out),
        Value::Binary(bytes) => put_bytes(b'b', bytes, out),
        Value::String(text) | Value::Symbol(text) => put_bytes(b's', text.as_bytes(), out),
        Value::List(items) | Value::Array(items) => {
            put_bytes(b'l', &(items.len() as u64).to_be_bytes(), out);
            return 1 + items.iter().map(|item| put_canonical(item, out)).sum::<usize>();
        }
        Value::Map(entries) => {
            let mut values = 1;
            let mut encoded: Vec<Vec<u8>> = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                let mut entry = Vec::new();
                values += put_canonical(key, &mut entry) + put_canonical(value, &mut entry);
                encoded.push(entry);
            }
            encoded.sort_unstable();
            put_bytes(b'm', &(entries.len() as u64).to_be_bytes(), out);
            encoded.iter().for_each(|entry| out.extend_from_slice(entry));
            return values;
        }
        Value::Described(described) => {
            out.push(b'e');
            return 1 + put_canonical(&described.0, out) + put_canonical(&described.1, out);
        }
        // An unsigned integer that does not fit an i64.
        number => put_bytes(b'U', &number.as_u64().unwrap_or_default().to_be_bytes(), out),
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(entries: &[(&str, Value)]) -> Arguments {
        Arguments::new(entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())))
    }

    #[test]
    fn equal_whatever_order_and_width() {
        let inner = |first, second| Value::from([(first, 1), (second, 1)]);
        let a = arguments(&[("n", Value::Int(5)), ("t", "text".into()), ("m", inner("x", "y"))]);
        let b = arguments(&[("m", inner("y", "x")), ("t", Value::symbol("text")), ("n", Value::Ubyte(5))]);
        assert_eq!(a, b);
        assert_eq!(a.cmp(&b), Ordering::Equal);
        assert!(!["n", "t", "m", "none"].into_iter().any(|name| a.differ_in(&b, name)));
        // The first entry of a name counts.
        assert_eq!(arguments(&[("k", 1.into()), ("k", 2.into())]), arguments(&[("k", 1.into())]));
    }

    #[test]
    fn different_in_one_value() {
        let of = |name, value: Value| arguments(&[(name, value)]);
        let rows = [
            (of("a", 1.into()), of("a", 2.into()), "a"),
            (of("a", 1.into()), arguments(&[]), "a"),
            (arguments(&[]), of("b", Value::Null), "b"),
            (arguments(&[("a", 1.into()), ("b", "x".into())]), arguments(&[("a", 1.into()), ("b", "y".into())]), "b"),
            (of("a", "1".into()), of("a", 1.into()), "a"),
            (of("a", Value::Ulong(u64::MAX)), of("a", Value::Long(-1)), "a"),
        ];
        for (a, b, name) in rows {
            assert_ne!(a, b);
            assert!(a.differ_in(&b, name) && b.differ_in(&a, name));
        }
    }

    #[test]
    fn what_they_cost_grows_with_what_is_in_them() {
        let empty = arguments(&[]);
        let many = arguments(&[("k", vec![Value::Null; 1000].into())]);
        assert_eq!(empty.cost(), 0);
        assert!(many.cost() > 1000 * size_of::<Value>(), "{}", many.cost());
    }
}
