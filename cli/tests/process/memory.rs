//! Memory follows what has arrived, not the numbers in a field.

use crate::command::Command;
use crate::support::*;

const MIB: u64 = 1024 * 1024;

// 2.6.2: a handle is a name, not a size.
#[test]
fn a_high_handle_costs_no_more_than_a_low_one() {
    let broker = Command::start(&[]);
    let mut peer = Peer::greeted(&broker);
    peer.send(open().with("channel-max", 1023u16));
    peer.expect_open();
    let before = broker.memory();
    for channel in 0..200 {
        let attach = attach_receiver(&format!("n{channel}"), 65535, "x").on_channel(channel);
        peer.send([begin().on_channel(channel).bytes(), attach.bytes()].concat());
        peer.expect(BEGIN);
        peer.expect(ATTACH);
    }
    let grown = broker.memory() - before;
    assert!(grown < 8 * MIB, "{grown} bytes for 200 links");
}

/// A receiver with credit for ever and a window that is closed.
fn stuck(broker: &Command) -> Peer {
    let mut peer = Peer::opened_with(broker, open(), begin().with("incoming-window", 0u32));
    peer.attach(attach_receiver("r", 0, "a"));
    let flow = peer.link_flow(0, 0, 1 << 30).with("incoming-window", 0u32);
    peer.send(flow);
    peer.expect_nothing();
    peer
}

#[test]
fn messages_without_a_byte_behind_a_closed_window_are_bounded() {
    let broker = Command::start(&[]);
    let _stuck = stuck(&broker);
    let mut sender = Peer::sender(&broker, "a");
    let before = broker.memory();
    // The credit that there is, and no more of it comes.
    let transfers: Vec<u8> = (0..1000).flat_map(|id| transfer(0, id).with("settled", true).bytes()).collect();
    sender.send(transfers);
    sender.round_trip();
    let grown = broker.memory().saturating_sub(before);
    assert!(grown < 4 * MIB, "{grown} bytes for 1000 empty messages");
}

#[test]
fn a_small_message_that_waits_does_not_pin_what_was_read_with_it() {
    let broker = Command::start(&[]);
    let _stuck = stuck(&broker);
    let mut sender = Peer::sender(&broker, "a");
    let before = broker.memory();
    for id in 0..900 {
        let mut bytes = transfer(0, id).with("settled", true).with_payload(vec![0u8; 1]).bytes();
        while bytes.len() < 60_000 {
            bytes.extend([0, 0, 0, 8, 2, 0, 0, 0]);
        }
        sender.send(bytes);
        if id % 100 == 99 {
            sender.round_trip();
        }
    }
    let grown = broker.memory().saturating_sub(before);
    assert!(grown < 8 * MIB, "{grown} bytes for 900 messages of one byte");
}

#[test]
fn nothing_is_allocated_for_bytes_that_have_not_arrived() {
    const GIB: u32 = 1 << 30;
    let command = Command::start(&["--max-frame-size", "1073741824"]);
    let mut bystander = Bystander::new(&command);
    let before = command.reserved_memory();
    let unfinished = [
        // A frame of a gigabyte, of which the header is here.
        frame_with_size(GIB, 2, 0, 0, b""),
        frame_with_size(GIB, 2, 0, 0, &open().body()),
    ];
    let mut peers = Vec::new();
    for bytes in unfinished.iter().cycle().take(8) {
        let mut peer = Peer::greeted(&command);
        peer.send(bytes);
        peers.push(peer);
    }
    // Whole frames whose values announce gigabytes.
    let announcing: [&[u8]; 6] = [
        b"\xb1\x3f\xff\xff\xff",
        b"\xb0\x3f\xff\xff\xff",
        b"\xd0\x3f\xff\xff\xff\x3f\xff\xff\xff",
        b"\xd1\x3f\xff\xff\xff\x3f\xff\xff\xfe",
        b"\xf0\x3f\xff\xff\xff\x3f\xff\xff\xff\x70",
        b"\xf0\x00\x00\x00\x05\x3f\xff\xff\xff\x40",
    ];
    for value in announcing {
        let mut peer = Peer::greeted(&command);
        peer.send(open().with("properties", raw(value)));
        peer.expect_refused_with(DECODE_ERROR);
    }
    bystander.undisturbed();
    let grown = command.reserved_memory().saturating_sub(before);
    assert!(grown < u64::from(GIB) / 4, "{grown} bytes reserved for bytes that never came");
}
