//! 4.2.7: heartbeats. When one is due, and when the peer has been silent for too long.

use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub(super) struct Heartbeat {
    /// As agreed on with the peer. None: no heartbeats, either way.
    pub(super) interval: Option<Duration>,
    last_received: Instant,
    last_sent: Instant,
}

impl Heartbeat {
    pub(super) fn new(now: Instant) -> Heartbeat {
        Heartbeat { interval: None, last_received: now, last_sent: now }
    }

    /// Notes that octets came, of whatever kind.
    pub(super) fn received(&mut self, now: Instant) {
        self.last_received = now;
    }

    /// Notes that octets are on their way, of whatever kind.
    pub(super) fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// When there is something to do next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let interval = self.interval?;
        Some((self.last_sent + interval / 2).min(self.last_received + interval * 2))
    }

    /// Whether nothing has come for as long as two heartbeats take.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.interval.is_some_and(|interval| self.last_received + interval * 2 <= now)
    }
}
