//! 2.2.4 (exceptions) and the reply codes: what a peer did wrong, and how far the consequences reach: the one place that says so.
//!
//! `connection.rs` carries out what stands here.

use std::sync::Arc;

use super::method::{MethodId, name_of};
use super::types::{Malformed, Version};
use crate::event::{Breach, Fault, Reason};

/// What ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Connection,
    Channel,
}

/// The constants of the specification. Which are hard errors, and end the connection, is theirs to say.
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

    /// For the words of somebody else: `404`, `NOT_FOUND`, `not-found`, or one of these behind a colon.
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

    /// The code of a version for this one. 0-8 and 0-9 have no UNEXPECTED_FRAME: there an invalid sequence of frames is
    /// COMMAND_INVALID. All other constants agree, in number and in scope, but that 0-8 has no NO_ROUTE and no
    /// PRECONDITION_FAILED: it has nothing in their place, and RabbitMQ sends them to clients of 0-8 too.
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
            Reason::ResourceLimitExceeded => ReplyCode::ResourceError,
            Reason::MessageSizeExceeded => ReplyCode::ContentTooLarge,
            Reason::ConnectionForced => ReplyCode::ConnectionForced,
            Reason::NotImplemented => ReplyCode::NotImplemented,
            Reason::ResourceLocked => ReplyCode::ResourceLocked,
            Reason::PreconditionFailed => ReplyCode::PreconditionFailed,
            Reason::ResourceDeleted => ReplyCode::NotFound,
            Reason::NotAllowed => ReplyCode::AccessRefused,
            Reason::Other(name) => ReplyCode::named(name).unwrap_or(ReplyCode::InternalError),
        }
    }
}

/// See the module. Boxed inside, so that a result in which there is none is small: there is one for every frame.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Violation(pub(crate) Box<Details>);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Details {
    pub(crate) code: ReplyCode,
    /// As [`ReplyCode::scope`] says, unless the peer has to go in any case.
    pub(crate) scope: Scope,
    pub(crate) text: Arc<str>,
    /// The method that it happened in, if there is one.
    pub(crate) method: MethodId,
    /// The peer could have known better. A queue that is not there, a name that is taken: that is no breach of the rules.
    pub(crate) is_breach: bool,
    /// Where the specification demands otherwise, if that is not where the method is defined.
    section: Option<&'static str>,
}

impl Violation {
    /// With the reach that the code has.
    pub(crate) fn new(code: ReplyCode, text: impl Into<Arc<str>>) -> Violation {
        let (scope, method) = (code.scope(), MethodId::default());
        let is_breach = scope == Scope::Connection;
        Violation(Box::new(Details { code, scope, text: text.into(), method, is_breach, section: None }))
    }

    /// Of a section outside the class reference.
    pub(crate) fn of_section(section: &'static str, code: ReplyCode, text: &str) -> Violation {
        let mut violation = Violation::new(code, text);
        violation.0.section = Some(section);
        violation
    }

    /// 4.2.3
    pub(crate) fn frame(text: &str) -> Violation {
        Violation::of_section("4.2.3", ReplyCode::FrameError, text)
    }

    /// 4.2.6
    pub(crate) fn content(text: &str) -> Violation {
        Violation::of_section("4.2.6", ReplyCode::UnexpectedFrame, text)
    }

    /// Says in which method it happened, if nobody has said so.
    pub(crate) fn in_method(mut self, method: MethodId) -> Violation {
        if self.0.method == MethodId::default() {
            self.0.method = method;
        }
        self
    }

    /// The peer could have known, whatever the code says.
    pub(crate) fn breach(mut self) -> Violation {
        self.0.is_breach = true;
        self
    }

    /// The broker has no room for what is sent on a channel, for which the peer is not to blame.
    pub(crate) fn no_room(text: &str) -> Violation {
        let mut violation = Violation::new(ReplyCode::ResourceError, text).soft();
        violation.0.is_breach = false;
        violation
    }

    /// What was asked for is not honoured, and the broker is strict. It is no breach: the peer could not know.
    pub(crate) fn unmet(text: String) -> Violation {
        let mut violation = Violation::new(ReplyCode::NotImplemented, text);
        violation.0.is_breach = false;
        violation
    }

    /// It ends no more than the channel, whatever the code says.
    pub(crate) fn soft(mut self) -> Violation {
        self.0.scope = Scope::Channel;
        self
    }

    /// It ends the connection, whatever the code says.
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

    /// Section or method.
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

/// A method that only a server sends.
pub(crate) fn not_for_us() -> Violation {
    Violation::new(ReplyCode::CommandInvalid, "a method that only a server sends")
}
