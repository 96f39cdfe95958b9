//! The connector against brokers that others wrote. `tests/interop/connector/run` starts them, says where they are, and runs
//! these tests, which are ignored otherwise.

use std::time::Duration;

use fakebroker::connector::{Connector, Source, Step};
use fakebroker::{Message, Outcome, Value};

use crate::support::patience;

/// The URL that the script gives in an environment variable.
fn url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: see tests/interop/connector/run"))
}

fn connector(variable: &str) -> Connector {
    Connector::from_url(&url(variable)).unwrap().timeout(patience())
}

/// An address that no run before this one has left anything at.
fn fresh(prefix: &str) -> String {
    let salt = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), prefix);
    format!("{prefix}-{salt:x}")
}

/// Functions that every broker has: one message there and back, many, a large one, and deliveries that are not accepted.
fn there_and_back(connector: &Connector, address: &str) {
    let mut channel = connector.open().unwrap();
    channel.round_trip().unwrap();
    let sender = channel.sender(address).unwrap();
    let receiver = channel.receiver(address).unwrap();

    let message = Message::text("hello").message_id("m-1").subject("greeting").property("n", 7_i32).durable(true);
    channel.send(&sender, message).unwrap().accepted().unwrap();
    let delivery = channel.receive(&receiver, patience()).unwrap().unwrap();
    let message = &delivery;
    assert_eq!(message.as_text(), Some("hello"));
    assert_eq!(message.properties.message_id, Some(Value::from("m-1")));
    assert_eq!(message.properties.subject.as_deref(), Some("greeting"));
    assert_eq!(message.get("n").and_then(Value::as_i64), Some(7));
    channel.accept(&delivery).unwrap();

    let outcomes = channel.send_all(&sender, (0..1000).map(|n| format!("number {n}")), 100).unwrap();
    assert_eq!(outcomes.len(), 1000);
    assert!(outcomes.iter().all(Outcome::is_accepted));
    for n in 0..1000 {
        let delivery = channel.receive(&receiver, patience()).unwrap().unwrap();
        assert_eq!(delivery.as_text(), Some(&*format!("number {n}")));
        channel.accept(&delivery).unwrap();
    }

    let large: Vec<u8> = (0..1_000_000).map(|n: u32| n.to_be_bytes()[3]).collect();
    channel.send(&sender, Message::data(large.clone())).unwrap().accepted().unwrap();
    let delivery = channel.receive(&receiver, patience()).unwrap().unwrap();
    assert_eq!(delivery.as_data().as_deref(), Some(&*large));
    channel.accept(&delivery).unwrap();

    channel.send_settled(&sender, "settled").unwrap();
    let delivery = channel.receive(&receiver, patience()).unwrap().unwrap();
    assert_eq!(delivery.as_text(), Some("settled"));
    channel.accept(&delivery).unwrap();

    channel.close_sender(sender).unwrap();
    channel.close_receiver(receiver).unwrap();
    channel.disconnect().unwrap();
}

/// Released messages are delivered again, rejected ones are not.
fn comes_again(connector: &Connector, address: &str) {
    let mut channel = connector.open().unwrap();
    let sender = channel.sender(address).unwrap();
    let receiver = channel.receiver(address).unwrap();
    for text in ["first", "second"] {
        channel.send(&sender, text).unwrap().accepted().unwrap();
    }
    let first = channel.receive(&receiver, patience()).unwrap().unwrap();
    let second = channel.receive(&receiver, patience()).unwrap().unwrap();
    channel.reject(&second, "amqp:internal-error", "not today").unwrap();
    channel.release(&first).unwrap();
    let again = channel.receive(&receiver, patience()).unwrap().unwrap();
    assert_eq!(again.as_text(), Some("first"));
    channel.accept(&again).unwrap();
    channel.close_receiver(receiver).unwrap();
    channel.send(&sender, "third").unwrap().accepted().unwrap();
    let receiver = channel.receiver(address).unwrap();
    let third = channel.receive(&receiver, patience()).unwrap().unwrap();
    assert_eq!(third.as_text(), Some("third"), "what was rejected does not come again");
    channel.accept(&third).unwrap();
    channel.disconnect().unwrap();
}

fn wrong_password(connector: &Connector) {
    let error = connector.clone().password("wrong").open().unwrap_err();
    assert_eq!((error.step(), error.condition()), (Step::Authenticate, Some("sasl:auth")), "{error}");
}

#[test]
#[ignore = "needs RabbitMQ"]
fn rabbitmq_there_and_back() {
    there_and_back(&connector("RABBITMQ_URL"), &fresh("/queue/connector-there-and-back"));
}

#[test]
#[ignore = "needs RabbitMQ"]
fn rabbitmq_comes_again() {
    comes_again(&connector("RABBITMQ_URL"), &fresh("/queue/connector-comes-again"));
}

#[test]
#[ignore = "needs RabbitMQ"]
fn rabbitmq_wrong_password() {
    wrong_password(&connector("RABBITMQ_URL"));
}

#[test]
#[ignore = "needs RabbitMQ"]
fn rabbitmq_refuses_a_link() {
    let mut channel = connector("RABBITMQ_URL").open().unwrap();
    // It ends the whole session when an address means nothing to it.
    let error = channel.receiver("/amq/queue/not-there").unwrap_err();
    assert_eq!(error.step(), Step::Attach, "{error}");
    assert_eq!(error.condition(), Some("amqp:not-found"), "{error}");
}

#[test]
#[ignore = "needs Proton's broker"]
fn proton_there_and_back() {
    there_and_back(&connector("PROTON_URL"), &fresh("connector-there-and-back"));
}

#[test]
#[ignore = "needs Proton's broker"]
fn proton_drains() {
    let mut channel = connector("PROTON_URL").open().unwrap();
    let sender = channel.sender("connector-drains").unwrap();
    let outcomes = channel.send_all(&sender, ["one", "two", "three"], 3).unwrap();
    assert!(outcomes.iter().all(Outcome::is_accepted));
    let receiver = channel.receiver(Source::new("connector-drains").credit(100)).unwrap();
    assert_eq!(channel.drain(&receiver).unwrap(), 3);
    for text in ["one", "two", "three"] {
        let delivery = channel.receive(&receiver, Duration::ZERO).unwrap().unwrap();
        assert_eq!(delivery.as_text(), Some(text));
        channel.accept(&delivery).unwrap();
    }
    assert_eq!(channel.drain(&receiver).unwrap(), 0);
    channel.disconnect().unwrap();
}

#[test]
#[ignore = "needs Proton's broker"]
fn proton_requests() {
    let connector = connector("PROTON_URL");
    let mut server = connector.open().unwrap();
    let questions = server.receiver("connector-questions").unwrap();
    let answering = std::thread::spawn(move || {
        let question = server.receive(&questions, patience()).unwrap().unwrap();
        let properties = &question.properties;
        let mut answer = Message::text("the answer");
        answer.properties.correlation_id = properties.message_id.clone();
        let replies = server.sender(properties.reply_to.as_deref().unwrap()).unwrap();
        server.send(&replies, answer).unwrap().accepted().unwrap();
        server.accept(&question).unwrap();
        server.disconnect().unwrap();
    });
    let mut channel = connector.open().unwrap();
    let answer = channel.request("connector-questions", "the question", patience()).unwrap();
    assert_eq!(answer.as_text(), Some("the answer"));
    answering.join().unwrap();
    channel.disconnect().unwrap();
}
