//! What 0-9-1 clients ask for and do not get: noted where they are served all the same, refused with 540 by a strict broker.

use fakebroker::Broker;

use crate::support::{each_row, patience};
use crate::support091::*;

/// An argument that no broker knows.
fn argument() -> [Vec<u8>; 1] {
    [int_entry("x-own", 5)]
}

/// What a client sends behind a declare of `q`, the method that answers it, and what is noted.
type Row = (Vec<u8>, Id, &'static str);

fn rows() -> Vec<(&'static str, Row)> {
    let consume_with = |bits: &[bool], arguments: &[Vec<u8>]| {
        method(1, CONSUME).short(0).shortstr("q").shortstr("t").bits(bits).table(arguments).bytes()
    };
    vec![
        (
            "an argument of a queue",
            (
                method(1, QUEUE_DECLARE).short(0).shortstr("other").bits(&[]).table(&argument()).bytes(),
                QUEUE_DECLARE_OK,
                "queue.declare at \"other\", x-own = 5: no argument of this name is known",
            ),
        ),
        (
            "an argument of an exchange",
            (
                method(1, EXCHANGE_DECLARE)
                    .short(0)
                    .shortstr("e")
                    .shortstr("fanout")
                    .bits(&[])
                    .table(&argument())
                    .bytes(),
                EXCHANGE_DECLARE_OK,
                "exchange.declare at \"e\", x-own = 5: no argument of this name is known",
            ),
        ),
        (
            "an argument of a consumer",
            (
                consume_with(&[], &argument()),
                CONSUME_OK,
                "basic.consume of \"t\" at \"q\", x-own = 5: no argument of this name is known",
            ),
        ),
        (
            "no-local",
            (
                consume_with(&[true], &[]),
                CONSUME_OK,
                "basic.consume of \"t\" at \"q\", no-local = true: a consumer is sent what its own connection published, too",
            ),
        ),
    ]
}

#[test]
fn it_is_noted() {
    each_row(rows(), |(bytes, answer, noted)| {
        let broker = Broker::start().unwrap();
        let mut peer = Peer091::opened(&broker);
        peer.declare("q");
        for _ in 0..2 {
            peer.send(&bytes);
            peer.expect(answer);
            if answer == CONSUME_OK {
                peer.send(method(1, CANCEL).shortstr("t").bits(&[false]));
                peer.expect(CANCEL_OK);
            }
        }
        let requests = broker.unmet_requests();
        let texts: Vec<String> = requests.iter().map(ToString::to_string).collect();
        assert_eq!(texts, [format!("connection 1, channel 1: {noted} (2 times)")]);
    });
}

#[test]
fn a_strict_broker_refuses_it() {
    each_row(rows(), |(bytes, _, noted)| {
        let broker = Broker::builder().strict(true).start().unwrap();
        let mut peer = Peer091::opened(&broker);
        peer.declare("q");
        peer.send(&bytes);
        let text = peer.expect_closed_with(540);
        let asked = noted.split(", ").nth(1).unwrap().split(':').next().unwrap();
        assert!(text.starts_with(&format!("NOT_IMPLEMENTED - {asked} is not honoured here: ")), "{text}");
        broker.wait_for_connections(patience(), 0).unwrap();
        let report = broker.verify().unwrap_err();
        assert_eq!((report.violations.len(), report.unmet_requests.len()), (0, 1), "{report}");
        assert_eq!(broker.counts().queued, 0);
    });
}

#[test]
fn a_locale_that_is_not_offered() {
    let hello = |broker: &Broker, locale: &str| {
        let mut peer = Peer091::greeted(broker, HEADER_0_9_1);
        let start_ok = method(0, START_OK).table(&[]).shortstr("PLAIN").longstr("\0guest\0guest");
        peer.send(start_ok.shortstr(locale));
        peer
    };
    let broker = Broker::start().unwrap();
    hello(&broker, "en_US").expect(TUNE);
    hello(&broker, "").expect(TUNE);
    assert_eq!(broker.unmet_requests(), []);
    hello(&broker, "de_DE").expect(TUNE);
    let texts: Vec<String> = broker.unmet_requests().iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["connection 3: connection.start-ok, locale = de_DE: texts are in en_US"]);
    let strict = Broker::builder().strict(true).start().unwrap();
    hello(&strict, "de_DE").expect_closed_with(540);
}

#[test]
fn what_is_honoured_is_not_noted() {
    let broker = Broker::builder().strict(true).start().unwrap();
    let mut peer = Peer091::opened(&broker);
    // Passive, durable, exclusive, auto-delete, no-wait; a queue as it is.
    let arguments = [text_entry("x-queue-type", "classic"), text_entry("x-queue-mode", "lazy")];
    peer.send(method(1, QUEUE_DECLARE).short(0).shortstr("q").bits(&[false, true]).table(&arguments));
    peer.expect(QUEUE_DECLARE_OK);
    // A passive declare asks for nothing but whether it is there.
    peer.send(method(1, QUEUE_DECLARE).short(0).shortstr("q").bits(&[true]).table(&argument()));
    peer.expect(QUEUE_DECLARE_OK);
    // The arguments of a binding are its identity.
    peer.send(queue_bind(1, QUEUE_BIND, "q", "amq.topic", "k", &argument()));
    peer.expect(QUEUE_BIND_OK);
    // Persistent, with a priority and other properties that are passed on.
    peer.send(publish(1, "", "q", &[], &[0x18, 0x00, 2, 9], b"m"));
    peer.consume("q", "t");
    peer.expect_delivery();
    assert_eq!(broker.unmet_requests(), []);
}
