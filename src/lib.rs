//! An AMQP broker for tests: it starts in the test's own process in under a millisecond, real AMQP 1.0 and 0-9-1 clients talk
//! to it, and then it says what happened.
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
//! ends it when it is dropped.
//!
//! # A tour
//!
//! A test does five things with a broker. Here the [`Connector`], a client that this crate has, stands in for the program
//! under test; in your test that is your program, with whatever client it uses.
//!
//! ## Start
//!
//! ```
//! use fakebroker::{Broker, Distribution};
//!
//! let broker = Broker::start()?; // 127.0.0.1 and a free port; when this returns, clients can connect
//! println!("{}", broker.url()); // amqp://127.0.0.1:40123
//!
//! let own = Broker::builder().user("joe", "secret").distribution("orders", Distribution::Queue).start()?;
//! let bound = Broker::builder().bind()?; // has its address, and refuses connections until it is started
//! let brokers = Broker::group(2)?; // two of that kind, for a client that knows two addresses
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Brokers share nothing: a test has its own, and tests run at once. The [`Builder`] has all settings. What becomes of a
//! message is decided by its address: at `queue.…` it is stored, at `broadcast.…` all receivers have a copy, at `unicast.…`
//! one has it in turn, at any other the one that came first. These words can be changed, and single addresses set:
//! [`Distribution`].
//!
//! ## Look
//!
//! ```
//! # use fakebroker::{Broker, Connector, MessageState, Outcome};
//! let broker = Broker::start()?;
//! let mut client = Connector::from_url(&broker.url())?.open()?;
//! let orders = client.sender("queue.orders")?;
//! client.send(&orders, "one coffee")?.accepted()?;
//!
//! assert_eq!(broker.counts().queued, 1); // counted before the client had its answer
//! let record = broker.messages("queue.orders").remove(0); // the message, and what became of it
//! assert_eq!(record.as_text(), Some("one coffee"));
//! assert_eq!((record.state, record.outcome), (MessageState::Waiting, Some(Outcome::Accepted)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`connections`](Handle::connections), [`links`](Handle::links) and [`addresses`](Handle::addresses) say who is there and what
//! waits where; [`trace`](Handle::trace) has every frame in words, and what was decided about every message. A broker that has
//! been stopped still answers.
//!
//! ## Wait
//!
//! ```
//! # use std::time::Duration;
//! # use fakebroker::{Broker, Connector};
//! # const SOON: Duration = Duration::from_secs(5);
//! let broker = Broker::start()?;
//! let url = broker.url();
//! let program = std::thread::spawn(move || {
//!     let mut client = Connector::from_url(&url)?.open()?;
//!     let orders = client.sender("queue.orders")?;
//!     client.send(&orders, "one coffee")?.accepted()
//! });
//! let orders = broker.wait_for_messages(SOON, "queue.orders", 1)?; // returns as soon as it is there
//! assert_eq!(orders[0].as_text(), Some("one coffee"));
//! # program.join().unwrap()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing sleeps and nothing polls: the broker wakes who waits. There is [`wait_for`](Handle::wait_for) for counters, and one
//! each for [receivers](Handle::wait_for_receivers), [messages](Handle::wait_for_messages),
//! [connections](Handle::wait_for_connections) and [everything settled](Handle::wait_for_settled). When it does not happen, the
//! [`WaitError`] tells what did.
//!
//! ## Steer
//!
//! ```
//! # use fakebroker::{Broker, Connector, Ending, Message, Queues, Verdict};
//! let broker = Broker::start()?;
//! broker.inject("queue.orders", Message::text("from nobody")); // no second client to write
//! broker.on_message(|_| Verdict::reject("amqp:not-allowed", "closed on Mondays")); // or drop, delay, release, ...
//!
//! let mut client = Connector::from_url(&broker.url())?.open()?;
//! let orders = client.sender("queue.orders")?;
//! let refused = client.send(&orders, "one coffee")?.accepted().unwrap_err();
//! assert_eq!(refused.condition(), Some("amqp:not-allowed"));
//!
//! broker.restart(Ending::Crash, Queues::Keep)?; // to its clients, a crash; on the same port
//! assert_eq!(broker.queue_depth("queue.orders"), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A test can refuse clients that connect or attach ([`on_connect`](Handle::on_connect), [`on_attach`](Handle::on_attach)), let senders
//! wait for credit ([`withhold`](Handle::withhold), [`grant`](Handle::grant)), hang ([`pause`](Handle::pause)), and end
//! connections and links, with a word or without ([`disconnect`](Handle::disconnect), [`close`](Handle::close),
//! [`detach`](Handle::detach)). With [`Builder::manual_clock`] time is the test's own: an idle timeout of an hour takes one
//! [`advance`](Handle::advance).
//!
//! ## Verify
//!
//! ```
//! # use std::time::Duration;
//! # use fakebroker::{Broker, Connector};
//! # const SOON: Duration = Duration::from_secs(5);
//! let broker = Broker::start()?;
//! let client = Connector::from_url(&broker.url())?.open()?;
//! let report = broker.verify().unwrap_err();
//! assert_eq!(report.open_connections.len(), 1); // printed: "connection never closed: connection 1 from ..."
//!
//! client.disconnect()?;
//! broker.wait_for_connections(SOON, 0)?;
//! broker.verify()?; // all settled, all closed, no rule of the protocol broken, no hook that panicked
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # In an asynchronous test
//!
//! Methods of a broker block their thread: those that ask it something, for microseconds; those that wait, until it has
//! happened. A program under test that runs on the same thread cannot make it happen meanwhile. So let it run on others, as
//! tokio does with `#[tokio::test(flavor = "multi_thread")]` for all that is spawned; or wait elsewhere, with a [`Handle`]:
//!
//! ```
//! # use std::time::Duration;
//! # use fakebroker::{Broker, Message};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let broker = Broker::start()?;
//! # broker.inject("queue.orders", Message::text("one coffee"));
//! let handle = broker.handle();
//! let waits = move || handle.wait_for_messages(Duration::from_secs(5), "queue.orders", 1);
//! let orders = tokio::task::spawn_blocking(waits).await??;
//! # assert_eq!(orders[0].as_text(), Some("one coffee"));
//! # Ok(())
//! # }
//! ```
//!
//! What the program awaits has no deadline of the broker's: some clients wait for ever for an outcome that a crash took with it.
//! A `tokio::time::timeout` around the program's part makes that a failure of the test.
//!
//! # Reading the code
//!
//! To follow a message from socket to socket, read in this order:
//!
//! 1. `broker/`: what a test holds; `config.rs`: every option, its default and why;
//! 2. `event_loop/`: a turn of the loop; `transport.rs`, `outbox.rs`, `timers.rs`, `clock.rs`: its tools;
//! 3. `tap/`: what sees each frame between socket and engine; `protocol/`: which protocol a connection speaks, and messages
//!    translated;
//! 4. `amqp10/`: AMQP 1.0, one file a section of the specification, from `frame.rs` up to `link.rs`; `amqp091/`: AMQP 0-9-1 and
//!    the two versions before it, in the same way;
//! 5. `event/`: the words that engines and router speak to each other; `message.rs`: what passes through; `ledger.rs`: what
//!    is not settled yet, on both sides; `budget.rs`: the bytes that wait anywhere; `unmet.rs`: what a peer
//!    asks for and does not get;
//! 6. `router/`: addresses, and who gets what; `router/node/`: each kind of node; `router/exchange/`: exchanges and bindings;
//!    `pattern.rs`: the patterns of policies;
//!    `counts.rs`: what a test reads of it;
//! 7. `recorder/`: what is kept for the test, as data; `snapshot.rs`, `topology.rs`, `protocol/message_record.rs`: what the test is shown;
//!    `hooks.rs`: where the test decides;
//! 8. `content.rs` and `value.rs`: a message taken apart, for the test alone;
//! 9. `connector/`: a client, on the same engine.

