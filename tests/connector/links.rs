//! Links against a scripted server: what goes over the wire when a test attaches and sends, and what it is told when the server
//! does not play along.

use std::time::Duration;

use fakebroker::connector::{Error, ErrorKind, Source, Step, Target};
use fakebroker::{Message, Outcome};

use super::server::*;
use crate::support::*;

/// Step and condition, for comparison.
fn told(error: &Error) -> (Step, Option<&str>) {
    (error.step(), error.condition())
}

#[test]
fn what_an_attach_asks_for() {
    let server = Server::opened(|mut peer| {
        let sender = answer_attach(&mut peer);
        assert_eq!((sender.flag("role"), sender.address("target")), (SENDER, Some("queue.a".into())));
        assert_eq!(sender.get("initial-delivery-count"), Value::Uint(0));
        let anonymous = answer_attach(&mut peer);
        assert_eq!(anonymous.address("target"), None);
        assert_ne!(anonymous.text("name"), sender.text("name"));
        let receiver = answer_attach(&mut peer);
        assert_eq!((receiver.flag("role"), receiver.address("source")), (RECEIVER, Some("queue.a".into())));
        let asked = receiver.inner("source").unwrap();
        assert_eq!(asked.get("distribution-mode"), symbol("copy"));
        assert_eq!(peer.expect_credit(), 7);
        // A dynamic one is given its address.
        let dynamic = peer.expect_attach();
        assert_eq!(dynamic.inner("source").unwrap().get("dynamic"), Value::Bool(true));
        peer.send(attach_back(&dynamic).with("source", source("made up")));
        peer.drain_to_eof();
    });
    let mut channel = server.open();
    assert_eq!(channel.sender("queue.a").unwrap().address(), Some("queue.a"));
    assert_eq!(channel.sender(Target::anonymous()).unwrap().address(), None);
    channel.receiver(Source::new("queue.a").browse().credit(7)).unwrap();
    assert_eq!(channel.receiver(Source::dynamic()).unwrap().address(), Some("made up"));
    drop(channel);
    server.done();
}

#[test]
fn an_attach_that_is_refused() {
    type Script = fn(&mut Peer, &Performative);
    let rows: [(&str, (Option<&str>, Script)); 5] = [
        (
            "null and detach",
            (Some("amqp:not-found"), |peer, asked| {
                peer.send(attach_back(asked).without("target"));
                peer.send(detach(0).with("error", error("amqp:not-found", "no such node")));
                assert_eq!(peer.expect_detach().get("error"), Value::Null);
            }),
        ),
        (
            "detach at once",
            (Some("amqp:unauthorized-access"), |peer, asked| {
                let refusal = detach(0).with("error", error("amqp:unauthorized-access", "not you"));
                peer.send([attach_back(asked).bytes(), refusal.bytes()].concat());
                peer.expect_detach();
            }),
        ),
        (
            "detach without a word",
            (None, |peer, asked| {
                peer.send(attach_back(asked).without("target"));
                peer.send(detach(0));
            }),
        ),
        (
            "end",
            (Some("amqp:not-allowed"), |peer, _| {
                peer.send(end().with("error", error("amqp:not-allowed", "no such node")));
                peer.expect_end();
            }),
        ),
        (
            "close",
            (Some("amqp:connection:forced"), |peer, _| {
                peer.send(close().with("error", error("amqp:connection:forced", "not today")));
                peer.expect_close();
            }),
        ),
    ];
    each_row(rows, |(condition, script)| {
        let server = Server::opened(move |mut peer| {
            let asked = peer.expect_attach();
            script(&mut peer, &asked);
            peer.drain_to_eof();
        });
        let mut channel = server.open();
        let error = channel.sender("queue.a").unwrap_err();
        assert_eq!(told(&error), (Step::Attach, condition), "{error}");
        drop(channel);
        server.done();
    });
}

