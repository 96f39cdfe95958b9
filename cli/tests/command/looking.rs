//! What can be asked: messages, who is there, what waits, the trace, and whether all was left in order.

use std::io::Read;

use serde_json::{Value as Json, json};

use crate::program::*;
use crate::support::*;
use crate::support091::{MethodBytes, Peer091, QUEUE_DECLARE, QUEUE_DECLARE_OK, int_entry, method};

#[test]
fn it_says_which_version_it_is() {
    let (mut program, _) = Program::controlled(&[]);
    assert_eq!(program.obeys(json!({"cmd": "version"})), json!({"version": env!("CARGO_PKG_VERSION"), "protocol": 3}));
}

#[test]
fn messages_are_told_with_all_that_befell_them() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peer = Peer::opened(&addr);
    peer.attach_receiver("r", 0, "news", 1);
    peer.attach_sender("s", 1, "news");
    let payload = [
        section(PROPERTIES, Value::List(vec![Value::Ulong(7), Value::Null, "there".into(), "greeting".into()])),
        section(APPLICATION_PROPERTIES, Value::Map(vec![("n".into(), Value::Int(1))])),
        message("hello"),
    ]
    .concat();
    let id = peer.send_payload(1, payload.clone());
    let delivery = peer.expect_transfer().number("delivery-id") as u32;
    peer.expect_outcome_of(id);
    peer.send(disposition(RECEIVER, delivery, rejected()));
    program.waits_for(json!({"for": "counts", "equal": {"rejected": 1}}));

    let expected = json!({
        "number": 1,
        "vhost": "/",
        "address": "news",
        "sender": {"connection": 1, "link": "s"},
        "settled": false,
        "properties": {"message_id": 7, "to": "there", "subject": "greeting"},
        "application_properties": {"n": 1},
        "text": "hello",
        "data": "aGVsbG8=",
        "state": "forwarded",
        "receivers": [{"connection": 1, "link": "r", "outcome": "rejected", "condition": "", "description": ""}],
        "outcome": "accepted",
    });
    assert_eq!(
        program.obeys(json!({"cmd": "messages", "address": "news"})),
        json!({"messages": [expected], "forgotten": 0})
    );
    let raw = program.obeys(json!({"cmd": "messages", "address": "news", "raw": true}));
    let bytes = raw["messages"][0]["raw"].as_str().unwrap();
    let decoded =
        std::process::Command::new("sh").args(["-c", "printf %s \"$0\" | base64 -d", bytes]).output().unwrap();
    assert_eq!(decoded.stdout, payload);

    assert_eq!(program.obeys(json!({"cmd": "messages", "address": "other"})), json!({"messages": [], "forgotten": 0}));
    assert_eq!(program.obeys(json!({"cmd": "take_messages", "address": "news"}))["messages"], json!([expected]));
    assert_eq!(program.obeys(json!({"cmd": "take_messages", "address": "news"}))["messages"], json!([]));
    assert_eq!(program.obeys(json!({"cmd": "messages", "address": "news"}))["messages"], json!([]));
}

#[test]
fn messages_say_why_they_were_dropped_and_what_cannot_be_read() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peer = Peer::opened(&addr);
    peer.attach_sender("s", 0, "nobody");
    let id = peer.send_payload(0, b"\x00".to_vec());
    assert_eq!(peer.expect_outcome_of(id).state(), REJECTED);
    let answer = program.obeys(json!({"cmd": "messages", "address": "nobody"}));
    let message = &answer["messages"][0];
    assert_eq!((&message["state"], &message["outcome"]), (&json!("dropped"), &json!("rejected")), "{message}");
    assert_eq!(message["condition"], json!(NOT_FOUND), "{message}");
    assert!(!message["why"].as_str().unwrap().is_empty(), "{message}");
    assert!(!message["unreadable"].as_str().unwrap().is_empty(), "{message}");
    assert!(message.get("text").is_none(), "{message}");
}

