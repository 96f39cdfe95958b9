//! AMQP 0-8, 0-9 and 0-9-1 as a state machine without I/O. Sections are those of the specification of 0-9-1.
//! `types.rs`, `method.rs` and `violation.rs` have the few differences of the older versions.
//!
//! A connection owns its channels; a channel has a publisher, consumers and declarations. Each is handed a context by
//! its owner when it has something to do, and does not know its owner.
//!
//! | section | file |
//! |---|---|
//! | 2.1.5 channels | `channel.rs` |
//! | 2.2.4 connections | `connection.rs`, `handshake.rs` (up to open), `closing.rs`, `violation.rs` (the reply codes, and what each ends) |
//! | 4.2.2 protocol header | `header.rs` |
//! | 4.2.3 framing | `frame.rs`, `frame_head.rs` (the head of a frame, for observers) |
//! | 4.2.5 data fields | `types.rs`, `table.rs` |
//! | 4.2.6 contents | `content.rs` |
//! | 4.2.7 heartbeats | `heartbeat.rs`, `timeouts.rs` (every deadline of a connection) |
//! | the classes and their methods | `method.rs` |
//! | exchange, queue | `declarations.rs` |
//! | basic | `publisher.rs` and `copies.rs` (in), `consumers.rs`, `consumer.rs` and `delivery_times.rs` (out) |
//! | tx | `transaction.rs` |
//! | shared by the parts of a connection | `context.rs`, `terms.rs`, `directory.rs` (its links), `blocking.rs` |
//! | frames as lines of the trace | `describe.rs` |
//!
//! The engine exchanges the events and effects of `event/` with the router, and knows neither the router nor a socket.
//! Queues, exchanges and bindings are the router's. Time is an argument.

mod blocking;
mod channel;
mod closing;
mod codec;
mod connection;
mod consumer;
mod consumers;
mod content;
mod context;
mod copies;
mod declarations;
mod delivery_times;
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
mod timeouts;
mod transaction;
mod types;
mod violation;

use crate::tap::FrameReader;

pub(crate) use codec::CODEC;
pub(crate) use connection::Connection;
pub(crate) use content::{Content, Properties, compose};
#[cfg(any(test, fuzzing))]
pub(crate) use fuzzed::{codecs, is_legal, publish};
pub(crate) use header::Header;
pub(crate) use table::{Elements, Field, Table, TableWriter, put_field, text_or_bytes};
pub(crate) use types::Version;
pub(crate) use violation::ReplyCode;

/// The reader with which observers split a stream of AMQP 0-9-1 or 0-9 into frames.
pub(crate) static FRAMES: FrameReader = FrameReader {
    extent: describe::extent,
    payload_at: frame_head::payload_at,
    head: frame_head::head,
    describe: describe::describe,
};

/// The reader with which observers split a stream of AMQP 0-8 into frames.
pub(crate) static FRAMES_0_8: FrameReader = FrameReader {
    extent: describe::extent,
    payload_at: frame_head::payload_at,
    head: frame_head::head_0_8,
    describe: describe::describe_0_8,
};
