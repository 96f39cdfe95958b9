//! 2.4.5 and our own deadlines: peers that say nothing, or too little. What is waited for is always something
//! that happens; the durations only say when it should.

use std::time::{Duration, Instant};

use fakebroker::Broker;

use crate::scene::Scene;
use crate::support::*;

/// Short enough to wait for; deadlines that a test leaves at their default are far longer than its patience.
const SHORT: Duration = Duration::from_millis(300);

/// All that a silent peer may hear before its socket is closed.
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
    let mut scene = Scene::of(Broker::builder().handshake_time_out(SHORT));
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
    each_row(peers, |mut peer| {
        is_dropped(&mut peer);
        scene.undisturbed();
    });
    // Who has opened may be silent as long as it likes: the bystander was there before them all.
    scene.until_alone();
}

#[test]
fn the_handshake_has_one_deadline_in_all() {
    let mut scene = Scene::of(Broker::builder().handshake_time_out(SHORT));
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
        let give_up = Instant::now() + patience();
        let mut bytes = bytes.into_iter();
        loop {
            // A byte, then a look whether it is over: the pace at which a slow peer writes.
            bytes.next().map(|byte| peer.try_send([byte]));
            if peer.hear_until(Instant::now() + SHORT / 10) == Some(Heard::Eof) {
                break;
            }
            if Instant::now() > give_up {
                peer.fail("each byte gave it more time");
            }
        }
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn a_peer_that_never_answers_our_close_is_dropped() {
    let mut scene = Scene::of(Broker::builder().linger(SHORT));
    let mut silent = scene.peer();
    silent.send(open());
    silent.expect_close_with(ILLEGAL_STATE);
    silent.expect_eof();
    scene.undisturbed();

    let mut talking = scene.peer();
    talking.send(open());
    talking.expect_close_with(ILLEGAL_STATE);
    let give_up = Instant::now() + patience();
    while talking.hear_until(Instant::now() + SHORT / 10) != Some(Heard::Eof) {
        talking.try_send(EMPTY_FRAME);
        assert!(Instant::now() < give_up, "talking on gave it more time");
    }
    scene.undisturbed();

    // One that does not read either.
    let mut deaf = scene.peer();
    deaf.send(open());
    scene.until_alone();
    drop(deaf);
}

#[test]
fn a_peer_past_our_idle_time_out_is_closed_and_then_dropped() {
    let idle = Duration::from_millis(500);
    let mut scene = Scene::of(Broker::builder().idle_time_out(idle).linger(SHORT));
    let mut peer = Peer::greeted(&scene.broker);
    peer.send(open());
    let advertised = peer.expect_open().number("idle-time-out");
    assert!(advertised > 0 && advertised <= idle.as_millis() as u64, "{advertised} ms");
    let mut half_a_frame = scene.peer();
    half_a_frame.send(&begin().on_channel(1).bytes()[..9]);
    for peer in [&mut peer, &mut half_a_frame] {
        loop {
            // The bystander keeps itself alive by what it does, on the same terms.
            scene.undisturbed();
            match peer.hear_until(Instant::now() + idle / 20) {
                None => {}
                Some(Heard::Frame(frame)) if frame.code() == CLOSE => {
                    assert_eq!(frame.condition(), RESOURCE_LIMIT_EXCEEDED);
                    break;
                }
                Some(other) => peer.fail(&format!("the close of an idle peer was expected; came {other:?}")),
            }
        }
    }
    scene.until("both are dropped", |broker| broker.counts().connections == 1);
    for mut peer in [peer, half_a_frame] {
        peer.expect_eof();
    }
}

#[test]
fn empty_frames_keep_a_connection_alive_both_ways() {
    let idle = Duration::from_millis(500);
    let mut scene = Scene::of(Broker::builder().idle_time_out(idle));
    let mut peer = Peer::opened_with(&scene.broker, open().with("idle-time-out", 500u32), begin());
    // Ours to them, theirs to us; each one is an answer to the last, over several time-outs.
    for _ in 0..8 {
        peer.expect_empty_frame();
        peer.send(EMPTY_FRAME);
        scene.undisturbed();
    }
    peer.close();
}
