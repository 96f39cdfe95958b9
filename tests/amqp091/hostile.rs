//! Bad input: what arrives, what must happen. Whatever it is, somebody else goes on undisturbed and nothing is left behind.

use std::time::Duration;

use fakebroker::Broker;

use crate::support::{each_row, expect_eight_times_as_much_costs_at_most, until};
use crate::support091::*;

const HOUR: Duration = Duration::from_secs(3600);

/// A broker and somebody else at it.
struct Scene {
    broker: Broker,
    bystander: Bystander091,
}

impl Scene {
    fn new() -> Scene {
        Scene::of(Broker::start().unwrap())
    }

    fn of(broker: Broker) -> Scene {
        let bystander = Bystander091::new(&broker);
        Scene { broker, bystander }
    }

    #[track_caller]
    fn peer(&self) -> Peer091 {
        Peer091::opened(&self.broker)
    }

    #[track_caller]
    fn undisturbed(&mut self) {
        self.bystander.undisturbed();
    }

    /// Nobody else is left.
    #[track_caller]
    fn until_alone(&mut self) {
        until(&self.broker, "alone", |counts| counts.connections == 1);
        until(&self.broker, "alone", |counts| counts.sender_links == 1);
        self.undisturbed();
        let counts = self.broker.counts();
        assert_eq!((counts.sender_links, counts.receiver_links), (1, 1), "{counts:?}");
    }
}

