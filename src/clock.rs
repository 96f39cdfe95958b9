//! The clock of a broker: that of the system, or one that a test advances ([`Builder::manual_clock`]). The event loop reads it
//! once a turn and passes the time to engines, router and trace; none of them reads a clock.
//!
//! Two things use the system's clock in any case, because they could not be advanced: how long a thread waits for the broker
//! (`wait_for_*`, a clean stop), and the pause after an accept that failed for want of descriptors.
//!
//! [`Builder::manual_clock`]: crate::Builder::manual_clock

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The source of the broker's time.
#[derive(Debug)]
pub(crate) enum Clock {
    System,
    /// A clock that stands at this time until it is set.
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

    /// Returns how long the clock takes to reach `at`. None for a manual clock.
    pub(crate) fn until(&self, at: Instant) -> Option<Duration> {
        match self {
            Clock::System => Some(at.saturating_duration_since(system_now())),
            Clock::Manual(_) => None,
        }
    }

    /// Advances a manual clock to `at`. Never sets it back, and does nothing to the system's clock.
    pub(crate) fn set(&mut self, at: Instant) {
        if let Clock::Manual(now) = self {
            *now = at.max(*now);
        }
    }
}

/// Caps a duration so that it can be added to an `Instant` without overflow.
pub(crate) fn bounded(time: Duration) -> Duration {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    time.min(TEN_YEARS)
}

/// Returns the system's time, for what does not follow a manual clock.
pub(crate) fn system_now() -> Instant {
    Instant::now()
}

/// Returns the time since the Unix epoch.
pub(crate) fn system_date() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
