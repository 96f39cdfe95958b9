//! Queues, exchanges and bindings: seen, and declared by commands and options.

use serde_json::{Value as Json, json};

use crate::program::*;

#[test]
fn what_is_declared_is_seen() {
    let (mut program, _) = Program::controlled(&[]);
    let ttl = json!({"x-message-ttl": 60_000});
    for command in [
        json!({"cmd": "declare_queue", "name": "orders", "arguments": ttl}),
        json!({"cmd": "declare_queue", "name": "jobs", "durable": false, "auto_delete": true}),
        json!({"cmd": "declare_exchange", "name": "events", "type": "topic"}),
        json!({"cmd": "declare_exchange", "name": "own", "type": "fanout", "internal": true}),
        json!({"cmd": "bind", "exchange": "events", "routing_key": "order.*", "queue": "orders"}),
        json!({"cmd": "bind", "exchange": "events", "to_exchange": "own", "arguments": {"table": 7}}),
    ] {
        assert_eq!(program.obeys(command.clone()), json!({}), "{command}");
    }
    program.obeys(json!({"cmd": "inject", "address": "/exchanges/events/order.new", "text": "one coffee"}));
    let queue = |name: &str, durable: bool, arguments: Json, messages: u64| {
        json!({"name": name, "type": "classic", "declared": true, "durable": durable, "auto_delete": !durable,
            "exclusive": false, "owner": null, "arguments": arguments, "messages": messages, "unacknowledged": 0,
            "consumers": 0})
    };
    let queues = json!([queue("jobs", false, json!({}), 0), queue("orders", true, ttl, 1)]);
    assert_eq!(program.obeys(json!({"cmd": "queues"})), json!({"queues": queues}));
    let exchanges = program.obeys(json!({"cmd": "exchanges"}));
    let own: Vec<&Json> =
        exchanges["exchanges"].as_array().unwrap().iter().filter(|it| it["predeclared"] == json!(false)).collect();
    let exchange = |name: &str, kind: &str, internal: bool| {
        json!({"name": name, "type": kind, "predeclared": false, "durable": true, "auto_delete": false,
            "internal": internal, "arguments": {}})
    };
    assert_eq!(own, [&exchange("events", "topic", false), &exchange("own", "fanout", true)]);
    let binding = |key: &str, queue: Json, to: Json, arguments: Json| json!({"exchange": "events", "routing_key": key, "queue": queue, "to_exchange": to, "arguments": arguments});
    let bindings = json!([
        binding("", Json::Null, json!("own"), json!({"table": 7})),
        binding("order.*", json!("orders"), Json::Null, json!({})),
    ]);
    assert_eq!(program.obeys(json!({"cmd": "bindings"})), json!({"bindings": bindings}));

    let unbind = json!({"cmd": "unbind", "exchange": "events", "routing_key": "order.*", "queue": "orders"});
    assert_eq!(program.obeys(unbind), json!({}));
    assert_eq!(program.obeys(json!({"cmd": "delete_exchange", "name": "own"})), json!({}));
    assert_eq!(program.obeys(json!({"cmd": "bindings"})), json!({"bindings": []}));
    assert_eq!(program.obeys(json!({"cmd": "delete_queue", "name": "orders"})), json!({"messages": 1}));
}

#[test]
fn refusals_are_told() {
    let (mut program, _) = Program::controlled(&["--queue", "q"]);
    let rows = [
        (
            json!({"cmd": "declare_queue", "name": "q", "durable": false}),
            "406 PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q'",
        ),
        (json!({"cmd": "declare_exchange", "name": "e", "type": "odd"}), "503 COMMAND_INVALID"),
        (json!({"cmd": "bind", "exchange": "e", "queue": "q"}), "404 NOT_FOUND - no exchange 'e'"),
        (
            json!({"cmd": "bind", "exchange": "amq.topic"}),
            "\"queue\" is missing: a string is expected, or \"to_exchange\"",
        ),
        (
            json!({"cmd": "declare_queue", "name": "r", "arguments": {"x-max-length": {"@odd": 1}}}),
            "\"arguments.x-max-length\": there is no type @odd",
        ),
    ];
    for (command, text) in rows {
        let error = program.refuses(command.clone());
        assert!(error.contains(text), "{command}: {error}");
    }
    assert_eq!(program.obeys(json!({"cmd": "queues"}))["queues"].as_array().unwrap().len(), 1);
}

