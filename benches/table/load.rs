//! The load: a sender and a receiver of raw frames, each a thread with a blocking socket, with as little work as possible.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::process::Server;
use crate::wire::{self, Template};

/// The kind of server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Through {
    /// A broker, also the minimal one: answers and gives credit.
    Broker,
    /// The relay: answers nothing and gives no credit.
    Relay,
}

/// A performative: its code and encoded fields, and the payload behind it.
pub(crate) struct Frame<'a> {
    pub(crate) code: u8,
    pub(crate) fields: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Parses the body of a frame. None if there is no valid performative in it.
    fn new(body: &'a [u8]) -> Option<Frame<'a>> {
        let (code, head, end) = match *body {
            [0, 0x53, code, 0xc0, size, ..] => (code, 6, 5 + usize::from(size)),
            [0, 0x53, code, 0xd0, a, b, c, d, ..] => (code, 12, 8 + u32::from_be_bytes([a, b, c, d]) as usize),
            [0, 0x53, code, 0x45, ..] => (code, 4, 4),
            _ => return None,
        };
        Some(Frame { code, fields: body.get(head..end)?, payload: &body[end..] })
    }
}

impl Frame<'_> {
    /// Returns the first fields as numbers. None for a field that is neither a uint nor a boolean.
    pub(crate) fn numbers<const N: usize>(&self) -> [Option<u32>; N] {
        let mut rest = self.fields;
        std::array::from_fn(|_| {
            let (value, size) = match *rest {
                [0x43, ..] => (Some(0), 1),
                [0x52, value, ..] => (Some(value.into()), 2),
                [0x70, a, b, c, d, ..] => (Some(u32::from_be_bytes([a, b, c, d])), 5),
                [] => (None, 0),
                _ => (None, 1),
            };
            rest = &rest[size..];
            value
        })
    }
}

/// A stream of frames, read many at a time.
pub(crate) struct Frames {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Frames {
    pub(crate) fn new(stream: TcpStream) -> Frames {
        Frames { stream, buffer: vec![0; 256 * 1024], filled: 0 }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("write");
    }

    /// Returns another handle to the socket, for writing.
    pub(crate) fn stream(&self) -> TcpStream {
        self.stream.try_clone().expect("clone")
    }

