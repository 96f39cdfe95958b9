//! The peer: a socket, and requests on channel 1.

use std::net::TcpStream;
use std::time::Instant;

use crate::support::{At, Came, Socket, hex, patience};

use super::*;

/// A unit that the broker sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard091 {
    /// A protocol header.
    Protocol([u8; 8]),
    Method {
        channel: u16,
        id: Id,
        arguments: Vec<u8>,
    },
    /// A content header: body size, and flags with properties.
    Header {
        channel: u16,
        size: u64,
        properties: Vec<u8>,
    },
    Body {
        channel: u16,
        bytes: Vec<u8>,
    },
    Heartbeat,
    Eof,
}

/// A whole message from the broker, by deliver, get-ok or return.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delivery {
    pub consumer: String,
    pub tag: u64,
    pub redelivered: bool,
    pub exchange: String,
    pub key: String,
    /// The message count of a get-ok, or the reply code of a return.
    pub number: u32,
    pub properties: Vec<u8>,
    pub body: Vec<u8>,
}

impl Delivery {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub struct Peer091 {
    /// The frame-max agreed on in tune.
    pub frame_max: usize,
    socket: Socket,
    close: (Id, Id),
}

/// A value that can be sent.
pub trait Bytes091 {
    fn wire(&self) -> Vec<u8>;
}

impl Bytes091 for &MethodBytes {
    fn wire(&self) -> Vec<u8> {
        self.bytes()
    }
}

impl Bytes091 for MethodBytes {
    fn wire(&self) -> Vec<u8> {
        self.bytes()
    }
}

impl<T: AsRef<[u8]>> Bytes091 for T {
    fn wire(&self) -> Vec<u8> {
        self.as_ref().to_vec()
    }
}

pub fn start_ok(mechanism: &str, response: impl AsRef<[u8]>, capabilities: &[&str]) -> MethodBytes {
    let capabilities: Vec<Vec<u8>> = capabilities.iter().map(|name| bool_entry(name, true)).collect();
    let properties =
        if capabilities.is_empty() { Vec::new() } else { vec![table_entry("capabilities", &capabilities)] };
    method(0, START_OK).table(&properties).shortstr(mechanism).longstr(response).shortstr("en_US")
}

pub fn tune_ok(channel_max: u16, frame_max: u32, heartbeat: u16) -> MethodBytes {
    method(0, TUNE_OK).short(channel_max).long(frame_max).short(heartbeat)
}

pub fn connection_open(virtual_host: &str) -> MethodBytes {
    method(0, OPEN).shortstr(virtual_host).shortstr("").bits(&[false])
}

impl Peer091 {
    /// Connects by TCP and sends nothing.
    #[track_caller]
    pub fn connect(broker: &impl At) -> Peer091 {
        Peer091 { frame_max: 4096, socket: Socket::connect(broker), close: (CLOSE, CLOSE_OK) }
    }

    /// Sends the header and receives start.
    #[track_caller]
    pub fn greeted(broker: &impl At, header: &[u8; 8]) -> Peer091 {
        let mut peer = Peer091::connect(broker);
        peer.send(header);
        peer.expect(START);
        if header == HEADER_0_8 {
            peer.close = (CLOSE_0_8, CLOSE_OK_0_8);
        }
        peer
    }

    /// Connects up to open-ok.
    #[track_caller]
    pub fn connected(broker: &impl At, header: &[u8; 8], capabilities: &[&str]) -> Peer091 {
        let mut peer = Peer091::greeted(broker, header);
        peer.send(start_ok("PLAIN", "\0guest\0guest", capabilities));
        peer.expect(TUNE);
        peer.send(tune_ok(0, 4096, 0));
        peer.send(connection_open("/"));
        peer.expect(OPEN_OK);
        peer
    }

    /// Connects up to open-ok in 0-9-1, with this channel-max, frame-max and heartbeat in tune-ok.
    #[track_caller]
    pub fn tuned(broker: &impl At, channel_max: u16, frame_max: u32, heartbeat: u16) -> Peer091 {
        let mut peer = Peer091::greeted(broker, HEADER_0_9_1);
        peer.send(start_ok("PLAIN", "\0guest\0guest", &[]));
        peer.expect(TUNE);
        peer.send(tune_ok(channel_max, frame_max, heartbeat));
        peer.send(connection_open("/"));
        peer.expect(OPEN_OK);
        peer
    }

