//! The event loop owns the only `Poll`, every connection, the router and the timers, and runs them on one thread. It knows
//! neither protocols nor addresses: events go from engines to the router, effects from the router to engines.
//!
//! A turn polls; carries out commands; accepts; reads from sockets that are ready, until the turn's work is done (engines turn
//! bytes into events, the router turns events into effects, until there are none left); fires timers; publishes the counters;
//! writes once to every connection that has output; and drops connections that are closed. If work is left, the next turn does
//! not wait.
//!
//! | file | what is in it |
//! |---|---|
//! | `mod.rs` | the turns |
//! | `advance.rs` | the advance of a manual clock |
//! | `connection.rs` | the life of one connection: accept, read, write, close; the tap |
//! | `peers.rs` | the connections, by key |
//! | `fairness.rs` | the order in which connections are read, and the end of a turn's reading |
//! | `hooks.rs` | the calls of hooks; delayed messages |
//! | `commands.rs` | commands of handles; publishing what has changed |
//! | `shared.rs` | the data shared with handles |
//! | `steering.rs` | a test's actions: close, detach, disconnect, pause, refuse connections |
//! | `declaring.rs` | queues, exchanges and bindings that a test declares |
//! | `looking.rs` | a test's view: connections, links, counters |
//! | `vhosts.rs` | the virtual hosts: a router for each |
//! | `reports.rs` | violations, lost connections and unmet requests, for the end of a test |

mod advance;
mod commands;
mod connection;
mod declaring;
mod fairness;
mod hooks;
mod looking;
mod peers;
mod reports;
mod shared;
mod steering;
mod vhosts;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use socket2::Socket;

use crate::budget::Budget;
use crate::clock::{Clock, system_date, system_now};
use crate::config::{Config, EngineConfig};
use crate::counts::Counts;
use crate::event::{ConnectionKey, DEFAULT_VHOST, Effect, Event, Run};
use crate::hooks::Hooks;
use crate::live::live;
use crate::recorder::Recorder;
use crate::router::Wanted;
use crate::timers::Timers;
use crate::topology::Topology;

/// Connections that are accepted in one turn, from each listener. Each costs about as much as a hundred messages.
const TURN_ACCEPTS: usize = 16;

/// Sockets that one poll can find ready.
const READY_EVENTS: usize = 1024;

/// Time between an accept that failed (for want of descriptors, say) and the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(crate) const WAKER: Token = Token(0);
const FIRST_LISTENER: usize = 1;

pub(crate) use commands::Command;
pub(crate) use shared::{AtWork, Shared};

use advance::Advance;
use connection::{Peer, READ_BYTES};
use fairness::ReadQueue;
use hooks::Delayed;
use peers::Peers;
use reports::Reports;
use vhosts::Vhosts;

/// The purpose of a timer.
#[derive(Debug)]
enum Wake {
    /// A deadline of a connection: heartbeat, idle timeout, handshake, linger.
    Connection(ConnectionKey),
    /// Accepting again.
    Listeners,
    /// The end of a clean stop.
    Stop,
    /// Routing a message that a hook has delayed.
    Delayed(Box<Delayed>),
}

