//! Connections and sessions: getting in, and how it ends.

use fakebroker::Broker;
use fe2o3_amqp::connection::OpenError;
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::types::sasl::SaslCode;
use fe2o3_amqp::{Connection, Receiver, Sender, Session};

use crate::{Client, text, with_broker};

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
fn connects_with_any_credentials_where_there_are_no_users() {
    with_broker(Broker::builder(), |broker| async move {
        for name_and_password in ["guest:guest", "joe:secret"] {
            let url = format!("amqp://{name_and_password}@{}", broker.addr());
            let mut connection = Connection::open("fe2o3", url.as_str()).await.unwrap();
            let name = name_and_password.split(':').next();
            assert_eq!(broker.connections()[0].user.as_deref(), name);
            connection.close().await.unwrap();
            eventually(|| broker.counts().connections == 0).await;
        }
    });
}

#[test]
fn connects_without_a_name_where_that_is_allowed() {
    with_broker(Broker::builder().user("joe", "secret").allow_anonymous(), |broker| async move {
        Client::connect(&broker).await.close().await;
        let mut anonymous = Connection::builder()
            .container_id("fe2o3")
            .sasl_profile(SaslProfile::Anonymous)
            .open(broker.url().as_str())
            .await
            .unwrap();
        anonymous.close().await.unwrap();
        let url = |user: &str| format!("amqp://{user}@{}", broker.addr());
        Connection::open("fe2o3", url("joe:secret").as_str()).await.unwrap().close().await.unwrap();
        assert!(Connection::open("fe2o3", url("guest:guest").as_str()).await.is_err());
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
fn a_clean_stop_tells_the_client() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut receiver = client.receiver("a").await;
        let handle = broker.handle();
        handle.stop();
        let error = client.connection.on_close().await.expect_err("closed by the broker");
        let said = format!("{error:?}");
        assert!(said.contains("ConnectionForced"), "{said}");
        assert!(receiver.recv::<String>().await.is_err());
        broker.stop();
    });
}

#[test]
fn a_crash_is_noticed() {
    with_broker(Broker::builder(), |broker| async move {
        let mut client = Client::connect(&broker).await;
        let mut sender = client.sender("queue.a").await;
        sender.send("stored").await.unwrap().accepted_or("not accepted").unwrap();
        broker.crash();
        assert!(client.connection.on_close().await.is_err());
        assert!(sender.send("lost").await.is_err());
        assert_eq!(broker.counts().queued, 1, "the counters outlive the broker");
    });
}
