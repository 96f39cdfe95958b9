//! Fuzz targets for the codecs of both protocols, and for translation both ways.

use bytes::Bytes;

use crate::message::{Encoding, Message, Payload};
use crate::protocol::translated;
use crate::tap::FrameReader;
use crate::{amqp10, amqp091};

/// Decodes bytes as each kind of thing that 1.0 has.
pub fn codecs_10(input: &[u8]) {
    amqp10::codecs(input);
    stream(input, &amqp10::FRAMES);
}

/// Decodes bytes as each kind of thing that 0-9-1 and its predecessors have.
pub fn codecs_091(input: &[u8]) {
    amqp091::codecs(input);
    stream(input, &amqp091::FRAMES);
    stream(input, &amqp091::FRAMES_0_8);
}

/// Reads a stream of any bytes to its end.
fn stream(mut input: &[u8], reader: &FrameReader) {
    while let Some(extent) = (reader.extent)(input) {
        assert!(extent > 0, "a frame of nothing");
        let Some((frame, rest)) = input.split_at_checked(extent) else { return };
        let head = (reader.head)(frame);
        assert!(head.is_none_or(|head| head.payload_at.is_none_or(|at| at <= frame.len())));
        (reader.describe)(frame, frame.len());
        input = rest;
        if input.is_empty() {
            return;
        }
    }
}

/// Translates a message to the other protocol and back. The first octet says from which: 0 for a payload of 1.0, else properties
/// (whose size is in the next octet) and body of 0-9-1.
pub fn translation(input: &[u8]) {
    match input {
        [0, payload @ ..] => {
            let payload = Payload::from(Bytes::copy_from_slice(payload));
            let message = Message { payload, ..Message::default() };
            let there = checked(message, Encoding::Amqp091);
            checked(there, Encoding::Amqp10);
        }
        [_, size, rest @ ..] => {
            let (properties, body) = rest.split_at(usize::from(*size).min(rest.len()));
            let Some(payload) = amqp091::publish(properties, body) else { return };
            let message = Message { payload, encoding: Encoding::Amqp091, ..Message::default() };
            let there = checked(message, Encoding::Amqp10);
            checked(there, Encoding::Amqp091);
        }
        _ => {}
    }
}

/// Translates a message and checks that the result is well-formed.
fn checked(message: Message, to: Encoding) -> Message {
    let mut notes = Vec::new();
    let there = translated(message, to, &mut notes);
    match to {
        Encoding::Amqp10 => {
            let payload = there.payload.contiguous();
            amqp10::read_message(&payload).unwrap_or_else(|error| panic!("{payload:x?}: {error}"));
        }
        Encoding::Amqp091 => assert!(amqp091::is_legal(&there.payload), "{:x?}", there.payload.contiguous()),
    }
    there
}
