//! A router and the engines of some connections, driven as by the event loop: one event at a time, each answered before the next
//! is read. It has no sockets, and its own clock.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::budget::Budget;
use crate::config::{Config, EngineConfig};
use crate::event::{ConnectionKey, Effect, Event, Run};
use crate::outbox::Outbox;
use crate::protocol::{Frontend, message_codec};
use crate::router::Router;

/// Events that one piece of input may lead to. More would be an endless loop.
const MAX_EVENTS: usize = 100_000;

#[derive(Debug)]
struct Peer {
    key: ConnectionKey,
    frontend: Frontend,
    inbox: BytesMut,
    outbox: Outbox,
    /// Whether the peer reads what it is sent.
    reads: bool,
    heard: Vec<u8>,
}

/// A router, some connections and a clock.
#[derive(Debug)]
pub(super) struct Harness {
    pub(super) router: Router,
    pub(super) budget: Budget,
    now: Instant,
    config: Arc<EngineConfig>,
    peers: Vec<Option<Peer>>,
    events: VecDeque<(ConnectionKey, Event)>,
    /// The largest number of messages in a run.
    run_limit: usize,
    /// The bytes of messages that an outbox takes.
    room: usize,
    steps: usize,
}

impl Harness {
    pub(super) fn new(config: Config, run_limit: usize, room: usize) -> Harness {
        let budget = Budget::new(config.routing.storage_limit);
        Harness {
            router: Router::new(
                &"/".into(),
                config.routing,
                0,
                (Instant::now(), Duration::ZERO),
                budget.clone(),
                message_codec,
            ),
            budget,
            now: Instant::now(),
            config: Arc::new(config.engine),
            peers: Vec::new(),
            events: VecDeque::new(),
            run_limit,
            room,
            steps: 0,
        }
    }

    /// Connects a peer. Returns its index.
    pub(super) fn connect(&mut self, reads: bool) -> usize {
        let index = self.peers.len();
        let slot = u32::try_from(index).unwrap();
        let key = ConnectionKey { slot, serial: slot + 1 };
        let frontend =
            Frontend::new(self.config.clone(), self.budget.clone(), format!("peer {index}").into(), self.now);
        let (inbox, outbox, heard) = (BytesMut::new(), Outbox::default(), Vec::new());
        self.peers.push(Some(Peer { key, frontend, inbox, outbox, reads, heard }));
        self.router.set_room(key, self.room);
        index
    }

    /// Returns a peer. None if it has left meanwhile.
    fn find(&mut self, key: ConnectionKey) -> Option<&mut Peer> {
        self.peers.get_mut(key.slot as usize)?.as_mut()
    }

    fn peer(&mut self, index: usize) -> &mut Peer {
        self.peers[index].as_mut().unwrap()
    }

    /// Takes a turn in which these bytes arrive from a peer.
    pub(super) fn say(&mut self, index: usize, bytes: &[u8]) {
        self.steps = 0;
        self.router.set_now(self.now);
        self.router.fire_deadlines();
        self.peer(index).inbox.extend_from_slice(bytes);
        let mut run = Run { limit: self.run_limit, ..Run::default() };
        loop {
            let now = self.now;
            let peer = self.peer(index);
            let key = peer.key;
            let Some(event) = peer.frontend.receive(&mut peer.inbox, now, &mut peer.outbox, &mut run) else { break };
            self.on_event(key, event, &mut run);
            self.apply_effects();
        }
        assert!(run.arrivals.is_empty(), "a run goes to the router when it ends");
        self.finish_turn();
    }

    fn on_event(&mut self, key: ConnectionKey, event: Event, run: &mut Run) {
        self.steps += 1;
        assert!(self.steps < MAX_EVENTS, "no end of it");
        match event {
            Event::Opened(_) => {
                let peer = self.peers[key.slot as usize].as_mut().unwrap();
                peer.frontend.admit(&mut peer.outbox);
            }
            Event::Messages { .. } => self.router.messages(key, &event, run),
            event => self.router.handle(key, event),
        }
        assert!(run.arrivals.is_empty(), "the router takes all of a run");
    }

