//! The router: addresses and what is done with their messages. No protocol, no socket, no clock.
//!
//! Our own words, defined here. A **producer** is a link that a peer sends on, a **consumer** one that a peer receives on.
//! A **node** is what stands at an address: it forwards messages or stores them. A message that has been taken over and that no
//! consumer could take yet **waits** at its node.
//!
//! Events come in through [`Router::handle`] and [`Router::messages`], effects on links go out through
//! [`Router::poll_effect`], and what was decided through [`Router::records`].
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | events in, effects out |
//! | `routing.rs` | the one way in for a message: it finds its node |
//! | `node/` | the kinds of nodes |
//! | `addresses.rs` | which node stands at which address; `arrivals.rs`: how much came to those that are gone |
//! | `attach.rs` | links come and go |
//! | `node_id.rs` | the names of nodes |
//! | `links.rs` | what is known of each producer and consumer, and how much a consumer can be given |
//! | `queues.rs` | queues that are declared and deleted |
//! | `exchange/` | exchanges and bindings: to which queues a message goes |
//! | `topology.rs` | what peers change there, and messages that come by an exchange |
//! | `credit.rs` | what producers may send |
//! | `origins.rs` | messages whose senders wait for what their receivers say |
//! | `context.rs` | what a node needs of the router while it works |
//! | `store.rs` | messages in order, with places to go back to |
//! | `effects.rs`, `journal.rs` | what goes out: what is to be done, and what is written down |
//! | `audit.rs` | for tests: all that is held, counted anew |
//! | `looking.rs`, `steering.rs` | what a test sees of all this, and what it may change |
//! | `live.rs` | lookups of what must be there |

mod addresses;
mod arrivals;
mod attach;
#[cfg(any(test, fuzzing))]
mod audit;
mod context;
mod credit;
#[cfg(test)]
mod dialogue;
mod effects;
mod exchange;
mod journal;
mod links;
mod looking;
mod node;
mod node_id;
mod origins;
mod queues;
mod routing;
mod steering;
mod store;
mod topology;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::budget::Budget;
use crate::config::RoutingConfig;
use crate::counts::Counts;
use crate::event::{ConnectionKey, Delivery, Effect, Event, LinkId, LinkKey, NamedLink, Outcome, Record, Run, Ticket};
use crate::message::{Encoding, HeadReader};

use addresses::Addresses;
#[cfg(any(test, fuzzing))]
pub(crate) use audit::Audit;
use context::Context;
use effects::{Effects, Step};
use exchange::Exchanges;
use journal::Journal;
pub(crate) use journal::Wanted;
use links::{Links, NodeId, Outstanding};
use node::Node;
use origins::Origins;

/// See the module.
#[derive(Debug)]
pub(crate) struct Router {
    config: RoutingConfig,
    addresses: Addresses,
    links: Links,
    /// Messages whose senders wait for a receiver's outcome.
    origins: Origins,
    counts: Counts,
    /// All bytes that wait.
    budget: Budget,
    /// Queues that are one connection's alone.
    owned: HashMap<ConnectionKey, BTreeSet<Arc<str>>>,
    exchanges: Exchanges,
    /// Reads the head of a message, for what routing may depend on.
    read_head: fn(Encoding) -> HeadReader,
    /// Makes generated addresses differ, within this broker and between brokers.
    generated: u64,
    salt: u64,
    effects: Effects,
    /// What was decided, for whoever asks.
    journal: Journal,
    /// Addresses whose producers get credit only when the test says so.
    withheld: HashSet<Arc<str>>,
    /// Producers for whose messages there was no room, and that are told when there is some again.
    starved: Vec<LinkKey>,
    /// A message was refused for want of room since this was looked at last.
    is_full: bool,
    /// The producer whose messages are being routed as they come.
    sending: Option<LinkKey>,
}

impl Router {
    /// `salt` should differ between brokers.
    pub(crate) fn new(
        config: RoutingConfig,
        salt: u64,
        budget: Budget,
        read_head: fn(Encoding) -> HeadReader,
    ) -> Router {
        Router {
            config,
            addresses: Addresses::default(),
            links: Links::default(),
            origins: Origins::default(),
            counts: Counts::default(),
            budget,
            owned: HashMap::new(),
            exchanges: Exchanges::new(),
            read_head,
            generated: 0,
            salt,
            effects: Effects::default(),
            journal: Journal::default(),
            withheld: HashSet::new(),
            starved: Vec::new(),
            is_full: false,
            sending: None,
        }
    }

    /// All counters but those of connections, which the event loop knows.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// What is to be written down from now.
    pub(crate) fn set_wanted(&mut self, wanted: Wanted) {
        self.journal.set_wanted(wanted);
    }

