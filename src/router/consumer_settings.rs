//! The arguments of a consumer: checked when it attaches, in RabbitMQ's words.

use super::argument_reader::ArgumentReader;
use super::exchange::Named;
use crate::arguments::Arguments;
use crate::event::Fault;

/// How a node treats a consumer. The default is a consumer without arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ConsumerSettings {
    /// `x-priority`: consumers of a lower priority are given messages only while those of a higher one can take none.
    pub(super) priority: i64,
}

impl ConsumerSettings {
    /// Reads the arguments of a consumer of this queue.
    pub(super) fn of(queue: Named<'_>, arguments: &Arguments) -> Result<ConsumerSettings, Fault> {
        let read = ArgumentReader { queue, arguments };
        // A cluster alone has what it asks for.
        read.flag("x-cancel-on-ha-failover")?;
        Ok(ConsumerSettings { priority: read.integer("x-priority")?.unwrap_or(0) })
    }
}
