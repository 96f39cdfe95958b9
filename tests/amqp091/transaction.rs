//! tx: publishes and acknowledgements that take effect together.

use std::time::Duration;

use fakebroker::{Broker, Verdict};

use crate::support::{each_row, patience};
use crate::support091::*;

fn transactional(broker: &Broker) -> Peer091 {
    let mut peer = Peer091::opened(broker);
    peer.declare("q");
    select(&mut peer);
    peer
}

#[track_caller]
fn select(peer: &mut Peer091) {
    peer.send(method(1, TX_SELECT));
    peer.expect(TX_SELECT_OK);
}

#[track_caller]
fn commit(peer: &mut Peer091) {
    peer.send(method(1, TX_COMMIT));
    peer.expect(TX_COMMIT_OK);
}

#[track_caller]
fn roll_back(peer: &mut Peer091) {
    peer.send(method(1, TX_ROLLBACK));
    peer.expect(TX_ROLLBACK_OK);
}

/// The number of messages that wait in a queue.
#[track_caller]
fn waiting(peer: &mut Peer091, queue: &str) -> u32 {
    peer.declare(queue).0
}

#[test]
fn publishes_wait_for_the_commit() {
    let broker = Broker::start().unwrap();
    let mut peer = transactional(&broker);
    peer.declare("other");
    peer.bind("other", "amq.direct", "k");
    // To two places in turn, one of them in pieces.
    peer.publish("", "q", "1");
    peer.publish("", "q", "2");
    peer.publish("amq.direct", "k", "3");
    peer.publish("", "q", vec![b'4'; 10_000]);
    assert_eq!((waiting(&mut peer, "q"), waiting(&mut peer, "other")), (0, 0));
    commit(&mut peer);
    assert_eq!(broker.counts().queued, 4);
    assert_eq!(peer.texts("other"), ["3"]);
    let texts = peer.texts("q");
    assert_eq!((texts[0].as_str(), texts[1].as_str(), texts[2].len(), texts.len()), ("1", "2", 10_000, 3));
    // The next transaction has begun, and may be empty.
    peer.publish("", "q", "next");
    assert_eq!(waiting(&mut peer, "q"), 0);
    commit(&mut peer);
    assert_eq!(peer.texts("q"), ["next"]);
    commit(&mut peer);
}

#[test]
fn a_commit_of_many_keeps_their_order() {
    let broker = Broker::start().unwrap();
    let mut peer = transactional(&broker);
    for number in 0..500 {
        peer.publish("", "q", number.to_string());
    }
    commit(&mut peer);
    let expected: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    assert_eq!(peer.texts("q"), expected);
}

#[test]
fn what_is_rolled_back_or_left_is_not_published() {
    let broker = Broker::start().unwrap();
    let mut peer = transactional(&broker);
    peer.publish("", "q", "rolled back");
    roll_back(&mut peer);
    commit(&mut peer);
    assert_eq!(waiting(&mut peer, "q"), 0);
    peer.publish("", "q", "left");
    peer.send(method(1, CHANNEL_CLOSE).short(200).shortstr("").short(0).short(0));
    peer.expect(CHANNEL_CLOSE_OK);
    peer.open_channel(1);
    assert_eq!(waiting(&mut peer, "q"), 0);
    // The channel is a plain one again.
    peer.publish("", "q", "at once");
    assert_eq!(peer.texts("q"), ["at once"]);
    let mut other = transactional(&broker);
    other.publish("", "q", "left");
    other.close();
    assert_eq!(waiting(&mut peer, "q"), 0);
}

#[test]
fn a_mandatory_message_comes_back_before_commit_ok() {
    let broker = Broker::start().unwrap();
    let mut peer = transactional(&broker);
    peer.send(publish(1, "", "missing", &[true], &NO_PROPERTIES, b"back"));
    peer.publish("", "missing", "lost");
    peer.send(publish(1, "", "q", &[true], &NO_PROPERTIES, b"there"));
    peer.expect_nothing();
    peer.send(method(1, TX_COMMIT));
    let back = peer.expect_return();
    assert_eq!((back.text(), back.number), ("back", 312));
    peer.expect(TX_COMMIT_OK);
    assert_eq!(peer.texts("q"), ["there"]);
}

#[test]
fn acknowledgements_wait_for_the_commit() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    for text in ["1", "2", "3", "4"] {
        peer.publish("", "q", text);
    }
    select(&mut peer);
    peer.prefetch(4, false);
    peer.consume("q", "c");
    assert_eq!(peer.expect_texts(4), ["1", "2", "3", "4"]);
    peer.ack(1, false);
    peer.send(method(1, REJECT).longlong(2).bits(&[true]));
    peer.send(method(1, NACK).longlong(4).bits(&[true, false]));
    peer.expect_nothing();
    assert_eq!(broker.counts().accepted, 0);
    peer.send(method(1, TX_COMMIT));
    // The prefetch is free again, and what was requeued comes.
    let (mut again, mut answered) = (None, false);
    while again.is_none() || !answered {
        match peer.hear() {
            Heard091::Method { id: TX_COMMIT_OK, .. } => answered = true,
            Heard091::Method { id: DELIVER, .. } => again = Some(()),
            Heard091::Header { .. } | Heard091::Body { .. } => {}
            other => peer.fail(&format!("commit-ok or a delivery, not {other:?}")),
        }
    }
    peer.round_trip();
    let counts = broker.counts();
    assert_eq!((counts.accepted, counts.released, counts.rejected), (1, 1, 2));
}

