//! 4.2.7 and the deadlines of a connection: what is due when, and what happens then. A part of `connection.rs`.

use std::convert::Infallible;
use std::time::Instant;

use super::connection::{Connection, Phase};
use super::delivery_times;
use super::frame::{self, FrameType};
use super::handshake::Handshake;
use super::violation::{ReplyCode, Violation};
use crate::outbox::Outbox;

impl Connection {
    /// The time at which [`Connection::handle_timeout`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::AwaitHeader { until }
            | Phase::Handshake(Handshake { until, .. })
            | Phase::AwaitCloseOk { until }
            | Phase::AwaitEnd { until } => Some(until),
            Phase::Opened | Phase::Blocked { .. } => {
                [self.heartbeat.deadline(), self.acks_due].into_iter().flatten().min()
            }
            Phase::AwaitAdmission | Phase::Closed | Phase::Dropped => None,
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        if self.deadline().is_none_or(|at| at > now) {
            return;
        }
        match self.phase {
            // Nothing is read from a blocked peer.
            Phase::Blocked { held: true } if self.heartbeat.is_silent(now) => self.heartbeat.received(now),
            // 4.2.7: a peer that has sent nothing for two heartbeats is closed without connection.close.
            Phase::Opened | Phase::Blocked { .. } if self.heartbeat.is_silent(now) => {
                let what = "nothing was received within two heartbeats";
                let violation = Violation::of_section("4.2.7", ReplyCode::ConnectionForced, what);
                self.note_violation("dropped", &violation);
                self.abandon();
                self.phase = Phase::Dropped;
            }
            Phase::Opened | Phase::Blocked { .. } => {
                if self.heartbeat.deadline().is_some_and(|at| at <= now) {
                    self.beat(now, out);
                }
                if self.acks_due.is_some_and(|at| at <= now) {
                    self.close_overdue(now, out);
                }
            }
            Phase::AwaitCloseOk { .. } | Phase::AwaitEnd { .. } => {
                log::debug!("{}: dropped: it did not end the connection", self.terms.name);
                self.phase = Phase::Dropped;
            }
            Phase::AwaitHeader { .. } | Phase::Handshake(_) => {
                log::warn!("{}: closed: no open within the time for the handshake", self.terms.name);
                self.abandon();
                self.phase = Phase::Closed;
            }
            Phase::AwaitAdmission | Phase::Closed | Phase::Dropped => {}
        }
    }

    /// 4.2.7: sends a heartbeat, unless there is other traffic, which is as good.
    fn beat(&mut self, now: Instant, out: &mut Outbox) {
        if out.is_empty() {
            let _ = out.append(|out| {
                frame::put(out, FrameType::Heartbeat, 0, |_| {});
                Ok::<(), Infallible>(())
            });
        }
        self.heartbeat.sent(now);
    }

    /// Closes the channels that have a delivery which was not acknowledged in time.
    pub(super) fn close_overdue(&mut self, now: Instant, out: &mut Outbox) {
        self.acks_due = None;
        let Some(timeout) = self.config.consumer_timeout else { return };
        let mut overdue = Vec::new();
        for (channel, number) in self.channels.iter_mut().zip(0..) {
            let since = channel.as_mut().and_then(|channel| channel.oldest_since());
            match since.map(|since| since + timeout) {
                Some(due) if due <= now => overdue.push(number),
                due => self.acks_due = [self.acks_due, due].into_iter().flatten().min(),
            }
        }
        for number in overdue {
            if let Err(violation) = self.contain(delivery_times::overdue(number, timeout), number, out) {
                return self.fail(&violation, now, out);
            }
        }
    }
}
