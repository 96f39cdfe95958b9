//! 2.7.3 attach and 2.7.7 detach.

use fakebroker::Broker;

use crate::scene::Scene;
use crate::support::*;

#[test]
fn a_handle_in_use_ends_the_session() {
    let mut scene = Scene::new();
    let rows = [
        ("by a sender", attach_sender("other", 0, "a")),
        ("by a receiver", attach_receiver("other", 0, "a")),
        ("by a link with the same name and the other role", attach_receiver("s", 0, "a")),
    ];
    each_row(rows, |attach| {
        let mut peer = scene.peer();
        peer.begin(begin().on_channel(1));
        peer.attach_sender("s", 0, "a");
        peer.send(attach);
        // 2.7.3: and the other session of the connection is not concerned.
        peer.expect_end_with(HANDLE_IN_USE);
        peer.send(attach_sender("s", 0, "a").on_channel(1));
        peer.expect_attach();
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn a_handle_over_handle_max_closes_with_framing_error() {
    let mut scene = Scene::of(Broker::builder().handle_max(7));
    each_row([("one over", 8), ("the highest", u32::MAX)], |handle| {
        let mut peer = Peer::greeted(&scene.broker);
        peer.send(open());
        peer.expect_open();
        assert_eq!(peer.begin(begin()).number("handle-max"), 7);
        peer.attach_sender("s", 7, "a");
        peer.send(attach_sender("t", handle, "a"));
        peer.expect_closed_with(FRAMING_ERROR);
        scene.undisturbed();
    });
    let mut scene = Scene::new();
    let mut peer = scene.peer();
    peer.attach_sender("s", 65_535, "a");
    peer.send(attach_sender("t", 65_536, "a"));
    peer.expect_closed_with(FRAMING_ERROR);
    scene.undisturbed();
    scene.until_alone();
}

#[test]
fn a_link_of_the_same_name_and_role_steals_the_old_one() {
    let mut scene = Scene::new();
    // 2.6.1: a name belongs to one link between two containers in each direction.
    let rows = [
        ("a sender, same session", (attach_sender("l", 0, "a"), attach_sender("l", 1, "a"))),
        ("a receiver, same session", (attach_receiver("l", 0, "a"), attach_receiver("l", 1, "b"))),
        ("a sender, another session", (attach_sender("l", 0, "a"), attach_sender("l", 0, "a").on_channel(1))),
        ("a receiver, another session", (attach_receiver("l", 0, "a"), attach_receiver("l", 0, "a").on_channel(1))),
    ];
    each_row(rows, |(old, new)| {
        let mut peer = scene.peer();
        peer.begin(begin().on_channel(1));
        peer.send(&old);
        peer.expect_attach();
        peer.send(&new);
        peer.expect_detach_with(STOLEN);
        peer.expect_attach();
        // The new link is the one that is there now.
        peer.send(detach(0));
        peer.send(detach(new.number("handle") as u32).on_channel(new.channel));
        assert_eq!(peer.expect_detach().condition(), "");
        peer.close();
        scene.undisturbed();
    });
    // With the other role it is another link.
    let mut peer = scene.peer();
    peer.attach_sender("l", 0, "a");
    peer.attach_receiver("l", 1, "a", 1);
    peer.send_message(0, "hello");
    assert_eq!(peer.round_trip().iter().filter(|frame| frame.code() == TRANSFER).count(), 1);
    scene.undisturbed();
}

#[test]
fn attach_with_a_field_that_it_cannot_have() {
    let mut scene = Scene::new();
    let sender = || attach_sender("s", 0, "a");
    let receiver = || attach_receiver("r", 0, "a");
    let rows = [
        // 2.7.3: a sender counts from somewhere.
        ("a sender without initial-delivery-count", sender().without("initial-delivery-count")),
        // 2.8.2, 2.8.3
        ("snd-settle-mode 3", sender().with("snd-settle-mode", 3u8)),
        ("snd-settle-mode 255", receiver().with("snd-settle-mode", 255u8)),
        ("rcv-settle-mode 2", sender().with("rcv-settle-mode", 2u8)),
        ("rcv-settle-mode 255", receiver().with("rcv-settle-mode", 255u8)),
        // 3.5.3, 3.5.4: no address is one thing, an address without a letter another.
        ("an empty address to send to", attach_sender("s", 0, "")),
        ("an empty address to receive from", attach_receiver("r", 0, "")),
    ];
    each_row(rows, |attach| {
        let mut peer = scene.peer();
        peer.send(attach);
        peer.expect_error_with(INVALID_FIELD);
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn a_terminus_that_is_not_there_is_refused() {
    let mut scene = Scene::new();
    let sender = || attach_sender("s", 5, "a");
    let receiver = || attach_receiver("r", 5, "a");
    let unknown = || described(0x99, Value::List(vec!["a".into()]));
    let named = |name: &str| Value::Described(Box::new(symbol(name)), Box::new(Value::List(vec![])));
    let coordinator = Composite::new(COORDINATOR).to_value();
    let rows = [
        // 2.6.3: a link that is not made is attached with a null terminus on our side, then detached with the
        // reason. (Which, for a terminus that was null already, is not said.)
        ("a null target", ("target", sender().without("target"), None)),
        ("a null source", ("source", receiver().without("source"), None)),
        ("null source and target of a sender", ("target", sender().without("target").without("source"), None)),
        ("null source and target of a receiver", ("source", receiver().without("target").without("source"), None)),
        ("an unknown target", ("target", sender().with("target", unknown()), Some(NOT_IMPLEMENTED))),
        ("an unknown source", ("source", receiver().with("source", unknown()), Some(NOT_IMPLEMENTED))),
        ("a target of unknown name", ("target", sender().with("target", named("x:y")), Some(NOT_IMPLEMENTED))),
        ("a source of unknown name", ("source", receiver().with("source", named("x:y")), Some(NOT_IMPLEMENTED))),
        ("a coordinator", ("target", sender().with("target", coordinator), Some(NOT_IMPLEMENTED))),
        (
            "a coordinator by name",
            ("target", sender().with("target", named("amqp:coordinator:list")), Some(NOT_IMPLEMENTED)),
        ),
    ];
    each_row(rows, |(terminus, attach, condition)| {
        let mut peer = scene.peer();
        let answer = peer.attach(attach);
        assert_eq!(answer.get(terminus), Value::Null, "{answer:?}");
        let detach = peer.expect_detach();
        assert!(detach.flag("closed"), "{detach:?}");
        match condition {
            Some(condition) => assert_eq!(detach.condition(), condition),
            None => assert!(!detach.condition().is_empty(), "a reason: {detach:?}"),
        }
        // The session goes on, and the handle is free once both have detached.
        peer.send(crate::support::detach(5));
        peer.attach_sender("s", 5, "a");
        peer.close();
        scene.undisturbed();
    });
    scene.until_alone();
    let counts = scene.broker.counts();
    assert_eq!((counts.sender_links, counts.receiver_links), (1, 1), "the bystander's");
}

#[test]
fn too_many_links_are_refused() {
    let mut scene = Scene::of(Broker::builder().max_links(3));
    let mut peer = scene.peer();
    peer.begin(begin().on_channel(1));
    peer.attach_sender("s", 0, "a");
    peer.attach_receiver("r", 1, "a", 1);
    peer.send(attach_sender("t", 0, "a").on_channel(1));
    peer.expect_attach();
    // The limit is the connection's, over all its sessions.
    peer.send(attach_sender("u", 1, "a").on_channel(1));
    peer.expect_error_with(RESOURCE_LIMIT_EXCEEDED);
    // It does not count what others have.
    let mut other = scene.peer();
    other.attach_sender("s", 0, "a");
    scene.undisturbed();
}

#[test]
fn a_link_that_went_makes_room() {
    let mut scene = Scene::of(Broker::builder().max_links(2));
    let mut peer = scene.peer();
    for _ in 0..10 {
        for handle in [0, 1] {
            peer.attach_sender(&format!("s{handle}"), handle, "a");
        }
        for handle in [0, 1] {
            peer.send(detach(handle));
            peer.expect_detach();
        }
    }
    peer.close();
    scene.undisturbed();
    scene.until_alone();
}

#[test]
fn many_links_on_one_connection_are_served() {
    let mut scene = Scene::new();
    let mut peer = scene.peer();
    let attaches: Vec<u8> = (0..2000).flat_map(|n| attach_receiver(&format!("r{n}"), n, "crowd").bytes()).collect();
    peer.send(attaches);
    for _ in 0..2000 {
        peer.expect_attach();
    }
    scene.undisturbed();
    drop(peer);
    scene.until_alone();
    assert_eq!(scene.broker.counts().receiver_links, 1, "the bystander's");
}

#[test]
fn detach_of_a_handle_without_a_link_ends_the_session() {
    let mut scene = Scene::new();
    // 2.7.7
    each_row([("never attached", 3), ("the highest", u32::MAX)], |handle| {
        let mut peer = scene.peer();
        peer.send(detach(handle));
        peer.expect_end_with(UNATTACHED_HANDLE);
        scene.undisturbed();
    });
    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "a");
    peer.send([detach(0).bytes(), detach(0).bytes()].concat());
    peer.expect_detach();
    peer.expect_end_with(UNATTACHED_HANDLE);
    scene.undisturbed();
}

#[test]
fn frames_after_our_own_detach_are_discarded() {
    let mut scene = Scene::without_credit();
    let mut peer = scene.peer();
    peer.send(attach_sender("s", 0, "a"));
    peer.expect_attach();
    peer.send_message(0, "without credit");
    peer.expect_detach_with(TRANSFER_LIMIT_EXCEEDED);
    // 2.6.5: until the peer has detached too, what it had under way is dropped without a fault.
    peer.send_message(0, "more");
    peer.send(peer.link_flow(0, 0, 10));
    peer.expect_nothing();
    peer.send(detach(0));
    peer.expect_nothing();
    peer.send(attach_sender("s", 0, "a"));
    peer.expect_attach();
    peer.close();
    scene.undisturbed();
}
