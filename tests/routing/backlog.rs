//! Slow receivers: what waits for them is bounded by withheld credit, and nothing that was accepted is lost.

use fakebroker::{Broker, Builder};

use crate::support::*;

/// A sender that keeps to its credit (2.6.7), on link 0 of its own connection.
struct Producer {
    peer: Peer,
    sent: u32,
    /// delivery-count plus link-credit of the broker's last flow.
    limit: u32,
    outcomes: u64,
    payload_size: usize,
}

impl Producer {
    #[track_caller]
    fn new(broker: &Broker, address: &str, payload_size: usize) -> Producer {
        let mut peer = Peer::opened(broker);
        peer.attach(attach_sender("s", 0, address));
        let mut producer = Producer { peer, sent: 0, limit: 0, outcomes: 0, payload_size };
        producer.listen();
        producer
    }

    /// Takes in what the broker has said by now.
    #[track_caller]
    fn listen(&mut self) {
        for frame in self.peer.round_trip() {
            match frame.code() {
                FLOW if frame.get("handle") != Value::Null => {
                    self.limit = frame.number("delivery-count") as u32 + frame.number("link-credit") as u32;
                }
                FLOW => {}
                DISPOSITION if frame.state() == ACCEPTED => self.outcomes += covered(&frame).len() as u64,
                _ => self.peer.fail(&format!("only flows and accepted were expected; came {frame:?}")),
            }
        }
    }

    /// Sends while it has credit, at most `most`; how many that were.
    #[track_caller]
    fn send_while_allowed(&mut self, most: u32) -> u32 {
        let before = self.sent;
        while self.limit > self.sent && self.sent - before < most {
            let batch = (self.limit - self.sent).min(most - (self.sent - before)).min(100);
            let texts: Vec<String> = (self.sent..self.sent + batch).map(|number| self.text(number)).collect();
            self.peer.send_texts(0, &texts.iter().map(String::as_str).collect::<Vec<_>>());
            self.sent += batch;
            self.listen();
        }
        assert_eq!(self.outcomes, self.sent.into(), "each has been accepted");
        self.sent - before
    }

    /// Waits for credit.
    #[track_caller]
    fn expect_credit(&mut self) {
        self.limit = self.sent + self.peer.expect_credit();
    }

    fn text(&self, number: u32) -> String {
        format!("{number:0width$}", width = self.payload_size)
    }
}

/// The numbers that the texts are.
#[track_caller]
fn numbers(texts: impl IntoIterator<Item = String>) -> Vec<u32> {
    texts.into_iter().map(|text| text.parse().unwrap()).collect()
}

const LIMIT: u32 = 10;
const WINDOW: u32 = 4;

fn tight() -> Builder {
    Broker::builder().backlog_limit(LIMIT as usize).credit_window(WINDOW)
}

#[test]
fn credit_is_withheld_beyond_the_limit_and_given_again() {
    for address in ["plain", "unicast.a", "broadcast.a"] {
        let broker = tight().start().unwrap();
        let mut receiver = Peer::ready_receiver(&broker, address, 0);
        let mut producer = Producer::new(&broker, address, 1);
        // As much as may wait, and what credit was out when that was reached.
        let waiting = producer.send_while_allowed(1000);
        assert!((LIMIT..=LIMIT + WINDOW).contains(&waiting), "{address}: {waiting} wait");
        producer.listen();
        assert_eq!(producer.limit, producer.sent, "{address}: no credit is left, and none comes");
        // One comes that is held back from the start.
        let mut held = Peer::opened(&broker);
        held.attach(attach_sender("held", 0, address));
        let flows = held.round_trip().into_iter().filter(|frame| frame.code() == FLOW);
        assert!(flows.into_iter().all(|flow| flow.number("link-credit") == 0), "{address}: credit for one more");
        // All of it arrives, in order, and then there is credit again, for both.
        receiver.grant(0, 0, 1000);
        let texts = receiver.receive_texts(waiting as usize);
        assert_eq!(numbers(texts), (0..waiting).collect::<Vec<_>>(), "{address}");
        held.expect_credit();
        producer.listen();
        assert_eq!(producer.send_while_allowed(20), 20, "{address}: it goes on");
        let texts = receiver.receive_texts(20);
        assert_eq!(numbers(texts), (waiting..waiting + 20).collect::<Vec<_>>(), "{address}");
        receiver.expect_nothing();
        assert_eq!(broker.counts().dropped, 0);
    }
}

#[test]
fn one_slow_receiver_of_a_multicast_is_enough() {
    let broker = tight().start().unwrap();
    let slow = Peer::ready_receiver(&broker, "broadcast.a", 0);
    let mut fast = Peer::ready_receiver(&broker, "broadcast.a", 1000);
    let mut producer = Producer::new(&broker, "broadcast.a", 1);
    let waiting = producer.send_while_allowed(1000);
    assert!((LIMIT..=LIMIT + WINDOW).contains(&waiting), "{waiting} wait");
    assert_eq!(fast.receive_texts(waiting as usize).len(), waiting as usize);
    // The slow one leaves: nobody holds the producer back any more.
    slow.close();
    producer.expect_credit();
    assert_eq!(producer.send_while_allowed(50), 50);
    assert_eq!(fast.receive_texts(50).len(), 50);
}

