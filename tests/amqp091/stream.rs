//! Streams: reading does not consume. The answers are those of RabbitMQ 3.10, but that messages go one by one and not by segments.

use std::time::Duration;

use fakebroker::Broker;

use crate::support::{Peer, Value, attach_receiver, composite, each_row, patience, symbol};
use crate::support091::*;

const SECOND: Duration = Duration::from_secs(1);

fn declare(bits: &[bool], more: &[Vec<u8>]) -> MethodBytes {
    let arguments = [&[text_entry("x-queue-type", "stream")], more].concat();
    method(1, QUEUE_DECLARE).short(0).shortstr("s").bits(bits).table(&arguments)
}

/// A broker with the stream `s`, which has `a` from the start, and `b` and `c` from ten seconds later.
fn with_stream(more: &[Vec<u8>]) -> (Broker, Peer091) {
    let broker = Broker::builder().manual_clock().start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.send(declare(&[false, true], more));
    peer.expect(QUEUE_DECLARE_OK);
    peer.publish("", "s", "a");
    broker.wait_for_messages(patience(), "s", 1).unwrap();
    broker.advance(10 * SECOND);
    peer.publish("", "s", "b");
    peer.publish_with("", "s", &headers(&[text_entry("own", "kept")]), "c");
    peer.prefetch(10, false);
    (broker, peer)
}

/// Expects a consumer with this argument to be shown these texts and offsets: what is there, and what is published then.
#[track_caller]
fn expect_shown(peer: &mut Peer091, offset: Option<Vec<u8>>, expected: &[&str]) {
    let arguments: Vec<Vec<u8>> = offset.into_iter().collect();
    peer.consume_with("s", "t", &[], &arguments);
    peer.publish("", "s", "new");
    for expected in expected {
        let delivery = peer.expect_delivery();
        assert!(!delivery.redelivered);
        let headers = headers_of(&delivery.properties).unwrap();
        let offset = headers.last().unwrap().strip_prefix("x-stream-offset=").unwrap().to_owned();
        assert_eq!(format!("{} {offset}", delivery.text()), *expected);
    }
    peer.expect_nothing();
}

#[test]
fn a_consumer_begins_where_it_wants_to() {
    let seconds = |seconds: u64| entry("x-stream-offset", b'T', seconds.to_be_bytes());
    let long = |number: i64| entry("x-stream-offset", b'l', number.to_be_bytes());
    let text = |text: &str| text_entry("x-stream-offset", text);
    let all = vec!["a 0", "b 1", "c 2", "new 3"];
    let rows = [
        ("next by default", (None, vec!["new 3"])),
        ("next", (Some(text("next")), vec!["new 3"])),
        ("first", (Some(text("first")), all.clone())),
        ("last", (Some(text("last")), vec!["c 2", "new 3"])),
        ("a number", (Some(long(1)), vec!["b 1", "c 2", "new 3"])),
        ("the first number", (Some(long(0)), all.clone())),
        ("a negative number", (Some(long(-1)), all.clone())),
        ("a number to come", (Some(long(4)), vec![])),
        ("the highest number", (Some(long(i64::MAX)), vec![])),
        ("five seconds ago", (Some(text("5s")), vec!["b 1", "c 2", "new 3"])),
        ("a minute ago", (Some(text("1m")), all.clone())),
        ("years ago", (Some(text("900Y")), all.clone())),
        ("more years than there are", (Some(text("18446744073709551615Y")), all.clone())),
        ("a day long ago", (Some(seconds(315_532_800)), all)),
        ("a day to come", (Some(seconds(32_503_680_000)), vec!["new 3"])),
        ("the end of time", (Some(seconds(u64::MAX)), vec!["new 3"])),
    ];
    each_row(rows, |(offset, expected)| {
        let (broker, mut peer) = with_stream(&[]);
        expect_shown(&mut peer, offset, &expected);
        // All of it is there.
        assert_eq!(broker.queue_depth("s"), 4);
        assert_eq!(broker.unmet_requests(), []);
    });
}

