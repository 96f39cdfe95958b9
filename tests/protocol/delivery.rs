//! 2.6.12 to 2.6.14: deliveries in many transfers, interleaved, aborted; tags; what is too large for a receiver.

use fakebroker::Broker;

use crate::support::*;

/// The parts of a delivery, each a transfer.
fn parts(handle: u32, id: u32, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let count = payload.chunks(size).len();
    let part = |(number, part): (usize, &[u8])| {
        let start = if number == 0 { transfer(handle, id) } else { continuation(handle) };
        start.with("more", number + 1 < count).with_payload(part).bytes()
    };
    payload.chunks(size).enumerate().map(part).collect()
}

#[test]
fn two_links_of_a_session_interleave_their_deliveries() {
    let broker = Broker::start().unwrap();
    let mut one = Peer::ready_receiver(&broker, "one", 1000);
    let mut other = Peer::ready_receiver(&broker, "other", 1000);
    let mut sender = Peer::opened(&broker);
    sender.attach_sender("one", 0, "one");
    sender.attach_sender("other", 1, "other");
    let long = message(&"long".repeat(100));
    let longer = message(&"longer".repeat(100));
    // Turn by turn, and the second is whole before the first.
    let mut frames = Vec::new();
    let (first, second) = (parts(0, 0, &longer, 20), parts(1, 1, &long, 20));
    assert!(first.len() > second.len());
    for (turn, part) in first.iter().enumerate() {
        frames.extend([part.clone(), second.get(turn).cloned().unwrap_or_default()].concat());
    }
    sender.send(frames);
    for outcome in sender.outcomes_of(0..2) {
        assert_eq!(outcome.state(), ACCEPTED);
    }
    assert_eq!(one.expect_transfer().payload, longer);
    assert_eq!(other.expect_transfer().payload, long);
}

#[test]
fn transfers_may_repeat_what_the_first_said() {
    let broker = Broker::start().unwrap();
    let mut receiver = Peer::ready_receiver(&broker, "a", 1000);
    let mut sender = Peer::sender(&broker, "a");
    // 2.7.5: on a continuation, id, tag and format may be left out or must be the same.
    let payload = message("in three parts");
    sender.send(transfer(0, 0).with("more", true).with_payload(&payload[..5]));
    sender.send(transfer(0, 0).with("more", true).with("settled", false).with_payload(&payload[5..6]));
    sender.send(continuation(0).with("delivery-id", 0u32).with_payload(&payload[6..]));
    assert_eq!(sender.expect_outcome_of(0).state(), ACCEPTED);
    assert_eq!(receiver.expect_transfer().payload, payload);
}

#[test]
fn a_delivery_is_settled_by_any_of_its_transfers() {
    let broker = Broker::start().unwrap();
    let mut receiver = Peer::ready_receiver(&broker, "a", 1000);
    let mut sender = Peer::sender(&broker, "a");
    // 2.7.5: settled on the last one is enough.
    for (id, settled) in [(true, false, false), (false, true, false), (false, false, true)].into_iter().enumerate() {
        let part = |start: Performative, settled: bool| if settled { start.with("settled", true) } else { start };
        let payload = message("hello");
        sender.send(part(transfer(0, id as u32).with("more", true), settled.0).with_payload(&payload[..3]));
        sender.send(part(continuation(0).with("more", true), settled.1).with_payload(&payload[3..4]));
        sender.send(part(continuation(0), settled.2).with_payload(&payload[4..]));
        sender.expect_nothing();
        let delivery = receiver.expect_transfer();
        assert!(delivery.flag("settled"), "{settled:?}");
        assert_eq!(delivery.payload, payload);
    }
}

#[test]
fn an_aborted_delivery_never_was() {
    let broker = Broker::builder().credit_window(2).start().unwrap();
    let mut receiver = Peer::ready_receiver(&broker, "a", 1000);
    let mut sender = Peer::sender(&broker, "a");
    // Far more often than there is credit: what is aborted uses none up.
    for round in 0..10u32 {
        let id = sender.next_delivery_id();
        sender.send(transfer(0, id).with("more", true).with_payload(&message("no")[..4]));
        sender.send(continuation(0).with("aborted", true));
        // In its only transfer, too, with a payload that does not matter.
        sender.send(transfer(0, id + 1).with("aborted", true).with_payload(message("nor this")));
        sender.expect_nothing();
        sender.send_accepted(0, &["yes"]);
        assert_eq!(receiver.arrived_texts(), ["yes"], "round {round}");
    }
    assert_eq!(broker.counts().direct, 10);
}

#[test]
fn an_unfinished_delivery_goes_with_its_link() {
    let broker = Broker::start().unwrap();
    let mut receiver = Peer::ready_receiver(&broker, "a", 1000);
    let mut sender = Peer::opened(&broker);
    for closed in [true, false] {
        sender.attach_sender("s", 0, "a");
        let id = sender.next_delivery_id();
        sender.send(transfer(0, id).with("more", true).with_payload(&message("half")[..4]));
        sender.send(detach(0).with("closed", closed));
        sender.expect_detach();
        sender.attach_sender("s", 0, "a");
        sender.send_accepted(0, &["whole"]);
        assert_eq!(receiver.arrived_texts(), ["whole"]);
        sender.send(detach(0));
        sender.expect_detach();
    }
}

