//! The headers CC and BCC: further routing keys of a message.

use fakebroker::Broker;

use crate::support::each_row;
use crate::support091::*;

/// An array of long strings.
fn keys(name: &str, keys: &[&str]) -> Vec<u8> {
    let items: Vec<u8> = keys.iter().flat_map(|key| [&b"S"[..], &sized(key.as_bytes())].concat()).collect();
    entry(name, b'A', sized(&items))
}

/// The queues `a` to `d`, each bound to three exchanges by its name.
fn with_queues() -> (Broker, Peer091) {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    for queue in ["a", "b", "c", "d"] {
        peer.declare(queue);
        for exchange in ["amq.direct", "amq.topic", "amq.fanout"] {
            peer.bind(queue, exchange, queue);
        }
    }
    (broker, peer)
}

fn depths(broker: &Broker) -> Vec<usize> {
    ["a", "b", "c", "d"].map(|queue| broker.queue_depth(queue)).to_vec()
}

#[test]
fn a_message_goes_by_all_its_keys_and_once_to_each_queue() {
    let copied = headers(&[text_entry("own", "kept"), keys("CC", &["b", "b", "a"]), keys("BCC", &["c", "b"])]);
    each_row(["", "amq.direct", "amq.topic", "amq.fanout"].map(|exchange| (exchange, exchange)), |exchange| {
        let (broker, mut peer) = with_queues();
        // Those around it go by their own key.
        peer.send(
            [NO_PROPERTIES.to_vec(), copied.clone(), NO_PROPERTIES.to_vec()]
                .map(|properties| publish(1, exchange, "a", &[], &properties, b"m"))
                .concat(),
        );
        peer.expect_nothing();
        match exchange {
            "amq.fanout" => assert_eq!(depths(&broker), [3, 3, 3, 3]),
            _ => assert_eq!(depths(&broker), [3, 1, 1, 0]),
        }
        assert_eq!(broker.unmet_requests(), []);
    });
}

#[test]
fn receivers_see_cc_and_not_bcc() {
    let (_broker, mut peer) = with_queues();
    let copied = [bool_entry("before", true), keys("BCC", &["c"]), keys("CC", &["b"]), text_entry("after", "too")];
    peer.publish_with("", "a", &headers(&copied), "text");
    for queue in ["a", "b", "c"] {
        let delivery = peer.get(queue, true).unwrap();
        assert_eq!((delivery.exchange.as_str(), delivery.key.as_str(), delivery.text()), ("", "a", "text"));
        let seen = headers_of(&delivery.properties).unwrap();
        assert_eq!(seen, ["before=true", "CC=[b]", "after=too"], "in {queue}");
    }
    // A table of headers stays one.
    peer.publish_with("", "a", &headers(&[keys("BCC", &["c"])]), vec![b'x'; 300_000]);
    let delivery = peer.get("c", true).unwrap();
    assert_eq!((headers_of(&delivery.properties), delivery.body.len()), (Some(vec![]), 300_000));
}

#[test]
fn one_key_that_leads_somewhere_is_enough() {
    let (_broker, mut peer) = with_queues();
    peer.send(method(1, CONFIRM).bits(&[false]));
    peer.expect(CONFIRM_OK);
    let copied = headers(&[keys("CC", &["nowhere", "b"])]);
    peer.send(publish(1, "", "gone", &[true], &copied, b"one"));
    assert_eq!(peer.expect(ACK).longlong(), 1);
    assert_eq!(peer.texts("b"), ["one"]);
    for exchange in ["", "amq.direct"] {
        let copied = headers(&[keys("CC", &["nowhere"]), keys("BCC", &["hidden"])]);
        peer.send(publish(1, exchange, "gone", &[true], &copied, b"two"));
        let returned = peer.expect_return();
        assert_eq!((returned.number, returned.exchange.as_str(), returned.key.as_str()), (312, exchange, "gone"));
        assert_eq!(headers_of(&returned.properties).unwrap(), ["CC=[nowhere]"]);
        peer.expect(ACK);
    }
    // No exchange is no exchange, and an internal one is internal.
    peer.publish_with("missing", "a", &headers(&[keys("CC", &["b"])]), "three");
    peer.expect_channel_closed_with(1, 404);
}

