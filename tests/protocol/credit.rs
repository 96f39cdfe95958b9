//! 2.6.7: link credit, drain, echo.

use fakebroker::Broker;

use crate::support::*;

/// A peer that receives from a queue in which these are stored.
#[track_caller]
fn at_queue(broker: &Broker, texts: &[&str]) -> Peer {
    let mut sender = Peer::sender(broker, "queue.a");
    sender.send_accepted(0, texts);
    let mut peer = Peer::opened(broker);
    peer.attach(attach_receiver("r", 0, "queue.a"));
    peer
}

#[test]
fn exactly_as_much_as_was_granted_comes() {
    let broker = Broker::start().unwrap();
    let mut peer = at_queue(&broker, &["1", "2", "3", "4", "5", "6", "7"]);
    peer.expect_nothing();
    peer.grant(0, 0, 2);
    assert_eq!(peer.arrived_texts(), ["1", "2"]);
    // Credit counts from the delivery-count that goes with it: an old one grants less.
    peer.grant(0, 0, 3);
    assert_eq!(peer.arrived_texts(), ["3"]);
    peer.grant(0, 0, 3);
    peer.expect_nothing();
    peer.grant(0, 3, 0);
    peer.expect_nothing();
    peer.grant(0, 3, 2);
    assert_eq!(peer.arrived_texts(), ["4", "5"]);
    // Less than what is out already is none, not less than none.
    peer.grant(0, 1, 1);
    peer.expect_nothing();
    peer.grant(0, 5, u32::MAX);
    assert_eq!(peer.arrived_texts(), ["6", "7"]);
}

#[test]
fn credit_before_the_attach_is_answered() {
    let broker = Broker::start().unwrap();
    at_queue(&broker, &["1", "2"]);
    let mut peer = Peer::greeted(&broker);
    // 2.7.4: before the broker's begin there is no next-incoming-id, before its attach no delivery-count.
    let credit = flow().without("next-incoming-id").with("handle", 0u32).with("link-credit", 1u32);
    let frames = [open().bytes(), begin().bytes(), attach_receiver("r", 0, "queue.a").bytes(), credit.bytes()];
    peer.send(frames.concat());
    peer.expect_open();
    peer.expect_begin();
    peer.expect_attach();
    assert_eq!(peer.arrived_texts(), ["1"]);
}

#[test]
fn echo_is_answered_once() {
    let broker = Broker::start().unwrap();
    let mut peer = at_queue(&broker, &[]);
    peer.attach_sender("s", 1, "queue.b");
    // Of a link that receives.
    let ask = peer.link_flow(0, 0, 7).with("echo", true);
    peer.send(ask);
    let flow = peer.expect_link_flow();
    assert_eq!((flow.number("handle"), flow.number("delivery-count"), flow.number("link-credit")), (0, 0, 7));
    assert!(!flow.flag("echo") && !flow.flag("drain"), "{flow:?}");
    // Of a link that sends: the credit it has.
    let ask = peer.flow().with("handle", 1u32).with("delivery-count", 0u32).with("echo", true);
    peer.send(ask);
    let flow = peer.expect_link_flow();
    assert_eq!((flow.number("handle"), flow.number("link-credit")), (1, 1000));
    // Of the session alone.
    let ask = peer.flow().with("echo", true);
    peer.send(ask);
    let flow = peer.expect_session_flow();
    assert_eq!((flow.number("next-incoming-id"), flow.number("next-outgoing-id")), (0, 0));
    assert!(flow.number("incoming-window") > 0);
    // Without echo there is no answer.
    peer.send(peer.flow());
    peer.grant(0, 0, 7);
    assert_eq!(peer.round_trip(), []);
}

#[test]
fn flow_counts_what_was_transferred() {
    let broker = Broker::start().unwrap();
    let mut peer = at_queue(&broker, &["1", "2", "3"]);
    peer.attach_sender("s", 1, "queue.b");
    peer.send_accepted(1, &["a", "b"]);
    peer.grant(0, 0, 2);
    peer.receive_texts(2);
    let ask = peer.link_flow(0, 2, 0).with("echo", true);
    peer.send(ask);
    let flow = peer.expect_link_flow();
    assert_eq!(flow.number("delivery-count"), 2);
    assert_eq!((flow.number("next-incoming-id"), flow.number("next-outgoing-id")), (2, 2));
}

#[test]
fn drain_by_links_of_every_distribution() {
    let broker = Broker::start().unwrap();
    for address in ["plain", "unicast.a", "broadcast.a", "queue.b"] {
        let mut peer = Peer::opened(&broker);
        peer.attach(attach_receiver("r", 0, address));
        peer.expect_nothing();
        let mut sender = Peer::sender(&broker, address);
        sender.send_accepted(0, &["1", "2"]);
        let drain = peer.link_flow(0, 0, 5).with("drain", true);
        peer.send(drain);
        assert_eq!(peer.receive_texts(2), ["1", "2"], "{address}");
        let flow = peer.expect_link_flow();
        assert_eq!((flow.number("delivery-count"), flow.number("link-credit")), (5, 0), "{address}");
        assert!(flow.flag("drain"), "{address}");
        peer.send(disposition(RECEIVER, 0, accepted()).with("last", 1u32));
        peer.close();
    }
}

#[test]
fn drain_waits_for_the_window() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::sender(&broker, "queue.a");
    sender.send_accepted(0, &["1", "2", "3"]);
    let mut peer = Peer::opened_with(&broker, open(), begin().with("incoming-window", 1u32));
    peer.attach(attach_receiver("r", 0, "queue.a"));
    let drain = peer.link_flow(0, 0, 10).with("drain", true).with("incoming-window", 1u32);
    peer.send(drain);
    for text in ["1", "2", "3"] {
        let heard = peer.round_trip();
        let transfers: Vec<_> = heard.iter().filter(|frame| frame.code() == TRANSFER).collect();
        assert_eq!(transfers.len(), 1);
        assert_eq!(crate::support::text(&transfers[0].payload), text);
        let drained = heard.iter().any(|frame| frame.code() == FLOW && frame.get("link-credit") == Value::Uint(0));
        assert_eq!(drained, text == "3", "drained means that the last is out: {heard:?}");
        let window = peer.flow().with("incoming-window", 1u32);
        peer.send(window);
    }
    peer.expect_nothing();
}

#[test]
fn drain_without_credit_is_done_at_once() {
    let broker = Broker::start().unwrap();
    let mut peer = at_queue(&broker, &["1"]);
    let drain = peer.link_flow(0, 0, 0).with("drain", true).with("echo", true);
    peer.send(drain);
    let flow = peer.expect_link_flow();
    assert_eq!((flow.number("delivery-count"), flow.number("link-credit")), (0, 0));
    peer.grant(0, 0, 1);
    assert_eq!(peer.receive_texts(1), ["1"]);
}

#[test]
fn a_sender_may_tell_its_state() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::sender(&broker, "queue.a");
    // Some clients send credit on a link that they send on; it is theirs to read, not to give.
    let told = peer.link_flow(0, 0, 5).with("available", 3u32);
    peer.send(told);
    peer.expect_nothing();
    peer.send_accepted(0, &["1"]);
}
