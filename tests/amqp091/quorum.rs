//! Types of queue (`x-queue-type`), and quorum queues: what they refuse, how they count deliveries and limit them. The answers are
//! those of RabbitMQ 3.10.

use fakebroker::Broker;

use crate::support::{Peer, each_row};
use crate::support091::*;

const DURABLE: [bool; 2] = [false, true];

fn of_type(name: &str) -> Vec<u8> {
    text_entry("x-queue-type", name)
}

/// Builds a declaration of `q` with these bits (passive, durable, exclusive, auto-delete) and arguments.
fn declare(bits: &[bool], arguments: &[Vec<u8>]) -> MethodBytes {
    method(1, QUEUE_DECLARE).short(0).shortstr("q").bits(bits).table(arguments)
}

/// Declares the quorum queue `q`.
fn quorum(broker: &Broker, more: &[Vec<u8>]) -> Peer091 {
    let mut peer = Peer091::opened(broker);
    peer.send(declare(&DURABLE, &[&[of_type("quorum")], more].concat()));
    peer.expect(QUEUE_DECLARE_OK);
    peer
}

fn give_back(peer: &mut Peer091, tag: u64) {
    peer.send(method(1, REJECT).longlong(tag).bits(&[true]));
}

fn headers_in(delivery: &Delivery) -> Vec<String> {
    headers_of(&delivery.properties).unwrap_or_default()
}

#[test]
fn what_a_type_is_not_is_refused() {
    let broker = Broker::start().unwrap();
    let quorum = || of_type("quorum");
    let not_for = |name: &str, kind: &str| format!("invalid arg '{name}' for {{}} of queue type rabbit_{kind}_queue");
    let mut rows = vec![
        (
            DURABLE.to_vec(),
            vec![of_type("own")],
            "invalid arg 'x-queue-type' for {}: \"unsupported queue type 'own'\"".to_owned(),
        ),
        (
            DURABLE.to_vec(),
            vec![int_entry("x-queue-type", 1)],
            "invalid arg 'x-queue-type' for {}: {unacceptable_type,signedint}".to_owned(),
        ),
        (vec![false, false], vec![quorum()], "invalid property 'non-durable' for {}".to_owned()),
        (vec![false, true, true], vec![quorum()], "invalid property 'exclusive-owner' for {}".to_owned()),
        (vec![false, true, false, true], vec![quorum()], "invalid property 'auto-delete' for {}".to_owned()),
    ];
    for (name, value) in
        [("x-max-priority", 5), ("x-queue-version", 2), ("x-max-age", 1), ("x-initial-cluster-size", 1)]
    {
        rows.push((DURABLE.to_vec(), vec![quorum(), int_entry(name, value)], not_for(name, "quorum")));
    }
    for name in ["x-queue-mode", "x-queue-master-locator", "x-stream-max-segment-size-bytes"] {
        rows.push((DURABLE.to_vec(), vec![quorum(), text_entry(name, "lazy")], not_for(name, "quorum")));
    }
    for name in ["x-delivery-limit", "x-max-age", "x-quorum-initial-group-size", "x-queue-leader-locator"] {
        rows.push((vec![], vec![int_entry(name, 3)], not_for(name, "classic")));
    }
    let values = [
        (int_entry("x-quorum-initial-group-size", 0), "'x-quorum-initial-group-size' for {}: {value_zero,0}"),
        (int_entry("x-max-in-memory-bytes", -4), "'x-max-in-memory-bytes' for {}: {value_negative,-4}"),
        (text_entry("x-dead-letter-strategy", "none"), "'x-dead-letter-strategy' for {}: invalid_dlx_strategy"),
        (text_entry("x-queue-leader-locator", "here"), "'x-queue-leader-locator' for {}: invalid_queue_locator_arg"),
        (text_entry("x-delivery-limit", "3"), "'x-delivery-limit' for {}: \"expected integer, got longstr\""),
    ];
    for (argument, why) in values {
        rows.push((DURABLE.to_vec(), vec![quorum(), argument], format!("invalid arg {why}")));
    }
    let values = [
        (text_entry("x-queue-mode", "bad"), "'x-queue-mode' for {}: \"unsupported queue mode 'bad'\""),
        (int_entry("x-queue-version", 9), "'x-queue-version' for {}: \"unsupported queue version '9'\""),
    ];
    for (argument, why) in values {
        rows.push((vec![], vec![argument], format!("invalid arg {why}")));
    }
    for (bits, arguments, why) in rows {
        let mut peer = Peer091::opened(&broker);
        peer.send(declare(&bits, &arguments));
        let text = peer.expect_channel_closed_with(1, 406);
        assert_eq!(text, format!("PRECONDITION_FAILED - {}", why.replace("{}", "queue 'q' in vhost '/'")));
        peer.open_channel(1);
        peer.send(declare(&[true], &[]));
        peer.expect_channel_closed_with(1, 404);
    }
}

#[test]
fn a_queue_keeps_its_type() {
    let broker = Broker::start().unwrap();
    let mut peer = quorum(&broker, &[int_entry("x-delivery-limit", 3)]);
    let rows = [
        ("none", (vec![], "'x-queue-type' for {}: received none but current is the value 'quorum' of type 'longstr'")),
        (
            "no limit",
            (
                vec![of_type("quorum")],
                "'x-delivery-limit' for {}: received none but current is the value '3' of type 'signedint'",
            ),
        ),
        (
            "classic",
            (
                vec![int_entry("x-delivery-limit", 3), of_type("classic")],
                "'x-queue-type' for {}: received 'classic' but current is 'quorum'",
            ),
        ),
        (
            "another limit",
            (
                vec![int_entry("x-delivery-limit", 4), of_type("quorum")],
                "'x-delivery-limit' for {}: received '4' but current is '3'",
            ),
        ),
    ];
    each_row(rows, |(arguments, why)| {
        peer.send(declare(&DURABLE, &arguments));
        let text = peer.expect_channel_closed_with(1, 406);
        let why = why.replace("{}", "queue 'q' in vhost '/'");
        assert_eq!(text, format!("PRECONDITION_FAILED - inequivalent arg {why}"));
        peer.open_channel(1);
    });
}

