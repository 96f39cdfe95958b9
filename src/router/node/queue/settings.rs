//! The arguments of a queue that change what it does: checked when it is declared, in RabbitMQ's words.

use std::time::Duration;

use super::queue_type::{QueueType, check_values_without_effect};
use crate::event::Fault;
use crate::router::argument_reader::{ArgumentReader, interval};
use crate::router::dead_letters::DeadLetterRoute;
use crate::router::exchange::Named;
use crate::router::node::Declared;

/// The treatment of one message more by a full queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::router) enum Overflow {
    /// Drops the first message.
    #[default]
    DropHead,
    /// Refuses the new message.
    RejectPublish,
    /// Refuses the new message and dead-letters it.
    RejectPublishDlx,
}

impl Overflow {
    /// Returns what `x-overflow` or a policy names so. None: there is no such behaviour.
    pub(in crate::router) fn named(name: &str) -> Option<Overflow> {
        match name {
            "drop-head" => Some(Overflow::DropHead),
            "reject-publish" => Some(Overflow::RejectPublish),
            "reject-publish-dlx" => Some(Overflow::RejectPublishDlx),
            _ => None,
        }
    }
}

/// How a queue treats its messages. The default is a queue without arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::router) struct Settings {
    /// `x-message-ttl`: the time after which every message expires.
    pub(in crate::router) message_ttl: Option<Duration>,
    /// `x-expires`: the time after which the queue itself goes, if nobody uses it.
    pub(in crate::router) expires: Option<Duration>,
    /// `x-dead-letter-exchange` and `x-dead-letter-routing-key`.
    pub(in crate::router) dead_letters: Option<DeadLetterRoute>,
    /// `x-max-length`: messages that may wait.
    pub(in crate::router) max_length: Option<u64>,
    /// `x-max-length-bytes`: bytes of bodies that may wait.
    pub(in crate::router) max_bytes: Option<u64>,
    /// `x-overflow`.
    pub(in crate::router) overflow: Overflow,
    /// `x-max-priority`: the highest priority; None is a queue without priorities.
    pub(in crate::router) max_priority: Option<u8>,
    pub(in crate::router) queue_type: QueueType,
    /// `x-max-age` of a stream.
    pub(in crate::router) max_age: Option<Duration>,
    /// `x-delivery-limit`: how often a message may come back and be delivered again.
    pub(in crate::router) delivery_limit: Option<u64>,
    /// `x-single-active-consumer`: whether one consumer at a time is given messages.
    pub(in crate::router) single_active: bool,
}

impl Settings {
    /// Reads the arguments of a declaration, and refuses what no queue of its type is. They are checked in RabbitMQ's order: the
    /// first that is wrong is named.
    pub(in crate::router) fn of(queue: Named<'_>, declared: &Declared) -> Result<Settings, Fault> {
        let read = ArgumentReader { queue, arguments: &declared.arguments };
        let exchange = read.exchange("x-dead-letter-exchange")?;
        let queue_type = QueueType::of(read, declared)?;
        let expires = read.millis("x-expires")?;
        if expires == Some(Duration::ZERO) {
            return Err(read.refused("x-expires", "{value_zero,0}"));
        }
        let message_ttl = read.millis("x-message-ttl")?;
        let key = read.text("x-dead-letter-routing-key")?;
        if exchange.is_none() && key.is_some() {
            return Err(read.refused("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined"));
        }
        let max_length = read.whole("x-max-length")?;
        let max_bytes = read.whole("x-max-length-bytes")?;
        let max_priority = match read.whole("x-max-priority")? {
            Some(value) => Some(
                u8::try_from(value)
                    .map_err(|_| read.refused("x-max-priority", &format!("{{max_value_exceeded,{value}}}")))?,
            ),
            None => None,
        };
        let overflow = match read.text("x-overflow")?.as_deref() {
            None => Overflow::default(),
            Some(name) => Overflow::named(name).ok_or_else(|| read.refused("x-overflow", "invalid_overflow"))?,
        };
        check_values_without_effect(read)?;
        let max_age = match read.text("x-max-age")? {
            Some(text) => Some(interval(&text).ok_or_else(|| read.refused("x-max-age", "invalid_max_age"))?),
            None => None,
        };
        Ok(Settings {
            message_ttl,
            expires,
            dead_letters: exchange.map(|exchange| DeadLetterRoute { exchange, key }),
            max_length,
            max_bytes,
            overflow,
            max_priority,
            queue_type,
            max_age,
            // RabbitMQ takes a negative limit, and none comes back.
            delivery_limit: read.integer("x-delivery-limit")?.map(|limit| u64::try_from(limit).unwrap_or(0)),
            single_active: read.flag("x-single-active-consumer")?.unwrap_or(false),
        })
    }

    /// Whether so many messages, or so many bytes of bodies, are more than may wait.
    pub(super) fn is_over(&self, messages: usize, bytes: u64) -> bool {
        self.max_length.is_some_and(|limit| messages as u64 > limit)
            || self.max_bytes.is_some_and(|limit| bytes > limit)
    }

    /// Whether messages are taken as they come: nothing limits their number, their order is that of their arrival, and nothing is
    /// added to them.
    pub(super) fn takes_runs(&self) -> bool {
        self.max_length.is_none()
            && self.max_bytes.is_none()
            && self.max_priority.is_none()
            && self.queue_type == QueueType::Classic
    }
}
