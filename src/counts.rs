//! The counters of a broker, as plain numbers that cross from the event loop's thread to the test's.

/// Counters of messages since the broker started, and the number of connections and links now.
///
/// A snapshot, which does not change. A message is counted before its sender or receiver can know of it, so a client that has
/// its reply finds it counted. For what happens later, such as a receiver's outcome, use
/// [`Handle::wait_for`](crate::Handle::wait_for).
///
/// `direct`, `topic`, `fanout`, `fanout_sent` and `queued` have the names of the counters of the test broker in oslo.messaging's
/// AMQP 1.0 driver, so that programs which read those can read these. They count by the distribution of an address and not by
/// the type of a 0-9-1 exchange: a message that an exchange routes is counted by the queues that it reaches.
///
/// | counter | one for each |
/// |---|---|
/// | `direct` | message that a direct address forwarded |
/// | `topic` | message that an anycast address forwarded; delivery that a queue handed out, a redelivery included |
/// | `fanout` | message that a multicast address forwarded, whatever the number of its receivers |
/// | `fanout_sent` | copy that a multicast address forwarded |
/// | `queued` | message that a queue stored |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Messages forwarded at direct addresses.
    pub direct: u64,
    /// Messages forwarded at anycast addresses, and deliveries from queues.
    pub topic: u64,
    /// Messages forwarded at multicast addresses, each once.
    pub fanout: u64,
    /// Copies forwarded at multicast addresses.
    pub fanout_sent: u64,
    /// Messages stored in queues.
    pub queued: u64,
    /// Messages dropped: no receiver, no destination, or no room.
    pub dropped: u64,
    /// Messages that a hook ended without routing them: see [`Verdict`](crate::Verdict).
    pub decided: u64,
    /// Deliveries that receivers accepted.
    pub accepted: u64,
    /// Deliveries that receivers released.
    pub released: u64,
    /// Deliveries that receivers modified.
    pub modified: u64,
    /// Deliveries that receivers rejected.
    pub rejected: u64,
    /// Open connections, counted from accept on.
    pub connections: u64,
    /// Attached links on which clients send.
    pub sender_links: u64,
    /// Attached links on which clients receive.
    pub receiver_links: u64,
}

impl Counts {
    /// Iterates over all counters with their names, in the order of the fields.
    ///
    /// ```
    /// let counts = fakebroker::Counts::default();
    /// assert!(counts.iter().any(|(name, count)| name == "dropped" && count == 0));
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        [
            ("direct", self.direct),
            ("topic", self.topic),
            ("fanout", self.fanout),
            ("fanout_sent", self.fanout_sent),
            ("queued", self.queued),
            ("dropped", self.dropped),
            ("decided", self.decided),
            ("accepted", self.accepted),
            ("released", self.released),
            ("modified", self.modified),
            ("rejected", self.rejected),
            ("connections", self.connections),
            ("sender_links", self.sender_links),
            ("receiver_links", self.receiver_links),
        ]
        .into_iter()
    }
}
