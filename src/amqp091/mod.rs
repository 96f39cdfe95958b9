//! AMQP 0-8, 0-9 and 0-9-1 as a state machine without I/O. Sections are those of the specification of 0-9-1; the older two
//! differ in little, which `types.rs` and `method.rs` know.
//!
//! | section | file |
//! |---|---|
//! | 2.1.5 channels | `channel.rs` |
//! | 2.2.4 connections | `connection.rs`, `handshake.rs` (up to open), `closing.rs`, `violation.rs` (which error ends what) |
//! | 4.2.2 protocol header | `header.rs` |
//! | 4.2.3 framing | `frame.rs` |
//! | 4.2.5 data fields | `types.rs`, `table.rs` |
//! | 4.2.6 contents | `content.rs` |
//! | the classes and their methods | `method.rs` |
//! | exchange, queue | `entities.rs` |
//! | the wire in words | `describe.rs` |
//! | basic | `publish.rs` (in), `consumer.rs` (out) |
//!
//! The engine speaks to the router in the words of `event/` and knows neither it nor any socket. Queues, exchanges and
//! bindings are the router's. Time is an argument.

mod channel;
mod closing;
mod connection;
mod consumer;
mod content;
mod describe;
mod entities;
mod frame;
mod handshake;
mod header;
mod method;
mod publish;
mod table;
mod types;
mod violation;

pub(crate) use connection::Connection;
pub(crate) use content::{Content, HEAD_READER, Properties, compose};
pub(crate) use describe::{describe, describe_0_8, extent};
pub(crate) use header::Header;
pub(crate) use table::{Elements, Field, Table, TableWriter, put_field, text_or_bytes};
pub(crate) use types::Version;
