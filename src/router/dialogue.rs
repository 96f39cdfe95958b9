//! Dialogues with the router: events of peers go in, effects come out and are compared as text. No engine, no socket.
//!
//! A link has a name. A name with a dot begins with that of its connection (`x.a` and `x.b` share one); any other link has a
//! connection of its own. After each step the budget must equal the sum of what waits, and no consumer may have been handed more
//! than its credit.

mod limits;
mod model;
mod node;
mod topology;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Router;
use crate::arguments::Arguments;
use crate::budget::Budget;
use crate::config::{Config, RoutingConfig};
use crate::event::*;
use crate::message::Message;
use crate::protocol::message_codec;

/// A router with links that are called by name.
pub(super) struct Dialogue {
    pub(super) router: Router,
    pub(super) budget: Budget,
    connections: BTreeMap<String, ConnectionKey>,
    links: BTreeMap<String, LinkKey>,
    names: HashMap<LinkKey, String>,
    /// Number of deliveries that each link has sent.
    sent: HashMap<LinkKey, u64>,
    /// Credit that each consumer has left.
    pub(super) credit: HashMap<LinkKey, i64>,
    /// Unanswered deliveries of each consumer, in order.
    pub(super) handed: HashMap<LinkKey, Vec<(String, Ticket)>>,
    said: Vec<(String, Words)>,
    /// Messages that were handed out: the consumer, the text, and whether the delivery has ended with that.
    delivered: Vec<(String, String, bool)>,
    /// Settled deliveries that the engine has not written in full.
    unfinished: HashSet<(LinkKey, String)>,
    /// Number of outcomes that senders were sent.
    told: usize,
}

/// An effect on a link, as text. Effects that may be split or joined are joined.
#[derive(Debug)]
enum Words {
    Gets(Vec<String>),
    Told { outcome: &'static str, first: u64, last: u64 },
    Other(String),
}

impl Words {
    /// Merges the next effect on the same link, if it continues this one.
    fn join(&mut self, next: Words) -> Result<(), Words> {
        match (self, next) {
            (Words::Gets(texts), Words::Gets(more)) => texts.extend(more),
            (Words::Told { outcome, last, .. }, Words::Told { outcome: same, first, last: new })
                if *outcome == same && *last + 1 == first =>
            {
                *last = new;
            }
            (_, next) => return Err(next),
        }
        Ok(())
    }
}

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Words::Gets(texts) => write!(f, "gets {}", texts.join(", ")),
            Words::Told { outcome, first, last } if first == last => write!(f, "is told {outcome} of {first}"),
            Words::Told { outcome, first, last } => write!(f, "is told {outcome} of {first}-{last}"),
            Words::Other(words) => f.write_str(words),
        }
    }
}

