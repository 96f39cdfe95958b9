//! The broker in a process of its own, where its processor time, memory and descriptors can be seen and where it can be
//! stopped: the `fakebroker` program against peers that mean it harm.
#![cfg(target_os = "linux")]
#![allow(clippy::panic, clippy::unwrap_used)]

#[path = "../../../tests/support/mod.rs"]
mod support;

mod command;
mod fairness;
mod memory;
mod sockets;
