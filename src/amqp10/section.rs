//! The sections of a message (3.2). Finds the fields that routing needs without decoding the body, and rewrites header and
//! annotations of a message that is delivered again. Everything else is passed on unchanged.

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::composite::{Composite, Descriptor, composite};
use super::types::{CodecError, Encode, Reader, Result, code, saturate};
use crate::event::{Destination, Text};
use crate::message::{History, Payload};

composite! {
    /// The header of a message (3.2.1).
    #[derive(Default)]
    Header = 0x70 "amqp:header:list" {
        durable: default bool = false,
        priority: optional u8,
        ttl: optional u32,
        first_acquirer: default bool = false,
        delivery_count: default u32 = 0,
    }
}

/// The sections before the application properties (3.2.2 to 3.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Section {
    Header,
    DeliveryAnnotations,
    MessageAnnotations,
    Properties,
    /// Application properties, body or footer, which are not looked at.
    Later,
}

impl Section {
    fn read(reader: &mut Reader<'_>) -> Result<Section> {
        Ok(match Descriptor::read(reader)? {
            Descriptor::Code(0x70) | Descriptor::Name("amqp:header:list") => Section::Header,
            Descriptor::Code(0x71) | Descriptor::Name("amqp:delivery-annotations:map") => Section::DeliveryAnnotations,
            Descriptor::Code(0x72) | Descriptor::Name("amqp:message-annotations:map") => Section::MessageAnnotations,
            Descriptor::Code(0x73) | Descriptor::Name("amqp:properties:list") => Section::Properties,
            Descriptor::Code(0x74..=0x78) => Section::Later,
            Descriptor::Code(_) => return Err(CodecError::Malformed("unknown section")),
            Descriptor::Name(_) => Section::Later,
        })
    }
}

/// Returns the destination that the `to` field names (3.2.4).
pub(crate) fn destination(payload: &Payload) -> Destination {
    match find_property(payload, PropertyField::To) {
        Ok(Some(to)) => Destination::Named(to),
        Ok(None) => Destination::Missing,
        Err(_) => Destination::Unreadable,
    }
}

/// Returns the subject of a message (3.2.4). None if it has none or is malformed.
pub(crate) fn subject(payload: &Payload) -> Option<String> {
    find_property(payload, PropertyField::Subject).ok().flatten().map(|text| text.as_str().to_owned())
}

/// The places of text fields in the list of properties (3.2.4).
#[derive(Clone, Copy)]
enum PropertyField {
    To = 2,
    Subject = 3,
}

/// Reads the first fragment only, if that contains the field.
fn find_property(payload: &Payload, field: PropertyField) -> Result<Option<Text>> {
    let found = find_in(&payload.head(), field);
    if matches!(found, Ok(Some(_))) || payload.is_one_fragment() {
        return found;
    }
    find_in(&payload.contiguous(), field)
}

fn find_in(bytes: &Bytes, field: PropertyField) -> Result<Option<Text>> {
    let mut reader = Reader::new(bytes);
    if reader.is_empty() {
        return Err(CodecError::Malformed("message without a section"));
    }
    let mut before = None;
    while !reader.is_empty() {
        let section = Section::read(&mut reader)?;
        // 3.2: each section at most once, in this order.
        if before.replace(section).is_some_and(|before| before >= section) {
            return Err(CodecError::Malformed("sections out of order"));
        }
        match section {
            Section::Header | Section::DeliveryAnnotations | Section::MessageAnnotations => reader.hop()?,
            Section::Properties => {
                let (count, mut fields) = reader.list()?;
                let place = field as usize;
                if count <= place {
                    return Ok(None);
                }
                for _ in 0..place {
                    fields.hop()?;
                }
                if fields.peek() == Some(code::NULL) {
                    return Ok(None);
                }
                let text = fields.string()?;
                return Ok(Text::new(bytes.slice_ref(text.as_bytes())));
            }
            Section::Later => return Ok(None),
        }
    }
    Ok(None)
}

/// Returns the header (3.2.1), which is the first section. None if there is none, or it is malformed.
pub(crate) fn header(payload: &Payload) -> Option<Header> {
    let first = payload.fragment(0)?;
    let mut reader = Reader::new(first);
    match Section::read(&mut reader).ok()? {
        Section::Header => Header::decode_list(&mut reader).ok(),
        _ => None,
    }
}

/// Returns the encoded value of a message annotation (3.2.3). None if there is none, or the sections before it are malformed.
pub(crate) fn annotation(payload: &Payload, name: &str) -> Option<Bytes> {
    let whole = payload.contiguous();
    let mut reader = Reader::new(&whole);
    while !reader.is_empty() {
        match Section::read(&mut reader).ok()? {
            Section::Header | Section::DeliveryAnnotations => reader.hop().ok()?,
            Section::MessageAnnotations => {
                let mut entries = Entries::default();
                entries.merge(&mut reader).ok()?;
                let value = entries.entries.get(*entries.places.get(&Key::Symbol(name))?)?.1;
                return Some(whole.slice_ref(value));
            }
            Section::Properties | Section::Later => return None,
        }
    }
    None
}

