//! `x-delayed-message`: messages that wait at their exchange for as long as their header says.

use std::time::Duration;

use fakebroker::Broker;

use crate::support::each_row;
use crate::support091::*;

const KIND: &str = "x-delayed-message";
const MILLISECOND: Duration = Duration::from_millis(1);

fn by(kind: &str) -> Vec<Vec<u8>> {
    vec![text_entry("x-delayed-type", kind)]
}

fn delay(millis: i32) -> Vec<u8> {
    headers(&[int_entry("x-delay", millis)])
}

/// The exchange `later`, and the queue `q` bound to it by `k`.
fn with_queue() -> (Broker, Peer091) {
    let broker = Broker::builder().manual_clock().start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare_exchange_with("later", KIND, &by("direct"));
    peer.declare("q");
    peer.bind("q", "later", "k");
    (broker, peer)
}

fn texts_after(broker: &Broker, peer: &mut Peer091, time: Duration) -> Vec<String> {
    broker.advance(time);
    peer.texts("q")
}

#[test]
fn a_message_waits_as_long_as_it_says() {
    let (broker, mut peer) = with_queue();
    peer.publish_with("later", "k", &delay(1000), "one");
    peer.publish_with("later", "other", &delay(1000), "for nobody");
    peer.expect_nothing();
    assert_eq!(broker.unmet_requests(), []);
    assert_eq!(texts_after(&broker, &mut peer, 999 * MILLISECOND), [""; 0]);
    assert_eq!(broker.counts().dropped, 0);
    broker.advance(MILLISECOND);
    let delivery = peer.get("q", true).unwrap();
    assert_eq!((delivery.text(), delivery.exchange.as_str(), delivery.key.as_str()), ("one", "later", "k"));
    // As with the plugin: it has waited.
    assert_eq!(headers_of(&delivery.properties).unwrap(), ["x-delay=-1000"]);
    assert_eq!(broker.counts().dropped, 1);
}

#[test]
fn messages_come_in_the_order_of_their_times() {
    let (broker, mut peer) = with_queue();
    peer.declare_exchange_with("second", KIND, &by("fanout"));
    peer.bind("q", "second", "");
    for (exchange, millis) in [("later", 300), ("second", 200), ("later", 100), ("second", 400), ("later", 200)] {
        peer.publish_with(exchange, "k", &delay(millis), millis.to_string());
    }
    peer.publish("later", "k", "at once");
    peer.round_trip();
    assert_eq!(texts_after(&broker, &mut peer, Duration::from_secs(1)), ["at once", "100", "200", "200", "300", "400"]);
}

#[test]
fn the_type_says_how_it_is_routed_when_its_time_has_come() {
    let (broker, mut peer) = with_queue();
    peer.declare_exchange_with("topics", KIND, &by("topic"));
    peer.declare_exchange_with("by header", KIND, &by("headers"));
    peer.publish_with("topics", "a.b", &delay(10), "topic");
    let with_kind = headers(&[int_entry("x-delay", 20), text_entry("kind", "x")]);
    peer.publish_with("by header", "", &with_kind, "headers");
    peer.round_trip();
    // Bound meanwhile.
    peer.bind("q", "topics", "a.*");
    peer.send(queue_bind(1, QUEUE_BIND, "q", "by header", "", &[text_entry("kind", "x")]));
    peer.expect(QUEUE_BIND_OK);
    assert_eq!(texts_after(&broker, &mut peer, Duration::from_secs(1)), ["topic", "headers"]);
}

#[test]
fn further_routing_keys_wait_too() {
    let (broker, mut peer) = with_queue();
    let cc = entry("CC", b'A', sized(&[&b"S"[..], &sized(b"k")].concat()));
    peer.publish_with("later", "none", &headers(&[cc, int_entry("x-delay", 10)]), "one");
    peer.round_trip();
    assert_eq!(texts_after(&broker, &mut peer, Duration::from_secs(1)), ["one"]);
}

#[test]
fn a_delay_on_the_way_from_another_exchange_and_for_a_dead_letter() {
    let (broker, mut peer) = with_queue();
    peer.declare_exchange("in", "fanout");
    peer.declare("now");
    peer.bind("now", "in", "");
    peer.bind_exchange("later", "in", "");
    peer.publish_with("in", "k", &delay(1000), "both");
    assert_eq!(peer.texts("now"), ["both"]);
    assert_eq!(texts_after(&broker, &mut peer, Duration::from_secs(1)), ["both"]);
    let to = [text_entry("x-dead-letter-exchange", "later"), text_entry("x-dead-letter-routing-key", "k")];
    peer.declare_with("work", &to);
    peer.publish_with("", "work", &delay(1000), "dead");
    let delivery = peer.get("work", false).unwrap();
    peer.send(method(1, REJECT).longlong(delivery.tag).bits(&[false]));
    peer.round_trip();
    assert_eq!(texts_after(&broker, &mut peer, 999 * MILLISECOND), [""; 0]);
    assert_eq!(texts_after(&broker, &mut peer, MILLISECOND), ["dead"]);
}

