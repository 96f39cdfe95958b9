//! 2.6.12 and 2.7.6: settlement: every snd-settle-mode with every rcv-settle-mode; dispositions in ranges, out of order, of
//! what is settled already.

use fakebroker::Broker;

use crate::support::*;

/// A receiver at an address, with these settle modes and credit.
#[track_caller]
fn receiver(broker: &Broker, address: &str, snd: u8, rcv: u8) -> Peer {
    let mut peer = Peer::opened(broker);
    let attach = attach_receiver("r", 0, address).with("snd-settle-mode", snd).with("rcv-settle-mode", rcv);
    let answer = peer.attach(attach);
    // 2.7.3: the sender says what snd-settle-mode is in use, and repeats the receiver's own.
    assert_eq!(mode(&answer, "snd-settle-mode", 2), snd);
    assert_eq!(mode(&answer, "rcv-settle-mode", 0), rcv);
    peer.grant(0, 0, 100);
    peer.expect_nothing();
    peer
}

fn mode(attach: &Performative, field: &str, default: u8) -> u8 {
    match attach.get(field) {
        Value::Ubyte(mode) => mode,
        Value::Null => default,
        other => panic!("{field} of {other:?}"),
    }
}

fn unsettled(delivery: &Performative, state: Value) -> Performative {
    disposition(RECEIVER, delivery.number("delivery-id") as u32, state).with("settled", false)
}

#[test]
fn a_producer_of_every_mode_is_answered() {
    let broker = Broker::start().unwrap();
    for snd in 0..=2u8 {
        for rcv in 0..=1u8 {
            let mut peer = Peer::opened(&broker);
            let attach = attach_sender("s", 0, "queue.a").with("snd-settle-mode", snd).with("rcv-settle-mode", rcv);
            let answer = peer.attach(attach);
            assert_eq!(mode(&answer, "snd-settle-mode", 2), snd);
            // 2.7.3: the receiver says what is in use, which is what was asked for.
            assert_eq!(mode(&answer, "rcv-settle-mode", 0), rcv);
            peer.expect_credit();
            if snd != 1 {
                let id = peer.send_message(0, "unsettled");
                let outcome = peer.expect_outcome_of(id);
                assert_eq!((outcome.state(), outcome.flag("role")), (ACCEPTED, RECEIVER));
                // Settled with its outcome in either mode: some clients ask for second, and then wait for just this.
                assert!(outcome.flag("settled"), "snd {snd}, rcv {rcv}");
                // 2.6.12: a sender that keeps to second settles too.
                peer.send(disposition(SENDER, id, accepted()));
                peer.expect_nothing();
            }
            if snd != 0 {
                let id = peer.next_delivery_id();
                peer.send(transfer(0, id).with("settled", true).with_payload(message("settled")));
                peer.expect_nothing();
            }
            // 2.7.5: a transfer may say in which mode it is, but not second where the link has agreed on first.
            if snd != 1 && rcv == 1 {
                for mode in [0u8, 1] {
                    let id = peer.next_delivery_id();
                    let transfer = transfer(0, id).with("rcv-settle-mode", mode);
                    peer.send(transfer.with_payload(message("in its own mode")));
                    assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
                }
            }
            // The link is as good as before.
            if snd != 1 {
                peer.send_accepted(0, &["once more"]);
            }
        }
    }
    assert_eq!(broker.counts().queued, 2 * (2 + 3 + 1) + 2 * 2);
}

#[test]
fn a_receiver_that_settles_first_is_not_answered() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::sender(&broker, "a");
    for snd in [0, 2] {
        let mut receiver = receiver(&broker, "a", snd, 0);
        for state in [accepted(), released(), rejected(), modified()] {
            sender.send_accepted(0, &["hello"]);
            let delivery = receiver.expect_transfer();
            receiver.settle(&delivery, state);
            receiver.expect_nothing();
        }
        receiver.close();
    }
    let counts = broker.counts();
    assert_eq!((counts.accepted, counts.released, counts.rejected, counts.modified), (2, 2, 2, 2));
}

#[test]
fn a_receiver_that_settles_second_is_settled_first() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::sender(&broker, "a");
    for snd in [0, 2] {
        let mut receiver = receiver(&broker, "a", snd, 1);
        for state in [accepted(), released(), rejected(), modified()] {
            sender.send_accepted(0, &["hello"]);
            let delivery = receiver.expect_transfer();
            let id = delivery.number("delivery-id") as u32;
            receiver.send(unsettled(&delivery, state.clone()));
            // The sending end settles, with the same state, and then the receiver may forget, too.
            let settled = receiver.expect_disposition();
            assert!(!settled.flag("role"), "{settled:?}");
            assert!(settled.flag("settled"), "{settled:?}");
            assert_eq!(covered(&settled), [id]);
            assert_eq!(Some(settled.state()), Composite::of(&state).map(|state| state.code));
            receiver.settle(&delivery, state);
            receiver.expect_nothing();
        }
        receiver.close();
    }
    // Each was counted once, though it was said twice.
    let counts = broker.counts();
    assert_eq!((counts.accepted, counts.released, counts.rejected, counts.modified), (2, 2, 2, 2));
}

