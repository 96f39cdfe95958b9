//! The words that protocol engines and the router speak to each other.
//!
//! An engine turns what a peer did into [`Event`]s, the router answers with [`Effect`]s on links: the same connection's or
//! another's. No behaviour lives here, and no protocol: a wire handle, a channel or a frame has no name in this folder.

mod connection_id;
mod link;
mod message;
mod queue;
mod record;
mod topology;

use std::sync::Arc;

pub use connection_id::ConnectionId;
pub(crate) use link::{
    ConnectionKey, ConsumerRequest, LinkId, LinkKey, LinkRequest, Manner, Node, NodeKind, Opened, Reply,
};
pub(crate) use message::{
    Arrival, Breach, Delivery, DeliveryKey, Destination, ExchangeAddress, Fault, Modified, Outcome, Reason, Run, Text,
    Ticket,
};
pub(crate) use queue::{Declaration, Lifetime};
pub(crate) use record::{NamedLink, Record};
pub(crate) use topology::{
    BindingRequest, BindingTarget, ExchangeDeclaration, ExchangeKind, TopologyChange, TopologyRequest,
};

/// What a peer did.
#[derive(Debug)]
pub(crate) enum Event {
    /// Its connection is open. Nothing that the router does depends on it.
    Opened(Box<Opened>),
    /// It wants to send to a node, on a link that it calls `name`.
    AttachProducer { link: LinkId, name: Arc<str>, node: Node },
    /// It wants to receive from a node.
    AttachConsumer(Box<ConsumerRequest>),
    /// A channel has opened (1.0: a session has begun). What its consumers are sent together uses its window: `window` units
    /// now, where a message takes a unit for each `unit` bytes begun.
    ChannelOpened { channel: u16, window: i64, unit: usize },
    /// The window of a channel has become `more` units wider, or narrower.
    Window { channel: u16, more: i64 },
    /// A consumer takes `more` messages beyond those that it would have taken before, or fewer. With `drain` it wants those
    /// that are there now, and then to be told that there are no more.
    Credit { link: LinkId, more: i64, drain: bool },
    /// Whole messages came from a producer: those of the [`Run`] that was filled. `credit` is what the producer has left.
    Messages { link: LinkId, to: Destination, credit: u32 },
    /// A consumer ended `count` deliveries in the same way: those with the ticket `first` and the ones that follow it.
    Answer { link: LinkId, first: Ticket, count: u32, outcome: Outcome },
    /// A settled delivery with a ticket has been written to its end: nobody will answer it.
    Sent { link: LinkId, ticket: Ticket },
    /// It answers something that our end began, or says why it ended that. The router begins nothing.
    Reply(Box<Reply>),
    /// A consumer takes no more and no longer counts as one, but will still answer what it has.
    Retire { link: LinkId },
    /// A queue should be there.
    Declare(Box<Declaration>),
    /// A queue should be no more.
    Delete { link: LinkId, address: Arc<str>, if_unused: bool, if_empty: bool },
    /// What waits in a queue should be no more.
    Purge { link: LinkId, address: Arc<str> },
    /// A peer wants exchanges or bindings to change.
    Topology(Box<TopologyRequest>),
    /// The peer has said goodbye: all that is its own goes.
    Leave,
    /// These links are no more. Those that go together come together, so that none of them is given what another had.
    Detach { gone: Vec<LinkId> },
}

impl Event {
    /// The links that are no more, if that is what it says.
    pub(crate) fn into_gone(self, connection: ConnectionKey) -> Vec<LinkKey> {
        match self {
            Event::Detach { gone } => gone.into_iter().map(|link| LinkKey { connection, link }).collect(),
            _ => Vec::new(),
        }
    }
}

/// What the router wants done to a link.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The attach holds; `address` is where, none for an anonymous one.
    Attached { link: LinkKey, address: Option<Arc<str>>, kind: NodeKind },
    /// The attach does not hold, or what the link asked for cannot be done.
    Refused { link: LinkKey, fault: Box<Fault> },
    /// A producer may send `credit` messages from now.
    Grant { link: LinkKey, credit: u32 },
    /// A producer may send `credit` messages more than before.
    GrantMore { link: LinkKey, credit: u32 },
    /// Messages go out to a consumer, in this order. It has credit for all of them.
    Deliver { link: LinkKey, deliveries: Vec<Delivery> },
    /// A consumer that drains has all there was, or all it has credit for: then so many still wait.
    Drained { link: LinkKey, left: usize },
    /// `count` deliveries of a producer ended in the same way: `first` and those that follow it.
    Settle { link: LinkKey, first: DeliveryKey, count: u32, outcome: Outcome },
    /// The last message of a producer that sends to no node of its own came settled and could not be routed: no outcome says
    /// so. Its protocol may do so in another way.
    Unroutable { link: LinkKey, fault: Box<Fault> },
    /// The link ends, and its peer is told why. That it has gone is an event, as always.
    Detach { link: LinkKey, fault: Box<Fault> },
    /// The queue of this address is there, with so many messages waiting and so many consumers.
    Declared { link: LinkKey, address: Arc<str>, messages: usize, consumers: usize },
    /// The queue is no more, nor are the messages that waited in it.
    Deleted { link: LinkKey, messages: usize },
    /// The messages that waited are no more.
    Purged { link: LinkKey, messages: usize },
    /// Exchanges and bindings are as the link asked for.
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
