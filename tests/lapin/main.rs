//! A real Rust client of AMQP 0-9-1, `lapin`, and the broker in one process: what a test author's first test does.
#![allow(clippy::panic, clippy::unwrap_used)]

#[path = "../support/patience.rs"]
#[allow(unreachable_pub)]
mod patience;

use std::future::Future;
use std::time::Duration;

use fakebroker::{Broker, Builder, Verdict};
use futures_lite::StreamExt;
use lapin::message::Delivery;
use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ErrorKind, ExchangeKind,
};

use patience::patience;

/// Runs a test against a broker on a runtime of its own. Whatever it waits for, it does not wait for ever.
fn with_broker<F: Future<Output = ()>>(builder: Builder, test: impl FnOnce(Broker) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let broker = builder.start().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(patience(), test(broker)).await.expect("the client has its answers in time");
    });
}

async fn connect_to(url: &str) -> lapin::Result<Connection> {
    Connection::connect(url, ConnectionProperties::default()).await
}

async fn channel(broker: &Broker) -> (Connection, Channel) {
    let connection = connect_to(&broker.url()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

async fn declare(channel: &Channel, queue: &str) -> lapin::Queue {
    channel.queue_declare(queue.into(), QueueDeclareOptions::default(), FieldTable::default()).await.unwrap()
}

async fn publish(channel: &Channel, exchange: &str, key: &str, text: &str) -> Confirmation {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let properties = BasicProperties::default();
    let confirm =
        channel.basic_publish(exchange.into(), key.into(), options, text.as_bytes(), properties).await.unwrap();
    confirm.await.unwrap()
}

async fn consume(channel: &Channel, queue: &str) -> Consumer {
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    channel.basic_consume(queue.into(), ShortString::from(""), options, arguments).await.unwrap()
}

async fn next(consumer: &mut Consumer) -> Delivery {
    consumer.next().await.expect("the consumer goes on").unwrap()
}

/// The reply code of an error.
fn code(error: &lapin::Error) -> u16 {
    match error.kind() {
        ErrorKind::ProtocolError(error) => error.get_id(),
        other => panic!("not an error of the protocol: {other:?}"),
    }
}

#[test]
fn connects_and_closes() {
    with_broker(Broker::builder(), |broker| async move {
        let (connection, channel) = channel(&broker).await;
        assert_eq!(broker.counts().connections, 1);
        channel.close(200, "bye".into()).await.unwrap();
        connection.close(200, "bye".into()).await.unwrap();
    });
}

#[test]
fn without_users_everybody_gets_in() {
    with_broker(Broker::builder(), |broker| async move {
        for name_and_password in ["guest:guest", "joe:secret"] {
            let connection = connect_to(&format!("amqp://{name_and_password}@{}", broker.addr())).await.unwrap();
            let user = broker.connections().last().unwrap().user.clone();
            assert_eq!(user.as_deref(), name_and_password.split(':').next());
            connection.close(200, "bye".into()).await.unwrap();
        }
    });
}

#[test]
fn users_have_passwords() {
    with_broker(Broker::builder().user("joe", "secret"), |broker| async move {
        let url = |user: &str| format!("amqp://{user}@{}", broker.addr());
        connect_to(&url("joe:secret")).await.unwrap();
        for user in ["joe:wrong", "guest:guest"] {
            assert_eq!(code(&connect_to(&url(user)).await.unwrap_err()), 403, "{user}");
        }
    });
}

#[test]
fn another_virtual_host_is_not_there() {
    with_broker(Broker::builder(), |broker| async move {
        let error = connect_to(&format!("amqp://{}/other", broker.addr())).await.unwrap_err();
        assert_eq!(code(&error), 530);
    });
}

#[test]
fn publishes_are_confirmed_and_returned() {
    with_broker(Broker::builder(), |broker| async move {
        let (_connection, channel) = channel(&broker).await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        declare(&channel, "q").await;
        channel
            .queue_bind(
                "q".into(),
                "amq.topic".into(),
                "a.*".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .unwrap();
        assert_eq!(publish(&channel, "amq.topic", "a.b", "one").await, Confirmation::Ack(None));
        assert_eq!(publish(&channel, "", "q", "two").await, Confirmation::Ack(None));
        assert_eq!(broker.counts().queued, 2);
        match publish(&channel, "amq.topic", "b", "lost").await {
            Confirmation::Ack(Some(returned)) => {
                assert_eq!((returned.reply_code, returned.data.as_slice()), (312, &b"lost"[..]));
            }
            other => panic!("returned and confirmed, not {other:?}"),
        }
    });
}

#[test]
fn consumes_with_prefetch_and_gives_back() {
    with_broker(Broker::builder(), |broker| async move {
        let (_connection, channel) = channel(&broker).await;
        declare(&channel, "q").await;
        channel.basic_qos(2, BasicQosOptions::default()).await.unwrap();
        for text in ["one", "two", "three"] {
            publish(&channel, "", "q", text).await;
        }
        let mut consumer = consume(&channel, "q").await;
        let (one, two) = (next(&mut consumer).await, next(&mut consumer).await);
        assert_eq!((one.data.as_slice(), two.data.as_slice()), (&b"one"[..], &b"two"[..]));
        // The third waits until there is room for it.
        assert_eq!(declare(&channel, "q").await.message_count(), 1);
        one.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() }).await.unwrap();
        let again = next(&mut consumer).await;
        assert_eq!((again.data.as_slice(), again.redelivered), (&b"one"[..], true));
        again.ack(BasicAckOptions::default()).await.unwrap();
        let three = next(&mut consumer).await;
        assert_eq!(three.data, b"three");
        three.ack(BasicAckOptions { multiple: true }).await.unwrap();
        assert_eq!(declare(&channel, "q").await.message_count(), 0);
        assert_eq!(broker.counts().accepted, 3);
    });
}

#[test]
fn gets_purges_and_deletes() {
    with_broker(Broker::builder(), |broker| async move {
        let (_connection, channel) = channel(&broker).await;
        declare(&channel, "q").await;
        let get = || channel.basic_get("q".into(), BasicGetOptions { no_ack: true });
        assert!(get().await.unwrap().is_none());
        for text in ["one", "two", "three"] {
            publish(&channel, "", "q", text).await;
        }
        let one = get().await.unwrap().unwrap();
        assert_eq!((one.data.as_slice(), one.message_count), (&b"one"[..], 2));
        assert_eq!(channel.queue_purge("q".into(), QueuePurgeOptions::default()).await.unwrap(), 2);
        publish(&channel, "", "q", "four").await;
        assert_eq!(channel.queue_delete("q".into(), QueueDeleteOptions::default()).await.unwrap(), 1);
    });
}

#[test]
fn headers_and_properties_come_through() {
    with_broker(Broker::builder(), |broker| async move {
        let (_connection, channel) = channel(&broker).await;
        declare(&channel, "q").await;
        let mut headers = FieldTable::default();
        headers.insert("n".into(), AMQPValue::LongInt(7));
        headers.insert("b".into(), AMQPValue::Boolean(true));
        let properties = BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_correlation_id("c".into())
            .with_delivery_mode(2)
            .with_headers(headers);
        let options = BasicPublishOptions::default();
        channel.basic_publish("".into(), "q".into(), options, b"hello", properties.clone()).await.unwrap();
        let mut consumer = consume(&channel, "q").await;
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.properties, properties);
        assert_eq!((delivery.exchange.as_str(), delivery.routing_key.as_str()), ("", "q"));
    });
}

