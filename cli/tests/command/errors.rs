//! What is wrong with a command is said with the names of what is wrong, and nothing is done.

use serde_json::{Value as Json, json};

use crate::program::*;

/// Each command with what makes it complete.
fn complete() -> Vec<Json> {
    let named = |cmd: &str| json!({"cmd": cmd});
    let at = |cmd: &str| json!({"cmd": cmd, "address": "a"});
    let mut commands: Vec<Json> = [
        "version",
        "counts",
        "connections",
        "links",
        "addresses",
        "queues",
        "exchanges",
        "bindings",
        "policies",
        "vhosts",
        "unmet_requests",
        "trace",
        "verify",
        "pause",
        "resume",
        "disconnect",
        "close",
        "detach",
        "refuse_connections",
        "block",
        "unblock",
        "restart",
        "start",
        "stop",
        "crash",
        "clear_hooks",
    ]
    .map(named)
    .into();
    commands.push(named("messages"));
    commands.push(json!({"cmd": "vhost", "vhost": "a"}));
    commands.extend(["take_messages", "inject", "purge", "queue_depth", "withhold", "restore"].map(at));
    commands.push(json!({"cmd": "grant", "address": "a", "messages": 1}));
    commands.extend(
        ["declare_queue", "delete_queue", "delete_exchange", "clear_policy"]
            .map(|cmd| json!({"cmd": cmd, "name": "a"})),
    );
    commands.push(json!({"cmd": "import_definitions", "file": "a"}));
    commands.push(json!({"cmd": "set_policy", "name": "a", "pattern": "b", "definition": {"expires": 1}}));
    commands.push(json!({"cmd": "declare_exchange", "name": "a", "type": "fanout"}));
    commands.extend(["bind", "unbind"].map(|cmd| json!({"cmd": cmd, "exchange": "a", "queue": "b"})));
    commands.push(json!({"cmd": "advance", "seconds": 1}));
    commands.push(json!({"cmd": "wait", "for": "settled"}));
    commands.push(json!({"cmd": "published", "exchange": "a"}));
    commands.push(json!({"cmd": "on_message", "verdict": "drop"}));
    commands.push(json!({"cmd": "on_attach", "verdict": "allow"}));
    commands.push(json!({"cmd": "on_connect", "verdict": "allow"}));
    commands
}

#[test]
fn members_that_are_not_known() {
    let (mut program, addr) = Program::controlled(&[]);
    let old = [
        json!({"cmd": "shutdown"}),
        json!({"cmd": "crash", "hold": false}),
        json!({"cmd": "routes"}),
        json!({"cmd": "stop", "hold": true}),
        json!({"cmd": "stop_clean"}),
    ];
    for mut command in complete().into_iter().chain(old) {
        command["adress"] = json!(1);
        assert_eq!(program.refuses(command.clone()), "\"adress\" is not known here", "{command}");
    }
    expect_works(addr);
}

#[test]
fn members_that_are_missing() {
    let (mut program, _) = Program::controlled(&[]);
    let mut missing = 0;
    for command in complete() {
        for name in command.as_object().unwrap().keys().filter(|name| *name != "cmd") {
            let mut command = command.clone();
            for absent in [None, Some(Json::Null)] {
                command.as_object_mut().unwrap().remove(name);
                absent.into_iter().for_each(|null| command[name] = null);
                let error = program.refuses(command.clone());
                assert!(error.starts_with(&format!("\"{name}\" is missing: ")), "{command}: {error}");
                missing += 1;
            }
        }
    }
    assert_eq!(missing, 2 * 29);
}

