//! Messages that come by 1.0 and go by an exchange: addresses in RabbitMQ's second version of them.

use fakebroker::{Broker, Message, MessageState, Outcome, Unroutable};

use crate::support::{
    ACCEPTED, APPLICATION_PROPERTIES, PROPERTIES, Peer, REJECTED, RELEASED, TARGET, Value, attach_receiver,
    attach_sender, each_row, message, message_to, section, terminus,
};
use crate::support091::*;

/// A broker with queues `q` and `other`, bound to `e`, a direct exchange, by `k` and by `a/b`.
fn scene() -> (Broker, Peer091, Peer) {
    let broker = Broker::start().unwrap();
    let mut old = Peer091::opened(&broker);
    old.declare("q");
    old.declare("other");
    old.declare_exchange("e", "direct");
    old.bind("q", "e", "k");
    old.bind("other", "e", "a/b");
    let new = Peer::opened(&broker);
    (broker, old, new)
}

fn by_subject(subject: &str, text: &str) -> Vec<u8> {
    let properties = Value::List(vec![Value::Null, Value::Null, Value::Null, subject.into()]);
    [section(PROPERTIES, properties), message(text)].concat()
}

/// Exchange, routing key and text of the next message in a queue.
fn got(peer: &mut Peer091, queue: &str) -> Option<(String, String, String)> {
    peer.get(queue, true).map(|got| (got.exchange.clone(), got.key.clone(), got.text().to_owned()))
}

#[track_caller]
fn expect_got(peer: &mut Peer091, queue: &str, expected: (&str, &str, &str)) {
    let (exchange, key, text) = got(peer, queue).expect("a message");
    assert_eq!((exchange.as_str(), key.as_str(), text.as_str()), expected);
}

#[test]
fn a_link_to_an_exchange() {
    let (broker, mut old, mut new) = scene();
    let rows = [
        ("with a key", (0, "/exchanges/e/k", message("x"), "q", "k")),
        ("with an encoded key", (1, "/exchanges/e/a%2Fb", message("x"), "other", "a/b")),
        ("by subject", (2, "/exchanges/e", by_subject("k", "x"), "q", "k")),
        ("by another subject", (2, "/exchanges/e", by_subject("a/b", "x"), "other", "a/b")),
        ("a key goes before the subject", (3, "/exchanges/%65/k", by_subject("a/b", "x"), "q", "k")),
    ];
    let mut attached = Vec::new();
    each_row(rows, |(handle, address, payload, queue, key)| {
        if !attached.contains(&handle) {
            let answer = new.attach(attach_sender(&format!("s{handle}"), handle, address));
            assert_eq!(answer.address("target").as_deref(), Some(address));
            new.expect_credit();
            attached.push(handle);
        }
        let id = new.send_payload(handle, payload);
        assert_eq!(new.expect_outcome_of(id).state(), ACCEPTED);
        expect_got(&mut old, queue, ("e", key, "x"));
    });
    assert_eq!(broker.counts().queued, 5);
    let addresses: Vec<Option<String>> = broker.links().into_iter().map(|link| link.address).collect();
    assert!(addresses.contains(&Some("/exchanges/e/a%2Fb".to_owned())), "{addresses:?}");
}

#[test]
fn the_anonymous_terminus_names_an_exchange() {
    let (_broker, mut old, mut new) = scene();
    new.attach(attach_sender("s", 0, "").with("target", terminus(TARGET, Value::Null)));
    new.expect_credit();
    let id = new.send_payload(0, message_to("/exchanges/e/k", "by to"));
    assert_eq!(new.expect_outcome_of(id).state(), ACCEPTED);
    expect_got(&mut old, "q", ("e", "k", "by to"));
    for nowhere in ["/exchanges/e/none", "/exchanges/none/k", "/exchanges/e/k/more"] {
        let id = new.send_payload(0, message_to(nowhere, "lost"));
        assert_eq!(new.expect_outcome_of(id).state(), REJECTED);
    }
}

#[test]
fn each_type_routes_it() {
    let (_broker, mut old, mut new) = scene();
    old.bind("q", "amq.topic", "a.*");
    old.bind("q", "amq.fanout", "");
    let arguments = [text_entry("x-match", "all"), text_entry("kind", "report"), int_entry("size", 5)];
    old.send(queue_bind(1, QUEUE_BIND, "q", "amq.headers", "", &arguments));
    old.expect(QUEUE_BIND_OK);
    let headers = |size: u32| {
        let entries = vec![("kind".into(), "report".into()), ("size".into(), Value::Uint(size))];
        [section(APPLICATION_PROPERTIES, Value::Map(entries)), message("x")].concat()
    };
    let rows = [
        ("topic", ("/exchanges/amq.topic", by_subject("a.b", "x"), true)),
        ("topic, another", ("/exchanges/amq.topic", by_subject("b.b", "x"), false)),
        ("fanout", ("/exchanges/amq.fanout", message("x"), true)),
        ("headers", ("/exchanges/amq.headers", headers(5), true)),
        ("headers, another", ("/exchanges/amq.headers", headers(6), false)),
    ];
    let mut handle = 0;
    each_row(rows, |(address, payload, arrives)| {
        new.attach_sender(&handle.to_string(), handle, address);
        let id = new.send_payload(handle, payload);
        handle += 1;
        assert_eq!(new.expect_outcome_of(id).state(), if arrives { ACCEPTED } else { REJECTED });
        assert_eq!(got(&mut old, "q").is_some(), arrives);
    });
}

