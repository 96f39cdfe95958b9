//! The tx class: what a channel publishes and acknowledges from tx.select, or from the last tx.commit or tx.rollback, up to
//! the next one. Knows neither where a message goes nor which deliveries there are.

use std::collections::{HashSet, VecDeque};

use super::method::{Method, MethodId, Tx};
use super::violation::{ReplyCode, Violation};
use crate::budget::Held;
use crate::event::{DeliveryKey, Outcome};
use crate::message::Payload;

/// The bytes that a publish takes while it is held, beside its payload.
const OVERHEAD: usize = 100;

/// The transaction of a channel.
#[derive(Debug)]
pub(super) struct Transaction {
    /// The publishes that are held, in order.
    publishes: VecDeque<Payload>,
    /// The share of the budget that they take.
    held: Held,
    /// The acknowledgements that are held, in order.
    acks: Vec<HeldAck>,
    /// Every delivery with this tag or a lower one has been acknowledged.
    acked_up_to: u64,
    /// The tags above that which have been acknowledged.
    acked: HashSet<u64>,
    /// The commit that is under way.
    commit: Option<Commit>,
}

/// An acknowledgement that takes effect with the commit.
#[derive(Debug)]
pub(super) struct HeldAck {
    pub(super) tag: u64,
    pub(super) multiple: bool,
    pub(super) outcome: Outcome,
}

/// The progress of a commit.
#[derive(Debug)]
struct Commit {
    /// The key of its first message.
    first: u64,
    /// The number of its messages without an outcome.
    unanswered: u64,
    /// Whether a queue has refused one of them.
    failed: bool,
    /// Whether the router has been sent all of it.
    released: bool,
}

impl Transaction {
    /// Begins a transaction, whose publishes take their bytes from `held`.
    pub(super) fn new(held: Held) -> Transaction {
        let (publishes, acks, acked) = (VecDeque::new(), Vec::new(), HashSet::new());
        Transaction { publishes, held, acks, acked_up_to: 0, acked, commit: None }
    }

    /// Holds a publish. Fails if the broker has no room for it.
    pub(super) fn hold(&mut self, payload: Payload) -> Result<(), Violation> {
        if !self.held.take(payload.len() + OVERHEAD) {
            return Err(Violation::no_room("no room for what a transaction publishes"));
        }
        self.publishes.push_back(payload.kept());
        Ok(())
    }

    /// The next publish that is held.
    pub(super) fn next(&self) -> Option<&Payload> {
        self.publishes.front()
    }

    /// Takes the next publish out, which the commit then waits for.
    pub(super) fn release(&mut self) -> Option<Payload> {
        let payload = self.publishes.pop_front()?;
        self.held.give_back(payload.len() + OVERHEAD);
        if let Some(commit) = &mut self.commit {
            commit.unanswered += 1;
        }
        Some(payload)
    }

    /// Whether the transaction has acknowledged a delivery.
    pub(super) fn has_acked(&self, tag: u64) -> bool {
        tag <= self.acked_up_to || self.acked.contains(&tag)
    }

    /// The tag up to which all deliveries have been acknowledged.
    pub(super) fn acked_up_to(&self) -> u64 {
        self.acked_up_to
    }

    /// Notes that no delivery up to a tag is left to be acknowledged.
    pub(super) fn set_acked_up_to(&mut self, tag: u64) {
        if tag > self.acked_up_to {
            self.acked_up_to = tag;
            self.acked.clear();
        }
    }

    /// Holds the acknowledgement of one delivery.
    pub(super) fn hold_ack(&mut self, tag: u64, outcome: Outcome) {
        self.acked.insert(tag);
        self.acks.push(HeldAck { tag, multiple: false, outcome });
    }

    /// Holds the acknowledgement of all deliveries up to a tag.
    pub(super) fn hold_acks_up_to(&mut self, tag: u64, outcome: Outcome) {
        // Without a delivery that is left, this says nothing.
        if tag > self.acked_up_to {
            self.set_acked_up_to(tag);
            self.acks.push(HeldAck { tag, multiple: true, outcome });
        }
    }

    /// Forgets all that is held.
    pub(super) fn roll_back(&mut self) {
        self.publishes = VecDeque::new();
        self.held.clear();
        self.acks = Vec::new();
        self.acked = HashSet::new();
        self.acked_up_to = 0;
    }

    /// Begins a commit; the key of its first message will be `first`. Call [`Transaction::release`] until nothing is left,
    /// then [`Transaction::finish_release`].
    pub(super) fn begin_commit(&mut self, first: u64) {
        self.commit = Some(Commit { first, unanswered: 0, failed: false, released: false });
    }

    /// Takes the acknowledgements of a commit whose publishes have been released.
    pub(super) fn finish_release(&mut self) -> Vec<HeldAck> {
        debug_assert!(self.publishes.is_empty(), "publishes come before acknowledgements");
        if let Some(commit) = &mut self.commit {
            commit.released = true;
        }
        let acks = std::mem::take(&mut self.acks);
        self.roll_back();
        acks
    }

    /// Notes that `count` messages have an outcome, of which some may have been published before the transaction.
    pub(super) fn answered(&mut self, first: DeliveryKey, count: u32, is_refused: bool) {
        let Some(commit) = &mut self.commit else { return };
        let before = commit.first.saturating_sub(first.0);
        let count = u64::from(count).saturating_sub(before);
        commit.unanswered = commit.unanswered.saturating_sub(count);
        commit.failed |= count > 0 && is_refused;
    }

    /// Ends the commit if all of its messages have outcomes. None if some have not; an error if a queue has refused one.
    pub(super) fn end_commit(&mut self) -> Option<Result<(), Violation>> {
        let commit = self.commit.take_if(|commit| commit.released && commit.unanswered == 0)?;
        Some(match commit.failed {
            false => Ok(()),
            true => {
                let violation = Violation::new(ReplyCode::PreconditionFailed, "partial tx completion");
                Err(violation.in_method(Method::Tx(Tx::Commit {}).id()))
            }
        })
    }

    /// The bytes that are held.
    #[cfg(any(test, fuzzing))]
    pub(super) fn bytes(&self) -> usize {
        self.held.bytes()
    }
}

/// Refuses tx.commit and tx.rollback without tx.select.
pub(super) fn not_transactional() -> Violation {
    Violation::new(ReplyCode::PreconditionFailed, "channel is not transactional").breach()
}

/// Refuses to make a channel with confirms transactional, or the reverse.
pub(super) fn cannot_switch(from: &str, to: &str) -> Violation {
    Violation::new(ReplyCode::PreconditionFailed, format!("cannot switch from {from} to {to} mode")).breach()
}

/// Refuses a method that comes before tx.commit has been answered.
pub(super) fn amid_commit(method: MethodId) -> Violation {
    Violation::new(ReplyCode::ChannelError, "unexpected command while processing 'tx.commit'").in_method(method)
}
