//! Queue addresses: stored until a receiver takes and settles it. What comes back is in `queue_return.rs`.

use fakebroker::Broker;

use crate::support::*;

/// 2.7.4: the answer to a drain says that nothing is left of the credit.
#[track_caller]
fn expect_drained(peer: &mut Peer, handle: u64, delivery_count: u64) {
    let flow = peer.expect_link_flow();
    assert_eq!(flow.number("handle"), handle, "{flow:?}");
    assert_eq!(flow.number("delivery-count"), delivery_count, "{flow:?}");
    assert_eq!(flow.number("link-credit"), 0, "{flow:?}");
    assert!(flow.flag("drain"), "{flow:?}");
}

#[test]
fn what_is_sent_before_any_receiver_is_stored() {
    let broker = Broker::start().unwrap();
    Peer::sender_of(&broker, "queue.a", &["1", "2", "3"]).close();
    assert_eq!(counted_here(&broker), [("queued", 3)]);
    let mut receiver = Peer::receiver(&broker, "queue.a", 2);
    assert_eq!(receiver.receive_texts(2), ["1", "2"]);
    receiver.expect_nothing();
    receiver.grant(0, 2, 2);
    let third = receiver.expect_transfer();
    assert_eq!(text(&third.payload), "3");
    receiver.settle(&third, accepted());
    receiver.expect_nothing();
    assert_eq!(counted_here(&broker), [("topic", 3), ("queued", 3), ("accepted", 1)]);
}

/// Without the live counters.
fn counted_here(broker: &Broker) -> Vec<(&'static str, u64)> {
    let live = ["connections", "sender_links", "receiver_links"];
    counted(broker).into_iter().filter(|(name, _)| !live.contains(name)).collect()
}

#[test]
fn each_message_is_for_one_of_the_receivers() {
    let broker = Broker::start().unwrap();
    let mut receivers: Vec<Peer> = (0..3).map(|_| Peer::receiver(&broker, "queue.a", 4)).collect();
    receivers.iter_mut().for_each(|receiver| receiver.expect_nothing());
    Peer::sender_of(&broker, "queue.a", &["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let mut all = Vec::new();
    for receiver in &mut receivers {
        let texts = receiver.arrived_texts();
        assert_eq!(texts.len(), 3, "they take turns");
        assert!(texts.is_sorted(), "in order: {texts:?}");
        all.extend(texts);
    }
    all.sort();
    assert_eq!(all, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

#[test]
fn drain_on_an_empty_queue_uses_up_the_credit() {
    let broker = Broker::start().unwrap();
    let mut receiver = Peer::receiver(&broker, "queue.a", 0);
    let drain = receiver.link_flow(0, 0, 5).with("drain", true);
    receiver.send(drain);
    expect_drained(&mut receiver, 0, 5);
    Peer::sender_of(&broker, "queue.a", &["1"]);
    receiver.expect_nothing();
    receiver.grant(0, 5, 1);
    assert_eq!(receiver.receive_texts(1), ["1"]);
}

#[test]
fn drain_on_a_queue_takes_what_is_there() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::sender_of(&broker, "queue.a", &["1", "2", "3"]);
    let mut receiver = Peer::receiver(&broker, "queue.a", 0);
    // Less credit than messages, then more.
    let drain = receiver.link_flow(0, 0, 2).with("drain", true);
    receiver.send(drain);
    assert_eq!(receiver.receive_texts(2), ["1", "2"]);
    expect_drained(&mut receiver, 0, 2);
    let drain = receiver.link_flow(0, 2, 10).with("drain", true);
    receiver.send(drain);
    assert_eq!(receiver.receive_texts(1), ["3"]);
    expect_drained(&mut receiver, 0, 12);
    sender.send_accepted(0, &["4"]);
    receiver.expect_nothing();
    // 2.6.7: drain holds until the next flow says otherwise.
    let drain = receiver.link_flow(0, 12, 10).with("drain", true);
    receiver.send(drain);
    assert_eq!(receiver.receive_texts(1), ["4"]);
    expect_drained(&mut receiver, 0, 22);
}

#[test]
fn a_receiver_that_asks_for_settled_takes_without_answering() {
    let broker = Broker::start().unwrap();
    Peer::sender_of(&broker, "queue.a", &["1", "2"]);
    let mut taking = Peer::opened(&broker);
    taking.attach(attach_receiver("r", 0, "queue.a").with("snd-settle-mode", 1u8));
    taking.grant(0, 0, 1);
    let first = taking.expect_transfer();
    assert!(first.flag("settled"), "{first:?}");
    lose(&broker, taking);
    let mut next = Peer::receiver(&broker, "queue.a", 10);
    assert_eq!(next.arrived_texts(), ["2"]);
}

#[test]
fn a_message_that_came_settled_is_still_delivered_unsettled() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::sender(&broker, "queue.a");
    sender.send(transfer(0, 0).with("settled", true).with_payload(message("1")));
    sender.expect_nothing();
    let mut losing = Peer::receiver(&broker, "queue.a", 1);
    let delivery = losing.expect_transfer();
    assert!(!delivery.flag("settled"), "{delivery:?}");
    lose(&broker, losing);
    assert_eq!(Peer::receiver(&broker, "queue.a", 10).receive_texts(1), ["1"]);
}

#[test]
fn a_rejected_message_is_gone() {
    let broker = Broker::start().unwrap();
    Peer::sender_of(&broker, "queue.a", &["1", "2"]);
    let mut rejecting = Peer::receiver(&broker, "queue.a", 1);
    let first = rejecting.expect_transfer();
    rejecting.settle(&first, rejected());
    rejecting.close();
    assert_eq!(broker.counts().rejected, 1);
    assert_eq!(Peer::receiver(&broker, "queue.a", 10).arrived_texts(), ["2"]);
}

#[test]
fn a_message_too_large_for_one_receiver_is_for_another() {
    let broker = Broker::start().unwrap();
    let large = "x".repeat(1000);
    // 2.7.3: the sending end must not send what is larger, settled or not.
    let rows = [("unsettled", 0u8, "queue.a"), ("settled", 1, "queue.b"), ("mixed", 2, "queue.c")];
    each_row(rows.map(|(name, mode, address)| (name, (mode, address))), |(mode, address)| {
        let mut small = Peer::opened(&broker);
        let attach = attach_receiver("r", 0, address).with("snd-settle-mode", mode).with("max-message-size", 100u64);
        small.attach(attach);
        small.grant(0, 0, 1);
        small.expect_nothing();
        Peer::sender_of(&broker, address, &["small", &large]);
        assert_eq!(small.receive_texts(1), ["small"]);
        small.grant(0, 1, 1);
        small.expect_nothing();
        let mut any = Peer::receiver(&broker, address, 10);
        assert_eq!(any.receive_texts(1), [large.as_str()]);
        // The credit that the large one did not use is still there.
        any.grant(0, 1, 0);
        any.expect_nothing();
        Peer::sender_of(&broker, address, &["small, too"]);
        assert_eq!(small.receive_texts(1), ["small, too"]);
    });
}
