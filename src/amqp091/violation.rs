//! 2.2.4 (exceptions): violations, the reply code of each, and whether it ends the channel or the connection.
//!
//! `connection.rs` and `closing.rs` send the close.

use std::sync::Arc;

use super::method::{MethodId, name_of};
use super::types::{Malformed, Version};
use crate::event::{Breach, Fault, Reason};

/// The scope of a violation: what it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Connection,
    Channel,
}

/// The reply codes of the specification, by their constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyCode {
    ContentTooLarge,
    NoRoute,
    ConnectionForced,
    AccessRefused,
    NotFound,
    ResourceLocked,
    PreconditionFailed,
    FrameError,
    SyntaxError,
    CommandInvalid,
    ChannelError,
    UnexpectedFrame,
    ResourceError,
    NotAllowed,
    NotImplemented,
    InternalError,
}

impl ReplyCode {
    const ALL: [ReplyCode; 16] = [
        ReplyCode::ContentTooLarge,
        ReplyCode::NoRoute,
        ReplyCode::ConnectionForced,
        ReplyCode::AccessRefused,
        ReplyCode::NotFound,
        ReplyCode::ResourceLocked,
        ReplyCode::PreconditionFailed,
        ReplyCode::FrameError,
        ReplyCode::SyntaxError,
        ReplyCode::CommandInvalid,
        ReplyCode::ChannelError,
        ReplyCode::UnexpectedFrame,
        ReplyCode::ResourceError,
        ReplyCode::NotAllowed,
        ReplyCode::NotImplemented,
        ReplyCode::InternalError,
    ];

    /// Finds a code by what a hook or a test calls it: `404`, `NOT_FOUND`, `not-found`, or one of these behind a colon.
    fn named(name: &str) -> Option<ReplyCode> {
        let name = name.rsplit(':').next().unwrap_or(name).replace('-', "_").to_uppercase();
        match name.as_str() {
            "FORCED" => Some(ReplyCode::ConnectionForced),
            "UNAUTHORIZED_ACCESS" => Some(ReplyCode::AccessRefused),
            "RESOURCE_DELETED" => Some(ReplyCode::NotFound),
            "RESOURCE_LIMIT_EXCEEDED" => Some(ReplyCode::ResourceError),
            name => {
                let number = name.parse().ok();
                let is_it = |code: &ReplyCode| code.as_str() == name || Some(code.number()) == number;
                Self::ALL.into_iter().find(is_it)
            }
        }
    }

    /// Converts the code to that of a version. 0-8 and 0-9 have no UNEXPECTED_FRAME; there an invalid sequence of
    /// frames is COMMAND_INVALID. The other constants have the same number and the same scope in all versions. 0-8
    /// lacks NO_ROUTE and PRECONDITION_FAILED, and has nothing in their place; RabbitMQ sends both to clients of 0-8,
    /// and so does the broker.
    fn of_version(self, version: Version) -> ReplyCode {
        match self {
            ReplyCode::UnexpectedFrame if version < Version::V0_9_1 => ReplyCode::CommandInvalid,
            code => code,
        }
    }

    pub(crate) fn number(self) -> u16 {
        match self {
            ReplyCode::ContentTooLarge => 311,
            ReplyCode::NoRoute => 312,
            ReplyCode::ConnectionForced => 320,
            ReplyCode::AccessRefused => 403,
            ReplyCode::NotFound => 404,
            ReplyCode::ResourceLocked => 405,
            ReplyCode::PreconditionFailed => 406,
            ReplyCode::FrameError => 501,
            ReplyCode::SyntaxError => 502,
            ReplyCode::CommandInvalid => 503,
            ReplyCode::ChannelError => 504,
            ReplyCode::UnexpectedFrame => 505,
            ReplyCode::ResourceError => 506,
            ReplyCode::NotAllowed => 530,
            ReplyCode::NotImplemented => 540,
            ReplyCode::InternalError => 541,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ReplyCode::ContentTooLarge => "CONTENT_TOO_LARGE",
            ReplyCode::NoRoute => "NO_ROUTE",
            ReplyCode::ConnectionForced => "CONNECTION_FORCED",
            ReplyCode::AccessRefused => "ACCESS_REFUSED",
            ReplyCode::NotFound => "NOT_FOUND",
            ReplyCode::ResourceLocked => "RESOURCE_LOCKED",
            ReplyCode::PreconditionFailed => "PRECONDITION_FAILED",
            ReplyCode::FrameError => "FRAME_ERROR",
            ReplyCode::SyntaxError => "SYNTAX_ERROR",
            ReplyCode::CommandInvalid => "COMMAND_INVALID",
            ReplyCode::ChannelError => "CHANNEL_ERROR",
            ReplyCode::UnexpectedFrame => "UNEXPECTED_FRAME",
            ReplyCode::ResourceError => "RESOURCE_ERROR",
            ReplyCode::NotAllowed => "NOT_ALLOWED",
            ReplyCode::NotImplemented => "NOT_IMPLEMENTED",
            ReplyCode::InternalError => "INTERNAL_ERROR",
        }
    }

    pub(crate) fn scope(self) -> Scope {
        match self {
            ReplyCode::ContentTooLarge
            | ReplyCode::NoRoute
            | ReplyCode::AccessRefused
            | ReplyCode::NotFound
            | ReplyCode::ResourceLocked
            | ReplyCode::PreconditionFailed => Scope::Channel,
            _ => Scope::Connection,
        }
    }
}

