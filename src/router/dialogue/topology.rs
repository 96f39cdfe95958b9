//! Dialogues about nodes that are made and deleted: dynamic ones, declared queues, and exchanges.

use std::sync::Arc;

use super::{Dialogue, declaration};
use crate::arguments::Arguments;
use crate::event::*;

fn declare(talk: &mut Dialogue, link: &str, change: impl FnOnce(&mut Declaration)) {
    talk.does(link, |link| {
        let mut declaration = declaration(link, "q");
        change(&mut declaration);
        Event::Declare(Box::new(declaration))
    });
}

fn delete(talk: &mut Dialogue, link: &str, if_unused: bool, if_empty: bool) {
    talk.does(link, |link| Event::Delete { link, address: "q".into(), if_unused, if_empty });
}

fn change(talk: &mut Dialogue, link: &str, change: TopologyChange) {
    talk.does(link, |link| Event::Topology(Box::new(TopologyRequest { link, change })));
}

fn binding(source: &str, queue: &str, key: &str) -> BindingRequest {
    let target = BindingTarget::Queue(queue.into());
    BindingRequest { source: source.into(), target, key: key.into(), arguments: Arguments::default() }
}

fn by_exchange(exchange: &str, key: &str) -> Destination {
    let (middle, end) = (exchange.len(), exchange.len() + key.len());
    let [middle, end] = [middle, end].map(|at| u16::try_from(at).unwrap());
    let bytes = format!("{exchange}{key}").into();
    Destination::Exchange(ExchangeAddress::new(bytes, 0..middle, middle..end).unwrap())
}

#[test]
fn a_dynamic_node_goes_with_its_link() {
    let mut talk = Dialogue::new();
    talk.receiver("x.replies", Node::Dynamic(NodeKind::Unspecified), |_| {});
    let address: Arc<str> = talk.router.addresses()[0].address.as_str().into();
    talk.sender_at("a", &address);
    talk.receiver_at("other", &address);
    talk.receiver_at("x.more", &address);
    talk.expect(&[
        "x.replies is attached",
        "a is attached",
        "a may send 100",
        // Any connection may send there; only the creating one may receive.
        "other is refused: ResourceLocked",
        "x.more is attached",
    ]);
    talk.send("a", &["one"]);
    talk.so_far();
    talk.detach(&["x.replies"]);
    talk.expect(&["a is detached: ResourceDeleted"]);
    // A sender that still knows the address does not make the node again.
    talk.sender_at("late", &address);
    talk.expect(&["late is refused: NotFound"]);
    talk.end();
}

#[test]
fn what_waits_in_a_dynamic_queue_goes_with_it() {
    let mut talk = Dialogue::new();
    talk.sender("x.out", Node::Dynamic(NodeKind::Queue));
    talk.send("x.out", &["one", "two"]);
    assert_eq!(talk.router.audit().waiting, 2);
    talk.disconnect("x");
    assert_eq!((talk.router.audit().waiting, talk.router.counts().dropped), (0, 2));
    talk.end();
}

#[test]
fn a_declared_queue_stays() {
    let mut talk = Dialogue::new();
    declare(&mut talk, "d", |_| {});
    talk.expect(&["d has q with 0 messages and 0 consumers"]);
    talk.sender_at("a", "q");
    talk.send("a", &["one"]);
    talk.receiver_at("b", "q");
    talk.so_far();
    declare(&mut talk, "d", |_| {});
    declare(&mut talk, "d", |declaration| declaration.durable = true);
    declare(&mut talk, "d", |declaration| declaration.lifetime.exclusive = true);
    declare(&mut talk, "e", |declaration| (declaration.passive, declaration.address) = (true, Some("r".into())));
    talk.expect(&[
        "d has q with 1 messages and 1 consumers",
        "d is refused: PreconditionFailed",
        "d is refused: ResourceLocked",
        "e is refused: NotFound",
    ]);
    talk.end();
}

#[test]
fn a_queue_goes_with_the_last_consumer_if_that_is_its_life() {
    let mut talk = Dialogue::new();
    declare(&mut talk, "d", |declaration| declaration.lifetime.while_consumed = true);
    talk.receiver("b", Node::Queue("q".into()), |_| {});
    talk.receiver("c", Node::Queue("q".into()), |_| {});
    talk.sender_at("a", "q");
    talk.send("a", &["one"]);
    talk.so_far();
    talk.detach(&["b"]);
    talk.expect(&[]);
    talk.detach(&["c"]);
    talk.expect(&["a is detached: ResourceDeleted"]);
    assert_eq!(talk.router.audit().waiting, 0);
    talk.end();
}

