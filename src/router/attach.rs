//! Attach and detach of links, and the nodes that come and go with them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::Router;
use super::deadlines::Due;
use super::links::{Consumer, End, NodeId, Producer};
use crate::config::{Distribution, RoutingConfig};
use crate::event::{ConsumerRequest, Effect, Fault, LinkKey, Node, NodeKind, REPLY_TO, Reason};

impl Router {
    pub(super) fn attach_producer(&mut self, key: LinkKey, name: Arc<str>, node: Node) {
        if let Err(fault) = self.check_is_not_gone(&node) {
            return self.refuse(key, fault);
        }
        let asked = address_asked(&node);
        let exchange = match &node {
            Node::Address(address) => match self.terminus_at(address) {
                Ok(terminus) => terminus,
                Err(fault) => return self.refuse(key, fault),
            },
            _ => None,
        };
        let id = match node {
            Node::Anonymous => None,
            _ if exchange.is_some() => None,
            named => Some(self.node_for(named, key)),
        };
        let limit = self.config.backlog_limit;
        let (mut address, mut kind, mut is_slow) = (None, NodeKind::Unspecified, false);
        if let Some(entry) = id.and_then(|id| self.addresses.get_mut(id)) {
            entry.producers += 1;
            (address, kind) = (Some(entry.address.clone()), entry.node.kind());
            is_slow = entry.node.is_slow(limit);
        }
        let withheld = address.as_ref().or(asked.as_ref()).is_some_and(|address| self.withheld.contains(address));
        let exchange = exchange.map(Box::new);
        self.links.add_producer(key, Producer { withheld, exchange, ..Producer::new(name, id) });
        self.counts.sender_links += 1;
        self.effects.push(Effect::Attached { link: key, address: asked.or(address), kind });
        if let (Some(id), true) = (id, is_slow) {
            self.hold(key, id);
        }
        self.top_up(key, 0);
    }

    pub(super) fn attach_consumer(&mut self, key: LinkKey, request: ConsumerRequest) {
        let (id, settings) = match self.node_for_consumer(key, &request) {
            Ok(found) => found,
            Err(fault) => return self.effects.push(Effect::Refused { link: key, fault: Box::new(fault) }),
        };
        let Some(entry) = self.addresses.get_mut(id) else { return };
        // Only a queue can be browsed or asked for single messages.
        let browse = entry.node.queue().is_some_and(|queue| request.browse || queue.is_stream());
        let kind = entry.node.kind();
        let address = address_asked(&request.node).or_else(|| Some(entry.address.clone()));
        let exclusive = request.exclusive;
        self.counts.receiver_links += u64::from(!request.passing);
        self.links.add_consumer(key, Consumer::new(id, browse, request, settings));
        self.work(id, |node, context| node.add(key, exclusive, settings.offset, context));
        self.effects.push(Effect::Attached { link: key, address, kind });
    }

    /// Returns the node for an attach, and makes it if there is none.
    pub(super) fn node_for(&mut self, node: Node, owner: LinkKey) -> NodeId {
        let (address, distribution, owner) = match node {
            Node::Address(address) => match RoutingConfig::node_at(&address) {
                Cow::Borrowed(same) if same.len() == address.len() => (address, None, None),
                other => {
                    let distribution = self.config.distribution_at(&address, &other);
                    (Arc::from(other), Some(distribution), None)
                }
            },
            Node::Replies => (self.generated_reply_address(), Some(Distribution::Queue), Some(owner)),
            Node::Dynamic(kind) => {
                let distribution = match kind {
                    NodeKind::Queue | NodeKind::Stream => Some(Distribution::Queue),
                    NodeKind::Topic => Some(Distribution::Multicast),
                    NodeKind::Unspecified => None,
                };
                (self.generated_address(), distribution, Some(owner))
            }
            // Anonymous producers have no node, there are no anonymous consumers, and only consumers attach to a declared queue.
            Node::Anonymous | Node::Queue(_) => ("".into(), None, None),
        };
        if let Some(id) = self.addresses.find(&address) {
            return id;
        }
        let distribution = distribution.unwrap_or_else(|| self.config.distribution_of(&address));
        self.add_node(address, distribution, owner)
    }

    /// Generates the name that replies to one consumer are sent to.
    fn generated_reply_address(&mut self) -> Arc<str> {
        self.generated += 1;
        format!("{REPLY_TO}.{:08x}.{}", self.salt >> 32, self.generated).into()
    }

    fn generated_address(&mut self) -> Arc<str> {
        self.generated += 1;
        format!("{}{}", self.generated_stem(), self.generated).into()
    }

    /// Returns the prefix of the addresses of all dynamic nodes of this broker. A number follows it.
    fn generated_stem(&self) -> String {
        let RoutingConfig { generated_prefix, separator, .. } = &self.config;
        format!("{generated_prefix}{separator}{:08x}{separator}", self.salt >> 32)
    }

