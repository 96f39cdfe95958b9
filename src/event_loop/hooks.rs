//! The calls of a test's hooks (`crate::hooks`) for each message, attach and connection, before the router gets them, and the
//! messages that a hook delays.

use std::sync::Arc;
use std::time::Duration;

use super::{EventLoop, Wake};
use crate::event::{
    Arrival, ConnectionId, ConnectionKey, DEFAULT_VHOST, DeliveryKey, Destination, Event, Fault, LinkKey, Opened,
    Outcome, Reason, Run,
};
use crate::hooks::{Admission, Hooks, Judged, Ruling, fault};
use crate::live::live;
use crate::message::Message;
use crate::protocol::MessageRecord;
use crate::recorder::{LoggedLink, LoggedMessage};
use crate::snapshot::{Link, Role};
use crate::timers::Timers;

/// Bytes that a delayed message counts beside its payload.
const DELAYED_OVERHEAD: usize = 300;

/// The name of a run's message for [`live`].
const MESSAGE: &str = "the message of a run";

/// A message that a hook delays. Its timer owns it.
#[derive(Debug)]
pub(super) struct Delayed {
    /// The virtual host of the link: its connection may be gone when the message is routed.
    vhost: Arc<str>,
    /// The link that the message came on, which may be detached before the message is routed.
    link: LinkKey,
    /// The message's number in the log. 0 if it has none yet.
    number: u64,
    to: Destination,
    address: Arc<str>,
    message: Message,
    delivery: Option<DeliveryKey>,
    cost: usize,
}

impl EventLoop {
    pub(crate) fn hooks(&mut self) -> &mut Hooks {
        &mut self.hooks
    }

    /// Removes all hooks. The caller drops them outside the loop, since they may hold anything.
    pub(crate) fn take_hooks(&mut self) -> impl Send + use<> {
        let hooks = &mut self.hooks;
        (hooks.on_message.take(), hooks.on_attach.take(), hooks.on_connect.take())
    }

    /// Hands an event of an engine to the router, unless a hook decides otherwise. Call [`EventLoop::apply_effects`] next.
    #[inline(always)]
    pub(super) fn on_event(&mut self, key: ConnectionKey, event: Event, run: &mut Run) {
        match event {
            Event::Messages { link, to, credit } if self.hooks.on_message.is_some() => {
                self.judge(LinkKey { connection: key, link }, to, credit, run);
            }
            Event::Messages { .. } => self.vhosts.of(key).messages(key, &event, run),
            event => self.on_other_event(key, event),
        }
    }

    fn on_other_event(&mut self, key: ConnectionKey, event: Event) {
        match event {
            Event::Opened(opened) => self.on_opened(key, opened),
            Event::AttachProducer { link, ref name, ref node } if self.hooks.on_attach.is_some() => {
                let link = LinkKey { connection: key, link };
                let preview = self.vhosts.of(key).preview(link, name, Role::Sender, node);
                self.admit_link(key, &preview, event);
            }
            Event::AttachConsumer(ref request) if self.hooks.on_attach.is_some() => {
                let link = LinkKey { connection: key, link: request.link };
                let preview = self.vhosts.of(key).preview(link, &request.name, Role::Receiver, &request.node);
                self.admit_link(key, &preview, event);
            }
            event => self.vhosts.of(key).handle(key, event),
        }
    }

    /// Calls `on_message` for a message and does what it rules. While there is a hook, each run has one message.
    fn judge(&mut self, link: LinkKey, to: Destination, credit: u32, run: &mut Run) {
        debug_assert_eq!(run.arrivals.len(), 1, "each message is judged before the next is read");
        let Some(Arrival { delivery, message }) = live(run.arrivals.first(), MESSAGE) else { return };
        let router = self.vhosts.of(link.connection);
        let (sender, address) = router.passage(link, &to, message);
        let (number, vhost) = (router.next_number(), router.vhost());
        let sender = sender.map(LoggedLink::from);
        let record =
            MessageRecord::from(LoggedMessage::preview(number, sender, vhost, &address, delivery.is_none(), message));
        let verdict = self.asked(link.connection, |hooks| hooks.message(&record));
        let judged = verdict.map_or(Judged::Forward, Judged::from);
        if judged == Judged::Forward {
            return self.vhosts.of(link.connection).messages(
                link.connection,
                &Event::Messages { link: link.link, to, credit },
                run,
            );
        }
        let Some(Arrival { delivery, message }) = live(run.arrivals.pop(), MESSAGE) else { return };
        match judged {
            Judged::Forward => {}
            Judged::Ruled(ruling) => self.vhosts.of(link.connection).rule(link, &to, &message, delivery, ruling),
            Judged::Delay(time) => {
                let cost = message.payload.len() + DELAYED_OVERHEAD;
                if self.budget.has_room_for(cost) {
                    self.delay(
                        Delayed {
                            vhost: DEFAULT_VHOST.into(),
                            link,
                            number: 0,
                            to,
                            address,
                            message: message.kept(),
                            delivery,
                            cost,
                        },
                        time,
                    );
                } else {
                    let why = Fault::new(Reason::ResourceLimitExceeded, "too much is held up by a hook");
                    let ruling = Ruling::Settle(Outcome::Rejected(Some(Box::new(why))));
                    self.vhosts.of(link.connection).rule(link, &to, &message, delivery, ruling);
                }
            }
        }
        // The sender may send the next message.
        self.vhosts.of(link.connection).resupply(link, credit);
    }

