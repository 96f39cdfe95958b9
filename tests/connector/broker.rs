//! The connector and the broker of this process: what a test author does with the two of them.

use std::time::Duration;

use fakebroker::connector::{Channel, Connector, ErrorKind, Modification, Source, Step, Target};
use fakebroker::{Broker, Message, Outcome, Settlement, Value};

use crate::support::patience;

fn open(broker: &Broker) -> Channel {
    Connector::from_url(&broker.url()).unwrap().timeout(patience()).open().unwrap()
}

/// The text of the next delivery, accepted.
#[track_caller]
fn next(channel: &mut Channel, receiver: &fakebroker::connector::Receiver) -> String {
    let delivery = channel.receive(receiver, patience()).unwrap().unwrap();
    channel.accept(&delivery).unwrap();
    delivery.as_text().unwrap().to_owned()
}

#[test]
fn timeouts_that_never_end_are_fine() {
    let broker = Broker::start().unwrap();
    let connector = Connector::from_url(&broker.url()).unwrap();
    for idle in [Duration::MAX, Duration::ZERO] {
        let mut channel = connector.clone().timeout(Duration::MAX).idle_timeout(idle).open().unwrap();
        channel.round_trip().unwrap();
        channel.disconnect().unwrap();
    }
}

#[test]
fn all_of_a_message_comes_through() {
    let broker = Broker::start().unwrap();
    let mut channel = open(&broker);
    let mut message = Message::value(Value::List(vec![1_i32.into(), "two".into(), Value::Null]))
        .message_id(7_u64)
        .subject("things")
        .property("colour", "red")
        .annotation("x-opt-a", 1.5_f64)
        .durable(true)
        .priority(9)
        .ttl(Duration::from_secs(60));
    message.properties.group_id = Some("group".into());
    let sender = channel.sender("queue.a").unwrap();
    channel.send(&sender, message.clone()).unwrap().accepted().unwrap();
    let receiver = channel.receiver("queue.a").unwrap();
    let delivery = channel.receive(&receiver, patience()).unwrap().unwrap();
    assert_eq!(*delivery, message);
    channel.disconnect().unwrap();
}

#[test]
fn what_receivers_say_is_counted_and_done() {
    let broker = Broker::start().unwrap();
    let mut channel = open(&broker);
    let sender = channel.sender("queue.a").unwrap();
    let receiver = channel.receiver(Source::new("queue.a").credit(0)).unwrap();
    for text in ["accept", "reject", "release", "modify"] {
        channel.send(&sender, text).unwrap().accepted().unwrap();
        let delivery = channel.receive(&receiver, patience()).unwrap().unwrap();
        assert_eq!(delivery.as_text(), Some(text));
        match text {
            "accept" => channel.accept(&delivery).unwrap(),
            "reject" => channel.reject(&delivery, "amqp:internal-error", "no").unwrap(),
            "release" => channel.release(&delivery).unwrap(),
            _ => channel.modify(&delivery, Modification { delivery_failed: true, ..Default::default() }).unwrap(),
        }
        if matches!(text, "release" | "modify") {
            let again = channel.receive(&receiver, patience()).unwrap().unwrap();
            assert_eq!(again.as_text(), Some(text));
            assert_eq!(again.header.delivery_count, u32::from(text == "modify"));
            channel.accept(&again).unwrap();
        }
    }
    // What was settled has arrived when the close is answered.
    channel.disconnect().unwrap();
    let counts = broker.counts();
    assert_eq!((counts.accepted, counts.rejected, counts.released, counts.modified), (3, 1, 1, 1));
}

#[test]
fn nobody_receives() {
    let broker = Broker::start().unwrap();
    let mut channel = open(&broker);
    let sender = channel.sender("nowhere").unwrap();
    let outcome = channel.send(&sender, "hello").unwrap();
    let Outcome::Rejected { condition, description } = &outcome else { panic!("{outcome}") };
    assert_eq!(condition, "amqp:not-found");
    assert!(description.contains("nowhere"), "{description}");
    let error = outcome.accepted().unwrap_err();
    assert_eq!((error.step(), error.condition()), (Step::Send, Some("amqp:not-found")));
    assert_eq!(broker.counts().dropped, 1);
}

