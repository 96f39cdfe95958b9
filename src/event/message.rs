//! Messages between engines and router: destinations, the keys of deliveries, and outcomes.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::message::Message;

/// The engine's key of an incoming delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeliveryKey(pub(crate) u64);

/// The router's key of an outgoing delivery, which comes back with the outcome. [`Ticket::NONE`] if the outcome does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(pub(crate) u64);

impl Ticket {
    pub(crate) const NONE: Ticket = Ticket(u64::MAX);

    const NOTED: u64 = 1 << 63;

    /// Makes the ticket of a delivery of which only a record is kept, under this number.
    pub(crate) fn noted(number: u64) -> Ticket {
        Ticket(Self::NOTED | number)
    }

    /// Returns the ticket of the delivery that was handed out `count` deliveries later.
    pub(crate) fn later(self, count: u32) -> Ticket {
        if self == Ticket::NONE { self } else { Ticket(self.0.wrapping_add(count.into())) }
    }

    /// Returns the number given to [`Ticket::noted`], if that made this ticket.
    pub(crate) fn as_noted(self) -> Option<u64> {
        (self != Ticket::NONE && self.0 & Self::NOTED != 0).then_some(self.0 & !Self::NOTED)
    }
}

/// Text in the buffer that it arrived in, such as the address of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text(Bytes);

impl Text {
    /// Checks the bytes. None if they are not UTF-8.
    pub(crate) fn new(bytes: Bytes) -> Option<Text> {
        std::str::from_utf8(&bytes).is_ok().then_some(Text(bytes))
    }

    pub(crate) fn as_str(&self) -> &str {
        // [`Text::new`] has checked it.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(Bytes::copy_from_slice(text.as_bytes()))
    }
}

/// An exchange and a routing key in the buffer that they arrived in.
#[derive(Clone, Debug)]
pub(crate) struct ExchangeAddress {
    bytes: Bytes,
    exchange: Range<u16>,
    key: Range<u16>,
}

impl ExchangeAddress {
    /// Takes the ranges of both in `bytes`. None if they are out of range or not UTF-8.
    pub(crate) fn new(bytes: Bytes, exchange: Range<u16>, key: Range<u16>) -> Option<ExchangeAddress> {
        text_at(&bytes, &exchange)?;
        text_at(&bytes, &key)?;
        Some(ExchangeAddress { bytes, exchange, key })
    }

    pub(crate) fn exchange(&self) -> &str {
        // [`ExchangeAddress::new`] has checked it.
        text_at(&self.bytes, &self.exchange).unwrap_or_default()
    }

    pub(crate) fn key(&self) -> &str {
        text_at(&self.bytes, &self.key).unwrap_or_default()
    }
}

fn text_at<'a>(bytes: &'a [u8], at: &Range<u16>) -> Option<&'a str> {
    std::str::from_utf8(bytes.get(usize::from(at.start)..usize::from(at.end))?).ok()
}

/// The destination of an incoming message.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    /// The node that its link is attached to.
    Link,
    /// The address in the message (`to`).
    Named(Text),
    /// The queue of this address, if it exists.
    Queue(Text),
    /// The queues bound to an exchange.
    Exchange(ExchangeAddress),
    /// The queues bound to an exchange by any of several routing keys. The default exchange is one too.
    Keys(Arc<RoutingKeys>),
    /// None, though the link is anonymous.
    Missing,
    /// Unknown, because the message cannot be decoded.
    Unreadable,
}

impl Destination {
    /// Whether a message came by 0-9-1: its channel is told by other means than an outcome what became of it.
    pub(crate) fn is_published(&self) -> bool {
        matches!(self, Destination::Queue(_) | Destination::Exchange(_) | Destination::Keys(_))
    }

    /// Returns the exchange and the routing key of a message for which [`Destination::is_published`] holds.
    pub(crate) fn exchange_and_key(&self) -> Option<(&str, &str)> {
        match self {
            Destination::Queue(name) => Some(("", name.as_str())),
            Destination::Exchange(address) => Some((address.exchange(), address.key())),
            Destination::Keys(several) => Some((&several.exchange, several.key())),
            Destination::Link | Destination::Named(_) | Destination::Missing | Destination::Unreadable => None,
        }
    }
}

/// An exchange and all routing keys of a message that has several.
#[derive(Debug)]
pub(crate) struct RoutingKeys {
    pub(crate) exchange: Arc<str>,
    /// The one of the publish first.
    pub(crate) keys: Vec<Arc<str>>,
}

impl RoutingKeys {
    /// The routing key of the publish.
    pub(crate) fn key(&self) -> &str {
        self.keys.first().map_or("", |key| key)
    }
}

/// The reason of a fault, which each protocol translates into its own condition or reply code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    NotFound,
    DecodeError,
    InvalidField,
    ResourceLimitExceeded,
    /// A queue holds as much as it may.
    QueueFull,
    MessageSizeExceeded,
    ConnectionForced,
    NotImplemented,
    /// Exclusive to another connection.
    ResourceLocked,
    /// Exists with other properties than requested.
    PreconditionFailed,
    /// Has been deleted while in use.
    ResourceDeleted,
    NotAllowed,
    /// The virtual host that the peer asked for does not exist, or not for it.
    NoVirtualHost,
    /// A peer's own condition, passed on.
    Other(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) description: Option<Arc<str>>,
    /// Further information (1.0: the `info` of an error), encoded, passed on unread.
    pub(crate) info: Option<Bytes>,
}

impl Fault {
    pub(crate) fn new(reason: Reason, description: impl Into<Arc<str>>) -> Fault {
        Fault { reason, description: Some(description.into()), info: None }
    }
}

/// A peer's violation of its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    /// The section of the specification that it violates.
    pub(crate) section: &'static str,
    /// The fault that the peer was sent.
    pub(crate) fault: Fault,
}

/// The outcome of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    Rejected(Option<Box<Fault>>),
    Released,
    Modified(Modified),
}

impl Outcome {
    /// Returns the outcome as a verb.
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
    /// Annotations to merge into the message's, encoded. The router does not read them.
    pub(crate) annotations: Option<Bytes>,
}

/// A whole message from a producer.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The sender's delivery, which needs an outcome. None if it came settled.
    pub(crate) delivery: Option<DeliveryKey>,
    pub(crate) message: Message,
}

/// Consecutive messages of one producer for one destination, on their way from an engine to the router.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) arrivals: Vec<Arrival>,
    /// Maximum number of messages. 1 where each has to be answered before the next frame is read.
    pub(crate) limit: usize,
}

impl Run {
    /// Maximum number of messages that go through the router together. More would save little.
    pub(crate) const MAX: usize = 64;
}

impl Default for Run {
    fn default() -> Run {
        Run { arrivals: Vec::new(), limit: Run::MAX }
    }
}

/// A message from the router for one consumer.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) message: Message,
    pub(crate) settled: bool,
    pub(crate) ticket: Ticket,
    /// Units of the channel's window that the router has subtracted for it: see [`Event::Window`](super::Event::Window).
    pub(crate) units: u32,
}
