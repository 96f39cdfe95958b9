//! Changes to the router's state that a test asks for, made by the event loop between two events. Engines do not call them.

use std::sync::Arc;

use super::Router;
use super::context::{Incoming, unroutable_outcome};
use super::exchange::address_of;
use super::links::{End, Producer};
use crate::event::{
    Arrival, Declaration, DeliveryKey, Destination, Effect, Fault, LinkKey, Outcome, Reason, Run, Text, TopologyChange,
};
use crate::hooks::Ruling;
use crate::live::live;
use crate::message::Message;

impl Router {
    /// Counts and numbers a message that is not routed yet.
    fn take_in(&mut self, from: LinkKey, to: &Destination, message: &Message, settled: bool) -> u64 {
        let (sender, address) = self.passage(from, to, message);
        match self.addresses.find(&address).and_then(|id| self.addresses.get_mut(id)) {
            Some(entry) => entry.arrived += 1,
            None => self.addresses.count_lost(&address, 1),
        }
        let number = self.journal.next_number();
        self.journal.came(number, &sender, &address, settled, message);
        number
    }

    /// Takes over a message that is to be routed later, and returns its number. 0 for a message that goes to an exchange: that
    /// gets a number for each queue when it is routed.
    pub(crate) fn hold_up(&mut self, from: LinkKey, to: &Destination, message: &Message, settled: bool) -> u64 {
        let own = self.links.find_producer_mut(from).and_then(|producer| producer.node);
        if self.is_by_exchange(from, own, to) { 0 } else { self.take_in(from, to, message, settled) }
    }

    /// Routes a message that [`Router::hold_up`] took over.
    pub(crate) fn route_held(
        &mut self,
        from: LinkKey,
        to: &Destination,
        number: u64,
        message: Message,
        delivery: Option<DeliveryKey>,
    ) {
        if self.is_by_exchange(from, None, to) {
            self.route_one_by_exchange(from, to, Arrival { delivery, message });
        } else {
            self.route_numbered(from, to, Incoming { number, message, delivery });
        }
    }

    /// Drops a message that [`Router::hold_up`] took over.
    pub(crate) fn drop_held(&mut self, number: u64, address: &Arc<str>) {
        self.counts.dropped += 1;
        self.journal.dropped(number, address, "the broker stopped while a hook held it up");
    }

    /// Tops up the credit of a producer that has `left` credit, after a message of its that was not routed.
    pub(crate) fn resupply(&mut self, from: LinkKey, left: u32) {
        self.top_up(from, left);
    }

    /// Applies a hook's ruling to a message instead of routing it.
    pub(crate) fn rule(
        &mut self,
        from: LinkKey,
        to: &Destination,
        message: &Message,
        delivery: Option<DeliveryKey>,
        ruling: Ruling,
    ) {
        let (_, address) = self.passage(from, to, message);
        if self.journal.keeps_messages() {
            let routing = self.routing_of(from, to, message).ok().flatten();
            self.note_publish(to, routing.as_deref(), &[]);
        }
        let number = self.take_in(from, to, message, delivery.is_none());
        let outcome = match ruling {
            Ruling::Drop => {
                self.counts.dropped += 1;
                self.journal.dropped(number, &address, "a hook said so");
                unroutable_outcome(&self.config, format!("no receiver at {address:?}"))
            }
            Ruling::Settle(outcome) => {
                self.ruled(number, &address, outcome.name());
                Some(outcome)
            }
            Ruling::Ignore => {
                self.ruled(number, &address, "ignore");
                None
            }
        };
        if let (Some(delivery), Some(outcome)) = (delivery, outcome) {
            self.journal.told(number, &outcome);
            self.effects.settle(from, delivery, outcome);
        }
    }

    fn ruled(&mut self, number: u64, address: &Arc<str>, what: &'static str) {
        self.counts.decided += 1;
        self.journal.ruled(number, address, what);
    }

    /// Routes an unsettled message from the test. Returns the outcome that a client would have been sent at once.
    pub(crate) fn inject(&mut self, address: Text, message: Message) -> Option<Outcome> {
        self.inject_to(&Destination::Named(address), message)
    }

