//! Links: termini, credit, detaching.

use fakebroker::Broker;
use fe2o3_amqp::link::ReceiverAttachError;
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::types::definitions::ReceiverSettleMode;
use fe2o3_amqp::types::messaging::{Message, Properties, Source, Target};
use fe2o3_amqp::{Receiver, Sender, Session};

use crate::{Client, text, with_broker};

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
fn a_sender_may_ask_the_receiver_to_settle_second() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut sender = Sender::builder()
            .name("second")
            .target("queue.second")
            .receiver_settle_mode(ReceiverSettleMode::Second)
            .attach(&mut client.session)
            .await
            .unwrap();
        for n in 0..3u64 {
            sender.send(n).await.unwrap().accepted_or("not accepted").unwrap();
        }
        sender.close().await.unwrap();
        assert_eq!(broker.queue_depth("queue.second"), 3);
        client.close().await;
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
