//! Dynamic termini (3.5.3, 3.5.4): an address made for a link, that ends with it.

use fakebroker::Broker;

use crate::support::*;

fn dynamic_with(code: u64, capability: &str) -> Value {
    composite(code, &[("dynamic", true.into()), ("capabilities", symbol(capability))])
}

/// A receiver with a dynamic source, and the address made for it.
#[track_caller]
fn dynamic_receiver(broker: &Broker, source: Value, credit: u32) -> (Peer, String) {
    let mut peer = Peer::opened(broker);
    let answer = peer.attach(attach_receiver("r", 0, "").with("source", source));
    let source = answer.inner("source").unwrap();
    assert_eq!(source.get("dynamic"), Value::Bool(true), "2.6.3: the terminus is what it was asked to be");
    let address = answer.address("source").expect("an address");
    assert!(!address.is_empty());
    peer.grant(0, 0, credit);
    peer.expect_nothing();
    (peer, address)
}

/// Nobody can attach to a node that is gone, and a message for it has nowhere to go.
#[track_caller]
fn expect_gone(broker: &Broker, address: &str) {
    let mut peer = Peer::opened(broker);
    let path = format!("/queues/{address}");
    for attach in [attach_sender("s", 0, address), attach_receiver("r", 0, address), attach_receiver("r", 0, &path)] {
        peer.attach(attach);
        peer.expect_detach_with(NOT_FOUND);
        peer.send(detach(0));
    }
    peer.attach_anonymous("s", 0);
    let id = peer.send_payload(0, message_to(address, "too late"));
    assert_eq!(peer.expect_outcome_of(id).condition(), NOT_FOUND);
    peer.close();
}

#[test]
fn a_dynamic_source_is_an_address_to_send_to() {
    let broker = Broker::start().unwrap();
    let (mut receiver, address) = dynamic_receiver(&broker, dynamic(SOURCE), 10);
    Peer::sender(&broker, &address).send_accepted(0, &["by link"]);
    let mut anonymous = Peer::opened(&broker);
    anonymous.attach_anonymous("s", 0);
    let id = anonymous.send_payload(0, message_to(&address, "by to"));
    assert_eq!(anonymous.expect_outcome_of(id).state(), ACCEPTED);
    assert_eq!(receiver.receive_texts(2), ["by link", "by to"]);
}

#[test]
fn each_dynamic_address_is_another() {
    let brokers = [Broker::start().unwrap(), Broker::start().unwrap()];
    let mut addresses = Vec::new();
    let mut peers = Vec::new();
    for broker in &brokers {
        for _ in 0..3 {
            let (mut peer, address) = dynamic_receiver(broker, dynamic(SOURCE), 10);
            addresses.push(address);
            let answer = peer.attach(attach_receiver("another", 1, "").with("source", dynamic(SOURCE)));
            addresses.push(answer.address("source").unwrap());
            let answer = peer.attach(attach_sender("a target", 2, "").with("target", dynamic(TARGET)));
            addresses.push(answer.address("target").unwrap());
            peers.push(peer);
        }
    }
    let count = addresses.len();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), count, "{addresses:?}");
}

#[test]
fn the_prefix_can_be_chosen() {
    let broker = Broker::builder().generated_prefix("made").start().unwrap();
    let (_receiver, address) = dynamic_receiver(&broker, dynamic(SOURCE), 10);
    assert!(address.starts_with("made"), "{address}");
    let broker = Broker::start().unwrap();
    let (_receiver, address) = dynamic_receiver(&broker, dynamic(SOURCE), 10);
    assert!(address.starts_with("dynamic."), "{address}");
}

#[test]
fn an_address_given_with_dynamic_is_not_the_one_that_is_made() {
    let broker = Broker::start().unwrap();
    // 3.5.3: the address must not be set; a peer that sets it does not get somebody else's node.
    let source = composite(SOURCE, &[("address", "taken".into()), ("dynamic", true.into())]);
    let (_receiver, address) = dynamic_receiver(&broker, source, 10);
    assert_ne!(address, "taken");
}

#[test]
fn a_dynamic_target_is_an_address_to_receive_from() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::opened(&broker);
    let answer = sender.attach(attach_sender("s", 0, "").with("target", dynamic(TARGET)));
    let target = answer.inner("target").unwrap();
    assert_eq!(target.get("dynamic"), Value::Bool(true));
    let address = answer.address("target").unwrap();
    sender.expect_credit();
    // Nobody is there yet.
    let id = sender.send_message(0, "too early");
    assert_eq!(sender.expect_outcome_of(id).condition(), NOT_FOUND);
    // JMS clients make their temporary destinations like this, and receive on the same connection.
    sender.attach_receiver("r", 1, &address, 10);
    sender.expect_nothing();
    Peer::sender(&broker, &address).send_accepted(0, &["1"]);
    assert_eq!(sender.receive_texts(1), ["1"]);
}

