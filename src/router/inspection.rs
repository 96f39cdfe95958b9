//! What a test sees of the router's state, and what it may change: asked by the event loop between two events, never by an
//! engine.

use std::sync::Arc;

use super::links::{End, Producer};
use super::{Router, address_of};
use crate::event::{ConnectionId, DeliveryKey, Destination, Effect, Fault, LinkKey, Node, Outcome, Text};
use crate::hooks::Ruling;
use crate::message::Message;
use crate::recorder::{LinkName as Party, Recorder as Chronicle};
use crate::snapshot::{Link, Role, Route};

impl Router {
    /// What happened.
    pub(crate) fn chronicle(&self) -> &Chronicle {
        &self.chronicle
    }

    /// Likewise, to tell it more.
    pub(crate) fn chronicle_mut(&mut self) -> &mut Chronicle {
        &mut self.chronicle
    }

    /// All links, in the order of their connections, with what the router knows of them.
    pub(crate) fn links(&self) -> Vec<Link> {
        let mut links: Vec<Link> = self.links.iter().map(|(key, end)| self.picture(key, end)).collect();
        links.sort_by_key(|link| (link.connection, link.key.link.serial));
        links
    }

    fn picture(&self, key: LinkKey, end: &End) -> Link {
        let (name, role, route, credit, waiting) = match end {
            End::Producer(producer) => (&producer.name, Role::Sender, producer.route, producer.credit, 0),
            End::Consumer(consumer) => {
                (&consumer.name, Role::Receiver, Some(consumer.route), consumer.credit, consumer.backlog.len())
            }
        };
        let address = match route.and_then(|route| self.routes.get(route)) {
            Some(route) => Some(&route.address),
            None => self.terminus_of(key).map(|terminus| &terminus.address),
        };
        Link {
            key,
            connection: ConnectionId::of(key.connection),
            name: name.as_ref().to_owned(),
            role,
            address: address.map(|address| address.as_ref().to_owned()),
            credit,
            unsettled: 0,
            waiting,
            is_aside: matches!(end, End::Consumer(consumer) if consumer.passing),
        }
    }

    /// A link that is about to be attached, as it will look.
    pub(crate) fn preview(key: LinkKey, name: &str, role: Role, node: &Node) -> Link {
        Link {
            key,
            connection: ConnectionId::of(key.connection),
            name: name.to_owned(),
            role,
            address: match node {
                Node::Address(address) | Node::Queue(address) => Some(address.as_ref().to_owned()),
                Node::Dynamic(_) | Node::Anonymous => None,
            },
            credit: 0,
            unsettled: 0,
            waiting: 0,
            is_aside: false,
        }
    }

    /// All addresses in use, by name.
    pub(crate) fn routes(&self) -> Vec<Route> {
        let mut routes: Vec<Route> = self
            .routes
            .iter()
            .map(|(_, route)| Route {
                address: route.address.as_ref().to_owned(),
                distribution: route.distribution,
                senders: route.producers,
                receivers: route.consumers.len() + route.browsers.len(),
                waiting: route.store.len(),
                arrived: route.arrived,
            })
            .collect();
        routes.sort_by(|a, b| a.address.cmp(&b.address));
        routes
    }

    fn route_named(&self, address: &str) -> Option<&super::Route> {
        self.addresses.get(address).and_then(|route| self.routes.get(*route))
    }

    /// Messages that wait at an address.
    pub(crate) fn depth(&self, address: &str) -> usize {
        self.route_named(address).map_or(0, |route| route.store.len())
    }

    /// Links that receive from an address.
    pub(crate) fn receivers_at(&self, address: &str) -> usize {
        self.route_named(address).map_or(0, |route| route.consumers.len() + route.browsers.len())
    }

    /// Messages that have arrived for an address.
    pub(crate) fn arrived_at(&self, address: &str) -> u64 {
        let now = self.route_named(address).map_or(0, |route| route.arrived);
        now + self.past.of(address)
    }

