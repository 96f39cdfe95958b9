//! basic.get.

use fakebroker::Broker;

use crate::support091::*;

#[test]
fn one_message_at_a_time() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    assert_eq!(peer.get("q", false), None);
    for text in ["one", "two", "three"] {
        peer.publish("", "q", text);
    }
    let one = peer.get("q", false).unwrap();
    assert_eq!((one.text(), one.tag, one.redelivered, one.number), ("one", 1, false, 2));
    assert_eq!((one.exchange.as_str(), one.key.as_str()), ("", "q"));
    let two = peer.get("q", true).unwrap();
    assert_eq!((two.text(), two.tag, two.number), ("two", 2, 1));
    let three = peer.get("q", false).unwrap();
    assert_eq!((three.text(), three.tag, three.number), ("three", 3, 0));
    assert_eq!(peer.get("q", false), None);
    // It counts as nobody's consumer.
    assert_eq!(peer.declare("q"), (0, 0));
    assert_eq!(broker.counts().receiver_links, 0);
    peer.send(method(1, NACK).longlong(3).bits(&[true, true]));
    let again = peer.get("q", false).unwrap();
    assert_eq!((again.text(), again.tag, again.redelivered, again.number), ("one", 4, true, 1));
    let again = peer.get("q", false).unwrap();
    assert_eq!((again.text(), again.redelivered), ("three", true));
    peer.ack(0, true);
    peer.close();
    assert_eq!(Peer091::opened(&broker).declare("q"), (0, 0));
}

#[test]
fn many_that_are_not_acknowledged() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    for n in 0..500 {
        peer.publish("", "q", n.to_string());
    }
    for n in 0..500 {
        assert_eq!(peer.get("q", false).unwrap().text(), n.to_string());
    }
    peer.ack(500, true);
    peer.expect_nothing();
    assert_eq!(broker.counts().accepted, 500);
}

#[test]
fn a_consumer_takes_precedence_over_nobody() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.prefetch(1, false);
    peer.consume("q", "c");
    peer.publish("", "q", "one");
    peer.publish("", "q", "two");
    assert_eq!(peer.expect_delivery().text(), "one");
    assert_eq!(peer.get("q", true).unwrap().text(), "two");
}

#[test]
fn a_queue_that_takes_the_name_of_another_is_looked_into() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.publish("", "q", "old");
    let old = peer.get("q", false).unwrap();
    peer.send(method(1, QUEUE_DELETE).short(0).shortstr("q").bits(&[]));
    peer.expect(QUEUE_DELETE_OK);
    peer.declare("q");
    peer.publish("", "q", "new");
    assert_eq!(peer.get("q", false).unwrap().text(), "new");
    // To nobody, but it is known.
    peer.ack(old.tag, false);
    peer.expect_nothing();
}