#[test]
fn what_is_injected_reaches_receivers() {
    let (mut program, addr) = Program::controlled(&[]);
    let inject = |program: &mut Program, body: Json| {
        let mut command = json!({"cmd": "inject", "address": "queue.a"});
        command.as_object_mut().unwrap().append(&mut body.as_object().unwrap().clone());
        assert_eq!(program.obeys(command), json!({"outcome": "accepted"}));
    };
    inject(
        &mut program,
        json!({
            "text": "one",
            "header": {"durable": true, "priority": 7, "ttl": 5000, "first_acquirer": true, "delivery_count": 2},
            "delivery_annotations": {"d": 1},
            "message_annotations": {"x-opt-a": "b"},
            "footer": {"f": true},
            "properties": {
                "message_id": 7, "user_id": "joe", "to": "t", "subject": "s", "reply_to": "r",
                "correlation_id": "c", "content_type": "text/plain", "content_encoding": "gzip",
                "absolute_expiry_time": 1, "creation_time": -1, "group_id": "g", "group_sequence": 3,
                "reply_to_group_id": "rg",
            },
            "application_properties": {"n": 1},
        }),
    );
    inject(&mut program, json!({"data": "aGVsbG8="}));
    inject(&mut program, json!({"data": ["aGVs", "bG8="]}));
    inject(&mut program, json!({"value": {"k": [1, null]}}));
    inject(&mut program, json!({"value": null}));
    inject(&mut program, json!({"sequence": [[1], ["x"]]}));
    inject(&mut program, json!({}));
    assert_eq!(program.obeys(json!({"cmd": "queue_depth", "address": "queue.a"})), json!({"depth": 7}));

    let mut peer = Peer::opened(&addr);
    peer.attach_receiver("r", 0, "queue.a", 7);
    let mut received = || sections(&peer.expect_transfer().payload);
    let named = |name: &str, value: Value| Value::Map(vec![(symbol(name), value)]);
    let properties = vec![
        Value::Ulong(7),
        b"joe"[..].into(),
        "t".into(),
        "s".into(),
        "r".into(),
        "c".into(),
        symbol("text/plain"),
        symbol("gzip"),
        Value::Timestamp(1),
        Value::Timestamp(-1),
        "g".into(),
        Value::Uint(3),
        "rg".into(),
    ];
    let rest = [
        (DELIVERY_ANNOTATIONS, named("d", Value::Long(1))),
        (MESSAGE_ANNOTATIONS, named("x-opt-a", "b".into())),
        (PROPERTIES, Value::List(properties)),
        (APPLICATION_PROPERTIES, Value::Map(vec![("n".into(), Value::Long(1))])),
        (AMQP_VALUE, "one".into()),
        (FOOTER, named("f", true.into())),
    ];
    let first = received();
    let (header, others) = first.split_first().unwrap();
    let Value::List(header_fields) = &header.1 else { panic!("{header:?}") };
    let expected = [Value::Bool(true), Value::Ubyte(7), Value::Uint(5000)];
    assert_eq!((header.0, &header_fields[..3]), (HEADER, &expected[..]));
    assert_eq!(others, rest);
    assert_eq!(received(), [(DATA, b"hello"[..].into())]);
    assert_eq!(received(), [(DATA, b"hel"[..].into()), (DATA, b"lo"[..].into())]);
    let items = Value::List(vec![Value::Long(1), Value::Null]);
    assert_eq!(received(), [(AMQP_VALUE, Value::Map(vec![("k".into(), items)]))]);
    assert_eq!(received(), [(AMQP_VALUE, Value::Null)]);
    let item = |item: Value| (AMQP_SEQUENCE, Value::List(vec![item]));
    assert_eq!(received(), [item(Value::Long(1)), item("x".into())]);
    assert_eq!(received(), []);
}

