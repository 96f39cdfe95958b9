//! Routing of every message, whether a client, a test or a delayed hook sends it. Counts and numbers the message, finds its
//! node, and passes the outcome to its sender.

use std::borrow::Cow;
use std::sync::Arc;

use super::Router;
use super::context::{self, Answers, Incoming};
use super::exchange;
use super::links::NodeId;
use crate::config::{Distribution, RoutingConfig};
use crate::event::{Arrival, DeliveryKey, Destination, Effect, Fault, LinkKey, NamedLink, Outcome, Reason, Run};
use crate::message::Message;

/// The reason why a message has no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// No node at the address.
    Nobody,
    /// Addressed to a queue that does not exist.
    NoQueue,
    /// No address in the message or on the link.
    Missing,
    /// The message cannot be decoded.
    Unreadable,
}

impl Router {
    /// Routes messages that arrived together from one link for one destination. Empties the run.
    pub(super) fn route(&mut self, from: LinkKey, to: &Destination, run: &mut Run) {
        // A test sends under a key that is no link's.
        let own = self.links.find_producer_mut(from).and_then(|producer| producer.node);
        if self.is_by_exchange(from, own, to) {
            return self.route_by_exchange(from, to, run);
        }
        match self.find(own, to) {
            Ok(id) => self.offer_all(id, from, to, run),
            Err(lost) => {
                let address = Arc::from(address_of(to));
                if let Some((exchange, key)) = to.exchange_and_key() {
                    self.journal.published(exchange, key, run.arrivals.len(), &[]);
                }
                for Arrival { delivery, message } in run.arrivals.drain(..) {
                    let number = self.arrived_nowhere(from, &address, &message, delivery.is_none());
                    self.lose(lost, number, &address, from, delivery);
                }
            }
        }
    }

    /// Offers messages to one node.
    pub(super) fn offer_all(&mut self, id: NodeId, from: LinkKey, to: &Destination, run: &mut Run) {
        let sender = self.sender(from);
        let Some(entry) = self.addresses.get_mut(id) else { return };
        let address = entry.address.clone();
        entry.arrived += run.arrivals.len() as u64;
        let is_ended = entry.ended;
        if self.journal.keeps_messages()
            && let Some((exchange, key)) = to.exchange_and_key()
        {
            self.journal.published(exchange, key, run.arrivals.len(), &[&address]);
        }
        let mut unserved = Vec::new();
        self.work(id, |node, context| {
            let mut answers = Answers::Sender(from);
            if !is_ended {
                node.forward_run(&mut run.arrivals, from, &sender, context);
            }
            for Arrival { delivery, message } in run.arrivals.drain(..) {
                let number = context.journal.next_number();
                if context.journal.is_on() {
                    context.journal.came(number, &sender, &address, delivery.is_none(), &message);
                }
                let incoming = Incoming { number, message, delivery };
                let refused = match is_ended {
                    true => Err(incoming),
                    false => node.offer(incoming, &mut answers, context),
                };
                unserved.extend(refused.err());
            }
        });
        self.after_offer(id, from, to, unserved);
    }

    /// Routes a message that was counted and numbered before.
    pub(super) fn route_numbered(&mut self, from: LinkKey, to: &Destination, incoming: Incoming) {
        let id = match self.find(None, to) {
            Ok(id) => id,
            Err(lost) => {
                let address = Arc::from(address_of(to));
                return self.lose(lost, incoming.number, &address, from, incoming.delivery);
            }
        };
        let is_ended = self.addresses.get(id).is_some_and(|entry| entry.ended);
        let refused = self.work(id, |node, context| match is_ended {
            true => Err(incoming),
            false => node.offer(incoming, &mut Answers::Sender(from), context),
        });
        self.after_offer(id, from, to, refused.and_then(Result::err).into_iter().collect());
    }

    /// Completes an offer: drops the messages that had no consumer, and takes credit from a producer that is too fast for the
    /// node or the budget.
    fn after_offer(&mut self, id: NodeId, from: LinkKey, to: &Destination, unserved: Vec<Incoming>) {
        let nobody = !unserved.is_empty();
        for Incoming { number, delivery, .. } in unserved {
            let elsewhere = if self.journal.is_on() { self.served_elsewhere() } else { String::new() };
            let outcome = self.work(id, |_, context| context.unroutable(number, || elsewhere)).flatten();
            self.tell(from, number, delivery, outcome);
        }
        if nobody {
            self.tidy(id);
            return;
        }
        let limit = self.config.backlog_limit;
        if self.addresses.get_mut(id).is_some_and(|entry| entry.node.is_slow(limit)) {
            self.hold(from, id);
        }
        if std::mem::take(&mut self.is_full) && to.is_published() {
            self.starve(from);
        }
    }

    /// Finds the node for a destination. `own` is the node that the link is attached to.
    fn find(&mut self, own: Option<NodeId>, to: &Destination) -> Result<NodeId, Lost> {
        match to {
            Destination::Link => own.ok_or(Lost::Nobody),
            Destination::Named(address) => self.node_named(address.as_str()).ok_or(Lost::Nobody),
            // Without a `to` the address of the link counts.
            Destination::Missing => own.ok_or(Lost::Missing),
            Destination::Queue(address) => self.queue(address.as_str()).ok_or(Lost::NoQueue),
            // `topology.rs` routes these.
            Destination::Exchange(_) | Destination::Keys(_) => Err(Lost::NoQueue),
            Destination::Unreadable => Err(Lost::Unreadable),
        }
    }

