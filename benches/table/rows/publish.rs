//! Rows about AMQP 0-9-1: a publisher, a queue, a consumer.

use super::Scale;
use crate::load::Through;
use crate::load091::{Acks, Pair};
use crate::process::Server;
use crate::stats::{Samples, Table};

pub(crate) fn row(scale: &Scale, table: &mut Table) {
    let servers = [(Server::broker(&[]), Through::Broker), (Server::relay(), Through::Relay)];
    let mut ends = servers.map(|(server, through)| {
        let pair = Pair::new(&server, through, Acks::None);
        (server, pair)
    });
    let mut samples: [Samples; 2] = Default::default();
    for round in 0..=scale.rounds {
        for ((server, pair), samples) in ends.iter_mut().zip(&mut samples) {
            let cpu = server.cpu();
            pair.run(scale.messages);
            if round > 0 {
                samples.push((server.cpu() - cpu) / f64::from(scale.messages));
            }
        }
    }
    let [broker, relay] = &samples;
    table.ratio("0-9-1, 100 B, publish -> deliver, no-ack: CPU a message", 15.0, false, broker, relay, "s");
}
