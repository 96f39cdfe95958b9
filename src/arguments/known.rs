//! The arguments of 0-9-1 that are known by name, and which of them have an effect here: one table. Whoever implements one changes its
//! line to [`Effect::Here`].

use crate::value::Value;

/// The kind of thing that an argument belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArgumentOf {
    Queue,
    Exchange,
    Consumer,
}

/// The effect of an argument in this broker.
#[derive(Clone, Copy, Debug)]
enum Effect {
    /// The effect that it has in RabbitMQ, as far as a client can see one.
    Here,
    /// The effect of these values is what happens; for others there is none, for this reason.
    Only(&'static [&'static str], &'static str),
    /// None, for this reason.
    None(&'static str),
}

use ArgumentOf::{Consumer, Exchange, Queue};

const KNOWN: &[(ArgumentOf, &str, Effect)] = &[
    (Queue, "x-message-ttl", Effect::Here),
    (Queue, "x-expires", Effect::Here),
    (Queue, "x-max-length", Effect::Here),
    (Queue, "x-max-length-bytes", Effect::Here),
    (Queue, "x-overflow", Effect::Here),
    (Queue, "x-dead-letter-exchange", Effect::Here),
    (Queue, "x-dead-letter-routing-key", Effect::Here),
    (Queue, "x-dead-letter-strategy", Effect::Only(&["at-most-once"], "a dead letter that no queue takes is dropped")),
    (Queue, "x-delivery-limit", Effect::Here),
    (Queue, "x-max-priority", Effect::Here),
    (Queue, "x-single-active-consumer", Effect::Here),
    (Queue, "x-queue-type", Effect::Here),
    (Queue, "x-max-age", Effect::Here),
    (Queue, "x-stream-filter-size-bytes", Effect::None("streams are not filtered")),
    // Where messages are kept, and by which members of a cluster: no client can see it.
    (Queue, "x-queue-mode", Effect::Here),
    (Queue, "x-queue-version", Effect::Here),
    (Queue, "x-stream-max-segment-size-bytes", Effect::Here),
    (Queue, "x-queue-leader-locator", Effect::Here),
    (Queue, "x-queue-master-locator", Effect::Here),
    (Queue, "x-quorum-initial-group-size", Effect::Here),
    (Queue, "x-initial-cluster-size", Effect::Here),
    (Queue, "x-max-in-memory-length", Effect::Here),
    (Queue, "x-max-in-memory-bytes", Effect::Here),
    (Queue, "x-ha-policy", Effect::Here),
    (Exchange, "alternate-exchange", Effect::Here),
    // Of a consistent-hash exchange; to others they mean nothing, as in RabbitMQ.
    (Exchange, "hash-header", Effect::Here),
    (Exchange, "hash-property", Effect::Here),
    (Exchange, "x-delayed-type", Effect::Here),
    (Consumer, "x-priority", Effect::Here),
    (Consumer, "x-stream-offset", Effect::Here),
    (Consumer, "x-stream-filter", Effect::None("streams are not filtered")),
    (Consumer, "x-stream-match-unfiltered", Effect::None("streams are not filtered")),
    // Only a cluster does it.
    (Consumer, "x-cancel-on-ha-failover", Effect::Here),
];

/// Says why an argument has no effect here. None if it has the one that was asked for.
pub(crate) fn why_unmet(of: ArgumentOf, name: &str, value: &Value) -> Option<&'static str> {
    match KNOWN.iter().find(|(owner, known, _)| *owner == of && *known == name) {
        Some((_, _, Effect::Here)) => None,
        Some((_, _, Effect::Only(values, why))) => {
            (!value.as_str().is_some_and(|value| values.contains(&value))).then_some(*why)
        }
        Some((_, _, Effect::None(why))) => Some(*why),
        None => Some("no argument of this name is known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_argument_stands_once() {
        for (index, (of, name, _)) in KNOWN.iter().enumerate() {
            let before = KNOWN.iter().take(index);
            assert_eq!(before.filter(|(owner, known, _)| owner == of && known == name).count(), 0, "{of:?} {name}");
        }
    }

    #[test]
    fn what_has_no_effect_has_a_reason() {
        let rows = [
            (Queue, "x-queue-type", "classic", None),
            (Queue, "x-dead-letter-strategy", "at-most-once", None),
            (Queue, "x-dead-letter-strategy", "at-least-once", Some("a dead letter that no queue takes is dropped")),
            (Queue, "x-queue-mode", "lazy", None),
            (Exchange, "x-queue-mode", "lazy", Some("no argument of this name is known")),
            (Queue, "colour", "red", Some("no argument of this name is known")),
        ];
        for (of, name, value, why) in rows {
            assert_eq!(why_unmet(of, name, &value.into()), why, "{of:?} {name} {value}");
        }
    }
}
