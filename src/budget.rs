//! The count of all bytes that wait in the broker, against its storage limit: messages at nodes, messages that receivers have
//! not settled, partly arrived messages, messages that a hook delays. Router and engines share the count and add to it before
//! they keep anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of waiting bytes of one broker, and their limit. Clones share the count.
///
/// Only the broker's thread uses it. The atomic allows the broker to move between threads, and is never contended.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl Budget {
    /// Creates a count of 0 bytes with a limit of `limit` bytes.
    pub(crate) fn new(limit: usize) -> Budget {
        Budget { used: Arc::default(), limit }
    }

    /// Returns the number of waiting bytes.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether `bytes` more may wait.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        self.used().saturating_add(bytes) <= self.limit
    }

    /// Whether more bytes wait than the limit allows.
    fn is_exceeded(&self) -> bool {
        self.used() > self.limit
    }

    /// Whether at least half of the limit is free. Producers that were refused for want of room are given credit again from then
    /// on.
    pub(crate) fn is_relaxed(&self) -> bool {
        self.used() <= self.limit / 2
    }

    /// Adds bytes, even beyond the limit. Call [`Budget::has_room_for`] first where there is a choice.
    pub(crate) fn take(&self, bytes: usize) {
        // No other thread changes it meanwhile.
        self.used.store(self.used().saturating_add(bytes), Ordering::Relaxed);
    }

    /// Subtracts bytes that wait no longer.
    pub(crate) fn give_back(&self, bytes: usize) {
        let used = self.used();
        debug_assert!(used >= bytes, "{bytes} bytes are given back of {used} that were taken");
        self.used.store(used.saturating_sub(bytes), Ordering::Relaxed);
    }
}

/// One connection's share of a [`Budget`] for partly arrived messages, given back when dropped.
#[derive(Debug)]
pub(crate) struct Arriving {
    budget: Budget,
    bytes: usize,
    /// Maximum bytes for this connection, even if the broker has room.
    limit: usize,
    /// Bytes that are kept even if the broker has no room: a message no larger than this is refused when it is complete, as one
    /// that arrives in one frame is.
    spare: usize,
}

/// The limit that a partly arrived message exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// That of the connection.
    Connection,
    /// That of the broker.
    Broker,
}

impl Arriving {
    /// Creates an empty share for a peer that may send messages of `max_message_size` in frames of `frame_size` bytes.
    pub(crate) fn new(budget: Budget, max_message_size: u64, frame_size: u32) -> Arriving {
        let limit = usize::try_from(max_message_size).unwrap_or(usize::MAX).saturating_mul(2);
        Arriving { budget, bytes: 0, limit, spare: frame_size as usize }
    }

    /// Adds bytes that have arrived. If this fails they are counted all the same: the caller drops the message and calls
    /// [`Arriving::give_back`] for all its bytes.
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

    /// Subtracts the bytes of a message that is complete or was dropped.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        debug_assert!(self.bytes >= bytes, "{bytes} bytes are given back of {} that have arrived", self.bytes);
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.give_back(bytes);
    }

    /// Returns the bytes that have been added.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Creates an empty share of the same budget, for messages that have arrived and are held back.
    pub(crate) fn holding(&self) -> Held {
        Held { budget: self.budget.clone(), bytes: 0 }
    }

    /// Subtracts everything, after all partly arrived messages were dropped.
    pub(crate) fn clear(&mut self) {
        self.give_back(self.bytes);
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The share of a [`Budget`] that messages take which a transaction holds back, given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Budget,
    bytes: usize,
}

impl Held {
    /// Adds bytes and returns true. Returns false if the broker has no room for them.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let has_room = self.budget.has_room_for(bytes);
        if has_room {
            self.bytes += bytes;
            self.budget.take(bytes);
        }
        has_room
    }

    /// Subtracts the bytes of a message that is held no longer.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        debug_assert!(self.bytes >= bytes, "{bytes} bytes are given back of {} that are held", self.bytes);
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.give_back(bytes);
    }

    /// Returns the bytes that have been added.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Subtracts everything, after all messages were dropped.
    pub(crate) fn clear(&mut self) {
        self.give_back(self.bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.clear();
    }
}