#[test]
fn an_attach_that_is_answered_too_late() {
    let server = Server::opened(|mut peer| {
        let first = peer.expect_attach();
        // The second is the sign that nobody waits for the first any more.
        let second = peer.expect_attach();
        peer.send([attach_back(&first).bytes(), attach_back(&second).bytes()].concat());
        let given_up = peer.expect_detach();
        assert_eq!(given_up.get("handle"), first.get("handle"));
        peer.send(detach(first.number("handle") as u32));
        answer_close(peer);
    });
    let mut channel = server.open();
    // A request attaches a receiver for its reply first.
    assert!(channel.request("slow", "anybody?", Duration::from_millis(50)).unwrap_err().is_timeout());
    channel.sender("quick").unwrap();
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn each_outcome_of_a_message() {
    let rejected = composite(REJECTED, &[("error", error("amqp:not-found", "nobody there"))]);
    let modified = composite(MODIFIED, &[("delivery-failed", true.into()), ("undeliverable-here", true.into())]);
    let rows = [
        ("accepted", (accepted(), Outcome::Accepted)),
        ("released", (released(), Outcome::Released)),
        (
            "rejected",
            (rejected, Outcome::Rejected { condition: "amqp:not-found".into(), description: "nobody there".into() }),
        ),
        ("modified", (modified, Outcome::Modified { delivery_failed: true, undeliverable_here: true })),
        // 3.5.3: our default-outcome says so.
        ("none", (Value::Null, Outcome::Released)),
    ];
    let told: Vec<(&str, (Value, Outcome))> = rows.to_vec();
    let server = Server::opened(move |mut peer| {
        answer_sender(&mut peer, 100);
        for (_, (state, _)) in rows {
            let transfer = peer.expect_transfer();
            assert!(!transfer.flag("settled"));
            peer.settle(&transfer, state);
        }
        answer_close(peer);
    });
    let mut channel = server.open();
    let sender = channel.sender("queue.a").unwrap();
    for (name, (_, expected)) in told {
        assert_eq!(channel.send(&sender, name).unwrap(), expected, "{name}");
    }
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn a_receiver_that_settles_second_is_told() {
    let server = Server::opened(|mut peer| {
        answer_sender(&mut peer, 1);
        let transfer = peer.expect_transfer();
        let id = transfer.number("delivery-id") as u32;
        // 2.6.12: its outcome, and only then our settling.
        peer.send(disposition(RECEIVER, id, accepted()).with("settled", false));
        let ours = peer.expect_disposition();
        assert_eq!((ours.flag("role"), ours.flag("settled"), ours.number("first")), (SENDER, true, id.into()));
        answer_close(peer);
    });
    let mut channel = server.open();
    let sender = channel.sender("queue.a").unwrap();
    assert_eq!(channel.send(&sender, "once").unwrap(), Outcome::Accepted);
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn outcomes_in_any_order_and_at_once() {
    let server = Server::opened(|mut peer| {
        answer_sender(&mut peer, 100);
        let ids: Vec<u32> = (0..5).map(|_| peer.expect_transfer().number("delivery-id") as u32).collect();
        peer.send(disposition(RECEIVER, ids[4], released()));
        peer.send(disposition(RECEIVER, ids[0], accepted()).with("last", ids[2]));
        peer.send(disposition(RECEIVER, ids[3], rejected()));
        answer_close(peer);
    });
    let mut channel = server.open();
    let sender = channel.sender("queue.a").unwrap();
    let posted: Vec<_> = (0..5).map(|n| channel.post(&sender, n.to_string()).unwrap()).collect();
    let outcomes: Vec<Outcome> = posted.into_iter().map(|posted| channel.outcome(posted).unwrap()).collect();
    let nothing_said = Outcome::Rejected { condition: String::new(), description: String::new() };
    assert_eq!(outcomes, [Outcome::Accepted, Outcome::Accepted, Outcome::Accepted, nothing_said, Outcome::Released]);
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn no_more_under_way_than_the_window() {
    let server = Server::opened(|mut peer| {
        answer_sender(&mut peer, 100);
        for n in 0..10 {
            let transfer = peer.expect_transfer();
            if n >= 2 {
                // The window is 3: nothing more comes before the oldest has its outcome.
                let oldest = transfer.number("delivery-id") as u32 - 2;
                peer.send(disposition(RECEIVER, oldest, accepted()));
            }
        }
        peer.send(disposition(RECEIVER, 8, accepted()).with("last", 9u32));
        answer_close(peer);
    });
    let mut channel = server.open();
    let sender = channel.sender("queue.a").unwrap();
    let outcomes = channel.send_all(&sender, (0..10).map(|n| n.to_string()), 3).unwrap();
    assert_eq!(outcomes, vec![Outcome::Accepted; 10]);
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn nothing_is_sent_without_credit() {
    let server = Server::opened(|mut peer| {
        answer_attach(&mut peer);
        // The attach is answered, and nothing more: the next thing is the close.
        answer_close(peer);
    });
    let mut channel = server.connector().timeout_of(Step::Send, Duration::from_millis(100)).open().unwrap();
    let sender = channel.sender("queue.a").unwrap();
    let error = channel.send(&sender, "never").unwrap_err();
    assert!(error.is_timeout() && error.step() == Step::Send, "{error}");
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn credit_is_used_up_and_comes_again() {
    let server = Server::opened(|mut peer| {
        answer_sender(&mut peer, 2);
        peer.expect_transfer();
        peer.expect_transfer();
        peer.grant(0, 2, 1);
        assert_eq!(text_of(&peer.expect_transfer().payload), "third");
        answer_close(peer);
    });
    let mut channel = server.open();
    let sender = channel.sender("queue.a").unwrap();
    for text in ["first", "second", "third"] {
        channel.send_settled(&sender, text).unwrap();
    }
    channel.disconnect().unwrap();
    server.done();
}

/// The text of an amqp-value.
fn text_of(payload: &[u8]) -> String {
    match &sections(payload)[..] {
        [(AMQP_VALUE, Value::Text(text))] => text.clone(),
        other => panic!("a text was expected: {other:?}"),
    }
}

#[test]
fn what_ends_while_an_outcome_is_awaited() {
    type Script = fn(&mut Peer);
    let rows: [(&str, (Option<&str>, &str, Script)); 6] = [
        (
            "a detach",
            (Some("amqp:resource-deleted"), "the queue is gone", |peer| {
                peer.send(detach(0).with("error", error("amqp:resource-deleted", "the queue is gone")));
                peer.expect_detach();
            }),
        ),
        (
            "an end",
            (Some("amqp:session:window-violation"), "too much", |peer| {
                peer.send(end().with("error", error("amqp:session:window-violation", "too much")));
                peer.expect_end();
            }),
        ),
        (
            "a close",
            (Some("amqp:connection:forced"), "good night", |peer| {
                peer.send(close().with("error", error("amqp:connection:forced", "good night")));
                peer.expect_close();
            }),
        ),
        ("the end of the stream", (None, "hung up", |peer| peer.hang_up())),
        (
            "garbage",
            (None, "framing-error", |peer| {
                peer.send([0xff; 64]);
                peer.expect_close_with(FRAMING_ERROR);
            }),
        ),
        (
            "an outcome of what was never sent",
            (None, "timeout", |peer| peer.send(disposition(RECEIVER, 77, accepted()))),
        ),
    ];
    each_row(rows, |(condition, words, script)| {
        let server = Server::opened(move |mut peer| {
            answer_sender(&mut peer, 10);
            peer.expect_transfer();
            script(&mut peer);
            peer.drain_to_eof();
        });
        let timeout = if words == "timeout" { Duration::from_millis(100) } else { patience() };
        let mut channel = server.connector().timeout_of(Step::Send, timeout).open().unwrap();
        let sender = channel.sender("queue.a").unwrap();
        let error = channel.send(&sender, "lost").unwrap_err();
        assert_eq!(told(&error), (Step::Send, condition), "{error}");
        assert!(error.to_string().contains(words) || error.is_timeout(), "{error}");
        assert_eq!(error.is_timeout(), words == "timeout");
        drop(channel);
        server.done();
    });
}

#[test]
fn a_failed_connection_fails_everything_that_comes() {
    let server = Server::opened(|mut peer| {
        answer_sender(&mut peer, 10);
        peer.expect_transfer();
        peer.send(close().with("error", error("amqp:connection:forced", "good night")));
        peer.expect_close();
        peer.drain_to_eof();
    });
    let mut channel = server.open();
    let sender = channel.sender("queue.a").unwrap();
    channel.send(&sender, "lost").unwrap_err();
    let forced = Some("amqp:connection:forced");
    assert_eq!(told(&channel.send(&sender, "more").unwrap_err()), (Step::Send, forced));
    assert_eq!(told(&channel.receiver("queue.a").unwrap_err()), (Step::Attach, forced));
    assert_eq!(told(&channel.round_trip().unwrap_err()), (Step::RoundTrip, forced));
    assert_eq!(told(&channel.disconnect().unwrap_err()), (Step::Disconnect, forced));
    server.done();
}

#[test]
fn a_message_larger_than_the_peer_takes() {
    let server = Server::opened(|mut peer| {
        let asked = peer.expect_attach();
        peer.send(attach_back(&asked).with("max-message-size", 100u64));
        peer.grant(0, 0, 10);
        assert_eq!(text_of(&peer.expect_transfer().payload), "small");
        answer_close(peer);
    });
    let mut channel = server.open();
    let sender = channel.sender("queue.a").unwrap();
    let error = channel.send(&sender, "x".repeat(200)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Usage(_)), "{error}");
    channel.send_settled(&sender, "small").unwrap();
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn a_peer_that_drains_a_sender_is_told() {
    let server = Server::opened(|mut peer| {
        answer_attach(&mut peer);
        let drain = peer.link_flow(0, 0, 5).with("drain", true);
        peer.send(drain);
        let drained = peer.expect_link_flow();
        assert_eq!((drained.number("delivery-count"), drained.number("link-credit")), (5, 0));
        peer.grant(0, 5, 1);
        assert_eq!(text_of(&peer.expect_transfer().payload), "now");
        answer_close(peer);
    });
    let mut channel = server.open();
    let sender = channel.sender("queue.a").unwrap();
    channel.send_settled(&sender, "now").unwrap();
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn a_message_in_many_frames_in_both_directions() {
    let body: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[0]).collect();
    let sent = body.clone();
    let server = Server::play(move |mut peer| {
        let_in(&mut peer);
        peer.expect_open();
        peer.send(open().with("max-frame-size", 1000u32));
        answer_begin(&mut peer);
        answer_sender(&mut peer, 1);
        let (payload, _) = peer.expect_delivery();
        assert_eq!(sections(&payload), [(DATA, Value::Binary(sent))]);
        peer.send(disposition(RECEIVER, 0, accepted()));
        let asked = answer_attach(&mut peer);
        peer.expect_credit();
        let handle = asked.number("handle") as u32;
        let mut parts: Vec<&[u8]> = payload.chunks(777).collect();
        let last = parts.pop().unwrap();
        peer.send(transfer(handle, 0).with("more", true).with_payload(parts.remove(0)));
        for part in parts {
            peer.send(continuation(handle).with("more", true).with_payload(part));
        }
        peer.send(continuation(handle).with_payload(last));
        let outcome = peer.expect_disposition();
        assert_eq!((outcome.state(), outcome.flag("settled")), (ACCEPTED, true));
        answer_close(peer);
    });
    let mut channel = server.open();
    let sender = channel.sender("queue.a").unwrap();
    channel.send(&sender, Message::data(body.clone())).unwrap().accepted().unwrap();
    let receiver = channel.receiver("queue.a").unwrap();
    let delivery = channel.receive(&receiver, patience()).unwrap().unwrap();
    assert_eq!(delivery.as_data().as_deref(), Some(&*body));
    channel.accept(&delivery).unwrap();
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn a_window_that_closes() {
    let server = Server::play(|mut peer| {
        let_in(&mut peer);
        peer.expect_open();
        peer.send(open().with("max-frame-size", 512u32));
        peer.expect_begin();
        peer.send(begin().with("remote-channel", Value::Ushort(0)).with("incoming-window", 1u32));
        answer_attach(&mut peer);
        peer.send(flow().with("incoming-window", 1u32).with("handle", 0u32).with("link-credit", 10u32));
        // A message of several frames, one at a time.
        let (payload, _) = peer.expect_delivery_with(|peer| peer.send(peer.flow().with("incoming-window", 1u32)));
        assert_eq!(text_of(&payload), "x".repeat(2000));
        answer_close(peer);
    });
    let mut channel = server.open();
    let sender = channel.sender("queue.a").unwrap();
    channel.send_settled(&sender, "x".repeat(2000)).unwrap();
    // All of it has gone by now: a goodbye cuts nothing off.
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn a_request_bounds_all_of_its_steps() {
    let server = Server::opened(|mut peer| {
        // The reply address is asked for, and nobody answers.
        peer.expect_attach();
        peer.drain_to_eof();
    });
    let mut channel = server.open();
    let error = channel.request("questions", "anybody?", Duration::from_millis(100)).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(error.to_string().contains("100ms"), "{error}");
    drop(channel);
    server.done();
}

#[test]
fn who_waits_is_not_taken_for_dead() {
    let server = Server::play(|mut peer| {
        let_in(&mut peer);
        peer.expect_open();
        peer.send(open().with("idle-time-out", 100u32));
        answer_begin(&mut peer);
        answer_receiver(&mut peer);
        // 2.4.5: the client has nothing to say, and says so.
        peer.expect_empty_frame();
        peer.expect_empty_frame();
        peer.send_message(0, "there you are");
        answer_close(peer);
    });
    let mut channel = server.open();
    let receiver = channel.receiver("queue.a").unwrap();
    assert!(channel.receive(&receiver, patience()).unwrap().is_some());
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn a_server_that_falls_silent() {
    let server = Server::play(|mut peer| {
        let_in(&mut peer);
        assert_eq!(peer.expect_open().get("idle-time-out"), Value::Uint(500));
        peer.send(open());
        answer_begin(&mut peer);
        answer_receiver(&mut peer);
        peer.expect_close_with(RESOURCE_LIMIT_EXCEEDED);
        peer.drain_to_eof();
    });
    let mut channel = server.connector().idle_timeout(Duration::from_millis(500)).open().unwrap();
    let receiver = channel.receiver("queue.a").unwrap();
    let error = channel.receive(&receiver, patience()).unwrap_err();
    assert!(error.to_string().contains("idle-time-out, see section 2.4.5"), "{error}");
    drop(channel);
    server.done();
}

#[test]
fn both_sides_may_talk_at_once() {
    const MESSAGES: u32 = 200;
    let large = "x".repeat(100_000);
    let theirs = large.clone();
    let server = Server::opened(move |mut peer| {
        answer_receiver(&mut peer);
        answer_attach(&mut peer);
        peer.grant(1, 0, MESSAGES);
        // All of it before a byte is read, and more than the buffers between us hold. A client that only writes now would wait
        // for ever, and so would we.
        for id in 0..MESSAGES {
            let settled = transfer(0, id).with("settled", true).with("more", true);
            let mut payload = message(&theirs);
            let rest = payload.split_off(50_000);
            peer.send(settled.with_payload(payload));
            peer.send(continuation(0).with("settled", true).with_payload(rest));
        }
        let mut received = 0;
        while received < MESSAGES {
            received += u32::from(!peer.expect_transfer().flag("more"));
        }
        answer_close(peer);
    });
    let mut channel = server.open();
    let receiver = channel.receiver(Source::new("queue.a").credit(MESSAGES)).unwrap();
    let sender = channel.sender("queue.b").unwrap();
    for _ in 0..MESSAGES {
        channel.send_settled(&sender, large.as_str()).unwrap();
    }
    for _ in 0..MESSAGES {
        assert_eq!(channel.receive(&receiver, patience()).unwrap().unwrap().as_text().map(str::len), Some(large.len()));
    }
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn a_server_that_attaches_to_us_is_refused() {
    let server = Server::opened(|mut peer| {
        answer_receiver(&mut peer);
        for uninvited in [attach_sender("uninvited", 5, "a"), attach_receiver("uninvited", 6, "a")] {
            let handle = uninvited.number("handle") as u32;
            peer.send(uninvited);
            peer.expect_attach();
            peer.expect_detach_with(NOT_FOUND);
            peer.send(detach(handle));
        }
        peer.send_message(0, "never mind");
        answer_close(peer);
    });
    let mut channel = server.open();
    let receiver = channel.receiver("queue.a").unwrap();
    assert!(channel.receive(&receiver, patience()).unwrap().is_some());
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn an_attach_that_is_refused_twice() {
    let server = Server::opened(|mut peer| {
        let asked = peer.expect_attach();
        let refusal = attach_back(&asked).without("source");
        peer.send(refusal.clone());
        peer.send(refusal.with("handle", 1u32));
        peer.expect_detach_with(STOLEN);
        peer.expect_attach();
        peer.expect_detach_with(NOT_FOUND);
        peer.send(detach(0));
        answer_sender(&mut peer, 1);
        // Nothing to do with the link that is attached now, though that has taken the place of the first.
        peer.send(detach(1));
        peer.expect_transfer();
        answer_close(peer);
    });
    let mut channel = server.open();
    channel.receiver("queue.a").unwrap_err();
    let sender = channel.sender("queue.b").unwrap();
    channel.send_settled(&sender, "on it").unwrap();
    channel.disconnect().unwrap();
    server.done();
}
