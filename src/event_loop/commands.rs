//! What the handles ask for: how questions reach the loop and answers come back, and how those who wait are told that
//! something has changed.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{EventLoop, Stop, TURN_COMMANDS, Wake};
use crate::counts::Counts;
use crate::event::{Fault, Reason};

/// What a handle asks the loop to do.
pub(crate) enum Command {
    /// At once, like a crash.
    Stop,
    /// With a close for every connection.
    StopClean,
    /// This.
    Do(Box<dyn FnOnce(&mut EventLoop) + Send>),
}

/// What the loop shares with the handles.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    published: Mutex<Published>,
    changed: Condvar,
    /// How many wait for a change: without any, nobody has to be told.
    waiting: AtomicUsize,
    /// The loop, while it does not run: before it is started and after it has stopped.
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

    /// Waits until `look` returns something or the deadline has passed. It looks again whenever something has happened, and
    /// a last time after the deadline.
    pub(crate) fn watch<T>(&self, deadline: Instant, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let _watching = Watching::begin(self);
        loop {
            let is_late = Instant::now() >= deadline;
            let turn = self.published().turn;
            if let Some(found) = look() {
                return Some(found);
            }
            if is_late {
                return None;
            }
            let mut published = self.published();
            while published.turn == turn {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                let waited = self.changed.wait_timeout(published, left).unwrap_or_else(PoisonError::into_inner);
                published = waited.0;
            }
        }
    }
}

/// While it lives, somebody waits for a change, though what he looks with may panic.
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
    /// The loop that this thread is at work for, by what it shares.
    static AT_WORK: Cell<usize> = const { Cell::new(0) };
}

/// While it lives, this thread is at work for a loop: whoever asks that loop to do something and waits for it would wait for
/// himself.
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

impl EventLoop {
    pub(super) fn obey(&mut self) {
        self.unobeyed = false;
        for turn in 0.. {
            if turn == TURN_COMMANDS {
                self.unobeyed = true;
                return;
            }
            let Ok(command) = self.commands.try_recv() else { return };
            match command {
                Command::Stop => self.stop = Stop::Now,
                Command::StopClean => self.stop_clean(),
                Command::Do(question) => {
                    question(self);
                    self.apply_effects();
                }
            }
        }
    }

    /// What it was told while it did not run is of no use to it: it has stopped already.
    pub(crate) fn forget_commands(&mut self) {
        while self.commands.try_recv().is_ok() {}
    }

    /// Answers what was asked while it was coming to its end. A stop has been obeyed by then.
    pub(crate) fn answer_the_last(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Do(question) = command {
                question(self);
            }
        }
    }

    fn stop_clean(&mut self) {
        if self.stop != Stop::No {
            return;
        }
        self.stop = Stop::WhenClosed;
        self.paused = false;
        self.close_listeners();
        self.timers.set(self.now + self.config.linger, Wake::Stop);
        self.close_all(&Fault::new(Reason::ConnectionForced, "the broker is stopping"));
    }

    /// The counters, for whoever reads them.
    pub(super) fn publish(&mut self) {
        let counts = self.counts();
        if counts != self.published
            && let Some(shared) = self.shared.upgrade()
        {
            self.published = counts;
            shared.published().counts = counts;
        }
    }

    /// Tells those who wait that something has happened, if it has.
    pub(crate) fn announce(&mut self) {
        if std::mem::take(&mut self.stirred)
            && let Some(shared) = self.shared.upgrade()
        {
            if shared.waiting.load(Ordering::SeqCst) > 0 {
                shared.stir();
            }
            self.router.chronicle_mut().flush();
        }
    }
}
