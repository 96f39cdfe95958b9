//! Rows about numbers: what many addresses, links and connections cost a message that has nothing to do with them, and what
//! an idle connection weighs.

use super::Scale;
use crate::load::{self, Frames, Receiver, Sender, Through};
use crate::process::Server;
use crate::stats::{Samples, Table};
use crate::wire;

/// Bound for how much more a message may cost among many.
const FLAT: f64 = 1.15;

/// Bound for what a message may cost to the minimal broker, as for one pair.
const MINIMAL: f64 = 4.5;

/// CPU a message in a broker with nothing else and in one where `crowd` has made a crowd, in turn.
fn among<C>(scale: &Scale, table: &mut Table, work: &str, crowd: impl FnOnce(&Server) -> C) {
    let (alone, crowded) = (Server::broker(&[]), Server::broker(&[]));
    let _crowd = crowd(&crowded);
    let mut samples: [Samples; 2] = Default::default();
    let mut ends = [&alone, &crowded].map(|server| {
        let receiver = Receiver::new(server, Through::Broker, "bench");
        (server, Sender::new(server, Through::Broker, "bench"), [receiver])
    });
    for round in 0..=scale.rounds {
        for ((server, sender, receivers), samples) in ends.iter_mut().zip(&mut samples) {
            let taken = load::run(server, sender, receivers, 100, true, scale.messages);
            if round > 0 {
                samples.push(taken.cpu / f64::from(scale.messages));
            }
        }
    }
    let [alone, crowded] = &samples;
    table.ratio(work, FLAT, false, crowded, alone, "s");
}

/// Measures the processor time of a message with 16 and with 64 pairs, each at an address of its own, against one pair and against
/// as many pairs at the minimal broker.
pub(crate) fn pairs(scale: &Scale, table: &mut Table) {
    const COUNTS: [u32; 3] = [1, 16, 64];
    let mut brokers = COUNTS.map(|count| connect_pairs(Server::broker(&[]), count));
    let mut minimal = COUNTS.map(|count| connect_pairs(Server::minimal(), count));
    let (mut broker_samples, mut minimal_samples): ([Samples; 3], [Samples; 3]) = Default::default();
    for round in 0..=scale.rounds {
        let ends = brokers.iter_mut().chain(&mut minimal);
        for ((server, pairs), samples) in ends.zip(broker_samples.iter_mut().chain(&mut minimal_samples)) {
            let each = 5 * scale.messages / pairs.len() as u32;
            let taken = load::run_pairs(server, pairs, each);
            if round > 0 {
                samples.push(taken.cpu / f64::from(each * pairs.len() as u32));
            }
        }
    }
    let [one, several, many] = &broker_samples;
    table.ratio("16 pairs at once: CPU a message, to 1 pair", FLAT, false, several, one, "s");
    table.ratio("64 pairs at once: CPU a message, to 1 pair", FLAT, false, many, one, "s");
    let [_, several_minimal, many_minimal] = &minimal_samples;
    table.ratio("16 pairs at once: to the minimal broker", MINIMAL, false, several, several_minimal, "s");
    table.ratio("64 pairs at once: to the minimal broker", MINIMAL, false, many, many_minimal, "s");
}

/// Connects so many pairs, each receiver before its sender.
fn connect_pairs(server: Server, count: u32) -> (Server, Vec<(Sender, Receiver)>) {
    let pairs = (0..count)
        .map(|n| {
            let address = format!("bench-{n}");
            let receiver = Receiver::new(&server, Through::Broker, &address);
            (Sender::new(&server, Through::Broker, &address), receiver)
        })
        .collect();
    (server, pairs)
}

/// Opens a connection with this many receivers, each at an address of its own, in sessions of 10,000.
fn receivers(server: &Server, count: u32, prefix: &str) -> Frames {
    let mut frames = Frames::new(server.connect());
    frames.send(&wire::hello());
    for handle in 0..count {
        frames.send(&wire::attach_receiver(handle, &format!("{prefix}{handle}")));
        frames.wait_for(0x12);
    }
    frames
}

pub(crate) fn addresses(scale: &Scale, table: &mut Table) {
    among(scale, table, "among 100,000 addresses: CPU a message, to 1", |server| {
        let each = 10_000.min(scale.addresses);
        (0..scale.addresses / each).map(|n| receivers(server, each, &format!("crowd-{n}-"))).collect::<Vec<_>>()
    });
}

pub(crate) fn links(scale: &Scale, table: &mut Table) {
    among(scale, table, "among 10,000 links of one connection: CPU a message, to 1", |server| {
        receivers(server, scale.links, "crowd-")
    });
}

fn idle_connections(server: &Server, count: u32) -> Vec<std::net::TcpStream> {
    use std::io::{Read, Write};
    (0..count)
        .map(|n| {
            let mut stream = server.connect();
            stream.write_all(&[wire::hello(), wire::attach_receiver(0, &format!("idle-{n}"))].concat()).expect("write");
            // Header, open, begin and attach come in one segment, or soon after each other.
            let mut seen = Vec::new();
            let mut buffer = [0; 1024];
            while !seen.windows(3).any(|bytes| bytes == [0, 0x53, 0x12]) {
                let count = stream.read(&mut buffer).expect("read");
                seen.extend_from_slice(&buffer[..count]);
            }
            stream
        })
        .collect()
}

pub(crate) fn connections(scale: &Scale, table: &mut Table) {
    let work = format!("among {} connections: CPU a message, to 1", scale.connections);
    among(scale, table, &work, |server| idle_connections(server, scale.connections));
}

pub(crate) fn idle(scale: &Scale, table: &mut Table) {
    let server = Server::broker(&[]);
    let _first = idle_connections(&server, 1);
    let before = server.rss();
    let _crowd = idle_connections(&server, scale.connections);
    let each = (server.rss() - before) / f64::from(scale.connections) / 1024.0;
    let work = format!("an idle connection with a session and a link ({} of them)", scale.connections);
    table.value(&work, 8.0, each, "KiB", &crate::stats::show(each, "KiB"));
}
