//! The text of a protocol header (2.2) or of a frame (2.3) with its performative (2.7, 5.3), in one line, in the specification's
//! names. Nothing is checked and nothing remembered: frames that the engine refuses are described too.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::composite::Descriptor;
use super::frame::HEADER;
use super::header::Header;
use super::types::{CodecError, Reader};
use super::value::{self, Budget};
use crate::tap::{Capped, FrameText};
use crate::value::{Quoted, Value};

/// The size above which a frame header is taken for bytes of another protocol (our choice): text and TLS look like such sizes.
const MAX_FRAME: usize = 1 << 28;

/// Returns how many bytes at the start of a stream are its next header or frame, which may be more than have arrived. None if too
/// few have arrived to know. Bytes that are neither are one piece to their end.
pub(crate) fn extent(begun: &[u8]) -> Option<usize> {
    let head: &[u8; HEADER] = begun.first_chunk()?;
    if head.starts_with(b"AMQP") {
        return Some(Header::SIZE);
    }
    let [s0, s1, s2, s3, doff, frame_type, ..] = *head;
    let size = usize::try_from(u32::from_be_bytes([s0, s1, s2, s3])).ok();
    let fits = |size: &usize| doff >= 2 && usize::from(doff) * 4 <= *size && *size <= MAX_FRAME && frame_type <= 1;
    Some(size.filter(fits).unwrap_or(begun.len()))
}

/// Describes what [`extent`] measured to be `len` bytes long; the end of its payload may be missing.
pub(crate) fn describe(piece: &[u8], len: usize) -> FrameText {
    let text = describe_piece(piece, len);
    // Only payload can be missing.
    FrameText { payload: text.payload + (len - piece.len()), ..text }
}

fn describe_piece(piece: &[u8], len: usize) -> FrameText {
    match *piece {
        [b'A', b'M', b'Q', b'P', id, major, minor, revision] => describe_header(id, [major, minor, revision]),
        [s0, s1, s2, s3, doff, frame_type, c0, c1, ..] => {
            let size = u32::from_be_bytes([s0, s1, s2, s3]);
            let body = usize::try_from(size).ok().filter(|size| *size == len);
            match body.and_then(|_| piece.get(usize::from(doff) * 4..)) {
                Some(body) if doff >= 2 => describe_frame(frame_type, u16::from_be_bytes([c0, c1]), body),
                _ if frame_type == SASL => hidden("part of a SASL frame", piece.len()),
                _ => FrameText::undecodable(None, "not a frame", piece),
            }
        }
        _ => FrameText::undecodable(None, "not a frame", piece),
    }
}

/// Describes a protocol header (2.2, 5.2.1, 5.3.1).
fn describe_header(id: u8, [major, minor, revision]: [u8; 3]) -> FrameText {
    let name = match id {
        0 => format!("header AMQP {major}.{minor}.{revision}"),
        2 => format!("header TLS {major}.{minor}.{revision}"),
        3 => format!("header SASL {major}.{minor}.{revision}"),
        _ => format!("header AMQP {id} {major}.{minor}.{revision}"),
    };
    FrameText { channel: None, name: Cow::Owned(name), fields: String::new(), payload: 0 }
}

/// The frame types (2.3.1).
const AMQP: u8 = 0;
const SASL: u8 = 1;

