//! basic.consume and acknowledgements.

use fakebroker::{Broker, Message, Outcome};

use crate::support::each_row;
use crate::support091::*;

fn with_messages(broker: &Broker, count: usize) -> Peer091 {
    let mut peer = Peer091::opened(broker);
    peer.declare("q");
    for n in 1..=count {
        peer.publish("", "q", n.to_string());
    }
    peer
}

fn texts(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

#[test]
fn deliveries_come_in_order_after_consume_ok() {
    let broker = Broker::start().unwrap();
    let mut peer = with_messages(&broker, 300);
    peer.consume("q", "c");
    for n in 1..=300_u64 {
        let delivery = peer.expect_delivery();
        assert_eq!((delivery.consumer.as_str(), delivery.tag, delivery.redelivered), ("c", n, false));
        assert_eq!((delivery.exchange.as_str(), delivery.key.as_str()), ("", "q"));
        assert_eq!(delivery.text(), n.to_string());
    }
    peer.ack(300, true);
    peer.expect_nothing();
    assert_eq!(broker.counts().accepted, 300);
    peer.close();
    assert_eq!(Peer091::opened(&broker).declare("q"), (0, 0));
}

#[test]
fn without_acknowledgements_they_are_gone() {
    let broker = Broker::start().unwrap();
    let mut peer = with_messages(&broker, 3);
    peer.send(consume(1, "q", "", &[false, true]));
    let tag = peer.expect(CONSUME_OK).shortstr();
    assert!(tag.starts_with("amq.ctag-"), "{tag}");
    for n in 1..=3_u64 {
        let delivery = peer.expect_delivery();
        assert_eq!((&delivery.consumer, delivery.tag), (&tag, n));
    }
    // There is nothing to acknowledge.
    peer.ack(1, false);
    peer.expect_channel_closed_with(1, 406);
    peer.open_channel(1);
    assert_eq!(peer.declare("q"), (0, 0));
}

#[test]
fn prefetch_is_a_consumers_own() {
    let broker = Broker::start().unwrap();
    let mut peer = with_messages(&broker, 0);
    peer.prefetch(2, false);
    peer.consume("q", "two");
    peer.prefetch(3, false);
    peer.consume("q", "three");
    for n in 1..=10 {
        peer.publish("", "q", n.to_string());
    }
    let mut had = [0, 0];
    for _ in 0..5 {
        let delivery = peer.expect_delivery();
        had[usize::from(delivery.consumer == "three")] += 1;
    }
    assert_eq!(had, [2, 3]);
    peer.expect_nothing();
    peer.ack(1, false);
    assert_eq!(peer.expect_delivery().tag, 6);
    peer.expect_nothing();
    peer.ack(0, true);
    assert_eq!(peer.expect_texts(4), texts(7..=10));
}

#[test]
fn prefetch_may_be_for_all_consumers_of_a_channel() {
    let broker = Broker::start().unwrap();
    let mut peer = with_messages(&broker, 0);
    peer.prefetch(3, true);
    for tag in ["a", "b", "c", "d"] {
        peer.consume("q", tag);
    }
    for n in 1..=20 {
        peer.publish("", "q", n.to_string());
    }
    assert_eq!(peer.expect_texts(3), texts(1..=3));
    peer.expect_nothing();
    // What went over the limit inside the broker is neither lost nor called delivered.
    assert_eq!(peer.declare("q"), (17, 4));
    for n in 4..=20 {
        peer.ack(n - 3, false);
        let delivery = peer.expect_delivery();
        assert_eq!((delivery.text(), delivery.redelivered), (n.to_string().as_str(), false));
        peer.expect_nothing();
    }
    assert_eq!(broker.counts().topic, 20);
}

#[test]
fn consumers_that_share_a_limit_take_turns() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    let queues = ["a", "b", "c"];
    for queue in queues {
        peer.declare(queue);
        for n in 0..6 {
            peer.publish("", queue, n.to_string());
        }
    }
    peer.prefetch(1, true);
    let no_wait = [false, false, false, true];
    queues.into_iter().for_each(|queue| peer.send(consume(1, queue, queue, &no_wait)));
    let mut served = Vec::new();
    for _ in 0..9 {
        let delivery = peer.expect_delivery();
        served.push(delivery.consumer);
        peer.ack(delivery.tag, false);
    }
    // Whoever has waited longest is next, each time.
    assert_eq!(served, ["a", "b", "c", "a", "b", "c", "a", "b", "c"]);
}

