//! The bodies of the fuzz targets in `fuzz/`, compiled for them and for tests alone. `cargo test` replays their corpora.
//!
//! | file | what |
//! |---|---|
//! | `harness.rs` | a router and engines without a socket, pumped as the event loop does |
//! | `good.rs` | two peers that keep to their protocols, and what they must have in the end |
//! | `engines.rs` | targets: bytes into an engine |
//! | `codecs.rs` | targets: encodings, and translation both ways |
//! | `replay.rs` | tests: each file of each corpus |
#![allow(clippy::panic, clippy::unwrap_used, clippy::missing_panics_doc)]

mod codecs;
mod engines;
mod good;
mod harness;
#[cfg(test)]
mod replay;

pub use codecs::{codecs_10, codecs_091, translation};
pub use engines::{amqp_10, amqp_091};
