//! Who gets a message, in which order, how often, and what its sender and the counters say: conversations with scripted
//! peers over TCP, a behaviour a file.
#![allow(clippy::panic, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod anycast;
mod backlog;
mod counters;
mod direct;
mod dynamic;
mod edges;
mod end_to_end;
mod manner;
mod multicast;
mod queue;
mod queue_browse;
mod queue_return;
mod relay;
mod unroutable;
