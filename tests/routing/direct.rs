//! Direct addresses: the receiver that attached first gets everything.

use fakebroker::Broker;

use crate::support::*;

#[test]
fn the_first_receiver_gets_all() {
    let broker = Broker::start().unwrap();
    for address in ["plain", "exclusive.exchange.topic.server"] {
        let mut first = Peer::ready_receiver(&broker, address, 10);
        let mut second = Peer::ready_receiver(&broker, address, 10);
        let mut sender = Peer::sender(&broker, address);
        sender.send_accepted(0, &["1", "2", "3"]);
        assert_eq!(first.arrived_texts(), ["1", "2", "3"]);
        second.expect_nothing();
    }
    assert_eq!(broker.counts().direct, 6);
}

#[test]
fn the_first_without_credit_is_waited_for() {
    let broker = Broker::start().unwrap();
    let mut first = Peer::ready_receiver(&broker, "a", 0);
    let mut second = Peer::ready_receiver(&broker, "a", 10);
    let mut sender = Peer::sender(&broker, "a");
    sender.send_accepted(0, &["1", "2", "3"]);
    first.expect_nothing();
    second.expect_nothing();
    first.grant(0, 0, 2);
    assert_eq!(first.receive_texts(2), ["1", "2"]);
    first.expect_nothing();
    first.grant(0, 2, 10);
    assert_eq!(first.receive_texts(1), ["3"]);
    second.expect_nothing();
}

#[test]
fn when_the_first_leaves_the_next_takes_over() {
    let broker = Broker::start().unwrap();
    each_way_to_leave(|leave| {
        let first = Peer::ready_receiver(&broker, "a", 0);
        let mut second = Peer::ready_receiver(&broker, "a", 10);
        let mut third = Peer::ready_receiver(&broker, "a", 10);
        let mut sender = Peer::sender(&broker, "a");
        // Waits for the first, which has no credit, and goes on to the second when the first is gone.
        sender.send_accepted(0, &["waited"]);
        second.expect_nothing();
        leave(first);
        assert_eq!(second.receive_texts(1), ["waited"]);
        sender.send_accepted(0, &["came later"]);
        assert_eq!(second.receive_texts(1), ["came later"]);
        third.expect_nothing();
    });
}

#[test]
fn links_that_leave_together_are_not_given_what_waited_for_one_of_them() {
    let broker = Broker::start().unwrap();
    each_way_to_leave_together(|leave| {
        let mut leaving = Peer::ready_receiver(&broker, "a", 0);
        leaving.attach_receiver("also leaving", 1, "a", 10);
        leaving.expect_nothing();
        let mut staying = Peer::ready_receiver(&broker, "a", 10);
        let mut sender = Peer::sender(&broker, "a");
        sender.send_accepted(0, &["for who stays"]);
        leave(leaving);
        assert_eq!(staying.receive_texts(1), ["for who stays"]);
    });
}

#[test]
fn a_receiver_that_comes_back_is_the_last() {
    let broker = Broker::start().unwrap();
    let mut first = Peer::ready_receiver(&broker, "a", 10);
    let mut second = Peer::ready_receiver(&broker, "a", 10);
    first.send(detach(0));
    first.expect_detach();
    first.attach_receiver("r", 0, "a", 10);
    first.expect_nothing();
    let mut sender = Peer::sender(&broker, "a");
    sender.send_accepted(0, &["1"]);
    assert_eq!(second.receive_texts(1), ["1"]);
    first.expect_nothing();
}
