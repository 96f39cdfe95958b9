//! 2.8.10: sequence numbers go round at 2^32: transfer-ids, delivery-ids and delivery-counts.

use fakebroker::Broker;

use crate::support::*;

/// A few before the end of the circle.
const NEAR_THE_END: u32 = u32::MAX - 2;

#[test]
fn transfer_ids_of_the_peer() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened_with(&broker, open(), begin().with("next-outgoing-id", NEAR_THE_END));
    peer.attach_sender("s", 0, "queue.a");
    for sent in 1..=6u32 {
        peer.send_accepted(0, &["hello"]);
        let ask = peer.flow().with("echo", true);
        peer.send(ask);
        let flow = peer.expect_session_flow();
        assert_eq!(flow.number("next-incoming-id") as u32, NEAR_THE_END.wrapping_add(sent));
    }
}

#[test]
fn the_whole_window_across_the_end() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::greeted(&broker);
    peer.send(open());
    peer.expect_open();
    // The far end of the window is beyond the circle's, its near end before it, all the way through.
    peer.begin(begin().with("next-outgoing-id", u32::MAX - 1500));
    peer.attach_sender("s", 0, "queue.a");
    for _ in 0..10 {
        peer.send_accepted(0, &vec!["hello"; 300]);
        peer.expect_nothing();
    }
    assert_eq!(broker.counts().queued, 3000);
}

#[test]
fn delivery_ids_of_the_peer() {
    let broker = Broker::builder().settlement(fakebroker::Settlement::EndToEnd).start().unwrap();
    let mut receiver = Peer::ready_receiver(&broker, "a", 100);
    let mut sender = Peer::sender(&broker, "a");
    let ids: Vec<u32> = (0..6).map(|step| NEAR_THE_END.wrapping_add(step)).collect();
    for id in &ids {
        sender.send(transfer(0, *id).with_payload(message("hello")));
    }
    let deliveries: Vec<_> = (0..6).map(|_| receiver.expect_transfer()).collect();
    // Out of order, then a range that goes across.
    receiver.settle(&deliveries[4], released());
    assert_eq!(covered(&sender.expect_disposition()), [ids[4]]);
    receiver.send(disposition(RECEIVER, 0, accepted()).with("last", 3u32));
    let mut told = Vec::new();
    while told.len() < 4 {
        told.extend(covered(&sender.expect_disposition()));
    }
    assert_eq!(told, ids[..4]);
    // The sender settles across the end, too; what it has settled it is told nothing of.
    sender.send(disposition(SENDER, ids[0], accepted()).with("last", ids[5]));
    sender.expect_nothing();
    receiver.settle(&deliveries[5], accepted());
    receiver.expect_nothing();
    sender.expect_nothing();
}

#[test]
fn delivery_ids_skip_nothing_at_the_end() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::sender(&broker, "queue.a");
    sender.attach_sender("s, too", 1, "queue.a");
    // Settled and unsettled, on two links, one in parts.
    for step in 0..8u32 {
        let id = NEAR_THE_END.wrapping_add(step);
        let first = transfer(step % 2, id).with("settled", step % 3 == 0).with("more", true);
        sender.send(first.with_payload(&message("hello")[..3]));
        sender.send(continuation(step % 2).with("settled", step % 3 == 0).with_payload(&message("hello")[3..]));
        if step % 3 != 0 {
            assert_eq!(covered(&sender.expect_disposition()), [id]);
        }
    }
    sender.expect_nothing();
    assert_eq!(broker.counts().queued, 8);
}

#[test]
fn delivery_count_of_the_peer() {
    let broker = Broker::builder().credit_window(4).start().unwrap();
    let mut sender = Peer::opened(&broker);
    sender.attach(attach_sender("s", 0, "queue.a").with("initial-delivery-count", NEAR_THE_END));
    let first = sender.expect_link_flow();
    // 2.6.7: credit counts from the sender's own delivery-count.
    assert_eq!((first.number("delivery-count") as u32, first.number("link-credit")), (NEAR_THE_END, 4));
    let mut limit = NEAR_THE_END.wrapping_add(4);
    for sent in 1..=20u32 {
        assert_ne!(NEAR_THE_END.wrapping_add(sent - 1), limit, "no credit for the next");
        let id = sender.send_message(0, "hello");
        for frame in sender.round_trip() {
            match frame.code() {
                DISPOSITION => assert_eq!((covered(&frame), frame.state()), (vec![id], ACCEPTED)),
                FLOW => {
                    assert_eq!(frame.number("delivery-count") as u32, NEAR_THE_END.wrapping_add(sent));
                    limit = (frame.number("delivery-count") as u32).wrapping_add(frame.number("link-credit") as u32);
                }
                _ => panic!("{frame:?}"),
            }
        }
    }
}

#[test]
fn delivery_count_of_the_broker() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::sender(&broker, "queue.a");
    let mut receiver = Peer::receiver(&broker, "queue.a", 0);
    // 2.6.7: a drain moves the delivery-count on by all the credit that was left; five such go round the circle
    // twice.
    const STEP: u32 = (1 << 31) - 1;
    let mut count = 0u32;
    for _ in 0..5 {
        let drain = receiver.link_flow(0, count, STEP).with("drain", true);
        receiver.send(drain);
        let flow = receiver.expect_link_flow();
        count = count.wrapping_add(STEP);
        assert_eq!((flow.number("delivery-count") as u32, flow.number("link-credit")), (count, 0));
        // A message with credit across the end, if this is where it is.
        sender.send_accepted(0, &["1", "2", "3", "4", "5"]);
        receiver.grant(0, count, 2);
        assert_eq!(receiver.arrived_texts(), ["1", "2"]);
        receiver.grant(0, count, 5);
        assert_eq!(receiver.arrived_texts(), ["3", "4", "5"]);
        count = count.wrapping_add(5);
    }
}

#[test]
fn credit_across_the_end_of_the_brokers_delivery_count() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::sender(&broker, "queue.a");
    let mut receiver = Peer::receiver(&broker, "queue.a", 0);
    // To three before the end: twice almost half, and the rest.
    let mut count = 0u32;
    for step in [1 << 30, 1 << 30, 1 << 30, (1 << 30) - 3] {
        let drain = receiver.link_flow(0, count, step).with("drain", true);
        receiver.send(drain);
        receiver.expect_link_flow();
        count = count.wrapping_add(step);
    }
    assert_eq!(count, NEAR_THE_END);
    sender.send_accepted(0, &["1", "2", "3", "4", "5", "6"]);
    receiver.grant(0, count, 5);
    assert_eq!(receiver.arrived_texts(), ["1", "2", "3", "4", "5"]);
    let drain = receiver.link_flow(0, count.wrapping_add(5), 10).with("drain", true);
    receiver.send(drain);
    assert_eq!(receiver.receive_texts(1), ["6"]);
    assert_eq!(receiver.expect_link_flow().number("delivery-count") as u32, count.wrapping_add(15));
}
