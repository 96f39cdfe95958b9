//! 2.7.1 open, 2.7.2 begin, and what may stand before them.

use std::time::Duration;

use fakebroker::Broker;

use crate::scene::Scene;
use crate::support::*;

#[test]
fn anything_before_open_closes_with_illegal_state() {
    let mut scene = Scene::new();
    // 2.4.1: open comes first.
    let rows = [
        ("begin", begin()),
        ("attach", attach_sender("s", 0, "a")),
        ("flow", flow()),
        ("transfer", transfer(0, 0).with_payload(message("hello"))),
        ("disposition", disposition(RECEIVER, 0, accepted())),
        ("detach", detach(0)),
        ("end", end()),
    ];
    each_row(rows, |performative| {
        let mut peer = Peer::greeted(&scene.broker);
        peer.send([performative.bytes(), open().bytes()].concat());
        peer.expect_refused_with(ILLEGAL_STATE);
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn a_close_as_the_first_frame_ends_the_connection_at_once() {
    // Time stands: no deadline ends the connection.
    let mut scene = Scene::of(Broker::builder().manual_clock());
    each_row([("without a reason", close()), ("with one", close().with("error", error("x:y", "why")))], |close| {
        let mut peer = Peer::greeted(&scene.broker);
        peer.send(close);
        // No close of the peer's is awaited: it has been.
        peer.expect_open();
        peer.expect_close_with(ILLEGAL_STATE);
        peer.expect_eof();
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn a_second_open_closes_with_illegal_state() {
    let mut scene = Scene::new();
    let mut peer = scene.peer();
    peer.send(open());
    peer.expect_closed_with(ILLEGAL_STATE);
    let mut peer = Peer::greeted(&scene.broker);
    peer.send([open().bytes(), open().bytes()].concat());
    peer.expect_refused_with(ILLEGAL_STATE);
    scene.undisturbed();
    scene.until_alone();
}

#[test]
fn open_on_another_channel_closes_with_framing_error() {
    let mut scene = Scene::new();
    // 2.7.1: open is on channel 0.
    each_row([("channel 1", 1), ("the highest channel we have", 1023), ("the highest channel", u16::MAX)], |channel| {
        let mut peer = Peer::greeted(&scene.broker);
        peer.send(open().on_channel(channel));
        peer.expect_refused_with(FRAMING_ERROR);
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn a_small_max_frame_size_holds_for_all_our_frames() {
    let mut scene = Scene::new();
    // 2.7.1: nobody may ask for less than 512; who does gets 512. The scripted peer checks every frame.
    each_row([("0", 0), ("1", 1), ("511", 511), ("512", 512)], |size: u32| {
        let small = || Peer::opened_with(&scene.broker, open().with("max-frame-size", size), begin());

        // A message that takes many of our frames.
        let mut peer = small();
        peer.attach_receiver("r", 0, "small", 10);
        let mut sender = scene.peer();
        sender.attach_sender("s", 0, "small");
        let payload = message(&"x".repeat(5000));
        sender.send_payload(0, payload.clone());
        assert_eq!(peer.expect_delivery().0, payload);

        // Texts of ours that hold one of the peer's: a rejection with the address, an error with a link name.
        let address = "nowhere.".repeat(100);
        peer.send(attach_anonymous("anonymous", 1));
        peer.expect_attach();
        peer.expect_credit();
        let id = peer.send_payload(1, message_to(&address, "hello"));
        assert_eq!(peer.expect_outcome_of(id).condition(), NOT_FOUND);
        let id = peer.send_payload(1, message_to("short", "hello"));
        assert_eq!(peer.expect_outcome_of(id).condition(), NOT_FOUND);
        let id = peer.send_payload(1, message_to(&"ü".repeat(1000), "hello"));
        assert_eq!(peer.expect_outcome_of(id).condition(), NOT_FOUND);
        peer.send(attach_sender(&"name".repeat(100), 1, "short"));
        peer.expect_end_with(HANDLE_IN_USE);

        // Names and addresses that have to be in our attach, up to more than fits.
        for length in [1, 50, 100, 150, 200, 250, 300, 400, 450, 480, 500, 600, 5000] {
            let mut peer = small();
            let name = "n".repeat(length);
            peer.send(attach_sender(&name, 0, "short"));
            answers_an_attach(&mut peer);
            let mut peer = small();
            peer.send(attach_receiver("short", 0, &"a".repeat(length)));
            answers_an_attach(&mut peer);
            let mut peer = small();
            peer.send(
                attach_sender(&name, 0, &name).with("properties", Value::Map(vec![(symbol(&name), 1u32.into())])),
            );
            answers_an_attach(&mut peer);
        }
        scene.undisturbed();
    });
    scene.until_alone();
}

/// Expects an answer to an attach: either an attach, or a detach, end or close with an error.
#[track_caller]
fn answers_an_attach(peer: &mut Peer) {
    match peer.hear() {
        Heard::Frame(frame) if frame.code() == ATTACH => {}
        Heard::Frame(frame) if matches!(frame.code(), DETACH | END | CLOSE) && !frame.condition().is_empty() => {}
        other => peer.fail(&format!("an answer to the attach was expected; came {other:?}")),
    }
}

#[test]
fn an_idle_timeout_that_cannot_be_kept_closes() {
    let mut scene = Scene::new();
    // 2.4.5: a peer with a timeout that is too short is told so. Ours is 100 ms at least.
    each_row([("1 ms", 1u32), ("50 ms", 50), ("99 ms", 99)], |milliseconds| {
        let mut peer = Peer::greeted(&scene.broker);
        peer.send(open().with("idle-time-out", milliseconds));
        peer.expect_open();
        let close = peer.expect_close();
        assert!(!close.condition().is_empty(), "a reason: {close:?}");
        peer.try_send(crate::support::close());
        peer.expect_eof();
        scene.undisturbed();
    });
    // 2.7.1: zero is no timeout at all.
    Peer::opened_with(&scene.broker, open().with("idle-time-out", 0u32), begin()).close();
    let mut peer = Peer::greeted(&scene.broker);
    peer.send(open().with("idle-time-out", 100u32));
    peer.expect_open();
    for _ in 0..3 {
        peer.expect_empty_frame();
    }
    scene.undisturbed();
}

#[test]
fn a_channel_over_channel_max_closes_with_framing_error() {
    let mut scene = Scene::new();
    let mut narrow = Scene::of(Broker::builder().channel_max(2));
    let rows = [("begin", begin()), ("flow", flow()), ("end", end()), ("attach", attach_sender("s", 0, "a"))];
    each_row(rows, |performative| {
        for channel in [1024, u16::MAX] {
            let mut peer = scene.peer();
            peer.send(performative.clone().on_channel(channel));
            peer.expect_closed_with(FRAMING_ERROR);
        }
        let mut peer = Peer::greeted(&narrow.broker);
        peer.send(open());
        assert_eq!(peer.expect_open().number("channel-max"), 2);
        peer.begin(begin());
        peer.begin(begin().on_channel(2));
        peer.send(performative.on_channel(3));
        peer.expect_closed_with(FRAMING_ERROR);
        scene.undisturbed();
        narrow.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn begin_that_breaks_a_rule() {
    let mut scene = Scene::new();
    let rows = [
        // 2.5.1: a channel has one session.
        ("a second begin on a channel", (begin(), ILLEGAL_STATE)),
        // 2.7.2: remote-channel is for the answer; we begin no sessions.
        ("remote-channel of our session", (begin().on_channel(1).with("remote-channel", 0u16), INVALID_FIELD)),
        ("remote-channel of no session", (begin().on_channel(1).with("remote-channel", 77u16), INVALID_FIELD)),
    ];
    each_row(rows, |(begin, condition)| {
        let mut peer = scene.peer();
        peer.send(begin);
        peer.expect_error_with(condition);
        scene.undisturbed();
    });
    // Frames on a channel without a session belong to nothing.
    let rows = [
        ("attach", attach_sender("s", 0, "a")),
        ("flow", flow()),
        ("transfer", transfer(0, 0).with_payload(message("hello"))),
        ("disposition", disposition(RECEIVER, 0, accepted())),
        ("detach", detach(0)),
        ("end", end()),
    ];
    each_row(rows, |performative| {
        let mut peer = scene.peer();
        peer.send(performative.on_channel(1));
        peer.expect_closed_with(ILLEGAL_STATE);
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn next_outgoing_id_wraps() {
    let mut scene = Scene::new();
    let mut receiver = scene.peer();
    receiver.attach_receiver("r", 0, "wrap", 100);
    each_row([("the last id", u32::MAX), ("two before it", u32::MAX - 2), ("half the circle", 1 << 31)], |first| {
        let mut peer = Peer::opened_with(&scene.broker, open(), begin().with("next-outgoing-id", first));
        peer.attach_sender("s", 0, "wrap");
        for _ in 0..5 {
            let id = peer.send_message(0, "hello");
            assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
            assert_eq!(text(&receiver.expect_transfer().payload), "hello");
        }
        // The broker's view of what it awaits next has wrapped too.
        peer.round_trip();
        peer.send(peer.flow().with("echo", true));
        assert_eq!(peer.expect_flow().number("next-incoming-id"), u64::from(first.wrapping_add(5)));
        peer.close();
        scene.undisturbed();
    });
}

#[test]
fn a_broker_that_serves_so_many_sessions_goes_on() {
    let mut scene = Scene::of(Broker::builder().linger(Duration::from_millis(300)));
    let mut peer = Peer::greeted(&scene.broker);
    peer.send(open());
    peer.expect_open();
    // 1024 sessions are all that channel-max allows.
    let begins: Vec<u8> = (0..1024).flat_map(|channel| begin().on_channel(channel).bytes()).collect();
    peer.send(begins);
    for _ in 0..1024 {
        peer.expect_begin();
    }
    scene.undisturbed();
    let ends: Vec<u8> = (0..1024).flat_map(|channel| end().on_channel(channel).bytes()).collect();
    peer.send(ends);
    for _ in 0..1024 {
        peer.expect_end();
    }
    peer.close();
    scene.until_alone();
}
