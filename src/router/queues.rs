//! Declaration, deletion and purge of queues on behalf of peers, and retirement of consumers. `node/queue.rs` has what a queue
//! does with messages.

use std::sync::Arc;

use super::Router;
use super::consumer_settings::ConsumerSettings;
use super::exchange::{Exchanges, is_exchange_path};
use super::links::{End, NodeId};
use super::node::{Declared, Queue, Settings, locked, not_supported};
use crate::config::Distribution;
use crate::event::{ConnectionKey, ConsumerRequest, Declaration, Effect, Fault, LinkKey, Node, REPLY_TO, Reason};
use crate::live::live;

/// Number of addresses in use from which on a declaration may not add a queue (our choice).
const MAX_ADDRESSES: usize = 65_536;

impl Router {
    fn no_queue(&self, address: &str) -> Fault {
        self.vhost.queue(address).not_found()
    }

    /// Finds the queue of an address.
    pub(super) fn queue(&self, address: &str) -> Option<NodeId> {
        let id = self.addresses.find(address)?;
        let entry = self.addresses.get(id)?;
        (entry.node.queue().is_some() && !entry.ended).then_some(id)
    }

    /// Finds the queue of an address for a connection. Fails if there is none, or if it is exclusive to another connection.
    pub(super) fn queue_for(&self, address: &str, connection: ConnectionKey) -> Result<NodeId, Fault> {
        let id = self.consumable_queue(address)?;
        let declared = self.addresses.get(id).and_then(|entry| entry.node.queue()?.declared.as_ref());
        match declared.is_some_and(|declared| declared.is_locked_for(connection)) {
            true => Err(locked(self.vhost.queue(address))),
            false => Ok(id),
        }
    }

    /// Finds the queue of an address that can be consumed from, bound and emptied. Those for replies cannot, as in RabbitMQ.
    fn consumable_queue(&self, address: &str) -> Result<NodeId, Fault> {
        let is_for_replies = address.starts_with(REPLY_TO);
        self.queue(address).filter(|_| !is_for_replies).ok_or_else(|| self.no_queue(address))
    }

    /// Answers a declaration, passive or not, of a name for replies, as in RabbitMQ: it is there if somebody consumes from it.
    fn declare_replies(&self, link: LinkKey, address: Arc<str>) -> Result<Effect, Fault> {
        match address.as_ref() == REPLY_TO || self.queue(&address).is_some() {
            true => Ok(Effect::Declared { link, address, messages: 0, consumers: 1 }),
            false => Err(self.no_queue(&address)),
        }
    }

    /// Returns the queue at a node. None if the node is of another kind.
    fn queue_mut(&mut self, id: NodeId) -> Option<&mut Queue> {
        self.addresses.get_mut(id).and_then(|entry| entry.node.queue_mut())
    }

    pub(super) fn answer_with(&mut self, link: LinkKey, answer: Result<Effect, Fault>) {
        let effect = answer.unwrap_or_else(|fault| Effect::Refused { link, fault: Box::new(fault) });
        self.effects.push(effect);
    }

    pub(super) fn declare(&mut self, link: LinkKey, declaration: Declaration) {
        let answer = self.try_declare(link, declaration);
        self.answer_with(link, answer);
    }

    pub(super) fn try_declare(&mut self, link: LinkKey, declaration: Declaration) -> Result<Effect, Fault> {
        let Declaration { address, passive, lifetime, durable, arguments, .. } = declaration;
        let now = self.deadlines.now();
        let address = match address {
            Some(address) if address.starts_with(REPLY_TO) => return self.declare_replies(link, address),
            Some(address) if !passive => {
                Exchanges::check_name("queue", &address)?;
                address
            }
            Some(address) => address,
            None => self.generate_queue_name(),
        };
        let id = match self.addresses.find(&address) {
            Some(_) => self.declared_before(link, &address, passive)?,
            None if passive => return Err(self.no_queue(&address)),
            None if self.addresses.len() >= MAX_ADDRESSES => {
                return Err(Fault::new(Reason::ResourceLimitExceeded, "too many queues"));
            }
            None => self.add_node(address.clone(), Distribution::Queue, None),
        };
        if !passive {
            let owner = lifetime.exclusive.then_some(link.connection);
            let declared = Declared { while_consumed: lifetime.while_consumed, durable, owner, arguments };
            let result = self.declare_as(id, &address, declared);
            self.tidy(id);
            result?;
        } else if let Some(queue) = self.queue_mut(id) {
            queue.note_use(now);
            self.keep_deadline(id)?;
        }
        let Some(entry) = self.addresses.get(id) else { return Err(self.no_queue(&address)) };
        let (messages, consumers) = (entry.node.depth(), entry.node.consumers());
        Ok(Effect::Declared { link, address, messages, consumers })
    }

