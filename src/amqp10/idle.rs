//! 2.4.5: idle timeouts. When the peer has been silent for too long, and when it has to be sent an empty frame.

use std::time::{Duration, Instant};

use super::definitions::Condition;
use super::violation::Violation;

/// A peer may ask for empty frames; nobody gets them faster than this allows, in milliseconds (our choice).
const MIN_IDLE_TIMEOUT: u32 = 100;

/// The two idle timeouts of a connection.
#[derive(Debug)]
pub(super) struct Idle {
    last_received: Instant,
    last_sent: Instant,
    /// What our open says. None: the peer may be silent for ever.
    ours: Option<Duration>,
    /// What the peer's open says.
    theirs: Option<Duration>,
}

impl Idle {
    pub(super) fn new(ours: Option<Duration>, now: Instant) -> Idle {
        Idle { last_received: now, last_sent: now, ours, theirs: None }
    }

    /// Takes what the peer's open says, in milliseconds. 0 is none.
    pub(super) fn opened(&mut self, theirs: Option<u32>) -> Result<(), Violation> {
        match theirs.filter(|timeout| *timeout > 0) {
            Some(timeout) if timeout < MIN_IDLE_TIMEOUT => Err(Violation::connection(
                "2.4.5",
                Condition::InvalidField,
                "idle-time-out below 100 ms cannot be kept",
            )),
            timeout => {
                self.theirs = timeout.map(|timeout| Duration::from_millis(timeout.into()));
                Ok(())
            }
        }
    }

    /// Notes that bytes came.
    pub(super) fn received(&mut self, now: Instant) {
        self.last_received = now;
    }

    /// Notes that bytes are on their way.
    pub(super) fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// When there is something to do next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let empty_frame = self.theirs.map(|timeout| self.last_sent + timeout / 2);
        [self.silence_deadline(), empty_frame].into_iter().flatten().min()
    }

    /// Whether the peer has been silent for longer than it may be.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.silence_deadline().is_some_and(|at| at <= now)
    }

    /// 2.4.5: what we advertise is half of what we bear, as recommended.
    fn silence_deadline(&self) -> Option<Instant> {
        self.ours.map(|timeout| self.last_received + timeout * 2)
    }
}
