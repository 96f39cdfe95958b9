//! Anycast addresses: each message to one receiver, in turn, among those that have credit.

use fakebroker::Broker;

use crate::support::*;

/// Peers that receive at an address, whose credit the broker has in the order given.
#[track_caller]
fn receivers(broker: &Broker, address: &str, credits: &[u32]) -> Vec<Peer> {
    credits.iter().map(|credit| Peer::ready_receiver(broker, address, *credit)).collect()
}

/// Sends the texts and says which receiver got each.
#[track_caller]
fn turns(sender: &mut Peer, receivers: &mut [Peer], texts: &[&str]) -> Vec<usize> {
    sender.send_accepted(0, texts);
    let mut arrived: Vec<(String, usize)> = Vec::new();
    for (index, receiver) in receivers.iter_mut().enumerate() {
        arrived.extend(receiver.arrived_texts().into_iter().map(|text| (text, index)));
    }
    texts
        .iter()
        .map(|text| {
            let got: Vec<usize> = arrived.iter().filter(|(other, _)| other == text).map(|(_, index)| *index).collect();
            assert_eq!(got.len(), 1, "{text:?} is for one receiver, got by {got:?}");
            got[0]
        })
        .collect()
}

const NINE: [&str; 9] = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];

#[test]
fn receivers_take_turns() {
    let broker = Broker::start().unwrap();
    let mut receivers = receivers(&broker, "unicast.a", &[100, 100, 100]);
    let mut sender = Peer::sender(&broker, "unicast.a");
    let mut turns_of_all = turns(&mut sender, &mut receivers, &NINE);
    // Nobody is passed over between two batches either.
    turns_of_all.extend(turns(&mut sender, &mut receivers, &["10", "11"]));
    let mut first_round = turns_of_all[..3].to_vec();
    first_round.sort_unstable();
    assert_eq!(first_round, [0, 1, 2]);
    for (number, receiver) in turns_of_all.iter().enumerate() {
        assert_eq!(*receiver, turns_of_all[number % 3], "in turn: {turns_of_all:?}");
    }
    assert_eq!(counted(&broker).into_iter().find(|(name, _)| *name == "topic"), Some(("topic", 11)));
}

#[test]
fn one_without_credit_is_skipped_and_gets_its_turn_again() {
    let broker = Broker::start().unwrap();
    let mut receivers = receivers(&broker, "unicast.a", &[1, 100, 100]);
    let mut sender = Peer::sender(&broker, "unicast.a");
    // The first has credit for one message of the nine; the other two share the rest in turn.
    let got = turns(&mut sender, &mut receivers, &NINE);
    assert_eq!(got.iter().filter(|receiver| **receiver == 0).count(), 1, "{got:?}");
    let others: Vec<usize> = got.into_iter().filter(|receiver| *receiver != 0).collect();
    assert!(others.windows(2).all(|pair| pair[0] != pair[1]), "in turn: {others:?}");
    // With credit again it is one of three, and in its turn, not in a burst.
    receivers[0].grant(0, 1, 2);
    receivers[0].expect_nothing();
    let got = turns(&mut sender, &mut receivers, &["a", "b", "c", "d", "e", "f"]);
    for round in got.chunks(3) {
        let mut round = round.to_vec();
        round.sort_unstable();
        assert_eq!(round, [0, 1, 2], "in turn: {got:?}");
    }
}

#[test]
fn without_any_credit_it_waits_for_whoever_grants_first() {
    let broker = Broker::start().unwrap();
    let mut receivers = receivers(&broker, "unicast.a", &[0, 0]);
    let mut sender = Peer::sender(&broker, "unicast.a");
    sender.send_accepted(0, &["1", "2", "3", "4"]);
    receivers.iter_mut().for_each(|receiver| receiver.expect_nothing());
    receivers[1].grant(0, 0, 2);
    assert_eq!(receivers[1].receive_texts(2), ["1", "2"]);
    receivers[0].expect_nothing();
    receivers[0].grant(0, 0, 10);
    assert_eq!(receivers[0].receive_texts(2), ["3", "4"]);
    receivers[1].expect_nothing();
}

#[test]
fn credit_that_is_taken_back_is_none() {
    let broker = Broker::start().unwrap();
    let mut receivers = receivers(&broker, "unicast.a", &[5, 5]);
    // 2.6.7: link-credit is what it is now, however much was granted before.
    receivers[0].grant(0, 0, 0);
    receivers[0].expect_nothing();
    let mut sender = Peer::sender(&broker, "unicast.a");
    assert_eq!(turns(&mut sender, &mut receivers, &["1", "2", "3"]), [1, 1, 1]);
}

#[test]
fn what_waits_is_for_those_who_stay() {
    let broker = Broker::start().unwrap();
    let mut receivers = receivers(&broker, "unicast.a", &[0, 0]);
    let mut sender = Peer::sender(&broker, "unicast.a");
    sender.send_accepted(0, &["1", "2"]);
    let mut staying = receivers.pop().unwrap();
    receivers.pop().unwrap().close();
    staying.expect_nothing();
    staying.grant(0, 0, 10);
    assert_eq!(staying.receive_texts(2), ["1", "2"]);
    assert_eq!(broker.counts().dropped, 0);
}

#[test]
fn what_waits_when_the_last_leaves_is_dropped() {
    let broker = Broker::start().unwrap();
    let mut receivers = receivers(&broker, "unicast.a", &[0]);
    let mut sender = Peer::sender(&broker, "unicast.a");
    sender.send_accepted(0, &["1", "2"]);
    receivers.pop().unwrap().close();
    until(&broker, "both are dropped", |counts| counts.dropped == 2);
}
