//! A scripted peer of AMQP 0-8, 0-9 and 0-9-1, with an encoder and a decoder of its own. A test reads like a conversation:
//!
//! ```ignore
//! let broker = Broker::start().unwrap();
//! let mut peer = Peer091::opened(&broker);           // header to open-ok, then channel 1
//! peer.declare("q");                                 // answered
//! peer.publish("", "q", "hello");                    // method, header and body in one segment
//! peer.consume("q", "tag");                          // answered
//! assert_eq!(peer.expect_delivery().body, b"hello");
//! peer.send(method(1, ACK).longlong(1).bits(&[false]));
//! peer.send(method(1, (60, 99)));                    // any method, any bytes
//! peer.expect_closed_with(503);
//! ```
//!
//! Every `expect_*` waits as long as `patience` says and fails with the whole conversation. Heartbeats are passed over.
#![allow(dead_code, unused_imports, unreachable_pub, clippy::panic, clippy::unwrap_used)]

mod bystander;
mod methods;
mod peer;
mod table;
mod wire;

pub use bystander::Bystander091;
pub use methods::*;
pub use peer::*;
pub use table::{expiration, headers, headers_of, priority};
pub use wire::*;
