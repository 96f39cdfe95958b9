//! A real Rust client, `fe2o3-amqp`, and the broker in one process: what a test author's first test does.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::future::Future;
use std::time::Duration;

use fakebroker::{Broker, Builder, Settlement};
use fe2o3_amqp::connection::{ConnectionHandle, OpenError};
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::link::ReceiverAttachError;
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::definitions::{AmqpError, ErrorCondition, SenderSettleMode};
use fe2o3_amqp::types::messaging::{
    AmqpValue, ApplicationProperties, Batch, Body, Data, DeliveryAnnotations, Footer, Header, Message,
    MessageAnnotations, Modified, Outcome, Properties, Source, Target,
};
use fe2o3_amqp::types::primitives::{Binary, Value};
use fe2o3_amqp::types::sasl::SaslCode;
use fe2o3_amqp::{Connection, Delivery, Receiver, Sendable, Sender, Session};

/// Nothing here takes seconds; this is for a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test against a broker on a runtime of its own. Whatever it waits for, it does not wait for ever.
fn with_broker<F: Future<Output = ()>>(builder: Builder, test: impl FnOnce(Broker) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let broker = builder.start().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, test(broker)).await.expect("the client has its answers in time");
    });
}

struct Client {
    connection: ConnectionHandle<()>,
    session: SessionHandle<()>,
}

impl Client {
    async fn connect(broker: &Broker) -> Client {
        let mut connection = Connection::open("fe2o3", broker.url().as_str()).await.unwrap();
        let session = Session::begin(&mut connection).await.unwrap();
        Client { connection, session }
    }

    async fn sender(&mut self, address: &str) -> Sender {
        Sender::attach(&mut self.session, format!("to {address}"), address).await.unwrap()
    }

    async fn receiver(&mut self, address: &str) -> Receiver {
        Receiver::attach(&mut self.session, format!("from {address}"), address).await.unwrap()
    }

    async fn close(mut self) {
        self.session.end().await.unwrap();
        self.connection.close().await.unwrap();
    }
}

async fn text(receiver: &mut Receiver) -> Delivery<String> {
    receiver.recv::<String>().await.unwrap()
}

/// How often the delivery of this message has failed before.
fn delivery_count(delivery: &Delivery<String>) -> u32 {
    delivery.message().header.as_ref().map_or(0, |header| header.delivery_count)
}

fn out_of_stock() -> fe2o3_amqp::types::definitions::Error {
    fe2o3_amqp::types::definitions::Error::new(AmqpError::PreconditionFailed, "out of stock".to_owned(), None)
}

/// Waits for what the client cannot see; the other tasks go on.
async fn eventually(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn connects_without_credentials() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut sender = client.sender("a").await;
        let mut receiver = client.receiver("a").await;
        assert_eq!(sender.max_message_size(), Some(128 << 20));
        let counts = broker.counts();
        assert_eq!((counts.connections, counts.sender_links, counts.receiver_links), (1, 1, 1));
        sender.send("hello").await.unwrap().accepted_or("not accepted").unwrap();
        assert_eq!(text(&mut receiver).await.body(), "hello");
        assert_eq!(broker.counts().direct, 1);
        client.close().await;
    });
}

#[test]
fn connects_with_sasl_anonymous() {
    with_broker(Broker::builder(), |broker| async move {
        let mut connection = Connection::builder()
            .container_id("fe2o3")
            .sasl_profile(SaslProfile::Anonymous)
            .open(broker.url().as_str())
            .await
            .unwrap();
        assert_eq!(broker.counts().connections, 1);
        connection.close().await.unwrap();
    });
}

#[test]
fn connects_with_credentials() {
    with_broker(Broker::builder().user("ann", "other").user("joe", "s3cr:t"), |broker| async move {
        let mut by_profile = Connection::builder()
            .container_id("fe2o3")
            .sasl_profile(SaslProfile::Plain { username: "joe".into(), password: "s3cr:t".into() })
            .open(broker.url().as_str())
            .await
            .unwrap();
        let url = format!("amqp://ann:other@{}", broker.addr());
        let mut by_url = Connection::open("fe2o3", url.as_str()).await.unwrap();
        Session::begin(&mut by_url).await.unwrap().end().await.unwrap();
        assert_eq!(broker.counts().connections, 2);
        by_profile.close().await.unwrap();
        by_url.close().await.unwrap();
    });
}

#[test]
fn a_wrong_password_is_refused() {
    with_broker(Broker::builder().user("joe", "secret"), |broker| async move {
        for (name, password) in [("joe", "guess"), ("joe", ""), ("jim", "secret")] {
            let opened = Connection::builder()
                .container_id("fe2o3")
                .sasl_profile(SaslProfile::Plain { username: name.into(), password: password.into() })
                .open(broker.url().as_str())
                .await;
            match opened {
                Err(OpenError::SaslError { code: SaslCode::Auth, .. }) => {}
                Err(other) => panic!("{name} and {password:?} are refused with {other}"),
                Ok(_) => panic!("{name} and {password:?} are let in"),
            }
        }
    });
}

