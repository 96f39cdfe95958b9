//! The names of nodes, for who knows of nodes nothing else.

/// Names a node of the router. A link that is attached to a node keeps it alive, so its name is never stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::router) struct NodeId(pub(in crate::router) usize);
