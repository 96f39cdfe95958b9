//! Timers: what is due when, the earliest first. Knows no clock; the caller says what time it is.
//!
//! A deadline that moves later is not touched here (a timer that fires early is set again by its owner), so a busy connection
//! costs nothing, however often its idle timeout is put off. An ordered map instead of a heap, since a timer that is no longer
//! wanted has to go at once: its owner may be gone long before it is due.

use std::collections::BTreeMap;
use std::time::Instant;

/// Names a timer that has been set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    pub(crate) at: Instant,
    serial: u64,
}

/// Timers that have been set. `K` says what each is for.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    set: BTreeMap<Timer, K>,
    next_serial: u64,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Timers { set: BTreeMap::new(), next_serial: 0 }
    }
}

impl<K> Timers<K> {
    /// Sets a timer for `at`. Timers for the same time fire in the order in which they were set.
    pub(crate) fn set(&mut self, at: Instant, key: K) -> Timer {
        let timer = Timer { at, serial: self.next_serial };
        self.next_serial += 1;
        self.set.insert(timer, key);
        timer
    }

    /// Takes a timer out. Does nothing if it has fired.
    pub(crate) fn cancel(&mut self, timer: Timer) {
        self.set.remove(&timer);
    }

    /// What all timers were for, in the order in which they would have fired.
    pub(crate) fn into_keys(self) -> impl Iterator<Item = K> {
        self.set.into_values()
    }

    /// When the next timer is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.set.keys().next().map(|timer| timer.at)
    }

    /// Takes the next timer out, if it is due at `now`.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<K> {
        self.next().filter(|at| *at <= now)?;
        self.set.pop_first().map(|(_, key)| key)
    }
}
