//! Read access to the router's state for a test, on request of the event loop between two events. Engines do not call it.

use std::sync::Arc;

use super::Router;
use super::addresses::Entry;
use super::links::End;
use super::routing::address_of;
use crate::config::RoutingConfig;
use crate::event::ConnectionId;
use crate::event::{Destination, LinkKey, NamedLink, Node};
use crate::message::Message;
use crate::snapshot::{AddressInfo, Link, Role};

impl Router {
    /// Lists all links in the order of their connections. Credit is filled in for receivers alone; the engines have that of
    /// senders.
    pub(crate) fn links(&self) -> Vec<Link> {
        let mut links: Vec<Link> = self.links.iter().map(|(key, end)| self.picture(key, end)).collect();
        links.sort_by_key(|link| (link.connection, link.key.link.serial));
        links
    }

    fn picture(&self, key: LinkKey, end: &End) -> Link {
        let (name, role, id, credit) = match end {
            End::Producer(producer) => (&producer.name, Role::Sender, producer.node, 0),
            End::Consumer(consumer) => (&consumer.name, Role::Receiver, Some(consumer.node), consumer.credit),
        };
        let entry = id.and_then(|id| self.addresses.get(id));
        Link {
            key,
            connection: ConnectionId::of(key.connection),
            name: name.as_ref().to_owned(),
            role,
            vhost: self.vhost.0.as_ref().to_owned(),
            address: entry
                .map(|entry| &entry.address)
                .or_else(|| self.terminus_of(key).map(|terminus| &terminus.address))
                .map(|address| address.as_ref().to_owned()),
            credit: u32::try_from(credit.max(0)).unwrap_or(u32::MAX),
            unsettled: 0,
            waiting: entry.map_or(0, |entry| entry.node.waiting_for(key)),
            is_aside: matches!(end, End::Consumer(consumer) if consumer.passing),
        }
    }

    /// Describes a link before it is attached.
    pub(crate) fn preview(&self, key: LinkKey, name: &str, role: Role, node: &Node) -> Link {
        Link {
            key,
            connection: ConnectionId::of(key.connection),
            name: name.to_owned(),
            role,
            vhost: self.vhost.0.as_ref().to_owned(),
            address: match node {
                Node::Address(address) => Some(RoutingConfig::node_at(address).into_owned()),
                Node::Queue(address) => Some(address.as_ref().to_owned()),
                Node::Dynamic(_) | Node::Replies | Node::Anonymous => None,
            },
            credit: 0,
            unsettled: 0,
            waiting: 0,
            is_aside: false,
        }
    }

    /// Lists all addresses in use, by name.
    pub(crate) fn addresses(&self) -> Vec<AddressInfo> {
        let picture = |entry: &Entry| AddressInfo {
            vhost: self.vhost.0.as_ref().to_owned(),
            address: entry.address.as_ref().to_owned(),
            distribution: entry.node.distribution(),
            senders: entry.producers,
            receivers: entry.node.receivers(),
            waiting: entry.node.depth(),
            arrived: entry.arrived,
        };
        let mut infos: Vec<AddressInfo> = self.addresses.iter().map(|(_, entry)| picture(entry)).collect();
        infos.sort_by(|a, b| a.address.cmp(&b.address));
        infos
    }

    /// Returns the name of the virtual host.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.vhost.0
    }

    /// Returns the name of the virtual host, as records have it. None: the default one.
    pub(crate) fn vhost(&self) -> Option<Arc<str>> {
        self.journal.vhost()
    }

    /// Counts the messages that wait at an address.
    pub(crate) fn depth(&self, address: &str) -> usize {
        self.addresses.find_entry(address).map_or(0, |entry| entry.node.depth())
    }

    /// Counts the links that receive from an address.
    pub(crate) fn receivers_at(&self, address: &str) -> usize {
        self.addresses.find_entry(address).map_or(0, |entry| entry.node.receivers())
    }

    /// Counts the messages that have arrived for an address.
    pub(crate) fn arrived_at(&self, address: &str) -> u64 {
        self.addresses.arrived_at(address)
    }

    /// Returns the number that the next message will get.
    pub(crate) fn next_number(&self) -> u64 {
        self.journal.arrived() + 1
    }

    /// Returns the sender and the address of a message that has not been routed yet.
    pub(crate) fn passage(
        &mut self,
        from: LinkKey,
        to: &Destination,
        message: &Message,
    ) -> (Option<NamedLink>, Arc<str>) {
        let producer = self.links.find_producer_mut(from);
        let sender = producer.as_ref().map(|producer| NamedLink { link: from, name: producer.name.clone() });
        let own = producer.and_then(|producer| producer.node);
        if self.is_by_exchange(from, own, to) {
            return (sender, self.address_by_exchange(from, to, message));
        }
        let address = match (to, own.and_then(|id| self.addresses.get(id))) {
            (Destination::Link | Destination::Missing, Some(entry)) => entry.address.clone(),
            _ => address_of(to).into(),
        };
        (sender, address)
    }

    /// Whether a link is attached.
    pub(crate) fn has(&self, key: LinkKey) -> bool {
        self.links.find(key).is_some()
    }
}
