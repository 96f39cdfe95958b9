//! Dialogues about each kind of node: which consumer gets a message, when, and which outcome its sender is sent.

use super::Dialogue;
use crate::config::{Settlement, Unroutable};
use crate::event::*;

fn modified(undeliverable_here: bool) -> Outcome {
    Outcome::Modified(Modified { delivery_failed: true, undeliverable_here, annotations: None })
}

#[test]
fn a_direct_node_serves_who_came_first() {
    let mut talk = Dialogue::new();
    talk.sender_at("a", "here");
    talk.send("a", &["nobody"]);
    talk.receiver_at("b", "here");
    talk.receiver_at("c", "here");
    talk.credit("c", 5);
    talk.expect(&["a is attached", "a may send 100", "a is told reject of 0", "b is attached", "c is attached"]);
    // The second consumer gets nothing, whatever its credit.
    talk.send("a", &["one", "two", "three"]);
    talk.expect(&["a is told accept of 1-3"]);
    talk.credit("b", 2);
    talk.expect(&["b gets one, two"]);
    // Messages that wait for the first consumer go to the second when the first is detached. Deliveries of the first are lost.
    talk.detach(&["b"]);
    talk.expect(&["c gets three"]);
    talk.send("a", &["four"]);
    talk.expect(&["c gets four", "a is told accept of 4"]);
    talk.end();
}

#[test]
fn what_waits_at_a_direct_node_is_lost_with_the_last_receiver() {
    let mut talk = Dialogue::new();
    talk.sender_at("a", "here");
    talk.receiver_at("b", "here");
    talk.send("a", &["one"]);
    assert_eq!((talk.router.depth("here"), talk.router.counts().dropped), (1, 0));
    talk.detach(&["b"]);
    assert_eq!((talk.router.depth("here"), talk.router.counts().dropped), (0, 1));
    talk.end();
}

#[test]
fn what_nobody_receives_is_told_as_is_configured() {
    let rows = [
        (Unroutable::Rejected, vec!["a is told reject of 0"]),
        (Unroutable::Released, vec!["a is told release of 0"]),
        (Unroutable::Modified, vec!["a is told modify of 0"]),
        (Unroutable::Silent, vec![]),
    ];
    for (unroutable, words) in rows {
        let mut talk = Dialogue::with(|config| config.unroutable = unroutable);
        talk.sender_at("a", "here");
        talk.so_far();
        talk.send("a", &["one"]);
        talk.expect(&words);
        talk.end();
    }
}

#[test]
fn an_anycast_node_serves_in_turn() {
    let mut talk = Dialogue::new();
    talk.sender_at("a", "unicast.here");
    talk.receiver_at("b", "unicast.here");
    talk.receiver_at("c", "unicast.here");
    talk.credit("b", 2);
    talk.credit("c", 2);
    talk.so_far();
    talk.send("a", &["one", "two", "three", "four", "five"]);
    talk.expect(&["b gets one, three", "c gets two, four", "a is told accept of 0-4"]);
    // The consumer that has credit first gets the waiting message.
    talk.credit("c", 1);
    talk.expect(&["c gets five"]);
    talk.end();
}

#[test]
fn an_anycast_message_that_is_too_large_for_one_goes_to_another() {
    let mut talk = Dialogue::new();
    talk.sender_at("a", "unicast.here");
    talk.receiver("small", Node::Address("unicast.here".into()), |request| request.max_message_size = 4);
    talk.receiver_at("large", "unicast.here");
    talk.credit("small", 1);
    talk.so_far();
    talk.send("a", &["enormous", "tiny"]);
    talk.credit("large", 1);
    talk.expect(&["small gets tiny", "a is told accept of 0-1", "large gets enormous"]);
    // No remaining consumer takes this message.
    talk.detach(&["large"]);
    talk.send("a", &["enormous"]);
    talk.expect(&["a is told reject of 2"]);
    talk.end();
}

