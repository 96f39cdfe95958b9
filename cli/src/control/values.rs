//! AMQP values in JSON. What JSON has a word for is written in it; for the rest there is an object with one member whose name
//! is `@` and the type:
//!
//! | type | in JSON |
//! |---|---|
//! | null, boolean, string | `null`, `true`, `"text"` |
//! | integers | `7`; their widths only if that is asked for: `{"@uint":7}` |
//! | float, double | `0.5`; `{"@float":0.5}` if that is asked for; `{"@double":"nan"}`, `"inf"`, `"-inf"` |
//! | symbol | `"text"`; `{"@symbol":"text"}` if that is asked for |
//! | binary | `{"@binary":"aGVsbG8="}`, base64 |
//! | timestamp | `{"@timestamp":0}`, milliseconds since the Unix epoch |
//! | uuid, char | `{"@uuid":"12345678-9abc-def0-1234-56789abcdef0"}`, `{"@char":"x"}` |
//! | decimals | `{"@decimal32":"0001feff"}`, the bytes on the wire |
//! | list; array | `[1,2]`; for an array `{"@array":[1,2]}` if that is asked for |
//! | map | `{"k":1}`; `{"@map":[[1,2]]}` if a key is no text or there twice |
//! | described | `{"@described":["descriptor","value"]}` |
//!
//! Read, an integer is a long, or an ulong if it is too large for that; a number with a point is a double.

use fakebroker::Value;
use serde_json::{Map, Number, Value as Json, json};

use super::base64;
use super::fields::{Refusal, array, instead, text};

/// Values in values: one less than is read of a message, for the map that it may be in.
const MAX_DEPTH: usize = 31;

/// Writes a value. With `typed`, reading it back gives the same value.
pub(super) fn write(value: &Value, typed: bool) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Ubyte(number) => width("ubyte", *number, typed),
        Value::Ushort(number) => width("ushort", *number, typed),
        Value::Uint(number) => width("uint", *number, typed),
        Value::Ulong(number) => width("ulong", *number, typed),
        Value::Byte(number) => width("byte", *number, typed),
        Value::Short(number) => width("short", *number, typed),
        Value::Int(number) => width("int", *number, typed),
        Value::Long(number) => (*number).into(),
        Value::Float(number) => match finite(f64::from(*number)) {
            Some(number) => width("float", number, typed),
            None => tagged("float", infinite(f64::from(*number))),
        },
        Value::Double(number) => finite(*number).unwrap_or_else(|| tagged("double", infinite(*number))),
        Value::Decimal32(bytes) => tagged("decimal32", hex(bytes)),
        Value::Decimal64(bytes) => tagged("decimal64", hex(bytes)),
        Value::Decimal128(bytes) => tagged("decimal128", hex(bytes)),
        Value::Char(char) => tagged("char", char.to_string()),
        Value::Timestamp(millis) => tagged("timestamp", *millis),
        // Written in the form of RFC 4122.
        Value::Uuid(_) => tagged("uuid", value.to_string()),
        Value::Binary(bytes) => tagged("binary", base64::encode(bytes)),
        Value::String(text) => text.as_str().into(),
        Value::Symbol(text) => width("symbol", text.as_str(), typed),
        Value::List(items) => list(items, typed),
        Value::Array(items) => width("array", list(items, typed), typed),
        Value::Map(entries) => map(entries, typed),
        Value::Described(described) => {
            let (descriptor, value) = &**described;
            tagged("described", json!([write(descriptor, typed), write(value, typed)]))
        }
    }
}

fn tagged(name: &str, json: impl Into<Json>) -> Json {
    let mut object = Map::new();
    object.insert(format!("@{name}"), json.into());
    Json::Object(object)
}

/// Writes the value with its type if `typed`, else alone.
fn width(name: &str, json: impl Into<Json>, typed: bool) -> Json {
    if typed { tagged(name, json) } else { json.into() }
}

fn finite(number: f64) -> Option<Json> {
    Number::from_f64(number).map(Json::Number)
}

