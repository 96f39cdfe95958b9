//! 2.7.5 transfer: ids, tags, credit, deliveries in pieces.

use fakebroker::Broker;

use crate::scene::{Scene, WAYS_TO_GIVE_UP};
use crate::support::*;

/// Builds the first transfer of a delivery of several.
fn beginning(handle: u32, delivery_id: u32) -> Performative {
    transfer(handle, delivery_id).with("more", true).with_payload(&message("a message in two pieces")[..9])
}

fn ending(handle: u32) -> Performative {
    continuation(handle).with_payload(&message("a message in two pieces")[9..])
}

#[test]
fn an_unattached_handle_ends_the_session() {
    let mut scene = Scene::new();
    let rows = [
        ("a transfer", transfer(7, 0).with_payload(message("hello"))),
        ("a transfer on the highest handle", transfer(u32::MAX, 0).with_payload(message("hello"))),
        ("a transfer that continues nothing", continuation(7).with_payload(message("hello"))),
    ];
    each_row(rows, |transfer| {
        let mut peer = scene.peer();
        peer.attach_sender("s", 0, "a");
        peer.send(transfer);
        peer.expect_end_with(UNATTACHED_HANDLE);
        scene.undisturbed();
    });
    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "a");
    peer.send([detach(0).bytes(), transfer(0, 0).bytes()].concat());
    peer.expect_detach();
    peer.expect_end_with(UNATTACHED_HANDLE);
    drop(peer);
    scene.until_alone();
}

#[test]
fn a_transfer_to_a_sender_is_not_allowed() {
    let mut scene = Scene::new();
    let mut peer = scene.peer();
    peer.attach_receiver("r", 0, "queue.backwards", 1);
    peer.send_message(0, "hello");
    peer.expect_error_with(NOT_ALLOWED);
    scene.undisturbed();
    let counts = scene.broker.counts();
    assert_eq!((counts.queued, counts.dropped), (0, 0));
}

#[test]
fn a_transfer_beyond_credit_detaches() {
    let mut scene = Scene::without_credit();
    let mut peer = scene.peer();
    for (name, settled) in [("unsettled", false), ("settled", true)] {
        peer.send(attach_sender(name, 0, "queue.full"));
        peer.expect_attach();
        peer.send(transfer(0, peer.next_delivery_id()).with("settled", settled).with_payload(message("hello")));
        peer.expect_detach_with(TRANSFER_LIMIT_EXCEEDED);
        peer.send(detach(0));
        scene.undisturbed();
    }
    assert_eq!(scene.broker.counts().queued, 0);
}

#[test]
fn transfers_beyond_the_incoming_window_end_the_session() {
    let mut scene = Scene::new();
    // 2.5.6: the window counts frames. The broker may widen it as fast as it reads, so one burst need not be
    // too much for it; that it never is would mean that it does not count.
    let violated = (0..50).any(|_| {
        let mut peer = Peer::greeted(&scene.broker);
        peer.send(open());
        peer.expect_open();
        let window = peer.begin(begin()).number("incoming-window") as usize;
        peer.attach_sender("s", 0, "queue.window");
        let part = continuation(0).with("more", true).with_payload(&b"x"[..]).bytes();
        peer.send([transfer(0, 0).with("more", true).bytes(), part.repeat(window + 100)].concat());
        peer.try_send(begin().on_channel(1));
        loop {
            match peer.hear() {
                Heard::Frame(frame) if frame.code() == BEGIN => return false,
                Heard::Frame(frame) if frame.code() == FLOW => {}
                Heard::Frame(frame) if frame.code() == END && frame.condition() == WINDOW_VIOLATION => return true,
                other => peer.fail(&format!("{WINDOW_VIOLATION} or a flow was expected; came {other:?}")),
            }
        }
    });
    assert!(violated, "no burst was too much for the window");
    scene.undisturbed();
}

