//! The data that the loop shares with the handles: counters that can be read without a command, the wake-up of waiting threads,
//! and the loop itself while it does not run.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::EventLoop;
use crate::clock::system_now;
use crate::counts::Counts;

/// The data that the loop shares with the handles.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    published: Mutex<Published>,
    changed: Condvar,
    /// The number of threads that wait for a change.
    waiting: AtomicUsize,
    /// The loop while it does not run: before its start and after its stop.
    resting: Mutex<Option<Box<EventLoop>>>,
}

#[derive(Debug, Default)]
struct Published {
    counts: Counts,
    /// A number that changes whenever something has happened.
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

    /// Wakes the waiting threads, which look again.
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

    /// Waits until `look` returns something or the deadline has passed, by the system's clock. Looks again whenever something has
    /// happened, and a last time after the deadline.
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

/// Counts a waiting thread until it is dropped, also when `look` panics.
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
    /// The address of the `Shared` of the loop that runs on this thread. 0: none.
    static AT_WORK: Cell<usize> = const { Cell::new(0) };
}

/// Marks this thread as that of a loop until it is dropped. A command to the loop from its own thread would wait for itself.
pub(crate) struct AtWork {
    before: usize,
}

impl AtWork {
    pub(crate) fn begin(shared: &Shared) -> AtWork {
        AtWork { before: AT_WORK.replace(std::ptr::from_ref(shared).addr()) }
    }

    /// Whether that loop runs on this thread.
    pub(crate) fn is_for(shared: &Shared) -> bool {
        AT_WORK.get() == std::ptr::from_ref(shared).addr()
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.set(self.before);
    }
}