    /// Returns the queue that already has an address. Fails if the address belongs to another kind of node.
    fn declared_before(&self, link: LinkKey, address: &str, passive: bool) -> Result<NodeId, Fault> {
        match self.queue(address) {
            Some(_) if passive => self.queue_for(address, link.connection),
            // `Declared::check_equivalent` decides whether it may be declared again.
            Some(id) => Ok(id),
            None => {
                let reason = if passive { Reason::NotFound } else { Reason::PreconditionFailed };
                Err(Fault::new(reason, format!("{address:?} is there and is no queue")))
            }
        }
    }

    /// Generates an unused queue name.
    fn generate_queue_name(&mut self) -> Arc<str> {
        self.generated += 1;
        format!("amq.gen-{:08x}-{}", self.salt >> 32, self.generated).into()
    }

    /// Applies a declaration to an existing queue: stores the first one, and compares a later one with it.
    fn declare_as(&mut self, id: NodeId, address: &Arc<str>, declared: Declared) -> Result<(), Fault> {
        let now = self.deadlines.now();
        let vhost = self.vhost.clone();
        let Some(queue) = live(self.queue_mut(id), "a queue") else { return Err(self.no_queue(address)) };
        if let Some(before) = &queue.declared {
            before.check_equivalent(vhost.queue(address), &declared, &queue.settings.queue_type.compared(&declared))?;
            queue.note_use(now);
            return self.keep_deadline(id);
        }
        let settings = Settings::of(self.vhost.queue(address), &declared)?;
        let settings = self.policies.merged(address, Some(&declared), settings);
        self.exchanges.charge(declared.arguments.cost())?;
        if let Some(owner) = declared.owner {
            self.owned.entry(owner).or_default().insert(address.clone());
        }
        self.work(id, |node, context| {
            if let Some(queue) = node.queue_mut() {
                queue.declared = Some(declared);
                queue.set_settings(settings, context.links);
                queue.note_use(context.now);
            }
        });
        Ok(())
    }

    /// Sets the deadline of a queue whose settings or use have changed.
    fn keep_deadline(&mut self, id: NodeId) -> Result<(), Fault> {
        self.work(id, |_, _| ());
        Ok(())
    }

    pub(super) fn delete(&mut self, link: LinkKey, address: &str, if_unused: bool, if_empty: bool) {
        let answer = self.try_delete(link, address, if_unused, if_empty);
        self.answer_with(link, answer);
    }

