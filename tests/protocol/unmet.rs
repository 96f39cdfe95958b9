//! What 1.0 clients ask for and do not get: noted where they are served all the same, refused with `amqp:not-implemented` by a
//! strict broker. 2.7.1 to 2.7.5, and 3.5.

use fakebroker::Broker;

use crate::support::*;

fn symbols(names: &[&str]) -> Value {
    Value::Array(names.iter().map(|name| symbol(name)).collect())
}

fn map(key: &str, value: Value) -> Value {
    Value::Map(vec![(symbol(key), value)])
}

fn source(address: &str, fields: &[(&str, Value)]) -> Performative {
    attach_receiver("l", 0, address).with("source", composite(SOURCE, &with_address(address, fields)))
}

fn target(address: &str, fields: &[(&str, Value)]) -> Performative {
    attach_sender("l", 0, address).with("target", composite(TARGET, &with_address(address, fields)))
}

fn with_address<'a>(address: &str, fields: &[(&'a str, Value)]) -> Vec<(&'a str, Value)> {
    let address = if address.is_empty() { Value::Null } else { address.into() };
    [&[("address", address)][..], fields].concat()
}

/// Attaches, and what of each is noted behind `attach of "l"`.
fn attaches() -> Vec<(&'static str, (Performative, Vec<&'static str>))> {
    let selector = described(0x0000_468c_0000_0004, "colour = 'red'".into());
    let no_links = described(0x2c, Value::List(vec![]));
    vec![
        (
            "a durable subscription",
            (
                source("queue.a", &[("durable", Value::Uint(2)), ("expiry-policy", symbol("never"))]),
                vec![
                    " at \"queue.a\", source.durable = 2: nothing is kept of a link that is detached",
                    " at \"queue.a\", source.expiry-policy = never: nothing is kept of a link that is detached",
                ],
            ),
        ),
        (
            "a target that is kept for a while",
            (
                target("queue.a", &[("durable", Value::Uint(1)), ("timeout", Value::Uint(30))]),
                vec![
                    " at \"queue.a\", target.durable = 1: nothing is kept of a link that is detached",
                    " at \"queue.a\", target.timeout = 30: nothing is kept of a link that is detached",
                ],
            ),
        ),
        (
            "a selector",
            (
                source("queue.a", &[("filter", map("apache.org:selector-filter:string", selector))]),
                vec![" at \"queue.a\", source.filter.apache.org:selector-filter:string = "],
            ),
        ),
        (
            "copies of an address that moves",
            (
                source("a", &[("distribution-mode", symbol("copy"))]),
                vec![" at \"a\", source.distribution-mode = copy: the node hands its messages out the other way"],
            ),
        ),
        (
            "a queue where there is none",
            (
                source("a", &[("capabilities", symbols(&["queue", "shared"]))]),
                vec![
                    " at \"a\", source.capabilities = queue: the node does not have the capability",
                    " at \"a\", source.capabilities = shared: the node does not have the capability",
                ],
            ),
        ),
        (
            "a topic where there is a queue",
            (
                target("queue.a", &[("capabilities", symbols(&["queue", "topic"]))]),
                vec![" at \"queue.a\", target.capabilities = topic: the node does not have the capability"],
            ),
        ),
        (
            "a dynamic node that outlives its link",
            (
                source("", &[("dynamic", true.into()), ("dynamic-node-properties", map("lifetime-policy", no_links))]),
                vec![", source.dynamic-node-properties.lifetime-policy = "],
            ),
        ),
        (
            "an outcome that nobody knows",
            (
                source("queue.a", &[("outcomes", symbols(&["amqp:accepted:list", "x:y"]))]),
                vec![" at \"queue.a\", source.outcomes = x:y: there is no such outcome"],
            ),
        ),
        (
            "to settle second",
            (
                target("queue.a", &[]).with("rcv-settle-mode", Value::Ubyte(1)),
                vec![
                    " at \"queue.a\", rcv-settle-mode = second: the broker settles with its outcome, before the sender has",
                ],
            ),
        ),
        (
            "to resume deliveries",
            (
                target("queue.a", &[]).with("unsettled", Value::Map(vec![(Value::Binary(vec![1]), Value::Null)])),
                vec![" at \"queue.a\", unsettled: deliveries are not resumed"],
            ),
        ),
        (
            "more to resume than fits",
            (
                target("queue.a", &[]).with("incomplete-unsettled", true),
                vec![" at \"queue.a\", unsettled: deliveries are not resumed"],
            ),
        ),
        (
            "capabilities of a link",
            (
                target("queue.a", &[]).with("desired-capabilities", symbols(&["x-own", "DELAYED_DELIVERY"])),
                vec![
                    " at \"queue.a\", desired-capabilities = x-own: the capability is not offered",
                    " at \"queue.a\", desired-capabilities = DELAYED_DELIVERY: the capability is not offered",
                ],
            ),
        ),
        (
            "a property with a meaning elsewhere",
            (
                target("queue.a", &[])
                    .with("properties", Value::Map(vec![(symbol("paired"), true.into()), (symbol("x-own"), 1.into())])),
                vec![" at \"queue.a\", properties.paired = true: links are not paired"],
            ),
        ),
    ]
}

