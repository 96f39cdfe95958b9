//! `cargo bench -- --instructions`: instructions that the broker spends on a message, as callgrind counts them. The same
//! twice on whatever machine, however busy: a change of one in a hundred shows.

use std::process::Command;

use crate::load::{self, Receiver, Sender, Through};
use crate::process::Server;

const MESSAGES: u32 = 10_000;

pub(crate) fn print() {
    println!("{:<58} {:>14}", "work, in instructions of the broker", "a message");
    for (work, settled, address) in [
        ("100 B, pre-settled, 1 -> 1", true, "bench"),
        ("100 B, unsettled, accepted on both sides", false, "bench"),
        ("100 B, anycast, pre-settled, 1 -> 1", true, "unicast.bench"),
        ("100 B, through a queue, unsettled on both sides", false, "queue.bench"),
    ] {
        // What starting, attaching and stopping cost is in both.
        let (once, thrice) = (total(address, settled, MESSAGES), total(address, settled, 3 * MESSAGES));
        println!("{work:<58} {:>14.0}", (thrice - once) / f64::from(2 * MESSAGES));
    }
}

/// Instructions of a broker that starts, forwards `count` messages and stops.
fn total(address: &str, settled: bool, count: u32) -> f64 {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env!("CARGO_BIN_EXE_fakebroker"))
        .args(["--listen", "127.0.0.1:0"]);
    let server = Server::start_logged(command);
    let mut receivers = [Receiver::new(&server, Through::Broker, address)];
    let mut sender = Sender::new(&server, Through::Broker, address);
    load::run(&server, &mut sender, &mut receivers, 100, settled, count);
    let log = server.terminate();
    let collected = log.lines().find_map(|line| line.split("Collected : ").nth(1)).expect("valgrind counts");
    collected.trim().parse().expect("a number")
}