    /// Connects up to open in 0-9-1, and does not wait for the answer.
    #[track_caller]
    pub fn asking_for(broker: &impl At, user: &str, vhost: &str) -> Peer091 {
        let mut peer = Peer091::greeted(broker, HEADER_0_9_1);
        peer.send(start_ok("PLAIN", format!("\0{user}\0{user}"), &[]));
        peer.expect(TUNE);
        peer.send(tune_ok(0, 4096, 0));
        peer.send(connection_open(vhost));
        peer
    }

    /// Connects to a virtual host, and opens channel 1.
    #[track_caller]
    pub fn opened_in(broker: &impl At, vhost: &str) -> Peer091 {
        let mut peer = Peer091::asking_for(broker, "guest", vhost);
        peer.expect(OPEN_OK);
        peer.open_channel(1);
        peer
    }

    /// Connects up to open-ok in 0-9-1, and opens channel 1.
    #[track_caller]
    pub fn opened(broker: &impl At) -> Peer091 {
        let capabilities = ["consumer_cancel_notify", "basic.nack", "connection.blocked"];
        let mut peer = Peer091::connected(broker, HEADER_0_9_1, &capabilities);
        peer.open_channel(1);
        peer
    }

    #[track_caller]
    pub fn open_channel(&mut self, channel: u16) {
        self.send(method(channel, CHANNEL_OPEN).shortstr(""));
        self.expect_on(channel, CHANNEL_OPEN_OK);
    }

    pub fn stream(&self) -> &TcpStream {
        self.socket.stream()
    }

    // Sending.

    #[track_caller]
    pub fn send(&mut self, what: impl Bytes091) {
        let bytes = what.wire();
        if let Err(error) = self.put(&bytes) {
            self.fail(&format!("cannot send {}: {error}", hex(&bytes)));
        }
    }

    /// Sends if the broker is still there. Returns whether it is.
    pub fn try_send(&mut self, what: impl Bytes091) -> bool {
        self.put(&what.wire()).is_ok()
    }

    #[track_caller]
    pub fn send_byte_by_byte(&mut self, what: impl Bytes091) {
        let bytes = what.wire();
        self.socket.write_byte_by_byte(&bytes, &hex(&bytes));
    }

    /// Sends what the kernel takes without waiting for the broker to read. Returns the number of bytes.
    pub fn send_what_fits(&mut self, bytes: &[u8]) -> usize {
        self.socket.write_what_fits(bytes)
    }

    /// Sends repeatedly until the broker stops reading: see [`Socket::write_until_unread`].
    pub fn send_until_unread(&mut self, bytes: &[u8], limit: usize, turn: impl FnMut()) -> usize {
        self.socket.write_until_unread(bytes, limit, turn)
    }

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.write(bytes, &hex(bytes))
    }

    /// Sends FIN. Answers can still be read.
    pub fn hang_up(&mut self) {
        self.socket.hang_up();
    }

    /// Sends RST.
    pub fn reset(self) {
        self.socket.reset();
    }

    /// Declares a queue that is neither exclusive nor auto-delete. Returns its numbers of messages and consumers.
    #[track_caller]
    pub fn declare(&mut self, queue: &str) -> (u32, u32) {
        self.declare_as(queue, &[])
    }

    /// Declares a queue with these bits: passive, durable, exclusive, auto-delete, no-wait.
    #[track_caller]
    pub fn declare_as(&mut self, queue: &str, bits: &[bool]) -> (u32, u32) {
        self.send(queue_declare(1, queue, bits));
        let mut answer = self.expect(QUEUE_DECLARE_OK);
        assert_eq!(answer.shortstr(), queue);
        (answer.long(), answer.long())
    }

    /// A queue of channel 1 with arguments.
    #[track_caller]
    pub fn declare_with(&mut self, queue: &str, arguments: &[Vec<u8>]) -> (u32, u32) {
        self.send(queue_declare_with(queue, arguments));
        let mut answer = self.expect(QUEUE_DECLARE_OK);
        assert_eq!(answer.shortstr(), queue);
        (answer.long(), answer.long())
    }

    #[track_caller]
    pub fn publish_with(&mut self, exchange: &str, key: &str, properties: &[u8], body: impl AsRef<[u8]>) {
        self.send(publish(1, exchange, key, &[], properties, body.as_ref()));
    }

    /// The texts of the messages that wait in a queue, taken out.
    #[track_caller]
    pub fn texts(&mut self, queue: &str) -> Vec<String> {
        std::iter::from_fn(|| self.get(queue, true)).map(|delivery| delivery.text().to_owned()).collect()
    }