#[test]
fn a_rollback_unsays_acknowledgements() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    for text in ["1", "2", "3"] {
        peer.publish("", "q", text);
    }
    select(&mut peer);
    for _ in 0..3 {
        peer.get("q", false).unwrap();
    }
    peer.ack(1, false);
    peer.send(method(1, NACK).longlong(2).bits(&[true, true]));
    roll_back(&mut peer);
    assert_eq!(waiting(&mut peer, "q"), 0, "nothing was requeued");
    // They can be acknowledged again, or requeued.
    peer.ack(2, false);
    commit(&mut peer);
    peer.send(method(1, RECOVER).bits(&[true]));
    peer.expect(RECOVER_OK);
    assert_eq!(peer.texts("q"), ["1", "3"]);
}

#[test]
fn recover_requeues_what_the_transaction_has_not_acknowledged() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    for text in ["1", "2", "3"] {
        peer.publish("", "q", text);
    }
    select(&mut peer);
    for _ in 0..3 {
        peer.get("q", false).unwrap();
    }
    peer.ack(2, false);
    peer.send(method(1, RECOVER).bits(&[true]));
    peer.expect(RECOVER_OK);
    assert_eq!(peer.texts("q"), ["1", "3"]);
    commit(&mut peer);
    assert_eq!(broker.counts().accepted, 1);
    assert_eq!(waiting(&mut peer, "q"), 0);
}

#[test]
fn a_delivery_is_acknowledged_once_in_a_transaction() {
    let broker = Broker::start().unwrap();
    let rows: [(&str, &[(u64, bool)]); 4] = [
        ("twice", &[(1, false), (1, false)]),
        ("up to one that is acknowledged", &[(2, false), (2, true)]),
        ("one of those that are acknowledged", &[(2, true), (1, false)]),
        ("after all", &[(0, true), (0, true), (3, false)]),
    ];
    each_row(rows, |acks| {
        let mut peer = Peer091::opened(&broker);
        peer.declare_as("mine", &[false, false, true]);
        for text in ["1", "2", "3"] {
            peer.publish("", "mine", text);
        }
        select(&mut peer);
        for _ in 0..3 {
            peer.get("mine", false).unwrap();
        }
        for (tag, multiple) in acks {
            peer.ack(*tag, *multiple);
        }
        let text = peer.expect_channel_closed_with(1, 406);
        assert!(text.contains("unknown delivery tag"), "{text}");
        // The transaction was dropped: all are requeued.
        peer.open_channel(1);
        assert_eq!(peer.texts("mine"), ["1", "2", "3"]);
    });
}

#[test]
fn a_channel_has_transactions_or_confirms() {
    let broker = Broker::start().unwrap();
    let confirm = || method(1, CONFIRM).bits(&[false]);
    let not_transactional = "PRECONDITION_FAILED - channel is not transactional";
    let rows = [
        ("commit alone", (vec![method(1, TX_COMMIT)], not_transactional)),
        ("rollback alone", (vec![method(1, TX_ROLLBACK)], not_transactional)),
        (
            "confirms first",
            (vec![confirm(), method(1, TX_SELECT)], "PRECONDITION_FAILED - cannot switch from confirm to tx mode"),
        ),
        (
            "transactions first",
            (vec![method(1, TX_SELECT), confirm()], "PRECONDITION_FAILED - cannot switch from tx to confirm mode"),
        ),
    ];
    each_row(rows, |(methods, text)| {
        let mut peer = Peer091::opened(&broker);
        let count = methods.len();
        methods.iter().for_each(|method| peer.send(method));
        (1..count).for_each(|_| drop(peer.hear()));
        assert_eq!(peer.expect_channel_closed_with(1, 406), text);
        peer.open_channel(1);
        peer.round_trip();
    });
    // To select twice is to select.
    let mut peer = transactional(&broker);
    peer.publish("", "q", "held");
    select(&mut peer);
    commit(&mut peer);
    assert_eq!(peer.texts("q"), ["held"]);
}

#[test]
fn a_publish_that_cannot_be_closes_the_channel_before_the_commit() {
    let broker = Broker::start().unwrap();
    let mut declaring = Peer091::opened(&broker);
    declaring.send(exchange_declare(1, "inside", "fanout", &[false, false, false, true]));
    declaring.expect(EXCHANGE_DECLARE_OK);
    let rows =
        [("no exchange", ("missing", &NO_PROPERTIES[..], 404)), ("an internal one", ("inside", &NO_PROPERTIES, 403))];
    each_row(rows, |(exchange, properties, code)| {
        let mut peer = transactional(&broker);
        peer.publish("", "q", "held");
        peer.send(publish(1, exchange, "k", &[], properties, b"x"));
        peer.expect_channel_closed_with(1, code);
        peer.open_channel(1);
        assert_eq!(waiting(&mut peer, "q"), 0);
    });
    // An expiration that is none, too.
    let mut peer = transactional(&broker);
    peer.publish_with("", "q", &expiration("soon"), "x");
    peer.expect_channel_closed_with(1, 406);
}

