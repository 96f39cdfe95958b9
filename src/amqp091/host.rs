//! 3.1: the virtual host: its exchanges and what is bound to them. It belongs to the whole broker and says to which queues a
//! message goes; whether those are there, and what is in them, is the router's to know.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::exchange::{Binding, Exchange, ExchangeKind, Target};
use super::violation::{ReplyCode, Violation};

/// The name that everybody expects.
pub(crate) const NAME: &str = "/";

/// Names that clients may not take.
const RESERVED: &str = "amq.";

/// Exchanges, and what the bindings of all of them cost together (our choice).
const MAX_EXCHANGES: usize = 65_536;
const MAX_BINDING_BYTES: usize = 32 * 1024 * 1024;

/// Addresses of messages whose queues are remembered, and those queues, each time one is.
const MAX_REMEMBERED: usize = 65_536;

/// The queues of one address of an exchange.
type Queues = Arc<[Arc<str>]>;

/// An exchange and a key that something is bound by.
type Place = (Arc<str>, Box<[u8]>);

/// See the module.
#[derive(Debug)]
pub(crate) struct VirtualHost {
    exchanges: HashMap<Arc<str>, Exchange>,
    /// What each queue and exchange is bound to: exchanges, and by which keys.
    bound: HashMap<Target, HashSet<Place>>,
    /// What all bindings cost.
    binding_bytes: usize,
    /// Where messages went, by exchange and routing key, until a binding changes. No exchange is in here whose decision
    /// depends on more than the routing key.
    remembered: HashMap<Arc<str>, HashMap<Box<[u8]>, Queues>>,
    remembered_count: usize,
    /// Makes generated names differ, within this broker and between brokers.
    salt: u64,
    generated: u64,
}

/// What a client says of an exchange that it declares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declared<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
}

impl VirtualHost {
    pub(crate) fn new(salt: u64) -> VirtualHost {
        let mut host = VirtualHost {
            exchanges: HashMap::new(),
            bound: HashMap::new(),
            binding_bytes: 0,
            remembered: HashMap::new(),
            remembered_count: 0,
            salt,
            generated: 0,
        };
        host.reset();
        host
    }

    /// Back to the exchanges that are there from the beginning.
    pub(crate) fn reset(&mut self) {
        let standard = [
            ("amq.direct", ExchangeKind::Direct),
            ("amq.fanout", ExchangeKind::Fanout),
            ("amq.topic", ExchangeKind::Topic),
            ("amq.headers", ExchangeKind::Headers),
            ("amq.match", ExchangeKind::Headers),
        ];
        self.exchanges = standard.into_iter().map(|(name, kind)| (name.into(), Exchange::standard(kind))).collect();
        self.bound.clear();
        self.binding_bytes = 0;
        self.forget_addresses();
    }

    /// A name that nobody has.
    pub(crate) fn generate(&mut self, prefix: &str) -> Arc<str> {
        self.generated += 1;
        format!("{RESERVED}{prefix}-{:08x}-{}", self.salt >> 32, self.generated).into()
    }

    /// A client may not make what has such a name.
    pub(crate) fn check_name(what: &str, name: &str) -> Result<(), Violation> {
        if name.starts_with(RESERVED) {
            let text = format!("{what} name '{name}' contains reserved prefix '{RESERVED}*'");
            return Err(Violation::new(ReplyCode::AccessRefused, text));
        }
        Ok(())
    }

    /// The default exchange is everybody's: nothing can be done to it.
    fn check_not_default(name: &str) -> Result<(), Violation> {
        if name.is_empty() {
            return Err(Violation::new(ReplyCode::AccessRefused, "operation not permitted on the default exchange"));
        }
        Ok(())
    }

    pub(crate) fn exchange(&self, name: &str) -> Result<&Exchange, Violation> {
        self.exchanges.get(name).ok_or_else(|| Violation::not_found("exchange", name))
    }

    /// exchange.declare, if it is not passive.
    pub(crate) fn declare(&mut self, declared: &Declared<'_>) -> Result<(), Violation> {
        Self::check_not_default(declared.name)?;
        let Some(kind) = ExchangeKind::named(declared.kind) else {
            let text = format!("unknown exchange type '{}'", declared.kind);
            return Err(Violation::new(ReplyCode::CommandInvalid, text));
        };
        let exchange = Exchange::new(kind, declared);
        if let Some(known) = self.exchanges.get(declared.name) {
            if known.is_declared_like(&exchange) {
                return Ok(());
            }
            let text = format!("inequivalent arg for exchange '{}' in vhost '{NAME}'", declared.name);
            return Err(Violation::new(ReplyCode::PreconditionFailed, text));
        }
        Self::check_name("exchange", declared.name)?;
        if self.exchanges.len() >= MAX_EXCHANGES {
            return Err(Violation::new(ReplyCode::ResourceError, "too many exchanges"));
        }
        self.exchanges.insert(declared.name.into(), exchange);
        Ok(())
    }

    /// exchange.declare, passive.
    pub(crate) fn check_exchange(&self, name: &str) -> Result<(), Violation> {
        Self::check_not_default(name)?;
        self.exchange(name).map(|_| ())
    }

    /// exchange.delete. One that is not there is deleted already.
    pub(crate) fn delete(&mut self, name: &str, if_unused: bool) -> Result<(), Violation> {
        Self::check_not_default(name)?;
        let Some(exchange) = self.exchanges.get(name) else { return Ok(()) };
        if exchange.standard {
            let text = format!("exchange '{name}' is there for good");
            return Err(Violation::new(ReplyCode::AccessRefused, text));
        }
        if if_unused && !exchange.is_unbound() {
            let text = format!("exchange '{name}' in vhost '{NAME}' in use");
            return Err(Violation::new(ReplyCode::PreconditionFailed, text));
        }
        self.remove(name);
        Ok(())
    }

