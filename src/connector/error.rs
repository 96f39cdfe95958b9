//! The errors of the connector: the step that failed and in what way. Conditions and descriptions of the peer are
//! passed on unchanged.

use std::io;
use std::time::Duration;

use crate::amqp10::{self, Denied};
use crate::event::{Breach, Fault};
use crate::protocol::Outcome;

/// A step of the connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Reading a URL.
    Url,
    /// TCP and the protocol header: [`Connector::connect`](super::Connector::connect).
    Connect,
    /// SASL: [`Connected::authenticate`](super::Connected::authenticate).
    Authenticate,
    /// Open and a session: [`Authenticated::open_channel`](super::Authenticated::open_channel).
    OpenChannel,
    /// Attaching a link: [`Channel::sender`](super::Channel::sender), [`Channel::receiver`](super::Channel::receiver).
    Attach,
    /// Sending, the outcome included: [`Channel::send`](super::Channel::send).
    Send,
    /// Receiving: [`Channel::receive`](super::Channel::receive).
    Receive,
    /// Settling a delivery: [`Channel::accept`](super::Channel::accept) and its like.
    Settle,
    /// Draining: [`Channel::drain`](super::Channel::drain).
    Drain,
    /// A request and its response: [`Channel::request`](super::Channel::request).
    Request,
    /// A round trip: [`Channel::round_trip`](super::Channel::round_trip).
    RoundTrip,
    /// Closing a link: [`Channel::close_sender`](super::Channel::close_sender) and
    /// [`Channel::close_receiver`](super::Channel::close_receiver).
    Detach,
    /// Closing the connection: [`Channel::disconnect`](super::Channel::disconnect).
    Disconnect,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Step::Url => "url",
            Step::Connect => "connect",
            Step::Authenticate => "authenticate",
            Step::OpenChannel => "open channel",
            Step::Attach => "attach",
            Step::Send => "send",
            Step::Receive => "receive",
            Step::Settle => "settle",
            Step::Drain => "drain",
            Step::Request => "request",
            Step::RoundTrip => "round trip",
            Step::Detach => "detach",
            Step::Disconnect => "disconnect",
        })
    }
}

/// A step that failed.
///
/// ```
/// use fakebroker::connector::{Connector, ErrorKind, Step};
/// use fakebroker::Broker;
///
/// let broker = Broker::builder().user("joe", "secret").start()?;
/// let connector = Connector::from_url(&broker.url())?.user("joe").password("wrong");
/// let error = connector.open().unwrap_err();
/// assert_eq!(error.step(), Step::Authenticate);
/// assert!(matches!(error.kind(), ErrorKind::Refused { .. }));
/// assert_eq!(error.condition(), Some("sasl:auth"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Error {
    step: Step,
    // Boxed, so that a result without an error is small.
    kind: Box<ErrorKind>,
}

/// The kind of an error.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The socket failed, or the peer closed it without a close ([`io::ErrorKind::UnexpectedEof`]).
    Io(io::Error),
    /// The step was not done within this time.
    TimedOut(Duration),
    /// The peer refused, or ended what it had granted.
    Refused {
        /// The peer's condition, in its own spelling (`amqp:not-found`); `sasl:…` for a code of SASL.
        condition: Option<String>,
        /// The peer's description.
        description: Option<String>,
    },
    /// The peer violated the protocol: what it did, and the section of the rule.
    Protocol(String),
    /// A message was not accepted where it had to be.
    NotAccepted(Outcome),
    /// The call cannot be carried out with any peer.
    Usage(String),
}

impl Error {
    pub(super) fn new(step: Step, kind: ErrorKind) -> Error {
        Error { step, kind: Box::new(kind) }
    }

    /// Makes this the error of a larger step.
    pub(super) fn at(self, step: Step) -> Error {
        Error { step, ..self }
    }

