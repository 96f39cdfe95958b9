//! A queue: it stores every message until a consumer has settled it. A message that is given back returns to its place.
//! Consumers get messages in turn; browsers get copies.
//!
//! `../declared.rs` has the declaration of a queue.
//!
//! | file | contents |
//! |---|---|
//! | `mod.rs` | arrival, delivery and return of messages |
//! | `settings.rs` | the arguments of a declaration that change what the queue does |
//! | `queue_type.rs` | the types of queue, and what each refuses |
//! | `deliveries.rs` | what quorum queues and streams add to a delivery |
//! | `stream.rs` | streams: what they do not do, and where their consumers begin |
//! | `disuse.rs` | the time since the queue was last used |
//! | `single_active.rs` | the one consumer that is given messages, where only one is |

mod deliveries;
mod disuse;
mod queue_type;
mod settings;
mod single_active;
mod stream;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::declared::Declared;
use super::row::Row;
use crate::arguments::Arguments;
use crate::deaths::DeathReason;
use crate::event::{Arrival, ConsumerRequest, Fault, LinkKey, Modified, NamedLink, Outcome, Reason, Ticket};
use crate::live::live;
use crate::message::{Message, keep_together};
use crate::router::consumer_settings::StreamOffset;
use crate::router::context::{Answers, Context, Incoming};
use crate::router::exchange::Named;
use crate::router::links::{Links, Outstanding};
use crate::router::store::{Store, Waiting};
use crate::timers::Timer;

use disuse::Disuse;
pub(in crate::router) use queue_type::QueueType;
pub(in crate::router) use settings::{Overflow, Settings};
use single_active::SingleActive;
pub(in crate::router) use stream::not_supported;

/// Consumers of a queue, and its messages.
#[derive(Debug, Default)]
pub(in crate::router) struct Queue {
    /// Consumers that take messages, in the order in which they attached.
    pub(super) consumers: Vec<LinkKey>,
    pub(super) browsers: Vec<LinkKey>,
    /// Links that are not counted as consumers: those of single requests, and retired consumers.
    pub(super) aside: Vec<LinkKey>,
    /// The exclusive consumer.
    pub(super) sole: Option<LinkKey>,
    pub(super) ready: Row,
    pub(super) store: Store,
    pub(in crate::router) declared: Option<Declared>,
    /// Consumers whose cursor has passed messages that are not for them.
    choosy: Vec<LinkKey>,
    pub(in crate::router) settings: Settings,
    /// Whether a message in the store may have a time at which it expires.
    has_expiring: bool,
    disuse: Disuse,
    /// The active consumer, if the settings allow one alone.
    active: SingleActive,
    /// The timer of the queue's next deadline, which the router keeps up.
    pub(in crate::router) timer: Option<Timer>,
}

impl Queue {
    /// Takes over all messages of a run, if there is room for all of them. The only consumer in the row, if it takes settled
    /// deliveries, is given at once what it can take.
    pub(super) fn take_run(
        &mut self,
        arrivals: &mut Vec<Arrival>,
        from: LinkKey,
        sender: &Option<NamedLink>,
        context: &mut Context<'_>,
    ) {
        if !self.settings.takes_runs() {
            return;
        }
        let cost = arrivals.iter().map(|arrival| Waiting::cost_of(&arrival.message)).sum();
        if !context.budget.has_room_for(cost) {
            return;
        }
        let only = self.ready.only().filter(|_| self.store.is_empty() && self.browsers.is_empty());
        let at_once = match only.and_then(|key| context.links.taker(key)) {
            // A message that goes out settled and complete is not kept.
            Some(taker) if taker.consumer.settles(false) => taker.finishes_of(arrivals),
            _ => 0,
        };
        context.counts.queued += arrivals.len() as u64;
        context.journal.came_in_a_row(context.journal.arrived() + 1, sender, context.address, arrivals);
        keep_together(arrivals.iter_mut().skip(at_once).map(|arrival| &mut arrival.message));
        for (index, Arrival { delivery, message }) in arrivals.drain(..).enumerate() {
            let number = context.journal.next_number();
            match only {
                Some(key) if index < at_once => {
                    context.counts.topic += 1;
                    context.pass_on(key, number, message, true, None);
                }
                _ => {
                    let waiting = self.waiting(number, message, delivery.is_none(), context);
                    context.budget.take(waiting.cost());
                    match only
                        .filter(|key| self.store.is_empty() && context.links.can_take_this(*key, &waiting.message))
                    {
                        Some(key) => self.send(key, waiting, context),
                        None => {
                            context.journal.waits(number, context.address);
                            self.store.push(waiting);
                        }
                    }
                }
            }
            if let Some(delivery) = delivery {
                context.journal.told(number, &Outcome::Accepted);
                context.effects.settle(from, delivery, Outcome::Accepted);
            }
        }
        let is_awaited = !self.browsers.is_empty() || !self.ready.is_empty();
        if is_awaited && !self.store.is_empty() {
            self.dispatch(context);
        } else if self.has_expiring {
            self.expire(context);
        }
    }

