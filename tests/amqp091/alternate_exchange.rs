//! `alternate-exchange`: where a message goes that no binding of its exchange matches.

use fakebroker::Broker;

use crate::support::each_row;
use crate::support091::*;

fn alternate(name: &str) -> Vec<Vec<u8>> {
    vec![text_entry("alternate-exchange", name)]
}

/// A queue `lost` bound to the fanout exchange `rest`.
fn with_rest() -> (Broker, Peer091) {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare_exchange("rest", "fanout");
    peer.declare("lost");
    peer.bind("lost", "rest", "");
    (broker, peer)
}

#[test]
fn what_no_binding_takes_goes_to_the_alternate() {
    let (broker, mut peer) = with_rest();
    peer.declare("q");
    for kind in ["direct", "topic", "headers"] {
        peer.declare_exchange_with(kind, kind, &alternate("rest"));
        peer.send(queue_bind(1, QUEUE_BIND, "q", kind, "k", &[text_entry("h", "k")]));
        peer.expect(QUEUE_BIND_OK);
        for key in ["k", "other"] {
            // The second is answered from what was found for the first.
            for _ in 0..2 {
                peer.publish_with(kind, key, &headers(&[text_entry("h", key)]), key);
            }
        }
        assert_eq!(peer.texts("q"), ["k", "k"], "{kind}");
        let delivery = peer.get("lost", true).unwrap();
        assert_eq!((delivery.exchange.as_str(), delivery.key.as_str()), (kind, "other"));
        assert_eq!(peer.texts("lost"), ["other"], "{kind}");
    }
    assert_eq!(broker.counts().dropped, 0);
    assert_eq!(broker.unmet_requests(), []);
}

#[test]
fn alternates_have_alternates_and_a_circle_ends() {
    let (broker, mut peer) = with_rest();
    peer.declare_exchange_with("a", "direct", &alternate("b"));
    peer.declare_exchange_with("b", "direct", &alternate("a"));
    peer.publish("a", "k", "round and round");
    peer.round_trip();
    assert_eq!(broker.counts().dropped, 1);
    // Only the broker sends to an internal exchange.
    let internal = method(1, EXCHANGE_DECLARE).short(0).shortstr("c").shortstr("direct");
    peer.send(internal.bits(&[false, false, false, true]).table(&alternate("rest")));
    peer.expect(EXCHANGE_DECLARE_OK);
    peer.declare_exchange_with("d", "direct", &alternate("c"));
    peer.publish("d", "k", "by an internal one");
    assert_eq!(peer.texts("lost"), ["by an internal one"]);
}

#[test]
fn an_alternate_may_be_declared_later_and_go_before() {
    let (broker, mut peer) = with_rest();
    peer.declare_exchange_with("first", "direct", &alternate("second"));
    peer.publish("first", "k", "nobody there");
    peer.round_trip();
    assert_eq!(broker.counts().dropped, 1);
    // It has no bindings of its own.
    peer.declare_exchange_with("second", "direct", &alternate("rest"));
    peer.publish("first", "k", "there");
    assert_eq!(peer.texts("lost"), ["there"]);
    peer.send(method(1, EXCHANGE_DELETE).short(0).shortstr("second").bits(&[]));
    peer.expect(EXCHANGE_DELETE_OK);
    peer.publish("first", "k", "gone");
    assert_eq!(peer.texts("lost"), [""; 0]);
    assert_eq!(broker.counts().dropped, 2);
}

/// As in RabbitMQ: an exchange on the way has its own alternate, and a binding that leads nowhere is a binding.
#[test]
fn bindings_decide_and_not_where_they_lead() {
    let (broker, mut peer) = with_rest();
    peer.declare_exchange("inner", "direct");
    peer.declare_exchange_with("outer", "fanout", &alternate("rest"));
    peer.bind_exchange("inner", "outer", "");
    peer.publish("outer", "k", "lost behind a binding");
    peer.declare_exchange_with("caring", "direct", &alternate("rest"));
    peer.bind_exchange("caring", "amq.fanout", "");
    peer.publish("amq.fanout", "k", "caught on the way");
    assert_eq!(peer.texts("lost"), ["caught on the way"]);
    assert_eq!(broker.counts().dropped, 1);
}

#[test]
fn a_mandatory_message_that_an_alternate_takes_is_not_returned() {
    let (_broker, mut peer) = with_rest();
    peer.declare_exchange_with("e", "direct", &alternate("rest"));
    peer.declare_exchange_with("nowhere", "direct", &alternate("missing"));
    peer.send(method(1, CONFIRM).bits(&[false]));
    peer.expect(CONFIRM_OK);
    peer.send(publish(1, "e", "k", &[true], &NO_PROPERTIES, b"taken"));
    assert_eq!(peer.expect(ACK).longlong(), 1);
    peer.send(publish(1, "nowhere", "k", &[true], &NO_PROPERTIES, b"not taken"));
    let returned = peer.expect_return();
    assert_eq!((returned.text(), returned.number), ("not taken", 312));
    assert_eq!(peer.expect(ACK).longlong(), 2);
    assert_eq!(peer.texts("lost"), ["taken"]);
}

#[test]
fn an_alternate_is_named_by_text_and_stays() {
    let rows = [
        ("a number", (int_entry("alternate-exchange", 1), "invalid type 'signedint' for arg")),
        ("a flag", (bool_entry("alternate-exchange", true), "invalid type 'bool' for arg")),
        ("nothing", (entry("alternate-exchange", b'V', ""), "invalid type 'void' for arg")),
        ("a table", (table_entry("alternate-exchange", &[]), "invalid type 'table' for arg")),
        ("another", (text_entry("alternate-exchange", "other"), "received 'other' but current is 'rest'")),
    ];
    let broker = Broker::start().unwrap();
    each_row(rows, |(argument, said)| {
        let mut peer = Peer091::opened(&broker);
        let name = if said.starts_with("received") { "declared" } else { "not declared" };
        peer.declare_exchange_with("declared", "direct", &alternate("rest"));
        peer.send(exchange_declare_with(name, "direct", &[argument]));
        let text = peer.expect_channel_closed_with(1, 406);
        assert!(text.contains(said) && text.contains("'alternate-exchange'"), "{text}");
    });
}
