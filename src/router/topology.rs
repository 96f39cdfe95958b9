//! Changes that peers make to exchanges and bindings, and messages that are sent to an exchange. `exchange/` finds the queues of
//! such a message.

use std::collections::HashSet;
use std::sync::Arc;

use super::Router;
use super::context::{Answers, Incoming, unroutable_outcome};
use super::credit::is_for_want_of_room;
use super::exchange::{
    Binding, ExchangePath, Exchanges, Route, RoutedBy, Target, Terminus, address_of, is_exchange_path,
};
use super::links::{End, NodeId};
use super::policies::Policies;
use crate::event::{
    Arrival, BindingRequest, BindingTarget, DeliveryKey, Destination, Effect, Fault, LinkKey, Outcome, Reason, Run,
    Text, TopologyChange,
};
use crate::message::{Message, Routing};

impl Router {
    /// Changes exchanges or bindings for a peer, and reports the result to its link.
    pub(super) fn change_topology(&mut self, link: LinkKey, change: TopologyChange) {
        let answer = self.try_change(link, change).map(|gone| {
            self.exchanges_gone(&gone);
            Effect::TopologyChanged { link }
        });
        self.answer_with(link, answer);
    }

    /// Makes a change. Returns the exchanges that were deleted by it.
    pub(super) fn try_change(&mut self, link: LinkKey, change: TopologyChange) -> Result<Vec<Arc<str>>, Fault> {
        match change {
            TopologyChange::Declare(declaration) => {
                let name = declaration.name.clone();
                self.exchanges.declare(declaration)?;
                self.apply_policy_to_exchange(&name);
                Ok(Vec::new())
            }
            TopologyChange::Find(name) => self.exchanges.find(&name).map(|()| Vec::new()),
            TopologyChange::CheckPublish(name) => self.exchanges.check_publish(&name).map(|()| Vec::new()),
            TopologyChange::Delete { name, if_unused } => self.exchanges.delete(&name, if_unused),
            TopologyChange::Bind(request) => {
                Exchanges::check_not_default(&request.source)?;
                self.exchanges.find(&request.source)?;
                let (source, binding) = self.binding(link, request)?;
                self.exchanges.bind(&source, binding).map(|()| Vec::new())
            }
            TopologyChange::Unbind(request) => match self.binding(link, request) {
                Ok((source, binding)) => Ok(self.exchanges.unbind(&source, &binding)),
                // The bindings of a queue that does not exist were removed with it.
                Err(fault) if fault.reason == Reason::NotFound => Ok(Vec::new()),
                Err(fault) => Err(fault),
            },
        }
    }

    /// Builds the binding of a request. Fails if its queue does not exist or is exclusive to another connection.
    fn binding(&self, link: LinkKey, request: BindingRequest) -> Result<(Arc<str>, Binding), Fault> {
        let BindingRequest { source, target, key, arguments } = request;
        Exchanges::check_not_default(&source)?;
        let target = match target {
            BindingTarget::Queue(name) => Target::Queue(self.queue_for(&name, link.connection)?),
            BindingTarget::Exchange(name) => {
                Exchanges::check_not_default(&name)?;
                Target::Exchange(name)
            }
        };
        Ok((source, Binding { target, key, arguments }))
    }

    /// Removes the bindings of a queue that has ended.
    pub(super) fn unbind_queue(&mut self, id: NodeId) {
        let gone = self.exchanges.forget_queue(id);
        self.exchanges_gone(&gone);
    }

    /// Detaches the links that send to exchanges which were deleted.
    pub(super) fn exchanges_gone(&mut self, gone: &[Arc<str>]) {
        if gone.is_empty() {
            return;
        }
        gone.iter().for_each(|exchange| self.drop_delayed(exchange));
        for (key, end) in self.links.iter() {
            if let End::Producer(producer) = end
                && let Some(terminus) = &producer.exchange
                && gone.contains(&terminus.exchange)
            {
                let fault = Fault::new(Reason::ResourceDeleted, format!("exchange '{}' is no more", terminus.exchange));
                self.effects.push(Effect::Detach { link: key, fault: Box::new(fault) });
            }
        }
    }