#[test]
fn an_error_ends_a_channel_and_not_the_connection() {
    with_broker(Broker::builder(), |broker| async move {
        let (connection, channel) = channel(&broker).await;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let error = channel.queue_declare("missing".into(), passive, FieldTable::default()).await.unwrap_err();
        assert_eq!(code(&error), 404);
        let channel = connection.create_channel().await.unwrap();
        declare(&channel, "missing").await;
        let kind = ExchangeKind::Custom("x-unknown".into());
        let error = channel
            .exchange_declare("e".into(), kind, ExchangeDeclareOptions::default(), FieldTable::default())
            .await
            .unwrap_err();
        assert_eq!(code(&error), 503);
    });
}

#[test]
fn ten_thousand_messages_in_order() {
    const COUNT: usize = 10_000;
    with_broker(Broker::builder(), |broker| async move {
        let (_connection, channel) = channel(&broker).await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        declare(&channel, "q").await;
        let options = BasicPublishOptions::default();
        for n in 0..COUNT {
            let text = n.to_string();
            let properties = BasicProperties::default();
            drop(channel.basic_publish("".into(), "q".into(), options, text.as_bytes(), properties).await.unwrap());
        }
        channel.wait_for_confirms().await.unwrap();
        assert_eq!(broker.counts().queued, COUNT as u64);
        channel.basic_qos(500, BasicQosOptions::default()).await.unwrap();
        let mut consumer = consume(&channel, "q").await;
        for n in 0..COUNT {
            let delivery = next(&mut consumer).await;
            assert_eq!(delivery.data, n.to_string().as_bytes());
            if n % 100 == 99 {
                delivery.ack(BasicAckOptions { multiple: true }).await.unwrap();
            }
        }
        assert_eq!(declare(&channel, "q").await.message_count(), 0);
        assert_eq!(broker.counts().accepted, COUNT as u64);
    });
}

#[test]
fn heartbeats_keep_an_idle_connection() {
    with_broker(Broker::builder().idle_timeout(Duration::from_secs(1)), |broker| async move {
        let (_connection, channel) = channel(&broker).await;
        declare(&channel, "q").await;
        let mut consumer = consume(&channel, "q").await;
        // Who is silent for twice the timeout is dropped. Nobody says anything until this message comes.
        broker.on_message(|_| Verdict::Delay(Duration::from_secs(3)));
        publish(&channel, "", "q", "late").await;
        assert_eq!(next(&mut consumer).await.data, b"late");
        let heartbeats = broker.trace().iter().filter(|line| line.to_string().contains("-> ch 0 heartbeat")).count();
        assert!(heartbeats > 0, "{:?}", broker.trace());
        assert_eq!(broker.counts().connections, 1);
    });
}
