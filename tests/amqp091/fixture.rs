//! The fixture with 0-9-1 clients: snapshots and steering.

use std::time::Duration;

use fakebroker::{Admission, Broker, Ending, Queues, Verdict};

use crate::support::patience;
use crate::support091::*;

#[test]
fn connections_and_links_have_names() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.consume("q", "my-tag");
    peer.expect_nothing();
    let connection = broker.connections().pop().unwrap();
    assert_eq!(connection.protocol, Some("AMQP 0-9-1"));
    assert_eq!((connection.host.as_deref(), connection.user.as_deref()), (Some("/"), Some("guest")));
    let links: Vec<(String, Option<String>)> =
        broker.links().into_iter().map(|link| (link.name, link.address)).collect();
    assert_eq!(links, [("channel 1".to_owned(), None), ("my-tag".to_owned(), Some("q".to_owned()))]);
}

#[test]
fn the_trace_says_it_in_words() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.send(publish(1, "", "q", &[true], &[0x10, 0, 2], b"hello"));
    assert!(peer.get("q", true).is_some());
    peer.close();
    let trace: Vec<String> = broker.trace().iter().map(ToString::to_string).collect();
    let expected = [
        "header AMQP 0-9-1",
        "connection.start version-major=0 version-minor=9 server-properties={capabilities: {publisher_confirms: true,",
        "connection.start-ok client-properties={capabilities: {",
        r#"mechanism="PLAIN" response=b"\x00guest\x00***""#,
        r#"ch 1 queue.declare queue="q""#,
        r#"ch 1 queue.declare-ok queue="q" message-count=0 consumer-count=0"#,
        r#"ch 1 basic.publish exchange="" routing-key="q" mandatory=true"#,
        "ch 1 header body-size=5 delivery-mode=2",
        "ch 1 body (5 bytes)",
        r#"ch 1 basic.get queue="q" no-ack=true"#,
        r#"ch 1 basic.get-ok delivery-tag=1 exchange="" routing-key="q" message-count=0"#,
        "ch 0 connection.close-ok",
    ];
    for expected in expected {
        assert!(trace.iter().any(|line| line.contains(expected)), "{expected:?} in\n{}", trace.join("\n"));
    }
    assert!(!trace.iter().any(|line| line.contains("undecodable")), "{}", trace.join("\n"));
}

#[test]
fn the_trace_of_0_8_counts_as_0_8_does() {
    let broker = Broker::start().unwrap();
    Peer091::connected(&broker, HEADER_0_8, &[]).close();
    let trace: Vec<String> = broker.trace().iter().map(ToString::to_string).collect();
    for expected in ["header AMQP 0-8", "connection.close reply-code=200", "connection.close-ok"] {
        assert!(trace.iter().any(|line| line.contains(expected)), "{expected:?} in\n{}", trace.join("\n"));
    }
}

#[test]
fn only_breaches_of_the_rules_are_reported() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    // To ask for what is not there is nobody's fault.
    peer.send(queue_declare(1, "missing", &[true]));
    peer.expect_channel_closed_with(1, 404);
    peer.open_channel(1);
    peer.send(method(1, CHANNEL_CLOSE).short(200).shortstr("").short(0).short(0));
    peer.expect(CHANNEL_CLOSE_OK);
    peer.close();
    broker.wait_for(patience(), |counts| counts.connections == 0).unwrap();
    broker.verify().unwrap();

    let mut peer = Peer091::opened(&broker);
    peer.ack(7, false);
    peer.expect_channel_closed_with(1, 406);
    peer.send(body(1, b"x"));
    peer.expect_closed_with(504);
    broker.wait_for(patience(), |counts| counts.connections == 0).unwrap();
    let report = broker.verify().unwrap_err();
    let violations: Vec<(&str, &str, &str)> = report
        .violations
        .iter()
        .map(|violation| (violation.section, violation.condition.as_str(), violation.description.as_str()))
        .collect();
    let expected = [
        ("basic.ack", "406 PRECONDITION_FAILED", "unknown delivery tag 7"),
        ("4.2.4", "504 CHANNEL_ERROR", "channel 1 is not open"),
    ];
    assert_eq!(violations, expected);
    for line in [
        ": unknown delivery tag 7 (406 PRECONDITION_FAILED, method basic.ack)",
        ": channel 1 is not open (504 CHANNEL_ERROR, section 4.2.4)",
    ] {
        assert!(report.to_string().contains(line), "{line:?} in {report}");
    }
    let noted = "protocol violation: unknown delivery tag 7 (method basic.ack)";
    assert!(broker.trace().iter().any(|event| event.to_string().ends_with(noted)), "the trace has it");
}

