//! The router: the addresses of the broker, and what is done with messages that are sent to them. It has no protocol, no socket
//! and no clock.
//!
//! Terms of this folder: a **producer** is a link on which a peer sends, a **consumer** a link on which a peer receives. A
//! **node** stands at an address; it forwards messages or stores them. A message that a node has taken over and that no consumer
//! could take yet **waits** at its node.
//!
//! Events come in through [`Router::handle`] and [`Router::messages`]. Effects on links go out through [`Router::poll_effect`],
//! records of decisions through [`Router::records`].
//!
//! | file | contents |
//! |---|---|
//! | `mod.rs` | the entry points: events in, effects out |
//! | `routing.rs` | routes a message to its node |
//! | `node/` | the four kinds of node |
//! | `addresses.rs` | the node of each address; `arrivals.rs`: message counts of addresses that are no longer in use |
//! | `attach.rs` | attach and detach |
//! | `node_id.rs` | the key of a node |
//! | `links.rs` | the state of each producer and consumer, and how much a consumer can be given |
//! | `consumer_settings.rs`, `argument_reader.rs` | the arguments of a consumer; how arguments are read and refused |
//! | `policies.rs` | policies: what queues and exchanges are given by their names |
//! | `queues.rs` | declaration, deletion and purge of queues |
//! | `exchange/` | exchanges and bindings: the queues of a message |
//! | `topology.rs` | changes to exchanges and bindings, and messages that are sent to an exchange |
//! | `credit.rs` | the credit of producers |
//! | `deadlines.rs` | the time, and when something is due at a queue or an exchange |
//! | `delayed.rs` | messages that wait at an exchange until they are routed |
//! | `dead_letters.rs`, `dead_lettering.rs` | messages that left a queue unconsumed until they are published again; their publishing |
//! | `origins.rs` | messages whose senders wait for a receiver's outcome (end-to-end settlement) |
//! | `context.rs` | the parts of the router that a node uses while it works |
//! | `store.rs` | waiting messages in order, with a place for each to return to |
//! | `effects.rs`, `journal.rs` | effects and records until they are taken |
//! | `audit.rs` | for tests: everything that is held, counted anew |
//! | `looking.rs`, `topology_view.rs`, `steering.rs` | what a test can see and change |

mod addresses;
mod argument_reader;
mod arrivals;
mod attach;
#[cfg(any(test, fuzzing))]
mod audit;
mod consumer_settings;
mod context;
mod credit;
mod dead_lettering;
mod dead_letters;
mod deadlines;
mod delayed;
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
mod policies;
mod queues;
mod routing;
mod steering;
mod store;
mod topology;
mod topology_view;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::budget::Budget;
use crate::config::RoutingConfig;
use crate::counts::Counts;
use crate::event::{ConnectionKey, Delivery, Effect, Event, LinkId, LinkKey, Outcome, Records, Run, Ticket};
use crate::live::live;
use crate::message::{Encoding, MessageCodec};

use addresses::Addresses;
#[cfg(any(test, fuzzing))]
pub(crate) use audit::Audit;
use context::Context;
use dead_letters::DeadLetters;
use deadlines::{Deadlines, Due};
use delayed::Delayed;
use effects::{Effects, Step};
use exchange::{Exchanges, VhostName};
use journal::Journal;
pub(crate) use journal::Wanted;
use links::{Links, NodeId, Outstanding};
use node::Node;
use origins::Origins;
use policies::Policies;

/// The state that the routers of all virtual hosts share, beside the budget. One router has it at a time.
#[derive(Debug)]
pub(crate) struct Baton {
    journal: Journal,
    counts: Counts,
    now: Instant,
}

