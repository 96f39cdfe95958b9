//! Queue addresses: what comes back, in which order, to whom, and what it then looks like.

use fakebroker::Broker;

use crate::support::Value::{Bool, List, Map, Ubyte, Uint};
use crate::support::*;

#[track_caller]
fn stored(broker: &Broker, address: &str, payloads: &[Vec<u8>]) {
    let mut peer = Peer::sender(broker, address);
    for payload in payloads {
        let id = peer.send_payload(0, payload.clone());
        assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
    }
    peer.close();
}

#[track_caller]
fn store_texts(broker: &Broker, address: &str, texts: &[&str]) {
    stored(broker, address, &texts.iter().map(|text| message(text)).collect::<Vec<_>>());
}

fn delivery_failed() -> Value {
    modified_with(&[("delivery-failed", true.into())])
}

/// delivery-count is the fifth field of a header (3.2.1); absent is zero.
#[track_caller]
fn delivery_count(payload: &[u8]) -> u32 {
    match sections(payload).into_iter().find(|(code, _)| *code == HEADER) {
        Some((_, List(fields))) => match fields.get(4) {
            Some(Uint(count)) => *count,
            None | Some(Value::Null) => 0,
            other => panic!("a delivery-count of {other:?}"),
        },
        None => 0,
        other => panic!("a header of {other:?}"),
    }
}

#[test]
fn what_is_given_back_stands_in_its_old_place() {
    let broker = Broker::start().unwrap();
    let rows = [("released", released()), ("modified", modified()), ("modified, delivery-failed", delivery_failed())];
    each_row(rows, |state| {
        store_texts(&broker, "queue.a", &["0", "1", "2", "3", "4"]);
        let mut first = Peer::receiver(&broker, "queue.a", 3);
        let taken: Vec<_> = (0..3).map(|_| first.expect_transfer()).collect();
        // The later one first.
        first.settle(&taken[1], state.clone());
        first.settle(&taken[0], state.clone());
        first.expect_nothing();
        let mut second = Peer::receiver(&broker, "queue.a", 10);
        assert_eq!(second.receive_texts(4), ["0", "1", "3", "4"]);
        first.settle(&taken[2], accepted());
        first.expect_nothing();
        second.expect_nothing();
        let all = disposition(RECEIVER, 0, accepted()).with("last", 3u32);
        second.send(all);
        second.close();
    });
}

#[test]
fn what_is_lost_with_its_receiver_stands_in_its_old_place() {
    let broker = Broker::start().unwrap();
    each_way_to_leave(|leave| {
        store_texts(&broker, "queue.a", &["0", "1", "2", "3", "4"]);
        let mut first = Peer::receiver(&broker, "queue.a", 3);
        let taken: Vec<_> = (0..3).map(|_| first.expect_transfer()).collect();
        first.settle(&taken[1], accepted());
        first.expect_nothing();
        leave(first);
        until(&broker, "the link is gone", |counts| counts.receiver_links == 0);
        let mut second = Peer::receiver(&broker, "queue.a", 10);
        let rest: Vec<_> = (0..4).map(|_| second.expect_transfer()).collect();
        assert_eq!(rest.iter().map(|delivery| text(&delivery.payload)).collect::<Vec<_>>(), ["0", "2", "3", "4"]);
        for delivery in &rest {
            // 3.4.4: no attempt has failed.
            assert_eq!(delivery_count(&delivery.payload), 0);
            second.settle(delivery, accepted());
        }
        second.close();
    });
}

#[test]
fn what_comes_back_goes_to_one_that_waits() {
    let broker = Broker::start().unwrap();
    let mut first = Peer::receiver(&broker, "queue.a", 1);
    first.expect_nothing();
    let mut second = Peer::receiver(&broker, "queue.a", 1);
    second.expect_nothing();
    store_texts(&broker, "queue.a", &["1"]);
    let delivery = first.expect_transfer();
    first.settle(&delivery, released());
    assert_eq!(second.receive_texts(1), ["1"]);
    // Forwarded twice.
    assert_eq!((broker.counts().queued, broker.counts().topic, broker.counts().released), (1, 2, 1));
}

#[test]
fn links_that_leave_together_are_not_given_what_one_of_them_had() {
    leave_together(0);
}

#[test]
fn links_that_leave_together_do_not_lose_what_one_of_them_had_to_one_that_takes_it_settled() {
    leave_together(1);
}

