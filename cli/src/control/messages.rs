//! Messages in JSON: what `inject` takes, and what `messages`, `take_messages` and `wait` answer. Sections and fields that
//! say nothing are left out; the body is `text`, `data`, `value` or `sequence`.

use std::time::Duration;

use fakebroker::{
    Body, Header, LinkName, Message, MessageRecord, MessageState, Outcome, Properties, PublishRecord, Value,
};
use serde_json::{Map, Value as Json, json};

use super::base64;
use super::fields::{Fields, Refusal, array, instead, text};
use super::values;

/// The detail in which an answer shows a message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Detail {
    /// Shows values with their exact types.
    pub(super) typed: bool,
    /// Adds the encoded bytes of the message.
    pub(super) raw: bool,
}

impl Detail {
    pub(super) fn read(fields: &mut Fields) -> Result<Detail, Refusal> {
        Ok(Detail { typed: fields.flag("typed")?.unwrap_or_default(), raw: fields.flag("raw")?.unwrap_or_default() })
    }
}

/// Builds a JSON object, without members that say nothing.
#[derive(Default)]
struct Object(Map<String, Json>);

impl Object {
    fn put(&mut self, name: &str, json: impl Into<Json>) {
        self.0.insert(name.to_owned(), json.into());
    }

    fn put_some(&mut self, name: &str, json: Option<impl Into<Json>>) {
        json.into_iter().for_each(|json| self.put(name, json));
    }

    /// Adds a member unless its value is empty.
    fn put_object(&mut self, name: &str, object: Object) {
        if !object.0.is_empty() {
            self.put(name, object.0);
        }
    }
}

pub(super) fn all(messages: &[MessageRecord], detail: Detail) -> Json {
    messages.iter().map(|message| record(message, detail)).collect()
}

fn record(record: &MessageRecord, Detail { typed, raw }: Detail) -> Json {
    let mut object = Object::default();
    object.put("number", record.number);
    object.put("vhost", record.vhost.as_str());
    object.put("address", record.address.as_str());
    object.put_some("sender", record.sender.as_ref().map(link_name));
    object.put("settled", record.settled);
    put_content(&mut object, &record.message, typed);
    object.put_some("unreadable", record.unreadable.as_deref());
    object.put_some("raw", raw.then(|| base64::encode(&record.raw)));
    object.put(
        "state",
        match &record.state {
            MessageState::Undecided => "undecided",
            MessageState::Waiting => "waiting",
            MessageState::Forwarded => "forwarded",
            MessageState::Dropped(_) => "dropped",
            MessageState::Decided => "decided",
            // MessageState is non-exhaustive: the library may add variants.
            _ => "unknown",
        },
    );
    if let MessageState::Dropped(why) = &record.state {
        object.put("why", why.as_str());
    }
    let receivers = record.receivers.iter().map(|receipt| {
        let mut receiver = Object::default();
        receiver.put("connection", receipt.receiver.connection.get());
        receiver.put("link", receipt.receiver.link.as_str());
        put_outcome(&mut receiver, receipt.outcome.as_ref());
        Json::Object(receiver.0)
    });
    object.put("receivers", receivers.collect::<Json>());
    put_outcome(&mut object, record.outcome.as_ref());
    Json::Object(object.0)
}

/// Writes what was published to an exchange.
pub(super) fn published(publishes: &[PublishRecord], typed: bool) -> Json {
    let one = |publish: &PublishRecord| {
        let mut object = Object::default();
        object.put("exchange", publish.exchange.as_str());
        object.put("routing_key", publish.routing_key.as_str());
        object.put("queues", publish.queues.clone());
        object.put("numbers", publish.messages.clone());
        object.put_some("sender", publish.sender.as_ref().map(link_name));
        put_content(&mut object, &publish.message, typed);
        object.put_some("unreadable", publish.unreadable.as_deref());
        Json::Object(object.0)
    };
    publishes.iter().map(one).collect()
}

pub(super) fn link_name(link_name: &LinkName) -> Json {
    json!({"connection": link_name.connection.get(), "link": link_name.link})
}

/// Adds `outcome`, null if there is none, and the members that belong to it.
fn put_outcome(object: &mut Object, outcome: Option<&Outcome>) {
    let word = match outcome {
        None => return object.put("outcome", Json::Null),
        Some(Outcome::Accepted) => "accepted",
        Some(Outcome::Rejected { condition, description }) => {
            object.put("condition", condition.as_str());
            object.put("description", description.as_str());
            "rejected"
        }
        Some(Outcome::Released) => "released",
        Some(Outcome::Modified { delivery_failed, undeliverable_here }) => {
            object.put("delivery_failed", *delivery_failed);
            object.put("undeliverable_here", *undeliverable_here);
            "modified"
        }
        Some(_) => "unknown",
    };
    object.put("outcome", word);
}