#[test]
fn one_at_a_time() {
    let broker = Broker::start().unwrap();
    let mut peer = with_messages(&broker, 50);
    peer.prefetch(1, false);
    peer.consume("q", "c");
    for n in 1..=50 {
        let delivery = peer.expect_delivery();
        assert_eq!(delivery.text(), n.to_string());
        peer.expect_nothing();
        // Given back now and then: it comes again.
        if n % 10 == 0 {
            peer.send(method(1, REJECT).longlong(delivery.tag).bits(&[true]));
            let again = peer.expect_delivery();
            assert_eq!((again.text(), again.redelivered), (n.to_string().as_str(), true));
            peer.ack(again.tag, false);
        } else {
            peer.ack(delivery.tag, false);
        }
    }
}

#[test]
fn multiple_is_up_to_and_including() {
    let broker = Broker::start().unwrap();
    let mut peer = with_messages(&broker, 6);
    peer.consume("q", "c");
    peer.expect_texts(6);
    peer.ack(2, false);
    peer.ack(4, true);
    peer.send(method(1, NACK).longlong(5).bits(&[true, false]));
    // Known no more, one by one or together.
    peer.ack(3, false);
    peer.expect_channel_closed_with(1, 406);
    peer.open_channel(1);
    let last = peer.get("q", true).unwrap();
    assert_eq!((last.text(), last.redelivered), ("6", true));
    let counts = broker.counts();
    assert_eq!((counts.accepted, counts.rejected), (4, 1));
}

#[test]
fn unknown_tags_close_the_channel() {
    let rows = [
        ("ack", method(1, ACK).longlong(9).bits(&[false])),
        ("ack of many", method(1, ACK).longlong(9).bits(&[true])),
        ("ack of 0", method(1, ACK).longlong(0).bits(&[false])),
        ("nack", method(1, NACK).longlong(9).bits(&[false, true])),
        ("reject", method(1, REJECT).longlong(u64::MAX).bits(&[true])),
    ];
    each_row(rows, |bytes| {
        let broker = Broker::start().unwrap();
        let mut peer = with_messages(&broker, 1);
        peer.consume("q", "c");
        peer.expect_delivery();
        peer.send(bytes);
        let text = peer.expect_channel_closed_with(1, 406);
        assert!(text.starts_with("PRECONDITION_FAILED - unknown delivery tag"), "{text}");
        peer.close();
    });
}

#[test]
fn all_of_nothing_is_fine() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.ack(0, true);
    peer.send(method(1, NACK).longlong(0).bits(&[true, true]));
    peer.expect_nothing();
}

#[test]
fn what_is_given_back_comes_again() {
    let broker = Broker::start().unwrap();
    let mut peer = with_messages(&broker, 3);
    peer.consume("q", "c");
    peer.expect_texts(3);
    peer.send(method(1, NACK).longlong(0).bits(&[true, true]));
    for n in 1..=3 {
        let again = peer.expect_delivery();
        assert_eq!((again.text(), again.redelivered), (n.to_string().as_str(), true));
    }
    peer.send(method(1, RECOVER).bits(&[true]));
    let mut heard = Vec::new();
    for _ in 0..10 {
        heard.push(peer.hear());
        if heard.len() == 10 {
            break;
        }
    }
    let answers = heard.iter().filter(|heard| matches!(heard, Heard091::Method { id: RECOVER_OK, .. })).count();
    let deliveries = heard.iter().filter(|heard| matches!(heard, Heard091::Method { id: DELIVER, .. })).count();
    assert_eq!((answers, deliveries), (1, 3));
    peer.send(method(1, RECOVER).bits(&[false]));
    peer.expect_closed_with(540);
}

#[test]
fn consumers_take_turns() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.consume("q", "a");
    peer.consume("q", "b");
    let mut had = Vec::new();
    for n in 0..6 {
        peer.publish("", "q", n.to_string());
        had.push(peer.expect_delivery().consumer);
    }
    assert_eq!(had, ["a", "b", "a", "b", "a", "b"]);
}

