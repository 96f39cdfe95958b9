//! `cargo bench -- --instructions`: instructions that the broker spends on a message, as callgrind counts them. The count is
//! nearly the same twice on whatever machine, however busy: a change of one in a hundred shows.
//!
//! Only the broker's process runs under valgrind, so that nothing of the load is counted; nor is what the kernel does. Each
//! load runs twice, the second time with three times the messages, each time with a new broker: the difference is what the
//! messages took, without start, handshakes and stop. Since the broker is fifty times slower there than the load, there is
//! always something to read, as in a broker that is busy.
//!
//! With credit 1000 it is a race whether a message finds credit or has to wait for it, also in a real client: such rows are
//! medians of [`RACES`] counts, and still move by one in twenty.

use std::process::Command;

use crate::load::{self, PLENTY, Receiver, Sender, Through};
use crate::load091::{Acks, Pair};
use crate::process::Server;
use crate::stats::Samples;

const MESSAGES: u32 = 10_000;
const RACES: usize = 7;

/// What the broker under count has to do for a row.
#[derive(Clone, Copy)]
enum Load {
    /// AMQP 1.0: one sender, so many receivers with so much credit.
    Links { address: &'static str, size: usize, settled: bool, receivers: u32, credit: u32 },
    /// AMQP 0-9-1: one publisher, one consumer.
    Publish(Acks),
}

impl Load {
    const fn one_to_one(address: &'static str, settled: bool, credit: u32) -> Load {
        Load::Links { address, size: 100, settled, receivers: 1, credit }
    }

    /// How often this has to be counted.
    fn rounds(self) -> usize {
        if matches!(self, Load::Links { credit: ..PLENTY, .. }) { RACES } else { 1 }
    }

    /// Messages that are delivered for each that is sent.
    fn copies(self) -> u32 {
        match self {
            Load::Links { receivers, .. } => receivers,
            Load::Publish(_) => 1,
        }
    }

    fn run(self, server: &Server, count: u32) {
        match self {
            Load::Links { address, size, settled, receivers, credit } => {
                let mut receivers: Vec<_> =
                    (0..receivers).map(|_| Receiver::with_credit(server, Through::Broker, address, credit)).collect();
                let mut sender = Sender::new(server, Through::Broker, address);
                load::run(server, &mut sender, &mut receivers, size, settled, count);
            }
            Load::Publish(acks) => Pair::new(server, Through::Broker, acks).run(count),
        }
    }
}

/// Name to choose it by, what it is, instructions a message (a copy) that are the target, if it has one, and the load.
type Row = (&'static str, &'static str, Option<u32>, Load);

const ROWS: [Row; 9] = [
    ("settled", "100 B, settled, 1 -> 1", Some(1_000), Load::one_to_one("bench", true, PLENTY)),
    ("settled-1000", "the same with credit 1000", Some(1_250), Load::one_to_one("bench", true, 1000)),
    ("unsettled", "100 B, unsettled, accepted on both sides", Some(1_600), Load::one_to_one("bench", false, PLENTY)),
    ("unsettled-1000", "the same with credit 1000", Some(2_000), Load::one_to_one("bench", false, 1000)),
    ("anycast", "100 B, anycast, settled, 1 -> 1", None, Load::one_to_one("unicast.bench", true, PLENTY)),
    (
        "queue",
        "100 B, unsettled, put into a queue and got",
        Some(2_400),
        Load::one_to_one("queue.bench", false, PLENTY),
    ),
    ("0-9-1", "0-9-1, 100 B, publish -> deliver, no-ack", Some(2_000), Load::Publish(Acks::None)),
    ("0-9-1-acks", "0-9-1, 100 B, the same, confirms and acks", Some(2_700), Load::Publish(Acks::Both)),
    (
        "multicast",
        "100 B, settled, multicast to 10: a copy",
        Some(700),
        Load::Links { address: "broadcast.bench", size: 100, settled: true, receivers: 10, credit: PLENTY },
    ),
];

/// The name of the rows on what it costs to remember, their sizes, and what they may cost against remembering nothing.
const REMEMBERED: &str = "remembered";
const SIZES: [(&str, usize); 2] = [("100 B", 100), ("10 KB", 10 * 1024)];
const REMEMBERED_TARGET: f64 = 1.4;

/// Counts the rows whose names begin with one of these words; all if there are none.
pub(crate) fn print(only: &[&String]) {
    let wanted = |name: &str| only.is_empty() || only.iter().any(|word| name.starts_with(word.as_str()));
    println!("{:<58} {:>10} {:>10} {:>10}", "instructions of the broker, a message", "target", "broker", "to target");
    for (_, work, target, load) in ROWS.iter().filter(|row| wanted(row.0)) {
        let counted = instructions(*load, &[]);
        let (target, ratio) = target
            .map_or(Default::default(), |target| (target.to_string(), format!("{:.2} x", counted / f64::from(target))));
        println!("{work:<58} {target:>10} {counted:>10.0} {ratio:>10}");
    }
    for (name, size) in SIZES.iter().filter(|_| wanted(REMEMBERED)) {
        let load = Load::Links { address: "bench", size: *size, settled: true, receivers: 1, credit: PLENTY };
        let [on, off] =
            ["1000", "0"].map(|kept| instructions(load, &["--control", "--message-log", kept, "--trace-log", kept]));
        let work = format!("{name}, settled, log and trace on; against off ({off:.0})");
        println!("{work:<58} {REMEMBERED_TARGET:>8} x {on:>10.0} {:>8.2} x", on / off);
    }
}

/// Instructions for a message that is delivered.
fn instructions(load: Load, args: &[&str]) -> f64 {
    let mut counts = Samples::default();
    for _ in 0..load.rounds() {
        let (once, thrice) = (total(load, args, MESSAGES), total(load, args, 3 * MESSAGES));
        counts.push((thrice - once) / f64::from(2 * MESSAGES * load.copies()));
    }
    counts.median()
}

/// Instructions of a broker that starts, forwards `count` messages and stops.
fn total(load: Load, args: &[&str], count: u32) -> f64 {
    let mut command = Command::new("valgrind");
    command
        // Each byte that `rep movsb` copies would count as an instruction.
        .env("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1000000000")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env!("CARGO_BIN_EXE_fakebroker"))
        .args(["--listen", "127.0.0.1:0"])
        .args(args);
    let server = Server::start_logged(command);
    load.run(&server, count);
    let log = server.terminate();
    let collected = log.lines().find_map(|line| line.split("Collected : ").nth(1)).expect("valgrind counts");
    collected.trim().parse().expect("a number")
}
