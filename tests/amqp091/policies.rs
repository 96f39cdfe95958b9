//! Policies: queues and exchanges are given settings by their names. Time passes when the test says so.

use std::time::Duration;

use fakebroker::{ApplyTo, Broker, Policy, Queue};

use crate::support::each_row;
use crate::support091::*;

const SECOND: Duration = Duration::from_secs(1);

fn manual() -> (Broker, Peer091) {
    let broker = Broker::builder().manual_clock().start().unwrap();
    let peer = Peer091::opened(&broker);
    (broker, peer)
}

/// A policy for all names.
fn all(name: &str) -> Policy {
    Policy::new(name, ".*")
}

fn publish_all(peer: &mut Peer091, queue: &str, texts: &[&str]) {
    texts.iter().for_each(|text| peer.publish("", queue, text));
    peer.round_trip();
}

#[test]
fn a_ttl_is_given_to_queues_that_are_there_and_to_later_ones() {
    let (broker, mut peer) = manual();
    peer.declare("log.early");
    publish_all(&mut peer, "log.early", &["before"]);
    broker.set_policy(Policy::new("ttl", "^log\\.").define("message-ttl", 1000)).unwrap();
    peer.declare("log.late");
    peer.declare("a.log.");
    for queue in ["log.early", "log.late", "a.log."] {
        publish_all(&mut peer, queue, &["x"]);
    }
    broker.advance(SECOND);
    // What waited before does not expire, and what is behind it waits for it.
    assert_eq!(peer.texts("log.early"), ["before"]);
    assert_eq!(["log.late", "a.log."].map(|queue| broker.queue_depth(queue)), [0, 1]);
    assert!(broker.clear_policy("ttl"));
    publish_all(&mut peer, "log.late", &["x"]);
    broker.advance(SECOND * 1000);
    assert_eq!(broker.queue_depth("log.late"), 1);
}

#[test]
fn a_queue_that_is_too_long_is_shortened_at_once() {
    let (broker, mut peer) = manual();
    peer.declare("dead");
    peer.declare("q");
    publish_all(&mut peer, "q", &["one", "two", "three"]);
    let policy = Policy::new("short", "^q$").define("max-length", 1);
    let policy = policy.define("dead-letter-exchange", "").define("dead-letter-routing-key", "dead");
    broker.set_policy(policy).unwrap();
    assert_eq!(
        (peer.texts("q"), peer.texts("dead")),
        (vec!["three".to_owned()], vec!["one".to_owned(), "two".to_owned()])
    );
    broker.set_policy(Policy::new("short", "^q$").define("max-length-bytes", 3)).unwrap();
    publish_all(&mut peer, "q", &["one", "two"]);
    assert_eq!(peer.texts("q"), ["two"]);
    let policy = Policy::new("short", "^q$").define("max-length", 1).define("overflow", "reject-publish");
    broker.set_policy(policy).unwrap();
    publish_all(&mut peer, "q", &["one", "two"]);
    assert_eq!((peer.texts("q"), peer.texts("dead")), (vec!["one".to_owned()], vec![]));
}

#[test]
fn a_queue_expires_after_the_policy_was_set() {
    let (broker, mut peer) = manual();
    peer.declare("q");
    peer.declare("used");
    peer.consume("used", "c");
    broker.advance(SECOND * 100);
    broker.set_policy(all("gone").define("expires", 2000)).unwrap();
    broker.advance(SECOND);
    let names = || broker.queues().into_iter().map(|queue| queue.name).collect::<Vec<_>>();
    assert_eq!(names(), ["q", "used"]);
    broker.advance(SECOND);
    assert_eq!(names(), ["used"]);
}

#[test]
fn the_highest_priority_applies_alone() {
    let (broker, mut peer) = manual();
    broker.set_policy(all("low").define("message-ttl", 1000).define("max-length", 1)).unwrap();
    broker.set_policy(Policy::new("high", "^q").priority(1).define("max-length", 2)).unwrap();
    peer.declare("q");
    publish_all(&mut peer, "q", &["one", "two", "three"]);
    broker.advance(SECOND);
    assert_eq!(broker.queue_depth("q"), 2);
    // The other one is next.
    assert!(broker.clear_policy("high"));
    assert!(!broker.clear_policy("high"));
    assert_eq!(broker.queue_depth("q"), 1);
    let names: Vec<_> = broker.policies().into_iter().map(|policy| policy.name).collect();
    assert_eq!(names, ["low"]);
    assert!(broker.clear_policy("low"));
    publish_all(&mut peer, "q", &["one", "two"]);
    assert_eq!(peer.texts("q"), ["three", "one", "two"]);
}

