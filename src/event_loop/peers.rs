//! How one connection fares in a turn: accepted, read, written, let go. Who has its turn when is `mod.rs`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use mio::net::TcpStream;
use mio::{Interest, Token};

use super::wire::Tap;
use super::{ACCEPT_PAUSE, EventLoop, Peer, READ_BYTES, SPARE_BUFFERS, Stop, TURN_ACCEPTS, TURN_BYTES, Wake};
use crate::event::ConnectionKey;
use crate::frontend::Frontend;
use crate::outbox::Outbox;
use crate::snapshot::ConnectionId;
use crate::transport::{Received, Transport};

impl EventLoop {
    pub(super) fn accept(&mut self) {
        for index in std::mem::take(&mut self.unaccepted) {
            for turn in 0.. {
                let Some(listener) = self.listeners.get(index) else { break };
                if turn == TURN_ACCEPTS {
                    self.unaccepted.push(index);
                    break;
                }
                match listener.accept() {
                    Ok((stream, address)) => self.admit(stream, address),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // A connection that was gone before it was accepted.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        if !std::mem::replace(&mut self.accept_paused, true) {
                            log::warn!("cannot accept connections for now: {error}");
                            self.timers.set(self.now + ACCEPT_PAUSE, Wake::Listeners);
                        }
                        break;
                    }
                }
            }
        }
    }

    fn admit(&mut self, mut stream: TcpStream, address: SocketAddr) {
        // A delay here would be in every latency that a test sees.
        let _ = stream.set_nodelay(true);
        let entry = self.peers.vacant_entry();
        let slot = entry.key();
        let token = Token(self.first_peer + slot);
        if let Err(error) = self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE) {
            log::warn!("{address}: dropped: {error}");
            return;
        }
        let Ok(slot_number) = u32::try_from(slot) else { return };
        let key = ConnectionKey { slot: slot_number, serial: self.next_serial };
        self.next_serial = self.next_serial.wrapping_add(1);
        let name: Arc<str> = address.to_string().into();
        log::debug!("{name}: connected");
        self.router.chronicle_mut().connected(ConnectionId::of(key), &name);
        entry.insert(Peer {
            key,
            address,
            opened: None,
            is_ours: false,
            tap: Tap::default(),
            transport: Transport::new(stream),
            frontend: Frontend::new(self.config.clone(), name, self.now),
            inbox: BytesMut::new(),
            outbox: Outbox::default(),
            is_unread: true,
            is_touched: false,
            congested: false,
            ended: false,
            linger_until: None,
            timer: None,
        });
        self.unread.push_back(slot);
        self.touch(slot);
    }

    /// Reads from a peer, up to its share of the turn.
    pub(super) fn read(&mut self, slot: usize) {
        let mut budget = TURN_BYTES;
        loop {
            let Some(peer) = self.peers.get_mut(slot) else { return };
            peer.is_unread = false;
            if !peer.transport.readable || peer.is_flooding() {
                break;
            }
            if budget < READ_BYTES {
                peer.is_unread = true;
                self.unread.push_back(slot);
                break;
            }
            match peer.transport.read(&mut self.buffer) {
                Received::Bytes(count) => {
                    budget -= count;
                    self.receive(slot, count);
                }
                Received::Nothing => break,
                Received::End => {
                    peer.ended = true;
                    break;
                }
            }
        }
        self.touch(slot);
    }

    /// Lets the engine read what has arrived, and the router answer each event before the next.
    fn receive(&mut self, slot: usize, count: usize) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let own = !peer.inbox.is_empty();
        let mut inbox = std::mem::take(if own { &mut peer.inbox } else { &mut self.inbox });
        inbox.extend_from_slice(self.buffer.get(..count).unwrap_or_default());
        let mut view = self.view(slot, &inbox);
        while let Some(peer) = self.peers.get_mut(slot) {
            let event = peer.frontend.receive(&mut inbox, self.now, &mut peer.outbox, &mut self.realm);
            let key = peer.key;
            if let Some(view) = &mut view {
                self.show_received(slot, view, inbox.len());
            }
            let Some(event) = event else { break };
            self.on_event(key, event);
            self.apply_effects();
        }
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if own {
            // Empty, it gives its memory back.
            peer.inbox = if inbox.is_empty() { BytesMut::new() } else { inbox };
        } else {
            if !inbox.is_empty() {
                peer.inbox = BytesMut::from(&inbox[..]);
                inbox.clear();
            }
            self.inbox = inbox;
        }
    }

    pub(super) fn drop_peer(&mut self, mut peer: Peer) {
        self.let_go(&mut peer);
        while let Some(event) = peer.frontend.poll_event() {
            self.on_event(peer.key, event);
        }
        self.router.connection_gone(peer.key);
        self.apply_effects();
    }

    /// Drops all peers at once, so that none is given what another had; how many there were.
    pub(super) fn drop_all(&mut self) -> usize {
        let peers = std::mem::take(&mut self.peers);
        let (mut connections, mut gone) = (Vec::new(), Vec::new());
        for (_, mut peer) in peers {
            peer.is_ours = true;
            self.let_go(&mut peer);
            connections.push(peer.key);
            while let Some(event) = peer.frontend.poll_event() {
                gone.extend(event.into_gone(peer.key));
            }
        }
        let count = connections.len();
        self.router.connections_gone(connections, gone);
        self.apply_effects();
        count
    }

    /// The socket is nobody's concern any more; the engine says what was on it.
    fn let_go(&mut self, peer: &mut Peer) {
        log::debug!("{}: disconnected", peer.frontend.name());
        self.note_end(peer);
        let _ = self.poll.registry().deregister(peer.transport.stream_mut());
        if let Some(timer) = peer.timer {
            self.timers.cancel(timer);
        }
        peer.frontend.abandon();
    }

    /// Writes, and sees what comes next for a peer. False if nothing does.
    pub(super) fn finish(&mut self, slot: usize) -> bool {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(slot) else { return true };
        peer.is_touched = false;
        peer.frontend.finish_turn(now, &mut peer.outbox);
        while let Some(event) = peer.frontend.poll_event() {
            self.events.push_back((peer.key, event));
        }
        self.apply_effects();
        self.note_breaches(slot);
        self.show_sent(slot);
        let Some(peer) = self.peers.get_mut(slot) else { return true };
        if peer.transport.write(&mut peer.outbox).is_err() {
            return false;
        }
        peer.tap.written(&peer.outbox);
        if let Some(buffer) = peer.outbox.lend()
            && self.spare.len() < SPARE_BUFFERS
        {
            self.spare.push(buffer);
        }
        if peer.frontend.is_dropped() || (peer.ended && peer.outbox.is_empty()) {
            return false;
        }
        if peer.frontend.is_closed() || peer.ended {
            let until = *peer.linger_until.get_or_insert(now + self.config.linger);
            if peer.outbox.is_empty() {
                peer.transport.shut_down();
            }
            // A broker that stops does not wait for a peer that has nothing to say or to hear any more.
            if until <= now || (self.stop == Stop::WhenClosed && peer.outbox.is_empty()) {
                return false;
            }
        }
        if peer.congested && peer.is_relieved() {
            peer.congested = false;
            self.relieved.push(peer.key);
        }
        if peer.transport.readable && !peer.is_unread && !peer.is_flooding() {
            peer.is_unread = true;
            self.unread.push_back(slot);
        }
        let deadline = [peer.frontend.deadline(), peer.linger_until].into_iter().flatten().min();
        if let Some(at) = deadline
            && peer.timer.is_none_or(|timer| at < timer.at)
        {
            if let Some(timer) = peer.timer {
                self.timers.cancel(timer);
            }
            peer.timer = Some(self.timers.set(at, Wake::Connection(peer.key)));
        }
        true
    }
}
