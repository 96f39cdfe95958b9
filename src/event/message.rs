//! Messages on their way: where they go, the names of their deliveries, and how those end.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::message::Message;

/// The engine's name for a delivery that came in; it means something to nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeliveryKey(pub(crate) u64);

/// The router's name for a delivery that goes out, given back with the receiver's answer. [`Ticket::NONE`] when nobody asks
/// for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(pub(crate) u64);

impl Ticket {
    pub(crate) const NONE: Ticket = Ticket(u64::MAX);

    const NOTED: u64 = 1 << 63;

    /// For a delivery that only a record is kept of, under this number.
    pub(crate) fn noted(number: u64) -> Ticket {
        Ticket(Self::NOTED | number)
    }

    /// The ticket of the delivery that was handed out `count` deliveries later.
    pub(crate) fn later(self, count: u32) -> Ticket {
        if self == Ticket::NONE { self } else { Ticket(self.0.wrapping_add(count.into())) }
    }

    /// The number of such a delivery.
    pub(crate) fn as_noted(self) -> Option<u64> {
        (self != Ticket::NONE && self.0 & Self::NOTED != 0).then_some(self.0 & !Self::NOTED)
    }
}

/// Text that still lies in the buffer it arrived in: an address found in a message, say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text(Bytes);

impl Text {
    /// None if the bytes are not UTF-8.
    pub(crate) fn new(bytes: Bytes) -> Option<Text> {
        std::str::from_utf8(&bytes).is_ok().then_some(Text(bytes))
    }

    pub(crate) fn as_str(&self) -> &str {
        // Checked when it was made.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(Bytes::copy_from_slice(text.as_bytes()))
    }
}

/// An exchange and a routing key, in the buffer that they arrived in.
#[derive(Clone, Debug)]
pub(crate) struct ExchangeAddress {
    bytes: Bytes,
    exchange: Range<u16>,
    key: Range<u16>,
}

impl ExchangeAddress {
    /// Takes the places of both in `bytes`. None if they are not UTF-8 or lie outside.
    pub(crate) fn new(bytes: Bytes, exchange: Range<u16>, key: Range<u16>) -> Option<ExchangeAddress> {
        text_at(&bytes, &exchange)?;
        text_at(&bytes, &key)?;
        Some(ExchangeAddress { bytes, exchange, key })
    }

    pub(crate) fn exchange(&self) -> &str {
        // Checked when it was made, as is the key.
        text_at(&self.bytes, &self.exchange).unwrap_or_default()
    }

    pub(crate) fn key(&self) -> &str {
        text_at(&self.bytes, &self.key).unwrap_or_default()
    }
}

fn text_at<'a>(bytes: &'a [u8], at: &Range<u16>) -> Option<&'a str> {
    std::str::from_utf8(bytes.get(usize::from(at.start)..usize::from(at.end))?).ok()
}

/// Where a message that arrived should go.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    /// Where its link is attached to.
    Link,
    /// Where the message says.
    Named(Text),
    /// To the queue of this address, if there is one.
    Queue(Text),
    /// To the queues that an exchange finds.
    Exchange(ExchangeAddress),
    /// It should say and does not.
    Missing,
    /// It should say and cannot be read.
    Unreadable,
}

/// Why something was refused. Spelt by each protocol in its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    NotFound,
    DecodeError,
    InvalidField,
    ResourceLimitExceeded,
    MessageSizeExceeded,
    ConnectionForced,
    NotImplemented,
    /// It is another connection's alone.
    ResourceLocked,
    /// It is there and is not as asked for.
    PreconditionFailed,
    /// It was there and has been deleted.
    ResourceDeleted,
    NotAllowed,
    /// A peer's own condition, passed on.
    Other(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) description: Option<Arc<str>>,
    /// More about it in the words of the peer's protocol, passed on unread.
    pub(crate) info: Option<Bytes>,
}

impl Fault {
    pub(crate) fn new(reason: Reason, description: impl Into<Arc<str>>) -> Fault {
        Fault { reason, description: Some(description.into()), info: None }
    }
}

/// What a peer did against the rules of its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    /// Where the specification demands otherwise.
    pub(crate) section: &'static str,
    /// What it was told.
    pub(crate) fault: Fault,
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    Rejected(Option<Box<Fault>>),
    Released,
    Modified(Modified),
}

impl Outcome {
    /// As one says it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Outcome::Accepted => "accept",
            Outcome::Rejected(_) => "reject",
            Outcome::Released => "release",
            Outcome::Modified(_) => "modify",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Modified {
    pub(crate) delivery_failed: bool,
    pub(crate) undeliverable_here: bool,
    /// To be merged into the message's annotations; encoded, and unread by the router.
    pub(crate) annotations: Option<Bytes>,
}

/// A whole message that came from a producer.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The delivery that its sender wants settled; None for one that came settled.
    pub(crate) delivery: Option<DeliveryKey>,
    pub(crate) message: Message,
}

/// Consecutive messages of one producer, all for one destination, on their way from an engine to the router.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) arrivals: Vec<Arrival>,
    /// Messages that it may hold. 1 where each has to be answered before the next is looked at.
    pub(crate) limit: usize,
}

impl Run {
    /// Messages that go through the router together at most. More would save little.
    pub(crate) const MAX: usize = 64;
}

impl Default for Run {
    fn default() -> Run {
        Run { arrivals: Vec::new(), limit: Run::MAX }
    }
}

/// A message on its way from the router to one consumer.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) message: Message,
    pub(crate) settled: bool,
    pub(crate) ticket: Ticket,
    /// Units of its channel's window that the router has taken for it: see [`Event::Window`](super::Event::Window).
    pub(crate) units: u32,
}
