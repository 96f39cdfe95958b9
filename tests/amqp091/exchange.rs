//! 3.1.3: exchanges and bindings.

use fakebroker::Broker;

use crate::support::each_row;
use crate::support091::*;

/// Takes all messages out of a queue.
fn texts(peer: &mut Peer091, queue: &str) -> Vec<String> {
    std::iter::from_fn(|| peer.get(queue, true).map(|delivery| delivery.text().to_owned())).collect()
}

#[test]
fn direct_is_by_the_key() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    for queue in ["a", "b", "c"] {
        peer.declare(queue);
    }
    peer.declare_exchange("e", "direct");
    peer.bind("a", "e", "k");
    peer.bind("b", "e", "k");
    peer.bind("b", "e", "other");
    // The same binding twice is one.
    peer.bind("b", "e", "other");
    for key in ["k", "other", "none", ""] {
        peer.publish("e", key, key);
    }
    assert_eq!(texts(&mut peer, "a"), ["k"]);
    assert_eq!(texts(&mut peer, "b"), ["k", "other"]);
    assert_eq!(texts(&mut peer, "c"), [""; 0]);
    peer.send(queue_bind(1, QUEUE_UNBIND, "b", "e", "k", &[]));
    peer.expect(QUEUE_UNBIND_OK);
    peer.publish("e", "k", "after");
    assert_eq!(texts(&mut peer, "a"), ["after"]);
    assert_eq!(texts(&mut peer, "b"), [""; 0]);
}

#[test]
fn a_delivery_says_where_it_came_from() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.bind("q", "amq.topic", "a.#");
    peer.consume("q", "c");
    peer.publish("amq.topic", "a.b.c", "hello");
    let delivery = peer.expect_delivery();
    assert_eq!((delivery.exchange.as_str(), delivery.key.as_str()), ("amq.topic", "a.b.c"));
}

#[test]
fn fanout_is_for_all_and_once_for_each() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    for queue in ["a", "b"] {
        peer.declare(queue);
        peer.bind(queue, "amq.fanout", "x");
        peer.bind(queue, "amq.fanout", "y");
    }
    peer.publish("amq.fanout", "whatever", "hello");
    assert_eq!(texts(&mut peer, "a"), ["hello"]);
    assert_eq!(texts(&mut peer, "b"), ["hello"]);
}

#[test]
fn topic_is_by_words() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    let patterns = ["#", "*.critical", "disk.#", "disk.*", "*.*.*", "#.critical.#"];
    for pattern in patterns {
        peer.declare(pattern);
        peer.bind(pattern, "amq.topic", pattern);
    }
    let keys = ["disk.critical", "disk", "net.critical", "net.eth0.critical", "", "critical"];
    for key in keys {
        peer.publish("amq.topic", key, key);
    }
    let expected: [&[&str]; 6] = [
        &keys,
        &["disk.critical", "net.critical"],
        &["disk.critical", "disk"],
        &["disk.critical"],
        &["net.eth0.critical"],
        &["disk.critical", "net.critical", "net.eth0.critical", "critical"],
    ];
    each_row(patterns.into_iter().zip(expected).map(|(pattern, expected)| (pattern, (pattern, expected))), |row| {
        let (pattern, expected) = row;
        assert_eq!(texts(&mut peer, pattern), expected);
    });
}

/// A content header's properties: headers alone.
fn headers(entries: &[Vec<u8>]) -> Vec<u8> {
    [&[0x20, 0][..], &sized(&entries.concat())].concat()
}

