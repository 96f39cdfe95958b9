//! Requests of peers that change exchanges and bindings.

use std::sync::Arc;

use super::link::LinkId;
use crate::arguments::Arguments;

/// The type of an exchange: which bindings a message matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExchangeKind {
    /// Bindings whose key equals the routing key.
    Direct,
    /// All bindings.
    Fanout,
    /// Bindings whose pattern matches the words of the routing key.
    Topic,
    /// Bindings whose arguments match the message's headers.
    Headers,
    /// One binding, chosen by a hash.
    ConsistentHash,
    /// As another type says, after a time.
    Delayed,
}

impl ExchangeKind {
    const ALL: [(ExchangeKind, &str); 6] = [
        (ExchangeKind::Direct, "direct"),
        (ExchangeKind::Fanout, "fanout"),
        (ExchangeKind::Topic, "topic"),
        (ExchangeKind::Headers, "headers"),
        (ExchangeKind::ConsistentHash, "x-consistent-hash"),
        (ExchangeKind::Delayed, "x-delayed-message"),
    ];

    /// Returns the type of this name. None if it is not supported.
    pub(crate) fn named(name: &str) -> Option<ExchangeKind> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(kind, _)| kind)
    }

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// A change to exchanges or bindings. The result is reported to the link.
#[derive(Debug)]
pub(crate) struct TopologyRequest {
    pub(crate) link: LinkId,
    pub(crate) change: TopologyChange,
}

/// The change itself.
#[derive(Debug)]
pub(crate) enum TopologyChange {
    /// Declare an exchange.
    Declare(ExchangeDeclaration),
    /// Check that an exchange exists (passive declaration).
    Find(Arc<str>),
    /// Check that a client may publish to an exchange.
    CheckPublish(Arc<str>),
    /// Delete an exchange and its bindings. Succeeds if there is none.
    Delete { name: Arc<str>, if_unused: bool },
    /// Add a binding from an exchange to a target.
    Bind(BindingRequest),
    /// Remove a binding. Succeeds if there is none.
    Unbind(BindingRequest),
}

/// A declaration of an exchange.
#[derive(Clone, Debug)]
pub(crate) struct ExchangeDeclaration {
    pub(crate) name: Arc<str>,
    pub(crate) kind: ExchangeKind,
    pub(crate) durable: bool,
    /// Whether the exchange ends with its last binding.
    pub(crate) auto_delete: bool,
    /// Whether only other exchanges may send to it.
    pub(crate) internal: bool,
    pub(crate) arguments: Arguments,
}

/// A binding to add or remove.
#[derive(Clone, Debug)]
pub(crate) struct BindingRequest {
    pub(crate) source: Arc<str>,
    pub(crate) target: BindingTarget,
    pub(crate) key: Arc<str>,
    pub(crate) arguments: Arguments,
}

/// The target of a binding, by name.
#[derive(Clone, Debug)]
pub(crate) enum BindingTarget {
    Queue(Arc<str>),
    Exchange(Arc<str>),
}
