//! A scripted AMQP 1.0 peer. A test reads like a conversation:
//!
//! ```ignore
//! let broker = Broker::start().unwrap();
//! let mut peer = Peer::opened(&broker);              // header, open and begin on channel 0, answered
//! peer.attach_sender("s", 0, "queue.a");             // answered, and credit has come; both: Peer::sender(..)
//! let id = peer.send_message(0, "hello");            // unsettled; ids, tags and windows are kept for you
//! assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
//! peer.send(detach(7));                              // any performative, any bytes
//! peer.expect_end_with(UNATTACHED_HANDLE);
//! ```
//!
//! - **Building**: `open()`, `begin()`, `attach_sender(..)`, `flow()`, `transfer(handle, id)`, ... give a
//!   [`Performative`] with its mandatory fields; `.with("max-frame-size", 512u32)`, `.without("name")`,
//!   `.with("handle", raw(&[0xff]))`, `.with_extra_field(..)`, `.on_channel(3)`, `.with_payload(..)` bend it.
//!   [`frame`] and [`frame_with_size`] make frames of anything; messages come from `message("text")`,
//!   `message_to(address, "text")` and `section(code, value)`.
//! - **Starting**: `Peer::opened`; `Peer::sender`, `sender_of` (some texts), `anonymous_sender`, `receiver`,
//!   `ready_receiver` (the broker has its credit) are opened and have one link, on handle 0.
//! - **Sending**: `send` takes a performative or bytes and puts them on the wire in one segment; `[a.bytes(),
//!   b.bytes()].concat()` puts several frames in one; `send_byte_by_byte` makes a segment of each byte;
//!   `try_send` is for a socket that the broker may have closed already, `send_what_fits` for one
//!   that it may not read; `hang_up`, `reset` end it.
//! - **Expecting**: every `expect_*` waits as long as [`patience`] says and fails with the whole
//!   conversation. The next frame must be the expected one; only empty frames, and flows where none is
//!   expected (credit comes when it likes), are passed over. `expect_close_with(condition)`,
//!   `expect_end_with`, `expect_detach_with` also pass over transfers, dispositions and attaches, but never over
//!   another close, end or detach; `expect_error_with` takes any of the three. `expect_closed_with` goes on to
//!   the end of the stream. `expect_eof` takes a FIN or a reset.
//! - **Proving a silence**: `round_trip()` returns all frames that came before the answer to a question asked
//!   now, so a test can see that something did *not* arrive without sleeping.
//! - **Reading**: frames come back as [`Performative`]: `.get("field")`, `.number(..)`, `.text(..)`, `.flag(..)`,
//!   `.inner("source")`, `.condition()`, `.state()`, `.payload`.
//! - **Several at a time**: `send_texts`, `send_accepted`, `outcomes_of(ids)`, `expect_delivery` (of many transfers), `receive_texts`, `arrived_texts`, `settle`,
//!   `receive_and_settle`; [`until`] the counters say so; [`counted`] is those that are not zero.
//! - **Leaving**: [`each_way_to_leave`], from a detach to a reset; [`lose`] a receiver.
//! - **In time**: [`in_time`] runs what might hang. [`patience`] is the longest that any test waits; nothing is decided by it.
//! - **Everyone else**: [`Bystander`] holds a connection that sends itself a message whenever it is asked
//!   whether it is `undisturbed()`.
//! - **Tables**: [`each_row`] runs a closure for each named row, all of them even where one fails, and names
//!   the row in every message.
// Each test binary uses a part of it. Panics are how it reports.
#![allow(dead_code, unused_imports, unreachable_pub, clippy::panic, clippy::unwrap_used)]

mod batch;
mod bystander;
mod expect;
mod leaving;
mod patience;
mod peer;
mod performative;
mod rows;
mod section;
mod socket;
mod time;
mod wire;
#[cfg(target_os = "linux")]
mod work;

pub use batch::{counted, covered, until};
pub use bystander::Bystander;
pub use leaving::{each_way_to_leave, each_way_to_leave_together, lose, modified_with, rejected_with};
pub use patience::patience;
pub use peer::{Heard, Peer, Wire};
pub use performative::*;
pub use rows::{each_row, row};
pub use section::*;
pub use socket::{At, Came, Socket, hex};
pub use time::{expect_refused, in_time};
pub use wire::{Value, decode, described, raw, symbol};
#[cfg(target_os = "linux")]
pub use work::{BrokerThread, cpu_time_of, expect_eight_times_as_much_costs_at_most};

pub const DECODE_ERROR: &str = "amqp:decode-error";
pub const FRAMING_ERROR: &str = "amqp:connection:framing-error";
pub const CONNECTION_FORCED: &str = "amqp:connection:forced";
pub const INTERNAL_ERROR: &str = "amqp:internal-error";
pub const INVALID_FIELD: &str = "amqp:invalid-field";
pub const NOT_ALLOWED: &str = "amqp:not-allowed";
pub const NOT_FOUND: &str = "amqp:not-found";
pub const NOT_IMPLEMENTED: &str = "amqp:not-implemented";
pub const ILLEGAL_STATE: &str = "amqp:illegal-state";
pub const RESOURCE_LIMIT_EXCEEDED: &str = "amqp:resource-limit-exceeded";
pub const WINDOW_VIOLATION: &str = "amqp:session:window-violation";
pub const UNATTACHED_HANDLE: &str = "amqp:session:unattached-handle";
pub const HANDLE_IN_USE: &str = "amqp:session:handle-in-use";
pub const ERRANT_LINK: &str = "amqp:session:errant-link";
pub const TRANSFER_LIMIT_EXCEEDED: &str = "amqp:link:transfer-limit-exceeded";
pub const MESSAGE_SIZE_EXCEEDED: &str = "amqp:link:message-size-exceeded";
pub const STOLEN: &str = "amqp:link:stolen";