#[test]
fn headers_match_all_or_any() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    let wanted = [text_entry("kind", "report"), int_entry("size", 5)];
    let bindings = [
        ("default", wanted.to_vec()),
        ("all", [vec![text_entry("x-match", "all")], wanted.to_vec()].concat()),
        ("any", [vec![text_entry("x-match", "any")], wanted.to_vec()].concat()),
        ("there", vec![entry("size", b'V', "")]),
        ("nothing", vec![]),
    ];
    for (queue, arguments) in &bindings {
        peer.declare(queue);
        peer.send(queue_bind(1, QUEUE_BIND, queue, "amq.headers", "", arguments));
        peer.expect(QUEUE_BIND_OK);
    }
    let messages = [
        ("both", vec![text_entry("kind", "report"), int_entry("size", 5), int_entry("more", 1)]),
        // The same number in another width.
        ("wide", vec![text_entry("kind", "report"), entry("size", b'l', 5_i64.to_be_bytes())]),
        ("kind", vec![text_entry("kind", "report"), int_entry("size", 6)]),
        ("neither", vec![text_entry("kind", "letter")]),
    ];
    for (text, entries) in &messages {
        peer.send(publish(1, "amq.headers", "", &[], &headers(entries), text.as_bytes()));
    }
    peer.publish("amq.headers", "", "without");
    let expected: [(&str, &[&str]); 5] = [
        ("default", &["both", "wide"]),
        ("all", &["both", "wide"]),
        ("any", &["both", "wide", "kind"]),
        ("there", &["both", "wide", "kind"]),
        ("nothing", &["both", "wide", "kind", "neither", "without"]),
    ];
    each_row(expected.map(|(queue, expected)| (queue, (queue, expected))), |(queue, expected)| {
        assert_eq!(texts(&mut peer, queue), expected);
    });
}

#[test]
fn x_match_is_one_of_four() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    each_row(["all", "any", "all-with-x", "any-with-x"].map(|mode| (mode, mode)), |mode| {
        peer.send(queue_bind(1, QUEUE_BIND, "q", "amq.headers", "", &[text_entry("x-match", mode)]));
        peer.expect(QUEUE_BIND_OK);
    });
    let rows = [("another", text_entry("x-match", "some")), ("a number", int_entry("x-match", 1))];
    each_row(rows, |entry| {
        peer.send(queue_bind(1, QUEUE_BIND, "q", "amq.headers", "", std::slice::from_ref(&entry)));
        let said = peer.expect_channel_closed_with(1, 406);
        assert!(said.contains("Invalid x-match field"), "{said}");
        peer.open_channel(1);
        // To other types it means nothing.
        peer.send(queue_bind(1, QUEUE_BIND, "q", "amq.direct", "", &[entry]));
        peer.expect(QUEUE_BIND_OK);
    });
}

#[test]
fn bindings_are_compared_by_the_values_of_their_arguments() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    let arguments = [int_entry("a", 1), table_entry("t", &[text_entry("x", "1"), text_entry("y", "2")])];
    let turned =
        [table_entry("t", &[text_entry("y", "2"), text_entry("x", "1")]), entry("a", b'l', 1_i64.to_be_bytes())];
    let other = [int_entry("a", 2)];
    for arguments in [&arguments[..], &turned, &other] {
        peer.send(queue_bind(1, QUEUE_BIND, "q", "amq.fanout", "k", arguments));
        peer.expect(QUEUE_BIND_OK);
    }
    peer.publish("amq.fanout", "", "bound twice, and once for each queue");
    for arguments in [&turned[..], &other] {
        peer.send(queue_bind(1, QUEUE_UNBIND, "q", "amq.fanout", "k", arguments));
        peer.expect(QUEUE_UNBIND_OK);
    }
    peer.publish("amq.fanout", "", "not bound any more");
    assert_eq!(texts(&mut peer, "q"), ["bound twice, and once for each queue"]);
}

