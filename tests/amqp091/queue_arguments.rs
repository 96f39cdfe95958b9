//! Queues with arguments: time to live, length, priorities. Time passes when the test says so.

use std::time::Duration;

use fakebroker::Broker;

use crate::support::{each_row, patience};
use crate::support091::*;

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// `x-message-ttl` of an hour and the like.
const HOUR_MS: i32 = 3_600_000;

fn manual() -> (Broker, Peer091) {
    let broker = Broker::builder().manual_clock().start().unwrap();
    let peer = Peer091::opened(&broker);
    (broker, peer)
}

#[test]
fn messages_expire_after_the_ttl_of_their_queue() {
    let (broker, mut peer) = manual();
    peer.declare_with("q", &[int_entry("x-message-ttl", HOUR_MS)]);
    peer.publish("", "q", "one");
    broker.wait_for_messages(patience(), "q", 1).unwrap();
    broker.advance(HOUR / 2);
    peer.publish("", "q", "two");
    assert_eq!(peer.declare_with("q", &[int_entry("x-message-ttl", HOUR_MS)]).0, 2);
    broker.advance(HOUR / 2 - MILLISECOND);
    assert_eq!(broker.queue_depth("q"), 2);
    broker.advance(MILLISECOND);
    assert_eq!(broker.queue_depth("q"), 1);
    assert_eq!(peer.texts("q"), ["two"]);
    assert_eq!(broker.counts().dropped, 1);
}

#[test]
fn the_lower_of_two_ttls_counts() {
    let (broker, mut peer) = manual();
    peer.declare_with("q", &[int_entry("x-message-ttl", HOUR_MS)]);
    peer.publish_with("", "q", &expiration("1000"), "soon");
    peer.publish_with("", "q", &expiration("999999999"), "late");
    peer.round_trip();
    broker.advance(Duration::from_secs(1));
    assert_eq!(broker.queue_depth("q"), 1);
    broker.advance(HOUR);
    assert_eq!(broker.queue_depth("q"), 0);
}

#[test]
fn messages_expire_at_the_head_of_the_queue() {
    let (broker, mut peer) = manual();
    peer.declare("q");
    peer.publish_with("", "q", &expiration("2000"), "first");
    peer.publish_with("", "q", &expiration("1000"), "behind it");
    peer.publish("", "q", "last");
    peer.round_trip();
    broker.advance(Duration::from_millis(1999));
    assert_eq!(broker.queue_depth("q"), 3);
    broker.advance(MILLISECOND);
    assert_eq!(broker.queue_depth("q"), 1);
    assert_eq!(peer.texts("q"), ["last"]);
}

#[test]
fn what_a_consumer_has_does_not_expire_before_it_comes_back() {
    let (broker, mut peer) = manual();
    peer.declare_with("q", &[int_entry("x-message-ttl", 1000)]);
    peer.publish("", "q", "one");
    let delivery = peer.get("q", false).unwrap();
    broker.advance(HOUR);
    assert_eq!(broker.counts().dropped, 0);
    peer.send(method(1, REJECT).longlong(delivery.tag).bits(&[true]));
    assert_eq!(peer.texts("q"), Vec::<String>::new());
    assert_eq!(broker.counts().dropped, 1);
}

#[test]
fn with_a_ttl_of_0_a_message_is_for_who_can_take_it_at_once() {
    let (broker, mut peer) = manual();
    peer.declare_with("q", &[int_entry("x-message-ttl", 0)]);
    peer.publish("", "q", "nobody");
    assert_eq!(peer.texts("q"), Vec::<String>::new());
    peer.prefetch(1, false);
    peer.consume("q", "c");
    peer.publish("", "q", "one");
    peer.publish("", "q", "too many");
    assert_eq!(peer.expect_delivery().text(), "one");
    peer.ack(1, false);
    peer.expect_nothing();
    assert_eq!(broker.counts().dropped, 2);
}

#[test]
fn a_queue_goes_that_nobody_uses() {
    let (broker, mut peer) = manual();
    let arguments = [int_entry("x-expires", HOUR_MS)];
    let passive = || queue_declare(1, "q", &[true, false, false, false, false]);
    peer.declare_with("q", &arguments);
    // Each of these is a use: declared again, asked for, looked into, consumed from.
    broker.advance(HOUR - MILLISECOND);
    peer.declare_with("q", &arguments);
    broker.advance(HOUR - MILLISECOND);
    peer.send(passive());
    peer.expect(QUEUE_DECLARE_OK);
    broker.advance(HOUR - MILLISECOND);
    assert_eq!(peer.get("q", true), None);
    broker.advance(HOUR - MILLISECOND);
    peer.consume("q", "c");
    broker.advance(10 * HOUR);
    peer.send(method(1, CANCEL).shortstr("c").bits(&[false]));
    peer.expect(CANCEL_OK);
    broker.advance(HOUR - MILLISECOND);
    peer.publish("", "q", "does not keep it");
    peer.round_trip();
    assert_eq!(broker.queue_depth("q"), 1);
    broker.advance(MILLISECOND);
    peer.send(passive());
    peer.expect_channel_closed_with(1, 404);
}

