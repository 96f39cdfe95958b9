//! Queue addresses: a source of distribution-mode copy looks and takes nothing.

use fakebroker::Broker;

use crate::support::*;

fn browsing_source(address: &str) -> Value {
    composite(SOURCE, &[("address", address.into()), ("distribution-mode", symbol("copy"))])
}

#[track_caller]
fn browser(broker: &Broker, address: &str, credit: u32) -> Peer {
    let mut peer = Peer::opened(broker);
    let answer = peer.attach(attach_receiver("b", 0, address).with("source", browsing_source(address)));
    let source = answer.inner("source").unwrap();
    // 2.6.3: the attach says how the source is, so a browser knows that it is one.
    assert_eq!(source.get("distribution-mode"), symbol("copy"));
    peer.grant(0, 0, credit);
    peer
}

#[test]
fn a_browser_sees_all_and_takes_nothing() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::sender_of(&broker, "queue.a", &["1", "2", "3"]);
    let mut first = browser(&broker, "queue.a", 100);
    assert_eq!(first.receive_texts(3), ["1", "2", "3"]);
    // Each browser has its own place, and credit is credit.
    let mut second = browser(&broker, "queue.a", 2);
    assert_eq!(second.receive_texts(2), ["1", "2"]);
    second.expect_nothing();
    second.grant(0, 2, 10);
    assert_eq!(second.receive_texts(1), ["3"]);
    // What comes later is seen, too, once.
    sender.send_accepted(0, &["4"]);
    assert_eq!(first.arrived_texts(), ["4"]);
    assert_eq!(second.arrived_texts(), ["4"]);
    assert_eq!((broker.counts().queued, broker.counts().topic), (4, 0));
    // It is all still there.
    assert_eq!(Peer::receiver(&broker, "queue.a", 10).receive_texts(4), ["1", "2", "3", "4"]);
}

#[test]
fn what_a_browser_answers_changes_nothing() {
    let broker = Broker::start().unwrap();
    Peer::sender_of(&broker, "queue.a", &["1", "2", "3", "4"]);
    let mut looking = browser(&broker, "queue.a", 100);
    let states = [accepted(), rejected(), released(), composite(MODIFIED, &[("delivery-failed", true.into())])];
    for state in states {
        let delivery = looking.expect_transfer();
        looking.settle(&delivery, state);
    }
    looking.expect_nothing();
    looking.close();
    let mut taking = Peer::receiver(&broker, "queue.a", 10);
    for expected in ["1", "2", "3", "4"] {
        // Byte for byte: nothing has failed.
        assert_eq!(taking.expect_transfer().payload, message(expected));
    }
}

#[test]
fn a_browser_is_no_receiver_that_competes() {
    let broker = Broker::start().unwrap();
    let mut looking = browser(&broker, "queue.a", 100);
    looking.expect_nothing();
    let mut taking = Peer::receiver(&broker, "queue.a", 1);
    taking.expect_nothing();
    let mut sender = Peer::sender_of(&broker, "queue.a", &["taken", "left"]);
    assert_eq!(taking.receive_texts(1), ["taken"]);
    assert!(looking.arrived_texts().contains(&"left".to_owned()));
    sender.send_accepted(0, &["left, too"]);
    assert_eq!(looking.arrived_texts(), ["left, too"]);
}

#[test]
fn a_browser_drains() {
    let broker = Broker::start().unwrap();
    Peer::sender_of(&broker, "queue.a", &["1", "2"]);
    let mut looking = browser(&broker, "queue.a", 0);
    let drain = looking.link_flow(0, 0, 10).with("drain", true);
    looking.send(drain);
    assert_eq!(looking.receive_texts(2), ["1", "2"]);
    let flow = looking.expect_link_flow();
    assert_eq!((flow.number("delivery-count"), flow.number("link-credit")), (10, 0), "{flow:?}");
}

#[test]
fn what_is_taken_while_it_is_browsed_is_not_seen() {
    let broker = Broker::start().unwrap();
    Peer::sender_of(&broker, "queue.a", &["1", "2", "3"]);
    let mut looking = browser(&broker, "queue.a", 1);
    assert_eq!(looking.receive_texts(1), ["1"]);
    let mut taking = Peer::receiver(&broker, "queue.a", 2);
    for _ in 0..2 {
        let delivery = taking.expect_transfer();
        taking.settle(&delivery, accepted());
    }
    taking.expect_nothing();
    looking.grant(0, 1, 10);
    assert_eq!(looking.receive_texts(1), ["3"]);
    looking.expect_nothing();
}
