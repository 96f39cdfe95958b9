//! Where messages went, by exchange and routing key, until a binding changes. Bounded, since peers make routing keys up.

use std::collections::HashMap;
use std::sync::Arc;

use super::bindings::QueueKey;

/// The queues of one routing key of an exchange.
pub(in crate::router) type Queues = Arc<[QueueKey]>;

/// Routes that are remembered, and the queues of all of them together (our choice).
const MAX_REMEMBERED: usize = 65_536;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RouteCache {
    routes: HashMap<Arc<str>, HashMap<Box<str>, Queues>>,
    count: usize,
}

impl RouteCache {
    pub(super) fn get(&self, exchange: &str, key: &str) -> Option<&Queues> {
        self.routes.get(exchange)?.get(key)
    }

    /// Remembers a route; forgets all others if there are too many.
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
