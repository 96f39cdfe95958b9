//! Queues that peers declare, delete and purge, and consumers that step aside. What is done with messages is `route.rs`.

use std::collections::HashSet;
use std::sync::Arc;

use super::exchange::{Exchanges, Named, check_arguments, check_field, is_exchange_path};
use super::{
    ConnectionKey, ConsumerRequest, Destination, Distribution, Effect, Fault, LinkKey, Node, Outcome, Reason, Route,
    Router,
};
use crate::arguments::Arguments;
use crate::event::{Declaration, DeliveryKey};
use crate::message::Message;

/// With this many addresses in use no queue is added to them by declaring it (our choice).
const MAX_ROUTES: usize = 65_536;

/// A queue that somebody has declared: it stays when nobody uses it.
#[derive(Debug)]
pub(super) struct Declared {
    while_consumed: bool,
    durable: bool,
    /// The connection whose alone it is.
    owner: Option<ConnectionKey>,
    arguments: Arguments,
}

impl Declared {
    /// Refuses a second declaration that does not say the same as the first.
    fn check_equivalent(&self, address: &str, other: &Declared) -> Result<(), Fault> {
        let what = Named::Queue(address);
        if self.owner != other.owner {
            return Err(locked(address));
        }
        check_field(what, "durable", self.durable, other.durable)?;
        check_field(what, "auto_delete", self.while_consumed, other.while_consumed)?;
        check_arguments(what, &self.arguments, &other.arguments)
    }
}

impl Route {
    /// Whether a connection is kept out, since the queue is another's alone.
    fn is_locked_for(&self, connection: ConnectionKey) -> bool {
        let owner = self.declared.as_ref().and_then(|declared| declared.owner);
        owner.is_some_and(|owner| owner != connection)
    }
}

fn no_queue(address: &str) -> Fault {
    Named::Queue(address).not_found()
}

/// The queue is another connection's alone, or is not and should be.
fn locked(address: &str) -> Fault {
    let text = format!(
        "cannot obtain exclusive access to locked {}. It could be originally declared on another connection or the \
         exclusive property value does not match that of the original declaration.",
        Named::Queue(address)
    );
    Fault::new(Reason::ResourceLocked, text)
}

impl Router {
    /// The route of a queue, if there is one with this address.
    pub(super) fn queue(&self, address: &str) -> Option<usize> {
        let route_id = *self.addresses.get(address)?;
        let route = self.routes.get(route_id)?;
        (route.distribution == Distribution::Queue && !route.ended).then_some(route_id)
    }

    /// The same, for a connection that wants to do something with it.
    pub(super) fn queue_for(&self, address: &str, connection: ConnectionKey) -> Result<usize, Fault> {
        let route_id = self.queue(address).ok_or_else(|| no_queue(address))?;
        match self.routes.get(route_id).is_some_and(|route| route.is_locked_for(connection)) {
            true => Err(locked(address)),
            false => Ok(route_id),
        }
    }

    pub(super) fn answer_with(&mut self, link: LinkKey, answer: Result<Effect, Fault>) {
        let effect = answer.unwrap_or_else(|fault| Effect::Refused { link, fault: Box::new(fault) });
        self.effects.push_back(effect);
    }

    pub(super) fn declare(&mut self, link: LinkKey, declaration: Declaration) {
        let answer = self.try_declare(link, declaration);
        self.answer_with(link, answer);
    }

    fn try_declare(&mut self, link: LinkKey, declaration: Declaration) -> Result<Effect, Fault> {
        let address = match declaration.address {
            Some(address) if !declaration.passive => {
                Exchanges::check_name("queue", &address)?;
                address
            }
            Some(address) => address,
            None => self.generate_queue_name(),
        };
        let route_id = match self.addresses.get(&address) {
            Some(_) => self.declared_before(link, &address, declaration.passive)?,
            None if declaration.passive => return Err(no_queue(&address)),
            None if self.routes.len() >= MAX_ROUTES => {
                return Err(Fault::new(Reason::ResourceLimitExceeded, "too many queues"));
            }
            None => self.add_queue(&address),
        };
        if !declaration.passive {
            let declared = Declared {
                while_consumed: declaration.lifetime.while_consumed,
                durable: declaration.durable,
                owner: declaration.lifetime.exclusive.then_some(link.connection),
                arguments: declaration.arguments,
            };
            let result = self.declare_as(route_id, &address, declared);
            self.tidy(route_id);
            result?;
        }
        let Some(route) = self.routes.get(route_id) else { return Err(no_queue(&address)) };
        let (messages, consumers) = (route.store.len(), route.consumers.len());
        Ok(Effect::Declared { link, address, messages, consumers })
    }

