//! Two well-behaved peers, one of each protocol, that send to each other by queues. Their bytes are written here, without the
//! library's encoders.

use super::harness::Harness;

const QUEUE_10: &str = "queue.9f3c.one-zero";
const QUEUE_091: &str = "9f3c.zero-nine-one";

/// Returns a frame of 1.0.
pub(super) fn frame_10(channel: u8, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
    [&size[..], &[2, 0, 0, channel], body].concat()
}

/// Returns a performative with its fields, as list8.
fn performative(code: u8, count: u8, fields: &[&[u8]]) -> Vec<u8> {
    let fields = fields.concat();
    let size = u8::try_from(fields.len() + 1).unwrap();
    [&[0, 0x53, code, 0xc0, size, count][..], &fields].concat()
}

fn string_10(text: &str) -> Vec<u8> {
    [&[0xa1, u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat()
}

fn uint(value: u32) -> Vec<u8> {
    [&[0x70][..], &value.to_be_bytes()].concat()
}

/// Returns a frame of 0-9-1.
pub(super) fn frame_091(kind: u8, channel: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[kind, 0, channel][..], &size, payload, &[0xce]].concat()
}

fn method(channel: u8, class: u8, method: u8, arguments: &[u8]) -> Vec<u8> {
    frame_091(1, channel, &[&[0, class, 0, method][..], arguments].concat())
}

fn short(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat()
}

/// Returns the handshake of a 1.0 connection with one session.
pub(super) fn handshake_10() -> Vec<u8> {
    let open = performative(0x10, 1, &[&string_10("peer")]);
    // The windows are as large as possible.
    let begin = performative(0x11, 4, &[&[0x40], &uint(0), &uint(0x7fff_ffff), &uint(0x7fff_ffff)]);
    [b"AMQP\0\x01\0\0".to_vec(), frame_10(0, &open), frame_10(0, &begin)].concat()
}

/// Returns the handshake of a 0-9-1 connection with one channel.
pub(super) fn handshake_091() -> Vec<u8> {
    [
        b"AMQP\0\0\x09\x01".to_vec(),
        method(0, 10, 11, b"\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US"),
        method(0, 10, 31, b"\0\0\0\0\0\0\0\0"),
        method(0, 10, 40, b"\x01/\0\0"),
        method(1, 20, 10, b"\0"),
    ]
    .concat()
}

/// The two peers, and the number of messages that each has sent.
#[derive(Debug)]
pub(super) struct Good {
    one_zero: usize,
    zero_nine_one: usize,
    sent: u32,
}

impl Good {
    /// A part of the names of their queues that no input may have.
    pub(super) const SECRET: &[u8] = b"9f3c";

    /// Connects and attaches both.
    pub(super) fn meet(harness: &mut Harness) -> Good {
        let zero_nine_one = harness.connect(true);
        let declare =
            |queue: &str, bits: u8| method(1, 50, 10, &[&[0, 0][..], &short(queue), &[bits], &[0, 0, 0, 0]].concat());
        // Exclusive.
        let consume = [&[0, 0][..], &short(QUEUE_091), &short("c"), &[0], &[0, 0, 0, 0]].concat();
        let begin = [handshake_091(), declare(QUEUE_091, 4), declare("shared", 0), method(1, 60, 20, &consume)];
        harness.say(zero_nine_one, &begin.concat());

        let one_zero = harness.connect(true);
        let source = performative(0x28, 1, &[&string_10(QUEUE_10)]);
        let target = performative(0x29, 1, &[&string_10(QUEUE_091)]);
        let nowhere = performative(0x29, 0, &[]);
        let receiver = performative(0x12, 7, &[&string_10("in"), &uint(0), &[0x41, 0x40, 0x40], &source, &nowhere]);
        let sender = [string_10("out"), uint(1), vec![0x42, 0x40, 0x40], performative(0x28, 0, &[]), target];
        let sender = [&sender.concat()[..], &[0x40, 0x40], &uint(0)].concat();
        let sender = performative(0x12, 10, &[&sender]);
        let windows = [uint(0), uint(0x7fff_ffff), uint(0), uint(0x7fff_ffff)].concat();
        let flow = performative(0x13, 7, &[&windows, &uint(0), &uint(0), &uint(10_000)]);
        let attached = [receiver, sender, flow].map(|body| frame_10(0, &body)).concat();
        harness.say(one_zero, &[handshake_10(), attached].concat());
        assert!(harness.is_open(one_zero) && harness.is_open(zero_nine_one));
        Good { one_zero, zero_nine_one, sent: 0 }
    }

    /// Sends messages from each to the other, unsettled, and checks that they arrive.
    pub(super) fn exchange(&mut self, harness: &mut Harness, count: u32) {
        for _ in 0..count {
            let number = self.sent;
            self.sent += 1;
            let text = format!("from 1.0 {number:04};");
            let tag = [&[0xa0, 4][..], &number.to_be_bytes()].concat();
            let transfer = performative(0x14, 5, &[&uint(1), &uint(number), &tag, &uint(0), &[0x42]]);
            let data = [&[0, 0x53, 0x75, 0xa0, u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
            harness.say(self.one_zero, &frame_10(0, &[transfer, data].concat()));

            let text = format!("from 0-9-1 {number:04};");
            harness.say(self.zero_nine_one, &publish(QUEUE_10, text.as_bytes()));
        }
        self.check_heard(harness);
    }

    /// Sends messages to a queue that belongs to neither.
    pub(super) fn leave_in_shared(&mut self, harness: &mut Harness) {
        for body in [&b"one"[..], &[0x2a; 700], b"three"] {
            harness.say(self.zero_nine_one, &publish("shared", body));
        }
    }

    fn check_heard(&self, harness: &mut Harness) {
        for (index, from) in [(self.one_zero, "0-9-1"), (self.zero_nine_one, "1.0")] {
            assert!(harness.is_open(index), "a good peer's connection stays open");
            let mut rest = harness.heard(index);
            for number in 0..self.sent {
                let text = format!("from {from} {number:04};");
                let at = rest.windows(text.len()).position(|window| window == text.as_bytes());
                let at = at.unwrap_or_else(|| panic!("no message {text:?}, or it is out of order"));
                rest = &rest[at + text.len()..];
            }
        }
    }

    /// Accepts all messages at both.
    pub(super) fn settle(&self, harness: &mut Harness) {
        let accepted = [&uint(0)[..], &uint(self.sent - 1), &[0x41], &[0, 0x53, 0x24, 0x45]].concat();
        let disposition = performative(0x15, 5, &[&[0x41], &accepted]);
        harness.say(self.one_zero, &frame_10(0, &disposition));
        // Tag 0 with multiple: all.
        harness.say(self.zero_nine_one, &method(1, 60, 80, b"\0\0\0\0\0\0\0\0\x01"));
    }

    /// Whether an address is that of one of their queues.
    pub(super) fn owns(address: &str) -> bool {
        address == QUEUE_10 || address == QUEUE_091
    }

    pub(super) fn leave(self, harness: &mut Harness) {
        harness.disconnect(self.one_zero);
        harness.disconnect(self.zero_nine_one);
    }
}

/// Returns a basic.publish to the default exchange, with its content.
fn publish(queue: &str, body: &[u8]) -> Vec<u8> {
    let size = (body.len() as u64).to_be_bytes();
    [
        method(1, 60, 40, &[&[0, 0, 0][..], &short(queue), &[0]].concat()),
        frame_091(2, 1, &[&[0, 60, 0, 0][..], &size, &[0, 0]].concat()),
        frame_091(3, 1, body),
    ]
    .concat()
}
