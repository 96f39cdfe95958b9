//! 2.1.5: channels.

use fakebroker::Broker;

use crate::support091::*;

#[test]
fn channels_come_and_go() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.open_channel(1023);
    peer.open_channel(7);
    assert_eq!(broker.counts().sender_links, 3);
    peer.send(method(7, CHANNEL_CLOSE).short(200).shortstr("").short(0).short(0));
    peer.expect_on(7, CHANNEL_CLOSE_OK);
    peer.expect_nothing();
    assert_eq!(broker.counts().sender_links, 2);
    // Its number can be used again.
    peer.open_channel(7);
    peer.close();
}

#[test]
fn an_error_closes_its_channel_alone() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.open_channel(2);
    peer.send(method(2, GET).short(0).shortstr("missing").bits(&[false]));
    let mut close = peer.expect_on(2, CHANNEL_CLOSE);
    assert_eq!(close.short(), 404);
    assert_eq!(close.shortstr(), "NOT_FOUND - no queue 'missing' in vhost '/'");
    assert_eq!((close.short(), close.short()), GET);
    // What comes before close-ok is discarded, contents included.
    peer.send(queue_declare(2, "q", &[]));
    peer.send(publish(2, "", "q", &[], &NO_PROPERTIES, b"lost"));
    peer.send(method(2, (99, 99)));
    peer.send(method(2, CHANNEL_CLOSE_OK));
    peer.expect_nothing();
    peer.open_channel(2);
    assert_eq!(peer.declare("q"), (0, 0));
    peer.close();
}

#[test]
fn both_may_close_a_channel_at_once() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.send(
        [
            method(1, GET).short(0).shortstr("missing").bits(&[false]).bytes(),
            method(1, CHANNEL_CLOSE).short(200).shortstr("").short(0).short(0).bytes(),
        ]
        .concat(),
    );
    peer.expect_on(1, CHANNEL_CLOSE);
    // The broker's was under way when the peer closed, and is answered.
    peer.send(method(1, CHANNEL_CLOSE_OK));
    peer.expect_on(1, CHANNEL_CLOSE_OK);
    peer.open_channel(1);
    peer.close();
}

#[test]
fn a_closed_channel_gives_back_what_it_had() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.publish("", "q", "one");
    peer.publish("", "q", "two");
    peer.open_channel(2);
    peer.send(consume(2, "q", "c", &[]));
    peer.expect(CONSUME_OK);
    assert_eq!(peer.expect_texts(2), ["one", "two"]);
    peer.send(method(2, CHANNEL_CLOSE).short(200).shortstr("").short(0).short(0));
    peer.expect(CHANNEL_CLOSE_OK);
    let again = peer.get("q", true).unwrap();
    assert_eq!((again.text(), again.redelivered, again.number), ("one", true, 1));
    assert_eq!(peer.declare("q"), (1, 0));
}

#[test]
fn flow_is_always_active() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.send(method(1, FLOW).bits(&[true]));
    assert_eq!(peer.expect(FLOW_OK).octet(), 1);
    peer.send(method(1, FLOW).bits(&[false]));
    assert_eq!(peer.expect_closed_with(540), "NOT_IMPLEMENTED - active=false");
    // The broker asks nobody to stop, so nothing has to be answered.
    let mut peer = Peer091::opened(&broker);
    peer.send(method(1, FLOW_OK).bits(&[true]));
    peer.expect_closed_with(503);
}
