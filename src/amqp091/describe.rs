//! Describes a protocol header (4.2.2) or a frame (4.2.3) in one line of the trace, with the names and values of the
//! specification. Checks and remembers nothing: a frame that the engine refuses is described too.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::content::Properties;
use super::frame::{self, HEADER, OVERHEAD};
use super::header::Header;
use super::method::{self, Method, Shown};
use super::table::{Field, Table};
use super::types::{LongStr, Malformed, Reader, Since09, Version};
use crate::tap::{Capped, FrameText};

/// The largest frame that is described as one (our choice). Text and TLS records look like larger ones.
const MAX_FRAME: usize = 1 << 28;

/// The number of bytes that the next header or frame takes, which may be more than have come. None if too few have come
/// to know. Bytes that are neither are one piece to their end.
pub(crate) fn extent(begun: &[u8]) -> Option<usize> {
    if begun.starts_with(b"AMQP") {
        return Some(Header::SIZE);
    }
    let frame_type = *begun.get(..HEADER)?.first()?;
    let size = frame::payload_size(begun, 0).map(|size| size.saturating_add(OVERHEAD));
    let fits = |size: &usize| *size <= MAX_FRAME && matches!(frame_type, 1..=3 | 8);
    Some(size.filter(fits).unwrap_or(begun.len()))
}

/// Describes a header or frame of 0-9 or 0-9-1 that [`extent`] has measured to be `len` bytes long. The end of a body
/// may be missing.
pub(crate) fn describe(piece: &[u8], len: usize) -> FrameText {
    describe_as(Version::V0_9_1, piece, len)
}

/// Describes a header or frame of 0-8, where some methods have other numbers.
pub(crate) fn describe_0_8(piece: &[u8], len: usize) -> FrameText {
    describe_as(Version::V0_8, piece, len)
}

fn describe_as(version: Version, piece: &[u8], len: usize) -> FrameText {
    let text = describe_piece(version, piece, len);
    // Only payload and the frame-end octet may be missing.
    FrameText { payload: text.payload + (len - piece.len()), ..text }
}

fn describe_piece(version: Version, piece: &[u8], len: usize) -> FrameText {
    match *piece {
        [b'A', b'M', b'Q', b'P', id, major, minor, revision] => {
            let name = match (id, major, minor, revision) {
                (0, 0, 9, 1) => "header AMQP 0-9-1".to_owned(),
                (1, 1, 0, 9) => "header AMQP 0-9".to_owned(),
                (1, 1, 8, 0) => "header AMQP 0-8".to_owned(),
                _ => format!("header AMQP {id} {major}.{minor}.{revision}"),
            };
            FrameText { channel: None, name: Cow::Owned(name), fields: String::new(), payload: 0 }
        }
        [frame_type, c0, c1, _, _, _, _, .., _] => {
            let whole = frame::payload_size(piece, 0).is_some_and(|size| size + OVERHEAD == len);
            let channel = u16::from_be_bytes([c0, c1]);
            // In a body that is cut short, the last octet stands for the frame-end.
            match piece.get(HEADER..piece.len() - 1) {
                Some(payload) if whole => describe_frame(frame_type, channel, payload, version),
                _ => hidden(None, "not a frame", piece.len()),
            }
        }
        _ => FrameText::undecodable(None, "not a frame", piece),
    }
}

/// Describes bytes without showing them: they may hold a password.
fn hidden(channel: Option<u16>, why: &str, len: usize) -> FrameText {
    FrameText { payload: len, ..FrameText::undecodable(channel, why, &[]) }
}

fn describe_frame(frame_type: u8, channel: u16, payload: &[u8], version: Version) -> FrameText {
    let channel = Some(channel);
    let plain =
        |name: &'static str, payload| FrameText { channel, name: Cow::Borrowed(name), fields: String::new(), payload };
    match frame_type {
        1 => match describe_method(payload, version) {
            Ok((name, fields)) => FrameText { channel, name: Cow::Borrowed(name), fields, payload: 0 },
            Err(Malformed(why)) => hidden(channel, why, payload.len()),
        },
        2 => match describe_header(payload) {
            Ok(fields) => FrameText { fields, ..plain("header", 0) },
            Err(Malformed(why)) => FrameText::undecodable(channel, why, payload),
        },
        3 => plain("body", payload.len()),
        8 => plain("heartbeat", payload.len()),
        _ => FrameText::undecodable(channel, "frame of an unknown type", payload),
    }
}