    /// Removes all bindings and policies, and all exchanges but the predeclared ones.
    pub(super) fn reset_topology(&mut self) {
        self.policies = Policies::default();
        self.exchanges = Exchanges::new(self.vhost.clone());
        self.drop_all_delayed();
    }

    /// Returns the exchange that an address names, None if it names none. Fails if a peer may not send to the exchange.
    pub(super) fn terminus_at(&self, address: &Arc<str>) -> Result<Option<Terminus>, Fault> {
        if !is_exchange_path(address) {
            return Ok(None);
        }
        let terminus = Terminus::parse(address)?;
        self.exchanges.check_publish(&terminus.exchange)?;
        Ok(Some(terminus))
    }

    /// Whether a message goes to an exchange. `own` is the node that its link is attached to.
    #[inline]
    pub(super) fn is_by_exchange(&self, from: LinkKey, own: Option<NodeId>, to: &Destination) -> bool {
        match to {
            Destination::Exchange(_) | Destination::Keys(_) => true,
            Destination::Named(address) => is_exchange_path(address.as_str()),
            Destination::Link | Destination::Missing => own.is_none() && self.terminus_of(from).is_some(),
            Destination::Queue(_) | Destination::Unreadable => false,
        }
    }

    pub(super) fn terminus_of(&self, from: LinkKey) -> Option<&Terminus> {
        match self.links.find(from)? {
            End::Producer(producer) => producer.exchange.as_deref(),
            End::Consumer(_) => None,
        }
    }

    /// Routes messages for which [`Router::is_by_exchange`] holds. Empties the run.
    pub(super) fn route_by_exchange(&mut self, from: LinkKey, to: &Destination, run: &mut Run) {
        // In most cases the route is cached and leads to one queue.
        if let Destination::Exchange(address) = to
            && let Some(queues) = self.exchanges.known_route(address.exchange(), address.key())
            && let [queue] = queues[..]
        {
            return self.offer_all(queue, from, to, run);
        }
        for arrival in run.arrivals.drain(..) {
            self.route_one_by_exchange(from, to, arrival);
        }
    }

    /// Routes one message for which [`Router::is_by_exchange`] holds.
    pub(super) fn route_one_by_exchange(&mut self, from: LinkKey, to: &Destination, arrival: Arrival) {
        let Arrival { delivery, mut message } = arrival;
        match self.route_of(from, to, &mut message) {
            Ok(Route { queues, delays }) if !delays.is_empty() => {
                let outcome = if queues.is_empty() { delivery } else { None };
                self.delay_for((from, to), &delays, &message, outcome);
                if !queues.is_empty() {
                    self.route_to_all(&queues, from, to, Arrival { delivery, message });
                }
            }
            Ok(Route { queues, .. }) if !queues.is_empty() => {
                self.route_to_all(&queues, from, to, Arrival { delivery, message });
            }
            Ok(_) => self.bound_nowhere(from, to, &message, delivery),
            Err(fault) => self.no_such_exchange(from, to, &message, delivery, fault),
        }
    }

    /// Offers a message to several queues. Each numbers it as a message of its own.
    pub(super) fn route_to_all(
        &mut self,
        queues: &[NodeId],
        from: LinkKey,
        to: &Destination,
        Arrival { delivery, message }: Arrival,
    ) {
        self.note_publish(to, message.routing.as_deref(), queues);
        let sender = self.sender(from);
        let mut outcome = None;
        for id in queues {
            let Some(entry) = self.addresses.get_mut(*id) else { continue };
            entry.arrived += 1;
            let mut kept = None;
            self.work(*id, |node, context| {
                let number = context.journal.next_number();
                context.journal.came(number, &sender, context.address, delivery.is_none(), &message);
                let incoming = Incoming { number, message: message.clone(), delivery };
                let refused = node.offer(incoming, &mut Answers::Kept(&mut kept), context);
                debug_assert!(refused.is_ok(), "a queue stores");
            });
            // One queue that has it is enough, unless another refuses it by its own settings, as RabbitMQ has it.
            if outcome.is_none() || is_refusal(kept.as_ref()) || is_lost(outcome.as_ref()) {
                outcome = kept;
            }
        }
        self.is_full = false;
        if to.is_published() && outcome.as_ref().is_some_and(is_for_want_of_room) {
            self.starve(from);
        }
        if let (Some(delivery), Some(outcome)) = (delivery, outcome) {
            self.effects.settle(from, delivery, outcome);
        }
    }

