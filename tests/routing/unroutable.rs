//! Messages that nobody could receive: what their senders are told, in each configuration.

use fakebroker::{Broker, Unroutable};

use crate::support::*;

/// Where nobody is, for each distribution that does not store.
const ADDRESSES: [&str; 4] = ["nobody.here", "exclusive.nobody", "unicast.nobody", "broadcast.nobody"];

fn broker(unroutable: Unroutable) -> Broker {
    Broker::builder().unroutable(unroutable).start().unwrap()
}

/// Sends to an address by a link of its own and by an anonymous one; both outcomes.
#[track_caller]
fn outcomes(broker: &Broker, address: &str) -> Vec<Performative> {
    let mut peer = Peer::opened(broker);
    peer.attach_sender("named", 0, address);
    peer.attach_anonymous("anonymous", 1);
    let by_link = peer.send_message(0, "lost");
    let first = peer.expect_outcome_of(by_link);
    let by_message = peer.send_payload(1, message_to(address, "lost"));
    let second = peer.expect_outcome_of(by_message);
    peer.close();
    vec![first, second]
}

fn live_free(broker: &Broker) -> Vec<(&'static str, u64)> {
    let live = ["connections", "sender_links", "receiver_links"];
    counted(broker).into_iter().filter(|(name, _)| !live.contains(name)).collect()
}

#[test]
fn rejected_names_the_address() {
    // The default.
    for broker in [Broker::start().unwrap(), broker(Unroutable::Rejected)] {
        for address in ADDRESSES {
            for outcome in outcomes(&broker, address) {
                assert_eq!(outcome.state(), REJECTED);
                assert!(outcome.flag("settled"));
                assert_eq!(outcome.condition(), NOT_FOUND);
                let error = Composite::of(&outcome.inner("state").unwrap().get("error")).unwrap();
                match error.get("description") {
                    Value::Text(description) => {
                        assert!(description.contains(address), "{description:?} names {address}")
                    }
                    other => panic!("a description of {other:?}"),
                }
            }
        }
        // Dropped and nothing else, though a receiver at another broker may have rejected as many.
        assert_eq!(live_free(&broker), [("dropped", 8)]);
    }
}

#[test]
fn released_is_only_that() {
    let broker = broker(Unroutable::Released);
    for address in ADDRESSES {
        for outcome in outcomes(&broker, address) {
            assert_eq!((outcome.state(), outcome.flag("settled")), (RELEASED, true));
        }
    }
    assert_eq!(live_free(&broker), [("dropped", 8)]);
}

#[test]
fn modified_says_that_the_delivery_failed() {
    let broker = broker(Unroutable::Modified);
    for address in ADDRESSES {
        for outcome in outcomes(&broker, address) {
            assert_eq!((outcome.state(), outcome.flag("settled")), (MODIFIED, true));
            let modified = outcome.inner("state").unwrap();
            assert_eq!(modified.get("delivery-failed"), Value::Bool(true));
            assert!(matches!(modified.get("undeliverable-here"), Value::Null | Value::Bool(false)));
        }
    }
    assert_eq!(live_free(&broker), [("dropped", 8)]);
}

#[test]
fn silence_leaves_the_delivery_unsettled() {
    let broker = broker(Unroutable::Silent);
    for address in ADDRESSES {
        let mut peer = Peer::sender(&broker, address);
        peer.send_message(0, "lost");
        peer.expect_nothing();
        // Others are answered meanwhile, out of order.
        let mut receiver = Peer::ready_receiver(&broker, address, 10);
        let id = peer.send_message(0, "found");
        assert_eq!(covered(&peer.expect_disposition()), [id]);
        assert_eq!(receiver.receive_texts(1), ["found"]);
    }
    assert_eq!(broker.counts().dropped, 4);
}

#[test]
fn what_came_settled_is_dropped_without_a_word() {
    for unroutable in [Unroutable::Rejected, Unroutable::Released, Unroutable::Modified, Unroutable::Silent] {
        let broker = broker(unroutable);
        let mut peer = Peer::sender(&broker, "nobody.here");
        peer.send(transfer(0, 0).with("settled", true).with_payload(message("lost")));
        peer.expect_nothing();
        assert_eq!(broker.counts().dropped, 1, "{unroutable:?}");
    }
}

#[test]
fn a_queue_needs_nobody() {
    let broker = Broker::start().unwrap();
    for outcome in outcomes(&broker, "queue.nobody") {
        assert_eq!(outcome.state(), ACCEPTED);
    }
    assert_eq!(live_free(&broker), [("queued", 2)]);
}

#[test]
fn an_address_is_served_only_while_a_receiver_is_there() {
    let broker = Broker::start().unwrap();
    for address in ["direct.a", "unicast.a", "broadcast.a"] {
        let mut sender = Peer::sender(&broker, address);
        let mut receiver = Peer::opened(&broker);
        for _ in 0..2 {
            let id = sender.send_message(0, "lost");
            assert_eq!(sender.expect_outcome_of(id).condition(), NOT_FOUND, "{address}");
            receiver.attach_receiver("r", 0, address, 10);
            receiver.expect_nothing();
            sender.send_accepted(0, &["got"]);
            assert_eq!(receiver.receive_texts(1), ["got"], "{address}");
            receiver.send(detach(0));
            receiver.expect_detach();
        }
        let id = sender.send_message(0, "lost");
        assert_eq!(sender.expect_outcome_of(id).condition(), NOT_FOUND, "{address}");
    }
    assert_eq!(broker.counts().dropped, 9);
}
