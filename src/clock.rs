//! The only clock of a broker: the system's, or one that a test advances ([`Builder::manual_clock`]). The event loop reads it
//! once a turn and tells the engines, the router and the trace what time it is; none of them reads a clock.
//!
//! Real time whatever the clock, since nobody could advance it meanwhile: how long a thread waits for the broker
//! (`wait_for_*`, a clean stop), and the pause after an accept that failed for want of descriptors.
//!
//! [`Builder::manual_clock`]: crate::Builder::manual_clock

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where a broker has the time from.
#[derive(Debug)]
pub(crate) enum Clock {
    System,
    /// Stands at this time until it is set.
    Manual(Instant),
}

impl Clock {
    pub(crate) fn new(is_manual: bool) -> Clock {
        if is_manual { Clock::Manual(system_now()) } else { Clock::System }
    }

    pub(crate) fn is_manual(&self) -> bool {
        matches!(self, Clock::Manual(_))
    }

    pub(crate) fn now(&self) -> Instant {
        match self {
            Clock::System => system_now(),
            Clock::Manual(now) => *now,
        }
    }

    /// How long it takes until `at`, by itself. None for a manual clock: until somebody sets it.
    pub(crate) fn until(&self, at: Instant) -> Option<Duration> {
        match self {
            Clock::System => Some(at.saturating_duration_since(system_now())),
            Clock::Manual(_) => None,
        }
    }

    /// Sets a manual clock, which never goes back. Does nothing to the system's.
    pub(crate) fn set(&mut self, at: Instant) {
        if let Clock::Manual(now) = self {
            *now = at.max(*now);
        }
    }
}

/// A time that is as good as never becomes one that can be added to an `Instant`, which has an end.
pub(crate) fn bounded(time: Duration) -> Duration {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    time.min(TEN_YEARS)
}

/// The time by the system's clock, for what is real time whatever the broker's clock.
pub(crate) fn system_now() -> Instant {
    Instant::now()
}

/// The date, since the Unix epoch.
pub(crate) fn system_date() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
