//! A cache of routes by exchange and routing key, cleared when a binding changes. Bounded, because clients choose routing keys.

use std::collections::HashMap;
use std::sync::Arc;

use super::bindings::QueueKey;

/// The queues for one routing key of an exchange.
pub(in crate::router) type Queues = Arc<[QueueKey]>;

/// Limit on the number of cached routes, and on the queues of all of them together (our choice).
const MAX_REMEMBERED: usize = 65_536;

/// The queues that were found for each exchange and routing key.
#[derive(Debug, Default)]
pub(super) struct RouteCache {
    routes: HashMap<Arc<str>, HashMap<Box<str>, Queues>>,
    count: usize,
}

impl RouteCache {
    pub(super) fn get(&self, exchange: &str, key: &str) -> Option<&Queues> {
        self.routes.get(exchange)?.get(key)
    }

    /// Adds a route. Clears the cache first if it is full.
    pub(super) fn insert(&mut self, exchange: Arc<str>, key: &str, queues: Queues) {
        if self.count >= MAX_REMEMBERED {
            self.clear();
        }
        self.count += 1 + queues.len();
        self.routes.entry(exchange).or_default().insert(key.into(), queues);
    }

    pub(super) fn clear(&mut self) {
        self.routes.clear();
        self.count = 0;
    }
}
