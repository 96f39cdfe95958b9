//! Publishes dead letters, each as a message of its own.
//!
//! As in RabbitMQ: the entries of `x-death`, the routing keys, and that a message which came round by itself (with no reject on
//! the way) is dropped.

use std::sync::Arc;

use super::Router;
use super::context::{Answers, Incoming};
use super::dead_letters::DeadLetter;
use super::exchange::Route;
use super::links::NodeId;
use crate::deaths::{Death, DeathReason};
use crate::event::Destination;
use crate::message::{DeadLettered, Message, Routing};
use crate::value::Value;

impl Router {
    /// Whether dead letters wait for the next turn.
    pub(crate) fn has_work_left(&self) -> bool {
        !self.dead_letters.is_empty()
    }

    /// Publishes the next dead letter.
    pub(super) fn publish_dead_letter(&mut self) {
        let Some(letter) = self.dead_letters.pop() else { return };
        self.budget.give_back(letter.cost);
        let queue = letter.queue.clone();
        let to = letter.route.exchange.clone();
        if let Err(why) = self.try_publish(letter) {
            log::info!("a dead letter of {queue:?} for {} is dropped: {why}", self.vhost.exchange(&to));
            self.counts.dropped += 1;
        }
    }

    /// Publishes a dead letter, or says why it goes nowhere.
    fn try_publish(&mut self, letter: DeadLetter) -> Result<(), String> {
        let DeadLetter { message, queue, reason, route, .. } = letter;
        let codec = (self.codec)(message.encoding);
        let came_by =
            message.routing.clone().or_else(|| (codec.routing)(&message.payload).map(Arc::new)).unwrap_or_else(|| {
                Arc::new(Routing { exchange: "".into(), key: queue.clone(), hidden: Box::default() })
            });
        let further = copies(&(codec.headers)(&message.payload));
        // A routing key of the queue takes the place of all others.
        let keeps_copies = route.key.is_none();
        let hidden = if keeps_copies { came_by.hidden.clone() } else { Box::default() };
        let to = Routing { exchange: route.exchange, key: route.key.unwrap_or(came_by.key.clone()), hidden };
        let to = Arc::new(to);
        let copied_to = further.iter().filter(|_| keeps_copies).chain(&to.hidden);
        let keys: Vec<Arc<str>> = std::iter::once(&to.key).chain(copied_to).cloned().collect();
        let mut deaths = (codec.deaths)(&message.payload);
        let date = self.deadlines.date();
        deaths.add(Death {
            queue,
            reason: Some(reason),
            count: 1,
            time: date,
            last_time: date,
            exchange: came_by.exchange.clone(),
            routing_keys: std::iter::once(came_by.key.clone()).chain(further).collect(),
            expiration: (codec.storing)(&message.payload).ttl,
        });
        let dead = DeadLettered { deaths: &deaths, to: &to, keeps_copies };
        let payload = (codec.dead_lettered)(&message.payload, &dead);
        let message = Message { payload, routing: Some(to.clone()), history: None, ..message };
        // A headers exchange matches what has been written into the message.
        let names: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
        let found = self.route_within(&to.exchange, &names, &message);
        let Route { queues: found, delays } =
            found.map_err(|fault| fault.description.unwrap_or_default().to_string())?;
        let goes_round = |address: &str| reason != DeathReason::Rejected && deaths.is_cycle_to(address);
        let is_way = |id: &NodeId| self.addresses.get(*id).is_some_and(|entry| !goes_round(&entry.address));
        let queues: Vec<NodeId> = found.iter().copied().filter(is_way).collect();
        if queues.is_empty() && delays.is_empty() {
            let why = if found.is_empty() { "no queue is bound for it" } else { "it came round without a reject" };
            return Err(why.to_owned());
        }
        if self.delay(&delays, &keys, &message).is_err() && queues.is_empty() {
            return Err("there is no room for it to wait".to_owned());
        }
        if !queues.is_empty() {
            self.note_publish(&Destination::Missing, message.routing.as_deref(), &queues);
        }
        for id in queues {
            self.offer_dead_letter(id, message.clone());
        }
        Ok(())
    }

    fn offer_dead_letter(&mut self, id: NodeId, message: Message) {
        let Some(entry) = self.addresses.get_mut(id) else { return };
        entry.arrived += 1;
        let mut kept = None;
        self.work(id, |node, context| {
            let number = context.journal.next_number();
            context.journal.came(number, &None, context.address, true, &message);
            let incoming = Incoming { number, message, delivery: None };
            let refused = node.offer(incoming, &mut Answers::Kept(&mut kept), context);
            debug_assert!(refused.is_ok(), "a queue stores");
        });
        self.is_full = false;
    }
}

/// The further routing keys that a publisher gave (the header CC).
fn copies(headers: &[(String, Value)]) -> Vec<Arc<str>> {
    let further = headers.iter().find(|(name, _)| name == "CC").and_then(|(_, value)| value.as_list());
    further.unwrap_or_default().iter().filter_map(|key| Some(key.as_str()?.into())).collect()
}
