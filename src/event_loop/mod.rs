//! The event loop: the only `Poll`, the only clock. Owns every connection and the router, as siblings. It knows no protocol and
//! no address: it carries events one way and effects the other.
//!
//! One turn: poll; read from each socket that is ready, a bounded amount; the engine turns bytes into events, the router
//! each event into effects on links, until there are none left; timers; counters are published; every connection that has
//! output writes it, once; what is closed is reaped. What a turn leaves unfinished is taken up by the next, which then does
//! not wait.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | turns |
//! | `peers.rs` | how one connection fares in a turn |
//! | `commands.rs` | what the handles ask for, and how they are told that something has changed |
//! | `steering.rs` | what a test does to a running broker: pause, disconnect, refuse, hooks |
//! | `wire.rs` | what the chronicle is shown of each connection's bytes |

mod commands;
mod peers;
mod steering;
mod wire;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::Socket;

use crate::chronicle::Chronicle;
use crate::config::{Config, EngineConfig};
use crate::counts::Counts;
use crate::event::{ConnectionKey, Event, Opened};
use crate::frontend::{Frontend, Realm};
use crate::hooks::Hooks;
use crate::outbox::Outbox;
use crate::router::Router;
use crate::snapshot::{Connection, Violation};
use crate::timers::{Timer, Timers};
use crate::transport::Transport;

/// Bytes that one connection may be read in one turn. With the time they take to be routed, this is how long one busy
/// connection keeps the others waiting.
const TURN_BYTES: usize = 256 * 1024;

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// Connections that are accepted in one turn, from each listener.
const TURN_ACCEPTS: usize = 64;

/// Bytes that wait for one socket before the router is told to give it no more, and before it is told to go on.
const CONGESTED_ABOVE: usize = 1024 * 1024;
const RELIEVED_BELOW: usize = 256 * 1024;

/// Likewise for deliveries that wait for a session's window. The session takes no more by itself then; this is for a peer
/// that has very many of them.
const BLOCKED_ABOVE: usize = 16 * 1024 * 1024;

/// Answers (everything but deliveries) that a peer may leave unread before it is not listened to any more.
const MAX_ANSWERS: usize = 1024 * 1024;

/// Questions that are answered in one turn: who asks without end must not keep the sockets waiting.
const TURN_COMMANDS: usize = 64;

/// After an accept that failed, for want of descriptors, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Outboxes' buffers that are kept for the next who needs one.
const SPARE_BUFFERS: usize = 64;

pub(crate) const WAKER: Token = Token(0);
const FIRST_LISTENER: usize = 1;

pub(crate) use commands::{AtWork, Command, Shared};
use steering::Held;
use wire::Tap;

/// One connection.
#[derive(Debug)]
struct Peer {
    key: ConnectionKey,
    address: SocketAddr,
    /// What it has said of itself.
    opened: Option<Box<Opened>>,
    /// We have ended it, so it need not have closed.
    is_ours: bool,
    tap: Tap,
    transport: Transport,
    frontend: Frontend,
    /// The beginning of a frame that has not arrived whole.
    inbox: BytesMut,
    outbox: Outbox,
    /// It is in `EventLoop::unread`.
    is_unread: bool,
    /// It is in `EventLoop::touched`.
    is_touched: bool,
    congested: bool,
    /// Nothing more will come from it.
    ended: bool,
    /// The protocol is done; by then the socket goes, whether or not the peer has read the last words.
    linger_until: Option<Instant>,
    /// Its wake-up; it may come too early, and is set again then.
    timer: Option<Timer>,
}

impl Peer {
    /// It makes us answer and does not read the answers.
    fn is_flooding(&self) -> bool {
        self.outbox.answers() > MAX_ANSWERS && self.outbox.len() > MAX_ANSWERS
    }

    fn is_congested(&self) -> bool {
        self.outbox.len() > CONGESTED_ABOVE || self.frontend.blocked_bytes() > BLOCKED_ABOVE
    }

    fn is_relieved(&self) -> bool {
        self.outbox.len() < RELIEVED_BELOW && self.frontend.blocked_bytes() <= BLOCKED_ABOVE / 2
    }
}

#[derive(Debug)]
enum Wake {
    Connection(ConnectionKey),
    /// Accept again.
    Listeners,
    /// Time is up for a clean stop.
    Stop,
    /// A message that a hook has held up.
    Delayed(Box<Held>),
}

