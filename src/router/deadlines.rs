//! The time, and the moments at which something is due: the first message of a queue expires, nobody has used a queue for too long, or the
//! first message that waits at an exchange is to be routed. The event loop says what time it is; the router reads no clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::node_id::NodeId;
use crate::timers::{Timer, Timers};

/// Where something is due.
#[derive(Clone, Debug)]
pub(super) enum Due {
    Queue(NodeId),
    Exchange(Arc<str>),
}

/// The time, and one deadline at most for each queue and each exchange.
#[derive(Debug)]
pub(super) struct Deadlines {
    now: Instant,
    /// A moment by the clock, and the date it had, since the Unix epoch.
    dated: (Instant, Duration),
    timers: Timers<Due>,
}

impl Deadlines {
    /// `dated` is a moment by the clock and its date, since the Unix epoch.
    pub(super) fn new(dated: (Instant, Duration)) -> Deadlines {
        Deadlines { now: dated.0, dated, timers: Timers::default() }
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// The date, in milliseconds since the Unix epoch.
    pub(super) fn date(&self) -> i64 {
        let date = self.dated.1.saturating_add(self.now.saturating_duration_since(self.dated.0));
        i64::try_from(date.as_millis()).unwrap_or(i64::MAX)
    }

    /// When the next deadline is.
    pub(super) fn next(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The queue or exchange whose deadline has come. Each deadline is given out once.
    pub(super) fn pop(&mut self) -> Option<Due> {
        self.timers.pop(self.now)
    }

    /// Makes `due` the deadline of a queue or an exchange (`what`), which keeps its timer. None: it has no deadline.
    #[inline]
    pub(super) fn keep(&mut self, timer: &mut Option<Timer>, due: Option<Instant>, what: impl FnOnce() -> Due) {
        if timer.map(|timer| timer.at) == due {
            return;
        }
        if let Some(old) = timer.take() {
            self.timers.cancel(old);
        }
        *timer = due.map(|at| self.timers.set(at, what()));
    }
}
