//! The data for a test's report (`broker/report.rs`): protocol violations, connections that were lost without a close, and unmet
//! requests.

use std::collections::HashMap;

use super::{EventLoop, Peer};
use crate::event::{Breach, ConnectionId, ConnectionKey};
use crate::snapshot::{Connection, UnmetRequest, Violation};
use crate::unmet::Unmet;

/// Entries that each of the lists keeps.
const MAX_ENTRIES: usize = 100;

/// Different unmet requests that are kept. Those beyond are in the trace alone.
const MAX_UNMET: usize = 1000;

/// The first violations, lost connections and unmet requests since the broker was made.
#[derive(Debug, Default)]
pub(super) struct Reports {
    violations: Vec<Violation>,
    unclosed: Vec<Connection>,
    /// Unmet requests, each with its place in the order and the number of times that it was made.
    unmet: HashMap<(Option<ConnectionId>, Unmet), (usize, u64)>,
}

impl Reports {
    fn add_violation(&mut self, violation: Violation) {
        if self.violations.len() < MAX_ENTRIES {
            self.violations.push(violation);
        }
    }

    /// Counts a request; a new one is kept while there is room.
    fn add_unmet(&mut self, connection: Option<ConnectionId>, request: Unmet) {
        let (key, number) = ((connection, request), self.unmet.len());
        if number < MAX_UNMET || self.unmet.contains_key(&key) {
            self.unmet.entry(key).or_insert((number, 0)).1 += 1;
        }
    }

    /// Records a connection that ends now, if it was open and neither side has closed it.
    fn add_end(&mut self, peer: &Peer) {
        if !peer.ended_by_broker && peer.frontend.is_open() && self.unclosed.len() < MAX_ENTRIES {
            self.unclosed.push(peer.picture());
        }
    }
}

impl Peer {
    fn violation(&self, breach: &Breach) -> Violation {
        Violation {
            connection: ConnectionId::of(self.key),
            peer: self.address,
            section: breach.section,
            condition: crate::amqp10::spelled(&breach.fault.reason),
            description: breach.fault.description.as_deref().unwrap_or_default().to_owned(),
        }
    }

    /// Whether neither side has closed the connection, which need not have been opened.
    fn is_unclosed(&self) -> bool {
        let is_closing = self.opened.is_some() && !self.frontend.is_open();
        !(self.ended_by_broker || self.frontend.is_closed() || is_closing)
    }
}

impl EventLoop {
    /// Returns the first protocol violations.
    pub(crate) fn violations(&self) -> &[Violation] {
        &self.reports.violations
    }

    /// Returns the first connections that were lost without a close.
    pub(crate) fn unclosed(&self) -> &[Connection] {
        &self.reports.unclosed
    }

    /// Returns the present connections that neither side has closed.
    pub(crate) fn unclosed_yet(&self) -> Vec<Connection> {
        self.connections_where(Peer::is_unclosed)
    }

    /// Records the violations that an engine has found since the last turn.
    pub(super) fn note_breaches(&mut self, key: ConnectionKey) {
        while let Some(peer) = self.peers.at(key)
            && let Some(breach) = peer.frontend.poll_breach()
        {
            let violation = peer.violation(&breach);
            let text = format!("protocol violation: {} ({})", violation.description, violation.place());
            self.recorder().noted(Some(violation.connection), &text);
            self.reports.add_violation(violation);
        }
    }

    /// Records what was lost in translating messages for a peer since the last turn.
    pub(super) fn note_losses(&mut self, key: ConnectionKey) {
        let Some(peer) = self.peers.at(key) else { return };
        let (id, name, notes) = (ConnectionId::of(peer.key), peer.frontend.name().clone(), peer.frontend.take_notes());
        for note in notes {
            log::info!("{name}: in a message that was translated, {note}");
            self.recorder().noted(Some(id), &format!("translated: {note}"));
        }
    }

    /// Records the requests of a peer since the last turn that are not honoured.
    pub(super) fn note_unmet(&mut self, key: ConnectionKey) {
        let Some(peer) = self.peers.at(key) else { return };
        let requests = peer.frontend.take_unmet();
        if requests.is_empty() {
            return;
        }
        let id = ConnectionId::of(peer.key);
        self.add_unmet(Some(id), requests);
    }

    /// Records requests that are not honoured, of a connection or (None) of the test.
    pub(super) fn add_unmet(&mut self, id: Option<ConnectionId>, requests: Vec<Unmet>) {
        for request in requests {
            let text = format!("asked for and not given: {request}");
            log::info!("{}: {text}", id.map_or_else(|| "the test".to_owned(), |id| id.to_string()));
            self.recorder().noted(id, &text);
            self.reports.add_unmet(id, request);
        }
    }

    /// Returns the requests of clients that are not honoured, in the order in which they were first made.
    pub(crate) fn unmet_requests(&self) -> Vec<UnmetRequest> {
        let mut unmet: Vec<_> = self.reports.unmet.iter().collect();
        unmet.sort_by_key(|(_, (number, _))| *number);
        unmet.into_iter().map(|((id, request), (_, count))| UnmetRequest::new(*id, request, *count)).collect()
    }

    /// Whether what is not honoured is refused.
    pub(crate) fn is_strict(&self) -> bool {
        self.config.strict
    }

    /// Records that a connection ends. Call it before the engine is told.
    pub(super) fn note_end(&mut self, peer: &Peer) {
        self.recorder().disconnected(ConnectionId::of(peer.key));
        self.reports.add_end(peer);
    }
}
