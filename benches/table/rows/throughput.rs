//! Rows about many messages: processor time of each, and bytes per second.

use super::Scale;
use crate::load::{self, Receiver, Sender, Through};
use crate::process::Server;
use crate::stats::{Samples, Table};

/// Runs the same load through each server in turn. Returns processor time of a message and messages per second of each.
fn contest<const N: usize>(
    scale: &Scale,
    servers: [(Server, Through); N],
    size: usize,
    settled: bool,
    count: u32,
) -> [[Samples; 2]; N] {
    let mut ends = servers.map(|(server, through)| {
        // A receiver first, or there is nobody to send to.
        let receivers = [Receiver::new(&server, through, "bench")];
        let sender = Sender::new(&server, through, "bench");
        (server, sender, receivers)
    });
    let mut samples: [[Samples; 2]; N] = std::array::from_fn(|_| Default::default());
    for round in 0..=scale.rounds {
        for ((server, sender, receivers), [cpu, pace]) in ends.iter_mut().zip(&mut samples) {
            let taken = load::run(server, sender, receivers, size, settled, count);
            // The first round warms caches and allocators.
            if round > 0 {
                cpu.push(taken.cpu / f64::from(count));
                pace.push(f64::from(count) / taken.wall);
            }
        }
    }
    samples
}

/// Measures the processor time of a message of 100 bytes, against the relay's and the minimal broker's.
fn small(scale: &Scale, table: &mut Table, work: &str, settled: bool, relayed: f64, minimal: f64) {
    let servers = [
        (Server::broker(&[]), Through::Broker),
        (Server::relay(), Through::Relay),
        (Server::minimal(), Through::Broker),
    ];
    let [[broker, _], [relay, _], [least, _]] = contest(scale, servers, 100, settled, scale.messages);
    table.ratio(&format!("{work}: CPU a message"), relayed, false, &broker, &relay, "s");
    table.ratio(&format!("{work}: to the minimal broker"), minimal, false, &broker, &least, "s");
}

pub(crate) fn settled(scale: &Scale, table: &mut Table) {
    small(scale, table, "100 B, settled, 1 -> 1", true, 5.0, 4.5);
}

pub(crate) fn unsettled(scale: &Scale, table: &mut Table) {
    small(scale, table, "100 B, unsettled, accepted", false, 10.0, 6.0);
}

pub(crate) fn large(scale: &Scale, table: &mut Table) {
    const SIZE: usize = 100 * 1024;
    let servers = [
        (Server::broker(&[]), Through::Broker),
        (Server::remembering(1000, 1000), Through::Broker),
        (Server::relay(), Through::Relay),
    ];
    let paces = contest(scale, servers, SIZE, false, scale.messages / 50);
    let [off, on, relay] = paces.map(|[_, pace]| pace.times(SIZE as f64));
    table.ratio("100 KB, unsettled: bytes a second", 0.95, true, &off, &relay, "B/s");
    table.ratio("100 KB, unsettled, log and trace on: bytes a second", 0.9, true, &on, &relay, "B/s");
}

pub(crate) fn multicast(scale: &Scale, table: &mut Table) {
    const RECEIVERS: u32 = 10;
    let broker = Server::broker(&[]);
    let relay = Server::relay();
    let mut receivers: Vec<Receiver> =
        (0..RECEIVERS).map(|_| Receiver::new(&broker, Through::Broker, "broadcast.bench")).collect();
    let mut sender = Sender::new(&broker, Through::Broker, "broadcast.bench");
    let mut relayed = [Receiver::new(&relay, Through::Relay, "")];
    let mut relay_sender = Sender::new(&relay, Through::Relay, "");
    let (mut copies, mut baseline) = (Samples::default(), Samples::default());
    let count = scale.messages / 4;
    for round in 0..=scale.rounds {
        let taken = load::run(&broker, &mut sender, &mut receivers, 100, true, count);
        let single = load::run(&relay, &mut relay_sender, &mut relayed, 100, true, count);
        if round > 0 {
            copies.push(taken.cpu / f64::from(count * RECEIVERS));
            baseline.push(single.cpu / f64::from(count));
        }
    }
    table.ratio("multicast to 10 receivers, 100 B: CPU a copy", 4.0, false, &copies, &baseline, "s");
}

/// Measures a backlog: building it up, taking it, and its memory.
pub(crate) fn queue(scale: &Scale, table: &mut Table) {
    const SIZE: usize = 100;
    let relay = Server::relay();
    let mut relayed = [Receiver::new(&relay, Through::Relay, "")];
    let mut relay_sender = Sender::new(&relay, Through::Relay, "");
    let count = scale.backlog;
    let (mut through, mut baseline, mut weight) = (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..scale.rounds.min(3) {
        let broker = Server::broker(&[]);
        let before = broker.rss();
        let mut sender = Sender::new(&broker, Through::Broker, "queue.bench");
        let put = load::run(&broker, &mut sender, &mut [], SIZE, true, count);
        let mut receiver = Receiver::idle(&broker, Through::Broker, "queue.bench");
        weight.push((broker.rss() - before) / f64::from(count));
        let cpu = broker.cpu();
        receiver.grant();
        receiver.run(count, false);
        let got = broker.cpu() - cpu;
        through.push((put.cpu + got) / f64::from(count));
        baseline.push(load::run(&relay, &mut relay_sender, &mut relayed, SIZE, true, count).cpu / f64::from(count));
    }
    table.ratio("queue, a backlog of 1,000,000 put and got: CPU a message", 15.0, false, &through, &baseline, "s");
    let bound = 2.0 * SIZE as f64 + 100.0;
    table.value("queue, the same: memory a message", bound, weight.median(), "B", &weight.show("B"));
    let mut weight = Samples::default();
    for _ in 0..scale.rounds.min(3) {
        let broker = Server::broker(&["--queue", "queue.bench,x-message-ttl=86400000"]);
        let before = broker.rss();
        let mut sender = Sender::new(&broker, Through::Broker, "queue.bench");
        load::run(&broker, &mut sender, &mut [], SIZE, true, count);
        weight.push((broker.rss() - before) / f64::from(count));
    }
    table.value(
        "queue with a time to live, the same: memory a message",
        bound,
        weight.median(),
        "B",
        &weight.show("B"),
    );
}
