//! `x-consistent-hash`: a message goes to one of the bound queues, chosen by a hash.

use fakebroker::Broker;

use crate::support::each_row;
use crate::support091::*;

const KIND: &str = "x-consistent-hash";

/// Queues bound to `hash`, each with its weight.
fn with_queues(arguments: &[Vec<u8>], weights: &[(&str, &str)]) -> (Broker, Peer091) {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare_exchange_with("hash", KIND, arguments);
    for (queue, weight) in weights {
        peer.declare(queue);
        peer.bind(queue, "hash", weight);
    }
    (broker, peer)
}

/// Publishes a message by each of these keys. Returns the queue of each.
fn ways(peer: &mut Peer091, keys: &[String], queues: &[&str]) -> Vec<String> {
    keys.iter().for_each(|key| peer.publish("hash", key, key));
    let mut found: Vec<(String, String)> = Vec::new();
    for queue in queues {
        found.extend(peer.texts(queue).into_iter().map(|text| (text, (*queue).to_owned())));
    }
    assert_eq!(found.len(), keys.len(), "each message is in one queue");
    let way = |key: &String| found.iter().find(|(text, _)| text == key).unwrap().1.clone();
    keys.iter().map(way).collect()
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("order.{number}")).collect()
}

#[test]
fn queues_have_their_share_by_weight() {
    let (_broker, mut peer) = with_queues(&[], &[("one", "1"), ("two", "2"), ("five", "+5")]);
    let ways = ways(&mut peer, &keys(2000), &["one", "two", "five"]);
    let share = |queue: &str| ways.iter().filter(|way| *way == queue).count();
    for (queue, expected) in [("one", 250_usize), ("two", 500), ("five", 1250)] {
        assert!(share(queue).abs_diff(expected) < 100, "{queue} has {}", share(queue));
    }
}

#[test]
fn a_key_keeps_its_queue_when_others_come_and_go() {
    let (_broker, mut peer) = with_queues(&[], &[("a", "10"), ("b", "10"), ("c", "10")]);
    let keys = keys(300);
    let before = ways(&mut peer, &keys, &["a", "b", "c"]);
    assert_eq!(ways(&mut peer, &keys, &["a", "b", "c"]), before);
    peer.declare("d");
    peer.bind("d", "hash", "10");
    let with_d = ways(&mut peer, &keys, &["a", "b", "c", "d"]);
    assert!(before.iter().zip(&with_d).all(|(before, now)| now == before || now == "d"));
    assert!(with_d.iter().any(|way| way == "d"));
    peer.send(method(1, QUEUE_DELETE).short(0).shortstr("d").bits(&[]));
    peer.expect(QUEUE_DELETE_OK);
    assert_eq!(ways(&mut peer, &keys, &["a", "b", "c"]), before);
    peer.send(queue_bind(1, QUEUE_UNBIND, "a", "hash", "10", &[]));
    peer.expect(QUEUE_UNBIND_OK);
    let without_a = ways(&mut peer, &keys, &["b", "c"]);
    assert!(before.iter().zip(&without_a).all(|(before, now)| now == before || before == "a"));
}

#[test]
fn of_two_bindings_of_one_queue_the_first_counts() {
    let (_broker, mut peer) = with_queues(&[], &[("a", "1"), ("b", "1")]);
    let before = ways(&mut peer, &keys(200), &["a", "b"]);
    peer.bind("a", "hash", "1000");
    assert_eq!(ways(&mut peer, &keys(200), &["a", "b"]), before);
}