    /// Refuses the address of a dynamic node that has ended. A client that still knows the address does not create the node
    /// again.
    pub(super) fn check_is_not_gone(&self, node: &Node) -> Result<(), Fault> {
        let Node::Address(said) = node else { return Ok(()) };
        let address = RoutingConfig::node_at(said);
        if self.addresses.find(&address).is_some() {
            return Ok(());
        }
        let number = address.strip_prefix(&self.generated_stem()).and_then(|number| number.parse().ok());
        match number.is_some_and(|number: u64| number <= self.generated) {
            true => Err(Fault::new(Reason::NotFound, format!("the dynamic node {address:?} is no more"))),
            false => Ok(()),
        }
    }

    /// Detaches links. All of them leave their nodes before what they had is given to others.
    pub(crate) fn detach(&mut self, gone: Vec<LinkKey>) {
        let mut nodes = Vec::new();
        let mut consumers = Vec::new();
        let mut starved_left = false;
        for key in gone {
            match self.links.remove(key) {
                Some(End::Producer(producer)) => {
                    starved_left |= producer.starved;
                    nodes.extend(self.let_producer_go(key, &producer).map(|id| (id, key)));
                }
                Some(End::Consumer(consumer)) => {
                    self.counts.receiver_links -= u64::from(!consumer.passing);
                    nodes.push((consumer.node, key));
                    consumers.push((key, consumer));
                }
                // An attach that was refused left no link.
                None => {}
            }
        }
        if starved_left {
            self.starved.retain(|key| self.links.find(*key).is_some());
        }
        self.let_consumers_go(consumers);
        // A queue may have been deleted with its last consumer.
        nodes.retain(|(id, _)| self.addresses.find_by_id(*id).is_some());
        for (id, key) in &nodes {
            self.end_dynamic_node(*id, *key);
        }
        // Once for each node, since its waiting messages are searched.
        let mut nodes: Vec<NodeId> = nodes.into_iter().map(|(id, _)| id).collect();
        nodes.sort_unstable();
        nodes.dedup();
        for id in nodes {
            self.carry_on(id);
            self.tidy(id);
        }
    }

    /// Removes a producer from its node. Returns the node, if it had one.
    fn let_producer_go(&mut self, key: LinkKey, producer: &Producer) -> Option<NodeId> {
        self.counts.sender_links -= 1;
        for id in &producer.held_by {
            if let Some(entry) = self.addresses.get_mut(*id) {
                entry.held.remove(&key);
            }
        }
        let id = producer.node?;
        if let Some(entry) = self.addresses.get_mut(id) {
            entry.producers -= 1;
        }
        Some(id)
    }

    fn let_consumers_go(&mut self, consumers: Vec<(LinkKey, Box<Consumer>)>) {
        let mut leaving: BTreeMap<NodeId, HashSet<LinkKey>> = BTreeMap::new();
        let mut deserted = Vec::new();
        for (key, consumer) in &consumers {
            leaving.entry(consumer.node).or_default().insert(*key);
            if !consumer.passing {
                deserted.push(consumer.node);
            }
        }
        for (id, leaving) in leaving {
            self.work(id, |node, context| node.strike_off(&leaving, context));
        }
        for (key, mut consumer) in consumers {
            let default_outcome = consumer.default_outcome;
            self.work(consumer.node, |node, context| {
                for outstanding in consumer.outstanding.drain() {
                    node.conclude(key, outstanding, default_outcome.clone(), context);
                }
            });
        }
        deserted.into_iter().for_each(|id| self.end_if_deserted(id));
    }

    /// Ends a dynamic node whose creating link was detached (3.5.10, delete-on-close).
    fn end_dynamic_node(&mut self, id: NodeId, gone: LinkKey) {
        let Some(entry) = self.addresses.get_mut(id).filter(|entry| entry.owner == Some(gone)) else { return };
        entry.owner = None;
        // A queue that has been declared meanwhile stays.
        if entry.node.queue().is_some_and(|queue| queue.declared.is_some()) {
            return;
        }
        entry.ended = true;
        let fault = Fault::new(Reason::ResourceDeleted, format!("the dynamic node {:?} is no more", entry.address));
        self.forget_name(id);
        // Waiting messages are dropped, and their senders are sent outcomes, before the links end.
        self.carry_on(id);
        self.detach_links_of(id, &fault);
    }

    /// Removes a node that is not in use.
    pub(super) fn tidy(&mut self, id: NodeId) {
        let is_queue = self.addresses.find_by_id(id).is_some_and(|entry| entry.node.queue().is_some());
        let mut timer = self.addresses.find_by_id(id).and_then(|entry| entry.node.queue()?.timer);
        if self.addresses.tidy(id) && is_queue {
            self.deadlines.keep(&mut timer, None, || Due::Queue(id));
            self.unbind_queue(id);
        }
    }

    /// Frees the address of a node. Links may still be attached to the node.
    pub(super) fn forget_name(&mut self, id: NodeId) {
        self.addresses.forget_name(id);
        if self.addresses.get(id).is_some_and(|entry| entry.node.queue().is_some()) {
            self.unbind_queue(id);
        }
    }
}

/// Returns the address as the peer wrote it, for its attach, where an address can be written in more than one way.
fn address_asked(node: &Node) -> Option<Arc<str>> {
    match node {
        Node::Address(address) => Some(address.clone()),
        Node::Queue(_) | Node::Dynamic(_) | Node::Replies | Node::Anonymous => None,
    }
}
