//! What a test may have a say in while it happens: closures that the loop calls on its own thread. One that panics is caught,
//! noted and taken out; the loop goes on as if it had said nothing.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::clock::bounded;
use crate::event::{Fault, Modified, Outcome, Reason};
use crate::protocol::MessageRecord;
use crate::snapshot::{Connection, Link};

/// What becomes of a message: the answer of a hook that [`on_message`](crate::Handle::on_message) installed. The sender of
/// a message that arrived settled is told nothing, whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It goes where it would have gone.
    Forward,
    /// It is lost as if nobody were there: counted as dropped, its sender told what an unroutable message's is told.
    Drop,
    /// It goes nowhere, and its sender is told `accepted`.
    Accept,
    /// It goes nowhere, and its sender is told `rejected`. See [`Verdict::reject`].
    Reject {
        /// A symbol: `amqp:precondition-failed`, for example.
        condition: String,
        /// In words.
        description: String,
    },
    /// It goes nowhere, and its sender is told `released`.
    Release,
    /// It goes nowhere, and its sender is told `modified` with these flags (section 3.4.5). See [`Verdict::modify`].
    Modify {
        /// This attempt counts as a failed one.
        delivery_failed: bool,
        /// The sender must not send it to this address again.
        undeliverable_here: bool,
    },
    /// It goes nowhere, and its sender is told nothing: the delivery stays unsettled.
    Ignore,
    /// It goes where it would have gone, after this time; others may overtake it. What is held up so counts against
    /// [`Builder::storage_limit`](crate::Builder::storage_limit) by itself; what does not fit is rejected with
    /// `amqp:resource-limit-exceeded`. A stop drops it.
    Delay(Duration),
}

impl Verdict {
    /// Modifies the message as one whose delivery has failed and may be tried again: delivery-failed, and not
    /// undeliverable-here.
    pub fn modify() -> Verdict {
        Verdict::Modify { delivery_failed: true, undeliverable_here: false }
    }

    /// Rejects the message for this reason.
    pub fn reject(condition: impl Into<String>, description: impl Into<String>) -> Verdict {
        Verdict::Reject { condition: condition.into(), description: description.into() }
    }
}

/// Whether somebody may come in: the answer of a hook that [`on_connect`](crate::Handle::on_connect) or
/// [`on_attach`](crate::Handle::on_attach) installed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// As if there were no hook.
    Allow,
    /// No, for this reason. See [`Admission::refuse`].
    Refuse {
        /// A symbol: `amqp:unauthorized-access`, for example.
        condition: String,
        /// In words.
        description: String,
    },
}

impl Admission {
    /// Refuses for this reason.
    pub fn refuse(condition: impl Into<String>, description: impl Into<String>) -> Admission {
        Admission::Refuse { condition: condition.into(), description: description.into() }
    }
}

/// A reason in the words of whoever wrote the test.
pub(crate) fn fault(condition: &str, description: &str) -> Fault {
    Fault::new(Reason::Other(condition.into()), description)
}

/// What the router does with a message instead of routing it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ruling {
    Drop,
    Settle(Outcome),
    Ignore,
}

/// A verdict as the loop sees it.
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

/// Is told of something, and says what becomes of it.
type Hook<T, V> = Box<dyn FnMut(&T) -> V + Send>;

/// See the module.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) on_message: Option<Hook<MessageRecord, Verdict>>,
    pub(crate) on_attach: Option<Hook<Link, Admission>>,
    pub(crate) on_connect: Option<Hook<Connection, Admission>>,
    /// What those said that panicked.
    pub(crate) panics: Vec<String>,
    /// How many of those the test has been told.
    told: usize,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("panics", &self.panics).finish_non_exhaustive()
    }
}

impl Hooks {
    /// Panics that the test has not been told of. Now it has.
    pub(crate) fn untold(&mut self) -> Vec<String> {
        let untold = self.panics.get(self.told..).unwrap_or_default().to_vec();
        self.told = self.panics.len();
        untold
    }

    /// All panics, now told.
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

/// Asks a hook. One that panics is taken out: what it held may be in pieces.
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
