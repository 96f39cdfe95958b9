//! Part 1: unusual but valid encodings, which must be accepted like any other.

use crate::scene::Scene;
use crate::support::*;

fn body(bytes: &[u8]) -> Vec<u8> {
    frame(2, 0, 0, bytes)
}

/// Builds a flow with echo, from encoded fields: handle and everything after it null, echo true.
fn flow_of(descriptor: &[u8], constructor_size_count: &[u8], number: &[u8], flag: &[u8]) -> Vec<u8> {
    let fields = [number, number, number, number, &[0x40; 4], b"\x42", flag].concat();
    let body = [b"\x00", descriptor, constructor_size_count, &fields].concat();
    frame(2, 0, 0, &body)
}

#[test]
fn every_encoding_of_a_performative() {
    let mut scene = Scene::new();
    // With four one-byte numbers and two one-byte flags the ten fields are ten bytes long.
    let (list8, list32) = (&b"\xc0\x0b\x0a"[..], &b"\xd0\x00\x00\x00\x0e\x00\x00\x00\x0a"[..]);
    let rows = [
        // 1.6.8: smallulong and ulong.
        ("smallulong descriptor, list8, uint0, true", flow_of(b"\x53\x13", list8, b"\x43", b"\x41")),
        ("ulong descriptor", flow_of(b"\x80\x00\x00\x00\x00\x00\x00\x00\x13", list8, b"\x43", b"\x41")),
        // 1.4: the symbolic descriptor means the same.
        ("sym8 descriptor", flow_of(b"\xa3\x0eamqp:flow:list", list8, b"\x43", b"\x41")),
        ("sym32 descriptor", flow_of(b"\xb3\x00\x00\x00\x0eamqp:flow:list", list8, b"\x43", b"\x41")),
        // 1.6.22
        ("list32", flow_of(b"\x53\x13", list32, b"\x43", b"\x41")),
        // 1.6.5
        ("smalluint", flow_of(b"\x53\x13", b"\xc0\x0f\x0a", b"\x52\x00", b"\x41")),
        ("uint", flow_of(b"\x53\x13", b"\xc0\x1b\x0a", b"\x70\x00\x00\x00\x00", b"\x41")),
        // 1.6.2
        ("boolean 56 01", flow_of(b"\x53\x13", b"\xc0\x0c\x0a", b"\x43", b"\x56\x01")),
    ];
    each_row(rows, |bytes| {
        // Zero windows are no obstacle to the answer.
        let mut peer = scene.peer();
        peer.send(bytes);
        let answer = peer.expect_flow();
        assert_eq!(answer.get("handle"), Value::Null);
        peer.close();
        scene.undisturbed();
    });
    // 1.6.22: the ways to say that there are no fields.
    let rows = [
        ("list0", body(b"\x00\x53\x17\x45")),
        ("an empty list8", body(b"\x00\x53\x17\xc0\x01\x00")),
        ("an empty list32", body(b"\x00\x53\x17\xd0\x00\x00\x00\x04\x00\x00\x00\x00")),
        ("a null field", body(b"\x00\x53\x17\xc0\x02\x01\x40")),
    ];
    each_row(rows, |bytes| {
        let mut peer = scene.peer();
        peer.send(bytes);
        assert_eq!(peer.expect_end().condition(), "");
        peer.begin(begin());
        peer.close();
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn every_encoding_of_a_string_and_of_termini() {
    let mut scene = Scene::new();
    let address32 = raw(b"\xb1\x00\x00\x00\x07strings");
    let symbolic = |name: &str, address: &Value| {
        Value::Described(Box::new(symbol(name)), Box::new(Value::List(vec![address.clone()])))
    };
    let rows = [
        ("short forms", attach_sender("s", 0, "strings")),
        ("str32 as name", attach_sender("s", 0, "strings").with("name", raw(b"\xb1\x00\x00\x00\x01s"))),
        ("str32 as address", attach_sender("s", 0, "").with("target", terminus(TARGET, address32.clone()))),
        (
            "symbolic descriptors of source and target",
            attach_sender("s", 0, "")
                .with("source", symbolic("amqp:source:list", &address32))
                .with("target", symbolic("amqp:target:list", &address32)),
        ),
        ("a role of 56 00", attach_sender("s", 0, "strings").with("role", raw(b"\x56\x00"))),
        ("a handle of five bytes", attach_sender("s", 0, "strings").with("handle", raw(b"\x70\x00\x00\x00\x00"))),
    ];
    each_row(rows, |attach| {
        let mut receiver = scene.peer();
        receiver.attach_receiver("r", 0, "strings", 1);
        let mut peer = scene.peer();
        peer.send(attach);
        assert_eq!(peer.expect_attach().text("name"), "s");
        peer.expect_credit();
        let id = peer.send_message(0, "hello");
        assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
        assert_eq!(text(&receiver.expect_transfer().payload), "hello");
        peer.close();
        receiver.close();
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn every_type_in_a_map_that_nobody_reads() {
    let mut scene = Scene::new();
    let nested = (0..20).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    let rows: [(&str, Value); 30] = [
        ("null", Value::Null),
        ("true", true.into()),
        ("boolean 56 00", raw(b"\x56\x00")),
        ("ubyte", 200u8.into()),
        ("ushort", 60_000u16.into()),
        ("uint", u32::MAX.into()),
        ("ulong", u64::MAX.into()),
        ("byte", Value::Byte(-1)),
        ("short", Value::Short(-2)),
        ("int", Value::Int(-70_000)),
        ("smallint", Value::Int(-3)),
        ("long", Value::Long(i64::MIN)),
        ("smalllong", Value::Long(-4)),
        ("float", Value::Float(1.5)),
        ("double", Value::Double(f64::NAN)),
        ("decimal32", Value::Decimal(vec![1; 4])),
        ("decimal64", Value::Decimal(vec![1; 8])),
        ("decimal128", Value::Decimal(vec![1; 16])),
        ("char", Value::Char('\u{10ffff}')),
        ("timestamp", Value::Timestamp(-1)),
        ("uuid", Value::Uuid([9; 16])),
        ("binary", Value::Binary(vec![0xff; 300])),
        ("string", "ü".repeat(200).into()),
        ("symbol", symbol("x:y")),
        ("array", Value::Array(vec![symbol("a"), symbol("b")])),
        ("an array of arrays", raw(b"\xe0\x08\x01\xe0\x05\x03\x50\x01\x02\x03")),
        ("an array of described values", raw(b"\xe0\x07\x02\x00\x53\x24\x50\x01\x02")),
        ("65,536 nulls", raw(b"\xf0\x00\x00\x00\x05\x00\x01\x00\x00\x40")),
        ("lists 20 deep", nested),
        ("a value that nobody defined", described(0x99, Value::Map(vec![(1u32.into(), described(0x98, Value::Null))]))),
    ];
    each_row(rows, |value| {
        let map = Value::Map(vec![(symbol("x"), value)]);
        let mut peer = Peer::opened_with(
            &scene.broker,
            open().with("properties", map.clone()),
            begin().with("properties", map.clone()),
        );
        peer.send(attach_sender("s", 0, "anywhere").with("properties", map.clone()));
        peer.expect_attach();
        peer.send(flow().with("properties", map));
        peer.expect_nothing();
        peer.close();
        scene.undisturbed();
    });
    scene.until_alone();
}
