//! Reads from a message what the router depends on, and writes what it adds: the deaths of a message, in the annotation
//! `x-opt-deaths` of RabbitMQ 4.

use bytes::BytesMut;

use super::content;
use super::section;
use super::types::{Decode, Encode, Reader};
use crate::deaths::{Death, DeathMark, DeathReason, Deaths};
use crate::message::{DeadLettered, Identity, MessageCodec, Payload, Storing};
use crate::value::Value;

pub(crate) const CODEC: MessageCodec = MessageCodec {
    subject: section::subject,
    headers: |payload| content::application_properties(&payload.contiguous()).unwrap_or_default(),
    identity,
    routing: |_| None,
    storing,
    deaths,
    dead_lettered,
    annotated,
};

/// RabbitMQ 4: the deaths of a message, an array of maps, the latest first.
const DEATHS: &str = "x-opt-deaths";

fn identity(payload: &Payload, property: Identity) -> Option<Value> {
    // The places of the fields in 3.2.4.
    let place = match property {
        Identity::MessageId => 0,
        Identity::CorrelationId => 5,
        Identity::Timestamp => 9,
    };
    content::property(&payload.contiguous(), place).filter(|value| !value.is_null())
}

/// The body counts with all that is around it: its sections are not taken apart.
fn storing(payload: &Payload) -> Storing {
    let header = section::header(payload).unwrap_or_default();
    Storing { ttl: header.ttl.map(u64::from), priority: header.priority, body: payload.len() as u64 }
}

fn deaths(payload: &Payload) -> Deaths {
    let annotation = section::annotation(payload, DEATHS);
    let value = annotation.and_then(|encoded| Value::decode(&mut Reader::new(&encoded)).ok());
    let entries = value.as_ref().and_then(Value::as_list).unwrap_or_default();
    let entries: Vec<Death> = entries.iter().filter_map(read_death).collect();
    let mark = |death: &Death| DeathMark {
        queue: death.queue.clone(),
        reason: death.reason.map_or("", DeathReason::name).into(),
        exchange: death.exchange.clone(),
    };
    // The first is the oldest; of which the time is known.
    let first = entries.iter().min_by_key(|death| death.time).map(mark);
    Deaths { last: entries.first().map(mark), first, entries }
}

fn read_death(entry: &Value) -> Option<Death> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let time = |name: &str| match entry.get(name) {
        Some(Value::Timestamp(millis)) => *millis,
        _ => 0,
    };
    let keys = entry.get("routing-keys").and_then(Value::as_list).unwrap_or_default();
    Some(Death {
        queue: text("queue")?.into(),
        reason: DeathReason::named(text("reason")?),
        count: entry.get("count").and_then(Value::as_u64).unwrap_or(1),
        time: time("first-time"),
        last_time: time("last-time"),
        exchange: text("exchange")?.into(),
        routing_keys: keys.iter().filter_map(|key| Some(key.as_str()?.into())).collect(),
        expiration: entry.get("ttl").and_then(Value::as_u64),
    })
}

fn written(death: &Death) -> Value {
    let keys = death.routing_keys.iter().map(|key| Value::from(key.as_ref())).collect();
    let mut entries = vec![
        (Value::symbol("queue"), Value::from(death.queue.as_ref())),
        (Value::symbol("reason"), Value::symbol(death.reason.map_or("", DeathReason::name))),
        (Value::symbol("count"), Value::Ulong(death.count)),
        (Value::symbol("first-time"), Value::Timestamp(death.time)),
        (Value::symbol("last-time"), Value::Timestamp(death.last_time)),
        (Value::symbol("exchange"), Value::from(death.exchange.as_ref())),
        (Value::symbol("routing-keys"), Value::Array(keys)),
    ];
    if let Some(ttl) = death.expiration {
        entries.push((Value::symbol("ttl"), Value::Uint(u32::try_from(ttl).unwrap_or(u32::MAX))));
    }
    Value::Map(entries)
}

fn annotated(payload: &Payload, name: &'static str, number: i64) -> Payload {
    let number = u64::try_from(number).map_or(Value::Long(number), Value::Ulong);
    let mut annotation = BytesMut::new();
    Value::Map(vec![(Value::symbol(name), number)]).encode(&mut annotation);
    section::with_annotation(payload, annotation.freeze())
}

fn dead_lettered(payload: &Payload, dead: &DeadLettered<'_>) -> Payload {
    let entries = dead.deaths.entries.iter().map(written).collect();
    let mut annotation = BytesMut::new();
    Value::Map(vec![(Value::symbol(DEATHS), Value::Array(entries))]).encode(&mut annotation);
    section::without_ttl(payload, annotation.freeze())
}
