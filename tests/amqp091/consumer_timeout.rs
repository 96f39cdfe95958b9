//! The consumer timeout: deliveries that are not acknowledged in time.

use std::time::Duration;

use fakebroker::Broker;

use crate::support091::*;

const HOUR: Duration = Duration::from_secs(3600);
const MILLISECOND: Duration = Duration::from_millis(1);

const TIMED_OUT: &str = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: \
                         3600000 ms. This timeout value can be configured, see consumers doc guide to learn more";

/// A broker where time passes when the test says so, and a peer.
fn with_timeout(timeout: Duration) -> (Broker, Peer091) {
    let broker = Broker::builder().manual_clock().consumer_timeout(timeout).start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    (broker, peer)
}

#[test]
fn a_channel_that_does_not_acknowledge_in_time_is_closed() {
    let (broker, mut peer) = with_timeout(HOUR);
    peer.publish("", "q", "one");
    peer.publish("", "q", "two");
    peer.consume("q", "c");
    assert_eq!(peer.expect_texts(2), ["one", "two"]);
    peer.ack(1, false);
    peer.round_trip();
    broker.advance(HOUR - MILLISECOND);
    peer.expect_nothing();
    peer.open_channel(2);
    broker.advance(MILLISECOND);
    assert_eq!(peer.expect_channel_closed_with(1, 406), TIMED_OUT);
    // The other channel is still there, and the message can be had again.
    peer.send(method(2, GET).short(0).shortstr("q").bits(&[true]));
    peer.expect_on(2, GET_OK);
}

#[test]
fn each_delivery_has_its_own_time() {
    let (broker, mut peer) = with_timeout(HOUR);
    peer.consume("q", "c");
    // One every quarter of an hour, acknowledged half an hour later.
    for number in 1..=20 {
        peer.publish("", "q", "x");
        assert_eq!(peer.expect_delivery().tag, number);
        if number > 2 {
            peer.ack(number - 2, false);
        }
        peer.expect_nothing();
        broker.advance(HOUR / 4);
    }
    // 19 went out half an hour ago, 20 a quarter.
    peer.ack(20, false);
    peer.round_trip();
    broker.advance(HOUR / 2 - MILLISECOND);
    peer.expect_nothing();
    broker.advance(MILLISECOND);
    peer.expect_channel_closed_with(1, 406);
}

#[test]
fn what_is_got_counts_and_what_needs_no_acknowledgement_does_not() {
    let (broker, mut peer) = with_timeout(HOUR);
    for text in ["one", "two"] {
        peer.publish("", "q", text);
    }
    peer.get("q", true).unwrap();
    broker.advance(10 * HOUR);
    peer.expect_nothing();
    peer.get("q", false).unwrap();
    broker.advance(HOUR);
    assert_eq!(peer.expect_channel_closed_with(1, 406), TIMED_OUT);
}

#[test]
fn what_a_transaction_acknowledges_is_in_time_unless_it_is_rolled_back() {
    let (broker, mut peer) = with_timeout(HOUR);
    peer.publish("", "q", "one");
    peer.publish("", "q", "two");
    peer.send(method(1, TX_SELECT));
    peer.expect(TX_SELECT_OK);
    peer.get("q", false).unwrap();
    peer.get("q", false).unwrap();
    peer.ack(0, true);
    peer.round_trip();
    broker.advance(2 * HOUR);
    peer.expect_nothing();
    peer.send(method(1, TX_ROLLBACK));
    peer.expect(TX_ROLLBACK_OK);
    peer.expect_channel_closed_with(1, 406);
}

#[test]
fn heartbeats_go_on_meanwhile() {
    let broker = Broker::builder().manual_clock().consumer_timeout(Duration::from_secs(7)).start().unwrap();
    let mut peer = Peer091::tuned(&broker, 0, 4096, 10);
    peer.open_channel(1);
    peer.declare("q");
    peer.publish("", "q", "one");
    peer.get("q", false).unwrap();
    broker.advance(Duration::from_secs(5));
    assert_eq!(peer.hear_any(), Heard091::Heartbeat);
    broker.advance(Duration::from_secs(2));
    peer.expect_channel_closed_with(1, 406);
}

#[test]
fn it_is_off_unless_asked_for() {
    for builder in [Broker::builder(), Broker::builder().consumer_timeout(Duration::ZERO)] {
        let broker = builder.manual_clock().start().unwrap();
        let mut peer = Peer091::opened(&broker);
        peer.declare("q");
        peer.publish("", "q", "one");
        peer.get("q", false).unwrap();
        broker.advance(1000 * HOUR);
        peer.expect_nothing();
    }
}