/// Two receivers of one session leave, the first with a message, the other with credit and this snd-settle-mode.
#[track_caller]
fn leave_together(snd_settle_mode: u8) {
    each_way_to_leave_together(|leave| {
        let broker = Broker::start().unwrap();
        let mut leaving = Peer::receiver(&broker, "queue.a", 1);
        leaving.expect_nothing();
        let source = composite(SOURCE, &[("address", "queue.a".into()), ("default-outcome", delivery_failed())]);
        let other = attach_receiver("other", 1, "queue.a").with("snd-settle-mode", snd_settle_mode);
        leaving.attach(other.with("source", source));
        leaving.grant(1, 0, 10);
        leaving.expect_nothing();
        store_texts(&broker, "queue.a", &["1"]);
        leaving.expect_transfer();
        leave(leaving);
        until(&broker, "its links are gone", |counts| counts.receiver_links == 0);
        let mut next = Peer::receiver(&broker, "queue.a", 1);
        let delivery = next.expect_transfer();
        // It was sent to two receivers, and neither attempt has failed.
        assert_eq!(delivery_count(&delivery.payload), 0);
        assert_eq!(broker.counts().topic, 2);
    });
}

/// 3.2.1: durable, priority, ttl, first-acquirer, delivery-count.
fn header(delivery_count: u32) -> Value {
    List(vec![Bool(true), Ubyte(7), Uint(60_000), Bool(false), Uint(delivery_count)])
}

/// Everything that the sender owns (3.2: the bare message), with encodings that are not the shortest.
fn bare_message() -> Vec<u8> {
    let properties = List(vec!["id".into(), Value::Null, "queue.a".into()]);
    let application = Map(vec![("key".into(), Value::Long(-1))]);
    let body = [0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x75, 0xb0, 0, 0, 0, 5, b'h', b'e', b'l', b'l', b'o'];
    [section(PROPERTIES, properties), section(APPLICATION_PROPERTIES, application), body.to_vec()].concat()
}

fn annotations(entries: &[(&str, u32)]) -> Value {
    Map(entries.iter().map(|(key, value)| (symbol(key), Uint(*value))).collect())
}

#[test]
fn only_a_failed_delivery_raises_the_delivery_count() {
    let broker = Broker::start().unwrap();
    let footer = section(FOOTER, annotations(&[("x-foot", 1)]));
    let delivery_annotations = section(DELIVERY_ANNOTATIONS, annotations(&[("x-delivery", 1)]));
    // A message, what its first receiver says, and the delivery-count that its second one finds.
    let with_header =
        [section(HEADER, header(2)), delivery_annotations.clone(), bare_message(), footer.clone()].concat();
    let without = [delivery_annotations.clone(), bare_message(), footer.clone()].concat();
    let rows = [
        ("released, with header", (with_header.clone(), released(), 2)),
        ("released, without", (without.clone(), released(), 0)),
        ("modified, with header", (with_header.clone(), modified(), 2)),
        ("modified, without", (without.clone(), modified(), 0)),
        ("failed, with header", (with_header.clone(), delivery_failed(), 3)),
        ("failed, without", (without.clone(), delivery_failed(), 1)),
        ("explicitly not failed", (with_header, modified_with(&[("delivery-failed", false.into())]), 2)),
    ];
    each_row(rows, |(payload, state, count)| {
        stored(&broker, "queue.a", std::slice::from_ref(&payload));
        let mut first = Peer::receiver(&broker, "queue.a", 1);
        let delivery = first.expect_transfer();
        assert_eq!(delivery.payload, payload, "untouched the first time");
        first.settle(&delivery, state);
        first.close();
        let mut second = Peer::receiver(&broker, "queue.a", 1);
        let delivery = second.expect_transfer();
        assert_eq!(delivery_count(&delivery.payload), count);
        let had_header = payload.starts_with(&section(HEADER, header(2)));
        if let Some((_, List(fields))) = sections(&delivery.payload).into_iter().find(|(code, _)| *code == HEADER) {
            let durable_to_ttl = &fields[..3.min(fields.len())];
            if had_header {
                assert_eq!(
                    durable_to_ttl,
                    [Bool(true), Ubyte(7), Uint(60_000)],
                    "of the header only the count changes"
                );
            }
        }
        // All that is not the header comes as it went, byte for byte.
        let rest = [delivery_annotations.clone(), bare_message(), footer.clone()].concat();
        assert!(delivery.payload.ends_with(&rest), "{}", hex(&delivery.payload));
        second.settle(&delivery, accepted());
        second.close();
    });
}

#[test]
fn failures_add_up() {
    let broker = Broker::start().unwrap();
    store_texts(&broker, "queue.a", &["1"]);
    let mut receiver = Peer::receiver(&broker, "queue.a", 10);
    for failures in 0..4 {
        let delivery = receiver.expect_transfer();
        assert_eq!(delivery_count(&delivery.payload), failures);
        assert_eq!(text(&delivery.payload), "1");
        receiver.settle(&delivery, delivery_failed());
    }
}