    fn apply_effects(&mut self) {
        loop {
            while let Some(effect) = self.router.poll_effect() {
                let key = effect.link().connection;
                let now = self.now;
                // None if the peer has left meanwhile.
                let Some(peer) = self.peers.get_mut(key.slot as usize).and_then(Option::as_mut) else { continue };
                match effect {
                    Effect::Deliver { link, mut deliveries } => {
                        assert!(!deliveries.is_empty(), "an effect that says nothing");
                        peer.frontend.deliver(link.link, &mut deliveries, &mut peer.outbox);
                        self.router.reuse(deliveries);
                    }
                    effect => peer.frontend.apply(effect, now, &mut peer.outbox),
                }
                self.collect_events(key);
            }
            let Some((key, event)) = self.events.pop_front() else { return };
            self.on_event(key, event, &mut Run::default());
        }
    }

    fn collect_events(&mut self, key: ConnectionKey) {
        while let Some(event) = self.find(key).and_then(|peer| peer.frontend.poll_event()) {
            self.events.push_back((key, event));
        }
    }

    /// Ends the turn for all peers, until no output is left.
    fn finish_turn(&mut self) {
        let keys: Vec<ConnectionKey> = self.peers.iter().flatten().map(|peer| peer.key).collect();
        for _ in 0..3 {
            for key in &keys {
                let (now, room) = (self.now, self.room);
                let peer = self.find(*key).expect("nobody leaves while a turn ends");
                peer.frontend.finish_turn(now, &mut peer.outbox);
                peer.frontend.poll_breach();
                peer.frontend.take_notes();
                if peer.reads {
                    let output = drained(&mut peer.outbox);
                    peer.heard.extend_from_slice(&output);
                }
                let room = room.saturating_sub(peer.outbox.len());
                self.collect_events(*key);
                self.apply_effects();
                if !self.router.refill(*key, room) {
                    self.router.set_room(*key, room);
                    self.apply_effects();
                }
            }
        }
    }

    /// Advances the clock to a peer's next deadline, if it has one.
    pub(super) fn wait_for_deadline(&mut self, index: usize) {
        let Some(due) = self.peer(index).frontend.deadline() else { return };
        self.now = self.now.max(due);
        let now = self.now;
        let peer = self.peer(index);
        let key = peer.key;
        peer.frontend.handle_timeout(now, &mut peer.outbox);
        self.collect_events(key);
        self.apply_effects();
        self.finish_turn();
        let (now, peer) = (self.now, self.peer(index));
        if !peer.frontend.is_dropped() {
            let next = peer.frontend.deadline();
            assert!(next.is_none_or(|next| next > now), "a deadline that stays where it is keeps the loop busy");
        }
    }

    /// Disconnects a peer. Checks that its links are gone.
    pub(super) fn disconnect(&mut self, index: usize) {
        self.steps = 0;
        let mut peer = self.peers[index].take().unwrap();
        peer.frontend.abandon();
        while let Some(event) = peer.frontend.poll_event() {
            self.on_event(peer.key, event, &mut Run::default());
        }
        assert_eq!(self.router.links_of(peer.key), 0, "an engine takes all of its links with it");
        self.router.connection_gone(peer.key);
        self.apply_effects();
        self.finish_turn();
    }

    /// Returns all bytes that a peer has been sent.
    pub(super) fn heard(&mut self, index: usize) -> &[u8] {
        &self.peer(index).heard
    }

    pub(super) fn is_open(&mut self, index: usize) -> bool {
        self.peer(index).frontend.is_open()
    }

    /// Returns what the router holds. Checks it against the budget.
    pub(super) fn audit(&self) -> crate::router::Audit {
        let audit = self.router.audit();
        let arriving: usize = self.peers.iter().flatten().map(|peer| peer.frontend.arriving()).sum();
        assert_eq!(audit.bytes + arriving, self.budget.used(), "the budget is the sum of what waits");
        audit
    }
}

/// Returns the bytes that are to be written.
fn drained(outbox: &mut Outbox) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !outbox.is_empty() {
        let mut slices = [IoSlice::new(&[]); 8];
        let used = outbox.fill(&mut slices);
        let before = bytes.len();
        slices[..used].iter().for_each(|slice| bytes.extend_from_slice(slice));
        outbox.consume(bytes.len() - before);
    }
    bytes
}
