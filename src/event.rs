//! The words that protocol engines and the router speak to each other.
//!
//! An engine turns what a peer did into [`Event`]s, the router answers with [`Effect`]s on links: the same connection's or
//! another's. No behaviour lives here, and no protocol: a wire handle, a channel or a frame has no name in this file.

use std::sync::Arc;

use bytes::Bytes;

use crate::message::Message;

/// One connection of the event loop. The serial makes a stale key harmless when its slot is taken again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionKey {
    pub(crate) slot: u32,
    pub(crate) serial: u32,
}

/// One link of a connection, as its engine names it. Slots are dense, so that the router can index by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LinkId {
    pub(crate) slot: u32,
    pub(crate) serial: u32,
}

/// One link of the whole broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LinkKey {
    pub(crate) connection: ConnectionKey,
    pub(crate) link: LinkId,
}

impl LinkKey {
    /// No link's name.
    pub(crate) const NOBODY: LinkKey = LinkKey {
        connection: ConnectionKey { slot: u32::MAX, serial: 0 },
        link: LinkId { slot: u32::MAX, serial: u32::MAX },
    };
}

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

/// Where a link begins or ends, as its peer asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Address(Arc<str>),
    /// A fresh address, please; what the node should be like is a hint.
    Dynamic(NodeKind),
    /// A queue that is there already, under this address.
    Queue(Arc<str>),
    /// Each message says itself where it goes.
    Anonymous,
}

/// How long a declared queue lives, and for whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// For the connection that declared it alone, and gone with it.
    pub(crate) exclusive: bool,
    /// Gone with the last of its consumers.
    pub(crate) while_consumed: bool,
}

/// What kind of node a dynamic terminus asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Unspecified,
    Queue,
    Topic,
}

/// How deliveries go out on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Settled,
    Unsettled,
    /// As they came in.
    Mixed,
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
    /// To each of these queues that is there.
    Queues(Arc<[Arc<str>]>),
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

/// Who a peer is, once its connection is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The protocol with its version, as one says it.
    pub(crate) protocol: &'static str,
    /// What it calls itself.
    pub(crate) container: Option<Arc<str>>,
    /// What it calls us: the virtual host.
    pub(crate) host: Option<Arc<str>>,
    /// As whom it was let in, if it had to say.
    pub(crate) user: Option<Arc<str>>,
}

/// What a peer did.
#[derive(Debug)]
pub(crate) enum Event {
    /// Its connection is open. Nothing that the router does depends on it.
    Opened(Box<Opened>),
    /// It wants to send to a node, on a link that it calls `name`.
    AttachProducer { link: LinkId, name: Arc<str>, node: Node },
    /// It wants to receive from a node.
    AttachConsumer(Box<ConsumerRequest>),
    /// A consumer takes `credit` more messages from now, no matter what it said before. With `drain` it wants those that
    /// are there now, and then to be told that there are no more.
    Credit { link: LinkId, credit: u32, drain: bool },
    /// A whole message came from a producer.
    Message { link: LinkId, delivery: DeliveryKey, settled: bool, to: Destination, message: Message },
    /// A consumer answered a delivery.
    Answer { link: LinkId, ticket: Ticket, outcome: Outcome },
    /// A settled delivery with a ticket has been written: nobody will answer it.
    Sent { link: LinkId, ticket: Ticket },
    /// It answers something that our end began, or says why it ended that. The router begins nothing.
    Reply(Box<Reply>),
    /// A delivery cannot be sent after all: it goes back to its place as if it had never left.
    Unsent { link: LinkId, ticket: Ticket },
    /// A consumer takes no more and no longer counts as one, but will still answer what it has.
    Retire { link: LinkId },
    /// A queue should be there.
    Declare(Box<Declaration>),
    /// A queue should be no more.
    Delete { link: LinkId, address: Arc<str>, if_unused: bool, if_empty: bool },
    /// What waits in a queue should be no more.
    Purge { link: LinkId, address: Arc<str> },
    /// The peer has said goodbye: all that is its own goes.
    Leave,
    /// These links are no more. Those that go together come together, so that none of them is given what another had.
    Detach { gone: Vec<Gone> },
}