#[test]
fn a_multicast_node_copies_to_all() {
    let mut talk = Dialogue::new();
    talk.sender_at("a", "broadcast.here");
    talk.receiver_at("b", "broadcast.here");
    talk.receiver_at("c", "broadcast.here");
    talk.credit("b", 1);
    talk.credit("c", 5);
    talk.so_far();
    talk.send("a", &["one", "two"]);
    // A copy waits for each consumer that cannot take it, and for no other.
    talk.expect(&["b gets one", "c gets one, two", "a is told accept of 0-1"]);
    talk.credit("b", 1);
    talk.expect(&["b gets two"]);
    // A waiting copy is dropped with its consumer.
    talk.send("a", &["three"]);
    assert_eq!(talk.router.audit().waiting, 1);
    talk.detach(&["b"]);
    assert_eq!(talk.router.audit().waiting, 0);
    talk.end();
}

#[test]
fn a_queue_stores_and_serves_in_order() {
    let mut talk = Dialogue::new();
    talk.sender_at("a", "queue.q");
    talk.so_far();
    talk.send("a", &["one", "two", "three"]);
    talk.expect(&["a is told accept of 0-2"]);
    talk.receiver_at("b", "queue.q");
    talk.credit("b", 2);
    talk.expect(&["b is attached", "b gets one, two"]);
    talk.answer("b", "one", Outcome::Accepted);
    // A released message returns to its place, before messages that were never out.
    talk.answer("b", "two", Outcome::Released);
    talk.credit("b", 2);
    talk.expect(&["b gets two, three"]);
    talk.answer("b", "three", Outcome::Rejected(None));
    talk.answer("b", "two", Outcome::Accepted);
    assert_eq!(talk.budget.used(), 0);
    talk.end();
}

#[test]
fn a_queue_takes_back_what_a_receiver_leaves() {
    let mut talk = Dialogue::new();
    talk.sender_at("a", "queue.q");
    talk.receiver_at("x.b", "queue.q");
    talk.receiver_at("x.c", "queue.q");
    talk.credit("x.b", 1);
    talk.credit("x.c", 1);
    talk.send("a", &["one", "two", "three"]);
    talk.receiver_at("d", "queue.q");
    talk.credit("d", 5);
    talk.so_far();
    // Both are detached together: neither is given what the other had.
    talk.disconnect("x");
    talk.expect(&["d gets one, two"]);
    talk.end();
}

#[test]
fn what_is_undeliverable_here_goes_to_another() {
    let mut talk = Dialogue::new();
    talk.sender_at("a", "queue.q");
    talk.receiver_at("b", "queue.q");
    talk.credit("b", 5);
    talk.send("a", &["one"]);
    talk.so_far();
    talk.answer("b", "one", modified(false));
    talk.expect(&["b gets one"]);
    talk.answer("b", "one", modified(true));
    talk.send("a", &["two"]);
    talk.expect(&["b gets two", "a is told accept of 1"]);
    assert_eq!(talk.router.depth("queue.q"), 1);
    talk.receiver_at("c", "queue.q");
    talk.credit("c", 5);
    talk.expect(&["c is attached", "c gets one"]);
    talk.end();
}

#[test]
fn settled_deliveries_of_a_queue_take_no_room() {
    let mut talk = Dialogue::new();
    talk.sender_at("a", "queue.q");
    talk.receiver("b", Node::Address("queue.q".into()), |request| request.manner = Manner::Settled);
    talk.credit("b", 2);
    talk.so_far();
    talk.send("a", &["one", "two", "three"]);
    talk.expect(&["b gets one (settled), two (settled)", "a is told accept of 0-2"]);
    assert_eq!((talk.router.audit().outstanding, talk.router.audit().waiting), (0, 1));
    talk.end();
}

#[test]
fn who_browses_takes_nothing() {
    let mut talk = Dialogue::new();
    talk.sender_at("a", "queue.q");
    talk.send("a", &["one", "two"]);
    talk.receiver("b", Node::Address("queue.q".into()), |request| request.browse = true);
    talk.so_far();
    talk.credit("b", 5);
    talk.expect(&["b gets one, two"]);
    talk.answer("b", "one", Outcome::Accepted);
    assert_eq!(talk.router.depth("queue.q"), 2);
    talk.send("a", &["three"]);
    talk.expect(&["b gets three", "a is told accept of 2"]);
    talk.end();
}

#[test]
fn who_browses_is_not_shown_what_is_too_large_for_it() {
    let mut talk = Dialogue::new();
    talk.sender_at("a", "queue.q");
    talk.send("a", &["enormous", "tiny"]);
    talk.receiver("b", Node::Address("queue.q".into()), |request| {
        (request.browse, request.max_message_size) = (true, 4);
    });
    talk.so_far();
    talk.drain("b", 5);
    talk.expect(&["b gets tiny", "b has all but 2"]);
    talk.end();
}

