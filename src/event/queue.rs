//! Declarations of queues.

use std::sync::Arc;

use super::link::LinkId;
use crate::arguments::Arguments;

/// The exclusive and auto-delete properties of a declared queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// Whether only the declaring connection may use the queue, which ends with it.
    pub(crate) exclusive: bool,
    /// Whether the queue ends with its last consumer (auto-delete).
    pub(crate) while_consumed: bool,
}

/// A declaration of a queue. The result is reported to its link.
#[derive(Debug)]
pub(crate) struct Declaration {
    pub(crate) link: LinkId,
    /// The address of the queue. None: the router generates one.
    pub(crate) address: Option<Arc<str>>,
    /// Whether only to check that the queue exists. The fields below are then ignored.
    pub(crate) passive: bool,
    pub(crate) lifetime: Lifetime,
    pub(crate) durable: bool,
    pub(crate) arguments: Arguments,
}