    /// An exchange goes, with the bindings from it and to it.
    fn remove(&mut self, name: &str) {
        let mut gone: Vec<Arc<str>> = vec![name.into()];
        while let Some(name) = gone.pop() {
            let Some(exchange) = self.exchanges.remove(&name) else { continue };
            for binding in exchange.bindings() {
                self.binding_bytes -= binding.cost();
                self.forget_bound(&binding.target, &name, &binding.key);
            }
            // One that is not bound any more may be an auto-delete one itself.
            gone.extend(self.unbind_target(&Target::Exchange(name)));
        }
        self.forget_addresses();
    }

    fn forget_bound(&mut self, target: &Target, source: &Arc<str>, key: &[u8]) {
        if let Some(places) = self.bound.get_mut(target) {
            places.remove(&(source.clone(), key.into()));
            if places.is_empty() {
                self.bound.remove(target);
            }
        }
    }

    /// Takes out all bindings to a target; the exchanges that go with that.
    fn unbind_target(&mut self, target: &Target) -> Vec<Arc<str>> {
        let mut done = Vec::new();
        for (source, key) in self.bound.remove(target).unwrap_or_default() {
            if let Some(exchange) = self.exchanges.get_mut(&source) {
                self.binding_bytes -= exchange.unbind_all(target, &key);
                if exchange.is_done() {
                    done.push(source);
                }
            }
        }
        done
    }

    /// Checks that something can be bound to an exchange.
    pub(crate) fn check_source(&self, name: &str) -> Result<(), Violation> {
        Self::check_not_default(name)?;
        self.exchange(name).map(|_| ())
    }

    /// queue.bind, exchange.bind.
    pub(crate) fn bind(&mut self, source: &str, binding: Binding) -> Result<(), Violation> {
        self.check_source(source)?;
        if let Target::Exchange(name) = &binding.target {
            self.check_exchange(name)?;
        }
        let cost = binding.cost();
        if self.binding_bytes + cost > MAX_BINDING_BYTES {
            return Err(Violation::new(ReplyCode::ResourceError, "too many bindings"));
        }
        let (target, key) = (binding.target.clone(), binding.key.clone());
        if let Some(exchange) = self.exchanges.get_mut(source)
            && exchange.bind(binding)
        {
            self.binding_bytes += cost;
            self.bound.entry(target).or_default().insert((source.into(), key));
        }
        self.forget_addresses();
        Ok(())
    }

    /// queue.unbind, exchange.unbind. What is not bound is unbound already.
    pub(crate) fn unbind(&mut self, source: &str, binding: &Binding) -> Result<(), Violation> {
        self.check_source(source)?;
        let Some(exchange) = self.exchanges.get_mut(source) else { return Ok(()) };
        if !exchange.unbind(binding) {
            return Ok(());
        }
        self.binding_bytes -= binding.cost();
        let (still_bound, is_done) = (exchange.has(&binding.target, &binding.key), exchange.is_done());
        if !still_bound {
            self.forget_bound(&binding.target, &source.into(), &binding.key);
        }
        if is_done {
            self.remove(source);
        }
        self.forget_addresses();
        Ok(())
    }

    /// A queue is no more, nor are its bindings.
    pub(crate) fn forget_queue(&mut self, queue: &Arc<str>) {
        let target = Target::Queue(queue.clone());
        if !self.bound.contains_key(&target) {
            return;
        }
        for name in self.unbind_target(&target) {
            self.remove(&name);
        }
        self.forget_addresses();
    }

    fn forget_addresses(&mut self) {
        self.remembered.clear();
        self.remembered_count = 0;
    }

    /// To which queues a message goes that is published to an exchange, the default one excepted.
    pub(crate) fn route(
        &mut self,
        exchange: &str,
        key: &[u8],
        headers: &dyn Fn() -> Option<Bytes>,
    ) -> Result<Queues, Violation> {
        if let Some(queues) = self.remembered.get(exchange).and_then(|keys| keys.get(key)) {
            return Ok(queues.clone());
        }
        let (name, first) =
            self.exchanges.get_key_value(exchange).ok_or_else(|| Violation::not_found("exchange", exchange))?;
        if first.internal {
            let text = format!("cannot publish to internal exchange '{exchange}' in vhost '{NAME}'");
            return Err(Violation::new(ReplyCode::AccessRefused, text));
        }
        let name = name.clone();
        let mut queues = Vec::new();
        let mut found = HashSet::new();
        let mut visited = HashSet::from([name.clone()]);
        let mut next = vec![name.clone()];
        let mut by_key_alone = true;
        let mut table = None;
        while let Some(exchange) = next.pop().and_then(|name| self.exchanges.get(&name)) {
            if exchange.kind == ExchangeKind::Headers {
                by_key_alone = false;
                table.get_or_insert_with(headers);
            }
            let entries = table.as_ref().and_then(|table: &Option<Bytes>| table.as_deref()).unwrap_or_default();
            exchange.targets(key, entries, &mut |target| match target {
                Target::Queue(queue) => {
                    if found.insert(queue.clone()) {
                        queues.push(queue.clone());
                    }
                }
                Target::Exchange(name) => {
                    if visited.insert(name.clone()) {
                        next.push(name.clone());
                    }
                }
            });
        }
        let queues: Queues = queues.into();
        if by_key_alone {
            if self.remembered_count >= MAX_REMEMBERED {
                self.forget_addresses();
            }
            self.remembered_count += 1 + queues.len();
            self.remembered.entry(name).or_default().insert(key.into(), queues.clone());
        }
        Ok(queues)
    }
}