/// Each of them, sent by an opened peer, closes its connection with the code.
fn close_the_connection(rows: impl IntoIterator<Item = (&'static str, (Vec<u8>, u16))>) {
    let mut scene = Scene::new();
    each_row(rows, |(bytes, code)| {
        let mut peer = scene.peer();
        peer.send(&bytes);
        peer.expect_closed_with(code);
        scene.undisturbed();

        // A byte at a time is the same; what follows is not looked at.
        let mut peer = scene.peer();
        for byte in bytes.iter().chain(b"anything") {
            if !peer.try_send([*byte]) {
                break;
            }
        }
        peer.expect_closed_with(code);
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn broken_frames() {
    let flow = method(1, FLOW).bits(&[true]);
    let rows = [
        ("no frame-end", frame091_with_size(METHOD, 1, 5, &flow.payload, 0), 501),
        ("a frame-end off by one", frame091_with_size(METHOD, 1, 4, &flow.payload, 0xce), 501),
        ("size 4 GiB", frame091_with_size(METHOD, 1, u32::MAX, b"", 0xce), 501),
        ("size 2 GiB", frame091_with_size(BODY, 1, 1 << 31, b"", 0xce), 501),
        ("size one over frame-max", frame091_with_size(METHOD, 1, 4089, b"", 0xce), 501),
        ("frame type 0", frame091(0, 1, &flow.payload), 501),
        ("frame type 4", frame091(4, 1, &flow.payload), 501),
        ("frame type 255", frame091(255, 1, b""), 501),
        ("an empty method frame", frame091(METHOD, 1, b""), 502),
        ("a method frame of three octets", frame091(METHOD, 1, b"\0\x14\0"), 502),
        ("a heartbeat with a payload", frame091(HEARTBEAT, 0, b"x"), 501),
        ("a heartbeat on a channel", frame091(HEARTBEAT, 1, b""), 503),
        ("an AMQP header in mid-stream", HEADER_0_9_1.to_vec(), 501),
        ("an HTTP request in mid-stream", b"GET / HTTP/1.1\r\n\r\n".to_vec(), 501),
    ];
    close_the_connection(rows.map(|(name, bytes, code)| (name, (bytes, code))));
}

#[test]
fn channels_and_classes_out_of_place() {
    let rows = [
        ("a method of a channel on channel 0", method(0, FLOW).bits(&[true]).bytes(), 503),
        ("a publish on channel 0", publish(0, "", "q", &[], &NO_PROPERTIES, b"x"), 503),
        ("a header on channel 0", content_header(0, 1, &NO_PROPERTIES), 503),
        ("a body on channel 0", body(0, b"x"), 503),
        ("a connection method on a channel", method(1, CLOSE_OK).bytes(), 503),
        ("a second open", connection_open("/").bytes(), 503),
        ("a second start-ok", start_ok("PLAIN", "\0guest\0guest", &[]).bytes(), 503),
        ("tune-ok out of turn", tune_ok(0, 0, 0).bytes(), 503),
        ("close-ok for nothing", method(0, CLOSE_OK).bytes(), 503),
        ("a method on a channel that is not open", method(2, FLOW).bits(&[true]).bytes(), 504),
        ("a publish on a channel that is not open", publish(2, "", "q", &[], &NO_PROPERTIES, b"x"), 504),
        ("content on a channel that is not open", content_header(2, 1, &NO_PROPERTIES), 504),
        (
            "close on a channel that is not open",
            method(9, CHANNEL_CLOSE).short(0).shortstr("").short(0).short(0).bytes(),
            504,
        ),
        ("close-ok on a channel that is open", method(1, CHANNEL_CLOSE_OK).bytes(), 503),
        ("a channel opened twice", method(1, CHANNEL_OPEN).shortstr("").bytes(), 504),
        ("a channel above channel-max", method(2048, CHANNEL_OPEN).shortstr("").bytes(), 504),
        ("the highest channel", method(u16::MAX, CHANNEL_OPEN).shortstr("").bytes(), 504),
        ("an unknown class", method(1, (99, 10)).bytes(), 503),
        ("class 0", method(1, (0, 0)).bytes(), 503),
        ("an unknown method", method(1, (60, 99)).bytes(), 503),
        ("an unknown connection method", method(0, (10, 99)).bytes(), 503),
        ("the file class", method(1, (70, 10)).bytes(), 540),
        ("the stream class", method(1, (80, 10)).bytes(), 540),
        ("what only a server sends", method(1, CONSUME_OK).shortstr("c").bytes(), 503),
        (
            "a delivery from a client",
            method(1, DELIVER).shortstr("c").longlong(1).bits(&[]).shortstr("").shortstr("").bytes(),
            503,
        ),
        (
            "start from a client",
            method(0, START).octet(0).octet(9).table(&[]).longstr("PLAIN").longstr("en_US").bytes(),
            503,
        ),
    ];
    close_the_connection(rows.map(|(name, bytes, code)| (name, (bytes, code))));
}

#[test]
fn contents_out_of_place() {
    let start = method(1, PUBLISH).short(0).shortstr("").shortstr("bystander?").bits(&[]).bytes();
    let header = |size| content_header(1, size, &NO_PROPERTIES);
    let of_class = |class: u8, weight: u8| frame091(HEADER, 1, &[0, class, 0, weight, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let rows = [
        ("a header without a method", header(1), 505),
        ("a body without a method", body(1, b"x"), 505),
        ("a body without a header", [start.clone(), body(1, b"x")].concat(), 505),
        ("a second header", [start.clone(), header(2), header(2)].concat(), 505),
        ("a method where a header is expected", [start.clone(), method(1, FLOW).bits(&[true]).bytes()].concat(), 505),
        ("a publish where a header is expected", [start.clone(), start.clone()].concat(), 505),
        (
            "a method where a body is expected",
            [start.clone(), header(2), body(1, b"x"), method(1, FLOW).bits(&[true]).bytes()].concat(),
            505,
        ),
        (
            "a whole publish where a body is expected",
            [start.clone(), header(2), publish(1, "", "q", &[], &NO_PROPERTIES, b"x")].concat(),
            505,
        ),
        ("a body larger than announced", [start.clone(), header(2), body(1, b"xxx")].concat(), 505),
        (
            "a second body larger than announced",
            [start.clone(), header(2), body(1, b"x"), body(1, b"xx")].concat(),
            505,
        ),
        ("a body behind an empty content", [start.clone(), header(0), body(1, b"x")].concat(), 505),
        ("another class in the header", [start.clone(), of_class(50, 0)].concat(), 505),
        ("a weight in the header", [start.clone(), of_class(60, 1)].concat(), 505),
        ("an empty header", [start.clone(), frame091(HEADER, 1, b"")].concat(), 505),
        ("a header that ends in its size", [start, frame091(HEADER, 1, b"\0\x3c\0\0\0\0\0\0")].concat(), 505),
    ];
    close_the_connection(rows.map(|(name, bytes, code)| (name, (bytes, code))));
}

/// A table within a table, `levels` deep.
fn nested(levels: usize) -> Vec<u8> {
    (0..levels).fold(Vec::new(), |inner, _| table_entry("t", &[inner]))
}

#[test]
fn arguments_that_cannot_be_read() {
    let declare = |table: &[u8]| method(1, QUEUE_DECLARE).short(0).shortstr("q").bits(&[]).raw(table).bytes();
    let headers = |entries: &[u8]| publish(1, "", "q", &[], &[&[0x20, 0][..], &sized(entries)].concat(), b"x");
    let properties = |bytes: &[u8]| publish(1, "", "q", &[], bytes, b"x");
    let rows = [
        ("a shortstr longer than the rest", method(1, CANCEL).octet(255).raw(b"c").bytes()),
        ("a shortstr that is not UTF-8", method(1, CANCEL).shortstr(b"\xff").bits(&[false]).bytes()),
        ("a queue name that is not UTF-8", method(1, GET).short(0).shortstr(b"q\xc3").bits(&[false]).bytes()),
        ("an argument missing", method(1, ACK).longlong(1).bytes()),
        ("a byte too many", method(1, ACK).longlong(1).bits(&[true]).octet(0).bytes()),
        ("a table longer than the rest", declare(&[0, 0, 0, 9, 1, b'k'])),
        ("a table of 4 GiB", declare(&[0xff, 0xff, 0xff, 0xff])),
        ("a table with an unknown type", declare(&sized(&entry("k", b'z', "")))),
        ("a table with a type cut off", declare(&sized(b"\x01k"))),
        ("a table with a name cut off", declare(&sized(b"\x05k"))),
        ("a string in a table longer than it", declare(&sized(&entry("k", b'S', [0, 0, 0, 9])))),
        ("an array in a table longer than it", declare(&sized(&entry("k", b'A', [0xff; 4])))),
        ("an array with an unknown type", declare(&sized(&entry("k", b'A', sized(b"z"))))),
        ("tables nested too deep", declare(&sized(&nested(40)))),
        ("tables nested very deep", declare(&sized(&nested(500)))),
        ("headers with an unknown type", headers(&entry("k", b'?', ""))),
        ("headers nested very deep", headers(&nested(500))),
        ("headers longer than the rest", properties(&[0x20, 0, 0, 0, 0, 9])),
        ("a property that is not there", properties(&[0x80, 0])),
        ("a byte behind the properties", properties(&[0, 0, 0])),
        ("a flag that the class does not have", properties(&[0, 2])),
        ("more flags than there are", properties(&[0, 1, 0, 0])),
        ("no flags", properties(&[])),
        (
            "a routing key that is not UTF-8",
            [
                method(1, PUBLISH).short(0).shortstr("").shortstr(b"\xff").bits(&[]).bytes(),
                content_header(1, 0, &NO_PROPERTIES),
            ]
            .concat(),
        ),
        (
            "an exchange name that is not UTF-8",
            [
                method(1, PUBLISH).short(0).shortstr(b"\xff").shortstr("").bits(&[]).bytes(),
                content_header(1, 0, &NO_PROPERTIES),
            ]
            .concat(),
        ),
        (
            "a publish without its bits",
            [method(1, PUBLISH).short(0).shortstr("").shortstr("q").bytes(), content_header(1, 0, &NO_PROPERTIES)]
                .concat(),
        ),
        (
            "a publish with a byte too many",
            [
                method(1, PUBLISH).short(0).shortstr("").shortstr("q").short(0).bytes(),
                content_header(1, 0, &NO_PROPERTIES),
            ]
            .concat(),
        ),
    ];
    close_the_connection(rows.map(|(name, bytes)| (name, (bytes, 502))));
}

#[test]
fn before_the_connection_is_open() {
    let mut scene = Scene::new();
    let rows = [
        ("a channel", method(1, CHANNEL_OPEN).shortstr("").bytes(), 503),
        ("open before start-ok", connection_open("/").bytes(), 503),
        ("a publish", publish(1, "", "q", &[], &NO_PROPERTIES, b"x"), 503),
        ("content", body(1, b"x"), 505),
        ("a huge frame", frame091_with_size(METHOD, 0, u32::MAX, b"", 0), 501),
        ("a frame one octet larger than frame-min-size", frame091_with_size(METHOD, 0, 4089, b"", 0xce), 501),
        (
            "client properties of an unknown type",
            method(0, START_OK).table(&[entry("k", b'z', "")]).shortstr("PLAIN").longstr("").shortstr("").bytes(),
            502,
        ),
    ];
    each_row(rows.map(|(name, bytes, code)| (name, (bytes, code))), |(bytes, code)| {
        let mut peer = Peer091::greeted(&scene.broker, HEADER_0_9_1);
        peer.send(&bytes);
        peer.expect_closed_with(code);
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn headers_that_are_none_of_ours() {
    let mut scene = Scene::new();
    // Each is answered with the header that comes nearest to what it should have been.
    const OF_1_0: &[u8; 8] = b"AMQP\x00\x01\x00\x00";
    let rows = [
        ("0-9-2", (&b"AMQP\x00\x00\x09\x02"[..], HEADER_0_9_1)),
        ("0-10", (b"AMQP\x01\x01\x00\x0a", HEADER_0_9_1)),
        ("8-1", (b"AMQP\x01\x01\x08\x01", HEADER_0_9_1)),
        ("the beginning of 0-9-1, and another end", (b"AMQP\x00\x00\x08\x01", HEADER_0_9_1)),
        ("1.0 with TLS", (b"AMQP\x02\x01\x00\x00", OF_1_0)),
        ("1.1", (b"AMQP\x00\x01\x01\x00", OF_1_0)),
        ("HTTP", (b"GET / HTTP/1.1\r\n\r\n", OF_1_0)),
    ];
    each_row(rows, |(bytes, answer)| {
        let mut peer = Peer091::connect(&scene.broker);
        peer.send(bytes);
        assert_eq!(peer.hear(), Heard091::Protocol(*answer));
        peer.expect_eof();
        scene.undisturbed();
    });
    // Cut off: nothing is left.
    for size in 1..8 {
        let mut peer = Peer091::connect(&scene.broker);
        peer.send(&HEADER_0_9_1[..size]);
        peer.hang_up();
        peer.expect_eof();
    }
    scene.until_alone();
}

#[test]
fn who_takes_too_long_is_dropped() {
    let broker = Broker::builder().handshake_timeout(HOUR).manual_clock().start().unwrap();
    let until_dropped: [(&str, &[&[u8]]); 4] = [
        ("nothing", &[]),
        ("half a header", &[b"AMQP\x00"]),
        ("a header", &[HEADER_0_9_1]),
        ("half a frame", &[HEADER_0_9_1, b"\x01\x00\x00\x00\x00\x00\x20"]),
    ];
    each_row(until_dropped, |pieces| {
        let mut peer = Peer091::connect(&broker);
        pieces.iter().for_each(|piece| peer.send(piece));
        if pieces.contains(&&HEADER_0_9_1[..]) {
            peer.expect(START);
        }
        until(&broker, "it is there", |counts| counts.connections == 1);
        broker.advance(HOUR);
        peer.expect_eof();
    });
}

#[test]
fn who_does_not_answer_our_close_is_dropped() {
    let broker = Broker::builder().linger(HOUR).manual_clock().start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.send(method(1, (99, 99)));
    peer.expect(CLOSE);
    // It is not listened to any more, either.
    peer.send(queue_declare(1, "q", &[]));
    broker.advance(HOUR);
    assert_eq!(broker.counts().connections, 0);
    peer.expect_eof();
}

#[test]
fn who_does_not_end_the_stream_after_its_close_is_dropped() {
    let broker = Broker::builder().linger(HOUR).manual_clock().start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.send(method(0, CLOSE).short(200).shortstr("").short(0).short(0));
    peer.expect(CLOSE_OK);
    broker.advance(HOUR);
    assert_eq!(broker.counts().connections, 0);
    peer.expect_eof();
}

#[test]
fn a_content_cut_off_leaves_nothing() {
    let mut scene = Scene::new();
    let whole = publish(1, "", "q", &[], &NO_PROPERTIES, &[b'x'; 5000]);
    for cut in [1, 20, 40, 60, 4000, 5000] {
        let mut peer = scene.peer();
        peer.declare("q");
        peer.send(&whole[..cut]);
        if cut % 40 == 0 {
            peer.reset()
        } else {
            peer.hang_up()
        }
        scene.undisturbed();
    }
    scene.until_alone();
    assert_eq!(scene.peer().declare("q"), (0, 0));
}

#[test]
fn too_much_that_is_still_arriving() {
    let mut scene = Scene::of(Broker::builder().max_message_size(10_000).start().unwrap());
    let mut peer = scene.peer();
    // On many channels at once.
    for channel in 2..50 {
        peer.open_channel(channel);
    }
    for channel in 1..50 {
        let start = method(channel, PUBLISH).short(0).shortstr("").shortstr("q").bits(&[]);
        let frames =
            [start.bytes(), content_header(channel, 10_000, &NO_PROPERTIES), body(channel, &[b'x'; 4000])].concat();
        if !peer.try_send(frames) {
            break;
        }
    }
    peer.expect_closed_with(506);
    scene.undisturbed();
    scene.until_alone();
}

#[test]
fn empty_bodies_for_ever_are_nothing() {
    let mut scene = Scene::new();
    let mut peer = scene.peer();
    peer.declare("q");
    peer.send(
        [
            method(1, PUBLISH).short(0).shortstr("").shortstr("q").bits(&[]).bytes(),
            content_header(1, 1, &NO_PROPERTIES),
        ]
        .concat(),
    );
    for _ in 0..100 {
        peer.send(body(1, b"").repeat(1000));
    }
    peer.send(body(1, b"x"));
    assert_eq!(peer.get("q", true).unwrap().text(), "x");
    scene.undisturbed();
}

#[test]
fn too_many_consumers() {
    let mut scene = Scene::of(Broker::builder().max_links(10).start().unwrap());
    let mut peer = scene.peer();
    peer.declare("q");
    for n in 0..9 {
        peer.consume("q", &n.to_string());
    }
    peer.send(consume(1, "q", "ten", &[]));
    peer.expect_closed_with(506);
    scene.undisturbed();
    scene.until_alone();
}

#[test]
fn what_nobody_reads_is_bounded() {
    let mut scene = Scene::new();
    let mut peer = scene.peer();
    peer.declare("q");
    peer.publish("", "q", vec![b'x'; 100_000]);
    // 200 gigabytes of answers, if all were given: the message is got and given back.
    let ask = [
        method(1, GET).short(0).shortstr("q").bits(&[false]).bytes(),
        method(1, NACK).longlong(0).bits(&[true, true]).bytes(),
    ]
    .concat()
    .repeat(1000);
    let limit = 2000 * ask.len();
    let asked = peer.send_until_unread(&ask, limit, || scene.undisturbed());
    assert!(asked < limit, "the broker goes on listening to somebody who does not read");
    scene.undisturbed();
    peer.reset();
    scene.until_alone();
}

#[test]
fn a_reader_that_stops_holds_up_nobody() {
    let mut scene = Scene::new();
    let mut slow = scene.peer();
    slow.declare("q");
    slow.send(consume(1, "q", "slow", &[false, true]));
    slow.expect(CONSUME_OK);
    let mut sender = scene.peer();
    for _ in 0..200 {
        sender.publish("", "q", vec![b'x'; 100_000]);
        scene.undisturbed();
    }
    // Most of it waits in the queue, where others could have it.
    let (messages, _) = sender.declare("q");
    assert!(messages > 50, "{messages} messages wait");
    for _ in 0..200 {
        assert_eq!(slow.expect_delivery().body.len(), 100_000);
    }
    assert_eq!(sender.declare("q"), (0, 1));
    scene.undisturbed();
}

#[test]
fn what_is_declared_is_bounded() {
    let mut scene = Scene::new();
    let mut peer = scene.peer();
    let no_wait = [false, false, false, false, true];
    let declare = |n: usize| exchange_declare(1, &format!("e{n}"), "direct", &no_wait).bytes();
    for first in (0..66_000).step_by(1000) {
        peer.try_send((first..first + 1000).flat_map(declare).collect::<Vec<u8>>());
    }
    peer.expect_closed_with(506);
    // Bindings cost what their arguments do.
    let mut peer = scene.peer();
    peer.declare("q");
    let arguments = [text_entry("padding", &"x".repeat(3900))];
    for n in 0..10_000 {
        let bind = queue_bind(1, QUEUE_BIND, "q", "amq.headers", &n.to_string(), &arguments);
        if !peer.try_send(bind) {
            break;
        }
    }
    peer.expect_closed_with(506);
    // As do those of queues.
    let mut peer = scene.peer();
    for n in 0..10_000 {
        let start = method(1, QUEUE_DECLARE).short(0).shortstr(n.to_string());
        if !peer.try_send(start.bits(&no_wait).table(&arguments)) {
            break;
        }
    }
    peer.expect_channel_closed_with(1, 506);
    scene.undisturbed();
}

#[test]
#[cfg(target_os = "linux")]
fn the_cost_of_many_headers_grows_no_faster_than_they_do() {
    let start = || Broker::start().unwrap();
    expect_eight_times_as_much_costs_at_most(24, 50, start, |broker, count| {
        let mut peer = Peer091::opened(broker);
        peer.declare("q");
        let names =
            |letter: char| (0..count).map(move |n| entry(&format!("{letter}{n}"), b'V', [])).collect::<Vec<_>>();
        let any = [vec![text_entry("x-match", "any")], names('a')].concat();
        for n in 0..200 {
            peer.send(queue_bind(1, QUEUE_BIND, "q", "amq.headers", &n.to_string(), &any));
            peer.expect(QUEUE_BIND_OK);
        }
        let properties = [vec![0x20, 0], sized(&names('b').concat())].concat();
        for _ in 0..20 {
            peer.send(publish(1, "amq.headers", "", &[], &properties, b"x"));
        }
        peer.expect_nothing();
    });
}
