//! Advancing a manual clock: from deadline to deadline, with a whole turn for each, until the time that was asked for.
//!
//! ```text
//! asked --- turns until no socket has anything more ---> settled --- a turn for each deadline ---> done
//! ```
//!
//! A stop or a pause on the way ends it at once: the clock is where it was asked to be, and what came due is not fired by a
//! broker that serves nobody.

use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use super::EventLoop;
use crate::clock::bounded;

/// Turns in which bytes that had arrived before the clock moves are read. Peers that send without end do not hold it up longer.
const SETTLE_TURNS: u32 = 100;

/// Time that has been asked for and has not passed yet.
#[derive(Debug)]
pub(super) struct Advance {
    by: Duration,
    /// The end, once it is known: when an earlier advance has ended.
    until: Option<Instant>,
    /// Turns that it has had.
    turns: u32,
    is_settled: bool,
    /// Dropped at the end, and who has asked goes on then.
    _done: SyncSender<()>,
}

impl EventLoop {
    pub(crate) fn has_manual_clock(&self) -> bool {
        self.clock.is_manual()
    }

    /// The time since the broker was made.
    pub(crate) fn age(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.made_at)
    }

    /// Has a manual clock advance in the turns to come. Whoever waits for the other end of `done` is told when it has.
    pub(crate) fn advance(&mut self, by: Duration, done: SyncSender<()>) {
        let by = bounded(by);
        self.advances.push_back(Advance { by, until: None, turns: 0, is_settled: false, _done: done });
        if self.paused || !self.is_running {
            self.skip_time();
        }
    }

    /// Ends a turn for a clock that is being advanced: moves it to the next deadline or to the end. `is_quiet` says that no
    /// socket had anything in this turn and nothing is left over.
    pub(super) fn pass_time(&mut self, is_quiet: bool) {
        let Some(advance) = self.advances.front_mut() else { return };
        let until = *advance.until.get_or_insert(later(self.now, advance.by));
        // The turn in which it was asked for does not count: what it polled may be older.
        advance.is_settled |= advance.turns > 0 && is_quiet || advance.turns > SETTLE_TURNS;
        advance.turns = advance.turns.saturating_add(1);
        if !advance.is_settled {
            return;
        }
        match self.timers.next().filter(|at| *at <= until) {
            Some(at) => self.clock.set(at),
            None => {
                self.clock.set(until);
                self.set_now(until);
                self.advances.pop_front();
            }
        }
    }

    /// Ends all advances at once, without firing anything.
    pub(super) fn skip_time(&mut self) {
        for advance in self.advances.drain(..) {
            let until = advance.until.unwrap_or(later(self.clock.now(), advance.by));
            self.clock.set(until);
        }
        self.set_now(self.clock.now());
    }
}

/// The end of an advance. An `Instant` has an end too, where the clock stays.
fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or(now)
}
