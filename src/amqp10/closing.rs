//! 2.4.3: what ends after a violation, and how a connection closes: by its peer, after a violation, or because the broker wants
//! it to. A part of `connection.rs`.

use std::time::Instant;

use super::connection::{Connection, Phase};
use super::definitions::{Condition, Error};
use super::performative::Close;
use super::session::Wire;
use super::violation::{Scope, Violation};
use crate::event::{Event, Fault, Reply};
use crate::outbox::Outbox;

impl Connection {
    /// Detaches the link or ends the session that a violation concerns; hands on what concerns the connection.
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

    /// 2.4.3: the peer closes, or answers our close.
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

    /// 2.4.1: an open comes first. A peer that closes instead has said its last word: it is told what was wrong, and no close
    /// of its is awaited.
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

    /// Keeps a violation that the peer is to blame for, for the record.
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

    /// Closes for a reason that is not the peer's.
    pub(crate) fn close_with(&mut self, fault: Fault, now: Instant, out: &mut Outbox) {
        self.close(Some(Error::from(fault)), now, out);
    }

    /// 2.4.3: closes and waits a while for the peer's close.
    pub(super) fn close(&mut self, error: Option<Error>, now: Instant, out: &mut Outbox) {
        let opened = match self.phase {
            Phase::Opened => Ok(()),
            // 2.4.1: an open comes before a close, even then.
            Phase::AwaitOpen { .. } if self.initiated => Ok(()),
            Phase::AwaitOpen { .. } => self.put_open(None, out),
            // 2.2: and without the protocol agreed on there is neither.
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

    /// Outcomes that have gathered come before our close.
    fn say_what_is_owed(&mut self, out: &mut Outbox) {
        for session in self.channels.iter_mut() {
            // Whatever is wrong with it, the connection goes anyway.
            let _ = session.finish_turn(&mut Wire { out, max_frame_size: self.max_frame_size });
        }
    }

    /// The links go with the connection, without a word each.
    pub(crate) fn abandon(&mut self) {
        // Nothing is written.
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