    /// Finds the node of an address that a message names. A queue is made if there is none, other kinds of node are not.
    fn node_named(&mut self, said: &str) -> Option<NodeId> {
        let address = RoutingConfig::node_at(said);
        if let Some(id) = self.addresses.find(&address) {
            return Some(id);
        }
        if address.is_empty() || self.config.distribution_at(said, &address) != Distribution::Queue {
            return None;
        }
        Some(self.add_node(address.into(), Distribution::Queue, None))
    }

    /// Drops a message that has no node, and sends its sender the outcome.
    fn lose(&mut self, lost: Lost, number: u64, address: &Arc<str>, from: LinkKey, delivery: Option<DeliveryKey>) {
        let nowhere = Arc::from("");
        let outcome = match lost {
            Lost::Nobody => {
                let elsewhere = if self.journal.is_on() { self.served_elsewhere() } else { String::new() };
                let Router { config, counts, journal, .. } = self;
                context::unroutable(config, counts, journal, address, number, || elsewhere)
            }
            Lost::NoQueue => {
                Some(self.refuse_nowhere(number, address, Reason::NotFound, format!("no queue {address:?}")))
            }
            Lost::Missing => {
                let why = "the message does not say where it goes".into();
                Some(self.refuse_nowhere(number, &nowhere, Reason::InvalidField, why))
            }
            Lost::Unreadable => {
                let why = "the message cannot be read".into();
                Some(self.refuse_nowhere(number, &nowhere, Reason::DecodeError, why))
            }
        };
        self.tell(from, number, delivery, outcome);
    }

    /// Sends the sender of a message that could not be routed its outcome. If the message came settled, an anonymous producer is
    /// sent [`Effect::Unroutable`] instead.
    pub(super) fn tell(&mut self, from: LinkKey, number: u64, delivery: Option<DeliveryKey>, outcome: Option<Outcome>) {
        match (delivery, outcome) {
            (Some(delivery), Some(outcome)) => {
                self.journal.told(number, &outcome);
                self.effects.settle(from, delivery, outcome);
            }
            // A message that cannot be decoded has no address to be reported.
            (None, Some(Outcome::Rejected(Some(fault))))
                if fault.reason != Reason::DecodeError && self.sending == Some(from) && self.is_anonymous(from) =>
            {
                self.effects.push(Effect::Unroutable { link: from, fault });
            }
            _ => {}
        }
    }

    fn is_anonymous(&mut self, from: LinkKey) -> bool {
        let producer = self.links.find_producer_mut(from);
        producer.is_some_and(|producer| producer.node.is_none() && producer.exchange.is_none())
    }

    /// Counts and numbers a message that has no node.
    pub(super) fn arrived_nowhere(
        &mut self,
        from: LinkKey,
        address: &Arc<str>,
        message: &Message,
        settled: bool,
    ) -> u64 {
        self.addresses.count_lost(address, 1);
        let number = self.journal.next_number();
        if self.journal.is_on() {
            let sender = self.sender(from);
            self.journal.came(number, &sender, address, settled, message);
        }
        number
    }

    pub(super) fn refuse_nowhere(&mut self, number: u64, address: &Arc<str>, reason: Reason, why: String) -> Outcome {
        log::info!("dropped: {why}");
        self.counts.dropped += 1;
        self.journal.dropped(number, address, &why);
        Outcome::Rejected(Some(Box::new(Fault::new(reason, why))))
    }

    /// Returns the sender for records. None for a test's message, and if no records are kept.
    pub(super) fn sender(&mut self, from: LinkKey) -> Option<NamedLink> {
        if !self.journal.is_on() {
            return None;
        }
        self.links.find_producer_mut(from).map(|producer| NamedLink { link: from, name: producer.name.clone() })
    }

    /// Names a few addresses that have consumers, for the record of a message that had none. Looks at a limited number of
    /// addresses, because this runs for every dropped message.
    fn served_elsewhere(&self) -> String {
        const GLANCE: usize = 64;
        const SHOWN: usize = 3;
        let entries = self.addresses.iter().take(GLANCE).map(|(_, entry)| entry);
        let served = entries.filter(|entry| entry.node.consumers() > 0 && !entry.ended).take(SHOWN);
        let names: Vec<String> = served.map(|entry| format!("{:?}", entry.address)).collect();
        if names.is_empty() {
            "; nobody receives anywhere".into()
        } else {
            format!("; receivers exist at {}", names.join(", "))
        }
    }
}

/// Returns the address of a destination as it is counted and shown.
pub(super) fn address_of(to: &Destination) -> Cow<'_, str> {
    match to {
        Destination::Named(address) => RoutingConfig::node_at(address.as_str()),
        Destination::Queue(address) => address.as_str().into(),
        Destination::Exchange(address) => {
            exchange::address_of(address.exchange(), address.key()).as_ref().to_owned().into()
        }
        Destination::Keys(several) if several.exchange.is_empty() => several.key().into(),
        Destination::Keys(several) => exchange::address_of(&several.exchange, several.key()).as_ref().to_owned().into(),
        Destination::Link | Destination::Missing | Destination::Unreadable => "".into(),
    }
}
