//! The nine performatives, the SASL frames and the composite values in them. One table of the specification's names serves to
//! build, read and print them.

use std::fmt;

use super::socket::hex;
use super::wire::{Value, described, symbol};

pub const OPEN: u64 = 0x10;
pub const BEGIN: u64 = 0x11;
pub const ATTACH: u64 = 0x12;
pub const FLOW: u64 = 0x13;
pub const TRANSFER: u64 = 0x14;
pub const DISPOSITION: u64 = 0x15;
pub const DETACH: u64 = 0x16;
pub const END: u64 = 0x17;
pub const CLOSE: u64 = 0x18;
pub const ERROR: u64 = 0x1d;
pub const RECEIVED: u64 = 0x23;
pub const ACCEPTED: u64 = 0x24;
pub const REJECTED: u64 = 0x25;
pub const RELEASED: u64 = 0x26;
pub const MODIFIED: u64 = 0x27;
pub const SOURCE: u64 = 0x28;
pub const TARGET: u64 = 0x29;
pub const COORDINATOR: u64 = 0x30;
pub const SASL_MECHANISMS: u64 = 0x40;
pub const SASL_INIT: u64 = 0x41;
pub const SASL_CHALLENGE: u64 = 0x42;
pub const SASL_RESPONSE: u64 = 0x43;
pub const SASL_OUTCOME: u64 = 0x44;

/// The role of the sending end of a link (2.8.1).
pub const SENDER: bool = false;
/// The role of the receiving end of a link (2.8.1).
pub const RECEIVER: bool = true;

#[rustfmt::skip]
const DEFINITIONS: &[(u64, &str, &[&str])] = &[
    (OPEN, "open", &["container-id", "hostname", "max-frame-size", "channel-max", "idle-time-out", "outgoing-locales",
        "incoming-locales", "offered-capabilities", "desired-capabilities", "properties"]),
    (BEGIN, "begin", &["remote-channel", "next-outgoing-id", "incoming-window", "outgoing-window", "handle-max",
        "offered-capabilities", "desired-capabilities", "properties"]),
    (ATTACH, "attach", &["name", "handle", "role", "snd-settle-mode", "rcv-settle-mode", "source", "target", "unsettled",
        "incomplete-unsettled", "initial-delivery-count", "max-message-size", "offered-capabilities",
        "desired-capabilities", "properties"]),
    (FLOW, "flow", &["next-incoming-id", "incoming-window", "next-outgoing-id", "outgoing-window", "handle",
        "delivery-count", "link-credit", "available", "drain", "echo", "properties"]),
    (TRANSFER, "transfer", &["handle", "delivery-id", "delivery-tag", "message-format", "settled", "more",
        "rcv-settle-mode", "state", "resume", "aborted", "batchable"]),
    (DISPOSITION, "disposition", &["role", "first", "last", "settled", "state", "batchable"]),
    (DETACH, "detach", &["handle", "closed", "error"]),
    (END, "end", &["error"]),
    (CLOSE, "close", &["error"]),
    (ERROR, "error", &["condition", "description", "info"]),
    (RECEIVED, "received", &["section-number", "section-offset"]),
    (ACCEPTED, "accepted", &[]),
    (REJECTED, "rejected", &["error"]),
    (RELEASED, "released", &[]),
    (MODIFIED, "modified", &["delivery-failed", "undeliverable-here", "message-annotations"]),
    (SOURCE, "source", &["address", "durable", "expiry-policy", "timeout", "dynamic", "dynamic-node-properties",
        "distribution-mode", "filter", "default-outcome", "outcomes", "capabilities"]),
    (TARGET, "target", &["address", "durable", "expiry-policy", "timeout", "dynamic", "dynamic-node-properties",
        "capabilities"]),
    (COORDINATOR, "coordinator", &["capabilities"]),
    (SASL_MECHANISMS, "sasl-mechanisms", &["sasl-server-mechanisms"]),
    (SASL_INIT, "sasl-init", &["mechanism", "initial-response", "hostname"]),
    (SASL_CHALLENGE, "sasl-challenge", &["challenge"]),
    (SASL_RESPONSE, "sasl-response", &["response"]),
    (SASL_OUTCOME, "sasl-outcome", &["code", "additional-data"]),
];