    /// A message as it waits here: with its place, and the time at which it expires.
    fn waiting(&mut self, number: u64, message: Message, settled: bool, context: &Context<'_>) -> Waiting {
        let storing = ((context.codec)(message.encoding).storing)(&message.payload);
        let place = match self.settings.max_priority {
            None => self.store.next_place(),
            Some(highest) => self.store.next_place_of(highest - storing.priority.unwrap_or(0).min(highest)),
        };
        let own = storing.ttl.map(Duration::from_millis);
        let ttl = [own, self.settings.message_ttl].into_iter().flatten().min();
        let expires = match self.is_stream() {
            true => self.end_of_age(context.now),
            false => ttl.and_then(|ttl| context.now.checked_add(ttl)),
        };
        let body = u32::try_from(storing.body).unwrap_or(u32::MAX);
        self.has_expiring |= expires.is_some() && (!self.is_stream() || self.settings.max_age.is_some());
        Waiting { expires, body, ..Waiting::new(number, place, message, settled, None) }
    }

    /// Adds a message to those that wait.
    fn store(&mut self, waiting: Waiting, context: &mut Context<'_>) {
        match self.settings.max_priority {
            None => self.store.push(waiting),
            // Its place may be before others.
            Some(_) => self.put_back(waiting, context),
        }
    }

    /// Takes over a message, if there is room for it. A message that goes out at once needs room too, because it may come back.
    pub(super) fn offer(&mut self, incoming: Incoming, from: &mut Answers<'_>, context: &mut Context<'_>) {
        let Some(incoming) = self.refuse_if_full(incoming, from, context) else { return };
        let Some(Incoming { number, message, delivery }) = context.admit(incoming, true, from) else { return };
        context.counts.queued += 1;
        let waiting = self.waiting(number, message.kept(), delivery.is_none(), context);
        context.budget.take(waiting.cost());
        let taker = match self.store.is_empty() {
            true => self.ready.next(context.links),
            false => None,
        };
        match taker {
            Some(key) if context.links.at_node(key).is_some_and(|consumer| consumer.fits(&waiting.message)) => {
                self.send(key, waiting, context);
                self.ready.pass();
            }
            _ => {
                context.journal.waits(number, context.address);
                self.store(waiting, context);
                // The next consumer in the row may be limited to smaller messages, and another not.
                if !self.browsers.is_empty() || !self.ready.is_empty() || self.has_expiring {
                    self.dispatch(context);
                }
                self.shorten(context);
            }
        }
        context.tell(from, number, delivery, Some(Outcome::Accepted));
    }

    /// Hands out waiting messages in turn to the consumers that can take them, and copies to browsers.
    pub(in crate::router) fn dispatch(&mut self, context: &mut Context<'_>) {
        if self.has_expiring {
            self.expire(context);
        }
        let mut nothing_for = Vec::new();
        while !self.store.is_empty()
            && let Some(key) = self.ready.next(context.links)
        {
            let Some(consumer) = context.links.at_node_mut(key) else { break };
            let is_for = |waiting: &Waiting| consumer.fits(&waiting.message) && !waiting.is_shunned_by(key);
            let (waiting, cursor) = self.store.take_for(is_for, consumer.cursor);
            if consumer.cursor == 0 && cursor > 0 {
                self.choosy.push(key);
            }
            consumer.cursor = cursor;
            let Some(waiting) = waiting else {
                nothing_for.extend(self.ready.step_aside());
                continue;
            };
            self.send(key, waiting, context);
            self.ready.pass();
        }
        if !nothing_for.is_empty() {
            self.ready.put_first(nothing_for);
        }
        // The messages behind those that have gone out are at the head now.
        if self.has_expiring {
            self.expire(context);
        }
        for index in 0..self.browsers.len() {
            if let Some(key) = self.browsers.get(index).copied() {
                self.show(key, context);
            }
        }
    }