/// See the module.
pub(crate) struct EventLoop {
    poll: Poll,
    commands: Receiver<Command>,
    /// There may be some.
    unobeyed: bool,
    /// Weak, since a loop that rests is kept in there.
    shared: Weak<Shared>,
    config: Arc<EngineConfig>,
    listeners: Vec<TcpListener>,
    /// Where they are, or were.
    addrs: Arc<[SocketAddr]>,
    /// Their addresses, held without listening while connections are refused.
    held: Vec<Socket>,
    /// The token of the peer in slot 0; those before it stay the listeners' when they are gone.
    first_peer: usize,
    /// Listeners that may have connections to accept.
    unaccepted: Vec<usize>,
    /// Accepting failed, and is tried again when a timer says so.
    accept_paused: bool,
    peers: Slab<Peer>,
    next_serial: u32,
    router: Router,
    realm: Realm,
    timers: Timers<Wake>,
    /// Peers with bytes that were not read for lack of a turn.
    unread: VecDeque<usize>,
    /// Peers that something was done to in this turn.
    touched: Vec<usize>,
    /// Peers that keep up again.
    relieved: Vec<ConnectionKey>,
    /// Events that effects led to.
    events: VecDeque<(ConnectionKey, Event)>,
    buffer: Box<[u8]>,
    /// Outboxes' buffers that nobody uses now: an idle connection has none, a busy one need not make its own.
    spare: Vec<BytesMut>,
    /// Bytes of the connection that is being read, while it has no beginning of a frame from before.
    inbox: BytesMut,
    published: Counts,
    hooks: Hooks,
    /// Bytes of messages that hooks hold up.
    delayed_bytes: usize,
    max_delayed_bytes: usize,
    /// Between start and stop.
    is_running: bool,
    /// Nobody is served.
    paused: bool,
    /// Something may be different from what those who wait have seen.
    stirred: bool,
    /// What peers did wrong, the first of them.
    violations: Vec<Violation>,
    /// Connections that went without a close, the first of them.
    unclosed: Vec<Connection>,
    now: Instant,
    stop: Stop,
}

#[derive(Debug, PartialEq, Eq)]
enum Stop {
    No,
    WhenClosed,
    Now,
}

impl std::fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventLoop").field("addrs", &self.addrs).finish_non_exhaustive()
    }
}

impl EventLoop {
    /// Sets up everything but the listeners.
    pub(crate) fn new(
        poll: Poll,
        addrs: Arc<[SocketAddr]>,
        config: Config,
        salt: u64,
        commands: Receiver<Command>,
        shared: Weak<Shared>,
    ) -> EventLoop {
        let now = Instant::now();
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let max_delayed_bytes = config.routing.storage_limit;
        EventLoop {
            poll,
            commands,
            unobeyed: false,
            shared,
            config: Arc::new(config.engine),
            listeners: Vec::new(),
            first_peer: FIRST_LISTENER + addrs.len(),
            addrs,
            held: Vec::new(),
            unaccepted: Vec::new(),
            accept_paused: false,
            peers: Slab::new(),
            next_serial: 1,
            router: Router::new(config.routing, salt, Chronicle::new(config.chronicle, salt, (now, epoch))),
            realm: Realm::new(salt),
            timers: Timers::default(),
            unread: VecDeque::new(),
            touched: Vec::new(),
            relieved: Vec::new(),
            events: VecDeque::new(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            spare: Vec::new(),
            inbox: BytesMut::new(),
            published: Counts::default(),
            hooks: Hooks::default(),
            delayed_bytes: 0,
            max_delayed_bytes,
            is_running: false,
            paused: false,
            stirred: false,
            violations: Vec::new(),
            unclosed: Vec::new(),
            now,
            stop: Stop::No,
        }
    }

    /// From here on the listeners' connections are taken.
    pub(crate) fn listen(&mut self, mut listeners: Vec<TcpListener>) -> io::Result<()> {
        for (index, listener) in listeners.iter_mut().enumerate() {
            self.poll.registry().register(listener, Token(FIRST_LISTENER + index), Interest::READABLE)?;
        }
        self.unaccepted = (0..listeners.len()).collect();
        self.listeners = listeners;
        Ok(())
    }

    /// Takes turns until it is told to stop. Fails only if polling does.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        self.is_running = true;
        let result = self.take_turns();
        self.halt();
        result
    }

    fn take_turns(&mut self) -> io::Result<()> {
        let mut ready = Events::with_capacity(256);
        while !(self.stop == Stop::Now || self.stop == Stop::WhenClosed && self.peers.is_empty()) {
            let wait = self.wait();
            match self.poll.poll(&mut ready, wait) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            self.turn(&ready);
        }
        Ok(())
    }

    /// Everybody is gone. What is stored and what happened stays, for whoever asks.
    fn halt(&mut self) {
        self.is_running = false;
        self.close_listeners();
        self.held.clear();
        self.set_now(Instant::now());
        self.drop_all();
        self.drop_held();
        self.unread.clear();
        self.touched.clear();
        self.relieved.clear();
        self.events.clear();
        self.paused = false;
        self.accept_paused = false;
        self.stop = Stop::No;
        self.router.chronicle_mut().flush();
        self.publish();
    }

