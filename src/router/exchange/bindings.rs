//! The bindings of one exchange, found by key and target. `declared.rs` decides which of them a message matches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::arguments::Arguments;
use crate::router::node_id::NodeId;

/// The router's key of a queue. The bindings of a queue are removed before another queue can get its key.
pub(in crate::router) type QueueKey = NodeId;

/// The target of a binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::router) enum Target {
    Queue(QueueKey),
    Exchange(Arc<str>),
}

/// One binding. The order keeps bindings of one target together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::router) struct Binding {
    pub(in crate::router) target: Target,
    pub(in crate::router) key: Arc<str>,
    pub(in crate::router) arguments: Arguments,
}

impl Binding {
    /// Approximate bytes that a binding takes besides its arguments.
    const OVERHEAD: usize = 512;

    /// Returns the approximate bytes that the binding takes.
    pub(super) fn cost(&self) -> usize {
        Binding::OVERHEAD + self.key.len() + self.arguments.cost()
    }
}

/// Bindings by routing key.
#[derive(Debug, Default)]
pub(super) struct Bindings(BTreeMap<Arc<str>, BTreeSet<Binding>>);

impl Bindings {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a binding. False if it existed.
    pub(super) fn add(&mut self, binding: Binding) -> bool {
        self.0.entry(binding.key.clone()).or_default().insert(binding)
    }

    /// Removes a binding. False if it did not exist.
    pub(super) fn remove(&mut self, binding: &Binding) -> bool {
        let Some(bindings) = self.0.get_mut(&binding.key) else { return false };
        let was_there = bindings.remove(binding);
        if bindings.is_empty() {
            self.0.remove(&binding.key);
        }
        was_there
    }

    /// Removes all bindings of a target by one key. Returns their cost.
    pub(super) fn remove_all(&mut self, target: &Target, key: &Arc<str>) -> usize {
        let found: Vec<Binding> = self.to(target, key).cloned().collect();
        found.iter().filter(|binding| self.remove(binding)).map(Binding::cost).sum()
    }

    /// Whether a target is bound by a key, with any arguments.
    pub(super) fn has(&self, target: &Target, key: &Arc<str>) -> bool {
        self.to(target, key).next().is_some()
    }

    fn to<'a>(&'a self, target: &'a Target, key: &Arc<str>) -> impl Iterator<Item = &'a Binding> {
        let first = Binding { target: target.clone(), key: key.clone(), arguments: Arguments::default() };
        let bindings = self.0.get(key).into_iter().flat_map(move |bindings| bindings.range(first.clone()..));
        bindings.take_while(move |binding| binding.target == *target)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Binding> {
        self.0.values().flatten()
    }

    /// Iterates over the bindings with this key.
    pub(super) fn with_key(&self, key: &str) -> impl Iterator<Item = &Binding> {
        self.0.get(key).into_iter().flatten()
    }

    /// Iterates over the bindings whose keys match.
    pub(super) fn with_keys<'a>(&'a self, matches: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = &'a Binding> {
        self.0.iter().filter(move |(key, _)| matches(key)).flat_map(|(_, bindings)| bindings)
    }
}
