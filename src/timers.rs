//! The timer heap: who wants to be woken when. No clock of its own.
//!
//! A deadline that moves later is not touched here (an entry that fires early is set again by its owner), so a busy
//! connection costs nothing, however often its idle time-out is put off.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// See the module. `K` names whom to wake.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    heap: BinaryHeap<Reverse<(Instant, u64)>>,
    keys: slab::Slab<K>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Timers { heap: BinaryHeap::new(), keys: slab::Slab::new() }
    }
}

impl<K> Timers<K> {
    /// Wakes `key` at `at`.
    pub(crate) fn set(&mut self, at: Instant, key: K) {
        let index = self.keys.insert(key);
        self.heap.push(Reverse((at, index as u64)));
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The next one that is due at `now`.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<K> {
        self.next().filter(|at| *at <= now)?;
        let Reverse((_, index)) = self.heap.pop()?;
        usize::try_from(index).ok().and_then(|index| self.keys.try_remove(index))
    }
}