    /// The time of all that happens next.
    fn set_now(&mut self, now: Instant) {
        self.now = now;
        self.router.chronicle_mut().set_now(now);
    }

    /// How long the next poll may wait.
    fn wait(&self) -> Option<Duration> {
        if self.unobeyed {
            return Some(Duration::ZERO);
        }
        if self.paused {
            return None;
        }
        if !(self.unread.is_empty() && self.relieved.is_empty() && self.unaccepted.is_empty()) {
            return Some(Duration::ZERO);
        }
        self.timers.next().map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn turn(&mut self, ready: &Events) {
        self.set_now(Instant::now());
        for event in ready {
            match event.token() {
                WAKER => self.unobeyed = true,
                token if token.0 < self.first_peer => self.unaccepted.push(token.0 - FIRST_LISTENER),
                token => self.note_ready(token.0 - self.first_peer, event),
            }
        }
        if self.unobeyed {
            self.obey();
        }
        if self.paused {
            return self.announce();
        }
        self.accept();
        for _ in 0..self.unread.len() {
            if let Some(slot) = self.unread.pop_front() {
                self.read(slot);
            }
        }
        for key in std::mem::take(&mut self.relieved) {
            self.router.set_congested(key, false);
            self.apply_effects();
        }
        self.fire_timers();
        self.finish_touched();
        self.announce();
    }

    fn note_ready(&mut self, slot: usize, event: &mio::event::Event) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if event.is_writable() {
            peer.transport.now_writable();
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            peer.transport.readable = true;
            peer.transport.end_announced |= event.is_read_closed() || event.is_error();
            if !peer.is_unread {
                peer.is_unread = true;
                self.unread.push_back(slot);
            }
        }
        self.touch(slot);
    }

    /// Does something to a peer at the end of the turn.
    fn touch(&mut self, slot: usize) {
        self.stirred = true;
        if let Some(peer) = self.peers.get_mut(slot)
            && !peer.is_touched
        {
            peer.is_touched = true;
            self.touched.push(slot);
        }
    }

    /// Does to links what the router wants, and tells it what that leads to, until nothing is left to do.
    fn apply_effects(&mut self) {
        loop {
            while let Some(address) = self.router.poll_ended() {
                self.realm.forget_queue(&address);
            }
            while let Some(effect) = self.router.poll_effect() {
                let key = effect.link().connection;
                let slot = key.slot as usize;
                let Some(peer) = self.peers.get_mut(slot).filter(|peer| peer.key == key) else { continue };
                if peer.outbox.is_bare()
                    && let Some(buffer) = self.spare.pop()
                {
                    peer.outbox.borrow(buffer);
                }
                peer.frontend.apply(effect, self.now, &mut peer.outbox, &mut self.realm);
                while let Some(event) = peer.frontend.poll_event() {
                    self.events.push_back((key, event));
                }
                if !peer.congested && peer.is_congested() {
                    peer.congested = true;
                    self.router.set_congested(key, true);
                }
                if !peer.is_touched {
                    peer.is_touched = true;
                    self.touched.push(slot);
                    self.stirred = true;
                }
            }
            let Some((key, event)) = self.events.pop_front() else { return };
            self.on_event(key, event);
        }
    }

    fn fire_timers(&mut self) {
        while let Some(wake) = self.timers.pop(self.now) {
            match wake {
                Wake::Listeners => {
                    self.accept_paused = false;
                    self.unaccepted = (0..self.listeners.len()).collect();
                }
                Wake::Stop => self.stop = Stop::Now,
                Wake::Delayed(held) => self.deliver_held(*held),
                Wake::Connection(key) => {
                    let slot = key.slot as usize;
                    let Some(peer) = self.peers.get_mut(slot).filter(|peer| peer.key == key) else { continue };
                    peer.timer = None;
                    peer.frontend.handle_timeout(self.now, &mut peer.outbox);
                    while let Some(event) = peer.frontend.poll_event() {
                        self.events.push_back((key, event));
                    }
                    self.touch(slot);
                    self.apply_effects();
                }
            }
        }
    }

    /// Ends the turn for every peer that took part in it. What it did is published before any of them can read of it.
    fn finish_touched(&mut self) {
        while !self.touched.is_empty() {
            self.publish();
            for slot in std::mem::take(&mut self.touched) {
                if !self.finish(slot)
                    && let Some(peer) = self.peers.try_remove(slot)
                {
                    self.drop_peer(peer);
                    // What it had may go on to a peer whose turn is next here.
                    self.publish();
                }
            }
        }
        self.publish();
    }
}