    /// When the queue has something to do though nothing happens.
    pub(in crate::router) fn next_deadline(&self) -> Option<Instant> {
        let expiry = if self.has_expiring { self.store.look_at(0).and_then(|first| first.expires) } else { None };
        [expiry, self.disuse.ends(self.settings.expires)].into_iter().flatten().min()
    }

    /// Whether nobody has used the queue for as long as it may be unused.
    pub(in crate::router) fn has_expired(&self, now: Instant) -> bool {
        self.disuse.ends(self.settings.expires).is_some_and(|at| at <= now)
    }

    /// Somebody uses the queue, or the last who did has left: its time counts from now.
    pub(in crate::router) fn note_use(&mut self, now: Instant) {
        self.disuse.restart(now, !(self.consumers.is_empty() && self.browsers.is_empty()));
    }

    /// Takes out what has expired, at the head: a message behind it that expired before is taken out when it comes there, and
    /// is not delivered before.
    pub(in crate::router) fn expire(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        while let Some(waiting) = self.store.take_first_if(|first| first.expires.is_some_and(|at| at <= now)) {
            context.bury(waiting, DeathReason::Expired, self.settings.dead_letters.as_ref());
        }
        self.has_expiring &= !self.store.is_empty();
    }

    /// Takes out the first messages as long as too many wait. A queue that refuses messages instead keeps those that come back.
    pub(in crate::router) fn shorten(&mut self, context: &mut Context<'_>) {
        if self.settings.overflow != Overflow::DropHead {
            return;
        }
        while self.settings.is_over(self.store.len(), self.store.body_bytes())
            && let Some(waiting) = self.store.take()
        {
            context.bury(waiting, DeathReason::MaxLen, self.settings.dead_letters.as_ref());
        }
    }

    /// Refuses a message for which the queue is too long, if that is what it does then.
    fn refuse_if_full(
        &mut self,
        incoming: Incoming,
        from: &mut Answers<'_>,
        context: &mut Context<'_>,
    ) -> Option<Incoming> {
        if self.settings.overflow == Overflow::DropHead {
            return Some(incoming);
        }
        let body = ((context.codec)(incoming.message.encoding).storing)(&incoming.message.payload).body;
        if !self.settings.is_over(self.store.len() + 1, self.store.body_bytes().saturating_add(body)) {
            return Some(incoming);
        }
        let Incoming { number, message, delivery } = incoming;
        let outcome = context.refuse_for_length(number);
        if self.settings.overflow == Overflow::RejectPublishDlx {
            let waiting = Waiting::new(number, 0, message.kept(), delivery.is_none(), None);
            context.budget.take(waiting.cost());
            context.bury(waiting, DeathReason::MaxLen, self.settings.dead_letters.as_ref());
        }
        context.tell(from, number, delivery, Some(outcome));
        None
    }

    /// Gives a browser copies of the messages that it has not been given yet.
    pub(super) fn show(&self, key: LinkKey, context: &mut Context<'_>) {
        let codec = context.codec;
        while let Some(mut taker) = context.links.taker(key)
            && let Some(waiting) = self.store.look_at(taker.consumer.cursor)
        {
            taker.consumer.cursor = waiting.sequence + 1;
            if !taker.consumer.fits(&waiting.message) {
                continue;
            }
            let settled = taker.consumer.settles(false);
            let ticket = context.journal.ticket(waiting.number, settled);
            if context.journal.is_on() {
                context.journal.forwarded(waiting.number, key, &taker.consumer.name, context.address);
            }
            taker.give(self.delivered(waiting, codec), settled, ticket, context.effects);
        }
    }