#[test]
fn a_message_that_was_acquired_before_does_not_say_that_it_was_not() {
    let broker = Broker::start().unwrap();
    // 3.2.1: first-acquirer true says that no other link has acquired the message.
    let first_acquirer = List(vec![Bool(false), Value::Null, Value::Null, Bool(true)]);
    let rows = [("released", released()), ("modified", modified()), ("failed", delivery_failed())];
    each_row(rows, |state| {
        stored(&broker, "queue.a", &[[section(HEADER, first_acquirer.clone()), message("1")].concat()]);
        let mut first = Peer::receiver(&broker, "queue.a", 1);
        let delivery = first.expect_transfer();
        first.settle(&delivery, state);
        first.close();
        let mut second = Peer::receiver(&broker, "queue.a", 1);
        let delivery = second.expect_transfer();
        if let Some((_, List(fields))) = sections(&delivery.payload).into_iter().find(|(code, _)| *code == HEADER) {
            assert_ne!(fields.get(3), Some(&Bool(true)), "first-acquirer");
        }
        second.settle(&delivery, accepted());
        second.close();
    });
}

#[test]
fn annotations_of_modified_are_merged_in() {
    let broker = Broker::start().unwrap();
    let given = annotations(&[("x-b", 9), ("x-c", 3)]);
    let merged = annotations(&[("x-a", 1), ("x-b", 9), ("x-c", 3)]);
    let own = section(MESSAGE_ANNOTATIONS, annotations(&[("x-a", 1), ("x-b", 2)]));
    let delivery_annotations = section(DELIVERY_ANNOTATIONS, annotations(&[("x-delivery", 1)]));
    let rows = [
        ("into its own", ([section(HEADER, header(0)), own.clone(), bare_message()].concat(), merged.clone())),
        ("after delivery annotations", ([delivery_annotations, own, bare_message()].concat(), merged)),
        ("into none", (bare_message(), given.clone())),
        ("into none, after a header", ([section(HEADER, header(0)), bare_message()].concat(), given.clone())),
    ];
    each_row(rows, |(payload, expected)| {
        stored(&broker, "queue.a", std::slice::from_ref(&payload));
        let mut first = Peer::receiver(&broker, "queue.a", 1);
        let delivery = first.expect_transfer();
        first.settle(&delivery, modified_with(&[("message-annotations", given.clone())]));
        first.close();
        let mut second = Peer::receiver(&broker, "queue.a", 1);
        let delivery = second.expect_transfer();
        let sections = sections(&delivery.payload);
        let codes: Vec<u64> = sections.iter().map(|(code, _)| *code).collect();
        assert!(codes.is_sorted(), "3.2: sections have their order: {codes:x?}");
        let found: Vec<&Value> =
            sections.iter().filter(|(code, _)| *code == MESSAGE_ANNOTATIONS).map(|(_, content)| content).collect();
        assert_eq!(found, [&expected]);
        assert_eq!(delivery_count(&delivery.payload), 0);
        assert!(delivery.payload.ends_with(&bare_message()));
        second.settle(&delivery, accepted());
        second.close();
    });
}

#[test]
fn undeliverable_here_is_for_others() {
    let broker = Broker::start().unwrap();
    let mut here = Peer::receiver(&broker, "queue.a", 10);
    here.expect_nothing();
    store_texts(&broker, "queue.a", &["1", "2"]);
    let (first, second) = (here.expect_transfer(), here.expect_transfer());
    here.settle(&first, modified_with(&[("undeliverable-here", true.into())]));
    here.settle(&second, accepted());
    // It has credit, and is not given it again.
    here.expect_nothing();
    // What comes later is for it, while that one still waits.
    store_texts(&broker, "queue.a", &["3"]);
    assert_eq!(here.receive_texts(1), ["3"]);
    let mut elsewhere = Peer::receiver(&broker, "queue.a", 1);
    let delivery = elsewhere.expect_transfer();
    assert_eq!(text(&delivery.payload), "1");
    // Called undeliverable there, too, it waits for a third.
    let state = modified_with(&[("delivery-failed", true.into()), ("undeliverable-here", true.into())]);
    elsewhere.settle(&delivery, state);
    elsewhere.grant(0, 1, 1);
    elsewhere.expect_nothing();
    here.expect_nothing();
    let mut third = Peer::receiver(&broker, "queue.a", 1);
    let delivery = third.expect_transfer();
    assert_eq!((text(&delivery.payload).as_str(), delivery_count(&delivery.payload)), ("1", 1));
}

