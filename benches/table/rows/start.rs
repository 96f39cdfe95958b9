//! Rows about starting, stopping and idling.

use std::net::TcpStream;
use std::time::Instant;

use fakebroker::Broker;

use super::Scale;
use crate::process::{BROKER, Server};
use crate::stats::{Samples, Table};

pub(crate) fn in_process(scale: &Scale, table: &mut Table) {
    let (mut starts, mut stops) = (Samples::default(), Samples::default());
    for _ in 0..scale.starts {
        let start = Instant::now();
        let broker = Broker::start().expect("start");
        let stream = TcpStream::connect(broker.addr()).expect("connect");
        starts.push(start.elapsed().as_secs_f64());
        drop(stream);
        let start = Instant::now();
        broker.crash();
        stops.push(start.elapsed().as_secs_f64());
    }
    table.value("Broker::start() until the first connect", 1e-3, starts.median(), "s", &starts.show("s"));
    table.value("Broker::crash()", 1e-3, stops.median(), "s", &stops.show("s"));
}

pub(crate) fn command(scale: &Scale, table: &mut Table) {
    let mut ready = Samples::default();
    let mut idle = Samples::default();
    for _ in 0..scale.starts.min(50) {
        let start = Instant::now();
        let server = Server::broker(&[]);
        ready.push(start.elapsed().as_secs_f64());
        idle.push(server.rss() / 1024.0 / 1024.0);
    }
    table.value("the command from exec to its ready line", 5e-3, ready.median(), "s", &ready.show("s"));
    table.value("the command idle: memory", 4.0, idle.median(), "MiB", &idle.show("MiB"));
    let size = std::fs::metadata(BROKER).expect("the command").len() as f64 / 1e6;
    table.value("the command: size of the binary", 2.5, size, "MB", &crate::stats::show(size, "MB"));
}
