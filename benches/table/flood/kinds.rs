//! The kinds of peers that make a flood, of both protocols.

use crate::load091::{self as publish, frame, long, method, short};
use crate::wire::{self, NULL, performative, uint};

#[derive(Clone, Copy)]
pub(super) enum Family {
    Amqp10,
    Amqp091,
}

/// The actions of a peer after its setup. A batch is made from the peer's number.
#[derive(Clone, Copy)]
pub(super) enum Manner {
    /// Sends settled messages on handle 0, as many as it has credit for.
    Send,
    SendUnsettled,
    /// Writes the same batch repeatedly.
    Repeat(Batch),
    /// Writes the same batch repeatedly, one byte at a time.
    Trickle(Batch),
    /// Writes the batch, disconnects, and connects again.
    Once(Batch),
}

type Batch = fn(usize) -> Vec<u8>;

pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) family: Family,
    /// The first bytes of a connection.
    pub(super) setup: Batch,
    pub(super) manner: Manner,
}

const fn amqp10(name: &'static str, setup: Batch, manner: Manner) -> Kind {
    Kind { name, family: Family::Amqp10, setup, manner }
}

const fn amqp091(name: &'static str, setup: Batch, batch: Batch) -> Kind {
    Kind { name, family: Family::Amqp091, setup, manner: Manner::Repeat(batch) }
}

pub(super) const KINDS: [Kind; 20] = [
    amqp10("a sender without end and its receiver", |n| ends(&format!("flood-{n}")), Manner::Send),
    amqp10("a sender to nobody, unsettled", sender_to_nobody, Manner::SendUnsettled),
    amqp10("ten senders, each to ten receivers", |_| ends("broadcast.flood"), Manner::Send),
    amqp10("a sender to a queue and its receiver", |n| ends(&format!("queue.flood-{n}")), Manner::Send),
    amqp10("flows that ask for an answer", hello, Manner::Repeat(echoes)),
    amqp10("empty frames", hello, Manner::Repeat(empty_frames)),
    amqp10("half a frame, then gone", hello, Manner::Once(half_frame)),
    amqp10("empty frames, byte by byte", hello, Manner::Trickle(empty_frames)),
    amqp10("attach and detach", hello, Manner::Repeat(attaches)),
    amqp10("drained for nothing", receiver_of_nothing, Manner::Repeat(drains)),
    amqp10("dispositions of all deliveries there may be", hello, Manner::Repeat(ranges)),
    amqp10("begin and end", hello, Manner::Repeat(sessions)),
    amqp091("a publisher without end and its consumer", publisher_and_consumer, publishes_to_itself),
    amqp091("publishes that are returned", setup091, publishes_returned),
    amqp091("publishes to nobody", setup091, publishes_to_nobody),
    amqp091("publishes to nobody, confirmed", confirm_mode, publishes_to_nobody),
    amqp091("gets from an empty queue", setup091, gets),
    amqp091("heartbeats", setup091, |_| many(frame(8, 0, &[]))),
    amqp091("the same queue declared", setup091, declares),
    amqp091("channels opened and closed", setup091, channels),
];

/// Repeats frames up to about 64 KiB.
fn many(frames: Vec<u8>) -> Vec<u8> {
    frames.repeat(64 * 1024 / frames.len() + 1)
}

fn hello(_: usize) -> Vec<u8> {
    wire::hello()
}

/// Encodes the attaches of a sender on handle 0, and of a receiver on handle 1 with credit that wants settled deliveries.
fn ends(address: &str) -> Vec<u8> {
    let mut receiver = wire::attach("r1", 1, true, Some(1), address);
    receiver.extend(wire::credit(1, 0, 2_000_000_000));
    [wire::hello(), receiver, wire::attach_sender(0, address)].concat()
}

fn sender_to_nobody(n: usize) -> Vec<u8> {
    [wire::hello(), wire::attach_sender(0, &format!("nobody-{n}"))].concat()
}

fn receiver_of_nothing(n: usize) -> Vec<u8> {
    [wire::hello(), wire::attach_receiver(0, &format!("queue.nothing-{n}"))].concat()
}

/// Encodes a flow of the session, or of the link with handle 0, with these two flags.
fn flow(link: bool, drain: bool, echo: bool) -> Vec<u8> {
    let window = uint(0x7fff_ffff);
    let flag = |flag: bool| [if flag { 0x41 } else { 0x42 }];
    let (handle, credit) = (uint(0), uint(100));
    let [handle, count, credit] = if link { [&handle[..], &handle, &credit] } else { [NULL; 3] };
    let fields: [&[u8]; 10] =
        [&uint(0), &window, &uint(0), &window, handle, count, credit, NULL, &flag(drain), &flag(echo)];
    performative(0x13, &fields)
}

fn echoes(_: usize) -> Vec<u8> {
    many(flow(false, false, true))
}

fn drains(_: usize) -> Vec<u8> {
    many(flow(true, true, false))
}

fn empty_frames(_: usize) -> Vec<u8> {
    many(wire::frame(&[]))
}

fn half_frame(_: usize) -> Vec<u8> {
    let mut frame = wire::frame(&[0; 40_000]);
    frame.truncate(20_000);
    frame
}

fn attaches(n: usize) -> Vec<u8> {
    let detach = performative(0x16, &[&uint(0), &[0x41]]);
    many([wire::attach_receiver(0, &format!("attached-{n}")), detach].concat())
}

fn ranges(_: usize) -> Vec<u8> {
    many(wire::accept(0, 0x7fff_ffff))
}

/// On channel 1.
fn sessions(_: usize) -> Vec<u8> {
    let window = uint(0x7fff_ffff);
    let mut begin = performative(0x11, &[NULL, &uint(0), &window, &window]);
    let mut end = performative(0x17, &[]);
    for frame in [&mut begin, &mut end] {
        frame[7] = 1;
    }
    many([begin, end].concat())
}

fn queue(n: usize) -> String {
    format!("flood-091-{n}")
}

/// channel.open-ok, before which a 0-9-1 client must not continue.
pub(super) const CHANNEL_OPEN_OK: [u8; 4] = [0, 20, 0, 11];

fn setup091(n: usize) -> Vec<u8> {
    publish::hello(&queue(n))
}

fn publisher_and_consumer(n: usize) -> Vec<u8> {
    [setup091(n), publish::consume(&queue(n), true)].concat()
}

fn confirm_mode(n: usize) -> Vec<u8> {
    [setup091(n), publish::confirm_select()].concat()
}

fn publishes_to_itself(n: usize) -> Vec<u8> {
    many(publish::publish(&queue(n), false))
}

fn publishes_returned(n: usize) -> Vec<u8> {
    many(publish::publish(&format!("nobody-{n}"), true))
}

fn publishes_to_nobody(n: usize) -> Vec<u8> {
    many(publish::publish(&format!("nobody-{n}"), false))
}

fn gets(n: usize) -> Vec<u8> {
    many(method(1, 60, 70, &[&[0, 0], &short(&queue(n)), &[1]]))
}

fn declares(n: usize) -> Vec<u8> {
    many(method(1, 50, 10, &[&[0, 0], &short(&queue(n)), &[0], &long(b"")]))
}

fn channels(_: usize) -> Vec<u8> {
    let close = method(2, 20, 40, &[&200u16.to_be_bytes(), &short(""), &[0; 4]]);
    many([method(2, 20, 10, &[&short("")]), close].concat())
}
