//! The peer: a socket, and the state of its session on channel 0.

use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::patience::patience;
use super::performative::*;
use super::section::message;
use super::socket::{At, Came, Socket, hex};
use super::wire::{Value, decode};

/// A value that can be sent: a performative, or bytes.
pub trait Wire {
    fn wire(&self) -> Vec<u8>;
    fn shown(&self) -> String {
        hex(&self.wire())
    }
}

impl Wire for Performative {
    fn wire(&self) -> Vec<u8> {
        self.bytes()
    }
    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

impl<T: Wire + ?Sized> Wire for &T {
    fn wire(&self) -> Vec<u8> {
        (*self).wire()
    }
    fn shown(&self) -> String {
        (*self).shown()
    }
}

impl Wire for Vec<u8> {
    fn wire(&self) -> Vec<u8> {
        self.clone()
    }
}

impl Wire for [u8] {
    fn wire(&self) -> Vec<u8> {
        self.to_vec()
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn wire(&self) -> Vec<u8> {
        self.to_vec()
    }
}

/// A unit that the broker sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    Header([u8; 8]),
    EmptyFrame,
    Frame(Performative),
    /// The end of the stream, by FIN or RST.
    Eof,
}

/// A client under the test's control. Keeps ids and windows of the session on channel 0; the test keeps those of other sessions.
pub struct Peer {
    socket: Socket,
    /// The max-frame-size of our open, which the broker's frames are checked against (2.3.1).
    max_frame_size: u64,
    /// The channel for `round_trip`: the highest that the broker allows, up to 999.
    pub(super) spare_channel: u16,
    next_outgoing_id: u32,
    next_incoming_id: u32,
    next_delivery_id: u32,
}

impl Peer {
    /// Connects by TCP and sends nothing.
    #[track_caller]
    pub fn connect(broker: &impl At) -> Peer {
        Peer::with(Socket::connect(broker))
    }

    /// Makes a peer of an accepted connection, with the roles of client and server exchanged.
    pub fn over(stream: TcpStream) -> Peer {
        Peer::with(Socket::over(stream))
    }

    fn with(socket: Socket) -> Peer {
        Peer {
            socket,
            max_frame_size: u32::MAX.into(),
            spare_channel: 999,
            next_outgoing_id: 0,
            next_incoming_id: 0,
            next_delivery_id: 0,
        }
    }

    /// Exchanges header, open and begin, without SASL.
    #[track_caller]
    pub fn opened(broker: &impl At) -> Peer {
        Peer::opened_with(broker, open(), begin())
    }

    /// Exchanges header, open and begin as [`Peer::opened`] does, with this open and this begin.
    #[track_caller]
    pub fn opened_with(broker: &impl At, open: Performative, begin: Performative) -> Peer {
        let mut peer = Peer::greeted(broker);
        peer.send(open);
        peer.expect_open();
        peer.begin(begin);
        peer
    }

    /// Opens a peer with a sender to `address` on handle 0, and waits for its credit.
    #[track_caller]
    pub fn sender(broker: &impl At, address: &str) -> Peer {
        let mut peer = Peer::opened(broker);
        peer.attach_sender("s", 0, address);
        peer
    }

    /// Opens a peer as [`Peer::sender`] does, whose first messages are accepted.
    #[track_caller]
    pub fn sender_of(broker: &impl At, address: &str, texts: &[&str]) -> Peer {
        let mut peer = Peer::sender(broker, address);
        peer.send_accepted(0, texts);
        peer
    }

    /// Opens a peer with a sender to the anonymous terminus on handle 0, and waits for its credit.
    #[track_caller]
    pub fn anonymous_sender(broker: &impl At) -> Peer {
        let mut peer = Peer::opened(broker);
        peer.attach_anonymous("s", 0);
        peer
    }

    /// Opens a peer with a receiver at `address` on handle 0. The broker may not have processed its credit on return.
    #[track_caller]
    pub fn receiver(broker: &impl At, address: &str, credit: u32) -> Peer {
        let mut peer = Peer::opened(broker);
        peer.attach_receiver("r", 0, address, credit);
        peer
    }

    /// Opens a peer as [`Peer::receiver`] does, and waits until the broker has its credit. No message may be there for it.
    #[track_caller]
    pub fn ready_receiver(broker: &impl At, address: &str, credit: u32) -> Peer {
        let mut peer = Peer::receiver(broker, address, credit);
        peer.expect_nothing();
        peer
    }

    /// Exchanges the protocol headers, without SASL.
    #[track_caller]
    pub fn greeted(broker: &impl At) -> Peer {
        let mut peer = Peer::connect(broker);
        peer.send(AMQP_HEADER);
        peer.expect_header(AMQP_HEADER);
        peer
    }

