//! Messages whose senders wait for what their receivers say: with end-to-end settlement, of all messages that are not stored.

use slab::Slab;

use super::effects::Effects;
use super::journal::Journal;
use crate::event::{DeliveryKey, LinkKey, Outcome};
use crate::live::live;

/// Names a message whose sender waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OriginId(usize);

#[derive(Debug)]
struct Origin {
    /// The message's.
    number: u64,
    producer: LinkKey,
    delivery: DeliveryKey,
    /// Copies whose receivers have not answered.
    pending: usize,
    /// The best answer so far.
    best: Option<Outcome>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Origins(Slab<Origin>);

impl Origins {
    /// A message went out, or waits, in so many copies.
    pub(super) fn add(&mut self, number: u64, producer: LinkKey, delivery: DeliveryKey, copies: usize) -> OriginId {
        OriginId(self.0.insert(Origin { number, producer, delivery, pending: copies, best: None }))
    }

    /// How many senders' messages wait for an answer.
    #[cfg(any(test, fuzzing))]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The number of the message, if its sender still waits.
    pub(super) fn number(&self, id: OriginId) -> Option<u64> {
        self.0.get(id.0).map(|origin| origin.number)
    }

    /// One copy of a message has its outcome; with the last the sender has its own.
    pub(super) fn resolve(&mut self, id: OriginId, outcome: Outcome, journal: &mut Journal, effects: &mut Effects) {
        let Some(origin) = live(self.0.get_mut(id.0), "a message whose sender waits") else { return };
        origin.pending = origin.pending.saturating_sub(1);
        let best = match origin.best.take() {
            Some(best) => better(best, outcome),
            None => outcome,
        };
        if origin.pending > 0 {
            origin.best = Some(best);
            return;
        }
        let Origin { number, producer, delivery, .. } = self.0.remove(id.0);
        journal.told(number, &best);
        effects.settle(producer, delivery, best);
    }
}

/// Of several receivers' answers, the one that the sender is given: somebody has it, or why nobody has.
fn better(a: Outcome, b: Outcome) -> Outcome {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Accepted => 3,
        Outcome::Rejected(_) => 2,
        Outcome::Modified(_) => 1,
        Outcome::Released => 0,
    };
    if rank(&b) > rank(&a) { b } else { a }
}
