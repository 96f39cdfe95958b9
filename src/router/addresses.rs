//! The addresses in use, each with its node and the counters that every kind of node has.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use slab::Slab;

use super::arrivals::Arrivals;
use super::links::NodeId;
use super::node::Node;
use crate::config::Distribution;
use crate::event::LinkKey;
use crate::live::live;

/// An address and its node.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) address: Arc<str>,
    pub(super) node: Node,
    /// Number of attached producers.
    pub(super) producers: usize,
    /// Producers that get no credit until the node has caught up.
    pub(super) held: HashSet<LinkKey>,
    /// Messages that have arrived for this address.
    pub(super) arrived: u64,
    /// The link that created a dynamic node, which ends with it.
    pub(super) owner: Option<LinkKey>,
    /// Whether the node has ended (a dynamic node without its link, a deleted queue). It handles no more messages.
    pub(super) ended: bool,
}

impl Entry {
    fn is_unused(&self) -> bool {
        self.producers == 0 && self.node.is_idle()
    }
}

/// All addresses in use, with lookups by address and by key.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    by_name: HashMap<Arc<str>, NodeId>,
    entries: Slab<Entry>,
    /// The number of messages that arrived at addresses that are no longer in use.
    past: Arrivals,
}

impl Addresses {
    /// Finds the node of an address.
    pub(super) fn find(&self, address: &str) -> Option<NodeId> {
        self.by_name.get(address).copied()
    }

    /// Finds the entry of an address.
    pub(super) fn find_entry(&self, address: &str) -> Option<&Entry> {
        self.find(address).and_then(|id| self.get(id))
    }

    /// Returns a node that must exist: a link is attached to it, or it has just been found.
    pub(super) fn get(&self, id: NodeId) -> Option<&Entry> {
        live(self.entries.get(id.0), "a node in use")
    }

    /// Returns a node that must exist: a link is attached to it, or it has just been found.
    #[inline]
    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Entry> {
        live(self.entries.get_mut(id.0), "a node in use")
    }

    /// Finds a node that may have been removed meanwhile.
    pub(super) fn find_by_id(&self, id: NodeId) -> Option<&Entry> {
        self.entries.get(id.0)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &Entry)> {
        self.entries.iter().map(|(id, entry)| (NodeId(id), entry))
    }

    /// Adds a node at an address that has none.
    pub(super) fn add(&mut self, address: Arc<str>, distribution: Distribution, owner: Option<LinkKey>) -> NodeId {
        debug_assert!(!self.by_name.contains_key(&address), "an address has one node");
        let id = NodeId(self.entries.insert(Entry {
            address: address.clone(),
            node: Node::new(distribution),
            producers: 0,
            held: HashSet::new(),
            arrived: 0,
            owner,
            ended: false,
        }));
        self.by_name.insert(address, id);
        id
    }

    /// Frees the address of a node. Links may still be attached to the node.
    pub(super) fn forget_name(&mut self, id: NodeId) {
        // Another node may have the address by now, if a dynamic node had it before.
        if let Some(entry) = self.entries.get(id.0)
            && self.by_name.get(&entry.address) == Some(&id)
        {
            self.by_name.remove(&entry.address);
        }
    }

    /// Removes a node that is not in use. Returns whether it did.
    pub(super) fn tidy(&mut self, id: NodeId) -> bool {
        if !self.entries.get(id.0).is_some_and(Entry::is_unused) {
            return false;
        }
        self.forget_name(id);
        let entry = self.entries.remove(id.0);
        self.past.count(&entry.address, entry.arrived);
        true
    }

    /// Counts messages that arrived for an address without a node.
    pub(super) fn count_lost(&mut self, address: &Arc<str>, messages: u64) {
        self.past.count(address, messages);
    }

    /// Returns the number of messages that have arrived for an address since the broker started.
    pub(super) fn arrived_at(&self, address: &str) -> u64 {
        self.find_entry(address).map_or(0, |entry| entry.arrived) + self.past.of(address)
    }
}
