//! One address, and how what waits there is handed out. To whom an answer matters is `settlement.rs`.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::links::{Consumer, Outstanding};
use super::queue::Declared;
use super::store::{Store, Waiting};
use super::{BATCH, Distribution, Effect, LinkKey, Router, Settlement};
use crate::event::{Outcome, Ticket};
use crate::message::Message;

/// Why what waited is lost.
const LEFT: &str = "the last receiver left while it waited";

/// See `mod.rs`.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) address: Arc<str>,
    pub(super) distribution: Distribution,
    /// In the order in which they attached. Those that browse a queue are apart.
    pub(super) consumers: Vec<LinkKey>,
    pub(super) browsers: Vec<LinkKey>,
    /// Consumers that do not count: those that look in now and then, and those that have retired.
    pub(super) aside: Vec<LinkKey>,
    /// The consumer that wants to be the only one.
    pub(super) sole: Option<LinkKey>,
    /// Whose turn it is: consumers that can take a message, at anycast and queue addresses.
    pub(super) ready: VecDeque<LinkKey>,
    pub(super) producers: usize,
    /// What waits here.
    pub(super) store: Store,
    /// Consumers whose own backlog is slow.
    slow_consumers: usize,
    /// Producers that get no more credit until the route has caught up.
    pub(super) held: HashSet<LinkKey>,
    /// Messages that have arrived for it.
    pub(super) arrived: u64,
    /// The link that a dynamic node lives and dies with.
    pub(super) owner: Option<LinkKey>,
    /// It was a dynamic node's, and its link is gone; or a queue that is no more. Nothing is done with messages any more.
    pub(super) ended: bool,
    pub(super) declared: Option<Declared>,
    /// Consumers that have stepped over messages which are not for them.
    choosy: Vec<LinkKey>,
}

impl Route {
    pub(super) fn new(address: Arc<str>, distribution: Distribution, owner: Option<LinkKey>) -> Route {
        Route {
            address,
            distribution,
            consumers: Vec::new(),
            browsers: Vec::new(),
            aside: Vec::new(),
            sole: None,
            ready: VecDeque::new(),
            producers: 0,
            store: Store::default(),
            slow_consumers: 0,
            held: HashSet::new(),
            arrived: 0,
            owner,
            ended: false,
            declared: None,
            choosy: Vec::new(),
        }
    }

    /// Consumers leave.
    pub(super) fn strike_off(&mut self, leaving: &HashSet<LinkKey>) {
        self.consumers.retain(|key| !leaving.contains(key));
        self.browsers.retain(|key| !leaving.contains(key));
        self.aside.retain(|key| !leaving.contains(key));
        self.ready.retain(|key| !leaving.contains(key));
        self.choosy.retain(|key| !leaving.contains(key));
        self.sole = self.sole.filter(|key| !leaving.contains(key));
    }

    /// Somebody is there for a message, or it can be stored.
    pub(super) fn is_served(&self) -> bool {
        !self.ended && (self.distribution == Distribution::Queue || !self.consumers.is_empty())
    }

    /// More waits than should.
    pub(super) fn is_slow(&self) -> bool {
        self.slow_consumers > 0 || self.store.is_slow
    }

    pub(super) fn is_unused(&self) -> bool {
        self.producers == 0
            && self.declared.is_none()
            && self.consumers.is_empty()
            && self.browsers.is_empty()
            && self.aside.is_empty()
            && self.store.is_empty()
    }
}

impl Router {
    /// Who is given a message of a direct, anycast or queue address, if it goes out at once: nothing waits before it and
    /// somebody can take it, whose turn it is.
    pub(super) fn next_taker(&mut self, route_id: usize, message: &Message) -> Option<LinkKey> {
        let route = self.routes.get_mut(route_id).filter(|route| route.store.is_empty() && !route.ended)?;
        if route.distribution == Distribution::Direct {
            let first = *route.consumers.first()?;
            return self.links.taker(first).filter(|consumer| consumer.fits(message)).map(|_| first);
        }
        while let Some(key) = route.ready.front().copied() {
            if let Some(consumer) = self.links.taker(key) {
                return consumer.fits(message).then_some(key);
            }
            // It joins the row again when it can.
            route.ready.pop_front();
            if let Some(consumer) = self.links.consumer_mut(key) {
                consumer.is_ready = false;
            }
        }
        None
    }

