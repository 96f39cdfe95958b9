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
fn a_null_terminus_is_legal_and_carries_nothing() {
    let target = || attach_sender("s", 0, "a").with("target", Value::Null);
    let source = || attach_receiver("r", 0, "a").with("source", Value::Null);
    refused(target(), "target", NOT_FOUND);
    refused(source(), "source", NOT_FOUND);
    // 2.7.3: it breaks no rule.
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    for attach in [target(), source()] {
        peer.attach(attach);
        peer.expect_detach_with(NOT_FOUND);
        peer.send(detach(0));
    }
    peer.close();
    broker.wait_for_connections(patience(), 0).unwrap();
    broker.verify().unwrap();
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

/// All that a terminus can ask for, none of which is the default.
fn demanding(address: &str) -> Vec<(&'static str, Value)> {
    let policy = described(0x2c, Value::List(vec![]));
    vec![
        ("address", address.into()),
        ("durable", Value::Uint(2)),
        ("expiry-policy", symbol("never")),
        ("timeout", Value::Uint(30)),
        ("dynamic-node-properties", Value::Map(vec![(symbol("lifetime-policy"), policy)])),
        ("capabilities", symbols(&["queue", "topic", "temporary-queue", "x-more"])),
    ]
}

fn symbols(names: &[&str]) -> Value {
    Value::Array(names.iter().map(|name| symbol(name)).collect())
}

/// The symbols of a field that may have several.
#[track_caller]
fn listed(terminus: &Composite, field: &str) -> Vec<String> {
    let symbols = match terminus.get(field) {
        Value::Null => Vec::new(),
        Value::Array(symbols) => symbols,
        one => vec![one],
    };
    let name = |value| match value {
        Value::Symbol(name) => name,
        other => panic!("{field} of {other:?}"),
    };
    symbols.into_iter().map(name).collect()
}

/// Checks what holds for every terminus of the broker: nothing is durable, nor kept when the link is detached.
#[track_caller]
fn keeps_nothing(terminus: &Composite) {
    assert!(matches!(terminus.get("durable"), Value::Null | Value::Uint(0)), "{terminus:?}");
    assert!(matches!(terminus.get("timeout"), Value::Null | Value::Uint(0)), "{terminus:?}");
    assert_eq!(terminus.get("expiry-policy"), symbol("link-detach"));
}

#[test]
fn an_attach_says_what_is_granted() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    // By the kind of node: which of the capabilities it has, and how a source hands out to who asked for the other way.
    let rows = [
        ("a queue", ("queue.a", "copy", &["queue"][..], "copy")),
        ("a queue that is taken from", ("queue.b", "move", &["queue"][..], "move")),
        ("a topic", ("broadcast.a", "move", &["topic"][..], "copy")),
        ("an anycast address", ("unicast.a", "copy", &[][..], "move")),
        ("a direct address", ("a", "copy", &[][..], "move")),
    ];
    each_row(rows, |(address, mode, capabilities, granted_mode)| {
        let own = [
            ("distribution-mode", symbol(mode)),
            ("filter", Value::Map(vec![(symbol("x-filter"), described(0x1, "selector".into()))])),
        ];
        let source = composite(SOURCE, &[&demanding(address)[..], &own].concat());
        let answer = peer.attach(attach_receiver("r", 0, address).with("source", source));
        let granted = answer.inner("source").unwrap();
        assert_eq!(granted.get("address"), address.into());
        keeps_nothing(&granted);
        // 3.5.3: what does not filter is left out.
        assert_eq!(granted.get("filter"), Value::Null);
        assert_eq!(granted.get("dynamic-node-properties"), Value::Null, "of a node that is not dynamic");
        assert_eq!(granted.get("distribution-mode"), symbol(granted_mode));
        assert_eq!(listed(&granted, "capabilities"), capabilities);

        let target = composite(TARGET, &demanding(address));
        let answer = peer.attach(attach_sender("s", 1, address).with("target", target));
        peer.expect_credit();
        let granted = answer.inner("target").unwrap();
        assert_eq!(granted.get("address"), address.into());
        keeps_nothing(&granted);
        assert_eq!(granted.get("dynamic-node-properties"), Value::Null);
        assert_eq!(listed(&granted, "capabilities"), capabilities);
        for handle in [0, 1] {
            peer.send(detach(handle));
            peer.expect_detach();
        }
    });
}

#[test]
fn a_source_says_which_outcomes_it_knows() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    let all = ["amqp:accepted:list", "amqp:rejected:list", "amqp:released:list", "amqp:modified:list"];
    let failed = || composite(MODIFIED, &[("delivery-failed", true.into())]);
    let rows = [
        ("none asked for", (vec![], released(), &all[..])),
        ("two", (vec![("outcomes", symbols(&[all[2], all[0]]))], released(), &[all[0], all[2]][..])),
        ("one that nobody knows", (vec![("outcomes", symbols(&[all[0], "x:y"]))], released(), &all[..1])),
        ("another default", (vec![("default-outcome", failed())], failed(), &all[..])),
    ];
    each_row(rows, |(asked, default_outcome, outcomes)| {
        let source = composite(SOURCE, &[&[("address", "queue.a".into())], &asked[..]].concat());
        let answer = peer.attach(attach_receiver("r", 0, "").with("source", source));
        let granted = answer.inner("source").unwrap();
        let code = |outcome: &Value| Composite::of(outcome).unwrap().code;
        assert_eq!(code(&granted.get("default-outcome")), code(&default_outcome));
        assert_eq!(listed(&granted, "outcomes"), outcomes);
        peer.send(detach(0));
        peer.expect_detach();
    });
}

#[test]
fn a_dynamic_node_says_how_long_it_lives() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    let temporary = |code: u64, kind: &str| {
        let mut fields = demanding("");
        fields.retain(|(field, _)| !matches!(*field, "address" | "capabilities"));
        fields.extend([("dynamic", true.into()), ("capabilities", symbols(&[kind, "x-more"]))]);
        composite(code, &fields)
    };
    // 3.5.10: it goes with its link, whatever was asked for.
    let until_closed = Value::Map(vec![(symbol("lifetime-policy"), described(0x2b, Value::List(vec![])))]);
    for (handle, kind) in [(0, "temporary-queue"), (2, "temporary-topic")] {
        let receiver = attach_receiver(kind, handle, "").with("source", temporary(SOURCE, kind));
        let sender = attach_sender(kind, handle + 1, "").with("target", temporary(TARGET, kind));
        let granted = [peer.attach(receiver).inner("source").unwrap(), peer.attach(sender).inner("target").unwrap()];
        for granted in granted {
            keeps_nothing(&granted);
            assert_eq!(granted.get("dynamic"), Value::Bool(true));
            assert_eq!(granted.get("dynamic-node-properties"), until_closed);
            assert_eq!(listed(&granted, "capabilities"), [kind]);
        }
    }
}
