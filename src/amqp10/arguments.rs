//! The arguments that a 1.0 receiver gives its node, by their names in 0-9-1: a link property and a filter that RabbitMQ knows.

use super::content::read_map;
use super::performative::Attach;
use super::terminus::AnySource;
use super::types::{RawMap, Reader};
use super::value::Budget;
use crate::arguments::Arguments;
use crate::value::Value;

/// The link property with the priority of a receiver.
const PRIORITY: &str = "rabbitmq:priority";

/// The filter that says where a receiver of a stream begins.
pub(super) const STREAM_OFFSET: &str = "rabbitmq:stream-offset-spec";

/// Returns the arguments of the receiver that an attach asks for.
pub(super) fn of_attach(attach: &Attach) -> Arguments {
    let filter = match &attach.source {
        Some(AnySource::Source(source)) => source.filter.as_ref(),
        _ => None,
    };
    let priority = attach.properties.as_ref().and_then(|properties| find(properties, PRIORITY));
    // A filter is a described value (3.5.8); some clients leave the descriptor out.
    let offset = filter.and_then(|filter| find(filter, STREAM_OFFSET)).map(|value| match value {
        Value::Described(described) => described.1,
        plain => plain,
    });
    let named = |name: &str, value: Option<Value>| value.map(|value| (name.to_owned(), value));
    Arguments::new([named("x-priority", priority), named("x-stream-offset", offset)].into_iter().flatten())
}

fn find(RawMap(bytes): &RawMap, name: &str) -> Option<Value> {
    let entries = read_map(&mut Reader::new(bytes), &mut Budget::default()).unwrap_or_default();
    entries.into_iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
}