    /// Records that a message is about to arrive at these queues by an exchange. `routing` is that of a message whose destination
    /// does not say it.
    pub(super) fn note_publish(&mut self, to: &Destination, routing: Option<&Routing>, queues: &[NodeId]) {
        if !self.journal.keeps_messages() {
            return;
        }
        let by_message = || routing.map(|routing| (routing.exchange.as_ref(), routing.key.as_ref()));
        let Some((exchange, key)) = to.exchange_and_key().or_else(by_message) else { return };
        let entries = queues.iter().filter_map(|id| self.addresses.get(*id));
        let queues: Vec<&Arc<str>> = entries.map(|entry| &entry.address).collect();
        self.journal.published(exchange, key, 1, &queues);
    }

    /// Finds the way of a message that goes to an exchange.
    fn route_of(&mut self, from: LinkKey, to: &Destination, message: &mut Message) -> Result<Route, Fault> {
        let (codec, own) = ((self.codec)(message.encoding), self.routing_of(from, to, message)?);
        if own.is_some() {
            message.routing.clone_from(&own);
        }
        let payload = &message.payload;
        // The encoded message has exchange and routing key in it, if it was published by 0-9-1.
        match (to, &own) {
            (Destination::Exchange(address), _) => {
                self.exchanges.route(address.exchange(), &RoutedBy::new(&[address.key()], codec, payload))
            }
            (Destination::Keys(several), _) => {
                let keys: Vec<&str> = several.keys.iter().map(AsRef::as_ref).collect();
                match several.exchange.as_ref() {
                    "" => Ok(self.queues_named(&keys)),
                    exchange => self.exchanges.route(exchange, &RoutedBy::new(&keys, codec, payload)),
                }
            }
            (_, Some(own)) => self.exchanges.route(&own.exchange, &RoutedBy::new(&[&own.key], codec, payload)),
            (_, None) => Err(Fault::new(Reason::NotFound, "the link is gone")),
        }
    }

    /// Finds the way of a message with these routing keys that the broker itself sends to an exchange.
    pub(super) fn route_within(&mut self, exchange: &str, keys: &[&str], message: &Message) -> Result<Route, Fault> {
        if exchange.is_empty() {
            return Ok(self.queues_named(keys));
        }
        let codec = (self.codec)(message.encoding);
        self.exchanges.route_within(exchange, &RoutedBy::new(keys, codec, &message.payload))
    }

    /// Finds the queues of the default exchange: those of these names, each once.
    fn queues_named(&self, names: &[&str]) -> Route {
        let mut found = HashSet::new();
        let queues = names.iter().filter_map(|name| self.queue(name)).filter(|id| found.insert(*id)).collect();
        Route { queues, delays: Vec::new() }
    }

    /// Returns the exchange and the routing key of a message. None if it has them in its encoding, or its link is gone.
    pub(super) fn routing_of(
        &self,
        from: LinkKey,
        to: &Destination,
        message: &Message,
    ) -> Result<Option<Arc<Routing>>, Fault> {
        if to.is_published() {
            return Ok(None);
        }
        let said_by_message = || ((self.codec)(message.encoding).subject)(&message.payload).unwrap_or_default().into();
        if let Destination::Named(address) = to {
            let ExchangePath { exchange, key } = ExchangePath::parse(address.as_str())?;
            let key = key.map_or_else(said_by_message, Arc::from);
            return Ok(Some(Arc::new(Routing { exchange: exchange.into(), key, hidden: Box::default() })));
        }
        let Some(terminus) = self.terminus_of(from) else { return Ok(None) };
        Ok(Some(match &terminus.routing {
            Some(routing) => routing.clone(),
            None => {
                let (exchange, key) = (terminus.exchange.clone(), said_by_message());
                Arc::new(Routing { exchange, key, hidden: Box::default() })
            }
        }))
    }

