//! `--control`: JSON lines on standard input, one line back for each.

use serde_json::{Value as Json, json};

use crate::program::*;
use crate::support::*;

#[test]
fn counts() {
    let (mut program, addr) = Program::controlled(&[]);
    let zeros = program.ask(r#"{"cmd":"counts"}"#);
    let names = [
        "direct",
        "topic",
        "fanout",
        "fanout_sent",
        "queued",
        "dropped",
        "decided",
        "accepted",
        "released",
        "modified",
        "rejected",
        "connections",
        "sender_links",
        "receiver_links",
    ];
    let expected: serde_json::Map<String, Json> = names.iter().map(|name| ((*name).to_owned(), json!(0))).collect();
    assert_eq!(zeros, json!({"ok": true, "counts": expected}));

    let mut peer = Peer::opened(&addr);
    peer.attach_sender("s", 0, "nobody");
    let id = peer.send_message(0, "m");
    assert_eq!(peer.expect_outcome_of(id).state(), REJECTED);
    let counts = program.ask(r#"{"cmd":"counts"}"#);
    assert_eq!((&counts["counts"]["dropped"], &counts["counts"]["connections"]), (&json!(1), &json!(1)), "{counts}");
    // Space means nothing.
    let again = program.ask(b"  { \"cmd\" : \"counts\" }\r");
    assert_eq!(again["ok"], json!(true), "{again}");
}

#[test]
fn answers_each_line_with_one() {
    let (mut program, addr) = Program::controlled(&[]);
    assert!(expect_error(&program.ask(r#"{"cmd":"dance"}"#)).contains("dance"));
    for line in ["", "counts", "{", "[]", "null", "7", "{}", r#"{"cmd":7}"#, r#"{"cmd":null}"#, r#"{"CMD":"counts"}"#] {
        expect_error(&program.ask(line));
    }
    expect_error(&program.ask(format!(r#"{{"cmd":"{}"}}"#, "x".repeat(100_000))));
    expect_error(&program.ask("[".repeat(100_000)));
    expect_error(&program.ask(r#"{"cmd":"start"}"#));
    // Two lines at once get their answers in order; half a line gets none until the other half comes.
    program.tell("{\"cmd\":\"counts\"}\n{\"cmd\":\"dance\"}\n{\"cmd\":");
    assert_eq!(program.json()["ok"], json!(true));
    expect_error(&program.json());
    program.tell("\"counts\"}\n");
    assert_eq!(program.json()["ok"], json!(true));
    expect_works(addr);
}

#[test]
fn answers_a_line_that_is_not_utf_8() {
    let (mut program, addr) = Program::controlled(&[]);
    expect_error(&program.ask(b"{\"cmd\":\"\xff\"}"));
    assert_eq!(program.ask(r#"{"cmd":"counts"}"#)["ok"], json!(true));
    expect_works(addr);
}

#[test]
fn a_crash_without_hold_ends_the_program_at_once() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peer = Peer::opened(&addr);
    assert_eq!(program.ask(r#"{"cmd":"crash","hold":false}"#), json!({"ok": true}));
    peer.expect_eof();
    program.expect_exit(0);
    program.expect_no_more_output();
    expect_refused(&addr);
}

#[test]
fn stop_closes_connections_and_ends_the_program() {
    for command in [r#"{"cmd":"stop"}"#, r#"{"cmd":"stop","hold":false}"#, r#"{"cmd":"stop_clean"}"#] {
        let (mut program, addr) = Program::controlled(&[]);
        let mut peer = Peer::opened(&addr);
        assert_eq!(program.ask(command), json!({"ok": true}));
        peer.expect_close_with(CONNECTION_FORCED);
        peer.send(close());
        peer.expect_eof();
        program.expect_exit(0);
        program.expect_no_more_output();
        expect_refused(&addr);
    }
}

#[test]
fn ends_with_its_input() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peer = Peer::opened(&addr);
    program.input = None;
    peer.expect_eof();
    program.expect_exit(0);
    expect_refused(&addr);
}

#[test]
fn heeds_signals() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peer = Peer::opened(&addr);
    program.signal("TERM");
    peer.expect_close_with(CONNECTION_FORCED);
    peer.send(close());
    peer.expect_eof();
    program.expect_exit(0);
}

#[test]
fn held_it_refuses_connections_until_it_is_started() {
    let mut program = Program::start(&["--control", "--hold"]);
    let event = program.json();
    let addr = addr_of(&event);
    assert_eq!(event, json!({"event": "bound", "url": format!("amqp://{addr}")}));
    assert_ne!(addr.port(), 0);
    expect_refused(&addr);
    assert_eq!(program.ask(r#"{"cmd":"counts"}"#)["ok"], json!(true));
    expect_error(&program.ask(r#"{"cmd":"dance"}"#));
    expect_error(&program.ask("start"));
    expect_refused(&addr);
    assert_eq!(program.ask(r#"{"cmd":"start"}"#), json!({"ok": true, "url": format!("amqp://{addr}")}));
    expect_works(addr);
    expect_error(&program.ask(r#"{"cmd":"start"}"#));
    assert_eq!(program.ask(r#"{"cmd":"stop"}"#), json!({"ok": true}));
    program.expect_exit(0);
}

#[test]
fn held_it_can_be_stopped() {
    for command in [r#"{"cmd":"stop"}"#, r#"{"cmd":"stop_clean"}"#, r#"{"cmd":"crash","hold":false}"#] {
        let mut program = Program::start(&["--control", "--hold"]);
        program.json();
        assert_eq!(program.ask(command), json!({"ok": true}));
        program.expect_exit(0);
    }
    let mut program = Program::start(&["--control", "--hold"]);
    program.json();
    program.input = None;
    program.expect_exit(0);
}

#[test]
fn held_it_heeds_signals() {
    for name in ["INT", "TERM"] {
        let mut program = Program::start(&["--control", "--hold"]);
        program.json();
        program.signal(name);
        program.expect_exit(0);
    }
}

#[test]
fn a_held_address_is_nobody_elses() {
    let program = Program::start(&["--control", "--hold"]);
    let address = addr_of(&program.json()).to_string();
    let (code, lines, errors) = run(&["--listen", &address]);
    assert_eq!((code, lines, errors.len()), (1, Vec::new(), 1), "{errors:?}");
    assert!(errors[0].contains(&address), "{errors:?}");
}
