//! Rows about many messages: processor time for each, and bytes per second.

use super::Scale;
use crate::load::{self, Receiver, Sender, Through};
use crate::process::Server;
use crate::stats::{Samples, Table};

/// Runs the same load through broker and relay in turn; returns processor time for a message and messages per second of
/// each.
fn pairs(scale: &Scale, address: &str, size: usize, settled: bool, count: u32) -> [[Samples; 2]; 2] {
    let broker = Server::broker(&[]);
    let relay = Server::relay();
    let mut samples: [[Samples; 2]; 2] = Default::default();
    let mut ends = [(&broker, Through::Broker), (&relay, Through::Relay)].map(|(server, through)| {
        // A receiver first, or there is nobody to send to; the relay pairs them in either order.
        let receiver = Receiver::new(server, through, address);
        (server, Sender::new(server, through, address), [receiver])
    });
    for round in 0..=scale.rounds {
        for ((server, sender, receivers), samples) in ends.iter_mut().zip(&mut samples) {
            let taken = load::run(server, sender, receivers, size, settled, count);
            // The first round is for caches and allocators.
            if round > 0 {
                samples[0].push(taken.cpu / f64::from(count));
                samples[1].push(f64::from(count) / taken.wall);
            }
        }
    }
    samples
}

pub(crate) fn settled(scale: &Scale, table: &mut Table) {
    let [[broker, _], [relay, _]] = pairs(scale, "bench", 100, true, scale.messages);
    table.ratio("100 B, pre-settled, 1 -> 1: CPU a message", 5.0, false, &broker, &relay, "s");
}

pub(crate) fn unsettled(scale: &Scale, table: &mut Table) {
    let [[broker, _], [relay, _]] = pairs(scale, "bench", 100, false, scale.messages);
    table.ratio("100 B, unsettled, accepted on both sides: CPU a message", 10.0, false, &broker, &relay, "s");
}

pub(crate) fn large(scale: &Scale, table: &mut Table) {
    const SIZE: usize = 100 * 1024;
    let [[_, broker], [_, relay]] = pairs(scale, "bench", SIZE, false, scale.messages / 50);
    let bytes = |samples: &Samples| samples.times(SIZE as f64);
    table.ratio("100 KB, unsettled: bytes a second", 0.9, true, &bytes(&broker), &bytes(&relay), "B/s");
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

/// A backlog is built up, then taken: two figures, and what it weighs.
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
}
