//! Reads from a kept publish what the router depends on, and writes what it adds: the deaths of a message, in RabbitMQ's
//! headers `x-death`, `x-first-death-…` and `x-last-death-…`.

use std::sync::Arc;

use bytes::BytesMut;

use super::content::{Content, EXPIRATION, PRIORITY, Properties};
use super::table::{Elements, Field, Table, TableWriter, put_field, text_or_bytes};
use crate::deaths::{Death, DeathMark, DeathReason, Deaths};
use crate::message::{DeadLettered, Identity, MessageCodec, Payload, Routing, Storing};
use crate::value::Value;

/// The routing key is always said with a message, so no subject is asked for.
pub(crate) const CODEC: MessageCodec =
    MessageCodec { subject: |_| None, headers, identity, routing, storing, deaths, dead_lettered, annotated };

/// The highest expiration that RabbitMQ takes: ten years, in milliseconds.
const MAX_MILLIS: u64 = 315_360_000_000;

/// Entries of `x-death` that are read of a message, of which a client may have written any number.
const MAX_DEATHS: usize = 256;

fn headers(payload: &Payload) -> Vec<(String, Value)> {
    table_of(payload).map(|table| table.values().collect()).unwrap_or_default()
}

fn table_of(payload: &Payload) -> Option<Table<'_>> {
    Properties::read(Content::of(payload)?.properties()).ok()?.headers
}

fn identity(payload: &Payload, property: Identity) -> Option<Value> {
    let properties = Properties::read(Content::of(payload)?.properties()).ok()?;
    match property {
        Identity::MessageId => properties.message_id.map(text_or_bytes),
        Identity::CorrelationId => properties.correlation_id.map(text_or_bytes),
        Identity::Timestamp => properties.timestamp.map(Value::Ulong),
    }
}

fn routing(payload: &Payload) -> Option<Routing> {
    let content = Content::of(payload)?;
    let text = |bytes| std::str::from_utf8(bytes).ok().map(Arc::from);
    Some(Routing { exchange: text(content.exchange())?, key: text(content.routing_key())?, hidden: Box::default() })
}

fn storing(payload: &Payload) -> Storing {
    let Some(content) = Content::of(payload) else { return Storing::default() };
    let body = content.body_size;
    let bytes = content.properties();
    let flags = bytes.first_chunk().map_or(0, |flags| u16::from_be_bytes(*flags));
    if flags & (EXPIRATION | PRIORITY) == 0 {
        return Storing { body, ..Storing::default() };
    }
    let properties = Properties::read(bytes).unwrap_or_default();
    Storing { ttl: properties.expiration.and_then(|text| milliseconds(text).ok()), priority: properties.priority, body }
}

/// Reads an expiration: digits, perhaps with a sign. Otherwise says what is wrong with it, in RabbitMQ's words.
pub(super) fn milliseconds(text: &[u8]) -> Result<u64, String> {
    let text = String::from_utf8_lossy(text);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let is_negative = text.starts_with('-');
    let (digits, rest) = unsigned.split_at(unsigned.find(|it: char| !it.is_ascii_digit()).unwrap_or(unsigned.len()));
    let number = digits.trim_start_matches('0');
    let number = if number.is_empty() { "0" } else { number };
    match number.parse() {
        _ if digits.is_empty() => Err("no_integer".to_owned()),
        _ if !rest.is_empty() => Err(format!("{{leftover_string,{rest:?}}}")),
        _ if is_negative && number != "0" => Err(format!("{{value_negative,-{number}}}")),
        Ok(millis) if millis <= MAX_MILLIS => Ok(millis),
        _ => Err(format!("{{value_too_large,{number}}}")),
    }
}

fn deaths(payload: &Payload) -> Deaths {
    table_of(payload).map(read_deaths).unwrap_or_default()
}

fn text(table: Table<'_>, name: &str) -> Option<Arc<str>> {
    table.text(name).map(Arc::from)
}

fn read_deaths(headers: Table<'_>) -> Deaths {
    let mark = |which: &str| {
        Some(DeathMark {
            queue: text(headers, &format!("x-{which}-death-queue"))?,
            reason: text(headers, &format!("x-{which}-death-reason"))?,
            exchange: text(headers, &format!("x-{which}-death-exchange"))?,
        })
    };
    let entries = match headers.get("x-death") {
        Some(Field::Array(entries)) => entries.iter().filter_map(read_death).take(MAX_DEATHS).collect(),
        _ => Vec::new(),
    };
    Deaths { entries, first: mark("first"), last: mark("last") }
}

/// One entry of `x-death`. None if it is not one: clients can write what they like.
fn read_death(entry: Field<'_>) -> Option<Death> {
    let Field::Table(entry) = entry else { return None };
    let keys = match entry.get("routing-keys") {
        Some(Field::Array(keys)) => keys,
        _ => Elements::default(),
    };
    let routing_keys = keys.iter().filter_map(|key| Some(key.to_value().as_str()?.into())).collect();
    let time = match entry.get("time") {
        Some(Field::Timestamp(seconds)) => i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX),
        _ => 0,
    };
    Some(Death {
        queue: text(entry, "queue")?,
        reason: DeathReason::named(entry.text("reason")?),
        count: entry.get("count").and_then(|count| count.to_value().as_u64()).unwrap_or(0),
        time,
        last_time: time,
        exchange: text(entry, "exchange").unwrap_or_default(),
        routing_keys,
        expiration: entry.text("original-expiration").and_then(|text| milliseconds(text.as_bytes()).ok()),
    })
}

