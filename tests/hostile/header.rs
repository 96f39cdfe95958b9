//! 2.2: version negotiation.

use fakebroker::Broker;

use crate::scene::Scene;
use crate::support::*;

/// The first bytes of a TLS 1.2 client: a handshake record with a ClientHello.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03\
    0123456789abcdef0123456789abcdef\x00\x00\x04\x13\x01\x00\x2f\x01\x00";

#[test]
fn a_header_that_is_not_ours_gets_ours_and_the_socket_is_closed() {
    let mut open = Scene::new();
    let guarded = Broker::builder().user("guest", "secret").start().unwrap();

    // 2.2: the answer is a header that we do support, then the socket is closed.
    let rows: [(&str, &[u8]); 14] = [
        ("AMQX", b"AMQX\x00\x01\x00\x00"),
        ("lower case", b"amqp\x00\x01\x00\x00"),
        ("nothing but zeros", &[0; 8]),
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("a major version too high", b"AMQP\x00\x02\x00\x00"),
        ("a minor version too high", b"AMQP\x00\x01\x01\x00"),
        ("a revision too high", b"AMQP\x00\x01\x00\x01"),
        ("SASL of another version", b"AMQP\x03\x02\x00\x00"),
        ("a version that nobody speaks", b"AMQP\x63\x63\x63\x63"),
        ("TLS, which is not configured", &TLS_HEADER),
        ("protocol id 255", b"AMQP\xff\x01\x00\x00"),
        ("protocol id 1", b"AMQP\x01\x01\x00\x00"),
        ("a TLS ClientHello", CLIENT_HELLO),
        ("a frame instead of a header", &EMPTY_FRAME),
    ];
    each_row(rows, |bytes| {
        let mut peer = Peer::connect(&open.broker);
        peer.send(bytes);
        // Who asked for SASL in another way may be answered in kind.
        let asked_for_sasl = bytes.starts_with(&SASL_HEADER[..5]);
        match peer.hear() {
            Heard::Header(AMQP_HEADER) => {}
            Heard::Header(SASL_HEADER) if asked_for_sasl => {}
            other => peer.fail(&format!("a header that we support was expected; came {other:?}")),
        }
        peer.expect_eof();
        open.undisturbed();

        let mut peer = Peer::connect(&guarded);
        peer.send(bytes);
        peer.expect_header(SASL_HEADER);
        peer.expect_eof();
    });
    open.until_alone();
}

#[test]
fn no_way_around_sasl_where_it_is_required() {
    let broker = Broker::builder().user("guest", "secret").start().unwrap();
    // 2.2: id 0 where SASL is required; what follows in the same segment is not looked at.
    let mut peer = Peer::connect(&broker);
    peer.send([&AMQP_HEADER[..], &open().bytes(), &begin().bytes()].concat());
    peer.expect_header(SASL_HEADER);
    peer.expect_eof();
}

#[test]
fn a_header_cut_short_by_fin_leaves_nothing_behind() {
    let mut scene = Scene::new();
    let rows: [(&str, &[u8]); 5] =
        [("nothing", b""), ("A", b"A"), ("AMQ", b"AMQ"), ("AMQP", b"AMQP"), ("seven bytes", b"AMQP\x00\x01\x00")];
    each_row(rows, |bytes| {
        let mut peer = Peer::connect(&scene.broker);
        peer.send(bytes);
        peer.hang_up();
        for heard in peer.drain_to_eof() {
            assert_eq!(heard, Heard::Header(AMQP_HEADER), "at most our header");
        }
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn a_header_in_any_number_of_segments_works() {
    let mut scene = Scene::new();
    for header in [AMQP_HEADER, SASL_HEADER] {
        let mut peer = Peer::connect(&scene.broker);
        peer.send_byte_by_byte(header);
        peer.expect_header(header);
    }
    let mut peer = Peer::greeted(&scene.broker);
    peer.send_byte_by_byte(open());
    peer.expect_open();
    peer.begin(begin());
    peer.close();
    scene.undisturbed();
    scene.until_alone();
}

#[test]
fn everything_up_to_the_flow_in_one_segment_works() {
    let mut scene = Scene::new();
    // The way oslo.messaging does it: begin, attach and flow before the broker has said anything, so the flow
    // has no next-incoming-id (2.7.4 wants one only once the peer's begin is known).
    let mut peer = Peer::connect(&scene.broker);
    let flow = flow().without("next-incoming-id").with("handle", 0u32).with("link-credit", 10u32);
    let frames = [open(), begin(), attach_receiver("r", 0, "queue.early"), flow.with("delivery-count", 0u32)];
    let frames: Vec<u8> = frames.iter().flat_map(Performative::bytes).collect();
    peer.send([&AMQP_HEADER[..], &frames].concat());
    peer.expect_header(AMQP_HEADER);
    peer.expect_open();
    peer.expect_begin();
    peer.expect_attach();
    peer.attach_sender("s", 1, "queue.early");
    peer.send_message(1, "hello");
    let heard = peer.round_trip();
    let delivered = heard.iter().find(|frame| frame.code() == TRANSFER).expect("a transfer");
    assert_eq!(text(&delivered.payload), "hello");
    scene.undisturbed();
}
