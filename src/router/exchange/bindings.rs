//! The bindings of one exchange, found by key and target. Which of them a message matches is not decided here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::arguments::Arguments;
use crate::router::node_id::NodeId;

/// The router's name of a queue. A queue that is gone is unbound before another gets its name.
pub(in crate::router) type QueueKey = NodeId;

/// What a binding leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::router) enum Target {
    Queue(QueueKey),
    Exchange(Arc<str>),
}

/// One binding. Those of one target stand together in their order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::router) struct Binding {
    pub(in crate::router) target: Target,
    pub(in crate::router) key: Arc<str>,
    pub(in crate::router) arguments: Arguments,
}

impl Binding {
    /// What a binding costs beside its arguments, about.
    const OVERHEAD: usize = 512;

    /// Memory that it takes, about.
    pub(super) fn cost(&self) -> usize {
        Binding::OVERHEAD + self.key.len() + self.arguments.cost()
    }
}

/// Bindings by their keys.
#[derive(Debug, Default)]
pub(super) struct Bindings(BTreeMap<Arc<str>, BTreeSet<Binding>>);

impl Bindings {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a binding. False if it was there.
    pub(super) fn add(&mut self, binding: Binding) -> bool {
        self.0.entry(binding.key.clone()).or_default().insert(binding)
    }

    /// Takes out a binding. False if it was not there.
    pub(super) fn remove(&mut self, binding: &Binding) -> bool {
        let Some(bindings) = self.0.get_mut(&binding.key) else { return false };
        let was_there = bindings.remove(binding);
        if bindings.is_empty() {
            self.0.remove(&binding.key);
        }
        was_there
    }

    /// Takes out all that lead to a target by one key; what they cost.
    pub(super) fn remove_all(&mut self, target: &Target, key: &Arc<str>) -> usize {
        let found: Vec<Binding> = self.to(target, key).cloned().collect();
        found.iter().filter(|binding| self.remove(binding)).map(Binding::cost).sum()
    }

    /// Whether a target is bound by a key, with whatever arguments.
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

    /// The bindings with exactly this key.
    pub(super) fn with_key(&self, key: &str) -> impl Iterator<Item = &Binding> {
        self.0.get(key).into_iter().flatten()
    }

    /// The bindings whose keys match.
    pub(super) fn with_keys<'a>(&'a self, matches: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = &'a Binding> {
        self.0.iter().filter(move |(key, _)| matches(key)).flat_map(|(_, bindings)| bindings)
    }
}
