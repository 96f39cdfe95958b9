//! The state that a test can read between two events: connections, links, counters.

use std::sync::Arc;

use super::{EventLoop, Peer};
use crate::counts::Counts;
use crate::event::ConnectionId;
use crate::live::live;
use crate::recorder::{LoggedMessage, LoggedPublish, Place, Recorder, Stage};
use crate::router::Router;
use crate::snapshot::{AddressInfo, Connection, Link, Role};

impl Peer {
    /// Returns the connection as a test sees it.
    pub(super) fn picture(&self) -> Connection {
        let opened = self.opened.as_deref();
        let text = |text: &Arc<str>| text.as_ref().to_owned();
        Connection {
            id: ConnectionId::of(self.key),
            peer: self.address,
            protocol: opened.map(|opened| opened.protocol),
            container: opened.and_then(|opened| opened.container.as_ref()).map(text),
            host: opened.and_then(|opened| opened.host.as_ref()).map(text),
            vhost: opened.and_then(|opened| opened.vhost.as_ref()).map(text),
            user: opened.and_then(|opened| opened.user.as_ref()).map(text),
        }
    }
}

impl EventLoop {
    /// Adds a virtual host, unless it is there.
    pub(crate) fn add_vhost(&mut self, name: &str) {
        self.vhosts.add(name);
    }

    /// Returns the names of all virtual hosts, the default one first.
    pub(crate) fn vhost_names(&self) -> Vec<Arc<str>> {
        self.vhosts.names()
    }

    /// Sets the virtual host that the next question of a handle is about.
    pub(crate) fn set_asked(&mut self, vhost: Arc<str>) {
        self.asked = vhost;
    }

    /// Returns the router of the virtual host that a handle asks about.
    pub(crate) fn router(&mut self) -> &mut Router {
        self.vhosts.named(&self.asked)
    }

    /// Returns the messages of the log for an address in the virtual host that a handle asks about.
    pub(crate) fn messages(&mut self, address: &str) -> Vec<LoggedMessage> {
        let vhost = self.asked.clone();
        self.recorder().messages(Place { vhost: &vhost, address })
    }

    /// Takes those messages out of the log.
    pub(crate) fn take_messages(&mut self, address: &str) -> Vec<LoggedMessage> {
        let (vhost, arrived) = (self.asked.clone(), self.router().arrived_at(address));
        self.recorder().take_messages(Place { vhost: &vhost, address }, arrived)
    }

    /// Counts those messages that have reached a stage: see [`Recorder::come_to`].
    pub(crate) fn come_to(&mut self, address: &str, stage: Stage) -> u64 {
        let (vhost, arrived) = (self.asked.clone(), self.router().arrived_at(address));
        self.recorder().come_to(Place { vhost: &vhost, address }, stage, arrived)
    }

    /// Returns what was published to an exchange of that virtual host: see [`Recorder::published`].
    pub(crate) fn published(&mut self, exchange: &str) -> Vec<LoggedPublish> {
        let vhost = self.asked.clone();
        self.recorder().published(Place { vhost: &vhost, address: exchange })
    }

    /// Counts what was ever published to it.
    pub(crate) fn published_count(&mut self, exchange: &str) -> u64 {
        let vhost = self.asked.clone();
        self.recorder().published_count(Place { vhost: &vhost, address: exchange })
    }

    /// Lists the addresses in use of all virtual hosts, by name in each.
    pub(crate) fn addresses(&mut self) -> Vec<AddressInfo> {
        let mut addresses = Vec::new();
        self.vhosts.each(|router| addresses.append(&mut router.addresses()));
        addresses
    }

    /// Returns the recorder, after it has recorded the router's decisions until now.
    pub(crate) fn recorder(&mut self) -> &mut Recorder {
        let records = self.vhosts.current().records();
        if !records.is_empty() {
            self.recorder.record(records);
        }
        &mut self.recorder
    }

    /// Returns the counters as they are now. [`Shared::counts`](super::Shared::counts) has those last published.
    pub(crate) fn counts(&mut self) -> Counts {
        Counts { connections: self.peers.len() as u64, ..self.vhosts.current().counts() }
    }

    /// Returns all present connections, in the order in which they were accepted.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        self.connections_where(|_| true)
    }

    pub(super) fn connections_where(&self, wanted: impl Fn(&Peer) -> bool) -> Vec<Connection> {
        let peers = self.peers.iter().filter(|peer| wanted(peer));
        let mut connections: Vec<Connection> = peers.map(Peer::picture).collect();
        connections.sort_by_key(|connection| connection.id);
        connections
    }

    /// Returns all links, as the routers know them, with the unsettled deliveries and the credit that only the engines know.
    pub(crate) fn links(&mut self) -> Vec<Link> {
        let mut links = Vec::new();
        self.vhosts.each(|router| links.append(&mut router.links()));
        links.sort_by_key(|link| (link.connection, link.key.link.serial));
        for link in &mut links {
            let peer = live(self.peers.find(link.key.connection), "the connection of a link");
            let Some(peer) = peer else { continue };
            link.unsettled = peer.frontend.unsettled(link.key.link);
            if link.role == Role::Sender {
                link.credit = peer.frontend.credit(link.key.link);
            }
        }
        links.retain(|link| !link.is_aside || link.unsettled > 0);
        links
    }
}
