//! The counters: every row of the table of behaviours exactly, and in time for who has its answer.

use fakebroker::Broker;

use crate::support::*;

/// An address, and what is counted there.
type Counted = (&'static str, &'static [(&'static str, u64)]);

#[test]
fn each_distribution_has_its_counters() {
    // The address, and what three messages to two receivers are counted as.
    let rows: [(&str, Counted); 5] = [
        ("plain", ("plain", &[("direct", 3)])),
        ("exclusive", ("exclusive.a", &[("direct", 3)])),
        ("anycast", ("unicast.a", &[("topic", 3)])),
        ("multicast", ("broadcast.a", &[("fanout", 3), ("fanout_sent", 6)])),
        ("queue", ("queue.a", &[("topic", 3), ("queued", 3)])),
    ];
    each_row(rows, |(address, expected)| {
        let broker = Broker::start().unwrap();
        let live = [("connections", 3), ("sender_links", 1), ("receiver_links", 2)];
        let _receivers = [Peer::ready_receiver(&broker, address, 100), Peer::ready_receiver(&broker, address, 100)];
        let mut sender = Peer::sender(&broker, address);
        assert_eq!(counted(&broker), live, "nothing but who is attached");
        sender.send_accepted(0, &["1", "2", "3"]);
        assert_eq!(counted(&broker), [expected, &live].concat());
    });
}

#[test]
fn without_receivers_only_a_queue_counts_more_than_dropped() {
    let rows: [(&str, Counted); 4] = [
        ("direct", ("plain", &[("dropped", 1)])),
        ("anycast", ("unicast.a", &[("dropped", 1)])),
        ("multicast", ("broadcast.a", &[("dropped", 1)])),
        ("queue", ("queue.a", &[("queued", 1)])),
    ];
    each_row(rows, |(address, expected)| {
        let broker = Broker::start().unwrap();
        let mut sender = Peer::sender(&broker, address);
        let id = sender.send_message(0, "1");
        sender.expect_outcome_of(id);
        assert_eq!(counted(&broker), [expected, &[("connections", 1), ("sender_links", 1)]].concat());
    });
}

#[test]
fn the_receivers_outcomes_are_counted() {
    let broker = Broker::start().unwrap();
    for (address, copies) in [("plain", 1), ("unicast.a", 1), ("broadcast.a", 1), ("queue.a", 1)] {
        let before = broker.counts();
        let mut receiver = Peer::ready_receiver(&broker, address, 100);
        let mut sender = Peer::sender(&broker, address);
        sender.send_accepted(0, &["1", "2", "3", "4", "5", "6"]);
        let deliveries: Vec<_> = (0..6).map(|_| receiver.expect_transfer()).collect();
        // What a queue gets back it hands out again: without credit it waits there.
        receiver.grant(0, 6, 0);
        let states = [accepted(), accepted(), accepted(), released(), modified(), rejected()];
        for (delivery, state) in deliveries.iter().zip(states) {
            receiver.settle(delivery, state);
        }
        // Said again, it counts no more.
        receiver.settle(&deliveries[0], accepted());
        receiver.expect_nothing();
        let after = broker.counts();
        assert_eq!(after.accepted - before.accepted, 3 * copies, "{address}");
        assert_eq!(after.released - before.released, 1, "{address}");
        assert_eq!(after.modified - before.modified, 1, "{address}");
        assert_eq!(after.rejected - before.rejected, 1, "{address}");
        assert_eq!(after.dropped, 0);
    }
}

#[test]
fn a_range_counts_each_delivery() {
    let broker = Broker::start().unwrap();
    let mut receiver = Peer::ready_receiver(&broker, "broadcast.a", 100);
    let mut sender = Peer::sender(&broker, "broadcast.a");
    sender.send_accepted(0, &["1", "2", "3", "4", "5"]);
    receiver.receive_texts(5);
    receiver.send(disposition(RECEIVER, 1, accepted()).with("last", 3u32));
    receiver.expect_nothing();
    assert_eq!(broker.counts().accepted, 3);
    // Those three again, and the two that are left.
    receiver.send(disposition(RECEIVER, 0, released()).with("last", 4u32));
    receiver.expect_nothing();
    assert_eq!((broker.counts().accepted, broker.counts().released), (3, 2));
}

#[test]
fn who_is_attached_is_counted_live() {
    let broker = Broker::start().unwrap();
    assert_eq!(counted(&broker), []);
    let mut peer = Peer::opened(&broker);
    assert_eq!(counted(&broker), [("connections", 1)]);
    peer.attach_sender("s", 0, "a");
    peer.attach_sender("s, too", 1, "a");
    peer.attach_receiver("r", 2, "a", 1);
    // A refused link is none.
    peer.attach(attach_sender("refused", 3, "a").with("target", Value::Null));
    peer.expect_detach_with(NOT_FOUND);
    peer.send(detach(3));
    assert_eq!(counted(&broker), [("connections", 1), ("sender_links", 2), ("receiver_links", 1)]);
    // A dynamic one and an anonymous one count like all others.
    peer.attach(attach_receiver("dynamic", 3, "a").with("source", dynamic(SOURCE)));
    peer.attach(attach_sender("anonymous", 4, "a").with("target", terminus(TARGET, Value::Null)));
    assert_eq!(counted(&broker), [("connections", 1), ("sender_links", 3), ("receiver_links", 2)]);
    for handle in [0, 3] {
        peer.send(detach(handle));
        peer.expect_detach();
    }
    assert_eq!(counted(&broker), [("connections", 1), ("sender_links", 2), ("receiver_links", 1)]);
    // A session takes its links along, a connection all of them.
    peer.send(end());
    peer.expect_end();
    assert_eq!(counted(&broker), [("connections", 1)]);
    peer.close();
    let mut lost = Peer::receiver(&broker, "a", 1);
    lost.attach_sender("s", 1, "a");
    lost.reset();
    until(&broker, "nobody is left", |counts| {
        (counts.connections, counts.sender_links, counts.receiver_links) == (0, 0, 0)
    });
}

#[test]
fn a_stolen_link_is_one_link() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::ready_receiver(&broker, "a", 1);
    peer.send(attach_receiver("r", 1, "a"));
    peer.expect_detach_with(STOLEN);
    peer.expect_attach();
    assert_eq!(broker.counts().receiver_links, 1);
}

#[test]
fn a_message_is_counted_before_its_sender_or_receiver_knows() {
    let broker = Broker::start().unwrap();
    let mut receiver = Peer::ready_receiver(&broker, "unicast.a", 100);
    let mut sender = Peer::sender(&broker, "unicast.a");
    sender.attach_sender("nowhere", 1, "nowhere");
    for number in 1..=50 {
        let id = sender.send_message(0, "hello");
        // By turns, the one who looks is the sender with its answer or the receiver with its message.
        if number % 2 == 0 {
            sender.expect_outcome_of(id);
        } else {
            receiver.expect_transfer();
        }
        assert_eq!(broker.counts().topic, number);
        match number % 2 {
            0 => drop(receiver.expect_transfer()),
            _ => drop(sender.expect_outcome_of(id)),
        }
        let id = sender.send_message(1, "hello");
        sender.expect_outcome_of(id);
        assert_eq!(broker.counts().dropped, number);
    }
}

#[test]
fn a_reply_finds_its_request_and_itself_counted() {
    let broker = Broker::start().unwrap();
    let mut server = Peer::ready_receiver(&broker, "unicast.service", 100);
    let mut client = Peer::opened(&broker);
    let reply_to =
        client.attach(attach_receiver("r", 0, "").with("source", dynamic(SOURCE))).address("source").unwrap();
    client.grant(0, 0, 100);
    client.attach_sender("s", 1, "unicast.service");
    server.attach_anonymous("replies", 1);
    for number in 1..=20 {
        client.send(transfer(1, number - 1).with("settled", true).with_payload(message("request")));
        server.expect_transfer();
        let reply = transfer(1, number - 1).with("settled", true).with_payload(message_to(&reply_to, "reply"));
        server.send(reply);
        client.expect_transfer();
        assert_eq!((broker.counts().topic, broker.counts().direct), (number.into(), number.into()));
    }
}
