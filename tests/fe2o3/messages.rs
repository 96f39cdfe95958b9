//! Messages: where they go, what becomes of them, that they arrive as they were.

use fakebroker::{Broker, Settlement};
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::types::definitions::{AmqpError, Error, ErrorCondition, SenderSettleMode};
use fe2o3_amqp::types::messaging::{
    AmqpValue, ApplicationProperties, Batch, Body, Data, DeliveryAnnotations, Footer, Header, Message,
    MessageAnnotations, Modified, Outcome, Properties,
};
use fe2o3_amqp::types::primitives::{Binary, Value};
use fe2o3_amqp::{Delivery, Receiver, Sendable, Sender};

use crate::{Client, text, with_broker};

/// Returns the delivery-count of a message.
fn delivery_count(delivery: &Delivery<String>) -> u32 {
    delivery.message().header.as_ref().map_or(0, |header| header.delivery_count)
}

fn out_of_stock() -> Error {
    Error::new(AmqpError::PreconditionFailed, "out of stock".to_owned(), None)
}

#[test]
fn each_outcome_does_its_thing_on_a_queue() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut sender = client.sender("queue.jobs").await;
        for job in ["accept", "reject", "release", "modify"] {
            // Stored: there is no receiver yet.
            sender.send(job).await.unwrap().accepted_or("not accepted").unwrap();
        }
        assert_eq!((broker.counts().queued, broker.counts().topic), (4, 0));
        // One at a time, so that what comes back comes back before the rest.
        let mut receiver = Receiver::builder()
            .name("worker")
            .source("queue.jobs")
            .credit_mode(CreditMode::Manual)
            .attach(&mut client.session)
            .await
            .unwrap();
        let mut next = async |expected: &str, failed: u32| {
            receiver.set_credit(1).await.unwrap();
            let delivery = text(&mut receiver).await;
            assert_eq!((delivery.body().as_str(), delivery_count(&delivery)), (expected, failed));
            match expected {
                "accept" => receiver.accept(&delivery).await.unwrap(),
                "reject" => receiver.reject(&delivery, out_of_stock()).await.unwrap(),
                "release" if failed == 0 && broker.counts().released == 0 => receiver.release(&delivery).await.unwrap(),
                "modify" if failed == 0 => {
                    let failed =
                        Modified { delivery_failed: Some(true), undeliverable_here: None, message_annotations: None };
                    receiver.modify(&delivery, failed).await.unwrap();
                }
                _ => receiver.accept(&delivery).await.unwrap(),
            }
        };
        next("accept", 0).await;
        next("reject", 0).await;
        // Released, it comes again as if it had not been delivered; modified as failed, with its count raised. Neither loses
        // its place.
        next("release", 0).await;
        next("release", 0).await;
        next("modify", 0).await;
        next("modify", 1).await;
        receiver.close().await.unwrap();
        let counts = broker.counts();
        assert_eq!((counts.accepted, counts.rejected, counts.released, counts.modified), (3, 1, 1, 1));
        assert_eq!((counts.queued, counts.dropped), (4, 0));

        // There is nothing left: what comes first now is new.
        let mut receiver = client.receiver("queue.jobs").await;
        sender.send("new").await.unwrap().accepted_or("not accepted").unwrap();
        assert_eq!(text(&mut receiver).await.body(), "new");
        client.close().await;
    });
}

#[test]
fn outcomes_travel_back_end_to_end() {
    with_broker(Broker::builder().settlement(Settlement::EndToEnd), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut receiver = client.receiver("unicast.jobs").await;
        let mut sender = client.sender("unicast.jobs").await;
        let work = async {
            for _ in 0..4 {
                let delivery = text(&mut receiver).await;
                match delivery.body().as_str() {
                    "reject" => receiver.reject(&delivery, out_of_stock()).await.unwrap(),
                    "release" => receiver.release(&delivery).await.unwrap(),
                    "modify" => {
                        let modified = Modified {
                            delivery_failed: Some(true),
                            undeliverable_here: Some(true),
                            message_annotations: None,
                        };
                        receiver.modify(&delivery, modified).await.unwrap();
                    }
                    _ => receiver.accept(&delivery).await.unwrap(),
                }
            }
        };
        let send = async {
            assert!(matches!(sender.send("accept").await.unwrap(), Outcome::Accepted(_)));
            match sender.send("reject").await.unwrap() {
                Outcome::Rejected(rejected) => assert_eq!(rejected.error.unwrap(), out_of_stock()),
                other => panic!("not rejected but {other:?}"),
            }
            assert!(matches!(sender.send("release").await.unwrap(), Outcome::Released(_)));
            match sender.send("modify").await.unwrap() {
                Outcome::Modified(modified) => {
                    assert_eq!((modified.delivery_failed, modified.undeliverable_here), (Some(true), Some(true)));
                }
                other => panic!("not modified but {other:?}"),
            }
        };
        tokio::join!(work, send);
        let counts = broker.counts();
        assert_eq!((counts.accepted, counts.rejected, counts.released, counts.modified), (1, 1, 1, 1));
        client.close().await;
    });
}

