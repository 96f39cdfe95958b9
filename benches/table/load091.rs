//! The load of AMQP 0-9-1: a publisher, a queue, a consumer, with frames encoded here as in `load.rs`.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::load::Through;
use crate::process::Server;

const SIZE: usize = 100;
const QUEUE: &str = "bench";

pub(crate) fn frame(frame_type: u8, channel: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![frame_type];
    frame.extend(channel.to_be_bytes());
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend(body);
    frame.push(0xce);
    frame
}

pub(crate) fn method(channel: u16, class: u16, method: u16, arguments: &[&[u8]]) -> Vec<u8> {
    frame(1, channel, &[&class.to_be_bytes(), &method.to_be_bytes(), &arguments.concat()[..]].concat())
}

pub(crate) fn short(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

pub(crate) fn long(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

/// Encodes what a client sends up to an open channel and a queue, without waiting.
pub(crate) fn hello(queue: &str) -> Vec<u8> {
    [
        b"AMQP\0\0\x09\x01".to_vec(),
        method(0, 10, 11, &[&long(b""), &short("PLAIN"), &long(b"\0guest\0guest"), &short("en_US")]),
        method(0, 10, 31, &[&[0, 0], &65536u32.to_be_bytes(), &[0, 0]]),
        method(0, 10, 40, &[&short("/"), &short(""), &[0]]),
        method(1, 20, 10, &[&short("")]),
        method(1, 50, 10, &[&[0, 0], &short(queue), &[0], &long(b"")]),
    ]
    .concat()
}

pub(crate) fn consume(queue: &str, no_ack: bool) -> Vec<u8> {
    let flags = if no_ack { 0b10 } else { 0 };
    method(1, 60, 20, &[&[0, 0], &short(queue), &short("c"), &[flags], &long(b"")])
}

pub(crate) fn confirm_select() -> Vec<u8> {
    method(1, 85, 10, &[&[0]])
}

/// Encodes a publish of 100 bytes to the default exchange.
pub(crate) fn publish(key: &str, mandatory: bool) -> Vec<u8> {
    let header = [&60u16.to_be_bytes()[..], &[0, 0], &(SIZE as u64).to_be_bytes(), &[0, 0]].concat();
    [
        method(1, 60, 40, &[&[0, 0], &short(""), &short(key), &[mandatory.into()]]),
        frame(2, 1, &header),
        frame(3, 1, &[b'x'; SIZE]),
    ]
    .concat()
}

/// The contents of the frames that a reader has read.
#[derive(Default)]
struct Seen {
    /// Number of content bodies, which is the number of messages.
    bodies: u32,
    /// The last method.
    method: [u8; 4],
    /// The delivery-tag up to which everything is confirmed.
    confirmed: u64,
}

/// Reads frames, many at a time, and notes their contents.
struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    seen: Seen,
}

impl Reader {
    fn new(stream: TcpStream) -> Reader {
        Reader { stream, buffer: vec![0; 256 * 1024], filled: 0, seen: Seen::default() }
    }

    /// Reads until this method has arrived.
    fn wait_for(&mut self, class: u8, method: u8) {
        while self.seen.method != [0, class, 0, method] {
            self.read();
        }
    }

    /// Reads once. Only the last method is noted, so this serves for answers that nothing follows.
    fn read(&mut self) {
        let count = self.stream.read(&mut self.buffer[self.filled..]).expect("read");
        assert!(count > 0, "closed");
        self.filled += count;
        let mut start = 0;
        while let Some(head) = self.buffer[start..self.filled].first_chunk::<7>() {
            let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize + 8;
            if start + size > self.filled {
                break;
            }
            let body = &self.buffer[start + 7..start + size - 1];
            match (head[0], body) {
                (1, &[a, b, c, d, ref arguments @ ..]) => {
                    self.seen.method = [a, b, c, d];
                    if let (BASIC_ACK, Some(tag)) = (self.seen.method, arguments.first_chunk()) {
                        self.seen.confirmed = self.seen.confirmed.max(u64::from_be_bytes(*tag));
                    }
                }
                (3, _) => self.seen.bodies += 1,
                _ => {}
            }
            start += size;
        }
        self.buffer.copy_within(start..self.filled, 0);
        self.filled -= start;
    }
}

const BASIC_ACK: [u8; 4] = [0, 60, 0, 80];

/// Acknowledgements and confirms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acks {
    /// The consumer is no-ack, the publisher's channel is not in confirm mode.
    None,
    /// The consumer acknowledges everything that one read brought, with `multiple`. The publisher waits for the last confirm.
    Both,
}

/// A publisher and a consumer.
pub(crate) struct Pair {
    publisher: Reader,
    consumer: Reader,
    acks: Acks,
    /// Number of messages of the earlier runs.
    sent: u32,
}

impl Pair {
    pub(crate) fn new(server: &Server, through: Through, acks: Acks) -> Pair {
        let mut consumer = Reader::new(server.connect());
        let mut publisher = Reader::new(server.connect());
        if through == Through::Broker {
            consumer.stream.write_all(&[hello(QUEUE), consume(QUEUE, acks == Acks::None)].concat()).expect("write");
            consumer.wait_for(60, 21);
            publisher.stream.write_all(&hello(QUEUE)).expect("write");
            publisher.wait_for(50, 11);
            if acks == Acks::Both {
                publisher.stream.write_all(&confirm_select()).expect("write");
                publisher.wait_for(85, 11);
            }
        }
        Pair { publisher, consumer, acks, sent: 0 }
    }

    /// Publishes `count` messages and waits until they are delivered, acknowledged and confirmed.
    pub(crate) fn run(&mut self, count: u32) {
        let Pair { publisher, consumer, acks, sent } = self;
        *sent += count;
        let (acks, end) = (*acks, *sent);
        let mut out = publisher.stream.try_clone().expect("clone");
        std::thread::scope(|scope| {
            scope.spawn(move || receive(consumer, acks, end));
            if acks == Acks::Both {
                scope.spawn(move || {
                    while publisher.seen.confirmed < end.into() {
                        publisher.read();
                    }
                });
            }
            let batch = publish(QUEUE, false).repeat(400);
            let one = batch.len() / 400;
            let mut left = count as usize;
            while left > 0 {
                let now = left.min(400);
                out.write_all(&batch[..now * one]).expect("write");
                left -= now;
            }
        });
    }
}

/// Reads until the message with this number has arrived.
fn receive(consumer: &mut Reader, acks: Acks, end: u32) {
    while consumer.seen.bodies < end {
        let before = consumer.seen.bodies;
        consumer.read();
        let now = consumer.seen.bodies;
        if acks == Acks::Both && now > before {
            let ack = method(1, 60, 80, &[&u64::from(now).to_be_bytes(), &[1]]);
            consumer.stream.write_all(&ack).expect("write");
        }
    }
}
