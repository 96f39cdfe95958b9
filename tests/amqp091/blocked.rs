//! connection.blocked on command of the test: who publishes is told and is not read.

use std::time::Duration;

use fakebroker::Broker;

use crate::support::{Peer, patience};
use crate::support091::*;

#[test]
fn who_publishes_is_blocked_and_who_consumes_is_not() {
    let broker = Broker::start().unwrap();
    let mut publishes = Peer091::opened(&broker);
    publishes.declare("q");
    publishes.publish("", "q", "before");
    publishes.round_trip();
    let mut consumes = Peer091::opened(&broker);
    broker.block("low on memory");
    assert_eq!(publishes.round_trip(), vec![], "it does not publish now");
    publishes.publish("", "q", "meanwhile");
    assert_eq!(publishes.expect_on(0, BLOCKED).shortstr(), "low on memory");
    publishes.publish("", "q", "and more");
    consumes.consume("q", "c");
    assert_eq!(consumes.expect_delivery().text(), "before");
    assert_eq!(consumes.round_trip(), vec![], "it is told nothing, and sent nothing");
    assert_eq!(broker.counts().queued, 1);
    broker.unblock();
    publishes.expect_on(0, UNBLOCKED);
    assert_eq!([consumes.expect_delivery().body, consumes.expect_delivery().body], [&b"meanwhile"[..], b"and more"]);
    // Unblocked twice says nothing.
    broker.unblock();
    assert_eq!(publishes.round_trip(), vec![]);
    publishes.close();
    consumes.close();
}

#[test]
fn the_first_publish_blocks_a_new_connection() {
    let broker = Broker::start().unwrap();
    broker.block("because");
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.publish("", "q", "first");
    peer.publish("", "q", "second");
    assert_eq!(peer.expect_on(0, BLOCKED).shortstr(), "because");
    let mut new = Peer::opened(&broker);
    // 1.0 goes by credit.
    new.attach_sender("s", 0, "queue.a");
    new.send_accepted(0, &["third"]);
    assert_eq!(broker.queue_depth("q"), 0);
    // Another reason is no other notice.
    broker.block("because of something else");
    broker.unblock();
    peer.expect_on(0, UNBLOCKED);
    broker.wait_for_messages(patience(), "q", 2).unwrap();
    peer.close();
}

#[test]
fn who_does_not_understand_it_is_not_told_and_not_read() {
    let broker = Broker::start().unwrap();
    broker.block("because");
    let mut peer = Peer091::opened_in(&broker, "/");
    peer.declare("q");
    peer.publish("", "q", "first");
    peer.send(queue_declare(1, "later", &[false; 5]));
    peer.until_carried_over();
    assert_eq!(peer.heard_by_now(), None);
    assert_eq!(broker.queue_depth("q"), 0);
    broker.unblock();
    peer.expect(QUEUE_DECLARE_OK);
    assert_eq!(broker.queue_depth("q"), 1);
}

#[test]
fn heartbeats_and_a_stop_go_on() {
    let broker = Broker::builder().manual_clock().linger(Duration::from_millis(1)).start().unwrap();
    broker.block("because");
    let mut peer = Peer091::tuned(&broker, 0, 0, 10);
    peer.open_channel(1);
    peer.publish("", "none", "lost");
    peer.until_carried_over();
    broker.advance(Duration::from_secs(60));
    assert_eq!(broker.counts().connections, 1, "its heartbeats are not read");
    broker.stop();
    peer.expect(CLOSE);
}
