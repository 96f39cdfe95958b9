//! `fakebroker send`, `receive` and `ping`: what they print, and their exit codes.

use std::io::Write;
use std::net::TcpListener;

use fakebroker::Broker;
use serde_json::{Value as Json, json};

use crate::program::*;
use crate::support::*;

/// The program as a client that ends by itself: its exit code, its output and what it has to say on standard error.
#[track_caller]
fn client(arguments: &[&str], input: &str) -> (i32, Vec<String>, Vec<String>) {
    let mut program = Program::start(arguments);
    if let Some(mut stdin) = program.input.take() {
        stdin.write_all(input.as_bytes()).unwrap();
    }
    let code = program.wait().code().expect("no signal ended it");
    (code, program.lines.iter().collect(), program.errors().to_vec())
}

/// The output of one that succeeds and has nothing to complain of.
#[track_caller]
fn output(arguments: &[&str], input: &str) -> Vec<String> {
    let (code, lines, errors) = client(arguments, input);
    assert_eq!((code, errors), (0, Vec::new()), "{arguments:?}: {lines:?}");
    lines
}

#[test]
fn a_message_there_and_back() {
    let broker = Broker::start().unwrap();
    let url = broker.url();
    assert_eq!(output(&["send", &url, "queue.a", "hello"], ""), ["sent 1: 1 accepted"]);
    assert_eq!(output(&["receive", &url, "queue.a", "--count", "1"], ""), ["hello"]);
    assert_eq!(broker.counts().accepted, 1);
}

#[test]
fn a_line_is_a_message() {
    let broker = Broker::start().unwrap();
    let url = broker.url();
    let lines = "one\n\nthree \u{e9}\nlast, without an end";
    assert_eq!(output(&["send", &url, "queue.a", "-"], lines), ["sent 4: 4 accepted"]);
    let received = output(&["receive", &url, "queue.a", "-n", "4"], "");
    assert_eq!(received, ["one", "", "three \u{e9}", "last, without an end"]);
    assert_eq!(output(&["receive", &url, "queue.a", "--timeout", "0.05"], ""), [""; 0]);
    assert_eq!(output(&["send", &url, "queue.a", "-", "--count", "2"], lines), ["sent 2: 2 accepted"]);
}

#[test]
fn as_many_as_are_asked_for_and_no_more() {
    let broker = Broker::start().unwrap();
    let url = broker.url();
    assert_eq!(output(&["send", &url, "queue.a", "-n", "1000"], ""), ["sent 1000: 1000 accepted"]);
    let first: Vec<String> = (1..=300).map(|n| n.to_string()).collect();
    assert_eq!(output(&["receive", &url, "queue.a", "-n", "300"], ""), first);
    let rest: Vec<String> = (301..=1000).map(|n| n.to_string()).collect();
    assert_eq!(output(&["receive", &url, "queue.a", "-n", "700", "--credit", "1"], ""), rest);
}

#[test]
fn all_of_a_message_as_json() {
    let broker = Broker::start().unwrap();
    let url = broker.url();
    let properties = ["--property", "colour=red", "-p", "empty=", "--subject", "s", "--reply-to", "r"];
    output(&[&["send", &url, "queue.a", "body"], &properties[..]].concat(), "");
    let lines = output(&["receive", &url, "queue.a", "-n", "1", "--format", "json"], "");
    let expected = json!({
        "text": "body",
        "properties": {"subject": "s", "reply_to": "r"},
        "application_properties": {"colour": "red", "empty": ""},
    });
    assert_eq!(lines.iter().map(|line| line.parse().unwrap()).collect::<Vec<Json>>(), [expected]);
}

#[test]
fn looking_takes_nothing_away() {
    let broker = Broker::start().unwrap();
    let url = broker.url();
    output(&["send", &url, "queue.a", "still there"], "");
    for _ in 0..2 {
        assert_eq!(output(&["receive", &url, "queue.a", "--browse", "-n", "1"], ""), ["still there"]);
    }
    assert_eq!(output(&["receive", &url, "queue.a", "-n", "1"], ""), ["still there"]);
}

#[test]
fn what_is_not_accepted_is_exit_code_1() {
    let broker = Broker::start().unwrap();
    let (code, lines, errors) = client(&["send", &broker.url(), "nowhere", "-n", "3"], "");
    assert_eq!((code, lines), (1, vec!["sent 3: 0 accepted, 3 rejected".to_owned()]));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("fakebroker: not accepted: rejected, amqp:not-found: "), "{errors:?}");
    // Whoever does not ask is not told.
    assert_eq!(output(&["send", &broker.url(), "nowhere", "--settled"], ""), ["sent 1, settled"]);
}

