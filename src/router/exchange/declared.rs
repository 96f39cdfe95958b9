//! One exchange: its declaration, and which of its bindings a message matches.

use std::sync::Arc;

use super::bindings::{Binding, Bindings, Target};
use super::consistent_hash::{Hashing, weight_of};
use super::delay;
use super::equivalence::{Named, check_arguments, check_field, text_argument};
use super::headers::{self, Headers};
use super::routed_by::RoutedBy;
use super::topic::Words;
use crate::arguments::Arguments;
use crate::event::{ExchangeDeclaration, ExchangeKind, Fault};
use crate::topology::ExchangeInfo;

/// The argument that names the exchange for messages that no binding matches.
const ALTERNATE: &str = "alternate-exchange";

/// The declaration of an exchange, and its bindings.
#[derive(Debug)]
pub(in crate::router) struct Exchange {
    kind: ExchangeKind,
    /// The type by which it routes, which for a delayed-message exchange is another.
    rule: ExchangeKind,
    /// Whether this is a predeclared exchange, which cannot be deleted.
    pub(super) standard: bool,
    durable: bool,
    auto_delete: bool,
    pub(super) internal: bool,
    pub(super) arguments: Arguments,
    /// The exchange that gets the messages that no binding of this one matches. It need not exist.
    pub(super) alternate: Option<Arc<str>>,
    pub(super) bindings: Bindings,
    /// The state of a consistent-hash exchange.
    hashing: Option<Box<Hashing>>,
    was_bound: bool,
}

impl Exchange {
    pub(super) fn standard(kind: ExchangeKind) -> Exchange {
        Exchange {
            kind,
            rule: kind,
            standard: true,
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: Arguments::default(),
            alternate: None,
            bindings: Bindings::default(),
            hashing: None,
            was_bound: false,
        }
    }

    /// Makes the exchange of a declaration. Fails if an argument that has an effect is of a wrong type.
    pub(super) fn declared(what: Named<'_>, declaration: ExchangeDeclaration) -> Result<Exchange, Fault> {
        let ExchangeDeclaration { name: _, kind, durable, auto_delete, internal, arguments } = declaration;
        let rule = if kind == ExchangeKind::Delayed { delay::rule(&arguments)? } else { kind };
        let hashing = match rule {
            ExchangeKind::ConsistentHash => Some(Box::new(Hashing::of(what, &arguments)?)),
            _ => None,
        };
        Ok(Exchange {
            kind,
            rule,
            standard: false,
            durable,
            auto_delete,
            internal,
            alternate: text_argument(what, &arguments, ALTERNATE)?,
            arguments,
            bindings: Bindings::default(),
            hashing,
            was_bound: false,
        })
    }

    /// Sets the alternate that the exchange has unless its arguments name one. Returns whether that makes a difference.
    pub(super) fn set_alternate(&mut self, by_policy: Option<Arc<str>>) -> bool {
        let own = self.arguments.get(ALTERNATE).and_then(|value| value.as_str()).map(Arc::from);
        let alternate = own.or(by_policy);
        let differs = self.alternate != alternate;
        self.alternate = alternate;
        differs
    }

    /// Describes the exchange for a test.
    pub(in crate::router) fn info(&self, name: &str) -> ExchangeInfo {
        ExchangeInfo {
            name: name.to_owned(),
            kind: self.kind.name().to_owned(),
            predeclared: self.standard,
            durable: self.durable,
            auto_delete: self.auto_delete,
            internal: self.internal,
            arguments: self.arguments.to_vec(),
        }
    }

