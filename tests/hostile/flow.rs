//! 2.7.4 flow: windows, credit, drain, echo.

use crate::scene::Scene;
use crate::support::*;

#[test]
fn a_flow_that_breaks_a_rule() {
    let mut scene = Scene::new();
    let rows = [
        // 2.7.4
        ("an unknown handle", (flow().with("handle", 7u32).with("link-credit", 1u32), UNATTACHED_HANDLE)),
        ("the highest handle", (flow().with("handle", u32::MAX).with("link-credit", 1u32), UNATTACHED_HANDLE)),
        ("delivery-count without a handle", (flow().with("delivery-count", 0u32), INVALID_FIELD)),
        ("link-credit without a handle", (flow().with("link-credit", 10u32), INVALID_FIELD)),
        ("available without a handle", (flow().with("available", 10u32), INVALID_FIELD)),
        ("drain without a handle", (flow().with("drain", true), INVALID_FIELD)),
        // 2.5.6: nobody can have received what was not sent.
        ("next-incoming-id one ahead", (flow().with("next-incoming-id", 1u32), WINDOW_VIOLATION)),
        ("next-incoming-id far ahead", (flow().with("next-incoming-id", 1_000_000u32), WINDOW_VIOLATION)),
    ];
    each_row(rows, |(flow, condition)| {
        let mut peer = Peer::greeted(&scene.broker);
        peer.send(open());
        peer.expect_open();
        let first = peer.begin(begin()).number("next-outgoing-id") as u32;
        // What the row says about the id is relative to where the broker begins.
        let flow = match flow.get("next-incoming-id") {
            Value::Uint(ahead) => flow.with("next-incoming-id", first.wrapping_add(ahead)),
            _ => flow,
        };
        peer.send(flow);
        peer.expect_end_with(condition);
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn credit_is_serial_arithmetic() {
    let mut scene = Scene::new();
    let rows = [
        // delivery-count and link-credit as the receiver says them; how many of three messages may then come.
        ("credit 1", (0, 1, 1)),
        ("credit 0", (0, 0, 0)),
        ("all the credit there is", (0, u32::MAX, 3)),
        ("half the circle", (0, 1 << 31, 3)),
        ("just below half the circle", (0, (1 << 31) - 1, 3)),
        // 2.6.7: link-credit = delivery-count (theirs) + link-credit (theirs) - delivery-count (ours).
        ("a delivery-count one behind", (u32::MAX, 2, 1)),
        ("a delivery-count one behind and no more credit than that", (u32::MAX, 1, 0)),
        ("a delivery-count far behind", (0u32.wrapping_sub(1000), 1002, 2)),
    ];
    each_row(rows, |(ahead, credit, expected)| {
        let mut peer = scene.peer();
        let first = peer.attach(attach_receiver("r", 0, "credit")).number("initial-delivery-count") as u32;
        peer.grant(0, first.wrapping_add(ahead), credit);
        let mut sender = scene.peer();
        sender.attach_sender("s", 0, "credit");
        for _ in 0..3 {
            sender.send_message(0, "hello");
        }
        sender.round_trip();
        let transfers = peer.round_trip().into_iter().filter(|frame| frame.code() == TRANSFER).count();
        assert_eq!(transfers, expected);
        peer.close();
        scene.until("the receiver is gone", |broker| broker.counts().receiver_links == 1);
    });
}

#[test]
fn a_senders_delivery_count_wraps() {
    let mut scene = Scene::of(fakebroker::Broker::builder().credit_window(3));
    let mut peer = scene.peer();
    peer.attach_receiver("r", 0, "wrapped", 100);
    peer.send(attach_sender("s", 1, "wrapped").with("initial-delivery-count", u32::MAX - 1));
    peer.expect_attach();
    let flow = peer.expect_link_flow();
    assert_eq!((flow.number("delivery-count"), flow.number("link-credit")), (u64::from(u32::MAX - 1), 3));
    let mut sent = 0;
    while sent < 10 {
        peer.send_message(1, "hello");
        sent += 1;
        let heard = peer.round_trip();
        assert!(heard.iter().any(|frame| frame.code() == TRANSFER), "{heard:?}");
        assert!(heard.iter().all(|frame| matches!(frame.code(), TRANSFER | FLOW | DISPOSITION)), "{heard:?}");
    }
    scene.undisturbed();
}

#[test]
fn a_flow_on_a_link_that_sends_to_us_gives_nothing() {
    let mut scene = Scene::new();
    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "queue.odd");
    // Real clients do this: a flow with credit on their own sender link. It means nothing.
    peer.send(peer.link_flow(0, 0, 1000));
    peer.send(peer.link_flow(0, u32::MAX, u32::MAX));
    peer.send(peer.link_flow(0, 0, 0).with("drain", true).with("available", u32::MAX));
    let id = peer.send_message(0, "hello");
    assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
    peer.close();
    scene.undisturbed();
}

#[test]
fn ten_thousand_flows_with_echo_are_answered_within_bounds() {
    let mut scene = Scene::new();
    let rows = [("about the session", false), ("about a link", true)];
    each_row(rows, |about_a_link| {
        let mut peer = scene.peer();
        peer.attach_receiver("r", 0, "echo", 1);
        let question = if about_a_link { peer.link_flow(0, 0, 1) } else { peer.flow() }.with("echo", true);
        peer.send(question.bytes().repeat(10_000));
        // A begin is answered after all that came before it.
        peer.send(begin().on_channel(1));
        let mut answers = 0;
        loop {
            match peer.hear() {
                Heard::Frame(frame) if frame.code() == FLOW => answers += 1,
                Heard::Frame(frame) if frame.code() == BEGIN => break,
                other => peer.fail(&format!("a flow or the begin was expected; came {other:?}")),
            }
        }
        if answers == 0 {
            // What is due at the end of a turn may come after what is answered in it.
            peer.expect_flow();
        }
        // The questions of one turn get one answer, so there are far fewer.
        assert!(answers <= 1000, "{answers} answers to 10,000 questions");
        peer.close();
        scene.undisturbed();
    });
}

#[test]
fn no_transfers_into_a_window_of_nothing() {
    let mut scene = Scene::new();
    let mut peer = Peer::opened_with(&scene.broker, open(), begin().with("incoming-window", 0u32));
    peer.send(attach_receiver("r", 0, "window"));
    peer.expect_attach();
    let closed = |peer: &Peer| peer.flow().with("incoming-window", 0u32);
    peer.send(closed(&peer).with("handle", 0u32).with("delivery-count", 0u32).with("link-credit", 10u32));
    let mut sender = scene.peer();
    sender.attach_sender("s", 0, "window");
    for _ in 0..3 {
        sender.send_message(0, "hello");
    }
    sender.round_trip();
    peer.send(closed(&peer).with("echo", true));
    peer.expect_flow();
    // A window of one lets one through, and one only.
    for _ in 0..2 {
        peer.send(peer.flow().with("incoming-window", 1u32));
        assert_eq!(text(&peer.expect_transfer().payload), "hello");
        peer.send(closed(&peer).with("echo", true));
        peer.expect_flow();
    }
    peer.send(peer.flow());
    peer.expect_transfer();
    scene.undisturbed();
}

#[test]
fn a_window_counts_from_what_the_peer_had_seen() {
    let mut scene = Scene::new();
    let mut peer = Peer::greeted(&scene.broker);
    peer.send(open());
    peer.expect_open();
    let first = peer.begin(begin()).number("next-outgoing-id") as u32;
    peer.attach_receiver("r", 0, "stale", 10);
    let mut sender = scene.peer();
    sender.attach_sender("s", 0, "stale");
    let stale = |window: u32| flow().with("next-incoming-id", first).with("incoming-window", window);
    for sent in [1, 3, 5] {
        sender.send_message(0, "hello");
        assert_eq!(text(&peer.expect_transfer().payload), "hello");
        // 2.5.6: a window no wider than what was sent since is used up.
        peer.send(stale(sent));
        peer.expect_nothing();
        sender.send_message(0, "held back");
        sender.round_trip();
        peer.expect_nothing();
        peer.send(stale(sent + 1));
        assert_eq!(text(&peer.expect_transfer().payload), "held back");
        peer.send(peer.flow());
    }
    scene.undisturbed();
}

#[test]
fn a_large_message_waits_for_the_window_between_its_frames() {
    let mut scene = Scene::new();
    let mut peer =
        Peer::opened_with(&scene.broker, open().with("max-frame-size", 512u32), begin().with("incoming-window", 1u32));
    peer.attach(attach_receiver("r", 0, "window"));
    peer.send(peer.link_flow(0, 0, 10).with("incoming-window", 1u32));
    let mut sender = scene.peer();
    sender.attach_sender("s", 0, "window");
    let payload = message(&"x".repeat(3000));
    sender.send_payload(0, payload.clone());
    let (received, _) = peer.expect_delivery_with(|peer| {
        // The answer comes without a transfer before it.
        peer.send(peer.flow().with("incoming-window", 0u32).with("echo", true));
        peer.expect_flow();
        peer.send(peer.flow().with("incoming-window", 1u32));
    });
    assert_eq!(received, payload);
    scene.undisturbed();
}

#[test]
fn drain_uses_the_credit_up() {
    let mut scene = Scene::new();
    let mut peer = scene.peer();
    let first = peer.attach(attach_receiver("r", 0, "queue.drain")).number("initial-delivery-count");
    // 2.6.7: nothing to send, so all credit goes, at once.
    peer.send(peer.link_flow(0, first as u32, 10).with("drain", true));
    let flow = peer.expect_link_flow();
    assert_eq!((flow.number("delivery-count"), flow.number("link-credit")), (first + 10, 0), "{flow:?}");
    assert!(flow.flag("drain"));

    // One to send, then the rest of the credit goes.
    let mut sender = scene.peer();
    sender.attach_sender("s", 0, "queue.drain");
    let id = sender.send_message(0, "hello");
    sender.expect_outcome_of(id);
    peer.send(peer.link_flow(0, first as u32 + 10, 5).with("drain", true));
    assert_eq!(text(&peer.expect_transfer().payload), "hello");
    let flow = peer.expect_link_flow();
    assert_eq!((flow.number("delivery-count"), flow.number("link-credit")), (first + 15, 0), "{flow:?}");

    // All the credit there is: one answer, and the count is still one that can be granted from.
    peer.send(peer.link_flow(0, first as u32 + 15, u32::MAX).with("drain", true));
    let flow = peer.expect_link_flow();
    assert_eq!(flow.number("link-credit"), 0);
    let id = sender.send_message(0, "again");
    sender.expect_outcome_of(id);
    peer.grant(0, flow.number("delivery-count") as u32, 1);
    peer.expect_transfer();
    scene.undisturbed();
}