/// Of numbers the lower one counts, of other values the argument.
#[test]
fn arguments_and_policies_are_merged() {
    let short = |limit: i32| vec![int_entry("x-max-length", limit)];
    each_row(
        [
            ("the argument is lower", (short(1), 2, 1)),
            ("the policy is lower", (short(2), 1, 1)),
            ("one", (vec![], 1, 1)),
        ],
        |(arguments, limit, expected)| {
            let (broker, mut peer) = manual();
            broker.set_policy(all("short").define("max-length", limit)).unwrap();
            peer.declare_with("q", &arguments);
            publish_all(&mut peer, "q", &["one", "two", "three"]);
            assert_eq!(broker.queue_depth("q"), expected);
        },
    );
    let (broker, mut peer) = manual();
    let policy = Policy::new("dead", "^q").define("dead-letter-exchange", "amq.fanout").define("max-length", 0);
    let policy = policy.define("dead-letter-routing-key", "other").define("overflow", "reject-publish");
    broker.set_policy(policy).unwrap();
    for queue in ["own", "other", "fanout"] {
        peer.declare(queue);
    }
    peer.bind("fanout", "amq.fanout", "");
    let drops = text_entry("x-overflow", "drop-head");
    let (exchange, key) = (text_entry("x-dead-letter-exchange", ""), text_entry("x-dead-letter-routing-key", "own"));
    each_row(
        [
            ("exchange and key", (vec![drops.clone(), exchange.clone(), key], "own")),
            ("exchange", (vec![drops.clone(), exchange], "other")),
            ("neither", (vec![drops], "fanout")),
        ],
        |(arguments, dead)| {
            let queue = format!("q.{dead}");
            peer.declare_with(&queue, &arguments);
            publish_all(&mut peer, &queue, &["x"]);
            for queue in ["own", "other", "fanout"] {
                assert_eq!(peer.texts(queue).len(), usize::from(queue == dead), "{queue}");
            }
        },
    );
}

#[test]
fn an_exchange_has_the_alternate_of_its_policy() {
    let (broker, mut peer) = manual();
    for name in ["lost", "own"] {
        peer.declare(name);
        peer.declare_exchange(name, "fanout");
        peer.bind(name, name, "");
    }
    peer.declare_exchange("e.early", "topic");
    peer.declare_exchange_with("e.own", "topic", &[text_entry("alternate-exchange", "own")]);
    let publish = |peer: &mut Peer091| {
        ["e.early", "e.own", "e.late", "amq.topic"].iter().for_each(|exchange| peer.publish(exchange, "k", exchange));
    };
    peer.declare_exchange("e.late", "topic");
    publish(&mut peer);
    assert_eq!((peer.texts("lost").len(), peer.texts("own").len()), (0, 1));
    peer.send(method(1, EXCHANGE_DELETE).short(0).shortstr("e.late").bits(&[]));
    peer.expect(EXCHANGE_DELETE_OK);
    let policy = Policy::new("rest", "^(e|amq)\\.").apply_to(ApplyTo::Exchanges).define("alternate-exchange", "lost");
    broker.set_policy(policy).unwrap();
    peer.declare_exchange("e.late", "topic");
    publish(&mut peer);
    assert_eq!(peer.texts("lost"), ["e.early", "e.late", "amq.topic"]);
    assert_eq!(peer.texts("own"), ["e.own"]);
    broker.clear_policy("rest");
    publish(&mut peer);
    assert_eq!((peer.texts("lost").len(), peer.texts("own").len()), (0, 1));
}

#[test]
fn a_policy_is_for_what_it_says_and_for_types_that_have_all_its_keys() {
    let kinds = ["classic", "quorum"];
    let limited = |policy: Policy| policy.define("max-length", 1);
    each_row(
        [
            ("all", (limited(all("p")), [1, 1])),
            ("queues", (limited(all("p")).apply_to(ApplyTo::Queues), [1, 1])),
            ("classic queues", (limited(all("p")).apply_to(ApplyTo::ClassicQueues), [1, 2])),
            ("quorum queues", (limited(all("p")).apply_to(ApplyTo::QuorumQueues), [2, 1])),
            ("streams", (limited(all("p")).apply_to(ApplyTo::Streams), [2, 2])),
            ("exchanges", (limited(all("p")).apply_to(ApplyTo::Exchanges), [2, 2])),
            ("a key that classic queues do not have", (limited(all("p")).define("delivery-limit", 5), [2, 1])),
        ],
        |(policy, expected)| {
            let (broker, mut peer) = manual();
            broker.set_policy(policy).unwrap();
            for (kind, expected) in kinds.into_iter().zip(expected) {
                let arguments = [text_entry("x-queue-type", kind)];
                peer.send(method(1, QUEUE_DECLARE).short(0).shortstr(kind).bits(&[false, true]).table(&arguments));
                peer.expect(QUEUE_DECLARE_OK);
                publish_all(&mut peer, kind, &["one", "two"]);
                assert_eq!(broker.queue_depth(kind), expected, "{kind}");
            }
        },
    );
}

