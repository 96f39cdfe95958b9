//! The parts of the router that a node uses while it works: links, effects, budget. A node has no access to other nodes.

use std::sync::Arc;
use std::time::Instant;

use super::dead_letters::{DeadLetter, DeadLetterRoute, DeadLetters};
use super::effects::Effects;
use super::exchange::VhostName;
use super::journal::Journal;
use super::links::{Links, Outstanding};
use super::origins::{OriginId, Origins};
use super::store::Waiting;
use crate::budget::Budget;
use crate::config::{RoutingConfig, Settlement, Unroutable};
use crate::counts::Counts;
use crate::deaths::DeathReason;
use crate::event::{Arrival, DeliveryKey, Fault, LinkKey, Modified, NamedLink, Numbers, Outcome, Reason, Ticket};
use crate::live::live;
use crate::message::{Encoding, Message, MessageCodec};

/// A message that is offered to a node.
#[derive(Debug)]
pub(super) struct Incoming {
    /// The number of the message in records.
    pub(super) number: u64,
    pub(super) message: Message,
    /// The sender's delivery, which needs an outcome. None if it came settled.
    pub(super) delivery: Option<DeliveryKey>,
}

/// Where the outcome of an offered message goes.
#[derive(Debug)]
pub(super) enum Answers<'a> {
    /// To the producer that sent the message.
    Sender(LinkKey),
    /// Into this variable, for a caller that offers a message to several nodes. None: the outcome comes later or never.
    Kept(&'a mut Option<Outcome>),
}

/// Gives a node access to links, effects, budget and counters, for the duration of one call.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// The address of the node.
    pub(super) address: &'a Arc<str>,
    pub(super) vhost: &'a VhostName,
    pub(super) now: Instant,
    pub(super) codec: fn(Encoding) -> MessageCodec,
    pub(super) config: &'a RoutingConfig,
    pub(super) links: &'a mut Links,
    pub(super) effects: &'a mut Effects,
    pub(super) origins: &'a mut Origins,
    pub(super) budget: &'a Budget,
    pub(super) counts: &'a mut Counts,
    pub(super) journal: &'a mut Journal,
    /// Messages that leave the node unconsumed.
    pub(super) dead_letters: &'a mut DeadLetters,
    /// Set when a message is refused for want of room.
    pub(super) is_full: &'a mut bool,
}