fn describe_method(payload: &[u8], version: Version) -> Result<(&'static str, String), Malformed> {
    let mut reader = Reader::new(payload, version);
    let id = method::read_id(&mut reader)?;
    let method = Method::read(id, &mut reader)?.ok_or(Malformed("unknown method"))?;
    let mut fields = Capped::default();
    let mut plain = false;
    method.arguments(&mut |name, value| {
        if value.is_left_out() || name == "ticket" {
            return;
        }
        let spelled = if name == "kind" { "type".to_owned() } else { name.replace('_', "-") };
        plain |= name == "mechanism" && value.is_plain();
        // Writing fails when the line is long enough.
        let _ = write!(fields, " {spelled}=").and_then(|()| match name {
            "response" | "new_secret" => value.show_secret(plain, &mut fields),
            _ => value.show(&mut fields),
        });
    });
    Ok((method.name(), fields.into_string().trim_start().to_owned()))
}

/// 4.2.6.1
fn describe_header(payload: &[u8]) -> Result<String, Malformed> {
    let mut reader = Reader::new(payload, Version::V0_9_1);
    let (class, _weight, size) = (reader.short()?, reader.short()?, reader.longlong()?);
    let properties = Properties::read(reader.rest())?;
    let mut fields = Capped::default();
    // Writing fails when the line is long enough.
    let _ = put_header(&mut fields, class, size, &properties);
    Ok(fields.into_string())
}

fn put_header(out: &mut Capped, class: u16, size: u64, properties: &Properties<'_>) -> fmt::Result {
    if class != method::BASIC {
        write!(out, "class={class} ")?;
    }
    write!(out, "body-size={size}")?;
    let text = |out: &mut Capped, name: &str, value: Option<&[u8]>| match value {
        Some(value) => {
            write!(out, " {name}=")?;
            put_bytes(out, value)
        }
        None => Ok(()),
    };
    let octet = |out: &mut Capped, name: &str, value: Option<u8>| match value {
        Some(value) => write!(out, " {name}={value}"),
        None => Ok(()),
    };
    text(out, "content-type", properties.content_type)?;
    text(out, "content-encoding", properties.content_encoding)?;
    if let Some(headers) = properties.headers {
        out.write_str(" headers=")?;
        put_table(out, headers)?;
    }
    octet(out, "delivery-mode", properties.delivery_mode)?;
    octet(out, "priority", properties.priority)?;
    text(out, "correlation-id", properties.correlation_id)?;
    text(out, "reply-to", properties.reply_to)?;
    text(out, "expiration", properties.expiration)?;
    text(out, "message-id", properties.message_id)?;
    if let Some(timestamp) = properties.timestamp {
        write!(out, " timestamp={timestamp}")?;
    }
    text(out, "type", properties.kind)?;
    text(out, "user-id", properties.user_id)?;
    text(out, "app-id", properties.app_id)?;
    text(out, "cluster-id", properties.cluster_id)
}

fn put_bytes(out: &mut Capped, bytes: &[u8]) -> fmt::Result {
    match std::str::from_utf8(bytes) {
        Ok(text) => write!(out, "{text:?}"),
        Err(_) => write!(out, "b\"{}\"", bytes.escape_ascii()),
    }
}

fn put_table(out: &mut Capped, table: Table<'_>) -> fmt::Result {
    out.write_char('{')?;
    for (place, (name, value)) in table.entries().enumerate() {
        out.write_str(if place > 0 { ", " } else { "" })?;
        write!(out, "{}: ", name.escape_ascii())?;
        put_field(out, value)?;
    }
    out.write_char('}')
}