fn infinite(number: f64) -> &'static str {
    match number {
        f64::INFINITY => "inf",
        f64::NEG_INFINITY => "-inf",
        _ => "nan",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn list(items: &[Value], typed: bool) -> Json {
    items.iter().map(|item| write(item, typed)).collect()
}

/// Writes a map as an object if its keys are distinct texts, else as a list of pairs.
fn map(entries: &[(Value, Value)], typed: bool) -> Json {
    let names = entries.iter().map(|(key, _)| match key {
        Value::String(name) => Some(name.as_str()),
        Value::Symbol(name) if !typed => Some(name.as_str()),
        _ => None,
    });
    let names: Option<Vec<&str>> = names.collect();
    match names.filter(|names| names.iter().all(|name| !name.starts_with('@'))) {
        Some(names) if is_plain(&names, typed) => {
            let values = entries.iter().map(|(_, value)| write(value, typed));
            names.into_iter().map(str::to_owned).zip(values).collect()
        }
        _ => pairs(entries, typed),
    }
}

fn is_plain(names: &[&str], in_order: bool) -> bool {
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    let is_unique = sorted.iter().zip(sorted.iter().skip(1)).all(|(one, next)| one != next);
    is_unique && (!in_order || sorted == names)
}

fn pairs(entries: &[(Value, Value)], typed: bool) -> Json {
    let pairs: Vec<Json> = entries.iter().map(|(key, value)| json!([write(key, typed), write(value, typed)])).collect();
    tagged("map", pairs)
}

/// Writes annotations: a map whose keys are symbols by definition.
pub(super) fn annotations(entries: &[(Value, Value)], typed: bool) -> Json {
    let names = entries.iter().map(|(key, _)| match key {
        Value::Symbol(name) if !name.starts_with('@') => Some(name.as_str()),
        _ => None,
    });
    match names.collect::<Option<Vec<&str>>>() {
        Some(names) if is_plain(&names, false) => {
            let values = entries.iter().map(|(_, value)| write(value, typed));
            names.into_iter().map(str::to_owned).zip(values).collect()
        }
        _ => pairs(entries, typed),
    }
}

pub(crate) fn read(json: Json) -> Result<Value, Refusal> {
    read_at(json, 0)
}

/// Reads annotations; see [`annotations`].
pub(super) fn read_annotations(json: Json) -> Result<Vec<(Value, Value)>, Refusal> {
    match json {
        Json::Object(members) if !members.contains_key("@map") => {
            members.into_iter().map(|(name, value)| Ok((symbol(name)?, read_at(value, 1)?))).collect()
        }
        other => match read(other.clone())? {
            Value::Map(entries) => Ok(entries),
            _ => Err(instead("an object", &other)),
        },
    }
}

fn read_at(json: Json, depth: usize) -> Result<Value, Refusal> {
    if depth > MAX_DEPTH {
        return Err(format!("values are nested deeper than {MAX_DEPTH}"));
    }
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => flag.into(),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), _) => number.into(),
            (.., Some(number)) => number.into(),
            (None, None, None) => return Err(format!("{number} is too large")),
        },
        Json::String(text) => text.into(),
        Json::Array(items) => Value::List(read_list(items, depth)?),
        Json::Object(members) => match members.keys().find_map(|name| name.strip_prefix('@')).map(str::to_owned) {
            Some(name) => read_tagged(&name, members, depth)?,
            None => {
                let entries = members.into_iter().map(|(name, json)| Ok((name.into(), read_at(json, depth + 1)?)));
                Value::Map(entries.collect::<Result<_, Refusal>>()?)
            }
        },
    })
}

fn read_list(items: Vec<Json>, depth: usize) -> Result<Vec<Value>, Refusal> {
    items.into_iter().map(|item| read_at(item, depth + 1)).collect()
}

