//! 3.2: messages pass through untouched, byte for byte, whatever they hold and however large they are.

use fakebroker::Broker;

use crate::support::*;

/// A value of every type there is (1.6).
fn values() -> Vec<Value> {
    vec![
        Value::Null,
        Value::Bool(true),
        Value::Ubyte(255),
        Value::Ushort(65535),
        Value::Uint(0),
        Value::Uint(u32::MAX),
        Value::Ulong(u64::MAX),
        Value::Byte(-1),
        Value::Short(-1),
        Value::Int(i32::MIN),
        Value::Long(i64::MIN),
        Value::Float(1.5),
        Value::Double(-0.0),
        Value::Decimal(vec![1; 4]),
        Value::Decimal(vec![2; 8]),
        Value::Decimal(vec![3; 16]),
        Value::Char('\u{1f407}'),
        Value::Timestamp(-1),
        Value::Uuid([9; 16]),
        Value::Binary(vec![0xff; 300]),
        Value::Text("größer".repeat(50)),
        symbol(&"x".repeat(300)),
        Value::List(vec![Value::List(vec![Value::Null]), Value::Map(vec![(Value::Long(1), Value::Null)])]),
        Value::Array(vec![Value::Int(1), Value::Int(-1)]),
        described(0x1234, Value::List(vec![])),
        Value::Described(Box::new(symbol("x-own:type")), Box::new("inside".into())),
    ]
}

fn map() -> Value {
    Value::Map(values().into_iter().enumerate().map(|(key, value)| (symbol(&format!("x-{key}")), value)).collect())
}

/// Every section, the body in each of its forms.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let header = section(
        HEADER,
        Value::List(vec![true.into(), Value::Ubyte(0), Value::Uint(60_000), true.into(), Value::Uint(0)]),
    );
    let properties = section(
        PROPERTIES,
        Value::List(vec![
            Value::Uuid([1; 16]),
            Value::Binary(vec![0xff, 0]),
            "somewhere/else".into(),
            "subject".into(),
            "reply-to".into(),
            Value::Ulong(7),
            symbol("text/plain"),
            symbol("gzip"),
            // 1970: some clients' clocks lie, and nothing expires by it.
            Value::Timestamp(1),
            Value::Timestamp(0),
            "group".into(),
            Value::Uint(u32::MAX),
            "reply-to-group".into(),
        ]),
    );
    let front = [
        header.clone(),
        section(DELIVERY_ANNOTATIONS, map()),
        section(MESSAGE_ANNOTATIONS, map()),
        properties.clone(),
        section(APPLICATION_PROPERTIES, map()),
    ]
    .concat();
    let footer = section(FOOTER, map());
    let with_body = |body: Vec<u8>| [front.clone(), body, footer.clone()].concat();
    let sequence = section(AMQP_SEQUENCE, Value::List(values()));
    // Encodings that are legal and not the shortest: a ulong descriptor of eight bytes, a symbolic one, a wide empty list.
    let wide = [&[0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x70, 0xd0, 0, 0, 0, 4, 0, 0, 0, 0][..], &message("hello")].concat();
    let named = [&b"\x00\xa3\x10amqp:header:list\x45"[..], &message("hello")].concat();
    let mut messages = vec![
        ("data", with_body(message("hello"))),
        ("many data sections", with_body(message("hello").repeat(50))),
        ("empty data", with_body(section(DATA, Value::Binary(vec![])))),
        ("a sequence", with_body(sequence.clone())),
        ("many sequences", with_body(sequence.repeat(3))),
        ("a value that is null", with_body(section(AMQP_VALUE, Value::Null))),
        ("a value that is a map", with_body(section(AMQP_VALUE, map()))),
        ("a body alone", message("hello")),
        ("no body", properties),
        ("a header alone", header),
        ("wide encodings", wide),
        ("a descriptor by name", named),
        ("nothing", Vec::new()),
        ("no message at all", vec![0xff; 100]),
    ];
    messages.extend(values().into_iter().map(|value| ("a value of each type", section(AMQP_VALUE, value))));
    messages
}

#[test]
fn every_section_passes_untouched() {
    let broker = Broker::start().unwrap();
    for address in ["plain", "unicast.a", "broadcast.a", "queue.a"] {
        let mut receiver = Peer::ready_receiver(&broker, address, 1000);
        let mut sender = Peer::sender(&broker, address);
        each_row(messages(), |payload| {
            let id = sender.send_payload(0, payload.clone());
            assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
            let delivery = receiver.expect_transfer();
            assert_eq!(hex(&delivery.payload), hex(&payload), "{address}");
            assert!(delivery.payload == payload, "{address}");
        });
        receiver.send(disposition(RECEIVER, 0, accepted()).with("last", 1000u32));
        receiver.expect_nothing();
    }
}

#[test]
fn every_section_passes_a_queue_in_which_it_waited() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::sender(&broker, "queue.a");
    for (_, payload) in messages() {
        let id = sender.send_payload(0, payload);
        assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
    }
    let mut receiver = Peer::receiver(&broker, "queue.a", 1000);
    each_row(messages(), |payload| {
        let delivery = receiver.expect_transfer();
        assert!(delivery.payload == payload, "{} is not {}", hex(&delivery.payload), hex(&payload));
    });
}

#[test]
fn twenty_megabytes() {
    const SIZE: usize = 20_000_000;
    let broker = Broker::start().unwrap();
    let mut receiver = Peer::ready_receiver(&broker, "a", 10);
    let mut sender = Peer::sender(&broker, "a");
    let body: Vec<u8> =
        (0..SIZE as u32 / 4).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let payload = section(DATA, body.into());
    // Frames as large as the broker takes; no more of them than its window has room for.
    let size = 65536 - 64;
    let count = payload.chunks(size).len();
    assert!(count < 2048);
    let received = std::thread::scope(|scope| {
        let reading = scope.spawn(|| receiver.expect_delivery().0);
        for (number, part) in payload.chunks(size).enumerate() {
            let start = if number == 0 { transfer(0, 0) } else { continuation(0) };
            sender.send(start.with("more", number + 1 < count).with_payload(part));
        }
        reading.join().unwrap()
    });
    assert!(received == payload, "{} bytes of {}", received.len(), payload.len());
    assert_eq!(sender.expect_outcome_of(0).state(), ACCEPTED);
}