fn put_field(out: &mut Capped, field: Field<'_>) -> fmt::Result {
    match field {
        Field::Void => out.write_str("void"),
        Field::Boolean(value) => write!(out, "{value}"),
        Field::Byte(value) => write!(out, "{value}"),
        Field::UnsignedByte(value) => write!(out, "{value}"),
        Field::Short(value) => write!(out, "{value}"),
        Field::UnsignedShort(value) => write!(out, "{value}"),
        Field::Int(value) => write!(out, "{value}"),
        Field::UnsignedInt(value) => write!(out, "{value}"),
        Field::Long(value) => write!(out, "{value}"),
        Field::Float(value) => write!(out, "{value:?}"),
        Field::Double(value) => write!(out, "{value:?}"),
        Field::Decimal(scale, value) => write!(out, "{value}e-{scale}"),
        Field::Timestamp(value) => write!(out, "{value}"),
        Field::LongString(bytes) => put_bytes(out, bytes),
        Field::Bytes(bytes) => write!(out, "b\"{}\"", bytes.escape_ascii()),
        Field::Table(table) => put_table(out, table),
        Field::Array(elements) => {
            out.write_char('[')?;
            for (place, element) in elements.iter().enumerate() {
                out.write_str(if place > 0 { ", " } else { "" })?;
                put_field(out, element)?;
            }
            out.write_char(']')
        }
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Shown for $type {
            fn show(&self, out: &mut Capped) -> fmt::Result {
                write!(out, "{self}")
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64);

impl Shown for bool {
    fn show(&self, out: &mut Capped) -> fmt::Result {
        write!(out, "{self}")
    }
    fn is_left_out(&self) -> bool {
        !*self
    }
}

impl Shown for &str {
    fn show(&self, out: &mut Capped) -> fmt::Result {
        write!(out, "{self:?}")
    }
    fn is_plain(&self) -> bool {
        *self == "PLAIN"
    }
}

impl Shown for LongStr<'_> {
    fn show(&self, out: &mut Capped) -> fmt::Result {
        put_bytes(out, self.0)
    }
    /// RFC 4616: the password comes after the second NUL.
    fn show_secret(&self, plain: bool, out: &mut Capped) -> fmt::Result {
        let mut ends = self.0.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(place, _)| place + 1);
        match ends.nth(1).and_then(|end| self.0.get(..end)).filter(|_| plain) {
            Some(open) => write!(out, "b\"{}***\"", open.escape_ascii()),
            None => out.write_str("***"),
        }
    }
    fn is_left_out(&self) -> bool {
        self.0.is_empty()
    }
}

impl Shown for Table<'_> {
    fn show(&self, out: &mut Capped) -> fmt::Result {
        put_table(out, *self)
    }
    fn is_left_out(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl<T: Shown> Shown for Since09<T> {
    fn show(&self, out: &mut Capped) -> fmt::Result {
        self.0.show(out)
    }
    fn is_left_out(&self) -> bool {
        self.0.is_left_out()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_described_as_the_specification_calls_things() {
        let rows: [(&[u8], &str); 11] = [
            (b"AMQP\x00\x00\x09\x01", "header AMQP 0-9-1"),
            (
                b"\x01\x00\x01\x00\x00\x00\x0a\x00\x3c\x00\x28\x00\x00\x00\x01q\x01\xce",
                r#"ch 1 basic.publish exchange="" routing-key="q" mandatory=true"#,
            ),
            (
                b"\x02\x00\x01\x00\x00\x00\x1a\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x30\x00\
                \x00\x00\x00\x07\x01kI\x00\x00\x00\x07\x02\xce",
                "ch 1 header body-size=5 headers={k: 7} delivery-mode=2",
            ),
            (b"\x03\x00\x01\x00\x00\x00\x05hello\xce", "ch 1 body (5 bytes)"),
            (b"\x08\x00\x00\x00\x00\x00\x00\xce", "ch 0 heartbeat"),
            (
                b"\x01\x00\x00\x00\x00\x00\x22\x00\x0a\x00\x0b\x00\x00\x00\x00\x05PLAIN\x00\x00\x00\x0d\0guest\0s3cr3t\x02en\xce",
                r#"ch 0 connection.start-ok mechanism="PLAIN" response=b"\x00guest\x00***" locale="en""#,
            ),
            (
                b"\x01\x00\x00\x00\x00\x00\x1a\x00\x0a\x00\x0b\x00\x00\x00\x00\x05OTHER\x00\x00\x00\x06s3cr3t\x01e\xce",
                r#"ch 0 connection.start-ok mechanism="OTHER" response=*** locale="e""#,
            ),
            (
                b"\x01\x00\x00\x00\x00\x00\x0e\x00\x0a\x00\x15\x00\x00\x00\x06s3cr3t\xce",
                "ch 0 connection.secure-ok response=***",
            ),
            (b"\x01\x00\x00\x00\x00\x00\x0a\x00\x0a\x00\x0b\x00\x00\x01\x00s3\xce", "ch 0 undecodable (it ends in the middle of a field) (10 bytes)"),
            (b"\x01\x00\x07\x00\x00\x00\x04\x00\x09\x00\x09\xce", "ch 7 undecodable (unknown method) (4 bytes)"),
            (b"GET / HTTP/1.1", "undecodable (not a frame) (14 bytes)"),
        ];
        for (bytes, expected) in rows {
            assert_eq!(extent(bytes), Some(bytes.len()), "{expected}");
            assert_eq!(describe(bytes, bytes.len()).to_string(), expected);
        }
        let close_ok = b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x3d\xce";
        assert_eq!(describe_0_8(close_ok, close_ok.len()).to_string(), "ch 0 connection.close-ok");
        let body = b"\x03\x00\x01\x00\x00\x00\x05hello\xce";
        assert_eq!(describe(&body[..9], body.len()).to_string(), "ch 1 body (5 bytes)");
    }
}
