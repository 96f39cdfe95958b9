//! Connections and links: the names that both sides know them by, and what a peer asks for when it attaches one.

use std::sync::Arc;

use super::message::{Fault, Outcome};

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

/// What kind of node a dynamic terminus asks for, and what kind a link has been attached to.
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

/// A link that a peer wants to receive on.
#[derive(Debug)]
pub(crate) struct ConsumerRequest {
    pub(crate) link: LinkId,
    /// The channel (1.0: the session, by our channel number) whose window its deliveries use, if they use one: see
    /// [`Event::ChannelOpened`](super::Event::ChannelOpened).
    pub(crate) channel: Option<u16>,
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