#[test]
fn who_injects_is_told_what_a_sender_is_told() {
    let (mut program, _) = Program::controlled(&[]);
    let answer = program.obeys(json!({"cmd": "inject", "address": "nobody", "text": "m"}));
    assert_eq!((&answer["outcome"], &answer["condition"]), (&json!("rejected"), &json!(NOT_FOUND)));
    assert!(answer["description"].as_str().unwrap().contains("nobody"), "{answer}");
    for (unroutable, expected) in [
        ("released", json!({"outcome": "released"})),
        ("modified", json!({"outcome": "modified", "delivery_failed": true, "undeliverable_here": false})),
        ("silent", json!({"outcome": null})),
    ] {
        let (mut program, _) = Program::controlled(&["--unroutable", unroutable]);
        assert_eq!(program.obeys(json!({"cmd": "inject", "address": "nobody", "text": "m"})), expected);
    }
}

#[test]
fn what_waits_can_be_purged() {
    let (mut program, addr) = Program::controlled(&[]);
    for text in ["a", "b"] {
        program.obeys(json!({"cmd": "inject", "address": "queue.a", "text": text}));
    }
    assert_eq!(program.obeys(json!({"cmd": "purge", "address": "queue.a"})), json!({"purged": 2}));
    assert_eq!(program.obeys(json!({"cmd": "purge", "address": "queue.a"})), json!({"purged": 0}));
    assert_eq!(program.obeys(json!({"cmd": "queue_depth", "address": "queue.a"})), json!({"depth": 0}));
    let mut peer = Peer::opened(&addr);
    peer.attach_receiver("r", 0, "queue.a", 1);
    peer.expect_nothing();
}

#[test]
fn who_is_there_and_what_waits_where() {
    let (mut program, addr) = Program::controlled(&["--user", "joe:secret"]);
    let (mut peer, _) = Peer::offered_mechanisms(&addr);
    peer.send(sasl_init("PLAIN", b"\0joe\0secret"));
    peer.expect_sasl_outcome(0);
    peer.send(*b"AMQP\x00\x01\x00\x00");
    peer.expect_header(*b"AMQP\x00\x01\x00\x00");
    peer.send(open().with("container-id", "mine").with("hostname", "host.a"));
    peer.expect_open();
    peer.begin(begin());
    peer.attach_sender("s", 0, "queue.a");
    peer.attach_receiver("r", 1, "queue.b", 5);
    peer.attach(
        attach("anonymous", 2, SENDER)
            .with("target", terminus(TARGET, Value::Null))
            .with("initial-delivery-count", 0_u32),
    );
    let id = peer.send_message(0, "m");
    peer.expect_outcome_of(id);

    let connection = json!({
        "id": 1, "peer": peer.local_addr().to_string(), "protocol": "AMQP 1.0", "container": "mine", "host": "host.a",
        "vhost": "/", "user": "joe",
    });
    assert_eq!(program.obeys(json!({"cmd": "connections"})), json!({"connections": [connection]}));
    let link = |name: &str, role: &str, address: Json, credit: u32| {
        json!({
            "connection": 1, "name": name, "role": role, "vhost": "/", "address": address, "credit": credit, "unsettled": 0,
            "waiting": 0,
        })
    };
    let links = program.obeys(json!({"cmd": "links"}));
    assert_eq!(links["links"][0], link("s", "sender", json!("queue.a"), 999), "{links}");
    assert_eq!(links["links"][1], link("r", "receiver", json!("queue.b"), 5), "{links}");
    assert_eq!(links["links"][2], link("anonymous", "sender", Json::Null, 1000), "{links}");
    let info = |address: &str, senders: u32, receivers: u32, waiting: u32| {
        json!({
            "vhost": "/", "address": address, "distribution": "queue", "senders": senders, "receivers": receivers,
            "waiting": waiting, "arrived": waiting,
        })
    };
    assert_eq!(
        program.obeys(json!({"cmd": "addresses"})),
        json!({"addresses": [info("queue.a", 1, 0, 1), info("queue.b", 0, 1, 0)]})
    );
}

