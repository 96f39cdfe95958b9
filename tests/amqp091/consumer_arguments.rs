//! Consumers that are not equal: priorities, and queues with one active consumer. What RabbitMQ answers to each request here was asked of RabbitMQ.

use fakebroker::Broker;

use crate::support::{Peer, Value, attach_receiver, each_row, symbol, text};
use crate::support091::*;

/// Texts with the tags of the consumers that they were delivered to, in the order of the texts: what several consumers get in one
/// turn comes consumer by consumer.
fn deliveries(peer: &mut Peer091, count: usize) -> Vec<(String, String)> {
    let all = (0..count).map(|_| peer.expect_delivery());
    let mut all: Vec<(String, String)> = all.map(|one| (one.consumer.clone(), one.text().to_owned())).collect();
    all.sort_by(|(_, a), (_, b)| a.cmp(b));
    all
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(consumer, text)| ((*consumer).to_owned(), (*text).to_owned())).collect()
}

fn publish_all(peer: &mut Peer091, texts: impl IntoIterator<Item = &'static str>) {
    texts.into_iter().for_each(|text| peer.publish("", "q", text));
}

#[test]
fn the_highest_priority_is_served_first() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.prefetch(2, false);
    peer.consume_with("q", "low", &[], &[int_entry("x-priority", -1)]);
    peer.consume("q", "none is 0");
    peer.consume_with("q", "high", &[], &[int_entry("x-priority", 5)]);
    peer.consume_with("q", "high too", &[], &[entry("x-priority", b'l', 5_i64.to_be_bytes())]);
    publish_all(&mut peer, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let expected = [
        ("high", "0"),
        ("high too", "1"),
        ("high", "2"),
        ("high too", "3"),
        ("none is 0", "4"),
        ("none is 0", "5"),
        ("low", "6"),
        ("low", "7"),
    ];
    assert_eq!(deliveries(&mut peer, 8), pairs(&expected));
    peer.expect_nothing();
    peer.ack(0, true);
    assert_eq!(deliveries(&mut peer, 2), pairs(&[("high", "8"), ("high", "9")]));
    assert_eq!(broker.unmet_requests(), []);
}

/// Consumers of one channel that wait for the prefetch that they share.
#[test]
fn what_a_shared_prefetch_frees_is_for_the_highest_priority() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.prefetch(1, true);
    peer.consume("q", "low");
    peer.consume_with("q", "high", &[], &[int_entry("x-priority", 5)]);
    publish_all(&mut peer, ["1", "2", "3"]);
    for (tag, text) in [(1, "1"), (2, "2"), (3, "3")] {
        assert_eq!(deliveries(&mut peer, 1), pairs(&[("high", text)]));
        peer.ack(tag, false);
    }
}

#[test]
fn a_priority_is_an_integer() {
    let broker = Broker::start().unwrap();
    let rows = [
        ("true", (bool_entry("x-priority", true), "bool")),
        ("text", (text_entry("x-priority", "1"), "longstr")),
        ("a float", (entry("x-priority", b'd', 1.5_f64.to_be_bytes()), "double")),
        ("void", (entry("x-priority", b'V', []), "void")),
        ("a timestamp", (entry("x-priority", b'T', 1_u64.to_be_bytes()), "timestamp")),
        ("a table", (table_entry("x-priority", &[]), "table")),
        ("a list", (entry("x-priority", b'A', sized(b"")), "array")),
    ];
    each_row(rows, |(argument, kind)| {
        let mut peer = Peer091::opened(&broker);
        peer.declare("q");
        peer.send(consume_with(1, "q", "t", &[], &[argument]));
        let text = peer.expect_channel_closed_with(1, 406);
        let why = format!("invalid arg 'x-priority' for queue 'q' in vhost '/': \"expected integer, got {kind}\"");
        assert_eq!(text, format!("PRECONDITION_FAILED - {why}"));
        peer.open_channel(1);
        assert_eq!(peer.declare("q"), (0, 0), "there is no consumer");
    });
    let rows = [("lowest", i64::MIN), ("highest", i64::MAX)];
    each_row(rows, |priority| {
        let mut peer = Peer091::opened(&broker);
        peer.consume_with("q", "t", &[], &[entry("x-priority", b'l', priority.to_be_bytes())]);
        peer.close();
    });
}

#[test]
fn a_flag_of_rabbitmqs_clusters_is_a_flag() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.consume_with("q", "t", &[], &[bool_entry("x-cancel-on-ha-failover", true)]);
    peer.send(consume_with(1, "q", "u", &[], &[int_entry("x-cancel-on-ha-failover", 1)]));
    let text = peer.expect_channel_closed_with(1, 406);
    assert!(text.ends_with("{unacceptable_type,signedint}"), "{text}");
}

/// The link property `rabbitmq:priority` of 1.0, at a queue that clients of both protocols receive from.
#[test]
fn receivers_of_1_0_have_priorities_too() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.prefetch(2, false);
    peer.consume_with("q", "t", &[], &[int_entry("x-priority", 3)]);
    let mut receiver = Peer::opened(&broker);
    let attach = |name: &str, handle: u32, priority: Value| {
        let properties = Value::Map(vec![(symbol("rabbitmq:priority"), priority)]);
        attach_receiver(name, handle, "/queues/q").with("properties", properties)
    };
    for (handle, priority) in [(0, 2), (1, 4)] {
        receiver.attach(attach(&format!("r{handle}"), handle, priority.into()));
        receiver.grant(handle, 0, 1);
    }
    receiver.expect_nothing();
    publish_all(&mut peer, ["1", "2", "3", "4"]);
    assert_eq!(peer.expect_texts(2), ["2", "3"]);
    for (handle, expected) in [(1, "1"), (0, "4")] {
        let transfer = receiver.expect_transfer();
        assert_eq!((transfer.number("handle"), text(&transfer.payload)), (handle, expected.to_owned()));
    }
    receiver.send(attach("wrong", 2, "high".into()));
    receiver.expect_attach();
    receiver.expect_detach_with("amqp:precondition-failed");
    assert_eq!(broker.unmet_requests(), []);
}

