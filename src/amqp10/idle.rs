//! Idle timeouts (2.4.5): when the peer has been silent for too long, and when an empty frame is due.

use std::time::{Duration, Instant};

use super::definitions::Condition;
use super::violation::Violation;

/// The shortest idle-time-out that a peer's open may have, in milliseconds (our choice).
const MIN_IDLE_TIMEOUT: u32 = 100;

/// The two idle timeouts of a connection.
#[derive(Debug)]
pub(super) struct Idle {
    last_received: Instant,
    last_sent: Instant,
    /// The idle-time-out of our open. None: no limit.
    ours: Option<Duration>,
    /// The idle-time-out of the peer's open.
    theirs: Option<Duration>,
}

impl Idle {
    pub(super) fn new(ours: Option<Duration>, now: Instant) -> Idle {
        Idle { last_received: now, last_sent: now, ours, theirs: None }
    }

    /// Takes the idle-time-out of the peer's open, in milliseconds. 0 is none.
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

    /// Records that bytes were received.
    pub(super) fn received(&mut self, now: Instant) {
        self.last_received = now;
    }

    /// Records that bytes are sent.
    pub(super) fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Returns when something is due next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let empty_frame = self.theirs.map(|timeout| self.last_sent + timeout / 2);
        [self.silence_deadline(), empty_frame].into_iter().flatten().min()
    }

    /// Whether nothing has been received for longer than the idle timeout.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.silence_deadline().is_some_and(|at| at <= now)
    }

    /// The time after which silence closes the connection: twice what our open says, as 2.4.5 recommends.
    fn silence_deadline(&self) -> Option<Instant> {
        self.ours.map(|timeout| self.last_received + timeout * 2)
    }
}
