//! Definitions that RabbitMQ has exported: imported at the start or by a command; what is not honoured is said.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::program::*;

/// A file that is gone with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> File {
        let path = std::env::temp_dir().join(format!("fakebroker-{}-definitions-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The members that an export of RabbitMQ 3.10 has.
fn exported() -> Json {
    json!({
        "rabbit_version": "3.10.8",
        "rabbitmq_version": "3.10.8",
        "product_name": "RabbitMQ",
        "product_version": "3.10.8",
        "users": [{"name": "guest", "password_hash": "x", "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": ["administrator"], "limits": {}}],
        "vhosts": [{"name": "/"}, {"name": "other"}],
        "permissions": [{"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
        "topic_permissions": [],
        "parameters": [],
        "global_parameters": [{"name": "internal_cluster_id", "value": "rabbitmq-cluster-id-x"}],
        "policies": [{"vhost": "/", "name": "ttl", "pattern": ".*", "apply-to": "queues",
            "definition": {"max-length": 1, "ha-mode": "all"}, "priority": 0},
            {"vhost": "/", "name": "lazy", "pattern": ".*", "apply-to": "queues",
            "definition": {"queue-mode": "lazy"}, "priority": 1}],
        "queues": [
            {"name": "orders", "vhost": "/", "durable": true, "auto_delete": false,
                "arguments": {"x-dead-letter-exchange": "dlx", "x-queue-type": "classic"}},
            {"name": "parking", "vhost": "/", "durable": true, "auto_delete": false, "arguments": {}},
            {"name": "elsewhere", "vhost": "other", "durable": true, "auto_delete": false, "arguments": {}},
        ],
        "exchanges": [
            {"name": "dlx", "vhost": "/", "type": "fanout", "durable": true, "auto_delete": false, "internal": false,
                "arguments": {}},
            {"name": "events", "vhost": "/", "type": "topic", "durable": true, "auto_delete": false, "internal": false,
                "arguments": {"alternate-exchange": "dlx"}},
            {"name": "amq.topic", "vhost": "/", "type": "topic", "durable": true, "auto_delete": false,
                "internal": false, "arguments": {}},
            {"name": "amq.rabbitmq.trace", "vhost": "/", "type": "topic", "durable": true, "auto_delete": false,
                "internal": true, "arguments": {}},
        ],
        "bindings": [
            {"source": "events", "vhost": "/", "destination": "orders", "destination_type": "queue",
                "routing_key": "order.*", "arguments": {}},
            {"source": "dlx", "vhost": "/", "destination": "parking", "destination_type": "queue", "routing_key": "",
                "arguments": {}},
            {"source": "amq.topic", "vhost": "/", "destination": "events", "destination_type": "exchange",
                "routing_key": "#", "arguments": {}},
            {"source": "", "vhost": "/", "destination": "orders", "destination_type": "queue", "routing_key": "orders",
                "arguments": {}},
        ],
    })
}

fn left_out() -> Json {
    json!([
        "\"policies[0].definition.ha-mode\": not honoured",
        "\"policies[1].definition.queue-mode\": not honoured",
        "global_parameters (\"internal_cluster_id\"): not imported",
        "permissions (\"guest\"): not imported",
        "users (\"guest\"): not imported",
    ])
}

fn expect_imported(program: &mut Program) {
    program.obeys(json!({"cmd": "inject", "address": "/exchanges/amq.topic/order.new", "text": "x"}));
    program.obeys(json!({"cmd": "inject", "address": "/exchanges/events/odd", "text": "x"}));
    for queue in ["orders", "parking"] {
        let depth = program.obeys(json!({"cmd": "queue_depth", "address": queue}));
        assert_eq!(depth, json!({"depth": 1}), "{queue}");
    }
    let policies = program.obeys(json!({"cmd": "policies"}));
    let policy = json!({"name": "ttl", "pattern": ".*", "apply_to": "queues", "priority": 0,
        "definition": {"max-length": 1}});
    assert_eq!(policies, json!({"policies": [policy]}));
    let queues = program.obeys(json!({"cmd": "queues"}));
    assert_eq!(queues["queues"].as_array().unwrap().len(), 2, "{queues}");
    let other = program.obeys(json!({"cmd": "queues", "vhost": "other"}));
    assert_eq!((&other["queues"][0]["name"], &other["queues"][1]), (&json!("elsewhere"), &Json::Null));
    let exchanges = program.obeys(json!({"cmd": "exchanges"}));
    assert_eq!(exchanges["exchanges"].as_array().unwrap().len(), 5 + 2, "{exchanges}");
}

#[test]
fn a_command_imports_a_file_or_what_would_be_in_it() {
    let file = File::new("a.json", &exported().to_string());
    let rows = [json!({"file": file.path()}), json!({"definitions": exported()})];
    for mut command in rows {
        let (mut program, _) = Program::controlled(&[]);
        command["cmd"] = json!("import_definitions");
        let answer = json!({"queues": 3, "exchanges": 2, "bindings": 3, "policies": 1, "left_out": left_out()});
        assert_eq!(program.obeys(command.clone()), answer);
        expect_imported(&mut program);
        // Again: all of it is there.
        program.obeys(command);
    }
}

#[test]
fn the_broker_starts_with_a_file() {
    let file = File::new("b.json", &exported().to_string());
    let (mut program, _) = Program::controlled(&["--definitions", file.path()]);
    expect_imported(&mut program);
    program.obeys(json!({"cmd": "restart", "queues": "drop"}));
    expect_imported(&mut program);
    program.input = None;
    program.expect_exit(0);
    let errors = program.errors().to_vec();
    for line in left_out().as_array().unwrap() {
        let said = format!("{}: {}", file.path(), line.as_str().unwrap());
        assert!(errors.iter().any(|error| error.ends_with(&said)), "{said} in {errors:#?}");
    }
}

#[test]
fn a_strict_broker_does_not_start_with_what_it_does_not_honour() {
    let file = File::new("c.json", &exported().to_string());
    let (code, lines, errors) = run(&["--listen", "127.0.0.1:0", "--strict", "--definitions", file.path()]);
    assert_eq!((code, lines, errors.len()), (1, Vec::new(), 1), "{errors:?}");
    assert!(errors[0].contains("\"policies[0].definition.ha-mode\": not honoured"), "{errors:?}");
}

#[test]
fn a_file_that_is_none_says_where() {
    let deep = format!("{{\"queues\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let rows = [
        ("{\n  \"queues\": [\n    {\"name\" \"q\"}\n  ]\n}", "not JSON: expected `:` at line 3 column 13"),
        ("", "not JSON: EOF while parsing a value at line 1 column 0"),
        (&deep, "not JSON: recursion limit exceeded at line 1"),
        ("[]", "these are no definitions"),
        ("{\"name\": \"q\"}", "these are no definitions"),
        (r#"{"queues": {}}"#, "\"queues\": an array is expected"),
        (r#"{"queues": ["q"]}"#, "\"queues[0]\": an object is expected"),
        (r#"{"queues": [{"name": "q"}, {"vhost": "/"}]}"#, "\"queues[1].name\" is missing: a string is expected"),
        (r#"{"queues": [{"name": "q", "durable": 1}]}"#, "\"queues[0].durable\": true or false is expected, not 1"),
        (r#"{"queues": [{"name": "q", "arguments": 1}]}"#, "\"queues[0].arguments\": an object is expected, not 1"),
        (r#"{"bindings": [{"source": "e", "destination": "q", "destination_type": "topic"}]}"#, "destination_type"),
        (
            r#"{"queues": [{"name": "q", "arguments": {"x-max-length": -1}}]}"#,
            "406 PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 'q'",
        ),
        (r#"{"policies": [{"name": "p", "pattern": ".*"}]}"#, "\"policies[0].definition\": an object is expected"),
        (
            r#"{"policies": [{"name": "p", "definition": {}}]}"#,
            "\"policies[0].pattern\" is missing: a string is expected",
        ),
        (
            r#"{"policies": [{"name": "p", "pattern": ".*", "apply-to": "all of it", "definition": {}}]}"#,
            "\"policies[0].apply-to\": what it applies to is expected, not \"all of it\"",
        ),
        (
            r#"{"policies": [{"name": "p", "pattern": "(", "definition": {"expires": 5}}]}"#,
            "406 PRECONDITION_FAILED - invalid policy 'p': pattern '(': there is a ( without its )",
        ),
        (r#"{"exchanges": [{"name": "e", "type": "odd"}]}"#, "503 COMMAND_INVALID - unknown exchange type 'odd'"),
        (r#"{"bindings": [{"source": "e", "destination": "q"}]}"#, "404 NOT_FOUND - no exchange 'e' in vhost '/'"),
    ];
    let (mut program, addr) = Program::controlled(&[]);
    for (text, expected) in rows {
        let file = File::new("none.json", text);
        let error = program.refuses(json!({"cmd": "import_definitions", "file": file.path()}));
        assert!(error.contains(expected), "{text:.100}: {error}");
        let (code, lines, errors) = run(&["--listen", "127.0.0.1:0", "--definitions", file.path()]);
        assert_eq!((code, lines, errors.len()), (1, Vec::new(), 1), "{errors:?}");
        assert!(errors[0].contains(expected), "{text:.100}: {errors:?}");
    }
    let missing = program.refuses(json!({"cmd": "import_definitions", "file": "/none/there.json"}));
    assert!(missing.starts_with("/none/there.json: "), "{missing}");
    expect_works(addr);
}

#[test]
fn members_that_are_not_known_are_said() {
    let (mut program, _) = Program::controlled(&[]);
    let definitions = json!({"queues": [{"name": "q", "colour": "red"}, {"name": "own", "exclusive": true}], "odd": 1});
    let answer = program.obeys(json!({"cmd": "import_definitions", "definitions": definitions}));
    let left_out = json!([
        "\"queues[0].colour\" is not known here",
        "queues[1]: queue \"own\" is exclusive to a connection",
        "odd: not imported",
    ]);
    assert_eq!((&answer["queues"], &answer["left_out"]), (&json!(1), &left_out));
}

#[test]
fn definitions_of_one_virtual_host_do_not_name_it() {
    let (mut program, _) = Program::controlled(&[]);
    let definitions = json!({"queues": [{"name": "q", "durable": true}], "exchanges": [], "bindings": []});
    program.obeys(json!({"cmd": "import_definitions", "definitions": definitions, "vhost": "mine"}));
    assert_eq!(program.obeys(json!({"cmd": "queues"})), json!({"queues": []}));
    assert_eq!(program.obeys(json!({"cmd": "queues", "vhost": "mine"}))["queues"][0]["name"], json!("q"));
}