#[test]
fn fewer_than_were_asked_for_is_exit_code_1() {
    let broker = Broker::start().unwrap();
    let url = broker.url();
    let (code, lines, errors) = client(&["receive", &url, "queue.a", "-n", "2", "--timeout", "0.05"], "");
    assert_eq!((code, lines), (1, Vec::new()));
    assert_eq!(errors, ["fakebroker: received 0 of 2 messages, and then none in time"]);
}

#[test]
fn a_signal_ends_a_receiver_cleanly() {
    let broker = Broker::start().unwrap();
    let url = broker.url();
    output(&["send", &url, "queue.a", "before"], "");
    let mut program = Program::start(&["receive", &url, "queue.a"]);
    assert_eq!(program.line(), "before");
    program.signal("TERM");
    program.expect_exit(0);
    assert_eq!(broker.counts().accepted, 1);
}

#[test]
fn who_is_there() {
    let broker = Broker::builder().container_id("the broker").user("joe", "s@cret").start().unwrap();
    let url = format!("amqp://joe:s%40cret@{}", broker.addr());
    let lines = output(&["ping", &url, "--count", "2"], "");
    let names: Vec<&str> = lines.iter().filter_map(|line| line.split_whitespace().next()).collect();
    let expected = ["connect", "authenticate", "open", "container", "max-frame-size", "mechanisms", "capabilities"];
    assert_eq!(names, [&expected[..], &["round", "round"]].concat(), "{lines:?}");
    assert!(lines.contains(&"container      \"the broker\"".to_owned()), "{lines:?}");
    assert!(lines.contains(&"mechanisms     PLAIN".to_owned()), "{lines:?}");
}

#[test]
fn the_step_that_fails_is_named() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let broker = Broker::builder().user("joe", "secret").start().unwrap();
    let refused = format!("fakebroker: connect: 127.0.0.1 port {}: ", nobody.port());
    // It accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let long = patience().as_secs().to_string();
    let rows = [
        ("nobody there", (format!("amqp://{nobody}"), long.as_str(), refused.as_str())),
        (
            "wrong password",
            (
                format!("amqp://joe:hunter2@{}", broker.addr()),
                long.as_str(),
                "fakebroker: authenticate: refused by the peer: sasl:auth",
            ),
        ),
        (
            "silence",
            (format!("amqp://{}", silent.local_addr().unwrap()), "0.2", "fakebroker: connect: not done within 200ms"),
        ),
    ];
    each_row(rows, |(url, timeout, expected)| {
        for command in ["ping", "send", "receive"] {
            let address = (command != "ping").then_some("queue.a");
            let arguments: Vec<&str> =
                [command, &url].into_iter().chain(address).chain(["--step-timeout", timeout]).collect();
            let (code, lines, errors) = client(&arguments, "");
            assert_eq!(code, 1, "{command}");
            // A ping says how far it got.
            assert!(lines.len() <= usize::from(command == "ping"), "{command}: {lines:?}");
            assert!(errors.len() == 1 && errors[0].starts_with(expected), "{command}: {errors:?}");
            assert!(!errors[0].contains("hunter2"), "{errors:?}");
        }
    });
}

#[test]
fn wrong_usage_of_a_client_is_exit_code_2() {
    let rows: [(&str, &[&str]); 11] = [
        ("no URL", &["ping"]),
        ("no address", &["send", "amqp://localhost"]),
        ("not a URL", &["ping", "localhost"]),
        ("another scheme", &["ping", "http://localhost"]),
        ("no port", &["receive", "amqp://localhost:port", "a"]),
        ("a count that is none", &["send", "amqp://localhost", "a", "--count", "many"]),
        ("a property that is none", &["send", "amqp://localhost", "a", "--property", "colour"]),
        ("no window", &["send", "amqp://localhost", "a", "--window", "0"]),
        ("a negative time", &["receive", "amqp://localhost", "a", "--timeout", "-1"]),
        ("another format", &["receive", "amqp://localhost", "a", "--format", "xml"]),
        ("a broker's flag", &["--control", "ping", "amqp://localhost"]),
    ];
    each_row(rows, |arguments| {
        let (code, lines, errors) = client(arguments, "");
        assert_eq!((code, lines), (2, Vec::new()));
        assert!(!errors.is_empty());
    });
}
