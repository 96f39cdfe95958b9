//! The exchange that a link of a peer sends to.

use std::sync::Arc;

use super::address::ExchangePath;
use crate::event::Fault;
use crate::message::Routing;

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::router) struct Terminus {
    /// The address, as the peer says it.
    pub(in crate::router) address: Arc<str>,
    pub(in crate::router) exchange: Arc<str>,
    /// None: each message says its routing key.
    pub(in crate::router) routing: Option<Arc<Routing>>,
}

impl Terminus {
    /// The terminus of this address, whether or not its exchange is there.
    pub(in crate::router) fn parse(address: &Arc<str>) -> Result<Terminus, Fault> {
        let ExchangePath { exchange, key } = ExchangePath::parse(address)?;
        let exchange: Arc<str> = exchange.into();
        let routing = key.map(|key| Arc::new(Routing { exchange: exchange.clone(), key: key.into() }));
        Ok(Terminus { address: address.clone(), exchange, routing })
    }
}