impl Event {
    /// The links that are no more, if that is what it says, with deliveries of which nothing has been sent.
    pub(crate) fn into_gone(self, connection: ConnectionKey) -> Vec<(LinkKey, Vec<Ticket>)> {
        match self {
            Event::Detach { gone } => {
                gone.into_iter().map(|gone| (LinkKey { connection, link: gone.link }, gone.unsent)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// What a peer says to an end that began: a client's.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The connection is open.
    Opened { container: Arc<str>, max_frame_size: u32, offers: Vec<Arc<str>>, properties: Vec<(Arc<str>, Arc<str>)> },
    /// The session has begun.
    Begun { session: usize },
    /// The link is attached; `address` is where.
    Attached { link: LinkId, address: Option<Arc<str>>, max_message_size: u64 },
    /// A link that drains has brought all there was.
    Drained { link: LinkId },
    /// The link is no more: its own doing, or its answer to ours.
    Detached { link: LinkId, fault: Option<Fault> },
    /// Nor is the session.
    Ended { session: usize, fault: Option<Fault> },
    /// Nor is the connection.
    Closed { fault: Option<Fault> },
}

/// A link that our end wants.
#[derive(Clone, Debug)]
pub(crate) struct LinkRequest {
    pub(crate) name: Arc<str>,
    /// Messages go to the node, or come from there.
    pub(crate) sends: bool,
    pub(crate) node: Node,
    pub(crate) manner: Manner,
    /// See [`ConsumerRequest::browse`].
    pub(crate) browse: bool,
}

/// A queue that a peer wants to be there. A link of its is told the answer.
#[derive(Debug)]
pub(crate) struct Declaration {
    pub(crate) link: LinkId,
    pub(crate) address: Arc<str>,
    pub(crate) lifetime: Lifetime,
    /// Only asks whether it is there.
    pub(crate) passive: bool,
}

/// A link that a peer wants to receive on.
#[derive(Debug)]
pub(crate) struct ConsumerRequest {
    pub(crate) link: LinkId,
    /// What the peer calls it.
    pub(crate) name: Arc<str>,
    pub(crate) node: Node,
    pub(crate) manner: Manner,
    /// Take copies and leave what is stored in its place.
    pub(crate) browse: bool,
    /// The outcome of what it leaves unanswered when it goes.
    pub(crate) default_outcome: Outcome,
    /// Larger messages, in bytes, are not for it.
    pub(crate) max_message_size: u64,
    /// It wants to be the only one.
    pub(crate) exclusive: bool,
    /// It looks in now and then: it is not counted as a consumer.
    pub(crate) passing: bool,
}

/// A link that is no more.
#[derive(Debug)]
pub(crate) struct Gone {
    pub(crate) link: LinkId,
    /// Deliveries that were handed to it and of which nothing has been sent.
    pub(crate) unsent: Vec<Ticket>,
}

/// What the router wants done to a link.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The attach holds; `address` is where, none for an anonymous one.
    Attached { link: LinkKey, address: Option<Arc<str>> },
    /// The attach does not hold, or what the link asked for cannot be done.
    Refused { link: LinkKey, fault: Box<Fault> },
    /// A producer may send `credit` messages from now.
    Grant { link: LinkKey, credit: u32 },
    /// A message goes out to a consumer.
    Deliver { link: LinkKey, message: Message, settled: bool, ticket: Ticket },
    /// A consumer that drains has all there was, or all it has credit for: then so many still wait.
    Drained { link: LinkKey, left: usize },
    /// A producer's delivery ended.
    Settle { link: LinkKey, delivery: DeliveryKey, outcome: Outcome },
    /// The link ends, and its peer is told why. That it has gone is an event, as always.
    Detach { link: LinkKey, fault: Box<Fault> },
    /// The queue is there, with so many messages waiting and so many consumers.
    Declared { link: LinkKey, messages: usize, consumers: usize },
    /// The queue is no more, nor are the messages that waited in it.
    Deleted { link: LinkKey, messages: usize },
    /// The messages that waited are no more.
    Purged { link: LinkKey, messages: usize },
}

impl Effect {
    /// Whom it concerns.
    pub(crate) fn link(&self) -> LinkKey {
        match self {
            Effect::Attached { link, .. }
            | Effect::Refused { link, .. }
            | Effect::Grant { link, .. }
            | Effect::Deliver { link, .. }
            | Effect::Drained { link, .. }
            | Effect::Settle { link, .. }
            | Effect::Detach { link, .. }
            | Effect::Declared { link, .. }
            | Effect::Deleted { link, .. }
            | Effect::Purged { link, .. } => *link,
        }
    }
}
