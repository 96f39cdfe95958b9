//! One message at a time: from a sender through broker or relay to a receiver in a third process, which answers on a direct
//! socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::Scale;
use crate::load::{Frames, Through};
use crate::process::Server;
use crate::stats::{Samples, Table};
use crate::wire;

/// The receiver's process: `echo through-broker|through-relay SERVER ANSWERS-TO`.
pub(crate) fn echo(args: &[String]) {
    let addr = |index: usize| args[index].parse::<SocketAddr>().expect("an address");
    let stream = TcpStream::connect(addr(1)).expect("connect");
    stream.set_nodelay(true).expect("nodelay");
    let mut answers = TcpStream::connect(addr(2)).expect("connect");
    answers.set_nodelay(true).expect("nodelay");
    let mut frames = Frames::new(stream);
    if args[0] == "through-broker" {
        frames.send(&wire::hello());
        frames.send(&wire::attach_receiver(0, "bench"));
        frames.send(&wire::credit(0, 0, 2_000_000_000));
        frames.wait_for(0x12);
    }
    answers.write_all(b"!").expect("ready");
    loop {
        let mut arrived = 0;
        if !frames.read(|frame| arrived += usize::from(frame.code == 0x14)) {
            return;
        }
        if answers.write_all(&vec![b'.'; arrived]).is_err() {
            return;
        }
    }
}

/// A sender here, the server and the receiver in processes of their own.
struct Loop {
    _server: Server,
    receiver: Child,
    frames: Frames,
    answers: TcpStream,
    sent: u32,
    message: wire::Template,
}

impl Loop {
    fn new(server: Server, through: Through) -> Loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let name = if through == Through::Broker { "through-broker" } else { "through-relay" };
        let answers_to = listener.local_addr().expect("address").to_string();
        let receiver = Command::new(std::env::current_exe().expect("this program"))
            .args(["echo", name, &server.addr.to_string(), &answers_to])
            .stdin(Stdio::null())
            .spawn()
            .expect("start");
        let (mut answers, _) = listener.accept().expect("accept");
        answers.read_exact(&mut [0]).expect("ready");
        let mut frames = Frames::new(server.connect());
        if through == Through::Broker {
            frames.send(&wire::hello());
            frames.send(&wire::attach_sender(0, "bench"));
            frames.wait_for(0x13);
        }
        Loop { _server: server, receiver, frames, answers, sent: 0, message: wire::transfer(100, true) }
    }

    fn trip(&mut self) -> f64 {
        let mut bytes = Vec::with_capacity(256);
        self.message.put(self.sent, &mut bytes);
        self.sent += 1;
        let start = Instant::now();
        self.frames.send(&bytes);
        self.answers.read_exact(&mut [0]).expect("an answer");
        start.elapsed().as_secs_f64()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = self.receiver.kill();
        let _ = self.receiver.wait();
    }
}

pub(crate) fn row(scale: &Scale, table: &mut Table) {
    // Credit for all trips: nobody reads what the broker says meanwhile.
    let window = (2 * scale.trips + 2000).to_string();
    let mut broker = Loop::new(Server::broker(&["--credit-window", &window]), Through::Broker);
    let mut relay = Loop::new(Server::relay(), Through::Relay);
    let (mut through, mut baseline) = (Samples::default(), Samples::default());
    for round in 0..scale.trips + 500 {
        let (one, other) = (broker.trip(), relay.trip());
        if round >= 500 {
            through.push(one);
            baseline.push(other);
        }
    }
    table.ratio("one 100 B message at a time: latency", 1.3, false, &through, &baseline, "s");
}
