//! Rows about a flood: a pair with one message every 2 ms, while 200 peers of 20 kinds send as much as they can. See `flood/`.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Scale;
use super::latency::Loop;
use crate::flood::PEERS;
use crate::load::Through;
use crate::process::{Server, helper};
use crate::stats::{Samples, Table};

/// Bound for the 99th percentile of the latency beside the flood, in seconds.
const P99: f64 = 10e-3;

pub(crate) fn row(scale: &Scale, table: &mut Table) {
    let server = Server::broker(&[]);
    let addr = server.addr;
    let mut good = Loop::new(server, Through::Broker);
    let time = Duration::from_secs(scale.flood);
    let (calm, _) = messages(&mut good, time / 5);
    // The flood begins before the measurement and ends after it, unless the last message is late.
    let flood_time = time + Duration::from_secs(2);
    let flood = Flood::start(addr, flood_time);
    std::thread::sleep(Duration::from_secs(1));
    let (flooded, lost) = messages(&mut good, time);
    let (bytes, idle) = flood.end();
    let work = format!("beside {PEERS} floods ({:.0} MB/s of them)", bytes / 1e6 / flood_time.as_secs_f64());
    table.beside(&format!("{work}: p50 of a good pair"), P99, flooded.quantile(0.5), calm.quantile(0.5), "s");
    table.beside("beside the floods: p99", P99, flooded.quantile(0.99), calm.quantile(0.99), "s");
    table.beside(&format!("beside the floods: messages lost, of {}", flooded.count()), 0.0, lost, 0.0, "");
    for kind in idle {
        println!("little flood of: {kind}");
    }
}

/// Time between two messages, sent whether or not the one before has arrived.
const INTERVAL: Duration = Duration::from_millis(2);

/// Returns the latencies of the messages of this time, and the number of messages lost.
fn messages(good: &mut Loop, time: Duration) -> (Samples, f64) {
    let count = (time.as_micros() / INTERVAL.as_micros()) as u32;
    let start = Instant::now();
    let mut answers = good.answers();
    let arrived = std::thread::scope(|scope| {
        let arrived = scope.spawn(move || {
            let answered = |_| answers.read_exact(&mut [0]).ok().map(|()| start.elapsed());
            (0..count).map_while(answered).collect::<Vec<_>>()
        });
        for n in 0..count {
            std::thread::sleep((INTERVAL * n).saturating_sub(start.elapsed()));
            good.send();
        }
        arrived.join().expect("no panic")
    });
    let mut samples = Samples::default();
    for (arrived, n) in arrived.iter().zip(0..) {
        samples.push(arrived.saturating_sub(INTERVAL * n).as_secs_f64());
    }
    (samples, f64::from(count) - arrived.len() as f64)
}

/// The flood's process.
struct Flood {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Flood {
    /// Starts the process, which ends by itself. It runs at a low priority, because it stands for clients on other machines.
    fn start(addr: SocketAddr, time: Duration) -> Flood {
        let flood = helper("flood");
        let mut command = Command::new("nice");
        command.args(["-n", "10"]).arg(flood.get_program()).args(flood.get_args());
        command.args([addr.to_string(), time.as_secs().to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("nice is installed");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let ready = lines.next().expect("a line").expect("read");
        assert_eq!(ready, "flooding");
        Flood { child, lines }
    }

    /// Waits for the end. Returns the bytes that were written, and the kinds of peers that wrote next to nothing.
    fn end(mut self) -> (f64, Vec<String>) {
        let (mut total, mut idle) = (0.0, Vec::new());
        while let Some(Ok(line)) = self.lines.next() {
            let bytes: f64 = line.split(' ').next().and_then(|bytes| bytes.parse().ok()).expect("a number");
            total += bytes;
            if bytes < 1_000.0 {
                idle.push(line);
            }
        }
        self.child.wait().expect("ended");
        (total, idle)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