    /// Sets a message aside until its time has passed.
    fn delay(&mut self, mut delayed: Delayed, time: Duration) {
        self.budget.take(delayed.cost);
        let settled = delayed.delivery.is_none();
        let router = self.vhosts.of(delayed.link.connection);
        delayed.vhost = router.name().clone();
        delayed.number = router.hold_up(delayed.link, &delayed.to, &delayed.message, settled);
        let Delayed { number, address, link, .. } = &delayed;
        let what = format!("message {number} at {address:?}: a hook delays it by {time:?}");
        self.recorder().noted(Some(ConnectionId::of(link.connection)), &what);
        // The link may be detached before the message is routed.
        delayed.to = self.vhosts.named(&delayed.vhost).lasting(delayed.link, delayed.to);
        self.timers.set(self.now + time, Wake::Delayed(Box::new(delayed)));
    }

    /// Routes a message whose delay is over.
    pub(super) fn end_delay(&mut self, delayed: Delayed) {
        self.budget.give_back(delayed.cost);
        self.stirred = true;
        let router = self.vhosts.named(&delayed.vhost);
        router.route_held(delayed.link, &delayed.to, delayed.number, delayed.message, delayed.delivery);
        self.apply_effects();
    }

    /// Drops all delayed messages, and all timers with them.
    pub(super) fn drop_delayed(&mut self) {
        self.real_timers = Timers::default();
        for wake in std::mem::take(&mut self.timers).into_keys() {
            if let Wake::Delayed(delayed) = wake {
                self.budget.give_back(delayed.cost);
                self.vhosts.named(&delayed.vhost).drop_held(delayed.number, &delayed.address);
            }
        }
    }

    /// Calls a hook, and traces its message if it panicked.
    fn asked<T>(&mut self, key: ConnectionKey, ask: impl FnOnce(&mut Hooks) -> T) -> T {
        let before = self.hooks.panics.len();
        let answer = ask(&mut self.hooks);
        let panics = self.hooks.panics.get(before..).unwrap_or_default().to_vec();
        for what in &panics {
            self.recorder().noted(Some(ConnectionId::of(key)), what);
        }
        answer
    }

    /// Keeps the fields of a peer's open. Lets the peer into its virtual host, unless there is none or `on_connect` refuses it.
    fn on_opened(&mut self, key: ConnectionKey, mut opened: Box<Opened>) {
        let Some(peer) = self.peers.find(key) else { return };
        let vhost = opened.vhost.clone().unwrap_or_else(|| self.vhosts.called(opened.host.as_deref()));
        opened.vhost = Some(vhost.clone());
        peer.opened = Some(opened);
        if !self.vhosts.enter(key, &vhost, peer.room()) {
            let note = format!("there is no vhost {vhost:?}: Handle::vhost, Builder::vhost and --vhost make one");
            self.recorder().noted(Some(ConnectionId::of(key)), &note);
            return self.close_peer(key, Fault::new(Reason::NoVirtualHost, format!("vhost {vhost} not found")));
        }
        if self.hooks.on_connect.is_some() {
            let picture = peer.picture();
            if let Some(Admission::Refuse { condition, description }) = self.asked(key, |hooks| hooks.connect(&picture))
            {
                return self.close_peer(key, fault(&condition, &description));
            }
        }
        if let Some(peer) = self.peers.at(key) {
            peer.frontend.admit(&mut peer.outbox);
            if self.blocked.is_some() {
                peer.frontend.block(self.blocked.clone(), &mut peer.outbox);
            }
        }
    }

    /// Calls `on_attach` for a link, and hands the attach to the router if the hook allows it.
    fn admit_link(&mut self, key: ConnectionKey, preview: &Link, event: Event) {
        match self.asked(key, |hooks| hooks.attach(preview)) {
            Some(Admission::Refuse { condition, description }) => {
                self.vhosts.of(key).refuse(preview.key, fault(&condition, &description));
            }
            Some(Admission::Allow) | None => self.vhosts.of(key).handle(key, event),
        }
    }
}
