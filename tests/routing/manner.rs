//! Settled or not: a delivery keeps its manner, unless the receiver's snd-settle-mode says one of the two (2.8.2).

use fakebroker::Broker;

use crate::support::*;

const UNSETTLED: Option<u8> = Some(0);
const SETTLED: Option<u8> = Some(1);
const MIXED: Option<u8> = Some(2);

/// 2.7.3: mixed where it is left out.
fn snd_settle_mode(attach: &Performative) -> u8 {
    match attach.get("snd-settle-mode") {
        Value::Ubyte(mode) => mode,
        Value::Null => 2,
        other => panic!("a snd-settle-mode of {other:?}"),
    }
}

#[test]
fn a_delivery_keeps_its_manner_unless_its_receiver_chose() {
    let broker = Broker::start().unwrap();
    // The receiver's snd-settle-mode; how what comes settled goes out, and what comes unsettled.
    let rows = [
        ("not said", None, true, false),
        ("mixed", MIXED, true, false),
        ("unsettled", UNSETTLED, false, false),
        ("settled", SETTLED, true, true),
    ];
    for address in ["direct.a", "unicast.a", "broadcast.a"] {
        each_row(rows.map(|(name, mode, settled, unsettled)| (name, (mode, settled, unsettled))), |row| {
            let (mode, settled, unsettled) = row;
            let mut receiver = Peer::opened(&broker);
            let attach = attach_receiver("r", 0, address);
            let attach = match mode {
                Some(mode) => attach.with("snd-settle-mode", mode),
                None => attach,
            };
            let answer = receiver.attach(attach);
            assert_eq!(snd_settle_mode(&answer), mode.unwrap_or(2), "{address}: what the receiver asked for");
            receiver.grant(0, 0, 10);
            receiver.expect_nothing();
            let mut sender = Peer::sender(&broker, address);
            sender.send(transfer(0, 0).with("settled", true).with_payload(message("came settled")));
            sender.send(transfer(0, 1).with("settled", false).with_payload(message("came unsettled")));
            // Only the unsettled one is answered.
            let outcome = sender.expect_disposition();
            assert_eq!(covered(&outcome), [1], "{outcome:?}");
            sender.expect_nothing();
            for (name, manner) in [("came settled", settled), ("came unsettled", unsettled)] {
                let delivery = receiver.expect_transfer();
                assert_eq!(text(&delivery.payload), name, "{address}");
                assert_eq!(delivery.flag("settled"), manner, "{address}, {name}");
            }
            receiver.close();
            sender.close();
        });
    }
}

#[test]
fn a_queue_delivers_unsettled_unless_asked_for_settled() {
    let broker = Broker::start().unwrap();
    let rows = [
        ("not said", None, false),
        ("mixed", MIXED, false),
        ("unsettled", UNSETTLED, false),
        ("settled", SETTLED, true),
    ];
    each_row(rows.map(|(name, mode, expected)| (name, (mode, expected))), |(mode, expected)| {
        let mut sender = Peer::sender(&broker, "queue.a");
        sender.send(transfer(0, 0).with("settled", true).with_payload(message("came settled")));
        sender.send(transfer(0, 1).with_payload(message("came unsettled")));
        sender.expect_outcome_of(1);
        let mut receiver = Peer::opened(&broker);
        let attach = attach_receiver("r", 0, "queue.a");
        receiver.attach(mode.map_or(attach.clone(), |mode| attach.with("snd-settle-mode", mode)));
        receiver.grant(0, 0, 10);
        for _ in 0..2 {
            let delivery = receiver.expect_transfer();
            assert_eq!(delivery.flag("settled"), expected, "{delivery:?}");
            if !expected {
                receiver.settle(&delivery, accepted());
            }
        }
        receiver.expect_nothing();
        receiver.close();
    });
}

#[test]
fn deliveries_can_be_unsettled_always() {
    let broker = Broker::builder().deliver_unsettled(true).start().unwrap();
    // The receiver's snd-settle-mode, what our attach says, and whether it gets its deliveries settled.
    let rows = [
        ("not said", (None, 0, false)),
        ("mixed", (MIXED, 0, false)),
        ("unsettled", (UNSETTLED, 0, false)),
        ("settled", (SETTLED, 1, true)),
    ];
    for address in ["direct.a", "unicast.a", "broadcast.a", "queue.a"] {
        each_row(rows, |(mode, granted, expected)| {
            let mut receiver = Peer::opened(&broker);
            let attach = attach_receiver("r", 0, address);
            let answer = receiver.attach(mode.map_or(attach.clone(), |mode| attach.with("snd-settle-mode", mode)));
            assert_eq!(snd_settle_mode(&answer), granted, "{address}");
            receiver.grant(0, 0, 10);
            receiver.expect_nothing();
            // How a sender settles is its own choice still.
            let mut sender = Peer::opened(&broker);
            let answer = sender.attach(attach_sender("s", 0, address));
            assert_eq!(snd_settle_mode(&answer), 2, "{address}");
            sender.send(transfer(0, 0).with("settled", true).with_payload(message("came settled")));
            let delivery = receiver.expect_transfer();
            assert_eq!(delivery.flag("settled"), expected, "{address}");
            if !expected {
                assert_eq!(broker.links().iter().map(|link| link.unsettled).sum::<usize>(), 1, "{address}");
                receiver.settle(&delivery, accepted());
                receiver.expect_nothing();
            }
            sender.expect_nothing();
            receiver.close();
            sender.close();
        });
    }
}

#[test]
fn a_producer_may_mix_or_choose() {
    let broker = Broker::start().unwrap();
    let mut receiver = Peer::ready_receiver(&broker, "a", 100);
    for (name, mode, settled) in
        [("unsettled", 0u8, false), ("settled", 1, true), ("mixed", 2, true), ("mixed", 2, false)]
    {
        let mut sender = Peer::opened(&broker);
        let answer = sender.attach(attach_sender(name, 0, "a").with("snd-settle-mode", mode));
        assert_eq!(snd_settle_mode(&answer), mode);
        sender.expect_credit();
        sender.send(transfer(0, 0).with("settled", settled).with_payload(message(name)));
        let answers = sender.round_trip().into_iter().filter(|frame| frame.code() == DISPOSITION).count();
        assert_eq!(answers, usize::from(!settled), "{name}");
        assert_eq!(receiver.expect_transfer().flag("settled"), settled, "{name}");
    }
}
