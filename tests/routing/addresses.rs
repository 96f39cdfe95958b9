//! Where a message goes: the link's address or its own `to`; prefixes, separator, single addresses.

use fakebroker::{Broker, Builder, Distribution};

use crate::support::*;

/// A peer whose link 0 has no address: the anonymous terminus.
#[track_caller]
fn anonymous(broker: &Broker) -> Peer {
    let mut peer = Peer::opened(broker);
    let answer = peer.attach(attach_anonymous("s", 0));
    // It holds: there is a target, and it has no address.
    assert!(answer.inner("target").is_some(), "{answer:?}");
    assert_eq!(answer.address("target"), None);
    peer.expect_credit();
    peer
}

#[test]
fn open_offers_anonymous_relay() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::greeted(&broker);
    peer.send(open());
    let offered = match peer.expect_open().get("offered-capabilities") {
        Value::Array(symbols) => symbols,
        one => vec![one],
    };
    assert!(offered.contains(&symbol("ANONYMOUS-RELAY")), "{offered:?}");
}

#[test]
fn an_anonymous_link_routes_by_to() {
    let broker = Broker::start().unwrap();
    let mut sender = anonymous(&broker);
    let addresses = ["plain", "unicast.a", "broadcast.a", "queue.a"];
    let mut receivers = addresses.map(|address| Peer::ready_receiver(&broker, address, 100));
    for address in addresses {
        let id = sender.send_payload(0, message_to(address, address));
        assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
    }
    for (receiver, address) in receivers.iter_mut().zip(addresses) {
        assert_eq!(receiver.arrived_texts(), [address]);
    }
    let counts = broker.counts();
    assert_eq!((counts.direct, counts.topic, counts.fanout, counts.queued), (1, 2, 1, 1));
}

#[test]
fn to_is_found_behind_any_sections_and_in_any_encoding() {
    let broker = Broker::start().unwrap();
    let mut sender = anonymous(&broker);
    let mut receiver = Peer::ready_receiver(&broker, "plain", 100);
    let annotations = |code| section(code, Value::Map(vec![(symbol("x-a"), Value::List(vec![Value::Uint(1)]))]));
    let header = section(HEADER, Value::List(vec![true.into()]));
    let properties = |to: &[u8]| {
        // A list of four-byte width; message-id a ulong, user-id a binary.
        let fields = [&[0x53, 0x07, 0xa0, 0x01, b'u'][..], to].concat();
        let size = (fields.len() as u32 + 4).to_be_bytes();
        [&[0x00, 0x53, 0x73, 0xd0][..], &size, &3u32.to_be_bytes(), &fields].concat()
    };
    let short = b"\xa1\x05plain".to_vec();
    let long = b"\xb1\x00\x00\x00\x05plain".to_vec();
    let rows = [
        ("properties first", [properties(&short), message("1")].concat()),
        ("a long string", [properties(&long), message("1")].concat()),
        ("after a header", [header.clone(), properties(&short), message("1")].concat()),
        (
            "after everything that may come before",
            [
                header,
                annotations(DELIVERY_ANNOTATIONS),
                annotations(MESSAGE_ANNOTATIONS),
                properties(&short),
                message("1"),
            ]
            .concat(),
        ),
        ("without a body", properties(&short)),
        (
            // 3.2: a section may be described by its symbol.
            "described by name",
            [b"\x00\xa3\x14amqp:properties:list\xc0\x0a\x03\x40\x40".to_vec(), short.clone(), message("1")].concat(),
        ),
    ];
    each_row(rows, |payload| {
        let id = sender.send_payload(0, payload.clone());
        assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
        assert_eq!(receiver.expect_transfer().payload, payload, "byte for byte");
    });
}

#[test]
fn to_is_found_however_the_message_is_cut() {
    let broker = Broker::start().unwrap();
    let mut sender = anonymous(&broker);
    let mut receiver = Peer::ready_receiver(&broker, "plain", 100);
    let payload = message_to("plain", "hello");
    for cut in 0..=payload.len() {
        let id = sender.next_delivery_id();
        sender.send(transfer(0, id).with("more", true).with_payload(&payload[..cut]));
        sender.send(continuation(0).with_payload(&payload[cut..]));
        assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED, "cut at {cut}");
        assert_eq!(receiver.expect_transfer().payload, payload, "cut at {cut}");
    }
}

#[test]
fn a_message_that_does_not_say_where_is_rejected() {
    let broker = Broker::start().unwrap();
    let mut sender = anonymous(&broker);
    let properties = |fields: Vec<Value>| [section(PROPERTIES, Value::List(fields)), message("1")].concat();
    let rows = [
        ("no properties", (message("1"), INVALID_FIELD)),
        ("properties that end before", (properties(vec!["id".into()]), INVALID_FIELD)),
        ("null", (properties(vec![Value::Null, Value::Null, Value::Null, "subject".into()]), INVALID_FIELD)),
        ("a number", (properties(vec![Value::Null, Value::Null, Value::Uint(7)]), DECODE_ERROR)),
        ("no section", (vec![0xff; 3], DECODE_ERROR)),
        ("cut short", (message_to("plain", "1")[..9].to_vec(), DECODE_ERROR)),
        ("nothing at all", (Vec::new(), DECODE_ERROR)),
    ];
    let count = rows.len() as u64;
    each_row(rows, |(payload, condition)| {
        let id = sender.send_payload(0, payload);
        let outcome = sender.expect_outcome_of(id);
        assert_eq!((outcome.state(), outcome.condition().as_str()), (REJECTED, condition));
    });
    assert_eq!(broker.counts().dropped, count);
    // The link goes on.
    let mut receiver = Peer::ready_receiver(&broker, "plain", 100);
    let id = sender.send_payload(0, message_to("plain", "2"));
    assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
    assert_eq!(receiver.receive_texts(1), ["2"]);
}