#[test]
fn an_exclusive_queue_is_its_connections_alone_and_goes_with_it() {
    let mut talk = Dialogue::new();
    declare(&mut talk, "x.d", |declaration| declaration.lifetime.exclusive = true);
    talk.receiver("b", Node::Queue("q".into()), |_| {});
    talk.does("b", |link| Event::Purge { link, address: "q".into() });
    delete(&mut talk, "b", false, false);
    talk.expect(&[
        "x.d has q with 0 messages and 0 consumers",
        "b is refused: ResourceLocked",
        "b is refused: ResourceLocked",
        "b is refused: ResourceLocked",
    ]);
    talk.sender_at("a", "q");
    talk.send("a", &["one"]);
    talk.so_far();
    talk.disconnect("x");
    talk.expect(&["a is detached: ResourceDeleted"]);
    talk.end();
}

#[test]
fn a_queue_is_purged_and_deleted() {
    let mut talk = Dialogue::new();
    declare(&mut talk, "d", |_| {});
    talk.sender_at("a", "q");
    talk.receiver_at("b", "q");
    talk.credit("b", 1);
    talk.send("a", &["one", "two", "three"]);
    talk.so_far();
    // Unanswered deliveries are not in the queue.
    talk.does("d", |link| Event::Purge { link, address: "q".into() });
    talk.expect(&["d has purged 2"]);
    talk.send("a", &["four"]);
    talk.so_far();
    delete(&mut talk, "d", true, false);
    delete(&mut talk, "d", false, true);
    talk.expect(&["d is refused: PreconditionFailed", "d is refused: PreconditionFailed"]);
    delete(&mut talk, "d", false, false);
    talk.expect(&["d has deleted 1", "b is detached: ResourceDeleted", "a is detached: ResourceDeleted"]);
    // Its consumer is still attached. What it releases now is dropped.
    talk.answer("b", "one", Outcome::Released);
    talk.expect(&[]);
    assert_eq!(talk.router.audit().bytes, 0);
    // Messages that its producer had under way are not stored either.
    talk.send("a", &["five"]);
    talk.expect(&["a is told reject of 4"]);
    talk.end();
}

#[test]
fn an_exchange_copies_to_the_queues_that_its_bindings_find() {
    let mut talk = Dialogue::new();
    for queue in ["q", "r"] {
        declare(&mut talk, "d", |declaration| declaration.address = Some(queue.into()));
    }
    talk.sender("a", Node::Anonymous);
    change(&mut talk, "d", TopologyChange::Bind(binding("amq.topic", "q", "coffee.*")));
    change(&mut talk, "d", TopologyChange::Bind(binding("amq.topic", "r", "#")));
    change(&mut talk, "d", TopologyChange::Bind(binding("amq.topic", "r", "coffee.black")));
    change(&mut talk, "d", TopologyChange::Bind(binding("amq.none", "r", "#")));
    talk.so_far();
    talk.send_to("a", by_exchange("amq.topic", "coffee.black"), &["one"], false);
    talk.send_to("a", by_exchange("amq.topic", "tea"), &["two"], false);
    talk.expect(&["a is told accept of 0-1"]);
    // Two bindings to one queue make one copy.
    assert_eq!((talk.router.depth("q"), talk.router.depth("r")), (1, 2));
    change(&mut talk, "d", TopologyChange::Unbind(binding("amq.topic", "r", "#")));
    talk.expect(&["d has changed it"]);
    talk.send_to("a", by_exchange("amq.topic", "tea"), &["three"], false);
    assert_eq!((talk.router.depth("q"), talk.router.depth("r")), (1, 2));
    talk.end();
}

#[test]
fn what_an_anonymous_producer_cannot_send_anywhere_it_is_told() {
    let mut talk = Dialogue::new();
    talk.sender("a", Node::Anonymous);
    talk.so_far();
    let nowhere = || Destination::Named("here".into());
    talk.send_to("a", nowhere(), &["one"], false);
    talk.send_to("a", nowhere(), &["two"], true);
    talk.send_to("a", Destination::Missing, &["three"], false);
    talk.expect(&["a is told reject of 0", "a sent to nowhere: NotFound", "a is told reject of 2"]);
    talk.send_to("a", Destination::Named("queue.q".into()), &["four"], false);
    talk.expect(&["a is told accept of 3"]);
    talk.end();
}
