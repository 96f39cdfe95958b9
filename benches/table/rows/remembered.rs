//! Rows about the cost of message log and trace, with the default sizes.

use super::Scale;
use crate::load::{self, Receiver, Sender, Through};
use crate::process::Server;
use crate::stats::{Samples, Table};

/// Description, sizes of message log and trace, and target for the ratio to a broker without them.
type Kind = (&'static str, u32, u32, f64);

const BOTH: Kind = ("both, as is the default of the library", 1000, 1000, 1.4);
const SMALL: &[Kind] = &[
    ("nothing remembered, again", 0, 0, 1.05),
    ("the last 1000 messages", 1000, 0, 2.0),
    ("the last 1000 lines of the trace", 0, 1000, 2.5),
    BOTH,
];

pub(crate) fn row(scale: &Scale, table: &mut Table) {
    kinds(scale, table, ("100 B", 100), SMALL);
    kinds(scale, table, ("10 KB", 10 * 1024), &[BOTH]);
}

fn kinds(scale: &Scale, table: &mut Table, (name, size): (&str, usize), kinds: &[Kind]) {
    let count = scale.messages / if size > 1000 { 10 } else { 1 };
    let nothing: Kind = ("", 0, 0, 1.0);
    let mut ends: Vec<_> = std::iter::once(&nothing)
        .chain(kinds)
        .map(|&(_, messages, lines, _)| {
            let server = Server::remembering(messages, lines);
            let receivers = [Receiver::new(&server, Through::Broker, "bench")];
            let sender = Sender::new(&server, Through::Broker, "bench");
            (server, sender, receivers, Samples::default())
        })
        .collect();
    for round in 0..=scale.rounds {
        for (server, sender, receivers, samples) in &mut ends {
            let taken = load::run(server, sender, receivers, size, true, count);
            if round > 0 {
                samples.push(taken.cpu / f64::from(count));
            }
        }
    }
    let baseline = ends.remove(0).3;
    for ((work, _, _, target), (_, _, _, samples)) in kinds.iter().zip(&ends) {
        table.ratio(&format!("{name}, settled: {work}"), *target, false, samples, &baseline, "s");
    }
}
