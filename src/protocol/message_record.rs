//! A message of the message log as a test or a hook gets it: decoded, with its outcome and its receivers. Built from the
//! recorder's data by decoding the message in the encoding of its sender's protocol.

use std::fmt;
use std::ops::Deref;

use super::translation;
use crate::content::Message;
use crate::event::{self, ConnectionId};
use crate::recorder::{LoggedLink, LoggedMessage, LoggedState};

/// The outcome of a delivery (AMQP 1.0, 3.4). Outcomes of 0-9-1 are translated: basic.ack is accepted, basic.nack and
/// basic.reject are rejected or, with `requeue`, released.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a message may not have been accepted"]
#[non_exhaustive]
pub enum Outcome {
    /// `accepted`: the message was processed.
    Accepted,
    /// `rejected`: the message is invalid and will not be delivered again.
    Rejected {
        /// The error condition, such as `amqp:not-found`. Empty if there was no error.
        condition: String,
        /// The error description. Empty if there was none.
        description: String,
    },
    /// `released`: the message was not processed and may be delivered again.
    Released,
    /// `modified`: as released, and the message is changed.
    Modified {
        /// Whether the attempt counts in the delivery-count.
        delivery_failed: bool,
        /// Whether the message must not be delivered to this receiver again.
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

/// The name of a link. Link names are given by clients, so only connection and name together are unique.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkName {
    /// The connection of the link.
    pub connection: ConnectionId,
    /// The link's name as its client gave it. 0-9-1: `channel N` for a publisher, the consumer tag for a consumer.
    pub link: String,
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", self.link, self.connection)
    }
}

/// The state of a message in the broker when the record was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageState {
    /// Routing has not happened yet.
    Undecided,
    /// Stored in a queue, or waiting for a receiver's credit.
    Waiting,
    /// Delivered to at least one receiver: see [`MessageRecord::receivers`].
    Forwarded,
    /// Dropped, for this reason.
    Dropped(String),
    /// Ended by a hook's [`Verdict`](crate::Verdict), without being routed.
    Decided,
}

/// A delivery of a message to a receiver, and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The link that the message was delivered on.
    pub receiver: LinkName,
    /// The receiver's outcome. None if it has given none yet, or the delivery was sent settled.
    pub outcome: Option<Outcome>,
}

/// A message that reached the broker, and what became of it until the record was taken. Returned by
/// [`Handle::messages`](crate::Handle::messages).
///
/// Dereferences to the [`Message`] it holds, and is displayed as one line:
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
    /// The number of the message, from 1 in order of arrival at this broker. Traces use the same number.
    pub number: u64,
    /// The virtual host that it was sent in: `/` unless the test has others.
    pub vhost: String,
    /// The address that the message was sent to.
    pub address: String,
    /// The link that it arrived on. None if the test injected it.
    pub sender: Option<LinkName>,
    /// Whether the message arrived settled, so that its sender gets no outcome.
    pub settled: bool,
    /// The decoded message. Empty if the bytes cannot be decoded: see [`MessageRecord::unreadable`].
    pub message: Message,
    /// The encoded message as it arrived: the sections of AMQP 1.0, or the frames of a 0-9-1 publish.
    pub raw: Vec<u8>,
    /// The decoding error, if the bytes could not be decoded.
    pub unreadable: Option<String>,
    /// The state of the message.
    pub state: MessageState,
    /// The first thousand deliveries of the message.
    pub receivers: Vec<Receipt>,
    /// The outcome that the sender was sent. None if it was sent none yet, or never will be.
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
            vhost: record.vhost.as_deref().unwrap_or(event::DEFAULT_VHOST).to_owned(),
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
        event::write_vhost(f, &self.vhost)?;
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
