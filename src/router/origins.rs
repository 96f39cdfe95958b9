//! Messages whose senders wait for a receiver's outcome: with end-to-end settlement, all messages that are not stored.

use slab::Slab;

use super::effects::Effects;
use super::journal::Journal;
use crate::event::{DeliveryKey, LinkKey, Outcome};
use crate::live::live;

/// The key of a message whose sender waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OriginId(usize);

#[derive(Debug)]
struct Origin {
    /// The number of the message.
    number: u64,
    producer: LinkKey,
    delivery: DeliveryKey,
    /// Copies without an outcome.
    pending: usize,
    /// The best outcome so far.
    best: Option<Outcome>,
}

/// All messages whose senders wait.
#[derive(Debug, Default)]
pub(super) struct Origins(Slab<Origin>);

impl Origins {
    /// Adds a message that went out, or waits, in `copies` copies.
    pub(super) fn add(&mut self, number: u64, producer: LinkKey, delivery: DeliveryKey, copies: usize) -> OriginId {
        OriginId(self.0.insert(Origin { number, producer, delivery, pending: copies, best: None }))
    }

    /// Counts the messages whose senders wait.
    #[cfg(any(test, fuzzing))]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the number of a message. Its sender waits while any copy has no outcome.
    pub(super) fn number(&self, id: OriginId) -> u64 {
        live(self.0.get(id.0), "a message whose sender waits").map_or(0, |origin| origin.number)
    }

    /// Applies the outcome of one copy. The sender is sent the best outcome after the last copy.
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

/// Chooses the outcome for the sender: accepted if any receiver accepted, else the one that says most about why none did.
fn better(a: Outcome, b: Outcome) -> Outcome {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Accepted => 3,
        Outcome::Rejected(_) => 2,
        Outcome::Modified(_) => 1,
        Outcome::Released => 0,
    };
    if rank(&b) > rank(&a) { b } else { a }
}
