//! Dead letters: messages that left a queue without having been consumed, on their way to the exchange that the queue names.
//! They wait here until the router has done what led to them. `dead_lettering.rs` publishes them then.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::deaths::DeathReason;
use crate::message::Message;

/// Dead letters that are published in one turn of the event loop at most. A fan of queues that dead-letter to each other may
/// make any number of them.
const TURN_LETTERS: usize = 10_000;

/// Where the dead letters of a queue go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeadLetterRoute {
    pub(super) exchange: Arc<str>,
    /// None: the routing keys that the message had.
    pub(super) key: Option<Arc<str>>,
}

/// A message on its way from a queue to the exchange for dead letters.
#[derive(Debug)]
pub(super) struct DeadLetter {
    pub(super) message: Message,
    /// The queue that it left.
    pub(super) queue: Arc<str>,
    pub(super) reason: DeathReason,
    pub(super) route: DeadLetterRoute,
    /// Its cost as long as it waited, which the budget still counts.
    pub(super) cost: usize,
}

/// Dead letters that have not been published yet.
#[derive(Debug)]
pub(super) struct DeadLetters {
    waiting: VecDeque<DeadLetter>,
    /// How many may still be published in this turn.
    left: usize,
}

impl Default for DeadLetters {
    fn default() -> DeadLetters {
        DeadLetters { waiting: VecDeque::new(), left: TURN_LETTERS }
    }
}

impl DeadLetters {
    /// A turn begins.
    pub(super) fn begin_turn(&mut self) {
        self.left = TURN_LETTERS;
    }

    pub(super) fn push(&mut self, letter: DeadLetter) {
        self.waiting.push_back(letter);
    }

    /// The next, if there is one and it may be published in this turn.
    pub(super) fn pop(&mut self) -> Option<DeadLetter> {
        self.left = self.left.checked_sub(1)?;
        self.waiting.pop_front()
    }

    /// Whether some can be published in this turn.
    #[inline]
    pub(super) fn are_due(&self) -> bool {
        !self.waiting.is_empty() && self.left > 0
    }

    /// Whether some wait, for this turn or the next.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn cost(&self) -> usize {
        self.waiting.iter().map(|letter| letter.cost).sum()
    }
}
