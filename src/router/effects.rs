//! What the router wants done, in order, until the event loop takes it. Messages for one consumer gather until then and leave
//! as one effect; so do outcomes of deliveries that follow each other.

use std::collections::VecDeque;

use crate::event::{Delivery, DeliveryKey, Effect, LinkKey, Outcome};

/// Lists of deliveries that are kept for the next consumer that is given some.
const SPARE_LISTS: usize = 64;

/// One thing to be done.
#[derive(Debug)]
pub(super) enum Step {
    /// Deliver what has gathered at this consumer.
    Deliver(LinkKey),
    Effect(Effect),
}

/// See the module.
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

    /// Takes out the outcome that a link which is none was given.
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

    /// Announces a first delivery for a consumer; a list for it and those that follow.
    pub(super) fn begin_delivery(&mut self, link: LinkKey) -> Vec<Delivery> {
        self.steps.push_back(Step::Deliver(link));
        self.spare.pop().unwrap_or_default()
    }

    /// Takes back a list when its deliveries have gone.
    pub(super) fn reuse(&mut self, mut list: Vec<Delivery>) {
        if self.spare.len() < SPARE_LISTS {
            list.clear();
            self.spare.push(list);
        }
    }

    /// The next thing to be done.
    pub(super) fn pop(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }
}