fn describe_frame(frame_type: u8, channel: u16, body: &[u8]) -> FrameText {
    // 5.3.1: SASL frames have no channel.
    let channel = (frame_type == AMQP).then_some(channel);
    if body.is_empty() && frame_type == AMQP {
        return FrameText { channel, name: Cow::Borrowed("heartbeat"), fields: String::new(), payload: 0 };
    }
    if frame_type > SASL {
        return FrameText::undecodable(None, "frame of an unknown type", body);
    }
    let mut reader = Reader::new(body);
    match value::read(&mut reader, &mut Budget::default()) {
        Ok(Value::Described(described)) => {
            let (descriptor, value) = *described;
            let mut fields = Capped::default();
            let name = match (Type::of(&descriptor), &value) {
                (Some(known), Value::List(values)) => {
                    // Writing fails when the text is long enough.
                    let _ = put_fields(known, values, &mut fields);
                    Cow::Borrowed(known.name)
                }
                // The bytes may contain a password.
                _ if frame_type == SASL => return hidden("SASL frame of an unknown kind", body.len()),
                _ => {
                    let _ = put_value(&value, &mut fields);
                    let mut name = Capped::default();
                    let _ = match descriptor {
                        Value::Ulong(code) => write!(name, "{code:#x}"),
                        other => write!(name, "{other}"),
                    };
                    Cow::Owned(name.into_string())
                }
            };
            FrameText { channel, name, fields: fields.into_string(), payload: reader.rest().len() }
        }
        _ if frame_type == SASL => hidden("SASL frame that does not decode", body.len()),
        Ok(_) => FrameText::undecodable(channel, "value without a descriptor", body),
        Err(CodecError::Malformed(why) | CodecError::Invalid(why)) => FrameText::undecodable(channel, why, body),
    }
}

fn hidden(why: &str, len: usize) -> FrameText {
    FrameText { payload: len, ..FrameText::undecodable(None, why, &[]) }
}

/// The name of a composite type and of its fields.
struct Type {
    code: u64,
    symbol: &'static str,
    name: &'static str,
    fields: &'static [Field],
}

/// The name of a field and the way its value is shown.
struct Field(&'static str, Kind);

/// The way the value of a field is shown.
#[derive(Clone, Copy)]
enum Kind {
    /// The value itself.
    Plain,
    /// The name of the role (2.8.1).
    Role,
    /// The name that the number stands for (2.8.2, 2.8.3, 3.5.5, 5.3.3.6).
    Choice(&'static [&'static str]),
    /// Authentication data, of which only the identities are shown.
    Secret,
}

const SND_SETTLE_MODE: Kind = Kind::Choice(&["unsettled", "settled", "mixed"]);
const RCV_SETTLE_MODE: Kind = Kind::Choice(&["first", "second"]);
const DURABILITY: Kind = Kind::Choice(&["none", "configuration", "unsettled-state"]);
const SASL_CODE: Kind = Kind::Choice(&["ok", "auth", "sys", "sys-perm", "sys-temp"]);

/// Lists types as the specification does: code, symbol, name, and the names of the fields in their order.
macro_rules! types {
    ($( $code:literal $symbol:literal $name:literal [ $( $field:literal $(($kind:expr))? ),* $(,)? ] )*) => {
        &[$( Type {
            code: $code,
            symbol: $symbol,
            name: $name,
            fields: &[$( Field($field, types!(@kind $($kind)?)) ),*],
        } ),*]
    };
    (@kind) => { Kind::Plain };
    (@kind $kind:expr) => { $kind };
}

