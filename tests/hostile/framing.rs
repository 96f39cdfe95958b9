//! 2.3: framing.

use fakebroker::Broker;

use crate::scene::Scene;
use crate::support::*;

/// Frames of eight bytes or more that 2.3 does not allow.
fn broken_frames() -> Vec<(&'static str, Vec<u8>)> {
    let flow = flow().body();
    vec![
        ("size 0", frame_with_size(0, 2, 0, 0, b"")),
        ("size 1", frame_with_size(1, 2, 0, 0, b"")),
        ("size 2", frame_with_size(2, 2, 0, 0, b"")),
        ("size 3", frame_with_size(3, 2, 0, 0, b"")),
        ("size 4", frame_with_size(4, 2, 0, 0, b"")),
        ("size 5", frame_with_size(5, 2, 0, 0, b"")),
        ("size 6", frame_with_size(6, 2, 0, 0, b"")),
        ("size 7", frame_with_size(7, 2, 0, 0, b"")),
        // The size alone is enough to know: nothing has to follow.
        ("size 4 GiB", frame_with_size(u32::MAX, 2, 0, 0, b"")),
        ("size 2 GiB", frame_with_size(1 << 31, 2, 0, 0, b"")),
        ("size one over our max-frame-size", frame_with_size(65_537, 2, 0, 0, b"")),
        ("data offset 0", frame(0, 0, 0, &flow)),
        ("data offset 1", frame(1, 0, 0, &flow)),
        ("data offset 3 in an empty frame", frame(3, 0, 0, b"")),
        ("data offset one beyond the frame", frame(4, 0, 0, b"1234567")),
        ("data offset 255", frame(255, 0, 0, &flow)),
        ("frame type 2", frame(2, 2, 0, &flow)),
        ("frame type 255", frame(2, 255, 0, &flow)),
        ("SASL type after SASL", frame(2, 1, 0, &flow)),
        ("a SASL frame after SASL", sasl_init("ANONYMOUS", b"").bytes()),
        ("an empty frame of SASL type", frame(2, 1, 0, b"")),
    ]
}

