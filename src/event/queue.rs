//! Queues that peers declare.

use std::sync::Arc;

use super::link::LinkId;
use crate::arguments::Arguments;

/// How long a declared queue lives, and for whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// For the connection that declared it alone, and gone with it.
    pub(crate) exclusive: bool,
    /// Gone with the last of its consumers.
    pub(crate) while_consumed: bool,
}

/// A queue that a peer wants to be there. A link of its is told the answer.
#[derive(Debug)]
pub(crate) struct Declaration {
    pub(crate) link: LinkId,
    /// None: the router makes a name.
    pub(crate) address: Option<Arc<str>>,
    /// The declaration only asks whether the queue is there: nothing else in it counts.
    pub(crate) passive: bool,
    pub(crate) lifetime: Lifetime,
    pub(crate) durable: bool,
    pub(crate) arguments: Arguments,
}
