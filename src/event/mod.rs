//! The words that protocol engines and the router speak to each other.
//!
//! An engine turns what a peer did into [`Event`]s, the router answers with [`Effect`]s on links: the same connection's or
//! another's. No behaviour lives here, and no protocol: a wire handle, a channel or a frame has no name in this folder.

mod connection_id;
mod link;
mod message;
mod queue;
mod topology;

use std::sync::Arc;

use crate::message::Message;

pub use connection_id::ConnectionId;
pub(crate) use link::{
    ConnectionKey, ConsumerRequest, Gone, LinkId, LinkKey, LinkRequest, Manner, Node, NodeKind, Opened, Reply,
};
pub(crate) use message::{
    Breach, DeliveryKey, Destination, ExchangeAddress, Fault, Modified, Outcome, Reason, Text, Ticket,
};
pub(crate) use queue::{Declaration, Lifetime};
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
    /// A peer wants exchanges or bindings to change.
    Topology(Box<TopologyRequest>),
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

/// What the router wants done to a link.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The attach holds; `address` is where, none for an anonymous one.
    Attached { link: LinkKey, address: Option<Arc<str>>, kind: NodeKind },
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
            | Effect::Purged { link, .. }
            | Effect::TopologyChanged { link } => *link,
        }
    }
}
