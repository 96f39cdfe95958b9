//! Dialogues with the engine: scripted octets in, octets and events out. There is no socket and no router; the tests
//! set the time.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::{Connection, Version};
use crate::budget::Budget;
use crate::config::Config;
use crate::event::*;
use crate::message::{Encoding, Message};
use crate::outbox::Outbox;

const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
const METHOD: u8 = 1;
const CONTENT_HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

fn frame(kind: u8, channel: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[kind, 0, channel][..], &size, payload, &[0xce]].concat()
}

/// The frame of a method on channel 1: class, method, arguments.
fn method(class: u8, method: u8, arguments: &[u8]) -> Vec<u8> {
    frame(METHOD, 1, &[&[0, class, 0, method][..], arguments].concat())
}

fn of_connection(method: u8, arguments: &[u8]) -> Vec<u8> {
    frame(METHOD, 0, &[&[0, 10, 0, method][..], arguments].concat())
}

/// basic.publish, header and body.
fn publish(exchange: &str, key: &str, body: &[u8]) -> Vec<u8> {
    let short = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
    let size = (body.len() as u64).to_be_bytes();
    [
        method(60, 40, &[&[0, 0][..], &short(exchange), &short(key), &[0]].concat()),
        frame(CONTENT_HEADER, 1, &[&[0, 60, 0, 0][..], &size, &[0, 0]].concat()),
        frame(BODY, 1, body),
    ]
    .concat()
}

struct Dialogue {
    engine: Connection,
    inbox: BytesMut,
    outbox: Outbox,
    now: Instant,
    /// Messages that have arrived, in the order of their events.
    arrivals: Vec<Arrival>,
}

impl Dialogue {
    fn new() -> Dialogue {
        let now = Instant::now();
        let config = Arc::new(Config::default().engine);
        let until = now + config.handshake_timeout;
        let engine = Connection::new(config, Budget::new(usize::MAX), "peer".into(), Version::V0_9_1, now, until);
        Dialogue { engine, inbox: BytesMut::new(), outbox: Outbox::default(), now, arrivals: Vec::new() }
    }

    /// Opens a connection with a heartbeat of ten seconds, and channel 1.
    fn opened() -> Dialogue {
        let mut dialogue = Dialogue::new();
        dialogue.say(HEADER);
        dialogue.say(&of_connection(11, b"\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US"));
        // channel-max and frame-max as offered.
        dialogue.say(&of_connection(31, b"\0\0\0\0\0\0\0\x0a"));
        let events = dialogue.say(&of_connection(40, b"\x01/\0\0"));
        assert!(matches!(&events[..], [Event::Opened(_)]), "{events:?}");
        dialogue.engine.admit(&mut dialogue.outbox);
        let events = dialogue.say(&method(20, 10, b"\0"));
        let [Event::ChannelOpened { channel: 1, .. }, Event::AttachProducer { link, node: Node::Anonymous, .. }] =
            events[..]
        else {
            panic!("{events:?}")
        };
        dialogue.answer(Effect::Attached { link: key(link), address: None, kind: NodeKind::Unspecified });
        let heard = dialogue.hear();
        assert!(heard.ends_with(&method(20, 11, b"\0\0\0\0")), "open-ok: {heard:?}");
        dialogue
    }

    fn say(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.inbox.extend_from_slice(bytes);
        let mut events = Vec::new();
        let mut run = Run::default();
        while let Some(event) = self.engine.receive(&mut self.inbox, self.now, &mut self.outbox, &mut run) {
            self.arrivals.append(&mut run.arrivals);
            events.push(event);
        }
        events
    }

    /// Sends octets and returns the one event that they lead to.
    fn ask(&mut self, bytes: &[u8]) -> Event {
        let mut events = self.say(bytes);
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// Applies an effect of the router and returns the events that it leads to.
    fn answer(&mut self, effect: Effect) -> Vec<Event> {
        self.engine.apply(effect, self.now, &mut self.outbox);
        std::iter::from_fn(|| self.engine.poll_event()).collect()
    }

    /// Ends the turn.
    fn finish(&mut self) -> Vec<Event> {
        self.engine.finish_turn(self.now, &mut self.outbox);
        std::iter::from_fn(|| self.engine.poll_event()).collect()
    }

    /// Takes all octets that have been written.
    fn hear(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !self.outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); 8];
            let used = self.outbox.fill(&mut slices);
            let before = bytes.len();
            slices[..used].iter().for_each(|slice| bytes.extend_from_slice(slice));
            self.outbox.consume(bytes.len() - before);
        }
        bytes
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.engine.handle_timeout(self.now, &mut self.outbox);
    }
}

