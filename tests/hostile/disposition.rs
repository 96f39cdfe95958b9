//! 2.7.6 disposition, and 2.5.5, 2.4.3: what still comes after our own end or close.

use crate::scene::Scene;
use crate::support::*;

/// Opens a peer with this many unsettled deliveries from `queue.live`, with ids from 0.
fn with_deliveries(scene: &Scene, count: u32) -> Peer {
    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "queue.live");
    peer.attach_receiver("r", 1, "queue.live", count);
    for _ in 0..count {
        peer.send_message(0, "hello");
    }
    let mut received = 0;
    while received < count {
        received += peer.round_trip().iter().filter(|frame| frame.code() == TRANSFER).count() as u32;
    }
    peer
}

fn settle(first: u32, last: u32) -> Performative {
    disposition(RECEIVER, first, accepted()).with("last", last)
}

#[test]
fn a_disposition_about_nothing_is_ignored() {
    let mut scene = Scene::new();
    let mut peer = with_deliveries(&scene, 4);
    let rows = [
        // 2.7.6: what is not known any more is no fault: it may have been settled meanwhile.
        ("a delivery never made", settle(100, 100)),
        ("the last one there could be", settle(u32::MAX, u32::MAX)),
        ("a range never made", settle(100, 1_000_000)),
        ("first after last", settle(3, 1)),
        ("first just after last", settle(1, 0)),
        ("without a state, without settling", disposition(RECEIVER, 0, Value::Null).with("settled", false)),
        // The ids of one direction are not those of the other.
        ("as a sender about deliveries never made", disposition(SENDER, 100, accepted())),
        ("as a sender about what was settled long ago", disposition(SENDER, 0, accepted()).with("last", 3u32)),
    ];
    each_row(rows, |disposition| {
        peer.send(disposition);
        peer.expect_nothing();
        assert_eq!(scene.broker.counts().accepted, scene.bystander.sent());
        scene.undisturbed();
    });
    // Settled twice counts once.
    let before = scene.broker.counts().accepted;
    for _ in 0..3 {
        peer.send(settle(0, 1));
        peer.send(disposition(RECEIVER, 0, released()));
    }
    peer.expect_nothing();
    let counts = scene.broker.counts();
    assert_eq!((counts.accepted, counts.released), (before + 2, 0));
}

#[test]
fn a_range_takes_no_longer_than_what_is_live_in_it() {
    let mut scene = Scene::new();
    let mut peer = with_deliveries(&scene, 3);
    let before = scene.broker.counts().accepted;
    // Looping over these would take hours.
    let rows = [
        ("nothing in it", settle(1000, i32::MAX as u32)),
        ("half the circle, behind", settle(1 << 31, u32::MAX)),
        ("half the circle, ahead", settle(5, 5 + i32::MAX as u32)),
    ];
    each_row(rows, |disposition| {
        peer.send(disposition.bytes().repeat(1000));
        peer.expect_nothing();
        scene.undisturbed();
    });
    assert_eq!(scene.broker.counts().accepted, before + 3, "the bystander's");
    peer.send(settle(0, i32::MAX as u32).bytes().repeat(1000));
    peer.expect_nothing();
    assert_eq!(scene.broker.counts().accepted, before + 6);

    // 0 to 2^32-1 is everything, or backwards, as one likes to read it; a thousand of them are read at once.
    let mut peer = with_deliveries(&scene, 3);
    peer.send(settle(0, u32::MAX).bytes().repeat(1000));
    peer.expect_nothing();
    peer.close();
    scene.undisturbed();
}

#[test]
fn an_unknown_delivery_state_closes_with_decode_error() {
    let mut scene = Scene::new();
    let named = |name: &str| Value::Described(Box::new(symbol(name)), Box::new(Value::List(vec![])));
    let rows = [
        ("an unknown code", described(0x99, Value::List(vec![]))),
        ("an unknown name", named("x:y:list")),
        ("the code of a source", described(SOURCE, Value::List(vec![]))),
        ("the code of a performative", described(OPEN, Value::List(vec![]))),
        ("accepted that is a map", described(ACCEPTED, Value::Map(vec![]))),
        ("accepted with a field", described(ACCEPTED, Value::List(vec![true.into()]))),
        ("modified with a string for a boolean", described(MODIFIED, Value::List(vec!["true".into()]))),
        ("rejected with a string for an error", described(REJECTED, Value::List(vec!["why".into()]))),
    ];
    each_row(rows, |state| {
        let mut peer = with_deliveries(&scene, 1);
        peer.send(disposition(RECEIVER, 0, state));
        peer.expect_closed_with(DECODE_ERROR);
        scene.undisturbed();
    });
    scene.until_alone();
    // The states by name are the states.
    let mut peer = with_deliveries(&scene, 1);
    let before = scene.broker.counts().accepted;
    peer.send(disposition(RECEIVER, 0, named("amqp:accepted:list")));
    peer.expect_nothing();
    assert_eq!(scene.broker.counts().accepted, before + 1);
}

#[test]
fn frames_after_our_own_end_are_discarded() {
    let mut scene = Scene::new();
    let mut peer = scene.peer();
    let other = peer.begin(begin().on_channel(1)).channel;
    peer.attach_sender("s", 0, "queue.ended");
    peer.send(attach_sender("other", 0, "queue.ended").on_channel(1));
    peer.expect_attach();
    peer.expect_credit();
    peer.send(detach(77));
    peer.expect_end_with(UNATTACHED_HANDLE);
    // 2.5.5: until its own end, anything from the peer is dropped, right or wrong.
    for performative in [
        transfer(0, 0).with_payload(message("hello")),
        transfer(55, 9).with_payload(message("hello")),
        attach_sender("t", 1, "queue.ended"),
        // Nor is a link of another session stolen by it.
        attach_sender("other", 3, "queue.ended"),
        attach_receiver("r", 2, "queue.ended"),
        flow().with("handle", 66u32),
        flow().with("echo", true),
        disposition(RECEIVER, 0, accepted()),
        detach(0),
        detach(44),
    ] {
        peer.send(performative);
    }
    // The other session answers, and nothing before that was about the one that ended.
    peer.send(flow().on_channel(1).with("echo", true));
    assert_eq!(peer.expect_flow().channel, other);
    peer.send(end());
    peer.begin(begin());
    peer.attach_sender("s", 0, "queue.ended");
    peer.close();
    scene.undisturbed();
    assert_eq!(scene.broker.counts().queued, 0);
}

#[test]
fn frames_after_our_own_close_are_discarded() {
    let mut scene = Scene::new();
    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "queue.closed");
    // 2.4.3: all in one segment, so that the broker reads on after it has closed.
    let late = [transfer(0, 0).with_payload(message("hello")), begin().on_channel(3), end(), open()];
    let late: Vec<u8> = late.iter().flat_map(Performative::bytes).collect();
    peer.send([&open().bytes()[..], &late, &close().bytes()].concat());
    peer.expect_close_with(ILLEGAL_STATE);
    peer.expect_eof();
    scene.undisturbed();

    // The same after the peer's own close.
    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "queue.closed");
    peer.send([&close().bytes()[..], &late].concat());
    assert_eq!(peer.expect_close().condition(), "");
    peer.expect_eof();
    scene.undisturbed();
    assert_eq!(scene.broker.counts().queued, 0);
    scene.until_alone();
}