#[test]
fn a_policy_is_set_before_the_start_and_in_a_virtual_host() {
    let broker = Broker::builder()
        .manual_clock()
        .policy(all("short").define("max-length", 1))
        .policy(all("ttl").vhost("other").define("message-ttl", 1000))
        .queue("q")
        .queue(Queue::new("q").vhost("other"))
        .start()
        .unwrap();
    let mut peers = [Peer091::opened(&broker), Peer091::opened_in(&broker, "other")];
    peers.iter_mut().for_each(|peer| publish_all(peer, "q", &["one", "two"]));
    let other = broker.vhost("other");
    assert_eq!((broker.queue_depth("q"), other.queue_depth("q")), (1, 2));
    broker.advance(SECOND);
    assert_eq!((broker.queue_depth("q"), other.queue_depth("q")), (1, 0));
    assert_eq!((broker.policies().len(), other.policies().len()), (1, 1));
    other.set_policy(all("second").priority(-1).define("expires", 1)).unwrap();
    let shown: Vec<String> = other.policies().iter().map(ToString::to_string).collect();
    let expected = [
        "policy \"second\" for \".*\" (all), priority -1, expires = 1",
        "policy \"ttl\" for \".*\" (all), priority 0, message-ttl = 1000",
    ];
    assert_eq!(shown, expected);
}

/// A queue of 1.0 clients, which nobody has declared, has a name too.
#[test]
fn a_queue_that_is_not_declared_has_its_policy() {
    let (broker, _) = manual();
    broker.set_policy(Policy::new("short", "^queue\\.").define("max-length", 1)).unwrap();
    for text in ["one", "two"] {
        broker.inject("queue.orders", fakebroker::Message::text(text));
    }
    assert_eq!(broker.queue_depth("queue.orders"), 1);
}

#[test]
fn what_cannot_be_a_policy_is_refused() {
    let (broker, mut peer) = manual();
    broker.set_policy(all("p").define("max-length", 1)).unwrap();
    let limited = |pattern: &str| Policy::new("p", pattern).define("max-length", 5);
    each_row(
        [
            ("nothing", (all("p"), "invalid policy 'p': no policy provided")),
            ("twice", (all("p").define("expires", 1).define("expires", 2), "duplicate keys not allowed")),
            ("unknown", (all("p").define("ha-mode", "all"), "ha-mode is not a policy setting that has an effect here")),
            ("negative", (all("p").define("message-ttl", -1), "-1 is not a valid message TTL")),
            ("zero", (all("p").define("expires", 0), "0 is not a valid queue expiry")),
            ("text", (all("p").define("max-length", "5"), "\"5\" is not a valid maximum length")),
            ("a fraction", (all("p").define("max-length-bytes", 1.5), "is not a valid maximum length in bytes")),
            ("a number", (all("p").define("dead-letter-exchange", 5), "is not a valid dead letter exchange name")),
            ("no key", (all("p").define("dead-letter-routing-key", true), "is not a valid dead letter routing key")),
            ("no name", (all("p").define("alternate-exchange", 1), "is not a valid alternate exchange name")),
            ("no behaviour", (all("p").define("overflow", "spill"), "\"spill\" is not a valid overflow value")),
            ("no limit", (all("p").define("delivery-limit", -1), "-1 is not a valid delivery limit")),
            ("a bracket", (limited("("), "pattern '(': there is a ( without its )")),
            ("a reference", (limited("(a)\\1"), "\\1 is not understood")),
        ],
        |(policy, expected)| {
            let error = broker.set_policy(policy).unwrap_err();
            assert_eq!((error.code, error.condition), (406, "PRECONDITION_FAILED"));
            assert!(error.description.contains(expected), "{error}");
        },
    );
    // That of the same name still applies.
    peer.declare("q");
    publish_all(&mut peer, "q", &["one", "two"]);
    assert_eq!(broker.queue_depth("q"), 1);
    let refused = Broker::builder().policy(all("p")).start().err().unwrap().to_string();
    assert!(refused.contains("no policy provided"), "{refused}");
}

#[test]
fn a_restart_that_drops_queues_leaves_the_policies_of_the_start() {
    let broker = Broker::builder().policy(all("start").define("max-length", 1)).start().unwrap();
    broker.set_policy(all("live").define("max-length", 2)).unwrap();
    let names = |broker: &Broker| broker.policies().into_iter().map(|policy| policy.name).collect::<Vec<_>>();
    broker.restart(fakebroker::Ending::Clean, fakebroker::Queues::Keep).unwrap();
    assert_eq!(names(&broker), ["live", "start"]);
    broker.restart(fakebroker::Ending::Clean, fakebroker::Queues::Drop).unwrap();
    assert_eq!(names(&broker), ["start"]);
}
