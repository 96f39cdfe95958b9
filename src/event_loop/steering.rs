//! What a test does to a running broker, and where its hooks are asked. All of it happens on the loop's thread, between two
//! events.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::{EventLoop, Peer, Wake};
use crate::counts::Counts;
use crate::event::{ConnectionKey, DeliveryKey, Destination, Event, Fault, LinkKey, Opened, Outcome, Reason, Text};
use crate::hooks::{Admission, Hooks, Judged, Ruling, fault};
use crate::message::Message;
use crate::router::Router;
use crate::snapshot::{Connection, ConnectionId, Link, Role, Violation};

/// Violations and unclosed connections that are remembered: a report with more would not be read.
const MAX_REMEMBERED: usize = 100;

impl Peer {
    fn picture(&self) -> Connection {
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

    /// Answers a question while it does not run; who waits is told if something is different then.
    pub(crate) fn at_rest<R>(&mut self, question: impl FnOnce(&mut EventLoop) -> R) -> R {
        self.set_now(Instant::now());
        let answer = question(self);
        self.announce();
        answer
    }

    /// The counters as they are now.
    pub(crate) fn counts(&self) -> Counts {
        Counts { connections: self.peers.len() as u64, ..self.router.counts() }
    }

    pub(crate) fn hooks(&mut self) -> &mut Hooks {
        &mut self.hooks
    }

    /// Nobody is asked any more. What they hold is let go of by whoever has them then.
    pub(crate) fn take_hooks(&mut self) -> impl Send + use<> {
        let hooks = &mut self.hooks;
        (hooks.on_message.take(), hooks.on_attach.take(), hooks.on_connect.take())
    }

    /// Everybody who is connected, in the order in which they came.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        self.connections_where(|_| true)
    }

    fn connections_where(&self, wanted: impl Fn(&Peer) -> bool) -> Vec<Connection> {
        let peers = self.peers.iter().map(|(_, peer)| peer).filter(|peer| wanted(peer));
        let mut connections: Vec<Connection> = peers.map(Peer::picture).collect();
        connections.sort_by_key(|connection| connection.id);
        connections
    }

    /// Those of them that neither end has closed.
    pub(crate) fn unclosed_yet(&self) -> Vec<Connection> {
        self.connections_where(|peer| {
            let is_closing = peer.opened.is_some() && !peer.frontend.is_open();
            !(peer.is_ours || peer.frontend.is_closed() || is_closing)
        })
    }

    /// All links, with what engines and router know of them.
    pub(crate) fn links(&self) -> Vec<Link> {
        let mut links = self.router.links();
        for link in &mut links {
            let peer = self.peers.get(link.key.connection.slot as usize);
            link.unsettled = peer.map_or(0, |peer| peer.frontend.unsettled(link.key.link));
        }
        links.retain(|link| !link.is_aside || link.unsettled > 0);
        links
    }

    pub(crate) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Connections that went without a close.
    pub(crate) fn unclosed(&self) -> &[Connection] {
        &self.unclosed
    }

    /// What happened on a connection that a report should have.
    pub(super) fn note_breaches(&mut self, slot: usize) {
        while let Some(peer) = self.peers.get_mut(slot)
            && let Some(breach) = peer.frontend.poll_breach()
        {
            let violation = Violation {
                connection: ConnectionId::of(peer.key),
                peer: peer.address,
                section: breach.section,
                condition: crate::amqp10::spelled(&breach.fault.reason),
                description: breach.fault.description.as_deref().unwrap_or_default().to_owned(),
            };
            let text = format!("protocol violation: {} (section {})", violation.description, violation.section);
            self.router.chronicle_mut().noted(Some(violation.connection), &text);
            if self.violations.len() < MAX_REMEMBERED {
                self.violations.push(violation);
            }
        }
    }

    /// A peer goes.
    pub(super) fn note_end(&mut self, peer: &mut Peer) {
        self.router.chronicle_mut().disconnected(ConnectionId::of(peer.key));
        if !peer.is_ours && peer.frontend.is_open() && self.unclosed.len() < MAX_REMEMBERED {
            self.unclosed.push(peer.picture());
        }
    }

    /// Something that a peer did, before the router hears of it.
    #[inline(always)]
    pub(super) fn on_event(&mut self, key: ConnectionKey, event: Event) {
        match event {
            Event::Message { .. } if self.hooks.on_message.is_some() => self.judge(key, event),
            Event::Message { .. } => self.router.handle(key, event),
            event => self.on_other_event(key, event),
        }
    }

    fn on_other_event(&mut self, key: ConnectionKey, event: Event) {
        match event {
            Event::Opened(opened) => self.on_opened(key, opened),
            Event::AttachProducer { link, ref name, ref node } if self.hooks.on_attach.is_some() => {
                let preview = Router::preview(LinkKey { connection: key, link }, name, Role::Sender, node);
                self.admit_link(key, &preview, event);
            }
            Event::AttachConsumer(ref request) if self.hooks.on_attach.is_some() => {
                let link = LinkKey { connection: key, link: request.link };
                let preview = Router::preview(link, &request.name, Role::Receiver, &request.node);
                self.admit_link(key, &preview, event);
            }
            event => self.router.handle(key, event),
        }
    }