impl From<&Reason> for ReplyCode {
    fn from(reason: &Reason) -> ReplyCode {
        match reason {
            Reason::NotFound => ReplyCode::NotFound,
            Reason::DecodeError | Reason::InvalidField => ReplyCode::SyntaxError,
            Reason::ResourceLimitExceeded | Reason::QueueFull => ReplyCode::ResourceError,
            Reason::MessageSizeExceeded => ReplyCode::ContentTooLarge,
            Reason::ConnectionForced => ReplyCode::ConnectionForced,
            Reason::NotImplemented => ReplyCode::NotImplemented,
            Reason::ResourceLocked => ReplyCode::ResourceLocked,
            Reason::PreconditionFailed => ReplyCode::PreconditionFailed,
            Reason::ResourceDeleted => ReplyCode::NotFound,
            Reason::NotAllowed => ReplyCode::AccessRefused,
            Reason::NoVirtualHost => ReplyCode::NotAllowed,
            Reason::Other(name) => ReplyCode::named(name).unwrap_or(ReplyCode::InternalError),
        }
    }
}

/// An error of the peer, or a refusal, that ends a channel or the connection. Boxed, so that the result of each frame
/// is small.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Violation(pub(crate) Box<Details>);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Details {
    pub(crate) code: ReplyCode,
    /// The scope of the code, unless [`Violation::soft`] or [`Violation::hard`] has changed it.
    pub(crate) scope: Scope,
    pub(crate) text: Arc<str>,
    /// The method in which the violation happened, if there is one.
    pub(crate) method: MethodId,
    /// Whether the peer is to blame. A queue that does not exist or a name in use is no breach.
    pub(crate) is_breach: bool,
    /// The section of the rule, if that is not the method's.
    section: Option<&'static str>,
}

impl Violation {
    /// Creates a violation with the scope of its code. One of connection scope is a breach.
    pub(crate) fn new(code: ReplyCode, text: impl Into<Arc<str>>) -> Violation {
        let (scope, method) = (code.scope(), MethodId::default());
        let is_breach = scope == Scope::Connection;
        Violation(Box::new(Details { code, scope, text: text.into(), method, is_breach, section: None }))
    }

    /// Creates a violation of a section outside the class reference.
    pub(crate) fn of_section(section: &'static str, code: ReplyCode, text: &str) -> Violation {
        let mut violation = Violation::new(code, text);
        violation.0.section = Some(section);
        violation
    }

    /// Creates a violation of 4.2.3, framing.
    pub(crate) fn frame(text: &str) -> Violation {
        Violation::of_section("4.2.3", ReplyCode::FrameError, text)
    }

    /// Creates a violation of 4.2.6, the order of content frames.
    pub(crate) fn content(text: &str) -> Violation {
        Violation::of_section("4.2.6", ReplyCode::UnexpectedFrame, text)
    }

    /// Sets the method, if none is set.
    pub(crate) fn in_method(mut self, method: MethodId) -> Violation {
        if self.0.method == MethodId::default() {
            self.0.method = method;
        }
        self
    }

    /// Makes the violation a breach.
    pub(crate) fn breach(mut self) -> Violation {
        self.0.is_breach = true;
        self
    }

    /// Creates the violation that closes a channel because the broker has no room. It is no breach.
    pub(crate) fn no_room(text: &str) -> Violation {
        let mut violation = Violation::new(ReplyCode::ResourceError, text).soft();
        violation.0.is_breach = false;
        violation
    }

    /// Creates the refusal of a request that is not honoured, in strict mode. It is no breach: the peer could not know.
    pub(crate) fn unmet(text: String) -> Violation {
        let mut violation = Violation::new(ReplyCode::NotImplemented, text);
        violation.0.is_breach = false;
        violation
    }

    /// Limits the scope to the channel, whatever the code says.
    pub(crate) fn soft(mut self) -> Violation {
        self.0.scope = Scope::Channel;
        self
    }

    /// Extends the scope to the connection, whatever the code says.
    pub(crate) fn hard(mut self) -> Violation {
        self.0.scope = Scope::Connection;
        self
    }
}

impl Details {
    /// The reply-code and the reply-text of a close, as a version has them.
    pub(crate) fn reply(&self, version: Version) -> (u16, String) {
        let code = self.code.of_version(version);
        (code.number(), format!("{} - {}", code.as_str(), self.text))
    }

    /// The record of the violation, with the code that a peer of this version is sent.
    pub(crate) fn breach(&self, version: Version) -> Breach {
        let code = self.code.of_version(version);
        let condition = format!("{} {}", code.number(), code.as_str());
        Breach { section: self.section(), fault: Fault::new(Reason::Other(condition.into()), self.text.clone()) }
    }

    /// The violation in one line of the log, with the code that a peer of this version is sent.
    pub(crate) fn logged(&self, version: Version) -> String {
        let code = self.code.of_version(version);
        format!("{} {}: {}, see {}", code.number(), code.as_str(), self.text, self.section())
    }

    /// The section of the rule, or the method that has it.
    pub(crate) fn section(&self) -> &'static str {
        self.section.or_else(|| name_of(self.method)).unwrap_or("4.2.4")
    }
}

impl From<Malformed> for Violation {
    fn from(Malformed(what): Malformed) -> Violation {
        Violation::new(ReplyCode::SyntaxError, what)
    }
}

impl From<&Fault> for Violation {
    fn from(fault: &Fault) -> Violation {
        let mut violation =
            Violation::new(ReplyCode::from(&fault.reason), fault.description.clone().unwrap_or_default());
        violation.0.is_breach = false;
        violation
    }
}

/// Refuses a method that only a server sends.
pub(crate) fn not_for_us() -> Violation {
    Violation::new(ReplyCode::CommandInvalid, "a method that only a server sends")
}
