//! AMQP values in JSON, held against bytes that the peer's own codec writes and reads.

use serde_json::{Value as Json, json};

use crate::program::*;
use crate::support::*;

/// A value; in JSON as it is; and with its exact type, if that is another.
fn rows() -> Vec<(Value, Json, Option<Json>)> {
    let uuid = *b"\x12\x34\x56\x78\x9a\xbc\xde\xf0\x12\x34\x56\x78\x9a\xbc\xde\xf0";
    let map = |entries: Vec<(Value, Value)>| Value::Map(entries);
    vec![
        (Value::Null, json!(null), None),
        (true.into(), json!(true), None),
        (Value::Ubyte(255), json!(255), Some(json!({"@ubyte": 255}))),
        (Value::Ushort(65535), json!(65535), Some(json!({"@ushort": 65535}))),
        (Value::Uint(7), json!(7), Some(json!({"@uint": 7}))),
        (Value::Ulong(u64::MAX), json!(u64::MAX), Some(json!({"@ulong": u64::MAX}))),
        (Value::Byte(-128), json!(-128), Some(json!({"@byte": -128}))),
        (Value::Short(-7), json!(-7), Some(json!({"@short": -7}))),
        (Value::Int(-7), json!(-7), Some(json!({"@int": -7}))),
        (Value::Long(i64::MIN), json!(i64::MIN), None),
        (Value::Float(0.5), json!(0.5), Some(json!({"@float": 0.5}))),
        (Value::Float(f32::NEG_INFINITY), json!({"@float": "-inf"}), None),
        (Value::Double(2.0), json!(2.0), None),
        (Value::Double(f64::INFINITY), json!({"@double": "inf"}), None),
        (Value::Decimal(vec![0, 1, 0xfe, 0xff]), json!({"@decimal32": "0001feff"}), None),
        (Value::Decimal(vec![1; 8]), json!({"@decimal64": "0101010101010101"}), None),
        (Value::Decimal(vec![2; 16]), json!({"@decimal128": "02020202020202020202020202020202"}), None),
        (Value::Char('ü'), json!({"@char": "ü"}), None),
        (Value::Timestamp(-1), json!({"@timestamp": -1}), None),
        (Value::Uuid(uuid), json!({"@uuid": "12345678-9abc-def0-1234-56789abcdef0"}), None),
        (b"hello\xff"[..].into(), json!({"@binary": "aGVsbG//"}), None),
        (symbol("amqp:x"), json!("amqp:x"), Some(json!({"@symbol": "amqp:x"}))),
        (Value::List(vec![Value::Long(1), "x".into(), Value::List(vec![])]), json!([1, "x", []]), None),
        (
            Value::Array(vec![symbol("a"), symbol("b")]),
            json!(["a", "b"]),
            Some(json!({"@array": [{"@symbol": "a"}, {"@symbol": "b"}]})),
        ),
        (map(vec![("a".into(), Value::Long(1)), ("b".into(), Value::Null)]), json!({"a": 1, "b": null}), None),
        (
            map(vec![("b".into(), Value::Long(1)), ("a".into(), Value::Long(2))]),
            json!({"b": 1, "a": 2}),
            Some(json!({"@map": [["b", 1], ["a", 2]]})),
        ),
        (map(vec![(symbol("k"), Value::Long(1))]), json!({"k": 1}), Some(json!({"@map": [[{"@symbol": "k"}, 1]]}))),
        (map(vec![(Value::Long(1), Value::Long(2))]), json!({"@map": [[1, 2]]}), None),
        (
            map(vec![("k".into(), Value::Long(1)), ("k".into(), Value::Long(2))]),
            json!({"@map": [["k", 1], ["k", 2]]}),
            None,
        ),
        (map(vec![("@uint".into(), Value::Long(1))]), json!({"@map": [["@uint", 1]]}), None),
        (
            described(0x24, Value::List(vec![])),
            json!({"@described": [0x24, []]}),
            Some(json!({"@described": [{"@ulong": 0x24}, []]})),
        ),
    ]
}