impl Context<'_> {
    /// Registers the sender of an unsettled message, to be sent an outcome when `copies` receivers have answered. None unless
    /// settlement is end to end.
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

    /// Passes the outcome of a message to its sender. None: the outcome comes later or never.
    pub(super) fn tell(
        &mut self,
        to: &mut Answers<'_>,
        number: u64,
        delivery: Option<DeliveryKey>,
        outcome: Option<Outcome>,
    ) {
        let Some(delivery) = delivery else {
            // A settled message has an outcome too where several nodes are offered it.
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

    /// Hands a consumer as many messages from the start of a run as it can take now, and returns their number. The node keeps
    /// nothing of them. Does nothing with end-to-end settlement.
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
        if self.journal.is_on() {
            let messages = Numbers { first: self.journal.arrived() + 1, count };
            self.journal.came_in_a_row(messages.first, sender, self.address, arrivals.get(..count).unwrap_or_default());
            self.journal.forwarded_in_a_row(messages, key, &taker.consumer.name, self.address);
        }
        for Arrival { delivery, message } in arrivals.drain(..count) {
            let number = self.journal.next_number();
            let settled = taker.consumer.settles(delivery.is_none());
            let ticket = self.journal.ticket(number, settled);
            taker.give(message, settled, ticket, self.effects);
            if let Some(delivery) = delivery {
                self.journal.told(number, &Outcome::Accepted);
                self.effects.settle(from, delivery, Outcome::Accepted);
            }
        }
        count as u64
    }

    /// Hands a message to a consumer, if it can take it now. The node keeps nothing of it.
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

    /// Hands a message to a consumer that can take one now. The node keeps nothing of it.
    pub(super) fn pass_on(
        &mut self,
        key: LinkKey,
        number: u64,
        message: Message,
        came_settled: bool,
        origin: Option<OriginId>,
    ) {
        let Some(mut taker) = live(self.links.taker(key), "a consumer that can take a message") else { return };
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
    }

    /// Adds the outcome of one copy of a message whose sender waits.
    pub(super) fn resolve(&mut self, origin: OriginId, outcome: Outcome) {
        self.origins.resolve(origin, outcome, self.journal, self.effects);
    }

    /// Checks that a message may wait: that it fits a consumer (`fits`) and the budget. If not, passes its sender an outcome and
    /// returns None.
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

    /// Turns an admitted message into one that waits. Its sender is sent accepted, unless settlement is end to end.
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

    /// Counts and records a message that begins to wait.
    pub(super) fn wait(&mut self, waiting: &Waiting) {
        self.budget.take(waiting.cost());
        self.journal.waits(waiting.number, self.address);
    }

    /// Drops a message that waited. Its sender is sent released, if settlement is end to end.
    pub(super) fn drop_waiting(&mut self, waiting: Waiting, why: &str) {
        log::info!("dropped at {:?}: {why}", self.address);
        self.journal.dropped(waiting.number, self.address, why);
        self.budget.give_back(waiting.cost());
        self.counts.dropped += 1;
        self.release(waiting);
    }

    /// Removes a message that waited, for a purge. Its sender is sent released, if settlement is end to end.
    pub(super) fn purge(&mut self, waiting: Waiting) {
        self.budget.give_back(waiting.cost());
        self.journal.dropped(waiting.number, self.address, "purged");
        self.release(waiting);
    }

    /// Drops one consumer's copy of a message, as [`Context::drop_waiting`] does, without counting it as a dropped message.
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

    /// Refuses a message that finds no room. Returns the outcome for its sender.
    pub(super) fn refuse_for_room(&mut self, number: u64) -> Outcome {
        *self.is_full = true;
        let why = format!("no room for it at {:?}: the broker's storage limit is reached", self.address);
        self.refuse(number, Reason::ResourceLimitExceeded, why)
    }

    /// Refuses a message that is larger than every consumer takes. Returns the outcome for its sender.
    pub(super) fn refuse_for_size(&mut self, number: u64) -> Outcome {
        let why = format!("the message is larger than the receiver at {:?} takes", self.address);
        self.refuse(number, Reason::MessageSizeExceeded, why)
    }

    /// A queue holds as many messages as it may; what the sender of one more is told.
    pub(super) fn refuse_for_length(&mut self, number: u64) -> Outcome {
        let why = format!("{} is full", self.vhost.queue(self.address));
        self.refuse(number, Reason::QueueFull, why)
    }

    /// Lets go of a message that waited and was not consumed: it is dead-lettered, or lost. The budget counts it until then.
    pub(super) fn bury(&mut self, waiting: Waiting, reason: DeathReason, route: Option<&DeadLetterRoute>) {
        let (why, cost) = (reason.name(), waiting.cost());
        let Some(route) = route else {
            self.budget.give_back(cost);
            self.counts.dropped += 1;
            return self.journal.dropped(waiting.number, self.address, why);
        };
        // Of a rejected one the record is the answer of its receiver.
        if reason != DeathReason::Rejected {
            let to = self.vhost.exchange(&route.exchange);
            if self.journal.is_on() {
                self.journal.dropped(waiting.number, self.address, &format!("{why}, dead-lettered to {to}"));
            }
        }
        let (queue, route) = (self.address.clone(), route.clone());
        self.dead_letters.push(DeadLetter { message: waiting.message, queue, reason, route, cost });
    }

    fn refuse(&mut self, number: u64, reason: Reason, why: String) -> Outcome {
        log::info!("dropped: {why}");
        self.counts.dropped += 1;
        self.journal.dropped(number, self.address, &why);
        Outcome::Rejected(Some(Box::new(Fault::new(reason, why))))
    }

    /// Drops a message that has no consumer. Returns the outcome for its sender. `elsewhere` names addresses that have
    /// consumers, for the records.
    pub(super) fn unroutable(&mut self, number: u64, elsewhere: impl FnOnce() -> String) -> Option<Outcome> {
        unroutable(self.config, self.counts, self.journal, self.address, number, elsewhere)
    }
}

/// Drops a message for an address without a consumer. Returns the outcome for its sender.
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

/// Returns the outcome for the sender of a message without a consumer, as configured. None: no outcome is sent.
pub(super) fn unroutable_outcome(config: &RoutingConfig, description: String) -> Option<Outcome> {
    match config.unroutable {
        Unroutable::Rejected => Some(Outcome::Rejected(Some(Box::new(Fault::new(Reason::NotFound, description))))),
        Unroutable::Released => Some(Outcome::Released),
        Unroutable::Modified => Some(Outcome::Modified(Modified { delivery_failed: true, ..Default::default() })),
        Unroutable::Silent => None,
    }
}
