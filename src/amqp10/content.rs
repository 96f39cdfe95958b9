//! A whole message (3.2) to and from plain Rust types, for tests that send or look at it. Messages that the broker routes are not
//! decoded here: see `section.rs`.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::composite::{Composite, Descriptor, composite};
use super::section::Header;
use super::types::{CodecError, Encode, Reader, Result, Symbol, code, saturate};
use super::value::{self, Budget, Timestamp};
use crate::content::{self, Body, Message};
use crate::value::Value;

composite! {
    /// The properties of a message (3.2.4).
    #[derive(Default)]
    Properties = 0x73 "amqp:properties:list" {
        message_id: optional Value,
        user_id: optional Bytes,
        to: optional Arc<str>,
        subject: optional Arc<str>,
        reply_to: optional Arc<str>,
        correlation_id: optional Value,
        content_type: optional Symbol,
        content_encoding: optional Symbol,
        absolute_expiry_time: optional Timestamp,
        creation_time: optional Timestamp,
        group_id: optional Arc<str>,
        group_sequence: optional u32,
        reply_to_group_id: optional Arc<str>,
    }
}

/// The sections in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Section {
    Header,
    DeliveryAnnotations,
    MessageAnnotations,
    Properties,
    ApplicationProperties,
    Data,
    Sequence,
    Value,
    Footer,
}

