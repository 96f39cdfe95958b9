//! What bad input gets, a case a row. Whatever arrives, the answer is the specification's (or, where it leaves
//! the symbol open, the one this broker has chosen), and everyone else on the broker goes on undisturbed.
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
