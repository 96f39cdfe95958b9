//! Targets: bytes from a peer into an engine, beside a router and two good peers. Afterwards nothing of the peer is left, and
//! the good ones have their messages.
//!
//! The first octet of an input says how (see [`Way`]), the others are what the peer sends. Either as they are, in pieces; or
//! as the bodies of frames, whose sizes are set right so that a fuzzer need not find them.

use super::good::{Good, frame_10, frame_091, handshake_10, handshake_091};
use super::harness::Harness;
use crate::config::{Config, Settlement};
use crate::event::Run;

/// What the first octet of an input says.
struct Way(u8);

impl Way {
    /// The connection is open already.
    fn is_open(&self) -> bool {
        self.0 & 1 != 0
    }

    /// The input is the bodies of frames: for each an octet for kind and channel, and one for its size.
    fn is_framed(&self) -> bool {
        self.0 & 2 != 0
    }

    fn is_end_to_end(&self) -> bool {
        self.0 & 4 != 0
    }

    /// The peer does not read what it is sent.
    fn reads_nothing(&self) -> bool {
        self.0 & 8 != 0
    }

    /// Little can wait.
    fn is_tight(&self) -> bool {
        self.0 & 16 != 0
    }

    /// All deadlines of the peer come while it sends.
    fn takes_time(&self) -> bool {
        self.0 & 32 != 0
    }

    /// Frames are as small as can be, and so is an outbox.
    fn is_small(&self) -> bool {
        self.0 & 64 != 0
    }

    /// Each message comes alone, as with a hook.
    fn is_one_by_one(&self) -> bool {
        self.0 & 128 != 0
    }

    fn harness(&self) -> Harness {
        let mut config = Config::default();
        config.engine.container_id = "fuzzed".into();
        config.engine.channel_max = 15;
        config.engine.max_links = 64;
        config.engine.max_message_size = 64 * 1024;
        config.routing.storage_limit = if self.is_tight() { 4 * 1024 } else { 1024 * 1024 };
        config.routing.backlog_limit = 8;
        if self.is_end_to_end() {
            config.routing.settlement = Settlement::EndToEnd;
        }
        if self.is_small() {
            config.engine.max_frame_size = 4096;
        }
        let run_limit = if self.is_one_by_one() { 1 } else { Run::MAX };
        Harness::new(config, run_limit, if self.is_small() { 512 } else { 64 * 1024 })
    }
}

/// Bytes into the engine of 1.0.
pub fn amqp_10(input: &[u8]) {
    run(input, &handshake_10(), |first, body| match first & 0x80 {
        0 => frame_10(first & 3, body),
        _ => body.to_vec(),
    });
}

/// Bytes into the engine of 0-9-1 and its predecessors.
pub fn amqp_091(input: &[u8]) {
    run(input, &handshake_091(), |first, body| match first & 0x80 {
        0 => frame_091((first >> 4) & 0xf, first & 3, body),
        _ => body.to_vec(),
    });
}

fn run(input: &[u8], handshake: &[u8], frame: impl Fn(u8, &[u8]) -> Vec<u8>) {
    let Some((first, input)) = input.split_first() else { return };
    // Who knows the good peers' queues may take what is in them.
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

    // What the peer has left to others stays, until somebody wants it gone.
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

/// The input as it is, in pieces of a size that its first octet says.
fn pieces(input: &[u8]) -> Vec<Vec<u8>> {
    let Some((size, rest)) = input.split_first() else { return Vec::new() };
    let size = match size {
        0 => usize::MAX,
        size => usize::from(*size) * 4,
    };
    rest.chunks(size).map(<[u8]>::to_vec).collect()
}

/// The input as the bodies of frames. 0xff as the size is followed by two octets that say it.
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