    /// Reads once and calls `each` with every whole frame. False at the end of the stream.
    pub(crate) fn read(&mut self, each: impl FnMut(Frame<'_>)) -> bool {
        self.try_read(each).expect("read")
    }

    /// Reads as [`Frames::read`] does, for non-blocking sockets and peers that may disconnect.
    pub(crate) fn try_read(&mut self, mut each: impl FnMut(Frame<'_>)) -> io::Result<bool> {
        let count = self.stream.read(&mut self.buffer[self.filled..])?;
        self.filled += count;
        let mut start = 0;
        while let Some(head) = self.buffer[start..self.filled].first_chunk::<8>() {
            if head.starts_with(b"AMQP") {
                start += 8;
                continue;
            }
            let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            if start + size > self.filled {
                break;
            }
            if let Some(frame) = Frame::new(&self.buffer[start + 8..start + size]) {
                each(frame);
            }
            start += size;
        }
        self.buffer.copy_within(start..self.filled, 0);
        self.filled -= start;
        Ok(count > 0)
    }

    /// Reads until a frame with this code has arrived.
    pub(crate) fn wait_for(&mut self, code: u8) {
        let mut seen = false;
        while !seen {
            assert!(self.read(|frame| seen |= frame.code == code), "closed while waiting for {code:#x}");
        }
    }
}

pub(crate) const ATTACH: u8 = 0x12;
pub(crate) const FLOW: u8 = 0x13;
pub(crate) const TRANSFER: u8 = 0x14;
const DISPOSITION: u8 = 0x15;

/// Number of unsettled messages of a sender through the relay, equal to the broker's credit.
const WINDOW: u32 = 1000;

/// A sender.
pub(crate) struct Sender {
    frames: Frames,
    through: Through,
    /// The delivery-count up to which it has credit.
    limit: u32,
    sent: u32,
    settled: u32,
}

impl Sender {
    pub(crate) fn new(server: &Server, through: Through, address: &str) -> Sender {
        let mut sender = Sender { frames: Frames::new(server.connect()), through, limit: 0, sent: 0, settled: 0 };
        if through == Through::Broker {
            sender.frames.send(&wire::hello());
            sender.frames.send(&wire::attach_sender(0, address));
            while sender.limit == 0 {
                sender.listen();
            }
        }
        sender
    }

    fn listen(&mut self) {
        let Sender { frames, limit, settled, .. } = self;
        let open = frames.read(|frame| match frame.code {
            FLOW => {
                if let [_, _, _, _, Some(_), Some(count), Some(credit), ..] = frame.numbers::<7>() {
                    *limit = count + credit;
                }
            }
            DISPOSITION => {
                let [_, first, last] = frame.numbers::<3>();
                *settled = last.or(first).expect("a range") + 1;
            }
            _ => {}
        });
        assert!(open, "the sender was disconnected");
    }

    /// Sends `count` messages. If they are unsettled, waits until the last is settled.
    pub(crate) fn run(&mut self, message: &Template, count: u32, settled: bool) {
        let mut batch = Vec::with_capacity(64 * 1024 + message.bytes.len());
        let end = self.sent + count;
        while self.sent < end {
            let limit = match (self.through, settled) {
                (Through::Broker, _) => self.limit,
                (Through::Relay, true) => end,
                (Through::Relay, false) => self.settled + WINDOW,
            };
            batch.clear();
            while self.sent < end.min(limit) && batch.len() < 64 * 1024 {
                message.put(self.sent, &mut batch);
                self.sent += 1;
            }
            if batch.is_empty() {
                self.listen();
            } else {
                self.frames.send(&batch);
            }
        }
        while !settled && self.settled < end {
            self.listen();
        }
    }
}

/// Credit that a receiver never uses up.
pub(crate) const PLENTY: u32 = 1_000_000_000;

/// A receiver. Tops its credit up to the initial grant when half of it is used, as qpid-jms does.
pub(crate) struct Receiver {
    frames: Frames,
    received: u32,
    /// Credit that the server has after each top-up.
    credit: u32,
    /// The delivery-count up to which the server has credit.
    limit: u32,
}

impl Receiver {
    pub(crate) fn new(server: &Server, through: Through, address: &str) -> Receiver {
        Receiver::with_credit(server, through, address, PLENTY)
    }

    pub(crate) fn with_credit(server: &Server, through: Through, address: &str, credit: u32) -> Receiver {
        let mut receiver = Receiver::idle(server, through, address);
        receiver.credit = credit;
        if through == Through::Broker {
            receiver.grant();
        }
        receiver
    }

    /// Attaches a receiver without credit. [`Receiver::grant`] gives it some.
    pub(crate) fn idle(server: &Server, through: Through, address: &str) -> Receiver {
        let mut frames = Frames::new(server.connect());
        if through == Through::Broker {
            frames.send(&wire::hello());
            frames.send(&wire::attach_receiver(0, address));
            frames.wait_for(ATTACH);
        }
        // The relay needs no credit.
        Receiver { frames, received: 0, credit: PLENTY, limit: PLENTY }
    }

    pub(crate) fn grant(&mut self) {
        self.frames.send(&wire::credit(0, self.received, self.credit));
        self.limit = self.received + self.credit;
    }

    /// Receives `count` messages, and accepts them if they are not settled.
    pub(crate) fn run(&mut self, count: u32, settled: bool) {
        let end = self.received + count;
        while self.received < end {
            let first = self.received;
            let Receiver { frames, received, .. } = self;
            let open = frames.read(|frame| {
                // Only the first transfer of a delivery has a delivery-id.
                if frame.code == TRANSFER && frame.numbers::<2>()[1].is_some() {
                    *received += 1;
                }
            });
            assert!(open, "the receiver was disconnected");
            if !settled && self.received > first {
                self.frames.send(&wire::accept(first, self.received - 1));
            }
            if self.limit - self.received <= self.credit / 2 {
                self.grant();
            }
        }
    }
}

/// The cost of a run.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    /// Seconds of the server's processor time, and of wall-clock time.
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
}

/// Sends `each` settled messages of 100 bytes from every sender to its receiver, all pairs at once.
pub(crate) fn run_pairs(server: &Server, pairs: &mut [(Sender, Receiver)], each: u32) -> Taken {
    let message = wire::transfer(100, true);
    let cpu = server.cpu();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for (sender, receiver) in pairs {
            scope.spawn(|| receiver.run(each, true));
            scope.spawn(|| sender.run(&message, each, true));
        }
    });
    Taken { wall: start.elapsed().as_secs_f64(), cpu: server.cpu() - cpu }
}

/// Sends `count` messages of `size` bytes from one sender to all receivers.
pub(crate) fn run(
    server: &Server,
    sender: &mut Sender,
    receivers: &mut [Receiver],
    size: usize,
    settled: bool,
    count: u32,
) -> Taken {
    let message = wire::transfer(size, settled);
    let cpu = server.cpu();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for receiver in receivers.iter_mut() {
            scope.spawn(|| receiver.run(count, settled));
        }
        sender.run(&message, count, settled);
    });
    Taken { wall: start.elapsed().as_secs_f64(), cpu: server.cpu() - cpu }
}
