//! Virtual hosts: what is in one is in no other.

use std::time::Duration;

use fakebroker::{Admission, Broker, Ending, Message, Queues, Stage, Verdict};

use crate::support::{Peer, begin, close, each_row, open, patience};
use crate::support091::*;

#[test]
fn each_has_its_own_queues_exchanges_and_addresses() {
    let broker = Broker::builder().vhost("a").start().unwrap();
    let b = broker.vhost("b");
    let mut peers = ["/", "a", "b"].map(|vhost| Peer091::opened_in(&broker, vhost));
    for peer in &mut peers {
        peer.declare("q");
        peer.declare_exchange("e", "fanout");
        peer.bind("q", "e", "");
    }
    let [main, in_a, in_b] = &mut peers;
    in_a.publish("e", "", "for a");
    in_b.publish("", "q", "for b");
    in_b.publish("e", "", "for b too");
    in_a.round_trip();
    in_b.round_trip();
    assert_eq!(
        (main.texts("q"), in_a.texts("q"), in_b.texts("q")),
        (vec![], vec!["for a".to_owned()], vec!["for b".to_owned(), "for b too".to_owned()])
    );
    assert_eq!(broker.vhosts(), ["/", "a", "b"]);
    // 1.0 names a virtual host as RabbitMQ has it.
    let mut new = Peer::opened_with(&broker, open().with("hostname", "vhost:b"), begin());
    new.attach_sender("s", 0, "/queues/q");
    new.send_accepted(0, &["by 1.0"]);
    assert_eq!((broker.queue_depth("q"), b.queue_depth("q")), (0, 1));
    assert_eq!(in_b.texts("q"), ["by 1.0"]);
    assert_eq!(main.get("q", true), None);
}

#[test]
fn who_asks_for_none_gets_the_default_one_and_who_asks_for_an_unknown_one_is_refused() {
    let broker = Broker::builder().vhost("host").start().unwrap();
    let rows = [("localhost", "/"), ("vhost:/", "/"), ("vhost:host", "host"), ("host", "host")];
    each_row(rows.map(|row| (row.0, row)), |(hostname, vhost)| {
        let mut peer = Peer::opened_with(&broker, open().with("hostname", hostname), begin());
        peer.round_trip();
        assert_eq!(broker.connections()[0].vhost.as_deref(), Some(vhost));
        peer.close();
        broker.wait_for_connections(patience(), 0).unwrap();
    });
    let mut old = Peer091::asking_for(&broker, "guest", "other");
    assert_eq!(old.expect_closed_with(530), "NOT_ALLOWED - vhost other not found");
    for hostname in ["vhost:other", "vhost:"] {
        let mut new = Peer::greeted(&broker);
        new.send(open().with("hostname", hostname));
        new.expect_open();
        new.expect_close_with("amqp:unauthorized-access");
        new.send(close());
        new.expect_eof();
    }
    broker.wait_for_connections(patience(), 0).unwrap();
    // No rule was broken.
    broker.verify().unwrap();
    let trace: Vec<String> = broker.trace().iter().map(ToString::to_string).collect();
    let hint = r#"there is no vhost "other": Handle::vhost, Builder::vhost and --vhost make one"#;
    assert!(trace.iter().any(|line| line.contains(hint)), "{trace:#?}");
    // Once it is made, everybody gets in.
    let _made = broker.vhost("other");
    Peer091::opened_in(&broker, "other").close();
}

#[test]
fn who_is_refused_by_the_test_gets_no_open_ok() {
    let broker = Broker::builder().vhost("a").start().unwrap();
    broker.on_connect(|connection| match connection.vhost.as_deref() {
        Some("a") => Admission::refuse("not-allowed", "not there"),
        _ => Admission::Allow,
    });
    let mut peer = Peer091::asking_for(&broker, "guest", "a");
    assert_eq!(peer.expect_closed_with(530), "NOT_ALLOWED - not there");
    Peer091::opened_in(&broker, "/").close();
}

#[test]
fn the_texts_of_faults_name_it() {
    let broker = Broker::builder().vhost("a").start().unwrap();
    let mut peer = Peer091::opened_in(&broker, "a");
    peer.send(queue_declare(1, "none", &[true, false, false, false, false]));
    assert_eq!(peer.expect_channel_closed_with(1, 404), "NOT_FOUND - no queue 'none' in vhost 'a'");
    peer.open_channel(1);
    peer.send(queue_bind(1, QUEUE_BIND, "none", "amq.direct", "k", &[]));
    assert_eq!(peer.expect_channel_closed_with(1, 404), "NOT_FOUND - no queue 'none' in vhost 'a'");
    peer.open_channel(1);
    peer.publish("none", "k", "lost");
    assert_eq!(peer.expect_channel_closed_with(1, 404), "NOT_FOUND - no exchange 'none' in vhost 'a'");
    peer.open_channel(1);
    peer.declare("q");
    peer.send(queue_declare(1, "q", &[false, true, false, false, false]));
    let text = "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost 'a': received 'true' but current \
                is 'false'";
    assert_eq!(peer.expect_channel_closed_with(1, 406), text);
}

