//! Virtual hosts: a member of the commands that take an address, and an option of the command.

use serde_json::json;

use crate::program::*;
use crate::support::*;

#[test]
fn a_member_names_one() {
    let (mut program, addr) = Program::controlled(&["--vhost", "made"]);
    let url = program.obeys(json!({"cmd": "vhost", "vhost": "test 17"}));
    assert_eq!(url, json!({"url": format!("amqp://{addr}/test%2017")}));
    assert_eq!(program.obeys(json!({"cmd": "vhosts"})), json!({"vhosts": ["/", "made", "test 17"]}));
    program.obeys(json!({"cmd": "inject", "vhost": "made", "address": "queue.a", "text": "hello"}));
    let depth = |program: &mut Program, vhost: &str| {
        program.obeys(json!({"cmd": "queue_depth", "vhost": vhost, "address": "queue.a"}))["depth"].clone()
    };
    assert_eq!(["/", "made", "test 17"].map(|name| depth(&mut program, name)), [json!(0), json!(1), json!(0)]);
    assert_eq!(program.obeys(json!({"cmd": "queue_depth", "address": "queue.a"})), json!({"depth": 0}));
    let there = program.waits_for(json!({"for": "messages", "vhost": "made", "address": "queue.a"}));
    assert_eq!(there["messages"][0]["vhost"], "made");
    let count = |program: &mut Program, command| program.obeys(command)["messages"].as_array().unwrap().len();
    assert_eq!(count(&mut program, json!({"cmd": "messages"})), 1);
    assert_eq!(count(&mut program, json!({"cmd": "messages", "vhost": "/"})), 0);
    assert_eq!(count(&mut program, json!({"cmd": "messages", "vhost": "made"})), 1);
    let addresses = program.obeys(json!({"cmd": "addresses", "vhost": "made"}));
    assert_eq!(addresses["addresses"][0]["vhost"], "made");
    program.obeys(json!({"cmd": "declare_queue", "vhost": "made", "name": "q"}));
    let mut queues = |vhost: &str| {
        let queues = program.obeys(json!({"cmd": "queues", "vhost": vhost}));
        queues["queues"].as_array().unwrap().len()
    };
    assert_eq!((queues("made"), queues("/")), (2, 0));
    // Where it would mean nothing it is not taken.
    assert!(program.refuses(json!({"cmd": "pause", "vhost": "made"})).contains("\"vhost\" is not known here"));
    assert!(program.refuses(json!({"cmd": "purge", "vhost": 1, "address": "a"})).contains("\"vhost\": a string"));
}

#[test]
fn a_rule_is_for_one() {
    let (mut program, addr) = Program::controlled(&["--vhost", "a", "--vhost", "b"]);
    program.obeys(json!({"cmd": "on_connect", "vhost": "a", "verdict": "refuse", "condition": "my:reason"}));
    program.obeys(json!({"cmd": "on_attach", "vhost": "b", "verdict": "refuse", "condition": "my:other"}));
    let mut refused = Peer::greeted(&addr);
    refused.send(open().with("hostname", "vhost:a"));
    refused.expect_open();
    refused.expect_close_with("my:reason");
    let mut peer = Peer::opened_with(&addr, open().with("hostname", "vhost:b"), begin());
    peer.send(attach_sender("s", 0, "queue.a"));
    peer.expect_attach();
    peer.expect_detach_with("my:other");
    Peer::opened(&addr).attach_sender("s", 0, "queue.a");
}
