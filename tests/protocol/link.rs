//! 2.6: links: many in both roles, handles that differ, detach with and without `closed`, re-attach, stealing.

use std::collections::BTreeMap;

use fakebroker::Broker;

use crate::support::*;

#[test]
fn handles_differ_on_each_side() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    // 2.6.2: the peer's handles backwards, and high; the broker's are its own. Names tell which is which.
    let mut theirs = BTreeMap::new();
    for handle in [65_535u32, 700, 3, 2, 1] {
        let address = format!("queue.{handle}");
        let receiver = peer.attach(attach_receiver(&format!("r{handle}"), handle, &address));
        assert_eq!(receiver.text("name"), format!("r{handle}"));
        theirs.insert(receiver.number("handle"), handle);
    }
    assert_eq!(theirs.len(), 5);
    assert!(theirs.iter().any(|(local, remote)| *local != u64::from(*remote)), "or this test shows nothing");
    let sender = peer.attach(attach_sender("s", 10_000, "").with("target", terminus(TARGET, Value::Null)));
    let flow = peer.expect_link_flow();
    assert_eq!(flow.number("handle"), sender.number("handle"));
    for handle in theirs.values() {
        let address = format!("queue.{handle}");
        let id = peer.send_payload(10_000, message_to(&address, &address));
        assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
    }
    // Credit by the peer's handle, the transfer on the broker's, a detach by the peer's again.
    for (local, remote) in &theirs {
        peer.grant(*remote, 0, 1);
        let delivery = peer.expect_transfer();
        assert_eq!(delivery.number("handle"), *local);
        assert_eq!(text(&delivery.payload), format!("queue.{remote}"));
        peer.settle(&delivery, accepted());
        peer.send(detach(*remote));
        assert_eq!(peer.expect_detach().number("handle"), *local);
    }
    assert_eq!(broker.counts().receiver_links, 0);
    assert_eq!(broker.counts().accepted, 5);
}

#[test]
fn a_thousand_links_in_each_role_on_one_session() {
    const LINKS: u32 = 1000;
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    let frames: Vec<u8> = (0..LINKS)
        .flat_map(|number| {
            let address = format!("a.{number}");
            let credit = flow().with("handle", number).with("delivery-count", 0u32).with("link-credit", 10u32);
            let receiver = attach_receiver(&format!("r{number}"), number, &address).bytes();
            let sender = attach_sender(&format!("s{number}"), LINKS + number, &address).bytes();
            [receiver, credit.bytes(), sender].concat()
        })
        .collect();
    peer.send(frames);
    let mut names = BTreeMap::new();
    for _ in 0..2 * LINKS {
        let answer = peer.expect_attach();
        names.insert(answer.number("handle"), answer.text("name"));
    }
    assert_eq!(names.len() as u32, 2 * LINKS, "each has a handle of its own");
    assert_eq!((broker.counts().receiver_links, broker.counts().sender_links), (LINKS.into(), LINKS.into()));
    peer.expect_nothing();
    for number in [0, 1, 499, 998, 999] {
        let id = peer.next_delivery_id();
        peer.send(transfer(LINKS + number, id).with("settled", true).with_payload(message(&number.to_string())));
        let delivery = peer.expect_transfer();
        assert_eq!(names[&delivery.number("handle")], format!("r{number}"));
        assert_eq!(text(&delivery.payload), number.to_string());
    }
    let detaches: Vec<u8> = (0..2 * LINKS).flat_map(|handle| detach(handle).bytes()).collect();
    peer.send(detaches);
    for _ in 0..2 * LINKS {
        peer.expect_detach();
    }
    assert_eq!(counted(&broker), [("direct", 5), ("connections", 1)]);
}

#[test]
fn detach_is_answered_in_kind() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    let because = error("x-own:error", "because");
    let rows = [
        ("closed", (detach(0), true)),
        ("closed with an error", (detach(0).with("error", because.clone()), true)),
        ("not closed", (detach(0).with("closed", false), false)),
        ("not said", (detach(0).without("closed"), false)),
        ("not closed, with an error", (detach(0).with("closed", false).with("error", because), false)),
    ];
    each_row(rows, |(detach, closed)| {
        for receives in [true, false] {
            match receives {
                true => peer.attach_receiver("link", 0, "a", 1),
                false => peer.attach_sender("link", 0, "a"),
            };
            peer.send(detach.clone());
            let answer = peer.expect_detach();
            assert_eq!(answer.flag("closed"), closed);
            assert_eq!(answer.get("error"), Value::Null);
        }
    });
    assert_eq!(counted(&broker), [("connections", 1)]);
}

#[test]
fn a_link_attaches_again() {
    let broker = Broker::start().unwrap();
    for closed in [true, false] {
        let mut peer = Peer::opened(&broker);
        for handle in [0, 0, 7] {
            peer.attach_receiver("r", handle, "queue.a", 1);
            peer.attach_sender("s", handle + 1, "queue.a");
            peer.send_accepted_and_received(handle + 1);
            for handle in [handle, handle + 1] {
                peer.send(detach(handle).with("closed", closed));
                peer.expect_detach();
            }
        }
    }
}

