//! Where a message was dead-lettered: which queue it left, why and how often. How each protocol says so in a message is known
//! to its engine.

use std::sync::Arc;

/// Entries that a message keeps (our choice). A client may have written any number of them itself.
const MAX_ENTRIES: usize = 256;

/// Why a message left its queue without having been consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeathReason {
    Rejected,
    Expired,
    /// The queue was longer than it may be.
    MaxLen,
    /// The message had been delivered as often as it may be.
    DeliveryLimit,
}

impl DeathReason {
    const ALL: [(DeathReason, &str); 4] = [
        (DeathReason::Rejected, "rejected"),
        (DeathReason::Expired, "expired"),
        (DeathReason::MaxLen, "maxlen"),
        (DeathReason::DeliveryLimit, "delivery_limit"),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(reason, _)| *reason == self).map_or("", |(_, name)| name)
    }

    pub(crate) fn named(name: &str) -> Option<DeathReason> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(reason, _)| reason)
    }
}

/// The deaths of a message for one reason in one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) queue: Arc<str>,
    /// None: a reason that this broker does not give, written by a client or another broker.
    pub(crate) reason: Option<DeathReason>,
    pub(crate) count: u64,
    /// The times of the first and of the last of them, in milliseconds since the Unix epoch.
    pub(crate) time: i64,
    pub(crate) last_time: i64,
    /// The exchange and the routing keys by which the message had come.
    pub(crate) exchange: Arc<str>,
    pub(crate) routing_keys: Vec<Arc<str>>,
    /// The expiration in milliseconds that the message itself had, which dead-lettering takes off.
    pub(crate) expiration: Option<u64>,
}

/// The queue, the reason and the exchange of one death.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeathMark {
    pub(crate) queue: Arc<str>,
    pub(crate) reason: Arc<str>,
    pub(crate) exchange: Arc<str>,
}

/// All deaths of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deaths {
    /// The latest first. Each queue and reason has one entry.
    pub(crate) entries: Vec<Death>,
    pub(crate) first: Option<DeathMark>,
    pub(crate) last: Option<DeathMark>,
}

impl Deaths {
    /// Adds one death. Of those before it with the same queue and reason, only the count grows.
    pub(crate) fn add(&mut self, death: Death) {
        let reason = death.reason.map_or("", DeathReason::name);
        let mark = DeathMark { queue: death.queue.clone(), reason: reason.into(), exchange: death.exchange.clone() };
        self.first.get_or_insert_with(|| mark.clone());
        self.last = Some(mark);
        let same = |known: &Death| known.queue == death.queue && known.reason == death.reason;
        let death = match self.entries.iter().position(same) {
            Some(place) => {
                let known = self.entries.remove(place);
                Death { count: known.count.saturating_add(1), last_time: death.last_time, ..known }
            }
            None => death,
        };
        self.entries.insert(0, death);
        self.entries.truncate(MAX_ENTRIES);
    }

    /// Whether a message that left its queue by itself (not rejected) has been in `queue` before and was rejected nowhere
    /// since: it would go round for ever.
    pub(crate) fn is_cycle_to(&self, queue: &str) -> bool {
        let Some(last) = self.entries.iter().position(|death| death.queue.as_ref() == queue) else { return false };
        self.entries.iter().take(last + 1).all(|death| death.reason != Some(DeathReason::Rejected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn death(queue: &str, reason: DeathReason) -> Death {
        Death {
            queue: queue.into(),
            reason: Some(reason),
            count: 1,
            time: 0,
            last_time: 0,
            exchange: "e".into(),
            routing_keys: vec!["k".into()],
            expiration: None,
        }
    }

    #[test]
    fn one_entry_for_each_queue_and_reason_the_latest_first() {
        let mut deaths = Deaths::default();
        for (queue, reason) in [
            ("a", DeathReason::Expired),
            ("b", DeathReason::Rejected),
            ("a", DeathReason::Expired),
            ("a", DeathReason::MaxLen),
        ] {
            deaths.add(death(queue, reason));
        }
        let entries: Vec<_> = deaths.entries.iter().map(|it| (it.queue.as_ref(), it.reason, it.count)).collect();
        let expected = [
            ("a", Some(DeathReason::MaxLen), 1),
            ("a", Some(DeathReason::Expired), 2),
            ("b", Some(DeathReason::Rejected), 1),
        ];
        assert_eq!(entries, expected);
        assert_eq!(deaths.first.map(|it| it.reason), Some("expired".into()));
        assert_eq!(deaths.last.map(|it| it.reason), Some("maxlen".into()));
    }

    #[test]
    fn a_cycle_has_no_reject_in_it() {
        let mut deaths = Deaths::default();
        assert!(!deaths.is_cycle_to("a"));
        deaths.add(death("a", DeathReason::Expired));
        assert!(deaths.is_cycle_to("a"));
        deaths.add(death("b", DeathReason::Rejected));
        assert!(!deaths.is_cycle_to("a"));
        assert!(!deaths.is_cycle_to("c"));
    }

    #[test]
    fn forged_entries_are_bounded() {
        let mut deaths = Deaths::default();
        for number in 0..1000 {
            deaths.add(death(&number.to_string(), DeathReason::Expired));
        }
        assert_eq!(deaths.entries.len(), MAX_ENTRIES);
    }
}
