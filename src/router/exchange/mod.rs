//! Exchanges and bindings of both protocol families. Finds the queues of a message; does not know what a queue is or does.
//!
//! | file | contents |
//! |---|---|
//! | `mod.rs` | all exchanges: declaration, deletion, binding, routing |
//! | `declared.rs` | one exchange: its type, and which of its bindings a message matches |
//! | `bindings.rs` | the bindings of one exchange, by key and target |
//! | `topic.rs`, `headers.rs`, `consistent_hash.rs` | the matching of these types |
//! | `delay.rs` | which messages wait at an exchange, and for how long |
//! | `routed_by.rs` | what exchanges look at in a message |
//! | `cache.rs` | routes found before |
//!
//! A further type of exchange is a variant of `ExchangeKind`, a file with its rule, and a line in each `match` of `declared.rs`.

mod address;
mod bindings;
mod cache;
mod consistent_hash;
mod declared;
mod delay;
mod equivalence;
mod headers;
mod routed_by;
mod terminus;
#[cfg(test)]
mod tests;
mod topic;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::event::{ExchangeDeclaration, ExchangeKind, Fault, Reason};
use crate::live::live;

pub(super) use address::{ExchangePath, address_of, is_exchange_path};
use bindings::QueueKey;
pub(super) use bindings::{Binding, Target};
pub(super) use cache::Queues;
use cache::RouteCache;
pub(super) use declared::Exchange;
pub(super) use delay::Delay;
pub(super) use equivalence::{Named, VhostName, check_arguments, check_field, type_name};
pub(super) use routed_by::RoutedBy;
pub(super) use terminus::Terminus;

/// The prefix of names that clients may not declare.
const RESERVED: &str = "amq.";

/// Maximum number of exchanges (our choice).
const MAX_EXCHANGES: usize = 65_536;

/// Maximum total cost of bindings and of the arguments of declarations, in bytes (our choice).
const MAX_COST: usize = 32 * 1024 * 1024;

/// An exchange, and the key by which something is bound to it.
type Place = (Arc<str>, Arc<str>);

/// The way of a message: the queues that it goes to now, and the exchanges at which it waits.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) queues: Queues,
    pub(super) delays: Vec<Delay>,
}

/// All exchanges, their bindings, and what they cost.
#[derive(Debug)]
pub(super) struct Exchanges {
    vhost: VhostName,
    exchanges: HashMap<Arc<str>, Exchange>,
    /// The exchanges and keys that each queue and exchange is bound by.
    bound: HashMap<Target, HashSet<Place>>,
    /// The cost of all bindings and arguments, those of queues included, in bytes.
    cost: usize,
    /// Routes that depend on nothing but exchange and routing key.
    cache: RouteCache,
}

impl Exchanges {
    pub(super) fn new(vhost: VhostName) -> Exchanges {
        let standard = [
            ("amq.direct", ExchangeKind::Direct),
            ("amq.fanout", ExchangeKind::Fanout),
            ("amq.topic", ExchangeKind::Topic),
            ("amq.headers", ExchangeKind::Headers),
            ("amq.match", ExchangeKind::Headers),
        ];
        Exchanges {
            vhost,
            exchanges: standard.into_iter().map(|(name, kind)| (name.into(), Exchange::standard(kind))).collect(),
            bound: HashMap::new(),
            cost: 0,
            cache: RouteCache::default(),
        }
    }

    /// Refuses a name that clients may not declare.
    pub(super) fn check_name(what: &str, name: &str) -> Result<(), Fault> {
        if name.starts_with(RESERVED) {
            let text = format!("{what} name '{name}' contains reserved prefix '{RESERVED}*'");
            return Err(Fault::new(Reason::NotAllowed, text));
        }
        Ok(())
    }

    /// Refuses the default exchange, which clients can neither bind nor change.
    pub(super) fn check_not_default(name: &str) -> Result<(), Fault> {
        if name.is_empty() {
            return Err(Fault::new(Reason::NotAllowed, "operation not permitted on the default exchange"));
        }
        Ok(())
    }

    /// Adds to the total cost. Fails if the limit would be exceeded.
    pub(super) fn charge(&mut self, cost: usize) -> Result<(), Fault> {
        if self.cost + cost > MAX_COST {
            return Err(Fault::new(Reason::ResourceLimitExceeded, "too many bindings and arguments"));
        }
        self.cost += cost;
        Ok(())
    }

    /// Subtracts what [`Exchanges::charge`] added.
    pub(super) fn refund(&mut self, cost: usize) {
        debug_assert!(cost <= self.cost, "more is given back than was taken");
        self.cost = self.cost.saturating_sub(cost);
    }