#[test]
fn an_unroutable_message_is_rejected_as_not_found() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut sender = client.sender("nobody.there").await;
        match sender.send("hello?").await.unwrap() {
            Outcome::Rejected(rejected) => {
                let error = rejected.error.expect("a reason");
                assert_eq!(error.condition, ErrorCondition::AmqpError(AmqpError::NotFound));
                let description = error.description.expect("a description");
                assert!(description.contains("nobody.there"), "{description:?} names the address");
            }
            other => panic!("not rejected but {other:?}"),
        }
        assert_eq!(broker.counts().dropped, 1);
        // The link is still good.
        let mut receiver = client.receiver("nobody.there").await;
        sender.send("hello!").await.unwrap().accepted_or("not accepted").unwrap();
        assert_eq!(text(&mut receiver).await.body(), "hello!");
        client.close().await;
    });
}

#[test]
fn every_section_passes_untouched() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut receiver = client.receiver("a").await;
        let mut sender = client.sender("a").await;
        let message = Message::builder()
            .header(Header { durable: true, priority: 9.into(), ttl: Some(60_000), ..Header::default() })
            .delivery_annotations(DeliveryAnnotations::builder().insert("x-opt-d", 1i64).build())
            .message_annotations(MessageAnnotations::builder().insert("x-opt-m", "m").build())
            .properties(Properties::builder().message_id(1u64).to("a").subject("s").content_type("text/plain").build())
            .application_properties(ApplicationProperties::builder().insert("n", 1).insert("s", "text").build())
            .footer(Footer::builder().insert("x-opt-f", true).build())
            .data_batch(vec![Binary::from(vec![0u8, 1, 255]), Binary::from(Vec::new())])
            .build();
        sender.send(message.clone()).await.unwrap().accepted_or("not accepted").unwrap();
        let delivery = receiver.recv::<Batch<Data>>().await.unwrap();
        let got = delivery.into_message();
        assert_eq!(got.header, message.header);
        assert_eq!(got.delivery_annotations, message.delivery_annotations);
        assert_eq!(got.message_annotations, message.message_annotations);
        assert_eq!(got.properties, message.properties);
        assert_eq!(got.application_properties, message.application_properties);
        assert_eq!(got.footer, message.footer);
        assert_eq!(got.body, message.body);

        sender.send(Message::builder().value(Value::Null).build()).await.unwrap();
        let null = receiver.recv::<Body<Value>>().await.unwrap();
        assert!(matches!(null.body(), Body::Value(AmqpValue(Value::Null)) | Body::Empty), "{:?}", null.body());
        client.close().await;
    });
}

#[test]
fn settled_messages_need_no_answer() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut receiver = client.receiver("a").await;
        let mut sender = Sender::builder()
            .name("settled")
            .target("a")
            .sender_settle_mode(SenderSettleMode::Settled)
            .attach(&mut client.session)
            .await
            .unwrap();
        for n in 0..10u64 {
            sender.send(n).await.unwrap();
        }
        for n in 0..10u64 {
            assert_eq!(receiver.recv::<u64>().await.unwrap().body(), &n);
        }
        // On a link that leaves it open, each message says for itself.
        let mut mixed = client.sender("a").await;
        let settled = Sendable::builder().message("settled").settled(true).build();
        mixed.send(settled).await.unwrap();
        mixed.send("unsettled").await.unwrap().accepted_or("not accepted").unwrap();
        assert_eq!(text(&mut receiver).await.body(), "settled");
        let unsettled = text(&mut receiver).await;
        assert_eq!(unsettled.body(), "unsettled");
        receiver.accept(&unsettled).await.unwrap();
        receiver.close().await.unwrap();
        assert_eq!((broker.counts().direct, broker.counts().accepted), (12, 1));
        client.close().await;
    });
}