#[test]
fn no_credentials_where_they_are_needed_are_refused() {
    with_broker(Broker::builder().user("joe", "secret"), |broker| async move {
        assert!(Connection::open("fe2o3", broker.url().as_str()).await.is_err(), "without SASL");
        let anonymous = Connection::builder()
            .container_id("fe2o3")
            .sasl_profile(SaslProfile::Anonymous)
            .open(broker.url().as_str())
            .await;
        assert!(anonymous.is_err(), "with SASL ANONYMOUS");
    });
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
fn a_request_and_its_reply_over_a_dynamic_address() {
    with_broker(Broker::builder(), |broker| async move {
        let mut server = Client::connect(&broker).await;
        let mut requests = server.receiver("service").await;
        // No address: where a reply goes, its `to` says.
        let mut replies = Sender::builder()
            .name("replies")
            .target(Target::builder().build())
            .attach(&mut server.session)
            .await
            .unwrap();

        let mut client = Client::connect(&broker).await;
        let mut inbox = Receiver::builder()
            .name("inbox")
            .source(Source::builder().dynamic(true).build())
            .attach(&mut client.session)
            .await
            .unwrap();
        let address = inbox.source().as_ref().and_then(|source| source.address.clone()).expect("an address is made");
        let mut sender = client.sender("service").await;
        let request = Message::builder()
            .properties(Properties::builder().reply_to(address.clone()).correlation_id(7u64).build())
            .value("ping")
            .build();
        sender.send(request).await.unwrap().accepted_or("not accepted").unwrap();

        let request = text(&mut requests).await;
        requests.accept(&request).await.unwrap();
        let asked = request.message().properties.clone().unwrap();
        let mut to = Properties::builder().to(asked.reply_to.unwrap());
        to = to.correlation_id(asked.correlation_id.unwrap());
        let reply = Message::builder().properties(to.build()).value("pong").build();
        replies.send(reply).await.unwrap().accepted_or("not accepted").unwrap();

        let reply = text(&mut inbox).await;
        inbox.accept(&reply).await.unwrap();
        assert_eq!(reply.body(), "pong");
        assert_eq!(reply.message().properties.as_ref().unwrap().correlation_id, Some(7u64.into()));
        assert_eq!((broker.counts().direct, broker.counts().dropped), (2, 0));

        // Two of them never share an address.
        let second = Receiver::builder()
            .name("second")
            .source(Source::builder().dynamic(true).build())
            .attach(&mut client.session)
            .await
            .unwrap();
        assert_ne!(second.source().as_ref().unwrap().address.as_ref(), Some(&address));
        client.close().await;
        server.close().await;
    });
}

#[test]
fn a_dynamic_target() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut sender = Sender::builder()
            .name("to somewhere")
            .target(Target::builder().dynamic(true).build())
            .attach(&mut client.session)
            .await
            .unwrap();
        let address = sender.target().as_ref().and_then(|target| target.address.clone()).expect("an address is made");
        let mut receiver = client.receiver(&address).await;
        sender.send("found").await.unwrap().accepted_or("not accepted").unwrap();
        assert_eq!(text(&mut receiver).await.body(), "found");
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
fn several_sessions_on_a_connection() {
    with_broker(Broker::builder(), |broker| async move {
        let mut connection = Connection::open("fe2o3", broker.url().as_str()).await.unwrap();
        let mut links = Vec::new();
        for n in 0..8 {
            let mut session = Session::begin(&mut connection).await.unwrap();
            let address = format!("session.{n}");
            // The same names in each: a link's name is good for its two ends, not for its session.
            let receiver = Receiver::attach(&mut session, format!("in {n}"), address.as_str()).await.unwrap();
            let sender = Sender::attach(&mut session, format!("out {n}"), address.as_str()).await.unwrap();
            links.push((session, sender, receiver));
        }
        assert_eq!((broker.counts().connections, broker.counts().sender_links), (1, 8));
        for (n, (_, sender, _)) in links.iter_mut().enumerate() {
            sender.send(format!("for {n}")).await.unwrap().accepted_or("not accepted").unwrap();
        }
        for (n, (_, _, receiver)) in links.iter_mut().enumerate().rev() {
            let delivery = text(receiver).await;
            assert_eq!(delivery.body(), &format!("for {n}"));
            receiver.accept(&delivery).await.unwrap();
        }
        // One that ends takes its links with it, and only those.
        let (mut session, ..) = links.remove(0);
        session.end().await.unwrap();
        assert_eq!((broker.counts().sender_links, broker.counts().receiver_links), (7, 7));
        let (_, sender, receiver) = &mut links[0];
        sender.send("still there").await.unwrap().accepted_or("not accepted").unwrap();
        assert_eq!(text(receiver).await.body(), "still there");
        // A channel that was used can be used again.
        Session::begin(&mut connection).await.unwrap().end().await.unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn drained_credit_is_gone() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut sender = client.sender("queue.drained").await;
        let mut receiver = Receiver::builder()
            .name("drains")
            .source("queue.drained")
            .credit_mode(CreditMode::Manual)
            .attach(&mut client.session)
            .await
            .unwrap();
        for n in 0..3u64 {
            sender.send(n).await.unwrap().accepted_or("not accepted").unwrap();
        }
        receiver.set_credit(10).await.unwrap();
        for n in 0..3u64 {
            let delivery = receiver.recv::<u64>().await.unwrap();
            assert_eq!(delivery.body(), &n);
            receiver.accept(&delivery).await.unwrap();
        }
        // On the same session, the broker hears of it before the next message. (The client itself does not say when it has
        // been drained.)
        receiver.drain().await.unwrap();

        // Of ten, seven were left; this one is kept for whoever has credit.
        sender.send(3u64).await.unwrap().accepted_or("not accepted").unwrap();
        let mut other = Client::connect(&broker).await;
        let mut taker = other.receiver("queue.drained").await;
        let delivery = taker.recv::<u64>().await.unwrap();
        assert_eq!(delivery.body(), &3);
        taker.accept(&delivery).await.unwrap();
        taker.close().await.unwrap();

        // And with new credit it goes on.
        receiver.set_credit(1).await.unwrap();
        sender.send(4u64).await.unwrap().accepted_or("not accepted").unwrap();
        assert_eq!(receiver.recv::<u64>().await.unwrap().body(), &4);
        client.close().await;
        other.close().await;
    });
}

#[test]
fn links_detach_and_attach_again() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut sender = client.sender("queue.again").await;
        let mut receiver = client.receiver("queue.again").await;
        sender.send("before").await.unwrap().accepted_or("not accepted").unwrap();
        let delivery = text(&mut receiver).await;
        receiver.accept(&delivery).await.unwrap();
        assert_eq!(delivery.body(), "before");

        let detached = receiver.detach().await.map_err(|(_, error)| error).unwrap();
        assert_eq!(broker.counts().receiver_links, 0);
        sender.send("meanwhile").await.unwrap().accepted_or("not accepted").unwrap();
        let mut receiver = detached.resume().await.unwrap().into_receiver();
        let delivery = text(&mut receiver).await;
        receiver.accept(&delivery).await.unwrap();
        assert_eq!(delivery.body(), "meanwhile");

        let detached = sender.detach().await.map_err(|(_, error)| error).unwrap();
        assert_eq!(broker.counts().sender_links, 0);
        let mut sender = detached.resume().await.unwrap();
        sender.send("after").await.unwrap().accepted_or("not accepted").unwrap();
        let delivery = text(&mut receiver).await;
        receiver.accept(&delivery).await.unwrap();
        assert_eq!(delivery.body(), "after");

        // Closed for good, the names are free for new links.
        sender.close().await.unwrap();
        receiver.close().await.unwrap();
        let mut sender = client.sender("queue.again").await;
        let mut receiver = client.receiver("queue.again").await;
        sender.send("anew").await.unwrap().accepted_or("not accepted").unwrap();
        assert_eq!(text(&mut receiver).await.body(), "anew");
        client.close().await;
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

#[test]
fn closing_leaves_nothing_behind() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let sender = client.sender("a").await;
        let receiver = client.receiver("a").await;
        sender.close().await.unwrap();
        receiver.close().await.unwrap();
        let counts = broker.counts();
        assert_eq!((counts.connections, counts.sender_links, counts.receiver_links), (1, 0, 0));
        client.session.end().await.unwrap();
        client.connection.close().await.unwrap();
        // The socket goes after the last words on it.
        eventually(|| broker.counts().connections == 0).await;
    });
}