    /// What a link's message is shown as before it is routed: who sends it, and where it is for.
    pub(crate) fn passage(&mut self, from: LinkKey, to: &Destination, message: &Message) -> (Option<Party>, Arc<str>) {
        let producer = self.links.producer_mut(from);
        let party = producer.as_ref().map(|producer| Party::new(from, &producer.name));
        let own = producer.and_then(|producer| producer.route);
        if self.is_by_exchange(from, own, to) {
            return (party, self.address_by_exchange(from, to, message));
        }
        let address = match (to, own.and_then(|route| self.routes.get(route))) {
            (Destination::Link | Destination::Missing, Some(route)) => route.address.clone(),
            _ => address_of(to).into(),
        };
        (party, address)
    }

    /// Takes in a message that goes on later. Its number: 0 for one that goes by an exchange, which may make several of it then.
    pub(crate) fn hold_up(&mut self, from: LinkKey, to: &Destination, message: &Message, settled: bool) -> u64 {
        let own = self.links.producer_mut(from).and_then(|producer| producer.route);
        if !self.is_by_exchange(from, own, to) {
            return self.take_in(from, to, message, settled);
        }
        if let Some(producer) = self.links.producer_mut(from) {
            producer.credit = producer.credit.saturating_sub(1);
        }
        self.top_up(from);
        0
    }

    /// A message has arrived and is not routed yet. Its number.
    fn take_in(&mut self, from: LinkKey, to: &Destination, message: &Message, settled: bool) -> u64 {
        let (party, address) = self.passage(from, to, message);
        if let Some(producer) = self.links.producer_mut(from) {
            producer.credit = producer.credit.saturating_sub(1);
        }
        match self.addresses.get(&address).and_then(|route| self.routes.get_mut(*route)) {
            Some(route) => route.arrived += 1,
            None => self.past.count(&address, 1),
        }
        let number = self.chronicle.arrived(party, &address, settled, message);
        self.top_up(from);
        number
    }

    /// Routes a message that was taken in before.
    pub(crate) fn route_held(
        &mut self,
        from: LinkKey,
        to: Destination,
        number: u64,
        message: Message,
        delivery: Option<DeliveryKey>,
    ) {
        let outcome = if self.is_by_exchange(from, None, &to) {
            self.route_by_exchange(from, &to, message, delivery)
        } else {
            let found = self.find(None, &to);
            self.route_found(found, from, &to, number, message, delivery)
        };
        if let Some(delivery) = delivery {
            self.settle(from, delivery, outcome);
        }
    }

    /// A message that was taken in before goes nowhere.
    pub(crate) fn drop_held(&mut self, number: u64, address: &str) {
        self.counts.dropped += 1;
        self.chronicle.dropped(number, address, "the broker stopped while a hook held it up".into());
    }

    /// Does with a message what a hook said instead of routing it.
    pub(crate) fn rule(
        &mut self,
        from: LinkKey,
        to: &Destination,
        message: &Message,
        delivery: Option<DeliveryKey>,
        ruling: Ruling,
    ) {
        let (_, address) = self.passage(from, to, message);
        let number = self.take_in(from, to, message, delivery.is_none());
        let outcome = match ruling {
            Ruling::Drop => self.drop_ruled(number, &address),
            Ruling::Settle(outcome) => {
                self.counts.decided += 1;
                self.chronicle.ruled(number, &address, outcome.name());
                Some(outcome)
            }
            Ruling::Ignore => {
                self.counts.decided += 1;
                self.chronicle.ruled(number, &address, "ignore");
                None
            }
        };
        if let Some(delivery) = delivery {
            outcome.iter().for_each(|outcome| self.chronicle.told(number, outcome));
            self.settle(from, delivery, outcome);
        }
    }

    fn drop_ruled(&mut self, number: u64, address: &str) -> Option<Outcome> {
        self.counts.dropped += 1;
        self.chronicle.dropped(number, address, "a hook said so".into());
        self.unroutable_outcome(format!("no receiver at {address:?}"))
    }