    /// Declares an exchange: makes it, or compares the declaration with that of the existing one.
    pub(super) fn declare(&mut self, declaration: ExchangeDeclaration) -> Result<(), Fault> {
        Self::check_not_default(&declaration.name)?;
        if let Some(known) = self.exchanges.get(&declaration.name) {
            return known.check_equivalent(self.vhost.exchange(&declaration.name), &declaration);
        }
        Self::check_name("exchange", &declaration.name)?;
        if self.exchanges.len() >= MAX_EXCHANGES {
            return Err(Fault::new(Reason::ResourceLimitExceeded, "too many exchanges"));
        }
        let name = declaration.name.clone();
        let cost = declaration.arguments.cost();
        let exchange = Exchange::declared(self.vhost.exchange(&name), declaration)?;
        self.charge(cost)?;
        self.exchanges.insert(name, exchange);
        // The exchange may be the alternate of others.
        self.cache.clear();
        Ok(())
    }

    /// Sets the alternate that an exchange has by its policy. One that its arguments name counts before it.
    pub(super) fn set_alternate(&mut self, name: &str, by_policy: Option<Arc<str>>) {
        if self.exchanges.get_mut(name).is_some_and(|exchange| exchange.set_alternate(by_policy)) {
            self.cache.clear();
        }
    }