#[test]
fn what_a_client_sent_is_told() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peer = Peer::opened(&addr);
    peer.attach_sender("s", 0, "queue.a");
    for (value, plain, typed) in rows() {
        // As a body and as an annotation, which takes another way.
        let annotations = section(MESSAGE_ANNOTATIONS, Value::Map(vec![(symbol("x"), value.clone())]));
        let id = peer.send_payload(0, [annotations, section(AMQP_VALUE, value.clone())].concat());
        peer.expect_outcome_of(id);
        let exact = program.obeys(json!({"cmd": "messages", "address": "queue.a", "typed": true}));
        let answer = program.obeys(json!({"cmd": "take_messages", "address": "queue.a"}));
        for (answer, expected) in [(answer, &plain), (exact, typed.as_ref().unwrap_or(&plain))] {
            let message = &answer["messages"][0];
            assert_eq!(&message["value"], expected, "{value:?}: {message}");
            assert_eq!(&message["message_annotations"]["x"], expected, "{value:?}: {message}");
        }
    }
}

#[test]
fn what_is_injected_is_sent_with_its_type() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peer = Peer::opened(&addr);
    peer.attach_receiver("r", 0, "queue.a", 1000);
    let mut arrives = |program: &mut Program, json: &Json| {
        program.obeys(json!({"cmd": "inject", "address": "queue.a", "value": json}));
        let [(AMQP_VALUE, value)] = &sections(&peer.expect_transfer().payload)[..] else { panic!("{json}") };
        value.clone()
    };
    for (value, plain, typed) in rows() {
        let json = typed.unwrap_or(plain);
        assert_eq!(arrives(&mut program, &json), value, "{json}");
    }
    for (json, value) in [
        (json!(7), Value::Long(7)),
        (json!(u64::MAX), Value::Ulong(u64::MAX)),
        (json!({"@long": 7}), Value::Long(7)),
        (json!({"@string": "x"}), "x".into()),
        (json!({"@list": [1]}), Value::List(vec![Value::Long(1)])),
        (json!({"@double": 1}), Value::Double(1.0)),
        (json!({"@uuid": "12345678-9ABC-DEF0-1234-56789ABCDEF0"}), rows()[19].0.clone()),
    ] {
        assert_eq!(arrives(&mut program, &json), value, "{json}");
    }
    let Value::Double(nan) = arrives(&mut program, &json!({"@double": "nan"})) else { panic!("no double") };
    assert!(nan.is_nan());
}

#[test]
fn what_is_no_value() {
    let (mut program, _) = Program::controlled(&[]);
    let deep = |depth: usize| (0..depth).fold(json!(1), |value, _| json!([value]));
    let rows = [
        json!({"@ubyte": 256}),
        json!({"@ubyte": -1}),
        json!({"@byte": 128}),
        json!({"@uint": "7"}),
        json!({"@int": 1.5}),
        json!({"@ulong": -1}),
        json!({"@long": u64::MAX}),
        json!({"@float": "much"}),
        json!({"@decimal32": "0001fef"}),
        json!({"@decimal32": "0001fefg"}),
        json!({"@decimal64": "0001feff"}),
        json!({"@char": "ab"}),
        json!({"@char": ""}),
        json!({"@timestamp": "now"}),
        json!({"@uuid": "123456789abcdef0123456789abcdef0"}),
        json!({"@uuid": "12345678-9abc-def0-1234-56789abcdefg"}),
        json!({"@binary": "a"}),
        json!({"@binary": [1]}),
        json!({"@string": 1}),
        json!({"@symbol": "ü"}),
        json!({"@list": {}}),
        json!({"@array": 1}),
        json!({"@map": [[1]]}),
        json!({"@map": {"a": 1}}),
        json!({"@described": [1, 2, 3]}),
        json!({"@nothing": 1}),
        json!({"@uint": 1, "@int": 1}),
        json!({"@uint": 1, "more": 1}),
        json!([{"@ubyte": 256}]),
        deep(33),
    ];
    for value in rows {
        let error = program.refuses(json!({"cmd": "inject", "address": "queue.a", "value": value}));
        assert!(error.starts_with("\"value\": "), "{value}: {error}");
    }
    // As deep as it may be, it is read whole on the other side.
    program.obeys(json!({"cmd": "inject", "address": "queue.a", "value": deep(31)}));
    program.obeys(json!({"cmd": "inject", "address": "queue.a", "application_properties": {"k": deep(31)}}));
    let answer = program.obeys(json!({"cmd": "messages", "address": "queue.a"}));
    assert_eq!(answer["messages"][0]["value"], deep(31));
    assert_eq!(answer["messages"][1]["application_properties"]["k"], deep(31));
}