    /// Whether a message waits that the consumer has not been given.
    pub(super) fn holds_for(&self, key: LinkKey, context: &Context<'_>) -> bool {
        match context.links.at_node(key) {
            Some(consumer) if consumer.browse => self.store.look_at(consumer.cursor).is_some(),
            _ => !self.store.is_empty(),
        }
    }

    /// Ends a delivery. Returns whether its message came back.
    pub(super) fn conclude(
        &mut self,
        consumer: LinkKey,
        outstanding: Outstanding,
        outcome: Outcome,
        context: &mut Context<'_>,
    ) -> bool {
        let mut waiting = match outstanding {
            Outstanding::EndToEnd(origin) => {
                debug_assert!(false, "a queue takes responsibility itself");
                context.resolve(origin, outcome);
                return false;
            }
            Outstanding::Queued(waiting) => waiting,
            Outstanding::Unfinished(waiting) => {
                self.put_back(waiting, context);
                return true;
            }
        };
        if matches!(outcome, Outcome::Rejected(_)) && self.settings.dead_letters.is_some() {
            context.bury(waiting, DeathReason::Rejected, self.settings.dead_letters.as_ref());
            return false;
        }
        context.budget.give_back(waiting.cost());
        match outcome {
            Outcome::Accepted | Outcome::Rejected(_) => return false,
            // A released message has been acquired before (first-acquirer false, 3.2.1).
            Outcome::Released => waiting.message.history_mut().add(false, None),
            Outcome::Modified(Modified { delivery_failed, undeliverable_here, annotations }) => {
                waiting.message.history_mut().add(delivery_failed, annotations);
                if undeliverable_here {
                    let shunned_by = waiting.shunned_by.get_or_insert_default();
                    shunned_by.retain(|key| context.links.find_consumer(*key).is_some());
                    shunned_by.push(consumer);
                }
            }
        }
        context.budget.take(waiting.cost());
        if self.is_used_up(&waiting) {
            context.bury(waiting, DeathReason::DeliveryLimit, self.settings.dead_letters.as_ref());
            return false;
        }
        if self.returns_to_the_end(consumer, context) {
            waiting.sequence = self.store.next_place();
            self.store.push(waiting);
        } else {
            self.put_back(waiting, context);
        }
        true
    }

    /// Returns a message to its place.
    fn put_back(&mut self, waiting: Waiting, context: &mut Context<'_>) {
        self.has_expiring |= waiting.expires.is_some();
        // The message may be for consumers whose cursor has passed its place.
        self.choosy.retain(|key| {
            context.links.at_node_mut(*key).is_some_and(|consumer| {
                consumer.cursor = consumer.cursor.min(waiting.sequence);
                consumer.cursor > 0
            })
        });
        self.store.put_back(waiting);
    }

    /// Adds a consumer for which [`Queue::check_consumer`] holds.
    pub(super) fn add(&mut self, key: LinkKey, exclusive: bool, offset: StreamOffset, links: &mut Links) {
        let kind = links.at_node(key).map_or((false, false), |consumer| (consumer.passing, consumer.browse));
        let list = match kind {
            (true, _) => &mut self.aside,
            (false, true) => &mut self.browsers,
            (false, false) => &mut self.consumers,
        };
        list.push(key);
        if self.is_stream()
            && let Some(consumer) = links.at_node_mut(key)
        {
            consumer.cursor = self.place_of(offset);
        }
        if exclusive && self.settings.queue_type == QueueType::Classic {
            self.sole = Some(key);
        }
        self.choose_active(links);
    }

    /// Applies settings that the queue did not have when its consumers attached.
    pub(in crate::router) fn set_settings(&mut self, settings: Settings, links: &mut Links) {
        self.settings = settings;
        if self.is_stream() {
            self.make_readers(links);
        }
        if self.settings.single_active {
            self.consumers.iter().for_each(|key| {
                if let Some(consumer) = links.at_node_mut(*key) {
                    consumer.is_ready = false;
                }
            });
            self.ready.strike_off(&self.consumers.iter().copied().collect());
            self.choose_active(links);
        }
    }

    /// Applies settings that differ in what a policy may say. The time of disuse counts from now, and what is too many goes;
    /// messages that wait keep the time at which they expire.
    pub(in crate::router) fn change_settings(&mut self, settings: Settings, context: &mut Context<'_>) {
        self.settings = settings;
        self.note_use(context.now);
        self.shorten(context);
    }

