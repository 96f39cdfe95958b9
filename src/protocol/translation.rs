//! Translation of messages between the two protocols, used when a message arrives by one and leaves by the other, and when a
//! test reads one.
//!
//! | 0-9-1 | 1.0 |
//! |---|---|
//! | exchange, routing key | to 1.0: annotations `x-exchange`, `x-routing-key`. From 1.0: those that the message came by; if it came by none, the default exchange and the queue's name |
//! | content-type, content-encoding, correlation-id, message-id, reply-to, user-id | the same |
//! | type | subject, as JMS has it |
//! | timestamp, in seconds | creation-time, in milliseconds |
//! | delivery-mode 2 | durable |
//! | priority | priority |
//! | expiration, milliseconds as text | ttl |
//! | app-id | annotation `x-app-id` |
//! | headers | application properties; tables and arrays, which those may not have, and `x-delivery-count`, `x-stream-offset` as annotations |
//! | body | data; of 1.0 a string, a symbol or bytes too. Any other body crosses encoded, with the type `amqp-1.0` |
//!
//! What the other protocol cannot express is left out and noted. AMQP 1.0 symbols are ASCII: a content-type, content-encoding or
//! name of a table or array with other characters is left out. A short string of 0-9-1 is UTF-8 of at most 255 octets: longer
//! text is cut, and ids that are not text become the headers `x-message-id` and `x-correlation-id`.

use std::collections::HashSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::amqp10;
use crate::amqp091::{self, Content, Elements, Field, Properties, Table, TableWriter, text_or_bytes};
use crate::content::{self, Body};
use crate::message::{Encoding, Message, Payload, Routing};
use crate::value::Value;

/// Annotations of a 1.0 message for fields that it does not have.
const EXCHANGE: &str = "x-exchange";
const ROUTING_KEY: &str = "x-routing-key";
const APP_ID: &str = "x-app-id";

/// Headers that a queue adds to a delivery, which are annotations in 1.0.
const QUEUES_OWN: [&str; 2] = ["x-delivery-count", "x-stream-offset"];

/// The type property of a 0-9-1 message whose body is encoded as AMQP 1.0, because it is not bytes.
const ENCODED: &str = "amqp-1.0";

/// Decodes a message of either encoding. Fails with a description of what is malformed.
pub(crate) fn read(encoding: Encoding, payload: &[u8]) -> Result<content::Message, String> {
    match encoding {
        Encoding::Amqp10 => amqp10::read_message(payload),
        Encoding::Amqp091 => read_091(&Payload::from(Bytes::copy_from_slice(payload)))
            .ok_or_else(|| "a content that cannot be read".to_owned()),
    }
}

/// Translates a message into another encoding. A message that cannot be decoded becomes one with its bytes as the body. What the
/// other encoding cannot express is added to `notes`.
pub(crate) fn translated(message: Message, to: Encoding, notes: &mut Vec<String>) -> Message {
    let payload = match to {
        Encoding::Amqp10 => {
            let unread = || content::Message::data(message.payload.contiguous().to_vec());
            let mut read = read_091(&message.payload).unwrap_or_else(unread);
            keep_symbols_ascii(&mut read, notes);
            Payload::from(amqp10::content::encode(&read))
        }
        Encoding::Amqp091 => {
            let whole = message.payload.contiguous();
            let read = amqp10::read_message(&whole).unwrap_or_else(|_| content::Message::data(whole.to_vec()));
            write_091(&read, message.routing.as_deref(), notes)
        }
    };
    Message { payload, encoding: to, format: 0, history: message.history, routing: message.routing }
}

