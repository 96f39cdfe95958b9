//! Queues, exchanges and bindings as a test is shown them, on request of the event loop between two events.

use super::Router;
use super::addresses::Entry;
use super::exchange::Target;
use crate::event::ConnectionId;
use crate::topology::{BindingInfo, BoundTo, ExchangeInfo, QueueInfo};

impl Router {
    /// Lists all queues, by name.
    pub(crate) fn queues(&self) -> Vec<QueueInfo> {
        let present = self.addresses.iter().map(|(_, entry)| entry).filter(|entry| !entry.ended);
        let mut infos: Vec<QueueInfo> = present.filter_map(|entry| self.queue_info(entry)).collect();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        infos
    }

    fn queue_info(&self, entry: &Entry) -> Option<QueueInfo> {
        let queue = entry.node.queue()?;
        let declared = queue.declared.as_ref();
        let arguments = declared.map(|declared| declared.arguments.to_vec()).unwrap_or_default();
        let kind = arguments.iter().find(|(name, _)| name == "x-queue-type").and_then(|(_, value)| value.as_str());
        let held = |key| self.links.find_consumer(key).map_or(0, |consumer| consumer.outstanding.len());
        Some(QueueInfo {
            name: entry.address.as_ref().to_owned(),
            kind: kind.unwrap_or("classic").to_owned(),
            declared: declared.is_some(),
            durable: declared.is_some_and(|declared| declared.durable),
            auto_delete: declared.is_some_and(|declared| declared.while_consumed),
            owner: declared.and_then(|declared| declared.owner).map(ConnectionId::of),
            arguments,
            messages: entry.node.depth(),
            unacknowledged: queue.keys().into_iter().map(held).sum(),
            consumers: entry.node.consumers(),
        })
    }

    /// Lists all exchanges but the default one, by name.
    pub(crate) fn exchanges(&self) -> Vec<ExchangeInfo> {
        let mut infos: Vec<ExchangeInfo> = self.exchanges.iter().map(|(name, exchange)| exchange.info(name)).collect();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        infos
    }

    /// Lists all bindings, by exchange, key and target. The default exchange has none.
    pub(crate) fn bindings(&self) -> Vec<BindingInfo> {
        let mut infos = Vec::new();
        for (name, exchange) in self.exchanges.iter() {
            for binding in exchange.bindings() {
                let to = match &binding.target {
                    Target::Queue(id) => match self.addresses.get(*id) {
                        Some(entry) => BoundTo::Queue(entry.address.as_ref().to_owned()),
                        // Its bindings go with the queue.
                        None => continue,
                    },
                    Target::Exchange(name) => BoundTo::Exchange(name.as_ref().to_owned()),
                };
                let (exchange, routing_key) = (name.to_owned(), binding.key.as_ref().to_owned());
                infos.push(BindingInfo { exchange, routing_key, to, arguments: binding.arguments.to_vec() });
            }
        }
        infos.sort_by(|a, b| (&a.exchange, &a.routing_key, &a.to).cmp(&(&b.exchange, &b.routing_key, &b.to)));
        infos
    }
}
