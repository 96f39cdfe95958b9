//! 2.6.3 and 3.5: termini that cannot be had: null, unknown, coordinator. The attach is answered with a null one, then detached.

use fakebroker::Broker;

use crate::support::*;

/// Attaches, and sees it refused as 2.6.3 says; the session and the handle are as good as before.
#[track_caller]
fn refused(attach: Performative, terminus: &str, condition: &str) {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    let answer = peer.attach(attach);
    assert_eq!(answer.get(terminus), Value::Null, "2.6.3: what could not be had is null in the answer");
    let detached = peer.expect_detach_with(condition);
    assert_eq!(detached.number("handle"), answer.number("handle"));
    peer.send(detach(0));
    peer.attach_sender("again", 0, "queue.a");
    peer.send_accepted(0, &["hello"]);
    assert_eq!((broker.counts().sender_links, broker.counts().receiver_links), (1, 0));
}

#[test]
fn a_null_target() {
    refused(attach_sender("s", 0, "a").with("target", Value::Null), "target", INVALID_FIELD);
}

#[test]
fn a_null_source() {
    refused(attach_receiver("r", 0, "a").with("source", Value::Null), "source", INVALID_FIELD);
}

#[test]
fn a_source_without_an_address() {
    refused(attach_receiver("r", 0, "a").with("source", terminus(SOURCE, Value::Null)), "source", INVALID_FIELD);
}

#[test]
fn a_coordinator() {
    let coordinator = composite(COORDINATOR, &[("capabilities", symbol("amqp:local-transactions"))]);
    refused(attach_sender("s", 0, "a").with("target", coordinator), "target", NOT_IMPLEMENTED);
}

#[test]
fn termini_of_unknown_types() {
    let unknown = described(0x1234_5678, Value::List(vec!["what".into()]));
    refused(attach_sender("s", 0, "a").with("target", unknown.clone()), "target", NOT_IMPLEMENTED);
    refused(attach_receiver("r", 0, "a").with("source", unknown), "source", NOT_IMPLEMENTED);
    let named = Value::Described(Box::new(symbol("x-own:terminus:list")), Box::new(Value::List(vec![])));
    refused(attach_sender("s", 0, "a").with("target", named), "target", NOT_IMPLEMENTED);
}

#[test]
fn the_peers_own_end_may_be_anything() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    // Of a link that sends the source is the peer's affair, of one that receives the target.
    for (handle, source) in [Value::Null, terminus(SOURCE, Value::Null), dynamic(SOURCE)].into_iter().enumerate() {
        let answer = peer.attach(attach_sender(&format!("s{handle}"), handle as u32, "queue.a").with("source", source));
        assert_eq!(answer.address("target").as_deref(), Some("queue.a"));
        peer.expect_credit();
        peer.send_accepted(handle as u32, &["hello"]);
    }
    for (handle, target) in [Value::Null, terminus(TARGET, Value::Null)].into_iter().enumerate() {
        let handle = 10 + handle as u32;
        let answer = peer.attach(attach_receiver(&format!("r{handle}"), handle, "queue.a").with("target", target));
        assert_eq!(answer.address("source").as_deref(), Some("queue.a"));
        peer.grant(handle, 0, 1);
        assert_eq!(peer.receive_texts(1), ["hello"]);
    }
}

#[test]
fn every_field_of_a_terminus_is_taken() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    let node_properties = Value::Map(vec![(symbol("lifetime-policy"), described(0x2b, Value::List(vec![])))]);
    let filter = Value::Map(vec![(symbol("x-filter"), described(0x1, "selector".into()))]);
    let common = [
        ("address", "queue.a".into()),
        ("durable", Value::Uint(2)),
        ("expiry-policy", symbol("never")),
        ("timeout", Value::Uint(30)),
        ("dynamic-node-properties", node_properties),
        ("capabilities", Value::Array(vec![symbol("queue"), symbol("x-more")])),
    ];
    let own = [
        ("distribution-mode", symbol("move")),
        ("filter", filter),
        ("default-outcome", released()),
        ("outcomes", Value::Array(vec![symbol("amqp:accepted:list"), symbol("amqp:released:list")])),
    ];
    let source = composite(SOURCE, &[&common[..], &own].concat());
    let answer = peer.attach(attach_receiver("r", 0, "queue.a").with("source", source));
    let answered = answer.inner("source").unwrap();
    // 3.5.3: what is not so is not said: nothing filters here, and nothing is durable.
    assert_eq!(answered.get("filter"), Value::Null);
    assert!(matches!(answered.get("durable"), Value::Null | Value::Uint(0)));
    let target = composite(TARGET, &common);
    peer.attach(attach_sender("s", 1, "queue.a").with("target", target));
    peer.expect_credit();
}
