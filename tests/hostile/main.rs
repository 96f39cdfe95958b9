//! Malformed and illegal input, one case a row. The answer must be the specification's (or this broker's choice, where the
//! specification leaves the symbol open), and other connections must not be affected.
#![allow(clippy::panic, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod attach;
mod cost;
mod disposition;
mod flow;
mod framing;
mod header;
mod logging;
mod open;
mod payload;
mod room;
mod sasl;
mod scene;
mod sockets;
mod time;
mod transfer;
mod types;
mod types_accepted;
