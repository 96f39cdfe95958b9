//! The hooks of a test: closures that the event loop calls on its own thread. A closure that panics is removed and reported; the
//! loop continues as if it had returned the default.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::clock::bounded;
use crate::event::{Fault, Modified, Outcome, Reason};
use crate::protocol::MessageRecord;
use crate::snapshot::{Connection, Link};

/// The decision of a hook installed with [`on_message`](crate::Handle::on_message) about one message. The sender of a message
/// that arrived settled is sent no outcome in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Route the message as without a hook.
    Forward,
    /// Drop the message as if it had no receiver: count it as dropped, and send the outcome that is configured for that.
    Drop,
    /// Do not route the message, and send its sender `accepted`.
    Accept,
    /// Do not route the message, and send its sender `rejected`. See [`Verdict::reject`].
    Reject {
        /// The error condition, a symbol such as `amqp:precondition-failed`.
        condition: String,
        /// The error description.
        description: String,
    },
    /// Do not route the message, and send its sender `released`.
    Release,
    /// Do not route the message, and send its sender `modified` (3.4.5). See [`Verdict::modify`].
    Modify {
        /// The delivery-failed field: this attempt counts as failed.
        delivery_failed: bool,
        /// The undeliverable-here field: the sender must not send the message to this address again.
        undeliverable_here: bool,
    },
    /// Do not route the message, and send its sender nothing: the delivery stays unsettled.
    Ignore,
    /// Route the message after this time; later messages may overtake it. Delayed messages count against
    /// [`Builder::storage_limit`](crate::Builder::storage_limit); one that does not fit is rejected with
    /// `amqp:resource-limit-exceeded`. A stop drops them.
    Delay(Duration),
}

impl Verdict {
    /// Returns [`Verdict::Modify`] with delivery-failed true and undeliverable-here false: the sender may try again.
    pub fn modify() -> Verdict {
        Verdict::Modify { delivery_failed: true, undeliverable_here: false }
    }

    /// Returns [`Verdict::Reject`] with this condition and description.
    pub fn reject(condition: impl Into<String>, description: impl Into<String>) -> Verdict {
        Verdict::Reject { condition: condition.into(), description: description.into() }
    }
}

/// The decision of a hook installed with [`on_connect`](crate::Handle::on_connect) or [`on_attach`](crate::Handle::on_attach).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// Continue as without a hook.
    Allow,
    /// Refuse the connection or the link. See [`Admission::refuse`].
    Refuse {
        /// The error condition, a symbol such as `amqp:unauthorized-access`.
        condition: String,
        /// The error description.
        description: String,
    },
}

impl Admission {
    /// Returns [`Admission::Refuse`] with this condition and description.
    pub fn refuse(condition: impl Into<String>, description: impl Into<String>) -> Admission {
        Admission::Refuse { condition: condition.into(), description: description.into() }
    }
}

/// Builds a fault from a condition and a description of the test's.
pub(crate) fn fault(condition: &str, description: &str) -> Fault {
    Fault::new(Reason::Other(condition.into()), description)
}

/// The part of a verdict that the router carries out instead of routing the message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ruling {
    Drop,
    Settle(Outcome),
    Ignore,
}

/// A verdict, divided by who carries it out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Judged {
    Forward,
    Delay(Duration),
    Ruled(Ruling),
}

impl From<Verdict> for Judged {
    fn from(verdict: Verdict) -> Judged {
        Judged::Ruled(match verdict {
            Verdict::Forward => return Judged::Forward,
            Verdict::Delay(time) => return Judged::Delay(bounded(time)),
            Verdict::Drop => Ruling::Drop,
            Verdict::Accept => Ruling::Settle(Outcome::Accepted),
            Verdict::Reject { condition, description } => {
                Ruling::Settle(Outcome::Rejected(Some(Box::new(fault(&condition, &description)))))
            }
            Verdict::Release => Ruling::Settle(Outcome::Released),
            Verdict::Modify { delivery_failed, undeliverable_here } => {
                Ruling::Settle(Outcome::Modified(Modified { delivery_failed, undeliverable_here, annotations: None }))
            }
            Verdict::Ignore => Ruling::Ignore,
        })
    }
}

/// A closure of the test's.
type Hook<T, V> = Box<dyn FnMut(&T) -> V + Send>;

/// The installed hooks, and the panics of those that were removed.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) on_message: Option<Hook<MessageRecord, Verdict>>,
    pub(crate) on_attach: Option<Hook<Link, Admission>>,
    pub(crate) on_connect: Option<Hook<Connection, Admission>>,
    /// One line for each hook that panicked.
    pub(crate) panics: Vec<String>,
    /// Number of panics that the test has been told.
    told: usize,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("panics", &self.panics).finish_non_exhaustive()
    }
}

impl Hooks {
    /// Returns the panics that the test has not been told, and marks them as told.
    pub(crate) fn untold(&mut self) -> Vec<String> {
        let untold = self.panics.get(self.told..).unwrap_or_default().to_vec();
        self.told = self.panics.len();
        untold
    }

    /// Returns all panics, and marks them as told.
    pub(crate) fn tell(&mut self) -> Vec<String> {
        self.told = self.panics.len();
        self.panics.clone()
    }

    pub(crate) fn message(&mut self, record: &MessageRecord) -> Option<Verdict> {
        ask(&mut self.on_message, &mut self.panics, "on_message", record)
    }

    pub(crate) fn attach(&mut self, link: &Link) -> Option<Admission> {
        ask(&mut self.on_attach, &mut self.panics, "on_attach", link)
    }

    pub(crate) fn connect(&mut self, connection: &Connection) -> Option<Admission> {
        ask(&mut self.on_connect, &mut self.panics, "on_connect", connection)
    }
}

/// Calls a hook. Removes it if it panics, because its captured state may be inconsistent.
fn ask<T, V>(hook: &mut Option<Hook<T, V>>, panics: &mut Vec<String>, name: &str, about: &T) -> Option<V> {
    let closure = hook.as_mut()?;
    match catch_unwind(AssertUnwindSafe(|| closure(about))) {
        Ok(answer) => Some(answer),
        Err(payload) => {
            *hook = None;
            let what = format!("{name} panicked: {}", said(payload.as_ref()));
            log::error!("{what}");
            panics.push(what);
            None
        }
    }
}

fn said(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}
