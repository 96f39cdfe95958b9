//! A multicast node: a copy of every message goes to every consumer, and waits for each that cannot take it yet.

use std::collections::{HashMap, HashSet};

use super::waiting::LEFT;
use crate::config::Settlement;
use crate::event::{LinkKey, Outcome};
use crate::router::context::{Answers, Context, Incoming};
use crate::router::store::{Backlog, Waiting};

/// Copies that wait for a consumer that has fallen behind.
#[derive(Debug, Default)]
struct Lag {
    backlog: Backlog,
    is_slow: bool,
}

/// Consumers of a multicast node, and the copies that wait for some of them.
#[derive(Debug, Default)]
pub(in crate::router) struct Multicast {
    /// All consumers, in the order in which they attached.
    pub(super) consumers: Vec<LinkKey>,
    /// Waiting copies, by consumer. Consumers without any have no entry.
    lags: HashMap<LinkKey, Lag>,
    /// Number of slow consumers.
    slow: usize,
}

impl Multicast {
    pub(super) fn is_slow(&self) -> bool {
        self.slow > 0
    }

    /// Counts the copies that wait for one consumer.
    pub(super) fn waiting_for(&self, key: LinkKey) -> usize {
        self.lags.get(&key).map_or(0, |lag| lag.backlog.len())
    }