mod address;
mod amqp091;
mod amqp10;
mod arguments;
mod broker;
mod budget;
mod clock;
mod config;
pub mod connector;
mod content;
mod counts;
mod deaths;
mod event;
mod event_loop;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod hooks;
mod ledger;
mod live;
mod message;
mod outbox;
mod pattern;
mod protocol;
mod recorder;
#[cfg(test)]
mod recordings;
mod router;
mod snapshot;
mod tap;
mod timers;
mod topology;
mod transport;
mod unmet;
mod users;
mod value;

pub use broker::{
    Bound, Broker, Builder, Dropped, Ending, Findings, Group, Handle, Queues, Report, Situation, Verify, WaitError,
};
pub use config::{Distribution, Settlement, Unroutable, node_at};
pub use connector::Connector;
pub use content::{Body, Header, Message, Properties};
pub use counts::Counts;
pub use event::ConnectionId;
pub use hooks::{Admission, Verdict};
pub use protocol::{LinkName, MessageRecord, MessageState, Outcome, PublishRecord, Receipt};
pub use recorder::{Stage, TraceEvent, TraceFormat, TraceKind};
pub use snapshot::{AddressInfo, Connection, Link, Role, UnmetRequest, Violation};
pub use topology::{
    ApplyTo, Binding, BindingInfo, BoundTo, Exchange, ExchangeInfo, Policy, PolicyInfo, Queue, QueueInfo, TopologyError,
};
pub use value::Value;

/// The README's examples are true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
