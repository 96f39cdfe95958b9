//! Using the AMQP Anonymous Terminus for Message Routing, 2.2.2: messages that cannot be routed. Their senders are told which
//! ones.

use fakebroker::{Broker, Unroutable, Verdict};

use crate::support::*;

/// A peer that sends to the anonymous terminus, from a source with these outcomes.
#[track_caller]
fn relay(broker: &Broker, outcomes: &[&str]) -> Peer {
    let outcomes = match outcomes {
        [] => Value::Null,
        names => Value::Array(names.iter().map(|name| symbol(name)).collect()),
    };
    let source = composite(SOURCE, &[("outcomes", outcomes)]);
    let mut peer = Peer::opened(broker);
    peer.attach(attach_sender("s", 0, "").with("source", source).with("target", terminus(TARGET, Value::Null)));
    peer.expect_credit();
    peer
}

/// The delivery-tag in the info of an error.
fn tag_in(error: &Value) -> Value {
    match Composite::of(error).unwrap().get("info") {
        Value::Map(entries) => match &entries[..] {
            [(key, tag)] if *key == symbol("delivery-tag") => tag.clone(),
            other => panic!("an info of {other:?}"),
        },
        other => panic!("an info of {other:?}"),
    }
}

fn tagged(id: u32, tag: &[u8], settled: bool, payload: Vec<u8>) -> Performative {
    transfer(0, id).with("delivery-tag", tag).with("settled", settled).with_payload(payload)
}

/// Messages that cannot be routed, and the conditions that say why.
fn lost() -> [(&'static str, (Vec<u8>, &'static str)); 4] {
    [
        ("nobody is there", (message_to("nobody.here", "lost"), NOT_FOUND)),
        ("there is no such exchange", (message_to("/exchanges/none/key", "lost"), NOT_FOUND)),
        ("it does not say where it goes", (message("lost"), INVALID_FIELD)),
        ("it cannot be read", (vec![0x00, 0x53, 0x73, 0xff], DECODE_ERROR)),
    ]
}

#[test]
fn an_unsettled_message_is_rejected_by_its_tag() {
    let broker = Broker::start().unwrap();
    let rejected = "amqp:rejected:list";
    each_row(lost(), |(payload, condition)| {
        for outcomes in [&[][..], &[rejected], &["amqp:accepted:list", rejected]] {
            let mut peer = relay(&broker, outcomes);
            peer.send(tagged(0, b"first", false, message_to("queue.a", "found")));
            assert_eq!(peer.expect_outcome_of(0).state(), ACCEPTED);
            peer.send(tagged(1, b"the tag", false, payload.clone()));
            let outcome = peer.expect_outcome_of(1);
            assert_eq!((outcome.state(), outcome.condition()), (REJECTED, condition.into()));
            let state = outcome.inner("state").unwrap();
            assert_eq!(tag_in(&state.get("error")), Value::Binary(b"the tag".to_vec()));
            // The link goes on.
            peer.send(tagged(2, b"third", false, message_to("queue.a", "found")));
            assert_eq!(peer.expect_outcome_of(2).state(), ACCEPTED);
        }
    });
}

#[test]
fn where_no_outcome_can_say_so_the_link_is_detached() {
    let broker = Broker::start().unwrap();
    let accepted = "amqp:accepted:list";
    each_row(lost(), |(payload, condition)| {
        // Settled, whatever the source allows; and unsettled where it does not allow rejected.
        for (outcomes, settled) in [(&[][..], true), (&["amqp:rejected:list"], true), (&[accepted], false)] {
            if settled && condition == DECODE_ERROR {
                // What cannot be read was for nowhere, and is dropped.
                continue;
            }
            let mut peer = relay(&broker, outcomes);
            peer.send(tagged(0, b"first", settled, message_to("queue.a", "found")));
            peer.send(tagged(1, b"the tag", settled, payload.clone()));
            if !settled {
                assert_eq!(peer.expect_outcome_of(0).state(), ACCEPTED);
            }
            let detached = peer.expect_detach_with(condition);
            assert_eq!(tag_in(&detached.get("error")), Value::Binary(b"the tag".to_vec()));
            // What was under way is discarded, and the session is as good as before.
            peer.send(tagged(2, b"third", settled, message_to("queue.a", "lost")));
            peer.send(detach(0));
            peer.attach_anonymous("again", 0);
            peer.close();
        }
    });
    assert_eq!(broker.counts().dropped, 3 * 3 + 1);
    broker.wait_for_connections(patience(), 0).unwrap();
    // It breaks no rule.
    broker.verify().unwrap();
}

#[test]
fn other_links_and_other_outcomes_stay_as_they_are() {
    let broker = Broker::start().unwrap();
    // A link with an address: the specification says nothing of it.
    let mut peer = Peer::sender(&broker, "nobody.here");
    peer.send(transfer(0, 0).with("settled", true).with_payload(message("lost")));
    peer.expect_nothing();
    // What a test has chosen instead of rejected.
    for unroutable in [Unroutable::Released, Unroutable::Modified, Unroutable::Silent] {
        let broker = Broker::builder().unroutable(unroutable).start().unwrap();
        let mut peer = relay(&broker, &["amqp:accepted:list"]);
        peer.send(tagged(0, b"tag", true, message_to("nobody.here", "lost")));
        peer.send(tagged(1, b"tag", false, message_to("queue.a", "found")));
        assert_eq!(peer.expect_outcome_of(1).state(), ACCEPTED, "{unroutable:?}");
    }
    // A rejection that is not the router's.
    broker.on_message(|_| Verdict::reject("x:sold-out", "no more"));
    let mut peer = relay(&broker, &["amqp:accepted:list"]);
    peer.send(tagged(0, b"tag", false, message_to("queue.a", "refused")));
    let outcome = peer.expect_outcome_of(0);
    assert_eq!((outcome.state(), outcome.condition()), (REJECTED, "x:sold-out".into()));
}