    /// Counts the copies that wait, and sums up their cost.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> (usize, usize) {
        let backlogs = || self.lags.values().map(|lag| &lag.backlog);
        (backlogs().map(Backlog::len).sum(), backlogs().map(Backlog::cost).sum())
    }

    /// Takes over a message. Gives it back if no consumer is attached.
    pub(super) fn offer(
        &mut self,
        incoming: Incoming,
        from: &mut Answers<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Incoming> {
        if self.consumers.is_empty() {
            return Err(incoming);
        }
        let cost = Waiting::cost_of(&incoming.message);
        if context.config.settlement == Settlement::Immediate && context.budget.has_room_for(cost) {
            self.copy_at_once(incoming, from, context);
            return Ok(());
        }
        let (fitting, all_can_take) = self.survey(&incoming, context);
        // A message that all consumers can take at once needs no room.
        let admitted = match all_can_take {
            true if fitting > 0 => Some(incoming),
            _ => context.admit(incoming, fitting > 0, from),
        };
        if let Some(incoming) = admitted {
            context.counts.fanout += 1;
            self.copy_to_all(incoming, fitting, from, context);
        }
        Ok(())
    }

    /// Copies a message for which there is room, with immediate settlement (the usual case).
    fn copy_at_once(&mut self, incoming: Incoming, from: &mut Answers<'_>, context: &mut Context<'_>) {
        let Incoming { number, message, delivery } = incoming;
        let (mut copies, mut kept) = (0, None);
        for key in &self.consumers {
            let lags = !self.lags.is_empty() && self.lags.contains_key(key);
            if !lags && let Some(mut taker) = context.links.taker(*key) {
                if taker.consumer.fits(&message) {
                    copies += 1;
                    let settled = taker.consumer.settles(delivery.is_none());
                    let ticket = context.journal.ticket(number, settled);
                    if context.journal.is_on() {
                        context.journal.forwarded(number, *key, &taker.consumer.name, context.address);
                    }
                    taker.give(message.clone(), settled, ticket, context.effects);
                }
                continue;
            }
            if !context.links.at_node_mut(*key).is_some_and(|consumer| consumer.fits(&message)) {
                continue;
            }
            copies += 1;
            let kept = kept.get_or_insert_with(|| message.clone().kept()).clone();
            let waiting = Waiting::new(number, 0, kept, delivery.is_none(), None);
            context.wait(&waiting);
            let lag = self.lags.entry(*key).or_default();
            lag.backlog.push(waiting);
            lag.weigh(&mut self.slow, context);
        }
        let outcome = match copies {
            0 => context.refuse_for_size(number),
            _ => {
                context.counts.fanout += 1;
                context.counts.fanout_sent += copies;
                Outcome::Accepted
            }
        };
        context.tell(from, number, delivery, Some(outcome));
    }

    /// Counts the consumers that take messages of this size, and says whether all consumers can take one now.
    fn survey(&self, incoming: &Incoming, context: &Context<'_>) -> (usize, bool) {
        let fits = |key: &&LinkKey| context.links.at_node(**key).is_some_and(|c| c.fits(&incoming.message));
        let fitting = self.consumers.iter().filter(fits).count();
        let can_take = |key: &LinkKey| context.links.can_take(*key);
        (fitting, self.lags.is_empty() && self.consumers.iter().all(can_take))
    }

    fn copy_to_all(&mut self, incoming: Incoming, copies: usize, from: &mut Answers<'_>, context: &mut Context<'_>) {
        let Incoming { number, message, delivery } = incoming;
        let settled = delivery.is_none();
        let origin = context.origin(number, delivery, from, copies);
        // Copied once, when the first consumer has to wait.
        let mut kept = None;
        for key in &self.consumers {
            if !context.links.at_node_mut(*key).is_some_and(|consumer| consumer.fits(&message)) {
                continue;
            }
            context.counts.fanout_sent += 1;
            let lags = !self.lags.is_empty() && self.lags.contains_key(key);
            if !lags && context.links.taker(*key).is_some() {
                context.pass_on(*key, number, message.clone(), settled, origin);
                continue;
            }
            let kept = kept.get_or_insert_with(|| message.clone().kept()).clone();
            let waiting = Waiting::new(number, 0, kept, settled, origin);
            context.wait(&waiting);
            let lag = self.lags.entry(*key).or_default();
            lag.backlog.push(waiting);
            lag.weigh(&mut self.slow, context);
        }
        if origin.is_none() {
            context.tell(from, number, delivery, Some(Outcome::Accepted));
        }
    }

    /// Hands a consumer the copies that wait for it, as far as it can take them.
    pub(super) fn serve(&mut self, key: LinkKey, context: &mut Context<'_>) {
        let Some(lag) = self.lags.get_mut(&key) else { return };
        while context.links.taker(key).is_some()
            && let Some(waiting) = lag.backlog.pop()
        {
            context.budget.give_back(waiting.cost());
            let Waiting { number, message, settled, origin, .. } = waiting;
            context.pass_on(key, number, message, settled, origin);
        }
        lag.weigh(&mut self.slow, context);
        if lag.backlog.is_empty() {
            self.lags.remove(&key);
        }
    }

    /// Removes consumers that were detached, and drops the copies that waited for them.
    pub(super) fn strike_off(&mut self, leaving: &HashSet<LinkKey>, context: &mut Context<'_>) {
        self.consumers.retain(|key| !leaving.contains(key));
        for key in leaving {
            let Some(mut lag) = self.lags.remove(key) else { continue };
            self.slow -= usize::from(lag.is_slow);
            while let Some(copy) = lag.backlog.pop() {
                context.lose_copy(copy, LEFT);
            }
        }
    }

    /// Removes the copies that wait. Returns their number.
    pub(super) fn purge(&mut self, context: &mut Context<'_>) -> usize {
        let mut purged = 0;
        for mut lag in std::mem::take(&mut self.lags).into_values() {
            while let Some(copy) = lag.backlog.pop() {
                purged += 1;
                context.lose_copy(copy, "purged");
            }
        }
        self.slow = 0;
        purged
    }
}

impl Lag {
    /// Updates the number of slow consumers.
    fn weigh(&mut self, slow: &mut usize, context: &Context<'_>) {
        let is_slow = self.backlog.is_slow(context.config.backlog_limit);
        match (std::mem::replace(&mut self.is_slow, is_slow), is_slow) {
            (false, true) => *slow += 1,
            (true, false) => *slow -= 1,
            _ => {}
        }
    }
}
