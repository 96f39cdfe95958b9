//! Links that receive, against a scripted server: settling, credit, draining, and what comes when the link has ended.

use std::time::Duration;

use fakebroker::connector::{ErrorKind, Modification, Source, Step};

use super::server::*;
use crate::support::*;

#[test]
fn what_is_said_to_a_delivery() {
    let server = Server::opened(|mut peer| {
        answer_receiver(&mut peer);
        for id in 0..4 {
            peer.send_message(0, &id.to_string());
        }
        peer.send(transfer(0, 4).with("settled", true).with_payload(message("settled")));
        let outcomes = peer.outcomes_of(0..4);
        let states: Vec<u64> = outcomes.iter().map(Performative::state).collect();
        assert_eq!(states, [ACCEPTED, REJECTED, RELEASED, MODIFIED]);
        assert!(outcomes.iter().all(|outcome| outcome.flag("settled")));
        assert_eq!(outcomes[1].condition(), "amqp:decode-error");
        let modified = outcomes[3].inner("state").unwrap();
        assert_eq!(modified.get("delivery-failed"), Value::Bool(true));
        // Nothing is said to the fifth.
        answer_close(peer);
    });
    let mut channel = server.open();
    let receiver = channel.receiver("queue.a").unwrap();
    let deliveries: Vec<_> = (0..5).map(|_| channel.receive(&receiver, patience()).unwrap().unwrap()).collect();
    assert!(deliveries[4].is_settled() && !deliveries[3].is_settled());
    channel.accept(&deliveries[0]).unwrap();
    channel.reject(&deliveries[1], "amqp:decode-error", "what is this?").unwrap();
    channel.release(&deliveries[2]).unwrap();
    channel.modify(&deliveries[3], Modification { delivery_failed: true, ..Modification::default() }).unwrap();
    channel.accept(&deliveries[4]).unwrap();
    // A second word to the same delivery is not heard.
    channel.release(&deliveries[0]).unwrap();
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn credit_is_kept_up() {
    let server = Server::opened(|mut peer| {
        assert_eq!(answer_receiver(&mut peer), 4);
        for id in 0..4 {
            peer.send(transfer(0, id).with("settled", true).with_payload(message("x")));
        }
        // Half of it taken, it is given again, counted from what has come.
        let flow = peer.expect_link_flow();
        let promised = flow.number("delivery-count") + flow.number("link-credit");
        assert!((5..=8).contains(&promised), "{promised}");
        answer_close(peer);
    });
    let mut channel = server.open();
    let receiver = channel.receiver(Source::new("queue.a").credit(4)).unwrap();
    for _ in 0..4 {
        channel.receive(&receiver, patience()).unwrap().unwrap();
    }
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn nothing_comes() {
    let server = Server::opened(|mut peer| {
        answer_receiver(&mut peer);
        answer_close(peer);
    });
    let mut channel = server.open();
    let receiver = channel.receiver("queue.a").unwrap();
    assert!(channel.receive(&receiver, Duration::ZERO).unwrap().is_none());
    assert!(channel.receive(&receiver, Duration::from_millis(20)).unwrap().is_none());
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn what_came_before_the_end_is_still_there() {
    let server = Server::opened(|mut peer| {
        answer_receiver(&mut peer);
        peer.send([transfer(0, 0).with_payload(message("last words")).bytes(), close().bytes()].concat());
        peer.expect_close();
        peer.drain_to_eof();
    });
    let mut channel = server.open();
    let receiver = channel.receiver("queue.a").unwrap();
    let delivery = channel.receive(&receiver, patience()).unwrap().unwrap();
    assert_eq!(delivery.as_text(), Some("last words"));
    assert_eq!(channel.receive(&receiver, patience()).unwrap_err().step(), Step::Receive);
    assert_eq!(channel.accept(&delivery).unwrap_err().step(), Step::Settle);
    drop(channel);
    server.done();
}

#[test]
fn a_message_that_is_none() {
    let server = Server::opened(|mut peer| {
        answer_receiver(&mut peer);
        let id = peer.send_payload(0, vec![0xde, 0xad, 0xbe, 0xef]);
        let outcome = peer.expect_outcome_of(id);
        assert_eq!((outcome.state(), outcome.condition()), (REJECTED, DECODE_ERROR.to_owned()));
        peer.send_message(0, "better");
        answer_close(peer);
    });
    let mut channel = server.open();
    let receiver = channel.receiver("queue.a").unwrap();
    let error = channel.receive(&receiver, patience()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Protocol(_)), "{error}");
    let delivery = channel.receive(&receiver, patience()).unwrap().unwrap();
    assert_eq!(delivery.as_text(), Some("better"));
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn a_flood_beyond_credit_is_borne_within_bounds() {
    let server = Server::opened(|mut peer| {
        answer_receiver(&mut peer);
        for id in 0..3000 {
            if !peer.try_send(transfer(0, id).with("settled", true).with_payload(message("flood"))) {
                break;
            }
        }
        let heard = peer.drain_to_eof();
        let limit = |heard: &Heard| matches!(heard, Heard::Frame(frame) if frame.code() == DETACH && frame.condition() == TRANSFER_LIMIT_EXCEEDED);
        assert!(heard.iter().any(limit), "{heard:?}");
    });
    let mut channel = server.open();
    let receiver = channel.receiver(Source::new("queue.a").credit(1)).unwrap();
    // Nobody takes anything: what waits here is what counts.
    let error = channel.round_trip().unwrap_err();
    assert!(error.to_string().contains("transfer beyond link-credit, see section 2.6.7"), "{error}");
    drop(channel);
    assert_eq!(receiver.address(), Some("queue.a"));
    server.done();
}

#[test]
fn a_drain() {
    let server = Server::opened(|mut peer| {
        assert_eq!(answer_receiver(&mut peer), 10);
        let asked = peer.expect_link_flow();
        assert!(asked.flag("drain"));
        assert_eq!(asked.number("link-credit"), 10);
        peer.send_message(0, "one");
        peer.send_message(0, "two");
        // 2.6.7: the rest of the credit is used up without a delivery.
        let drained = peer.link_flow(0, 10, 0).with("drain", true);
        peer.send(drained);
        peer.expect_outcome_of(0);
        answer_close(peer);
    });
    let mut channel = server.open();
    let receiver = channel.receiver("queue.a").unwrap();
    assert_eq!(channel.drain(&receiver).unwrap(), 2);
    let delivery = channel.receive(&receiver, Duration::ZERO).unwrap().unwrap();
    channel.accept(&delivery).unwrap();
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn a_drain_that_is_used_up_by_deliveries() {
    let server = Server::opened(|mut peer| {
        answer_receiver(&mut peer);
        peer.expect_link_flow();
        // Three for a credit of three: there is nothing to say about the rest.
        for text in ["one", "two", "three"] {
            peer.send_message(0, text);
        }
        answer_close(peer);
    });
    let mut channel = server.open();
    let receiver = channel.receiver(Source::new("queue.a").credit(3)).unwrap();
    assert_eq!(channel.drain(&receiver).unwrap(), 3);
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn a_drain_that_nobody_answers() {
    let server = Server::opened(|mut peer| {
        answer_receiver(&mut peer);
        peer.expect_link_flow();
        answer_close(peer);
    });
    let mut channel = server.connector().timeout_of(Step::Drain, Duration::from_millis(100)).open().unwrap();
    let receiver = channel.receiver("queue.a").unwrap();
    assert!(channel.drain(&receiver).unwrap_err().is_timeout());
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn a_link_is_closed() {
    let server = Server::opened(|mut peer| {
        answer_receiver(&mut peer);
        // On its way when the link is closed: nobody wants it.
        peer.send_message(0, "too late");
        let closing = peer.expect_detach();
        assert!(closing.flag("closed") && closing.get("error") == Value::Null);
        peer.send_message(0, "much too late");
        peer.send(detach(0));
        // Its handle may be used again.
        answer_sender(&mut peer, 1);
        peer.send(disposition(RECEIVER, 0, accepted()));
        answer_close(peer);
    });
    let mut channel = server.open();
    let receiver = channel.receiver("queue.a").unwrap();
    channel.close_receiver(receiver).unwrap();
    channel.sender("queue.a").unwrap();
    channel.disconnect().unwrap();
    server.done();
}