const TYPES: &[Type] = types! {
    0x10 "amqp:open:list" "open" [
        "container-id", "hostname", "max-frame-size", "channel-max", "idle-time-out", "outgoing-locales",
        "incoming-locales", "offered-capabilities", "desired-capabilities", "properties",
    ]
    0x11 "amqp:begin:list" "begin" [
        "remote-channel", "next-outgoing-id", "incoming-window", "outgoing-window", "handle-max",
        "offered-capabilities", "desired-capabilities", "properties",
    ]
    0x12 "amqp:attach:list" "attach" [
        "name", "handle", "role" (Kind::Role), "snd-settle-mode" (SND_SETTLE_MODE), "rcv-settle-mode" (RCV_SETTLE_MODE),
        "source", "target", "unsettled", "incomplete-unsettled", "initial-delivery-count", "max-message-size",
        "offered-capabilities", "desired-capabilities", "properties",
    ]
    0x13 "amqp:flow:list" "flow" [
        "next-incoming-id", "incoming-window", "next-outgoing-id", "outgoing-window", "handle", "delivery-count",
        "link-credit", "available", "drain", "echo", "properties",
    ]
    0x14 "amqp:transfer:list" "transfer" [
        "handle", "delivery-id", "delivery-tag", "message-format", "settled", "more", "rcv-settle-mode" (RCV_SETTLE_MODE),
        "state", "resume", "aborted", "batchable",
    ]
    0x15 "amqp:disposition:list" "disposition" ["role" (Kind::Role), "first", "last", "settled", "state", "batchable"]
    0x16 "amqp:detach:list" "detach" ["handle", "closed", "error"]
    0x17 "amqp:end:list" "end" ["error"]
    0x18 "amqp:close:list" "close" ["error"]
    0x1d "amqp:error:list" "error" ["condition", "description", "info"]
    0x23 "amqp:received:list" "received" ["section-number", "section-offset"]
    0x24 "amqp:accepted:list" "accepted" []
    0x25 "amqp:rejected:list" "rejected" ["error"]
    0x26 "amqp:released:list" "released" []
    0x27 "amqp:modified:list" "modified" ["delivery-failed", "undeliverable-here", "message-annotations"]
    0x28 "amqp:source:list" "source" [
        "address", "durable" (DURABILITY), "expiry-policy", "timeout", "dynamic", "dynamic-node-properties",
        "distribution-mode", "filter", "default-outcome", "outcomes", "capabilities",
    ]
    0x29 "amqp:target:list" "target" [
        "address", "durable" (DURABILITY), "expiry-policy", "timeout", "dynamic", "dynamic-node-properties",
        "capabilities",
    ]
    0x2b "amqp:delete-on-close:list" "delete-on-close" []
    0x2c "amqp:delete-on-no-links:list" "delete-on-no-links" []
    0x2d "amqp:delete-on-no-messages:list" "delete-on-no-messages" []
    0x2e "amqp:delete-on-no-links-or-messages:list" "delete-on-no-links-or-messages" []
    0x30 "amqp:coordinator:list" "coordinator" ["capabilities"]
    0x31 "amqp:declare:list" "declare" ["global-id"]
    0x32 "amqp:discharge:list" "discharge" ["txn-id", "fail"]
    0x33 "amqp:declared:list" "declared" ["txn-id"]
    0x34 "amqp:transactional-state:list" "transactional-state" ["txn-id", "outcome"]
    0x40 "amqp:sasl-mechanisms:list" "sasl-mechanisms" ["sasl-server-mechanisms"]
    0x41 "amqp:sasl-init:list" "sasl-init" ["mechanism", "initial-response" (Kind::Secret), "hostname"]
    0x42 "amqp:sasl-challenge:list" "sasl-challenge" ["challenge"]
    0x43 "amqp:sasl-response:list" "sasl-response" ["response" (Kind::Secret)]
    0x44 "amqp:sasl-outcome:list" "sasl-outcome" ["code" (SASL_CODE), "additional-data"]
};

/// Returns the specification's name of the type with this descriptor.
pub(super) fn name_of(descriptor: Descriptor<'_>) -> Option<&'static str> {
    let known = TYPES.iter().find(|known| match descriptor {
        Descriptor::Code(code) => code == known.code,
        Descriptor::Name(symbol) => symbol == known.symbol,
    });
    known.map(|known| known.name)
}

impl Type {
    fn of(descriptor: &Value) -> Option<&'static Type> {
        TYPES.iter().find(|known| match descriptor {
            Value::Ulong(code) => *code == known.code,
            Value::Symbol(symbol) => symbol == known.symbol,
            _ => false,
        })
    }
}

/// Writes `name=value` for every field that is present, with spaces between.
fn put_fields(known: &Type, values: &[Value], out: &mut Capped) -> fmt::Result {
    let mut space = "";
    for (index, value) in values.iter().enumerate().filter(|(_, value)| !value.is_null()) {
        match known.fields.get(index) {
            Some(Field(name, kind)) => {
                write!(out, "{space}{name}=")?;
                put_field(name, *kind, value, values, out)?;
            }
            None => {
                // The specification has no such field.
                write!(out, "{space}{}=", index + 1)?;
                put_value(value, out)?;
            }
        }
        space = " ";
    }
    Ok(())
}

