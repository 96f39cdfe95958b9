//! Waiting messages in order, with a place for each to return to. The nodes decide who gets them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::origins::OriginId;
use crate::event::LinkKey;
use crate::message::Message;

/// Approximate bytes that a waiting message takes besides its content.
const OVERHEAD: usize = 100;

/// A message that waits, or that a consumer has and may give back.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    /// The number of the message in records.
    pub(super) number: u64,
    /// Its position in the order of its node.
    pub(super) sequence: u64,
    pub(super) message: Message,
    /// When it expires.
    pub(super) expires: Option<Instant>,
    /// Bytes of its body.
    pub(super) body: u32,
    /// Whether the message came settled.
    pub(super) settled: bool,
    /// The key of its sender, if that waits for the outcome.
    pub(super) origin: Option<OriginId>,
    /// Consumers that it is not given to again, because they set undeliverable-here (3.4.5).
    #[expect(clippy::box_collection, reason = "nearly always none, and there may be millions of these")]
    pub(super) shunned_by: Option<Box<Vec<LinkKey>>>,
}

impl Waiting {
    pub(super) fn new(
        number: u64,
        sequence: u64,
        message: Message,
        settled: bool,
        origin: Option<OriginId>,
    ) -> Waiting {
        Waiting { number, sequence, message, expires: None, body: 0, settled, origin, shunned_by: None }
    }

    pub(super) fn cost(&self) -> usize {
        let history = self.message.history.as_ref().map_or(0, |history| history.len());
        Waiting::cost_of(&self.message) + history
    }

    pub(super) fn cost_of(message: &Message) -> usize {
        let routing = message.routing.as_ref().map_or(0, |routing| routing.cost());
        message.payload.len() + routing + OVERHEAD
    }

    pub(super) fn is_shunned_by(&self, consumer: LinkKey) -> bool {
        self.shunned_by.as_ref().is_some_and(|by| by.contains(&consumer))
    }
}

/// Bytes that may wait for a slow receiver before credit is taken from producers, however few messages they are.
const SOFT_BYTES: usize = 64 * 1024 * 1024;

/// Whether a backlog is slow: from the limit on, until half of it has gone.
fn is_slow(was_slow: bool, len: usize, bytes: usize, limit: usize) -> bool {
    if was_slow { len > limit / 2 || bytes > SOFT_BYTES / 2 } else { len > limit || bytes > SOFT_BYTES }
}

/// The messages that wait for one consumer alone.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    is_slow: bool,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Sums up the cost of all messages anew.
    #[cfg(any(test, fuzzing))]
    pub(super) fn cost(&self) -> usize {
        self.waiting.iter().map(Waiting::cost).sum()
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.cost();
        self.waiting.push_back(waiting);
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.bytes -= waiting.cost();
        Some(waiting)
    }

    /// Updates the slow state: entered with more than `limit` messages, left at half of it.
    pub(super) fn is_slow(&mut self, limit: usize) -> bool {
        self.is_slow = is_slow(self.is_slow, self.waiting.len(), self.bytes, limit);
        self.is_slow
    }
}

/// The messages of one node. Returned messages stand in their old places, before all that were never handed out.
#[derive(Debug, Default)]
pub(super) struct Store {
    returned: BTreeMap<u64, Waiting>,
    fresh: VecDeque<Waiting>,
    next_sequence: u64,
    bytes: usize,
    body_bytes: u64,
    is_slow: bool,
}

/// Bits of a place that say where a message stands among those of its level. The level is above them.
const LEVEL_SHIFT: u32 = 56;

impl Store {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.returned.len() + self.fresh.len()
    }

    /// Sums up the cost of all messages anew.
    #[cfg(any(test, fuzzing))]
    pub(super) fn cost(&self) -> usize {
        self.returned.values().chain(&self.fresh).map(Waiting::cost).sum()
    }

    /// Returns the next position at the end.
    pub(super) fn next_place(&mut self) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        sequence
    }

    /// A place for a message, at the end of its level. Lower levels come first.
    pub(super) fn next_place_of(&mut self, level: u8) -> u64 {
        u64::from(level) << LEVEL_SHIFT | self.next_place()
    }

    /// Bytes of the bodies of all messages.
    pub(super) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    fn count(&mut self, waiting: &Waiting) {
        self.bytes += waiting.cost();
        self.body_bytes += u64::from(waiting.body);
    }

    /// Adds a message whose place is behind all others.
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.count(&waiting);
        self.fresh.push_back(waiting);
    }

    /// Returns a message to its place.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        self.count(&waiting);
        self.returned.insert(waiting.sequence, waiting);
    }

    /// Takes the first message from `from` on that `is_for` accepts. Also returns where the next search has to begin, so that a
    /// message is skipped once and not each time.
    pub(super) fn take_for(&mut self, is_for: impl Fn(&Waiting) -> bool, from: u64) -> (Option<Waiting>, u64) {
        let mut next = from;
        let mut found = None;
        for (sequence, waiting) in self.returned.range(from..) {
            if is_for(waiting) {
                found = Some(*sequence);
                break;
            }
            next = sequence + 1;
        }
        let mut taken = found.and_then(|sequence| self.returned.remove(&sequence));
        while taken.is_none()
            && let Some(fresh) = self.fresh.pop_front()
        {
            if is_for(&fresh) {
                taken = Some(fresh);
            } else {
                next = fresh.sequence + 1;
                self.returned.insert(fresh.sequence, fresh);
            }
        }
        if let Some(taken) = &taken {
            self.uncount(taken);
        }
        (taken, next)
    }

    fn uncount(&mut self, waiting: &Waiting) {
        self.bytes -= waiting.cost();
        self.body_bytes -= u64::from(waiting.body);
    }

    /// Takes out the first message, if it is one of those.
    pub(super) fn take_first_if(&mut self, is_one: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        self.look_at(0).filter(|first| is_one(first))?;
        self.take()
    }

    /// Takes the first message.
    pub(super) fn take(&mut self) -> Option<Waiting> {
        self.take_for(|_| true, 0).0
    }

    /// The place behind all messages that were ever here.
    pub(super) fn end(&self) -> u64 {
        self.next_sequence
    }

    /// Finds the place of the first message for which `is_one` holds, where it holds for all behind it.
    pub(super) fn first_that(&self, is_one: impl Fn(&Waiting) -> bool) -> Option<u64> {
        let returned = self.returned.values().find(|waiting| is_one(waiting));
        let fresh = || self.fresh.get(self.fresh.partition_point(|waiting| !is_one(waiting)));
        returned.or_else(fresh).map(|waiting| waiting.sequence)
    }

    /// Returns the first message at or after a place without taking it.
    pub(super) fn look_at(&self, from: u64) -> Option<&Waiting> {
        self.returned.range(from..).next().map(|(_, waiting)| waiting).or_else(|| {
            // Fresh messages have consecutive positions.
            let first = self.fresh.front()?.sequence;
            self.fresh.get(usize::try_from(from.saturating_sub(first)).ok()?)
        })
    }

    /// Updates the slow state: entered with more than `limit` messages, left at half of it.
    pub(super) fn is_slow(&mut self, limit: usize) -> bool {
        self.is_slow = is_slow(self.is_slow, self.len(), self.bytes, limit);
        self.is_slow
    }
}
