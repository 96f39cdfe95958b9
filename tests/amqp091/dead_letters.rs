//! Dead letters: where a message goes that leaves its queue unconsumed, and what is written on it.

use std::time::Duration;

use fakebroker::Broker;

use crate::support::{each_row, patience};
use crate::support091::*;

/// A queue `q` whose dead letters go to the fanout exchange `dlx`, and the queue `dead` behind that.
fn with_dead_letters(more: &[Vec<u8>]) -> (Broker, Peer091) {
    let broker = Broker::builder().manual_clock().start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare_exchange("dlx", "fanout");
    peer.declare("dead");
    peer.bind("dead", "dlx", "");
    peer.declare_with("q", &[&[text_entry("x-dead-letter-exchange", "dlx")], more].concat());
    (broker, peer)
}

#[track_caller]
fn reject(peer: &mut Peer091, queue: &str, requeue: bool) {
    let delivery = peer.get(queue, false).expect("a message");
    peer.send(method(1, REJECT).longlong(delivery.tag).bits(&[requeue]));
    peer.round_trip();
}

#[track_caller]
fn take(peer: &mut Peer091, queue: &str) -> (Delivery, Vec<String>) {
    let delivery = peer.get(queue, true).expect("a dead letter");
    let headers = headers_of(&delivery.properties).expect("headers");
    (delivery, headers)
}

fn marks(queue: &str, reason: &str, exchange: &str) -> Vec<String> {
    let mark = |which: &str| {
        [("queue", queue), ("reason", reason), ("exchange", exchange)]
            .map(|(what, value)| format!("x-{which}-death-{what}={value}"))
    };
    [mark("first"), mark("last")].concat()
}

#[test]
fn what_is_rejected_goes_to_the_exchange_for_dead_letters() {
    let (_broker, mut peer) = with_dead_letters(&[]);
    peer.publish("", "q", "one");
    reject(&mut peer, "q", true);
    assert_eq!(peer.get("dead", true), None, "it went back");
    reject(&mut peer, "q", false);
    let (delivery, headers) = take(&mut peer, "dead");
    assert_eq!((delivery.text(), delivery.exchange.as_str(), delivery.key.as_str()), ("one", "dlx", "q"));
    assert!(!delivery.redelivered, "it is a message of its own");
    let death = "x-death=[{count=1, reason=rejected, queue=q, time=T, exchange=, routing-keys=[q]}]";
    assert_eq!(headers, [vec![death.to_owned()], marks("q", "rejected", "")].concat());
}

#[test]
fn an_expiration_is_taken_off_and_kept_in_the_history() {
    let (broker, mut peer) = with_dead_letters(&[]);
    peer.declare_exchange("work", "direct");
    peer.bind("q", "work", "k");
    peer.publish_with("work", "k", &expiration("1000"), "one");
    broker.wait_for_messages(patience(), "q", 1).unwrap();
    broker.advance(Duration::from_secs(1));
    let (delivery, headers) = take(&mut peer, "dead");
    assert_eq!((delivery.text(), delivery.key.as_str()), ("one", "k"));
    let death = "x-death=[{count=1, reason=expired, queue=q, time=T, exchange=work, routing-keys=[k], \
                 original-expiration=1000}]";
    assert_eq!(headers, [vec![death.to_owned()], marks("q", "expired", "work")].concat());
    // No flag of an expiration any more.
    assert_eq!(delivery.properties[..2], [0x20, 0x00]);
}

#[test]
fn too_many_are_dead_letters_too() {
    let (_broker, mut peer) = with_dead_letters(&[int_entry("x-max-length", 1)]);
    peer.publish("", "q", "one");
    peer.publish("", "q", "two");
    let (delivery, headers) = take(&mut peer, "dead");
    assert_eq!(delivery.text(), "one");
    assert!(headers[0].contains("reason=maxlen"), "{headers:?}");
}

#[test]
fn a_refused_message_is_a_dead_letter_if_it_is_to_be() {
    let arguments = [int_entry("x-max-length", 1), text_entry("x-overflow", "reject-publish-dlx")];
    let (_broker, mut peer) = with_dead_letters(&arguments);
    peer.publish("", "q", "one");
    peer.publish("", "q", "two");
    let (delivery, headers) = take(&mut peer, "dead");
    assert_eq!(delivery.text(), "two");
    assert!(headers[0].contains("reason=maxlen"), "{headers:?}");
    assert_eq!(peer.texts("q"), ["one"]);
}

