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

    /// Whether more waits than may.
    fn is_exceeded(&self) -> bool {
        self.used() > self.limit
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

/// What one connection holds of a [`Budget`] for messages of which not all has arrived. Gives it back when it is dropped.
#[derive(Debug)]
pub(crate) struct Arriving {
    budget: Budget,
    bytes: usize,
    /// Bytes that this connection may hold, whatever room the broker has.
    limit: usize,
    /// Bytes that it may hold although the broker has no room: a message that is no larger is refused when it is whole, as
    /// one is that came whole.
    spare: usize,
}

/// Why a connection may not hold what it was sent of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// It holds too much itself.
    Connection,
    /// The broker as a whole has no room.
    Broker,
}

impl Arriving {
    /// Nothing yet, for a peer that may send messages of `max_message_size` in frames of `frame_size`.
    pub(crate) fn new(budget: Budget, max_message_size: u64, frame_size: u32) -> Arriving {
        let limit = usize::try_from(max_message_size).unwrap_or(usize::MAX).saturating_mul(2);
        Arriving { budget, bytes: 0, limit, spare: frame_size as usize }
    }

    /// Counts bytes that have arrived, also where there is no room: the caller lets go of the message then, and calls
    /// [`Arriving::give_back`] for all of it.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Full> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.budget.take(bytes);
        if self.bytes > self.limit {
            return Err(Full::Connection);
        }
        if self.bytes > self.spare && self.budget.is_exceeded() {
            return Err(Full::Broker);
        }
        Ok(())
    }

    /// Counts bytes no longer: their message is whole, or has been let go of.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        debug_assert!(self.bytes >= bytes, "{bytes} bytes are given back of {} that have arrived", self.bytes);
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.give_back(bytes);
    }

    /// The bytes that it holds.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives everything back: all messages have been let go of.
    pub(crate) fn clear(&mut self) {
        self.give_back(self.bytes);
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.clear();
    }
}