#[test]
fn what_is_not_bound_is_unbound() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    let exchange_unbind = |destination: &str, source: &str| {
        method(1, EXCHANGE_UNBIND).short(0).shortstr(destination).shortstr(source).shortstr("k").bits(&[]).table(&[])
    };
    // As RabbitMQ has it, whatever is missing.
    let rows = [
        ("no binding", queue_bind(1, QUEUE_UNBIND, "q", "amq.direct", "k", &[]), QUEUE_UNBIND_OK),
        ("no exchange", queue_bind(1, QUEUE_UNBIND, "q", "missing", "k", &[]), QUEUE_UNBIND_OK),
        ("no queue", queue_bind(1, QUEUE_UNBIND, "missing", "amq.direct", "k", &[]), QUEUE_UNBIND_OK),
        ("no source", exchange_unbind("amq.direct", "missing"), EXCHANGE_UNBIND_OK),
        ("no destination", exchange_unbind("missing", "amq.direct"), EXCHANGE_UNBIND_OK),
    ];
    each_row(rows.map(|(name, bytes, id)| (name, (bytes, id))), |(bytes, id)| {
        peer.send(bytes);
        peer.expect(id);
    });
    peer.send(queue_bind(1, QUEUE_UNBIND, "q", "", "q", &[]));
    peer.expect_channel_closed_with(1, 403);
}

fn bind_exchange(peer: &mut Peer091, id: Id, destination: &str, source: &str, key: &str) {
    let bytes = method(1, id).short(0).shortstr(destination).shortstr(source).shortstr(key).bits(&[false]).table(&[]);
    peer.send(bytes);
    peer.expect(if id == EXCHANGE_BIND { EXCHANGE_BIND_OK } else { EXCHANGE_UNBIND_OK });
}

#[test]
fn exchanges_are_bound_to_exchanges() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.declare_exchange("in", "topic");
    peer.declare_exchange("out", "fanout");
    bind_exchange(&mut peer, EXCHANGE_BIND, "out", "in", "a.*");
    // A circle does no harm.
    bind_exchange(&mut peer, EXCHANGE_BIND, "in", "out", "");
    peer.bind("q", "out", "");
    peer.bind("q", "in", "#");
    peer.publish("in", "a.b", "both ways, once");
    peer.publish("in", "b", "one way");
    assert_eq!(texts(&mut peer, "q"), ["both ways, once", "one way"]);
    bind_exchange(&mut peer, EXCHANGE_UNBIND, "out", "in", "a.*");
    peer.send(queue_bind(1, QUEUE_UNBIND, "q", "in", "#", &[]));
    peer.expect(QUEUE_UNBIND_OK);
    peer.publish("in", "a.b", "no way");
    assert_eq!(texts(&mut peer, "q"), [""; 0]);
}

#[test]
fn bindings_go_with_their_queue() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.bind("q", "amq.direct", "k");
    peer.publish("amq.direct", "k", "one");
    peer.send(method(1, QUEUE_DELETE).short(0).shortstr("q").bits(&[]));
    peer.expect(QUEUE_DELETE_OK);
    peer.declare("q");
    peer.publish("amq.direct", "k", "two");
    assert_eq!(texts(&mut peer, "q"), [""; 0]);
    assert_eq!(broker.counts().dropped, 1);
}

#[test]
fn auto_delete_exchanges_go_with_their_last_binding() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    let passive = exchange_declare(1, "e", "", &[true]);
    let auto_delete = exchange_declare(1, "e", "direct", &[false, false, true]);
    // By unbind, by the end of the queue, and not before it was ever bound.
    for by_unbind in [true, false] {
        peer.send(&auto_delete);
        peer.expect(EXCHANGE_DECLARE_OK);
        peer.send(&passive);
        peer.expect(EXCHANGE_DECLARE_OK);
        peer.bind("q", "e", "k");
        if by_unbind {
            peer.send(queue_bind(1, QUEUE_UNBIND, "q", "e", "k", &[]));
            peer.expect(QUEUE_UNBIND_OK);
        } else {
            peer.send(method(1, QUEUE_DELETE).short(0).shortstr("q").bits(&[]));
            peer.expect(QUEUE_DELETE_OK);
        }
        peer.send(&passive);
        peer.expect_channel_closed_with(1, 404);
        peer.open_channel(1);
    }
}