#[test]
fn a_header_or_a_property_decides() {
    let message_id = |text: &str| [&[0, 0x80, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let correlation_id = |text: &str| [&[4, 0, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let timestamp = |text: &str| [&[0, 0x40][..], &text.parse::<u64>().unwrap().to_be_bytes()].concat();
    let header = |text: &str| headers(&[text_entry("other", "x"), text_entry("id", text)]);
    type With = Box<dyn Fn(&str) -> Vec<u8>>;
    let rows: [(&str, (Vec<u8>, With)); 4] = [
        ("a header", (text_entry("hash-header", "id"), Box::new(header))),
        ("message-id", (text_entry("hash-property", "message_id"), Box::new(message_id))),
        ("correlation-id", (text_entry("hash-property", "correlation_id"), Box::new(correlation_id))),
        ("timestamp", (text_entry("hash-property", "timestamp"), Box::new(timestamp))),
    ];
    each_row(rows, |(argument, with)| {
        let (broker, mut peer) = with_queues(&[argument], &[("a", "1"), ("b", "1")]);
        for round in 0..3 {
            for number in 0..40 {
                // Whatever the routing key is.
                peer.publish_with("hash", &format!("{round}"), &with(&number.to_string()), number.to_string());
            }
        }
        let (a, b) = (peer.texts("a"), peer.texts("b"));
        assert_eq!(a.len() + b.len(), 120);
        assert!(!a.is_empty() && !b.is_empty() && a.iter().all(|text| !b.contains(text)), "{a:?} {b:?}");
        // Those without one go the same way.
        (0..10).for_each(|number| peer.publish("hash", &number.to_string(), ""));
        peer.round_trip();
        let depths = [broker.queue_depth("a"), broker.queue_depth("b")];
        assert!(depths.contains(&10) && depths.contains(&0), "{depths:?}");
    });
}

#[test]
fn without_a_binding_a_message_goes_nowhere() {
    let (broker, mut peer) = with_queues(&[], &[]);
    peer.publish("hash", "k", "one");
    peer.round_trip();
    assert_eq!(broker.counts().dropped, 1);
    // An exchange has a share as a queue has.
    peer.declare("q");
    peer.bind("q", "amq.fanout", "");
    peer.bind_exchange("amq.fanout", "hash", "1");
    peer.publish("hash", "k", "two");
    assert_eq!(peer.texts("q"), ["two"]);
}

#[test]
fn a_binding_key_is_a_weight() {
    let rows = [
        ("0", "The binding key must be greater than 0"),
        ("-1", "The binding key must be greater than 0"),
        ("", "The binding key must be an integer: <<\"\">>"),
        ("x", "The binding key must be an integer: <<\"x\">>"),
        ("1.5", "The binding key must be an integer: <<\"1.5\">>"),
        ("1e3", "The binding key must be an integer: <<\"1e3\">>"),
        ("inf", "The binding key must be an integer: <<\"inf\">>"),
        (" 3", "The binding key must be an integer: <<\" 3\">>"),
    ];
    let (broker, peer) = with_queues(&[], &[("a", "1")]);
    peer.close();
    each_row(rows.map(|row| (row.0, row)), |(key, said)| {
        let mut peer = Peer091::opened(&broker);
        peer.send(queue_bind(1, QUEUE_BIND, "a", "hash", key, &[]));
        assert_eq!(peer.expect_channel_closed_with(1, 406), format!("PRECONDITION_FAILED - {said}"));
    });
    // Larger than any share needs to be.
    let mut peer = Peer091::opened(&broker);
    peer.declare("huge");
    peer.bind("huge", "hash", &"9".repeat(255));
    peer.publish("hash", "k", "one");
    assert_eq!(peer.texts("huge"), ["one"]);
}

#[test]
fn arguments_that_cannot_be_are_refused() {
    let rows = [
        ("a number for a header", vec![int_entry("hash-header", 1)], "invalid type 'signedint' for arg 'hash-header'"),
        ("a flag for a property", vec![bool_entry("hash-property", true)], "invalid type 'bool' for arg"),
        ("another property", vec![text_entry("hash-property", "app_id")], "Unsupported property: app_id"),
        (
            "both",
            vec![text_entry("hash-header", "h"), text_entry("hash-property", "message_id")],
            "hash-header and hash-property are mutually exclusive",
        ),
    ];
    let broker = Broker::start().unwrap();
    each_row(rows.map(|(name, arguments, said)| (name, (arguments, said))), |(arguments, said)| {
        let mut peer = Peer091::opened(&broker);
        peer.send(exchange_declare_with("e", KIND, &arguments));
        let text = peer.expect_channel_closed_with(1, 406);
        assert!(text.contains(said), "{text}");
    });
}