#[test]
fn a_connection_that_is_not_open_says_little() {
    let (mut program, addr) = Program::controlled(&[]);
    let peer = Peer::connect(&addr);
    program.waits_for(json!({"for": "counts", "equal": {"connections": 1}}));
    let expected = json!({
        "id": 1, "peer": peer.local_addr().to_string(), "protocol": null, "container": null, "host": null, "vhost": null,
        "user": null,
    });
    assert_eq!(program.obeys(json!({"cmd": "connections"})), json!({"connections": [expected]}));
}

#[test]
fn the_trace_as_lines_and_as_objects() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peer = Peer::opened(&addr);
    peer.attach_sender("s", 0, "queue.a");
    let id = peer.send_message(0, "m");
    peer.expect_outcome_of(id);
    let lines = program.obeys(json!({"cmd": "trace"}));
    let lines: Vec<&str> = lines["trace"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    for wanted in ["connected from", "-> open ", "<- attach ", "-> ch 0 transfer", "message 1 at \"queue.a\" waits"] {
        let wanted = wanted.replace("-> open", "-> ch 0 open").replace("<- attach", "<- ch 0 attach");
        assert!(lines.iter().any(|line| line.contains(&wanted)), "no {wanted:?} in {lines:#?}");
    }
    let objects = program.obeys(json!({"cmd": "trace", "format": "json"}));
    let objects = objects["trace"].as_array().unwrap();
    assert_eq!(objects.len(), lines.len());
    assert_eq!((&objects[0]["event"], &objects[0]["connection"]), (&json!("connected"), &json!(1)));
    assert_eq!(objects[0]["peer"], json!(peer.local_addr().to_string()));
    let transfer = objects.iter().find(|object| object["name"] == json!("transfer")).unwrap();
    assert_eq!((&transfer["event"], &transfer["incoming"]), (&json!("frame"), &json!(true)));
    let last = program.obeys(json!({"cmd": "trace", "last": 2}));
    assert_eq!(last["trace"], json!(lines[lines.len() - 2..]));
    assert_eq!(program.obeys(json!({"cmd": "trace", "last": 0})), json!({"trace": []}));
}

#[test]
fn the_trace_as_a_capture() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peer = Peer::opened(&addr);
    peer.attach_sender("s", 0, "queue.capture");
    let file = std::env::temp_dir().join(format!("fakebroker-{}.pcap", addr.port()));
    let answer = program.obeys(json!({"cmd": "trace", "format": "pcap", "file": file}));
    let capture = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(answer, json!({"bytes": capture.len()}));
    // The magic number of a capture, in either byte order and with either resolution.
    let magic =
        [[0xa1, 0xb2, 0xc3, 0xd4], [0xd4, 0xc3, 0xb2, 0xa1], [0xa1, 0xb2, 0x3c, 0x4d], [0x4d, 0x3c, 0xb2, 0xa1]];
    assert!(magic.contains(&capture[..4].try_into().unwrap()), "{:x?}", &capture[..4]);
    assert!(capture.windows(13).any(|window| window == b"queue.capture"));
    let error = program.refuses(json!({"cmd": "trace", "format": "pcap", "file": "/nowhere/at/all.pcap"}));
    assert!(error.contains("/nowhere/at/all.pcap"), "{error}");
}

#[test]
fn verify_lists_what_is_not_in_order() {
    let (mut program, addr) = Program::controlled(&[]);
    let clean = program.obeys(json!({"cmd": "verify"}));
    assert_eq!(
        clean,
        json!({
            "clean": true, "report": "", "violations": [], "unsettled": [], "open_connections": [], "open_links": [],
            "unclosed_connections": [], "dropped": [], "unmet_requests": [],
        })
    );
    program.obeys(json!({"cmd": "inject", "address": "queue.a", "text": "m"}));
    let mut holder = Peer::opened(&addr);
    holder.attach_receiver("r", 0, "queue.a", 1);
    holder.expect_transfer();
    let mut vandal = Peer::opened(&addr);
    vandal.send(detach(7));
    vandal.expect_end_with(UNATTACHED_HANDLE);
    vandal.hang_up();
    program.waits_for(json!({"for": "counts", "equal": {"connections": 1}}));

    let report = program.obeys(json!({"cmd": "verify"}));
    assert_eq!(report["clean"], json!(false));
    assert_eq!(report["unsettled"], report["open_links"]);
    assert_eq!((&report["unsettled"][0]["name"], &report["unsettled"][0]["unsettled"]), (&json!("r"), &json!(1)));
    assert_eq!(
        (&report["open_connections"][0]["id"], &report["unclosed_connections"][0]["id"]),
        (&json!(1), &json!(2))
    );
    let violation = &report["violations"][0];
    assert_eq!((&violation["connection"], &violation["condition"]), (&json!(2), &json!(UNATTACHED_HANDLE)));
    assert!(violation["section"].as_str().unwrap().starts_with("2."), "{violation}");
    let lines: Vec<&str> = report["report"].as_str().unwrap().lines().collect();
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert!(lines[0].starts_with("protocol violation: "), "{lines:#?}");
    assert!(lines[4].starts_with("connection lost without a close: connection 2 "), "{lines:#?}");
}