/// Writes an outcome as the answer to `inject`.
pub(super) fn outcome(outcome: Option<&Outcome>) -> Json {
    let mut object = Object::default();
    put_outcome(&mut object, outcome);
    Json::Object(object.0)
}

/// Writes the content of a message, without its history.
pub(crate) fn content(message: &Message) -> Json {
    let mut object = Object::default();
    put_content(&mut object, message, false);
    Json::Object(object.0)
}

fn put_content(object: &mut Object, message: &Message, typed: bool) {
    object.put_object("header", header(&message.header));
    let sections = [
        ("delivery_annotations", &message.delivery_annotations),
        ("message_annotations", &message.message_annotations),
        ("footer", &message.footer),
    ];
    for (name, entries) in sections.into_iter().filter(|(_, entries)| !entries.is_empty()) {
        object.put(name, values::annotations(entries, typed));
    }
    object.put_object("properties", properties(&message.properties, typed));
    let mut own = Object::default();
    message.application_properties.iter().for_each(|(name, value)| own.put(name, values::write(value, typed)));
    object.put_object("application_properties", own);
    object.put_some("text", message.as_text());
    match &message.body {
        Body::Empty | Body::Value(Value::String(_)) => {}
        Body::Value(value) => object.put("value", values::write(value, typed)),
        Body::Data(sections) => object.put(
            "data",
            match sections.as_slice() {
                [one] => base64::encode(one).into(),
                several => several.iter().map(|bytes| base64::encode(bytes)).collect::<Json>(),
            },
        ),
        Body::Sequence(sections) => {
            object.put("sequence", sections.iter().map(|items| values::list(items, typed)).collect::<Json>());
        }
    }
}

fn header(header: &Header) -> Object {
    let mut object = Object::default();
    object.put_some("durable", header.durable.then_some(true));
    object.put_some("priority", header.priority);
    object.put_some("ttl", header.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)));
    object.put_some("first_acquirer", header.first_acquirer.then_some(true));
    object.put_some("delivery_count", Some(header.delivery_count).filter(|count| *count > 0));
    object
}

fn properties(properties: &Properties, typed: bool) -> Object {
    let mut object = Object::default();
    let user_id = |id: &Vec<u8>| match std::str::from_utf8(id) {
        Ok(text) => text.into(),
        Err(_) => values::write(&id.as_slice().into(), typed),
    };
    object.put_some("message_id", properties.message_id.as_ref().map(|id| values::write(id, typed)));
    object.put_some("user_id", properties.user_id.as_ref().map(user_id));
    object.put_some("to", properties.to.as_deref());
    object.put_some("subject", properties.subject.as_deref());
    object.put_some("reply_to", properties.reply_to.as_deref());
    object.put_some("correlation_id", properties.correlation_id.as_ref().map(|id| values::write(id, typed)));
    object.put_some("content_type", properties.content_type.as_deref());
    object.put_some("content_encoding", properties.content_encoding.as_deref());
    object.put_some("absolute_expiry_time", properties.absolute_expiry_time);
    object.put_some("creation_time", properties.creation_time);
    object.put_some("group_id", properties.group_id.as_deref());
    object.put_some("group_sequence", properties.group_sequence);
    object.put_some("reply_to_group_id", properties.reply_to_group_id.as_deref());
    object
}

/// Reads a message from a command's members.
pub(super) fn read(fields: &mut Fields) -> Result<Message, Refusal> {
    let mut message = Message::default();
    message.header = read_header(fields)?;
    let mut annotations = |name| fields.read(name, values::read_annotations).map(Option::unwrap_or_default);
    message.delivery_annotations = annotations("delivery_annotations")?;
    message.message_annotations = annotations("message_annotations")?;
    message.footer = annotations("footer")?;
    message.properties = read_properties(fields)?;
    message.application_properties = read_application_properties(fields)?;
    let is_json = fields.has("json");
    message.body = read_body(fields)?;
    if is_json {
        message.properties.content_type.get_or_insert_with(|| "application/json".into());
    }
    Ok(message)
}

/// Reads `application_properties`, or `headers`, which is what 0-9-1 calls them.
fn read_application_properties(fields: &mut Fields) -> Result<Vec<(String, Value)>, Refusal> {
    let mut properties = Vec::new();
    for member in ["application_properties", "headers"] {
        for (name, json) in fields.object(member)?.into_iter().flatten() {
            let value = values::read(json).map_err(|why| format!("\"{member}.{name}\": {why}"))?;
            if properties.iter().any(|(known, _)| *known == name) {
                return Err(format!("{name:?} is in \"application_properties\" and in \"headers\""));
            }
            properties.push((name, value));
        }
    }
    Ok(properties)
}