/// Returns a message with the annotations of the encoded map `annotation` merged in (3.2.3) and without a ttl (3.2.1); the bare
/// message is unchanged.
pub(crate) fn without_ttl(payload: &Payload, annotation: Bytes) -> Payload {
    let whole = payload.contiguous();
    rewrite(&whole, &annotations_alone(annotation), true).map_or_else(|_| payload.clone(), Payload::from)
}

/// The message with annotations more (3.2.3). `annotation` is a map.
pub(crate) fn with_annotation(payload: &Payload, annotation: Bytes) -> Payload {
    with_history(payload, &annotations_alone(annotation))
}

fn annotations_alone(annotation: Bytes) -> History {
    History { annotations: vec![annotation], ..History::default() }
}

/// Returns a message for another delivery: delivery-count raised by its failures (3.2.1), annotations merged in (3.4.5), the bare
/// message unchanged. A message whose first sections are malformed is returned unchanged.
pub(crate) fn with_history(payload: &Payload, history: &History) -> Payload {
    let whole = payload.contiguous();
    rewrite(&whole, history, false).map_or_else(|_| payload.clone(), Payload::from)
}

fn rewrite(whole: &Bytes, history: &History, forget_ttl: bool) -> Result<Bytes> {
    let mut reader = Reader::new(whole);
    let mut header = None;
    let mut delivery_annotations: &[u8] = &[];
    // Unchanged, if there is nothing to merge in.
    let mut own_annotations: &[u8] = &[];
    let mut annotations = Entries::default();
    while !reader.is_empty() {
        let start = reader.rest();
        let mut ahead = reader.clone();
        match Section::read(&mut ahead)? {
            Section::Header => header = Some(Header::decode_list(&mut ahead)?),
            Section::DeliveryAnnotations => {
                ahead.hop()?;
                delivery_annotations = start.get(..start.len() - ahead.rest().len()).unwrap_or_default();
            }
            Section::MessageAnnotations if history.annotations.is_empty() => {
                ahead.hop()?;
                own_annotations = start.get(..start.len() - ahead.rest().len()).unwrap_or_default();
            }
            Section::MessageAnnotations => annotations.merge(&mut ahead)?,
            Section::Properties | Section::Later => break,
        }
        reader = ahead;
    }
    for more in &history.annotations {
        annotations.merge(&mut Reader::new(more))?;
    }
    let says_first = header.as_ref().is_some_and(|header: &Header| header.first_acquirer);
    if history.failures == 0 && history.annotations.is_empty() && !says_first {
        return Ok(whole.clone());
    }
    let mut out = BytesMut::with_capacity(whole.len() + 64);
    if header.is_some() || history.failures > 0 {
        let mut header = header.unwrap_or_default();
        header.first_acquirer = false;
        header.delivery_count = header.delivery_count.saturating_add(history.failures);
        header.ttl = header.ttl.filter(|_| !forget_ttl);
        header.encode(&mut out);
    }
    out.put_slice(delivery_annotations);
    out.put_slice(own_annotations);
    annotations.put_section(&mut out);
    out.put_slice(reader.rest());
    Ok(out.freeze())
}

/// The entries of an annotations map, each key and value as they were encoded, in the order in which keys came first.
#[derive(Default)]
struct Entries<'a> {
    entries: Vec<(&'a [u8], &'a [u8])>,
    places: HashMap<Key<'a>, usize>,
}

/// 3.2.10: annotation keys are symbols (or reserved ulongs); one may be encoded short here and long there.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Symbol(&'a str),
    Other(&'a [u8]),
}

impl<'a> Key<'a> {
    fn of(encoded: &'a [u8]) -> Key<'a> {
        Reader::new(encoded).symbol().map_or(Key::Other(encoded), Key::Symbol)
    }
}

impl<'a> Entries<'a> {
    /// Adds the entries of the map that follows; one with a known key takes the old one's place.
    fn merge(&mut self, reader: &mut Reader<'a>) -> Result<()> {
        // Some encoders write a null for an empty section.
        if reader.peek() == Some(code::NULL) {
            return reader.hop();
        }
        let (count, mut body) = reader.map()?;
        for _ in 0..count / 2 {
            let (key, value) = (body.any()?, body.any()?);
            let place = *self.places.entry(Key::of(key)).or_insert(self.entries.len());
            match self.entries.get_mut(place) {
                Some(entry) => entry.1 = value,
                None => self.entries.push((key, value)),
            }
        }
        Ok(())
    }

    fn put_section(&self, out: &mut BytesMut) {
        if self.entries.is_empty() {
            return;
        }
        let size: usize = self.entries.iter().map(|(key, value)| key.len() + value.len()).sum();
        out.put_u8(code::DESCRIBED);
        0x72_u64.encode(out);
        out.put_u8(code::MAP32);
        out.put_u32(saturate(4 + size));
        out.put_u32(saturate(2 * self.entries.len()));
        for (key, value) in &self.entries {
            out.put_slice(key);
            out.put_slice(value);
        }
    }
}