#[test]
fn tags_are_a_links_own() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::opened(&broker);
    sender.attach_sender("one", 0, "queue.a");
    sender.attach_sender("other", 1, "queue.a");
    // 2.6.12: the same tag on two links, both unsettled at once, and again when it is settled; short and long.
    for tag in [vec![], vec![0], vec![7; 32]] {
        let id = sender.next_delivery_id();
        let with_tag = |handle: u32, id: u32| {
            transfer(handle, id).with("delivery-tag", tag.clone()).with_payload(message("hello"))
        };
        let frames = [with_tag(0, id).bytes(), with_tag(1, id + 1).bytes()];
        sender.send(frames.concat());
        assert!(sender.outcomes_of(id..id + 2).iter().all(|outcome| outcome.state() == ACCEPTED));
    }
    let mut receiver = Peer::receiver(&broker, "queue.a", 10);
    let deliveries: Vec<_> = (0..6).map(|_| receiver.expect_transfer()).collect();
    // The broker's own are different from each other while they are unsettled.
    let mut tags: Vec<Vec<u8>> = deliveries
        .iter()
        .map(|delivery| match delivery.get("delivery-tag") {
            Value::Binary(tag) => tag,
            other => panic!("a delivery-tag of {other:?}"),
        })
        .collect();
    assert!(tags.iter().all(|tag| tag.len() <= 32));
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 6);
}

#[test]
fn message_format_passes_through() {
    let broker = Broker::start().unwrap();
    let mut receiver = Peer::ready_receiver(&broker, "a", 1000);
    let mut sender = Peer::sender(&broker, "a");
    // 2.8.11: zero is AMQP's own; a message of another is opaque bytes.
    for (id, format) in [0u32, 1, 0x8001_3700, u32::MAX].into_iter().enumerate() {
        sender.send(transfer(0, id as u32).with("message-format", format).with_payload(vec![0xff, 0x00]));
        let delivery = receiver.expect_transfer();
        assert_eq!((delivery.number("message-format"), delivery.payload), (format.into(), vec![0xff, 0x00]));
    }
    sender.send(transfer(0, 4).without("message-format").with_payload(message("hello")));
    assert!(matches!(receiver.expect_transfer().get("message-format"), Value::Null | Value::Uint(0)));
}

#[test]
fn a_message_over_a_receivers_limit_is_not_sent_to_it() {
    let broker = Broker::start().unwrap();
    let large = "x".repeat(1000);
    for address in ["plain", "unicast.a", "broadcast.a"] {
        let mut small = Peer::opened(&broker);
        small.attach(attach_receiver("small", 0, address).with("max-message-size", 100u64));
        small.grant(0, 0, 1);
        small.expect_nothing();
        let mut sender = Peer::sender(&broker, address);
        let id = sender.send_message(0, &large);
        sender.expect_outcome_of(id);
        // 2.7.3: it must not be sent; the link is none the worse for it, and has its credit still.
        small.expect_nothing();
        sender.send_accepted(0, &["small"]);
        assert_eq!(small.receive_texts(1), ["small"], "{address}");
        // Nobody has said anything that could be counted as an outcome.
        assert_eq!(broker.counts().modified, 0);
        small.close();
    }
}

#[test]
fn a_receivers_limit_is_what_it_takes_at_most() {
    let broker = Broker::start().unwrap();
    let exact = message("exactly");
    let mut sender = Peer::sender(&broker, "a");
    // 2.7.3: zero is no limit.
    for limit in [exact.len() as u64, 0, u64::MAX] {
        let mut receiver = Peer::opened(&broker);
        receiver.attach(attach_receiver("r", 0, "a").with("max-message-size", limit));
        receiver.grant(0, 0, 1);
        receiver.expect_nothing();
        sender.send_accepted(0, &["exactly"]);
        assert_eq!(receiver.expect_transfer().payload, exact);
        receiver.close();
    }
}

#[test]
fn a_message_over_the_brokers_limit_costs_its_link_and_no_other() {
    let broker = Broker::builder().max_message_size(1000).start().unwrap();
    let mut sender = Peer::opened(&broker);
    sender.attach_sender("one", 0, "queue.a");
    sender.attach_sender("other", 1, "queue.a");
    // What is under way when the link is detached is discarded (2.6.5), and the session's ids go on.
    let frames = [
        transfer(0, 0).with_payload(vec![0; 1001]).bytes(),
        transfer(0, 1).with_payload(message("discarded")).bytes(),
        transfer(1, 2).with_payload(message("hello")).bytes(),
    ];
    sender.send(frames.concat());
    sender.expect_detach_with(MESSAGE_SIZE_EXCEEDED);
    assert_eq!(sender.expect_outcome_of(2).state(), ACCEPTED);
    assert_eq!(broker.counts().queued, 1);
}