#[test]
fn a_hook_decides_what_becomes_of_a_message() {
    const HOUR: Duration = Duration::from_secs(3600);
    let broker = Broker::builder().manual_clock().start().unwrap();
    broker.on_message(|seen| match seen.as_text() {
        Some("drop") => Verdict::Drop,
        Some("late") => Verdict::Delay(HOUR),
        Some("reject") => Verdict::reject("amqp:not-allowed", "a hook said so"),
        _ => Verdict::Forward,
    });
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.send(method(1, CONFIRM).bits(&[false]));
    peer.expect(CONFIRM_OK);
    peer.publish("", "q", "late");
    peer.publish("", "q", "now");
    let mut ack = peer.expect(ACK);
    assert_eq!((ack.longlong(), ack.octet()), (2, 0));
    broker.advance(HOUR);
    assert_eq!(peer.expect(ACK).longlong(), 1);
    peer.send(publish(1, "", "q", &[true], &NO_PROPERTIES, b"drop"));
    assert_eq!(peer.expect_return().text(), "drop");
    assert_eq!(peer.expect(ACK).longlong(), 3);
    peer.publish("", "q", "reject");
    assert_eq!(peer.expect(NACK).longlong(), 4);
    assert_eq!(peer.get("q", true).unwrap().text(), "now");
    assert_eq!(peer.get("q", true).unwrap().text(), "late");
    assert_eq!(peer.get("q", true), None);
}

#[test]
fn a_hook_keeps_consumers_and_connections_out() {
    let broker = Broker::start().unwrap();
    broker.on_attach(|link| match link.name.as_str() {
        "unwanted" => Admission::refuse("amqp:unauthorized-access", "not you"),
        _ => Admission::Allow,
    });
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.send(consume(1, "q", "unwanted", &[]));
    let mut close = peer.expect_on(1, CHANNEL_CLOSE);
    assert_eq!(close.short(), 403);
    assert!(close.shortstr().ends_with("not you"));
    peer.send(method(1, CHANNEL_CLOSE_OK));
    peer.open_channel(1);
    peer.consume("q", "wanted");
    broker.on_connect(|_| Admission::refuse("amqp:connection:forced", "closed today"));
    let mut other = Peer091::greeted(&broker, HEADER_0_9_1);
    other.send(start_ok("PLAIN", "\0guest\0guest", &[]));
    other.expect(TUNE);
    other.send(tune_ok(0, 0, 0));
    other.send(connection_open("/"));
    assert_eq!(other.expect(CLOSE).short(), 320, "in place of open-ok");
}

#[test]
fn links_are_ended_as_0_9_1_can_say_it() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.consume("q", "c");
    peer.expect_nothing();
    for link in broker.links().into_iter().rev() {
        broker.detach(&link, "amqp:not-found", "not any more");
    }
    assert_eq!(peer.expect(CANCEL).shortstr(), "c");
    let mut close = peer.expect(CHANNEL_CLOSE);
    assert_eq!(close.short(), 404);
    assert!(close.shortstr().ends_with("not any more"));
}

#[test]
fn what_was_declared_survives_a_restart_if_it_is_told_to() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.declare_as("mine", &[false, false, true]);
    peer.declare_exchange("e", "fanout");
    peer.bind("q", "e", "");
    peer.publish("e", "", "kept");
    peer.expect_nothing();
    broker.restart(Ending::Crash, Queues::Keep).unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.publish("e", "", "after");
    assert_eq!(peer.declare("q"), (2, 0));
    assert_eq!(peer.get("q", true).unwrap().text(), "kept");
    peer.send(queue_declare(1, "mine", &[true]));
    peer.expect_channel_closed_with(1, 404);
    broker.restart(Ending::Crash, Queues::Drop).unwrap();
    let mut peer = Peer091::opened(&broker);
    for missing in [queue_declare(1, "q", &[true]), exchange_declare(1, "e", "", &[true])] {
        peer.send(missing);
        peer.expect_channel_closed_with(1, 404);
        peer.open_channel(1);
    }
    peer.send(exchange_declare(1, "amq.topic", "", &[true]));
    peer.expect(EXCHANGE_DECLARE_OK);
}