#[test]
fn a_first_transfer_that_does_not_name_its_delivery_is_invalid() {
    let mut scene = Scene::new();
    let rows = [
        ("without delivery-id", transfer(0, 0).without("delivery-id")),
        ("without delivery-tag", transfer(0, 0).without("delivery-tag")),
        ("without either", continuation(0)),
        // 2.8.7: 32 bytes at most.
        ("a tag of 33 bytes", transfer(0, 0).with("delivery-tag", vec![7; 33])),
        ("a tag of 1,000 bytes", transfer(0, 0).with("delivery-tag", vec![7; 1000])),
    ];
    each_row(rows, |transfer| {
        let mut peer = scene.peer();
        peer.attach_sender("s", 0, "queue.nameless");
        peer.send(transfer.with_payload(message("hello")));
        peer.expect_error_with(INVALID_FIELD);
        scene.undisturbed();
    });
    assert_eq!(scene.broker.counts().queued, 0);
    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "queue.named");
    for (id, tag) in [vec![], vec![7; 32], vec![7; 32]].into_iter().enumerate() {
        let id = id as u32;
        peer.send(transfer(0, id).with("delivery-tag", tag).with_payload(message("hello")));
        assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
    }
    scene.undisturbed();
}

#[test]
fn delivery_ids_follow_each_other() {
    let mut scene = Scene::new();
    // 2.7.5: over all links of the session, each is one more than the last.
    each_row([("a gap", 2), ("the same again", 0), ("backwards", u32::MAX), ("far ahead", 1 << 30)], |second| {
        let mut peer = scene.peer();
        peer.attach_sender("s", 0, "queue.gap");
        peer.attach_sender("t", 1, "queue.gap");
        let before = scene.broker.counts().queued;
        let id = peer.send_message(0, "hello");
        peer.expect_outcome_of(id);
        peer.send(transfer(1, second).with_payload(message("hello")));
        peer.expect_error_with(INVALID_FIELD);
        assert_eq!(scene.broker.counts().queued, before + 1);
        scene.undisturbed();
    });
    // The first may be any, and they wrap.
    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "queue.ids");
    for id in [u32::MAX - 1, u32::MAX, 0, 1] {
        peer.send(transfer(0, id).with_payload(message("hello")));
        assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
    }
    scene.undisturbed();
}

#[test]
fn a_continuation_that_is_of_another_delivery_is_invalid() {
    let mut scene = Scene::new();
    let rows = [
        ("another delivery-id", ending(0).with("delivery-id", 1u32)),
        ("another delivery-tag", ending(0).with("delivery-tag", &b"other"[..])),
        ("another message-format", ending(0).with("message-format", 1u32)),
        ("a second delivery on the link", transfer(0, 1).with_payload(message("interleaved"))),
    ];
    each_row(rows, |second| {
        let mut peer = scene.peer();
        peer.attach_sender("s", 0, "queue.mixed");
        peer.send([beginning(0, 0).bytes(), second.bytes()].concat());
        peer.expect_error_with(INVALID_FIELD);
        scene.undisturbed();
    });
    assert_eq!(scene.broker.counts().queued, 0);

    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "queue.mixed");
    peer.attach_sender("t", 1, "queue.mixed");
    peer.attach_receiver("r", 2, "queue.mixed", 10);
    // 2.7.5: it may repeat all that is the same, and other links go their own way in between.
    let repeating = ending(0).with("delivery-id", 0u32).with("delivery-tag", &[0, 0, 0, 0][..]);
    peer.send(beginning(0, 0));
    peer.send(beginning(1, 1));
    peer.send(repeating.with("message-format", 0u32));
    peer.send(ending(1));
    let texts: Vec<_> = (0..2).map(|_| text(&expect_next_transfer(&mut peer).payload)).collect();
    assert_eq!(texts, ["a message in two pieces"; 2]);
    scene.undisturbed();
}

/// Expects a transfer, and skips outcomes of this peer's own messages before it.
#[track_caller]
fn expect_next_transfer(peer: &mut Peer) -> Performative {
    loop {
        match peer.hear() {
            Heard::Frame(frame) if frame.code() == TRANSFER => return frame,
            Heard::Frame(frame) if matches!(frame.code(), FLOW | DISPOSITION) => {}
            other => peer.fail(&format!("a transfer was expected; came {other:?}")),
        }
    }
}

#[test]
fn a_message_without_end_is_stopped_at_max_message_size() {
    let mut scene = Scene::of(Broker::builder().max_message_size(10_000));
    let mut peer = scene.peer();
    let attach = peer.attach_sender("s", 0, "queue.large");
    assert_eq!(attach.number("max-message-size"), 10_000);
    let largest = peer.send_payload(0, section(DATA, vec![b'x'; 10_000 - 8].into()));
    assert_eq!(peer.expect_outcome_of(largest).state(), ACCEPTED);
    peer.send_payload(0, section(DATA, vec![b'x'; 10_000 - 7].into()));
    peer.expect_detach_with(MESSAGE_SIZE_EXCEEDED);
    peer.send(detach(0));

    peer.attach_sender("s", 0, "queue.large");
    peer.send(transfer(0, peer.next_delivery_id()).with("more", true).with_payload(message("")));
    let part = continuation(0).with("more", true).with_payload(vec![b'x'; 100]);
    send_until_fault(&mut peer, &part, MESSAGE_SIZE_EXCEEDED);
    scene.undisturbed();
    assert_eq!(scene.broker.counts().queued, 1);
}