fn key(link: LinkId) -> LinkKey {
    LinkKey { connection: ConnectionKey { slot: 0, serial: 0 }, link }
}

/// A message as a 0-9-1 client publishes it.
fn message(exchange: &str, routing_key: &str, body: &[u8]) -> Message {
    let payload = Bytes::from(publish(exchange, routing_key, body)).into();
    Message { payload, encoding: Encoding::Amqp091, ..Message::default() }
}

#[test]
fn a_queue_is_declared() {
    let mut dialogue = Dialogue::opened();
    // Durable and auto-delete, with one argument.
    let arguments = b"\0\0\x01q\x0a\0\0\0\x07\x01nI\0\0\0\x05";
    let Event::Declare(declaration) = dialogue.ask(&method(50, 10, arguments)) else { panic!("no declaration") };
    assert_eq!(declaration.address.as_deref(), Some("q"));
    assert_eq!((declaration.durable, declaration.passive), (true, false));
    assert_eq!(declaration.lifetime, Lifetime { exclusive: false, while_consumed: true });
    assert_eq!(declaration.arguments.get("n").and_then(crate::value::Value::as_i64), Some(5));
    let link = key(declaration.link);
    dialogue.answer(Effect::Declared { link, address: "q".into(), messages: 3, consumers: 1 });
    assert_eq!(dialogue.hear(), method(50, 11, b"\x01q\0\0\0\x03\0\0\0\x01"));
    // From now on an empty name means it.
    let Event::Purge { address, link } = dialogue.ask(&method(50, 30, b"\0\0\0\0")) else { panic!("no purge") };
    assert_eq!(address.as_ref(), "q");
    dialogue.answer(Effect::Purged { link: key(link), messages: 3 });
    assert_eq!(dialogue.hear(), method(50, 31, b"\0\0\0\x03"));
}

#[test]
fn a_binding_is_asked_for_and_refused() {
    let mut dialogue = Dialogue::opened();
    let Event::Topology(request) = dialogue.ask(&method(50, 20, b"\0\0\x01q\x01e\x01k\0\0\0\0\0")) else {
        panic!("no request")
    };
    let TopologyChange::Bind(binding) = &request.change else { panic!("{request:?}") };
    assert_eq!((binding.source.as_ref(), binding.key.as_ref()), ("e", "k"));
    let fault = Box::new(Fault::new(Reason::NotFound, "no e"));
    let events = dialogue.answer(Effect::Refused { link: key(request.link), fault });
    assert!(matches!(&events[..], [Event::Detach { .. }]), "the channel's links go: {events:?}");
    assert_eq!(dialogue.hear(), method(20, 40, b"\x01\x94\x10NOT_FOUND - no e\0\x32\0\x14"));
    // Frames up to close-ok are discarded.
    assert!(dialogue.say(&publish("", "q", b"lost")).is_empty());
    assert!(dialogue.say(&method(20, 41, b"")).is_empty());
    let events = dialogue.say(&method(20, 10, b"\0"));
    assert!(matches!(events[..], [Event::ChannelOpened { .. }, Event::AttachProducer { .. }]), "{events:?}");
}

#[test]
fn a_publish_is_the_same_in_whatever_pieces_it_comes() {
    let whole = publish("e", "k", b"body");
    for cut in 0..=whole.len() {
        let mut dialogue = Dialogue::opened();
        let (first, second) = whole.split_at(cut);
        let mut events = dialogue.say(first);
        events.extend(dialogue.say(second));
        let [Event::Messages { to: Destination::Exchange(address), .. }] = &events[..] else {
            panic!("cut at {cut}: {events:?}")
        };
        let [Arrival { delivery: None, message }] = &dialogue.arrivals[..] else {
            panic!("cut at {cut}: {:?}", dialogue.arrivals)
        };
        assert_eq!((address.exchange(), address.key()), ("e", "k"), "cut at {cut}");
        // Its frames are kept as they came.
        assert_eq!(message.payload.contiguous(), whole, "cut at {cut}");
    }
}

