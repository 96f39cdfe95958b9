//! Exchanges and bindings, as peers ask for them.

use std::sync::Arc;

use super::link::LinkId;
use crate::arguments::Arguments;

/// By what an exchange finds the queues of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExchangeKind {
    /// The message's routing key is the binding's.
    Direct,
    /// Every binding takes every message.
    Fanout,
    /// The message's routing key has the words that the binding's pattern asks for.
    Topic,
    /// The message has the headers that the binding's arguments ask for.
    Headers,
}

impl ExchangeKind {
    const ALL: [(ExchangeKind, &str); 4] = [
        (ExchangeKind::Direct, "direct"),
        (ExchangeKind::Fanout, "fanout"),
        (ExchangeKind::Topic, "topic"),
        (ExchangeKind::Headers, "headers"),
    ];

    /// None for a type that is not supported.
    pub(crate) fn named(name: &str) -> Option<ExchangeKind> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(kind, _)| kind)
    }

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// A change to exchanges or bindings that a peer asks for. Its link is told that it is done, or why it cannot be.
#[derive(Debug)]
pub(crate) struct TopologyRequest {
    pub(crate) link: LinkId,
    pub(crate) change: TopologyChange,
}

/// What is to be changed.
#[derive(Debug)]
pub(crate) enum TopologyChange {
    /// An exchange should be there, and be like this.
    Declare(ExchangeDeclaration),
    /// Changes nothing: it fails unless the exchange is there.
    Find(Arc<str>),
    /// An exchange should be no more, nor its bindings. One that is not there is deleted already.
    Delete { name: Arc<str>, if_unused: bool },
    /// Messages that match should go from an exchange to a target.
    Bind(BindingRequest),
    /// They should not any more. What is not bound is unbound already.
    Unbind(BindingRequest),
}

/// An exchange that should be there.
#[derive(Clone, Debug)]
pub(crate) struct ExchangeDeclaration {
    pub(crate) name: Arc<str>,
    pub(crate) kind: ExchangeKind,
    pub(crate) durable: bool,
    /// The exchange goes with the last of its bindings.
    pub(crate) auto_delete: bool,
    /// Only other exchanges send to it.
    pub(crate) internal: bool,
    pub(crate) arguments: Arguments,
}

/// A binding that should be there, or should not.
#[derive(Clone, Debug)]
pub(crate) struct BindingRequest {
    pub(crate) source: Arc<str>,
    pub(crate) target: BindingTarget,
    pub(crate) key: Arc<str>,
    pub(crate) arguments: Arguments,
}

/// What a binding leads to, by its name.
#[derive(Clone, Debug)]
pub(crate) enum BindingTarget {
    Queue(Arc<str>),
    Exchange(Arc<str>),
}