    /// The consumers of a route that take messages as large as this one.
    pub(super) fn fitting<'a>(&'a self, route: &'a Route, message: &Message) -> impl Iterator<Item = LinkKey> {
        let fits = |key: &LinkKey| self.links.consumer(*key).is_some_and(|consumer| consumer.fits(message));
        route.consumers.iter().copied().filter(fits)
    }

    /// Whether a message is not too large for whoever could be given it. A queue waits for somebody else.
    pub(super) fn fits_somebody(&self, route: &Route, message: &Message) -> bool {
        match route.distribution {
            Distribution::Queue => true,
            Distribution::Direct => self.fitting(route, message).next() == route.consumers.first().copied(),
            Distribution::Anycast | Distribution::Multicast => self.fitting(route, message).next().is_some(),
        }
    }

    /// Whether a message that goes out at once is forgotten then: nobody will give it back or wait for its outcome.
    pub(super) fn keeps_nothing(&self, route_id: usize) -> bool {
        self.config.settlement == Settlement::Immediate
            && self.routes.get(route_id).is_some_and(|route| route.distribution != Distribution::Queue)
    }

    /// Passes such a message on to who takes it, at a direct or anycast address.
    pub(super) fn pass_on(&mut self, route_id: usize, taker: LinkKey, number: u64, message: Message, settled: bool) {
        let Some(consumer) = self.links.consumer_mut(taker) else { return };
        consumer.credit = consumer.credit.saturating_sub(1);
        let settled = consumer.settles(settled);
        let ticket = self.chronicle.ticket(number, settled);
        if self.chronicle.is_on()
            && let Some(route) = self.routes.get(route_id)
        {
            self.chronicle.forwarded(number, taker, &consumer.name, &route.address);
        }
        self.effects.push_back(Effect::Deliver { link: taker, message, settled, ticket });
        if self.routes.get(route_id).is_some_and(|route| route.distribution == Distribution::Direct) {
            self.counts.direct += 1;
        } else {
            self.counts.topic += 1;
            self.next_turn(route_id);
        }
    }

    /// For direct, anycast and queue addresses: to whom it goes at once, if there is somebody.
    pub(super) fn hand_out_or_keep(&mut self, route_id: usize, taker: Option<LinkKey>, mut waiting: Waiting) {
        let Some(route) = self.routes.get_mut(route_id) else { return };
        let distribution = route.distribution;
        waiting.sequence = route.store.take_number();
        if taker.is_none() || distribution == Distribution::Queue {
            waiting.message = waiting.message.kept();
        }
        if let Some(taker) = taker {
            self.send(taker, waiting, distribution);
            if distribution != Distribution::Direct {
                self.next_turn(route_id);
            }
            return;
        }
        self.stored_bytes += waiting.cost();
        self.chronicle.waits(waiting.number, &route.address);
        route.store.push(waiting);
        // Whose turn it is may be too small for it, and another not.
        if !route.browsers.is_empty() || !route.ready.is_empty() {
            self.dispatch(route_id);
        }
        self.weigh(route_id);
    }

    /// Who has just been given a message goes to the end of the row, or leaves it if its credit is used up.
    fn next_turn(&mut self, route_id: usize) {
        let Some(route) = self.routes.get_mut(route_id) else { return };
        let Some(key) = route.ready.pop_front() else { return };
        let can_take = self.links.can_take(key);
        if let Some(consumer) = self.links.consumer_mut(key) {
            consumer.is_ready = can_take;
            if can_take {
                route.ready.push_back(key);
            }
        }
    }

    /// For multicast addresses.
    pub(super) fn copy_to_all(&mut self, route_id: usize, original: &Waiting) {
        let Some(route) = self.routes.get_mut(route_id) else { return };
        let consumers = std::mem::take(&mut route.consumers);
        // Kept once, if anybody has to wait for it.
        let mut kept = None;
        for key in &consumers {
            let can_take = self.links.can_take(*key);
            let Some(consumer) = self.links.consumer_mut(*key).filter(|consumer| consumer.fits(&original.message))
            else {
                continue;
            };
            self.counts.fanout_sent += 1;
            if can_take && consumer.backlog.is_empty() {
                consumer.credit -= 1;
                let settled = consumer.settles(original.settled);
                let ticket = match original.origin.filter(|_| !settled) {
                    Some(origin) => Ticket(consumer.outstanding.push(Outstanding::EndToEnd(origin))),
                    None => self.chronicle.ticket(original.number, settled),
                };
                if let Some(route) = self.routes.get(route_id) {
                    self.chronicle.forwarded(original.number, *key, &consumer.name, &route.address);
                }
                let message = original.message.clone();
                self.effects.push_back(Effect::Deliver { link: *key, message, settled, ticket });
                if let (true, Some(origin)) = (settled, original.origin) {
                    self.resolve(origin, Outcome::Accepted);
                }
                continue;
            }
            let kept =
                kept.get_or_insert_with(|| Waiting { message: original.message.clone().kept(), ..original.clone() });
            self.stored_bytes += kept.cost();
            if let Some(route) = self.routes.get(route_id) {
                self.chronicle.waits(original.number, &route.address);
            }
            consumer.backlog.push(kept.clone());
            self.weigh_backlog(*key);
        }
        if let Some(route) = self.routes.get_mut(route_id) {
            route.consumers = consumers;
        }
    }

    /// A consumer may have become able to take messages: gives it its turn.
    pub(super) fn serve(&mut self, key: LinkKey) {
        let can_take = self.links.can_take(key);
        let Some(consumer) = self.links.consumer_mut(key) else { return };
        let (route_id, browses) = (consumer.route, consumer.browse);
        let Some(route) = self.routes.get_mut(route_id) else { return };
        match route.distribution {
            Distribution::Multicast => self.drain_backlog(key),
            _ if browses => self.show(key),
            distribution => {
                if can_take && !consumer.is_ready && distribution != Distribution::Direct {
                    consumer.is_ready = true;
                    route.ready.push_back(key);
                }
                self.dispatch(route_id);
                self.weigh(route_id);
            }
        }
        if self.batch_is_full() {
            self.go_on_later(key);
        } else {
            self.finish_drain(key);
        }
    }

    /// Gives the consumer its turn again when what has gathered has been carried out.
    fn go_on_later(&mut self, key: LinkKey) {
        if let Some(consumer) = self.links.consumer_mut(key)
            && !std::mem::replace(&mut consumer.is_unfinished, true)
        {
            self.unfinished.push_back(key);
        }
    }

    fn batch_is_full(&self) -> bool {
        self.effects.len() >= BATCH
    }

    /// A consumer that drains, and that nothing is left for, is told so.
    fn finish_drain(&mut self, key: LinkKey) {
        let is_congested = self.links.is_congested(key.connection);
        if let Some(consumer) = self.links.consumer_mut(key)
            && (!is_congested || consumer.passing)
            && std::mem::take(&mut consumer.drain)
        {
            consumer.credit = 0;
            let left = self.routes.get(consumer.route).map_or(0, |route| route.store.len());
            self.effects.push_back(Effect::Drained { link: key, left });
        }
    }

    /// Hands out what waits at a direct, anycast or queue address.
    pub(super) fn dispatch(&mut self, route_id: usize) {
        let Some(route) = self.routes.get(route_id) else { return };
        match route.distribution {
            Distribution::Direct => self.dispatch_direct(route_id),
            Distribution::Anycast | Distribution::Queue => self.dispatch_in_turn(route_id),
            Distribution::Multicast => {}
        }
        self.show_all(route_id);
        if self.batch_is_full() {
            let route = self.routes.get(route_id);
            if let Some(key) = route.and_then(|route| route.ready.front().or(route.consumers.first())).copied() {
                self.go_on_later(key);
            }
        }
    }

    fn show_all(&mut self, route_id: usize) {
        for index in 0.. {
            let Some(key) = self.routes.get(route_id).and_then(|route| route.browsers.get(index)).copied() else {
                return;
            };
            self.show(key);
            if self.batch_is_full() {
                self.go_on_later(key);
            }
        }
    }

    fn dispatch_direct(&mut self, route_id: usize) {
        while !self.batch_is_full()
            && let Some(route) = self.routes.get_mut(route_id)
            && let Some(first) = route.consumers.first().copied()
            && let Some(consumer) = self.links.taker(first)
            && let (Some(waiting), _) = route.store.take_for(|waiting| consumer.fits(&waiting.message), 0)
        {
            self.stored_bytes -= waiting.cost();
            self.send(first, waiting, Distribution::Direct);
        }
    }

    /// Round-robin among those that can take a message; who has used up its credit leaves the row and joins it again at
    /// the end when it has some.
    fn dispatch_in_turn(&mut self, route_id: usize) {
        let mut nothing_for = VecDeque::new();
        while !self.batch_is_full()
            && let Some(route) = self.routes.get_mut(route_id)
            && !route.store.is_empty()
            && let Some(key) = route.ready.front().copied()
        {
            let can_take = self.links.can_take(key);
            let Some(consumer) = self.links.consumer_mut(key) else {
                route.ready.pop_front();
                continue;
            };
            if !can_take {
                consumer.is_ready = false;
                route.ready.pop_front();
                continue;
            }
            let is_for = |waiting: &Waiting| consumer.fits(&waiting.message) && !waiting.is_shunned_by(key);
            let (waiting, cursor) = route.store.take_for(is_for, consumer.cursor);
            if consumer.cursor == 0 && cursor > 0 {
                route.choosy.push(key);
            }
            consumer.cursor = cursor;
            let distribution = route.distribution;
            let Some(waiting) = waiting else {
                nothing_for.extend(route.ready.pop_front());
                continue;
            };
            self.stored_bytes -= waiting.cost();
            self.send(key, waiting, distribution);
            self.next_turn(route_id);
        }
        if let Some(route) = self.routes.get_mut(route_id)
            && !nothing_for.is_empty()
        {
            nothing_for.append(&mut route.ready);
            route.ready = nothing_for;
        }
    }

    /// Shows a browser what it has not seen.
    fn show(&mut self, key: LinkKey) {
        while !self.batch_is_full()
            && self.links.can_take(key)
            && let Some(consumer) = self.links.consumer_mut(key)
            && let Some(route) = self.routes.get(consumer.route)
            && let Some(waiting) = route.store.look_at(consumer.cursor)
        {
            consumer.cursor = waiting.sequence + 1;
            consumer.credit -= 1;
            let settled = consumer.settles(false);
            let message = waiting.message.clone();
            let ticket = self.chronicle.ticket(waiting.number, settled);
            self.chronicle.forwarded(waiting.number, key, &consumer.name, &route.address);
            self.effects.push_back(Effect::Deliver { link: key, message, settled, ticket });
        }
    }

    fn drain_backlog(&mut self, key: LinkKey) {
        while !self.batch_is_full()
            && self.links.can_take(key)
            && let Some(waiting) = self.links.consumer_mut(key).and_then(|consumer| consumer.backlog.pop())
        {
            self.stored_bytes -= waiting.cost();
            self.send(key, waiting, Distribution::Multicast);
        }
        self.weigh_backlog(key);
    }

    /// Gives a message to a consumer that can take it.
    fn send(&mut self, key: LinkKey, waiting: Waiting, distribution: Distribution) {
        let Some(consumer) = self.links.consumer_mut(key) else { return };
        consumer.credit = consumer.credit.saturating_sub(1);
        // A queue wants to know what became of it.
        let settled = consumer.settles(waiting.settled && distribution != Distribution::Queue);
        let origin = waiting.origin;
        let number = waiting.number;
        if let Some(route) = self.routes.get(consumer.route) {
            self.chronicle.forwarded(number, key, &consumer.name, &route.address);
        }
        let (message, outstanding) = match (distribution, origin) {
            (Distribution::Queue, _) => {
                // It still takes room until it is settled.
                self.stored_bytes += waiting.cost();
                let message = waiting.message.clone();
                (message, Some(if settled { Outstanding::Unsent(waiting) } else { Outstanding::Queued(waiting) }))
            }
            (_, Some(origin)) if !settled => (waiting.message, Some(Outstanding::EndToEnd(origin))),
            _ => (waiting.message, None),
        };
        let ticket = match outstanding {
            Some(outstanding) => Ticket(consumer.outstanding.push(outstanding)),
            None => self.chronicle.ticket(number, settled),
        };
        if distribution == Distribution::Queue {
            self.counts.topic += 1;
        }
        self.effects.push_back(Effect::Deliver { link: key, message, settled, ticket });
        if let (true, Some(origin)) = (settled, origin) {
            self.resolve(origin, Outcome::Accepted);
        }
    }

    /// A message goes back to its place in a queue, for whoever may have it.
    pub(super) fn put_back(&mut self, route_id: usize, waiting: Waiting) {
        let Some(route) = self.routes.get_mut(route_id) else {
            self.stored_bytes -= waiting.cost();
            return;
        };
        // It may be for those that have looked further by now.
        route.choosy.retain(|key| {
            self.links.consumer_mut(*key).is_some_and(|consumer| {
                consumer.cursor = consumer.cursor.min(waiting.sequence);
                consumer.cursor > 0
            })
        });
        route.store.put_back(waiting);
    }

    /// After the store has grown or shrunk: is the route slow, or has it caught up?
    fn weigh(&mut self, route_id: usize) {
        let Some(route) = self.routes.get_mut(route_id) else { return };
        // What a queue stores is not waiting for a slow receiver; the storage limit is what bounds it.
        if route.distribution != Distribution::Queue
            && route.store.turned(self.config.backlog_limit)
            && !route.is_slow()
        {
            self.release_held(route_id);
        }
    }

    /// Likewise for one consumer's backlog.
    pub(super) fn weigh_backlog(&mut self, key: LinkKey) {
        let Some(consumer) = self.links.consumer_mut(key) else { return };
        if !consumer.backlog.turned(self.config.backlog_limit) {
            return;
        }
        let (route_id, is_slow) = (consumer.route, consumer.backlog.is_slow);
        self.count_slow(route_id, is_slow);
    }

    fn count_slow(&mut self, route_id: usize, is_slow: bool) {
        let Some(route) = self.routes.get_mut(route_id) else { return };
        if is_slow {
            route.slow_consumers += 1;
        } else {
            route.slow_consumers -= 1;
            if !route.is_slow() {
                self.release_held(route_id);
            }
        }
    }

    /// What a consumer that has left had goes back or on to others, or is lost with it.
    pub(super) fn take_back(&mut self, key: LinkKey, mut consumer: Consumer, unsent: &[Ticket]) {
        let route_id = consumer.route;
        for ticket in unsent {
            if let Some(outstanding) = consumer.outstanding.remove(ticket.0) {
                self.conclude(route_id, key, outstanding, Outcome::Released);
            }
        }
        for outstanding in consumer.outstanding.drain() {
            self.conclude(route_id, key, outstanding, consumer.default_outcome.clone());
        }
        while let Some(copy) = consumer.backlog.pop() {
            self.stored_bytes -= copy.cost();
            if let Some(route) = self.routes.get(route_id) {
                self.chronicle.lost(copy.number, &route.address, LEFT);
            }
            if let Some(origin) = copy.origin {
                self.resolve(origin, Outcome::Released);
            }
        }
        if consumer.backlog.is_slow {
            self.count_slow(route_id, false);
        }
    }

    /// After consumers have left a route: what they left is handed out, or lost if nobody is there.
    pub(super) fn carry_on(&mut self, route_id: usize) {
        self.dispatch(route_id);
        self.drop_unserved(route_id);
        self.drop_unfit(route_id);
        self.weigh(route_id);
    }

    /// What still waits at an address that its last consumer has left, and that does not store, is lost.
    fn drop_unserved(&mut self, route_id: usize) {
        while let Some(route) = self.routes.get_mut(route_id)
            && !route.is_served()
            && let Some(waiting) = route.store.take()
        {
            let address = route.address.clone();
            self.drop_waiting(&address, waiting, LEFT);
        }
    }

    /// So is what is too large for all who are left.
    fn drop_unfit(&mut self, route_id: usize) {
        let Some(route) = self.routes.get(route_id) else { return };
        if route.store.is_empty() || route.distribution == Distribution::Queue {
            return;
        }
        let address = route.address.clone();
        let largest = match route.distribution {
            Distribution::Direct => route.consumers.first().and_then(|key| self.links.consumer(*key)),
            _ => route
                .consumers
                .iter()
                .filter_map(|key| self.links.consumer(*key))
                .max_by_key(|consumer| consumer.max_message_size),
        };
        let largest = largest.map_or(0, |consumer| consumer.max_message_size);
        let unfit = |waiting: &Waiting| waiting.message.payload.len() as u64 > largest;
        while let Some(waiting) = self.routes.get_mut(route_id).and_then(|route| route.store.take_for(unfit, 0).0) {
            self.drop_waiting(&address, waiting, "too large for the receivers that are left");
        }
    }

    fn drop_waiting(&mut self, address: &str, waiting: Waiting, why: &str) {
        log::info!("dropped at {address:?}: {why}");
        self.chronicle.dropped(waiting.number, address, why.into());
        self.stored_bytes -= waiting.cost();
        self.counts.dropped += 1;
        if let Some(origin) = waiting.origin {
            self.resolve(origin, Outcome::Released);
        }
    }
}
