//! Encoded messages: the sections of 3.2.

use super::wire::{Value, decode, described};

pub const HEADER: u64 = 0x70;
pub const DELIVERY_ANNOTATIONS: u64 = 0x71;
pub const MESSAGE_ANNOTATIONS: u64 = 0x72;
pub const PROPERTIES: u64 = 0x73;
pub const APPLICATION_PROPERTIES: u64 = 0x74;
pub const DATA: u64 = 0x75;
pub const AMQP_SEQUENCE: u64 = 0x76;
pub const AMQP_VALUE: u64 = 0x77;
pub const FOOTER: u64 = 0x78;

/// Encodes a section with any content.
pub fn section(code: u64, content: Value) -> Vec<u8> {
    described(code, content).encode()
}

/// Encodes a message of one data section.
pub fn message(text: &str) -> Vec<u8> {
    section(DATA, text.as_bytes().into())
}

/// Encodes a message with its address in `properties.to`.
pub fn message_to(address: &str, text: &str) -> Vec<u8> {
    [section(PROPERTIES, Value::List(vec![Value::Null, Value::Null, address.into()])), message(text)].concat()
}

/// Decodes the sections of a message: descriptor codes and contents.
#[track_caller]
pub fn sections(mut payload: &[u8]) -> Vec<(u64, Value)> {
    let mut sections = Vec::new();
    while !payload.is_empty() {
        match decode(&mut payload) {
            Ok(Value::Described(descriptor, content)) => match *descriptor {
                Value::Ulong(code) => sections.push((code, *content)),
                other => panic!("a section described by {other:?}"),
            },
            other => panic!("where a section should be: {other:?}"),
        }
    }
    sections
}

/// Returns the text of a message's data sections.
#[track_caller]
pub fn text(payload: &[u8]) -> String {
    let data = sections(payload).into_iter().filter_map(|(code, content)| match content {
        Value::Binary(bytes) if code == DATA => Some(bytes),
        _ => None,
    });
    String::from_utf8(data.flatten().collect()).expect("text")
}
