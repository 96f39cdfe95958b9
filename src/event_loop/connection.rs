//! The life of one connection: accept, read, write, close. `mod.rs` decides when each connection has its turn.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use mio::net::TcpStream;
use mio::{Interest, Token};

use super::fairness::Account;
use super::{ACCEPT_PAUSE, EventLoop, Stop, TURN_ACCEPTS, Wake};
use crate::clock::system_now;
use crate::event::{ConnectionId, ConnectionKey, Event, Opened, Run};
use crate::live::live;
use crate::outbox::Outbox;
use crate::protocol::Frontend;
use crate::tap::Tap;
use crate::timers::Timer;
use crate::transport::{Received, Transport};

/// Bytes of one read.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// Bytes in a connection's own inbox that are moved to the shared one when more arrive, however few. A longer beginning of a
/// frame is moved only if at least as many bytes have arrived, so that a frame that comes in small pieces is not moved with each.
const MOVED_BYTES: usize = 4 * 1024;

/// Bytes of messages that the router may put into one outbox before its peer has to read some, and bytes below which what waits
/// there has to fall before the router may go on.
const OUTBOX_BYTES: usize = 1024 * 1024;
const RELIEVED_BELOW: usize = 256 * 1024;

/// Bytes of replies (everything but deliveries) that a peer may leave unread before nothing more is read from it.
const MAX_ANSWERS: usize = 1024 * 1024;

/// Buffers of emptied outboxes that are kept for the next outbox that needs one.
const SPARE_BUFFERS: usize = 64;

/// One connection: a socket, the engine for its protocol, and the bytes between them.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) key: ConnectionKey,
    pub(super) address: SocketAddr,
    /// The fields of the peer's open.
    pub(super) opened: Option<Box<Opened>>,
    /// Whether the broker has ended the connection, so that the peer need not have closed it.
    pub(super) ended_by_broker: bool,
    pub(super) tap: Tap,
    pub(super) transport: Transport,
    pub(super) frontend: Frontend,
    /// The beginning of a frame that has not arrived whole.
    inbox: BytesMut,
    pub(super) outbox: Outbox,
    /// Whether the connection is in `EventLoop::unread`.
    is_unread: bool,
    /// Whether a turn ended before the engine had read everything that has arrived.
    is_interrupted: bool,
    account: Account,
    /// Whether the connection is in `EventLoop::touched`.
    pub(super) is_touched: bool,
    /// Whether messages have been put into the outbox since the router was told last how much room it has.
    pub(super) was_sent_to: bool,
    /// Whether the peer has sent its last byte.
    ended: bool,
    /// When the socket goes after the protocol has closed, whether or not the peer has read the last bytes.
    linger_until: Option<Instant>,
    /// The timer for the next deadline. It may fire too early, and is set again then.
    pub(super) timer: Option<Timer>,
}

impl Peer {
    /// Whether the peer keeps sending requests without reading the replies: more than [`MAX_ANSWERS`] bytes of them wait.
    fn is_flooding(&self) -> bool {
        self.outbox.answers() > MAX_ANSWERS && self.outbox.len() > MAX_ANSWERS
    }

    /// Whether nothing is read from the peer: it is flooding, or the test blocks it.
    fn is_held_back(&self) -> bool {
        self.is_flooding() || self.frontend.holds_back()
    }

    /// Whether there may be something to read from the peer, and it may be read.
    fn has_more(&self) -> bool {
        (self.is_interrupted || self.transport.readable) && !self.is_held_back()
    }

    /// Bytes of messages that the outbox takes.
    pub(super) fn room(&self) -> usize {
        OUTBOX_BYTES.saturating_sub(self.outbox.len())
    }
}