#[test]
fn a_queue_that_refuses_fails_the_commit() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    let arguments = [int_entry("x-max-length", 1), text_entry("x-overflow", "reject-publish")];
    peer.declare_with("full", &arguments);
    select(&mut peer);
    peer.publish("", "full", "one");
    peer.publish("", "full", "two");
    peer.send(method(1, TX_COMMIT));
    let text = peer.expect_channel_closed_with(1, 406);
    assert_eq!(text, "PRECONDITION_FAILED - partial tx completion");
    // Queues know no transactions.
    peer.open_channel(1);
    assert_eq!(peer.texts("full"), ["one"]);
}

#[test]
fn an_exchange_that_goes_before_the_commit_fails_it() {
    let broker = Broker::start().unwrap();
    let mut peer = transactional(&broker);
    peer.declare_exchange("e", "fanout");
    peer.publish("e", "", "x");
    peer.publish("", "q", "behind it");
    peer.send(method(1, EXCHANGE_DELETE).short(0).shortstr("e").bits(&[]));
    peer.expect(EXCHANGE_DELETE_OK);
    peer.send(method(1, TX_COMMIT));
    peer.expect_channel_closed_with(1, 404);
    peer.open_channel(1);
    assert_eq!(waiting(&mut peer, "q"), 0);
}

#[test]
fn a_commit_waits_for_the_outcome_of_each_message() {
    let broker = Broker::builder().manual_clock().start().unwrap();
    let hour = Duration::from_secs(3600);
    broker.on_message(move |message| match message.as_text() {
        Some("late") => Verdict::Delay(hour),
        _ => Verdict::Forward,
    });
    let mut peer = transactional(&broker);
    peer.publish("", "q", "late");
    peer.publish("", "q", "at once");
    peer.send(method(1, TX_COMMIT));
    peer.open_channel(2);
    broker.wait_for_messages(patience(), "q", 1).unwrap();
    assert!(peer.heard_by_now().is_none(), "the delayed message has no outcome");
    broker.advance(hour);
    peer.expect_on(1, TX_COMMIT_OK);
    assert_eq!(peer.texts("q"), ["at once", "late"]);
    // Meanwhile the channel takes nothing else.
    peer.publish("", "q", "late");
    peer.send(method(1, TX_COMMIT));
    peer.publish("", "q", "too early");
    let text = peer.expect_closed_with(504);
    assert_eq!(text, "CHANNEL_ERROR - unexpected command while processing 'tx.commit'");
}

#[test]
fn a_transaction_that_does_not_end_takes_no_more_than_there_is_room_for() {
    let broker = Broker::builder().storage_limit(100_000).start().unwrap();
    let mut bystander = Bystander091::new(&broker);
    let rows = [("large ones", (1000, 100)), ("many without a body", (0, 1000))];
    each_row(rows, |(size, fit)| {
        let mut peer = transactional(&broker);
        for _ in 0..fit + 10 {
            peer.publish("", "q", vec![b'x'; size]);
        }
        let text = peer.expect_channel_closed_with(1, 506);
        assert!(text.contains("transaction"), "{text}");
        bystander.undisturbed();
        // All that it held is free again.
        peer.open_channel(1);
        select(&mut peer);
        peer.publish("", "q", vec![b'x'; 90_000]);
        roll_back(&mut peer);
        peer.publish("", "q", vec![b'x'; 90_000]);
        commit(&mut peer);
        assert_eq!(peer.texts("q").len(), 1);
    });
}

#[test]
fn what_is_held_gives_its_room_to_what_is_published() {
    let broker = Broker::builder().storage_limit(100_000).start().unwrap();
    let mut peer = transactional(&broker);
    let mut other = Peer091::opened(&broker);
    peer.publish("", "q", vec![b'x'; 60_000]);
    peer.publish("", "q", "small");
    peer.round_trip();
    other.publish("", "q", vec![b'y'; 39_000]);
    other.round_trip();
    commit(&mut peer);
    assert_eq!(waiting(&mut peer, "q"), 3);
}

#[test]
fn further_routing_keys_are_held_with_their_message() {
    let broker = Broker::start().unwrap();
    let mut peer = transactional(&broker);
    peer.declare("copy");
    let key = [&b"S\0\0\0\x04"[..], b"copy"].concat();
    let copied = headers(&[entry("BCC", b'A', [&[0, 0, 0, 9][..], &key].concat())]);
    peer.publish("", "q", "before");
    peer.publish_with("", "q", &copied, "copied");
    peer.publish("", "q", "behind");
    commit(&mut peer);
    assert_eq!(peer.texts("q"), ["before", "copied", "behind"]);
    assert_eq!(peer.texts("copy"), ["copied"]);
}