    /// The queue that has an address already, if the connection may have it.
    fn declared_before(&self, link: LinkKey, address: &str, passive: bool) -> Result<usize, Fault> {
        match self.queue(address) {
            Some(_) if passive => self.queue_for(address, link.connection),
            // Whether it may be declared again depends on all that was said the first time.
            Some(route_id) => Ok(route_id),
            None => {
                let reason = if passive { Reason::NotFound } else { Reason::PreconditionFailed };
                Err(Fault::new(reason, format!("{address:?} is there and is no queue")))
            }
        }
    }

    fn add_queue(&mut self, address: &Arc<str>) -> usize {
        let route_id = self.routes.insert(Route::new(address.clone(), Distribution::Queue, None));
        self.addresses.insert(address.clone(), route_id);
        route_id
    }

    /// A queue's name that nobody has.
    fn generate_queue_name(&mut self) -> Arc<str> {
        self.generated += 1;
        format!("amq.gen-{:08x}-{}", self.salt >> 32, self.generated).into()
    }

    /// Declares a queue that is there: for the first time, made just now or by who attached to it, or again.
    fn declare_as(&mut self, route_id: usize, address: &Arc<str>, declared: Declared) -> Result<(), Fault> {
        let Some(route) = self.routes.get_mut(route_id) else { return Err(no_queue(address)) };
        if let Some(before) = &route.declared {
            return before.check_equivalent(address, &declared);
        }
        self.exchanges.charge(declared.arguments.cost())?;
        if let Some(owner) = declared.owner {
            self.owned.entry(owner).or_default().insert(address.clone());
        }
        route.declared = Some(declared);
        Ok(())
    }

    pub(super) fn delete(&mut self, link: LinkKey, address: &str, if_unused: bool, if_empty: bool) {
        let answer = self.try_delete(link, address, if_unused, if_empty);
        self.answer_with(link, answer);
    }

    fn try_delete(&mut self, link: LinkKey, address: &str, if_unused: bool, if_empty: bool) -> Result<Effect, Fault> {
        let route_id = self.queue_for(address, link.connection)?;
        let Some(route) = self.routes.get(route_id) else { return Err(no_queue(address)) };
        let refusal = if if_unused && !route.consumers.is_empty() {
            Some(format!("{} in use", Named::Queue(address)))
        } else if if_empty && !route.store.is_empty() {
            Some(format!("{} not empty", Named::Queue(address)))
        } else {
            None
        };
        match refusal {
            Some(what) => Err(Fault::new(Reason::PreconditionFailed, what)),
            None => Ok(Effect::Deleted { link, messages: self.end_queue(route_id) }),
        }
    }

    pub(super) fn purge_for(&mut self, link: LinkKey, address: &str) {
        let answer = self
            .queue_for(address, link.connection)
            .map(|route_id| Effect::Purged { link, messages: self.empty(route_id) });
        self.answer_with(link, answer);
    }

    /// Throws away what waits; how many messages that was.
    pub(super) fn empty(&mut self, route_id: usize) -> usize {
        let mut messages = 0;
        while let Some(route) = self.routes.get_mut(route_id)
            && let Some(waiting) = route.store.take()
        {
            messages += 1;
            self.stored_bytes -= waiting.cost();
            self.chronicle.dropped(waiting.number, &route.address, "purged".into());
            if let Some(origin) = waiting.origin {
                self.resolve(origin, Outcome::Released);
            }
        }
        messages
    }

    /// A queue is no more: those who consume from it are told, what waits is thrown away; how many messages that was.
    fn end_queue(&mut self, route_id: usize) -> usize {
        let messages = self.empty(route_id);
        self.forget_address(route_id);
        let Some(route) = self.routes.get_mut(route_id) else { return messages };
        route.ended = true;
        let declared = route.declared.take();
        self.exchanges.refund(declared.as_ref().map_or(0, |declared| declared.arguments.cost()));
        let (address, consumers) =
            (route.address.clone(), [&route.consumers[..], &route.browsers, &route.aside].concat());
        if let Some(owned) = declared.and_then(|declared| self.owned.get_mut(&declared.owner?)) {
            owned.remove(&address);
        }
        let fault = Fault::new(Reason::ResourceDeleted, format!("queue {address:?} is no more"));
        for link in consumers {
            self.effects.push_back(Effect::Detach { link, fault: Box::new(fault.clone()) });
        }
        self.tidy(route_id);
        messages
    }