#[test]
fn only_the_connection_that_made_a_dynamic_node_receives_there() {
    let broker = Broker::start().unwrap();
    for kind in ["x-whatever", "temporary-queue", "temporary-topic"] {
        let (mut owner, address) = dynamic_receiver(&broker, dynamic_with(SOURCE, kind), 10);
        let mut target_owner = Peer::opened(&broker);
        let answer = target_owner.attach(attach_sender("s", 0, "").with("target", dynamic_with(TARGET, kind)));
        let mut other = Peer::opened(&broker);
        for address in [&address, &answer.address("target").unwrap()] {
            let refused = other.attach(attach_receiver("r", 0, address));
            assert_eq!(refused.get("source"), Value::Null);
            other.expect_detach_with("amqp:resource-locked");
            other.send(detach(0));
        }
        // Everybody may send there: that is what replies need.
        other.attach_sender("s", 0, &address);
        other.send_accepted(0, &["a reply"]);
        assert_eq!(owner.receive_texts(1), ["a reply"]);
    }
}

#[test]
fn a_temporary_queue_is_a_queue() {
    let broker = Broker::start().unwrap();
    let (mut owner, address) = dynamic_receiver(&broker, dynamic_with(SOURCE, "temporary-queue"), 0);
    Peer::sender(&broker, &address).send_accepted(0, &["1", "2"]);
    assert_eq!((broker.counts().queued, broker.counts().topic), (2, 0));
    // Another receiver competes.
    owner.attach_receiver("another", 1, &address, 1);
    let delivery = owner.expect_transfer();
    assert_eq!(text(&delivery.payload), "1");
    owner.settle(&delivery, released());
    owner.expect_nothing();
    owner.grant(0, 0, 10);
    assert_eq!(owner.receive_texts(2), ["1", "2"]);
    // A target, too.
    let mut sender = Peer::opened(&broker);
    sender.attach(attach_sender("s", 0, "").with("target", dynamic_with(TARGET, "temporary-queue")));
    sender.expect_credit();
    sender.send_accepted(0, &["stored"]);
    assert_eq!(broker.counts().queued, 3);
}

#[test]
fn a_temporary_topic_is_a_topic() {
    let broker = Broker::start().unwrap();
    let (mut owner, address) = dynamic_receiver(&broker, dynamic_with(SOURCE, "temporary-topic"), 10);
    owner.attach_receiver("another", 1, &address, 10);
    owner.expect_nothing();
    Peer::sender(&broker, &address).send_accepted(0, &["1"]);
    assert_eq!(owner.receive_texts(2), ["1", "1"]);
    assert_eq!((broker.counts().fanout, broker.counts().fanout_sent), (1, 2));
}

#[test]
fn a_dynamic_address_ends_with_its_link() {
    let broker = Broker::start().unwrap();
    for source in [dynamic(SOURCE), dynamic_with(SOURCE, "temporary-queue"), dynamic_with(SOURCE, "temporary-topic")] {
        each_way_to_leave(|leave| {
            let (owner, address) = dynamic_receiver(&broker, source.clone(), 0);
            let mut before = Peer::sender(&broker, &address);
            before.send_accepted(0, &["for the owner"]);
            leave(owner);
            until(&broker, "the link is gone", |counts| counts.receiver_links == 0);
            // Neither for one that was attached to it nor for one that comes now.
            before.expect_detach_with("amqp:resource-deleted");
            before.close();
            expect_gone(&broker, &address);
        });
    }
}

#[test]
fn a_dynamic_target_ends_with_its_link() {
    let broker = Broker::start().unwrap();
    let mut owner = Peer::opened(&broker);
    let answer = owner.attach(attach_sender("s", 0, "").with("target", dynamic_with(TARGET, "temporary-queue")));
    let address = answer.address("target").unwrap();
    owner.expect_credit();
    owner.send_accepted(0, &["stored"]);
    owner.send(detach(0));
    owner.expect_detach();
    // What was stored went with the node, and it does not come to life again.
    expect_gone(&broker, &address);
}

#[test]
fn an_address_that_looks_like_a_dynamic_one_is_an_address() {
    let broker = Broker::start().unwrap();
    let (owner, address) = dynamic_receiver(&broker, dynamic(SOURCE), 0);
    owner.close();
    // One that has not been made yet, one of another broker's, one of nobody's.
    let (stem, number) = address.rsplit_once('.').unwrap();
    let next = format!("{stem}.{}", number.parse::<u64>().unwrap() + 1);
    for address in [&next, "dynamic.00000000.1", "dynamic.orders", &format!("{address}x")] {
        Peer::sender(&broker, address).close();
        Peer::receiver(&broker, address, 1).close();
    }
}
