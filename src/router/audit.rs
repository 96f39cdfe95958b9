//! For tests: everything that the router holds, counted from the stored entries and not from running counters.

use super::Router;
use super::links::{End, Outstanding};
use crate::event::ConnectionKey;

/// The totals of what the router holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    pub(crate) links: usize,
    /// Messages that wait at nodes, copies for single consumers included.
    pub(crate) waiting: usize,
    /// Unanswered deliveries that need more than a counter when they end.
    pub(crate) outstanding: usize,
    /// Messages whose senders wait for a receiver's outcome.
    pub(crate) origins: usize,
    /// The cost of all of that, which must equal what the budget has counted.
    pub(crate) bytes: usize,
}

impl Router {
    pub(crate) fn audit(&self) -> Audit {
        let bytes = self.dead_letters.cost() + self.delayed.cost();
        let mut audit = Audit { origins: self.origins.len(), bytes, ..Audit::default() };
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

    /// Counts the links of a connection.
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
