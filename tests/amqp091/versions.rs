//! 0-8 and 0-9: what they do otherwise.

use fakebroker::Broker;

use crate::support::each_row;
use crate::support091::*;

fn opened(broker: &Broker, header: &[u8; 8]) -> Peer091 {
    let mut peer = Peer091::connected(broker, header, &[]);
    peer.send(method(1, CHANNEL_OPEN).shortstr(""));
    let answer = peer.expect(CHANNEL_OPEN_OK);
    // 0-8 has no arguments here, the later ones an empty long string.
    let expected: &[u8] = if header == HEADER_0_8 { b"" } else { &[0, 0, 0, 0] };
    assert_eq!(answer.rest(), expected);
    peer
}

const VERSIONS: [(&str, &[u8; 8]); 3] = [("0-8", HEADER_0_8), ("0-9", HEADER_0_9), ("0-9-1", HEADER_0_9_1)];

#[test]
fn start_says_which_version() {
    let broker = Broker::start().unwrap();
    each_row(VERSIONS, |header| {
        let mut peer = Peer091::connect(&broker);
        peer.send(header);
        let mut start = peer.expect(START);
        let expected = if header == HEADER_0_8 { (8, 0) } else { (0, 9) };
        assert_eq!((start.octet(), start.octet()), expected);
    });
}

#[test]
fn a_message_goes_through_every_version() {
    let broker = Broker::start().unwrap();
    each_row(VERSIONS, |header| {
        let mut peer = opened(&broker, header);
        peer.send(queue_declare(1, "q", &[]));
        peer.expect(QUEUE_DECLARE_OK);
        let consume = method(1, CONSUME).short(0).shortstr("q").shortstr("c").bits(&[false; 4]);
        // 0-8 has no arguments table.
        peer.send(if header == HEADER_0_8 { consume } else { consume.table(&[]) });
        peer.expect(CONSUME_OK);
        peer.publish("", "q", "hello");
        let delivery = peer.expect_delivery();
        assert_eq!((delivery.consumer.as_str(), delivery.text()), ("c", "hello"));
        peer.ack(delivery.tag, false);
        peer.send(method(1, CANCEL).shortstr("c").bits(&[false]));
        assert_eq!(peer.expect(CANCEL_OK).shortstr(), "c");
        peer.close();
    });
}

#[test]
fn errors_in_every_version() {
    each_row(VERSIONS, |header| {
        let broker = Broker::start().unwrap();
        let mut peer = opened(&broker, header);
        peer.send(method(1, GET).short(0).shortstr("missing").bits(&[false]));
        peer.expect_channel_closed_with(1, 404);
        peer.open_channel(1);
        // The constants of 0-8 do not have 406; RabbitMQ sends it all the same.
        peer.ack(7, false);
        peer.expect_channel_closed_with(1, 406);
        peer.open_channel(1);
        // Content where none is expected: 505 came with 0-9-1. Before, it is an invalid sequence of frames.
        let (code, constant) =
            if header == HEADER_0_9_1 { (505, "UNEXPECTED_FRAME") } else { (503, "COMMAND_INVALID") };
        peer.send(body(1, b"x"));
        let text = peer.expect_closed_with(code);
        assert_eq!(text, format!("{constant} - content where a method was expected"));
        // What was recorded is what was sent.
        let violations = broker.verify().unwrap_err().violations.clone();
        let conditions: Vec<&str> = violations.iter().map(|violation| violation.condition.as_str()).collect();
        assert_eq!(conditions, ["406 PRECONDITION_FAILED", &format!("{code} {constant}")]);
    });
}

#[test]
fn our_close_has_the_number_of_its_version() {
    let broker = Broker::start().unwrap();
    each_row([("0-8", (HEADER_0_8, CLOSE_0_8)), ("0-9", (HEADER_0_9, CLOSE))], |(header, close)| {
        let mut peer = Peer091::connected(&broker, header, &[]);
        // Our connection.close: it is wrong on a channel, and the error names it in this version's numbers.
        peer.send(method(1, close).short(200).shortstr("").short(0).short(0));
        let mut answer = peer.expect_on(0, close);
        assert_eq!(answer.short(), 503);
        answer.shortstr();
        assert_eq!((answer.short(), answer.short()), close);
    });
}

#[test]
fn old_clients_may_ask_for_a_ticket() {
    let broker = Broker::start().unwrap();
    let mut peer = opened(&broker, HEADER_0_8);
    peer.send(method(1, ACCESS_REQUEST).shortstr("/data").bits(&[false, false, true, true, true]));
    let ticket = peer.expect(ACCESS_REQUEST_OK).short();
    peer.send(method(1, QUEUE_DECLARE).short(ticket).shortstr("q").bits(&[]).table(&[]));
    peer.expect(QUEUE_DECLARE_OK);
}

#[test]
fn recover_of_the_old_kind_has_no_answer() {
    let broker = Broker::start().unwrap();
    let mut peer = opened(&broker, HEADER_0_8);
    peer.send(queue_declare(1, "q", &[]));
    peer.expect(QUEUE_DECLARE_OK);
    peer.publish("", "q", "again");
    assert!(!peer.get("q", false).unwrap().redelivered);
    peer.send(method(1, RECOVER_ASYNC).bits(&[true]));
    peer.expect_nothing();
    assert!(peer.get("q", false).unwrap().redelivered);
}
