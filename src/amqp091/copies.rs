//! RabbitMQ's sender-selected distribution: the headers CC and BCC of a publish have further routing keys. Consumers do not see BCC.

use std::sync::Arc;

use super::content::{Content, Properties};
use super::table::{Elements, Field, Table};
use super::violation::{ReplyCode, Violation};
use crate::event::{Destination, RoutingKeys};
use crate::message::{Payload, Routing};

const CC: &str = "CC";
const BCC: &str = "BCC";

/// Routing keys that a message may have in both headers together (our choice).
const MAX_KEYS: usize = 1024;

/// The further routing keys of a publish.
#[derive(Debug)]
pub(super) struct Copies {
    cc: Vec<Arc<str>>,
    /// None: there is no header BCC.
    bcc: Option<Vec<Arc<str>>>,
}

impl Copies {
    /// Whether a publish with these properties has further routing keys, valid or not.
    pub(super) fn are_in(properties: &Properties<'_>) -> bool {
        let is_one = |(name, _): (&[u8], Field<'_>)| name == CC.as_bytes() || name == BCC.as_bytes();
        properties.headers.is_some_and(|headers| headers.entries().any(is_one))
    }

    /// Reads the further routing keys. None if the publish has neither header. Fails if one of them is no array.
    pub(super) fn of(properties: &Properties<'_>) -> Result<Option<Copies>, Violation> {
        let Some(headers) = properties.headers.filter(|_| Copies::are_in(properties)) else { return Ok(None) };
        let (cc, bcc) = (keys(headers, CC)?, keys(headers, BCC)?);
        let copies = Copies { cc: cc.unwrap_or_default(), bcc };
        if copies.cc.len() + copies.bcc.as_ref().map_or(0, Vec::len) > MAX_KEYS {
            let text = format!("invalid message: more than {MAX_KEYS} routing keys in CC and BCC");
            return Err(Violation::new(ReplyCode::PreconditionFailed, text).breach());
        }
        Ok(Some(copies))
    }

    /// The destination of a publish that has these routing keys beside its own.
    pub(super) fn destination(&self, content: &Content<'_>) -> Option<Destination> {
        let further = self.cc.iter().chain(self.bcc.iter().flatten()).cloned();
        let (exchange, key) = address(content)?;
        let keys = std::iter::once(key).chain(further).collect();
        Some(Destination::Keys(Arc::new(RoutingKeys { exchange, keys })))
    }

    /// The publish without its header BCC, and its routing with what that said. None if there is no such header.
    pub(super) fn disclosed(
        &self,
        content: &Content<'_>,
        properties: &Properties<'_>,
    ) -> Option<(Payload, Arc<Routing>)> {
        let hidden = self.bcc.as_deref()?.into();
        let headers = properties.headers.unwrap_or_default().only(|name| name != BCC.as_bytes());
        let properties = Properties { headers: Some(headers.as_table()), ..*properties };
        let (exchange, key) = address(content)?;
        Some((content.with_properties(&properties), Arc::new(Routing { exchange, key, hidden })))
    }
}

/// The exchange and the routing key of a publish. None if one of them is not UTF-8.
fn address(content: &Content<'_>) -> Option<(Arc<str>, Arc<str>)> {
    let text = |bytes| std::str::from_utf8(bytes).ok().map(Arc::from);
    Some((text(content.exchange())?, text(content.routing_key())?))
}

/// The routing keys in a header, which are its long strings; other elements count for nothing, as in RabbitMQ.
fn keys(headers: Table<'_>, name: &str) -> Result<Option<Vec<Arc<str>>>, Violation> {
    let text = |element| match element {
        Field::LongString(bytes) => std::str::from_utf8(bytes).ok().map(Arc::from),
        _ => None,
    };
    match headers.get(name) {
        None => Ok(None),
        Some(Field::Array(elements)) => Ok(Some(Elements::iter(elements).filter_map(text).collect())),
        Some(other) => {
            let wrong = other.type_name();
            let text = format!("invalid message: {{unacceptable_type_in_header,\"{name}\",{wrong}}}");
            Err(Violation::new(ReplyCode::PreconditionFailed, text).breach())
        }
    }
}
