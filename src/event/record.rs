//! The router's decisions about messages, as data for the recorder. The router keeps them only if somebody has asked for them.
//!
//! Messages are numbered in the order in which they arrive, from 1. A record applies to a run of them, and has their address and
//! link once.

use std::sync::Arc;

use super::link::LinkKey;
use super::message::Outcome;
use crate::message::{Encoding, Payload};

/// A link and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedLink {
    pub(crate) link: LinkKey,
    /// The name of the link, as its peer gave it.
    pub(crate) name: Arc<str>,
}

/// Messages with consecutive numbers, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) first: u64,
    pub(crate) count: usize,
}

impl Numbers {
    /// The most messages that one record applies to.
    const MAX: usize = 64;

    /// Returns the numbers of one message.
    pub(crate) fn one(number: u64) -> Numbers {
        Numbers { first: number, count: 1 }
    }

    /// Returns the number after the last.
    pub(crate) fn end(self) -> u64 {
        self.first + self.count as u64
    }

    /// Whether `number` is the next one and may be added.
    #[inline]
    pub(crate) fn precedes(self, number: u64) -> bool {
        self.end() == number && self.count < Numbers::MAX
    }
}

/// A decision about messages.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) messages: Numbers,
    pub(crate) what: Decided,
}

/// The part of a [`Record`] that differs for each of its messages.
#[derive(Clone, Debug)]
pub(crate) enum Decided {
    /// The message waits at its address.
    Waits { address: Arc<str> },
    /// The message was handed to a consumer.
    Forwarded { to: NamedLink, address: Arc<str> },
    /// The message was dropped.
    Dropped { address: Arc<str>, why: Arc<str> },
    /// One consumer's copy of the message was dropped.
    Lost { address: Arc<str>, why: &'static str },
    /// A hook ruled on the message.
    Ruled { address: Arc<str>, what: &'static str },
    /// A consumer gave an outcome.
    Answered { by: NamedLink, outcome: Outcome },
}

/// Messages that arrived one after another from one sender for one address. [`Records::payloads`] has their payloads.
#[derive(Clone, Debug)]
pub(crate) struct ArrivedRun {
    pub(crate) messages: Numbers,
    pub(crate) from: Option<NamedLink>,
    /// The virtual host. None: the default one.
    pub(crate) vhost: Option<Arc<str>>,
    pub(crate) address: Arc<str>,
    pub(crate) settled: bool,
    pub(crate) encoding: Encoding,
}

/// Messages that were published to an exchange with the same routing key, one after another. Each arrived once at each of
/// `queues`, in their order: as `copies` messages with consecutive numbers. One that no queue got arrived once, too.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// The virtual host. None: the default one.
    pub(crate) vhost: Option<Arc<str>>,
    pub(crate) exchange: Arc<str>,
    pub(crate) key: Arc<str>,
    /// The number of the first message.
    pub(crate) first: u64,
    /// How many were published.
    pub(crate) count: usize,
    pub(crate) queues: Vec<Arc<str>>,
}

impl Published {
    /// Returns the number of messages that one publish arrived as.
    pub(crate) fn copies(&self) -> u64 {
        self.queues.len().max(1) as u64
    }

    /// Returns the number after the last message.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.copies() * self.count as u64
    }
}

/// Payloads of messages, in order. Small ones are copied into one buffer, so that they do not pin the buffers they came in.
#[derive(Debug, Default)]
pub(crate) struct Payloads {
    /// The size of each.
    pub(crate) sizes: Vec<usize>,
    /// The bytes of those below [`Payloads::COPY_BELOW`].
    pub(crate) small: Vec<u8>,
    /// The payloads of the other messages.
    pub(crate) large: Vec<Payload>,
}

impl Payloads {
    /// A payload from this size up is kept as it is.
    pub(crate) const COPY_BELOW: usize = 4 * 1024;

    /// The largest buffer that is kept, in bytes.
    const MAX_BUFFER: usize = 256 * 1024;

    /// Adds the payloads of messages.
    #[inline]
    pub(crate) fn extend<'a>(&mut self, payloads: impl Iterator<Item = &'a Payload> + Clone) {
        self.sizes.extend(payloads.clone().map(Payload::len));
        for payload in payloads {
            match payload {
                payload if payload.len() >= Payloads::COPY_BELOW => self.large.push(payload.clone()),
                Payload::One(bytes) => self.small.extend_from_slice(bytes),
                payload => self.small.extend_from_slice(&payload.contiguous()),
            }
        }
    }

    /// Removes all payloads and keeps the buffers, unless they have grown large.
    pub(crate) fn clear(&mut self) {
        if self.small.capacity() > Payloads::MAX_BUFFER {
            *self = Payloads::default();
        }
        self.sizes.clear();
        self.small.clear();
        self.large.clear();
    }
}

/// The records that have gathered. Each list is in the order in which things happened; whoever reads them reads `arrived` first,
/// since a message arrives before anything else happens to it.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) arrived: Vec<ArrivedRun>,
    /// The payloads of all messages in `arrived`.
    pub(crate) payloads: Payloads,
    /// The messages in `arrived` that were published to an exchange.
    pub(crate) published: Vec<Published>,
    pub(crate) decided: Vec<Record>,
    /// The outcomes that senders were sent.
    pub(crate) told: Vec<(Numbers, Outcome)>,
}

impl Records {
    /// Whether nothing has been recorded.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.arrived.is_empty() && self.decided.is_empty() && self.told.is_empty()
    }
}
