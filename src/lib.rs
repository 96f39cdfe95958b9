//! An AMQP broker for tests: it starts in the test's own process in under a millisecond, real AMQP 1.0 clients talk to it,
//! and then it says what happened.
//!
//! ```
//! use fakebroker::Broker;
//!
//! let broker = Broker::start()?;
//! // ... point the client under test at broker.url(), let it work, and look:
//! assert_eq!(broker.counts().dropped, 0);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! There is no async runtime in it and none is needed: the broker is one thread, and a [`Broker`] is a handle on it that
//! stops it when it is dropped.
//!
//! # Reading the code
//!
//! To follow a message from socket to socket, read in this order:
//!
//! 1. `broker.rs`: what a test holds; `config.rs`: every knob, its default and why;
//! 2. `event_loop.rs`: a turn of the loop; `transport.rs`, `outbox.rs`, `timers.rs`: its tools;
//! 3. `frontend.rs`: which protocol is this?
//! 4. `amqp10/`: AMQP 1.0, one file a section of the specification, from `frame.rs` up to `link.rs`;
//! 5. `event.rs`: the words that engines and router speak to each other; `message.rs`: what passes through; `ledger.rs`: what
//!    is not settled yet, on both sides;
//! 6. `router/`: addresses, and who gets what; `counts.rs`: what a test reads of it;
//! 7. `content.rs` and `value.rs`: a message taken apart, for the test alone.

mod address;
mod amqp091;
mod amqp10;
mod broker;
mod chronicle;
mod config;
pub mod connector;
mod content;
mod counts;
mod event;
mod event_loop;
mod frontend;
mod hooks;
mod ledger;
mod line;
mod message;
mod outbox;
mod pcap;
#[cfg(test)]
mod recordings;
mod router;
mod seen;
mod snapshot;
mod timers;
mod transport;
mod users;
mod value;

pub use broker::{Bound, Broker, Builder, Ending, Group, Handle, Queues, Report, WaitError};
pub use chronicle::{TraceEvent, TraceFormat, TraceKind};
pub use config::{Distribution, Settlement, Unroutable};
pub use connector::Connector;
pub use content::{Body, Header, Message, Properties};
pub use counts::Counts;
pub use hooks::{Admission, Verdict};
pub use seen::{Fate, Outcome, Party, Receipt, Seen};
pub use snapshot::{Connection, ConnectionId, Link, Role, Route, Violation};
pub use value::Value;

/// The README's examples are true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