#[test]
fn a_routing_key_for_dead_letters_takes_the_place_of_all_others() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("dead");
    let to = [text_entry("x-dead-letter-exchange", ""), text_entry("x-dead-letter-routing-key", "dead")];
    peer.declare_with("q", &to);
    let copies = entry("CC", b'A', sized(&[&b"S"[..], &sized(b"elsewhere")].concat()));
    peer.publish_with("", "q", &headers(&[text_entry("own", "kept"), copies]), "one");
    reject(&mut peer, "q", false);
    let (delivery, headers) = take(&mut peer, "dead");
    assert_eq!(delivery.key, "dead");
    let death = "x-death=[{count=1, reason=rejected, queue=q, time=T, exchange=, routing-keys=[q, elsewhere]}]";
    assert_eq!(headers[..2], ["own=kept".to_owned(), death.to_owned()]);
}

/// Work, and a queue in which it waits until it is tried again.
#[test]
fn a_retry_with_a_delay_counts_its_rounds() {
    let broker = Broker::builder().manual_clock().start().unwrap();
    let mut peer = Peer091::opened(&broker);
    let to = |key: &str| vec![text_entry("x-dead-letter-exchange", ""), text_entry("x-dead-letter-routing-key", key)];
    peer.declare_with("work", &to("later"));
    peer.declare_with("later", &[to("work"), vec![int_entry("x-message-ttl", 60_000)]].concat());
    peer.publish("", "work", "one");
    for round in 1..=3 {
        reject(&mut peer, "work", false);
        assert_eq!((broker.queue_depth("work"), broker.queue_depth("later")), (0, 1));
        broker.advance(Duration::from_secs(60));
        assert_eq!((broker.queue_depth("work"), broker.queue_depth("later")), (1, 0), "round {round}");
    }
    let (delivery, headers) = take(&mut peer, "work");
    let expected = "x-death=[\
        {count=3, reason=expired, queue=later, time=T, exchange=, routing-keys=[later]}, \
        {count=3, reason=rejected, queue=work, time=T, exchange=, routing-keys=[work]}]";
    assert!(headers.contains(&expected.to_owned()), "{headers:?}");
    assert!(marks("work", "rejected", "")[..3].iter().all(|mark| headers.contains(mark)), "{headers:?}");
    assert_eq!(delivery.text(), "one");
}

#[test]
fn a_message_that_comes_round_by_itself_is_dropped() {
    let broker = Broker::builder().manual_clock().start().unwrap();
    let mut peer = Peer091::opened(&broker);
    let to = |key: &str| {
        [
            text_entry("x-dead-letter-exchange", ""),
            text_entry("x-dead-letter-routing-key", key),
            int_entry("x-message-ttl", 1000),
        ]
    };
    peer.declare_with("a", &to("b"));
    peer.declare_with("b", &to("a"));
    peer.publish("", "a", "one");
    peer.round_trip();
    broker.advance(Duration::from_secs(1));
    assert_eq!((broker.queue_depth("a"), broker.queue_depth("b")), (0, 1));
    broker.advance(Duration::from_secs(100));
    assert_eq!((broker.queue_depth("a"), broker.queue_depth("b")), (0, 0));
    assert_eq!(broker.counts().dropped, 1);
}

#[test]
fn without_its_exchange_or_a_binding_a_dead_letter_is_lost() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    for exchange in ["not there", "amq.direct"] {
        let queue = format!("to {exchange}");
        peer.declare_with(&queue, &[text_entry("x-dead-letter-exchange", exchange)]);
        peer.publish("", &queue, "one");
        reject(&mut peer, &queue, false);
    }
    assert_eq!(broker.counts().dropped, 2);
}