    #[track_caller]
    pub fn bind(&mut self, queue: &str, exchange: &str, key: &str) {
        self.send(queue_bind(1, QUEUE_BIND, queue, exchange, key, &[]));
        self.expect(QUEUE_BIND_OK);
    }

    #[track_caller]
    pub fn declare_exchange(&mut self, name: &str, kind: &str) {
        self.send(exchange_declare(1, name, kind, &[]));
        self.expect(EXCHANGE_DECLARE_OK);
    }

    #[track_caller]
    pub fn declare_exchange_with(&mut self, name: &str, kind: &str, arguments: &[Vec<u8>]) {
        self.send(exchange_declare_with(name, kind, arguments));
        self.expect(EXCHANGE_DECLARE_OK);
    }

    #[track_caller]
    pub fn bind_exchange(&mut self, destination: &str, source: &str, key: &str) {
        let start = method(1, EXCHANGE_BIND).short(0).shortstr(destination).shortstr(source);
        self.send(start.shortstr(key).bits(&[false]).table(&[]));
        self.expect(EXCHANGE_BIND_OK);
    }

    #[track_caller]
    pub fn publish(&mut self, exchange: &str, key: &str, body: impl AsRef<[u8]>) {
        self.send(publish(1, exchange, key, &[], &NO_PROPERTIES, body.as_ref()));
    }

    /// Consumes with acknowledgements.
    #[track_caller]
    pub fn consume(&mut self, queue: &str, tag: &str) {
        self.send(consume(1, queue, tag, &[]));
        assert_eq!(self.expect(CONSUME_OK).shortstr(), tag);
    }

    /// Consumes with these bits (see [`consume`]) and arguments.
    #[track_caller]
    pub fn consume_with(&mut self, queue: &str, tag: &str, bits: &[bool], arguments: &[Vec<u8>]) {
        self.send(consume_with(1, queue, tag, bits, arguments));
        assert_eq!(self.expect(CONSUME_OK).shortstr(), tag);
    }

    #[track_caller]
    pub fn prefetch(&mut self, count: u16, global: bool) {
        self.send(method(1, QOS).long(0).short(count).bits(&[global]));
        self.expect(QOS_OK);
    }

    #[track_caller]
    pub fn ack(&mut self, tag: u64, multiple: bool) {
        self.send(method(1, ACK).longlong(tag).bits(&[multiple]));
    }

    /// Gets a message on channel 1. None if the queue is empty.
    #[track_caller]
    pub fn get(&mut self, queue: &str, no_ack: bool) -> Option<Delivery> {
        self.send(method(1, GET).short(0).shortstr(queue).bits(&[no_ack]));
        match self.hear() {
            Heard091::Method { id: GET_EMPTY, .. } => None,
            Heard091::Method { id: GET_OK, arguments, channel: 1 } => Some(self.content(GET_OK, arguments)),
            other => self.fail(&format!("get-ok or get-empty, not {other:?}")),
        }
    }

    // Expecting.

    #[track_caller]
    pub fn hear(&mut self) -> Heard091 {
        loop {
            let heard = self.hear_any();
            if heard != Heard091::Heartbeat {
                return heard;
            }
        }
    }

    /// Waits for the next unit, heartbeats included.
    #[track_caller]
    pub fn hear_any(&mut self) -> Heard091 {
        let deadline = Instant::now() + patience();
        match self.hear_until(deadline) {
            Some(heard) => heard,
            None => self.fail(&format!("what was expected did not come in {:?}", patience())),
        }
    }

    /// Waits until the broker's kernel has everything that was sent, so that the broker reads it before its clock is advanced.
    #[track_caller]
    pub fn until_carried_over(&self) {
        self.socket.until_carried_over();
    }

    /// Returns the next unit that has arrived, heartbeats included, or None. Everything that the broker has written before has
    /// arrived.
    #[track_caller]
    pub fn heard_by_now(&mut self) -> Option<Heard091> {
        self.socket.until_carried_over();
        self.hear_until(Instant::now())
    }

    /// Waits for the next unit until the deadline.
    #[track_caller]
    pub fn hear_until(&mut self, deadline: Instant) -> Option<Heard091> {
        match self.socket.read(deadline, parse) {
            Came::Whole(heard, size) => {
                self.socket.note("<-", &format!("{heard:?}"));
                if size > self.frame_max && !matches!(heard, Heard091::Method { id: START, .. }) {
                    self.fail(&format!("a frame of {size} bytes where {} are allowed", self.frame_max));
                }
                Some(heard)
            }
            Came::Eof => Some(Heard091::Eof),
            Came::Nothing => None,
        }
    }

