//! 4.2.7: heartbeats: when the next is due, and when the peer has been silent for too long.

use std::time::{Duration, Instant};

/// The times by which a connection's heartbeats are kept.
#[derive(Debug)]
pub(super) struct Heartbeat {
    /// The interval that was agreed on. None: no heartbeats, in either direction.
    pub(super) interval: Option<Duration>,
    last_received: Instant,
    last_sent: Instant,
}

impl Heartbeat {
    pub(super) fn new(now: Instant) -> Heartbeat {
        Heartbeat { interval: None, last_received: now, last_sent: now }
    }

    /// Notes that octets have come; any traffic counts as a heartbeat.
    pub(super) fn received(&mut self, now: Instant) {
        self.last_received = now;
    }

    /// Notes that octets are to be written; any traffic counts as a heartbeat.
    pub(super) fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// The time at which a heartbeat is due or the peer has been silent for too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let interval = self.interval?;
        Some((self.last_sent + interval / 2).min(self.last_received + interval * 2))
    }

    /// Whether nothing has come for two intervals.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.interval.is_some_and(|interval| self.last_received + interval * 2 <= now)
    }
}
