//! Fuzz targets for the engines: bytes from a peer, beside a router and two well-behaved peers. Afterwards nothing of the peer is
//! left, and the well-behaved peers have their messages.
//!
//! The first octet of an input has options ([`Way`]), the others are what the peer sends: as they are, in pieces, or as the
//! bodies of frames, whose sizes are then right.

use super::good::{Good, frame_10, frame_091, handshake_10, handshake_091};
use super::harness::Harness;
use crate::config::{Config, Settlement};
use crate::event::Run;

/// The options in the first octet of an input.
struct Way(u8);

impl Way {
    /// Whether the connection is open already.
    fn is_open(&self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether the input is the bodies of frames: for each an octet for kind and channel, and one for its size.
    fn is_framed(&self) -> bool {
        self.0 & 2 != 0
    }

    fn is_end_to_end(&self) -> bool {
        self.0 & 4 != 0
    }

    /// Whether the peer does not read what it is sent.
    fn reads_nothing(&self) -> bool {
        self.0 & 8 != 0
    }

    /// Whether the storage limit is small.
    fn is_tight(&self) -> bool {
        self.0 & 16 != 0
    }

    /// Whether the peer's deadlines come while it sends.
    fn takes_time(&self) -> bool {
        self.0 & 32 != 0
    }

    /// Whether frames and outboxes are small.
    fn is_small(&self) -> bool {
        self.0 & 64 != 0
    }

    /// Whether each run has one message, as with a hook.
    fn is_one_by_one(&self) -> bool {
        self.0 & 128 != 0
    }

    fn harness(&self) -> Harness {
        let mut config = Config::default();
        config.engine.container_id = "fuzzed".into();
        config.engine.channel_max = 15;
        config.engine.highest_channel = 15;
        config.engine.max_links = 64;
        config.engine.max_message_size = 64 * 1024;
        config.routing.storage_limit = if self.is_tight() { 4 * 1024 } else { 1024 * 1024 };
        config.routing.backlog_limit = 8;
        if self.is_end_to_end() {
            config.routing.settlement = Settlement::EndToEnd;
        }
        if self.is_small() {
            config.engine.max_frame_size = 4096;
            config.engine.frame_max = 4096;
        }
        let run_limit = if self.is_one_by_one() { 1 } else { Run::MAX };
        Harness::new(config, run_limit, if self.is_small() { 512 } else { 64 * 1024 })
    }
}

/// Feeds bytes to the engine of 1.0.
pub fn amqp_10(input: &[u8]) {
    run(input, &handshake_10(), |first, body| match first & 0x80 {
        0 => frame_10(first & 3, body),
        _ => body.to_vec(),
    });
}

/// Feeds bytes to the engine of 0-9-1 and its predecessors.
pub fn amqp_091(input: &[u8]) {
    run(input, &handshake_091(), |first, body| match first & 0x80 {
        0 => frame_091((first >> 4) & 0xf, first & 3, body),
        _ => body.to_vec(),
    });
}

fn run(input: &[u8], handshake: &[u8], frame: impl Fn(u8, &[u8]) -> Vec<u8>) {
    let Some((first, input)) = input.split_first() else { return };
    // An input that names the well-behaved peers' queues may consume from them.
    if input.windows(Good::SECRET.len()).any(|window| window == Good::SECRET) {
        return;
    }
    let way = Way(*first);
    let mut harness = way.harness();
    let mut good = Good::meet(&mut harness);
    good.exchange(&mut harness, 3);
    let before = harness.audit();
    good.leave_in_shared(&mut harness);

    let peer = harness.connect(!way.reads_nothing());
    if way.is_open() {
        harness.say(peer, handshake);
        assert!(harness.is_open(peer));
    }
    let pieces = if way.is_framed() { framed(input, frame) } else { pieces(input) };
    for piece in pieces {
        harness.say(peer, &piece);
        if way.takes_time() {
            harness.wait_for_deadline(peer);
        }
    }
    harness.audit();
    harness.wait_for_deadline(peer);
    harness.disconnect(peer);

    // Messages that the peer has sent to other nodes stay until they are purged.
    for info in harness.router.addresses() {
        if !Good::owns(&info.address) {
            harness.router.purge(&info.address);
        }
    }
    assert_eq!(harness.audit(), before, "as it was before the peer came");
    good.settle(&mut harness);
    good.exchange(&mut harness, 2);
    good.settle(&mut harness);
    let after = harness.audit();
    assert_eq!((after.waiting, after.outstanding, after.bytes), (0, 0, 0));
    good.leave(&mut harness);
    harness.router.undeclare_all();
    harness.router.purge_all();
    assert_eq!(harness.audit(), crate::router::Audit::default());
    assert!(harness.router.addresses().is_empty(), "{:?}", harness.router.addresses());
    assert!(harness.router.poll_effect().is_none());
}

/// Returns the input in pieces, whose size its first octet says.
fn pieces(input: &[u8]) -> Vec<Vec<u8>> {
    let Some((size, rest)) = input.split_first() else { return Vec::new() };
    let size = match size {
        0 => usize::MAX,
        size => usize::from(*size) * 4,
    };
    rest.chunks(size).map(<[u8]>::to_vec).collect()
}

/// Returns the input as frames. A size of 0xff is followed by two octets with the size.
fn framed(mut input: &[u8], frame: impl Fn(u8, &[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    loop {
        let (first, size, rest) = match input {
            [first, 0xff, high, low, rest @ ..] => (first, usize::from(u16::from_be_bytes([*high, *low])), rest),
            [first, size, rest @ ..] => (first, usize::from(*size), rest),
            _ => return frames,
        };
        let (body, rest) = rest.split_at(size.min(rest.len()));
        frames.push(frame(*first, body));
        input = rest;
    }
}