    /// Expects this method on any channel.
    #[track_caller]
    pub fn expect(&mut self, wanted: Id) -> Args {
        match self.hear() {
            Heard091::Method { id, arguments, .. } if id == wanted => Args::new(arguments),
            other => self.fail(&format!("expected method {wanted:?}, not {other:?}")),
        }
    }

    #[track_caller]
    pub fn expect_on(&mut self, channel: u16, wanted: Id) -> Args {
        match self.hear() {
            Heard091::Method { channel: on, id, arguments } if id == wanted && on == channel => Args::new(arguments),
            other => self.fail(&format!("expected method {wanted:?} on channel {channel}, not {other:?}")),
        }
    }

    #[track_caller]
    pub fn expect_delivery(&mut self) -> Delivery {
        let arguments = self.expect(DELIVER).rest().to_vec();
        self.content(DELIVER, arguments)
    }

    #[track_caller]
    pub fn expect_return(&mut self) -> Delivery {
        let arguments = self.expect(RETURN).rest().to_vec();
        self.content(RETURN, arguments)
    }

    /// Expects deliveries. Returns their bodies.
    #[track_caller]
    pub fn expect_texts(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.expect_delivery().text().to_owned()).collect()
    }

    /// Expects the content of a method.
    #[track_caller]
    fn content(&mut self, id: Id, arguments: Vec<u8>) -> Delivery {
        let mut args = Args::new(arguments);
        let mut delivery = Delivery::default();
        if id == DELIVER {
            delivery.consumer = args.shortstr();
        }
        if id == RETURN {
            delivery.number = args.short().into();
            args.shortstr();
        } else {
            delivery.tag = args.longlong();
            delivery.redelivered = args.octet() & 1 == 1;
        }
        delivery.exchange = args.shortstr();
        delivery.key = args.shortstr();
        if id == GET_OK {
            delivery.number = args.long();
        }
        assert!(args.rest().is_empty(), "more arguments than the method has");
        let size = match self.hear() {
            Heard091::Header { size, properties, .. } => {
                delivery.properties = properties;
                size
            }
            other => self.fail(&format!("expected a content header, not {other:?}")),
        };
        while (delivery.body.len() as u64) < size {
            match self.hear() {
                Heard091::Body { bytes, .. } if !bytes.is_empty() => delivery.body.extend(bytes),
                other => self.fail(&format!("expected a content body, not {other:?}")),
            }
        }
        assert_eq!(delivery.body.len() as u64, size, "the body is as large as its header says");
        delivery
    }

    /// Expects channel.close with this code, and answers it.
    #[track_caller]
    pub fn expect_channel_closed_with(&mut self, channel: u16, code: u16) -> String {
        let mut close = self.expect_on(channel, CHANNEL_CLOSE);
        let (number, text) = (close.short(), close.shortstr());
        if number != code {
            self.fail(&format!("channel.close {number} {text}, not {code}"));
        }
        self.send(method(channel, CHANNEL_CLOSE_OK));
        text
    }

    /// Expects connection.close with this code after anything else, answers it, and expects the end of the stream.
    #[track_caller]
    pub fn expect_closed_with(&mut self, code: u16) -> String {
        let (close, close_ok) = self.close;
        loop {
            match self.hear() {
                Heard091::Method { channel: 0, id, arguments } if id == close => {
                    let mut close = Args::new(arguments);
                    let (number, text) = (close.short(), close.shortstr());
                    if number != code {
                        self.fail(&format!("connection.close {number} {text}, not {code}"));
                    }
                    self.try_send(method(0, close_ok));
                    self.expect_eof();
                    return text;
                }
                Heard091::Eof => {
                    self.fail(&format!("the end of the stream where connection.close {code} was expected"))
                }
                _ => {}
            }
        }
    }

    #[track_caller]
    pub fn expect_eof(&mut self) {
        match self.hear() {
            Heard091::Eof => {}
            other => self.fail(&format!("expected the end of the stream, not {other:?}")),
        }
    }

    /// Closes the connection and expects the answer. The end that sent close ends the stream.
    #[track_caller]
    pub fn close(mut self) {
        let (close, close_ok) = self.close;
        self.send(method(0, close).short(200).shortstr("bye").short(0).short(0));
        self.expect(close_ok);
        self.hang_up();
        self.expect_eof();
    }

    /// Makes a round trip on channel 1. Returns what came before the answer.
    #[track_caller]
    pub fn round_trip(&mut self) -> Vec<Heard091> {
        self.send(method(1, FLOW).bits(&[true]));
        let mut before = Vec::new();
        loop {
            match self.hear() {
                Heard091::Method { channel: 1, id: FLOW_OK, .. } => return before,
                Heard091::Eof => self.fail("the stream ended"),
                other => before.push(other),
            }
        }
    }

    #[track_caller]
    pub fn expect_nothing(&mut self) {
        let before = self.round_trip();
        if !before.is_empty() {
            self.fail(&format!("expected nothing, not {before:?}"));
        }
    }

    /// Fails the test and prints the conversation.
    #[track_caller]
    pub fn fail(&self, what: &str) -> ! {
        self.socket.fail(what)
    }
}

