//! The two protocols on one queue.

use fakebroker::{Body, Broker, Message, Outcome, Value};

use crate::support::{
    ACCEPTED, APPLICATION_PROPERTIES, MESSAGE_ANNOTATIONS, PROPERTIES, Peer, Value as Wire, accepted, each_row,
    sections, symbol,
};
use crate::support091::*;

#[test]
fn from_0_9_1_to_1_0() {
    let broker = Broker::start().unwrap();
    let mut receiver = Peer::opened(&broker);
    each_row([("by name", "queue.orders"), ("by path", "/queues/queue.orders")], |address| {
        let name = format!("r {address}");
        let handle = u32::from(address.starts_with('/'));
        receiver.attach_receiver(&name, handle, address, 0);
        let mut sender = Peer091::opened(&broker);
        // The queue is there since somebody is attached to it; declaring it changes nothing.
        sender.declare("queue.orders");
        sender.publish("", "queue.orders", "one coffee");
        sender.expect_nothing();
        receiver.grant(handle, 0, 1);
        let delivery = receiver.expect_transfer();
        assert!(delivery.payload.windows(10).any(|window| window == b"one coffee"));
        receiver.settle(&delivery, accepted());
        receiver.round_trip();
    });
    assert_eq!(broker.counts().accepted, 2);
}

#[test]
fn a_path_among_the_queues_is_a_queue_before_anybody_declares_it() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::sender(&broker, "/queues/orders");
    sender.send_accepted(0, &["one tea"]);
    assert_eq!(broker.queue_depth("orders"), 1);
    let mut receiver = Peer091::opened(&broker);
    receiver.declare("orders");
    receiver.consume("orders", "c");
    assert_eq!(receiver.expect_delivery().text(), "one tea");
}

#[test]
fn from_1_0_to_0_9_1() {
    let broker = Broker::start().unwrap();
    let mut receiver = Peer091::opened(&broker);
    receiver.declare("orders");
    receiver.consume("orders", "c");
    let mut sender = Peer::opened(&broker);
    each_row([("by name", (0, "orders")), ("by path", (1, "/queues/orders"))], |(handle, address)| {
        sender.attach_sender(&format!("s {address}"), handle, address);
        let id = sender.send_message(handle, "one tea");
        assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
        let delivery = receiver.expect_delivery();
        assert_eq!(delivery.text(), "one tea");
        assert_eq!((delivery.exchange.as_str(), delivery.key.as_str()), ("", "orders"));
        receiver.ack(delivery.tag, false);
    });
    receiver.expect_nothing();
    assert_eq!(broker.counts().accepted, 2);
}

#[test]
fn properties_of_0_9_1_in_1_0() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer091::opened(&broker);
    sender.declare("queue.a");
    sender.bind("queue.a", "amq.topic", "a.*");
    let short = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
    let properties = [
        vec![0xff, 0xf8],
        short("text/plain"),
        short("gzip"),
        sized(&[int_entry("n", 7), text_entry("s", "text"), table_entry("t", &[bool_entry("b", true)])].concat()),
        vec![2, 9],
        short("correlation"),
        short("reply"),
        short("60000"),
        short("id"),
        1_700_000_000_u64.to_be_bytes().to_vec(),
        short("kind"),
        short("guest"),
        short("app"),
    ]
    .concat();
    sender.send(publish(1, "amq.topic", "a.b", &[], &properties, b"hello"));
    sender.expect_nothing();
    // As the broker itself shows it.
    let seen = broker.messages("queue.a").pop().expect("a message in the log");
    assert_eq!(seen.unreadable, None);
    let expected = {
        let mut expected = Message::data("hello")
            .content_type("text/plain")
            .correlation_id("correlation")
            .reply_to("reply")
            .message_id("id")
            .subject("kind")
            .durable(true)
            .priority(9)
            .ttl(std::time::Duration::from_secs(60))
            .annotation("x-exchange", "amq.topic")
            .annotation("x-routing-key", "a.b")
            .annotation("x-app-id", "app")
            .property("n", 7)
            .property("s", "text")
            .annotation("t", Value::Map(vec![("b".into(), true.into())]));
        expected.properties.content_encoding = Some("gzip".into());
        expected.properties.user_id = Some(b"guest".to_vec());
        expected.properties.creation_time = Some(1_700_000_000_000);
        expected
    };
    assert_eq!(seen.message, expected);
    assert_eq!(seen.message.body, Body::Data(vec![b"hello".to_vec()]));
}

