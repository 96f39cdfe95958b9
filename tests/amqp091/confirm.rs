//! RabbitMQ's publisher confirms.

use fakebroker::Broker;

use crate::support091::*;

fn confirming(broker: &Broker) -> Peer091 {
    let mut peer = Peer091::opened(broker);
    peer.send(method(1, CONFIRM).bits(&[false]));
    peer.expect(CONFIRM_OK);
    peer
}

/// Hears acks until `last` is confirmed; each is confirmed once.
#[track_caller]
fn expect_confirmed(peer: &mut Peer091, first: u64, last: u64) {
    let mut next = first;
    while next <= last {
        let mut ack = peer.expect(ACK);
        let (tag, multiple) = (ack.longlong(), ack.octet() == 1);
        assert!(tag >= next && tag <= last, "{tag} confirmed where {next} is next");
        assert!(multiple || tag == next, "{tag} confirmed alone where {next} is next");
        next = tag + 1;
    }
}

#[test]
fn all_that_is_published_is_confirmed_in_order() {
    let broker = Broker::start().unwrap();
    let mut peer = confirming(&broker);
    peer.declare("q");
    peer.publish("", "q", "one");
    expect_confirmed(&mut peer, 1, 1);
    for _ in 2..=500 {
        peer.publish("", "q", "more");
    }
    expect_confirmed(&mut peer, 2, 500);
    // Counted before the confirm is read.
    assert_eq!(broker.counts().queued, 500);
    // What nobody wants too, and what is returned: after it.
    peer.publish("", "missing", "lost");
    expect_confirmed(&mut peer, 501, 501);
    peer.send(publish(1, "", "missing", &[true], &NO_PROPERTIES, b"back"));
    assert_eq!(peer.expect_return().text(), "back");
    expect_confirmed(&mut peer, 502, 502);
}

#[test]
fn each_channel_counts_for_itself() {
    let broker = Broker::start().unwrap();
    let mut peer = confirming(&broker);
    peer.declare("q");
    peer.open_channel(2);
    peer.send(publish(2, "", "q", &[], &NO_PROPERTIES, b"unconfirmed"));
    peer.expect_nothing();
    peer.send(method(2, CONFIRM).bits(&[true]));
    peer.send(publish(2, "", "q", &[], &NO_PROPERTIES, b"x"));
    assert_eq!(peer.expect_on(2, ACK).longlong(), 1);
    peer.publish("", "q", "x");
    assert_eq!(peer.expect_on(1, ACK).longlong(), 1);
}

#[test]
fn what_there_is_no_room_for_is_refused() {
    let broker = Broker::builder().storage_limit(10_000).start().unwrap();
    let mut peer = confirming(&broker);
    peer.declare("q");
    peer.publish("", "q", vec![b'x'; 8000]);
    expect_confirmed(&mut peer, 1, 1);
    peer.publish("", "q", vec![b'x'; 8000]);
    assert_eq!(peer.expect(NACK).longlong(), 2);
    // It asked to be told.
    assert!(!peer.expect_on(0, BLOCKED).shortstr().is_empty());
    // With half of it gone there is room again.
    let mut other = Peer091::opened(&broker);
    assert_eq!(other.get("q", true).unwrap().body.len(), 8000);
    peer.expect_on(0, UNBLOCKED);
    peer.publish("", "q", "small");
    expect_confirmed(&mut peer, 3, 3);
}

#[test]
fn counting_begins_where_confirms_are_asked_for_first() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.send(publish(1, "", "q", &[true], &NO_PROPERTIES, b"before"));
    for tag in 1..=3 {
        peer.send(method(1, CONFIRM).bits(&[false]));
        peer.expect(CONFIRM_OK);
        peer.send(publish(1, "", "q", &[true], &NO_PROPERTIES, b"x"));
        assert_eq!(peer.expect(ACK).longlong(), tag);
    }
}

#[test]
fn a_channel_that_there_is_no_room_for_blocks_others_until_it_goes() {
    let broker = Broker::builder().storage_limit(10_000).start().unwrap();
    let mut peer = confirming(&broker);
    peer.open_channel(2);
    peer.declare("q");
    peer.send(publish(2, "", "q", &[], &NO_PROPERTIES, &[b'x'; 8000]));
    peer.send(publish(2, "", "q", &[], &NO_PROPERTIES, &[b'x'; 8000]));
    peer.expect_on(0, BLOCKED);
    // Credit for another channel changes nothing.
    peer.open_channel(3);
    peer.expect_nothing();
    peer.send(method(2, CHANNEL_CLOSE).short(200).shortstr("").short(0).short(0));
    peer.expect_on(0, UNBLOCKED);
    peer.expect_on(2, CHANNEL_CLOSE_OK);
}
