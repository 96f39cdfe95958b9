//! Effects on links, in order, until the event loop takes them. Deliveries to one consumer gather into one effect, and so do
//! equal outcomes of consecutive deliveries.

use std::collections::VecDeque;

use crate::event::{Delivery, DeliveryKey, Effect, LinkKey, Outcome};

/// Number of empty delivery lists that are kept for reuse.
const SPARE_LISTS: usize = 64;

/// An entry of the queue of effects.
#[derive(Debug)]
pub(super) enum Step {
    /// Deliver what has gathered at this consumer.
    Deliver(LinkKey),
    Effect(Effect),
}

/// The queue of effects.
#[derive(Debug, Default)]
pub(super) struct Effects {
    steps: VecDeque<Step>,
    spare: Vec<Vec<Delivery>>,
}

impl Effects {
    pub(super) fn push(&mut self, effect: Effect) {
        self.steps.push_back(Step::Effect(effect));
    }

    /// Adds an outcome for a producer's delivery.
    pub(super) fn settle(&mut self, link: LinkKey, delivery: DeliveryKey, outcome: Outcome) {
        if let Some(Step::Effect(Effect::Settle { link: same, first, count, outcome: before })) = self.steps.back_mut()
            && *same == link
            && first.0 + u64::from(*count) == delivery.0
            && *before == outcome
        {
            *count += 1;
            return;
        }
        self.push(Effect::Settle { link, first: delivery, count: 1, outcome });
    }

    /// Takes out the outcome for a message that was sent under the key `nobody`.
    pub(super) fn take_settled(&mut self, nobody: LinkKey) -> Option<Outcome> {
        let place = self
            .steps
            .iter()
            .rposition(|step| matches!(step, Step::Effect(Effect::Settle { link, .. }) if *link == nobody))?;
        match self.steps.remove(place)? {
            Step::Effect(Effect::Settle { outcome, .. }) => Some(outcome),
            _ => None,
        }
    }

    /// Queues a `Step::Deliver` for a consumer, and returns an empty list for its deliveries.
    pub(super) fn begin_delivery(&mut self, link: LinkKey) -> Vec<Delivery> {
        self.steps.push_back(Step::Deliver(link));
        self.spare.pop().unwrap_or_default()
    }

    /// Takes back a list after its deliveries have been written.
    pub(super) fn reuse(&mut self, mut list: Vec<Delivery>) {
        if self.spare.len() < SPARE_LISTS {
            list.clear();
            self.spare.push(list);
        }
    }

    /// Takes the next entry.
    pub(super) fn pop(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }
}
