//! AMQP 0-9-1: a publisher, a queue, a consumer that need not acknowledge. Frames by hand, as everywhere here.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::Scale;
use crate::load::Through;
use crate::process::Server;
use crate::stats::{Samples, Table};

const SIZE: usize = 100;
const QUEUE: &str = "bench";

fn frame(frame_type: u8, channel: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![frame_type];
    frame.extend(channel.to_be_bytes());
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend(body);
    frame.push(0xce);
    frame
}

fn method(channel: u16, class: u16, method: u16, arguments: &[&[u8]]) -> Vec<u8> {
    frame(1, channel, &[&class.to_be_bytes(), &method.to_be_bytes(), &arguments.concat()[..]].concat())
}

fn short(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

/// What a client says up to its open channel, without waiting.
fn hello() -> Vec<u8> {
    [
        b"AMQP\0\0\x09\x01".to_vec(),
        method(0, 10, 11, &[&long(b""), &short("PLAIN"), &long(b"\0guest\0guest"), &short("en_US")]),
        method(0, 10, 31, &[&[0, 0], &65536u32.to_be_bytes(), &[0, 0]]),
        method(0, 10, 40, &[&short("/"), &short(""), &[0]]),
        method(1, 20, 10, &[&short("")]),
        method(1, 50, 10, &[&[0, 0], &short(QUEUE), &[0], &long(b"")]),
    ]
    .concat()
}

fn publish() -> Vec<u8> {
    let header = [&60u16.to_be_bytes()[..], &[0, 0], &(SIZE as u64).to_be_bytes(), &[0, 0]].concat();
    [method(1, 60, 40, &[&[0, 0], &short(""), &short(QUEUE), &[0]]), frame(2, 1, &header), frame(3, 1, &[b'x'; SIZE])]
        .concat()
}

/// Reads frames, and counts bodies; stops at `count` of them, or at this method.
struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    bodies: u32,
}

impl Reader {
    fn new(stream: TcpStream) -> Reader {
        Reader { stream, buffer: vec![0; 256 * 1024], filled: 0, bodies: 0 }
    }

    fn read(&mut self, until: impl Fn(u32, Option<[u8; 4]>) -> bool) {
        let mut found = false;
        while !found {
            let count = self.stream.read(&mut self.buffer[self.filled..]).expect("read");
            assert!(count > 0, "closed");
            self.filled += count;
            let mut start = 0;
            while let Some(head) = self.buffer[start..self.filled].first_chunk::<7>() {
                let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize + 8;
                if start + size > self.filled {
                    break;
                }
                self.bodies += u32::from(head[0] == 3);
                let method = self.buffer[start + 7..].first_chunk::<4>().filter(|_| head[0] == 1);
                found |= until(self.bodies, method.copied());
                start += size;
            }
            self.buffer.copy_within(start..self.filled, 0);
            self.filled -= start;
        }
    }
}

/// One publisher and one consumer at a server.
struct Pair {
    server: Server,
    publisher: TcpStream,
    consumer: Reader,
}

impl Pair {
    fn new(server: Server, through: Through) -> Pair {
        let mut consumer = Reader::new(server.connect());
        let mut publisher = server.connect();
        if through == Through::Broker {
            consumer.stream.write_all(&hello()).expect("write");
            let consume = method(1, 60, 20, &[&[0, 0], &short(QUEUE), &short("c"), &[0b10], &long(b"")]);
            consumer.stream.write_all(&consume).expect("write");
            consumer.read(|_, method| method == Some([0, 60, 0, 21]));
            publisher.write_all(&hello()).expect("write");
            let mut answers = Reader::new(publisher.try_clone().expect("clone"));
            answers.read(|_, method| method == Some([0, 50, 0, 11]));
        }
        Pair { server, publisher, consumer }
    }

    /// Processor time of the server for a message.
    fn run(&mut self, count: u32) -> f64 {
        let batch = publish().repeat(400);
        let one = batch.len() / 400;
        let cpu = self.server.cpu();
        self.consumer.bodies = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| self.consumer.read(|bodies, _| bodies == count));
            let mut left = count as usize;
            while left > 0 {
                let now = left.min(400);
                self.publisher.write_all(&batch[..now * one]).expect("write");
                left -= now;
            }
        });
        (self.server.cpu() - cpu) / f64::from(count)
    }
}

pub(crate) fn row(scale: &Scale, table: &mut Table) {
    let mut broker = Pair::new(Server::broker(&[]), Through::Broker);
    let mut relay = Pair::new(Server::relay(), Through::Relay);
    let (mut through, mut baseline) = (Samples::default(), Samples::default());
    for round in 0..=scale.rounds {
        let (one, other) = (broker.run(scale.messages), relay.run(scale.messages));
        if round > 0 {
            through.push(one);
            baseline.push(other);
        }
    }
    table.ratio("0-9-1, 100 B, publish -> deliver, no-ack: CPU a message", 15.0, false, &through, &baseline, "s");
}
