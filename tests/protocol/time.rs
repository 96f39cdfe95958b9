//! 2.4.5: idle time-outs in both directions.

use std::time::{Duration, Instant};

use fakebroker::Broker;

use crate::support::*;

#[test]
fn heartbeats_come_at_half_the_peers_time_out() {
    let broker = Broker::start().unwrap();
    let time_out = Duration::from_millis(400);
    let mut peer = Peer::opened_with(&broker, open().with("idle-time-out", 400u32), begin());
    let start = Instant::now();
    for _ in 0..4 {
        peer.expect_empty_frame();
    }
    // No more often than they have to: four at half the time-out take twice of it, less one turn of rounding.
    assert!(start.elapsed() > time_out, "four heartbeats in {:?}", start.elapsed());
}

#[test]
fn a_heartbeat_comes_before_the_peers_time_out() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened_with(&broker, open().with("idle-time-out", 4000u32), begin());
    let start = Instant::now();
    peer.expect_empty_frame();
    // At half of it, with the other half for a slow test machine.
    assert!(start.elapsed() < Duration::from_millis(4000), "after {:?}", start.elapsed());
}

#[test]
fn without_a_time_out_there_are_no_heartbeats() {
    let broker = Broker::start().unwrap();
    let mut with = Peer::opened_with(&broker, open().with("idle-time-out", 200u32), begin());
    let mut zero = Peer::opened_with(&broker, open().with("idle-time-out", 0u32), begin());
    let mut without = Peer::opened(&broker);
    // Three to one of them are time enough for the others.
    for _ in 0..3 {
        with.expect_empty_frame();
    }
    for peer in [&mut zero, &mut without] {
        peer.send(end());
        match peer.hear() {
            Heard::Frame(frame) if frame.code() == END => {}
            other => peer.fail(&format!("an end and no heartbeat was expected; came {other:?}")),
        }
    }
}

#[test]
fn a_busy_connection_needs_no_heartbeats() {
    let broker = Broker::start().unwrap();
    let mut idle = Peer::opened_with(&broker, open().with("idle-time-out", 2000u32), begin());
    let mut busy = Peer::opened_with(&broker, open().with("idle-time-out", 2000u32), begin());
    busy.attach_receiver("r", 0, "a", 1_000_000);
    busy.attach_sender("s", 1, "a");
    let start = Instant::now();
    // Until the idle one has had its first.
    let mut heartbeats = 0;
    loop {
        busy.send(transfer(1, busy.next_delivery_id()).with("settled", true).with_payload(message("hello")));
        loop {
            match busy.hear() {
                Heard::EmptyFrame => heartbeats += 1,
                Heard::Frame(frame) if frame.code() == TRANSFER => break,
                Heard::Frame(frame) if frame.code() == FLOW => {}
                other => busy.fail(&format!("came {other:?}")),
            }
        }
        match idle.hear_until(Instant::now() + Duration::from_millis(20)) {
            None => assert!(start.elapsed() < patience(), "no heartbeat at all"),
            Some(Heard::EmptyFrame) => break,
            Some(other) => idle.fail(&format!("a heartbeat was expected; came {other:?}")),
        }
    }
    // One may have come before the first message.
    assert!(heartbeats <= 1, "{heartbeats} heartbeats between messages");
}

#[test]
fn a_silent_peer_is_closed() {
    let broker = Broker::builder().idle_time_out(Duration::from_millis(100)).start().unwrap();
    let mut peer = Peer::greeted(&broker);
    peer.send(open());
    // What it says is what it keeps to, at least.
    assert_eq!(peer.expect_open().number("idle-time-out"), 100);
    let start = Instant::now();
    peer.expect_closed_with(RESOURCE_LIMIT_EXCEEDED);
    assert!(start.elapsed() >= Duration::from_millis(90), "after {:?}", start.elapsed());
    until_only_asked(&broker);
}

/// Like `until`, for a broker that a slow test machine may make close the asking connection.
#[track_caller]
fn until_only_asked(broker: &Broker) {
    let deadline = Instant::now() + patience();
    while broker.counts().connections > 0 {
        assert!(Instant::now() < deadline, "the connection is still counted");
        std::thread::yield_now();
    }
}

#[test]
fn heartbeats_keep_a_peer_alive() {
    let broker = Broker::builder().idle_time_out(Duration::from_secs(1)).start().unwrap();
    // Each heartbeat of the broker's is answered by one of the peer's: ten times, longer than the time-out and its double.
    let mut peer = Peer::opened_with(&broker, open().with("idle-time-out", 500u32), begin());
    let mut silent = Peer::opened(&broker);
    for _ in 0..10 {
        peer.expect_empty_frame();
        peer.send(EMPTY_FRAME);
    }
    peer.expect_nothing();
    // The one that said nothing was closed meanwhile.
    silent.expect_close_with(RESOURCE_LIMIT_EXCEEDED);
}

#[test]
fn any_frame_is_a_sign_of_life() {
    let broker = Broker::builder().idle_time_out(Duration::from_secs(1)).start().unwrap();
    let mut peer = Peer::opened_with(&broker, open().with("idle-time-out", 500u32), begin());
    for _ in 0..10 {
        peer.expect_empty_frame();
        peer.send(peer.flow());
    }
    peer.expect_nothing();
}