#[test]
fn the_first_message_makes_room() {
    let (broker, mut peer) = manual();
    peer.declare_with("q", &[int_entry("x-max-length", 2)]);
    for text in ["one", "two", "three"] {
        peer.publish("", "q", text);
    }
    assert_eq!(peer.texts("q"), ["two", "three"]);
    // Those that a consumer has do not count.
    peer.publish("", "q", "four");
    peer.publish("", "q", "five");
    let held = peer.get("q", false).unwrap();
    peer.publish("", "q", "six");
    peer.round_trip();
    assert_eq!(broker.queue_depth("q"), 2);
    peer.send(method(1, REJECT).longlong(held.tag).bits(&[true]));
    peer.round_trip();
    assert_eq!(broker.queue_depth("q"), 2, "one too many came back");
    peer.publish("", "q", "seven");
    assert_eq!(peer.texts("q"), ["six", "seven"]);
}

#[test]
fn the_length_in_bytes_is_that_of_the_bodies() {
    let (_broker, mut peer) = manual();
    peer.declare_with("q", &[int_entry("x-max-length-bytes", 10)]);
    for text in ["12345", "67890", "x", "more than ten bytes"] {
        peer.publish("", "q", text);
        let left = match text {
            "12345" => 1,
            "67890" => 2,
            "x" => 2,
            _ => 0,
        };
        assert_eq!(peer.declare_with("q", &[int_entry("x-max-length-bytes", 10)]).0, left, "after {text}");
    }
}

#[test]
fn a_full_queue_refuses_if_it_is_to() {
    let (broker, mut peer) = manual();
    peer.declare_with("q", &[int_entry("x-max-length", 1), text_entry("x-overflow", "reject-publish")]);
    peer.send(method(1, CONFIRM).bits(&[false]));
    peer.expect(CONFIRM_OK);
    peer.publish("", "q", "one");
    let mut ack = peer.expect(ACK);
    assert_eq!(ack.longlong(), 1);
    // Mandatory or not: it was routed.
    for (tag, mandatory) in [(2, false), (3, true)] {
        peer.send(publish(1, "", "q", &[mandatory], &NO_PROPERTIES, b"too many"));
        assert_eq!(peer.expect(NACK).longlong(), tag);
    }
    assert_eq!(peer.texts("q"), ["one"]);
    peer.publish("", "q", "again");
    assert_eq!(peer.expect(ACK).longlong(), 4);
    assert_eq!(broker.counts().dropped, 2);
}

#[test]
fn one_queue_that_refuses_is_enough_for_a_nack() {
    let (_broker, mut peer) = manual();
    peer.declare_with("full", &[int_entry("x-max-length", 0), text_entry("x-overflow", "reject-publish")]);
    peer.declare("free");
    for queue in ["full", "free"] {
        peer.bind(queue, "amq.fanout", "");
    }
    peer.send(method(1, CONFIRM).bits(&[false]));
    peer.expect(CONFIRM_OK);
    // Mandatory or not: it was routed, and is not returned.
    for (tag, mandatory, text) in [(1, false, "one"), (2, true, "two")] {
        peer.send(publish(1, "amq.fanout", "", &[mandatory], &NO_PROPERTIES, text.as_bytes()));
        assert_eq!(peer.expect(NACK).longlong(), tag);
        assert_eq!(peer.texts("free"), [text]);
    }
    // One that goes nowhere is returned before its ack.
    peer.publish("", "free", "three");
    assert_eq!(peer.expect(ACK).longlong(), 3);
    peer.send(publish(1, "", "missing", &[true], &NO_PROPERTIES, b"four"));
    assert_eq!(peer.expect_return().text(), "four");
    assert_eq!(peer.expect(ACK).longlong(), 4);
}

#[test]
fn the_higher_the_priority_the_sooner() {
    let (_broker, mut peer) = manual();
    peer.declare_with("q", &[int_entry("x-max-priority", 5)]);
    for (level, text) in [(1, "low"), (5, "high"), (9, "above the highest"), (1, "low too")] {
        peer.publish_with("", "q", &priority(level), text);
    }
    peer.publish("", "q", "none is 0");
    assert_eq!(peer.texts("q"), ["high", "above the highest", "low", "low too", "none is 0"]);
    // One that comes back goes to its place.
    peer.publish_with("", "q", &priority(3), "back");
    let held = peer.get("q", false).unwrap();
    peer.publish_with("", "q", &priority(3), "behind");
    peer.publish_with("", "q", &priority(4), "before");
    peer.send(method(1, REJECT).longlong(held.tag).bits(&[true]));
    assert_eq!(peer.texts("q"), ["before", "back", "behind"]);
}