    /// Iterates over all exchanges, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Exchange)> {
        self.exchanges.iter().map(|(name, exchange)| (name.as_ref(), exchange))
    }

    /// Fails unless the exchange exists.
    pub(super) fn find(&self, name: &str) -> Result<(), Fault> {
        Self::check_not_default(name)?;
        self.get(name).map(|_| ())
    }

    /// Fails unless the exchange exists and accepts messages of clients.
    pub(super) fn check_publish(&self, name: &str) -> Result<(), Fault> {
        match self.get(name)?.internal {
            false => Ok(()),
            true => {
                let text = format!("cannot publish to internal {}", self.vhost.exchange(name));
                Err(Fault::new(Reason::NotAllowed, text))
            }
        }
    }

    fn get(&self, name: &str) -> Result<&Exchange, Fault> {
        self.exchanges.get(name).ok_or_else(|| self.vhost.exchange(name).not_found())
    }

    /// Deletes an exchange, if it exists. Returns the exchanges that were deleted by this.
    pub(super) fn delete(&mut self, name: &str, if_unused: bool) -> Result<Vec<Arc<str>>, Fault> {
        Self::check_not_default(name)?;
        let Some(exchange) = self.exchanges.get(name) else { return Ok(Vec::new()) };
        if exchange.standard {
            let text = format!("deletion of system {} not allowed", self.vhost.exchange(name));
            return Err(Fault::new(Reason::NotAllowed, text));
        }
        if if_unused && !exchange.bindings.is_empty() {
            return Err(Fault::new(Reason::PreconditionFailed, format!("{} in use", self.vhost.exchange(name))));
        }
        Ok(self.remove(vec![name.into()]))
    }

    /// Deletes exchanges with all bindings from them and to them, and the auto-delete exchanges that follow. Returns all of
    /// them.
    fn remove(&mut self, mut going: Vec<Arc<str>>) -> Vec<Arc<str>> {
        let mut gone = Vec::new();
        while let Some(name) = going.pop() {
            let Some(exchange) = live(self.exchanges.remove(&name), "an exchange") else { continue };
            self.refund(exchange.arguments.cost());
            for binding in exchange.bindings.iter() {
                self.refund(binding.cost());
                self.forget_bound(&binding.target, &name, &binding.key);
            }
            // An exchange that this one was bound to may be an auto-delete one.
            going.extend(self.unbind_target(&Target::Exchange(name.clone())));
            gone.push(name);
        }
        self.cache.clear();
        gone
    }

    fn forget_bound(&mut self, target: &Target, source: &Arc<str>, key: &Arc<str>) {
        if let Some(places) = self.bound.get_mut(target) {
            places.remove(&(source.clone(), key.clone()));
            if places.is_empty() {
                self.bound.remove(target);
            }
        }
    }

    /// Removes all bindings to a target. Returns the auto-delete exchanges that have lost their last binding.
    fn unbind_target(&mut self, target: &Target) -> Vec<Arc<str>> {
        let mut done = Vec::new();
        for (source, key) in self.bound.remove(target).unwrap_or_default() {
            let Some(exchange) = live(self.exchanges.get_mut(&source), "a bound exchange") else { continue };
            let freed = exchange.unbind_all(target, &key);
            if exchange.is_done() {
                done.push(source);
            }
            self.refund(freed);
        }
        done
    }

    /// Binds a queue or an exchange to an exchange. A repeated binding changes nothing.
    pub(super) fn bind(&mut self, source: &str, binding: Binding) -> Result<(), Fault> {
        if let Target::Exchange(name) = &binding.target {
            self.get(name)?;
        }
        self.get(source)?.check_binding(&binding)?;
        let cost = binding.cost();
        self.charge(cost)?;
        let (target, key) = (binding.target.clone(), binding.key.clone());
        if self.exchanges.get_mut(source).is_some_and(|exchange| exchange.bind(binding)) {
            self.bound.entry(target).or_default().insert((source.into(), key));
            self.cache.clear();
        } else {
            self.refund(cost);
        }
        Ok(())
    }

    /// Removes a binding. Does nothing if it does not exist, or its exchange does not, as in RabbitMQ. Returns the exchanges
    /// that were deleted by this.
    pub(super) fn unbind(&mut self, source: &str, binding: &Binding) -> Vec<Arc<str>> {
        let Some(exchange) = self.exchanges.get_mut(source) else { return Vec::new() };
        if !exchange.unbind(binding) {
            return Vec::new();
        }
        let (still_bound, is_done) = (exchange.bindings.has(&binding.target, &binding.key), exchange.is_done());
        self.refund(binding.cost());
        if !still_bound {
            self.forget_bound(&binding.target, &source.into(), &binding.key);
        }
        self.cache.clear();
        if is_done { self.remove(vec![source.into()]) } else { Vec::new() }
    }

    /// Removes the bindings of a queue that has ended. Returns the exchanges that were deleted by this.
    pub(super) fn forget_queue(&mut self, queue: QueueKey) -> Vec<Arc<str>> {
        let target = Target::Queue(queue);
        if !self.bound.contains_key(&target) {
            return Vec::new();
        }
        let done = self.unbind_target(&target);
        self.remove(done)
    }

    /// Returns the cached route of a routing key, if the route depends on nothing else.
    #[inline]
    pub(super) fn known_route(&self, exchange: &str, key: &str) -> Option<Queues> {
        self.cache.get(exchange, key).cloned()
    }

    /// Finds the queues of a message that a client sends to an exchange, each once.
    pub(super) fn route(&mut self, exchange: &str, by: &RoutedBy<'_>) -> Result<Route, Fault> {
        if let Some(queues) = by.only_key().and_then(|key| self.cache.get(exchange, key)) {
            return Ok(Route { queues: queues.clone(), delays: Vec::new() });
        }
        self.check_publish(exchange)?;
        Ok(self.find_route(exchange, by))
    }

    /// Finds the queues of a message that the broker itself sends to an exchange: it may be an internal one.
    pub(super) fn route_within(&mut self, exchange: &str, by: &RoutedBy<'_>) -> Result<Route, Fault> {
        if let Some(queues) = by.only_key().and_then(|key| self.cache.get(exchange, key)) {
            return Ok(Route { queues: queues.clone(), delays: Vec::new() });
        }
        self.get(exchange)?;
        Ok(self.find_route(exchange, by))
    }

    fn find_route(&mut self, exchange: &str, by: &RoutedBy<'_>) -> Route {
        let first: Arc<str> = exchange.into();
        let (mut queues, mut found, mut delays) = (Vec::new(), HashSet::new(), Vec::new());
        // Exchanges may be bound in a circle, or be each other's alternates.
        let mut visited = HashSet::from([first.clone()]);
        let mut next = vec![first.clone()];
        while let Some(name) = next.pop() {
            let Some(exchange) = self.exchanges.get(&name) else {
                log::info!("{} is the alternate of another and does not exist", self.vhost.exchange(&name));
                continue;
            };
            let mut is_bound = false;
            let mut look_up = |target: &Target| {
                is_bound = true;
                match target {
                    Target::Queue(queue) => {
                        if found.insert(*queue) {
                            queues.push(*queue);
                        }
                    }
                    Target::Exchange(name) => {
                        if visited.insert(name.clone()) {
                            next.push(name.clone());
                        }
                    }
                }
            };
            match exchange.delays(by) {
                Some(millis) => delays.push(Delay { exchange: name.clone(), millis }),
                None => exchange.targets(by, &mut look_up),
            }
            // The bindings decide, and not whether the message reaches a queue by them.
            let alternate = exchange.alternate.as_ref().filter(|_| !is_bound);
            next.extend(alternate.filter(|name| visited.insert((*name).clone())).cloned());
        }
        let queues: Queues = queues.into();
        if let Some(key) = by.only_key() {
            self.cache.insert(first, key, queues.clone());
        }
        Route { queues, delays }
    }
}
