//! End-to-end settlement: the sender is told what the receiver said.

use fakebroker::{Broker, Settlement};

use crate::support::*;

fn end_to_end() -> Broker {
    Broker::builder().settlement(Settlement::EndToEnd).start().unwrap()
}

/// Every outcome with all that it can hold.
fn outcomes() -> Vec<(&'static str, Value)> {
    let info = Value::Map(vec![(symbol("x-info"), Value::Uint(7))]);
    let full_error = composite(
        ERROR,
        &[("condition", symbol("x-own:condition")), ("description", "in words: größer".into()), ("info", info)],
    );
    let annotations = Value::Map(vec![(symbol("x-note"), "seen".into())]);
    vec![
        ("accepted", accepted()),
        ("released", released()),
        ("rejected", rejected()),
        ("rejected with a condition of AMQP's", rejected_with(NOT_ALLOWED, "not here")),
        ("rejected with one of its own", composite(REJECTED, &[("error", full_error)])),
        ("modified", modified()),
        ("modified, failed", composite(MODIFIED, &[("delivery-failed", true.into())])),
        (
            "modified, all of it",
            composite(
                MODIFIED,
                &[
                    ("delivery-failed", true.into()),
                    ("undeliverable-here", true.into()),
                    ("message-annotations", annotations),
                ],
            ),
        ),
    ]
}

/// A state without the fields that are absent or say their default: how it is told apart from others, not how it is
/// encoded.
fn normal(value: &Value) -> Value {
    match value {
        Value::Described(descriptor, content) => Value::Described(descriptor.clone(), Box::new(normal(content))),
        Value::List(fields) => {
            let is_absent = |field: &Value| matches!(field, Value::Null | Value::Bool(false));
            let used = fields.iter().rposition(|field| !is_absent(field)).map_or(0, |last| last + 1);
            let fields = fields[..used].iter().map(|field| if is_absent(field) { Value::Null } else { normal(field) });
            Value::List(fields.collect())
        }
        other => other.clone(),
    }
}

#[test]
fn each_outcome_travels_back() {
    let broker = end_to_end();
    for address in ["plain", "unicast.a", "broadcast.a"] {
        let mut receiver = Peer::ready_receiver(&broker, address, 100);
        let mut sender = Peer::sender(&broker, address);
        each_row(outcomes(), |state| {
            let id = sender.send_message(0, "hello");
            sender.expect_nothing();
            let delivery = receiver.expect_transfer();
            receiver.settle(&delivery, state.clone());
            let outcome = sender.expect_outcome_of(id);
            assert!(outcome.flag("settled"), "{address}: {outcome:?}");
            assert_eq!(normal(&outcome.get("state")), state, "{address}");
        });
    }
}

#[test]
fn immediately_the_receivers_outcome_does_not_matter() {
    let broker = Broker::start().unwrap();
    let mut receiver = Peer::ready_receiver(&broker, "plain", 100);
    let mut sender = Peer::sender(&broker, "plain");
    sender.send_accepted(0, &["hello"]);
    let delivery = receiver.expect_transfer();
    receiver.settle(&delivery, rejected());
    receiver.expect_nothing();
    sender.expect_nothing();
}

#[test]
fn outcomes_come_in_the_order_in_which_they_are_given() {
    let broker = end_to_end();
    let mut receiver = Peer::ready_receiver(&broker, "plain", 100);
    let mut sender = Peer::sender(&broker, "plain");
    let ids = sender.send_texts(0, &["0", "1", "2"]);
    let deliveries: Vec<_> = (0..3).map(|_| receiver.expect_transfer()).collect();
    for index in [2, 0, 1] {
        receiver.settle(&deliveries[index], accepted());
        assert_eq!(covered(&sender.expect_disposition()), [ids.start + index as u32]);
    }
}

#[test]
fn a_multicast_waits_for_every_copy() {
    let broker = end_to_end();
    // What two receivers say, and what is made of it: accepted if one accepted.
    let rows = [
        ("both accept", (accepted(), accepted(), ACCEPTED)),
        ("the first accepts", (accepted(), rejected(), ACCEPTED)),
        ("the second accepts", (released(), accepted(), ACCEPTED)),
        ("both release", (released(), released(), RELEASED)),
        ("both reject", (rejected(), rejected(), REJECTED)),
        ("both modify", (modified(), modified(), MODIFIED)),
    ];
    let mut first = Peer::ready_receiver(&broker, "broadcast.a", 100);
    let mut second = Peer::ready_receiver(&broker, "broadcast.a", 100);
    let mut sender = Peer::sender(&broker, "broadcast.a");
    each_row(rows, |(one, other, expected)| {
        let id = sender.send_message(0, "hello");
        sender.expect_nothing();
        let (a, b) = (first.expect_transfer(), second.expect_transfer());
        first.settle(&a, one);
        first.expect_nothing();
        sender.expect_nothing();
        second.settle(&b, other);
        assert_eq!(sender.expect_outcome_of(id).state(), expected);
    });
}