impl Dialogue {
    pub(super) fn new() -> Dialogue {
        Dialogue::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut RoutingConfig)) -> Dialogue {
        let mut config = Config::default().routing;
        config.credit_window = 100;
        change(&mut config);
        let budget = Budget::new(config.storage_limit);
        Dialogue {
            router: Router::new(
                &"/".into(),
                config,
                0,
                (Instant::now(), Duration::ZERO),
                budget.clone(),
                message_codec,
            ),
            budget,
            connections: BTreeMap::new(),
            links: BTreeMap::new(),
            names: HashMap::new(),
            sent: HashMap::new(),
            credit: HashMap::new(),
            handed: HashMap::new(),
            said: Vec::new(),
            delivered: Vec::new(),
            unfinished: HashSet::new(),
            told: 0,
        }
    }

    /// Returns the connection of a link, and makes it for the connection's first link.
    pub(super) fn connection(&mut self, link: &str) -> ConnectionKey {
        let name = link.split_once('.').map_or(link, |(name, _)| name);
        let slot = u32::try_from(self.connections.len()).unwrap();
        let is_new = !self.connections.contains_key(name);
        let key = *self.connections.entry(name.to_owned()).or_insert(ConnectionKey { slot, serial: slot + 1 });
        if is_new {
            self.router.set_room(key, 1 << 20);
        }
        key
    }

    /// Returns the link of this name, and makes it if there is none.
    pub(super) fn link(&mut self, name: &str) -> LinkKey {
        let slot = u32::try_from(self.names.len()).unwrap();
        let connection = self.connection(name);
        let key = LinkKey { connection, link: LinkId { slot, serial: slot } };
        let key = *self.links.entry(name.to_owned()).or_insert(key);
        self.names.insert(key, name.to_owned());
        key
    }

    pub(super) fn does(&mut self, link: &str, event: impl FnOnce(LinkId) -> Event) {
        let key = self.link(link);
        self.router.handle(key.connection, event(key.link));
        self.listen();
    }

    pub(super) fn sender(&mut self, name: &str, node: Node) {
        self.does(name, |link| Event::AttachProducer { link, name: name.into(), node });
    }

    pub(super) fn sender_at(&mut self, name: &str, address: &str) {
        self.sender(name, Node::Address(address.into()));
    }

    pub(super) fn receiver(&mut self, name: &str, node: Node, change: impl FnOnce(&mut ConsumerRequest)) {
        let link = self.link(name).link;
        let mut request = ConsumerRequest {
            link,
            channel: None,
            name: name.into(),
            node,
            manner: Manner::Unsettled,
            browse: false,
            default_outcome: Outcome::Released,
            max_message_size: u64::MAX,
            exclusive: false,
            passing: false,
            prefetch: None,
            arguments: Arguments::default(),
        };
        change(&mut request);
        self.does(name, |_| Event::AttachConsumer(Box::new(request)));
    }

    pub(super) fn receiver_at(&mut self, name: &str, address: &str) {
        self.receiver(name, Node::Address(address.into()), |_| {});
    }

    pub(super) fn credit(&mut self, name: &str, more: i64) {
        *self.credit.entry(self.links[name]).or_default() += more;
        self.does(name, |link| Event::Credit { link, more, drain: false });
    }

    pub(super) fn drain(&mut self, name: &str, more: i64) {
        *self.credit.entry(self.links[name]).or_default() += more;
        self.does(name, |link| Event::Credit { link, more, drain: true });
    }

    /// Sends unsettled messages in one run.
    pub(super) fn send(&mut self, name: &str, texts: &[&str]) {
        self.send_to(name, Destination::Link, texts, false);
    }

    pub(super) fn send_to(&mut self, name: &str, to: Destination, texts: &[&str], settled: bool) {
        let key = self.links[name];
        let mut run = Run::default();
        for text in texts {
            let next = self.sent.entry(key).or_default();
            let delivery = (!settled).then_some(DeliveryKey(*next));
            *next += 1;
            let payload = Bytes::copy_from_slice(text.as_bytes()).into();
            run.arrivals.push(Arrival { delivery, message: Message { payload, ..Message::default() } });
        }
        let event = Event::Messages { link: key.link, to, credit: 90 };
        self.router.messages(key.connection, &event, &mut run);
        self.listen();
    }

    /// Reports that a settled delivery was written in full. False if the delivery did not need that.
    fn finish(&mut self, name: &str, text: &str) -> bool {
        let key = self.links[name];
        if !self.unfinished.remove(&(key, text.to_owned())) {
            return false;
        }
        let handed = self.handed.get_mut(&key).unwrap();
        let at = handed.iter().position(|(handed, _)| handed == text).unwrap();
        let (_, ticket) = handed.remove(at);
        self.does(name, |link| Event::Sent { link, ticket });
        true
    }

    /// Gives an outcome to a message that a consumer has been handed.
    pub(super) fn answer(&mut self, name: &str, text: &str, outcome: Outcome) {
        let handed = self.handed.get_mut(&self.links[name]).unwrap();
        let at = handed.iter().position(|(handed, _)| handed == text).unwrap_or_else(|| panic!("{name} has no {text}"));
        let (_, first) = handed.remove(at);
        self.does(name, |link| Event::Answer { link, first, count: 1, outcome });
    }

    pub(super) fn detach(&mut self, names: &[&str]) {
        let keys: Vec<LinkKey> = names.iter().map(|name| self.links.remove(*name).unwrap()).collect();
        let links = keys.iter().map(|key| key.link).collect();
        self.router.handle(keys[0].connection, Event::Detach { gone: links });
        self.listen();
    }

    pub(super) fn disconnect(&mut self, connection: &str) {
        let key = self.connections.remove(connection).unwrap();
        self.links.retain(|_, link| link.connection != key);
        self.router.connection_gone(key);
        // Keeps the slot in use.
        self.connections.insert(format!("{connection} that is gone"), key);
        self.listen();
    }

    pub(super) fn room(&mut self, connection: &str, bytes: usize) {
        let key = self.connection(connection);
        self.router.set_room(key, bytes);
        self.listen();
    }

    /// Takes all effects and stores them as text.
    fn listen(&mut self) {
        while let Some(effect) = self.router.poll_effect() {
            let name = self.names.get(&effect.link()).cloned().unwrap_or_default();
            let words = match effect {
                Effect::Deliver { link, deliveries } => Words::Gets(self.take_deliveries(link, deliveries)),
                Effect::Settle { first, count, outcome, .. } => {
                    self.told += count as usize;
                    Words::Told { outcome: outcome.name(), first: first.0, last: first.0 + u64::from(count) - 1 }
                }
                Effect::Drained { link, left } => {
                    self.credit.insert(link, 0);
                    Words::Other(format!("has all but {left}"))
                }
                other => Words::Other(in_words(other)),
            };
            let before = self.said.iter_mut().rev().find(|(said_to, _)| *said_to == name);
            let next = match before {
                Some((_, before)) => before.join(words).err(),
                None => Some(words),
            };
            self.said.extend(next.map(|words| (name, words)));
        }
        assert_eq!(self.router.audit().bytes, self.budget.used(), "the budget is the sum of what waits");
    }

    fn take_deliveries(&mut self, link: LinkKey, deliveries: Vec<Delivery>) -> Vec<String> {
        let mut texts = Vec::new();
        for Delivery { message, settled, ticket, .. } in deliveries {
            let text = String::from_utf8(message.payload.contiguous().to_vec()).unwrap();
            let credit = self.credit.entry(link).or_default();
            *credit -= 1;
            assert!(*credit >= 0, "{text:?} is handed out without credit");
            let name = self.names.get(&link).cloned().unwrap_or_default();
            let is_unfinished = settled && ticket != Ticket::NONE;
            self.delivered.push((name, text.clone(), settled && !is_unfinished));
            if is_unfinished {
                self.unfinished.insert((link, text.clone()));
            }
            if !settled || is_unfinished {
                self.handed.entry(link).or_default().push((text.clone(), ticket));
            }
            texts.push(if settled { format!("{text} (settled)") } else { text });
        }
        texts
    }

    /// Compares the effects on each link since the last call, in order. The order between links does not matter.
    pub(super) fn expect(&mut self, words: &[&str]) {
        let mut said = self.said();
        let mut words: Vec<String> = words.iter().map(|words| (*words).to_owned()).collect();
        let name = |words: &String| words.split_once(' ').map(|(name, _)| name.to_owned());
        said.sort_by_key(name);
        words.sort_by_key(name);
        assert_eq!(said, words);
    }

    /// Takes all effects since the last call.
    pub(super) fn said(&mut self) -> Vec<String> {
        self.said.drain(..).map(|(name, words)| format!("{name} {words}")).collect()
    }

    /// Takes the messages that were handed out since the last call: consumer, text, and whether the delivery has ended with that.
    fn take_deliveries_seen(&mut self) -> Vec<(String, String, bool)> {
        std::mem::take(&mut self.delivered)
    }

    /// Takes the number of outcomes that senders were sent since the last call.
    fn take_told(&mut self) -> usize {
        std::mem::take(&mut self.told)
    }

    /// Lists the unanswered deliveries of a consumer.
    fn has(&self, name: &str) -> Vec<String> {
        let handed = self.links.get(name).and_then(|link| self.handed.get(link));
        handed.into_iter().flatten().map(|(text, _)| text.clone()).collect()
    }

    /// Sets the credit of a consumer to 0.
    fn credit_is_gone(&mut self, name: &str) {
        self.credit.insert(self.links[name], 0);
    }

    /// Purges a node. Returns the number of messages.
    fn purge(&mut self, address: &str) -> usize {
        let purged = self.router.purge(address);
        self.listen();
        purged
    }

    /// Discards all effects so far.
    pub(super) fn so_far(&mut self) {
        self.said.clear();
    }

    /// Closes all connections and purges all nodes, then checks that nothing is left.
    pub(super) fn end(mut self) {
        let connections: Vec<ConnectionKey> = self.connections.values().copied().collect();
        connections.into_iter().for_each(|connection| self.router.connection_gone(connection));
        self.router.undeclare_all();
        self.router.purge_all();
        self.listen();
        assert_eq!(self.router.audit(), super::Audit::default());
        assert!(self.router.addresses().is_empty(), "{:?}", self.router.addresses());
        assert_eq!((self.router.counts().sender_links, self.router.counts().receiver_links), (0, 0));
    }
}

