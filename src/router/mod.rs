//! The router: addresses and what is done with their messages. No protocol, no socket, no clock.
//!
//! Our own words, defined here. A **producer** is a link that a peer sends on, a **consumer** one that a peer receives on.
//! A **route** is an address that somebody is attached to or that stores messages. A message that has been taken over and
//! that no consumer could take yet **waits**: at its route, or for one consumer if each gets a copy.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | events in; messages find their routes |
//! | `attach.rs` | links come and go |
//! | `links.rs` | what is known of each producer and consumer |
//! | `route.rs` | one address; handing out what waits there |
//! | `queue.rs` | queues that are declared and deleted |
//! | `exchange/` | exchanges and bindings: to which queues a message goes |
//! | `topology.rs` | what peers change there, and messages that come by an exchange |
//! | `past.rs` | how much has arrived at addresses that nobody uses any more |
//! | `store.rs` | messages in order, with places to go back to |
//! | `settlement.rs` | who is told what became of a message |
//! | `inspection.rs` | what a test sees of all this, and what it may change |

mod attach;
mod exchange;
mod inspection;
mod links;
mod past;
mod queue;
mod route;
mod settlement;
mod store;
mod topology;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use slab::Slab;

use crate::config::{Distribution, RoutingConfig, Settlement};
use crate::counts::Counts;
use crate::event::{
    ConnectionKey, ConsumerRequest, DeliveryKey, Destination, Effect, Event, Fault, LinkId, LinkKey, Modified, Node,
    NodeKind, Outcome, Reason, Ticket,
};
use crate::message::{Encoding, HeadReader, Message};
use crate::recorder::{LinkName as Party, Recorder as Chronicle};

use exchange::{Exchanges, address_of as exchange_address};
use links::Links;
use past::Past;
use route::Route;
use settlement::Origin;
use store::Waiting;

/// See the module.
#[derive(Debug)]
pub(crate) struct Router {
    config: RoutingConfig,
    addresses: HashMap<Arc<str>, usize>,
    routes: Slab<Route>,
    links: Links,
    /// Messages whose senders wait for a receiver's outcome.
    origins: Slab<Origin>,
    counts: Counts,
    /// Bytes of all messages that wait.
    stored_bytes: usize,
    /// Queues that are one connection's alone.
    owned: HashMap<ConnectionKey, BTreeSet<Arc<str>>>,
    exchanges: Exchanges,
    /// Reads the head of a message, for what routing may depend on.
    read_head: fn(Encoding) -> HeadReader,
    /// Makes generated addresses differ, within this broker and between brokers.
    generated: u64,
    salt: u64,
    effects: VecDeque<Effect>,
    /// What happened, for whoever asks.
    chronicle: Chronicle,
    /// Messages that had arrived at addresses which nobody uses any more.
    past: Past,
    /// Addresses whose producers get credit only when the test says so.
    withheld: HashSet<Arc<str>>,
    /// Producers for whose messages there was no room, and that are told when there is some again.
    starved: Vec<LinkKey>,
    /// Consumers that can be given more, when what they were given has been written: see [`BATCH`].
    unfinished: VecDeque<LinkKey>,
}

/// Effects that may gather before they are carried out. Until then nobody knows whether a peer keeps up: a backlog goes out
/// in batches, not at one go.
const BATCH: usize = 64;

impl Router {
    /// `salt` should differ between brokers.
    pub(crate) fn new(
        config: RoutingConfig,
        salt: u64,
        chronicle: Chronicle,
        read_head: fn(Encoding) -> HeadReader,
    ) -> Router {
        Router {
            config,
            addresses: HashMap::new(),
            routes: Slab::new(),
            links: Links::default(),
            origins: Slab::new(),
            counts: Counts::default(),
            stored_bytes: 0,
            owned: HashMap::new(),
            exchanges: Exchanges::new(),
            read_head,
            generated: 0,
            salt,
            effects: VecDeque::new(),
            chronicle,
            past: Past::default(),
            withheld: HashSet::new(),
            starved: Vec::new(),
            unfinished: VecDeque::new(),
        }
    }

