//! Dialogues about limits: credit, windows, room, storage; and about draining.

use super::Dialogue;
use crate::event::*;

const KINDS: [&str; 4] = ["here", "unicast.here", "broadcast.here", "queue.here"];

#[test]
fn nobody_gets_more_than_its_credit() {
    for address in KINDS {
        let mut talk = Dialogue::new();
        talk.sender_at("a", address);
        talk.receiver_at("b", address);
        talk.credit("b", 2);
        talk.send("a", &["1", "2", "3", "4", "5"]);
        talk.credit("b", 1);
        talk.so_far();
        // Credit that is withdrawn before it was used.
        talk.credit("b", 1);
        talk.credit("b", -1);
        talk.expect(&["b gets 4"]);
        talk.credit("b", 1);
        talk.expect(&[]);
        talk.credit("b", 1);
        talk.expect(&["b gets 5"]);
        talk.end();
    }
}

#[test]
fn consumers_of_a_channel_share_its_window() {
    for address in KINDS {
        let mut talk = Dialogue::new();
        let on_channel = |request: &mut ConsumerRequest| request.channel = Some(1);
        talk.sender_at("a", address);
        talk.receiver("x.b", Node::Address(address.into()), on_channel);
        // 2 units of 4 octets each.
        talk.does("x.b", |_| Event::ChannelOpened { channel: 1, window: 2, unit: 4 });
        talk.credit("x.b", 9);
        talk.so_far();
        // A message may begin while a unit is left.
        talk.send("a", &["1", "2 is long", "3", "4"]);
        talk.expect(&["x.b gets 1, 2 is long", "a is told accept of 0-3"]);
        // The messages took 4 units, 2 more than there were.
        talk.does("x.b", |_| Event::Window { channel: 1, more: 2 });
        talk.expect(&[]);
        talk.does("x.b", |_| Event::Window { channel: 1, more: 1 });
        talk.expect(&["x.b gets 3"]);
        talk.end();
    }
}

#[test]
fn who_was_served_last_waits_longest_for_a_window() {
    let mut talk = Dialogue::new();
    let on_channel = |request: &mut ConsumerRequest| request.channel = Some(1);
    talk.does("x.b", |_| Event::ChannelOpened { channel: 1, window: 0, unit: 100 });
    for (name, sender, address) in [("x.b", "a1", "queue.b"), ("x.c", "a2", "queue.c")] {
        talk.sender_at(sender, address);
        talk.receiver(name, Node::Address(address.into()), on_channel);
        talk.credit(name, 9);
        talk.send(sender, &["1", "2", "3"]);
    }
    talk.so_far();
    for rounds in ["1", "2", "3"] {
        talk.does("x.b", |_| Event::Window { channel: 1, more: 1 });
        talk.does("x.b", |_| Event::Window { channel: 1, more: 1 });
        talk.expect(&[&format!("x.b gets {rounds}"), &format!("x.c gets {rounds}")]);
    }
    talk.end();
}

#[test]
fn an_outbox_that_is_full_holds_messages_back() {
    for address in KINDS {
        let mut talk = Dialogue::new();
        talk.sender_at("a", address);
        talk.receiver_at("b", address);
        talk.credit("b", 9);
        talk.room("b", 1);
        talk.so_far();
        talk.send("a", &["1", "2"]);
        talk.expect(&["b gets 1", "a is told accept of 0-1"]);
        talk.room("b", 0);
        talk.expect(&[]);
        talk.room("b", 1000);
        talk.expect(&["b gets 2"]);
        talk.end();
    }
}

#[test]
fn who_drains_is_told_when_that_was_all() {
    for address in KINDS {
        let mut talk = Dialogue::new();
        talk.sender_at("a", address);
        talk.receiver_at("b", address);
        talk.so_far();
        talk.drain("b", 5);
        talk.expect(&["b has all but 0"]);
        talk.send("a", &["1", "2"]);
        talk.so_far();
        talk.drain("b", 5);
        talk.expect(&["b gets 1, 2", "b has all but 0"]);
        // The drain has used up its credit.
        talk.send("a", &["3"]);
        talk.expect(&["a is told accept of 2"]);
        talk.end();
    }
}

#[test]
fn what_the_outbox_keeps_back_is_part_of_a_drain() {
    let mut talk = Dialogue::new();
    talk.sender_at("a", "queue.q");
    talk.send("a", &["1", "2"]);
    talk.receiver_at("b", "queue.q");
    talk.room("b", 1);
    talk.so_far();
    talk.drain("b", 5);
    talk.expect(&["b gets 1"]);
    talk.room("b", 1000);
    talk.expect(&["b gets 2", "b has all but 0"]);
    talk.end();
}

#[test]
fn without_room_senders_are_told_and_starve_until_half_is_free() {
    let mut talk = Dialogue::with(|config| config.storage_limit = 450);
    talk.sender("a", Node::Anonymous);
    talk.sender_at("d", "queue.q");
    talk.does("d", |link| Event::Declare(Box::new(super::declaration(link, "queue.q"))));
    talk.so_far();
    // Each message costs 101.
    let to = || Destination::Queue("queue.q".into());
    talk.send_to("a", to(), &["1", "2", "3", "4", "5"], false);
    talk.expect(&["a is told accept of 0-3", "a is told reject of 4", "a may send 0"]);
    talk.receiver_at("b", "queue.q");
    talk.credit("b", 9);
    talk.so_far();
    talk.answer("b", "1", Outcome::Accepted);
    talk.expect(&[]);
    talk.answer("b", "2", Outcome::Accepted);
    talk.expect(&["a may send 100"]);
    talk.end();
}

#[test]
fn a_sender_that_is_too_fast_is_held_until_half_has_gone() {
    for address in &KINDS[..3] {
        let mut talk = Dialogue::with(|config| config.backlog_limit = 2);
        talk.sender_at("a", address);
        talk.receiver_at("b", address);
        talk.so_far();
        talk.send("a", &["1", "2", "3"]);
        // A producer that attaches now is held too.
        talk.sender_at("c", address);
        talk.expect(&["a is told accept of 0-2", "c is attached"]);
        talk.credit("b", 1);
        talk.expect(&["b gets 1"]);
        talk.credit("b", 1);
        talk.expect(&["a may send 100", "b gets 2", "c may send 100"]);
        talk.end();
    }
}