#[test]
fn publishes_that_go_the_same_way_come_together() {
    let mut dialogue = Dialogue::opened();
    let texts = [("q", "1"), ("q", "2"), ("q", "3"), ("p", "4"), ("q", "5")];
    let bytes: Vec<u8> = texts.iter().flat_map(|(key, text)| publish("", key, text.as_bytes())).collect();
    let events = dialogue.say(&bytes);
    let keys: Vec<&str> = events
        .iter()
        .map(|event| match event {
            Event::Messages { to: Destination::Queue(key), .. } => key.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(keys, ["q", "p", "q"]);
    assert_eq!(dialogue.arrivals.len(), texts.len());
    for (arrival, (key, text)) in dialogue.arrivals.iter().zip(texts) {
        assert_eq!(arrival.message.payload.contiguous(), publish("", key, text.as_bytes()));
    }
    // One that may not be published ends a run, and what came before it is there.
    let mut wrong = publish("", "q", b"wrong");
    let class = wrong.iter().rposition(|octet| *octet == 60).unwrap();
    wrong[class] = 50;
    let events = dialogue.say(&[publish("", "q", b"6"), wrong].concat());
    assert!(matches!(events[..], [Event::Messages { .. }, Event::Detach { .. }, Event::Leave]), "{events:?}");
    assert_eq!(dialogue.arrivals.len(), texts.len() + 1);
}

#[test]
fn confirms_are_gathered_until_one_is_out_of_order() {
    let mut dialogue = Dialogue::opened();
    assert!(dialogue.say(&method(85, 10, b"\0")).is_empty());
    assert_eq!(dialogue.hear(), method(85, 11, b""));
    let mut published = Vec::new();
    for _ in 0..4 {
        let Event::Messages { link, .. } = dialogue.ask(&publish("", "q", b"x")) else { panic!("no message") };
        let delivery = dialogue.arrivals.pop().and_then(|arrival| arrival.delivery);
        published.push((key(link), delivery.expect("a delivery to be settled")));
    }
    let settle = |n: usize, count, outcome| {
        let (link, first) = published[n];
        Effect::Settle { link, first, count, outcome }
    };
    dialogue.answer(settle(0, 2, Outcome::Accepted));
    assert!(dialogue.hear().is_empty(), "until the end of the turn");
    dialogue.finish();
    assert_eq!(dialogue.hear(), method(60, 80, b"\0\0\0\0\0\0\0\x02\x01"));
    dialogue.answer(settle(3, 1, Outcome::Accepted));
    assert_eq!(dialogue.hear(), method(60, 80, b"\0\0\0\0\0\0\0\x04\0"));
    dialogue.answer(settle(2, 1, Outcome::Rejected(None)));
    assert_eq!(dialogue.hear(), method(60, 120, b"\0\0\0\0\0\0\0\x03\0"));
}

/// Consumes from the queue `q`. Returns the credit that the consumer begins with.
fn consuming(dialogue: &mut Dialogue, tag: &str) -> (LinkId, i64) {
    let short = [&[u8::try_from(tag.len()).unwrap()][..], tag.as_bytes()].concat();
    let arguments = [&b"\0\0\x01q"[..], &short, b"\0\0\0\0\0"].concat();
    let Event::AttachConsumer(request) = dialogue.ask(&method(60, 20, &arguments)) else { panic!("no consumer") };
    assert_eq!((request.manner, request.channel, request.name.as_ref()), (Manner::Unsettled, Some(1), tag));
    let attached = Effect::Attached { link: key(request.link), address: None, kind: NodeKind::Unspecified };
    let events = dialogue.answer(attached);
    let [Event::Credit { more, drain: false, .. }] = events[..] else { panic!("{events:?}") };
    assert_eq!(dialogue.hear(), method(60, 21, &short));
    (request.link, more)
}

fn deliver(link: LinkId, ticket: u64, message: Message) -> Effect {
    let delivery = Delivery { message, settled: false, ticket: Ticket(ticket), units: 1 };
    Effect::Deliver { link: key(link), deliveries: vec![delivery] }
}

#[test]
fn a_delivery_is_acknowledged() {
    let mut dialogue = Dialogue::opened();
    let (link, _) = consuming(&mut dialogue, "c");
    dialogue.answer(deliver(link, 7, message("e", "k", b"one")));
    let start = method(60, 60, b"\x01c\0\0\0\0\0\0\0\x01\0\x01e\x01k");
    assert!(dialogue.hear().starts_with(&start));
    // Without an exchange or a routing key it came to its queue as if by the default exchange.
    dialogue.answer(deliver(link, 8, message("", "", b"two")));
    let start = method(60, 60, b"\x01c\0\0\0\0\0\0\0\x02\0\0\x01q");
    assert!(dialogue.hear().starts_with(&start));
    let events = dialogue.say(&method(60, 80, b"\0\0\0\0\0\0\0\x02\x01"));
    let [Event::Answer { first: Ticket(7), count: 2, outcome: Outcome::Accepted, .. }] = events[..] else {
        panic!("{events:?}")
    };
    // Twice is an error of the channel.
    let events = dialogue.say(&method(60, 80, b"\0\0\0\0\0\0\0\x02\0"));
    assert!(matches!(&events[..], [Event::Detach { .. }]), "{events:?}");
    assert!(dialogue.engine.poll_breach().is_some());
}

#[test]
fn prefetch_is_credit_and_window() {
    let mut dialogue = Dialogue::opened();
    // For each consumer to come, and for all of the channel.
    dialogue.say(&method(60, 10, b"\0\0\0\0\0\x02\0"));
    dialogue.say(&method(60, 10, b"\0\0\0\0\0\x03\x01"));
    dialogue.hear();
    let events = dialogue.finish();
    let [Event::Window { channel: 1, more: ..0 }] = events[..] else { panic!("{events:?}") };
    let (link, credit) = consuming(&mut dialogue, "c");
    assert_eq!(credit, 2);
    dialogue.answer(deliver(link, 1, message("", "q", b"x")));
    dialogue.answer(deliver(link, 2, message("", "q", b"x")));
    assert!(dialogue.finish().is_empty());
    dialogue.say(&method(60, 80, b"\0\0\0\0\0\0\0\x02\x01"));
    let events = dialogue.finish();
    let [Event::Credit { more: 2, .. }, Event::Window { more: 2, .. }] = events[..] else { panic!("{events:?}") };
    // The window gets back the deliveries of a queue that has gone.
    dialogue.answer(deliver(link, 3, message("", "q", b"x")));
    let fault = Box::new(Fault::new(Reason::ResourceDeleted, "gone"));
    let events = dialogue.answer(Effect::Detach { link: key(link), fault });
    assert!(matches!(events[..], [Event::Detach { .. }]), "{events:?}");
    assert!(dialogue.say(&method(60, 80, b"\0\0\0\0\0\0\0\x03\0")).is_empty());
    let events = dialogue.finish();
    let [Event::Window { more: 1, .. }] = events[..] else { panic!("{events:?}") };
}

#[test]
fn heartbeats_go_out_and_silence_ends_it_without_a_close() {
    let mut dialogue = Dialogue::opened();
    dialogue.pass(Duration::from_secs(5));
    assert_eq!(dialogue.hear(), frame(HEARTBEAT, 0, b""));
    assert_eq!(dialogue.say(&frame(HEARTBEAT, 0, b"")).len(), 0);
    for _ in 0..3 {
        dialogue.pass(Duration::from_secs(5));
        assert_eq!(dialogue.hear(), frame(HEARTBEAT, 0, b""));
    }
    dialogue.pass(Duration::from_secs(5));
    assert!(dialogue.hear().is_empty());
    assert!(dialogue.engine.is_dropped());
    let events = dialogue.finish();
    assert!(matches!(&events[..], [Event::Detach { .. }, Event::Leave]), "{events:?}");
}

#[test]
fn a_violation_closes_and_only_close_ok_is_heard_then() {
    let mut dialogue = Dialogue::opened();
    let events = dialogue.say(&method(99, 99, b""));
    assert!(matches!(&events[..], [Event::Detach { .. }, Event::Leave]), "{events:?}");
    let close = b"\x01\xf7\x26COMMAND_INVALID - unknown method 99,99\0\x63\0\x63";
    assert_eq!(dialogue.hear(), of_connection(50, close));
    assert!(dialogue.say(&publish("", "q", b"lost")).is_empty());
    assert!(!dialogue.engine.is_closed());
    assert!(dialogue.say(&of_connection(51, b"")).is_empty());
    assert!(dialogue.engine.is_closed());
}
