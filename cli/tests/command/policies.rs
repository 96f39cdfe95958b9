//! Policies by control lines, and by an option.

use serde_json::json;

use crate::program::*;

#[test]
fn a_policy_is_set_shown_and_cleared() {
    let (mut program, _) = Program::controlled(&[]);
    program.obeys(json!({"cmd": "declare_queue", "name": "q", "vhost": "mine"}));
    let definition = json!({"max-length": 1, "overflow": "drop-head"});
    let mut policy = json!({"name": "p", "pattern": "^q", "definition": definition});
    policy["cmd"] = json!("set_policy");
    policy["vhost"] = json!("mine");
    program.obeys(policy);
    let shown = json!({"name": "p", "pattern": "^q", "apply_to": "all", "priority": 0, "definition": definition});
    assert_eq!(program.obeys(json!({"cmd": "policies", "vhost": "mine"})), json!({"policies": [shown]}));
    assert_eq!(program.obeys(json!({"cmd": "policies"})), json!({"policies": []}));
    let mut fill = |expected: usize| {
        for text in ["one", "two"] {
            program.obeys(json!({"cmd": "inject", "address": "/queues/q", "text": text, "vhost": "mine"}));
        }
        let depth = program.obeys(json!({"cmd": "queue_depth", "address": "q", "vhost": "mine"}));
        assert_eq!(depth, json!({"depth": expected}));
        program.obeys(json!({"cmd": "clear_policy", "name": "p", "vhost": "mine"}))
    };
    assert_eq!(fill(1), json!({"cleared": true}));
    assert_eq!(fill(3), json!({"cleared": false}));
    let refused = json!({"cmd": "set_policy", "name": "p", "pattern": "^q", "definition": {"ha-mode": "all"}});
    let error = program.refuses(refused);
    assert!(error.starts_with("406 PRECONDITION_FAILED - invalid policy 'p': ha-mode"), "{error}");
    let priority = json!({"cmd": "set_policy", "name": "p", "pattern": "^q", "priority": "high"});
    assert_eq!(program.refuses(priority), "\"priority\": a whole number is expected, not \"high\"");
}

#[test]
fn the_broker_starts_with_a_policy() {
    let policy = r#"{"name": "p", "pattern": "^q{1,2}$", "definition": {"max-length": 1}, "vhost": "mine"}"#;
    let (mut program, _) = Program::controlled(&["--policy", policy]);
    for text in ["one", "two"] {
        program.obeys(json!({"cmd": "declare_queue", "name": "q", "vhost": "mine"}));
        program.obeys(json!({"cmd": "inject", "address": "/queues/q", "text": text, "vhost": "mine"}));
    }
    let depth = program.obeys(json!({"cmd": "queue_depth", "address": "q", "vhost": "mine"}));
    assert_eq!(depth, json!({"depth": 1}));
    let rows = [
        ("p", "not JSON: expected value"),
        ("[]", "an object is expected"),
        (r#"{"pattern": ""}"#, "\"policy.name\" is missing: a string is expected"),
        (r#"{"name": "p", "pattern": ""}"#, "\"definition\" is missing: an object is expected"),
        (r#"{"name": "p", "pattern": "", "definition": {}, "odd": 1}"#, "\"policy.odd\" is not known here"),
    ];
    for (text, expected) in rows {
        let (code, _, errors) = run(&["--policy", text]);
        assert_eq!(code, 2, "{text}");
        assert!(errors.iter().any(|error| error.contains(expected)), "{text}: {errors:?}");
    }
}