/// Owns every connection, the router and the timers. Call [`EventLoop::run`] after [`EventLoop::listen`].
pub(crate) struct EventLoop {
    poll: Poll,
    commands: Receiver<Command>,
    /// Whether there may be commands.
    unobeyed: bool,
    /// Weak, since `Shared` owns the loop while it does not run.
    shared: Weak<Shared>,
    config: Arc<EngineConfig>,
    listeners: Vec<TcpListener>,
    /// Addresses of the listeners, also while these are closed.
    addrs: Arc<[SocketAddr]>,
    /// Sockets that hold the addresses without listening, while connections are refused.
    held_addresses: Vec<Socket>,
    /// The token of the connection in slot 0. Those before it are the listeners'.
    first_peer: usize,
    /// Indexes of listeners that may have connections to accept.
    unaccepted: Vec<usize>,
    /// Whether accepting failed, so that the next accept waits for a timer.
    accept_paused: bool,
    peers: Peers,
    next_serial: u32,
    vhosts: Vhosts,
    /// The virtual host that the question of a handle is about.
    asked: Arc<str>,
    recorder: Recorder,
    /// Messages between an engine and the router. Empty between two events.
    run: Run,
    timers: Timers<Wake>,
    /// Timers by the system's clock, also if the broker's clock is manual.
    real_timers: Timers<Wake>,
    /// Connections with bytes that have not been read yet.
    unread: ReadQueue<ConnectionKey>,
    /// Connections whose turn has to be ended: [`EventLoop::finish`].
    touched: Vec<ConnectionKey>,
    /// Connections that the router may send to again.
    relieved: Vec<ConnectionKey>,
    /// Events that effects have led to, for the router.
    events: VecDeque<(ConnectionKey, Event)>,
    buffer: Box<[u8]>,
    /// Buffers for outboxes. An idle connection has none.
    spare: Vec<BytesMut>,
    /// The inbox of the connection that is being read, unless its own has the beginning of a frame.
    inbox: BytesMut,
    published: Counts,
    hooks: Hooks,
    budget: Budget,
    /// The topology that is declared at the start.
    topology: Topology,
    /// Whether the loop is between start and stop.
    is_running: bool,
    /// Whether nothing is read, written or accepted.
    paused: bool,
    /// Why clients that publish by 0-9-1 are blocked, if they are.
    blocked: Option<Arc<str>>,
    /// Whether something may have changed since waiting threads looked last.
    stirred: bool,
    reports: Reports,
    clock: Clock,
    made_at: Instant,
    /// The time of this turn.
    now: Instant,
    advances: VecDeque<Advance>,
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
        let clock = Clock::new(config.manual_clock);
        let now = clock.now();
        let budget = Budget::new(config.routing.storage_limit);
        EventLoop {
            poll,
            commands,
            unobeyed: false,
            shared,
            config: Arc::new(config.engine),
            listeners: Vec::new(),
            first_peer: FIRST_LISTENER + addrs.len(),
            addrs,
            held_addresses: Vec::new(),
            unaccepted: Vec::new(),
            accept_paused: false,
            peers: Peers::default(),
            next_serial: 1,
            vhosts: Vhosts::new(&config.vhosts, config.routing, salt, (now, system_date()), budget.clone()),
            asked: DEFAULT_VHOST.into(),
            recorder: Recorder::new(config.recorder, salt, (now, system_date())),
            run: Run::default(),
            timers: Timers::default(),
            real_timers: Timers::default(),
            unread: ReadQueue::default(),
            touched: Vec::new(),
            relieved: Vec::new(),
            events: VecDeque::new(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            spare: Vec::new(),
            inbox: BytesMut::new(),
            published: Counts::default(),
            hooks: Hooks::default(),
            budget,
            topology: config.topology,
            is_running: false,
            paused: false,
            blocked: None,
            stirred: false,
            reports: Reports::default(),
            clock,
            made_at: now,
            now,
            advances: VecDeque::new(),
            stop: Stop::No,
        }
    }

    /// Accepts the connections of these listeners from here on.
    pub(crate) fn listen(&mut self, mut listeners: Vec<TcpListener>) -> io::Result<()> {
        for (index, listener) in listeners.iter_mut().enumerate() {
            self.poll.registry().register(listener, Token(FIRST_LISTENER + index), Interest::READABLE)?;
        }
        self.unaccepted = (0..listeners.len()).collect();
        self.listeners = listeners;
        Ok(())
    }

