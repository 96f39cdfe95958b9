//! `wait`, and what becomes of the lines behind it.

use serde_json::json;

use crate::program::*;
use crate::support::*;

#[test]
fn it_waits_until_it_is_so() {
    let (mut program, addr) = Program::controlled(&[]);
    let ask = |program: &mut Program, condition| program.tell(format!("{}\n", patient(condition)));

    ask(&mut program, json!({"for": "connections", "count": 1}));
    let mut peer = Peer::opened(&addr);
    let answer = program.json();
    assert_eq!((&answer["ok"], &answer["connections"][0]["id"]), (&json!(true), &json!(1)), "{answer}");

    ask(&mut program, json!({"for": "receivers", "address": "a"}));
    peer.attach_receiver("r", 0, "a", 2);
    assert_eq!(program.json(), json!({"ok": true}));

    ask(&mut program, json!({"for": "messages", "address": "a", "count": 2}));
    peer.attach_sender("s", 1, "a");
    for text in ["one", "two"] {
        let id = peer.send_message(1, text);
        peer.expect_transfer();
        peer.expect_outcome_of(id);
    }
    let answer = program.json();
    assert_eq!(answer["ok"], json!(true), "{answer}");
    assert_eq!((&answer["messages"][0]["text"], &answer["messages"][1]["text"]), (&json!("one"), &json!("two")));

    ask(&mut program, json!({"for": "settled"}));
    ask(&mut program, json!({"for": "counts", "at_least": {"accepted": 1}, "equal": {"rejected": 1}}));
    peer.send(disposition(RECEIVER, 0, accepted()));
    peer.send(disposition(RECEIVER, 1, rejected()));
    assert_eq!(program.json(), json!({"ok": true}));
    let answer = program.json();
    assert_eq!((&answer["ok"], &answer["counts"]["accepted"]), (&json!(true), &json!(1)), "{answer}");
}

#[test]
fn what_is_so_already_is_answered_at_once() {
    let (mut program, _) = Program::controlled(&[]);
    program.obeys(json!({"cmd": "wait", "for": "connections", "count": 0, "timeout": 0}));
    program.obeys(json!({"cmd": "wait", "for": "settled", "timeout": 0}));
    program.obeys(json!({"cmd": "wait", "for": "receivers", "address": "a", "count": 0, "timeout": 0}));
    // Also behind the end of the input.
    program.tell(format!("{}\n", json!({"cmd": "wait", "for": "counts", "equal": {"direct": 0}})));
    program.input = None;
    assert_eq!(program.json()["ok"], json!(true));
    program.expect_exit(0);
}

#[test]
fn in_vain_it_says_what_happened_instead() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peer = Peer::opened(&addr);
    peer.attach_receiver("r", 0, "a", 3);
    let error = program.refuses(json!({"cmd": "wait", "for": "messages", "address": "a", "count": 2, "timeout": 0.05}));
    assert!(error.starts_with("waited 50ms in vain for 2 messages to arrive for \"a\"\n"), "{error}");
    for part in ["receiver \"r\" of connection 1 at \"a\", credit 3", "receiver_links 1", "-> ch 0 attach"] {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
    assert!(!error.contains("src/"), "{error}");
    let error = program.refuses(json!({"cmd": "wait", "for": "receivers", "address": "b", "timeout": 0}));
    assert!(error.starts_with("waited 0ns in vain for 1 link to receive from \"b\"\n"), "{error}");
    let error = program.refuses(json!({"cmd": "wait", "for": "connections", "count": 2, "timeout": 0}));
    assert!(error.starts_with("waited 0ns in vain for 2 connections to be open\n"), "{error}");
    let error = program.refuses(
        json!({"cmd": "wait", "for": "counts", "at_least": {"queued": 1}, "equal": {"dropped": 2}, "timeout": 0}),
    );
    assert!(error.starts_with("waited 0ns in vain for queued to be at least 1, dropped to be 2\n"), "{error}");
}