fn put(writer: &mut TableWriter, name: &str, field: Field<'_>) {
    let mut bytes = BytesMut::new();
    put_field(&mut bytes, field);
    writer.put_encoded(name, &bytes);
}

fn dead_lettered(payload: &Payload, dead: &DeadLettered<'_>) -> Payload {
    let Some(content) = Content::of(payload) else { return payload.clone() };
    let mut properties = Properties::read(content.properties()).unwrap_or_default();
    let before = properties.headers.and_then(|headers| headers.get("x-death"));
    let is_first = before.is_none();
    let stays = |name: &[u8]| !is_death(name, is_first) && (name != b"CC" || dead.keeps_copies);
    let mut headers = properties.headers.unwrap_or_default().only(stays);
    put(&mut headers, "x-death", Field::Array(Elements::of_encoded(&history(before, dead.deaths))));
    let first = dead.deaths.first.as_ref().filter(|_| is_first);
    for (which, mark) in [("first", first), ("last", dead.deaths.last.as_ref())] {
        let Some(DeathMark { queue, reason, exchange }) = mark else { continue };
        for (what, text) in [("queue", queue), ("reason", reason), ("exchange", exchange)] {
            put(&mut headers, &format!("x-{which}-death-{what}"), Field::LongString(text.as_bytes()));
        }
    }
    properties.headers = Some(headers.as_table());
    properties.expiration = None;
    content.with_head((dead.to.exchange.as_bytes(), dead.to.key.as_bytes()), &properties)
}

/// Writes a header of the queue's, in the place of one of the same name.
fn annotated(payload: &Payload, name: &'static str, number: i64) -> Payload {
    let Some(content) = Content::of(payload) else { return payload.clone() };
    let mut properties = Properties::read(content.properties()).unwrap_or_default();
    let mut headers = properties.headers.unwrap_or_default().only(|known| known != name.as_bytes());
    put(&mut headers, name, Field::Long(number));
    properties.headers = Some(headers.as_table());
    content.with_properties(&properties)
}

/// Encodes the entries of `x-death`: the last death, and behind it what the message had before, as it was. An entry for the
/// same queue and reason comes to the front with a new count.
fn history(before: Option<Field<'_>>, deaths: &Deaths) -> BytesMut {
    let mut out = BytesMut::new();
    let Some(last) = deaths.entries.first() else { return out };
    let before = match before {
        Some(Field::Array(entries)) => entries,
        _ => Elements::default(),
    };
    let is_last = |entry: &Field<'_>| {
        read_death(*entry).is_some_and(|known| known.queue == last.queue && known.reason == last.reason)
    };
    let first = match before.iter().find(is_last) {
        Some(Field::Table(known)) => counted(known, last.count),
        _ => written(last),
    };
    put_field(&mut out, Field::Table(first.as_table()));
    before.iter().filter(|entry| !is_last(entry)).take(MAX_DEATHS - 1).for_each(|entry| put_field(&mut out, entry));
    out
}

/// An entry of `x-death` with another count.
fn counted(entry: Table<'_>, count: u64) -> TableWriter {
    let mut table = TableWriter::default();
    put(&mut table, "count", Field::Long(i64::try_from(count).unwrap_or(i64::MAX)));
    for (name, field) in entry.entries() {
        // A name that is not UTF-8 cannot be written again.
        if let (true, Ok(name)) = (name != b"count", std::str::from_utf8(name)) {
            put(&mut table, name, field);
        }
    }
    table
}

/// Whether a header says where a message was dead-lettered. Those of its first death are written once.
fn is_death(name: &[u8], is_first: bool) -> bool {
    name == b"x-death" || (is_first && name.starts_with(b"x-first-death-")) || name.starts_with(b"x-last-death-")
}

fn written(death: &Death) -> TableWriter {
    let mut table = TableWriter::default();
    put(&mut table, "count", Field::Long(i64::try_from(death.count).unwrap_or(i64::MAX)));
    put(&mut table, "reason", Field::LongString(death.reason.map_or("", DeathReason::name).as_bytes()));
    put(&mut table, "queue", Field::LongString(death.queue.as_bytes()));
    put(&mut table, "time", Field::Timestamp(u64::try_from(death.time / 1000).unwrap_or(0)));
    put(&mut table, "exchange", Field::LongString(death.exchange.as_bytes()));
    let mut keys = BytesMut::new();
    for key in &death.routing_keys {
        put_field(&mut keys, Field::LongString(key.as_bytes()));
    }
    put(&mut table, "routing-keys", Field::Array(Elements::of_encoded(&keys)));
    if let Some(expiration) = death.expiration {
        put(&mut table, "original-expiration", Field::LongString(expiration.to_string().as_bytes()));
    }
    table
}
