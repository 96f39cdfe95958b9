//! 2.4.5 and the broker's own deadlines: peers that send nothing or too little, with a manual clock.

use std::time::Duration;

use fakebroker::Broker;

use crate::scene::Scene;
use crate::support::*;

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

/// The frames that a silent peer may receive before its socket is closed.
#[track_caller]
fn is_dropped(peer: &mut Peer) {
    for heard in peer.drain_to_eof() {
        match heard {
            Heard::Header(_) => {}
            Heard::Frame(frame) if matches!(frame.code(), OPEN | CLOSE | SASL_MECHANISMS | SASL_OUTCOME) => {}
            other => peer.fail(&format!("a peer that never opened hears {other:?}")),
        }
    }
}

#[test]
fn a_peer_that_never_opens_is_dropped() {
    let mut scene = Scene::of(Broker::builder().handshake_timeout(HOUR).manual_clock());
    let init = sasl_init("ANONYMOUS", b"").bytes();
    let rows = [
        ("silent from the start", vec![]),
        ("half a header", AMQP_HEADER[..4].to_vec()),
        ("silent after the header", AMQP_HEADER.to_vec()),
        ("half an open", [&AMQP_HEADER[..], &open().bytes()[..10]].concat()),
        ("empty frames only", [&AMQP_HEADER[..], &EMPTY_FRAME.repeat(3)].concat()),
        ("silent after the SASL header", SASL_HEADER.to_vec()),
        ("half an init", [&SASL_HEADER[..], &init[..10]].concat()),
        ("silent after SASL", [&SASL_HEADER[..], &init].concat()),
        ("silent after the second header", [&SASL_HEADER[..], &init, &AMQP_HEADER].concat()),
    ];
    // All at once, so that they wait together.
    let peers: Vec<_> = rows
        .into_iter()
        .map(|(name, bytes)| {
            let mut peer = Peer::connect(&scene.broker);
            peer.send(bytes);
            (name, peer)
        })
        .collect();
    let all_are_there = |broker: &Broker| broker.counts().connections == 10;
    scene.until("all are there", all_are_there);
    scene.broker.advance(HOUR - SECOND);
    assert!(all_are_there(&scene.broker));
    scene.broker.advance(SECOND);
    each_row(peers, |mut peer| {
        is_dropped(&mut peer);
        scene.undisturbed();
    });
    // Who has opened may be silent as long as it likes: the bystander was there before them all.
    scene.until_alone();
}

#[test]
fn the_handshake_has_one_deadline_in_all() {
    let mut scene = Scene::of(Broker::builder().handshake_timeout(HOUR).manual_clock());
    let rows = [
        ("a header that never ends", b"AMQP\x00\x01\x00".to_vec()),
        (
            "an open of a byte at a time",
            [&AMQP_HEADER[..], &open().with("hostname", "h".repeat(60_000)).bytes()].concat(),
        ),
        ("empty frames a byte at a time", [&AMQP_HEADER[..], &EMPTY_FRAME.repeat(1000)].concat()),
        ("an init of a byte at a time", [&SASL_HEADER[..], &sasl_init("ANONYMOUS", &[b'x'; 6000]).bytes()].concat()),
    ];
    each_row(rows, |bytes| {
        let mut peer = Peer::connect(&scene.broker);
        scene.until("it is there", |broker| broker.counts().connections == 2);
        for byte in &bytes[..6] {
            peer.send([*byte]);
            assert_eq!(scene.broker.counts().connections, 2);
            scene.broker.advance(HOUR / 6);
        }
        is_dropped(&mut peer);
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn a_peer_that_never_answers_our_close_is_dropped() {
    let mut scene = Scene::of(Broker::builder().linger(HOUR).manual_clock());
    let mut silent = scene.peer();
    let mut talking = scene.peer();
    // One that does not read either.
    let mut deaf = scene.peer();
    for peer in [&mut silent, &mut talking, &mut deaf] {
        peer.send(open());
    }
    silent.expect_close_with(ILLEGAL_STATE);
    talking.expect_close_with(ILLEGAL_STATE);
    scene.undisturbed();
    for _ in 0..10 {
        assert_eq!(scene.broker.counts().connections, 4);
        talking.send(EMPTY_FRAME);
        scene.broker.advance(HOUR / 10);
    }
    scene.until_alone();
    silent.expect_eof();
    talking.expect_eof();
    drop(deaf);
}

#[test]
fn a_peer_past_our_idle_timeout_is_closed_and_then_dropped() {
    let mut scene = Scene::of(Broker::builder().idle_timeout(HOUR).linger(HOUR / 2).manual_clock());
    let mut silent = Peer::greeted(&scene.broker);
    silent.send(open());
    let advertised = silent.expect_open().number("idle-time-out");
    assert!(advertised > 0 && advertised <= HOUR.as_millis() as u64, "{advertised} ms");
    let mut half_a_frame = scene.peer();
    half_a_frame.send(&begin().on_channel(1).bytes()[..9]);
    for _ in 0..4 {
        // The bystander keeps itself alive by what it does, on the same terms.
        scene.undisturbed();
        assert_eq!(silent.heard_by_now(), None);
        scene.broker.advance(HOUR / 2);
    }
    silent.expect_close_with(RESOURCE_LIMIT_EXCEEDED);
    half_a_frame.expect_close_with(RESOURCE_LIMIT_EXCEEDED);
    scene.undisturbed();
    assert_eq!(scene.broker.counts().connections, 3, "their answers are waited for");
    scene.broker.advance(HOUR / 2);
    scene.until_alone();
    for mut peer in [silent, half_a_frame] {
        peer.expect_eof();
    }
}

#[test]
fn empty_frames_keep_a_connection_alive_both_ways() {
    let mut scene = Scene::of(Broker::builder().idle_timeout(HOUR).manual_clock());
    let mut peer = Peer::opened_with(&scene.broker, open().with("idle-time-out", 3_600_000u32), begin());
    // Ours to them, theirs to us; each one is an answer to the last, over several timeouts.
    for _ in 0..8 {
        scene.broker.advance(HOUR / 2);
        peer.expect_empty_frame();
        peer.send(EMPTY_FRAME);
        peer.until_carried_over();
        scene.undisturbed();
    }
    peer.close();
}