    /// The step that failed.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Whether the step was not done in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(*self.kind, ErrorKind::TimedOut(_))
    }

    /// The peer's condition, if it refused: `amqp:not-found`.
    #[must_use]
    pub fn condition(&self) -> Option<&str> {
        match &*self.kind {
            ErrorKind::Refused { condition, .. } => condition.as_deref(),
            ErrorKind::NotAccepted(Outcome::Rejected { condition, .. }) => Some(condition),
            _ => None,
        }
    }

    /// The peer's description, if it gave one.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        match &*self.kind {
            ErrorKind::Refused { description, .. } => description.as_deref(),
            ErrorKind::NotAccepted(Outcome::Rejected { description, .. }) => Some(description),
            _ => None,
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.step)?;
        match &*self.kind {
            ErrorKind::Io(error) => write!(f, "{error}"),
            ErrorKind::TimedOut(after) => write!(f, "not done within {after:?}"),
            ErrorKind::Refused { condition, description } => {
                write!(f, "refused by the peer")?;
                [condition, description].into_iter().flatten().try_for_each(|what| write!(f, ": {what}"))
            }
            ErrorKind::Protocol(what) => write!(f, "the peer does not keep to the protocol: {what}"),
            ErrorKind::NotAccepted(outcome) => write!(f, "the message was {outcome}"),
            ErrorKind::Usage(what) => write!(f, "{what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.kind {
            ErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl ErrorKind {
    /// Copies the error of a connection, with which every later call fails.
    pub(super) fn again(&self) -> ErrorKind {
        match self {
            ErrorKind::Io(error) => ErrorKind::Io(io::Error::new(error.kind(), error.to_string())),
            ErrorKind::TimedOut(after) => ErrorKind::TimedOut(*after),
            ErrorKind::Refused { condition, description } => {
                ErrorKind::Refused { condition: condition.clone(), description: description.clone() }
            }
            ErrorKind::Protocol(what) => ErrorKind::Protocol(what.clone()),
            ErrorKind::NotAccepted(outcome) => ErrorKind::NotAccepted(outcome.clone()),
            ErrorKind::Usage(what) => ErrorKind::Usage(what.clone()),
        }
    }

    /// Creates the error of something that the peer has ended, with its reason if it gave one.
    pub(super) fn ended(what: &str, fault: Option<Fault>) -> ErrorKind {
        match fault {
            Some(fault) => {
                let (condition, description) = parts(fault);
                ErrorKind::Refused { condition, description }
            }
            None => ErrorKind::Refused { condition: None, description: Some(what.to_owned()) },
        }
    }

    pub(super) fn hung_up() -> ErrorKind {
        ErrorKind::Io(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer hung up"))
    }
}

/// Converts a fault to condition and description, unchanged.
pub(super) fn parts(fault: Fault) -> (Option<String>, Option<String>) {
    (Some(amqp10::spelled(&fault.reason)), fault.description.map(|description| description.to_string()))
}

impl From<Breach> for ErrorKind {
    fn from(breach: Breach) -> ErrorKind {
        let section = breach.section;
        let (condition, description) = parts(breach.fault);
        let what: Vec<String> = [condition, description].into_iter().flatten().collect();
        ErrorKind::Protocol(format!("{}, see section {section}", what.join(": ")))
    }
}

impl From<Denied> for ErrorKind {
    fn from(denied: Denied) -> ErrorKind {
        let refused = |condition: Option<&str>, description: String| ErrorKind::Refused {
            condition: condition.map(str::to_owned),
            description: Some(description),
        };
        match denied {
            Denied::Header(header) => match *header.as_slice() {
                [b'A', b'M', b'Q', b'P', 0, 1, 0, 0] => refused(None, "it speaks AMQP 1.0 without SASL".into()),
                [b'A', b'M', b'Q', b'P', id, major, minor, revision] => {
                    refused(None, format!("it speaks AMQP {major}-{minor}-{revision} (protocol id {id}), not 1.0"))
                }
                _ => ErrorKind::Protocol(format!("it does not speak AMQP: \"{}\"", header.escape_ascii())),
            },
            Denied::Mechanisms(offered) => {
                let offered: Vec<&str> = offered.iter().map(|mechanism| mechanism.as_str()).collect();
                let offered = offered.join(", ");
                refused(Some("sasl:mechanisms"), format!("it offers {offered}; ANONYMOUS and PLAIN are spoken here"))
            }
            Denied::Outcome(code) => {
                let (condition, description) = match code {
                    1 => ("sasl:auth", "user or password is wrong"),
                    2 => ("sasl:sys", "a system error"),
                    3 => ("sasl:sys-perm", "a system error that will not go away"),
                    4 => ("sasl:sys-temp", "a system error that may go away"),
                    _ => ("sasl:unknown", "an outcome that SASL does not have"),
                };
                refused(Some(condition), format!("{description} (outcome code {code})"))
            }
            Denied::TooLong => ErrorKind::Usage("user and password do not fit a SASL frame of 512 bytes".into()),
            Denied::Breach(breach) => breach.into(),
        }
    }
}