    /// Iterates over the bindings from this exchange.
    pub(in crate::router) fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.iter()
    }

    /// Refuses a later declaration that differs from the first.
    pub(super) fn check_equivalent(&self, what: Named<'_>, declaration: &ExchangeDeclaration) -> Result<(), Fault> {
        check_field(what, "type", self.kind.name(), declaration.kind.name())?;
        check_field(what, "durable", self.durable, declaration.durable)?;
        check_field(what, "auto_delete", self.auto_delete, declaration.auto_delete)?;
        check_field(what, "internal", self.internal, declaration.internal)?;
        check_arguments(what, &["alternate-exchange"], &self.arguments, &declaration.arguments)
    }

    /// Whether this is an auto-delete exchange that has lost its last binding.
    pub(super) fn is_done(&self) -> bool {
        self.auto_delete && self.was_bound && self.bindings.is_empty()
    }

    /// Refuses a key or arguments that bindings of this type cannot have.
    pub(super) fn check_binding(&self, binding: &Binding) -> Result<(), Fault> {
        match self.rule {
            ExchangeKind::Headers => headers::check(&binding.arguments),
            ExchangeKind::ConsistentHash => weight_of(&binding.key).map(|_| ()),
            ExchangeKind::Direct | ExchangeKind::Fanout | ExchangeKind::Topic | ExchangeKind::Delayed => Ok(()),
        }
    }

    /// Adds a binding. False if it existed.
    pub(super) fn bind(&mut self, binding: Binding) -> bool {
        self.was_bound = true;
        if let Some(hashing) = &mut self.hashing {
            hashing.add(&binding);
        }
        self.bindings.add(binding)
    }

    /// Removes a binding. False if it did not exist.
    pub(super) fn unbind(&mut self, binding: &Binding) -> bool {
        let was_there = self.bindings.remove(binding);
        self.unhash(&binding.target, &binding.key);
        was_there
    }

    /// Removes all bindings of a target by one key. Returns their cost.
    pub(super) fn unbind_all(&mut self, target: &Target, key: &Arc<str>) -> usize {
        let freed = self.bindings.remove_all(target, key);
        self.unhash(target, key);
        freed
    }

    fn unhash(&mut self, target: &Target, key: &Arc<str>) {
        if let Some(hashing) = self.hashing.as_mut().filter(|_| !self.bindings.has(target, key)) {
            hashing.remove(target, key);
        }
    }

    /// How long the exchange delays a message, in milliseconds. None: it routes the message at once.
    pub(super) fn delays(&self, by: &RoutedBy<'_>) -> Option<u32> {
        if self.kind != ExchangeKind::Delayed {
            return None;
        }
        // Asked for even if the message has waited: the way through here is not that of all messages with its key.
        let millis = delay::millis(by.headers());
        millis.filter(|_| by.may_wait())
    }

    /// Calls `each` with the target of every binding that a message matches. A target may be repeated.
    pub(super) fn targets(&self, by: &RoutedBy<'_>, each: &mut dyn FnMut(&Target)) {
        let mut hand_on = |binding: &Binding| each(&binding.target);
        match self.rule {
            ExchangeKind::Direct => {
                by.keys().iter().flat_map(|key| self.bindings.with_key(key)).for_each(&mut hand_on);
            }
            // A delayed-message exchange has another type to route by.
            ExchangeKind::Delayed => debug_assert!(false, "a type that does not route"),
            ExchangeKind::Fanout => self.bindings.iter().for_each(&mut hand_on),
            ExchangeKind::Topic => {
                let keys: Vec<Words<'_>> = by.keys().iter().map(|key| Words::of(key)).collect();
                let matches = |pattern: &str| keys.iter().any(|words| words.match_pattern(pattern));
                self.bindings.with_keys(matches).for_each(&mut hand_on);
            }
            ExchangeKind::ConsistentHash => {
                if let Some(target) = self.hashing.as_ref().and_then(|hashing| hashing.target(by)) {
                    each(target);
                }
            }
            ExchangeKind::Headers => {
                let headers = Headers::of(by.headers());
                let matching = self.bindings.iter().filter(|binding| headers.match_arguments(&binding.arguments));
                matching.for_each(&mut hand_on);
            }
        }
    }
}