#[test]
fn bodies_of_1_0_in_0_9_1() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    let rows = [
        ("a string", Message::text("text"), Some(&b"text"[..])),
        ("bytes", Message::value(Value::Binary(b"\x00\xff".to_vec())), Some(b"\x00\xff")),
        ("data", Message::data("data"), Some(b"data")),
        ("nothing", Message::value(Value::Null), None),
        ("a number", Message::value(7), None),
    ];
    each_row(rows.map(|(name, message, body)| (name, (message, body))), |(message, body)| {
        broker.inject("q", message.clone().to("elsewhere").property("n", 1));
        let delivery = peer.get("q", true).unwrap();
        // As if by the default exchange, wherever it was meant to go.
        assert_eq!((delivery.exchange.as_str(), delivery.key.as_str()), ("", "q"));
        match body {
            Some(body) => assert_eq!(delivery.body, body),
            // What is no bytes comes encoded, and says so.
            None => assert!(delivery.properties.ends_with(b"\x08amqp-1.0"), "{:?}", delivery.properties),
        }
    });
}

#[test]
fn what_one_gives_back_the_other_is_told_of() {
    let broker = Broker::start().unwrap();
    let mut old = Peer091::opened(&broker);
    old.declare("queue.a");
    old.publish("", "queue.a", "again");
    assert!(!old.get("queue.a", false).unwrap().redelivered);
    let mut new = Peer::receiver(&broker, "queue.a", 1);
    old.send(method(1, NACK).longlong(1).bits(&[false, true]));
    let delivery = new.expect_transfer();
    assert!(delivery.payload.windows(5).any(|window| window == b"again"));
    new.close();
    assert!(old.get("queue.a", true).unwrap().redelivered);
}

#[test]
fn a_queue_that_is_deleted_detaches_who_receives_by_1_0() {
    let broker = Broker::start().unwrap();
    let mut new = Peer::opened(&broker);
    let mut old = Peer091::opened(&broker);
    old.declare("q");
    new.attach_receiver("r", 0, "q", 1);
    new.round_trip();
    assert_eq!(old.declare("q"), (0, 1));
    old.send(method(1, QUEUE_DELETE).short(0).shortstr("q").bits(&[]));
    assert_eq!(old.expect(QUEUE_DELETE_OK).long(), 0);
    new.expect_detach_with("amqp:resource-deleted");
}

#[test]
fn an_exclusive_queue_is_locked_for_1_0_too() {
    let broker = Broker::start().unwrap();
    let mut old = Peer091::opened(&broker);
    old.declare_as("mine", &[false, false, true]);
    let mut new = Peer::opened(&broker);
    new.send(crate::support::attach_receiver("r", 0, "mine"));
    new.expect_detach_with("amqp:resource-locked");
    // Sending there is how answers come.
    new.attach_sender("s", 1, "mine");
    new.send_message(1, "answer");
    new.round_trip();
    assert_eq!(old.get("mine", true).unwrap().text(), "answer");
}

#[test]
fn a_dynamic_node_that_is_declared_stays_when_its_link_goes() {
    let broker = Broker::start().unwrap();
    let mut new = Peer::opened(&broker);
    let source = crate::support::composite(
        crate::support::SOURCE,
        &[("dynamic", true.into()), ("capabilities", crate::support::symbol("queue"))],
    );
    let answer = new.attach(crate::support::attach_receiver("r", 0, "").with("source", source));
    let address = answer.address("source").unwrap();
    let mut old = Peer091::opened(&broker);
    assert_eq!(old.declare(&address), (0, 1));
    new.close();
    old.publish("", &address, "kept");
    assert_eq!(old.get(&address, true).unwrap().text(), "kept");
}

#[test]
fn long_text_of_1_0_is_cut_between_characters() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    let mut message = Message::text("x");
    message.properties.subject = Some("ä".repeat(200));
    assert_eq!(broker.inject("q", message), Some(Outcome::Accepted));
    let properties = peer.get("q", true).unwrap().properties;
    let text: Vec<u8> = "ä".repeat(127).into_bytes();
    assert!(properties.ends_with(&[&[254], &text[..]].concat()));
}

