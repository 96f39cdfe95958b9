//! What a report at the end of a test needs to know: protocol violations, and connections that were lost without a close.
//! `broker/report.rs` asks for it.

use super::{EventLoop, Peer};
use crate::event::{Breach, ConnectionId};
use crate::snapshot::{Connection, Violation};

/// Entries that each of the lists keeps. A report with more would not be read.
const MAX_ENTRIES: usize = 100;

/// The first violations and the first lost connections since the broker was made.
#[derive(Debug, Default)]
pub(super) struct Reports {
    violations: Vec<Violation>,
    unclosed: Vec<Connection>,
}

impl Reports {
    fn add_violation(&mut self, violation: Violation) {
        if self.violations.len() < MAX_ENTRIES {
            self.violations.push(violation);
        }
    }

    /// Records a connection that ends now, if it was open and neither end has closed it.
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

    /// Whether neither end has closed the connection, or it has not been opened yet.
    fn is_unclosed(&self) -> bool {
        let is_closing = self.opened.is_some() && !self.frontend.is_open();
        !(self.ended_by_broker || self.frontend.is_closed() || is_closing)
    }
}

impl EventLoop {
    /// Protocol violations, the first of them.
    pub(crate) fn violations(&self) -> &[Violation] {
        &self.reports.violations
    }

    /// Connections that were lost without a close, the first of them.
    pub(crate) fn unclosed(&self) -> &[Connection] {
        &self.reports.unclosed
    }

    /// Present connections that neither end has closed.
    pub(crate) fn unclosed_yet(&self) -> Vec<Connection> {
        self.connections_where(Peer::is_unclosed)
    }

    /// Records what an engine has found to be against its protocol since the last turn.
    pub(super) fn note_breaches(&mut self, slot: usize) {
        while let Some(peer) = self.peers.get_mut(slot)
            && let Some(breach) = peer.frontend.poll_breach()
        {
            let violation = peer.violation(&breach);
            let text = format!("protocol violation: {} ({})", violation.description, violation.place());
            self.recorder().noted(Some(violation.connection), &text);
            self.reports.add_violation(violation);
        }
    }

    /// Records what could not be said to a peer in its protocol since the last turn.
    pub(super) fn note_losses(&mut self, slot: usize) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let (id, name, notes) = (ConnectionId::of(peer.key), peer.frontend.name().clone(), peer.frontend.take_notes());
        for note in notes {
            log::info!("{name}: in a message that was translated, {note}");
            self.recorder().noted(Some(id), &format!("translated: {note}"));
        }
    }

    /// Records that a connection ends. Call it before the engine is told.
    pub(super) fn note_end(&mut self, peer: &Peer) {
        self.recorder().disconnected(ConnectionId::of(peer.key));
        self.reports.add_end(peer);
    }
}
