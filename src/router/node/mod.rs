//! The nodes: each kind is a type with the same few methods, which get a [`Context`] while they work.
//!
//! | method | called when |
//! |---|---|
//! | `offer` | a message has arrived |
//! | `serve` | a consumer can take more |
//! | `conclude` | a delivery of this node has ended |
//! | `strike_off`, then `carry_on` | consumers have been detached |
//!
//! | file | contents |
//! |---|---|
//! | `direct.rs`, `anycast.rs`, `multicast.rs`, `queue/` | the kinds of node |
//! | `row.rs` | the order in which consumers get messages |
//! | `waiting.rs` | dropping and purging of waiting messages |
//! | `declared.rs` | the declaration of a queue |

mod anycast;
mod declared;
mod direct;
mod multicast;
mod queue;
mod row;
mod waiting;

use std::collections::HashSet;

use super::consumer_settings::StreamOffset;
use super::context::{Answers, Context, Incoming};
use super::exchange::Named;
use super::links::Outstanding;
use crate::config::Distribution;
use crate::event::{
    Arrival, ConnectionKey, ConsumerRequest, Effect, Fault, LinkKey, NamedLink, NodeKind, Outcome, Reason,
};

use anycast::Anycast;
pub(super) use declared::{Declared, locked};
use direct::Direct;
use multicast::Multicast;
pub(super) use queue::{Overflow, Queue, QueueType, Settings, not_supported};

/// A node of one of the four kinds, with the methods that all of them have.
#[derive(Debug)]
pub(super) enum Node {
    Direct(Direct),
    Anycast(Anycast),
    Multicast(Multicast),
    Queue(Box<Queue>),
}

impl Node {
    pub(super) fn new(distribution: Distribution) -> Node {
        match distribution {
            Distribution::Direct => Node::Direct(Direct::default()),
            Distribution::Anycast => Node::Anycast(Anycast::default()),
            Distribution::Multicast => Node::Multicast(Multicast::default()),
            Distribution::Queue => Node::Queue(Box::default()),
        }
    }

    pub(super) fn distribution(&self) -> Distribution {
        match self {
            Node::Direct(_) => Distribution::Direct,
            Node::Anycast(_) => Distribution::Anycast,
            Node::Multicast(_) => Distribution::Multicast,
            Node::Queue(_) => Distribution::Queue,
        }
    }

    /// Returns the kind of node that a link attached here is told.
    pub(super) fn kind(&self) -> NodeKind {
        match self {
            Node::Queue(node) if node.is_stream() => NodeKind::Stream,
            Node::Queue(_) => NodeKind::Queue,
            Node::Multicast(_) => NodeKind::Topic,
            Node::Direct(_) | Node::Anycast(_) => NodeKind::Unspecified,
        }
    }

    pub(super) fn queue(&self) -> Option<&Queue> {
        match self {
            Node::Queue(queue) => Some(queue),
            _ => None,
        }
    }

    pub(super) fn queue_mut(&mut self) -> Option<&mut Queue> {
        match self {
            Node::Queue(queue) => Some(queue),
            _ => None,
        }
    }

    /// Takes over messages from the start of a run, as many as can be handled together. The caller offers the rest one by one.
    pub(super) fn forward_run(
        &mut self,
        arrivals: &mut Vec<Arrival>,
        from: LinkKey,
        sender: &Option<NamedLink>,
        context: &mut Context<'_>,
    ) {
        match self {
            Node::Direct(node) => node.forward_run(arrivals, from, sender, context),
            Node::Anycast(node) => node.forward_run(arrivals, from, sender, context),
            Node::Queue(node) => node.take_run(arrivals, from, sender, context),
            // Multicast needs a copy for each consumer.
            Node::Multicast(_) => {}
        }
    }

