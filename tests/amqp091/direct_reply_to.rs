//! Direct reply-to: a client consumes replies from `amq.rabbitmq.reply-to`, without a queue of its own.

use fakebroker::Broker;

use crate::support::{each_row, patience};
use crate::support091::*;

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// Properties with nothing but reply-to.
fn reply_to(name: &str) -> Vec<u8> {
    [&[0x02, 0x00, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat()
}

/// The reply-to of properties that have nothing else.
fn replies_to(properties: &[u8]) -> String {
    assert_eq!(properties[..2], [0x02, 0x00]);
    String::from_utf8(properties[3..].to_vec()).unwrap()
}

fn consume_replies(peer: &mut Peer091, channel: u16, tag: &str) {
    peer.send(consume(channel, REPLY_TO, tag, &[false, true]));
    peer.expect_on(channel, CONSUME_OK);
}

/// A client that consumes replies, and a server with its request. Returns the name that the request says.
fn with_request() -> (Broker, Peer091, Peer091, String) {
    let broker = Broker::start().unwrap();
    let (mut client, mut server) = (Peer091::opened(&broker), Peer091::opened(&broker));
    server.declare("requests");
    consume_replies(&mut client, 1, "replies");
    client.publish_with("", "requests", &reply_to(REPLY_TO), "question");
    client.expect_nothing();
    let request = server.get("requests", true).unwrap();
    assert_eq!(request.text(), "question");
    let name = replies_to(&request.properties);
    (broker, client, server, name)
}

#[test]
fn a_reply_comes_to_the_channel_that_asked() {
    let (broker, mut client, mut server, name) = with_request();
    assert!(name.starts_with("amq.rabbitmq.reply-to."), "{name}");
    server.publish("", &name, "answer");
    let reply = client.expect_delivery();
    assert_eq!((reply.text(), reply.consumer.as_str()), ("answer", "replies"));
    assert_eq!((reply.exchange.as_str(), reply.key.as_str(), reply.redelivered), ("", name.as_str(), false));
    // Of itself, by a further routing key, and no exchange but the default one.
    client.publish("", &name, "own");
    assert_eq!(client.expect_delivery().text(), "own");
    server.declare("other");
    let cc = entry("CC", b'A', sized(&[&b"S"[..], &sized(name.as_bytes())].concat()));
    server.publish_with("", "other", &headers(&[cc]), "copied");
    assert_eq!(client.expect_delivery().text(), "copied");
    server.publish("amq.direct", &name, "lost");
    server.round_trip();
    client.expect_nothing();
    assert_eq!((broker.unmet_requests(), broker.counts().dropped), (vec![], 1));
}

#[test]
fn each_channel_has_its_own_name() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.open_channel(2);
    peer.declare("requests");
    let mut names = Vec::new();
    for channel in [1, 2] {
        consume_replies(&mut peer, channel, "replies");
        // Several together, with others between them.
        let asking = publish(channel, "", "requests", &[], &reply_to(REPLY_TO), b"q");
        let other = publish(channel, "", "requests", &[], &reply_to("elsewhere"), b"q");
        peer.send([asking.clone(), other, asking].concat());
        let said: Vec<String> = (0..3).map(|_| replies_to(&peer.get("requests", true).unwrap().properties)).collect();
        assert_eq!((said[0].as_str() == said[2], said[1].as_str()), (true, "elsewhere"));
        names.push(said[0].clone());
    }
    assert_ne!(names[0], names[1]);
    for (channel, name) in [(1, &names[0]), (2, &names[1])] {
        peer.publish("", name, "answer");
        peer.expect_on(channel, DELIVER);
        peer.hear();
        peer.hear();
    }
}

#[test]
fn a_reply_to_who_is_gone_is_lost() {
    type Leave = fn(Peer091);
    let gone: [(&str, Leave); 3] = [
        ("cancelled", |mut client| {
            client.send(method(1, CANCEL).shortstr("replies").bits(&[false]));
            client.expect(CANCEL_OK);
            // So there is nobody to ask any more, and somebody may begin again.
            client.publish_with("", "requests", &reply_to(REPLY_TO), "question");
            client.expect_channel_closed_with(1, 406);
            client.open_channel(1);
            consume_replies(&mut client, 1, "replies");
            client.expect_nothing();
            client.close();
        }),
        ("channel closed", |mut client| {
            client.send(method(1, CHANNEL_CLOSE).short(200).shortstr("bye").short(0).short(0));
            client.expect(CHANNEL_CLOSE_OK);
            client.close();
        }),
        ("gone", Peer091::reset),
    ];
    each_row(gone, |leave| {
        let (broker, client, mut server, name) = with_request();
        leave(client);
        broker.wait_for_connections(patience(), 1).unwrap();
        server.publish("", &name, "late");
        server.send(publish(1, "", &name, &[true], &NO_PROPERTIES, b"late and mandatory"));
        assert_eq!(server.expect_return().number, 312);
        server.send(queue_declare(1, &name, &[true]));
        server.expect_channel_closed_with(1, 404);
        assert_eq!(broker.counts().dropped, 2);
    });
}

/// As in RabbitMQ: the name is no queue's.
#[test]
fn a_mandatory_reply_is_returned_and_comes_all_the_same() {
    let (_broker, mut client, mut server, name) = with_request();
    server.send(method(1, CONFIRM).bits(&[false]));
    server.expect(CONFIRM_OK);
    server.send(publish(1, "", &name, &[true], &NO_PROPERTIES, b"answer"));
    assert_eq!(server.expect_return().text(), "answer");
    assert_eq!(server.expect(ACK).longlong(), 1);
    assert_eq!(client.expect_delivery().text(), "answer");
}

#[test]
fn a_mandatory_request_is_returned_if_nobody_is_there() {
    let (_broker, mut client, _server, name) = with_request();
    client.send(publish(1, "", "nobody", &[true], &reply_to(REPLY_TO), b"question"));
    let returned = client.expect_return();
    assert_eq!((returned.text(), replies_to(&returned.properties)), ("question", name));
}

#[test]
fn a_transaction_may_ask_and_answer() {
    let (_broker, mut client, mut server, name) = with_request();
    for peer in [&mut client, &mut server] {
        peer.send(method(1, TX_SELECT));
        peer.expect((90, 11));
    }
    client.publish_with("", "requests", &reply_to(REPLY_TO), "question");
    client.send(method(1, (90, 20)));
    client.expect((90, 21));
    assert_eq!(replies_to(&server.get("requests", true).unwrap().properties), name);
    server.publish("", &name, "answer");
    server.send(method(1, (90, 20)));
    server.expect((90, 21));
    assert_eq!(client.expect_delivery().text(), "answer");
}

#[test]
fn the_name_is_declared_and_is_no_queue() {
    let (_broker, mut client, mut server, name) = with_request();
    for passive in [true, false] {
        for name in [REPLY_TO, &name] {
            assert_eq!(server.declare_as(name, &[passive]), (0, 1));
        }
    }
    for name in [REPLY_TO, &name] {
        server.send(method(1, QUEUE_DELETE).short(0).shortstr(name).bits(&[]));
        assert_eq!(server.expect(QUEUE_DELETE_OK).long(), 0);
    }
    let unknown = format!("{REPLY_TO}.unknown");
    let rows = [
        ("declared, another", queue_declare(1, &unknown, &[]), 404),
        ("consumed", consume(1, &name, "", &[false, true]), 404),
        ("got", method(1, GET).short(0).shortstr(&name).bits(&[true]), 404),
        ("got by the first name", method(1, GET).short(0).shortstr(REPLY_TO).bits(&[true]), 404),
        ("purged", method(1, PURGE).short(0).shortstr(&name).bits(&[false]), 404),
        ("bound", queue_bind(1, QUEUE_BIND, &name, "amq.direct", "k", &[]), 404),
    ];
    each_row(rows.map(|(name, bytes, code)| (name, (bytes, code))), |(bytes, code)| {
        // Not by the client itself either.
        server.send(&bytes);
        server.expect_channel_closed_with(1, code);
        server.open_channel(1);
    });
    server.publish("", &name, "still there");
    assert_eq!(client.expect_delivery().text(), "still there");
}

#[test]
fn what_is_refused() {
    let broker = Broker::start().unwrap();
    let with = |bits: &[bool]| consume(1, REPLY_TO, "second", bits).bytes();
    let asking = publish(1, "", "q", &[], &reply_to(REPLY_TO), b"question");
    let rows = [
        ("with acknowledgements", false, with(&[]), "reply consumer cannot acknowledge"),
        ("twice", true, with(&[false, true]), "reply consumer already set"),
        ("a request without a consumer", false, asking, "fast reply consumer does not exist"),
    ];
    each_row(rows.map(|row| (row.0, row)), |(_, consumes, bytes, said)| {
        let mut peer = Peer091::opened(&broker);
        if consumes {
            consume_replies(&mut peer, 1, "first");
        }
        peer.send(&bytes);
        assert_eq!(peer.expect_channel_closed_with(1, 406), format!("PRECONDITION_FAILED - {said}"));
    });
    let mut peer = Peer091::opened(&broker);
    consume_replies(&mut peer, 1, "tag");
    peer.send(consume(1, REPLY_TO, "tag", &[false, true]));
    peer.expect_closed_with(530);
}
