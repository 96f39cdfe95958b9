//! The key of a node, in a file of its own for modules that know nothing else of nodes.

/// The key of a node. A link that is attached to a node keeps it alive, so a link's key of its node is never stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::router) struct NodeId(pub(in crate::router) usize);
