//! What costs the peer little must not cost the broker much: memory that follows a number in a field, work that grows with
//! the square of what was sent. The deadlines of the peer are a hundred times what the work takes.

use fakebroker::Broker;

use crate::support::*;

// 3.4.5: merging annotations looks at each once.
#[test]
fn a_message_with_many_annotations_is_released_at_no_great_cost() {
    const ENTRIES: u32 = 100_000;
    let broker = Broker::start().unwrap();
    let mut receiver = Peer::opened(&broker);
    receiver.attach_receiver("r", 0, "queue.a", 1);
    let mut sender = Peer::opened(&broker);
    sender.attach_sender("s", 0, "queue.a");
    let mut entries = Vec::new();
    for n in 0..ENTRIES {
        entries.extend([0xa3, 6]);
        entries.extend(format!("{n:06x}").as_bytes());
        entries.push(0x40);
    }
    let mut payload = vec![0, 0x53, 0x72, 0xd1];
    payload.extend((entries.len() as u32 + 4).to_be_bytes());
    payload.extend((2 * ENTRIES).to_be_bytes());
    payload.extend(entries);
    payload.extend(message("m"));
    let pieces: Vec<&[u8]> = payload.chunks(60_000).collect();
    for (index, piece) in pieces.iter().enumerate() {
        let transfer = if index == 0 { transfer(0, 0) } else { continuation(0) };
        sender.send(transfer.with("more", index + 1 < pieces.len()).with_payload(piece.to_vec()));
    }
    sender.expect_outcome_of(0);
    while receiver.expect_transfer().flag("more") {}
    // Once with nothing to merge, once with something.
    let annotations = composite(MODIFIED, &[("message-annotations", Value::Map(vec![(symbol("x"), 1u32.into())]))]);
    for (count, state) in [(1, released()), (2, annotations)] {
        let settle = disposition(true, count - 1, state).with("settled", true);
        receiver.send([settle.bytes(), receiver.link_flow(0, count, 1).bytes()].concat());
        while receiver.expect_transfer().flag("more") {}
    }
}

#[test]
fn many_links_at_one_address_go_at_no_great_cost() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    for handle in 0..40_000 {
        peer.send(attach_receiver(&format!("r{handle}"), handle, "x"));
        if handle % 200 == 199 {
            peer.round_trip();
        }
    }
    peer.send(end());
    peer.expect_end();
    assert_eq!(broker.counts().receiver_links, 0);
}

#[test]
fn refused_links_that_are_never_detached_are_bounded() {
    let broker = Broker::builder().max_links(10).start().unwrap();
    let mut peer = Peer::opened(&broker);
    let attaches: Vec<u8> =
        (0..30).flat_map(|handle| attach_receiver(&format!("r{handle}"), handle, "x").bytes()).collect();
    peer.send(attaches);
    loop {
        match peer.hear() {
            Heard::Frame(frame) if frame.code() == END => {
                assert_eq!(frame.condition(), RESOURCE_LIMIT_EXCEEDED);
                return;
            }
            Heard::Frame(frame) => assert!(matches!(frame.code(), ATTACH | DETACH), "{frame:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[cfg(feature = "cli")]
mod memory {
    use super::*;

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
        let mut sender = Peer::opened(&broker);
        sender.attach_sender("s", 0, "a");
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
        let mut sender = Peer::opened(&broker);
        sender.attach_sender("s", 0, "a");
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
}
