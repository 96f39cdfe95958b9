//! The connector as a test uses it: against the broker in this process, and against a scripted peer that refuses, says nothing
//! or talks nonsense.
#![allow(clippy::unwrap_used, clippy::panic, clippy::type_complexity)]

#[path = "../support/mod.rs"]
mod support;

mod broker;
mod links;
mod others;
mod receiving;
mod server;
mod steps;