    /// Returns the address that is shown for a message to an exchange: its first queue's, or the one that its sender named.
    pub(super) fn address_by_exchange(&mut self, from: LinkKey, to: &Destination, message: &Message) -> Arc<str> {
        let mut message = message.clone();
        let first = self.route_of(from, to, &mut message).ok().and_then(|route| route.queues.first().copied());
        match first.and_then(|queue| self.addresses.get(queue)) {
            Some(entry) => entry.address.clone(),
            None => said_address(to, &message),
        }
    }

    /// Drops a message that no binding of its exchange matches.
    pub(super) fn bound_nowhere(
        &mut self,
        from: LinkKey,
        to: &Destination,
        message: &Message,
        delivery: Option<DeliveryKey>,
    ) {
        self.note_publish(to, message.routing.as_deref(), &[]);
        let address = said_address(to, message);
        let number = self.arrived_nowhere(from, &address, message, delivery.is_none());
        let why = format!("no queue is bound for {address:?}");
        let outcome = self.refuse_nowhere(number, &address, Reason::NotFound, why.clone());
        // 0-9-1 names the exchange and the routing key separately, and reports an unrouted message with basic.return.
        let outcome = match to.is_published() {
            true => Some(outcome),
            false => unroutable_outcome(&self.config, why),
        };
        self.tell(from, number, delivery, outcome);
    }

    /// Drops a message for an exchange that does not exist or that refuses messages of clients.
    fn no_such_exchange(
        &mut self,
        from: LinkKey,
        to: &Destination,
        message: &Message,
        delivery: Option<DeliveryKey>,
        fault: Fault,
    ) {
        self.note_publish(to, message.routing.as_deref(), &[]);
        let address = said_address(to, message);
        let number = self.arrived_nowhere(from, &address, message, delivery.is_none());
        let why = fault.description.clone().unwrap_or_default().to_string();
        let outcome = self.refuse_nowhere(number, &address, fault.reason.clone(), why.clone());
        let outcome = match to {
            _ if to.is_published() => {
                self.effects.push(Effect::Refused { link: from, fault: Box::new(fault) });
                None
            }
            _ if fault.reason == Reason::NotFound => unroutable_outcome(&self.config, why),
            _ => Some(outcome),
        };
        self.tell(from, number, delivery, outcome);
    }

    /// Turns the destination of a message into one that is valid after its link has been detached.
    pub(crate) fn lasting(&mut self, from: LinkKey, to: Destination) -> Destination {
        if !matches!(to, Destination::Link | Destination::Missing) {
            return to;
        }
        let Some(End::Producer(producer)) = self.links.find(from) else { return to };
        let own = producer.node.and_then(|id| self.addresses.get(id)).map(|entry| &entry.address);
        match own.or(producer.exchange.as_ref().map(|terminus| &terminus.address)) {
            Some(address) => Destination::Named(Text::from(address.as_ref())),
            None => to,
        }
    }
}

fn is_refusal(outcome: Option<&Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Rejected(Some(fault))) if fault.reason == Reason::QueueFull)
}

/// Whether a queue did not take a message, but for want of room in the broker and not by its own settings.
fn is_lost(outcome: Option<&Outcome>) -> bool {
    outcome.is_some_and(|outcome| *outcome != Outcome::Accepted) && !is_refusal(outcome)
}

/// Returns the address of a message to an exchange, as its sender named it.
fn said_address(to: &Destination, message: &Message) -> Arc<str> {
    match (to, &message.routing) {
        (Destination::Exchange(_) | Destination::Keys(_), _) => super::routing::address_of(to).into(),
        (_, Some(routing)) => address_of(&routing.exchange, &routing.key),
        (Destination::Named(address), None) => address.as_str().into(),
        _ => "".into(),
    }
}
