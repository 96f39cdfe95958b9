//! The number of messages that arrived at addresses that are no longer in use, for tests that wait for them. Bounded, because
//! clients choose addresses.

use std::collections::HashMap;
use std::sync::Arc;

/// Limits on the number of remembered addresses and on their total bytes.
const MAX_ADDRESSES: usize = 65_536;
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Message counts by address.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    arrived: HashMap<Arc<str>, u64>,
    bytes: usize,
}

impl Arrivals {
    pub(super) fn count(&mut self, address: &Arc<str>, messages: u64) {
        if let Some(count) = self.arrived.get_mut(address) {
            *count += messages;
        } else if messages > 0 && self.arrived.len() < MAX_ADDRESSES && self.bytes + address.len() <= MAX_BYTES {
            self.bytes += address.len();
            self.arrived.insert(address.clone(), messages);
        }
    }

    pub(super) fn of(&self, address: &str) -> u64 {
        self.arrived.get(address).copied().unwrap_or_default()
    }
}
