//! For tests: what the router holds, counted from the things themselves and not from any running count.

use super::Router;
use super::links::{End, Outstanding};
use crate::event::ConnectionKey;

/// What the router holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    pub(crate) links: usize,
    /// Messages that wait at nodes, and copies that wait for single consumers.
    pub(crate) waiting: usize,
    /// Deliveries whose outcome matters to a node.
    pub(crate) outstanding: usize,
    /// Messages whose senders wait for what their receivers say.
    pub(crate) origins: usize,
    /// What all of that costs: the budget has to say the same.
    pub(crate) bytes: usize,
}

impl Router {
    pub(crate) fn audit(&self) -> Audit {
        let mut audit = Audit { origins: self.origins.len(), ..Audit::default() };
        for (_, entry) in self.addresses.iter() {
            let (waiting, bytes) = entry.node.held();
            audit.waiting += waiting;
            audit.bytes += bytes;
        }
        for (_, end) in self.links.iter() {
            audit.links += 1;
            let End::Consumer(consumer) = end else { continue };
            audit.outstanding += consumer.outstanding.len();
            audit.bytes += consumer.outstanding.iter().map(cost).sum::<usize>();
        }
        audit
    }

    /// The links of a connection.
    pub(crate) fn links_of(&self, connection: ConnectionKey) -> usize {
        self.links.of(connection).len()
    }
}

fn cost(outstanding: &Outstanding) -> usize {
    match outstanding {
        Outstanding::Queued(waiting) | Outstanding::Unfinished(waiting) => waiting.cost(),
        Outstanding::EndToEnd(_) => 0,
    }
}