    /// Exchanges the SASL headers and receives the mechanisms.
    #[track_caller]
    pub fn offered_mechanisms(broker: &impl At) -> (Peer, Performative) {
        let mut peer = Peer::connect(broker);
        peer.send(SASL_HEADER);
        peer.expect_header(SASL_HEADER);
        let mechanisms = peer.expect(SASL_MECHANISMS);
        (peer, mechanisms)
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.socket.stream().local_addr().unwrap()
    }

    pub fn stream(&self) -> &TcpStream {
        self.socket.stream()
    }

    // Sending.

    #[track_caller]
    pub fn send(&mut self, what: impl Wire) {
        if let Err(error) = self.put(&what) {
            self.fail(&format!("cannot send {}: {error}", what.shown()));
        }
    }

    /// Sends if the broker still takes anything. Returns whether it did.
    pub fn try_send(&mut self, what: impl Wire) -> bool {
        self.put(&what).is_ok()
    }

    #[track_caller]
    pub fn send_byte_by_byte(&mut self, what: impl Wire) {
        self.socket.write_byte_by_byte(&what.wire(), &what.shown());
    }

    /// Sends what the kernel takes without waiting for the broker to read. Returns the number of bytes.
    pub fn send_what_fits(&mut self, bytes: &[u8]) -> usize {
        self.socket.write_what_fits(bytes)
    }

    /// Sends repeatedly until the broker stops reading: see [`Socket::write_until_unread`].
    pub fn send_until_unread(&mut self, bytes: &[u8], limit: usize, turn: impl FnMut()) -> usize {
        self.socket.write_until_unread(bytes, limit, turn)
    }

    fn put(&mut self, what: &impl Wire) -> std::io::Result<()> {
        let bytes = what.wire();
        self.note_sent(&bytes);
        self.socket.write(&bytes, &what.shown())
    }

    /// Updates the session's ids by what is sent, illegal frames included.
    fn note_sent(&mut self, mut bytes: &[u8]) {
        if bytes.starts_with(b"AMQP") {
            bytes = &bytes[8.min(bytes.len())..];
        }
        while let Ok(Some((Heard::Frame(frame), used))) = parse(bytes) {
            match frame.code() {
                OPEN => {
                    if let Value::Uint(size) = frame.get("max-frame-size") {
                        self.max_frame_size = size.max(512).into();
                    }
                }
                BEGIN if frame.channel == 0 => {
                    if let Value::Uint(id) = frame.get("next-outgoing-id") {
                        self.next_outgoing_id = id;
                    }
                }
                TRANSFER if frame.channel == 0 => {
                    self.next_outgoing_id = self.next_outgoing_id.wrapping_add(1);
                    if let Value::Uint(id) = frame.get("delivery-id") {
                        self.next_delivery_id = id.wrapping_add(1);
                    }
                }
                _ => {}
            }
            bytes = &bytes[used..];
        }
    }

    /// Sends FIN. Answers can still be read.
    pub fn hang_up(&mut self) {
        self.socket.hang_up();
    }

    /// Sends RST.
    pub fn reset(self) {
        self.socket.reset();
    }

    /// Begins a session and waits for the answer. Returns the broker's begin.
    #[track_caller]
    pub fn begin(&mut self, begin: Performative) -> Performative {
        let channel = begin.channel;
        self.send(begin);
        let answer = self.expect(BEGIN);
        if answer.get("remote-channel") != Value::Ushort(channel) {
            self.fail(&format!("a begin that answers channel {channel}"));
        }
        if channel == 0 {
            self.next_incoming_id = answer.number("next-outgoing-id") as u32;
        }
        answer
    }

    /// Attaches a sender, and waits for the answer and the first credit. Returns the broker's attach.
    #[track_caller]
    pub fn attach_sender(&mut self, name: &str, handle: u32, address: &str) -> Performative {
        let answer = self.attach(attach_sender(name, handle, address));
        self.expect_credit();
        answer
    }

    /// Attaches a sender to the anonymous terminus, and waits for the answer and the first credit. Returns the broker's attach.
    #[track_caller]
    pub fn attach_anonymous(&mut self, name: &str, handle: u32) -> Performative {
        let answer = self.attach(attach_anonymous(name, handle));
        self.expect_credit();
        answer
    }

    /// Attaches a receiver with credit, and waits for the answer. Returns the broker's attach.
    #[track_caller]
    pub fn attach_receiver(&mut self, name: &str, handle: u32, address: &str, credit: u32) -> Performative {
        let answer = self.attach(attach_receiver(name, handle, address));
        self.grant(handle, 0, credit);
        answer
    }

    /// Sends an attach, and waits for the answer with its name.
    #[track_caller]
    pub fn attach(&mut self, attach: Performative) -> Performative {
        let name = attach.get("name");
        self.send(attach);
        let answer = self.expect(ATTACH);
        if answer.get("name") != name {
            self.fail(&format!("an attach that answers {name:?}"));
        }
        answer
    }

    /// Gives a link on which the broker sends credit, counted from `delivery_count`.
    #[track_caller]
    pub fn grant(&mut self, handle: u32, delivery_count: u32, credit: u32) {
        let flow = self.link_flow(handle, delivery_count, credit);
        self.send(flow);
    }