#[test]
fn no_source_is_refused() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let refused = Receiver::builder()
            .name("from nowhere")
            .source(Source::builder().build())
            .attach(&mut client.session)
            .await;
        match refused {
            Err(ReceiverAttachError::RemoteClosedWithError(_) | ReceiverAttachError::IncomingSourceIsNone) => {}
            Err(other) => panic!("refused with {other:?}"),
            Ok(receiver) => panic!("attached to {:?}", receiver.source()),
        }
        // This client answers the detach and may then send another, of a handle that is no longer attached: that is the end
        // of its session. The connection is none the worse.
        let mut session = Session::begin(&mut client.connection).await.unwrap();
        Sender::attach(&mut session, "to a", "a").await.unwrap().close().await.unwrap();
        session.end().await.unwrap();
        client.connection.close().await.unwrap();
    });
}

#[test]
fn a_clean_stop_tells_the_client() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut receiver = client.receiver("a").await;
        let handle = broker.handle();
        handle.stop_clean();
        let error = client.connection.on_close().await.expect_err("closed by the broker");
        let said = format!("{error:?}");
        assert!(said.contains("ConnectionForced"), "{said}");
        assert!(receiver.recv::<String>().await.is_err());
        broker.stop_clean();
    });
}

#[test]
fn a_crash_is_noticed() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut sender = client.sender("queue.a").await;
        sender.send("stored").await.unwrap().accepted_or("not accepted").unwrap();
        broker.stop();
        assert!(client.connection.on_close().await.is_err());
        assert!(sender.send("lost").await.is_err());
        assert_eq!(broker.counts().queued, 1, "the counters outlive the broker");
    });
}
