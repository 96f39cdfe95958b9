//! What a peer did wrong, and how far the consequences reach: the one place that says so.
//!
//! Decoding and framing errors close the connection, session errors end the session, link errors detach the link
//! (2.4.3, 2.5.6, 2.6.5). `connection.rs` carries out what stands here.

use super::definitions::{Condition, Error};
use super::types::CodecError;

/// What ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Connection,
    Session,
    /// The link with this handle of ours.
    Link(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Violation {
    pub(crate) scope: Scope,
    /// Boxed, so that a result in which there is none is small: there is one for every frame.
    pub(crate) error: Box<Error>,
}

impl Violation {
    pub(crate) fn connection(condition: Condition, description: &str) -> Violation {
        Violation { scope: Scope::Connection, error: Box::new(Error::new(condition, description)) }
    }

    pub(crate) fn session(condition: Condition, description: &str) -> Violation {
        Violation { scope: Scope::Session, error: Box::new(Error::new(condition, description)) }
    }

    pub(crate) fn link(handle: usize, condition: Condition, description: &str) -> Violation {
        Violation { scope: Scope::Link(handle), error: Box::new(Error::new(condition, description)) }
    }

    pub(crate) fn framing(description: &str) -> Violation {
        Violation::connection(Condition::FramingError, description)
    }
}

impl From<CodecError> for Violation {
    fn from(error: CodecError) -> Violation {
        match error {
            CodecError::Malformed(what) => Violation::connection(Condition::DecodeError, what),
            CodecError::Invalid(what) => Violation::connection(Condition::InvalidField, what),
        }
    }
}
