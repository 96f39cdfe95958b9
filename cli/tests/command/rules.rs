//! Rules that stand in for hooks.

use serde_json::json;

use crate::program::*;
use crate::support::*;

/// A message of a text, and what its sender is told of it.
#[track_caller]
fn outcome_of(peer: &mut Peer, handle: u32, text: &str) -> u64 {
    let id = peer.send_message(handle, text);
    peer.expect_outcome_of(id).state()
}

#[test]
fn each_verdict() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peer = Peer::opened(&addr);
    peer.attach_sender("s", 0, "queue.a");
    let rows = [
        (json!({"verdict": "forward"}), ACCEPTED, 1),
        (json!({"verdict": "drop"}), REJECTED, 0),
        (json!({"verdict": "accept"}), ACCEPTED, 0),
        (json!({"verdict": "reject"}), REJECTED, 0),
        (json!({"verdict": "release"}), RELEASED, 0),
        (json!({"verdict": "modify"}), MODIFIED, 0),
        (json!({"verdict": "delay", "seconds": 0.01}), ACCEPTED, 1),
    ];
    for (mut command, state, stored) in rows {
        command["cmd"] = json!("on_message");
        program.obeys(command.clone());
        assert_eq!(outcome_of(&mut peer, 0, "m"), state, "{command}");
        assert_eq!(
            program.obeys(json!({"cmd": "purge", "address": "queue.a"})),
            json!({"purged": stored}),
            "{command}"
        );
        program.obeys(json!({"cmd": "clear_hooks"}));
    }
    program.obeys(json!({"cmd": "on_message", "verdict": "ignore"}));
    peer.send_message(0, "m");
    peer.expect_nothing();
    let answer = program.obeys(json!({"cmd": "messages", "address": "queue.a"}));
    let last = answer["messages"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["state"], &last["outcome"]), (&json!("decided"), &json!(null)), "{last}");
}

#[test]
fn a_path_among_the_queues_is_the_queue() {
    let (mut program, addr) = Program::controlled(&[]);
    program.obeys(json!({"cmd": "on_message", "address": "/queues/or*%2Fnew", "verdict": "accept", "times": 2}));
    program.obeys(json!({"cmd": "on_message", "verdict": "drop"}));
    program.obeys(json!({"cmd": "on_attach", "address": "/queues/secret", "verdict": "refuse"}));
    for address in ["orders/new", "/queues/orders%2Fnew"] {
        Peer::sender_of(&addr, address, &["1"]).close();
    }
    let mut peer = Peer::opened(&addr);
    for address in ["secret", "/queues/secret"] {
        peer.send(attach_sender(address, 0, address));
        peer.expect_detach_with("amqp:unauthorized-access");
        peer.send(detach(0));
    }
    peer.attach_receiver("r", 1, "orders/new", 1);
    peer.expect_nothing();
    assert_eq!(program.obeys(json!({"cmd": "detach", "address": "/queues/orders%2Fnew"})), json!({"detached": 1}));
}

#[test]
fn a_rejection_has_its_reason() {
    let (mut program, addr) = Program::controlled(&[]);
    program.obeys(json!({
        "cmd": "on_message", "verdict": "reject", "condition": "my:reason", "description": "because", "times": 1,
    }));
    program.obeys(json!({"cmd": "on_message", "verdict": "reject"}));
    let mut peer = Peer::opened(&addr);
    peer.attach_sender("s", 0, "queue.a");
    for (condition, description) in [("my:reason", "because"), ("amqp:not-allowed", "")] {
        assert_eq!(outcome_of(&mut peer, 0, "m"), REJECTED);
        let answer = program.obeys(json!({"cmd": "take_messages", "address": "queue.a"}));
        let message = &answer["messages"][0];
        assert_eq!((&message["condition"], &message["description"]), (&json!(condition), &json!(description)));
    }
}

#[test]
fn what_is_modified_has_its_flags() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peer = Peer::opened(&addr);
    peer.attach_sender("s", 0, "queue.a");
    let rows = [
        (json!({}), (true, false)),
        (json!({"undeliverable_here": true}), (true, true)),
        (json!({"delivery_failed": false}), (false, false)),
        (json!({"delivery_failed": false, "undeliverable_here": true}), (false, true)),
    ];
    for (mut command, (failed, undeliverable)) in rows {
        command["cmd"] = json!("on_message");
        command["verdict"] = json!("modify");
        program.obeys(command.clone());
        assert_eq!(outcome_of(&mut peer, 0, "m"), MODIFIED, "{command}");
        let answer = program.obeys(json!({"cmd": "take_messages", "address": "queue.a"}));
        let message = &answer["messages"][0];
        assert_eq!(
            (&message["delivery_failed"], &message["undeliverable_here"]),
            (&json!(failed), &json!(undeliverable)),
            "{command}"
        );
        program.obeys(json!({"cmd": "clear_hooks"}));
    }
    // They belong to no other verdict.
    let refusal = program.refuses(json!({"cmd": "on_message", "verdict": "release", "delivery_failed": true}));
    assert!(refusal.contains("delivery_failed"), "{refusal}");
}

