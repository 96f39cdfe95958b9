//! Connections and links: their keys, and what a peer requests for a link when it attaches it.

use std::sync::Arc;

use super::message::{Fault, Outcome};
use crate::arguments::Arguments;

/// The key of a connection of the event loop. The serial tells a stale key from that of a later connection in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionKey {
    pub(crate) slot: u32,
    pub(crate) serial: u32,
}

/// The key of a link within its connection, given by the engine. Slots are dense, so that the router can index by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LinkId {
    pub(crate) slot: u32,
    pub(crate) serial: u32,
}

/// The key of a link within the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LinkKey {
    pub(crate) connection: ConnectionKey,
    pub(crate) link: LinkId,
}

impl LinkKey {
    /// A key that no link has.
    pub(crate) const NOBODY: LinkKey = LinkKey {
        connection: ConnectionKey { slot: u32::MAX, serial: 0 },
        link: LinkId { slot: u32::MAX, serial: u32::MAX },
    };
}

/// The name by which a 0-9-1 client consumes replies (direct reply-to). The names that replies are sent to begin with it.
pub(crate) const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// The node that a peer wants to attach a link to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Address(Arc<str>),
    /// A new node with a generated address (dynamic, 3.5.3 and 3.5.4). The requested kind is a hint.
    Dynamic(NodeKind),
    /// A declared queue, which must exist.
    Queue(Arc<str>),
    /// A new queue for the replies to one consumer alone, with a generated name that begins with [`REPLY_TO`].
    Replies,
    /// No node: each message has its own address (anonymous terminus).
    Anonymous,
}

/// The kind of node that a dynamic terminus requests, or that a link has been attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Unspecified,
    Queue,
    /// A queue that keeps its messages when they are read. Not for a dynamic terminus.
    Stream,
    Topic,
}

/// Which deliveries go out settled on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Settled,
    Unsettled,
    /// Deliveries go out settled if their messages came settled.
    Mixed,
}

/// An attach of a consumer.
#[derive(Debug)]
pub(crate) struct ConsumerRequest {
    pub(crate) link: LinkId,
    /// The channel (1.0: the session, by our channel number) whose window its deliveries use, if any: see
    /// [`Event::ChannelOpened`](super::Event::ChannelOpened).
    pub(crate) channel: Option<u16>,
    /// The name of the link, as its peer gave it.
    pub(crate) name: Arc<str>,
    pub(crate) node: Node,
    pub(crate) manner: Manner,
    /// Whether to get copies and leave messages in their queue (distribution mode copy).
    pub(crate) browse: bool,
    /// The outcome of unanswered deliveries when the link is detached.
    pub(crate) default_outcome: Outcome,
    /// Maximum size of a message, in bytes. Larger messages are not given to this consumer.
    pub(crate) max_message_size: u64,
    /// Whether to attach only as the sole consumer.
    pub(crate) exclusive: bool,
    /// Whether the link serves single requests (basic.get) and is not counted as a consumer.
    pub(crate) passing: bool,
    /// The limits of unacknowledged deliveries. None in 1.0, which has credit.
    pub(crate) prefetch: Option<Prefetch>,
    /// The consumer's arguments, by their names in 0-9-1.
    pub(crate) arguments: Arguments,
}

/// The limits of unacknowledged deliveries that a consumer begins with: its own, and the one that it shares with the other consumers of
/// its channel. 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefetch {
    pub(crate) own: u16,
    pub(crate) shared: u16,
}

/// The identity of a peer, known when its connection is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The protocol and its version, as text.
    pub(crate) protocol: &'static str,
    /// The container-id or the connection name that the peer gave.
    pub(crate) container: Option<Arc<str>>,
    /// The hostname in open (0-9-1: the virtual host).
    pub(crate) host: Option<Arc<str>>,
    /// The virtual host that the peer asked for. None: the one that is called as `host` is, or else the default one.
    pub(crate) vhost: Option<Arc<str>>,
    /// The user that authenticated, if any.
    pub(crate) user: Option<Arc<str>>,
}

/// A link that a connector attaches.
#[derive(Clone, Debug)]
pub(crate) struct LinkRequest {
    pub(crate) name: Arc<str>,
    /// Whether the connector sends on the link.
    pub(crate) sends: bool,
    pub(crate) node: Node,
    pub(crate) manner: Manner,
    /// See [`ConsumerRequest::browse`].
    pub(crate) browse: bool,
}

/// A peer's reply to a connector.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The connection is open.
    Opened { container: Arc<str>, max_frame_size: u32, offers: Vec<Arc<str>>, properties: Vec<(Arc<str>, Arc<str>)> },
    /// The session has begun.
    Begun { session: usize },
    /// The link is attached, at `address`.
    Attached { link: LinkId, address: Option<Arc<str>>, max_message_size: u64 },
    /// A drain has ended.
    Drained { link: LinkId },
    /// The link is detached, by the peer or in reply to our detach.
    Detached { link: LinkId, fault: Option<Fault> },
    /// The session has ended.
    Ended { session: usize, fault: Option<Fault> },
    /// The connection is closed.
    Closed { fault: Option<Fault> },
}