pub fn queue_declare(channel: u16, queue: &str, bits: &[bool]) -> MethodBytes {
    method(channel, QUEUE_DECLARE).short(0).shortstr(queue).bits(bits).table(&[])
}

pub fn queue_declare_with(queue: &str, arguments: &[Vec<u8>]) -> MethodBytes {
    method(1, QUEUE_DECLARE).short(0).shortstr(queue).bits(&[]).table(arguments)
}

/// Builds queue.bind, or queue.unbind, which has no no-wait.
pub fn queue_bind(channel: u16, id: Id, queue: &str, exchange: &str, key: &str, arguments: &[Vec<u8>]) -> MethodBytes {
    let method = method(channel, id).short(0).shortstr(queue).shortstr(exchange).shortstr(key);
    if id == QUEUE_BIND { method.bits(&[false]).table(arguments) } else { method.table(arguments) }
}

/// Builds exchange.declare with these bits: passive, durable, auto-delete, internal, no-wait.
pub fn exchange_declare(channel: u16, name: &str, kind: &str, bits: &[bool]) -> MethodBytes {
    method(channel, EXCHANGE_DECLARE).short(0).shortstr(name).shortstr(kind).bits(bits).table(&[])
}

/// Builds exchange.declare with arguments on channel 1.
pub fn exchange_declare_with(name: &str, kind: &str, arguments: &[Vec<u8>]) -> MethodBytes {
    method(1, EXCHANGE_DECLARE).short(0).shortstr(name).shortstr(kind).bits(&[]).table(arguments)
}

/// Builds basic.consume with these bits: no-local, no-ack, exclusive, no-wait.
pub fn consume(channel: u16, queue: &str, tag: &str, bits: &[bool]) -> MethodBytes {
    consume_with(channel, queue, tag, bits, &[])
}

/// Builds basic.consume with arguments. The bits are those of [`consume`].
pub fn consume_with(channel: u16, queue: &str, tag: &str, bits: &[bool], arguments: &[Vec<u8>]) -> MethodBytes {
    method(channel, CONSUME).short(0).shortstr(queue).shortstr(tag).bits(bits).table(arguments)
}

/// Parses a header or a frame. Returns it with its length, or None if bytes are missing.
pub fn parse(bytes: &[u8]) -> Result<Option<(Heard091, usize)>, String> {
    if bytes.starts_with(b"AMQP") {
        return Ok(bytes.first_chunk::<8>().map(|header| (Heard091::Protocol(*header), 8)));
    }
    let Some(head) = bytes.first_chunk::<7>() else { return Ok(None) };
    let mut head = Args::new(head.to_vec());
    let (frame_type, channel, size) = (head.octet(), head.short(), head.long() as usize);
    let Some(payload) = bytes.get(7..7 + size) else { return Ok(None) };
    match bytes.get(7 + size) {
        Some(0xce) => {}
        Some(other) => return Err(format!("{other:#x} where the frame-end should be")),
        None => return Ok(None),
    }
    let mut args = Args::new(payload.to_vec());
    let heard = match frame_type {
        METHOD => {
            let id = (args.short(), args.short());
            Heard091::Method { channel, id, arguments: args.rest().to_vec() }
        }
        HEADER => match (args.short(), args.short()) {
            (60, 0) => Heard091::Header { channel, size: args.longlong(), properties: args.rest().to_vec() },
            (class, weight) => return Err(format!("a content header of class {class} and weight {weight}")),
        },
        BODY => Heard091::Body { channel, bytes: payload.to_vec() },
        HEARTBEAT if (channel, size) == (0, 0) => Heard091::Heartbeat,
        other => return Err(format!("a frame of type {other} and {size} bytes on channel {channel}")),
    };
    Ok(Some((heard, 8 + size)))
}
