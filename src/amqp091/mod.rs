//! AMQP 0-8, 0-9 and 0-9-1 as a state machine without I/O. Sections are those of the specification of 0-9-1; the older two
//! differ in little, which `types.rs` and `method.rs` know.
//!
//! A connection owns its channels; a channel has a publisher, consumers and declarations. Each of them works with what its
//! owner hands it in a context, and none knows its owner.
//!
//! | section | file |
//! |---|---|
//! | 2.1.5 channels | `channel.rs` |
//! | 2.2.4 connections | `connection.rs`, `handshake.rs` (up to open), `closing.rs`, `violation.rs` (which error ends what) |
//! | 4.2.2 protocol header | `header.rs` |
//! | 4.2.3 framing | `frame.rs`, `frame_head.rs` (what a frame is about, for who looks on) |
//! | 4.2.5 data fields | `types.rs`, `table.rs` |
//! | 4.2.6 contents | `content.rs` |
//! | 4.2.7 heartbeats | `heartbeat.rs` |
//! | the classes and their methods | `method.rs` |
//! | exchange, queue | `declarations.rs` |
//! | basic | `publisher.rs` (in), `unmet_properties.rs` (what of it has no effect), `consumers.rs` and `consumer.rs` (out) |
//! | what the parts of a connection share | `context.rs`, `terms.rs`, `directory.rs` (its links), `blocking.rs` |
//! | the wire in words | `describe.rs` |
//!
//! The engine speaks to the router in the words of `event/` and knows neither it nor any socket. Queues, exchanges and
//! bindings are the router's. Time is an argument.

mod blocking;
mod channel;
mod closing;
mod connection;
mod consumer;
mod consumers;
mod content;
mod context;
mod declarations;
mod describe;
#[cfg(test)]
mod dialogue;
mod directory;
mod frame;
mod frame_head;
#[cfg(any(test, fuzzing))]
mod fuzzed;
mod handshake;
mod header;
mod heartbeat;
mod method;
mod publisher;
mod table;
mod terms;
mod types;
mod unmet_properties;
mod violation;

use crate::tap::FrameReader;

pub(crate) use connection::Connection;
pub(crate) use content::{Content, HEAD_READER, Properties, compose};
#[cfg(any(test, fuzzing))]
pub(crate) use fuzzed::{codecs, is_legal, publish};
pub(crate) use header::Header;
pub(crate) use table::{Elements, Field, Table, TableWriter, put_field, text_or_bytes};
pub(crate) use types::Version;

/// How a stream of AMQP 0-9-1 or 0-9 is taken apart by who looks on.
pub(crate) static FRAMES: FrameReader = FrameReader {
    extent: describe::extent,
    payload_at: frame_head::payload_at,
    head: frame_head::head,
    describe: describe::describe,
};

/// How a stream of AMQP 0-8 is.
pub(crate) static FRAMES_0_8: FrameReader = FrameReader {
    extent: describe::extent,
    payload_at: frame_head::payload_at,
    head: frame_head::head_0_8,
    describe: describe::describe_0_8,
};
