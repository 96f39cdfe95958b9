//! The exchange that a producer is attached to.

use std::sync::Arc;

use super::address::ExchangePath;
use crate::event::Fault;
use crate::message::Routing;

/// An exchange as the target of a link, with the routing key if the address has one.
#[derive(Clone, Debug)]
pub(in crate::router) struct Terminus {
    /// The address as the peer wrote it.
    pub(in crate::router) address: Arc<str>,
    pub(in crate::router) exchange: Arc<str>,
    /// Exchange and routing key of every message. None: each message has its own routing key.
    pub(in crate::router) routing: Option<Arc<Routing>>,
}

impl Terminus {
    /// Parses the address of an exchange, which need not exist.
    pub(in crate::router) fn parse(address: &Arc<str>) -> Result<Terminus, Fault> {
        let ExchangePath { exchange, key } = ExchangePath::parse(address)?;
        let exchange: Arc<str> = exchange.into();
        let routing =
            key.map(|key| Arc::new(Routing { exchange: exchange.clone(), key: key.into(), hidden: Box::default() }));
        Ok(Terminus { address: address.clone(), exchange, routing })
    }
}
