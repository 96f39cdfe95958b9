//! AMQP 1.0 as clients speak it, section by section of the specification's part 2: conversations with scripted peers over
//! TCP in which nobody does anything wrong.
#![allow(clippy::panic, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod connection;
mod credit;
mod delivery;
mod edges;
mod frame_size;
mod link;
mod message;
mod random;
mod sasl;
mod sequence;
mod session;
mod settlement;
mod split;
mod termini;
mod time;
mod unmet;
mod window;