/// There is a line of the trace that has this text.
fn expect_traced(broker: &Broker, text: &str) {
    let lines = broker.trace();
    assert!(lines.iter().any(|line| line.to_string().contains(text)), "{text:?} in {lines:#?}");
}

#[test]
fn what_1_0_cannot_say_is_left_out_and_noted() {
    let broker = Broker::start().unwrap();
    let mut old = Peer091::opened(&broker);
    old.declare("queue.a");
    let short = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
    let headers = [
        table_entry("tischläufer", &[bool_entry("b", true)]),
        text_entry("größe", "übergroß"),
        table_entry("fine", &[text_entry("k", "one"), text_entry("k", "two")]),
    ];
    let properties = [vec![0xe0, 0], short("text/plän"), short("gzïp"), sized(&headers.concat())].concat();
    old.send(publish(1, "", "queue.a", &[], &properties, b"hello"));
    let mut new = Peer::opened(&broker);
    new.attach_receiver("r", 0, "queue.a", 1);
    let sections = sections(&new.expect_transfer().payload);
    let find = |wanted: u64| sections.iter().find(|(code, _)| *code == wanted).map(|(_, content)| content.clone());
    // 1.6.21: a symbol is ASCII. The test's own decoder takes them as they are.
    if let Some(Wire::List(fields)) = find(PROPERTIES) {
        assert!(fields.iter().skip(6).take(2).all(|field| *field == Wire::Null), "{fields:?}");
    }
    let Some(Wire::Map(annotations)) = find(MESSAGE_ANNOTATIONS) else { panic!("no annotations") };
    for (name, _) in &annotations {
        assert!(matches!(name, Wire::Symbol(name) if name.is_ascii()), "{name:?}");
    }
    // A map has each of its names once.
    let fine = annotations.iter().find(|(name, _)| *name == symbol("fine")).map(|(_, value)| value);
    assert_eq!(fine, Some(&Wire::Map(vec![("k".into(), "one".into())])));
    // Names of properties are text, which may be any.
    let named = Wire::Map(vec![("größe".into(), "übergroß".into())]);
    assert_eq!(find(APPLICATION_PROPERTIES), Some(named));
    for what in ["content-type \"text/plän\" is left out", "content-encoding", "header \"tischläufer\" is left out"] {
        expect_traced(&broker, what);
    }
}

#[test]
fn what_0_9_1_cannot_say_is_cut_or_elsewhere_and_noted() {
    let broker = Broker::start().unwrap();
    let mut old = Peer091::opened(&broker);
    old.declare("q");
    let mut message = Message::text("x").correlation_id(Value::Binary(b"\xff\x00".to_vec()));
    message.properties.user_id = Some(b"\xfe".to_vec());
    message.properties.reply_to = Some("r".repeat(300));
    assert_eq!(broker.inject("q", message), Some(Outcome::Accepted));
    let properties = old.get("q", true).unwrap().properties;
    // Headers, delivery-mode and reply-to, and nothing else.
    let headers = sized(&entry("x-correlation-id", b'x', sized(b"\xff\x00")));
    let expected = [&[0x32, 0][..], &headers, &[1, 255], &[b'r'; 255]].concat();
    assert_eq!(properties, expected);
    for what in ["correlation-id becomes the header", "user-id is left out", "reply-to is cut: it has 300 octets"] {
        expect_traced(&broker, what);
    }
}

#[test]
fn senders_of_a_queue_that_is_deleted_are_detached() {
    let broker = Broker::start().unwrap();
    let mut owner = Peer091::opened(&broker);
    owner.declare("orders");
    let mut sender = Peer::sender(&broker, "orders");
    sender.attach_sender("by path", 1, "/queues/orders");
    sender.attach_sender("another", 2, "queue.other");
    let mut receiver = Peer::receiver(&broker, "orders", 1);
    owner.send(method(1, QUEUE_DELETE).short(0).shortstr("orders").bits(&[false, false, false]));
    owner.expect(QUEUE_DELETE_OK);
    for _ in 0..2 {
        sender.expect_detach_with("amqp:resource-deleted");
    }
    receiver.expect_detach_with("amqp:resource-deleted");
    sender.send_accepted(2, &["as before"]);
    assert_eq!(broker.counts().sender_links, 2, "the channel, and the sender of the other queue");
}