#[test]
fn a_backlog_elsewhere_holds_nobody_back() {
    let broker = tight().start().unwrap();
    let mut slow = Peer::opened(&broker);
    slow.attach_receiver("slow", 0, "slow", 0);
    slow.attach_receiver("fast", 1, "fast", 1000);
    slow.expect_nothing();
    let waiting = Producer::new(&broker, "slow", 1).send_while_allowed(1000);
    assert!((LIMIT..=LIMIT + WINDOW).contains(&waiting));
    assert_eq!(Producer::new(&broker, "fast", 1).send_while_allowed(100), 100);
    assert_eq!(slow.receive_texts(100).len(), 100);
}

#[test]
fn a_queue_stores_beyond_the_limit() {
    let broker = tight().start().unwrap();
    let mut producer = Producer::new(&broker, "queue.a", 1);
    assert_eq!(producer.send_while_allowed(500), 500);
    let mut receiver = Peer::receiver(&broker, "queue.a", 1000);
    let texts = receiver.receive_texts(500);
    assert_eq!(numbers(texts), (0..500).collect::<Vec<_>>());
}

#[test]
fn a_receiver_that_stops_reading_its_socket_loses_nothing() {
    // 10 KiB each: what two sockets and the broker hold is some thousand messages.
    const MOST: u32 = 5000;
    let broker = Broker::builder().backlog_limit(100).start().unwrap();
    let mut receiver = Peer::ready_receiver(&broker, "plain", 1_000_000);
    let mut producer = Producer::new(&broker, "plain", 10 * 1024);
    let sent = producer.send_while_allowed(MOST);
    assert!(sent < MOST, "it was never held back");
    // It reads again, and so there is credit again.
    let texts = receiver.receive_texts(sent as usize);
    assert_eq!(numbers(texts), (0..sent).collect::<Vec<_>>());
    producer.expect_credit();
    assert_eq!(producer.send_while_allowed(1), 1);
    let texts = receiver.receive_texts(1);
    assert_eq!(numbers(texts), [sent]);
    assert_eq!((broker.counts().direct, broker.counts().dropped), (u64::from(sent) + 1, 0));
}

#[test]
fn credit_can_be_withheld_altogether() {
    let broker = Broker::builder().credit_window(0).start().unwrap();
    let mut peer = Peer::opened(&broker);
    peer.attach(attach_sender("s", 0, "queue.a"));
    let heard = peer.round_trip();
    assert!(heard.iter().all(|frame| frame.code() == FLOW && frame.number("link-credit") == 0), "{heard:?}");
}

#[test]
fn credit_is_topped_up_to_the_window() {
    for window in [1, 2, 10, 1000] {
        let broker = Broker::builder().credit_window(window).start().unwrap();
        let mut peer = Peer::opened(&broker);
        peer.attach(attach_sender("s", 0, "queue.a"));
        assert_eq!(peer.expect_credit(), window);
        let mut producer = Producer::new(&broker, "queue.b", 1);
        assert_eq!(producer.limit, window);
        producer.send_while_allowed(50);
        assert!(producer.limit > producer.sent && producer.limit <= producer.sent + window, "window {window}");
    }
}

#[test]
fn what_is_beyond_the_storage_limit_is_rejected_and_the_rest_is_kept() {
    const KIB: usize = 1024;
    let broker = Broker::builder().storage_limit(64 * KIB).start().unwrap();
    let mut sender = Peer::sender(&broker, "queue.a");
    let mut accepted_texts = Vec::new();
    let mut rejected = 0;
    for number in 0..100 {
        let text = format!("{number:0KIB$}");
        let id = sender.send_message(0, &text);
        let outcome = sender.expect_outcome_of(id);
        match outcome.state() {
            ACCEPTED => accepted_texts.push(text),
            REJECTED => {
                assert_eq!(outcome.condition(), RESOURCE_LIMIT_EXCEEDED);
                rejected += 1;
            }
            _ => panic!("{outcome:?}"),
        }
    }
    // What a message costs beside its bytes is the broker's affair.
    assert!((32..=64).contains(&accepted_texts.len()), "{} are stored", accepted_texts.len());
    assert_eq!((broker.counts().queued, broker.counts().dropped), (accepted_texts.len() as u64, rejected));
    // What goes through at once needs no room.
    let mut receiver = Peer::ready_receiver(&broker, "plain", 10);
    sender.attach_sender("plain", 1, "plain");
    sender.send_accepted(1, &["passes"]);
    assert_eq!(receiver.receive_texts(1), ["passes"]);
    // What was accepted is all there; taken but not settled it still takes room, settled it takes none.
    receiver.attach_receiver("q", 1, "queue.a", 1000);
    assert_eq!(receiver.receive_texts(accepted_texts.len()), accepted_texts);
    receiver.grant(1, accepted_texts.len() as u32, 0);
    receiver.expect_nothing();
    let id = sender.send_message(0, &"x".repeat(KIB));
    assert_eq!(sender.expect_outcome_of(id).condition(), RESOURCE_LIMIT_EXCEEDED);
    receiver.send(disposition(RECEIVER, 0, accepted()).with("last", accepted_texts.len() as u32));
    receiver.expect_nothing();
    sender.send_accepted(0, &vec!["x".repeat(KIB).as_str(); accepted_texts.len()]);
}