    /// All counters but those of connections, which the event loop knows.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The next thing to be done to a link.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        loop {
            if let Some(effect) = self.effects.pop_front() {
                return Some(effect);
            }
            if !self.starved.is_empty() && self.stored_bytes <= self.config.storage_limit / 2 {
                self.feed();
                continue;
            }
            let key = self.unfinished.pop_front()?;
            if let Some(consumer) = self.links.consumer_mut(key) {
                consumer.is_unfinished = false;
            }
            self.serve(key);
        }
    }

    /// What a peer did.
    pub(crate) fn handle(&mut self, connection: ConnectionKey, event: Event) {
        let key = |link: LinkId| LinkKey { connection, link };
        match event {
            Event::Opened(_) | Event::Reply(_) => {}
            Event::AttachProducer { link, name, node } => self.attach_producer(key(link), name, node),
            Event::AttachConsumer(request) => self.attach_consumer(key(request.link), *request),
            Event::Credit { link, credit, drain } => self.credit(key(link), credit, drain),
            Event::Message { link, delivery, settled, to, message } => {
                let outcome = self.route(key(link), to, message, (!settled).then_some(delivery));
                if !settled {
                    self.settle(key(link), delivery, outcome);
                }
                self.top_up(key(link));
            }
            Event::Answer { link, ticket, outcome } => self.answer(key(link), ticket, outcome),
            Event::Sent { link, ticket } => self.sent(key(link), ticket),
            Event::Unsent { link, ticket } => self.unsent(key(link), ticket),
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

    /// A connection is gone, and all its links with it.
    pub(crate) fn connection_gone(&mut self, connection: ConnectionKey) {
        self.connections_gone(vec![connection], Vec::new());
    }

    /// Connections are gone together. Of some links it is known which deliveries have not been sent.
    pub(crate) fn connections_gone(&mut self, connections: Vec<ConnectionKey>, mut gone: Vec<(LinkKey, Vec<Ticket>)>) {
        let links = connections.iter().flat_map(|connection| self.links.of(*connection));
        gone.extend(links.map(|link| (link, Vec::new())));
        self.detach(gone);
        for connection in connections {
            self.links.forget(connection);
            self.end_owned(connection);
        }
    }

    /// A connection reads too slowly to be given more, or keeps up again.
    pub(crate) fn set_congested(&mut self, connection: ConnectionKey, congested: bool) {
        self.links.set_congested(connection, congested);
        if congested {
            return;
        }
        for link in self.links.of(connection) {
            self.serve(link);
        }
    }

    fn credit(&mut self, key: LinkKey, credit: u32, drain: bool) {
        let Some(consumer) = self.links.consumer_mut(key) else { return };
        consumer.credit = credit;
        consumer.drain = drain;
        self.serve(key);
    }

    /// A message arrived. The outcome for its sender, unless that comes later or never.
    fn route(
        &mut self,
        from: LinkKey,
        to: Destination,
        message: Message,
        delivery: Option<DeliveryKey>,
    ) -> Option<Outcome> {
        let own = self.links.producer_mut(from).and_then(|producer| {
            producer.credit = producer.credit.saturating_sub(1);
            producer.route
        });
        if self.is_by_exchange(from, own, &to) {
            return self.route_by_exchange(from, &to, message, delivery);
        }
        let found = self.find(own, &to);
        let number = self.arrived(from, &to, found, &message, delivery.is_none());
        self.route_found(found, from, &to, number, message, delivery)
    }

    /// A message with a number goes to its route, if it has one.
    // Inlined, as what it calls: together these are a tenth of what a message costs.
    #[inline(always)]
    fn route_found(
        &mut self,
        found: Result<usize, Lost>,
        from: LinkKey,
        to: &Destination,
        number: u64,
        message: Message,
        delivery: Option<DeliveryKey>,
    ) -> Option<Outcome> {
        let outcome = match found {
            Ok(route) => self.route_at(route, from, number, message, delivery),
            Err(lost) => self.lost(lost, number, to),
        };
        if let (Some(outcome), Some(_)) = (&outcome, delivery) {
            self.chronicle.told(number, outcome);
        }
        if matches!(to, Destination::Queue(_)) {
            self.starve_if_full(from, outcome.as_ref());
        }
        outcome
    }

    /// A message has no route. The outcome for its sender.
    fn lost(&mut self, lost: Lost, number: u64, to: &Destination) -> Option<Outcome> {
        let address = &*address_of(to);
        Some(match lost {
            Lost::Nobody => return self.unroutable(number, address),
            Lost::NoQueue => self.drop_message(number, address, Reason::NotFound, format!("no queue {address:?}")),
            Lost::Missing => {
                self.drop_message(number, "", Reason::InvalidField, "the message does not say where it goes")
            }
            Lost::Unreadable => self.drop_message(number, "", Reason::DecodeError, "the message cannot be read"),
        })
    }

    /// The route that a message is for, from a link that is attached to `own`.
    #[inline(always)]
    fn find(&mut self, own: Option<usize>, to: &Destination) -> Result<usize, Lost> {
        match to {
            Destination::Link => own.ok_or(Lost::Nobody),
            Destination::Named(address) => self.route_to(address.as_str()).ok_or(Lost::Nobody),
            // A link with an address says it for a message that does not.
            Destination::Missing => own.ok_or(Lost::Missing),
            Destination::Queue(address) => self.queue(address.as_str()).ok_or(Lost::NoQueue),
            // See `route_by_exchange`.
            Destination::Exchange(_) => Err(Lost::NoQueue),
            Destination::Unreadable => Err(Lost::Unreadable),
        }
    }

    /// Counts and records a message; its number.
    #[inline(always)]
    fn arrived(
        &mut self,
        from: LinkKey,
        to: &Destination,
        found: Result<usize, Lost>,
        message: &Message,
        settled: bool,
    ) -> u64 {
        let Some(route) = found.ok().and_then(|route| self.routes.get_mut(route)) else {
            return self.arrived_nowhere(from, &Arc::from(address_of(to)), message, settled);
        };
        route.arrived += 1;
        if !self.chronicle.is_on() {
            return self.chronicle.arrived_unseen();
        }
        let party = self.links.producer_mut(from).map(|producer| Party::new(from, &producer.name));
        self.chronicle.arrived(party, &route.address, settled, message)
    }

    /// Counts and records a message that is for no node; its number.
    fn arrived_nowhere(&mut self, from: LinkKey, address: &Arc<str>, message: &Message, settled: bool) -> u64 {
        self.past.count(address, 1);
        if !self.chronicle.is_on() {
            return self.chronicle.arrived_unseen();
        }
        let party = self.links.producer_mut(from).map(|producer| Party::new(from, &producer.name));
        self.chronicle.arrived(party, address, settled, message)
    }

    /// A message arrived at a route.
    #[inline(always)]
    fn route_at(
        &mut self,
        route: usize,
        from: LinkKey,
        number: u64,
        message: Message,
        delivery: Option<DeliveryKey>,
    ) -> Option<Outcome> {
        // Nearly always somebody waits for just this message. If not, there is more to think of.
        let taker = self.next_taker(route, &message);
        if let Some(taker) = taker
            && self.keeps_nothing(route)
        {
            self.pass_on(route, taker, number, message, delivery.is_none());
            return Some(Outcome::Accepted);
        }
        // A queue needs room for it even then, until it is settled.
        if (taker.is_none() || self.is_queue(route))
            && let Err(outcome) = self.admit(route, number, &message)
        {
            self.tidy(route);
            return outcome;
        }
        self.forward(from, route, taker, Numbered { number, message }, delivery)
    }

    /// Whether a message that nobody takes at once can be taken over; if not, what its sender is told.
    fn admit(&mut self, route_id: usize, number: u64, message: &Message) -> Result<(), Option<Outcome>> {
        let Some(route) = self.routes.get(route_id) else { return Err(None) };
        let address = route.address.clone();
        if !route.is_served() {
            return Err(self.unroutable(number, &address));
        }
        if !self.fits_somebody(route, message) {
            let why = format!("the message is larger than the receiver at {address:?} takes");
            return Err(Some(self.drop_message(number, &address, Reason::MessageSizeExceeded, why)));
        }
        let copied_to_all = route.distribution == Distribution::Multicast
            && route.consumers.iter().all(|key| self.links.taker(*key).is_some());
        if self.stored_bytes + Waiting::cost_of(message) > self.config.storage_limit && !copied_to_all {
            let why = format!("no room for it at {address:?}: the broker's storage limit is reached");
            return Err(Some(self.drop_message(number, &address, Reason::ResourceLimitExceeded, why)));
        }
        Ok(())
    }

    /// The route of an address that a message names. A queue needs nobody to be there.
    fn route_to(&mut self, address: &str) -> Option<usize> {
        let said = address;
        let node = RoutingConfig::node_at(said);
        let address = node.as_ref();
        if let Some(route) = self.addresses.get(address) {
            return Some(*route);
        }
        if address.is_empty() || self.config.distribution_at(said, address) != Distribution::Queue {
            return None;
        }
        let address: Arc<str> = address.into();
        let route = self.routes.insert(Route::new(address.clone(), Distribution::Queue, None));
        self.addresses.insert(address, route);
        Some(route)
    }

    /// Takes the message over: forwards what can be forwarded, lets the rest wait.
    fn forward(
        &mut self,
        from: LinkKey,
        route_id: usize,
        taker: Option<LinkKey>,
        Numbered { number, message }: Numbered,
        delivery: Option<DeliveryKey>,
    ) -> Option<Outcome> {
        let route = self.routes.get(route_id)?;
        let distribution = route.distribution;
        let settled = delivery.is_none();
        let origin = match delivery {
            Some(delivery) if self.config.settlement == Settlement::EndToEnd && distribution != Distribution::Queue => {
                let copies = match distribution {
                    Distribution::Multicast => self.fitting(route, &message).count(),
                    Distribution::Direct | Distribution::Anycast | Distribution::Queue => 1,
                };
                Some(self.origins.insert(Origin::new(number, from, delivery, copies)))
            }
            _ => None,
        };
        let waiting = Waiting { number, sequence: 0, message, settled, origin, shunned_by: None };
        match distribution {
            Distribution::Direct => self.counts.direct += 1,
            Distribution::Anycast => self.counts.topic += 1,
            Distribution::Queue => self.counts.queued += 1,
            Distribution::Multicast => self.counts.fanout += 1,
        }
        match distribution {
            Distribution::Multicast => self.copy_to_all(route_id, &waiting),
            Distribution::Direct | Distribution::Anycast | Distribution::Queue => {
                self.hand_out_or_keep(route_id, taker, waiting);
            }
        }
        if self.routes.get(route_id).is_some_and(Route::is_slow) {
            self.hold(from, route_id);
        }
        // End-to-end, its receiver decides.
        origin.is_none().then_some(Outcome::Accepted)
    }

    fn is_queue(&self, route_id: usize) -> bool {
        self.routes.get(route_id).is_some_and(|route| route.distribution == Distribution::Queue)
    }

    /// Forgets a route that nobody uses.
    fn tidy(&mut self, route_id: usize) {
        if self.routes.get(route_id).is_some_and(Route::is_unused) {
            self.forget_address(route_id);
            let route = self.routes.remove(route_id);
            self.past.count(&route.address, route.arrived);
        }
    }

    fn forget_address(&mut self, route_id: usize) {
        // Another route may have the address by now, if a dynamic node had it before.
        if let Some(route) = self.routes.get(route_id)
            && self.addresses.get(&route.address) == Some(&route_id)
        {
            self.addresses.remove(&route.address);
        }
        if self.is_queue(route_id) {
            self.unbind_queue(route_id);
        }
    }

    /// Gives a producer credit up to the window, unless something holds it back.
    #[inline(always)]
    fn top_up(&mut self, key: LinkKey) {
        let window = self.config.credit_window;
        let Some(producer) = self.links.producer_mut(key) else { return };
        if producer.held_by.is_empty()
            && !producer.withheld
            && !producer.starved
            && producer.credit <= window / 2
            && producer.credit < window
        {
            producer.credit = window;
            self.effects.push_back(Effect::Grant { link: key, credit: window });
        }
    }

    /// Gives a producer no more credit until the route has caught up.
    fn hold(&mut self, key: LinkKey, route_id: usize) {
        let Some(producer) = self.links.producer_mut(key) else { return };
        if producer.held_by.contains(&route_id) {
            return;
        }
        producer.held_by.push(route_id);
        if let Some(route) = self.routes.get_mut(route_id) {
            route.held.insert(key);
        }
    }

    /// The route has caught up.
    fn release_held(&mut self, route_id: usize) {
        let Some(route) = self.routes.get_mut(route_id) else { return };
        for key in std::mem::take(&mut route.held) {
            if let Some(producer) = self.links.producer_mut(key) {
                producer.held_by.retain(|by| *by != route_id);
            }
            self.top_up(key);
        }
    }

    /// Nobody is there for it.
    fn unroutable(&mut self, number: u64, address: &str) -> Option<Outcome> {
        let description = format!("no receiver at {address:?}");
        log::info!("dropped: {description}");
        self.counts.dropped += 1;
        if self.chronicle.is_on() {
            let why = format!("{description}{}", self.served_elsewhere());
            self.chronicle.dropped(number, address, why.into());
        }
        self.unroutable_outcome(description)
    }

    /// What the sender of a message is told that nobody gets.
    fn unroutable_outcome(&self, description: String) -> Option<Outcome> {
        use crate::config::Unroutable;
        match self.config.unroutable {
            Unroutable::Rejected => Some(Outcome::Rejected(Some(Box::new(Fault::new(Reason::NotFound, description))))),
            Unroutable::Released => Some(Outcome::Released),
            Unroutable::Modified => Some(Outcome::Modified(Modified { delivery_failed: true, ..Default::default() })),
            Unroutable::Silent => None,
        }
    }

    /// Where somebody receives, for a reader who wonders why nobody did here. A glance, not a search: it is made for each
    /// message that is dropped.
    fn served_elsewhere(&self) -> String {
        const GLANCE: usize = 64;
        const SHOWN: usize = 3;
        let routes = self.routes.iter().take(GLANCE).map(|(_, route)| route);
        let served = routes.filter(|route| !route.consumers.is_empty() && !route.ended).take(SHOWN);
        let names: Vec<String> = served.map(|route| format!("{:?}", route.address)).collect();
        if names.is_empty() {
            "; nobody receives anywhere".into()
        } else {
            format!("; receivers exist at {}", names.join(", "))
        }
    }

    fn drop_message(&mut self, number: u64, address: &str, reason: Reason, why: impl Into<Arc<str>>) -> Outcome {
        let why = why.into();
        log::info!("dropped: {why}");
        self.counts.dropped += 1;
        if self.chronicle.is_on() {
            self.chronicle.dropped(number, address, why.clone());
        }
        Outcome::Rejected(Some(Box::new(Fault::new(reason, why))))
    }

    /// Its sender is told, if there is something to tell.
    fn settle(&mut self, link: LinkKey, delivery: DeliveryKey, outcome: Option<Outcome>) {
        if let Some(outcome) = outcome {
            self.effects.push_back(Effect::Settle { link, delivery, outcome });
        }
    }
}

/// A message with the number that it has in the chronicle.
struct Numbered {
    number: u64,
    message: Message,
}

/// Why a message has no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// Nobody uses the address.
    Nobody,
    /// It is for queues alone, and none of them is there.
    NoQueue,
    /// It does not say where it goes.
    Missing,
    /// It cannot be read.
    Unreadable,
}

fn address_of(to: &Destination) -> Cow<'_, str> {
    match to {
        Destination::Named(address) => RoutingConfig::node_at(address.as_str()),
        Destination::Queue(address) => address.as_str().into(),
        Destination::Exchange(address) => {
            exchange_address(address.exchange(), address.key()).as_ref().to_owned().into()
        }
        Destination::Link | Destination::Missing | Destination::Unreadable => "".into(),
    }
}
