//! Rows about one message at a time: from a sender through broker or relay to a receiver in a third process, which answers on a
//! direct socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::Scale;
use crate::load::{Frames, Sender, Through};
use crate::process::{Server, helper};
use crate::stats::{Samples, Table};
use crate::wire;

/// Runs the receiver's process: `echo through-broker|through-relay SERVER ANSWERS-TO`.
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

/// Time without an answer after which a message counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// A sender in this process; server and receiver in processes of their own.
pub(super) struct Loop {
    _server: Server,
    receiver: Child,
    sender: Sender,
    answers: TcpStream,
    message: wire::Template,
}

impl Loop {
    pub(super) fn new(server: Server, through: Through) -> Loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let name = if through == Through::Broker { "through-broker" } else { "through-relay" };
        let answers_to = listener.local_addr().expect("address").to_string();
        let receiver = helper("echo")
            .args([name, &server.addr.to_string(), &answers_to])
            .stdin(Stdio::null())
            .spawn()
            .expect("start");
        let (mut answers, _) = listener.accept().expect("accept");
        answers.read_exact(&mut [0]).expect("ready");
        answers.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let sender = Sender::new(&server, through, "bench");
        Loop { _server: server, receiver, sender, answers, message: wire::transfer(100, true) }
    }

    pub(super) fn send(&mut self) {
        self.sender.run(&self.message, 1, true);
    }

    /// Returns the socket on which one byte arrives for each message received. A read fails if a message seems lost.
    pub(super) fn answers(&self) -> TcpStream {
        self.answers.try_clone().expect("clone")
    }

    fn trip(&mut self) -> f64 {
        let start = Instant::now();
        self.send();
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
    let mut broker = Loop::new(Server::broker(&[]), Through::Broker);
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