/// Returns the text of an effect, without the link.
fn in_words(effect: Effect) -> String {
    match effect {
        Effect::Attached { .. } => "is attached".into(),
        Effect::Refused { fault, .. } => format!("is refused: {:?}", fault.reason),
        Effect::Grant { credit, .. } => format!("may send {credit}"),
        Effect::GrantMore { credit, .. } => format!("may send {credit} more"),
        Effect::Unroutable { fault, .. } => format!("sent to nowhere: {:?}", fault.reason),
        Effect::Detach { fault, .. } => format!("is detached: {:?}", fault.reason),
        Effect::Declared { address, messages, consumers, .. } => {
            format!("has {address} with {messages} messages and {consumers} consumers")
        }
        Effect::Deleted { messages, .. } => format!("has deleted {messages}"),
        Effect::Purged { messages, .. } => format!("has purged {messages}"),
        Effect::TopologyChanged { .. } => "has changed it".into(),
        other => format!("{other:?}"),
    }
}

/// Returns the declaration of a queue with default fields.
pub(super) fn declaration(link: LinkId, address: &str) -> Declaration {
    Declaration {
        link,
        address: Some(Arc::from(address)),
        passive: false,
        lifetime: Lifetime::default(),
        durable: false,
        arguments: Arguments::default(),
    }
}