#[test]
fn a_broken_frame_closes_with_framing_error() {
    let mut scene = Scene::new();
    each_row(broken_frames(), |bytes| {
        let mut peer = scene.peer();
        peer.send(&bytes);
        peer.expect_closed_with(FRAMING_ERROR);
        scene.undisturbed();

        // A valid frame behind it is not looked at.
        let mut peer = scene.peer();
        peer.try_send([bytes, begin().on_channel(1).bytes()].concat());
        peer.expect_closed_with(FRAMING_ERROR);
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn a_broken_frame_instead_of_open_closes_with_framing_error() {
    let mut scene = Scene::new();
    each_row(broken_frames(), |bytes| {
        let mut peer = Peer::greeted(&scene.broker);
        peer.send(&bytes);
        peer.expect_refused_with(FRAMING_ERROR);
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn an_empty_frame_beyond_channel_max_closes_with_framing_error() {
    let mut scene = Scene::new();
    each_row([("one over", 1024), ("the highest", u16::MAX)], |channel| {
        let mut peer = scene.peer();
        peer.send(frame(2, 0, channel, b""));
        peer.expect_closed_with(FRAMING_ERROR);
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn empty_frames_are_fine_anywhere() {
    let mut scene = Scene::new();
    let mut peer = Peer::greeted(&scene.broker);
    // 2.3.1: before open, with an extended header, and on a channel that is in use or is not.
    for bytes in [&EMPTY_FRAME[..], &frame(3, 0, 0, b"more"), &frame(2, 0, 7, b"")] {
        peer.send(bytes);
        peer.send_byte_by_byte(bytes);
    }
    peer.send(open());
    peer.expect_open();
    peer.begin(begin());
    peer.send(EMPTY_FRAME.repeat(1000));
    peer.send(frame(2, 0, 1023, b""));
    peer.expect_nothing();
    peer.close();
    scene.undisturbed();
}

#[test]
fn an_extended_header_is_skipped() {
    let mut scene = Scene::new();
    let mut peer = Peer::greeted(&scene.broker);
    peer.send(frame(4, 0, 0, &[b"whatever", &open().body()[..]].concat()));
    peer.expect_open();
    // As long as it can be: 255 words, of which two are the frame header itself.
    peer.send(frame(255, 0, 0, &[vec![0xff; 253 * 4], begin().body()].concat()));
    peer.expect_begin();
    peer.close();
    scene.undisturbed();
}

#[test]
fn a_frame_as_large_as_we_allow_is_taken() {
    let mut scene = Scene::new();
    let mut peer = Peer::greeted(&scene.broker);
    peer.send(open());
    let allowed = peer.expect_open().number("max-frame-size") as usize;
    assert_eq!(allowed, 65_536);
    peer.begin(begin());
    peer.attach_receiver("r", 0, "large", 1);
    peer.attach_sender("s", 1, "large");
    let overhead = transfer(1, 0).bytes().len();
    let largest = transfer(1, 0).with_payload(vec![b'x'; allowed - overhead]);
    assert_eq!(largest.bytes().len(), allowed);
    peer.send(&largest);
    let heard = peer.round_trip();
    let parts = heard.iter().filter(|frame| frame.code() == TRANSFER);
    let payload: Vec<u8> = parts.flat_map(|part| part.payload.clone()).collect();
    assert_eq!(payload, largest.payload);
    scene.undisturbed();
}

#[test]
fn bytes_after_a_performative_that_takes_none_close_with_decode_error() {
    let mut scene = Scene::new();
    let rows = [
        ("begin", begin().on_channel(1)),
        ("attach", attach_sender("s", 0, "a")),
        ("flow", flow()),
        ("disposition", disposition(RECEIVER, 0, accepted())),
        ("detach", detach(0)),
        ("end", end()),
        ("close", close()),
    ];
    each_row(rows, |performative| {
        for junk in [&b"\x40"[..], b"\x00", &message("hello")] {
            let mut peer = scene.peer();
            peer.send(performative.clone().with_payload(junk));
            peer.expect_closed_with(DECODE_ERROR);
            scene.undisturbed();
        }
    });
    let mut peer = Peer::greeted(&scene.broker);
    peer.send(open().with_payload(&b"\x40"[..]));
    peer.expect_refused_with(DECODE_ERROR);
    scene.undisturbed();
    scene.until_alone();
}

/// Sends a whole connection in pieces of `size` bytes. Returns all answers but flows, which may be any number, in an order that
/// does not depend on the broker's turns.
fn answers_in_pieces_of(broker: &Broker, size: usize) -> Vec<String> {
    let until_the_messages = [
        open(),
        begin(),
        attach_receiver("r", 0, "split"),
        flow().with("handle", 0u32).with("delivery-count", 0u32).with("link-credit", 5u32),
        attach_sender("s", 1, "split"),
        transfer(1, 0).with_payload(message("one")),
        transfer(1, 1).with("more", true).with_payload(&message("two")[..5]),
        continuation(1).with_payload(&message("two")[5..]),
    ];
    let until_the_end = [detach(0), detach(1), end(), close()];
    let bytes = |frames: &[Performative]| frames.iter().flat_map(Performative::bytes).collect::<Vec<u8>>();

    let mut peer = Peer::connect(broker);
    for piece in [&AMQP_HEADER[..], &bytes(&until_the_messages)].concat().chunks(size) {
        peer.send(piece);
    }
    let mut heard = Vec::new();
    let mut awaited = 4; // two deliveries and their outcomes
    while awaited > 0 {
        match peer.hear() {
            Heard::Frame(frame) if frame.code() == TRANSFER => {
                awaited -= 1;
                heard.push(format!("{frame:?}"));
            }
            Heard::Frame(frame) if frame.code() == DISPOSITION => {
                let first = frame.number("first");
                let last = if frame.get("last") == Value::Null { first } else { frame.number("last") };
                for delivery_id in first..=last {
                    awaited -= 1;
                    heard.push(format!("{delivery_id} {:?} {:?}", frame.get("state"), frame.get("settled")));
                }
            }
            Heard::Frame(frame) if frame.code() == FLOW => {}
            other => heard.push(format!("{other:?}")),
        }
    }
    for piece in bytes(&until_the_end).chunks(size) {
        peer.send(piece);
    }
    let rest = peer.drain_to_eof().into_iter();
    let rest = rest.filter(|heard| !matches!(heard, Heard::Frame(frame) if frame.code() == FLOW));
    heard.extend(rest.map(|heard| format!("{heard:?}")));
    heard.sort();
    heard
}

#[test]
fn any_split_into_segments_gives_the_same_answers() {
    let mut scene = Scene::new();
    let whole = answers_in_pieces_of(&scene.broker, usize::MAX);
    assert!(whole.iter().any(|answer| answer.contains("close")), "{whole:?}");
    let rows = [("1", 1), ("2", 2), ("3", 3), ("5", 5), ("7", 7), ("8", 8), ("9", 9), ("64", 64), ("100", 100)];
    each_row(rows, |size| {
        assert_eq!(answers_in_pieces_of(&scene.broker, size), whole);
        scene.undisturbed();
    });
    scene.until_alone();
}