#[test]
fn a_link_with_an_address_does_not_look_at_to() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::sender(&broker, "plain");
    let mut receiver = Peer::ready_receiver(&broker, "plain", 100);
    for payload in [message_to("elsewhere", "1"), vec![0xff; 3], Vec::new()] {
        let id = sender.send_payload(0, payload.clone());
        assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
        assert_eq!(receiver.expect_transfer().payload, payload);
    }
}

#[test]
fn routing_by_to_can_be_chosen_for_every_link() {
    let broker = Broker::builder().route_by_to(true).start().unwrap();
    let mut sender = Peer::sender(&broker, "link");
    let mut by_link = Peer::ready_receiver(&broker, "link", 100);
    let mut by_to = Peer::ready_receiver(&broker, "to", 100);
    let id = sender.send_payload(0, message_to("to", "1"));
    assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
    assert_eq!(by_to.receive_texts(1), ["1"]);
    by_link.expect_nothing();
    // Where the message is silent, the link speaks.
    let id = sender.send_payload(0, message("2"));
    assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
    assert_eq!(by_link.receive_texts(1), ["2"]);
    // And where nobody is, that is unroutable, whoever is at the link's address.
    let id = sender.send_payload(0, message_to("nobody", "3"));
    assert_eq!(sender.expect_outcome_of(id).condition(), NOT_FOUND);
    by_link.expect_nothing();
}

/// Checks the distribution of each address, by the counters of one message to two receivers.
#[track_caller]
fn distributions(builder: Builder, addresses: &[(&str, Distribution)]) {
    let broker = builder.start().unwrap();
    for (address, expected) in addresses {
        let before = broker.counts();
        let mut receivers = [Peer::ready_receiver(&broker, address, 100), Peer::ready_receiver(&broker, address, 100)];
        let mut sender = Peer::sender(&broker, address);
        sender.send_accepted(0, &["1"]);
        let after = broker.counts();
        let grown = [
            after.direct - before.direct,
            after.topic - before.topic,
            after.fanout_sent - before.fanout_sent,
            after.queued - before.queued,
        ];
        let counted_as = match expected {
            Distribution::Direct => [1, 0, 0, 0],
            Distribution::Anycast => [0, 1, 0, 0],
            Distribution::Multicast => [0, 0, 2, 0],
            Distribution::Queue => [0, 1, 0, 1],
            other => unreachable!("{other:?} is not in the table"),
        };
        assert_eq!(grown, counted_as, "{address} is {expected:?}");
        let mut copies = 0;
        for receiver in &mut receivers {
            copies += receiver.arrived_texts().len();
            // Nothing of it shall come back to a queue and be counted in the next row.
            receiver.send(disposition(RECEIVER, 0, accepted()));
            receiver.expect_nothing();
        }
        assert_eq!(copies, if *expected == Distribution::Multicast { 2 } else { 1 }, "{address}");
    }
}

use Distribution::{Anycast, Direct, Multicast, Queue};

#[test]
fn prefixes_by_default() {
    let rows = [
        ("broadcast.a", Multicast),
        ("broadcast.", Multicast),
        ("unicast.a.b.c", Anycast),
        ("queue.a", Queue),
        ("exclusive.a", Direct),
        ("a.broadcast.b", Direct),
        // Without the separator, or in other letters, it is no prefix.
        ("broadcast", Direct),
        ("broadcasts.a", Direct),
        ("unicast/a", Direct),
        ("Queue.a", Direct),
        ("größer.queue.", Direct),
    ];
    distributions(Broker::builder(), &rows);
}

#[test]
fn prefixes_and_separator_can_be_chosen() {
    let builder = Broker::builder().multicast_prefix("topic:").anycast_prefix("any").queue_prefix("q").separator("/");
    let rows = [
        ("topic:/a", Multicast),
        ("any/a", Anycast),
        ("q/a", Queue),
        ("q.a", Direct),
        ("broadcast/a", Direct),
        ("broadcast.a", Direct),
        ("topic:a", Direct),
    ];
    distributions(builder, &rows);
}

#[test]
fn the_default_and_single_addresses_can_be_chosen() {
    for default in [Direct, Anycast, Multicast, Queue] {
        let builder = Broker::builder()
            .default_distribution(default)
            .distribution("queue.but.not", Multicast)
            .distribution("plain", Queue)
            .distribution("broadcast.to.one", Anycast);
        let rows = [
            ("queue.but.not", Multicast),
            ("queue.but.not.this", Queue),
            ("plain", Queue),
            ("broadcast.to.one", Anycast),
            ("broadcast.to.all", Multicast),
            ("anything", default),
            ("exclusive.a", default),
        ];
        distributions(builder, &rows);
    }
}

#[test]
fn addresses_are_compared_byte_by_byte() {
    let broker = Broker::start().unwrap();
    let mut receivers =
        ["a", "A", "a ", "ä", "a\u{308}"].map(|address| (address, Peer::ready_receiver(&broker, address, 100)));
    let mut sender = anonymous(&broker);
    for (address, receiver) in &mut receivers {
        let id = sender.send_payload(0, message_to(address, address));
        assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
        assert_eq!(receiver.arrived_texts(), [*address]);
    }
}
