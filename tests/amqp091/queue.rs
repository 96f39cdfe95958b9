//! The queue class.

use fakebroker::Broker;

use crate::support::each_row;
use crate::support091::*;

/// Exclusive, of the bits of queue.declare.
const EXCLUSIVE: [bool; 5] = [false, false, true, false, false];
const AUTO_DELETE: [bool; 5] = [false, false, false, true, false];
const PASSIVE: [bool; 5] = [true, false, false, false, false];

fn passive(peer: &mut Peer091, queue: &str) -> Option<(u32, u32)> {
    peer.send(queue_declare(1, queue, &PASSIVE));
    match peer.hear() {
        Heard091::Method { id: QUEUE_DECLARE_OK, arguments, .. } => {
            let mut args = Args::new(arguments);
            args.shortstr();
            Some((args.long(), args.long()))
        }
        Heard091::Method { id: CHANNEL_CLOSE, arguments, .. } => {
            assert_eq!(Args::new(arguments).short(), 404);
            peer.send(method(1, CHANNEL_CLOSE_OK));
            peer.open_channel(1);
            None
        }
        other => peer.fail(&format!("declare-ok or channel.close, not {other:?}")),
    }
}

#[test]
fn declared_queues_stay_and_are_counted() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    assert_eq!(passive(&mut peer, "q"), None);
    assert_eq!(peer.declare("q"), (0, 0));
    peer.publish("", "q", "one");
    peer.publish("", "q", "two");
    assert_eq!(peer.declare("q"), (2, 0));
    peer.prefetch(1, false);
    peer.consume("q", "c");
    assert_eq!(peer.expect_delivery().text(), "one");
    assert_eq!(peer.declare("q"), (1, 1));
    peer.close();
    // Nobody is there, and it is.
    let mut other = Peer091::opened(&broker);
    assert_eq!(passive(&mut other, "q"), Some((2, 0)));
    assert_eq!(broker.counts().queued, 2);
}

#[test]
fn the_server_names_what_has_no_name() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    let mut names = Vec::new();
    for _ in 0..2 {
        peer.send(queue_declare(1, "", &[]));
        names.push(peer.expect(QUEUE_DECLARE_OK).shortstr());
    }
    assert!(names.iter().all(|name| name.starts_with("amq.gen-")), "{names:?}");
    assert_ne!(names[0], names[1]);
    // An empty name is the one that was declared last.
    peer.publish("", &names[1], "hello");
    assert_eq!(peer.get("", true).unwrap().text(), "hello");
    peer.send(queue_bind(1, QUEUE_BIND, "", "amq.direct", "", &[]));
    peer.expect(QUEUE_BIND_OK);
    peer.publish("amq.direct", &names[1], "by name");
    assert_eq!(peer.get(&names[1], true).unwrap().text(), "by name");
    // A client may declare it again by its name only if it is passive.
    assert_eq!(passive(&mut peer, &names[0]), Some((0, 0)));
    peer.send(queue_declare(1, &names[0], &[]));
    peer.expect_channel_closed_with(1, 403);
}

#[test]
fn an_empty_name_needs_a_queue_before() {
    let broker = Broker::start().unwrap();
    let rows = [
        ("get", method(1, GET).short(0).shortstr("").bits(&[false])),
        ("consume", consume(1, "", "", &[])),
        ("bind", queue_bind(1, QUEUE_BIND, "", "amq.direct", "", &[])),
        ("purge", method(1, PURGE).short(0).shortstr("").bits(&[false])),
        ("delete", method(1, QUEUE_DELETE).short(0).shortstr("").bits(&[])),
    ];
    each_row(rows, |bytes| {
        let mut peer = Peer091::opened(&broker);
        peer.send(bytes);
        peer.expect_channel_closed_with(1, 404);
    });
}

#[test]
fn what_is_exclusive_is_locked_for_others() {
    let broker = Broker::start().unwrap();
    let mut owner = Peer091::opened(&broker);
    owner.declare_as("mine", &EXCLUSIVE);
    let rows = [
        ("declare", queue_declare(1, "mine", &EXCLUSIVE)),
        ("passive declare", queue_declare(1, "mine", &PASSIVE)),
        ("bind", queue_bind(1, QUEUE_BIND, "mine", "amq.direct", "k", &[])),
        ("purge", method(1, PURGE).short(0).shortstr("mine").bits(&[false])),
        ("delete", method(1, QUEUE_DELETE).short(0).shortstr("mine").bits(&[])),
        ("consume", consume(1, "mine", "", &[])),
        ("get", method(1, GET).short(0).shortstr("mine").bits(&[false])),
    ];
    each_row(rows, |bytes| {
        let mut peer = Peer091::opened(&broker);
        peer.send(bytes);
        peer.expect_channel_closed_with(1, 405);
    });
    // But everybody may publish to it: that is how answers come.
    let mut other = Peer091::opened(&broker);
    other.publish("", "mine", "answer");
    other.expect_nothing();
    assert_eq!(owner.get("mine", true).unwrap().text(), "answer");
    // It goes with its connection, before that has its close-ok.
    owner.close();
    assert_eq!(passive(&mut other, "mine"), None);
}

