//! What the router decided about messages, as data for whoever keeps a record of it. The router writes these down only while
//! somebody wants them.

use std::sync::Arc;

use super::link::LinkKey;
use super::message::Outcome;
use crate::message::Message;

/// One end of a link, as a reader knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedLink {
    pub(crate) link: LinkKey,
    /// What its peer calls it.
    pub(crate) name: Arc<str>,
}

/// What happened to the message of this number. Messages are numbered in the order in which they arrive, from 1.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    /// It arrived for an address.
    Arrived { number: u64, from: Option<NamedLink>, address: Arc<str>, settled: bool, message: Message },
    /// It waits at its address.
    Waits { number: u64, address: Arc<str> },
    /// It was handed to a consumer.
    Forwarded { number: u64, to: NamedLink, address: Arc<str> },
    /// Nobody gets it.
    Dropped { number: u64, address: Arc<str>, why: Arc<str> },
    /// A copy of it that waited for one consumer is lost.
    Lost { number: u64, address: Arc<str>, why: &'static str },
    /// A hook decided what becomes of it.
    Ruled { number: u64, address: Arc<str>, what: &'static str },
    /// Its sender was given an outcome.
    Told { number: u64, outcome: Outcome },
    /// A consumer gave an outcome.
    Answered { number: u64, by: NamedLink, outcome: Outcome },
}