#[test]
fn a_violation_of_0_9_1_is_told_in_its_words() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut vandal = Peer::connect(&addr);
    // 4.2.3: a heartbeat on a channel other than 0.
    vandal.send([b"AMQP\x00\x00\x09\x01".as_slice(), b"\x08\x00\x01\x00\x00\x00\x00\xce"].concat());
    vandal.hang_up();
    // Its start and its close; they are no frames of 1.0.
    vandal.stream().read_to_end(&mut Vec::new()).unwrap();
    let report = program.obeys(json!({"cmd": "verify"}));
    let violation = &report["violations"][0];
    assert_eq!((&violation["condition"], &violation["section"]), (&json!("503 COMMAND_INVALID"), &json!("4.2.3")));
    assert!(report["report"].as_str().unwrap().contains("(503 COMMAND_INVALID, section 4.2.3)"), "{report}");
}

/// queue.declare of `q` with x-unknown = 5, on channel 1.
fn declare_with_an_argument() -> MethodBytes {
    method(1, QUEUE_DECLARE).short(0).shortstr("q").bits(&[]).table(&[int_entry("x-unknown", 5)])
}

#[test]
fn what_is_asked_for_and_not_given_is_listed() {
    let (mut program, addr) = Program::controlled(&[]);
    assert_eq!(program.obeys(json!({"cmd": "unmet_requests"})), json!({"unmet_requests": []}));
    let mut peer = Peer091::opened(&addr);
    peer.send(declare_with_an_argument());
    peer.expect(QUEUE_DECLARE_OK);
    peer.close();
    program.waits_for(json!({"for": "connections", "count": 0}));
    let listed = program.obeys(json!({"cmd": "unmet_requests"}));
    let expected = json!({
        "connection": 1, "channel": 1, "link": null, "address": "q", "method": "queue.declare", "name": "x-unknown",
        "value": "5", "why": "no argument of this name is known", "count": 1,
    });
    assert_eq!(listed, json!({"unmet_requests": [expected]}));
    // It is listed in a clean report too, and no failure unless that is asked for.
    let report = program.obeys(json!({"cmd": "verify"}));
    assert_eq!((&report["clean"], &report["unmet_requests"]), (&json!(true), &json!([expected])));
    let report = program.obeys(json!({"cmd": "verify", "unmet_requests": true}));
    assert_eq!((&report["clean"], &report["unmet_requests"]), (&json!(false), &json!([expected])));
    assert!(report["report"].as_str().unwrap().starts_with("asked for and not given: connection 1"), "{report}");
}

#[test]
fn a_strict_broker_refuses_it() {
    let (mut program, addr) = Program::controlled(&["--strict"]);
    let mut peer = Peer091::opened(&addr);
    peer.send(declare_with_an_argument());
    peer.expect_closed_with(540);
    program.waits_for(json!({"for": "connections", "count": 0}));
    let report = program.obeys(json!({"cmd": "verify"}));
    assert_eq!((&report["clean"], &report["unmet_requests"][0]["name"]), (&json!(false), &json!("x-unknown")));
}
