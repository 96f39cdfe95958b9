//! `--trace`, `--trace-format`, `--message-log`, `--trace-log`.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::program::*;
use crate::support::*;

/// A file that is gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("fakebroker-{}-{name}", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What a short session leaves in the trace.
fn traced(arguments: &[&str]) -> Vec<String> {
    let (mut program, addr) = Program::listening(arguments);
    let mut peer = Peer::opened(&addr);
    peer.attach_sender("s", 0, "queue.traced");
    peer.close();
    program.signal("TERM");
    program.expect_exit(0);
    program.errors().to_vec()
}

#[test]
fn the_trace_goes_to_a_file_in_the_format_of_its_ending() {
    for (name, format) in [
        ("a.txt", None),
        ("b.log", Some("text")),
        ("c.jsonl", None),
        ("d.json", None),
        ("e.txt", Some("json")),
        ("f.pcap", None),
        ("g.json", Some("pcap")),
        ("h.pcap", Some("text")),
    ] {
        let file = Scratch::new(name);
        let mut arguments = vec!["--trace", file.path()];
        arguments.extend(format.iter().flat_map(|format| ["--trace-format", *format]));
        assert_eq!(traced(&arguments), [""; 0]);
        let bytes = std::fs::read(&file.0).unwrap();
        assert!(bytes.windows(12).any(|window| window == b"queue.traced"), "{name}");
        let lines = || std::str::from_utf8(&bytes).unwrap().lines();
        match (name, format) {
            ("a.txt" | "b.log" | "h.pcap", _) => {
                assert!(lines().any(|line| line.contains("-> ch 0 attach ")), "{name}: {bytes:?}");
                assert!(lines().last().unwrap().ends_with("disconnected"), "{name}: {bytes:?}");
            }
            ("f.pcap" | "g.json", _) => assert!(std::str::from_utf8(&bytes).is_err() || bytes.contains(&0), "{name}"),
            _ => {
                let objects: Vec<Json> = lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                assert_eq!(objects[0]["event"], json!("connected"), "{name}");
                assert_eq!(objects.last().unwrap()["event"], json!("disconnected"), "{name}");
            }
        }
    }
}

#[test]
fn the_trace_goes_to_standard_error() {
    let lines = traced(&["--trace", "-"]);
    assert!(lines.iter().any(|line| line.contains("-> ch 0 attach ")), "{lines:?}");
    let lines = traced(&["--trace", "-", "--trace-format", "json"]);
    let last: Json = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(last["event"], json!("disconnected"), "{lines:?}");
}

#[test]
fn the_trace_is_there_while_it_runs() {
    let file = Scratch::new("running.txt");
    let (mut program, addr) = Program::controlled(&["--trace", file.path()]);
    let mut peer = Peer::opened(&addr);
    peer.attach_sender("s", 0, "queue.traced");
    // Two turns of the loop later it has been flushed.
    program.waits_for(json!({"for": "counts", "equal": {"sender_links": 1}}));
    peer.round_trip();
    assert!(std::fs::read_to_string(&file.0).unwrap().contains("queue.traced"));
    assert_eq!(program.ask(r#"{"cmd":"stop"}"#), json!({"ok": true}));
    program.expect_exit(0);
    assert!(std::fs::read_to_string(&file.0).unwrap().trim_end().ends_with("disconnected"));
}

#[test]
fn a_file_that_cannot_be_written_is_one_line_and_exit_code_1() {
    let (code, lines, errors) = run(&["--listen", "127.0.0.1:0", "--trace", "/nowhere/at/all.txt"]);
    assert_eq!((code, lines, errors.len()), (1, Vec::new(), 1), "{errors:?}");
    assert!(errors[0].contains("/nowhere/at/all.txt"), "{errors:?}");
}

#[test]
fn a_capture_has_every_byte_if_it_is_told_to() {
    let large = "x".repeat(10_000);
    for (flags, is_whole) in [(&[][..], false), (&["--trace-whole-frames"], true)] {
        let (mut program, addr) = Program::controlled(flags);
        let mut peer = Peer::opened(&addr);
        peer.attach_sender("s", 0, "queue.a");
        peer.send_accepted(0, &[&large]);
        let file = Scratch::new("large.pcap");
        let answer = program.obeys(json!({"cmd": "trace", "format": "pcap", "file": file.path()}));
        assert_eq!(answer["bytes"].as_u64().unwrap() > 10_000, is_whole, "{answer}");
    }
}

#[test]
fn logs_have_the_size_they_are_told() {
    let (mut program, _) = Program::controlled(&["--message-log", "2", "--trace-log", "3"]);
    for text in ["a", "b", "c", "d", "e"] {
        program.obeys(json!({"cmd": "inject", "address": "queue.a", "text": text}));
    }
    let answer = program.obeys(json!({"cmd": "messages", "address": "queue.a"}));
    let texts: Vec<&Json> = answer["messages"].as_array().unwrap().iter().map(|message| &message["text"]).collect();
    assert_eq!((texts, &answer["forgotten"]), (vec![&json!("d"), &json!("e")], &json!(3)));
    assert_eq!(program.obeys(json!({"cmd": "trace"}))["trace"].as_array().unwrap().len(), 3);

    let (mut program, _) = Program::controlled(&["--message-log", "0", "--trace-log", "0"]);
    program.obeys(json!({"cmd": "inject", "address": "queue.a", "text": "a"}));
    assert_eq!(program.obeys(json!({"cmd": "messages", "address": "queue.a"}))["messages"], json!([]));
    assert_eq!(program.obeys(json!({"cmd": "trace"})), json!({"trace": []}));
}