#[test]
fn each_delivery_says_how_often_there_was_one() {
    let broker = Broker::start().unwrap();
    let mut peer = quorum(&broker, &[]);
    let own = headers(&[text_entry("own", "kept"), int_entry("x-delivery-count", 7)]);
    peer.publish_with("", "q", &own, "one");
    for count in 0..3 {
        let delivery = peer.get("q", false).unwrap();
        assert_eq!((delivery.text(), delivery.redelivered), ("one", count > 0));
        assert_eq!(headers_in(&delivery), ["own=kept".to_owned(), format!("x-delivery-count={count}")]);
        give_back(&mut peer, delivery.tag);
    }
    // A message without headers has this one.
    peer.consume("q", "t");
    peer.publish("", "q", "two");
    assert_eq!(headers_in(&peer.expect_delivery()), ["own=kept", "x-delivery-count=3"]);
    assert_eq!(headers_in(&peer.expect_delivery()), ["x-delivery-count=0"]);
    peer.send(method(1, CHANNEL_CLOSE).short(200).shortstr("").short(0).short(0));
    peer.expect(CHANNEL_CLOSE_OK);
    peer.open_channel(1);
    assert_eq!(headers_in(&peer.get("q", false).unwrap()), ["own=kept", "x-delivery-count=4"]);
}

#[test]
fn a_message_is_delivered_so_often_and_is_a_dead_letter_then() {
    let rows = [("none", (0, 1)), ("negative", (-1, 1)), ("two", (2, 3))];
    each_row(rows, |(limit, deliveries)| {
        let broker = Broker::start().unwrap();
        let dead = [text_entry("x-dead-letter-exchange", ""), text_entry("x-dead-letter-routing-key", "dead")];
        let mut peer = quorum(&broker, &[&dead[..], &[int_entry("x-delivery-limit", limit)]].concat());
        peer.declare("dead");
        peer.publish("", "q", "one");
        peer.publish("", "q", "two");
        for _ in 0..deliveries {
            // It returns to its place.
            let delivery = peer.get("q", false).unwrap();
            assert_eq!(delivery.text(), "one");
            give_back(&mut peer, delivery.tag);
        }
        assert_eq!(peer.get("q", true).unwrap().text(), "two");
        let dead = peer.get("dead", true).unwrap();
        let death = "x-death=[{count=1, reason=delivery_limit, queue=q, time=T, exchange=, routing-keys=[q]}]";
        assert_eq!((dead.text(), headers_in(&dead)[0].as_str()), ("one", death));
        assert!(headers_in(&dead).iter().all(|header| !header.starts_with("x-delivery-count")));
    });
}

#[test]
fn without_a_limit_what_is_given_back_goes_to_the_end() {
    let broker = Broker::start().unwrap();
    let mut peer = quorum(&broker, &[]);
    for text in ["a", "b", "c"] {
        peer.publish("", "q", text);
    }
    let first = peer.get("q", false).unwrap();
    give_back(&mut peer, first.tag);
    assert_eq!(peer.texts("q"), ["b", "c", "a"]);
}

#[test]
fn a_shared_prefetch_is_not_for_quorum_queues() {
    let broker = Broker::start().unwrap();
    let mut peer = quorum(&broker, &[]);
    peer.prefetch(5, true);
    peer.publish("", "q", "one");
    assert_eq!(peer.get("q", true).unwrap().text(), "one");
    peer.send(consume(1, "q", "t", &[]));
    let text = peer.expect_closed_with(540);
    assert_eq!(text, "NOT_IMPLEMENTED - queue 'q' in vhost '/' does not support global qos");
}

#[test]
fn offsets_are_for_streams() {
    let broker = Broker::start().unwrap();
    for kind in ["classic", "quorum"] {
        let mut peer = Peer091::opened(&broker);
        peer.send(declare(&DURABLE, &[of_type(kind)]));
        peer.expect(QUEUE_DECLARE_OK);
        peer.send(consume_with(1, "q", "t", &[], &[text_entry("x-stream-offset", "first")]));
        let text = peer.expect_channel_closed_with(1, 406);
        let why = "invalid arg 'x-stream-offset' for queue 'q' in vhost '/' of queue type";
        assert_eq!(text, format!("PRECONDITION_FAILED - {why} rabbit_{kind}_queue"));
        peer.open_channel(1);
        peer.send(method(1, QUEUE_DELETE).short(0).shortstr("q").bits(&[]));
        peer.expect(QUEUE_DELETE_OK);
    }
}

/// In 1.0 the number is an annotation.
#[test]
fn receivers_of_1_0_are_told_too() {
    let broker = Broker::start().unwrap();
    let mut peer = quorum(&broker, &[]);
    peer.publish("", "q", "one");
    Peer::sender_of(&broker, "/queues/q", &["two"]);
    let mut receiver = Peer::receiver(&broker, "/queues/q", 2);
    for _ in 0..2 {
        let transfer = receiver.expect_transfer();
        let sections = String::from_utf8_lossy(&transfer.payload).into_owned();
        assert!(sections.contains("x-delivery-count"), "{sections}");
    }
}