#[test]
fn the_state_received_is_no_outcome() {
    let broker = Broker::start().unwrap();
    let mut receiver = receiver(&broker, "queue.a", 0, 1);
    let mut sender = Peer::sender(&broker, "queue.a");
    sender.send_accepted(0, &["hello"]);
    let delivery = receiver.expect_transfer();
    // 3.4.1: how far it has come, which ends nothing.
    let received = composite(RECEIVED, &[("section-number", 0u32.into()), ("section-offset", 5u64.into())]);
    receiver.send(unsettled(&delivery, received));
    receiver.expect_nothing();
    receiver.send(unsettled(&delivery, accepted()));
    assert_eq!(receiver.expect_disposition().state(), ACCEPTED);
    assert_eq!(broker.counts().accepted, 1);
}

#[test]
fn ranges_in_any_order_and_of_what_is_settled_already() {
    let broker = Broker::start().unwrap();
    let mut receiver = receiver(&broker, "queue.a", 0, 0);
    let mut sender = Peer::sender(&broker, "queue.a");
    let texts: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    sender.send_accepted(0, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(receiver.receive_texts(20), texts);
    // Without credit nothing that is released comes at once.
    receiver.grant(0, 20, 0);
    let range = |first: u32, last: u32, state| disposition(RECEIVER, first, state).with("last", last);
    let rows = [
        ("the last alone", (range(19, 19, accepted()), [1, 0])),
        ("a range in the middle", (range(5, 9, accepted()), [6, 0])),
        ("one around it", (range(3, 11, released()), [6, 4])),
        ("the same again", (range(3, 11, accepted()), [6, 4])),
        ("from before the first that is live", (range(0, 4, accepted()), [9, 4])),
        ("beyond the last that was sent", (range(18, 1000, accepted()), [10, 4])),
        ("all that is left, and all else", (range(0, 19, released()), [10, 10])),
    ];
    each_row(rows, |(disposition, expected)| {
        receiver.send(disposition);
        receiver.expect_nothing();
        assert_eq!([broker.counts().accepted, broker.counts().released], expected);
    });
    // What was released is back, in order: 3, 4, 10, 11, and 12 to 17.
    let mut next = Peer::receiver(&broker, "queue.a", 100);
    assert_eq!(next.arrived_texts(), ["3", "4", "10", "11", "12", "13", "14", "15", "16", "17"]);
}

#[test]
fn a_range_over_two_links_of_a_session() {
    let broker = Broker::start().unwrap();
    let mut receiver = Peer::opened(&broker);
    receiver.attach_receiver("a", 0, "queue.a", 10);
    receiver.attach_receiver("b", 1, "queue.b", 10);
    receiver.expect_nothing();
    let mut sender = Peer::opened(&broker);
    sender.attach_sender("a", 0, "queue.a");
    sender.attach_sender("b", 1, "queue.b");
    for _ in 0..3 {
        sender.send_accepted(0, &["a"]);
        sender.send_accepted(1, &["b"]);
    }
    assert_eq!(receiver.receive_texts(6), ["a", "b", "a", "b", "a", "b"]);
    // 2.7.6: delivery-ids are the session's. One range accepts on both links; the other link's go on.
    receiver.send(disposition(RECEIVER, 1, accepted()).with("last", 4u32));
    receiver.expect_nothing();
    assert_eq!(broker.counts().accepted, 4);
    receiver.close();
    for address in ["queue.a", "queue.b"] {
        let mut next = Peer::receiver(&broker, address, 10);
        assert_eq!(next.receive_texts(1), [&address[6..]]);
        next.expect_nothing();
    }
}

#[test]
fn outcomes_of_a_batch_are_put_together() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::sender(&broker, "queue.a");
    let ids = sender.send_texts(0, &vec!["hello"; 900]);
    let mut told = 0;
    let mut dispositions = 0;
    while told < ids.len() {
        let disposition = sender.expect_disposition();
        assert_eq!((disposition.state(), disposition.flag("settled")), (ACCEPTED, true));
        for id in covered(&disposition) {
            assert_eq!(id, told as u32, "in order, each once");
            told += 1;
        }
        dispositions += 1;
    }
    // One segment is read in a few turns at most, and each turn says it once.
    assert!(dispositions <= 90, "{dispositions} dispositions for {told} outcomes");
    sender.expect_nothing();
}

#[test]
fn different_outcomes_are_not_put_together() {
    let broker = Broker::start().unwrap();
    let mut sender = Peer::opened(&broker);
    sender.attach_sender("here", 0, "queue.a");
    sender.attach_sender("nowhere", 1, "nowhere");
    let frames: Vec<u8> = (0..10).flat_map(|id| transfer(id % 2, id).with_payload(message("hello")).bytes()).collect();
    sender.send(frames);
    for (id, outcome) in sender.outcomes_of(0..10).into_iter().enumerate() {
        assert_eq!(outcome.state(), if id % 2 == 0 { ACCEPTED } else { REJECTED }, "delivery {id}");
    }
}

#[test]
fn a_sender_settles_what_it_no_longer_cares_for() {
    // The broker has said nothing of them, because nobody was there.
    let broker = Broker::builder().unroutable(fakebroker::Unroutable::Silent).start().unwrap();
    let mut sender = Peer::sender(&broker, "nowhere");
    sender.attach_sender("q", 1, "queue.a");
    sender.send_texts(0, &["1", "2", "3"]);
    sender.expect_nothing();
    sender.send(disposition(SENDER, 0, Value::Null).with("last", 2u32));
    sender.send_accepted(1, &["4"]);
}