#[test]
fn what_is_exclusive_goes_when_the_socket_does() {
    let broker = Broker::start().unwrap();
    let mut owner = Peer091::opened(&broker);
    owner.declare_as("mine", &EXCLUSIVE);
    owner.reset();
    let mut other = Peer091::opened(&broker);
    crate::support::until(&broker, "gone", |counts| counts.connections == 1);
    assert_eq!(passive(&mut other, "mine"), None);
}

#[test]
fn auto_delete_queues_go_with_their_last_consumer() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare_as("q", &AUTO_DELETE);
    // Without one it stays, and looking into it is not consuming.
    assert_eq!(peer.get("q", false), None);
    assert_eq!(passive(&mut peer, "q"), Some((0, 0)));
    peer.consume("q", "a");
    peer.consume("q", "b");
    peer.send(method(1, CANCEL).shortstr("a").bits(&[false]));
    peer.expect(CANCEL_OK);
    assert_eq!(passive(&mut peer, "q"), Some((0, 1)));
    peer.send(method(1, CANCEL).shortstr("b").bits(&[false]));
    peer.expect(CANCEL_OK);
    assert_eq!(passive(&mut peer, "q"), None);
}

#[test]
fn what_an_auto_delete_queue_still_owes_can_be_acknowledged() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare_as("q", &AUTO_DELETE);
    peer.consume("q", "c");
    peer.publish("", "q", "one");
    peer.publish("", "q", "two");
    assert_eq!(peer.expect_texts(2), ["one", "two"]);
    peer.send(method(1, CANCEL).shortstr("c").bits(&[false]));
    peer.expect(CANCEL_OK);
    peer.ack(1, false);
    peer.send(method(1, REJECT).longlong(2).bits(&[true]));
    peer.expect_nothing();
    assert_eq!(passive(&mut peer, "q"), None);
}

const DURABLE: [bool; 5] = [false, true, false, false, false];

fn declare_with(queue: &str, bits: &[bool], arguments: &[Vec<u8>]) -> MethodBytes {
    method(1, QUEUE_DECLARE).short(0).shortstr(queue).bits(bits).table(arguments)
}

#[test]
fn a_queue_is_declared_alike_or_not_at_all() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("plain");
    peer.declare_as("mine", &EXCLUSIVE);
    let ttl = |value| int_entry("x-message-ttl", value);
    peer.send(declare_with("timed", &[false; 5], &[ttl(1000), text_entry("x-note", "a")]));
    peer.expect(QUEUE_DECLARE_OK);
    let rows = [
        ("auto-delete", declare_with("plain", &AUTO_DELETE, &[]), 406, "received 'true' but current is 'false'"),
        (
            "durable",
            declare_with("plain", &DURABLE, &[]),
            406,
            "inequivalent arg 'durable' for queue 'plain' in vhost '/'",
        ),
        ("exclusive", declare_with("plain", &EXCLUSIVE, &[]), 405, "cannot obtain exclusive access"),
        ("not exclusive", declare_with("mine", &[false; 5], &[]), 405, "cannot obtain exclusive access"),
        ("an argument more", declare_with("plain", &[false; 5], &[ttl(1)]), 406, "current is none"),
        ("an argument less", declare_with("timed", &[false; 5], &[]), 406, "inequivalent arg 'x-message-ttl'"),
        (
            "another type",
            declare_with("plain", &[false; 5], &[text_entry("x-queue-type", "quorum")]),
            406,
            "received the value 'quorum' of type 'longstr' but current is none",
        ),
        (
            "another value",
            declare_with("timed", &[false; 5], &[ttl(2000), text_entry("x-note", "a")]),
            406,
            "'x-message-ttl' for queue 'timed' in vhost '/': received '2000' but current is '1000'",
        ),
    ];
    each_row(rows.map(|(name, bytes, code, text)| (name, (bytes, code, text))), |(bytes, code, text)| {
        peer.send(bytes);
        let said = peer.expect_channel_closed_with(1, code);
        assert!(said.contains(text), "{said}");
        peer.open_channel(1);
    });
    // In another order, and a number in another width, they are the same.
    let same = [text_entry("x-note", "a"), entry("x-message-ttl", b'l', 1000_i64.to_be_bytes())];
    peer.send(declare_with("timed", &[false; 5], &same));
    peer.expect(QUEUE_DECLARE_OK);
    // Arguments that no queue knows are not compared, and the default type may be said or not.
    for entries in [vec![text_entry("x-note", "b")], vec![], vec![text_entry("x-queue-type", "classic")]] {
        peer.send(declare_with("timed", &[false; 5], &[entries, vec![ttl(1000)]].concat()));
        peer.expect(QUEUE_DECLARE_OK);
    }
    // A passive one names its queue, whatever was declared before.
    peer.send(queue_declare(1, "", &PASSIVE));
    assert_eq!(peer.expect_channel_closed_with(1, 404), "NOT_FOUND - no queue '' in vhost '/'");
    peer.open_channel(1);
    peer.declare_as("mine", &EXCLUSIVE);
    // Who only asks need not say how it was declared.
    assert_eq!(passive(&mut peer, "timed"), Some((0, 0)));
}