#[test]
fn empty_transfers_without_end_are_stopped() {
    let mut scene = Scene::new();
    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "queue.empty");
    peer.send(transfer(0, 0).with("more", true));
    send_until_fault(&mut peer, &continuation(0).with("more", true), RESOURCE_LIMIT_EXCEEDED);
    scene.undisturbed();
    assert_eq!(scene.broker.counts().queued, 0);
}

/// Sends a frame repeatedly, a hundred at a time, until the broker closes the connection, which must be within a hundred
/// thousand.
#[track_caller]
fn send_until_fault(peer: &mut Peer, frame: &Performative, condition: &str) {
    let many = frame.bytes().repeat(100);
    for _ in 0..1000 {
        peer.send(&many);
        while let Some(heard) = peer.heard_by_now() {
            match heard {
                Heard::Frame(frame) if frame.code() == FLOW => {}
                Heard::Frame(frame) if frame.code() == DETACH && frame.condition() == condition => return,
                other => peer.fail(&format!("a detach with {condition} was expected; came {other:?}")),
            }
        }
    }
    peer.expect_detach_with(condition);
}

#[test]
fn an_aborted_delivery_gives_its_credit_back_and_goes_nowhere() {
    let mut scene = Scene::of(Broker::builder().credit_window(1));
    let mut receiver = scene.peer();
    receiver.attach_receiver("r", 0, "aborted", 10);
    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "aborted");
    let rows = [
        // 2.7.5: what aborts may carry anything; all of the delivery is discarded.
        ("by a continuation", vec![continuation(0).with("aborted", true)]),
        ("by one that says more", vec![continuation(0).with("aborted", true).with("more", true)]),
        ("by one with a payload", vec![ending(0).with("aborted", true)]),
        ("after many pieces", vec![ending(0).with("more", true), continuation(0).with("aborted", true)]),
    ];
    each_row(rows, |ends| {
        let id = peer.next_delivery_id();
        peer.send(beginning(0, id));
        ends.into_iter().for_each(|end| peer.send(end));
        // The window is 1, so nothing could follow if the credit were lost.
        let flow = peer.expect_link_flow();
        assert_eq!((flow.number("delivery-count"), flow.number("link-credit")), (u64::from(id) + 1, 1));
        scene.undisturbed();
    });
    receiver.expect_nothing();
    let id = peer.send_message(0, "whole");
    assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
    assert_eq!(text(&receiver.expect_transfer().payload), "whole");

    // A delivery that is aborted by its first transfer is none either.
    peer.expect_link_flow();
    peer.send(transfer(0, peer.next_delivery_id()).with("aborted", true).with_payload(message("no")));
    peer.expect_link_flow();
    receiver.expect_nothing();
    let counts = scene.broker.counts();
    assert_eq!((counts.dropped, counts.rejected), (0, 0));
}

#[test]
fn a_delivery_that_is_never_finished_goes_nowhere() {
    let mut scene = Scene::new();
    let mut receiver = scene.peer();
    receiver.attach_receiver("r", 0, "partial", 10);
    each_row(WAYS_TO_GIVE_UP, |give_up| {
        let mut peer = scene.peer();
        peer.attach_sender("s", 0, "partial");
        peer.send(beginning(0, 0));
        peer.send(continuation(0).with("more", true).with_payload(vec![b'x'; 1000]));
        if let Some(mut peer) = give_up(peer) {
            // The next link with this handle does not go on with it.
            peer.attach_sender("s", 0, "partial");
            peer.close();
        }
        scene.undisturbed();
    });
    scene.until("all but receiver and bystander are gone", |broker| broker.counts().connections == 2);
    receiver.expect_nothing();
    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "partial");
    peer.send_message(0, "whole");
    assert_eq!(text(&receiver.expect_transfer().payload), "whole");
    assert_eq!(scene.broker.counts().dropped, 0);
}