#[test]
fn undeliverable_here_comes_back_after_being_lost_elsewhere() {
    let broker = Broker::start().unwrap();
    let mut here = Peer::receiver(&broker, "queue.a", 10);
    here.expect_nothing();
    store_texts(&broker, "queue.a", &["1"]);
    let delivery = here.expect_transfer();
    here.settle(&delivery, modified_with(&[("undeliverable-here", true.into())]));
    let mut elsewhere = Peer::receiver(&broker, "queue.a", 1);
    elsewhere.expect_transfer();
    elsewhere.close();
    // 3.4.5: still not for the link that said so.
    here.expect_nothing();
    assert_eq!(Peer::receiver(&broker, "queue.a", 1).receive_texts(1), ["1"]);
}

/// The default-outcome of a source, how its receiver ends, and the delivery-count that the next one finds, if it finds any.
type Unanswered = (Value, fn(&mut Peer), Option<u32>);

#[test]
fn a_source_says_what_becomes_of_what_it_leaves_unanswered() {
    let broker = Broker::start().unwrap();
    let settle_without_state = |peer: &mut Peer| {
        peer.send(disposition(RECEIVER, 0, Value::Null));
        peer.expect_nothing();
    };
    let rows: [(&str, Unanswered); 7] = [
        ("none, lost", (Value::Null, |_| {}, Some(0))),
        ("released, lost", (released(), |_| {}, Some(0))),
        ("modified, lost", (modified(), |_| {}, Some(0))),
        ("delivery-failed, lost", (delivery_failed(), |_| {}, Some(1))),
        ("none, settled without a state", (Value::Null, settle_without_state, Some(0))),
        ("delivery-failed, settled without a state", (delivery_failed(), settle_without_state, Some(1))),
        ("accepted, settled without a state", (accepted(), settle_without_state, None)),
    ];
    each_row(rows, |(default_outcome, act, expected)| {
        store_texts(&broker, "queue.a", &["1"]);
        let mut first = Peer::opened(&broker);
        let source = composite(SOURCE, &[("address", "queue.a".into()), ("default-outcome", default_outcome)]);
        first.attach(attach_receiver("r", 0, "queue.a").with("source", source));
        first.grant(0, 0, 1);
        first.expect_transfer();
        act(&mut first);
        lose(&broker, first);
        let mut second = Peer::receiver(&broker, "queue.a", 1);
        if let Some(count) = expected {
            let delivery = second.expect_transfer();
            assert_eq!(delivery_count(&delivery.payload), count);
            second.settle(&delivery, accepted());
        }
        second.expect_nothing();
        second.close();
    });
}

#[test]
fn what_was_never_sent_has_not_failed() {
    let broker = Broker::start().unwrap();
    store_texts(&broker, "queue.a", &["1", "2", "3"]);
    // 2.5.6: a window of one transfer, with credit for more.
    let mut narrow = Peer::opened_with(&broker, open(), begin().with("incoming-window", 1u32));
    let source = composite(SOURCE, &[("address", "queue.a".into()), ("default-outcome", delivery_failed())]);
    narrow.attach(attach_receiver("r", 0, "queue.a").with("source", source));
    let flow = narrow.link_flow(0, 0, 10).with("incoming-window", 1u32);
    narrow.send(flow);
    assert_eq!(narrow.arrived_texts(), ["1"]);
    lose(&broker, narrow);
    let mut next = Peer::receiver(&broker, "queue.a", 10);
    let found: Vec<_> = (0..3)
        .map(|_| next.expect_transfer())
        .map(|delivery| (text(&delivery.payload), delivery_count(&delivery.payload)))
        .collect();
    // 3.2.1: unsuccessful attempts to deliver; of the others there was none.
    assert_eq!(found, [("1".to_owned(), 1), ("2".to_owned(), 0), ("3".to_owned(), 0)]);
}

#[test]
fn a_thousand_come_back_in_order() {
    let broker = Broker::start().unwrap();
    let texts: Vec<String> = (0..1000).map(|number| format!("{number:04}")).collect();
    store_texts(&broker, "queue.a", &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let mut first = Peer::receiver(&broker, "queue.a", 1000);
    let mut second = Peer::receiver(&broker, "queue.a", 1000);
    assert_eq!(first.receive_texts(1000), texts);
    second.expect_nothing();
    // Every third from the end on, one by one; each goes at once to the other.
    for id in (0..1000).rev().step_by(3) {
        first.send(disposition(RECEIVER, id, released()));
    }
    let moved: Vec<String> = texts.iter().rev().step_by(3).cloned().collect();
    let mut got = second.receive_texts(moved.len());
    got.sort();
    assert_eq!(got, moved.iter().rev().cloned().collect::<Vec<_>>());
    first.close();
    // The second had credit for 666 more, all of which the queue has again.
    let rest: Vec<String> = texts.iter().filter(|text| !moved.contains(text)).cloned().collect();
    assert_eq!(second.receive_texts(rest.len()), rest);
    second.expect_nothing();
}
