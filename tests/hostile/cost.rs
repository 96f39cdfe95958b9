//! Work in the broker that must not grow with the square of what a peer sent. Compares the broker's processor time for a load
//! and for eight times that load, which does not depend on how busy the machine is.

use fakebroker::Broker;

use crate::support::*;

// 3.4.5: merging annotations looks at each once.
#[test]
#[cfg(target_os = "linux")]
fn the_cost_of_a_message_with_many_annotations_grows_no_faster_than_they_do() {
    expect_eight_times_as_much_costs_at_most(24, 12_500, || Broker::start().unwrap(), release_with_annotations);
}

/// Sends a message with `count` annotations to a queue and releases it, once with nothing to merge, once with something.
fn release_with_annotations(broker: &Broker, count: usize) {
    let mut receiver = Peer::receiver(broker, "queue.a", 1);
    let mut sender = Peer::sender(broker, "queue.a");
    let mut entries = Vec::new();
    for n in 0..count {
        entries.extend([0xa3, 6]);
        entries.extend(format!("{n:06x}").as_bytes());
        entries.push(0x40);
    }
    let mut payload = vec![0, 0x53, 0x72, 0xd1];
    payload.extend((entries.len() as u32 + 4).to_be_bytes());
    payload.extend((2 * count as u32).to_be_bytes());
    payload.extend(entries);
    payload.extend(message("m"));
    let pieces: Vec<&[u8]> = payload.chunks(60_000).collect();
    for (index, piece) in pieces.iter().enumerate() {
        let transfer = if index == 0 { transfer(0, 0) } else { continuation(0) };
        sender.send(transfer.with("more", index + 1 < pieces.len()).with_payload(piece.to_vec()));
    }
    sender.expect_outcome_of(0);
    receiver.expect_delivery();
    let annotations = composite(MODIFIED, &[("message-annotations", Value::Map(vec![(symbol("x"), 1u32.into())]))]);
    for (count, state) in [(1, released()), (2, annotations)] {
        let settle = disposition(true, count - 1, state).with("settled", true);
        receiver.send([settle.bytes(), receiver.link_flow(0, count, 1).bytes()].concat());
        receiver.expect_delivery();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_cost_of_many_links_at_one_address_grows_no_faster_than_they_do() {
    expect_eight_times_as_much_costs_at_most(
        24,
        5000,
        || Broker::start().unwrap(),
        |broker, count| {
            let mut peer = Peer::opened(broker);
            for handle in 0..count as u32 {
                peer.send(attach_receiver(&format!("r{handle}"), handle, "x"));
                if handle % 200 == 199 {
                    peer.round_trip();
                }
            }
            peer.send(end());
            peer.expect_end();
            assert_eq!(broker.counts().receiver_links, 0);
        },
    );
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