#[test]
fn members_of_a_wrong_kind() {
    let (mut program, addr) = Program::controlled(&[]);
    let long = "x".repeat(1000);
    let rows: Vec<(Json, &str)> = vec![
        (json!({"cmd": "purge", "address": 7}), r#""address": a string is expected, not 7"#),
        (json!({"cmd": "grant", "address": "a", "messages": -1}), r#""messages": a whole number from 0 to 4294967295"#),
        (json!({"cmd": "grant", "address": "a", "messages": 1.5}), "not 1.5"),
        (json!({"cmd": "grant", "address": "a", "messages": 4_294_967_296_u64}), "not 4294967296"),
        (json!({"cmd": "disconnect", "connection": "1"}), r#""connection": a whole number"#),
        (json!({"cmd": "messages", "address": "a", "typed": 1}), r#""typed": true or false is expected, not 1"#),
        (json!({"cmd": "restart", "ending": "bang"}), r#""ending": "crash" or "clean" is expected, not "bang""#),
        (json!({"cmd": "restart", "queues": 1}), r#""queues": "keep" or "drop""#),
        (json!({"cmd": "refuse_connections", "refuse": "yes"}), r#""refuse": true or false"#),
        (json!({"cmd": "wait", "for": "godot"}), r#""for": "counts" or "receivers""#),
        (json!({"cmd": "wait", "for": "settled", "timeout": "1"}), r#""timeout": seconds, at most 3600"#),
        (json!({"cmd": "wait", "for": "settled", "timeout": -1}), r#""timeout""#),
        (json!({"cmd": "wait", "for": "settled", "timeout": 3601}), r#""timeout""#),
        (json!({"cmd": "wait", "for": "settled", "timeout": 1e300}), r#""timeout""#),
        (json!({"cmd": "wait", "for": "settled", "address": "a"}), r#""address" is not known here"#),
        (json!({"cmd": "wait", "for": "counts"}), r#""at_least" or "equal" is missing"#),
        (json!({"cmd": "wait", "for": "counts", "equal": {"queed": 1}}), r#""equal.queed" is not known here"#),
        (json!({"cmd": "wait", "for": "counts", "equal": {"queued": "1"}}), r#""equal.queued": a whole number"#),
        (json!({"cmd": "wait", "for": "counts", "equal": [1]}), r#""equal": an object is expected, not [1]"#),
        (json!({"cmd": "wait", "for": "connections"}), r#""count" is missing"#),
        (json!({"cmd": "trace", "format": "pcap"}), r#""file" is missing"#),
        (json!({"cmd": "trace", "format": "text", "file": "x"}), r#""file" is not known here"#),
        (json!({"cmd": "detach", "role": "both"}), r#""role": "sender" or "receiver""#),
        (json!({"cmd": "close", "condition": "ü"}), r#""condition""#),
        (json!({"cmd": "on_message", "verdict": "allow"}), r#""verdict""#),
        (json!({"cmd": "on_message", "verdict": "delay"}), r#""seconds" is missing"#),
        (json!({"cmd": "on_message", "verdict": "drop", "condition": "c"}), r#""condition" is not known here"#),
        (json!({"cmd": "on_message", "verdict": "drop", "times": "1"}), r#""times""#),
        (json!({"cmd": "on_message", "verdict": "drop", "body": 1}), r#""body": a string"#),
        (json!({"cmd": "on_attach", "verdict": "drop"}), r#""verdict": "allow" or "refuse""#),
        (
            json!({"cmd": "inject", "address": "queue.a", "header": {"priority": 256}}),
            r#""header.priority": a whole number from 0 to 255"#,
        ),
        (json!({"cmd": "inject", "address": "queue.a", "header": {"prio": 1}}), r#""header.prio" is not known here"#),
        (
            json!({"cmd": "inject", "address": "queue.a", "properties": {"subject": 1}}),
            r#""properties.subject": a string"#,
        ),
        (
            json!({"cmd": "inject", "address": "queue.a", "properties": {"message_id": -1}}),
            r#""properties.message_id""#,
        ),
        (
            json!({"cmd": "inject", "address": "queue.a", "properties": {"message_id": true}}),
            r#""properties.message_id""#,
        ),
        (
            json!({"cmd": "inject", "address": "queue.a", "properties": {"content_type": "ü"}}),
            r#""properties.content_type""#,
        ),
        (
            json!({"cmd": "inject", "address": "queue.a", "application_properties": {"k": {"@x": 1}}}),
            r#""application_properties.k": there is no type @x"#,
        ),
        (
            json!({"cmd": "inject", "address": "queue.a", "application_properties": []}),
            r#""application_properties": an object"#,
        ),
        (json!({"cmd": "inject", "address": "queue.a", "message_annotations": {"ü": 1}}), r#""message_annotations""#),
        (json!({"cmd": "inject", "address": "queue.a", "text": "a", "value": null}), "several bodies"),
        (json!({"cmd": "inject", "address": "queue.a", "data": "a"}), r#""data": base64 with its padding is expected"#),
        (json!({"cmd": "inject", "address": "queue.a", "data": [1]}), r#""data": base64"#),
        (json!({"cmd": "inject", "address": "queue.a", "sequence": [1]}), r#""sequence": an array is expected, not 1"#),
        (json!({"cmd": "inject", "address": "queue.a", "text": [long]}), "xxx…"),
    ];
    for (command, part) in rows {
        let error = program.refuses(command.clone());
        assert!(error.contains(part), "to {command}: {error}");
    }
    // Nothing of it has been done.
    assert_eq!(program.obeys(json!({"cmd": "addresses"})), json!({"addresses": []}));
    assert_eq!(program.obeys(json!({"cmd": "routes"})), json!({"routes": []}), "its name in version 2");
    expect_works(addr);
}

#[test]
fn commands_that_are_not_known() {
    let (mut program, _) = Program::controlled(&[]);
    assert_eq!(program.refuses(json!({"cmd": "dance"})), "unknown command \"dance\"");
    assert_eq!(program.refuses(json!({"cmd": "dance", "address": 7})), "unknown command \"dance\"");
}

/// Commands that stand in `docs/control.md`: in code of their own, and by name in its table.
#[test]
fn the_documentation_knows_the_commands() {
    let text = include_str!("../../../docs/control.md");
    let (mut program, _) = Program::controlled(&[]);
    let examples: Vec<&str> = text.lines().filter(|line| line.starts_with("{\"cmd\"")).collect();
    assert_eq!(examples.len(), 2, "{examples:?}");
    for example in examples {
        assert_eq!(program.ask(example)["ok"], json!(true), "{example}");
    }
    let table = text.split("## Commands").nth(1).unwrap().split("## Messages").next().unwrap();
    let names = table.lines().filter(|line| line.starts_with("| `")).flat_map(|line| {
        let cell = line.split('|').nth(1).unwrap();
        cell.split('`').skip(1).step_by(2).collect::<Vec<&str>>()
    });
    let names: std::collections::BTreeSet<&str> = names.collect();
    let complete = complete();
    let known = complete.iter().map(|command| command["cmd"].as_str().unwrap()).collect();
    assert_eq!(names, known);
}
