//! 2.4.5: idle timeouts in both directions, by a clock that the test advances.

use std::time::Duration;

use fakebroker::{Broker, Builder};

use crate::support::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn manual() -> Builder {
    Broker::builder().manual_clock()
}

/// A peer that wants to hear something every so many milliseconds.
#[track_caller]
fn impatient(broker: &Broker, idle_timeout: u32) -> Peer {
    Peer::opened_with(broker, open().with("idle-time-out", idle_timeout), begin())
}

#[test]
fn heartbeats_come_at_half_the_peers_timeout() {
    let broker = manual().start().unwrap();
    let mut peer = impatient(&broker, 400);
    for _ in 0..4 {
        broker.advance(199 * MILLISECOND);
        assert_eq!(peer.heard_by_now(), None);
        broker.advance(MILLISECOND);
        assert_eq!(peer.heard_by_now(), Some(Heard::EmptyFrame));
    }
}

#[test]
fn by_the_clock_of_the_system_they_come_by_themselves() {
    let broker = Broker::start().unwrap();
    let mut with = impatient(&broker, 200);
    let mut zero = impatient(&broker, 0);
    let mut without = Peer::opened(&broker);
    // Three to one of them are time enough for the others.
    for _ in 0..3 {
        with.expect_empty_frame();
    }
    for peer in [&mut zero, &mut without] {
        assert_eq!(peer.heard_by_now(), None);
    }
}

#[test]
fn without_a_timeout_there_are_no_heartbeats() {
    let broker = manual().start().unwrap();
    let mut zero = impatient(&broker, 0);
    let mut without = Peer::opened(&broker);
    broker.advance(Duration::from_secs(1_000_000));
    for peer in [&mut zero, &mut without] {
        assert_eq!(peer.heard_by_now(), None);
    }
}

#[test]
fn a_busy_connection_needs_no_heartbeats() {
    let broker = manual().start().unwrap();
    let mut idle = impatient(&broker, 2000);
    let mut busy = impatient(&broker, 2000);
    busy.attach_receiver("r", 0, "a", 1_000_000);
    busy.attach_sender("s", 1, "a");
    for _ in 0..10 {
        broker.advance(999 * MILLISECOND);
        busy.send(transfer(1, busy.next_delivery_id()).with("settled", true).with_payload(message("hello")));
        loop {
            match busy.hear() {
                Heard::Frame(frame) if frame.code() == TRANSFER => break,
                Heard::Frame(frame) if frame.code() == FLOW => {}
                other => busy.fail(&format!("a message was expected; came {other:?}")),
            }
        }
    }
    for _ in 0..9 {
        idle.expect_empty_frame();
    }
}

#[test]
fn a_silent_peer_is_closed() {
    let broker = manual().idle_timeout(100 * MILLISECOND).start().unwrap();
    let mut peer = Peer::greeted(&broker);
    peer.send(open());
    // What it says is what it keeps to, at least.
    assert_eq!(peer.expect_open().number("idle-time-out"), 100);
    broker.advance(199 * MILLISECOND);
    assert_eq!(peer.heard_by_now(), None);
    broker.advance(MILLISECOND);
    peer.expect_closed_with(RESOURCE_LIMIT_EXCEEDED);
    broker.wait_for_connections(patience(), 0).unwrap();
}

#[test]
fn any_frame_is_a_sign_of_life() {
    each_row([("a heartbeat", EMPTY_FRAME.to_vec()), ("a flow", flow().bytes())], |sign: Vec<u8>| {
        let broker = manual().idle_timeout(Duration::from_secs(1)).start().unwrap();
        let mut peer = Peer::opened(&broker);
        let mut silent = Peer::opened(&broker);
        // Ten times, longer than the timeout and just shorter than its double.
        for _ in 0..10 {
            peer.send(&sign);
            peer.until_carried_over();
            broker.advance(1999 * MILLISECOND);
        }
        peer.expect_nothing();
        // The one that said nothing was closed meanwhile.
        silent.expect_close_with(RESOURCE_LIMIT_EXCEEDED);
    });
}