fn definition(code: u64) -> Option<(&'static str, &'static [&'static str])> {
    DEFINITIONS.iter().find(|(known, ..)| *known == code).map(|(_, name, fields)| (*name, *fields))
}

/// Returns the specification's name of a descriptor code.
pub fn name_of(code: u64) -> String {
    definition(code).map_or_else(|| format!("{code:#04x}"), |(name, _)| name.to_owned())
}

/// A composite value: a descriptor and its list of fields, by name. Frame bodies are composites, and so are
/// `source`, `target`, `error` and the delivery states inside them.
#[derive(Clone, PartialEq)]
pub struct Composite {
    pub code: u64,
    /// Fields in the specification's order. Absent ones at the end may be left out.
    pub fields: Vec<Value>,
}

impl Composite {
    pub fn new(code: u64) -> Composite {
        Composite { code, fields: Vec::new() }
    }

    pub fn of(value: &Value) -> Option<Composite> {
        match value {
            Value::Described(descriptor, value) => match (&**descriptor, &**value) {
                (Value::Ulong(code), Value::List(fields)) => Some(Composite { code: *code, fields: fields.clone() }),
                _ => None,
            },
            _ => None,
        }
    }

    pub fn name(&self) -> String {
        name_of(self.code)
    }

    fn index(&self, field: &str) -> usize {
        let (name, fields) = definition(self.code).expect("a composite of the table");
        fields.iter().position(|known| *known == field).unwrap_or_else(|| panic!("{name} has no field {field}"))
    }

    pub fn set(&mut self, field: &str, value: Value) {
        let index = self.index(field);
        if self.fields.len() <= index {
            self.fields.resize(index + 1, Value::Null);
        }
        self.fields[index] = value;
    }

    /// Returns the value of a field. Null if it is absent.
    pub fn get(&self, field: &str) -> Value {
        self.fields.get(self.index(field)).cloned().unwrap_or(Value::Null)
    }

    pub fn to_value(&self) -> Value {
        let used = self.fields.iter().rposition(|value| *value != Value::Null).map_or(0, |last| last + 1);
        described(self.code, Value::List(self.fields[..used].to_vec()))
    }
}

impl fmt::Debug for Composite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = definition(self.code).map_or(&[][..], |(_, fields)| fields);
        let mut shown = f.debug_struct(&self.name());
        for (index, value) in self.fields.iter().enumerate().filter(|(_, value)| **value != Value::Null) {
            let name = names.get(index).copied().unwrap_or("(no such field)");
            match Composite::of(value) {
                Some(inner) => shown.field(name, &inner),
                None => shown.field(name, &Plain(value)),
            };
        }
        shown.finish()
    }
}

/// Prints a value without the name of its variant, and shortens long ones.
struct Plain<'a>(&'a Value);

impl fmt::Debug for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Bool(flag) => write!(f, "{flag}"),
            Value::Ubyte(n) => write!(f, "{n}"),
            Value::Ushort(n) => write!(f, "{n}"),
            Value::Uint(n) => write!(f, "{n}"),
            Value::Ulong(n) => write!(f, "{n}"),
            Value::Text(text) if text.len() > 200 => write!(f, "{:?}... ({} bytes)", &text[..60], text.len()),
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Symbol(text) => write!(f, "{text}"),
            Value::Binary(bytes) | Value::Raw(bytes) => write!(f, "{}", hex(bytes)),
            other => write!(f, "{other:?}"),
        }
    }
}

/// A frame body with its channel. Fields are set and read by the specification's names: `open().with("max-frame-size", 512u32)`,
/// `frame.get("channel-max")`.
#[derive(Clone, PartialEq)]
pub struct Performative {
    pub composite: Composite,
    pub channel: u16,
    /// The payload behind the performative (a transfer's part of the message).
    pub payload: Vec<u8>,
}

impl Performative {
    pub fn new(code: u64) -> Performative {
        Performative { composite: Composite::new(code), channel: 0, payload: Vec::new() }
    }

    pub fn code(&self) -> u64 {
        self.composite.code
    }

    pub fn name(&self) -> String {
        self.composite.name()
    }

