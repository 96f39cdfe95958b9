//! 2.2.4: closes a connection after a violation or at the broker's wish. A part of `connection.rs`.

use std::sync::Arc;
use std::time::Instant;

use super::connection::{Connection, Phase};
use super::frame::{Frame, FrameType};
use super::method::{self, Connection as Class, Method, MethodId};
use super::terms::Terms;
use super::types::{Reader, shortened};
use super::violation::{Details, Violation};
use crate::event::{Event, Fault};
use crate::outbox::Outbox;

const CONNECTION_OPEN: MethodId = MethodId { class: 10, method: 40 };

impl Connection {
    /// 2.2.4: discards a frame that comes after the broker's close, unless it is close or close-ok.
    pub(super) fn on_frame_after_close(&mut self, frame: &Frame, out: &mut Outbox) {
        let mut reader = Reader::new(frame.payload(), self.terms.version);
        if frame.frame_type != FrameType::Method || frame.channel != 0 {
            return;
        }
        let method = method::read_id(&mut reader).and_then(|id| Method::read(id, &mut reader));
        match method {
            Ok(Some(Method::Connection(Class::CloseOk {}))) => self.phase = Phase::Closed,
            // Both sides have closed at the same time.
            Ok(Some(Method::Connection(Class::Close { .. }))) => {
                self.tell(&Class::CloseOk {}, out);
                self.phase = Phase::Closed;
            }
            _ => {}
        }
    }

    /// Logs a violation and its consequence. Records it if the peer is to blame.
    pub(super) fn note_violation(&mut self, consequence: &str, violation: &Violation) {
        let (Terms { name, version, .. }, details) = (&self.terms, &violation.0);
        if details.is_breach {
            log::warn!("{name}: {consequence}: {}", details.logged(*version));
            self.breaches.push_back(details.breach(*version));
        } else {
            log::info!("{name}: {consequence}: {}", details.logged(*version));
        }
    }

    /// Closes the connection after a violation.
    pub(super) fn fail(&mut self, violation: &Violation, now: Instant, out: &mut Outbox) {
        self.note_violation("closed", violation);
        self.close(&violation.0, now, out);
    }

    /// Closes the connection for a reason that is not the peer's.
    pub(crate) fn close_with(&mut self, fault: &Fault, now: Instant, out: &mut Outbox) {
        let violation = Violation::from(fault);
        let violation = match self.phase {
            Phase::AwaitAdmission => violation.in_method(CONNECTION_OPEN),
            _ => violation,
        };
        self.close(&violation.0, now, out);
    }

    /// 2.2.4: sends close and awaits close-ok for as long as `linger` says.
    fn close(&mut self, details: &Details, now: Instant, out: &mut Outbox) {
        match self.phase {
            Phase::AwaitHeader { .. } | Phase::AwaitEnd { .. } => {
                self.phase = Phase::Closed;
                return;
            }
            Phase::AwaitCloseOk { .. } | Phase::Closed | Phase::Dropped => return,
            Phase::Handshake(_) | Phase::AwaitAdmission | Phase::Opened | Phase::Blocked { .. } => {}
        }
        self.finish_turn(now, out);
        self.abandon();
        let version = self.terms.version;
        let ((reply_code, text), id) = (details.reply(version), method::wire_id(details.method, version));
        let close = Class::Close { reply_code, reply_text: shortened(&text), class_id: id.class, method_id: id.method };
        self.tell(&close, out);
        self.phase = Phase::AwaitCloseOk { until: now + self.config.linger };
    }

    /// Blocks the peer, once it publishes, for this reason. None: unblocks it.
    pub(crate) fn block(&mut self, why: Option<Arc<str>>, out: &mut Outbox) {
        self.phase = match (self.phase, &why) {
            (Phase::Opened, Some(_)) => Phase::Blocked { held: false },
            (Phase::Blocked { .. }, None) => Phase::Opened,
            (phase, _) => phase,
        };
        if self.is_open() {
            self.blocking.order(why, &self.terms, out);
        }
    }

    /// Reads no more of a peer that is blocked and begins to publish.
    pub(super) fn hold(&mut self, out: &mut Outbox) {
        if self.phase == (Phase::Blocked { held: false }) {
            self.phase = Phase::Blocked { held: true };
            self.blocking.note_publish(&self.terms, out);
        }
    }

    /// Whether nothing is to be read from the peer, because the test blocks those that publish.
    pub(crate) fn holds_back(&self) -> bool {
        self.phase == Phase::Blocked { held: true }
    }

    /// Ends all channels and detaches all links, without a method for each.
    pub(crate) fn abandon(&mut self) {
        self.channels.clear();
        self.touched.clear();
        self.committing = None;
        self.blocking.clear();
        self.arriving.clear();
        let gone = self.directory.drain();
        if !gone.is_empty() {
            self.events.push_back(Event::Detach { gone });
        }
        self.events.push_back(Event::Leave);
    }
}