/// Leaves out properties and names that would become symbols but are not ASCII.
fn keep_symbols_ascii(message: &mut content::Message, notes: &mut Vec<String>) {
    let mut leave_out = |what: &str| notes.push(format!("{what} is left out: it is not ASCII, as 1.0 demands"));
    let own = &mut message.properties;
    for (name, text) in [("content-type", &mut own.content_type), ("content-encoding", &mut own.content_encoding)] {
        if text.as_ref().is_some_and(|text| !text.is_ascii()) {
            leave_out(&format!("{name} {:?}", text.take().unwrap_or_default()));
        }
    }
    message.message_annotations.retain(|(name, _)| match name.as_str() {
        Some(name) if !name.is_ascii() => {
            leave_out(&format!("header {name:?}"));
            false
        }
        _ => true,
    });
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read_091(payload: &Payload) -> Option<content::Message> {
    let content = Content::of(payload)?;
    let properties = Properties::read(content.properties()).ok()?;
    let body: Vec<u8> = content.body().flatten().copied().collect();
    let mut message = content::Message::default();
    let encoded = properties.kind.filter(|kind| *kind == ENCODED.as_bytes());
    message.body = encoded
        .and_then(|_| amqp10::read_message(&body).ok())
        .map_or_else(|| Body::Data(vec![body]), |inner| inner.body);
    message.header.durable = properties.delivery_mode == Some(2);
    message.header.priority = properties.priority;
    let expiration = properties.expiration.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    message.header.ttl = expiration.map(Duration::from_millis);
    let own = &mut message.properties;
    own.content_type = properties.content_type.map(text);
    own.content_encoding = properties.content_encoding.map(text);
    own.correlation_id = properties.correlation_id.map(text_or_bytes);
    own.message_id = properties.message_id.map(text_or_bytes);
    own.reply_to = properties.reply_to.map(text);
    own.user_id = properties.user_id.map(<[u8]>::to_vec);
    own.subject = properties.kind.filter(|_| encoded.is_none()).map(text);
    own.creation_time =
        properties.timestamp.map(|seconds| i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX));
    message = message.annotation(EXCHANGE, text(content.exchange()));
    message = message.annotation(ROUTING_KEY, text(content.routing_key()));
    if let Some(app_id) = properties.app_id {
        message = message.annotation(APP_ID, text(app_id));
    }
    let mut seen = HashSet::from([EXCHANGE, ROUTING_KEY, APP_ID].map(str::to_owned));
    for (name, field) in properties.headers.into_iter().flat_map(Table::entries) {
        let name = text(name);
        // A map of 1.0 has each key once. Looked up in a set, because a peer decides how many there are.
        if !seen.insert(name.clone()) {
            continue;
        }
        match field {
            _ if QUEUES_OWN.contains(&name.as_str()) => {
                message.message_annotations.push((Value::Symbol(name), field.to_value()));
            }
            Field::Table(_) | Field::Array(_) => {
                message.message_annotations.push((Value::Symbol(name), field.to_value()));
            }
            simple => message.application_properties.push((name, simple.to_value())),
        }
    }
    Some(message)
}

fn write_091(message: &content::Message, routing: Option<&Routing>, notes: &mut Vec<String>) -> Payload {
    let annotation = |name: &str| message.get_annotation(name).and_then(Value::as_str);
    // Without both, the engine that delivers the message fills in the queue that it comes from.
    let (exchange, key) = routing.map_or(("", ""), |routing| (&routing.exchange, &routing.key));
    let own = &message.properties;
    let body = match &message.body {
        Body::Empty => Some(Vec::new()),
        Body::Data(sections) => Some(sections.concat()),
        Body::Value(Value::String(text) | Value::Symbol(text)) => Some(text.clone().into_bytes()),
        Body::Value(Value::Binary(bytes)) => Some(bytes.clone()),
        Body::Value(_) | Body::Sequence(_) => None,
    };
    let kind = if body.is_none() { Some(ENCODED) } else { own.subject.as_deref() };
    let body = body.unwrap_or_else(|| {
        let alone = content::Message { body: message.body.clone(), ..content::Message::default() };
        amqp10::content::encode(&alone).to_vec()
    });
    let mut headers = TableWriter::default();
    let properties: HashSet<&str> = message.application_properties.iter().map(|(name, _)| name.as_str()).collect();
    for (name, value) in &message.application_properties {
        put(&mut headers, name, value);
    }
    for (name, value) in &message.message_annotations {
        match name.as_str() {
            Some(EXCHANGE | ROUTING_KEY | APP_ID) | None => {}
            Some(name) if !properties.contains(name) => put(&mut headers, name, value),
            Some(_) => {}
        }
    }
    let mut id = |name: &str, value: &Option<Value>| {
        let bytes = value.as_ref().map(id_bytes)?;
        if std::str::from_utf8(&bytes).is_ok() {
            return Some(bytes);
        }
        let header = format!("x-{name}");
        put(&mut headers, &header, &Value::Binary(bytes));
        notes.push(format!("{name} becomes the header {header}: it is not UTF-8, as 0-9-1 demands"));
        None
    };
    let correlation_id = id("correlation-id", &own.correlation_id);
    let message_id = id("message-id", &own.message_id);
    let user_id = own.user_id.as_deref().filter(|user| std::str::from_utf8(user).is_ok());
    if user_id.is_none() && own.user_id.is_some() {
        notes.push("user-id is left out: it is not UTF-8, as 0-9-1 demands".to_owned());
    }
    let headers = headers.as_table();
    let expiration = message.header.ttl.map(|ttl| ttl.as_millis().to_string());
    let properties = Properties {
        content_type: own.content_type.as_deref().map(str::as_bytes),
        content_encoding: own.content_encoding.as_deref().map(str::as_bytes),
        headers: Some(headers).filter(|headers| !headers.as_bytes().is_empty()),
        delivery_mode: Some(if message.header.durable { 2 } else { 1 }),
        priority: message.header.priority,
        correlation_id: correlation_id.as_deref(),
        reply_to: own.reply_to.as_deref().map(str::as_bytes),
        expiration: expiration.as_deref().map(str::as_bytes),
        message_id: message_id.as_deref(),
        timestamp: own.creation_time.and_then(|millis| u64::try_from(millis / 1000).ok()),
        kind: kind.map(str::as_bytes),
        user_id,
        app_id: annotation(APP_ID).map(str::as_bytes),
        cluster_id: None,
    };
    note_what_is_cut(exchange, key, &properties, notes);
    amqp091::compose(exchange.as_bytes(), key.as_bytes(), &properties, &body)
}

