//! Addresses in use: each leads to a node, with what is known of it whatever its kind.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use slab::Slab;

use super::arrivals::Arrivals;
use super::links::NodeId;
use super::node::Node;
use crate::config::Distribution;
use crate::event::LinkKey;
use crate::live::live;

/// An address with its node.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) address: Arc<str>,
    pub(super) node: Node,
    /// Links that peers send to it on.
    pub(super) producers: usize,
    /// Producers that get no more credit until the node has caught up.
    pub(super) held: HashSet<LinkKey>,
    /// Messages that have arrived for it.
    pub(super) arrived: u64,
    /// The link that a dynamic node lives and dies with.
    pub(super) owner: Option<LinkKey>,
    /// It was a dynamic node's, and its link is gone; or a queue that is no more. Nothing is done with messages any more.
    pub(super) ended: bool,
}

impl Entry {
    fn is_unused(&self) -> bool {
        self.producers == 0 && self.node.is_idle()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    by_name: HashMap<Arc<str>, NodeId>,
    entries: Slab<Entry>,
    /// How many messages have arrived at addresses that nobody uses any more.
    past: Arrivals,
}

impl Addresses {
    /// The node at an address, if there is one.
    pub(super) fn find(&self, address: &str) -> Option<NodeId> {
        self.by_name.get(address).copied()
    }

    /// What stands at an address, if anything does.
    pub(super) fn named(&self, address: &str) -> Option<&Entry> {
        self.find(address).and_then(|id| self.get(id))
    }

    /// A node that a link is attached to or that has just been found.
    pub(super) fn get(&self, id: NodeId) -> Option<&Entry> {
        live(self.entries.get(id.0), "a node in use")
    }

    /// A node that a link is attached to or that has just been found.
    #[inline]
    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Entry> {
        live(self.entries.get_mut(id.0), "a node in use")
    }

    /// A node that may have been forgotten since.
    pub(super) fn get_if_there(&self, id: NodeId) -> Option<&Entry> {
        self.entries.get(id.0)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &Entry)> {
        self.entries.iter().map(|(id, entry)| (NodeId(id), entry))
    }

    /// A node for an address that has none.
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

    /// The address leads to the node no longer; links may still be attached to it.
    pub(super) fn forget_name(&mut self, id: NodeId) {
        // Another node may have the address by now, if a dynamic node had it before.
        if let Some(entry) = self.entries.get(id.0)
            && self.by_name.get(&entry.address) == Some(&id)
        {
            self.by_name.remove(&entry.address);
        }
    }

    /// Forgets a node that nobody uses. True if it is gone.
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

    /// Messages that have arrived for an address, ever.
    pub(super) fn arrived_at(&self, address: &str) -> u64 {
        self.named(address).map_or(0, |entry| entry.arrived) + self.past.of(address)
    }
}
