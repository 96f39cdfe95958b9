//! Multicast addresses: a copy to every receiver, each at its own pace.

use fakebroker::Broker;

use crate::support::*;

#[test]
fn everyone_gets_a_copy_in_order() {
    let broker = Broker::start().unwrap();
    let mut receivers: Vec<Peer> = (0..3).map(|_| Peer::ready_receiver(&broker, "broadcast.a", 10)).collect();
    // Two links of one session are two receivers, and the sender's own connection may receive, too.
    receivers[0].attach_receiver("another", 1, "broadcast.a", 10);
    receivers[0].expect_nothing();
    let mut elsewhere = Peer::ready_receiver(&broker, "broadcast.b", 10);
    let mut sender = Peer::sender(&broker, "broadcast.a");
    sender.send_accepted(0, &["1", "2", "3"]);
    assert_eq!(receivers[1].arrived_texts(), ["1", "2", "3"]);
    assert_eq!(receivers[2].arrived_texts(), ["1", "2", "3"]);
    // Each of its links has them in order; which link comes first is open.
    let mut both = receivers[0].arrived_texts();
    both.sort();
    assert_eq!(both, ["1", "1", "2", "2", "3", "3"]);
    elsewhere.expect_nothing();
    assert_eq!((broker.counts().fanout, broker.counts().fanout_sent), (3, 12));
}

#[test]
fn a_slow_receiver_keeps_its_own_backlog() {
    let broker = Broker::start().unwrap();
    let mut slow = Peer::ready_receiver(&broker, "broadcast.a", 1);
    let mut fast = Peer::ready_receiver(&broker, "broadcast.a", 100);
    let mut sender = Peer::sender(&broker, "broadcast.a");
    sender.send_accepted(0, &["1", "2", "3", "4", "5"]);
    // The slow one holds nobody up.
    assert_eq!(fast.receive_texts(5), ["1", "2", "3", "4", "5"]);
    assert_eq!(slow.arrived_texts(), ["1"]);
    slow.grant(0, 1, 2);
    assert_eq!(slow.receive_texts(2), ["2", "3"]);
    // What comes now stands behind its backlog.
    sender.send_accepted(0, &["6"]);
    assert_eq!(fast.receive_texts(1), ["6"]);
    slow.grant(0, 3, 100);
    assert_eq!(slow.receive_texts(3), ["4", "5", "6"]);
    slow.expect_nothing();
    assert_eq!((broker.counts().fanout, broker.counts().fanout_sent), (6, 12));
}

#[test]
fn who_comes_late_gets_only_what_comes_later() {
    let broker = Broker::start().unwrap();
    let mut early = Peer::ready_receiver(&broker, "broadcast.a", 0);
    let mut sender = Peer::sender(&broker, "broadcast.a");
    sender.send_accepted(0, &["before"]);
    let mut late = Peer::ready_receiver(&broker, "broadcast.a", 10);
    late.expect_nothing();
    sender.send_accepted(0, &["after"]);
    assert_eq!(late.receive_texts(1), ["after"]);
    early.grant(0, 0, 10);
    assert_eq!(early.receive_texts(2), ["before", "after"]);
}

#[test]
fn a_copy_that_is_given_back_comes_to_nobody() {
    let broker = Broker::start().unwrap();
    let mut one = Peer::ready_receiver(&broker, "broadcast.a", 10);
    let mut other = Peer::ready_receiver(&broker, "broadcast.a", 10);
    let mut sender = Peer::sender(&broker, "broadcast.a");
    sender.send_accepted(0, &["1"]);
    let delivery = one.expect_transfer();
    one.settle(&delivery, released());
    one.expect_nothing();
    assert_eq!(other.arrived_texts(), ["1"]);
    assert_eq!(broker.counts().released, 1);
}

#[test]
fn one_that_leaves_takes_its_backlog_along() {
    let broker = Broker::start().unwrap();
    let leaving = Peer::ready_receiver(&broker, "broadcast.a", 0);
    let mut staying = Peer::ready_receiver(&broker, "broadcast.a", 1);
    let mut sender = Peer::sender(&broker, "broadcast.a");
    sender.send_accepted(0, &["1", "2"]);
    leaving.close();
    staying.grant(0, 0, 10);
    assert_eq!(staying.receive_texts(2), ["1", "2"]);
    staying.expect_nothing();
}