/// Holds the state of all links, nodes, exchanges and waiting messages, and turns the events of engines into effects on links.
#[derive(Debug)]
pub(crate) struct Router {
    vhost: VhostName,
    config: RoutingConfig,
    addresses: Addresses,
    links: Links,
    /// Messages whose senders wait for a receiver's outcome.
    origins: Origins,
    counts: Counts,
    /// The bytes of everything that waits or is stored, counted against `storage_limit`.
    budget: Budget,
    /// The exclusive queues of each connection.
    owned: HashMap<ConnectionKey, BTreeSet<Arc<str>>>,
    exchanges: Exchanges,
    policies: Policies,
    /// Returns the codec of an encoding, which is asked only where the answer matters.
    codec: fn(Encoding) -> MessageCodec,
    /// The number of the last generated address. Together with `salt` it makes addresses unique among brokers.
    generated: u64,
    salt: u64,
    effects: Effects,
    /// Records of what was decided, if anybody has asked for them.
    journal: Journal,
    deadlines: Deadlines,
    dead_letters: DeadLetters,
    delayed: Delayed,
    /// Addresses whose producers are given credit by the test alone.
    withheld: HashSet<Arc<str>>,
    /// Producers that get no credit because a message of theirs found no room, until there is room again.
    starved: Vec<LinkKey>,
    /// Whether a message was refused for want of room since this was last reset.
    is_full: bool,
    /// The producer whose run is being routed.
    sending: Option<LinkKey>,
}

impl Router {
    /// Creates the router of a virtual host, without links. `salt` should differ between brokers. `dated` is a moment by the
    /// broker's clock and its date since the Unix epoch.
    pub(crate) fn new(
        vhost: &Arc<str>,
        config: RoutingConfig,
        salt: u64,
        dated: (Instant, Duration),
        budget: Budget,
        codec: fn(Encoding) -> MessageCodec,
    ) -> Router {
        let vhost = VhostName(vhost.clone());
        Router {
            config,
            addresses: Addresses::default(),
            links: Links::default(),
            origins: Origins::default(),
            counts: Counts::default(),
            budget,
            owned: HashMap::new(),
            exchanges: Exchanges::new(vhost.clone()),
            policies: Policies::default(),
            vhost,
            codec,
            generated: 0,
            salt,
            effects: Effects::default(),
            journal: Journal::default(),
            deadlines: Deadlines::new(dated),
            dead_letters: DeadLetters::default(),
            delayed: Delayed::default(),
            withheld: HashSet::new(),
            starved: Vec::new(),
            is_full: false,
            sending: None,
        }
    }

    /// Gives away what the routers of all virtual hosts share. It must not be called before [`Router::take_over`].
    pub(crate) fn hand_over(&mut self) -> Baton {
        Baton {
            journal: std::mem::take(&mut self.journal),
            counts: std::mem::take(&mut self.counts),
            now: self.deadlines.now(),
        }
    }

    /// Takes what another router gave away.
    pub(crate) fn take_over(&mut self, baton: Baton) {
        let Baton { journal, counts, now } = baton;
        self.journal = journal;
        self.journal.set_vhost(&self.vhost);
        self.counts = counts;
        self.deadlines.set_now(now);
    }

    /// Whether producers wait for room in the budget.
    pub(crate) fn has_starved(&self) -> bool {
        !self.starved.is_empty()
    }

    /// Returns all counters but those of connections, which the event loop keeps.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Sets the time of all that happens next, at the beginning of a turn.
    pub(crate) fn set_now(&mut self, now: Instant) {
        self.deadlines.set_now(now);
        self.dead_letters.begin_turn();
    }

    /// When [`Router::fire_deadlines`] has something to do next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Does what is due now: messages and queues expire, delayed messages are routed.
    pub(crate) fn fire_deadlines(&mut self) {
        while let Some(due) = self.deadlines.pop() {
            match due {
                Due::Queue(id) => self.expire(id),
                Due::Exchange(name) => self.release_delayed(&name),
            }
        }
    }

    /// Sets which decisions are recorded from now on.
    pub(crate) fn set_wanted(&mut self, wanted: Wanted) {
        self.journal.set_wanted(wanted);
    }

