//! 2.5: sessions: many, on any channels, begun and ended and begun again.

use fakebroker::Broker;

use crate::support::*;

#[test]
fn the_broker_chooses_its_own_channels() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::greeted(&broker);
    peer.send(open());
    peer.expect_open();
    // 2.5.1: the peer's channel is the remote-channel of the answer, on whatever channel that comes.
    for channel in [5u16, 1, 1023] {
        peer.send(begin().on_channel(channel));
        let answer = peer.expect_begin();
        assert_eq!(answer.get("remote-channel"), Value::Ushort(channel));
        peer.send(attach_sender(&format!("s{channel}"), 3, "queue.a").on_channel(channel));
        assert_eq!(peer.expect_attach().channel, answer.channel, "2.5.1: all of a session comes on its channel");
        peer.expect_credit();
        peer.send(transfer(3, 0).with_payload(message("hello")).on_channel(channel));
        let outcome = peer.expect_disposition();
        assert_eq!((outcome.channel, outcome.state()), (answer.channel, ACCEPTED));
    }
}

#[test]
fn as_many_sessions_as_channel_max_allows() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::greeted(&broker);
    peer.send(open());
    let sessions = peer.expect_open().number("channel-max") as u16 + 1;
    assert_eq!(sessions, 1024);
    // All begun at once, backwards; in each a receiver.
    let frames: Vec<u8> = (0..sessions)
        .rev()
        .flat_map(|channel| {
            let attach = attach_receiver(&format!("r{channel}"), 0, "broadcast.a").on_channel(channel);
            let credit = flow().with("handle", 0u32).with("delivery-count", 0u32).with("link-credit", 1u32);
            [begin().on_channel(channel).bytes(), attach.bytes(), credit.on_channel(channel).bytes()].concat()
        })
        .collect();
    peer.send(frames);
    let mut ours = vec![None; sessions.into()];
    let mut attached = 0;
    while attached < sessions {
        match peer.hear() {
            Heard::Frame(frame) if frame.code() == BEGIN => {
                let theirs = frame.number("remote-channel") as usize;
                assert_eq!(ours[theirs].replace(frame.channel), None, "one answer to each begin");
            }
            Heard::Frame(frame) if frame.code() == ATTACH => attached += 1,
            Heard::Frame(frame) if frame.code() == FLOW => {}
            other => peer.fail(&format!("begins and attaches were expected; came {other:?}")),
        }
    }
    let mut channels: Vec<u16> = ours.into_iter().map(Option::unwrap).collect();
    channels.sort_unstable();
    channels.dedup();
    assert_eq!(channels.len(), sessions.into(), "each has a channel of its own");
    let mut sender = Peer::sender(&broker, "broadcast.a");
    sender.send_accepted(0, &["hello"]);
    // 2.5.1: delivery-ids belong to a session, so each begins anew.
    let mut got: Vec<u16> = (0..sessions).map(|_| peer.expect_transfer()).map(|transfer| transfer.channel).collect();
    got.sort_unstable();
    assert_eq!(got, channels);
    assert_eq!(broker.counts().fanout_sent, sessions.into());
    peer.close();
}

#[test]
fn channel_max_of_the_peer_bounds_the_brokers_channels() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::greeted(&broker);
    peer.send(open().with("channel-max", 1u16));
    peer.expect_open();
    for channel in [0, 1] {
        peer.send(begin().on_channel(channel));
        assert!(peer.expect_begin().channel <= 1);
    }
    // One ends, and there is room for another.
    peer.send(end().on_channel(0));
    peer.expect_end();
    peer.send(begin().on_channel(0));
    assert!(peer.expect_begin().channel <= 1);
}

#[test]
fn end_with_and_without_an_error() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    for error in [Value::Null, error("x-own:error", "because")] {
        peer.attach_receiver("r", 0, "a", 10);
        peer.attach_sender("s", 1, "a");
        peer.send(end().with("error", error));
        assert_eq!(peer.expect_end().get("error"), Value::Null);
        assert_eq!((broker.counts().receiver_links, broker.counts().sender_links), (0, 0));
        // 2.5.5: the channel is free again.
        peer.begin(begin());
    }
}

#[test]
fn one_session_ends_and_the_others_go_on() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    peer.send(begin().on_channel(1));
    peer.expect_begin();
    peer.attach_sender("s", 0, "queue.a");
    peer.send([attach_sender("other", 0, "queue.b").on_channel(1).bytes(), end().on_channel(1).bytes()].concat());
    peer.expect_attach();
    peer.expect_end();
    peer.send_accepted(0, &["hello"]);
}

#[test]
fn a_thousand_sessions_one_after_another() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::greeted(&broker);
    peer.send(open());
    peer.expect_open();
    let once: Vec<u8> = [begin().bytes(), attach_receiver("r", 0, "a").bytes(), end().bytes()].concat();
    peer.send(once.repeat(1000));
    for _ in 0..1000 {
        peer.expect_begin();
        peer.expect_attach();
        peer.expect_end();
    }
    assert_eq!(counted(&broker), [("connections", 1)]);
}
