//! The router's decisions about messages, as data for the recorder. The router keeps them only if somebody has asked for them.

use std::sync::Arc;

use super::link::LinkKey;
use super::message::Outcome;
use crate::message::Message;

/// A link and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedLink {
    pub(crate) link: LinkKey,
    /// The name of the link, as its peer gave it.
    pub(crate) name: Arc<str>,
}

/// An event in the life of the message `number`. Messages are numbered in the order in which they arrive, from 1.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    /// The message arrived for an address.
    Arrived { number: u64, from: Option<NamedLink>, address: Arc<str>, settled: bool, message: Message },
    /// The message waits at its address.
    Waits { number: u64, address: Arc<str> },
    /// The message was handed to a consumer.
    Forwarded { number: u64, to: NamedLink, address: Arc<str> },
    /// The message was dropped.
    Dropped { number: u64, address: Arc<str>, why: Arc<str> },
    /// One consumer's copy of the message was dropped.
    Lost { number: u64, address: Arc<str>, why: &'static str },
    /// A hook ruled on the message.
    Ruled { number: u64, address: Arc<str>, what: &'static str },
    /// The sender was sent an outcome.
    Told { number: u64, outcome: Outcome },
    /// A consumer gave an outcome.
    Answered { number: u64, by: NamedLink, outcome: Outcome },
}
