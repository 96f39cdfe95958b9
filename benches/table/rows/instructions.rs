//! `cargo bench -- --instructions`: instructions that the broker executes for a message, counted by callgrind. The count hardly
//! depends on the machine or its load: a change of 1% is visible.
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
use crate::process::{self, Server};
use crate::stats::{Samples, Table};

const MESSAGES: u32 = 10_000;
const RACES: usize = 7;

/// The load of a row.
#[derive(Clone, Copy)]
enum Load {
    /// AMQP 1.0: one sender and this many receivers with this credit.
    Links { address: &'static str, size: usize, settled: bool, receivers: u32, credit: u32 },
    /// AMQP 0-9-1: one publisher, one consumer.
    Publish(Acks),
}

impl Load {
    const fn one_to_one(address: &'static str, settled: bool, credit: u32) -> Load {
        Load::Links { address, size: 100, settled, receivers: 1, credit }
    }

    /// Returns how often the load has to be counted.
    fn rounds(self) -> usize {
        if matches!(self, Load::Links { credit: ..PLENTY, .. }) { RACES } else { 1 }
    }

    /// Returns how many messages are delivered for each one sent.
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

const SETTLED: Load = Load::one_to_one("bench", true, PLENTY);
const UNSETTLED: Load = Load::one_to_one("bench", false, PLENTY);
const MULTICAST: Load =
    Load::Links { address: "broadcast.bench", size: 100, settled: true, receivers: 10, credit: PLENTY };

/// Name of the row, description, target of instructions for a delivered message, and load.
type Row = (&'static str, &'static str, f64, Load);

const ROWS: [Row; 9] = [
    ("settled", "100 B, settled, 1 -> 1", 1000.0, SETTLED),
    ("settled-1000", "100 B, settled, credit 1000", 1250.0, Load::one_to_one("bench", true, 1000)),
    ("unsettled", "100 B, unsettled, accepted on both sides", 1600.0, UNSETTLED),
    ("unsettled-1000", "100 B, unsettled, accepted, credit 1000", 2000.0, Load::one_to_one("bench", false, 1000)),
    ("anycast", "100 B, settled, anycast, 1 -> 1", f64::NAN, Load::one_to_one("unicast.bench", true, PLENTY)),
    ("queue", "100 B, unsettled, put into a queue and got", 2400.0, Load::one_to_one("queue.bench", false, PLENTY)),
    ("0-9-1", "0-9-1, 100 B, publish -> deliver, no-ack", 2000.0, Load::Publish(Acks::None)),
    ("0-9-1-acks", "0-9-1, 100 B, publish -> deliver, confirms and acks", 2700.0, Load::Publish(Acks::Both)),
    ("multicast", "100 B, settled, multicast to 10: a copy", 700.0, MULTICAST),
];

/// The loads that the minimal broker is counted with.
const MINIMAL: [(&str, &str, Load); 2] = [
    ("minimal", "the minimal broker: 100 B, settled, 1 -> 1", SETTLED),
    ("minimal-unsettled", "the minimal broker: 100 B, unsettled, accepted", UNSETTLED),
];

/// The rows about message log and trace: name, description, size of a message.
const REMEMBERED: [(&str, &str, usize); 2] = [
    ("remembered", "100 B, settled: log and trace on, against off", 100),
    ("remembered-10k", "10 KB, settled: log and trace on, against off", 10 * 1024),
];

/// The row about a queue that has much to look at: name, description, the queue with its arguments.
const LIMITED: (&str, &str, &str) = (
    "queue-limits",
    "100 B, a queue with ttl, priorities and a limit, against one without",
    "queue.bench,x-message-ttl=3600000,x-max-priority=10,x-max-length=1000000",
);

/// Target for the ratio to a queue without arguments.
const LIMITED_TARGET: f64 = 1.3;

/// Target for the ratio to a broker without message log and trace.
const REMEMBERED_TARGET: f64 = 1.4;

/// Counts the rows whose names `wanted` accepts.
pub(crate) fn print(wanted: impl Fn(&str) -> bool, table: &mut Table) {
    for (_, work, target, load) in ROWS.iter().filter(|row| wanted(row.0)) {
        table.count(work, *target, instructions(*load, &process::broker(&[])));
    }
    for (_, work, load) in MINIMAL.iter().filter(|row| wanted(row.0)) {
        table.count(work, f64::NAN, instructions(*load, &process::helper("minimal")));
    }
    let (name, work, queue) = LIMITED;
    if wanted(name) {
        let load = Load::one_to_one("queue.bench", false, PLENTY);
        let [with, without] =
            [queue, "queue.bench"].map(|queue| instructions(load, &process::broker(&["--queue", queue])));
        table.counts(work, LIMITED_TARGET, with, without);
    }
    for (_, work, size) in REMEMBERED.iter().filter(|row| wanted(row.0)) {
        let load = Load::Links { address: "bench", size: *size, settled: true, receivers: 1, credit: PLENTY };
        let [on, off] = ["1000", "0"].map(|kept| {
            instructions(load, &process::broker(&["--control", "--message-log", kept, "--trace-log", kept]))
        });
        table.counts(work, REMEMBERED_TARGET, on, off);
    }
}

/// Returns the program's instructions for a delivered message.
fn instructions(load: Load, program: &Command) -> f64 {
    let mut counts = Samples::default();
    for _ in 0..load.rounds() {
        let (once, thrice) = (total(load, program, MESSAGES), total(load, program, 3 * MESSAGES));
        counts.push((thrice - once) / f64::from(2 * MESSAGES * load.copies()));
    }
    counts.median()
}

/// Returns the instructions of a program that starts, forwards `count` messages and stops.
fn total(load: Load, program: &Command, count: u32) -> f64 {
    let server = Server::counted(program);
    load.run(&server, count);
    let log = server.terminate();
    let collected = log.lines().find_map(|line| line.split("Collected : ").nth(1)).expect("valgrind counts");
    collected.trim().parse().expect("a number")
}
