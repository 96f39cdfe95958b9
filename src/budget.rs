//! The bytes that wait anywhere in the broker, counted in one place: messages at their nodes and at receivers that have not
//! settled them, messages of which not all has arrived, messages that a hook holds up. The router and every engine have a
//! share of the same count; whoever keeps bytes takes them here first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One broker's count of bytes that wait, and their limit. Cloning shares the count.
///
/// Only the broker's own thread uses it at any time; the atomic is there so that the broker as a whole can move between
/// threads, and is never contended.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl Budget {
    /// A count of its own that bears `limit` bytes.
    pub(crate) fn new(limit: usize) -> Budget {
        Budget { used: Arc::default(), limit }
    }

    /// The bytes that wait now.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether so many bytes more may wait.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        self.used().saturating_add(bytes) <= self.limit
    }

    /// Whether at least half of the limit is free: what was held up for lack of room goes on then, and not sooner.
    pub(crate) fn is_relaxed(&self) -> bool {
        self.used() <= self.limit / 2
    }

    /// Counts bytes that wait from now, whatever the limit says. Ask [`Budget::has_room_for`] first where there is a choice.
    pub(crate) fn take(&self, bytes: usize) {
        // No other thread changes it meanwhile.
        self.used.store(self.used().saturating_add(bytes), Ordering::Relaxed);
    }

    /// Counts bytes that wait no longer.
    pub(crate) fn give_back(&self, bytes: usize) {
        let used = self.used();
        debug_assert!(used >= bytes, "{bytes} bytes are given back of {used} that were taken");
        self.used.store(used.saturating_sub(bytes), Ordering::Relaxed);
    }
}