#[test]
fn exchanges_are_deleted() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    let delete = |if_unused| method(1, EXCHANGE_DELETE).short(0).shortstr("e").bits(&[if_unused, false]);
    peer.declare("q");
    peer.declare_exchange("e", "direct");
    peer.bind("q", "e", "k");
    peer.send(delete(true));
    peer.expect_channel_closed_with(1, 406);
    peer.open_channel(1);
    peer.send(delete(false));
    peer.expect(EXCHANGE_DELETE_OK);
    // What is not there is deleted.
    peer.send(delete(false));
    peer.expect(EXCHANGE_DELETE_OK);
    peer.publish("e", "k", "lost");
    peer.expect_channel_closed_with(1, 404);
}

#[test]
fn what_exchanges_are_refused() {
    let broker = Broker::start().unwrap();
    let delete = |name| method(1, EXCHANGE_DELETE).short(0).shortstr(name).bits(&[false]);
    let bind_exchanges = |destination: &str, source: &str| {
        let start = method(1, EXCHANGE_BIND).short(0).shortstr(destination).shortstr(source);
        start.shortstr("").bits(&[]).table(&[]).bytes()
    };
    let with_argument = |name: &str| {
        let start = method(1, EXCHANGE_DECLARE).short(0).shortstr(name).shortstr("direct");
        start.bits(&[false; 5]).table(&[text_entry("alternate-exchange", "a")]).bytes()
    };
    let rows = [
        ("a missing one, passive", exchange_declare(1, "missing", "direct", &[true]).bytes(), 404),
        ("a reserved name", exchange_declare(1, "amq.mine", "direct", &[]).bytes(), 403),
        ("the default one", exchange_declare(1, "", "direct", &[]).bytes(), 403),
        ("a standard one as another", exchange_declare(1, "amq.topic", "direct", &[false, true]).bytes(), 406),
        ("a known one as another", exchange_declare(1, "known", "fanout", &[]).bytes(), 406),
        ("a known one, auto-delete", exchange_declare(1, "known", "direct", &[false, false, true]).bytes(), 406),
        ("a known one, with an argument", with_argument("known"), 406),
        ("deleting a standard one", delete("amq.fanout").bytes(), 403),
        ("deleting the default one", delete("").bytes(), 403),
        ("binding to the default one", queue_bind(1, QUEUE_BIND, "q", "", "k", &[]).bytes(), 403),
        ("binding to a missing one", queue_bind(1, QUEUE_BIND, "q", "missing", "k", &[]).bytes(), 404),
        ("binding a missing queue", queue_bind(1, QUEUE_BIND, "missing", "amq.direct", "k", &[]).bytes(), 404),
        ("publishing to a missing one", publish(1, "missing", "k", &[], &NO_PROPERTIES, b"x"), 404),
        ("binding a missing exchange", bind_exchanges("missing", "amq.direct"), 404),
        ("binding the default one", bind_exchanges("", "amq.direct"), 403),
        ("publishing to an internal one", publish(1, "internal", "k", &[], &NO_PROPERTIES, b"x"), 403),
    ];
    each_row(rows.map(|(name, bytes, code)| (name, (bytes, code))), |(bytes, code)| {
        let mut peer = Peer091::opened(&broker);
        peer.declare("q");
        peer.declare_exchange("known", "direct");
        peer.send(exchange_declare(1, "internal", "direct", &[false, false, false, true]));
        peer.expect(EXCHANGE_DECLARE_OK);
        peer.send(&bytes);
        peer.expect_channel_closed_with(1, code);
        peer.open_channel(1);
        peer.close();
    });
}

#[test]
fn standard_exchanges_are_there() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    let rows = [
        ("amq.direct", "direct"),
        ("amq.fanout", "fanout"),
        ("amq.topic", "topic"),
        ("amq.headers", "headers"),
        ("amq.match", "headers"),
    ];
    each_row(rows.map(|(name, kind)| (name, (name, kind))), |(name, kind)| {
        for bits in [[true, false], [false, true]] {
            peer.send(exchange_declare(1, name, kind, &bits));
            peer.expect(EXCHANGE_DECLARE_OK);
        }
    });
}
