//! The arguments of a consumer: checked when it attaches, in RabbitMQ's words.

use std::time::{Duration, Instant};

use super::argument_reader::{ArgumentReader, interval};
use super::exchange::Named;
use crate::arguments::Arguments;
use crate::event::Fault;
use crate::value::Value;

/// How a node treats a consumer. The default is a consumer without arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ConsumerSettings {
    /// `x-priority`: consumers of a lower priority are given messages only while those of a higher one can take none.
    pub(super) priority: i64,
    /// `x-stream-offset`.
    pub(super) offset: StreamOffset,
}

/// Where a consumer of a stream begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum StreamOffset {
    First,
    Last,
    /// Behind all messages that are there.
    #[default]
    Next,
    At(u64),
    /// The first message that came then or later.
    Since(Instant),
}

impl ConsumerSettings {
    /// Reads the arguments of a consumer of this queue. `now` is a moment and its date, in milliseconds since the Unix epoch.
    pub(super) fn of(queue: Named<'_>, arguments: &Arguments, now: (Instant, i64)) -> Result<ConsumerSettings, Fault> {
        let read = ArgumentReader { queue, arguments };
        // A cluster alone has what it asks for.
        read.flag("x-cancel-on-ha-failover")?;
        let offset = match arguments.get("x-stream-offset") {
            Some(value) => StreamOffset::of(value, now)
                .ok_or_else(|| read.refused("x-stream-offset", &format!("{{invalid_stream_offset_arg,{value}}}")))?,
            None => StreamOffset::default(),
        };
        Ok(ConsumerSettings { priority: read.integer("x-priority")?.unwrap_or(0), offset })
    }
}

impl StreamOffset {
    fn of(value: &Value, (now, date): (Instant, i64)) -> Option<StreamOffset> {
        // Before the broker's time nothing came.
        let ago = |age: Duration| now.checked_sub(age).map_or(StreamOffset::First, StreamOffset::Since);
        match value {
            Value::Timestamp(millis) => match u64::try_from(date.saturating_sub(*millis)) {
                Ok(age) => Some(ago(Duration::from_millis(age))),
                Err(_) => Some(StreamOffset::Next),
            },
            Value::String(text) | Value::Symbol(text) => match text.as_str() {
                "first" => Some(StreamOffset::First),
                "last" => Some(StreamOffset::Last),
                "next" => Some(StreamOffset::Next),
                text => interval(text).map(ago),
            },
            number => match number.as_u64() {
                Some(offset) => Some(StreamOffset::At(offset)),
                None => number.as_i64().map(|_| StreamOffset::First),
            },
        }
    }
}