fn put_field(name: &str, kind: Kind, value: &Value, siblings: &[Value], out: &mut Capped) -> fmt::Result {
    match (kind, value) {
        (Kind::Role, Value::Bool(true)) => out.write_str("receiver"),
        (Kind::Role, Value::Bool(false)) => out.write_str("sender"),
        (Kind::Choice(names), number) => {
            match number.as_u64().and_then(|number| names.get(usize::try_from(number).ok()?)) {
                Some(chosen) => out.write_str(chosen),
                None => put_value(number, out),
            }
        }
        (Kind::Secret, response) => put_response(response, siblings.first(), out),
        (Kind::Plain | Kind::Role, Value::Described(described)) => match (Type::of(&described.0), &described.1) {
            // The type has the name of the field.
            (Some(known), Value::List(values)) if known.name == name => match known.name {
                "error" => put_error(values, out),
                _ => put_braced(known, values, out),
            },
            _ => put_value(value, out),
        },
        (Kind::Plain | Kind::Role, value) => put_value(value, out),
    }
}

/// Writes the initial-response of a client (5.3.3.2): all of it for ANONYMOUS, the identities for PLAIN (RFC 4616).
fn put_response(response: &Value, mechanism: Option<&Value>, out: &mut Capped) -> fmt::Result {
    let (Some(Value::Symbol(mechanism)), Value::Binary(bytes)) = (mechanism, response) else {
        return out.write_str("***");
    };
    match mechanism.as_str() {
        "ANONYMOUS" => write!(out, "{}", Quoted(bytes)),
        "PLAIN" => {
            let mut nuls = bytes.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(index, _)| index);
            let shown = nuls.nth(1).and_then(|second| bytes.get(..=second));
            write!(out, "b\"{}***\"", shown.unwrap_or_default().escape_ascii())
        }
        _ => out.write_str("***"),
    }
}

/// Writes an error (2.8.14): `amqp:not-found "no such queue"`.
fn put_error(values: &[Value], out: &mut Capped) -> fmt::Result {
    let [condition, more @ ..] = values else { return out.write_str("{}") };
    put_value(condition, out)?;
    if let Some(description) = more.first().filter(|description| !description.is_null()) {
        out.write_str(" ")?;
        put_value(description, out)?;
    }
    if let Some(info) = more.get(1).filter(|info| !info.is_null()) {
        out.write_str(" info=")?;
        put_value(info, out)?;
    }
    Ok(())
}

fn put_braced(known: &Type, values: &[Value], out: &mut Capped) -> fmt::Result {
    out.write_str("{")?;
    put_fields(known, values, out)?;
    out.write_str("}")
}

/// Writes a value; known composite types, at any depth, with their names.
fn put_value(value: &Value, out: &mut Capped) -> fmt::Result {
    match value {
        Value::Described(described) => match (Type::of(&described.0), &described.1) {
            (Some(known), Value::List(values)) => {
                out.write_str(known.name)?;
                if values.iter().all(Value::is_null) { Ok(()) } else { put_braced(known, values, out) }
            }
            _ => write!(out, "{value}"),
        },
        Value::List(items) | Value::Array(items) => {
            out.write_str("[")?;
            for (index, item) in items.iter().enumerate() {
                out.write_str(if index > 0 { ", " } else { "" })?;
                put_value(item, out)?;
            }
            out.write_str("]")
        }
        Value::Map(entries) => {
            out.write_str("{")?;
            for (index, (key, value)) in entries.iter().enumerate() {
                write!(out, "{}{key}: ", if index > 0 { ", " } else { "" })?;
                put_value(value, out)?;
            }
            out.write_str("}")
        }
        _ => write!(out, "{value}"),
    }
}

#[cfg(test)]
mod tests;
