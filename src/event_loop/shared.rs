//! What the loop shares with the handles: counters that can be read without asking it, how those who wait are told that
//! something has happened, and the loop itself while it does not run.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::EventLoop;
use crate::clock::system_now;
use crate::counts::Counts;

/// What the loop shares with the handles.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    published: Mutex<Published>,
    changed: Condvar,
    /// Threads that wait for a change. Without any, none has to be told.
    waiting: AtomicUsize,
    /// The loop while it does not run: before it is started and after it has stopped.
    resting: Mutex<Option<Box<EventLoop>>>,
}

#[derive(Debug, Default)]
struct Published {
    counts: Counts,
    /// Changes whenever something has happened.
    turn: u64,
}

impl Shared {
    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.published().counts
    }

    pub(crate) fn resting(&self) -> MutexGuard<'_, Option<Box<EventLoop>>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait to look again.
    pub(crate) fn stir(&self) {
        self.published().turn += 1;
        self.changed.notify_all();
    }

    pub(super) fn publish(&self, counts: Counts) {
        self.published().counts = counts;
    }

    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Waits until `look` returns something or the deadline has passed, in real time whatever the broker's clock. Looks again whenever something has happened, and a
    /// last time after the deadline.
    pub(crate) fn watch<T>(&self, deadline: Instant, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let _watching = Watching::begin(self);
        loop {
            let is_late = system_now() >= deadline;
            let turn = self.published().turn;
            if let Some(found) = look() {
                return Some(found);
            }
            if is_late {
                return None;
            }
            let mut published = self.published();
            while published.turn == turn {
                let left = deadline.saturating_duration_since(system_now());
                if left.is_zero() {
                    break;
                }
                let waited = self.changed.wait_timeout(published, left).unwrap_or_else(PoisonError::into_inner);
                published = waited.0;
            }
        }
    }
}

/// Counts a waiting thread for as long as it lives, also when what the thread looks with panics.
struct Watching<'a> {
    shared: &'a Shared,
}

impl Watching<'_> {
    fn begin(shared: &Shared) -> Watching<'_> {
        shared.waiting.fetch_add(1, Ordering::SeqCst);
        Watching { shared }
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.shared.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

thread_local! {
    /// The address of the `Shared` of the loop that this thread runs. 0: none.
    static AT_WORK: Cell<usize> = const { Cell::new(0) };
}

/// Marks this thread as a loop's own for as long as it lives: whoever asks that loop something on this thread and waits for
/// the answer would wait for himself.
pub(crate) struct AtWork {
    before: usize,
}

impl AtWork {
    pub(crate) fn begin(shared: &Shared) -> AtWork {
        AtWork { before: AT_WORK.replace(std::ptr::from_ref(shared).addr()) }
    }

    /// Whether this thread is at work for that loop.
    pub(crate) fn is_for(shared: &Shared) -> bool {
        AT_WORK.get() == std::ptr::from_ref(shared).addr()
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.set(self.before);
    }
}