    /// Puts a message in as if a client had sent it, unsettled. What the client would have been told at once.
    pub(crate) fn inject(&mut self, address: Text, message: Message) -> Option<Outcome> {
        // No link has this name, so nobody is told.
        let nobody = LinkKey::NOBODY;
        self.route(nobody, Destination::Named(address), message, Some(DeliveryKey(0)))
    }

    /// Takes out what waits at an address. How many messages that was.
    pub(crate) fn purge(&mut self, address: &str) -> usize {
        let Some(route_id) = self.addresses.get(address).copied() else { return 0 };
        let purged = self.empty(route_id) + self.empty_backlogs(route_id);
        self.carry_on(route_id);
        self.tidy(route_id);
        purged
    }

    /// Takes out the copies that wait for single consumers. How many that was.
    fn empty_backlogs(&mut self, route_id: usize) -> usize {
        let Some(route) = self.routes.get(route_id) else { return 0 };
        let (address, consumers) = (route.address.clone(), route.consumers.clone());
        let mut purged = 0;
        for key in consumers {
            while let Some(copy) = self.links.consumer_mut(key).and_then(|consumer| consumer.backlog.pop()) {
                purged += 1;
                self.stored_bytes -= copy.cost();
                self.chronicle.lost(copy.number, &address, "purged");
                if let Some(origin) = copy.origin {
                    self.resolve(origin, Outcome::Released);
                }
            }
            self.weigh_backlog(key);
        }
        purged
    }

    /// Forgets all that is stored.
    pub(crate) fn purge_all(&mut self) {
        let addresses: Vec<Arc<str>> = self.addresses.keys().cloned().collect();
        for address in addresses {
            self.purge(&address);
        }
    }

    fn producers_at(&self, address: &str) -> Vec<LinkKey> {
        let route = self.addresses.get(address).copied();
        let is_there = |end: &End| match end {
            End::Producer(Producer { exchange: Some(exchange), .. }) => exchange.address.as_ref() == address,
            End::Producer(producer) => producer.route.is_some() && producer.route == route,
            End::Consumer(_) => false,
        };
        self.links.iter().filter(|(_, end)| is_there(end)).map(|(key, _)| key).collect()
    }

    /// From now on who sends to this address gets credit only by [`Router::grant`]; what it had is taken back.
    pub(crate) fn withhold(&mut self, address: &str) {
        self.withheld.insert(address.into());
        for key in self.producers_at(address) {
            if let Some(producer) = self.links.producer_mut(key) {
                producer.withheld = true;
                producer.credit = 0;
                self.effects.push_back(Effect::Grant { link: key, credit: 0 });
            }
        }
    }

    /// Who sends to this address gets this much more credit, once.
    pub(crate) fn grant(&mut self, address: &str, credit: u32) {
        for key in self.producers_at(address) {
            if let Some(producer) = self.links.producer_mut(key) {
                producer.credit = producer.credit.saturating_add(credit);
                self.effects.push_back(Effect::Grant { link: key, credit: producer.credit });
            }
        }
    }

    /// Who sends to this address gets credit as usual again.
    pub(crate) fn restore(&mut self, address: &str) {
        self.withheld.remove(address);
        for key in self.producers_at(address) {
            if let Some(producer) = self.links.producer_mut(key) {
                producer.withheld = false;
            }
            self.top_up(key);
        }
    }

    /// Whether a link is attached.
    pub(crate) fn has(&self, key: LinkKey) -> bool {
        self.links.end(key).is_some()
    }

    /// The attach does not hold.
    pub(crate) fn refuse(&mut self, key: LinkKey, fault: Fault) {
        self.effects.push_back(Effect::Refused { link: key, fault: Box::new(fault) });
    }

    /// The link ends.
    pub(crate) fn detach_link(&mut self, key: LinkKey, fault: Fault) {
        self.effects.push_back(Effect::Detach { link: key, fault: Box::new(fault) });
    }
}