trait Echoing {
    fn send_accepted_and_received(&mut self, handle: u32);
}

impl Echoing for Peer {
    /// Sends a message to a queue that this peer also receives from, and settles it there.
    #[track_caller]
    fn send_accepted_and_received(&mut self, handle: u32) {
        let id = self.send_message(handle, "hello");
        // Delivery and outcome come in either order.
        let frames = [self.hear_beside_flows(), self.hear_beside_flows()];
        let delivery = frames.iter().find(|frame| frame.code() == TRANSFER).expect("a transfer");
        let outcome = frames.iter().find(|frame| frame.code() == DISPOSITION).expect("a disposition");
        assert_eq!((covered(outcome), outcome.state()), (vec![id], ACCEPTED));
        self.settle(delivery, accepted());
        self.expect_nothing();
    }
}

trait Hearing {
    fn hear_beside_flows(&mut self) -> Performative;
}

impl Hearing for Peer {
    #[track_caller]
    fn hear_beside_flows(&mut self) -> Performative {
        loop {
            match self.hear() {
                Heard::Frame(frame) if frame.code() == FLOW => {}
                Heard::Frame(frame) => return frame,
                other => self.fail(&format!("a frame was expected; came {other:?}")),
            }
        }
    }
}

#[test]
fn an_attach_that_resumes_finds_nothing_to_resume() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    // 2.6.13: a peer that attaches again says what it has not settled; the broker has forgotten.
    let unsettled = Value::Map(vec![(Value::Binary(vec![1]), accepted()), (Value::Binary(vec![2]), Value::Null)]);
    let answer = peer.attach(attach_sender("s", 0, "queue.a").with("unsettled", unsettled));
    assert!(matches!(answer.get("unsettled"), Value::Null | Value::Map(_)), "{answer:?}");
    if let Value::Map(entries) = answer.get("unsettled") {
        assert_eq!(entries, []);
    }
    peer.expect_credit();
    peer.send_accepted(0, &["anew"]);
}

#[test]
fn the_same_name_in_each_direction_is_two_links() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    peer.attach_receiver("one name", 0, "queue.a", 10);
    peer.attach_sender("one name", 1, "queue.a");
    peer.send_accepted_and_received(1);
    // On another connection it is another link altogether.
    let mut other = Peer::opened(&broker);
    other.attach_receiver("one name", 0, "queue.b", 10);
    peer.send_accepted_and_received(1);
    assert_eq!(broker.counts().receiver_links, 2);
}

#[test]
fn a_link_that_is_attached_elsewhere_is_stolen() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    peer.send(begin().on_channel(1));
    peer.expect_begin();
    let first = peer.attach_sender("s", 0, "queue.a");
    // 2.6.1: the old place is detached, the new one holds.
    peer.send(attach_sender("s", 0, "queue.b").on_channel(1));
    let detached = peer.expect_detach_with(STOLEN);
    assert_eq!((detached.channel, detached.number("handle")), (first.channel, first.number("handle")));
    assert_eq!(peer.expect_attach().text("name"), "s");
    peer.expect_credit();
    peer.send(detach(0));
    peer.send(transfer(0, 0).with_payload(message("hello")).on_channel(1));
    assert_eq!(peer.expect_disposition().state(), ACCEPTED);
    assert_eq!(broker.counts().sender_links, 1);
}

#[test]
fn what_was_under_way_to_a_stolen_link_harms_no_other() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    peer.attach_sender("stolen", 0, "queue.a");
    peer.attach_sender("other", 1, "queue.b");
    peer.send_accepted(0, &["1"]);
    // 2.6.5: the peer cannot know yet that its link is detached; delivery-ids go on over all links of the session.
    let frames = [
        attach_sender("stolen", 2, "queue.a").bytes(),
        transfer(0, 1).with_payload(message("2")).bytes(),
        transfer(0, 2).with("settled", true).with_payload(message("3")).bytes(),
        transfer(1, 3).with_payload(message("4")).bytes(),
    ];
    peer.send(frames.concat());
    peer.expect_detach_with(STOLEN);
    peer.expect_attach();
    let outcome = peer.expect_outcome_of(3);
    assert_eq!(outcome.state(), ACCEPTED);
}

#[test]
fn an_attach_says_what_it_has() {
    let broker = Broker::builder().max_message_size(1_000_000).start().unwrap();
    let mut peer = Peer::opened(&broker);
    let receiver = peer.attach(attach_receiver("r", 0, "queue.a").with("max-message-size", 1000u64));
    // 2.7.3: initial-delivery-count is the sender's to give, and must be there.
    assert!(matches!(receiver.get("initial-delivery-count"), Value::Uint(_)));
    assert!(!receiver.flag("role"));
    assert_eq!(receiver.address("source").as_deref(), Some("queue.a"));
    assert_eq!(receiver.address("target").as_deref(), Some("queue.a"), "2.6.3: the peer's own end as it said");
    let sender = peer.attach(attach_sender("s", 1, "queue.a"));
    assert!(sender.flag("role"));
    assert_eq!(sender.number("max-message-size"), 1_000_000);
    assert_eq!(sender.address("target").as_deref(), Some("queue.a"));
}