fn read_header(fields: &mut Fields) -> Result<Header, Refusal> {
    let Some(mut inner) = fields.inner("header")? else { return Ok(Header::default()) };
    let header = Header {
        durable: inner.flag("durable")?.unwrap_or_default(),
        priority: inner.number("priority")?,
        ttl: inner.number::<u32>("ttl")?.map(|millis| Duration::from_millis(millis.into())),
        first_acquirer: inner.flag("first_acquirer")?.unwrap_or_default(),
        delivery_count: inner.number("delivery_count")?.unwrap_or_default(),
    };
    inner.end()?;
    Ok(header)
}

fn read_properties(fields: &mut Fields) -> Result<Properties, Refusal> {
    let Some(mut inner) = fields.inner("properties")? else { return Ok(Properties::default()) };
    let properties = Properties {
        message_id: inner.read("message_id", read_id)?,
        user_id: inner.read("user_id", read_user_id)?,
        to: inner.text("to")?,
        subject: inner.text("subject")?,
        reply_to: inner.text("reply_to")?,
        correlation_id: inner.read("correlation_id", read_id)?,
        content_type: inner.read("content_type", read_symbol)?,
        content_encoding: inner.read("content_encoding", read_symbol)?,
        absolute_expiry_time: inner.read("absolute_expiry_time", read_time)?,
        creation_time: inner.read("creation_time", read_time)?,
        group_id: inner.text("group_id")?,
        group_sequence: inner.number("group_sequence")?,
        reply_to_group_id: inner.text("reply_to_group_id")?,
    };
    inner.end()?;
    Ok(properties)
}

/// Reads a message-id; AMQP 1.0, 3.2.11 to 3.2.14, has the types.
fn read_id(json: Json) -> Result<Value, Refusal> {
    let wrong = || instead("a string, a whole number, @uuid or @binary", &json);
    match values::read(json.clone())? {
        Value::Long(number) => u64::try_from(number).map(Value::Ulong).map_err(|_| wrong()),
        id @ (Value::Ulong(_) | Value::Uuid(_) | Value::Binary(_) | Value::String(_)) => Ok(id),
        _ => Err(wrong()),
    }
}

fn read_user_id(json: Json) -> Result<Vec<u8>, Refusal> {
    match values::read(json.clone())? {
        Value::String(text) => Ok(text.into_bytes()),
        Value::Binary(bytes) => Ok(bytes),
        _ => Err(instead("a string or @binary", &json)),
    }
}

fn read_symbol(json: Json) -> Result<String, Refusal> {
    let text = text(json)?;
    if text.is_ascii() { Ok(text) } else { Err(format!("{text:?} is not ASCII")) }
}

fn read_time(json: Json) -> Result<i64, Refusal> {
    json.as_i64().ok_or_else(|| instead("milliseconds since the Unix epoch", &json))
}

fn read_body(fields: &mut Fields) -> Result<Body, Refusal> {
    // A null body is a body, unlike an absent one.
    let value = fields.take("value").map(values::read).transpose().map_err(|why| format!("\"value\": {why}"))?;
    // So is any JSON, null included.
    let json = fields.take("json").map(|json| Body::Data(vec![json.to_string().into_bytes()]));
    let bodies = [
        json,
        fields.text("text")?.map(|text| Body::Value(text.into())),
        fields.read("data", read_data)?,
        fields.read("sequence", read_sequence)?,
        value.map(Body::Value),
    ];
    let mut bodies = bodies.into_iter().flatten();
    match (bodies.next(), bodies.next()) {
        (body, None) => Ok(body.unwrap_or_default()),
        _ => {
            Err("there are several bodies: one of \"text\", \"data\", \"json\", \"value\" and \"sequence\" is expected"
                .into())
        }
    }
}

fn read_data(json: Json) -> Result<Body, Refusal> {
    let sections = match json {
        Json::Array(sections) => sections,
        one => vec![one],
    };
    Ok(Body::Data(sections.into_iter().map(values::binary).collect::<Result<_, _>>()?))
}

fn read_sequence(json: Json) -> Result<Body, Refusal> {
    let section = |json| array(json)?.into_iter().map(values::read).collect::<Result<Vec<Value>, Refusal>>();
    Ok(Body::Sequence(array(json)?.into_iter().map(section).collect::<Result<_, _>>()?))
}