    /// Makes another consumer the active one, if there is to be one and it has left.
    fn choose_active(&mut self, links: &mut Links) {
        if self.settings.single_active
            && let Some(key) = self.active.choose(&self.consumers, links)
        {
            self.ready.join(key, links);
        }
    }

    /// Adds a consumer to the row of those that can be given messages, if it can be and may be.
    pub(super) fn join(&mut self, key: LinkKey, links: &mut Links) {
        let may = |links: &Links| self.active.is(key) || links.at_node(key).is_some_and(|consumer| consumer.passing);
        if !self.settings.single_active || may(links) {
            self.ready.join(key, links);
        }
    }

    /// Fails if a consumer has arguments that make no sense here.
    pub(super) fn check_arguments(&self, what: Named<'_>, arguments: &Arguments) -> Result<(), Fault> {
        let name = if self.is_stream() { "x-priority" } else { "x-stream-offset" };
        match arguments.get(name) {
            Some(_) => Err(self.settings.queue_type.without(what, name)),
            None => Ok(()),
        }
    }

    /// Fails if an exclusive consumer prevents the attach, or a prefetch that the queue cannot keep.
    pub(super) fn check_consumer(&self, what: Named<'_>, request: &ConsumerRequest) -> Result<(), Fault> {
        let ConsumerRequest { exclusive, browse, prefetch, .. } = request;
        if self.settings.queue_type == QueueType::Quorum {
            // RabbitMQ reads exclusive for classic queues alone.
            return match prefetch.is_some_and(|prefetch| prefetch.shared > 0) {
                true => {
                    let text = format!("{what} does not support global qos");
                    Err(Fault::new(Reason::NotImplemented, text))
                }
                false => Ok(()),
            };
        }
        let is_shared = self.settings.single_active || !self.consumers.is_empty();
        let is_taken = self.sole.is_some() || (*exclusive && is_shared);
        if is_taken && !browse {
            let what = format!("{what} in exclusive use");
            return Err(Fault::new(Reason::NotAllowed, what));
        }
        Ok(())
    }

    /// Retires a consumer: it gets no more messages and keeps its unanswered deliveries.
    pub(in crate::router) fn set_aside(&mut self, key: LinkKey, links: &mut Links) {
        self.strike_off(&HashSet::from([key]), links);
        self.aside.push(key);
    }

    /// Removes consumers that were detached.
    pub(super) fn strike_off(&mut self, leaving: &HashSet<LinkKey>, links: &mut Links) {
        self.consumers.retain(|key| !leaving.contains(key));
        self.browsers.retain(|key| !leaving.contains(key));
        self.aside.retain(|key| !leaving.contains(key));
        self.ready.strike_off(leaving);
        self.choosy.retain(|key| !leaving.contains(key));
        self.sole = self.sole.filter(|key| !leaving.contains(key));
        self.active.strike_off(leaving);
        self.choose_active(links);
    }

    /// Lists all links that receive from the queue.
    pub(in crate::router) fn keys(&self) -> Vec<LinkKey> {
        [&self.consumers[..], &self.browsers, &self.aside].concat()
    }

    /// Hands a message to a consumer that can take it. The message uses room until it is settled.
    fn send(&mut self, key: LinkKey, waiting: Waiting, context: &mut Context<'_>) {
        let (number, message) = (waiting.number, self.delivered(&waiting, context.codec));
        let Some(mut taker) = live(context.links.taker(key), "a consumer whose turn it is") else {
            return self.put_back(waiting, context);
        };
        context.counts.topic += 1;
        // A delivery from a queue is unsettled unless the consumer wants settled ones.
        let settled = taker.consumer.settles(false);
        if context.journal.is_on() {
            context.journal.forwarded(number, key, &taker.consumer.name, context.address);
        }
        let ticket = if !settled {
            Ticket(taker.consumer.outstanding.push(Outstanding::Queued(waiting)))
        } else if taker.may_not_finish(&message) {
            Ticket(taker.consumer.outstanding.push(Outstanding::Unfinished(waiting)))
        } else {
            context.budget.give_back(waiting.cost());
            Ticket::NONE
        };
        taker.give(message, settled, ticket, context.effects);
    }
}