#[test]
fn a_rule_is_for_what_it_names() {
    let rows = [
        (json!({}), true),
        (json!({"address": "queue.a", "name": "s", "subject": "order", "body": "poison"}), true),
        (json!({"address": "queue.*", "name": "*", "subject": "*rd*", "body": "p*n"}), true),
        (json!({"address": "queue.b"}), false),
        (json!({"name": "t"}), false),
        (json!({"subject": "orders"}), false),
        (json!({"body": "poison "}), false),
        (json!({"address": "queue.a", "body": "other"}), false),
    ];
    let (mut program, addr) = Program::controlled(&[]);
    let mut peer = Peer::opened(&addr);
    peer.attach_sender("s", 0, "queue.a");
    let subject = section(PROPERTIES, Value::List(vec![Value::Null, Value::Null, Value::Null, "order".into()]));
    for (mut command, fits) in rows {
        command["cmd"] = json!("on_message");
        command["verdict"] = json!("release");
        program.obeys(command.clone());
        let id = peer.send_payload(0, [subject.clone(), message("poison")].concat());
        let expected = if fits { RELEASED } else { ACCEPTED };
        assert_eq!(peer.expect_outcome_of(id).state(), expected, "{command}");
        program.obeys(json!({"cmd": "clear_hooks"}));
    }
    // One without a subject, or whose body is no text, fits no pattern for them.
    program.obeys(json!({"cmd": "on_message", "verdict": "release", "subject": "*"}));
    program.obeys(json!({"cmd": "on_message", "verdict": "release", "body": "*"}));
    let id = peer.send_payload(0, section(AMQP_VALUE, Value::Int(1)));
    assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
}

#[test]
fn the_oldest_that_fits_decides_as_often_as_it_may() {
    let (mut program, addr) = Program::controlled(&[]);
    program.obeys(json!({"cmd": "on_message", "verdict": "release", "times": 2}));
    program.obeys(json!({"cmd": "on_message", "verdict": "modify", "body": "b"}));
    program.obeys(json!({"cmd": "on_message", "verdict": "reject", "times": 0}));
    let mut peer = Peer::opened(&addr);
    peer.attach_sender("s", 0, "queue.a");
    let states: Vec<u64> = ["b", "a", "b", "a", "b"].iter().map(|text| outcome_of(&mut peer, 0, text)).collect();
    assert_eq!(states, [RELEASED, RELEASED, MODIFIED, ACCEPTED, MODIFIED]);
    // They outlive a restart.
    program.obeys(json!({"cmd": "restart"}));
    let mut peer = Peer::opened(&addr);
    peer.attach_sender("s", 0, "queue.a");
    assert_eq!(outcome_of(&mut peer, 0, "b"), MODIFIED);
    program.obeys(json!({"cmd": "clear_hooks"}));
    assert_eq!(outcome_of(&mut peer, 0, "b"), ACCEPTED);
}

#[test]
fn links_are_refused() {
    let (mut program, addr) = Program::controlled(&[]);
    program.obeys(json!({"cmd": "on_attach", "verdict": "allow", "name": "friend"}));
    program.obeys(json!({
        "cmd": "on_attach", "verdict": "refuse", "address": "queue.*", "role": "sender", "condition": "my:reason",
        "description": "because", "times": 1,
    }));
    program.obeys(json!({"cmd": "on_attach", "verdict": "refuse", "name": "foe"}));
    let mut peer = Peer::opened(&addr);
    peer.attach_sender("friend", 0, "queue.a");
    peer.attach_receiver("other", 1, "queue.a", 1);
    peer.send(attach_sender("s", 2, "queue.a"));
    peer.expect_attach();
    peer.expect_detach_with("my:reason");
    peer.send(detach(2));
    peer.attach_sender("s", 3, "queue.a");
    peer.send(attach_receiver("foe", 4, "queue.a"));
    peer.expect_attach();
    peer.expect_detach_with("amqp:unauthorized-access");
}

#[test]
fn connections_are_refused() {
    let (mut program, addr) = Program::controlled(&[]);
    program.obeys(json!({"cmd": "on_connect", "verdict": "allow", "container": "friend"}));
    program.obeys(json!({
        "cmd": "on_connect", "verdict": "refuse", "host": "host.*", "condition": "my:reason", "description": "because",
    }));
    program.obeys(json!({"cmd": "on_connect", "verdict": "refuse", "container": "foe"}));
    program.obeys(json!({"cmd": "on_connect", "verdict": "refuse", "user": "*"}));
    let open_as = |container: &str, host: &str| {
        let mut peer = Peer::greeted(&addr);
        peer.send(open().with("container-id", container).with("hostname", host));
        peer.expect_open();
        peer
    };
    open_as("friend", "host.a").begin(begin());
    open_as("other", "host.a").expect_close_with("my:reason");
    open_as("foe", "elsewhere").expect_close_with("amqp:unauthorized-access");
    open_as("other", "elsewhere").begin(begin());
}