#[test]
fn what_is_bound_nowhere_has_the_outcome_of_the_unroutable() {
    let rows = [("rejected", (Unroutable::Rejected, REJECTED)), ("released", (Unroutable::Released, RELEASED))];
    each_row(rows, |(unroutable, state)| {
        let broker = Broker::builder().unroutable(unroutable).start().unwrap();
        let mut new = Peer::opened(&broker);
        new.attach_sender("s", 0, "/exchanges/amq.direct/k");
        let id = new.send_message(0, "lost");
        assert_eq!(new.expect_outcome_of(id).state(), state);
        let dropped = broker.messages("/exchanges/amq.direct/k").pop().expect("a message in the log");
        assert!(matches!(dropped.state, MessageState::Dropped { .. }), "{dropped:?}");
        // By 0-9-1 it is as ever.
        let mut old = Peer091::opened(&broker);
        old.send(publish(1, "amq.direct", "k", &[true], &NO_PROPERTIES, b"back"));
        assert_eq!(old.expect_return().number, 312);
    });
}

#[test]
fn what_links_are_refused() {
    let (_broker, mut old, mut new) = scene();
    old.send(exchange_declare(1, "internal", "direct", &[false, false, false, true]));
    old.expect(EXCHANGE_DECLARE_OK);
    let sender = |address| attach_sender("s", 0, address);
    let rows = [
        ("a missing exchange", (sender("/exchanges/missing"), "amqp:not-found")),
        ("a missing exchange, with a key", (sender("/exchanges/missing/k"), "amqp:not-found")),
        ("an internal one", (sender("/exchanges/internal/k"), "amqp:not-allowed")),
        ("no name", (sender("/exchanges/"), "amqp:invalid-field")),
        ("more than a key", (sender("/exchanges/e/k/more"), "amqp:invalid-field")),
        ("receiving from one", (attach_receiver("r", 0, "/exchanges/e"), "amqp:invalid-field")),
    ];
    each_row(rows, |(attach, condition)| {
        new.send(attach);
        new.expect_detach_with(condition);
        new.send(crate::support::detach(0));
    });
}

#[test]
fn who_sends_to_an_exchange_is_detached_when_it_is_deleted() {
    let (_broker, mut old, mut new) = scene();
    new.attach_sender("s", 0, "/exchanges/e/k");
    old.send(method(1, EXCHANGE_DELETE).short(0).shortstr("e").bits(&[]));
    old.expect(EXCHANGE_DELETE_OK);
    new.expect_detach_with("amqp:resource-deleted");
}

#[test]
fn injected_by_exchange_and_routing_key() {
    let (broker, mut old, _) = scene();
    assert_eq!(broker.inject("/exchanges/e/k", Message::text("one")), Some(Outcome::Accepted));
    assert_eq!(broker.inject("/exchanges/e", Message::text("two").subject("a/b")), Some(Outcome::Accepted));
    assert_eq!(broker.inject("q", Message::text("three").to("elsewhere")), Some(Outcome::Accepted));
    assert!(matches!(broker.inject("/exchanges/e/none", Message::text("lost")), Some(Outcome::Rejected { .. })));
    expect_got(&mut old, "q", ("e", "k", "one"));
    expect_got(&mut old, "other", ("e", "a/b", "two"));
    expect_got(&mut old, "q", ("", "q", "three"));
    // A consumer is told the same.
    old.consume("q", "c");
    broker.inject("/exchanges/e/k", Message::text("four"));
    broker.inject("q", Message::text("five"));
    for expected in [("e", "k"), ("", "q")] {
        let delivery = old.expect_delivery();
        assert_eq!((delivery.exchange.as_str(), delivery.key.as_str()), expected);
    }
}

#[test]
fn a_hook_delays_what_goes_by_an_exchange() {
    let (broker, mut old, mut new) = scene();
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let addresses = asked.clone();
    broker.on_message(move |seen| {
        addresses.lock().unwrap().push(seen.address.clone());
        fakebroker::Verdict::Delay(std::time::Duration::from_millis(1))
    });
    new.attach_sender("s", 0, "/exchanges/e/k");
    let id = new.send_message(0, "late");
    assert_eq!(new.expect_outcome_of(id).state(), ACCEPTED);
    expect_got(&mut old, "q", ("e", "k", "late"));
    assert_eq!(*asked.lock().unwrap(), ["q"]);
}