#[test]
fn what_is_acknowledged_makes_room_for_more_and_stays() {
    let (broker, mut peer) = with_stream(&[]);
    peer.prefetch(2, false);
    for (channel, tag) in [(1, "one"), (2, "two")] {
        if channel == 2 {
            peer.open_channel(2);
            peer.send(method(2, QOS).long(0).short(2).bits(&[false]));
            peer.expect_on(2, QOS_OK);
        }
        let first = [text_entry("x-stream-offset", "first")];
        peer.send(consume_with(channel, "s", tag, &[], &first));
        peer.expect_on(channel, CONSUME_OK);
        assert_eq!(peer.expect_texts(2), ["a", "b"]);
        peer.expect_nothing();
        peer.send(method(channel, ACK).longlong(1).bits(&[false]));
        assert_eq!(peer.expect_texts(1), ["c"]);
    }
    // In use or not, empty or not.
    let mut peer = Peer091::opened(&broker);
    peer.send(declare(&[true], &[]));
    let mut answer = peer.expect(QUEUE_DECLARE_OK);
    // RabbitMQ counts no consumers of a stream.
    assert_eq!((answer.shortstr(), answer.long(), answer.long()), ("s".to_owned(), 3, 0));
    assert_eq!(broker.counts().dropped, 0);
    peer.send(method(1, QUEUE_DELETE).short(0).shortstr("s").bits(&[true, true]));
    assert_eq!(peer.expect(QUEUE_DELETE_OK).long(), 0);
}

#[test]
fn messages_go_when_they_are_too_old() {
    let (broker, mut peer) = with_stream(&[text_entry("x-max-age", "1h")]);
    // Their own expiration does not count.
    peer.publish_with("", "s", &expiration("1"), "d");
    peer.round_trip();
    broker.advance(3590 * SECOND);
    assert_eq!(broker.queue_depth("s"), 3);
    expect_shown(&mut peer, Some(text_entry("x-stream-offset", "first")), &["b 1", "c 2", "d 3", "new 4"]);
    broker.advance(10 * SECOND);
    assert_eq!(broker.queue_depth("s"), 1);
}

#[test]
fn messages_go_when_there_are_too_many_bytes() {
    let (broker, mut peer) = with_stream(&[int_entry("x-max-length-bytes", 4)]);
    expect_shown(&mut peer, Some(text_entry("x-stream-offset", "first")), &["a 0", "b 1", "c 2", "new 3"]);
    assert_eq!(broker.queue_depth("s"), 2, "c and new");
}

#[test]
fn what_a_stream_is_not_is_refused() {
    let broker = Broker::start().unwrap();
    let durable = vec![false, true];
    let mut rows = vec![
        (vec![], vec![], "invalid property 'non-durable' for {}".to_owned()),
        (vec![false, true, true], vec![], "invalid property 'exclusive-owner' for {}".to_owned()),
        (vec![false, true, false, true], vec![], "invalid property 'auto-delete' for {}".to_owned()),
    ];
    let not_for_streams = [
        "x-delivery-limit",
        "x-expires",
        "x-max-length",
        "x-max-priority",
        "x-message-ttl",
        "x-overflow",
        "x-queue-mode",
        "x-single-active-consumer",
    ];
    for name in not_for_streams {
        let why = format!("invalid arg '{name}' for {{}} of queue type rabbit_stream_queue");
        rows.push((durable.clone(), vec![int_entry(name, 1)], why));
    }
    let why = "invalid arg 'x-dead-letter-exchange' for {} of queue type rabbit_stream_queue".to_owned();
    rows.push((durable.clone(), vec![text_entry("x-dead-letter-exchange", "x")], why));
    for age in ["bad", "", "1", "h", "-1h", "+1h", "0s", "1Y2", "1.5h", "99999999999999999999s"] {
        let why = "invalid arg 'x-max-age' for {}: invalid_max_age".to_owned();
        rows.push((durable.clone(), vec![text_entry("x-max-age", age)], why));
    }
    let why = "invalid arg 'x-max-age' for {}: {unacceptable_type,signedint}".to_owned();
    rows.push((durable, vec![int_entry("x-max-age", 3)], why));
    for (bits, more, why) in rows {
        let mut peer = Peer091::opened(&broker);
        peer.send(declare(&bits, &more));
        let text = peer.expect_channel_closed_with(1, 406);
        assert_eq!(text, format!("PRECONDITION_FAILED - {}", why.replace("{}", "queue 's' in vhost '/'")));
    }
}

