//! What a node needs of the router while it works: the links, the effects, the budget. A node knows no other node.

use std::sync::Arc;

use super::effects::Effects;
use super::journal::Journal;
use super::links::{Links, Outstanding};
use super::origins::{OriginId, Origins};
use super::store::Waiting;
use crate::budget::Budget;
use crate::config::{RoutingConfig, Settlement, Unroutable};
use crate::counts::Counts;
use crate::event::{Arrival, DeliveryKey, Fault, LinkKey, Modified, NamedLink, Outcome, Reason, Ticket};
use crate::message::Message;

/// A message on its way into a node.
#[derive(Debug)]
pub(super) struct Incoming {
    /// The message's own, for what is told of it.
    pub(super) number: u64,
    pub(super) message: Message,
    /// The delivery whose outcome its sender wants; None for one that came settled.
    pub(super) delivery: Option<DeliveryKey>,
}

/// Where the outcomes of messages go that a node is offered.
#[derive(Debug)]
pub(super) enum Answers<'a> {
    /// To the producer that sent them.
    Sender(LinkKey),
    /// To whoever offers a message to several nodes: the outcome for its sender, None if that comes later or never.
    Kept(&'a mut Option<Outcome>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// The address of the node.
    pub(super) address: &'a Arc<str>,
    pub(super) config: &'a RoutingConfig,
    pub(super) links: &'a mut Links,
    pub(super) effects: &'a mut Effects,
    pub(super) origins: &'a mut Origins,
    pub(super) budget: &'a Budget,
    pub(super) counts: &'a mut Counts,
    pub(super) journal: &'a mut Journal,
    /// A message was refused for want of room.
    pub(super) is_full: &'a mut bool,
}

