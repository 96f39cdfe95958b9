//! A direct node: every message goes to the consumer that attached first (of those with the highest priority), and waits while that consumer cannot take it.

use std::collections::HashSet;

use super::waiting::drop_unfit;
use crate::event::{Arrival, LinkKey, NamedLink};
use crate::router::context::{Answers, Context, Incoming};
use crate::router::links::Links;
use crate::router::store::{Store, Waiting};

/// Consumers of a direct node, and the messages that wait for the first.
#[derive(Debug, Default)]
pub(in crate::router) struct Direct {
    /// All consumers: the highest priority first, and those of one priority in the order in which they attached.
    pub(super) consumers: Vec<LinkKey>,
    pub(super) store: Store,
}

impl Direct {
    /// Adds a consumer behind those of its priority and of higher ones.
    pub(super) fn add(&mut self, key: LinkKey, links: &Links) {
        let priority_of = |key: LinkKey| links.at_node(key).map_or(0, |consumer| consumer.priority);
        let priority = priority_of(key);
        let place = self.consumers.partition_point(|before| priority_of(*before) >= priority);
        self.consumers.insert(place, key);
    }

    /// Hands the first consumer as many messages as it can take from the start of a run.
    pub(super) fn forward_run(
        &self,
        arrivals: &mut Vec<Arrival>,
        from: LinkKey,
        sender: &Option<NamedLink>,
        context: &mut Context<'_>,
    ) {
        if let Some(first) = self.consumers.first()
            && self.store.is_empty()
        {
            context.counts.direct += context.forward_run(*first, arrivals, from, sender);
        }
    }

    /// Takes over a message. Gives it back if no consumer is attached.
    #[inline]
    pub(super) fn offer(
        &mut self,
        incoming: Incoming,
        from: &mut Answers<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Incoming> {
        let Some(first) = self.consumers.first().copied() else { return Err(incoming) };
        let waits = match self.store.is_empty() {
            true => context.forward(first, incoming, from).err(),
            false => Some(incoming),
        };
        match waits {
            None => context.counts.direct += 1,
            Some(incoming) => self.keep(first, incoming, from, context),
        }
        Ok(())
    }

    fn keep(&mut self, first: LinkKey, incoming: Incoming, from: &mut Answers<'_>, context: &mut Context<'_>) {
        let fits = context.links.at_node_mut(first).is_some_and(|consumer| consumer.fits(&incoming.message));
        let Some(incoming) = context.admit(incoming, fits, from) else { return };
        context.counts.direct += 1;
        let place = self.store.next_place();
        self.store.push(context.keep(incoming, place, from));
    }

    /// Hands out waiting messages, as far as the first consumer can take them.
    pub(super) fn dispatch(&mut self, context: &mut Context<'_>) {
        while let Some(first) = self.consumers.first().copied()
            && !self.store.is_empty()
            && let Some(taker) = context.links.taker(first)
            && let (Some(waiting), _) = self.store.take_for(|waiting| taker.consumer.fits(&waiting.message), 0)
        {
            context.budget.give_back(waiting.cost());
            let Waiting { number, message, settled, origin, .. } = waiting;
            context.pass_on(first, number, message, settled, origin);
        }
    }

    /// Removes consumers that were detached.
    pub(super) fn strike_off(&mut self, leaving: &HashSet<LinkKey>) {
        self.consumers.retain(|key| !leaving.contains(key));
    }

    /// Drops waiting messages that the first remaining consumer cannot take.
    pub(super) fn drop_unserved(&mut self, context: &mut Context<'_>) {
        let first = self.consumers.first().copied();
        let largest =
            first.and_then(|first| context.links.at_node_mut(first)).map(|consumer| consumer.max_message_size);
        drop_unfit(&mut self.store, largest, context);
    }
}