    /// Asks the hook what becomes of a message.
    fn judge(&mut self, key: ConnectionKey, event: Event) {
        let Event::Message { link, delivery, settled, to, message } = &event else { return };
        let link = LinkKey { connection: key, link: *link };
        let delivery = (!settled).then_some(*delivery);
        let (party, address) = self.router.passage(link, to);
        let seen = self.router.chronicle().preview(party, &address, *settled, message);
        let verdict = self.asked(key, |hooks| hooks.message(&seen));
        match verdict.map_or(Judged::Forward, Judged::from) {
            Judged::Forward => self.router.handle(key, event),
            Judged::Delay(time) => {
                let cost = message.payload.len() + HELD_OVERHEAD;
                if self.delayed_bytes + cost > self.max_delayed_bytes {
                    let why = Fault::new(Reason::ResourceLimitExceeded, "too much is held up by a hook");
                    let ruling = Ruling::Settle(Outcome::Rejected(Some(Box::new(why))));
                    return self.router.rule(link, to, message, delivery, ruling);
                }
                let Event::Message { to, message, .. } = event else { return };
                self.delayed_bytes += cost;
                let message = message.kept();
                // To several queues it goes as several messages, that do not have their numbers yet.
                let number = match &to {
                    Destination::Queues(_) => 0,
                    _ => self.router.take_in(link, &to, &message, delivery.is_none()),
                };
                let what = format!("message {number} at {address:?}: a hook delays it by {time:?}");
                self.router.chronicle_mut().noted(Some(ConnectionId::of(key)), &what);
                let held = Held { link, number, to: addressed(to, &address), address, message, delivery, cost };
                self.timers.set(self.now + time, Wake::Delayed(Box::new(held)));
            }
            Judged::Ruled(ruling) => self.router.rule(link, to, message, delivery, ruling),
        }
    }

    /// A message that was held up goes its way.
    pub(super) fn deliver_held(&mut self, held: Held) {
        self.delayed_bytes -= held.cost;
        self.stirred = true;
        self.router.route_held(held.link, held.to, held.number, held.message, held.delivery);
        self.apply_effects();
    }

    /// Messages that are held up go nowhere.
    pub(super) fn drop_held(&mut self) {
        for wake in std::mem::take(&mut self.timers).into_keys() {
            if let Wake::Delayed(held) = wake {
                self.router.drop_held(held.number, &held.address);
            }
        }
        self.delayed_bytes = 0;
    }

    /// Asks a hook, and notes if it panics.
    fn asked<T>(&mut self, key: ConnectionKey, ask: impl FnOnce(&mut Hooks) -> T) -> T {
        let before = self.hooks.panics.len();
        let answer = ask(&mut self.hooks);
        for what in self.hooks.panics.get(before..).unwrap_or_default() {
            self.router.chronicle_mut().noted(Some(ConnectionId::of(key)), what);
        }
        answer
    }

    fn on_opened(&mut self, key: ConnectionKey, opened: Box<Opened>) {
        let slot = key.slot as usize;
        let Some(peer) = self.peers.get_mut(slot).filter(|peer| peer.key == key) else { return };
        peer.opened = Some(opened);
        if self.hooks.on_connect.is_none() {
            return;
        }
        let picture = peer.picture();
        if let Some(Admission::Refuse { condition, description }) = self.asked(key, |hooks| hooks.connect(&picture)) {
            self.close_peer(slot, fault(&condition, &description));
        }
    }

    fn admit_link(&mut self, key: ConnectionKey, preview: &Link, event: Event) {
        match self.asked(key, |hooks| hooks.attach(preview)) {
            Some(Admission::Refuse { condition, description }) => {
                self.router.refuse(preview.key, fault(&condition, &description));
            }
            Some(Admission::Allow) | None => self.router.handle(key, event),
        }
    }

    /// Closes a connection in its protocol's own way.
    pub(super) fn close_peer(&mut self, slot: usize, fault: Fault) {
        let Some(key) = self.peers.get(slot).map(|peer| peer.key) else { return };
        let events = self.say_goodbye(slot, fault);
        self.events.extend(events.into_iter().map(|event| (key, event)));
    }

    /// The close; what it leads to.
    fn say_goodbye(&mut self, slot: usize, fault: Fault) -> Vec<Event> {
        let Some(peer) = self.peers.get_mut(slot) else { return Vec::new() };
        peer.is_ours = true;
        peer.frontend.close(fault, self.now, &mut peer.outbox);
        let events = std::iter::from_fn(|| peer.frontend.poll_event()).collect();
        self.touch(slot);
        events
    }

