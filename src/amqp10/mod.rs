//! AMQP 1.0 as a state machine without I/O. One file a section of the specification:
//!
//! | section | file |
//! |---|---|
//! | 1.4 composite types | `composite.rs` |
//! | 1.2, 1.6 primitive types | `types.rs` (values and their layout), `encodings.rs` (each type), `value.rs` (any type) |
//! | 2.2 protocol header | `header.rs` |
//! | 2.3 framing | `frame.rs`, `frame_head.rs` (what a frame is about, for who looks on) |
//! | 2.4 connections | `connection.rs`, `handshake.rs` (up to the open), `initiator.rs` (the same for the initiating side), `idle.rs`, `closing.rs` |
//! | 2.5 sessions | `channels.rs` (which session is on which channel), `session.rs`, `deliveries.rs` (how messages come and go) |
//! | 2.6 links | `link.rs`, `attach.rs` (how they come and go), `handles.rs`, `directory.rs` (their names) |
//! | 2.4 to 2.6 | `request.rs`: open, begin, attach, drain and detach for the side that begins |
//! | 2.7 performatives | `performative.rs`, `transfer.rs` (the fast way for the most frequent) |
//! | 2.8 definitions | `definitions.rs`, `violation.rs` (which error ends what) |
//! | anonymous terminus | `relay.rs` (what is said of messages that cannot be routed) |
//! | 3.2 message sections | `section.rs` (what routing needs), `content.rs` (the whole message) |
//! | 3.4 delivery states | `delivery_state.rs` |
//! | 3.5 sources and targets | `terminus.rs` |
//! | 5.3 SASL | `sasl.rs` |
//! | all of them, for a person to read | `describe.rs` |
//!
//! The engine speaks to the router in the words of `event/` and knows neither it nor any socket. Time is an argument.

mod attach;
mod channels;
mod closing;
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
mod value;
mod violation;

use crate::message::HeadReader;
use crate::tap::FrameReader;

pub(crate) use connection::Connection;
pub(crate) use definitions::spelled;
#[cfg(any(test, fuzzing))]
pub(crate) use fuzzed::codecs;
pub(crate) use header::{Header, Protocol};
pub(crate) use initiator::{Denied, Initiator};

/// What routing may ask of a message.
pub(crate) const HEAD_READER: HeadReader = HeadReader {
    subject: section::subject,
    headers: |payload| content::application_properties(&payload.contiguous()).unwrap_or_default(),
};

/// How a stream of AMQP 1.0 is taken apart by who looks on.
pub(crate) static FRAMES: FrameReader = FrameReader {
    extent: describe::extent,
    payload_at: frame_head::payload_at,
    head: frame_head::head,
    describe: describe::describe,
};

/// A message taken apart, or why it cannot be.
pub(crate) fn read_message(payload: &[u8]) -> Result<crate::content::Message, String> {
    content::decode(payload).map_err(|error| error.to_string())
}
