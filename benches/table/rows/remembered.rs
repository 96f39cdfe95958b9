//! What it costs to remember: messages in the log, lines of the trace, both as a test has them by default.

use super::Scale;
use crate::load::{self, Receiver, Sender, Through};
use crate::process::Server;
use crate::stats::{Samples, Table};

/// Messages and lines that are remembered, and what that may cost against remembering nothing.
const KINDS: [(&str, u32, u32, f64); 4] = [
    ("nothing remembered, again", 0, 0, 1.05),
    ("the last 1000 messages", 1000, 0, 2.0),
    ("the last 1000 lines of the trace", 0, 1000, 2.5),
    ("both, as is the default of the library", 1000, 1000, 3.5),
];

pub(crate) fn row(scale: &Scale, table: &mut Table) {
    let nothing = Server::remembering(0, 0);
    let servers = KINDS.map(|(_, messages, lines, _)| Server::remembering(messages, lines));
    let mut ends: Vec<_> = std::iter::once(&nothing)
        .chain(&servers)
        .map(|server| {
            let receiver = Receiver::new(server, Through::Broker, "bench");
            (server, Sender::new(server, Through::Broker, "bench"), [receiver], Samples::default())
        })
        .collect();
    for round in 0..=scale.rounds {
        for (server, sender, receivers, samples) in &mut ends {
            let taken = load::run(server, sender, receivers, 100, true, scale.messages);
            if round > 0 {
                samples.push(taken.cpu / f64::from(scale.messages));
            }
        }
    }
    let baseline = ends.remove(0).3;
    for ((work, _, _, target), (_, _, _, samples)) in KINDS.iter().zip(&ends) {
        table.ratio(&format!("100 B, pre-settled: {work}"), *target, false, samples, &baseline, "s");
    }
}