impl EventLoop {
    /// Accepts the connections that wait at the listeners, a bounded number from each.
    pub(super) fn accept(&mut self) {
        for index in std::mem::take(&mut self.unaccepted) {
            for turn in 0.. {
                // None if the listeners have been closed meanwhile.
                let Some(listener) = self.listeners.get(index) else { break };
                if turn == TURN_ACCEPTS {
                    self.unaccepted.push(index);
                    break;
                }
                match listener.accept() {
                    Ok((stream, address)) => self.admit(stream, address),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // The peer closed the connection before it was accepted.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        if !std::mem::replace(&mut self.accept_paused, true) {
                            log::warn!("cannot accept connections for now: {error}");
                            self.real_timers.set(system_now() + ACCEPT_PAUSE, Wake::Listeners);
                        }
                        break;
                    }
                }
            }
        }
    }

    /// Makes a connection of a socket that has been accepted.
    fn admit(&mut self, mut stream: TcpStream, address: SocketAddr) {
        // A delay here would add to every latency that a test measures.
        let _ = stream.set_nodelay(true);
        let slot = self.peers.next_slot();
        let Some(slot_number) = live(u32::try_from(slot).ok(), "a slot for a connection") else { return };
        let token = Token(self.first_peer + slot);
        if let Err(error) = self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE) {
            log::warn!("{address}: dropped: {error}");
            return;
        }
        let key = ConnectionKey { slot: slot_number, serial: self.next_serial };
        self.next_serial = self.next_serial.wrapping_add(1);
        let name: Arc<str> = address.to_string().into();
        log::debug!("{name}: connected");
        self.recorder.connected(ConnectionId::of(key), &name);
        self.peers.insert(Peer {
            key,
            address,
            opened: None,
            ended_by_broker: false,
            tap: Tap::default(),
            transport: Transport::new(stream),
            frontend: Frontend::new(self.config.clone(), self.budget.clone(), name, self.now),
            inbox: BytesMut::new(),
            outbox: Outbox::default(),
            is_unread: false,
            is_interrupted: false,
            account: Account::default(),
            is_touched: false,
            was_sent_to: false,
            ended: false,
            linger_until: None,
            timer: None,
        });
        self.unread.count_accept();
        self.vhosts.of(key).set_room(key, OUTBOX_BYTES);
        self.queue_for_reading(key);
        self.touch(key);
    }

    /// Queues a connection for reading, unless it is queued already.
    pub(super) fn queue_for_reading(&mut self, key: ConnectionKey) {
        if let Some(peer) = self.peers.at(key).filter(|peer| !peer.is_unread) {
            peer.is_unread = true;
            self.unread.push(key, &mut peer.account);
        }
    }

    /// Reads from a connection once, or goes on where the last turn ended. Queues it again if something is left. Does nothing if
    /// the connection has ended meanwhile.
    pub(super) fn read(&mut self, key: ConnectionKey) {
        let done = self.unread.done();
        let Some(peer) = self.peers.find(key) else { return };
        peer.is_unread = false;
        if peer.is_interrupted && !peer.is_held_back() {
            self.receive(key, 0);
        } else if peer.has_more() {
            match peer.transport.read(&mut self.buffer) {
                Received::Bytes(count) => self.receive(key, count),
                Received::Nothing => {}
                Received::End => peer.ended = true,
            }
        }
        if let Some(peer) = self.peers.at(key) {
            self.unread.charge(&mut peer.account, done);
            if peer.has_more() {
                self.queue_for_reading(key);
            }
        }
        self.touch(key);
    }

    /// Lets the engine read the `count` bytes in `self.buffer`, and the router answer each event before the next, until nothing
    /// is left or the read has to be interrupted.
    fn receive(&mut self, key: ConnectionKey, count: usize) {
        let Some(peer) = self.peers.at(key) else { return };
        // The shared inbox stays in the processor's cache. Inboxes of many busy connections do not.
        let own = peer.inbox.len() > count.max(MOVED_BYTES);
        let mut inbox = std::mem::take(if own { &mut peer.inbox } else { &mut self.inbox });
        if !own {
            inbox.extend_from_slice(&std::mem::take(&mut peer.inbox));
        }
        inbox.extend_from_slice(self.buffer.get(..count).unwrap_or_default());
        let (mut unread, replied) = (inbox.len(), peer.outbox.answers());
        let watched = self.recorder.traces();
        let mut run = std::mem::take(&mut self.run);
        run.limit = if self.hooks.on_message.is_some() { 1 } else { Run::MAX };
        let mut is_interrupted = false;
        while let Some(peer) = self.peers.at(key) {
            let event = if watched {
                self.receive_watched(key, &mut inbox, &mut run)
            } else {
                peer.frontend.receive(&mut inbox, self.now, &mut peer.outbox, &mut run)
            };
            let Some(event) = event else { break };
            self.unread.count_event(&event, &run, unread - inbox.len());
            unread = inbox.len();
            self.on_event(key, event, &mut run);
            self.apply_effects();
            if self.unread.must_interrupt() {
                is_interrupted = true;
                break;
            }
        }
        self.run = run;
        if watched {
            self.recorder().forget_unread();
        }
        let Some(peer) = self.peers.at(key) else { return };
        peer.tap.forget_unread();
        self.unread.count_bytes(unread - inbox.len(), peer.outbox.answers().saturating_sub(replied));
        // The bytes of a blocked peer are read when it is unblocked.
        peer.is_interrupted = is_interrupted || (peer.frontend.holds_back() && !inbox.is_empty());
        if own {
            // The memory of an empty inbox is freed.
            peer.inbox = if inbox.is_empty() { BytesMut::new() } else { inbox };
        } else {
            if !inbox.is_empty() {
                peer.inbox = BytesMut::from(&inbox[..]);
                inbox.clear();
            }
            self.inbox = inbox;
        }
    }

    /// Shows the recorder the frames of an inbox that it has not seen, and lets the engine read up to its next event.
    fn receive_watched(&mut self, key: ConnectionKey, inbox: &mut BytesMut, run: &mut Run) -> Option<Event> {
        // The decisions about earlier frames are recorded first.
        self.recorder();
        let (peer, recorder) = (self.peers.at(key)?, &mut self.recorder);
        loop {
            let (reader, id) = (peer.frontend.frames(), ConnectionId::of(peer.key));
            let only_header = peer.frontend.awaits_header();
            let passed = peer.tap.incoming(inbox, reader, only_header, |frames| recorder.received(reader, &frames));
            let held_back = (passed < inbox.len()).then(|| inbox.split_off(passed));
            let event = peer.frontend.receive(inbox, self.now, &mut peer.outbox, run);
            let read = passed - inbox.len();
            peer.tap.received(read);
            recorder.read(id, read);
            let more = held_back.is_some() && read > 0;
            held_back.into_iter().for_each(|rest| inbox.unsplit(rest));
            if event.is_some() || !more {
                return event;
            }
        }
    }

    /// Shows the recorder the frames that have been put into an outbox since the last time.
    fn show_sent(&mut self, key: ConnectionKey) {
        if !self.recorder.traces() {
            return;
        }
        self.recorder();
        let Some(peer) = self.peers.at(key) else { return };
        let (reader, id) = (peer.frontend.frames(), ConnectionId::of(peer.key));
        let recorder = &mut self.recorder;
        peer.tap.outgoing(&peer.outbox, reader, |frames| recorder.sent(id, reader, &frames));
    }

    /// Ends a connection that has been removed from `peers`: its links are detached, its messages go to other consumers.
    pub(super) fn drop_peer(&mut self, mut peer: Peer) {
        self.abandon(&mut peer);
        while let Some(event) = peer.frontend.poll_event() {
            self.on_event(peer.key, event, &mut Run::default());
        }
        self.vhosts.connections_gone(vec![peer.key]);
        self.apply_effects();
    }

    /// Drops all connections at once, so that no message goes from one consumer to the next. Returns how many there were.
    pub(super) fn drop_all(&mut self) -> usize {
        let peers = std::mem::take(&mut self.peers);
        let (mut connections, mut gone) = (Vec::new(), Vec::new());
        for mut peer in peers.into_iter() {
            peer.ended_by_broker = true;
            self.abandon(&mut peer);
            connections.push(peer.key);
            while let Some(event) = peer.frontend.poll_event() {
                gone.extend(event.into_gone(peer.key));
            }
        }
        let count = connections.len();
        self.vhosts.detach(gone);
        self.vhosts.connections_gone(connections);
        self.apply_effects();
        count
    }

    /// Removes a connection's socket from the poll and its timer from the timers. Its engine then has events for its links.
    fn abandon(&mut self, peer: &mut Peer) {
        log::debug!("{}: disconnected", peer.frontend.name());
        self.note_end(peer);
        let _ = self.poll.registry().deregister(peer.transport.stream_mut());
        if let Some(timer) = peer.timer {
            self.timers.cancel(timer);
        }
        peer.frontend.abandon();
    }

    /// Ends a connection's turn: writes its output and sets the timer for its next deadline. False if the connection has to be
    /// dropped. Does nothing if it has ended meanwhile.
    pub(super) fn finish(&mut self, key: ConnectionKey) -> bool {
        let now = self.now;
        let Some(peer) = self.peers.find(key) else { return true };
        peer.is_touched = false;
        peer.frontend.finish_turn(now, &mut peer.outbox);
        while let Some(event) = peer.frontend.poll_event() {
            self.events.push_back((key, event));
        }
        self.apply_effects();
        self.note_breaches(key);
        self.note_losses(key);
        self.note_unmet(key);
        self.show_sent(key);
        let Some(peer) = self.peers.at(key) else { return true };
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
            // A broker that stops does not wait for a peer to which everything has been written.
            if until <= now || (self.stop == Stop::WhenClosed && peer.outbox.is_empty()) {
                return false;
            }
        }
        if peer.was_sent_to && peer.outbox.len() < RELIEVED_BELOW {
            peer.was_sent_to = false;
            if !self.vhosts.of(key).refill(peer.key, peer.room()) {
                self.relieved.push(peer.key);
            }
        }
        if peer.has_more() {
            self.queue_for_reading(key);
        }
        self.set_timer(key);
        true
    }

    /// Sets a connection's timer, if its next deadline is earlier than the timer that it has.
    fn set_timer(&mut self, key: ConnectionKey) {
        let Some(peer) = self.peers.at(key) else { return };
        let deadline = [peer.frontend.deadline(), peer.linger_until].into_iter().flatten().min();
        if let Some(at) = deadline
            && peer.timer.is_none_or(|timer| at < timer.at)
        {
            if let Some(timer) = peer.timer {
                self.timers.cancel(timer);
            }
            peer.timer = Some(self.timers.set(at, Wake::Connection(peer.key)));
        }
    }
}
