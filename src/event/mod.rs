//! The events and effects that protocol engines and the router exchange.
//!
//! An engine turns frames of a peer into [`Event`]s. The router answers with [`Effect`]s on links of any connection. This folder
//! has data only, and nothing of a protocol: no handles and no frames.

mod connection_id;
mod link;
mod message;
mod queue;
mod record;
mod topology;
mod vhost;

use std::sync::Arc;

pub use connection_id::ConnectionId;
pub(crate) use link::{
    ConnectionKey, ConsumerRequest, LinkId, LinkKey, LinkRequest, Manner, Node, NodeKind, Opened, Prefetch, REPLY_TO,
    Reply,
};
pub(crate) use message::{
    Arrival, Breach, Delivery, DeliveryKey, Destination, ExchangeAddress, Fault, Modified, Outcome, Reason,
    RoutingKeys, Run, Text, Ticket,
};
pub(crate) use queue::{Declaration, Lifetime};
pub(crate) use record::{ArrivedRun, Decided, NamedLink, Numbers, Payloads, Published, Record, Records};
pub(crate) use topology::{
    BindingRequest, BindingTarget, ExchangeDeclaration, ExchangeKind, TopologyChange, TopologyRequest,
};
pub(crate) use vhost::{DEFAULT_VHOST, write_vhost};

/// A request or report of one connection's engine to the router.
#[derive(Debug)]
pub(crate) enum Event {
    /// The peer asks for the connection to be open, which the event loop admits or closes. Ignored by the router.
    Opened(Box<Opened>),
    /// The peer attaches a link on which it sends.
    AttachProducer { link: LinkId, name: Arc<str>, node: Node },
    /// The peer attaches a link on which it receives.
    AttachConsumer(Box<ConsumerRequest>),
    /// A channel has opened (1.0: a session has begun). Its consumers share a window of `window` units. A message takes one unit
    /// for each `unit` bytes or part of them.
    ChannelOpened { channel: u16, window: i64, unit: usize },
    /// The window of a channel has grown by `more` units, or shrunk if negative.
    Window { channel: u16, more: i64 },
    /// A consumer's credit has grown by `more` messages, or shrunk if negative. With `drain`, the router hands out what waits
    /// now and then reports [`Effect::Drained`].
    Credit { link: LinkId, more: i64, drain: bool },
    /// Whole messages came from a producer: those of the filled [`Run`]. `credit` is what the producer has left.
    Messages { link: LinkId, to: Destination, credit: u32 },
    /// A consumer gave an outcome to `count` deliveries: those with the ticket `first` and the ones that follow it.
    Answer { link: LinkId, first: Ticket, count: u32, outcome: Outcome },
    /// A settled delivery with a ticket has been written in full. No outcome will come for it.
    Sent { link: LinkId, ticket: Ticket },
    /// The peer replied to a connector. The router gets none of these.
    Reply(Box<Reply>),
    /// A consumer takes no more messages, but still answers those that it has (basic.cancel).
    Retire { link: LinkId },
    /// Declare a queue.
    Declare(Box<Declaration>),
    /// Delete a queue.
    Delete { link: LinkId, address: Arc<str>, if_unused: bool, if_empty: bool },
    /// Purge a queue.
    Purge { link: LinkId, address: Arc<str> },
    /// Change exchanges or bindings.
    Topology(Box<TopologyRequest>),
    /// The peer has closed the connection: its exclusive queues end now.
    Leave,
    /// Links are detached. Those that are detached together are in one event, so that none of them is given what another had.
    Detach { gone: Vec<LinkId> },
}

impl Event {
    /// Returns the links of [`Event::Detach`]; no links for other events.
    pub(crate) fn into_gone(self, connection: ConnectionKey) -> Vec<LinkKey> {
        match self {
            Event::Detach { gone } => gone.into_iter().map(|link| LinkKey { connection, link }).collect(),
            _ => Vec::new(),
        }
    }
}

/// A command of the router to the engine that has the link.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Accept the attach. `address` is that of the node, None for an anonymous link.
    Attached { link: LinkKey, address: Option<Arc<str>>, kind: NodeKind },
    /// Refuse the attach, or another request of the link.
    Refused { link: LinkKey, fault: Box<Fault> },
    /// Set a producer's credit to `credit` messages.
    Grant { link: LinkKey, credit: u32 },
    /// Add `credit` messages to a producer's credit.
    GrantMore { link: LinkKey, credit: u32 },
    /// Deliver messages to a consumer, in this order. It has credit for all of them.
    Deliver { link: LinkKey, deliveries: Vec<Delivery> },
    /// Report the end of a drain. `left` messages still wait.
    Drained { link: LinkKey, left: usize },
    /// Settle `count` deliveries of a producer with one outcome: `first` and those that follow it.
    Settle { link: LinkKey, first: DeliveryKey, count: u32, outcome: Outcome },
    /// Report that the last message of an anonymous producer came settled and could not be routed. No outcome can say so.
    Unroutable { link: LinkKey, fault: Box<Fault> },
    /// Detach a link with an error. The engine then sends [`Event::Detach`], as for any other detach.
    Detach { link: LinkKey, fault: Box<Fault> },
    /// Report a declared queue: its address, the messages that wait in it, and its consumers.
    Declared { link: LinkKey, address: Arc<str>, messages: usize, consumers: usize },
    /// Report a deleted queue, and the number of messages deleted with it.
    Deleted { link: LinkKey, messages: usize },
    /// Report a purge, and the number of messages deleted by it.
    Purged { link: LinkKey, messages: usize },
    /// Report that a change to exchanges and bindings was made.
    TopologyChanged { link: LinkKey },
}

impl Effect {
    /// The link that this effect applies to.
    pub(crate) fn link(&self) -> LinkKey {
        match self {
            Effect::Attached { link, .. }
            | Effect::Refused { link, .. }
            | Effect::Grant { link, .. }
            | Effect::GrantMore { link, .. }
            | Effect::Deliver { link, .. }
            | Effect::Drained { link, .. }
            | Effect::Settle { link, .. }
            | Effect::Unroutable { link, .. }
            | Effect::Detach { link, .. }
            | Effect::Declared { link, .. }
            | Effect::Deleted { link, .. }
            | Effect::Purged { link, .. }
            | Effect::TopologyChanged { link } => *link,
        }
    }
}