    /// Sets a field. `raw(&[..])` sets it to any bytes.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Performative {
        self.composite.set(field, value.into());
        self
    }

    /// Sets a field to null, or leaves it out if it is the last.
    pub fn without(mut self, field: &str) -> Performative {
        self.composite.set(field, Value::Null);
        self
    }

    /// Adds a field after the last one that the specification defines.
    pub fn with_extra_field(mut self, value: impl Into<Value>) -> Performative {
        let (_, defined) = definition(self.code()).expect("a performative of the table");
        self.composite.fields.resize(defined.len(), Value::Null);
        self.composite.fields.push(value.into());
        self
    }

    pub fn on_channel(mut self, channel: u16) -> Performative {
        self.channel = channel;
        self
    }

    pub fn with_payload(mut self, payload: impl Into<Vec<u8>>) -> Performative {
        self.payload = payload.into();
        self
    }

    pub fn get(&self, field: &str) -> Value {
        self.composite.get(field)
    }

    /// Returns the text of a string or symbol field.
    #[track_caller]
    pub fn text(&self, field: &str) -> String {
        match self.get(field) {
            Value::Text(text) | Value::Symbol(text) => text,
            other => panic!("{field} of {self:?} is no text but {other:?}"),
        }
    }

    /// Returns the number of an unsigned field of any width.
    #[track_caller]
    pub fn number(&self, field: &str) -> u64 {
        match self.get(field) {
            Value::Ubyte(n) => n.into(),
            Value::Ushort(n) => n.into(),
            Value::Uint(n) => n.into(),
            Value::Ulong(n) => n,
            other => panic!("{field} of {self:?} is no number but {other:?}"),
        }
    }

    /// Returns a boolean field. False if it is absent, which is the default of all boolean fields.
    #[track_caller]
    pub fn flag(&self, field: &str) -> bool {
        match self.get(field) {
            Value::Bool(flag) => flag,
            Value::Null => false,
            other => panic!("{field} of {self:?} is no boolean but {other:?}"),
        }
    }

    /// Returns a field that is a composite: `source`, `target`, `state`, `error`.
    pub fn inner(&self, field: &str) -> Option<Composite> {
        Composite::of(&self.get(field))
    }

    /// Returns the address of the `source` or `target`.
    pub fn address(&self, terminus: &str) -> Option<String> {
        match self.inner(terminus)?.get("address") {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the condition of the `error` of a detach, end or close, or of a rejected state. Empty if there is none.
    pub fn condition(&self) -> String {
        let error = match self.code() {
            DISPOSITION | TRANSFER => self
                .inner("state")
                .filter(|state| state.code == REJECTED)
                .and_then(|state| Composite::of(&state.get("error"))),
            _ => self.inner("error"),
        };
        match error.map(|error| error.get("condition")) {
            Some(Value::Symbol(condition)) => condition,
            _ => String::new(),
        }
    }

    /// Returns the descriptor code of the `state` (`ACCEPTED`, ...). 0 if there is none.
    pub fn state(&self) -> u64 {
        self.inner("state").map_or(0, |state| state.code)
    }

    /// Encodes the body of the frame: performative and payload.
    pub fn body(&self) -> Vec<u8> {
        [self.composite.to_value().encode(), self.payload.clone()].concat()
    }

    /// Encodes the frame, of SASL type if the performative is one of 5.3.
    pub fn bytes(&self) -> Vec<u8> {
        let sasl = (SASL_MECHANISMS..=SASL_OUTCOME).contains(&self.code());
        frame(2, sasl as u8, self.channel, &self.body())
    }
}

impl fmt::Debug for Performative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {:?}", self.channel, self.composite)?;
        if !self.payload.is_empty() {
            write!(f, " + {}", hex(&self.payload))?;
        }
        Ok(())
    }
}

/// Encodes a frame with its size (2.3.1). `body` begins right after the first eight bytes, so an extended header is its first
/// `doff * 4 - 8` bytes.
pub fn frame(doff: u8, frame_type: u8, channel: u16, body: &[u8]) -> Vec<u8> {
    frame_with_size(body.len() as u32 + 8, doff, frame_type, channel, body)
}