    /// A consumer has left: the queue goes with the last one, if that is how long it lives.
    pub(super) fn end_if_deserted(&mut self, route_id: usize) {
        let deserted = self.routes.get(route_id).is_some_and(|route| {
            route.declared.as_ref().is_some_and(|declared| declared.while_consumed)
                && route.consumers.is_empty()
                && route.browsers.is_empty()
        });
        if deserted {
            self.end_queue(route_id);
        }
    }

    /// What was a connection's alone goes with it.
    pub(super) fn end_owned(&mut self, connection: ConnectionKey) {
        for address in self.owned.remove(&connection).unwrap_or_default() {
            if let Some(route_id) = self.queue(&address) {
                self.end_queue(route_id);
            }
        }
    }

    /// No queue stays that nobody uses.
    pub(crate) fn undeclare_all(&mut self) {
        let declared = self.routes.iter_mut().filter_map(|(id, route)| route.declared.take().map(|_| id));
        let declared: Vec<usize> = declared.collect();
        declared.into_iter().for_each(|route_id| self.tidy(route_id));
        self.reset_topology();
    }

    /// The route that a consumer may have, or why it may not.
    pub(super) fn route_for_consumer(&mut self, key: LinkKey, request: &ConsumerRequest) -> Result<usize, Fault> {
        let route_id = match &request.node {
            Node::Queue(address) => self.queue(address).ok_or_else(|| no_queue(address))?,
            Node::Address(address) if is_exchange_path(address) => {
                return Err(Fault::new(
                    Reason::InvalidField,
                    format!("{address:?} is an exchange: it can only be sent to"),
                ));
            }
            node => self.route_for(node.clone(), key),
        };
        let Some(route) = self.routes.get_mut(route_id) else { return Err(no_queue("")) };
        if route.is_locked_for(key.connection) {
            return Err(locked(&route.address));
        }
        if request.passing {
            return Ok(route_id);
        }
        let taken = route.sole.is_some() || (request.exclusive && !route.consumers.is_empty());
        if taken && !request.browse {
            return Err(Fault::new(
                Reason::NotAllowed,
                format!("{:?} has a consumer that excludes others", route.address),
            ));
        }
        if request.exclusive {
            route.sole = Some(key);
        }
        Ok(route_id)
    }

    /// A consumer takes no more, and keeps what it has not answered.
    pub(super) fn retire(&mut self, key: LinkKey) {
        let Some(consumer) = self.links.consumer_mut(key).filter(|consumer| !consumer.passing) else { return };
        consumer.passing = true;
        consumer.credit = 0;
        consumer.drain = false;
        consumer.is_ready = false;
        let route_id = consumer.route;
        self.counts.receiver_links -= 1;
        if let Some(route) = self.routes.get_mut(route_id) {
            route.strike_off(&HashSet::from([key]));
            route.aside.push(key);
        }
        self.end_if_deserted(route_id);
    }

    /// A message for several queues: to each it is a message of its own. The outcome for its sender.
    pub(super) fn route_to_all(
        &mut self,
        queues: &[usize],
        from: LinkKey,
        message: Message,
        delivery: Option<DeliveryKey>,
    ) -> Option<Outcome> {
        let mut outcome = None;
        for route_id in queues {
            let number = self.arrived(from, &Destination::Link, Ok(*route_id), &message, delivery.is_none());
            let forwarded = self.route_at(*route_id, from, number, message.clone(), delivery);
            if let (Some(outcome), Some(_)) = (&forwarded, delivery) {
                self.chronicle.told(number, outcome);
            }
            // Whoever has it, has it.
            if outcome != Some(Outcome::Accepted) {
                outcome = forwarded;
            }
        }
        outcome
    }

    /// There is no room for what a producer sends: it gets no credit until there is.
    pub(super) fn starve_if_full(&mut self, key: LinkKey, outcome: Option<&Outcome>) {
        let is_full = |fault: &Fault| fault.reason == Reason::ResourceLimitExceeded;
        if !matches!(outcome, Some(Outcome::Rejected(Some(fault))) if is_full(fault)) {
            return;
        }
        let Some(producer) = self.links.producer_mut(key) else { return };
        if !std::mem::replace(&mut producer.starved, true) {
            producer.credit = 0;
            self.starved.push(key);
            self.effects.push_back(Effect::Grant { link: key, credit: 0 });
        }
    }

    /// There is room again.
    pub(super) fn feed(&mut self) {
        for key in std::mem::take(&mut self.starved) {
            if let Some(producer) = self.links.producer_mut(key) {
                producer.starved = false;
                self.top_up(key);
            }
        }
    }
}