#[test]
fn a_handle_is_about_one_virtual_host_and_the_log_has_all() {
    let broker = Broker::start().unwrap();
    let (a, b) = (broker.vhost("a"), broker.vhost("b"));
    // Numbers run through all of them.
    for (handle, text) in [(&a, "one"), (&broker.handle(), "two"), (&b, "three"), (&a, "four")] {
        handle.inject("queue.x", Message::text(text));
    }
    let seen: Vec<(u64, String, Option<String>)> = broker
        .all_messages()
        .into_iter()
        .map(|record| (record.number, record.vhost.clone(), record.as_text().map(str::to_owned)))
        .collect();
    let expected = [(1, "a", "one"), (2, "/", "two"), (3, "b", "three"), (4, "a", "four")];
    assert_eq!(seen, expected.map(|(number, vhost, text)| (number, vhost.to_owned(), Some(text.to_owned()))));
    assert_eq!((a.queue_depth("queue.x"), b.queue_depth("queue.x"), broker.queue_depth("queue.x")), (2, 1, 1));
    assert_eq!((a.messages("queue.x").len(), b.messages("queue.x").len()), (2, 1));
    assert_eq!(a.wait_for_messages(patience(), "queue.x", 2).unwrap().len(), 2);
    assert_eq!(a.take_messages("queue.x").len(), 2);
    assert_eq!((a.messages("queue.x").len(), broker.messages("queue.x").len()), (0, 1));
    assert!(a.wait_for_stage(Duration::ZERO, "queue.x", 1, Stage::Arrived).is_err(), "those were taken");
    assert_eq!(
        a.addresses()[0].to_string(),
        r#""queue.x" in vhost "a" (queue): senders 0, receivers 0, waiting 2, arrived 2"#
    );
    assert_eq!(broker.counts().queued, 4);
    assert_eq!((a.purge("queue.x"), a.queue_depth("queue.x"), broker.queue_depth("queue.x")), (2, 0, 1));
    assert_eq!(a.url(), format!("{}/a", broker.url()));
    assert_eq!(broker.vhost("a/b c").url(), format!("{}/a%2Fb%20c", broker.url()));
    assert_eq!((broker.vhost("/").url(), broker.vhost("").url()), (broker.url(), broker.url()));
}

#[test]
fn what_happens_in_several_at_once_is_told_in_order() {
    let broker = Broker::builder().manual_clock().start().unwrap();
    let (a, b) = (broker.vhost("a"), broker.vhost("b"));
    let mut in_a = Peer091::opened_in(&broker, "a");
    let mut in_b = Peer091::opened_in(&broker, "b");
    // Two queues that expire at the same time, in two virtual hosts, and dead-letter there.
    for peer in [&mut in_a, &mut in_b] {
        peer.declare("dead");
        let (ttl, key) = (int_entry("x-message-ttl", 1000), text_entry("x-dead-letter-routing-key", "dead"));
        peer.declare_with("q", &[ttl, text_entry("x-dead-letter-exchange", ""), key]);
        peer.publish("", "q", "late");
        peer.round_trip();
    }
    broker.advance(Duration::from_secs(2));
    assert_eq!((a.queue_depth("dead"), b.queue_depth("dead"), broker.queue_depth("dead")), (1, 1, 0));
    assert_eq!((in_a.texts("dead"), in_b.texts("dead")), (vec!["late".to_owned()], vec!["late".to_owned()]));
    // A message that a hook delays goes where its sender was, who has left.
    broker.on_message(|_| Verdict::Delay(Duration::from_secs(1)));
    in_b.publish("", "dead", "later");
    in_b.round_trip();
    in_b.close();
    broker.wait_for_connections(patience(), 1).unwrap();
    broker.advance(Duration::from_secs(2));
    assert_eq!((a.queue_depth("dead"), b.queue_depth("dead"), broker.queue_depth("dead")), (0, 1, 0));
    let numbers: Vec<u64> = broker.all_messages().iter().map(|record| record.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}

#[test]
fn consumers_and_exclusive_queues_go_with_their_connections() {
    let broker = Broker::builder().vhost("a").start().unwrap();
    let a = broker.vhost("a");
    let mut stays = Peer091::opened_in(&broker, "a");
    stays.declare("q");
    let mut goes = Peer091::opened_in(&broker, "a");
    goes.declare_as("mine", &[false, false, true, false, false]);
    goes.consume("q", "c");
    stays.publish("", "q", "one");
    assert_eq!(goes.expect_delivery().text(), "one");
    assert_eq!(broker.links().iter().filter(|link| link.vhost == "a").count(), broker.links().len());
    let connection = broker.connections()[1].id;
    assert!(broker.disconnect(connection));
    assert_eq!((a.queue_depth("q"), a.addresses().len()), (1, 1), "it went back, and the exclusive queue is gone");
    assert_eq!(broker.disconnect_all(), 1);
    broker.restart(Ending::Crash, Queues::Keep).unwrap();
    assert_eq!(a.queue_depth("q"), 1);
    broker.restart(Ending::Clean, Queues::Drop).unwrap();
    assert_eq!((a.queue_depth("q"), broker.vhosts().len()), (0, 2));
}

#[test]
fn all_share_one_budget() {
    let broker = Broker::builder().vhost("a").vhost("b").storage_limit(3000).start().unwrap();
    let mut in_a = Peer091::opened_in(&broker, "a");
    in_a.declare("q");
    in_a.publish("", "q", "x".repeat(2000));
    in_a.round_trip();
    let mut in_b = Peer091::opened_in(&broker, "b");
    in_b.declare("q");
    in_b.send(method(1, CONFIRM).bits(&[false]));
    in_b.expect(CONFIRM_OK);
    in_b.publish("", "q", "y".repeat(2000));
    in_b.expect(NACK);
    assert_eq!(in_a.texts("q").len(), 1);
    // There is room again, for those who wait in another virtual host too.
    in_b.publish("", "q", "y".repeat(2000));
    in_b.expect(ACK);
}
