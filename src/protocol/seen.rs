//! A message that reached the broker, with all that befell it: what a test looks at and what a hook is shown. Made from what
//! the recorder has, by reading the message's bytes in the encoding of its sender's protocol.

use std::fmt;
use std::ops::Deref;

use super::translation;
use crate::content::Message;
use crate::event::{self, ConnectionId};
use crate::recorder::{LinkName, MessageRecord, MessageState};

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

/// One end of a link, by the names that it has for those who look on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Party {
    /// Whose link it is.
    pub connection: ConnectionId,
    /// What the client calls the link.
    pub link: String,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", self.link, self.connection)
    }
}

/// What the broker did with a message, in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// Nothing yet.
    Undecided,
    /// It waits, in a queue or for a receiver with credit.
    Waiting,
    /// It went out to a receiver at least: see [`Seen::receivers`].
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
    pub receiver: Party,
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
/// let seen = &broker.messages("queue.orders")[0];
/// assert_eq!((seen.as_text(), seen.properties.subject.as_deref()), (Some("one coffee"), Some("order")));
/// assert_eq!(
///     seen.to_string(),
///     r#"message 1 at "queue.orders": "one coffee" subject="order"; waiting; its sender was told accepted"#
/// );
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Seen {
    /// Counts the messages of a broker, from 1; the trace names it so too.
    pub number: u64,
    /// Where it was sent.
    pub address: String,
    /// Who sent it. None for one that the test put in itself.
    pub sender: Option<Party>,
    /// It arrived settled: its sender is told nothing.
    pub settled: bool,
    /// What it says. Empty if its bytes cannot be read: [`Seen::unreadable`] says why.
    pub message: Message,
    /// The bytes, as they came, in the encoding of its sender's protocol.
    pub raw: Vec<u8>,
    /// Why the bytes could not be read, if they could not.
    pub unreadable: Option<String>,
    /// What was done with it.
    pub fate: Fate,
    /// Whom it went to, one entry for each delivery, the first thousand of them.
    pub receivers: Vec<Receipt>,
    /// What its sender was told. None if that has not happened, or never will.
    pub outcome: Option<Outcome>,
}

impl From<LinkName> for Party {
    fn from(name: LinkName) -> Party {
        Party { connection: name.connection, link: name.link.as_ref().to_owned() }
    }
}

impl From<MessageState> for Fate {
    fn from(state: MessageState) -> Fate {
        match state {
            MessageState::Undecided => Fate::Undecided,
            MessageState::Waiting => Fate::Waiting,
            MessageState::Forwarded => Fate::Forwarded,
            MessageState::Dropped(why) => Fate::Dropped(why.as_ref().to_owned()),
            MessageState::Ruled => Fate::Decided,
        }
    }
}

impl From<MessageRecord> for Seen {
    fn from(record: MessageRecord) -> Seen {
        let (message, unreadable) = match translation::read(record.encoding, &record.payload) {
            Ok(message) => (message, None),
            Err(why) => (Message::default(), Some(why)),
        };
        let receipt = |(receiver, outcome): (LinkName, Option<event::Outcome>)| Receipt {
            receiver: receiver.into(),
            outcome: outcome.as_ref().map(Outcome::from),
        };
        Seen {
            number: record.number,
            address: record.address.as_ref().to_owned(),
            sender: record.from.map(Party::from),
            settled: record.settled,
            message,
            raw: record.payload.into(),
            unreadable,
            fate: record.state.into(),
            receivers: record.receivers.into_iter().map(receipt).collect(),
            outcome: record.outcome.as_ref().map(Outcome::from),
        }
    }
}

impl Deref for Seen {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} at {:?}", self.number, self.address)?;
        self.sender.iter().try_for_each(|sender| write!(f, " from {sender}"))?;
        match &self.unreadable {
            Some(why) => write!(f, ", {} bytes that cannot be read: {why}", self.raw.len())?,
            None => write!(f, ": {}", self.message)?,
        }
        match &self.fate {
            Fate::Undecided => {}
            Fate::Waiting => f.write_str("; waiting")?,
            Fate::Forwarded => f.write_str("; forwarded")?,
            Fate::Dropped(why) => write!(f, "; dropped: {why}")?,
            Fate::Decided => f.write_str("; decided by a hook")?,
        }
        for Receipt { receiver, outcome } in &self.receivers {
            write!(f, "; to {receiver}")?;
            outcome.iter().try_for_each(|outcome| write!(f, ": {outcome}"))?;
        }
        self.outcome.iter().try_for_each(|outcome| write!(f, "; its sender was told {outcome}"))
    }
}