#[test]
fn who_excludes_others_is_alone() {
    let mut talk = Dialogue::new();
    let exclusive = |request: &mut ConsumerRequest| request.exclusive = true;
    talk.receiver("b", Node::Address("queue.q".into()), exclusive);
    talk.receiver_at("c", "queue.q");
    talk.expect(&["b is attached", "c is refused: NotAllowed"]);
    talk.detach(&["b"]);
    talk.receiver_at("d", "queue.q");
    talk.receiver("e", Node::Address("queue.q".into()), exclusive);
    talk.expect(&["d is attached", "e is refused: NotAllowed"]);
    talk.end();
}

#[test]
fn who_looks_in_is_no_consumer() {
    let mut talk = Dialogue::new();
    talk.sender_at("a", "queue.q");
    talk.send("a", &["one", "two"]);
    talk.receiver("b", Node::Address("queue.q".into()), |request| request.passing = true);
    assert_eq!(talk.router.receivers_at("queue.q"), 0);
    talk.so_far();
    // Single requests are answered even without room in the outbox.
    talk.room("b", 0);
    talk.drain("b", 1);
    talk.expect(&["b gets one", "b has all but 1"]);
    talk.drain("b", 1);
    talk.drain("b", 1);
    talk.expect(&["b gets two", "b has all but 0", "b has all but 0"]);
    talk.end();
}

#[test]
fn who_retires_keeps_what_it_has() {
    let mut talk = Dialogue::new();
    talk.sender_at("a", "queue.q");
    talk.receiver_at("b", "queue.q");
    talk.credit("b", 5);
    talk.send("a", &["one"]);
    talk.does("b", |link| Event::Retire { link });
    talk.so_far();
    talk.send("a", &["two"]);
    talk.expect(&["a is told accept of 1"]);
    assert_eq!(talk.router.audit().outstanding, 1);
    talk.answer("b", "one", Outcome::Released);
    assert_eq!(talk.router.depth("queue.q"), 2);
    talk.end();
}

#[test]
fn with_end_to_end_settlement_the_receiver_says() {
    let mut talk = Dialogue::with(|config| config.settlement = Settlement::EndToEnd);
    talk.sender_at("a", "here");
    talk.receiver_at("b", "here");
    talk.credit("b", 2);
    talk.so_far();
    talk.send("a", &["one", "two", "three"]);
    talk.expect(&["b gets one, two"]);
    talk.answer("b", "two", Outcome::Rejected(None));
    talk.expect(&["a is told reject of 1"]);
    // Unanswered deliveries get the default outcome; waiting messages are released.
    talk.detach(&["b"]);
    talk.expect(&["a is told release of 0", "a is told release of 2"]);
    assert_eq!(talk.router.audit().origins, 0);
    talk.end();
}

#[test]
fn of_several_answers_the_best_is_told() {
    let mut talk = Dialogue::with(|config| config.settlement = Settlement::EndToEnd);
    talk.sender_at("a", "broadcast.here");
    for name in ["b", "c", "d"] {
        talk.receiver_at(name, "broadcast.here");
        talk.credit(name, 5);
    }
    talk.so_far();
    talk.send("a", &["one", "two"]);
    talk.expect(&["b gets one, two", "c gets one, two", "d gets one, two"]);
    talk.answer("b", "one", Outcome::Released);
    talk.answer("c", "one", Outcome::Accepted);
    talk.answer("b", "two", Outcome::Released);
    talk.answer("c", "two", Outcome::Rejected(None));
    talk.expect(&[]);
    // The sender is sent the outcome after the last answer.
    talk.answer("d", "one", Outcome::Rejected(None));
    talk.expect(&["a is told accept of 0"]);
    talk.detach(&["d"]);
    talk.expect(&["a is told reject of 1"]);
    talk.end();
}

#[test]
fn with_end_to_end_settlement_a_queue_accepts_what_it_stores() {
    let mut talk = Dialogue::with(|config| config.settlement = Settlement::EndToEnd);
    talk.sender_at("a", "queue.q");
    talk.so_far();
    talk.send("a", &["one"]);
    talk.expect(&["a is told accept of 0"]);
    talk.end();
}