#[test]
fn a_forged_history_is_read_as_far_as_it_is_one() {
    let (_broker, mut peer) = with_dead_letters(&[]);
    let death = "{count=1, reason=rejected, queue=q, time=T, exchange=, routing-keys=[q]}";
    let list = |entries: &[&[Vec<u8>]]| {
        let tables = entries.iter().flat_map(|entry| [b"F".to_vec(), sized(&entry.concat())].concat());
        entry("x-death", b'A', sized(&tables.collect::<Vec<u8>>()))
    };
    let of_q = [text_entry("queue", "q"), text_entry("reason", "rejected")];
    let count = |value: i64| entry("count", b'l', value.to_be_bytes());
    let other = [text_entry("queue", "other"), text_entry("reason", "expired"), text_entry("mine", "kept")];
    let rows = [
        ("text", (text_entry("x-death", "once"), format!("[{death}]"))),
        ("a list of something else", (entry("x-death", b'A', sized(b"t\x01")), format!("[{death}, true]"))),
        ("an empty entry", (list(&[&[]]), format!("[{death}, {{}}]"))),
        ("a queue alone", (list(&[&of_q[..1]]), format!("[{death}, {{queue=q}}]"))),
        ("another queue", (list(&[&other]), format!("[{death}, {{queue=other, reason=expired, mine=kept}}]"))),
        ("without a count", (list(&[&of_q]), "[{count=1, queue=q, reason=rejected}]".to_owned())),
        (
            "counted",
            (
                list(&[&other, &[&of_q[..], &[count(5)]].concat()]),
                "[{count=6, queue=q, reason=rejected}, {queue=other, reason=expired, mine=kept}]".to_owned(),
            ),
        ),
        (
            "the highest count",
            (
                list(&[&[&of_q[..], &[count(i64::MAX)]].concat()]),
                format!("[{{count={}, queue=q, reason=rejected}}]", i64::MAX),
            ),
        ),
    ];
    each_row(rows, |(forged, expected)| {
        peer.publish_with("", "q", &headers(&[forged]), "one");
        reject(&mut peer, "q", false);
        let (_, headers) = take(&mut peer, "dead");
        assert_eq!(headers[0], format!("x-death={expected}"));
        // Whoever wrote a history says where it began.
        assert!(!headers.iter().any(|header| header.starts_with("x-first-death")), "{headers:?}");
    });
}

#[test]
fn a_headers_exchange_matches_what_is_written_into_a_dead_letter() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare_exchange("dlx", "headers");
    peer.declare("dead");
    let arguments = [text_entry("x-match", "any-with-x"), text_entry("x-first-death-reason", "rejected")];
    peer.send(queue_bind(1, QUEUE_BIND, "dead", "dlx", "", &arguments));
    peer.expect(QUEUE_BIND_OK);
    peer.declare_with("q", &[text_entry("x-dead-letter-exchange", "dlx")]);
    peer.publish("", "q", "one");
    reject(&mut peer, "q", false);
    assert_eq!(peer.texts("dead"), ["one"]);
}

/// An order that nobody takes for an hour goes to who retries it, three times and each time later, and ends in the parking lot.
#[test]
fn a_day_of_retries_takes_no_time() {
    const RETRIES: [(&str, u64); 3] = [("retry.1", 60), ("retry.2", 3_600), ("retry.3", 86_400)];
    let broker = Broker::builder().manual_clock().start().unwrap();
    let mut peer = Peer091::opened(&broker);
    let then = |key: &str, seconds: u64| {
        vec![
            text_entry("x-dead-letter-exchange", ""),
            text_entry("x-dead-letter-routing-key", key),
            int_entry("x-message-ttl", i32::try_from(seconds * 1000).unwrap()),
        ]
    };
    peer.declare_with("orders", &then("work", 3_600));
    peer.declare("work");
    peer.declare("parking");
    for (queue, seconds) in RETRIES {
        peer.declare_with(queue, &then("work", seconds));
    }
    peer.publish("", "orders", "one coffee");
    peer.round_trip();
    broker.advance(Duration::from_secs(3_600));
    for (queue, seconds) in RETRIES {
        let delivery = peer.get("work", false).expect("the order");
        peer.publish_with("", queue, &delivery.properties, &delivery.body);
        peer.ack(delivery.tag, false);
        peer.round_trip();
        broker.advance(Duration::from_secs(seconds - 1));
        assert_eq!((broker.queue_depth(queue), broker.queue_depth("work")), (1, 0));
        broker.advance(Duration::from_secs(1));
    }
    let last = peer.get("work", false).expect("the order");
    peer.publish_with("", "parking", &last.properties, &last.body);
    peer.ack(last.tag, false);
    let (parked, headers) = take(&mut peer, "parking");
    assert_eq!(parked.text(), "one coffee");
    let history = headers.iter().find(|header| header.starts_with("x-death=")).expect("x-death");
    let queues: Vec<&str> = history.split("queue=").skip(1).filter_map(|rest| rest.split(',').next()).collect();
    assert_eq!(queues, ["retry.3", "retry.2", "retry.1", "orders"], "the latest first");
    assert!(headers.contains(&"x-first-death-queue=orders".to_owned()), "{headers:?}");
    assert_eq!(broker.now(), Duration::from_secs(3_600 + 60 + 3_600 + 86_400));
}
