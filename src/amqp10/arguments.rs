//! The arguments that a 1.0 receiver gives its node, by their names in 0-9-1: link properties that RabbitMQ knows.

use super::content::read_map;
use super::performative::Attach;
use super::types::{RawMap, Reader};
use super::value::Budget;
use crate::arguments::Arguments;

/// Link properties with an effect, and the arguments that they are.
const LINK_PROPERTIES: &[(&str, &str)] = &[("rabbitmq:priority", "x-priority")];

/// Returns the arguments of the receiver that an attach asks for.
pub(super) fn of_attach(attach: &Attach) -> Arguments {
    let Some(RawMap(bytes)) = &attach.properties else { return Arguments::default() };
    let properties = read_map(&mut Reader::new(bytes), &mut Budget::default()).unwrap_or_default();
    Arguments::new(properties.into_iter().filter_map(|(key, value)| {
        let name = key.as_str()?;
        let (_, argument) = LINK_PROPERTIES.iter().find(|(known, _)| *known == name)?;
        Some(((*argument).to_owned(), value))
    }))
}
