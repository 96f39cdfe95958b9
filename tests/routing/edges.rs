//! Rules of routing that are easy to break at the edges: many browsers, small receivers, limits, nodes that end.

use fakebroker::{Broker, Settlement};

use crate::support::*;

#[test]
fn every_browser_of_many_sees_a_message() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    let src = || composite(SOURCE, &[("address", "queue.a".into()), ("distribution-mode", symbol("copy"))]);
    for h in 0..100u32 {
        peer.attach(attach_receiver(&format!("b{h}"), h, "queue.a").with("source", src()));
        peer.grant(h, 0, 10);
    }
    peer.round_trip();
    let mut s = Peer::sender(&broker, "queue.a");
    s.send_accepted(0, &["1"]);
    let n = peer.round_trip().iter().filter(|f| f.code() == TRANSFER).count();
    assert_eq!(n, 100);
}

#[test]
fn what_waited_for_one_receiver_is_not_too_large_for_the_next() {
    let broker = Broker::start().unwrap();
    let mut a = Peer::opened(&broker);
    a.attach(attach_receiver("a", 0, "x"));
    let mut b = Peer::opened(&broker);
    b.attach(attach_receiver("b", 0, "x").with("max-message-size", 100u64));
    b.grant(0, 0, 10);
    b.round_trip();
    let mut s = Peer::sender(&broker, "x");
    let id = s.send_message(0, &"m".repeat(5000));
    s.expect_outcome_of(id);
    a.send(detach(0));
    a.expect_detach();
    let got: Vec<usize> = b.round_trip().iter().filter(|f| f.code() == TRANSFER).map(|f| f.payload.len()).collect();
    assert!(got.is_empty(), "a receiver of at most 100 bytes was sent {got:?}");
    assert_eq!(broker.counts().dropped, 1);
}

#[test]
fn a_message_that_a_receiver_holds_counts_against_the_limit() {
    let broker = Broker::builder().storage_limit(100_000).start().unwrap();
    let mut r = Peer::receiver(&broker, "queue.a", 1000);
    r.round_trip();
    let mut s = Peer::sender(&broker, "queue.a");
    let mut accepted = 0;
    for _ in 0..50 {
        let id = s.send_message(0, &"m".repeat(10_000));
        accepted += usize::from(s.expect_outcome_of(id).state() == ACCEPTED);
        r.round_trip();
    }
    assert!(accepted <= 11, "{accepted} x 10 KB accepted with storage_limit 100 KB");
}

#[test]
fn the_sender_to_a_node_that_ends_is_told() {
    let broker = Broker::builder().settlement(Settlement::EndToEnd).start().unwrap();
    let mut r = Peer::opened(&broker);
    let answer = r.attach(attach_receiver("r", 0, "x").with("source", dynamic(SOURCE)));
    let addr = answer.address("source").unwrap();
    let mut s = Peer::sender(&broker, &addr);
    s.send_message(0, "m");
    s.round_trip();
    r.send(detach(0).with("closed", true));
    r.expect_detach();
    let frames = s.round_trip();
    assert!(
        frames.iter().any(|f| f.code() == DISPOSITION),
        "no outcome for the sender; dropped {}",
        broker.counts().dropped
    );
}
