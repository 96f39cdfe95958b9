//! The publishes to exchanges: each with its exchange, its routing key and the queues that it went to. The message log
//! has the messages; a publish is known for as long as the last of its messages is there.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::messages::{LoggedMessage, Messages, Place, is_in};
use crate::event::{Numbers, Published};

/// Exchanges whose publishes are counted.
const MAX_COUNTED: usize = 65_536;

/// A publish as it is handed out, its message not decoded.
#[derive(Clone, Debug)]
pub(crate) struct LoggedPublish {
    pub(crate) exchange: Arc<str>,
    pub(crate) key: Arc<str>,
    pub(crate) queues: Vec<Arc<str>>,
    /// The numbers of the messages in the log: one for each queue, or one if there is none.
    pub(crate) messages: Numbers,
    /// The last of these messages.
    pub(crate) message: LoggedMessage,
}

/// The publishes whose messages are in the log, oldest first, and the number of all that there were.
#[derive(Debug, Default)]
pub(super) struct Publishes {
    entries: VecDeque<Published>,
    /// By virtual host (None: the default one) and exchange.
    counts: HashMap<Option<Arc<str>>, HashMap<Arc<str>, u64>>,
}

impl Publishes {
    /// Adds publishes and empties their list. Removes those that the log has no message of.
    pub(super) fn add(&mut self, published: &mut Vec<Published>, messages: &Messages) {
        if published.is_empty() {
            return;
        }
        for entry in published.drain(..) {
            let counts = self.counts.entry(entry.vhost.clone()).or_default();
            if counts.len() < MAX_COUNTED || counts.contains_key(&entry.exchange) {
                *counts.entry(entry.exchange.clone()).or_default() += entry.count as u64;
            }
            self.entries.push_back(entry);
        }
        let first = messages.first();
        while self.entries.front().is_some_and(|entry| entry.end() <= first) {
            self.entries.pop_front();
        }
    }

    /// Counts what was ever published to an exchange.
    pub(super) fn count(&self, at: Place<'_>) -> u64 {
        let of_vhost = self.counts.iter().find(|(vhost, _)| is_in(vhost, at.vhost));
        of_vhost.and_then(|(_, counts)| counts.get(at.address)).copied().unwrap_or(0)
    }

    /// Returns what was published to an exchange and is in the log, oldest first.
    pub(super) fn to(&self, at: Place<'_>, messages: &Messages) -> Vec<LoggedPublish> {
        let mut found = Vec::new();
        for entry in self.entries.iter().filter(|entry| &*entry.exchange == at.address && is_in(&entry.vhost, at.vhost))
        {
            let copies = entry.copies();
            for index in 0..entry.count as u64 {
                let numbers = Numbers { first: entry.first + index * copies, count: entry.queues.len().max(1) };
                // Of a run the first publishes may have fallen out of the log.
                let Some(message) = messages.at(numbers.end() - 1) else { continue };
                let Published { exchange, key, queues, .. } = entry.clone();
                found.push(LoggedPublish { exchange, key, queues, messages: numbers, message });
            }
        }
        found
    }
}
