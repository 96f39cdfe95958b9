//! The engine of AMQP 1.0, a state machine without I/O. Each file has one section of the specification:
//!
//! | section | file |
//! |---|---|
//! | 1.4 composite types | `composite.rs` |
//! | 1.2, 1.6 primitive types | `types.rs` (values and their layout), `encodings.rs` (each type), `value.rs` (any type) |
//! | 2.2 protocol header | `header.rs` |
//! | 2.3 framing | `frame.rs`, `frame_head.rs` (the head of a frame, for the tap) |
//! | 2.4 connections | `connection.rs`, `handshake.rs` (up to the open), `initiator.rs` (up to the open, for the initiating side), `idle.rs`, `closing.rs` |
//! | 2.5 sessions | `channels.rs` (which session is on which channel), `session.rs`, `deliveries.rs` (transfers) |
//! | 2.6 links | `link.rs`, `attach.rs` (attach and detach), `handles.rs`, `directory.rs` (ids and names) |
//! | 2.4 to 2.6 | `request.rs`: open, begin, attach, drain and detach for the initiating side |
//! | 2.7 performatives | `performative.rs`, `transfer.rs` (a fast codec for transfers) |
//! | 2.8 definitions | `definitions.rs`, `violation.rs` (errors, and what they end) |
//! | anonymous terminus | `relay.rs` (messages that cannot be routed) |
//! | 3.2 message sections | `section.rs` (the fields that routing needs), `content.rs` (the whole message) |
//! | 3.4 delivery states | `delivery_state.rs` |
//! | 3.5 sources and targets | `terminus.rs` |
//! | arguments of receivers, as RabbitMQ has them | `arguments.rs` |
//! | what of open, begin and attach has no effect here | `unmet_fields.rs` |
//! | 5.3 SASL | `sasl.rs` |
//! | all of them, as text | `describe.rs` |
//!
//! The engine and the router exchange the types of `event/`. The engine knows no router, socket or clock.

mod arguments;
mod attach;
mod channels;
mod closing;
mod codec;
mod composite;
mod connection;
pub(crate) mod content;
mod definitions;
mod deliveries;
mod delivery_state;
mod describe;
mod directory;
mod encodings;
mod frame;
mod frame_head;
#[cfg(any(test, fuzzing))]
mod fuzzed;
mod gathered;
mod handles;
mod handshake;
mod header;
mod idle;
mod initiator;
mod link;
mod performative;
mod relay;
mod request;
mod sasl;
mod section;
mod session;
mod terminus;
#[cfg(test)]
mod tests;
mod transfer;
mod types;
mod unmet_fields;
mod value;
mod violation;

use crate::tap::FrameReader;

pub(crate) use codec::CODEC;
pub(crate) use connection::Connection;
pub(crate) use definitions::spelled;
#[cfg(any(test, fuzzing))]
pub(crate) use fuzzed::codecs;
pub(crate) use header::{Header, Protocol};
pub(crate) use initiator::{Denied, Initiator};

/// The functions by which the tap reads a stream of AMQP 1.0.
pub(crate) static FRAMES: FrameReader = FrameReader {
    extent: describe::extent,
    payload_at: frame_head::payload_at,
    head: frame_head::head,
    describe: describe::describe,
};

/// Decodes a whole message. Fails with a text that says why.
pub(crate) fn read_message(payload: &[u8]) -> Result<crate::content::Message, String> {
    content::decode(payload).map_err(|error| error.to_string())
}