#[test]
fn the_receivers_outcome_end_to_end() {
    let broker = Broker::builder().settlement(Settlement::EndToEnd).start().unwrap();
    let mut channel = open(&broker);
    let receiver = channel.receiver("a").unwrap();
    let sender = channel.sender("a").unwrap();
    let posted = channel.post(&sender, "what do you think?").unwrap();
    let delivery = channel.receive(&receiver, patience()).unwrap().unwrap();
    channel.reject(&delivery, "amqp:not-allowed", "not much").unwrap();
    let expected = Outcome::Rejected { condition: "amqp:not-allowed".into(), description: "not much".into() };
    assert_eq!(channel.outcome(posted).unwrap(), expected);
}

#[test]
fn what_was_not_settled_goes_back() {
    let broker = Broker::start().unwrap();
    let mut channel = open(&broker);
    let sender = channel.sender("queue.a").unwrap();
    channel.send_all(&sender, ["one", "two", "three"], 3).unwrap();
    let receiver = channel.receiver("queue.a").unwrap();
    assert_eq!(next(&mut channel, &receiver), "one");
    let _two = channel.receive(&receiver, patience()).unwrap().unwrap();
    channel.close_receiver(receiver).unwrap();
    // A client that crashes: its receiver had both.
    let mut other = open(&broker);
    let crashing = other.receiver("queue.a").unwrap();
    let two = other.receive(&crashing, patience()).unwrap().unwrap();
    assert_eq!(two.as_text(), Some("two"));
    drop(other);
    let receiver = channel.receiver("queue.a").unwrap();
    assert_eq!(next(&mut channel, &receiver), "two");
    assert_eq!(next(&mut channel, &receiver), "three");
    channel.disconnect().unwrap();
}

#[test]
fn settled_in_both_directions() {
    let broker = Broker::start().unwrap();
    let mut channel = open(&broker);
    let receiver = channel.receiver(Source::new("queue.a").settled()).unwrap();
    let sender = channel.sender("queue.a").unwrap();
    channel.send_settled(&sender, "for all I care").unwrap();
    let delivery = channel.receive(&receiver, patience()).unwrap().unwrap();
    assert!(delivery.is_settled());
    channel.accept(&delivery).unwrap();
    channel.disconnect().unwrap();
    assert_eq!(broker.counts().accepted, 0, "there was nothing to say");
}

#[test]
fn dynamic_addresses_at_both_ends() {
    let broker = Broker::start().unwrap();
    let mut channel = open(&broker);
    let inbox = channel.receiver(Source::dynamic()).unwrap();
    let sender = channel.sender(inbox.address().unwrap()).unwrap();
    channel.send(&sender, "to the inbox").unwrap().accepted().unwrap();
    assert_eq!(next(&mut channel, &inbox), "to the inbox");
    let outbox = channel.sender(Target::dynamic()).unwrap();
    let receiver = channel.receiver(outbox.address().unwrap()).unwrap();
    channel.send(&outbox, "from the outbox").unwrap().accepted().unwrap();
    assert_eq!(next(&mut channel, &receiver), "from the outbox");
}

#[test]
fn requests_and_answers() {
    let broker = Broker::start().unwrap();
    let mut server = open(&broker);
    let questions = server.receiver("queue.questions").unwrap();
    let answering = std::thread::spawn(move || {
        let replies = server.sender(Target::anonymous()).unwrap();
        while let Some(question) = server.receive(&questions, patience()).unwrap() {
            let properties = question.properties.clone();
            let text = question.as_text().unwrap().to_owned();
            server.accept(&question).unwrap();
            let reply_to = properties.reply_to.as_deref().unwrap();
            // One for somebody else first: it is not taken for the answer.
            server
                .send(&replies, Message::text("wrong").to(reply_to).correlation_id("other"))
                .unwrap()
                .accepted()
                .unwrap();
            let mut answer = Message::text(format!("{text}!")).to(reply_to);
            answer.properties.correlation_id = properties.message_id;
            server.send(&replies, answer).unwrap().accepted().unwrap();
            if text == "enough" {
                break;
            }
        }
        server.disconnect().unwrap();
    });
    let mut channel = open(&broker);
    for text in ["one", "two", "enough"] {
        assert_eq!(channel.request("queue.questions", text, patience()).unwrap().as_text(), Some(&*format!("{text}!")));
    }
    answering.join().unwrap();
    let error = channel.request("queue.questions", "anybody?", Duration::from_millis(50)).unwrap_err();
    assert!(error.is_timeout() && error.step() == Step::Request, "{error}");
    let error = channel.request("nowhere", "anybody?", patience()).unwrap_err();
    assert_eq!((error.step(), error.condition()), (Step::Request, Some("amqp:not-found")), "{error}");
    // Two questions, one reply address at a time, and none left.
    channel.round_trip().unwrap();
    assert_eq!(broker.counts().receiver_links, 0);
    channel.disconnect().unwrap();
}

