//! The actions of a test on a running broker: close, detach, disconnect, pause, refuse connections, drop queues. They run on the
//! loop's thread, between two events.

use std::io;
use std::sync::Arc;

use super::EventLoop;
use crate::event::{ConnectionId, ConnectionKey, DEFAULT_VHOST, Event, Fault, LinkKey};
use crate::hooks::fault;

impl EventLoop {
    /// Closes a connection with an error by its protocol. Call [`EventLoop::apply_effects`] next.
    pub(super) fn close_peer(&mut self, key: ConnectionKey, fault: Fault) {
        let events = self.send_close(key, fault);
        self.events.extend(events.into_iter().map(|event| (key, event)));
    }

    /// Writes the close into the outbox. Returns the events that it leads to.
    fn send_close(&mut self, key: ConnectionKey, fault: Fault) -> Vec<Event> {
        let Some(peer) = self.peers.at(key) else { return Vec::new() };
        peer.ended_by_broker = true;
        peer.frontend.close(fault, self.now, &mut peer.outbox);
        let events = std::iter::from_fn(|| peer.frontend.poll_event()).collect();
        self.touch(key);
        events
    }

    /// Closes all connections at once, so that no message goes from one consumer to the next.
    pub(super) fn close_all(&mut self, fault: &Fault) {
        let mut gone = Vec::new();
        for key in self.peers.keys() {
            for event in self.send_close(key, fault.clone()) {
                match event {
                    Event::Detach { .. } => gone.extend(event.into_gone(key)),
                    other => self.events.push_back((key, other)),
                }
            }
        }
        self.vhosts.detach(gone);
        self.apply_effects();
    }

    /// Drops all stored messages and all declared queues and exchanges, but for those that the broker has from its start. Call it
    /// while nobody is connected.
    pub(crate) fn drop_queues(&mut self) {
        self.vhosts.each(|router| {
            router.purge_all();
            router.undeclare_all();
        });
        self.set_asked(DEFAULT_VHOST.into());
        if let Err(fault) = self.declare_configured() {
            log::error!("what the broker has from its start was refused: {}", fault.description.unwrap_or_default());
        }
        self.settle_in();
    }

    /// Closes one connection with an error. False if it has ended.
    pub(crate) fn close(&mut self, id: ConnectionId, condition: &str, description: &str) -> bool {
        let key = self.peers.find_key(id);
        key.into_iter().for_each(|key| self.close_peer(key, fault(condition, description)));
        self.settle_in();
        key.is_some()
    }

    /// Detaches one link with an error. False if it has been detached.
    pub(crate) fn detach(&mut self, key: LinkKey, condition: &str, description: &str) -> bool {
        let router = self.vhosts.of(key.connection);
        let is_there = router.has(key);
        if is_there {
            router.detach_link(key, fault(condition, description));
            self.settle_in();
        }
        is_there
    }

    /// Drops a connection's socket without a close. False if it has ended.
    pub(crate) fn disconnect(&mut self, id: ConnectionId) -> bool {
        let key = self.peers.find_key(id);
        let Some(mut peer) = key.and_then(|key| self.peers.remove(key)) else { return false };
        peer.ended_by_broker = true;
        self.drop_peer(peer);
        self.settle_in();
        true
    }

    /// Drops all connections' sockets without a close. Returns how many there were.
    pub(crate) fn disconnect_all(&mut self) -> usize {
        let count = self.drop_all();
        self.settle_in();
        count
    }

    /// Stops reading, writing and accepting, until [`EventLoop::resume`].
    pub(crate) fn pause(&mut self) {
        self.paused = true;
        self.recorder().noted(None, "paused");
    }

    /// Blocks the clients that publish by 0-9-1, for this reason. None: unblocks them.
    pub(crate) fn block(&mut self, why: Option<&str>) {
        self.blocked = why.map(Arc::from);
        let note = why.map_or_else(|| "unblocked".to_owned(), |why| format!("blocked: {why}"));
        self.recorder().noted(None, &note);
        for key in self.peers.keys() {
            let why = self.blocked.clone();
            if let Some(peer) = self.peers.at(key) {
                peer.frontend.block(why, &mut peer.outbox);
            }
            self.touch(key);
        }
        self.settle_in();
    }

    /// Reads, writes and accepts again.
    pub(crate) fn resume(&mut self) {
        if std::mem::take(&mut self.paused) {
            self.recorder().noted(None, "resumed");
            self.peers.keys().into_iter().for_each(|key| self.touch(key));
        }
    }

    /// Applies and publishes what a test has just done, so that its call returns after the result. Output is written at the end
    /// of the turn.
    pub(crate) fn settle_in(&mut self) {
        self.stirred = true;
        self.apply_effects();
        self.publish();
    }

    /// Closes the listeners: the kernel refuses connections from here on.
    pub(super) fn close_listeners(&mut self) {
        for mut listener in self.listeners.drain(..) {
            let _ = self.poll.registry().deregister(&mut listener);
        }
        self.unaccepted.clear();
    }

    /// Refuses connections and keeps the addresses, or accepts connections again. Does nothing while the loop does not run, since
    /// connections are refused then.
    pub(crate) fn refuse_connections(&mut self, refuse: bool) -> io::Result<()> {
        if !self.is_running {
            return Ok(());
        }
        if refuse && !self.listeners.is_empty() {
            self.recorder().noted(None, "connections are refused");
            // Connections that nobody has accepted yet are refused as well.
            self.close_listeners();
            self.held_addresses = crate::address::hold(&self.addrs)?;
        } else if !refuse && self.listeners.is_empty() {
            self.recorder().noted(None, "connections are accepted");
            let held = match std::mem::take(&mut self.held_addresses) {
                held if held.is_empty() => crate::address::hold(&self.addrs)?,
                held => held,
            };
            let listeners = crate::address::listen(held, &self.addrs)?;
            self.listen(listeners)?;
        }
        Ok(())
    }
}