#[test]
fn a_multicast_of_which_one_copy_waits_waits() {
    let broker = end_to_end();
    let mut fast = Peer::ready_receiver(&broker, "broadcast.a", 100);
    let mut slow = Peer::ready_receiver(&broker, "broadcast.a", 0);
    let mut sender = Peer::sender(&broker, "broadcast.a");
    let id = sender.send_message(0, "hello");
    let delivery = fast.expect_transfer();
    fast.settle(&delivery, released());
    fast.expect_nothing();
    sender.expect_nothing();
    slow.grant(0, 0, 1);
    let delivery = slow.expect_transfer();
    slow.settle(&delivery, accepted());
    assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
}

#[test]
fn a_receiver_that_leaves_releases() {
    let broker = end_to_end();
    for address in ["plain", "unicast.a", "broadcast.a"] {
        // Once with the delivery in its hands, once with it still waiting.
        for credit in [1, 0] {
            let receiver = Peer::ready_receiver(&broker, address, credit);
            let mut sender = Peer::sender(&broker, address);
            let id = sender.send_message(0, "hello");
            sender.expect_nothing();
            receiver.reset();
            assert_eq!(sender.expect_outcome_of(id).state(), RELEASED, "{address}, credit {credit}");
        }
    }
}

#[test]
fn a_receiver_of_settled_messages_has_accepted_them() {
    let broker = end_to_end();
    let mut receiver = Peer::opened(&broker);
    receiver.attach(attach_receiver("r", 0, "plain").with("snd-settle-mode", 1u8));
    receiver.grant(0, 0, 10);
    receiver.expect_nothing();
    let mut sender = Peer::sender(&broker, "plain");
    sender.send_accepted(0, &["hello"]);
    assert!(receiver.expect_transfer().flag("settled"));
}

#[test]
fn a_receiver_that_settles_without_a_state_leaves_it_to_its_source() {
    let broker = end_to_end();
    for (default_outcome, expected) in [(Value::Null, RELEASED), (accepted(), ACCEPTED), (rejected(), REJECTED)] {
        let mut receiver = Peer::opened(&broker);
        let source = composite(SOURCE, &[("address", "plain".into()), ("default-outcome", default_outcome)]);
        receiver.attach(attach_receiver("r", 0, "plain").with("source", source));
        receiver.grant(0, 0, 10);
        receiver.expect_nothing();
        let mut sender = Peer::sender(&broker, "plain");
        let id = sender.send_message(0, "hello");
        let delivery = receiver.expect_transfer();
        receiver.settle(&delivery, Value::Null);
        assert_eq!(sender.expect_outcome_of(id).state(), expected);
        receiver.close();
    }
}

#[test]
fn a_queue_accepts_what_it_has_stored() {
    let broker = end_to_end();
    let mut sender = Peer::sender(&broker, "queue.a");
    sender.send_accepted(0, &["hello"]);
    let mut receiver = Peer::receiver(&broker, "queue.a", 1);
    let delivery = receiver.expect_transfer();
    receiver.settle(&delivery, rejected());
    receiver.expect_nothing();
    sender.expect_nothing();
}

#[test]
fn unroutable_is_told_at_once() {
    let broker = end_to_end();
    let mut sender = Peer::sender(&broker, "nobody");
    let id = sender.send_message(0, "hello");
    let outcome = sender.expect_outcome_of(id);
    assert_eq!((outcome.state(), outcome.condition().as_str()), (REJECTED, NOT_FOUND));
}

#[test]
fn a_sender_that_has_left_is_told_nothing() {
    let broker = end_to_end();
    let mut receiver = Peer::ready_receiver(&broker, "plain", 10);
    let mut sender = Peer::sender(&broker, "plain");
    sender.send_message(0, "hello");
    sender.send(detach(0));
    sender.expect_detach();
    let delivery = receiver.expect_transfer();
    // Another link takes the old one's handle on both sides.
    sender.attach_sender("another", 0, "plain");
    receiver.settle(&delivery, accepted());
    receiver.expect_nothing();
    sender.expect_nothing();
    assert_eq!(broker.counts().accepted, 1);
}
