//! What has been counted so far: plain numbers that cross from the loop's thread to the test's.

/// What a broker has done with messages, and who is attached now.
///
/// A snapshot: it does not change after it was taken. A message is counted before its sender or its receiver can know of it,
/// so a test that has its answer finds it here. What comes later, a receiver's answer for example, is waited for with
/// [`Handle::wait_for`](crate::Handle::wait_for).
///
/// `direct`, `topic`, `fanout`, `fanout_sent` and `queued` have the names that the test broker of oslo.messaging's AMQP 1.0 driver
/// gave them: programs that read its counters read these. They count what happened at a kind of address, and are not the types
/// of exchanges of 0-9-1: what an exchange of the type `topic` or `fanout` routes is counted by the queues that it reaches.
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
    /// Messages forwarded at anycast addresses, and deliveries forwarded from queues.
    pub topic: u64,
    /// Messages forwarded at multicast addresses, however many receivers there were.
    pub fanout: u64,
    /// Copies of those.
    pub fanout_sent: u64,
    /// Messages stored in queues.
    pub queued: u64,
    /// Messages that nobody got: no receiver, no destination, or no room.
    pub dropped: u64,
    /// Messages that a hook decided about, so that they went nowhere: see [`Verdict`](crate::Verdict).
    pub decided: u64,
    /// Deliveries that receivers accepted.
    pub accepted: u64,
    /// Deliveries that receivers released.
    pub released: u64,
    /// Deliveries that receivers modified.
    pub modified: u64,
    /// Deliveries that receivers rejected.
    pub rejected: u64,
    /// Connections that are open now, from accept on.
    pub connections: u64,
    /// Links that clients send on now.
    pub sender_links: u64,
    /// Links that clients receive on now.
    pub receiver_links: u64,
}

impl Counts {
    /// Every counter with its name, in the order of the fields.
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