    /// Takes over a message: forwards it, keeps it, or refuses it, and passes on its outcome. Gives it back if no consumer is
    /// attached.
    #[inline]
    pub(super) fn offer(
        &mut self,
        incoming: Incoming,
        from: &mut Answers<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Incoming> {
        match self {
            Node::Direct(node) => node.offer(incoming, from, context),
            Node::Anycast(node) => node.offer(incoming, from, context),
            Node::Multicast(node) => node.offer(incoming, from, context),
            Node::Queue(node) => {
                node.offer(incoming, from, context);
                Ok(())
            }
        }
    }

    /// Hands a consumer what it can take now, and reports the end of a drain.
    pub(super) fn serve(&mut self, key: LinkKey, context: &mut Context<'_>) {
        let browses = context.links.at_node(key).is_some_and(|consumer| consumer.browse);
        match self {
            Node::Direct(node) => node.dispatch(context),
            Node::Anycast(node) => {
                node.ready.join(key, context.links);
                node.dispatch(context);
            }
            Node::Multicast(node) => node.serve(key, context),
            Node::Queue(node) if browses => node.show(key, context),
            Node::Queue(node) => {
                node.join(key, context.links);
                node.dispatch(context);
            }
        }
        self.finish_drain(key, context);
    }

    fn finish_drain(&self, key: LinkKey, context: &mut Context<'_>) {
        let is_draining = context.links.at_node(key).is_some_and(|consumer| consumer.drain);
        // What its channel or its connection blocks is still part of the drain.
        if !is_draining || (context.links.is_blocked(key) && self.holds_for(key, context)) {
            return;
        }
        if let Some(consumer) = context.links.at_node_mut(key) {
            consumer.drain = false;
            consumer.credit = 0;
        }
        context.effects.push(Effect::Drained { link: key, left: self.depth() });
    }

    /// Whether a message waits that the consumer would be given.
    fn holds_for(&self, key: LinkKey, context: &Context<'_>) -> bool {
        match self {
            Node::Direct(node) => node.consumers.first() == Some(&key) && !node.store.is_empty(),
            Node::Anycast(node) => !node.store.is_empty(),
            Node::Multicast(node) => node.waiting_for(key) > 0,
            Node::Queue(node) => node.holds_for(key, context),
        }
    }

    /// Ends a delivery. Returns whether its message came back.
    pub(super) fn conclude(
        &mut self,
        consumer: LinkKey,
        outstanding: Outstanding,
        outcome: Outcome,
        context: &mut Context<'_>,
    ) -> bool {
        match (self, outstanding) {
            (Node::Queue(queue), outstanding) => queue.conclude(consumer, outstanding, outcome, context),
            (_, Outstanding::EndToEnd(origin)) => {
                context.resolve(origin, outcome);
                false
            }
            (_, Outstanding::Queued(waiting) | Outstanding::Unfinished(waiting)) => {
                debug_assert!(false, "only queues store");
                context.budget.give_back(waiting.cost());
                false
            }
        }
    }

    /// Fails if a consumer may not attach.
    pub(super) fn check_consumer(
        &self,
        what: Named<'_>,
        connection: ConnectionKey,
        request: &ConsumerRequest,
    ) -> Result<(), Fault> {
        let Node::Queue(queue) = self else {
            return match request.arguments.get("x-stream-offset") {
                Some(_) => Err(Fault::new(Reason::PreconditionFailed, format!("{what} is no stream"))),
                None => Ok(()),
            };
        };
        if queue.declared.as_ref().is_some_and(|declared| declared.is_locked_for(connection)) {
            return Err(declared::locked(what));
        }
        queue.check_arguments(what, &request.arguments)?;
        if queue.is_stream() {
            return queue.check_reader(what, request);
        }
        if request.passing {
            return Ok(());
        }
        queue.check_consumer(what, request)
    }

    /// Adds a consumer for which [`Node::check_consumer`] holds.
    pub(super) fn add(&mut self, key: LinkKey, exclusive: bool, offset: StreamOffset, context: &mut Context<'_>) {
        match self {
            Node::Direct(node) => node.add(key, context.links),
            Node::Anycast(node) => node.consumers.push(key),
            Node::Multicast(node) => node.consumers.push(key),
            Node::Queue(node) => {
                node.add(key, exclusive, offset, context.links);
                node.note_use(context.now);
            }
        }
    }

    /// Removes consumers that were detached. Call it for all of them before anything that they had is given to others.
    pub(super) fn strike_off(&mut self, leaving: &HashSet<LinkKey>, context: &mut Context<'_>) {
        match self {
            Node::Direct(node) => node.strike_off(leaving),
            Node::Anycast(node) => node.strike_off(leaving),
            Node::Multicast(node) => node.strike_off(leaving, context),
            Node::Queue(node) => {
                node.strike_off(leaving, context.links);
                node.note_use(context.now);
            }
        }
    }

    /// Hands out what waits, or drops what no consumer is left for, after consumers were detached or a message has come back.
    pub(super) fn carry_on(&mut self, is_ended: bool, context: &mut Context<'_>) {
        if is_ended {
            self.strand(context);
            return;
        }
        match self {
            Node::Direct(node) => {
                node.dispatch(context);
                node.drop_unserved(context);
            }
            Node::Anycast(node) => {
                node.dispatch(context);
                node.drop_unserved(context);
            }
            Node::Multicast(_) => {}
            Node::Queue(node) => {
                node.dispatch(context);
                node.shorten(context);
            }
        }
    }

    /// Drops everything that waits, because the node has ended.
    fn strand(&mut self, context: &mut Context<'_>) {
        let store = match self {
            Node::Direct(node) => &mut node.store,
            Node::Anycast(node) => &mut node.store,
            Node::Queue(node) => &mut node.store,
            Node::Multicast(_) => return,
        };
        waiting::drop_unfit(store, None, context);
    }

    /// Removes everything that waits. Returns the number of messages.
    pub(super) fn purge(&mut self, context: &mut Context<'_>) -> usize {
        match self {
            Node::Direct(node) => waiting::purge(&mut node.store, context),
            Node::Anycast(node) => waiting::purge(&mut node.store, context),
            Node::Queue(node) => waiting::purge(&mut node.store, context),
            Node::Multicast(node) => node.purge(context),
        }
    }

    /// Whether so much waits for consumers that producers get no more credit.
    pub(super) fn is_slow(&mut self, limit: usize) -> bool {
        match self {
            Node::Direct(node) => node.store.is_slow(limit),
            Node::Anycast(node) => node.store.is_slow(limit),
            Node::Multicast(node) => node.is_slow(),
            // Messages in a queue do not wait for a slow receiver. The storage limit bounds them.
            Node::Queue(_) => false,
        }
    }

    /// Whether the node can be removed: no consumer, no waiting message, no declaration.
    pub(super) fn is_idle(&self) -> bool {
        let is_kept = self.queue().is_some_and(|queue| queue.declared.is_some() || !queue.aside.is_empty());
        self.receivers() == 0 && self.depth() == 0 && !is_kept
    }

    /// Counts the messages that wait here, without copies for single consumers.
    pub(super) fn depth(&self) -> usize {
        match self {
            Node::Direct(node) => node.store.len(),
            Node::Anycast(node) => node.store.len(),
            Node::Multicast(_) => 0,
            Node::Queue(node) => node.store.len(),
        }
    }

    /// Counts the messages that wait here, copies for single consumers included, and sums up their cost anew.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> (usize, usize) {
        let store = match self {
            Node::Direct(node) => &node.store,
            Node::Anycast(node) => &node.store,
            Node::Queue(node) => &node.store,
            Node::Multicast(node) => return node.held(),
        };
        (store.len(), store.cost())
    }

    /// Counts the copies that wait for one consumer alone.
    pub(super) fn waiting_for(&self, key: LinkKey) -> usize {
        match self {
            Node::Multicast(node) => node.waiting_for(key),
            _ => 0,
        }
    }

    /// Counts the consumers that take messages.
    pub(super) fn consumers(&self) -> usize {
        match self {
            Node::Direct(node) => node.consumers.len(),
            Node::Anycast(node) => node.consumers.len(),
            Node::Multicast(node) => node.consumers.len(),
            Node::Queue(node) => node.consumers.len(),
        }
    }

    /// Counts the consumers, those that browse included.
    pub(super) fn receivers(&self) -> usize {
        self.consumers() + self.queue().map_or(0, |queue| queue.browsers.len())
    }
}
