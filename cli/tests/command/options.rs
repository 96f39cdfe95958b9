//! The options that make the broker what it is: every one of `Builder` is one of the command, and does what it says.

use std::collections::BTreeSet;

use serde_json::json;

use crate::program::*;
use crate::support::*;

/// What the options of `Builder` are called, where it is not `--` and the method's name.
const OTHER_NAMES: [(&str, &str); 1] = [("trace-to", "trace")];

/// Those of the command that `Builder` does not have.
const OF_THE_COMMAND: [&str; 7] = ["control", "definitions", "help", "hold", "trace-format", "verbose", "version"];

/// The names of the methods that change a `Builder`, as flags.
fn options_of_the_builder() -> BTreeSet<String> {
    let files = [include_str!("../../../src/broker/builder.rs"), include_str!("../../../src/broker/topology.rs")];
    let source = files.concat();
    let methods = source.lines().filter_map(|line| line.trim_start().strip_prefix("pub fn ")?.split_once("(mut self"));
    let flags = methods.map(|(name, _)| name.replace('_', "-"));
    flags
        .map(|flag| {
            let other = OTHER_NAMES.iter().find(|(method, _)| *method == flag);
            other.map_or(flag, |(_, name)| (*name).into())
        })
        .collect()
}

#[test]
fn every_option_of_the_builder_is_one_of_the_command() {
    let (_, lines, _) = run(&["--help"]);
    let word = |line: &String| {
        let (_, flag) =
            line.split_once("--").filter(|(before, _)| matches!(before.trim(), "" | "-h," | "-v," | "-V,"))?;
        Some(flag.split(|c: char| !c.is_ascii_lowercase() && c != '-').next()?.to_owned())
    };
    let flags: BTreeSet<String> = lines.iter().filter_map(word).collect();
    let mut expected = options_of_the_builder();
    assert!(expected.len() > 20, "{expected:?}");
    expected.extend(OF_THE_COMMAND.map(String::from));
    assert_eq!(flags, expected);
}

#[test]
fn addresses_are_distributed_as_it_is_told() {
    let (_program, addr) = Program::listening(&[
        "--default-distribution",
        "queue",
        "--distribution",
        "one=direct",
        "--distribution",
        "a=b=multicast",
        "--multicast-prefix",
        "all",
        "--separator",
        "/",
        "--unroutable",
        "released",
    ]);
    let mut peer = Peer::opened(&addr);
    for (handle, (address, state)) in
        [("stored", ACCEPTED), ("one", RELEASED), ("a=b", RELEASED), ("all/x", RELEASED), ("all.x", ACCEPTED)]
            .into_iter()
            .enumerate()
    {
        peer.attach_sender(address, handle as u32, address);
        let id = peer.send_message(handle as u32, "m");
        assert_eq!(peer.expect_outcome_of(id).state(), state, "{address}");
    }
}

#[test]
fn its_limits_are_as_it_is_told() {
    let (_program, addr) = Program::listening(&[
        "--max-frame-size",
        "4096",
        "--channel-max",
        "7",
        "--handle-max",
        "9",
        "--max-links",
        "1",
        "--idle-timeout",
        "60",
        "--container-id",
        "mine",
        "--credit-window",
        "12",
        "--max-message-size",
        "5000",
    ]);
    let mut peer = Peer::greeted(&addr);
    peer.send(open());
    let open = peer.expect_open();
    assert_eq!(open.text("container-id"), "mine");
    assert_eq!((open.number("max-frame-size"), open.number("channel-max")), (4096, 7));
    // 2.4.5: half of it may be announced.
    assert!((30_000..=60_000).contains(&open.number("idle-time-out")), "{open:?}");
    assert_eq!(peer.begin(begin()).number("handle-max"), 9);
    assert_eq!(peer.attach(attach_sender("s", 0, "queue.a")).number("max-message-size"), 5000);
    assert_eq!(peer.expect_credit(), 12);
    peer.send(attach_sender("one.more", 1, "queue.a"));
    peer.expect_error_with(RESOURCE_LIMIT_EXCEEDED);
}

