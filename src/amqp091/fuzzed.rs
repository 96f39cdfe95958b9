//! The properties of the codecs that the fuzz targets check for all bytes.
#![allow(clippy::panic, clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};

use super::codec::CODEC;
use super::content::{Content, Properties, compose};
use super::method::{Method, read_id};
use super::table::{Table, TableWriter, put_field};
use super::types::{Reader, Version};
use crate::message::Payload;

fn written(method: &Method<'_>, version: Version) -> BytesMut {
    let mut out = BytesMut::new();
    method.write(&mut out, version);
    out
}

fn read(bytes: &[u8], version: Version) -> Option<Method<'_>> {
    let mut reader = Reader::new(bytes, version);
    let id = read_id(&mut reader).ok()?;
    Method::read(id, &mut reader).ok()?
}

fn methods(bytes: &[u8]) {
    for version in [Version::V0_8, Version::V0_9, Version::V0_9_1] {
        let Some(method) = read(bytes, version) else { continue };
        let once = written(&method, version);
        let again = read(&once, version).unwrap_or_else(|| panic!("{method:?} as {once:x?}"));
        assert_eq!(written(&again, version), once, "{method:?} and {again:?}");
        method.arguments(&mut |_, _| {});
    }
}

fn rewritten(table: Table<'_>) -> TableWriter {
    let mut writer = TableWriter::default();
    for (name, field) in table.entries() {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let mut bytes = BytesMut::new();
        put_field(&mut bytes, field);
        writer.put_encoded(name, &bytes);
    }
    writer
}

fn tables(bytes: &[u8]) {
    let Ok(table) = Table::of_entries(bytes) else { return };
    table.values().for_each(drop);
    let once = rewritten(table);
    let checked = Table::of_entries(once.as_table().as_bytes()).unwrap();
    assert_eq!(rewritten(checked).as_table(), once.as_table());
}

fn contents(bytes: &[u8]) {
    let payload = Payload::from(Bytes::copy_from_slice(bytes));
    (CODEC.headers)(&payload);
    if let Some(content) = Content::of(&payload) {
        content.exchange_address();
        content.routing_key_bytes();
        let _ = content.body().map(<[u8]>::len).sum::<usize>();
    }
    let Ok(properties) = Properties::read(bytes) else { return };
    let payload = compose(b"e", b"k", &properties, b"body");
    let content = Content::of(&payload).unwrap();
    assert_eq!(content.properties(), bytes, "{properties:?}");
    assert_eq!((content.exchange(), content.routing_key()), (&b"e"[..], &b"k"[..]));
}

/// Decodes bytes as methods, tables and contents, and checks that each encodes to what decodes the same.
pub(crate) fn codecs(bytes: &[u8]) {
    methods(bytes);
    tables(bytes);
    contents(bytes);
}

/// Composes a publish with these properties. None if they are malformed.
pub(crate) fn publish(properties: &[u8], body: &[u8]) -> Option<Payload> {
    Properties::read(properties).ok().map(|properties| compose(b"exchange", b"key", &properties, body))
}

/// Whether a payload is a whole content that a client can read.
pub(crate) fn is_legal(payload: &Payload) -> bool {
    Content::of(payload).is_some_and(|content| {
        Properties::read(content.properties()).is_ok()
            && content.body_size == content.body().map(|piece| piece.len() as u64).sum::<u64>()
    })
}