#[test]
fn many_in_order() {
    let broker = Broker::start().unwrap();
    let mut channel = open(&broker);
    let sender = channel.sender("queue.a").unwrap();
    let outcomes = channel.send_all(&sender, (0..20_000).map(|n| n.to_string()), 500).unwrap();
    assert!(outcomes.len() == 20_000 && outcomes.iter().all(Outcome::is_accepted));
    let receiver = channel.receiver(Source::new("queue.a").credit(500)).unwrap();
    for n in 0..20_000 {
        assert_eq!(next(&mut channel, &receiver), n.to_string());
    }
    channel.disconnect().unwrap();
    assert_eq!(broker.counts().accepted, 20_000);
}

#[test]
fn ten_megabytes() {
    let broker = Broker::start().unwrap();
    let mut channel = open(&broker);
    let body: Vec<u8> = (0..10_000_000u32).map(|n| n.to_le_bytes()[1]).collect();
    let sender = channel.sender("queue.a").unwrap();
    channel.send(&sender, Message::data(body.clone())).unwrap().accepted().unwrap();
    let receiver = channel.receiver("queue.a").unwrap();
    let delivery = channel.receive(&receiver, patience()).unwrap().unwrap();
    assert!(delivery.as_data().as_deref() == Some(&*body));
}

#[test]
fn many_links() {
    let broker = Broker::start().unwrap();
    let mut channel = open(&broker);
    let links: Vec<_> = (0..100)
        .map(|n| {
            let address = format!("queue.{n}");
            (channel.sender(&address).unwrap(), channel.receiver(&address).unwrap())
        })
        .collect();
    for (n, (sender, _)) in links.iter().enumerate() {
        channel.send(sender, n.to_string()).unwrap().accepted().unwrap();
    }
    for (n, (sender, receiver)) in links.into_iter().enumerate().rev() {
        assert_eq!(next(&mut channel, &receiver), n.to_string());
        channel.close_sender(sender).unwrap();
        channel.close_receiver(receiver).unwrap();
    }
    let counts = broker.counts();
    assert_eq!((counts.sender_links, counts.receiver_links), (0, 0));
    channel.disconnect().unwrap();
}

#[test]
fn a_link_of_another_channel() {
    let broker = Broker::start().unwrap();
    let (mut one, mut other) = (open(&broker), open(&broker));
    let sender = one.sender("queue.a").unwrap();
    let receiver = one.receiver("queue.a").unwrap();
    one.send(&sender, "hello").unwrap().accepted().unwrap();
    let delivery = one.receive(&receiver, patience()).unwrap().unwrap();
    // The same links by number, and not the same.
    other.sender("queue.b").unwrap();
    other.receiver("queue.b").unwrap();
    let errors = [
        other.send(&sender, "astray").unwrap_err(),
        other.receive(&receiver, Duration::ZERO).unwrap_err(),
        other.accept(&delivery).unwrap_err(),
        other.drain(&receiver).unwrap_err(),
        other.close_sender(sender).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error.kind(), ErrorKind::Usage(_)), "{error}");
    }
    assert_eq!(broker.counts().queued, 1);
}

#[test]
fn a_channel_moves_to_another_thread() {
    let broker = Broker::start().unwrap();
    let mut channel = open(&broker);
    let sender = channel.sender("queue.a").unwrap();
    let moved = std::thread::spawn(move || {
        channel.send(&sender, "from there").unwrap().accepted().unwrap();
        channel
    });
    moved.join().unwrap().disconnect().unwrap();
    assert_eq!(broker.counts().queued, 1);
}

#[test]
fn a_broker_that_stops() {
    let broker = Broker::start().unwrap();
    let mut channel = open(&broker);
    let receiver = channel.receiver("queue.a").unwrap();
    let waiting = std::thread::spawn(move || channel.receive(&receiver, patience()).unwrap_err());
    broker.stop();
    let error = waiting.join().unwrap();
    assert_eq!((error.step(), error.condition()), (Step::Receive, Some("amqp:connection:forced")), "{error}");
}
