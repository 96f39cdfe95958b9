//! Rules that are easy to break at the edges: credit taken back, sections at fragment boundaries, outcomes too large for their
//! producer, what is owed before a close.

use fakebroker::{Broker, Settlement};

use crate::support::*;

// 2.6.7: what waits for the window has not used credit yet, so credit can be taken from it.
#[test]
fn credit_that_is_taken_back_is_respected() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened_with(&broker, open(), begin().with("incoming-window", 0u32));
    peer.attach(attach_receiver("r", 0, "a"));
    let f = peer.link_flow(0, 0, 1000).with("incoming-window", 0u32);
    peer.send(f);
    peer.expect_nothing();
    let mut s = Peer::sender(&broker, "a");
    s.send_accepted(0, &["1", "2", "3"]);
    let f = peer.link_flow(0, 0, 0).with("incoming-window", 100u32);
    peer.send(f);
    peer.expect_nothing();
    // Given again, it all comes.
    peer.grant(0, 0, 10);
    assert_eq!(peer.receive_texts(3), ["1", "2", "3"]);
}

// 3.2.4: the properties may begin with the second transfer.
#[test]
fn an_address_behind_the_first_fragment_is_found() {
    let broker = Broker::start().unwrap();
    let mut r = Peer::receiver(&broker, "x", 10);
    r.round_trip();
    let mut s = Peer::opened(&broker);
    s.attach(attach_sender("s", 0, "x").with("target", composite(TARGET, &[])));
    s.expect_credit();
    let header = vec![0x00, 0x53, 0x70, 0xc0, 0x02, 0x01, 0x41];
    let rest = message_to("x", &"m".repeat(6000));
    s.send(transfer(0, 0).with("more", true).with_payload(header));
    s.send(continuation(0).with_payload(rest));
    let o = s.expect_outcome_of(0);
    assert_eq!(o.state(), ACCEPTED, "{o:?}");
}

// 3.4.3: of a rejection that does not fit, the outcome is what matters.
#[test]
fn an_outcome_too_large_for_its_producer_is_told_without_details() {
    let broker = Broker::builder().settlement(Settlement::EndToEnd).start().unwrap();
    let mut r = Peer::receiver(&broker, "x", 10);
    r.round_trip();
    let mut s = Peer::opened_with(&broker, open().with("max-frame-size", 512u32), begin());
    s.attach_sender("s", 0, "x");
    s.send_message(0, "m");
    r.expect_transfer();
    let long = "c".repeat(1000);
    let state = composite(REJECTED, &[("error", composite(ERROR, &[("condition", symbol(&long))]))]);
    r.send(disposition(true, 0, state).with("settled", true));
    r.round_trip();
    let d = s.expect_outcome_of(0);
    assert_eq!(d.state(), REJECTED);
}

#[test]
fn what_is_owed_comes_before_the_close() {
    let broker = Broker::start().unwrap();
    let mut s = Peer::sender(&broker, "queue.a");
    s.send([transfer(0, 0).with_payload(message("m")).bytes(), close().bytes()].concat());
    let h = s.drain_to_eof();
    assert!(h.iter().any(|h| matches!(h, Heard::Frame(f) if f.code() == DISPOSITION)), "{h:?}");
}

// 2.5.6: windows are a session's own.
#[test]
fn a_closed_window_holds_up_its_own_session_only() {
    let broker = Broker::start().unwrap();
    let mut p = Peer::opened(&broker);
    p.begin(begin().on_channel(1).with("incoming-window", 0u32));
    p.attach(attach_receiver("blocked", 0, "x").on_channel(1));
    p.send(
        flow()
            .on_channel(1)
            .with("incoming-window", 0u32)
            .with("handle", 0u32)
            .with("delivery-count", 0u32)
            .with("link-credit", 1000u32),
    );
    p.attach_receiver("open", 0, "y", 10);
    p.round_trip();
    let mut s = Peer::opened(&broker);
    s.attach_sender("sx", 0, "x");
    s.attach_sender("sy", 1, "y");
    for _ in 0..20 {
        s.send_message(0, &"m".repeat(60_000));
    }
    s.round_trip();
    s.send_message(1, "hello");
    s.round_trip();
    let got = p.round_trip().iter().filter(|f| f.code() == TRANSFER).count();
    assert_eq!(got, 1, "a session with an open window got nothing: another of its connection has a closed one");
}