#[test]
fn a_message_of_ten_megabytes() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut other = Client::connect(&broker).await;
        let mut receiver = other.receiver("large").await;
        let mut sender = client.sender("large").await;
        // No frame of it is like another.
        let large: Vec<u8> = (0..10_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let message = Message::builder().data(Binary::from(large.clone())).build();
        let (outcome, delivery) = tokio::join!(sender.send(message), receiver.recv::<Data>());
        outcome.unwrap().accepted_or("not accepted").unwrap();
        let delivery = delivery.unwrap();
        receiver.accept(&delivery).await.unwrap();
        assert!(delivery.body().0.as_ref() == large.as_slice(), "every byte arrives in its place");
        receiver.close().await.unwrap();
        assert_eq!((broker.counts().direct, broker.counts().accepted), (1, 1));
        client.close().await;
        other.close().await;
    });
}

#[test]
fn ten_thousand_messages_in_order() {
    const MESSAGES: u64 = 10_000;
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut other = Client::connect(&broker).await;
        let mut receiver = other.receiver("unicast.stream").await;
        let mut sender = client.sender("unicast.stream").await;
        let send = async {
            let mut outcomes = Vec::new();
            for n in 0..MESSAGES {
                outcomes.push(sender.send_batchable(n).await.unwrap());
            }
            for outcome in outcomes {
                outcome.await.unwrap().accepted_or("not accepted").unwrap();
            }
        };
        let receive = async {
            for n in 0..MESSAGES {
                let delivery = receiver.recv::<u64>().await.unwrap();
                assert_eq!(delivery.body(), &n);
                receiver.accept(&delivery).await.unwrap();
            }
        };
        tokio::join!(send, receive);
        receiver.close().await.unwrap();
        let counts = broker.counts();
        assert_eq!((counts.topic, counts.accepted, counts.dropped), (MESSAGES, MESSAGES, 0));
        client.close().await;
        other.close().await;
    });
}

#[test]
fn receivers_share_copy_and_compete() {
    with_broker(Broker::builder(), |broker| async move {
        let mut one = Client::connect(&broker).await;
        let mut two = Client::connect(&broker).await;
        let mut senders = Client::connect(&broker).await;
        let (mut first, mut second) = (one.receiver("broadcast.news").await, two.receiver("broadcast.news").await);
        let mut sender = senders.sender("broadcast.news").await;
        sender.send("extra").await.unwrap().accepted_or("not accepted").unwrap();
        assert_eq!(text(&mut first).await.body(), "extra");
        assert_eq!(text(&mut second).await.body(), "extra");
        assert_eq!((broker.counts().fanout, broker.counts().fanout_sent), (1, 2));

        let (mut first, mut second) = (one.receiver("unicast.work").await, two.receiver("unicast.work").await);
        let mut sender = senders.sender("unicast.work").await;
        for n in 0..4u64 {
            sender.send(n).await.unwrap().accepted_or("not accepted").unwrap();
        }
        let mut shares = [Vec::new(), Vec::new()];
        for _ in 0..2 {
            shares[0].push(*first.recv::<u64>().await.unwrap().body());
            shares[1].push(*second.recv::<u64>().await.unwrap().body());
        }
        assert_eq!(shares, [[0, 2], [1, 3]]);
        assert_eq!(broker.counts().topic, 4);
        one.close().await;
        two.close().await;
        senders.close().await;
    });
}

#[test]
fn what_a_vanished_receiver_held_goes_to_the_next() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut sender = client.sender("queue.held").await;
        let mut doomed = Client::connect(&broker).await;
        let mut receiver = doomed.receiver("queue.held").await;
        sender.send("precious").await.unwrap().accepted_or("not accepted").unwrap();
        assert_eq!(text(&mut receiver).await.body(), "precious");
        doomed.connection.close().await.unwrap();
        let mut receiver = client.receiver("queue.held").await;
        let delivery = text(&mut receiver).await;
        receiver.accept(&delivery).await.unwrap();
        assert_eq!(delivery.body(), "precious");
        client.close().await;
    });
}