    /// Takes turns until a command says stop. Fails only if polling does.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        self.is_running = true;
        let result = self.take_turns();
        self.halt();
        result
    }

    fn take_turns(&mut self) -> io::Result<()> {
        let mut ready = Events::with_capacity(READY_EVENTS);
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

    /// Drops all connections. Stored messages and the log stay.
    fn halt(&mut self) {
        self.is_running = false;
        self.close_listeners();
        self.held_addresses.clear();
        self.skip_time();
        self.drop_all();
        self.drop_delayed();
        self.unread.clear();
        self.touched.clear();
        self.relieved.clear();
        self.events.clear();
        self.paused = false;
        self.accept_paused = false;
        self.stop = Stop::No;
        self.recorder().flush();
        self.publish();
    }

    /// Sets the time for everything that follows.
    fn set_now(&mut self, now: Instant) {
        self.now = now;
        self.vhosts.current().set_now(now);
        let recorder = self.recorder();
        recorder.set_now(now);
        let wanted = Wanted { decisions: recorder.is_on(), messages: recorder.logs_messages() };
        self.vhosts.current().set_wanted(wanted);
    }

    /// Returns how long the next poll may wait. None: until a socket is ready.
    fn wait(&self) -> Option<Duration> {
        if self.unobeyed || !self.advances.is_empty() {
            return Some(Duration::ZERO);
        }
        if self.paused {
            return None;
        }
        if self.has_work_left() {
            return Some(Duration::ZERO);
        }
        let timers = self.next_deadline().and_then(|at| self.clock.until(at));
        let real_timers = self.real_timers.next().map(|at| at.saturating_duration_since(system_now()));
        [timers, real_timers].into_iter().flatten().min()
    }

    /// When the next timer is due, by the broker's clock.
    fn next_deadline(&self) -> Option<Instant> {
        [self.timers.next(), self.vhosts.next_deadline()].into_iter().flatten().min()
    }

    /// Whether work is left for the next turn.
    fn has_work_left(&self) -> bool {
        !(self.unread.is_empty()
            && self.relieved.is_empty()
            && self.unaccepted.is_empty()
            && !self.vhosts.has_work_left())
    }

    fn turn(&mut self, ready: &Events) {
        self.set_now(self.clock.now());
        let mut is_quiet = true;
        for event in ready {
            is_quiet &= event.token() == WAKER;
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
            self.skip_time();
            return self.announce();
        }
        self.unread.begin_turn();
        self.accept();
        while !self.unread.is_turn_over()
            && let Some(key) = self.unread.pop()
        {
            self.read(key);
        }
        for key in std::mem::take(&mut self.relieved) {
            if let Some(peer) = self.peers.find(key) {
                self.vhosts.of(key).set_room(key, peer.room());
                self.apply_effects();
            }
        }
        self.fire_timers();
        self.finish_touched();
        self.announce();
        self.pass_time(is_quiet && !self.has_work_left());
    }

    fn note_ready(&mut self, slot: usize, event: &mio::event::Event) {
        let Some(peer) = self.peers.find_slot(slot) else { return };
        let key = peer.key;
        if event.is_writable() {
            peer.transport.now_writable();
        }
        let has_ended = event.is_read_closed() || event.is_error();
        if event.is_readable() || has_ended {
            peer.transport.readable = true;
            peer.transport.end_announced |= has_ended;
            self.queue_for_reading(key);
        }
        if event.is_writable() || has_ended {
            self.touch(key);
        }
    }

    /// Adds a connection to those whose turn is ended by [`EventLoop::finish`].
    fn touch(&mut self, key: ConnectionKey) {
        self.stirred = true;
        if let Some(peer) = self.peers.at(key)
            && !peer.is_touched
        {
            peer.is_touched = true;
            self.touched.push(key);
        }
    }

    /// Applies the effects of the router to links and hands it the events that these lead to, until none are left.
    fn apply_effects(&mut self) {
        loop {
            while let Some(effect) = self.vhosts.poll_effect() {
                self.unread.count_effect(&effect);
                let key = effect.link().connection;
                let Some(peer) = self.peers.find(key) else { continue };
                if peer.outbox.is_bare()
                    && let Some(buffer) = self.spare.pop()
                {
                    peer.outbox.borrow(buffer);
                }
                match effect {
                    Effect::Deliver { link, mut deliveries } => {
                        peer.was_sent_to = true;
                        peer.frontend.deliver(link.link, &mut deliveries, &mut peer.outbox);
                        self.vhosts.current().reuse(deliveries);
                    }
                    effect => peer.frontend.apply(effect, self.now, &mut peer.outbox),
                }
                while let Some(event) = peer.frontend.poll_event() {
                    self.events.push_back((key, event));
                }
                if !peer.is_touched {
                    peer.is_touched = true;
                    self.touched.push(key);
                    self.stirred = true;
                }
            }
            let Some((key, event)) = self.events.pop_front() else { return };
            self.on_event(key, event, &mut Run::default());
        }
    }

    fn fire_timers(&mut self) {
        self.vhosts.fire_deadlines(self.now);
        self.apply_effects();
        while let Some(wake) = self.next_wake() {
            match wake {
                Wake::Listeners => {
                    self.accept_paused = false;
                    self.unaccepted = (0..self.listeners.len()).collect();
                }
                Wake::Stop => self.stop = Stop::Now,
                Wake::Delayed(delayed) => self.end_delay(*delayed),
                Wake::Connection(key) => {
                    let peer = live(self.peers.find(key), "the connection of a timer");
                    let Some(peer) = peer else { continue };
                    peer.timer = None;
                    peer.frontend.handle_timeout(self.now, &mut peer.outbox);
                    while let Some(event) = peer.frontend.poll_event() {
                        self.events.push_back((key, event));
                    }
                    self.touch(key);
                    self.apply_effects();
                }
            }
        }
    }

    /// Removes the next timer that is due.
    fn next_wake(&mut self) -> Option<Wake> {
        let due = self.timers.pop(self.now);
        if due.is_some() || self.real_timers.next().is_none() {
            return due;
        }
        self.real_timers.pop(system_now())
    }

    /// Ends the turn of every touched connection. The counters are published before any output is written.
    fn finish_touched(&mut self) {
        while !self.touched.is_empty() {
            self.publish();
            for key in std::mem::take(&mut self.touched) {
                if !self.finish(key)
                    && let Some(peer) = self.peers.remove(key)
                {
                    self.drop_peer(peer);
                    // Its messages may go to a connection that is written next here.
                    self.publish();
                }
            }
        }
        self.publish();
    }
}