    /// Closes all connections at once, so that none is given what another had.
    pub(super) fn close_all(&mut self, fault: &Fault) {
        let slots: Vec<(usize, ConnectionKey)> = self.peers.iter().map(|(slot, peer)| (slot, peer.key)).collect();
        let mut gone = Vec::new();
        for (slot, key) in slots {
            for event in self.say_goodbye(slot, fault.clone()) {
                match event {
                    Event::Detach { .. } => gone.extend(event.into_gone(key)),
                    other => self.events.push_back((key, other)),
                }
            }
        }
        self.router.detach(gone);
        self.apply_effects();
    }

    fn slot_of(&self, id: ConnectionId) -> Option<usize> {
        self.peers.iter().find(|(_, peer)| ConnectionId::of(peer.key) == id).map(|(slot, _)| slot)
    }

    /// Forgets what is stored and what has been declared. For when nobody is connected.
    pub(crate) fn drop_queues(&mut self) {
        self.router.purge_all();
        self.router.undeclare_all();
        self.realm.reset();
        self.settle_in();
    }

    /// Closes one connection with an error. False if it is gone.
    pub(crate) fn close(&mut self, id: ConnectionId, condition: &str, description: &str) -> bool {
        let slot = self.slot_of(id);
        slot.into_iter().for_each(|slot| self.close_peer(slot, fault(condition, description)));
        self.settle_in();
        slot.is_some()
    }

    /// Detaches one link with an error. False if it is gone.
    pub(crate) fn detach(&mut self, key: LinkKey, condition: &str, description: &str) -> bool {
        let is_there = self.router.has(key);
        if is_there {
            self.router().detach_link(key, fault(condition, description));
            self.settle_in();
        }
        is_there
    }

    /// Drops a connection without a word. False if it is gone already.
    pub(crate) fn disconnect(&mut self, id: ConnectionId) -> bool {
        let Some(mut peer) = self.slot_of(id).and_then(|slot| self.peers.try_remove(slot)) else { return false };
        peer.is_ours = true;
        self.drop_peer(peer);
        self.settle_in();
        true
    }

    /// Drops all connections. How many there were.
    pub(crate) fn disconnect_all(&mut self) -> usize {
        let count = self.drop_all();
        self.settle_in();
        count
    }

    /// Serves nobody until [`EventLoop::resume`].
    pub(crate) fn pause(&mut self) {
        self.paused = true;
        self.router.chronicle_mut().noted(None, "paused");
    }

    /// Serves again, beginning with what has gathered.
    pub(crate) fn resume(&mut self) {
        if std::mem::take(&mut self.paused) {
            self.router.chronicle_mut().noted(None, "resumed");
            let slots: Vec<usize> = self.peers.iter().map(|(slot, _)| slot).collect();
            slots.into_iter().for_each(|slot| self.touch(slot));
        }
    }

    /// What was asked for is done at once, as far as it is the loop's; what has to be written is, at the end of the turn.
    pub(crate) fn settle_in(&mut self) {
        self.stirred = true;
        self.apply_effects();
        self.publish();
    }

    /// The kernel refuses connections from here on.
    pub(super) fn close_listeners(&mut self) {
        for mut listener in self.listeners.drain(..) {
            let _ = self.poll.registry().deregister(&mut listener);
        }
        self.unaccepted.clear();
    }

    /// Refuses connections, holding on to the addresses, or accepts them again. While it does not run they are refused anyway.
    pub(crate) fn refuse_connections(&mut self, refuse: bool) -> io::Result<()> {
        if !self.is_running {
            return Ok(());
        }
        if refuse && !self.listeners.is_empty() {
            self.router.chronicle_mut().noted(None, "connections are refused");
            // Those that nobody has accepted yet are refused as well.
            self.close_listeners();
            self.held = crate::address::hold(&self.addrs)?;
        } else if !refuse && self.listeners.is_empty() {
            self.router.chronicle_mut().noted(None, "connections are accepted");
            let held = match std::mem::take(&mut self.held) {
                held if held.is_empty() => crate::address::hold(&self.addrs)?,
                held => held,
            };
            let listeners = crate::address::listen(held, &self.addrs)?;
            self.listen(listeners)?;
        }
        Ok(())
    }
}

/// What a message that is held up costs beside its bytes, about.
const HELD_OVERHEAD: usize = 300;

/// A message that a hook holds up.
#[derive(Debug)]
pub(super) struct Held {
    /// The link that it came on, which may be gone by the time that it goes on.
    link: LinkKey,
    /// The message's own, for what is told of it.
    number: u64,
    to: Destination,
    address: Arc<str>,
    message: Message,
    delivery: Option<DeliveryKey>,
    cost: usize,
}

/// Where a message goes that its link says the way of, whatever becomes of the link.
fn addressed(to: Destination, address: &str) -> Destination {
    match to {
        Destination::Link | Destination::Missing if !address.is_empty() => Destination::Named(Text::from(address)),
        to => to,
    }
}