#[test]
fn settlement_can_wait_for_the_receiver() {
    let (_program, addr) = Program::listening(&["--settlement", "end-to-end"]);
    let mut receiver = Peer::opened(&addr);
    receiver.attach_receiver("r", 0, "a", 1);
    let mut sender = Peer::opened(&addr);
    sender.attach_sender("s", 0, "a");
    let id = sender.send_message(0, "m");
    let delivery = receiver.expect_transfer().number("delivery-id") as u32;
    sender.expect_nothing();
    receiver.send(disposition(RECEIVER, delivery, rejected()));
    assert_eq!(sender.expect_outcome_of(id).state(), REJECTED);
}

#[test]
fn messages_can_be_routed_by_to() {
    let (_program, addr) = Program::listening(&["--route-by-to"]);
    let mut peer = Peer::opened(&addr);
    peer.attach_receiver("r", 0, "there", 1);
    peer.attach_sender("s", 1, "here");
    peer.send_payload(1, message_to("there", "m"));
    assert_eq!(text(&peer.expect_transfer().payload), "m");
}

#[test]
fn deliveries_can_be_unsettled_always() {
    let (_program, addr) = Program::listening(&["--deliver-unsettled"]);
    let mut peer = Peer::opened(&addr);
    peer.attach_receiver("r", 0, "a", 1);
    peer.attach_sender("s", 1, "a");
    peer.send(transfer(1, 0).with("settled", true).with_payload(message("m")));
    assert!(!peer.expect_transfer().flag("settled"));
}

#[test]
fn its_open_has_the_properties_it_is_told() {
    let (_program, addr) =
        Program::listening(&["--open-property", "product=rabbit", "--open-property", "version=4=beta"]);
    let mut peer = Peer::greeted(&addr);
    peer.send(open());
    let properties = peer.expect_open().get("properties");
    let expected = [("product", "rabbit"), ("version", "4=beta")];
    let expected = expected.map(|(key, value)| (symbol(key), Value::from(value)));
    assert_eq!(properties, Value::Map(expected.into()));
}

#[test]
fn addresses_that_it_makes_begin_as_it_is_told() {
    let (_program, addr) = Program::listening(&["--generated-prefix", "mine"]);
    let mut peer = Peer::opened(&addr);
    let attach = peer.attach(attach("r", 0, RECEIVER).with("source", dynamic(SOURCE)));
    let address = attach.address("source").unwrap();
    assert!(address.starts_with("mine"), "{address}");
}

#[test]
fn what_waits_is_bounded_as_it_is_told() {
    let (_program, addr) = Program::listening(&["--storage-limit", "10000", "--credit-window", "4"]);
    let mut sender = Peer::opened(&addr);
    sender.attach_sender("s", 0, "queue.a");
    let id = sender.send_message(0, &"x".repeat(20_000));
    assert_eq!(sender.expect_outcome_of(id).condition(), RESOURCE_LIMIT_EXCEEDED);

    let (_program, addr) = Program::listening(&["--backlog-limit", "1", "--credit-window", "4"]);
    let mut receiver = Peer::opened(&addr);
    receiver.attach_receiver("without credit", 0, "a", 0);
    let mut sender = Peer::opened(&addr);
    sender.attach_sender("s", 0, "a");
    for id in 0..4 {
        sender.send(transfer(0, id).with("settled", true).with_payload(message("m")));
    }
    // By default more than the half of its credit being used would bring more.
    let more = sender.round_trip().into_iter().find(|frame| frame.code() == FLOW && frame.get("handle") != Value::Null);
    assert!(more.is_none_or(|flow| flow.number("link-credit") == 0), "it has credit again");
}

#[test]
fn a_client_that_says_nothing_is_dropped_in_the_time_it_is_told() {
    let (mut program, addr) = Program::controlled(&["--manual-clock", "--handshake-timeout", "2"]);
    let mut silent = Peer::connect(&addr);
    // Less than the default.
    program.obeys(json!({"cmd": "advance", "seconds": 2}));
    silent.expect_eof();
}

#[test]
fn a_client_that_does_not_answer_a_close_is_dropped_in_the_time_it_is_told() {
    let (mut patient, addr) = Program::listening(&["--linger", "1000"]);
    let mut mute = Peer::opened(&addr);
    patient.signal("TERM");
    mute.expect_close_with(CONNECTION_FORCED);

    let (mut hasty, addr) = Program::listening(&["--linger", "0.05"]);
    let mut mute_too = Peer::opened(&addr);
    hasty.signal("TERM");
    mute_too.expect_close_with(CONNECTION_FORCED);
    hasty.expect_exit(0);
    assert!(patient.is_running());
}