    /// Builds a flow with the current state of the session on channel 0.
    pub fn flow(&self) -> Performative {
        flow().with("next-incoming-id", self.next_incoming_id).with("next-outgoing-id", self.next_outgoing_id)
    }

    /// Builds a flow with the current state of the session on channel 0 and this state of a link.
    pub fn link_flow(&self, handle: u32, delivery_count: u32, credit: u32) -> Performative {
        self.flow().with("handle", handle).with("delivery-count", delivery_count).with("link-credit", credit)
    }

    /// Returns the delivery-id that `send_message` takes next.
    pub fn next_delivery_id(&self) -> u32 {
        self.next_delivery_id
    }

    /// Sends an unsettled message of one data section. Returns its delivery-id.
    #[track_caller]
    pub fn send_message(&mut self, handle: u32, text: &str) -> u32 {
        self.send_payload(handle, message(text))
    }

    /// Sends an unsettled message with this payload. Returns its delivery-id.
    #[track_caller]
    pub fn send_payload(&mut self, handle: u32, payload: impl Into<Vec<u8>>) -> u32 {
        let delivery_id = self.next_delivery_id;
        self.send(transfer(handle, delivery_id).with_payload(payload));
        delivery_id
    }

    /// Waits for the next unit of any kind.
    #[track_caller]
    pub fn hear(&mut self) -> Heard {
        let deadline = self.deadline();
        self.hear_by(deadline)
    }

    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + patience()
    }

    #[track_caller]
    pub(super) fn hear_by(&mut self, deadline: Instant) -> Heard {
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

    /// Returns the next unit that has arrived, or None. Everything that the broker has written before has arrived.
    #[track_caller]
    pub fn heard_by_now(&mut self) -> Option<Heard> {
        self.socket.until_carried_over();
        self.hear_until(Instant::now())
    }

    /// Waits for the next unit until the deadline.
    #[track_caller]
    pub fn hear_until(&mut self, deadline: Instant) -> Option<Heard> {
        match self.socket.read(deadline, parse) {
            Came::Whole(heard, size) => {
                self.note_heard(&heard, size as u64);
                Some(heard)
            }
            Came::Eof => Some(Heard::Eof),
            Came::Nothing => None,
        }
    }

    #[track_caller]
    fn note_heard(&mut self, heard: &Heard, size: u64) {
        match heard {
            Heard::Header(header) => self.socket.note("<-", &hex(header)),
            Heard::EmptyFrame => self.socket.note("<-", "empty frame"),
            Heard::Eof => {}
            Heard::Frame(frame) => {
                self.socket.note("<-", &format!("{frame:?}"));
                if size > self.max_frame_size {
                    self.fail(&format!("a frame of {size} bytes where {} are allowed", self.max_frame_size));
                }
                match frame.code() {
                    OPEN => {
                        if let Value::Ushort(channel_max) = frame.get("channel-max") {
                            self.spare_channel = channel_max.min(999);
                        }
                    }
                    TRANSFER => self.next_incoming_id = self.next_incoming_id.wrapping_add(1),
                    _ => {}
                }
            }
        }
    }

    /// Fails the test and prints the conversation.
    #[track_caller]
    pub fn fail(&self, what: &str) -> ! {
        self.socket.fail(what)
    }
}

/// Parses a header or a frame. Returns it with its length, or None if bytes are missing.
fn parse(bytes: &[u8]) -> Result<Option<(Heard, usize)>, String> {
    if bytes.len() < 8 {
        return Ok(None);
    }
    if bytes.starts_with(b"AMQP") {
        return Ok(Some((Heard::Header(bytes[..8].try_into().unwrap()), 8)));
    }
    let size = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    let doff = bytes[4] as usize * 4;
    if doff < 8 || size < doff {
        return Err(format!("a frame of size {size} and data offset {doff}"));
    }
    if bytes.len() < size {
        return Ok(None);
    }
    if size == doff {
        return Ok(Some((Heard::EmptyFrame, size)));
    }
    let mut body = &bytes[doff..size];
    let value = decode(&mut body)?;
    let composite = Composite::of(&value).ok_or_else(|| format!("a frame body that is no composite: {value:?}"))?;
    let sasl = (SASL_MECHANISMS..=SASL_OUTCOME).contains(&composite.code);
    if bytes[5] != sasl as u8 {
        return Err(format!("{} in a frame of type {}", composite.name(), bytes[5]));
    }
    // 5.3.1: bytes 6 and 7 of a SASL frame mean nothing.
    let channel = if sasl { 0 } else { u16::from_be_bytes([bytes[6], bytes[7]]) };
    if !body.is_empty() && composite.code != TRANSFER {
        return Err(format!("{} bytes after {}", body.len(), composite.name()));
    }
    Ok(Some((Heard::Frame(Performative { composite, channel, payload: body.to_vec() }), size)))
}
