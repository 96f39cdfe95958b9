//! The advance of a manual clock, from deadline to deadline, with a whole turn for each, until the requested time.
//!
//! ```text
//! asked --- turns until no socket has anything more ---> settled --- a turn for each deadline ---> done
//! ```
//!
//! A stop or a pause ends an advance at once: the clock has the requested time, and timers that are due do not fire.

use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use super::EventLoop;
use crate::clock::bounded;

/// Turns that read what has arrived before the clock moves. Peers that send without end do not delay it longer.
const SETTLE_TURNS: u32 = 100;

/// An advance that has been requested and has not ended.
#[derive(Debug)]
pub(super) struct Advance {
    by: Duration,
    /// The end, once the advance before has ended.
    until: Option<Instant>,
    /// Turns since the request.
    turns: u32,
    is_settled: bool,
    /// Dropped at the end, which wakes the thread that requested the advance.
    _done: SyncSender<()>,
}

impl EventLoop {
    pub(crate) fn has_manual_clock(&self) -> bool {
        self.clock.is_manual()
    }

    /// Returns the time since the broker was made.
    pub(crate) fn age(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.made_at)
    }

    /// Advances a manual clock in the turns to come. Drops `done` at the end.
    pub(crate) fn advance(&mut self, by: Duration, done: SyncSender<()>) {
        let by = bounded(by);
        self.advances.push_back(Advance { by, until: None, turns: 0, is_settled: false, _done: done });
        if self.paused || !self.is_running {
            self.skip_time();
        }
    }

    /// Moves a clock that is being advanced to the next deadline or to the end. `is_quiet`: no socket was ready in this turn and
    /// nothing is left over.
    pub(super) fn pass_time(&mut self, is_quiet: bool) {
        let Some(advance) = self.advances.front_mut() else { return };
        let until = *advance.until.get_or_insert(later(self.now, advance.by));
        // The turn of the request does not count: it may have polled before.
        advance.is_settled |= advance.turns > 0 && is_quiet || advance.turns > SETTLE_TURNS;
        advance.turns = advance.turns.saturating_add(1);
        if !advance.is_settled {
            return;
        }
        match self.next_deadline().filter(|at| *at <= until) {
            Some(at) => self.clock.set(at),
            None => {
                self.clock.set(until);
                self.set_now(until);
                self.advances.pop_front();
            }
        }
    }

    /// Ends all advances at once, without firing timers.
    pub(super) fn skip_time(&mut self) {
        for advance in self.advances.drain(..) {
            let until = advance.until.unwrap_or(later(self.clock.now(), advance.by));
            self.clock.set(until);
        }
        self.set_now(self.clock.now());
    }
}

/// Returns the end of an advance. The clock stays where it is if `Instant` cannot represent the end.
fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or(now)
}