    /// Routes an unsettled message from the test by an exchange: see [`Router::inject`].
    pub(crate) fn inject_by(&mut self, exchange: &str, key: &str, message: Message) -> Option<Outcome> {
        let to = match exchange {
            "" => Destination::Queue(Text::from(key)),
            _ => Destination::Named(Text::from(&*address_of(exchange, key))),
        };
        self.inject_to(&to, message)
    }

    fn inject_to(&mut self, to: &Destination, message: Message) -> Option<Outcome> {
        // No link has this key. The outcome for it comes last among the effects, if there is one.
        let nobody = LinkKey::NOBODY;
        let mut run = Run::default();
        run.arrivals.push(Arrival { delivery: Some(DeliveryKey(0)), message });
        self.route(nobody, to, &mut run);
        self.effects.take_settled(nobody)
    }

    /// Purges an address. Returns the number of messages.
    pub(crate) fn purge(&mut self, address: &str) -> usize {
        let Some(id) = self.addresses.find(address) else { return 0 };
        let purged = self.work(id, |node, context| node.purge(context)).unwrap_or(0);
        self.carry_on(id);
        self.tidy(id);
        purged
    }

    /// Purges all addresses.
    pub(crate) fn purge_all(&mut self) {
        let addresses: Vec<Arc<str>> = self.addresses.iter().map(|(_, entry)| entry.address.clone()).collect();
        for address in addresses {
            self.purge(&address);
        }
    }

    /// Declares a queue for the test.
    pub(crate) fn declare_queue(&mut self, declaration: Declaration) -> Result<(), Fault> {
        self.try_declare(LinkKey::NOBODY, declaration).map(|_| ())
    }

    /// Deletes a queue for the test. Returns how many messages waited there; 0 if there is no such queue, as in RabbitMQ.
    pub(crate) fn delete_queue(&mut self, address: &str) -> Result<usize, Fault> {
        match self.try_delete(LinkKey::NOBODY, address, false, false) {
            Ok(Effect::Deleted { messages, .. }) => Ok(messages),
            Ok(_) => Ok(0),
            Err(fault) if fault.reason == Reason::NotFound => Ok(0),
            Err(fault) => Err(fault),
        }
    }

    /// Changes exchanges or bindings for the test.
    pub(crate) fn change_for_test(&mut self, change: TopologyChange) -> Result<(), Fault> {
        let gone = self.try_change(LinkKey::NOBODY, change)?;
        self.exchanges_gone(&gone);
        Ok(())
    }

    fn producers_at(&self, address: &str) -> Vec<LinkKey> {
        let id = self.addresses.find(address);
        let is_there = |end: &End| match end {
            End::Producer(Producer { exchange: Some(exchange), .. }) => exchange.address.as_ref() == address,
            End::Producer(producer) => producer.node.is_some() && producer.node == id,
            End::Consumer(_) => false,
        };
        self.links.iter().filter(|(_, end)| is_there(end)).map(|(key, _)| key).collect()
    }

    /// Takes the credit of all producers at an address, now and in future. They are given credit by [`Router::grant`] alone.
    pub(crate) fn withhold(&mut self, address: &str) {
        self.withheld.insert(address.into());
        for key in self.producers_at(address) {
            if let Some(producer) = live(self.links.find_producer_mut(key), "a producer") {
                producer.withheld = true;
                self.effects.push(Effect::Grant { link: key, credit: 0 });
            }
        }
    }

    /// Gives every producer at an address `credit` more, once.
    pub(crate) fn grant(&mut self, address: &str, credit: u32) {
        for key in self.producers_at(address) {
            self.effects.push(Effect::GrantMore { link: key, credit });
        }
    }

    /// Gives the producers at an address credit automatically again.
    pub(crate) fn restore(&mut self, address: &str) {
        self.withheld.remove(address);
        for key in self.producers_at(address) {
            if let Some(producer) = live(self.links.find_producer_mut(key), "a producer") {
                producer.withheld = false;
            }
            self.top_up(key, 0);
        }
    }

    /// Refuses an attach.
    pub(crate) fn refuse(&mut self, key: LinkKey, fault: Fault) {
        self.effects.push(Effect::Refused { link: key, fault: Box::new(fault) });
    }

    /// Detaches a link.
    pub(crate) fn detach_link(&mut self, key: LinkKey, fault: Fault) {
        self.effects.push(Effect::Detach { link: key, fault: Box::new(fault) });
    }
}