#[test]
fn what_is_no_delay_delays_nothing() {
    let long = |value: i64| entry("x-delay", b'l', value.to_be_bytes());
    let rows = [
        ("nothing", vec![], 0),
        ("zero", vec![int_entry("x-delay", 0)], 0),
        ("a negative one", vec![int_entry("x-delay", -5000)], 0),
        ("the lowest of all", vec![long(i64::MIN)], 0),
        ("a flag", vec![bool_entry("x-delay", true)], 0),
        ("a table", vec![table_entry("x-delay", &[])], 0),
        ("a word", vec![text_entry("x-delay", "soon")], 0),
        ("not a number", vec![entry("x-delay", b'd', f64::NAN.to_be_bytes())], 0),
        // What does not fit 32 bits, as with the plugin: a thousand years are none.
        ("too long", vec![long(1 << 32)], 0),
        ("a thousand years", vec![long(31_557_600_000_000)], 0),
        ("for ever", vec![entry("x-delay", b'd', f64::INFINITY.to_be_bytes())], 0),
        ("digits", vec![text_entry("x-delay", "1000")], 1),
        ("a fraction", vec![entry("x-delay", b'd', 1000.5_f64.to_be_bytes())], 1),
        ("a short", vec![entry("x-delay", b's', 1000_i16.to_be_bytes())], 1),
        ("49 days", vec![long((1 << 32) - 1)], 1),
    ];
    each_row(rows.map(|(name, entries, waits)| (name, (entries, waits))), |(entries, waits)| {
        let (broker, mut peer) = with_queue();
        peer.publish_with("later", "k", &headers(&entries), "one");
        peer.round_trip();
        assert_eq!(broker.queue_depth("q"), 1 - waits);
        broker.advance(Duration::from_secs(50 * 24 * 3600));
        assert_eq!(broker.queue_depth("q"), 1);
    });
}

#[test]
fn messages_go_with_their_exchange() {
    let (broker, mut peer) = with_queue();
    peer.publish_with("later", "k", &delay(1000), "one");
    peer.round_trip();
    peer.send(method(1, EXCHANGE_DELETE).short(0).shortstr("later").bits(&[]));
    peer.expect(EXCHANGE_DELETE_OK);
    peer.declare_exchange_with("later", KIND, &by("direct"));
    peer.bind("q", "later", "k");
    assert_eq!(texts_after(&broker, &mut peer, Duration::from_secs(2)), [""; 0]);
    assert_eq!(broker.counts().dropped, 1);
}

/// As with the plugin, which knows of no queue while a message waits.
#[test]
fn a_mandatory_message_is_returned_and_comes_later() {
    let (broker, mut peer) = with_queue();
    peer.send(method(1, CONFIRM).bits(&[false]));
    peer.expect(CONFIRM_OK);
    peer.publish_with("later", "k", &delay(1000), "one");
    assert_eq!(peer.expect(ACK).longlong(), 1);
    peer.send(publish(1, "later", "k", &[true], &delay(1000), b"two"));
    assert_eq!(peer.expect_return().text(), "two");
    assert_eq!(peer.expect(ACK).longlong(), 2);
    assert_eq!(texts_after(&broker, &mut peer, Duration::from_secs(1)), ["one", "two"]);
}

#[test]
fn without_room_a_message_is_refused() {
    let broker = Broker::builder().manual_clock().storage_limit(10_000).start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare_exchange_with("later", KIND, &by("fanout"));
    peer.declare("q");
    peer.bind("q", "later", "");
    peer.send(method(1, CONFIRM).bits(&[false]));
    peer.expect(CONFIRM_OK);
    let refused = (1..100).find(|number| {
        peer.publish_with("later", "k", &delay(1000), "one");
        match peer.hear() {
            Heard091::Method { id: ACK, .. } => false,
            Heard091::Method { id: BLOCKED, .. } => {
                assert_eq!(peer.expect(NACK).longlong(), *number);
                true
            }
            other => peer.fail(&format!("{other:?}")),
        }
    });
    let taken = usize::try_from(refused.unwrap()).unwrap() - 1;
    assert!((5..50).contains(&taken), "{taken}");
    broker.advance(Duration::from_secs(1));
    assert_eq!(broker.queue_depth("q"), taken);
    peer.expect(UNBLOCKED);
}

#[test]
fn the_type_must_be_one() {
    let rows = [
        ("none", vec![], "'x-delayed-type' must be an existing exchange type"),
        ("a number", vec![int_entry("x-delayed-type", 1)], "'x-delayed-type' must be an existing exchange type"),
        ("an unknown one", by("what"), "unknown exchange type 'what'"),
        ("itself", by(KIND), "unknown exchange type 'x-delayed-message'"),
    ];
    let broker = Broker::start().unwrap();
    each_row(rows.map(|(name, arguments, said)| (name, (arguments, said))), |(arguments, said)| {
        let mut peer = Peer091::opened(&broker);
        peer.send(exchange_declare_with("e", KIND, &arguments));
        let text = peer.expect_channel_closed_with(1, 406);
        assert!(text.contains(said), "{text}");
    });
}