#[test]
fn options_declare_as_often_as_one_likes() {
    let arguments = [
        "--binding",
        "events:order.*:orders",
        "--binding",
        "events::,to_exchange=all",
        "--binding",
        "amq.headers::jobs,x-match=any,table=7",
        "--queue",
        "orders,x-max-length=2,x-overflow=reject-publish",
        "--queue",
        "jobs,durable=false,auto_delete=true",
        "--exchange",
        "events:topic",
        "--exchange",
        "all:fanout,internal=true",
    ];
    let (mut program, _) = Program::controlled(&arguments);
    let queues = program.obeys(json!({"cmd": "queues"}));
    assert_eq!(queues["queues"][0]["auto_delete"], json!(true));
    assert_eq!(queues["queues"][1]["arguments"], json!({"x-max-length": 2, "x-overflow": "reject-publish"}));
    let bindings = program.obeys(json!({"cmd": "bindings"}));
    let shown: Vec<[&Json; 3]> = bindings["bindings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| [&it["routing_key"], &it["queue"], &it["arguments"]])
        .collect();
    let expected = [
        [json!(""), json!("jobs"), json!({"x-match": "any", "table": 7})],
        [json!(""), Json::Null, json!({})],
        [json!("order.*"), json!("orders"), json!({})],
    ];
    assert_eq!(shown, expected.each_ref().map(|row| row.each_ref()));
}

#[test]
fn an_option_that_is_refused_ends_the_program() {
    let (code, lines, errors) = run(&["--listen", "127.0.0.1:0", "--queue", "q,x-max-length=-1"]);
    assert_eq!((code, lines, errors.len()), (1, Vec::new(), 1), "{errors:?}");
    assert!(errors[0].contains("406 PRECONDITION_FAILED - invalid arg 'x-max-length'"), "{errors:?}");
    let rows: [&[&str]; 8] = [
        &["--queue", ""],
        &["--queue", "q,x-max-length"],
        &["--queue", "q,durable=perhaps"],
        &["--exchange", "events"],
        &["--binding", "events"],
        &["--binding", "events:key"],
        &["--binding", "events:key:"],
        &["--binding", "events:key:q,to_exchange=e"],
    ];
    for row in rows {
        let (code, lines, errors) = run(row);
        assert_eq!((code, lines), (2, Vec::new()), "{row:?}: {errors:?}");
    }
}

#[test]
fn what_was_published_is_told() {
    let (mut program, _) = Program::controlled(&["--queue", "b", "--queue", "a"]);
    for queue in ["a", "b"] {
        program.obeys(json!({"cmd": "bind", "exchange": "amq.topic", "routing_key": "both.*", "queue": queue}));
    }
    program.obeys(json!({"cmd": "inject", "address": "/exchanges/amq.topic/both.1", "text": "one"}));
    program.obeys(json!({"cmd": "inject", "address": "/exchanges/amq.topic/none", "value": {"@uint": 7}}));
    let publish = |key: &str, queues: Json, numbers: Json| json!({"exchange": "amq.topic", "routing_key": key, "queues": queues, "numbers": numbers});
    let mut both = publish("both.1", json!(["a", "b"]), json!([2, 1]));
    both["text"] = json!("one");
    let mut none = publish("none", json!([]), json!([3]));
    none["value"] = json!(7);
    let published = json!({"published": [both, none]});
    assert_eq!(program.obeys(json!({"cmd": "published", "exchange": "amq.topic"})), published);
    let wait = json!({"cmd": "wait", "for": "published", "exchange": "amq.topic", "count": 2});
    assert_eq!(program.obeys(wait), published);
    let typed = program.obeys(json!({"cmd": "published", "exchange": "amq.topic", "typed": true}));
    assert_eq!(typed["published"][1]["value"], json!({"@uint": 7}));
    let error = program.refuses(json!({"cmd": "wait", "for": "published", "exchange": "e", "timeout": 0}));
    assert!(error.starts_with("waited 0ns in vain for 1 message to be published to exchange \"e\""), "{error}");
}

#[test]
fn a_message_is_injected_at_an_exchange() {
    let (mut program, _) =
        Program::controlled(&["--queue", "q", "--binding", "amq.headers:order/1:q,x-match=all,table=7"]);
    let inject = |exchange: &str, key: &str, headers: Json, json: Json| json!({"cmd": "inject", "exchange": exchange, "routing_key": key, "headers": headers, "json": json});
    let accepted = json!({"outcome": "accepted"});
    assert_eq!(program.obeys(inject("amq.headers", "a/b", json!({"table": 7}), json!({"cups": 1}))), accepted);
    assert_eq!(program.obeys(inject("", "q", json!({}), Json::Null)), accepted);
    assert_eq!(program.obeys(inject("amq.headers", "", json!({"table": 8}), json!(1)))["outcome"], json!("rejected"));
    assert_eq!(program.obeys(inject("", "none", json!({}), json!(1)))["outcome"], json!("rejected"));
    assert_eq!(program.obeys(json!({"cmd": "queues"}))["queues"].as_array().unwrap().len(), 1, "it makes no queue");
    let messages = program.obeys(json!({"cmd": "messages", "address": "q"}));
    let [first, second] = [&messages["messages"][0], &messages["messages"][1]];
    assert_eq!((&first["text"], &first["application_properties"]), (&json!("{\"cups\":1}"), &json!({"table": 7})));
    assert_eq!(
        (&second["text"], &second["properties"]),
        (&json!("null"), &json!({"content_type": "application/json"}))
    );
    let published = program.obeys(json!({"cmd": "published", "exchange": "amq.headers"}));
    assert_eq!(published["published"][0]["routing_key"], json!("a/b"));
    for (command, text) in [
        (json!({"cmd": "inject", "exchange": "e", "address": "a"}), "there are \"address\" and \"exchange\""),
        (json!({"cmd": "inject", "routing_key": "k"}), "\"exchange\" is missing"),
        (json!({"cmd": "inject", "exchange": "e", "json": 1, "text": "x"}), "several bodies"),
        (json!({"cmd": "inject", "address": "a", "headers": {"k": {"@x": 1}}}), "\"headers.k\": there is no type @x"),
        (
            json!({"cmd": "inject", "address": "a", "headers": {"k": 1}, "application_properties": {"k": 1}}),
            "\"k\" is in \"application_properties\" and in \"headers\"",
        ),
    ] {
        let error = program.refuses(command.clone());
        assert!(error.contains(text), "{command}: {error}");
    }
}
