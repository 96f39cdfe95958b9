//! The state that a test can read between two events: connections, links, counters.

use super::{EventLoop, Peer};
use crate::counts::Counts;
use crate::event::ConnectionId;
use crate::live::live;
use crate::recorder::Recorder;
use crate::router::Router;
use crate::snapshot::{Connection, Link, Role};

impl Peer {
    /// Returns the connection as a test sees it.
    pub(super) fn picture(&self) -> Connection {
        let opened = self.opened.as_deref();
        let text = |text: &std::sync::Arc<str>| text.as_ref().to_owned();
        Connection {
            id: ConnectionId::of(self.key),
            peer: self.address,
            protocol: opened.map(|opened| opened.protocol),
            container: opened.and_then(|opened| opened.container.as_ref()).map(text),
            host: opened.and_then(|opened| opened.host.as_ref()).map(text),
            user: opened.and_then(|opened| opened.user.as_ref()).map(text),
        }
    }
}

impl EventLoop {
    pub(crate) fn router(&mut self) -> &mut Router {
        &mut self.router
    }

    /// Returns the recorder, after it has recorded the router's decisions until now.
    pub(crate) fn recorder(&mut self) -> &mut Recorder {
        let records = self.router.records();
        if !records.is_empty() {
            self.recorder.record(records);
        }
        &mut self.recorder
    }

    /// Returns the counters as they are now. [`Shared::counts`](super::Shared::counts) has those last published.
    pub(crate) fn counts(&self) -> Counts {
        Counts { connections: self.peers.len() as u64, ..self.router.counts() }
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

    /// Returns all links, as the router knows them, with the unsettled deliveries and the credit that only the engines know.
    pub(crate) fn links(&mut self) -> Vec<Link> {
        let mut links = self.router.links();
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