#[test]
fn a_queue_that_somebody_attached_to_is_as_it_is_declared_first() {
    let broker = Broker::start().unwrap();
    let mut receiver = crate::support::Peer::opened(&broker);
    receiver.attach_receiver("r", 0, "queue.q", 1);
    let mut peer = Peer091::opened(&broker);
    peer.declare_as("queue.q", &DURABLE);
    peer.send(queue_declare(1, "queue.q", &[]));
    peer.expect_channel_closed_with(1, 406);
}

#[test]
fn purge_and_delete_say_how_many() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    for text in ["one", "two", "three"] {
        peer.publish("", "q", text);
    }
    assert_eq!(peer.get("q", false).unwrap().text(), "one");
    peer.send(method(1, PURGE).short(0).shortstr("q").bits(&[false]));
    assert_eq!(peer.expect(PURGE_OK).long(), 2);
    peer.publish("", "q", "four");
    peer.send(method(1, QUEUE_DELETE).short(0).shortstr("q").bits(&[]));
    assert_eq!(peer.expect(QUEUE_DELETE_OK).long(), 1);
    // What was got can be acknowledged though its queue is no more.
    peer.ack(1, false);
    assert_eq!(passive(&mut peer, "q"), None);
    // What is not there is deleted.
    peer.send(method(1, QUEUE_DELETE).short(0).shortstr("q").bits(&[]));
    assert_eq!(peer.expect(QUEUE_DELETE_OK).long(), 0);
}

#[test]
fn delete_if_unused_and_if_empty() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    peer.publish("", "q", "one");
    peer.send(method(1, QUEUE_DELETE).short(0).shortstr("q").bits(&[false, true]));
    peer.expect_channel_closed_with(1, 406);
    peer.open_channel(1);
    let mut other = Peer091::opened(&broker);
    other.consume("q", "c");
    assert_eq!(other.expect_delivery().text(), "one");
    peer.send(method(1, QUEUE_DELETE).short(0).shortstr("q").bits(&[true]));
    peer.expect_channel_closed_with(1, 406);
    peer.open_channel(1);
    other.close();
    peer.send(method(1, QUEUE_DELETE).short(0).shortstr("q").bits(&[true, false]));
    assert_eq!(peer.expect(QUEUE_DELETE_OK).long(), 1);
}

#[test]
fn consumers_of_a_deleted_queue_are_told_if_they_can_hear_it() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.declare("q");
    let mut told = Peer091::opened(&broker);
    told.consume("q", "told");
    let mut untold = Peer091::connected(&broker, HEADER_0_9_1, &[]);
    untold.open_channel(1);
    untold.consume("q", "untold");
    peer.send(method(1, QUEUE_DELETE).short(0).shortstr("q").bits(&[]));
    peer.expect(QUEUE_DELETE_OK);
    let mut cancel = told.expect(CANCEL);
    assert_eq!((cancel.shortstr().as_str(), cancel.octet()), ("told", 1));
    untold.expect_nothing();
    // Declared again it is another queue, without consumers.
    assert_eq!(peer.declare("q"), (0, 0));
    peer.publish("", "q", "for nobody");
    told.expect_nothing();
    assert_eq!(peer.declare("q"), (1, 0));
}

#[test]
fn no_wait_has_no_answer() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    peer.send(queue_declare(1, "q", &[false, false, false, false, true]));
    peer.send(
        method(1, QUEUE_BIND).short(0).shortstr("q").shortstr("amq.fanout").shortstr("").bits(&[true]).table(&[]),
    );
    peer.publish("amq.fanout", "", "hello");
    peer.send(method(1, PURGE).short(0).shortstr("q").bits(&[true]));
    peer.publish("amq.fanout", "", "again");
    peer.send(consume(1, "q", "c", &[false, false, false, true]));
    assert_eq!(peer.expect_delivery().text(), "again");
    peer.send(method(1, CANCEL).shortstr("c").bits(&[true]));
    peer.send(method(1, QUEUE_DELETE).short(0).shortstr("q").bits(&[false, false, true]));
    peer.expect_nothing();
    assert_eq!(passive(&mut peer, "q"), None);
}

#[test]
fn a_name_that_is_no_queue() {
    let broker = Broker::start().unwrap();
    // Somebody receives there directly.
    let mut receiver = crate::support::Peer::opened(&broker);
    receiver.attach_receiver("r", 0, "direct.to.me", 1);
    let mut peer = Peer091::opened(&broker);
    assert_eq!(passive(&mut peer, "direct.to.me"), None);
    peer.send(queue_declare(1, "direct.to.me", &[]));
    peer.expect_channel_closed_with(1, 406);
}
