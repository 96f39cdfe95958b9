//! basic.publish: contents on their way in, and those that come back.

use fakebroker::Broker;

use crate::support::each_row;
use crate::support091::*;

const MANDATORY: [bool; 2] = [true, false];

#[test]
fn bodies_of_any_size_arrive_whole() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.consume("q", "c");
    for size in [0, 1, 4087, 4088, 4089, 8176, 20_000, 1_000_000] {
        let body: Vec<u8> = (0..size).map(|n: usize| u8::try_from(n % 251).unwrap()).collect();
        peer.publish("", "q", &body);
        let delivery = peer.expect_delivery();
        assert!(delivery.body == body, "{} bytes", delivery.body.len());
        peer.ack(delivery.tag, false);
    }
}

#[test]
fn a_body_may_come_in_frames_of_any_size() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    let header =
        [method(1, PUBLISH).short(0).shortstr("").shortstr("q").bits(&[]).bytes(), content_header(1, 9, &[0, 0])];
    let rows: [(&str, &[&[u8]]); 5] = [
        ("whole", &[b"123456789"]),
        ("in three", &[b"1", b"234567", b"89"]),
        ("a byte each", &[b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"]),
        ("with empty ones", &[b"", b"1234", b"", b"", b"56789"]),
        ("empty ones behind it are another thing", &[b"123456789"]),
    ];
    each_row(rows, |pieces| {
        let frames = [header.concat(), pieces.iter().flat_map(|piece| body(1, piece)).collect()].concat();
        peer.send(&frames);
        assert_eq!(peer.get("q", true).unwrap().text(), "123456789");
        peer.send_byte_by_byte(&frames);
        assert_eq!(peer.get("q", true).unwrap().text(), "123456789");
    });
}

#[test]
fn contents_of_several_channels_interleave() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.open_channel(2);
    peer.declare("q");
    let start = |channel| method(channel, PUBLISH).short(0).shortstr("").shortstr("q").bits(&[]).bytes();
    peer.send(
        [
            start(1),
            start(2),
            content_header(2, 6, &[0, 0]),
            content_header(1, 6, &[0, 0]),
            body(1, b"one"),
            body(2, b"TWO"),
            frame091(HEARTBEAT, 0, b""),
            body(2, b"two"),
            body(1, b"ONE"),
        ]
        .concat(),
    );
    assert_eq!(peer.get("q", true).unwrap().text(), "TWOtwo");
    assert_eq!(peer.get("q", true).unwrap().text(), "oneONE");
}

/// All properties, by hand.
fn all_properties() -> Vec<u8> {
    let short = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
    [
        vec![0xff, 0xfc],
        short("text/plain"),
        short("gzip"),
        sized(
            &[int_entry("n", 7), table_entry("t", &[bool_entry("b", true)]), entry("a", b'A', sized(b"I\0\0\0\x01V"))]
                .concat(),
        ),
        vec![2, 9],
        short("correlation"),
        short("reply"),
        short("60000"),
        short("id"),
        1_700_000_000_u64.to_be_bytes().to_vec(),
        short("type"),
        short("guest"),
        short("app"),
        short("cluster"),
    ]
    .concat()
}

#[test]
fn properties_arrive_as_they_were_sent() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    let rows = [("none", vec![0, 0]), ("all", all_properties()), ("delivery mode", vec![0x10, 0, 2])];
    each_row(rows, |properties| {
        peer.send(publish(1, "", "q", &[], &properties, b"x"));
        assert_eq!(peer.get("q", true).unwrap().properties, properties);
    });
}

#[test]
fn a_user_id_is_ones_own() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.send(publish(1, "", "q", &[], b"\x00\x10\x03joe", b"x"));
    let text = peer.expect_channel_closed_with(1, 406);
    let why = "user_id property set to 'joe' but authenticated user was 'guest'";
    assert_eq!(text, format!("PRECONDITION_FAILED - {why}"));
}

#[test]
fn there_are_two_delivery_modes() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    for mode in [1, 2] {
        peer.send(publish(1, "", "q", &[], &[0x10, 0, mode], b"x"));
    }
    each_row([("zero", 0), ("three", 3), ("highest", 255)], |mode| {
        let mut peer = Peer091::opened(&broker);
        peer.send(publish(1, "", "q", &[], &[0x10, 0, mode], b"x"));
        let text = peer.expect_channel_closed_with(1, 406);
        assert_eq!(text, format!("PRECONDITION_FAILED - invalid message: {{delivery_mode_unknown,{mode}}}"));
    });
    assert_eq!(peer.texts("q").len(), 2);
}

#[test]
fn what_is_mandatory_comes_back_if_nobody_wants_it() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    let properties = [0x10, 0, 2];
    let rows = [
        ("no queue", ("", "missing")),
        ("no binding", ("amq.topic", "a.b")),
        ("no binding at all", ("amq.fanout", "")),
    ];
    each_row(rows, |(exchange, key)| {
        peer.send(publish(1, exchange, key, &MANDATORY, &properties, b"come back"));
        let returned = peer.expect_return();
        assert_eq!((returned.number, returned.text()), (312, "come back"));
        assert_eq!((returned.exchange.as_str(), returned.key.as_str()), (exchange, key));
        assert_eq!(returned.properties, properties);
    });
    peer.send(publish(1, "", "q", &MANDATORY, &properties, b"stay"));
    peer.expect_nothing();
    assert_eq!(peer.get("q", true).unwrap().text(), "stay");
    // Without it they are gone.
    peer.publish("", "missing", "lost");
    peer.expect_nothing();
    let counts = broker.counts();
    assert_eq!((counts.queued, counts.dropped), (1, 4));
}

#[test]
fn immediate_is_not_implemented() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.send(publish(1, "", "q", &[false, true], &NO_PROPERTIES, b"x"));
    peer.expect_closed_with(540);
}

#[test]
fn a_message_may_be_too_large() {
    let broker = Broker::builder().max_message_size(10_000).start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.publish("", "q", vec![b'x'; 10_000]);
    peer.publish("", "q", vec![b'x'; 10_001]);
    let text = peer.expect_channel_closed_with(1, 311);
    assert!(text.starts_with("CONTENT_TOO_LARGE"), "{text}");
    peer.open_channel(1);
    assert_eq!(peer.declare("q"), (1, 0));
    // Refused by its header, before any of the body is there.
    peer.send(method(1, PUBLISH).short(0).shortstr("").shortstr("q").bits(&[]));
    peer.send(content_header(1, 1 << 60, &[0, 0]));
    peer.expect_channel_closed_with(1, 311);
}
