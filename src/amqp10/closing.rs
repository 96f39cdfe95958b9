//! The close of a connection (2.4.3), by the peer, after a violation or by the broker, and the end of a link or session after a
//! violation. Part of `connection.rs`.

use std::time::Instant;

use super::connection::{Connection, Phase};
use super::definitions::{Condition, Error};
use super::performative::Close;
use super::session::Wire;
use super::violation::{Scope, Violation};
use crate::event::{Event, Fault, Reply};
use crate::outbox::Outbox;

impl Connection {
    /// Detaches the link or ends the session that a violation is about. Returns a violation that is about the connection.
    pub(super) fn contain(
        &mut self,
        result: Result<(), Violation>,
        ours: usize,
        out: &mut Outbox,
    ) -> Result<(), Violation> {
        let Err(violation) = result else { return Ok(()) };
        let contained = match violation.scope {
            Scope::Connection => return Err(violation),
            Scope::Session => {
                log::warn!("{}: session ended: {violation}", self.name);
                self.note(&violation);
                self.with_session(ours, out, |session, context| session.end(Some(*violation.error), context))
            }
            Scope::Link(handle) => {
                log::warn!("{}: link detached: {violation}", self.name);
                self.note(&violation);
                let result =
                    self.with_session(ours, out, |session, context| session.detach(handle, *violation.error, context));
                return self.contain(result, ours, out);
            }
        };
        contained.map_err(|violation| Violation { scope: Scope::Connection, ..violation })
    }

    /// Whether a violation that was postponed still ends something: the router's answers to the messages before it may have
    /// detached its link, ended its session or closed the connection.
    pub(super) fn is_still_due(&self, violation: &Violation, ours: usize) -> bool {
        self.phase == Phase::Opened
            && match violation.scope {
                Scope::Connection => true,
                Scope::Session => self.channels.session(ours).is_some_and(|session| !session.ended),
                Scope::Link(handle) => self.channels.session(ours).is_some_and(|session| session.is_attached(handle)),
            }
    }

    /// Takes a close of the peer's, which may answer ours (2.4.3).
    pub(super) fn on_close(&mut self, close: &Close, out: &mut Outbox) -> Result<(), Violation> {
        match &close.error {
            Some(error) => log::info!("{}: closed by the peer: {error}", self.name),
            None => log::debug!("{}: closed by the peer", self.name),
        }
        self.say_what_is_owed(out);
        self.abandon();
        if self.initiated {
            let fault = close.error.clone().map(Fault::from);
            self.events.push_back(Event::Reply(Box::new(Reply::Closed { fault })));
        }
        self.phase = Phase::Closed;
        self.wire(out).send(0, &Close { error: None })
    }

    /// Takes a close that comes before an open (2.4.1): answers with a close that names the error. No further close is awaited.
    pub(super) fn on_close_before_open(&mut self, close: &Close, out: &mut Outbox) -> Result<(), Violation> {
        let violation = Violation::connection("2.4.1", Condition::IllegalState, "a close before an open");
        log::warn!("{}: closed: {violation}", self.name);
        if self.initiated {
            let fault = close.error.clone().map(Fault::from);
            self.events.push_back(Event::Reply(Box::new(Reply::Closed { fault })));
        } else {
            self.note(&violation);
            self.put_open(None, out)?;
        }
        self.phase = Phase::Closed;
        self.wire(out).send(0, &Close { error: Some(*violation.error) })
    }

    /// Keeps a violation for the report, if it is the peer's fault.
    pub(super) fn note(&mut self, violation: &Violation) {
        if violation.is_breach {
            self.breaches.push_back(violation.into());
        }
    }

    /// Closes after a violation.
    pub(super) fn fail(&mut self, violation: &Violation, now: Instant, out: &mut Outbox) {
        log::warn!("{}: closed: {violation}", self.name);
        self.note(violation);
        self.close(Some(violation.error.as_ref().clone()), now, out);
    }

    /// Closes for a reason that is no fault of the peer's.
    pub(crate) fn close_with(&mut self, fault: Fault, now: Instant, out: &mut Outbox) {
        self.close(Some(Error::from(fault)), now, out);
    }

    /// Closes (2.4.3) and waits for the peer's close, for `linger` at most.
    pub(super) fn close(&mut self, error: Option<Error>, now: Instant, out: &mut Outbox) {
        let opened = match self.phase {
            Phase::Opened => Ok(()),
            // 2.4.1: an open comes before a close.
            Phase::AwaitOpen { .. } if self.initiated => Ok(()),
            Phase::AwaitOpen { .. } => self.put_open(None, out),
            // 2.2: before the protocol headers there is neither.
            Phase::AwaitHeader { .. } | Phase::AwaitInit { .. } | Phase::AwaitSecondHeader { .. } => {
                self.phase = Phase::Closed;
                return;
            }
            Phase::AwaitClose { .. } | Phase::Closed | Phase::Dropped => return,
        };
        self.say_what_is_owed(out);
        self.abandon();
        let mut wire = self.wire(out);
        let error = error.map(|error| error.shortened(wire.description_limit()));
        let closed = opened.and_then(|()| wire.send(0, &Close { error }));
        self.phase = match closed {
            Ok(()) => Phase::AwaitClose { until: now + self.config.linger },
            Err(_) => Phase::Closed,
        };
    }

    /// Writes the pending dispositions and flows of all sessions, which come before our close.
    fn say_what_is_owed(&mut self, out: &mut Outbox) {
        for session in self.channels.iter_mut() {
            // An error changes nothing: the connection closes.
            let _ = session.finish_turn(&mut Wire { out, max_frame_size: self.max_frame_size });
        }
    }

    /// Removes all links without a detach for each, since the connection ends.
    pub(crate) fn abandon(&mut self) {
        // A place for what must not be written.
        let mut out = Outbox::default();
        let mut gone = Vec::new();
        let sessions: Vec<usize> = self.channels.iter().map(|session| session.channel.into()).collect();
        for ours in sessions {
            let _ = self.with_session(ours, &mut out, |session, context| {
                session.ended = true;
                gone.extend(session.let_all_go(context));
                Ok(())
            });
        }
        self.events.push_back(Event::Detach { gone });
    }
}
