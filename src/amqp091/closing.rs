//! 2.2.4 and 4.2.7: how connections end, for whatever reason, and heartbeats, without which they do. A part of
//! `connection.rs`.

use std::convert::Infallible;
use std::time::Instant;

use super::connection::{Connection, Phase};
use super::frame::{self, Frame, FrameType};
use super::method::{self, Connection as Class, Method};
use super::types::{Reader, shortened};
use super::violation::{Details, ReplyCode, Scope, Violation};
use crate::event::{Breach, Event, Fault, LinkId};
use crate::outbox::Outbox;

impl Connection {
    /// 2.2.4: after our close everything is discarded but what ends it.
    pub(super) fn on_frame_after_close(&mut self, frame: &Frame, out: &mut Outbox) {
        let mut reader = Reader::new(frame.payload(), self.version);
        if frame.frame_type != FrameType::Method || frame.channel != 0 {
            return;
        }
        let method = method::read_id(&mut reader).and_then(|id| Method::read(id, &mut reader));
        match method {
            Ok(Some(Method::Connection(Class::CloseOk {}))) => self.phase = Phase::Closed,
            // Both have closed at once.
            Ok(Some(Method::Connection(Class::Close { .. }))) => {
                self.tell(0, &Method::Connection(Class::CloseOk {}), out);
                self.phase = Phase::Closed;
            }
            _ => {}
        }
    }

    /// Closes the channel that a violation concerns; hands on what concerns the connection.
    pub(super) fn contain(
        &mut self,
        result: Result<(), Violation>,
        channel: u16,
        out: &mut Outbox,
    ) -> Result<(), Violation> {
        let Err(violation) = result else { return Ok(()) };
        if violation.0.scope == Scope::Connection || channel == 0 {
            return Err(violation);
        }
        if violation.0.is_breach {
            log::warn!("{}: channel {channel} closed: {}", self.name, violation.0);
            self.breaches.push_back(Breach::from(&*violation.0));
        } else {
            log::info!("{}: channel {channel} closed: {}", self.name, violation.0);
        }
        self.close_channel(channel, &violation.0, out);
        Ok(())
    }

    /// Closes after a violation.
    pub(super) fn fail(&mut self, violation: &Violation, now: Instant, out: &mut Outbox) {
        log::warn!("{}: closed: {}", self.name, violation.0);
        self.breaches.push_back(Breach::from(&*violation.0));
        self.close(&violation.0, now, out);
    }

    /// Closes for a reason that is not the peer's.
    pub(crate) fn close_with(&mut self, fault: &Fault, now: Instant, out: &mut Outbox) {
        self.close(&Violation::from(fault).0, now, out);
    }

    /// 2.2.4: closes and waits a while for close-ok.
    fn close(&mut self, details: &Details, now: Instant, out: &mut Outbox) {
        match self.phase {
            Phase::AwaitHeader { .. } | Phase::AwaitEnd { .. } => {
                self.phase = Phase::Closed;
                return;
            }
            Phase::AwaitCloseOk { .. } | Phase::Closed | Phase::Dropped => return,
            _ => {}
        }
        self.finish_turn(now, out);
        self.abandon();
        let (text, id) = (details.reply_text(), method::wire_id(details.method, self.version));
        let close = Class::Close {
            reply_code: details.code.number(self.version),
            reply_text: shortened(&text),
            class_id: id.class,
            method_id: id.method,
        };
        self.tell(0, &Method::Connection(close), out);
        self.phase = Phase::AwaitCloseOk { until: now + self.config.linger };
    }

    /// The links go with the connection, without a word each.
    pub(crate) fn abandon(&mut self) {
        self.channels.clear();
        self.touched.clear();
        self.partial_bytes = 0;
        self.starved = 0;
        let links = self.links.drain().zip(0..);
        let gone: Vec<LinkId> = links.map(|(link, slot)| LinkId { slot, serial: link.serial }).collect();
        if !gone.is_empty() {
            self.events.push_back(Event::Detach { gone });
        }
        self.events.push_back(Event::Leave);
    }

    /// When [`Connection::handle_timeout`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::AwaitHeader { until }
            | Phase::AwaitStartOk { until }
            | Phase::AwaitSecureOk { until, .. }
            | Phase::AwaitTuneOk { until }
            | Phase::AwaitOpen { until }
            | Phase::AwaitCloseOk { until }
            | Phase::AwaitEnd { until } => Some(until),
            Phase::Opened => [self.silence_deadline(), self.heartbeat_deadline()].into_iter().flatten().min(),
            Phase::Closed | Phase::Dropped => None,
        }
    }

    /// 4.2.7: two heartbeats may be missed.
    fn silence_deadline(&self) -> Option<Instant> {
        self.heartbeat.map(|heartbeat| self.last_received + heartbeat * 2)
    }

    fn heartbeat_deadline(&self) -> Option<Instant> {
        self.heartbeat.map(|heartbeat| self.last_sent + heartbeat / 2)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        if !due(self.deadline()) {
            return;
        }
        match self.phase {
            Phase::Opened if due(self.silence_deadline()) => {
                let what = "nothing was received within two heartbeats";
                self.fail(&Violation::of_section("4.2.7", ReplyCode::ConnectionForced, what), now, out);
            }
            Phase::Opened => {
                // 4.2.7: a heartbeat, unless what is under way is as good.
                if out.is_empty() {
                    let _ = out.append(|out| {
                        frame::put(out, FrameType::Heartbeat, 0, |_| {});
                        Ok::<(), Infallible>(())
                    });
                }
                self.last_sent = now;
            }
            Phase::AwaitCloseOk { .. } | Phase::AwaitEnd { .. } => {
                log::debug!("{}: dropped: it did not end the connection", self.name);
                self.phase = Phase::Dropped;
            }
            Phase::Closed | Phase::Dropped => {}
            _ => {
                log::warn!("{}: closed: no open within the time for the handshake", self.name);
                self.abandon();
                self.phase = Phase::Closed;
            }
        }
    }
}