fn read_tagged(name: &str, members: Map<String, Json>, depth: usize) -> Result<Value, Refusal> {
    let alone = members.len() == 1;
    let Some(json) = members.into_iter().next().map(|(_, json)| json).filter(|_| alone) else {
        return Err(format!("@{name} is expected to be alone in its object"));
    };
    let wrong = |expected: &str, json: &Json| format!("@{name}: {}", instead(expected, json));
    let unsigned = |json: &Json| json.as_u64().ok_or_else(|| wrong("a whole number, not below 0,", json));
    let signed = |json: &Json| json.as_i64().ok_or_else(|| wrong("a whole number", json));
    let large = || format!("@{name}: {json} does not fit");
    let within = |error: Refusal| format!("@{name}: {error}");
    Ok(match name {
        "ubyte" => Value::Ubyte(unsigned(&json)?.try_into().map_err(|_| large())?),
        "ushort" => Value::Ushort(unsigned(&json)?.try_into().map_err(|_| large())?),
        "uint" => Value::Uint(unsigned(&json)?.try_into().map_err(|_| large())?),
        "ulong" => Value::Ulong(unsigned(&json)?),
        "byte" => Value::Byte(signed(&json)?.try_into().map_err(|_| large())?),
        "short" => Value::Short(signed(&json)?.try_into().map_err(|_| large())?),
        "int" => Value::Int(signed(&json)?.try_into().map_err(|_| large())?),
        "long" => Value::Long(signed(&json)?),
        // Narrowing takes the nearest float.
        "float" => Value::Float(float(&json).ok_or_else(|| wrong(FLOAT, &json))? as f32),
        "double" => Value::Double(float(&json).ok_or_else(|| wrong(FLOAT, &json))?),
        "decimal32" => Value::Decimal32(bytes_of(&json).ok_or_else(|| wrong("8 hexadecimal digits", &json))?),
        "decimal64" => Value::Decimal64(bytes_of(&json).ok_or_else(|| wrong("16 hexadecimal digits", &json))?),
        "decimal128" => Value::Decimal128(bytes_of(&json).ok_or_else(|| wrong("32 hexadecimal digits", &json))?),
        "char" => Value::Char(one_char(&json).ok_or_else(|| wrong("a string of one character", &json))?),
        "timestamp" => Value::Timestamp(signed(&json)?),
        "uuid" => Value::Uuid(uuid(&json).ok_or_else(|| wrong("a UUID with its dashes", &json))?),
        "binary" => Value::Binary(binary(json).map_err(within)?),
        "string" => Value::String(text(json).map_err(within)?),
        "symbol" => text(json).and_then(symbol).map_err(within)?,
        "list" => Value::List(read_list(array(json).map_err(within)?, depth)?),
        "array" => Value::Array(read_list(array(json).map_err(within)?, depth)?),
        "map" => Value::Map(
            array(json).map_err(within)?.into_iter().map(|pair| read_pair(pair, depth)).collect::<Result<_, _>>()?,
        ),
        "described" => Value::Described(Box::new(read_pair(json, depth)?)),
        _ => return Err(format!("there is no type @{name}")),
    })
}

const FLOAT: &str = "a number or \"nan\" or \"inf\" or \"-inf\"";

fn float(json: &Json) -> Option<f64> {
    match json.as_str() {
        None => json.as_f64(),
        Some("nan") => Some(f64::NAN),
        Some("inf") => Some(f64::INFINITY),
        Some("-inf") => Some(f64::NEG_INFINITY),
        Some(_) => None,
    }
}

fn one_char(json: &Json) -> Option<char> {
    let mut chars = json.as_str()?.chars();
    chars.next().filter(|_| chars.next().is_none())
}

fn bytes_of<const N: usize>(json: &Json) -> Option<[u8; N]> {
    unhex(json.as_str()?)
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| digit.try_into().ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 2 * N)?;
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    bytes.try_into().ok()
}

fn uuid(json: &Json) -> Option<[u8; 16]> {
    let text = json.as_str()?;
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    if lengths == [8, 4, 4, 4, 12] { unhex(&parts.concat()) } else { None }
}

/// Reads bytes in base64.
pub(super) fn binary(json: Json) -> Result<Vec<u8>, Refusal> {
    let bytes = json.as_str().and_then(base64::decode);
    bytes.ok_or_else(|| instead("base64 with its padding", &json))
}

fn symbol(text: String) -> Result<Value, Refusal> {
    if text.is_ascii() { Ok(Value::Symbol(text)) } else { Err(format!("{text:?} is no symbol: it is not ASCII")) }
}

fn read_pair(json: Json, depth: usize) -> Result<(Value, Value), Refusal> {
    match json {
        Json::Array(items) => match <[Json; 2]>::try_from(items) {
            Ok([one, other]) => Ok((read_at(one, depth + 1)?, read_at(other, depth + 1)?)),
            Err(items) => Err(instead("a pair of values", &Json::Array(items))),
        },
        other => Err(instead("a pair of values", &other)),
    }
}