/// Declares `q` with one active consumer, and consumers of these priorities that take one message each.
fn with_one_active(broker: &Broker, consumers: &[(&str, i32)]) -> Peer091 {
    let mut peer = Peer091::opened(broker);
    peer.declare_with("q", &[bool_entry("x-single-active-consumer", true)]);
    peer.prefetch(2, false);
    for (tag, priority) in consumers {
        peer.consume_with("q", tag, &[], &[int_entry("x-priority", *priority)]);
    }
    peer
}

fn cancel(peer: &mut Peer091, tag: &str) {
    peer.send(method(1, CANCEL).shortstr(tag).bits(&[false]));
    peer.expect(CANCEL_OK);
}

#[test]
fn one_consumer_is_active_until_it_leaves() {
    let broker = Broker::start().unwrap();
    let mut peer = with_one_active(&broker, &[("first", 0), ("second", 0), ("preferred", 5)]);
    publish_all(&mut peer, ["0", "1", "2", "3", "4", "5", "6"]);
    assert_eq!(deliveries(&mut peer, 2), pairs(&[("first", "0"), ("first", "1")]));
    peer.expect_nothing();
    // What it has stays with it; the others go to the highest priority.
    cancel(&mut peer, "first");
    assert_eq!(deliveries(&mut peer, 2), pairs(&[("preferred", "2"), ("preferred", "3")]));
    peer.ack(1, false);
    peer.expect_nothing();
    peer.consume_with("q", "late", &[], &[int_entry("x-priority", 9)]);
    peer.ack(0, true);
    assert_eq!(deliveries(&mut peer, 2), pairs(&[("preferred", "4"), ("preferred", "5")]));
    // A channel that closes gives back what it had.
    peer.open_channel(2);
    peer.send(consume_with(2, "q", "other channel", &[], &[int_entry("x-priority", 10)]));
    peer.expect_on(2, CONSUME_OK);
    peer.send(method(1, CHANNEL_CLOSE).short(200).shortstr("").short(0).short(0));
    peer.expect(CHANNEL_CLOSE_OK);
    assert_eq!(
        deliveries(&mut peer, 3),
        pairs(&[("other channel", "4"), ("other channel", "5"), ("other channel", "6")])
    );
    assert_eq!(broker.unmet_requests(), []);
}

#[test]
fn basic_get_does_not_wait_for_the_active_consumer() {
    let broker = Broker::start().unwrap();
    let mut peer = with_one_active(&broker, &[("first", 0), ("second", 0)]);
    publish_all(&mut peer, ["0", "1", "2"]);
    assert_eq!(deliveries(&mut peer, 2), pairs(&[("first", "0"), ("first", "1")]));
    assert_eq!(peer.get("q", true).unwrap().text(), "2");
    let arguments = [bool_entry("x-single-active-consumer", true)];
    assert_eq!(peer.declare_with("q", &arguments), (0, 2), "all consumers count");
}

/// The queue was there before it was declared.
#[test]
fn receivers_of_1_0_take_turns_until_one_is_to_be_active() {
    let broker = Broker::start().unwrap();
    let mut receivers = [Peer::receiver(&broker, "queue.a", 5), Peer::receiver(&broker, "queue.a", 5)];
    receivers.iter_mut().for_each(Peer::expect_nothing);
    let mut peer = Peer091::opened(&broker);
    peer.declare_with("queue.a", &[bool_entry("x-single-active-consumer", true)]);
    for text in ["1", "2"] {
        peer.publish("", "queue.a", text);
    }
    let [mut first, mut second] = receivers;
    assert_eq!(first.receive_texts(2), ["1", "2"]);
    second.expect_nothing();
    first.close();
    assert_eq!(second.receive_texts(2), ["1", "2"]);
}

#[test]
fn a_consumer_cannot_be_exclusive_where_one_is_active() {
    let broker = Broker::start().unwrap();
    let mut peer = with_one_active(&broker, &[]);
    peer.send(consume(1, "q", "t", &[false, false, true]));
    let text = peer.expect_channel_closed_with(1, 403);
    assert_eq!(text, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use");
}

#[test]
fn whether_one_is_active_is_a_flag_and_is_compared() {
    let broker = Broker::start().unwrap();
    let name = "x-single-active-consumer";
    let rows = [
        ("text", (text_entry(name, "true"), "longstr")),
        ("a number", (int_entry(name, 1), "signedint")),
        ("void", (entry(name, b'V', []), "void")),
    ];
    each_row(rows, |(argument, kind)| {
        let mut peer = Peer091::opened(&broker);
        peer.send(queue_declare_with("q", &[argument]));
        let text = peer.expect_channel_closed_with(1, 406);
        let why = format!("invalid arg '{name}' for queue 'q' in vhost '/': {{unacceptable_type,{kind}}}");
        assert_eq!(text, format!("PRECONDITION_FAILED - {why}"));
    });
    let mut peer = with_one_active(&broker, &[]);
    peer.send(queue_declare_with("q", &[]));
    let text = peer.expect_channel_closed_with(1, 406);
    assert!(text.ends_with("received none but current is the value 'true' of type 'bool'"), "{text}");
}
