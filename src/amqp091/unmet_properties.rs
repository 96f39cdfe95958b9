//! Properties of a publish that ask for more than to be passed on, and have no effect here. Each is noted once a channel, so that
//! the messages behind the first pay nothing for it.

use std::sync::Arc;

use super::content::{Content, Properties};
use super::context::Context;
use super::table::Table;
use super::violation::Violation;
use crate::unmet::{Place, Unmet};

/// RabbitMQ's sender-selected distribution: headers with more routing keys.
const COPIES: [&str; 2] = ["CC", "BCC"];

/// Which properties have been noted on a channel.
#[derive(Debug, Default)]
pub(super) struct NotedProperties {
    copies: bool,
}

impl NotedProperties {
    /// Whether properties ask for something that has not been noted on the channel.
    pub(super) fn has_news(&self, properties: &Properties<'_>) -> bool {
        !self.copies && copies(properties).is_some()
    }

    /// Notes what the properties ask for and does not happen. Fails in strict mode.
    pub(super) fn note(
        &mut self,
        content: &Content<'_>,
        properties: &Properties<'_>,
        channel: u16,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        if !self.has_news(properties) {
            return Ok(());
        }
        let address = match content.exchange() {
            b"" => content.routing_key(),
            exchange => exchange,
        };
        let address: Arc<str> = String::from_utf8_lossy(address).into();
        let place = Place { method: "basic.publish", channel: Some(channel), link: None, address: Some(address) };
        if let Some(name) = copies(properties).filter(|_| !self.copies) {
            self.copies = true;
            let why = "a message is routed by its routing key alone";
            context.note_unmet([Unmet::new(&place, name, "", why)])?;
        }
        Ok(())
    }
}

fn copies(properties: &Properties<'_>) -> Option<&'static str> {
    let headers = properties.headers.filter(|headers| *headers != Table::default())?;
    COPIES.into_iter().find(|name| headers.get(name).is_some())
}
