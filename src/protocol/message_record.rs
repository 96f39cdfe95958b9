//! A message that reached the broker, with all that befell it: what a test looks at and what a hook is shown. Made from what
//! the recorder has, by reading the message's bytes in the encoding of its sender's protocol.

use std::fmt;
use std::ops::Deref;

use super::translation;
use crate::content::Message;
use crate::event::{self, ConnectionId};
use crate::recorder::{LoggedLink, LoggedMessage, LoggedState};

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a message may not have been accepted"]
#[non_exhaustive]
pub enum Outcome {
    /// It was taken.
    Accepted,
    /// It was refused, for good.
    Rejected {
        /// Why, as a symbol: `amqp:not-found`, for example. Empty if nothing was said.
        condition: String,
        /// Why, in words. Empty if nothing was said.
        description: String,
    },
    /// It was given back, as if it had never been delivered.
    Released,
    /// It was given back with changes.
    Modified {
        /// The delivery counts as a failed one.
        delivery_failed: bool,
        /// It shall not be delivered there again.
        undeliverable_here: bool,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Accepted => f.write_str("accepted"),
            Outcome::Rejected { condition, description } => {
                f.write_str("rejected")?;
                if !condition.is_empty() {
                    write!(f, ", {condition}")?;
                }
                if description.is_empty() { Ok(()) } else { write!(f, ": {description}") }
            }
            Outcome::Released => f.write_str("released"),
            Outcome::Modified { delivery_failed, undeliverable_here } => {
                f.write_str("modified")?;
                if *delivery_failed {
                    f.write_str(", delivery-failed")?;
                }
                if *undeliverable_here { f.write_str(", undeliverable-here") } else { Ok(()) }
            }
        }
    }
}

impl From<&event::Outcome> for Outcome {
    fn from(outcome: &event::Outcome) -> Outcome {
        match outcome {
            event::Outcome::Accepted => Outcome::Accepted,
            event::Outcome::Rejected(fault) => Outcome::Rejected {
                condition: fault.as_ref().map(|fault| crate::amqp10::spelled(&fault.reason)).unwrap_or_default(),
                description: fault
                    .as_ref()
                    .and_then(|fault| fault.description.as_deref())
                    .unwrap_or_default()
                    .to_owned(),
            },
            event::Outcome::Released => Outcome::Released,
            event::Outcome::Modified(modified) => Outcome::Modified {
                delivery_failed: modified.delivery_failed,
                undeliverable_here: modified.undeliverable_here,
            },
        }
    }
}

/// The name of a link: links are called by their clients, and two connections may use one name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkName {
    /// Whose link it is.
    pub connection: ConnectionId,
    /// What the client calls the link.
    pub link: String,
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", self.link, self.connection)
    }
}

/// What has become of a message in the broker up to now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageState {
    /// Nothing yet.
    Undecided,
    /// It waits, in a queue or for a receiver with credit.
    Waiting,
    /// It went out to a receiver at least: see [`MessageRecord::receivers`].
    Forwarded,
    /// Nobody got it, and this is why.
    Dropped(String),
    /// A hook decided what its sender is told, and it went nowhere.
    Decided,
}

/// A receiver that was given a message, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// Who.
    pub receiver: LinkName,
    /// Its answer. None if it has not given one, or never will: a delivery that went out settled gets none.
    pub outcome: Option<Outcome>,
}

/// A message that reached the broker, and what befell it up to the moment it was asked for: see
/// [`Handle::messages`](crate::Handle::messages).
///
/// It reads like the [`Message`] it holds, and prints as one line:
///
/// ```
/// use fakebroker::{Broker, Message};
///
/// let broker = Broker::start()?;
/// broker.inject("queue.orders", Message::text("one coffee").subject("order"));
/// let record = &broker.messages("queue.orders")[0];
/// assert_eq!((record.as_text(), record.properties.subject.as_deref()), (Some("one coffee"), Some("order")));
/// assert_eq!(
///     record.to_string(),
///     r#"message 1 at "queue.orders": "one coffee" subject="order"; waiting; its sender was told accepted"#
/// );
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MessageRecord {
    /// Counts the messages of a broker, from 1; the trace names it so too.
    pub number: u64,
    /// Where it was sent.
    pub address: String,
    /// Who sent it. None for one that the test put in itself.
    pub sender: Option<LinkName>,
    /// It arrived settled: its sender is told nothing.
    pub settled: bool,
    /// What it says. Empty if its bytes cannot be read: [`MessageRecord::unreadable`] says why.
    pub message: Message,
    /// The bytes, as they came, in the encoding of its sender's protocol.
    pub raw: Vec<u8>,
    /// Why the bytes could not be read, if they could not.
    pub unreadable: Option<String>,
    /// What was done with it.
    pub state: MessageState,
    /// Whom it went to, one entry for each delivery, the first thousand of them.
    pub receivers: Vec<Receipt>,
    /// What its sender was told. None if that has not happened, or never will.
    pub outcome: Option<Outcome>,
}

impl From<LoggedLink> for LinkName {
    fn from(name: LoggedLink) -> LinkName {
        LinkName { connection: name.connection, link: name.link.as_ref().to_owned() }
    }
}

impl From<LoggedState> for MessageState {
    fn from(state: LoggedState) -> MessageState {
        match state {
            LoggedState::Undecided => MessageState::Undecided,
            LoggedState::Waiting => MessageState::Waiting,
            LoggedState::Forwarded => MessageState::Forwarded,
            LoggedState::Dropped(why) => MessageState::Dropped(why.as_ref().to_owned()),
            LoggedState::Ruled => MessageState::Decided,
        }
    }
}

impl From<LoggedMessage> for MessageRecord {
    fn from(record: LoggedMessage) -> MessageRecord {
        let (message, unreadable) = match translation::read(record.encoding, &record.payload) {
            Ok(message) => (message, None),
            Err(why) => (Message::default(), Some(why)),
        };
        let receipt = |(receiver, outcome): (LoggedLink, Option<event::Outcome>)| Receipt {
            receiver: receiver.into(),
            outcome: outcome.as_ref().map(Outcome::from),
        };
        MessageRecord {
            number: record.number,
            address: record.address.as_ref().to_owned(),
            sender: record.from.map(LinkName::from),
            settled: record.settled,
            message,
            raw: record.payload.into(),
            unreadable,
            state: record.state.into(),
            receivers: record.receivers.into_iter().map(receipt).collect(),
            outcome: record.outcome.as_ref().map(Outcome::from),
        }
    }
}

impl Deref for MessageRecord {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl fmt::Display for MessageRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} at {:?}", self.number, self.address)?;
        self.sender.iter().try_for_each(|sender| write!(f, " from {sender}"))?;
        match &self.unreadable {
            Some(why) => write!(f, ", {} bytes that cannot be read: {why}", self.raw.len())?,
            None => write!(f, ": {}", self.message)?,
        }
        match &self.state {
            MessageState::Undecided => {}
            MessageState::Waiting => f.write_str("; waiting")?,
            MessageState::Forwarded => f.write_str("; forwarded")?,
            MessageState::Dropped(why) => write!(f, "; dropped: {why}")?,
            MessageState::Decided => f.write_str("; decided by a hook")?,
        }
        for Receipt { receiver, outcome } in &self.receivers {
            write!(f, "; to {receiver}")?;
            outcome.iter().try_for_each(|outcome| write!(f, ": {outcome}"))?;
        }
        self.outcome.iter().try_for_each(|outcome| write!(f, "; its sender was told {outcome}"))
    }
}