    /// Returns the records that have gathered. The caller empties the lists.
    pub(crate) fn records(&mut self) -> &mut Records {
        self.journal.records()
    }

    /// Returns the next effect on a link.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        loop {
            match self.effects.pop() {
                Some(Step::Effect(effect)) => return Some(effect),
                Some(Step::Deliver(link)) => {
                    if let Some(deliveries) = self.links.take_pending(link) {
                        return Some(Effect::Deliver { link, deliveries });
                    }
                }
                None if self.dead_letters.are_due() => self.publish_dead_letter(),
                None if !self.starved.is_empty() && self.budget.is_relaxed() => self.feed(),
                None => return None,
            }
        }
    }

    /// Takes back the list of an [`Effect::Deliver`] for reuse.
    pub(crate) fn reuse(&mut self, deliveries: Vec<Delivery>) {
        self.effects.reuse(deliveries);
    }

    /// Handles an event of a connection's engine. Messages come through [`Router::messages`] instead.
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

    /// Routes the messages of an [`Event::Messages`] and empties the run.
    pub(crate) fn messages(&mut self, connection: ConnectionKey, event: &Event, run: &mut Run) {
        let Event::Messages { link, to, credit } = event else {
            debug_assert!(false, "a run belongs to an Event::Messages");
            return;
        };
        let link = LinkKey { connection, link: *link };
        self.sending = Some(link);
        self.route(link, to, run);
        self.sending = None;
        self.top_up(link, *credit);
    }

    /// Detaches all links of a connection that has closed.
    pub(crate) fn connection_gone(&mut self, connection: ConnectionKey) {
        self.connections_gone(vec![connection]);
    }

    /// Detaches all links of several connections at once, so that nothing that one of them had is given to another.
    pub(crate) fn connections_gone(&mut self, connections: Vec<ConnectionKey>) {
        let links = connections.iter().flat_map(|connection| self.links.of(*connection)).collect();
        self.detach(links);
        for connection in connections {
            self.links.forget(connection);
            self.end_owned(connection);
        }
    }

    /// Sets how many bytes of messages the outbox of a connection takes, and serves the consumers that this unblocks.
    pub(crate) fn set_room(&mut self, connection: ConnectionKey, bytes: usize) {
        self.links.set_room(connection, i64::try_from(bytes).unwrap_or(i64::MAX));
        self.serve_waiting(connection, None);
        for channel in self.links.waiting_channels(connection) {
            self.serve_waiting(connection, Some(channel));
        }
    }

    /// Serves the consumers that a channel (or the connection, if `channel` is none) kept waiting, as long as it has room for
    /// more.
    fn serve_waiting(&mut self, connection: ConnectionKey, channel: Option<u16>) {
        while let Some(link) = self.links.next_waiting(connection, channel) {
            self.serve(link);
        }
    }

    /// Sets how many bytes of messages the outbox of a connection takes, and returns true. Does nothing and returns false if the
    /// connection had no room left: then consumers may wait for it, and [`Router::set_room`] has to be called, which serves
    /// them.
    pub(crate) fn refill(&mut self, connection: ConnectionKey, bytes: usize) -> bool {
        self.links.refill(connection, i64::try_from(bytes).unwrap_or(i64::MAX))
    }

    fn credit(&mut self, key: LinkKey, more: i64, drain: bool) {
        // The link may have been detached meanwhile; its credit is then void.
        if let Some(consumer) = self.links.find_consumer_mut(key) {
            consumer.credit = consumer.credit.saturating_add(more);
            consumer.drain = drain;
            self.serve(key);
        }
    }

    /// Gives a consumer what its node has for it, after it has become able to take more.
    fn serve(&mut self, key: LinkKey) {
        if let Some(consumer) = self.links.find_consumer(key) {
            let id = consumer.node;
            self.work(id, |node, context| node.serve(key, context));
        }
    }

    /// Calls `work` with a node and its context. If the node has caught up after that, the producers that it held are given
    /// credit again.
    fn work<R>(&mut self, id: NodeId, work: impl FnOnce(&mut Node, &mut Context<'_>) -> R) -> Option<R> {
        let entry = self.addresses.get_mut(id)?;
        let mut context = Context {
            address: &entry.address,
            vhost: &self.vhost,
            now: self.deadlines.now(),
            codec: self.codec,
            config: &self.config,
            links: &mut self.links,
            effects: &mut self.effects,
            origins: &mut self.origins,
            budget: &self.budget,
            counts: &mut self.counts,
            journal: &mut self.journal,
            dead_letters: &mut self.dead_letters,
            is_full: &mut self.is_full,
        };
        let result = work(&mut entry.node, &mut context);
        if let Node::Queue(queue) = &mut entry.node {
            let due = queue.next_deadline();
            self.deadlines.keep(&mut queue.timer, due, || Due::Queue(id));
        }
        if !entry.held.is_empty() && !entry.node.is_slow(self.config.backlog_limit) {
            self.release_held(id);
        }
        Some(result)
    }

    /// Applies an outcome that a consumer gave to `count` deliveries, from `first` on.
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
        if came_back && let Some(consumer) = self.links.at_node(key) {
            let id = consumer.node;
            self.carry_on(id);
        }
    }

    /// Ends deliveries that a consumer accepted, when no records are kept.
    fn accept(&mut self, key: LinkKey, first: Ticket, count: u32) {
        // The link may have been detached meanwhile, and its deliveries with it.
        let Some(consumer) = self.links.find_consumer_mut(key) else { return };
        let Router { budget, origins, journal, effects, .. } = self;
        let last = first.0 + u64::from(count).saturating_sub(1);
        consumer.outstanding.take_each(first.0..=last, |_, outstanding| match outstanding {
            Outstanding::Queued(waiting) | Outstanding::Unfinished(waiting) => budget.give_back(waiting.cost()),
            Outstanding::EndToEnd(origin) => origins.resolve(origin, Outcome::Accepted, journal, effects),
        });
    }

    /// Ends one delivery. Returns whether its message came back to its node.
    fn conclude(&mut self, key: LinkKey, ticket: Ticket, outcome: &Outcome) -> bool {
        // The link may have been detached meanwhile, and its deliveries with it.
        let Some(consumer) = self.links.find_consumer_mut(key) else { return false };
        let id = consumer.node;
        let (outstanding, number) = match ticket.as_noted() {
            Some(number) => (None, number),
            None => {
                let outstanding = live(consumer.outstanding.remove(ticket.0), "an unanswered delivery");
                let Some(outstanding) = outstanding else { return false };
                let number = match &outstanding {
                    Outstanding::Queued(waiting) | Outstanding::Unfinished(waiting) => waiting.number,
                    Outstanding::EndToEnd(origin) => self.origins.number(*origin),
                };
                (Some(outstanding), number)
            }
        };
        let name = &consumer.name;
        self.journal.answered(number, key, name, outcome);
        let Some(outstanding) = outstanding else { return false };
        self.work(id, |node, context| node.conclude(key, outstanding, outcome.clone(), context)).unwrap_or(false)
    }

    /// Ends a settled delivery that the engine has written in full.
    fn sent(&mut self, key: LinkKey, ticket: Ticket) {
        // The link may have been detached meanwhile, and its deliveries with it.
        let Some(consumer) = self.links.find_consumer_mut(key) else { return };
        let outstanding = live(consumer.outstanding.remove(ticket.0), "a delivery that is being written");
        if let Some(Outstanding::Queued(waiting) | Outstanding::Unfinished(waiting)) = outstanding {
            self.budget.give_back(waiting.cost());
        }
    }

    /// Hands out or drops what waits at a node, after consumers have left it or a message has come back to it.
    fn carry_on(&mut self, id: NodeId) {
        let is_ended = self.addresses.get(id).is_some_and(|entry| entry.ended);
        self.work(id, |node, context| node.carry_on(is_ended, context));
    }
}