    pub(super) fn try_delete(
        &mut self,
        link: LinkKey,
        address: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<Effect, Fault> {
        let id = self.queue_for(address, link.connection)?;
        let Some(entry) = self.addresses.get(id) else { return Err(self.no_queue(address)) };
        let is_stream = entry.node.queue().is_some_and(Queue::is_stream);
        let refusal = if if_unused && entry.node.consumers() > 0 {
            Some(format!("{} in use", self.vhost.queue(address)))
        } else if if_empty && entry.node.depth() > 0 && !is_stream {
            Some(format!("{} not empty", self.vhost.queue(address)))
        } else {
            None
        };
        match refusal {
            Some(what) => Err(Fault::new(Reason::PreconditionFailed, what)),
            None => {
                let messages = self.end_queue(id);
                // RabbitMQ does not count those of a stream.
                Ok(Effect::Deleted { link, messages: if is_stream { 0 } else { messages } })
            }
        }
    }

    pub(super) fn purge_for(&mut self, link: LinkKey, address: &str) {
        let answer = self.try_purge(link, address);
        self.answer_with(link, answer);
    }

    fn try_purge(&mut self, link: LinkKey, address: &str) -> Result<Effect, Fault> {
        let id = self.queue_for(address, link.connection)?;
        if self.addresses.get(id).and_then(|entry| entry.node.queue()).is_some_and(Queue::is_stream) {
            return Err(not_supported("queue.purge", self.vhost.queue(address)));
        }
        let messages = self.work(id, |node, context| node.purge(context)).unwrap_or(0);
        Ok(Effect::Purged { link, messages })
    }

    /// Ends a queue: purges it and detaches its links. Returns the number of messages purged.
    fn end_queue(&mut self, id: NodeId) -> usize {
        if let Some(queue) = self.queue_mut(id) {
            queue.settings = Settings::default();
        }
        let messages = self.work(id, |node, context| node.purge(context)).unwrap_or(0);
        self.forget_name(id);
        let Some(entry) = self.addresses.get_mut(id) else { return messages };
        entry.ended = true;
        let address = entry.address.clone();
        let Some(queue) = live(entry.node.queue_mut(), "a queue") else { return messages };
        let declared = queue.declared.take();
        self.exchanges.refund(declared.as_ref().map_or(0, |declared| declared.arguments.cost()));
        if let Some(owned) = declared.and_then(|declared| self.owned.get_mut(&declared.owner?)) {
            owned.remove(&address);
        }
        let fault = Fault::new(Reason::ResourceDeleted, format!("queue {address:?} is no more"));
        self.detach_links_of(id, &fault);
        self.tidy(id);
        messages
    }

    /// Detaches the consumers of a queue, and the producers of a node of any kind, because the node has ended.
    pub(super) fn detach_links_of(&mut self, id: NodeId, fault: &Fault) {
        let Some(entry) = self.addresses.get(id) else { return };
        let mut links = entry.node.queue().map(Queue::keys).unwrap_or_default();
        if entry.producers > 0 {
            let producers =
                self.links.iter().filter(|(_, end)| matches!(end, End::Producer(it) if it.node == Some(id)));
            links.extend(producers.map(|(key, _)| key));
        }
        for link in links {
            self.effects.push(Effect::Detach { link, fault: Box::new(fault.clone()) });
        }
    }

    /// The deadline of a queue has come: its first messages expire, or it goes itself.
    pub(super) fn expire(&mut self, id: NodeId) {
        let now = self.deadlines.now();
        let Some(queue) = live(self.queue_mut(id), "the queue of a deadline") else { return };
        queue.timer = None;
        if queue.has_expired(now) {
            self.end_queue(id);
            return;
        }
        self.work(id, |node, context| {
            if let Some(queue) = node.queue_mut() {
                queue.expire(context);
            }
        });
        self.tidy(id);
    }

    /// Ends an auto-delete queue after its last consumer has been detached.
    pub(super) fn end_if_deserted(&mut self, id: NodeId) {
        // The queue may have ended with an earlier consumer.
        let Some(entry) = self.addresses.find_by_id(id) else { return };
        let goes = entry.node.queue().and_then(|queue| queue.declared.as_ref());
        if goes.is_some_and(|declared| declared.while_consumed) && entry.node.receivers() == 0 {
            self.end_queue(id);
        }
    }

    /// Ends the exclusive queues of a connection that has closed.
    pub(super) fn end_owned(&mut self, connection: ConnectionKey) {
        for address in self.owned.remove(&connection).unwrap_or_default() {
            if let Some(id) = self.queue(&address) {
                self.end_queue(id);
            }
        }
    }

    /// Removes all declarations, and the queues that are not in use.
    pub(crate) fn undeclare_all(&mut self) {
        let ids: Vec<NodeId> = self.addresses.iter().map(|(id, _)| id).collect();
        for id in ids {
            if let Some(queue) = self.queue_mut(id)
                && queue.declared.take().is_some()
            {
                self.tidy(id);
            }
        }
        self.reset_topology();
    }

    /// Returns the node for a consumer, and how it treats the consumer. Fails if the consumer may not attach to it.
    pub(super) fn node_for_consumer(
        &mut self,
        key: LinkKey,
        request: &ConsumerRequest,
    ) -> Result<(NodeId, ConsumerSettings), Fault> {
        self.check_is_not_gone(&request.node)?;
        let id = match &request.node {
            Node::Queue(address) => self.consumable_queue(address)?,
            Node::Address(address) if is_exchange_path(address) => {
                let what = format!("{address:?} is an exchange: it can only be sent to");
                return Err(Fault::new(Reason::InvalidField, what));
            }
            node => self.node_for(node.clone(), key),
        };
        let Some(entry) = self.addresses.get(id) else { return Err(self.no_queue("")) };
        // Any connection may send there, for example the reply to a request.
        if entry.owner.is_some_and(|owner| owner.connection != key.connection) {
            let what = format!("the dynamic node {:?} is another connection's alone", entry.address);
            return Err(Fault::new(Reason::ResourceLocked, what));
        }
        let what = self.vhost.queue(&entry.address);
        entry.node.check_consumer(what, key.connection, request)?;
        let now = (self.deadlines.now(), self.deadlines.date());
        let settings = ConsumerSettings::of(what, &request.arguments, now)?;
        Ok((id, settings))
    }

    /// Takes all credit from a consumer and counts it no more. Its unanswered deliveries stay (basic.cancel).
    pub(super) fn retire(&mut self, key: LinkKey) {
        // A consumer that was detached or retired before has nothing to lose.
        let Some(consumer) = self.links.find_consumer_mut(key).filter(|consumer| !consumer.passing) else { return };
        consumer.passing = true;
        consumer.credit = 0;
        consumer.drain = false;
        consumer.is_ready = false;
        let id = consumer.node;
        self.counts.receiver_links -= 1;
        self.work(id, |node, context| {
            if let Some(queue) = node.queue_mut() {
                queue.set_aside(key, context.links);
                queue.note_use(context.now);
                // Another consumer may have become active.
                queue.dispatch(context);
            }
        });
        self.end_if_deserted(id);
    }
}