    /// What has been decided since the list was emptied last.
    pub(crate) fn records(&mut self) -> &mut Vec<Record> {
        self.journal.records()
    }

    /// The next thing to be done to a link.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        loop {
            match self.effects.pop() {
                Some(Step::Effect(effect)) => return Some(effect),
                Some(Step::Deliver(link)) => {
                    if let Some(deliveries) = self.links.take_pending(link) {
                        return Some(Effect::Deliver { link, deliveries });
                    }
                }
                None if !self.starved.is_empty() && self.budget.is_relaxed() => self.feed(),
                None => return None,
            }
        }
    }

    /// Takes back the list of an [`Effect::Deliver`], for the next.
    pub(crate) fn reuse(&mut self, deliveries: Vec<Delivery>) {
        self.effects.reuse(deliveries);
    }

    /// What a peer did. Messages come through [`Router::messages`].
    pub(crate) fn handle(&mut self, connection: ConnectionKey, event: Event) {
        let key = |link: LinkId| LinkKey { connection, link };
        match event {
            Event::Opened(_) | Event::Reply(_) => {}
            Event::AttachProducer { link, name, node } => self.attach_producer(key(link), name, node),
            Event::AttachConsumer(request) => self.attach_consumer(key(request.link), *request),
            Event::ChannelOpened { channel, window, unit } => {
                self.links.open_channel(connection, channel, window, unit);
            }
            Event::Window { channel, more } => {
                self.links.widen(connection, channel, more);
                self.serve_waiting(connection, Some(channel));
            }
            Event::Credit { link, more, drain } => self.credit(key(link), more, drain),
            Event::Messages { .. } => debug_assert!(false, "messages come with their run"),
            Event::Answer { link, first, count, outcome } => self.answer(key(link), first, count, &outcome),
            Event::Sent { link, ticket } => self.sent(key(link), ticket),
            Event::Retire { link } => self.retire(key(link)),
            Event::Declare(declaration) => self.declare(key(declaration.link), *declaration),
            Event::Delete { link, address, if_unused, if_empty } => {
                self.delete(key(link), &address, if_unused, if_empty);
            }
            Event::Purge { link, address } => self.purge_for(key(link), &address),
            Event::Topology(request) => self.change_topology(key(request.link), request.change),
            Event::Leave => self.connection_gone(connection),
            event @ Event::Detach { .. } => self.detach(event.into_gone(connection)),
        }
    }

    /// Messages came from a producer: those of [`Event::Messages`]. Empties the run.
    pub(crate) fn messages(&mut self, connection: ConnectionKey, event: &Event, run: &mut Run) {
        let Event::Messages { link, to, credit } = event else { return };
        let link = LinkKey { connection, link: *link };
        self.sending = Some(link);
        self.route(link, to, run);
        self.sending = None;
        self.top_up(link, *credit);
    }

    /// A connection is gone, and all its links with it.
    pub(crate) fn connection_gone(&mut self, connection: ConnectionKey) {
        self.connections_gone(vec![connection]);
    }

    /// Connections are gone together, so that none of them is given what another had.
    pub(crate) fn connections_gone(&mut self, connections: Vec<ConnectionKey>) {
        let links = connections.iter().flat_map(|connection| self.links.of(*connection)).collect();
        self.detach(links);
        for connection in connections {
            self.links.forget(connection);
            self.end_owned(connection);
        }
    }

    /// The outbox of a connection takes so many bytes of messages from now.
    pub(crate) fn set_room(&mut self, connection: ConnectionKey, bytes: usize) {
        self.links.set_room(connection, i64::try_from(bytes).unwrap_or(i64::MAX));
        self.serve_waiting(connection, None);
        for channel in self.links.waiting_channels(connection) {
            self.serve_waiting(connection, Some(channel));
        }
    }

    /// Gives consumers their turn that a channel, or a connection, kept waiting: as many as it keeps waiting no more.
    fn serve_waiting(&mut self, connection: ConnectionKey, channel: Option<u16>) {
        while let Some(link) = self.links.next_waiting(connection, channel) {
            self.serve(link);
        }
    }

    /// The outbox of a connection takes so many bytes of messages from now, unless it had room for none: then consumers wait for
    /// it, nothing is done and the answer is false. [`Router::set_room`] serves them.
    pub(crate) fn refill(&mut self, connection: ConnectionKey, bytes: usize) -> bool {
        self.links.refill(connection, i64::try_from(bytes).unwrap_or(i64::MAX))
    }

    fn credit(&mut self, key: LinkKey, more: i64, drain: bool) {
        // The link may have gone since: what an engine says of it is then of no use.
        if let Some(consumer) = self.links.consumer_mut(key) {
            consumer.credit = consumer.credit.saturating_add(more);
            consumer.drain = drain;
            self.serve(key);
        }
    }

    /// A consumer may have become able to take messages: gives it its turn.
    fn serve(&mut self, key: LinkKey) {
        if let Some(consumer) = self.links.consumer(key) {
            let id = consumer.node;
            self.work(id, |node, context| node.serve(key, context));
        }
    }

    /// Lets a node work, with what it needs of the router. Producers that it held back go on when it has caught up.
    fn work<R>(&mut self, id: NodeId, work: impl FnOnce(&mut Node, &mut Context<'_>) -> R) -> Option<R> {
        let entry = self.addresses.get_mut(id)?;
        let mut context = Context {
            address: &entry.address,
            config: &self.config,
            links: &mut self.links,
            effects: &mut self.effects,
            origins: &mut self.origins,
            budget: &self.budget,
            counts: &mut self.counts,
            journal: &mut self.journal,
            is_full: &mut self.is_full,
        };
        let result = work(&mut entry.node, &mut context);
        if !entry.held.is_empty() && !entry.node.is_slow(self.config.backlog_limit) {
            self.release_held(id);
        }
        Some(result)
    }

    /// A consumer ended deliveries in the same way.
    fn answer(&mut self, key: LinkKey, first: Ticket, count: u32, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Accepted => &mut self.counts.accepted,
            Outcome::Rejected(_) => &mut self.counts.rejected,
            Outcome::Released => &mut self.counts.released,
            Outcome::Modified(_) => &mut self.counts.modified,
        };
        *counter += u64::from(count);
        if first == Ticket::NONE {
            return;
        }
        if matches!(outcome, Outcome::Accepted) && first.as_noted().is_none() && !self.journal.is_on() {
            return self.accept(key, first, count);
        }
        let mut came_back = false;
        for index in 0..count {
            came_back |= self.conclude(key, first.later(index), outcome);
        }
        if came_back && let Some(consumer) = self.links.consumer(key) {
            let id = consumer.node;
            self.carry_on(id);
        }
    }

    /// A consumer accepted deliveries: nothing comes back.
    fn accept(&mut self, key: LinkKey, first: Ticket, count: u32) {
        // The link may be gone, and the deliveries with it.
        let Some(consumer) = self.links.consumer_mut(key) else { return };
        let Router { budget, origins, journal, effects, .. } = self;
        let last = first.0 + u64::from(count).saturating_sub(1);
        consumer.outstanding.take_each(first.0..=last, |_, outstanding| match outstanding {
            Outstanding::Queued(waiting) | Outstanding::Unfinished(waiting) => budget.give_back(waiting.cost()),
            Outstanding::EndToEnd(origin) => origins.resolve(origin, Outcome::Accepted, journal, effects),
        });
    }

    /// One delivery has ended. Whether its message came back to its node.
    fn conclude(&mut self, key: LinkKey, ticket: Ticket, outcome: &Outcome) -> bool {
        // The link may be gone, and the delivery with it.
        let Some(consumer) = self.links.consumer_mut(key) else { return false };
        let id = consumer.node;
        let (outstanding, number) = match ticket.as_noted() {
            Some(number) => (None, number),
            None => {
                let Some(outstanding) = consumer.outstanding.remove(ticket.0) else { return false };
                let number = match &outstanding {
                    Outstanding::Queued(waiting) | Outstanding::Unfinished(waiting) => waiting.number,
                    Outstanding::EndToEnd(origin) => self.origins.number(*origin).unwrap_or_default(),
                };
                (Some(outstanding), number)
            }
        };
        let name = &consumer.name;
        self.journal.note(|| Record::Answered {
            number,
            by: NamedLink { link: key, name: name.clone() },
            outcome: outcome.clone(),
        });
        let Some(outstanding) = outstanding else { return false };
        self.work(id, |node, context| node.conclude(key, outstanding, outcome.clone(), context)).unwrap_or(false)
    }

    /// A settled delivery has been written to its end.
    fn sent(&mut self, key: LinkKey, ticket: Ticket) {
        let outstanding = self.links.consumer_mut(key).and_then(|consumer| consumer.outstanding.remove(ticket.0));
        if let Some(Outstanding::Queued(waiting) | Outstanding::Unfinished(waiting)) = outstanding {
            self.budget.give_back(waiting.cost());
        }
    }

    /// After consumers have left a node or something has come back to it: hands out what waits, or drops it.
    fn carry_on(&mut self, id: NodeId) {
        let is_ended = self.addresses.get(id).is_some_and(|entry| entry.ended);
        self.work(id, |node, context| node.carry_on(is_ended, context));
    }
}
