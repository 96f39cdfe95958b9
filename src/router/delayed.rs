//! Messages that wait at an exchange of the type `x-delayed-message`, a plugin of RabbitMQ, until they are routed.
//!
//! As with the plugin, such a message counts as one that was routed nowhere: if it was mandatory it is returned at once, and the
//! alternate of its exchange gets it. It is routed all the same when its time has come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Router;
use super::credit::is_for_want_of_room;
use super::deadlines::Due;
use super::exchange::{Delay, RoutedBy};
use super::store::Waiting;
use crate::event::{Arrival, DeliveryKey, Destination, Fault, LinkKey, Outcome, Reason, RoutingKeys};
use crate::message::Message;
use crate::timers::{Timer, Timers};

/// The header that says for how many milliseconds a message waits. Receivers see the negative of it.
const X_DELAY: &str = "x-delay";

/// Approximate bytes that a message takes here beside what it costs in a queue.
const OVERHEAD: usize = 200;

/// A message that waits.
#[derive(Debug)]
struct DelayedMessage {
    message: Message,
    keys: Vec<Arc<str>>,
    cost: usize,
}

/// The messages of one exchange, in the order of their times, and the timer of the first.
#[derive(Debug, Default)]
struct AtExchange {
    messages: Timers<DelayedMessage>,
    timer: Option<Timer>,
}

/// The messages that wait, by their exchange.
#[derive(Debug, Default)]
pub(super) struct Delayed(HashMap<Arc<str>, AtExchange>);

impl Delayed {
    fn add(&mut self, exchange: &Arc<str>, at: Instant, message: DelayedMessage) {
        self.0.entry(exchange.clone()).or_default().messages.set(at, message);
    }

    /// Sums up the cost of all messages.
    #[cfg(any(test, fuzzing))]
    pub(super) fn cost(&self) -> usize {
        self.0.values().flat_map(|at| at.messages.keys()).map(|message| message.cost).sum()
    }
}

impl Router {
    /// Keeps a message at the exchanges that delay it. Returns the outcome that refuses it if there is no room.
    pub(super) fn delay(&mut self, delays: &[Delay], keys: &[Arc<str>], message: &Message) -> Result<(), Outcome> {
        for Delay { exchange, millis } in delays {
            let annotate = (self.codec)(message.encoding).annotated;
            let payload = annotate(&message.payload, X_DELAY, -i64::from(*millis));
            let message = Message { payload, ..message.clone() }.kept();
            let keys_cost = keys.iter().map(|key| key.len() + size_of::<Arc<str>>()).sum::<usize>();
            let cost = Waiting::cost_of(&message) + keys_cost + OVERHEAD;
            if !self.budget.has_room_for(cost) {
                self.counts.dropped += 1;
                let why = format!(
                    "no room for it at {}: the broker's storage limit is reached",
                    self.vhost.exchange(exchange)
                );
                log::info!("dropped: {why}");
                return Err(Outcome::Rejected(Some(Box::new(Fault::new(Reason::ResourceLimitExceeded, why)))));
            }
            self.budget.take(cost);
            let at = self.deadlines.now() + Duration::from_millis(u64::from(*millis));
            self.delayed.add(exchange, at, DelayedMessage { message, keys: keys.to_vec(), cost });
            self.keep_release(exchange);
        }
        Ok(())
    }

    /// Keeps a message that its exchanges delay, and passes an outcome to its sender unless queues do.
    pub(super) fn delay_for(
        &mut self,
        (from, to): (LinkKey, &Destination),
        delays: &[Delay],
        message: &Message,
        delivery: Option<DeliveryKey>,
    ) {
        let keys: Vec<Arc<str>> = match (to, &message.routing) {
            (Destination::Exchange(address), _) => vec![address.key().into()],
            (Destination::Keys(several), _) => several.keys.clone(),
            (_, routing) => routing.iter().map(|routing| routing.key.clone()).collect(),
        };
        let outcome = match (self.delay(delays, &keys, message), to.is_published()) {
            (Err(refused), _) => refused,
            (Ok(()), true) => {
                let why = "the message waits at a delayed-message exchange";
                Outcome::Rejected(Some(Box::new(Fault::new(Reason::NotFound, why))))
            }
            (Ok(()), false) => Outcome::Accepted,
        };
        if to.is_published() && is_for_want_of_room(&outcome) {
            self.starve(from);
        }
        if let Some(delivery) = delivery {
            self.effects.settle(from, delivery, outcome);
        }
    }

    /// Sets the deadline of an exchange to the time of its first message.
    fn keep_release(&mut self, exchange: &Arc<str>) {
        let Some(at) = self.delayed.0.get_mut(exchange) else { return };
        let due = at.messages.next();
        self.deadlines.keep(&mut at.timer, due, || Due::Exchange(exchange.clone()));
        if due.is_none() {
            self.delayed.0.remove(exchange);
        }
    }

    /// The deadline of an exchange has come: routes its first message.
    pub(super) fn release_delayed(&mut self, exchange: &Arc<str>) {
        let now = self.deadlines.now();
        let Some(at) = self.delayed.0.get_mut(exchange) else { return };
        at.timer = None;
        let due = at.messages.pop(now);
        self.keep_release(exchange);
        let Some(DelayedMessage { message, keys, cost }) = due else { return };
        self.budget.give_back(cost);
        let names: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
        let by = RoutedBy::new(&names, (self.codec)(message.encoding), &message.payload).without_delays();
        // The messages of an exchange go with it.
        let Ok(route) = self.exchanges.route_within(exchange, &by) else { return };
        let to = Destination::Keys(Arc::new(RoutingKeys { exchange: exchange.clone(), keys: keys.clone() }));
        match route.queues.is_empty() {
            true => self.bound_nowhere(LinkKey::NOBODY, &to, &message, None),
            false => {
                let arrival = Arrival { delivery: None, message };
                self.route_to_all(&route.queues, LinkKey::NOBODY, &to, arrival);
            }
        }
    }

    /// Drops the messages of an exchange that has been deleted.
    pub(super) fn drop_delayed(&mut self, exchange: &str) {
        let Some(mut at) = self.delayed.0.remove(exchange) else { return };
        self.deadlines.keep(&mut at.timer, None, || Due::Exchange(exchange.into()));
        for DelayedMessage { cost, .. } in at.messages.into_keys() {
            self.budget.give_back(cost);
            self.counts.dropped += 1;
        }
    }

    /// Drops the messages of all exchanges.
    pub(super) fn drop_all_delayed(&mut self) {
        let exchanges: Vec<Arc<str>> = self.delayed.0.keys().cloned().collect();
        exchanges.iter().for_each(|exchange| self.drop_delayed(exchange));
    }
}
