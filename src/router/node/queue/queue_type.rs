//! The types of queue (`x-queue-type`), and what each refuses when it is declared, in RabbitMQ's words. Here a queue keeps its
//! messages in the same way whatever its type; a type decides which arguments it has, and what happens to a message that comes back.

use crate::event::{Fault, Reason};
use crate::router::argument_reader::ArgumentReader;
use crate::router::exchange::Named;
use crate::router::node::Declared;

/// The type of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::router) enum QueueType {
    #[default]
    Classic,
    Quorum,
    Stream,
}

/// Arguments that RabbitMQ knows and that a classic queue does not have.
const NOT_CLASSIC: &[&str] = &[
    "x-dead-letter-strategy",
    "x-delivery-limit",
    "x-initial-cluster-size",
    "x-max-age",
    "x-max-in-memory-bytes",
    "x-max-in-memory-length",
    "x-queue-leader-locator",
    "x-quorum-initial-group-size",
    "x-stream-max-segment-size-bytes",
];

/// Arguments that RabbitMQ compares when a queue is declared again, in its order, if the queue's type has them.
const COMPARED: &[&str] = &[
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-queue-type",
    "x-quorum-initial-group-size",
    "x-initial-cluster-size",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-queue-leader-locator",
    "x-queue-master-locator",
    "x-delivery-limit",
];

/// Arguments that a quorum queue does not have.
const NOT_QUORUM: &[&str] = &[
    "x-initial-cluster-size",
    "x-max-age",
    "x-max-priority",
    "x-queue-master-locator",
    "x-queue-mode",
    "x-queue-version",
    "x-stream-max-segment-size-bytes",
];

/// Arguments that a stream does not have.
const NOT_STREAM: &[&str] = &[
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-delivery-limit",
    "x-expires",
    "x-max-in-memory-bytes",
    "x-max-in-memory-length",
    "x-max-length",
    "x-max-priority",
    "x-message-ttl",
    "x-overflow",
    "x-queue-master-locator",
    "x-queue-mode",
    "x-queue-version",
    "x-quorum-initial-group-size",
    "x-single-active-consumer",
];

impl QueueType {
    /// Reads the type from the arguments of a declaration, and refuses what a queue of that type cannot be.
    pub(super) fn of(read: ArgumentReader<'_>, declared: &Declared) -> Result<QueueType, Fault> {
        let of_type = match read.text("x-queue-type")?.as_deref() {
            None | Some("classic") => QueueType::Classic,
            Some("quorum") => QueueType::Quorum,
            Some("stream") => QueueType::Stream,
            Some(other) => {
                return Err(read.refused("x-queue-type", &format!("\"unsupported queue type '{other}'\"")));
            }
        };
        of_type.check_properties(read.queue, declared)?;
        let mut given = read.arguments.iter().map(|(name, _)| name);
        if let Some(name) = given.find(|name| of_type.lacks(name)) {
            return Err(of_type.without(read.queue, name));
        }
        Ok(of_type)
    }

    fn check_properties(self, queue: Named<'_>, declared: &Declared) -> Result<(), Fault> {
        let property = match declared {
            _ if self == QueueType::Classic => return Ok(()),
            Declared { while_consumed: true, .. } => "auto-delete",
            Declared { owner: Some(_), .. } => "exclusive-owner",
            Declared { durable: false, .. } => "non-durable",
            _ => return Ok(()),
        };
        let text = format!("invalid property '{property}' for {queue}");
        Err(Fault::new(Reason::PreconditionFailed, text))
    }

    /// Lists the arguments in which a queue of this type and a later declaration may not differ.
    pub(in crate::router) fn compared(self, later: &Declared) -> Vec<&'static str> {
        let kind = later.arguments.get("x-queue-type");
        // The default type may be given or not.
        let is_classic = self == QueueType::Classic && kind.is_none_or(|kind| kind.as_str() == Some("classic"));
        let is_left_out = |name: &str| self.lacks(name) || (is_classic && name == "x-queue-type");
        COMPARED.iter().copied().filter(|name| !is_left_out(name)).collect()
    }

    /// Whether an argument of this name has no meaning for the type, and is refused.
    pub(in crate::router) fn lacks(self, argument: &str) -> bool {
        let refused = match self {
            QueueType::Classic => NOT_CLASSIC,
            QueueType::Quorum => NOT_QUORUM,
            QueueType::Stream => NOT_STREAM,
        };
        refused.contains(&argument)
    }

    /// Builds the fault for an argument that the type does not have.
    pub(super) fn without(self, queue: Named<'_>, argument: &str) -> Fault {
        let name = match self {
            QueueType::Classic => "rabbit_classic_queue",
            QueueType::Quorum => "rabbit_quorum_queue",
            QueueType::Stream => "rabbit_stream_queue",
        };
        let text = format!("invalid arg '{argument}' for {queue} of queue type {name}");
        Fault::new(Reason::PreconditionFailed, text)
    }
}

/// Refuses values that cannot be of arguments whose effect no client can see: where and how messages are kept.
pub(super) fn check_values_without_effect(read: ArgumentReader<'_>) -> Result<(), Fault> {
    let one_of = |name: &str, known: &[&str], why: &dyn Fn(&str) -> String| match read.text(name)? {
        Some(text) if !known.contains(&text.as_ref()) => Err(read.refused(name, &why(&text))),
        _ => Ok(()),
    };
    let locators = ["client-local", "balanced", "least-leaders", "random"];
    one_of("x-queue-mode", &["default", "lazy"], &|mode| format!("\"unsupported queue mode '{mode}'\""))?;
    one_of("x-queue-leader-locator", &locators, &|_| "invalid_queue_locator_arg".to_owned())?;
    one_of("x-dead-letter-strategy", &["at-most-once", "at-least-once"], &|_| "invalid_dlx_strategy".to_owned())?;
    if let Some(version) = read.whole("x-queue-version")?.filter(|version| ![1, 2].contains(version)) {
        return Err(read.refused("x-queue-version", &format!("\"unsupported queue version '{version}'\"")));
    }
    read.whole("x-stream-max-segment-size-bytes")?;
    read.whole("x-max-in-memory-length")?;
    read.whole("x-max-in-memory-bytes")?;
    read.positive("x-quorum-initial-group-size")?;
    read.positive("x-initial-cluster-size")?;
    Ok(())
}
