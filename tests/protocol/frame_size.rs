//! 2.3 and 2.7.1: max-frame-size, both ways. The scripted peer refuses frames larger than it said.

use fakebroker::Broker;

use crate::support::*;

/// As many bytes as asked for, no two hundred alike.
fn bytes(count: usize) -> Vec<u8> {
    (0..count as u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()).take(count).collect()
}

/// A message of one data section.
fn data(count: usize) -> Vec<u8> {
    section(DATA, bytes(count).into())
}

/// Sends a message in frames of a size.
#[track_caller]
fn send_in_frames(peer: &mut Peer, handle: u32, payload: &[u8], frame_size: usize) -> u32 {
    let id = peer.next_delivery_id();
    let mut rest = payload;
    let mut first = true;
    let mut segment = Vec::new();
    while first || !rest.is_empty() {
        let start = if first { transfer(handle, id) } else { continuation(handle) }.with("more", true);
        let (part, after) = rest.split_at(rest.len().min(frame_size - start.bytes().len()));
        segment.extend(start.with("more", !after.is_empty()).with_payload(part).bytes());
        rest = after;
        first = false;
    }
    peer.send(segment);
    id
}

#[test]
fn the_broker_keeps_to_what_the_peer_takes() {
    let broker = Broker::start().unwrap();
    for max in [512u32, 513, 1000, 4096, 65536, 1 << 20] {
        let mut receiver = Peer::opened_with(&broker, open().with("max-frame-size", max), begin());
        receiver.attach_receiver("r", 0, "a", 100);
        receiver.expect_nothing();
        let mut sender = Peer::sender(&broker, "a");
        for size in [0, 1, 400, 440, 450, 460, 470, 480, 512, 5000, 60_000] {
            let payload = data(size);
            let id = sender.send_payload(0, payload.clone());
            assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
            let (received, transfers) = receiver.expect_delivery();
            assert!(received == payload, "{size} bytes over frames of {max}");
            // Frames are used well: a header and a performative take less than a quarter of the smallest.
            let fewest = payload.len().div_ceil(max as usize * 3 / 4).max(1);
            assert!(transfers <= fewest, "{transfers} transfers of {max} for {size} bytes");
        }
        receiver.close();
    }
}

#[test]
fn the_broker_takes_what_it_says() {
    for max in [512u32, 1000, 65536, 1 << 20] {
        let broker = Broker::builder().max_frame_size(max).start().unwrap();
        let mut receiver = Peer::ready_receiver(&broker, "a", 100);
        let mut sender = Peer::greeted(&broker);
        sender.send(open());
        assert_eq!(sender.expect_open().number("max-frame-size"), max.into());
        sender.begin(begin());
        sender.attach_sender("s", 0, "a");
        // Full frames, and odd ones.
        for frame_size in [max as usize, max as usize - 1, 300] {
            let payload = data(3000);
            let id = send_in_frames(&mut sender, 0, &payload, frame_size);
            assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
            assert!(receiver.expect_delivery().0 == payload, "frames of {frame_size}, at most {max}");
        }
    }
}

#[test]
fn both_at_512() {
    let broker = Broker::builder().max_frame_size(512).start().unwrap();
    let mut receiver = Peer::opened_with(&broker, open().with("max-frame-size", 512u32), begin());
    receiver.attach_receiver("r", 0, "a", 100);
    receiver.expect_nothing();
    let mut sender = Peer::opened_with(&broker, open().with("max-frame-size", 512u32), begin());
    sender.attach_sender("s", 0, "a");
    let payload = data(100_000);
    let id = send_in_frames(&mut sender, 0, &payload, 512);
    assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
    assert!(receiver.expect_delivery().0 == payload);
}

#[test]
fn answers_fit_small_frames() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened_with(&broker, open().with("max-frame-size", 512u32), begin());
    // What is repeated in an attach may be long: here the name and an address, 200 bytes each.
    let long = "x".repeat(200);
    peer.attach_sender(&long, 0, &long);
    let id = peer.send_message(0, "lost");
    let outcome = peer.expect_outcome_of(id);
    assert_eq!((outcome.state(), outcome.condition().as_str()), (REJECTED, NOT_FOUND));
    // 5,000 outcomes at once, none of them in the same range.
    peer.attach_sender("queue", 1, "queue.a");
    peer.send_accepted(1, &vec!["x"; 900]);
}

#[test]
fn a_large_description_is_shortened_for_small_frames() {
    let broker = Broker::builder().settlement(fakebroker::Settlement::EndToEnd).start().unwrap();
    let mut sender = Peer::opened_with(&broker, open().with("max-frame-size", 512u32), begin());
    let mut receiver = Peer::ready_receiver(&broker, "a", 10);
    sender.attach_sender("s", 0, "a");
    let id = sender.send_message(0, "hello");
    let delivery = receiver.expect_transfer();
    let state = composite(REJECTED, &[("error", error("x-own:condition", &"\u{e9}".repeat(5000)))]);
    receiver.settle(&delivery, state);
    let outcome = sender.expect_outcome_of(id);
    assert_eq!((outcome.state(), outcome.condition().as_str()), (REJECTED, "x-own:condition"));
}