impl Context<'_> {
    /// Remembers the sender of an unsettled message until `copies` receivers have answered, if it waits for that.
    pub(super) fn origin(
        &mut self,
        number: u64,
        delivery: Option<DeliveryKey>,
        from: &Answers<'_>,
        copies: usize,
    ) -> Option<OriginId> {
        match (from, delivery) {
            (Answers::Sender(producer), Some(delivery)) if self.config.settlement == Settlement::EndToEnd => {
                Some(self.origins.add(number, *producer, delivery, copies))
            }
            _ => None,
        }
    }

    /// Gives the sender of a message its outcome. None is none now: it comes later, or never.
    pub(super) fn tell(
        &mut self,
        to: &mut Answers<'_>,
        number: u64,
        delivery: Option<DeliveryKey>,
        outcome: Option<Outcome>,
    ) {
        let Some(delivery) = delivery else {
            // Whoever offers a message to several nodes wants to know all the same.
            if let Answers::Kept(kept) = to {
                **kept = outcome;
            }
            return;
        };
        if let Some(outcome) = &outcome {
            self.journal.told(number, outcome);
        }
        match (to, outcome) {
            (Answers::Sender(link), Some(outcome)) => self.effects.settle(*link, delivery, outcome),
            (Answers::Sender(_), None) => {}
            (Answers::Kept(kept), outcome) => **kept = outcome,
        }
    }

    /// Writes down that a message came, if that is wanted.
    #[inline]
    pub(super) fn came(&mut self, number: u64, sender: &Option<NamedLink>, settled: bool, message: &Message) {
        if self.journal.is_on() {
            self.journal.came(number, sender.clone(), self.address, settled, message);
        }
    }

    /// Hands a consumer as many messages at the start of a run as it can take now, and forgets them; how many that was. None if
    /// their senders wait for what their receivers say.
    pub(super) fn forward_run(
        &mut self,
        key: LinkKey,
        arrivals: &mut Vec<Arrival>,
        from: LinkKey,
        sender: &Option<NamedLink>,
    ) -> u64 {
        if self.config.settlement != Settlement::Immediate {
            return 0;
        }
        let Some(mut taker) = self.links.taker(key) else { return 0 };
        let count = taker.takes_of(arrivals);
        for Arrival { delivery, message } in arrivals.drain(..count) {
            let number = self.journal.next_number();
            let settled = taker.consumer.settles(delivery.is_none());
            let ticket = self.journal.ticket(number, settled);
            if self.journal.is_on() {
                self.journal.came(number, sender.clone(), self.address, delivery.is_none(), &message);
                self.journal.forwarded(number, key, &taker.consumer.name, self.address);
            }
            taker.give(message, settled, ticket, self.effects);
            if let Some(delivery) = delivery {
                self.journal.told(number, &Outcome::Accepted);
                self.effects.settle(from, delivery, Outcome::Accepted);
            }
        }
        count as u64
    }

    /// Hands a message to a consumer at once and forgets it, if the consumer can take it now.
    #[inline]
    pub(super) fn forward(&mut self, key: LinkKey, incoming: Incoming, from: &mut Answers<'_>) -> Result<(), Incoming> {
        let Some(mut taker) = self.links.taker(key).filter(|taker| taker.consumer.fits(&incoming.message)) else {
            return Err(incoming);
        };
        let Incoming { number, message, delivery } = incoming;
        if self.config.settlement == Settlement::Immediate {
            let settled = taker.consumer.settles(delivery.is_none());
            let ticket = self.journal.ticket(number, settled);
            if self.journal.is_on() {
                self.journal.forwarded(number, key, &taker.consumer.name, self.address);
            }
            taker.give(message, settled, ticket, self.effects);
            self.tell(from, number, delivery, Some(Outcome::Accepted));
            return Ok(());
        }
        let origin = self.origin(number, delivery, from, 1);
        self.pass_on(key, number, message, delivery.is_none(), origin);
        if origin.is_none() {
            self.tell(from, number, delivery, Some(Outcome::Accepted));
        }
        Ok(())
    }

    /// Hands a message that the node forgets then to a consumer. False if the consumer cannot be given one.
    pub(super) fn pass_on(
        &mut self,
        key: LinkKey,
        number: u64,
        message: Message,
        came_settled: bool,
        origin: Option<OriginId>,
    ) -> bool {
        let Some(mut taker) = self.links.taker(key) else { return false };
        let settled = taker.consumer.settles(came_settled);
        let ticket = match origin.filter(|_| !settled) {
            Some(origin) => Ticket(taker.consumer.outstanding.push(Outstanding::EndToEnd(origin))),
            None => self.journal.ticket(number, settled),
        };
        if self.journal.is_on() {
            self.journal.forwarded(number, key, &taker.consumer.name, self.address);
        }
        taker.give(message, settled, ticket, self.effects);
        if let (true, Some(origin)) = (settled, origin) {
            self.resolve(origin, Outcome::Accepted);
        }
        true
    }

    /// One copy of a message whose sender waits has its outcome.
    pub(super) fn resolve(&mut self, origin: OriginId, outcome: Outcome) {
        self.origins.resolve(origin, outcome, self.journal, self.effects);
    }

    /// Admits a message that cannot go out at once to where it would wait. None if it may not: too large for whoever is
    /// there (`fits` is false), or no room; its sender is told then.
    pub(super) fn admit(&mut self, incoming: Incoming, fits: bool, from: &mut Answers<'_>) -> Option<Incoming> {
        let outcome = if !fits {
            self.refuse_for_size(incoming.number)
        } else if !self.budget.has_room_for(Waiting::cost_of(&incoming.message)) {
            self.refuse_for_room(incoming.number)
        } else {
            return Some(incoming);
        };
        self.tell(from, incoming.number, incoming.delivery, Some(outcome));
        None
    }

    /// A message that cannot go out yet, as it waits: it is counted, and the sender of one that is not stored is told its
    /// outcome unless it wants to know its receiver's.
    pub(super) fn keep(&mut self, incoming: Incoming, place: u64, from: &mut Answers<'_>) -> Waiting {
        let Incoming { number, message, delivery } = incoming;
        let origin = self.origin(number, delivery, from, 1);
        let waiting = Waiting::new(number, place, message.kept(), delivery.is_none(), origin);
        self.wait(&waiting);
        if origin.is_none() {
            self.tell(from, number, delivery, Some(Outcome::Accepted));
        }
        waiting
    }

    /// Counts a message that waits from now.
    pub(super) fn wait(&mut self, waiting: &Waiting) {
        self.budget.take(waiting.cost());
        self.journal.waits(waiting.number, self.address);
    }

    /// A message that waited is lost; its sender is told, if it still waits for that.
    pub(super) fn drop_waiting(&mut self, waiting: Waiting, why: &str) {
        log::info!("dropped at {:?}: {why}", self.address);
        self.journal.dropped(waiting.number, self.address, why);
        self.budget.give_back(waiting.cost());
        self.counts.dropped += 1;
        self.release(waiting);
    }

    /// A message that waited is taken out; its sender is told, if it still waits for that.
    pub(super) fn purge(&mut self, waiting: Waiting) {
        self.budget.give_back(waiting.cost());
        self.journal.dropped(waiting.number, self.address, "purged");
        self.release(waiting);
    }

    /// One consumer's copy of a message is lost; its sender is told, if it still waits for that.
    pub(super) fn lose_copy(&mut self, waiting: Waiting, why: &'static str) {
        self.budget.give_back(waiting.cost());
        self.journal.lost(waiting.number, self.address, why);
        self.release(waiting);
    }

    fn release(&mut self, waiting: Waiting) {
        if let Some(origin) = waiting.origin {
            self.resolve(origin, Outcome::Released);
        }
    }

    /// There is no room for a message; what its sender is told.
    pub(super) fn refuse_for_room(&mut self, number: u64) -> Outcome {
        *self.is_full = true;
        let why = format!("no room for it at {:?}: the broker's storage limit is reached", self.address);
        self.refuse(number, Reason::ResourceLimitExceeded, why)
    }

    /// A message is too large for whoever could be given it; what its sender is told.
    pub(super) fn refuse_for_size(&mut self, number: u64) -> Outcome {
        let why = format!("the message is larger than the receiver at {:?} takes", self.address);
        self.refuse(number, Reason::MessageSizeExceeded, why)
    }

    fn refuse(&mut self, number: u64, reason: Reason, why: String) -> Outcome {
        log::info!("dropped: {why}");
        self.counts.dropped += 1;
        self.journal.dropped(number, self.address, &why);
        Outcome::Rejected(Some(Box::new(Fault::new(reason, why))))
    }

    /// Nobody is there for a message; what its sender is told. `elsewhere` says where somebody is.
    pub(super) fn unroutable(&mut self, number: u64, elsewhere: impl FnOnce() -> String) -> Option<Outcome> {
        unroutable(self.config, self.counts, self.journal, self.address, number, elsewhere)
    }
}

/// Nobody is there for a message at an address; what its sender is told.
pub(super) fn unroutable(
    config: &RoutingConfig,
    counts: &mut Counts,
    journal: &mut Journal,
    address: &Arc<str>,
    number: u64,
    elsewhere: impl FnOnce() -> String,
) -> Option<Outcome> {
    let description = format!("no receiver at {address:?}");
    log::info!("dropped: {description}");
    counts.dropped += 1;
    if journal.is_on() {
        journal.dropped(number, address, &format!("{description}{}", elsewhere()));
    }
    unroutable_outcome(config, description)
}

/// What the sender of a message is told that nobody gets. None: nothing.
pub(super) fn unroutable_outcome(config: &RoutingConfig, description: String) -> Option<Outcome> {
    match config.unroutable {
        Unroutable::Rejected => Some(Outcome::Rejected(Some(Box::new(Fault::new(Reason::NotFound, description))))),
        Unroutable::Released => Some(Outcome::Released),
        Unroutable::Modified => Some(Outcome::Modified(Modified { delivery_failed: true, ..Default::default() })),
        Unroutable::Silent => None,
    }
}