/// Notes text that is cut: a short string has 255 octets at most (4.2.5.3).
fn note_what_is_cut(exchange: &str, key: &str, properties: &Properties<'_>, notes: &mut Vec<String>) {
    let texts = [
        ("exchange", Some(exchange.as_bytes())),
        ("routing key", Some(key.as_bytes())),
        ("content-type", properties.content_type),
        ("content-encoding", properties.content_encoding),
        ("correlation-id", properties.correlation_id),
        ("reply-to", properties.reply_to),
        ("message-id", properties.message_id),
        ("type", properties.kind),
        ("user-id", properties.user_id),
        ("app-id", properties.app_id),
    ];
    for (name, text) in texts {
        if let Some(text) = text.filter(|text| text.len() > 255) {
            notes.push(format!("{name} is cut: it has {} octets, and 0-9-1 allows 255", text.len()));
        }
    }
}

/// Returns the bytes of an id: those of a binary, else its text.
fn id_bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Binary(bytes) => bytes.clone(),
        Value::String(text) => text.clone().into_bytes(),
        Value::Ulong(number) => number.to_string().into_bytes(),
        other => other.to_string().into_bytes(),
    }
}

fn put(table: &mut TableWriter, name: &str, value: &Value) {
    let mut bytes = BytesMut::new();
    with_field(value, &mut |field| amqp091::put_field(&mut bytes, field));
    table.put_encoded(name, &bytes);
}

/// Calls `then` with a value converted to a field of a table.
fn with_field(value: &Value, then: &mut dyn FnMut(Field<'_>)) {
    match value {
        Value::Null => then(Field::Void),
        Value::Bool(value) => then(Field::Boolean(*value)),
        Value::Ubyte(value) => then(Field::UnsignedByte(*value)),
        Value::Ushort(value) => then(Field::UnsignedShort(*value)),
        Value::Uint(value) => then(Field::UnsignedInt(*value)),
        Value::Ulong(value) => match i64::try_from(*value) {
            Ok(value) => then(Field::Long(value)),
            Err(_) => then(Field::LongString(value.to_string().as_bytes())),
        },
        Value::Byte(value) => then(Field::Byte(*value)),
        Value::Short(value) => then(Field::Short(*value)),
        Value::Int(value) => then(Field::Int(*value)),
        Value::Long(value) => then(Field::Long(*value)),
        Value::Float(value) => then(Field::Float(*value)),
        Value::Double(value) => then(Field::Double(*value)),
        Value::Timestamp(millis) => then(Field::Timestamp(u64::try_from(millis / 1000).unwrap_or(0))),
        Value::Binary(bytes) => then(Field::Bytes(bytes)),
        Value::String(text) | Value::Symbol(text) => then(Field::LongString(text.as_bytes())),
        Value::List(items) | Value::Array(items) => {
            let mut elements = BytesMut::new();
            items.iter().for_each(|item| with_field(item, &mut |field| amqp091::put_field(&mut elements, field)));
            then(Field::Array(Elements::of_encoded(&elements)));
        }
        Value::Map(entries) => {
            let mut table = TableWriter::default();
            for (name, value) in entries {
                let shown;
                let name = match name.as_str() {
                    Some(name) => name,
                    None => {
                        shown = name.to_string();
                        &shown
                    }
                };
                put(&mut table, name, value);
            }
            then(Field::Table(table.as_table()));
        }
        Value::Described(described) => with_field(&described.1, then),
        other => then(Field::LongString(other.to_string().as_bytes())),
    }
}
