//! Nodes: what stands at an address and what it does with messages. Each kind is a type of its own with the same few methods,
//! which get a [`Context`] while they work.
//!
//! | method | when it is called |
//! |---|---|
//! | `offer` | a message has come, from whomever |
//! | `serve` | a consumer can take more |
//! | `conclude` | a delivery of this node has ended |
//! | `strike_off`, then `carry_on` | consumers have left |
//!
//! | file | what |
//! |---|---|
//! | `direct.rs`, `anycast.rs`, `multicast.rs`, `queue.rs` | the kinds |
//! | `row.rs` | whose turn it is |
//! | `waiting.rs` | what is lost when nobody is left |
//! | `declared.rs` | what a declaration says of a queue |

mod anycast;
mod declared;
mod direct;
mod multicast;
mod queue;
mod row;
mod waiting;

use std::collections::HashSet;

use super::context::{Answers, Context, Incoming};
use super::links::Outstanding;
use crate::config::Distribution;
use crate::event::{Arrival, ConnectionKey, Effect, Fault, LinkKey, NamedLink, NodeKind, Outcome};

use anycast::Anycast;
pub(super) use declared::{Declared, locked};
use direct::Direct;
use multicast::Multicast;
pub(super) use queue::Queue;

/// See the module.
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

    /// What kind of node a link that is attached here has been given.
    pub(super) fn kind(&self) -> NodeKind {
        match self {
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

    /// Takes over as many messages at the start of a run as can be taken over together. The others are offered one by one.
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
            // A copy for each.
            Node::Multicast(_) => {}
        }
    }

    /// Takes over a message: forwards it, lets it wait, or refuses it, and says its outcome. Gives it back if nobody is there
    /// for it.
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

    /// Hands a consumer what it can take now, and tells one that drains when that was all.
    pub(super) fn serve(&mut self, key: LinkKey, context: &mut Context<'_>) {
        let browses = context.links.consumer(key).is_some_and(|consumer| consumer.browse);
        match self {
            Node::Direct(node) => node.dispatch(context),
            Node::Anycast(node) => {
                node.ready.join(key, context.links);
                node.dispatch(context);
            }
            Node::Multicast(node) => node.serve(key, context),
            Node::Queue(node) if browses => node.show(key, context),
            Node::Queue(node) => {
                node.ready.join(key, context.links);
                node.dispatch(context);
            }
        }
        self.finish_drain(key, context);
    }

    fn finish_drain(&self, key: LinkKey, context: &mut Context<'_>) {
        let is_draining = context.links.consumer(key).is_some_and(|consumer| consumer.drain);
        // What its channel or its connection keeps from it now, it will have later.
        if !is_draining || (context.links.is_blocked(key) && self.holds_for(key, context)) {
            return;
        }
        if let Some(consumer) = context.links.consumer_mut(key) {
            consumer.drain = false;
            consumer.credit = 0;
        }
        context.effects.push(Effect::Drained { link: key, left: self.depth() });
    }

    /// Whether something waits that a consumer would be given.
    fn holds_for(&self, key: LinkKey, context: &Context<'_>) -> bool {
        match self {
            Node::Direct(node) => node.consumers.first() == Some(&key) && !node.store.is_empty(),
            Node::Anycast(node) => !node.store.is_empty(),
            Node::Multicast(node) => node.waiting_for(key) > 0,
            Node::Queue(node) => node.holds_for(key, context),
        }
    }

    /// A delivery has ended. Whether its message came back.
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

    /// Why a consumer may not attach, if it may not.
    pub(super) fn check_consumer(
        &self,
        address: &str,
        connection: ConnectionKey,
        exclusive: bool,
        browse: bool,
        passing: bool,
    ) -> Result<(), Fault> {
        let Node::Queue(queue) = self else { return Ok(()) };
        if queue.declared.as_ref().is_some_and(|declared| declared.is_locked_for(connection)) {
            return Err(declared::locked(address));
        }
        if passing {
            return Ok(());
        }
        queue.check_consumer(address, exclusive, browse)
    }

    /// A consumer is there from now.
    pub(super) fn add(&mut self, key: LinkKey, browse: bool, passing: bool, exclusive: bool) {
        match self {
            Node::Direct(node) => node.consumers.push(key),
            Node::Anycast(node) => node.consumers.push(key),
            Node::Multicast(node) => node.consumers.push(key),
            Node::Queue(node) => node.add(key, browse, passing, exclusive),
        }
    }

    /// Forgets consumers that have left, before anything that they had goes to others.
    pub(super) fn strike_off(&mut self, leaving: &HashSet<LinkKey>, context: &mut Context<'_>) {
        match self {
            Node::Direct(node) => node.strike_off(leaving),
            Node::Anycast(node) => node.strike_off(leaving),
            Node::Multicast(node) => node.strike_off(leaving, context),
            Node::Queue(node) => node.strike_off(leaving),
        }
    }

    /// After consumers have left, or something has come back: hands it out, or drops it where nobody is left for it.
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
            Node::Queue(node) => node.dispatch(context),
        }
    }

    /// The node is no more: drops everything that waits.
    fn strand(&mut self, context: &mut Context<'_>) {
        let store = match self {
            Node::Direct(node) => &mut node.store,
            Node::Anycast(node) => &mut node.store,
            Node::Queue(node) => &mut node.store,
            Node::Multicast(_) => return,
        };
        waiting::drop_unfit(store, None, context);
    }

    /// Takes out everything that waits; how many messages that was.
    pub(super) fn purge(&mut self, context: &mut Context<'_>) -> usize {
        match self {
            Node::Direct(node) => waiting::purge(&mut node.store, context),
            Node::Anycast(node) => waiting::purge(&mut node.store, context),
            Node::Queue(node) => waiting::purge(&mut node.store, context),
            Node::Multicast(node) => node.purge(context),
        }
    }

    /// Whether more waits for consumers than should, so that producers get no more credit.
    pub(super) fn is_slow(&mut self, limit: usize) -> bool {
        match self {
            Node::Direct(node) => node.store.is_slow(limit),
            Node::Anycast(node) => node.store.is_slow(limit),
            Node::Multicast(node) => node.is_slow(),
            // What a queue stores is not waiting for a slow receiver; the storage limit is what bounds it.
            Node::Queue(_) => false,
        }
    }

    /// Whether nobody receives from it, nothing waits in it and nobody has declared it.
    pub(super) fn is_idle(&self) -> bool {
        let is_kept = self.queue().is_some_and(|queue| queue.declared.is_some() || !queue.aside.is_empty());
        self.receivers() == 0 && self.depth() == 0 && !is_kept
    }

    /// Messages that wait here, without the copies for single consumers.
    pub(super) fn depth(&self) -> usize {
        match self {
            Node::Direct(node) => node.store.len(),
            Node::Anycast(node) => node.store.len(),
            Node::Multicast(_) => 0,
            Node::Queue(node) => node.store.len(),
        }
    }

    /// Messages that wait here, copies for single consumers included, and what they cost, added up anew.
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

    /// Copies that wait for one consumer alone.
    pub(super) fn waiting_for(&self, key: LinkKey) -> usize {
        match self {
            Node::Multicast(node) => node.waiting_for(key),
            _ => 0,
        }
    }

    /// Consumers that take messages.
    pub(super) fn consumers(&self) -> usize {
        match self {
            Node::Direct(node) => node.consumers.len(),
            Node::Anycast(node) => node.consumers.len(),
            Node::Multicast(node) => node.consumers.len(),
            Node::Queue(node) => node.consumers.len(),
        }
    }

    /// Consumers, those that browse included.
    pub(super) fn receivers(&self) -> usize {
        self.consumers() + self.queue().map_or(0, |queue| queue.browsers.len())
    }
}