impl Section {
    const ALL: [(Section, u64, &'static str); 9] = [
        (Section::Header, 0x70, "amqp:header:list"),
        (Section::DeliveryAnnotations, 0x71, "amqp:delivery-annotations:map"),
        (Section::MessageAnnotations, 0x72, "amqp:message-annotations:map"),
        (Section::Properties, 0x73, "amqp:properties:list"),
        (Section::ApplicationProperties, 0x74, "amqp:application-properties:map"),
        (Section::Data, 0x75, "amqp:data:binary"),
        (Section::Sequence, 0x76, "amqp:amqp-sequence:list"),
        (Section::Value, 0x77, "amqp:amqp-value:*"),
        (Section::Footer, 0x78, "amqp:footer:map"),
    ];

    fn read(reader: &mut Reader<'_>) -> Result<Section> {
        let descriptor = Descriptor::read(reader)?;
        let known = Self::ALL.iter().find(|(_, code, name)| match descriptor {
            Descriptor::Code(number) => number == *code,
            Descriptor::Name(text) => text == *name,
        });
        known.map(|(section, ..)| *section).ok_or(CodecError::Malformed("unknown section"))
    }

    /// Writes the descriptor; the value follows.
    fn put(self, out: &mut BytesMut) {
        let number = Self::ALL.iter().find(|(section, ..)| *section == self).map_or(0, |(_, number, _)| *number);
        out.put_u8(code::DESCRIBED);
        number.encode(out);
    }

    /// Whether this section may come after `other`.
    fn may_follow(self, before: Section) -> bool {
        match (before, self) {
            // 3.2.6, 3.2.7: a body can have several sections of one of these kinds.
            (Section::Data, Section::Data) | (Section::Sequence, Section::Sequence) => true,
            (Section::Data | Section::Sequence, Section::Sequence | Section::Value) => false,
            (before, after) => before < after,
        }
    }
}

/// Decodes a whole message.
pub(crate) fn decode(payload: &[u8]) -> Result<Message> {
    let mut message = Message::default();
    let mut reader = Reader::new(payload);
    let mut budget = Budget::default();
    let mut before: Option<Section> = None;
    while !reader.is_empty() {
        let section = Section::read(&mut reader)?;
        if before.replace(section).is_some_and(|before| !section.may_follow(before)) {
            return Err(CodecError::Malformed("sections out of order"));
        }
        match section {
            Section::Header => message.header = Header::decode_list(&mut reader)?.into(),
            Section::DeliveryAnnotations => message.delivery_annotations = read_map(&mut reader, &mut budget)?,
            Section::MessageAnnotations => message.message_annotations = read_map(&mut reader, &mut budget)?,
            Section::Properties => message.properties = Properties::decode_list(&mut reader)?.into(),
            Section::ApplicationProperties => {
                message.application_properties = read_properties(&mut reader, &mut budget)?;
            }
            Section::Data => {
                let bytes = reader.binary()?.to_vec();
                match &mut message.body {
                    Body::Data(sections) => sections.push(bytes),
                    body => *body = Body::Data(vec![bytes]),
                }
            }
            Section::Sequence => {
                let Value::List(items) = value::read(&mut reader, &mut budget)? else {
                    return Err(CodecError::Malformed("not a list"));
                };
                match &mut message.body {
                    Body::Sequence(sections) => sections.push(items),
                    body => *body = Body::Sequence(vec![items]),
                }
            }
            Section::Value => message.body = Body::Value(value::read(&mut reader, &mut budget)?),
            Section::Footer => message.footer = read_map(&mut reader, &mut budget)?,
        }
    }
    Ok(message)
}

/// Decodes the application properties alone (3.2.5). None if the message is malformed before their end.
pub(crate) fn application_properties(payload: &[u8]) -> Option<Vec<(String, Value)>> {
    let mut reader = Reader::new(payload);
    while !reader.is_empty() {
        match Section::read(&mut reader).ok()? {
            Section::ApplicationProperties => {
                return read_properties(&mut reader, &mut Budget::default()).ok();
            }
            section if section < Section::ApplicationProperties => reader.hop().ok()?,
            _ => return None,
        }
    }
    None
}

/// Decodes the field at a place in the list of properties alone (3.2.4). None if there is none, or the message is malformed
/// before its end.
pub(crate) fn property(payload: &[u8], place: usize) -> Option<Value> {
    let mut reader = Reader::new(payload);
    while !reader.is_empty() {
        match Section::read(&mut reader).ok()? {
            Section::Properties => {
                let (count, mut fields) = reader.list().ok()?;
                (0..place.min(count)).try_for_each(|_| fields.hop()).ok()?;
                return (place < count).then(|| value::read(&mut fields, &mut Budget::default()).ok()).flatten();
            }
            section if section < Section::Properties => reader.hop().ok()?,
            _ => return None,
        }
    }
    None
}

fn read_properties(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<Vec<(String, Value)>> {
    let entries = read_map(reader, budget)?.into_iter().map(|(name, value)| match name {
        Value::String(name) | Value::Symbol(name) => Ok((name, value)),
        _ => Err(CodecError::Malformed("application property whose name is not a string")),
    });
    entries.collect()
}

pub(super) fn read_map(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<Vec<(Value, Value)>> {
    match value::read(reader, budget)? {
        Value::Map(entries) => Ok(entries),
        // Some encoders write a null for an empty section.
        Value::Null => Ok(Vec::new()),
        _ => Err(CodecError::Malformed("not a map")),
    }
}

/// Encodes a message, without empty sections.
pub(crate) fn encode(message: &Message) -> Bytes {
    let mut out = BytesMut::new();
    if message.header != content::Header::default() {
        Header::from(&message.header).encode(&mut out);
    }
    put_map(Section::DeliveryAnnotations, &message.delivery_annotations, &mut out);
    put_map(Section::MessageAnnotations, &message.message_annotations, &mut out);
    if message.properties != content::Properties::default() {
        Properties::from(&message.properties).encode(&mut out);
    }
    if !message.application_properties.is_empty() {
        Section::ApplicationProperties.put(&mut out);
        message.application_properties.iter().cloned().collect::<Value>().encode(&mut out);
    }
    match &message.body {
        Body::Empty => {}
        Body::Data(sections) => sections.iter().for_each(|bytes| {
            Section::Data.put(&mut out);
            value::put_binary(bytes, &mut out);
        }),
        Body::Sequence(sections) => sections.iter().for_each(|items| {
            Section::Sequence.put(&mut out);
            value::put_list(items, &mut out);
        }),
        Body::Value(value) => {
            Section::Value.put(&mut out);
            value.encode(&mut out);
        }
    }
    put_map(Section::Footer, &message.footer, &mut out);
    out.freeze()
}

fn put_map(section: Section, entries: &[(Value, Value)], out: &mut BytesMut) {
    if !entries.is_empty() {
        section.put(out);
        value::put_map(entries, out);
    }
}

impl From<Header> for content::Header {
    fn from(header: Header) -> Self {
        content::Header {
            durable: header.durable,
            priority: header.priority,
            ttl: header.ttl.map(|millis| Duration::from_millis(millis.into())),
            first_acquirer: header.first_acquirer,
            delivery_count: header.delivery_count,
        }
    }
}

impl From<&content::Header> for Header {
    fn from(header: &content::Header) -> Self {
        Header {
            durable: header.durable,
            priority: header.priority,
            ttl: header.ttl.map(|ttl| usize::try_from(ttl.as_millis()).map_or(u32::MAX, saturate)),
            first_acquirer: header.first_acquirer,
            delivery_count: header.delivery_count,
        }
    }
}

impl From<Properties> for content::Properties {
    fn from(properties: Properties) -> Self {
        let text = |text: Option<Arc<str>>| text.as_deref().map(str::to_owned);
        let name = |symbol: Option<Symbol>| symbol.map(|symbol| symbol.as_str().to_owned());
        content::Properties {
            message_id: properties.message_id,
            user_id: properties.user_id.map(Vec::from),
            to: text(properties.to),
            subject: text(properties.subject),
            reply_to: text(properties.reply_to),
            correlation_id: properties.correlation_id,
            content_type: name(properties.content_type),
            content_encoding: name(properties.content_encoding),
            absolute_expiry_time: properties.absolute_expiry_time.map(|Timestamp(millis)| millis),
            creation_time: properties.creation_time.map(|Timestamp(millis)| millis),
            group_id: text(properties.group_id),
            group_sequence: properties.group_sequence,
            reply_to_group_id: text(properties.reply_to_group_id),
        }
    }
}

impl From<&content::Properties> for Properties {
    fn from(properties: &content::Properties) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(Arc::from);
        let symbol = |text: &Option<String>| text.as_deref().map(Symbol::new);
        Properties {
            message_id: properties.message_id.clone(),
            user_id: properties.user_id.as_deref().map(Bytes::copy_from_slice),
            to: text(&properties.to),
            subject: text(&properties.subject),
            reply_to: text(&properties.reply_to),
            correlation_id: properties.correlation_id.clone(),
            content_type: symbol(&properties.content_type),
            content_encoding: symbol(&properties.content_encoding),
            absolute_expiry_time: properties.absolute_expiry_time.map(Timestamp),
            creation_time: properties.creation_time.map(Timestamp),
            group_id: text(&properties.group_id),
            group_sequence: properties.group_sequence,
            reply_to_group_id: text(&properties.reply_to_group_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::any_value;
    use super::*;
    use proptest::prelude::*;

    /// A message of every section, as some client might write it.
    const WHOLE: &[&[u8]] = &[
        // header: durable, priority 7, ttl 5000, first-acquirer, delivery-count 2
        b"\0\x53\x70\xc0\x0c\x05\x41\x50\x07\x70\0\0\x13\x88\x41\x52\x02",
        // delivery-annotations {x-d: 1}
        b"\0\x53\x71\xc1\x08\x02\xa3\x03x-d\x54\x01",
        // message-annotations {x-m: "v"}, in wide encodings, its descriptor a symbol
        b"\0\xa3\x1camqp:message-annotations:map\xd1\0\0\0\x12\0\0\0\x02\xb3\0\0\0\x03x-m\xb1\0\0\0\x01v",
        // properties: message-id "m", user-id b"u", to "t", subject "s", reply-to "r", correlation-id ulong 1,
        b"\0\x53\x73\xc0\x3e\x0d\xa1\x01m\xa0\x01u\xa1\x01t\xa1\x01s\xa1\x01r\x53\x01",
        // content-type "text/plain", content-encoding "gzip", absolute-expiry-time 1000, creation-time 1,
        b"\xa3\x0atext/plain\xa3\x04gzip\x83\0\0\0\0\0\0\x03\xe8\x83\0\0\0\0\0\0\0\x01",
        // group-id "g", group-sequence 3, reply-to-group-id "h"
        b"\xa1\x01g\x52\x03\xa1\x01h",
        // application-properties {"cups": 2, "raw": b"\x00"}
        b"\0\x53\x74\xc1\x11\x04\xa1\x04cups\x54\x02\xa1\x03raw\xa0\x01\0",
        // amqp-value "one coffee"
        b"\0\x53\x77\xa1\x0aone coffee",
        // footer {x-f: null}
        b"\0\x53\x78\xc1\x07\x02\xa3\x03x-f\x40",
    ];

    fn whole() -> Message {
        let mut message = Message::text("one coffee")
            .durable(true)
            .priority(7)
            .ttl(Duration::from_secs(5))
            .annotation("x-m", "v")
            .message_id("m")
            .to("t")
            .subject("s")
            .reply_to("r")
            .correlation_id(1_u64)
            .content_type("text/plain")
            .property("cups", 2)
            .property("raw", b"\0");
        message.header.first_acquirer = true;
        message.header.delivery_count = 2;
        message.delivery_annotations = vec![(Value::symbol("x-d"), 1.into())];
        message.properties.user_id = Some(b"u".to_vec());
        message.properties.content_encoding = Some("gzip".to_owned());
        message.properties.absolute_expiry_time = Some(1000);
        message.properties.creation_time = Some(1);
        message.properties.group_id = Some("g".to_owned());
        message.properties.group_sequence = Some(3);
        message.properties.reply_to_group_id = Some("h".to_owned());
        message.footer = vec![(Value::symbol("x-f"), Value::Null)];
        message
    }

    #[test]
    fn a_message_written_by_hand() {
        assert_eq!(decode(&WHOLE.concat()), Ok(whole()));
    }

    #[test]
    fn is_written_in_the_shortest_way() {
        let mut expected = WHOLE.to_vec();
        expected[2] = b"\0\x53\x72\xc1\x09\x02\xa3\x03x-m\xa1\x01v";
        assert_eq!(encode(&whole()).escape_ascii().to_string(), expected.concat().escape_ascii().to_string());
        assert_eq!(encode(&Message::text("hi")), &b"\0\x53\x77\xa1\x02hi"[..]);
        assert_eq!(encode(&Message::data("hi")), &b"\0\x53\x75\xa0\x02hi"[..]);
        assert_eq!(encode(&Message::default()), &b""[..]);
        // 49 days and more are not to be had.
        let long = Message::default().ttl(Duration::from_secs(1 << 40));
        assert_eq!(encode(&long), &b"\0\x53\x70\xc0\x08\x03\x40\x40\x70\xff\xff\xff\xff"[..]);
    }

    #[test]
    fn a_cut_message_is_whole_sections_or_an_error() {
        let bytes = WHOLE.concat();
        // Where one section ends and the next begins; the properties are written in three rows.
        let ends = WHOLE.iter().scan(0, |end, row| {
            *end += row.len();
            Some(*end)
        });
        let mut ends: Vec<usize> = std::iter::once(0).chain(ends).collect();
        ends.drain(4..6);
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]).is_ok(), ends.contains(&end), "cut at {end}");
        }
    }

    #[test]
    fn bodies_of_every_kind() {
        let rows: [(&[u8], Body); 7] = [
            (b"\0\x53\x75\xa0\x01a\0\x53\x75\xb0\0\0\0\x01b", Body::Data(vec![b"a".to_vec(), b"b".to_vec()])),
            (b"\0\x53\x76\xc0\x03\x01\x50\x01\0\x53\x76\x45", Body::Sequence(vec![vec![Value::Ubyte(1)], vec![]])),
            (b"\0\x53\x77\x40", Body::Value(Value::Null)),
            (b"\0\x53\x77\xc1\x03\x02\x43\x43", Body::Value([(0_u32, 0_u32)].into())),
            (b"\0\x80\0\0\0\0\0\0\0\x77\x41", Body::Value(true.into())),
            (b"\0\xa3\x10amqp:data:binary\xa0\0", Body::Data(vec![vec![]])),
            (b"", Body::Empty),
        ];
        for (bytes, body) in rows {
            assert_eq!(decode(bytes).map(|message| message.body), Ok(body), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_message() {
        let rows: [(&str, &[u8]); 12] = [
            ("text", b"hello"),
            ("a value without a descriptor", b"\x40"),
            ("an unknown section", b"\0\x53\x79\x45"),
            ("properties before the header", b"\0\x53\x73\x45\0\x53\x70\x45"),
            ("two headers", b"\0\x53\x70\x45\0\x53\x70\x45"),
            ("two values", b"\0\x53\x77\x40\0\x53\x77\x40"),
            ("data and a value", b"\0\x53\x75\xa0\0\0\x53\x77\x40"),
            ("data and a sequence", b"\0\x53\x75\xa0\0\0\x53\x76\x45"),
            ("a header of six fields", b"\0\x53\x70\xc0\x07\x06\x40\x40\x40\x40\x40\x40"),
            ("data that is a string", b"\0\x53\x75\xa1\0"),
            ("a property without a name", b"\0\x53\x74\xc1\x03\x02\x43\x43"),
            ("a to that is a number", b"\0\x53\x73\xc0\x04\x03\x40\x40\x43"),
        ];
        for (what, bytes) in rows {
            assert!(decode(bytes).is_err(), "{what}");
        }
    }

    #[test]
    fn many_sections_share_what_they_may_make_of_nothing() {
        // A sequence with an array of 40,000 nulls, three times.
        let bytes = b"\0\x53\x76\xc0\x0b\x01\xf0\0\0\0\x05\0\0\x9c\x40\x40";
        assert!(decode(bytes).is_ok());
        assert!(decode(&bytes.repeat(3)).is_err());
    }

    fn any_message() -> impl Strategy<Value = Message> {
        let entries = || prop::collection::vec(("[a-z]{1,8}".prop_map(Value::Symbol), any_value()), 0..3);
        let text = || prop::option::of(".{0,20}");
        let header = (any::<bool>(), any::<Option<u8>>(), any::<Option<u32>>(), any::<bool>(), any::<u32>()).prop_map(
            |(durable, priority, ttl, first_acquirer, delivery_count)| content::Header {
                durable,
                priority,
                ttl: ttl.map(|millis| Duration::from_millis(millis.into())),
                first_acquirer,
                delivery_count,
            },
        );
        // A null is a field that is not there.
        let id = || prop::option::of(any_value().prop_filter("no id", |id| !id.is_null()));
        let properties = (
            (id(), prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), text(), text(), text(), id()),
            (
                prop::option::of("[a-z/]{0,9}"),
                prop::option::of("[a-z]{0,9}"),
                any::<Option<i64>>(),
                any::<Option<i64>>(),
            ),
            (text(), any::<Option<u32>>(), text()),
        )
            .prop_map(|(first, second, third)| content::Properties {
                message_id: first.0,
                user_id: first.1,
                to: first.2,
                subject: first.3,
                reply_to: first.4,
                correlation_id: first.5,
                content_type: second.0,
                content_encoding: second.1,
                absolute_expiry_time: second.2,
                creation_time: second.3,
                group_id: third.0,
                group_sequence: third.1,
                reply_to_group_id: third.2,
            });
        let body = prop_oneof![
            Just(Body::Empty),
            any_value().prop_map(Body::Value),
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4).prop_map(Body::Data),
            prop::collection::vec(prop::collection::vec(any_value(), 0..3), 1..4).prop_map(Body::Sequence),
        ];
        let application = prop::collection::vec((".{0,20}", any_value()), 0..3);
        (header, entries(), entries(), properties, application, body, entries()).prop_map(
            |(header, delivery_annotations, message_annotations, properties, application_properties, body, footer)| {
                Message {
                    header,
                    delivery_annotations,
                    message_annotations,
                    properties,
                    application_properties,
                    body,
                    footer,
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_is_read(message in any_message()) {
            prop_assert_eq!(decode(&encode(&message)), Ok(message));
        }

        #[test]
        fn what_is_cut_or_changed_is_a_message_or_an_error(
            message in any_message(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = encode(&message).to_vec();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                let _ = decode(&bytes[..at]);
                bytes[at] = byte;
                let _ = decode(&bytes);
            }
        }
    }
}