#[test]
fn a_cancelled_consumer_keeps_what_it_has() {
    let broker = Broker::start().unwrap();
    let mut peer = with_messages(&broker, 2);
    peer.prefetch(1, false);
    peer.consume("q", "c");
    assert_eq!(peer.expect_delivery().text(), "1");
    peer.send(method(1, CANCEL).shortstr("c").bits(&[false]));
    assert_eq!(peer.expect(CANCEL_OK).shortstr(), "c");
    assert_eq!(broker.counts().receiver_links, 0);
    // The second waits, the first is neither there nor gone.
    assert_eq!(peer.declare("q"), (1, 0));
    peer.ack(1, false);
    peer.expect_nothing();
    assert_eq!(broker.counts().accepted, 1);
    // The tag is free, and one that nobody has is cancelled too.
    peer.consume("q", "c");
    assert_eq!(peer.expect_delivery().text(), "2");
    peer.send(method(1, CANCEL).shortstr("nobody").bits(&[false]));
    assert_eq!(peer.expect(CANCEL_OK).shortstr(), "nobody");
}

#[test]
fn a_tag_belongs_to_one_consumer() {
    let broker = Broker::start().unwrap();
    let mut peer = with_messages(&broker, 0);
    peer.consume("q", "c");
    peer.open_channel(2);
    peer.send(consume(2, "q", "c", &[]));
    peer.expect_on(2, CONSUME_OK);
    peer.send(consume(1, "q", "c", &[]));
    peer.expect_closed_with(530);
}

#[test]
fn an_exclusive_consumer_is_alone() {
    let broker = Broker::start().unwrap();
    let exclusive = [false, false, true];
    let mut peer = with_messages(&broker, 0);
    peer.send(consume(1, "q", "c", &exclusive));
    peer.expect(CONSUME_OK);
    let mut other = Peer091::opened(&broker);
    for bits in [&[][..], &exclusive] {
        other.send(consume(1, "q", "d", bits));
        let text = other.expect_channel_closed_with(1, 403);
        assert_eq!(text, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use");
        other.open_channel(1);
    }
    peer.send(method(1, CANCEL).shortstr("c").bits(&[false]));
    peer.expect(CANCEL_OK);
    other.consume("q", "d");
    peer.send(consume(1, "q", "c", &exclusive));
    peer.expect_channel_closed_with(1, 403);
}

#[test]
fn a_missing_queue() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.send(consume(1, "missing", "c", &[]));
    peer.expect_channel_closed_with(1, 404);
    peer.open_channel(1);
    peer.declare("missing");
    peer.consume("missing", "c");
}

#[test]
fn a_lost_connection_gives_back_what_it_had() {
    let broker = Broker::start().unwrap();
    let mut peer = with_messages(&broker, 2);
    peer.consume("q", "c");
    peer.expect_texts(2);
    peer.reset();
    let mut other = Peer091::opened(&broker);
    other.declare("q");
    other.consume("q", "d");
    for n in 1..=2 {
        let again = other.expect_delivery();
        assert_eq!((again.text(), again.redelivered), (n.to_string().as_str(), true));
    }
}

#[test]
fn prefetch_in_bytes_is_not_implemented() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.send(method(1, QOS).long(1).short(0).bits(&[false]));
    peer.expect_closed_with(540);
}

#[test]
fn what_does_not_fit_a_frame_uses_up_no_prefetch() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.prefetch(1, false);
    peer.consume("q", "c");
    // By 1.0, whose frames are larger than those that this consumer takes.
    let big = Message::text("big").property("padding", "x".repeat(5000));
    let small = Message::text("small");
    assert_eq!(broker.inject("q", big), Some(Outcome::Accepted));
    assert_eq!(broker.inject("q", small), Some(Outcome::Accepted));
    assert_eq!(peer.expect_delivery().text(), "small");
}

/// As in RabbitMQ: a shared prefetch that is used up holds up consumers without acknowledgements too, which do not count.
#[test]
fn without_acknowledgements_a_consumer_waits_for_the_shared_prefetch() {
    let broker = Broker::start().unwrap();
    let mut peer = with_messages(&broker, 0);
    peer.declare("other");
    peer.prefetch(1, true);
    peer.consume("q", "acks");
    peer.send(consume(1, "other", "does not", &[false, true]));
    peer.expect(CONSUME_OK);
    for text in ["1", "2", "3"] {
        peer.publish("", "other", text);
    }
    assert_eq!(peer.expect_texts(3), texts(1..=3));
    peer.publish("", "q", "4");
    let held = peer.expect_delivery();
    assert_eq!((held.text(), held.tag), ("4", 4));
    peer.publish("", "other", "5");
    peer.publish("", "q", "6");
    peer.expect_nothing();
    peer.ack(4, false);
    let mut all = peer.expect_texts(2);
    all.sort();
    assert_eq!(all, texts(5..=6));
    // Those of basic.get neither wait nor count.
    peer.publish("", "other", "7");
    assert_eq!(peer.get("other", true).unwrap().text(), "7");
}