#[test]
fn lines_behind_it_are_answered_after_it_and_in_order() {
    let (mut program, _) = Program::controlled(&[]);
    let wait = json!({"cmd": "wait", "for": "connections", "count": 1, "timeout": 0.05});
    program.tell(format!("{wait}\n{}\n{wait}\n{}\n", json!({"cmd": "version"}), json!({"cmd": "addresses"})));
    expect_error(&program.json());
    assert_eq!(program.json()["protocol"], json!(3));
    expect_error(&program.json());
    assert_eq!(program.json(), json!({"ok": true, "addresses": []}));
}

#[test]
fn messages_are_waited_for_until_they_have_come_so_far() {
    let (mut program, addr) = Program::controlled(&[]);
    let wait = |address: &str, stage: &str| json!({"cmd": "wait", "for": "messages", "address": address, "stage": stage, "timeout": 0});
    for address in ["nobody", "queue.a"] {
        program.obeys(json!({"cmd": "inject", "address": address, "text": "m"}));
    }
    let error = program.refuses(wait("nobody", "arrived"));
    assert!(error.starts_with("waited 0ns in vain for 1 message to arrive for \"nobody\""), "{error}");
    assert_eq!(program.obeys(wait("/queues/queue.a", "arrived"))["messages"][0]["text"], json!("m"));
    assert!(program.refuses(wait("queue.a", "delivered")).contains("to be delivered from"));
    let mut receiver = Peer::receiver(&addr, "queue.a", 1);
    let delivery = receiver.expect_transfer();
    program.obeys(wait("queue.a", "delivered"));
    program.refuses(wait("queue.a", "settled"));
    receiver.settle(&delivery, accepted());
    receiver.expect_nothing();
    program.obeys(wait("queue.a", "settled"));
    assert!(program.refuses(wait("queue.a", "gone")).contains("\"arrived\""));
    receiver.close();
    program.waits_for(json!({"for": "connections", "count": 0}));
    // The log of all addresses, and what nobody got.
    assert_eq!(program.obeys(json!({"cmd": "messages"}))["messages"].as_array().unwrap().len(), 2);
    assert_eq!(program.obeys(json!({"cmd": "verify"}))["clean"], json!(true));
    let report = program.obeys(json!({"cmd": "verify", "dropped": true}));
    let why = "no receiver at \"nobody\"; nobody receives anywhere";
    let dropped = json!([{"number": 1, "address": "nobody", "sender": null, "why": why}]);
    assert_eq!((&report["clean"], &report["dropped"]), (&json!(false), &dropped));
}

#[test]
fn the_end_of_the_input_ends_it() {
    let (mut program, addr) = Program::controlled(&[]);
    let wait = json!({"cmd": "wait", "for": "connections", "count": 1, "timeout": 3600});
    program.tell(format!("{wait}\n{wait}\n{}\n", json!({"cmd": "version"})));
    program.input = None;
    for _ in 0..2 {
        let error = expect_error(&program.json());
        assert!(error.contains("input"), "{error}");
    }
    assert_eq!(program.json()["protocol"], json!(3));
    program.expect_exit(0);
    expect_refused(&addr);
}

#[test]
fn a_signal_ends_it() {
    let (mut program, _) = Program::controlled(&[]);
    program.tell(format!("{}\n", json!({"cmd": "wait", "for": "connections", "count": 1, "timeout": 3600})));
    program.signal("TERM");
    program.expect_exit(0);
}

#[test]
fn many_lines_behind_it_are_all_answered() {
    let (mut program, _) = Program::controlled(&[]);
    let mut input = program.input.take().unwrap();
    // More than are read ahead.
    let writer = std::thread::spawn(move || {
        use std::io::Write;
        let wait = json!({"cmd": "wait", "for": "connections", "count": 1, "timeout": 0.05});
        writeln!(input, "{wait}").unwrap();
        (0..5000).for_each(|_| input.write_all(b"{\"cmd\":\"version\"}\n").unwrap());
    });
    expect_error(&program.json());
    (0..5000).for_each(|_| assert_eq!(program.json()["protocol"], json!(3)));
    writer.join().unwrap();
    program.expect_exit(0);
}