#[test]
fn consumers_that_cannot_be_are_refused() {
    let offset = |value: Vec<u8>| consume_with(1, "s", "t", &[], &[value]);
    let invalid = "invalid arg 'x-stream-offset' for queue 's' in vhost '/': {invalid_stream_offset_arg,";
    let rows = [
        ("text", (offset(text_entry("x-stream-offset", "bad")), invalid)),
        ("a negative time", (offset(text_entry("x-stream-offset", "-5m")), invalid)),
        ("a number as text", (offset(text_entry("x-stream-offset", "5")), invalid)),
        ("no time", (offset(text_entry("x-stream-offset", "0s")), invalid)),
        ("nothing", (offset(text_entry("x-stream-offset", "")), invalid)),
        ("a flag", (offset(bool_entry("x-stream-offset", true)), invalid)),
        ("void", (offset(entry("x-stream-offset", b'V', [])), invalid)),
        ("a table", (offset(table_entry("x-stream-offset", &[])), invalid)),
        (
            "a priority",
            (
                offset(int_entry("x-priority", 3)),
                "invalid arg 'x-priority' for queue 's' in vhost '/' of queue type rabbit_stream_queue",
            ),
        ),
    ];
    each_row(rows, |(method, why)| {
        let (_broker, mut peer) = with_stream(&[]);
        peer.send(method);
        let text = peer.expect_channel_closed_with(1, 406);
        assert!(text.starts_with(&format!("PRECONDITION_FAILED - {why}")), "{text}");
    });
    let (_broker, mut peer) = with_stream(&[]);
    peer.prefetch(0, false);
    peer.prefetch(5, true);
    peer.send(consume(1, "s", "t", &[]));
    let text = peer.expect_channel_closed_with(1, 406);
    assert_eq!(text, "PRECONDITION_FAILED - consumer prefetch count is not set for 'queue 's' in vhost '/''");
}

#[test]
fn what_streams_do_not_do_ends_the_connection() {
    let rows = [
        ("get", (method(1, GET).short(0).shortstr("s").bits(&[false]).bytes(), "basic.get")),
        ("no-ack", (consume(1, "s", "u", &[false, true]).bytes(), "automatic acknowledgement")),
        ("purge", (method(1, PURGE).short(0).shortstr("s").bits(&[false]).bytes(), "queue.purge")),
        ("nack", (method(1, NACK).longlong(2).bits(&[true, true]).bytes(), "basic.nack and basic.reject")),
        ("reject", (method(1, REJECT).longlong(1).bits(&[false]).bytes(), "basic.nack and basic.reject")),
    ];
    each_row(rows, |(bytes, what)| {
        let (broker, mut peer) = with_stream(&[]);
        peer.consume_with("s", "t", &[], &[text_entry("x-stream-offset", "first")]);
        peer.expect_texts(3);
        peer.send(&bytes);
        let text = peer.expect_closed_with(540);
        assert_eq!(text, format!("NOT_IMPLEMENTED - {what} not supported by stream queues queue 's' in vhost '/'"));
        assert_eq!(broker.queue_depth("s"), 3);
    });
}

#[test]
fn the_budget_counts_streams() {
    let broker = Broker::builder().storage_limit(1000).start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.send(declare(&[false, true], &[]));
    peer.expect(QUEUE_DECLARE_OK);
    peer.send(method(1, CONFIRM).bits(&[false]));
    peer.expect(CONFIRM_OK);
    peer.publish("", "s", vec![b'x'; 600]);
    peer.expect(ACK);
    peer.publish("", "s", vec![b'x'; 600]);
    peer.expect(NACK);
    assert_eq!(broker.queue_depth("s"), 1);
}

#[test]
fn receivers_of_1_0_have_a_filter() {
    let (broker, _peer) = with_stream(&[]);
    let spec = "rabbitmq:stream-offset-spec";
    let rows = [
        ("first", (Value::from("first"), vec!["a", "b", "c"])),
        ("a number", (Value::Ulong(1), vec!["b", "c"])),
        ("next", (Value::from("next"), vec![])),
    ];
    let attach = |address: &str, offset: Value| {
        let filter = Value::Map(vec![(symbol(spec), Value::Described(Box::new(symbol(spec)), Box::new(offset)))]);
        let source = composite(0x28, &[("address", address.into()), ("filter", filter)]);
        attach_receiver("r", 0, address).with("source", source)
    };
    each_row(rows, |(offset, expected)| {
        let mut receiver = Peer::opened(&broker);
        receiver.attach(attach("/queues/s", offset));
        receiver.grant(0, 0, 10);
        for text in expected {
            let transfer = receiver.expect_transfer();
            let sections = String::from_utf8_lossy(&transfer.payload).into_owned();
            assert!(sections.contains("x-stream-offset") && sections.ends_with(text), "{sections}");
        }
        receiver.expect_nothing();
    });
    for (address, offset) in [("/queues/s", "bad"), ("queue.a", "first"), ("direct", "first")] {
        let mut receiver = Peer::opened(&broker);
        receiver.send(attach(address, offset.into()));
        receiver.expect_attach();
        receiver.expect_detach_with("amqp:precondition-failed");
    }
    assert_eq!(broker.unmet_requests(), []);
}
