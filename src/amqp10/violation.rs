//! Violations: the rules that a peer broke, and whether link, session or connection ends. No other file decides that.
//!
//! Decoding and framing errors close the connection, session errors end the session, link errors detach the link (2.4.3, 2.5.4,
//! 2.6.5). `closing.rs` does so.

use super::definitions::{Condition, Error};
use super::types::CodecError;
use crate::event::Breach;

/// The part that ends because of a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Connection,
    Session,
    /// The link that has this handle of ours.
    Link(usize),
}

/// A rule of the specification that a peer broke, and the error that it is sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Violation {
    pub(crate) scope: Scope,
    /// The section of the specification with the rule, such as "2.6.7".
    pub(crate) section: &'static str,
    /// Boxed to keep `Result<_, Violation>` small: every frame returns one.
    pub(crate) error: Box<Error>,
    /// Whether the peer broke a rule. False for what is not implemented here, and for a broker without room.
    pub(crate) is_breach: bool,
}

impl Violation {
    fn new(scope: Scope, section: &'static str, condition: Condition, description: &str) -> Violation {
        Violation::of(scope, section, Error::new(condition, description))
    }

    /// Makes a violation of an error. It is no breach if the condition is not-implemented.
    pub(crate) fn of(scope: Scope, section: &'static str, error: Error) -> Violation {
        let is_breach = error.condition != Condition::NotImplemented;
        Violation { scope, section, error: Box::new(error), is_breach }
    }

    pub(crate) fn connection(section: &'static str, condition: Condition, description: &str) -> Violation {
        Violation::new(Scope::Connection, section, condition, description)
    }

    pub(crate) fn session(section: &'static str, condition: Condition, description: &str) -> Violation {
        Violation::new(Scope::Session, section, condition, description)
    }

    pub(crate) fn link(handle: usize, section: &'static str, condition: Condition, description: &str) -> Violation {
        Violation::new(Scope::Link(handle), section, condition, description)
    }

    pub(crate) fn framing(section: &'static str, description: &str) -> Violation {
        Violation::connection(section, Condition::FramingError, description)
    }

    /// Makes a violation for a broker without room for a message of a link. It is no breach.
    pub(crate) fn no_room(handle: usize, section: &'static str, description: &str) -> Violation {
        let violation = Violation::link(handle, section, Condition::ResourceLimitExceeded, description);
        Violation { is_breach: false, ..violation }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, see section {}", self.error, self.section)
    }
}

impl From<&Violation> for Breach {
    fn from(violation: &Violation) -> Breach {
        Breach { section: violation.section, fault: violation.error.as_ref().clone().into() }
    }
}

impl From<CodecError> for Violation {
    fn from(error: CodecError) -> Violation {
        match error {
            CodecError::Malformed(what) => Violation::connection("1.6", Condition::DecodeError, what),
            CodecError::Invalid(what) => Violation::connection("1.4", Condition::InvalidField, what),
        }
    }
}