/// Encodes a frame with any size field.
pub fn frame_with_size(size: u32, doff: u8, frame_type: u8, channel: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = size.to_be_bytes().to_vec();
    bytes.extend([doff, frame_type]);
    bytes.extend(channel.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// The protocol headers (2.2, 5.3.1).
pub const AMQP_HEADER: [u8; 8] = *b"AMQP\x00\x01\x00\x00";
pub const SASL_HEADER: [u8; 8] = *b"AMQP\x03\x01\x00\x00";
pub const TLS_HEADER: [u8; 8] = *b"AMQP\x02\x01\x00\x00";
/// An empty frame: a heartbeat (2.4.5).
pub const EMPTY_FRAME: [u8; 8] = [0, 0, 0, 8, 2, 0, 0, 0];

/// Session windows that are never used up.
pub const WIDE: u32 = i32::MAX as u32;

pub fn open() -> Performative {
    Performative::new(OPEN).with("container-id", "peer")
}

pub fn begin() -> Performative {
    Performative::new(BEGIN).with("next-outgoing-id", 0u32).with("incoming-window", WIDE).with("outgoing-window", WIDE)
}

/// Builds the attach of a sender to `address`, with it in source and target.
pub fn attach_sender(name: &str, handle: u32, address: &str) -> Performative {
    attach(name, handle, SENDER)
        .with("source", source(address))
        .with("target", target(address))
        .with("initial-delivery-count", 0u32)
}

/// Builds the attach of a receiver from `address`.
pub fn attach_receiver(name: &str, handle: u32, address: &str) -> Performative {
    attach(name, handle, RECEIVER).with("source", source(address)).with("target", target(address))
}

/// Builds the attach of a sender to the anonymous terminus.
pub fn attach_anonymous(name: &str, handle: u32) -> Performative {
    attach_sender(name, handle, "").with("target", terminus(TARGET, Value::Null))
}

/// Builds an attach without termini and delivery-count.
pub fn attach(name: &str, handle: u32, role: bool) -> Performative {
    Performative::new(ATTACH).with("name", name).with("handle", handle).with("role", role)
}

/// Builds a flow of a session in which nothing was transferred. `Peer::flow` has the current state.
pub fn flow() -> Performative {
    Performative::new(FLOW)
        .with("next-incoming-id", 0u32)
        .with("incoming-window", WIDE)
        .with("next-outgoing-id", 0u32)
        .with("outgoing-window", WIDE)
}

/// Builds the first transfer of an unsettled delivery, whose tag is its id.
pub fn transfer(handle: u32, delivery_id: u32) -> Performative {
    Performative::new(TRANSFER)
        .with("handle", handle)
        .with("delivery-id", delivery_id)
        .with("delivery-tag", &delivery_id.to_be_bytes()[..])
        .with("message-format", 0u32)
}

/// Builds a transfer that continues a delivery, with the handle alone.
pub fn continuation(handle: u32) -> Performative {
    Performative::new(TRANSFER).with("handle", handle)
}

/// Builds a settling disposition of one delivery.
pub fn disposition(role: bool, delivery_id: u32, state: Value) -> Performative {
    Performative::new(DISPOSITION)
        .with("role", role)
        .with("first", delivery_id)
        .with("settled", true)
        .with("state", state)
}

/// Builds a detach that closes the link.
pub fn detach(handle: u32) -> Performative {
    Performative::new(DETACH).with("handle", handle).with("closed", true)
}

pub fn end() -> Performative {
    Performative::new(END)
}

pub fn close() -> Performative {
    Performative::new(CLOSE)
}

pub fn sasl_init(mechanism: &str, response: &[u8]) -> Performative {
    Performative::new(SASL_INIT).with("mechanism", symbol(mechanism)).with("initial-response", response)
}

pub fn sasl_response(response: &[u8]) -> Performative {
    Performative::new(SASL_RESPONSE).with("response", response)
}

pub fn source(address: &str) -> Value {
    terminus(SOURCE, address.into())
}

pub fn target(address: &str) -> Value {
    terminus(TARGET, address.into())
}

/// Builds a source or target without an address.
pub fn dynamic(code: u64) -> Value {
    let mut terminus = Composite::new(code);
    terminus.set("dynamic", true.into());
    terminus.to_value()
}

/// Builds a source or target with an address of any type. Null is the anonymous terminus.
pub fn terminus(code: u64, address: Value) -> Value {
    let mut terminus = Composite::new(code);
    terminus.set("address", address);
    terminus.to_value()
}

pub fn accepted() -> Value {
    Composite::new(ACCEPTED).to_value()
}

pub fn released() -> Value {
    Composite::new(RELEASED).to_value()
}

pub fn modified() -> Value {
    Composite::new(MODIFIED).to_value()
}

pub fn rejected() -> Value {
    Composite::new(REJECTED).to_value()
}

pub fn error(condition: &str, description: &str) -> Value {
    let mut error = Composite::new(ERROR);
    error.set("condition", symbol(condition));
    error.set("description", description.into());
    error.to_value()
}

/// Builds a composite with some of its fields set.
pub fn composite(code: u64, fields: &[(&str, Value)]) -> Value {
    let mut composite = Composite::new(code);
    fields.iter().for_each(|(field, value)| composite.set(field, value.clone()));
    composite.to_value()
}