fn texts(broker: &Broker) -> Vec<String> {
    broker.unmet_requests().iter().map(ToString::to_string).collect()
}

#[test]
fn what_an_attach_asks_for_is_noted() {
    each_row(attaches(), |(attach, noted)| {
        let broker = Broker::start().unwrap();
        let mut peer = Peer::opened(&broker);
        peer.attach(attach);
        peer.round_trip();
        let texts = texts(&broker);
        assert_eq!(texts.len(), noted.len(), "{texts:#?}");
        for (text, noted) in texts.iter().zip(noted) {
            let expected = format!("connection 1, channel 0: attach of \"l\"{noted}");
            assert!(text.starts_with(&expected), "{text}\n{expected}");
        }
    });
}

#[test]
fn a_strict_broker_refuses_the_attach() {
    each_row(attaches(), |(attach, noted)| {
        let broker = Broker::builder().strict(true).start().unwrap();
        let mut peer = Peer::opened(&broker);
        peer.attach(attach);
        let detached = peer.expect_detach_with(NOT_IMPLEMENTED);
        let asked = noted[0].split(", ").nth(1).unwrap().split(" = ").next().unwrap().split(':').next().unwrap();
        let text = Composite::of(&detached.get("error")).unwrap().get("description");
        assert!(format!("{text:?}").contains(asked), "{text:?} of {asked}");
        // The session is as good as before.
        peer.send(detach(0));
        peer.attach_sender("again", 0, "queue.a");
        peer.send_accepted(0, &["hello"]);
        peer.close();
        broker.wait_for_connections(patience(), 0).unwrap();
        let report = broker.verify().unwrap_err();
        assert_eq!((report.violations.len(), report.unmet_requests.len()), (0, noted.len()), "{report}");
    });
}

#[test]
fn what_open_and_begin_ask_for() {
    let capable = open().with("desired-capabilities", symbols(&["ANONYMOUS-RELAY", "sole-connection-for-container"]));
    let begin = begin().with("desired-capabilities", symbol("x-own"));
    let broker = Broker::start().unwrap();
    let mut peers = [
        Peer::opened_with(&broker, capable.clone(), begin.clone()),
        Peer::opened_with(&broker, open().with("hostname", "vhost:/"), crate::support::begin()),
    ];
    peers.iter_mut().for_each(|peer| drop(peer.round_trip()));
    assert_eq!(
        texts(&broker),
        [
            "connection 1: open, desired-capabilities = sole-connection-for-container: the capability is not offered",
            "connection 1, channel 0: begin, desired-capabilities = x-own: the capability is not offered",
        ]
    );
    // A strict one ends what asked.
    let strict = Broker::builder().strict(true).start().unwrap();
    let mut peer = Peer::greeted(&strict);
    peer.send(capable);
    peer.expect_open();
    peer.expect_close_with(NOT_IMPLEMENTED);
    let mut peer = Peer::greeted(&strict);
    peer.send(open());
    peer.expect_open();
    peer.send(begin);
    peer.expect_begin();
    peer.expect_end_with(NOT_IMPLEMENTED);
}

#[test]
fn a_delivery_that_is_resumed() {
    let resumed = || transfer(0, 0).with("resume", true).with_payload(message("hello"));
    let broker = Broker::start().unwrap();
    let mut peer = Peer::sender(&broker, "queue.a");
    peer.send(resumed());
    assert_eq!(peer.expect_outcome_of(0).state(), ACCEPTED);
    assert_eq!(
        texts(&broker),
        ["connection 1, channel 0: transfer of \"s\", resume = true: deliveries are not resumed"]
    );
    let strict = Broker::builder().strict(true).start().unwrap();
    let mut peer = Peer::sender(&strict, "queue.a");
    peer.send(resumed());
    peer.expect_detach_with(NOT_IMPLEMENTED);
    assert_eq!(strict.counts().queued, 0);
}

#[test]
fn what_is_granted_is_not_noted() {
    let broker = Broker::builder().strict(true).start().unwrap();
    let mut peer = Peer::opened_with(&broker, open().with("hostname", "localhost"), begin());
    let until_closed = described(0x2b, Value::List(vec![]));
    let rows = [
        source("queue.a", &[("distribution-mode", symbol("copy")), ("capabilities", symbol("queue"))]),
        source("queue.a", &[("expiry-policy", symbol("session-end")), ("durable", Value::Uint(0))]),
        source("broadcast.a", &[("capabilities", symbol("topic")), ("filter", Value::Map(vec![]))]),
        source("queue.a", &[]).with("rcv-settle-mode", Value::Ubyte(1)),
        target("queue.a", &[("expiry-policy", symbol("link-detach"))]).with("unsettled", Value::Map(vec![])),
        target(
            "",
            &[
                ("dynamic", true.into()),
                ("dynamic-node-properties", map("lifetime-policy", until_closed)),
                ("capabilities", symbol("temporary-queue")),
            ],
        ),
    ];
    for attach in rows {
        peer.attach(attach);
        peer.round_trip();
        peer.send(detach(0));
        peer.expect_detach();
    }
    assert_eq!(texts(&broker), [""; 0]);
}