#[test]
fn an_alternate_is_for_what_no_key_matches() {
    let (broker, mut peer) = with_queues();
    peer.declare_exchange_with("e", "direct", &[text_entry("alternate-exchange", "amq.fanout")]);
    peer.bind("a", "e", "a");
    peer.publish_with("e", "none", &headers(&[keys("CC", &["a"])]), "one");
    peer.round_trip();
    assert_eq!(depths(&broker), [1, 0, 0, 0]);
    peer.publish_with("e", "none", &headers(&[keys("CC", &["neither"])]), "one");
    peer.round_trip();
    assert_eq!(depths(&broker), [2, 1, 1, 1]);
}

#[test]
fn dead_letters_go_by_all_keys_and_say_those_of_cc() {
    let (broker, mut peer) = with_queues();
    peer.declare_with("src", &[text_entry("x-dead-letter-exchange", "amq.direct")]);
    let copied = headers(&[keys("CC", &["b"]), keys("BCC", &["c"])]);
    peer.publish_with("", "src", &copied, "one");
    peer.bind("d", "amq.direct", "src");
    peer.texts("b");
    peer.texts("c");
    let delivery = peer.get("src", false).unwrap();
    peer.send(method(1, REJECT).longlong(delivery.tag).bits(&[false]));
    peer.round_trip();
    assert_eq!(depths(&broker), [0, 1, 1, 1]);
    for queue in ["b", "c", "d"] {
        let delivery = peer.get(queue, true).unwrap();
        let seen = headers_of(&delivery.properties).unwrap();
        assert_eq!(seen[0], "CC=[b]");
        assert!(seen[1].contains("routing-keys=[src, b]}"), "{seen:?}");
    }
}

#[test]
fn what_is_no_array_is_refused() {
    let rows = [
        ("text", b'S', sized(b"b"), "longstr"),
        ("a number", b'I', vec![0, 0, 0, 1], "signedint"),
        ("a flag", b't', vec![1], "bool"),
        ("nothing", b'V', vec![], "void"),
        ("a table", b'F', sized(&text_entry("k", "b")), "table"),
    ];
    let broker = Broker::start().unwrap();
    each_row(rows.map(|(name, kind, value, said)| (name, (kind, value, said))), |(kind, value, said)| {
        let mut peer = Peer091::opened(&broker);
        peer.declare("b");
        for name in ["CC", "BCC"] {
            peer.publish_with("", "b", &headers(&[entry(name, kind, &value)]), "one");
            let text = peer.expect_channel_closed_with(1, 406);
            let expected = format!("invalid message: {{unacceptable_type_in_header,\"{name}\",{said}}}");
            assert_eq!(text, format!("PRECONDITION_FAILED - {expected}"));
            peer.open_channel(1);
        }
    });
    assert_eq!(broker.queue_depth("b"), 0);
}

#[test]
fn elements_that_are_no_text_count_for_nothing() {
    let (broker, mut peer) = with_queues();
    let mixed = [&b"I\0\0\0\x01S"[..], &sized(b"b"), b"VA", &sized(&[&b"S"[..], &sized(b"c")].concat())].concat();
    peer.publish_with("", "a", &headers(&[entry("CC", b'A', sized(&mixed))]), "one");
    peer.publish_with("", "a", &headers(&[keys("CC", &[]), keys("BCC", &[])]), "two");
    peer.round_trip();
    assert_eq!(depths(&broker), [2, 1, 0, 0]);
}

#[test]
fn too_many_keys_are_refused() {
    let (broker, peer) = with_queues();
    peer.close();
    // Their header does not fit the smallest frame.
    let mut peer = Peer091::tuned(&broker, 1, 32_768, 0);
    peer.open_channel(1);
    let many: Vec<String> = (0..1025).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    peer.publish_with("", "a", &headers(&[keys("CC", &many[..1024])]), "one");
    peer.expect_nothing();
    peer.publish_with("", "a", &headers(&[keys("CC", &many[..1000]), keys("BCC", &many[1000..])]), "two");
    peer.expect_channel_closed_with(1, 406);
    assert_eq!(depths(&broker), [1, 0, 0, 0]);
}
