//! An anycast node: every message goes to one consumer, in turn among those that can take one. It waits while none can.

use std::collections::HashSet;

use super::row::Row;
use super::waiting::drop_unfit;
use crate::event::{Arrival, LinkKey, NamedLink};
use crate::message::Message;
use crate::router::context::{Answers, Context, Incoming};
use crate::router::links::Links;
use crate::router::store::{Store, Waiting};

/// Consumers of an anycast node, and the messages that wait for them.
#[derive(Debug, Default)]
pub(in crate::router) struct Anycast {
    /// All consumers, in the order in which they attached.
    pub(super) consumers: Vec<LinkKey>,
    pub(super) ready: Row,
    pub(super) store: Store,
}

impl Anycast {
    /// Hands the only consumer that can take messages as many as it can take from the start of a run.
    pub(super) fn forward_run(
        &mut self,
        arrivals: &mut Vec<Arrival>,
        from: LinkKey,
        sender: &Option<NamedLink>,
        context: &mut Context<'_>,
    ) {
        if self.store.is_empty()
            && let Some(only) = self.ready.only()
        {
            context.counts.topic += context.forward_run(only, arrivals, from, sender);
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
        if self.consumers.is_empty() {
            return Err(incoming);
        }
        let waits = match self.ready.next(context.links) {
            Some(key) if self.store.is_empty() => context.forward(key, incoming, from).err(),
            _ => Some(incoming),
        };
        match waits {
            None => {
                context.counts.topic += 1;
                self.ready.pass();
            }
            Some(incoming) => self.keep(incoming, from, context),
        }
        Ok(())
    }

    fn keep(&mut self, incoming: Incoming, from: &mut Answers<'_>, context: &mut Context<'_>) {
        let fits = fits_any(&self.consumers, &incoming.message, context.links);
        let Some(incoming) = context.admit(incoming, fits, from) else { return };
        context.counts.topic += 1;
        let place = self.store.next_place();
        self.store.push(context.keep(incoming, place, from));
        // The next consumer in the row may be limited to smaller messages, and another not.
        self.dispatch(context);
    }

    /// Hands out waiting messages, as far as consumers can take them.
    pub(super) fn dispatch(&mut self, context: &mut Context<'_>) {
        let mut nothing_for = Vec::new();
        while !self.store.is_empty()
            && let Some(key) = self.ready.next(context.links)
        {
            let Some(consumer) = context.links.at_node_mut(key) else { break };
            let (waiting, _) = self.store.take_for(|waiting| consumer.fits(&waiting.message), 0);
            let Some(waiting) = waiting else {
                nothing_for.extend(self.ready.step_aside());
                continue;
            };
            context.budget.give_back(waiting.cost());
            let Waiting { number, message, settled, origin, .. } = waiting;
            context.pass_on(key, number, message, settled, origin);
            self.ready.pass();
        }
        if !nothing_for.is_empty() {
            self.ready.put_first(nothing_for);
        }
    }

    /// Removes consumers that were detached.
    pub(super) fn strike_off(&mut self, leaving: &HashSet<LinkKey>) {
        self.consumers.retain(|key| !leaving.contains(key));
        self.ready.strike_off(leaving);
    }

    /// Drops waiting messages that no remaining consumer can take.
    pub(super) fn drop_unserved(&mut self, context: &mut Context<'_>) {
        let largest = self.consumers.iter().filter_map(|key| context.links.at_node(*key));
        let largest = largest.map(|consumer| consumer.max_message_size).max();
        drop_unfit(&mut self.store, largest, context);
    }
}

/// Whether a consumer takes messages of this size.
fn fits_any(consumers: &[LinkKey], message: &Message, links: &Links) -> bool {
    consumers.iter().any(|key| links.at_node(*key).is_some_and(|consumer| consumer.fits(message)))
}