#[test]
fn a_higher_priority_keeps_lower_ones_from_expiring() {
    let (broker, mut peer) = manual();
    peer.declare_with("q", &[int_entry("x-max-priority", 255), int_entry("x-message-ttl", 2000)]);
    peer.publish_with("", "q", &priority(0), "lowest");
    peer.round_trip();
    broker.advance(Duration::from_secs(1));
    peer.publish_with("", "q", &priority(255), "highest");
    peer.round_trip();
    broker.advance(Duration::from_secs(1));
    assert_eq!(broker.queue_depth("q"), 2, "the lower one is not at the head");
    assert_eq!(peer.texts("q"), ["highest"]);
}

#[test]
fn what_comes_back_to_a_full_queue_that_refuses_stays() {
    let (_broker, mut peer) = manual();
    peer.declare_with("q", &[int_entry("x-max-length", 1), text_entry("x-overflow", "reject-publish")]);
    peer.publish("", "q", "one");
    let held = peer.get("q", false).unwrap();
    peer.publish("", "q", "two");
    peer.send(method(1, REJECT).longlong(held.tag).bits(&[true]));
    assert_eq!(peer.texts("q"), ["one", "two"]);
}

#[test]
fn arguments_that_cannot_be_are_refused() {
    let broker = Broker::start().unwrap();
    let long = |name: &str, value: i64| entry(name, b'l', value.to_be_bytes());
    let rows = [
        ("a negative ttl", vec![int_entry("x-message-ttl", -1)], "{value_negative,-1}"),
        ("a ttl of text", vec![text_entry("x-message-ttl", "1000")], "\"expected integer, got longstr\""),
        ("a ttl beyond all measure", vec![long("x-message-ttl", i64::MAX)], "{value_too_large,9223372036854775807}"),
        ("a queue that goes at once", vec![int_entry("x-expires", 0)], "{value_zero,0}"),
        ("a negative life", vec![int_entry("x-expires", -1)], "{value_negative,-1}"),
        ("a negative length", vec![int_entry("x-max-length", -1)], "{value_negative,-1}"),
        ("a length of text", vec![text_entry("x-max-length-bytes", "many")], "\"expected integer, got longstr\""),
        ("an unknown overflow", vec![text_entry("x-overflow", "explode")], "invalid_overflow"),
        ("too many priorities", vec![int_entry("x-max-priority", 256)], "{max_value_exceeded,256}"),
        ("a negative priority", vec![int_entry("x-max-priority", -1)], "{value_negative,-1}"),
        (
            "a number for an exchange",
            vec![int_entry("x-dead-letter-exchange", 1)],
            "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
        ),
        (
            "a key without an exchange",
            vec![text_entry("x-dead-letter-routing-key", "k")],
            "invalid arg 'x-dead-letter-routing-key' for queue 'q' in vhost '/': routing_key_but_no_dlx_defined",
        ),
        ("an unknown mode", vec![text_entry("x-queue-mode", "busy")], "\"unsupported queue mode 'busy'\""),
        ("an unknown version", vec![int_entry("x-queue-version", 3)], "\"unsupported queue version '3'\""),
        (
            "the first of several in RabbitMQ's order",
            vec![int_entry("x-max-length", -1), int_entry("x-max-priority", -2), text_entry("x-message-ttl", "a")],
            "invalid arg 'x-message-ttl' for queue 'q' in vhost '/': \"expected integer, got longstr\"",
        ),
    ];
    let rows = rows.map(|(name, argument, why)| (name, (argument, why)));
    each_row(rows, |(arguments, why)| {
        let mut peer = Peer091::opened(&broker);
        peer.send(queue_declare_with("q", &arguments));
        let text = peer.expect_channel_closed_with(1, 406);
        assert!(text.ends_with(why), "{text}");
        // The queue is not there.
        peer.open_channel(1);
        peer.send(queue_declare(1, "q", &[true, false, false, false, false]));
        peer.expect_channel_closed_with(1, 404);
    });
}

#[test]
fn an_expiration_that_is_no_number_is_refused() {
    let broker = Broker::start().unwrap();
    let rows = [
        ("", "no_integer"),
        ("soon", "no_integer"),
        ("+", "no_integer"),
        ("é", "no_integer"),
        ("-1", "{value_negative,-1}"),
        ("10s", r#"{leftover_string,"s"}"#),
        ("1.5", r#"{leftover_string,".5"}"#),
        ("315360000001", "{value_too_large,315360000001}"),
        ("99999999999999999999999", "{value_too_large,99999999999999999999999}"),
    ];
    each_row(rows.map(|(text, why)| (text, (text, why))), |(text, why)| {
        let mut peer = Peer091::opened(&broker);
        peer.declare("q");
        peer.publish_with("", "q", &expiration(text), "one");
        let said = peer.expect_channel_closed_with(1, 406);
        assert_eq!(said, format!("PRECONDITION_FAILED - invalid expiration '{text}': {why}"));
    });
    assert_eq!(broker.queue_depth("q"), 0);
    let mut peer = Peer091::opened(&broker);
    for text in ["+3600000", "0003600000", "315360000000"] {
        peer.publish_with("", "q", &expiration(text), text);
    }
    peer.round_trip();
    assert_eq!(broker.queue_depth("q"), 3);
}
