//! Timers, earliest first. The caller passes the time; no clock is read here.
//!
//! A timer whose deadline moves later is not changed: it fires early and its owner sets it again, so that a busy connection pays
//! nothing for its idle time-out. An ordered map and not a heap, because a timer must be removable when its owner ends long
//! before the deadline.

use std::collections::BTreeMap;
use std::time::Instant;

/// The key of a timer that has been set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    pub(crate) at: Instant,
    serial: u64,
}

/// Timers that have been set. `K` identifies what each is for.
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

    /// Cancels a timer. Does nothing if it has fired.
    pub(crate) fn cancel(&mut self, timer: Timer) {
        self.set.remove(&timer);
    }

    /// Returns the keys of all timers, in the order in which they would have fired.
    pub(crate) fn into_keys(self) -> impl Iterator<Item = K> {
        self.set.into_values()
    }

    /// Returns the keys of all timers, in the order in which they will fire.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.set.values()
    }

    /// Returns the time of the next timer.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.set.keys().next().map(|timer| timer.at)
    }

    /// Removes the next timer and returns its key, if it is due at `now`.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<K> {
        self.next().filter(|at| *at <= now)?;
        self.set.pop_first().map(|(_, key)| key)
    }
}
