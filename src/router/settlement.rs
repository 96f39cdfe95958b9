//! Who is told what became of a message: the queue it came from, or the sender that waits for it.

use super::links::Outstanding;
use super::{Effect, LinkKey, Router};
use crate::event::{DeliveryKey, Modified, Outcome, Ticket};

/// A message whose sender waits for a receiver's outcome.
#[derive(Debug)]
pub(super) struct Origin {
    /// The message's.
    pub(super) number: u64,
    producer: LinkKey,
    delivery: DeliveryKey,
    /// Copies whose receivers have not answered.
    pending: usize,
    /// The best answer so far.
    best: Option<Outcome>,
}

impl Origin {
    pub(super) fn new(number: u64, producer: LinkKey, delivery: DeliveryKey, copies: usize) -> Origin {
        Origin { number, producer, delivery, pending: copies, best: None }
    }
}

/// Of several receivers' answers, the one that the sender is given: somebody has it, or why nobody has.
fn better(a: Outcome, b: Outcome) -> Outcome {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Accepted => 3,
        Outcome::Rejected(_) => 2,
        Outcome::Modified(_) => 1,
        Outcome::Released => 0,
    };
    if rank(&b) > rank(&a) { b } else { a }
}

impl Router {
    /// A receiver answered a delivery.
    pub(super) fn answer(&mut self, key: LinkKey, ticket: Ticket, outcome: Outcome) {
        let counter = match &outcome {
            Outcome::Accepted => &mut self.counts.accepted,
            Outcome::Rejected(_) => &mut self.counts.rejected,
            Outcome::Released => &mut self.counts.released,
            Outcome::Modified(_) => &mut self.counts.modified,
        };
        *counter += 1;
        let Some(consumer) = self.links.consumer_mut(key) else { return };
        let route_id = consumer.route;
        let (outstanding, number) = match ticket.as_noted() {
            Some(number) => (None, number),
            None => {
                let Some(outstanding) = consumer.outstanding.remove(ticket.0) else { return };
                let number = match &outstanding {
                    Outstanding::Queued(waiting) | Outstanding::Unsent(waiting) => waiting.number,
                    Outstanding::EndToEnd(origin) => self.origins.get(*origin).map_or(0, |origin| origin.number),
                };
                (Some(outstanding), number)
            }
        };
        self.chronicle.answered(number, key, &consumer.name, &outcome);
        let Some(outstanding) = outstanding else { return };
        let goes_back = self.conclude(route_id, key, outstanding, outcome);
        if goes_back {
            self.go_on_with(route_id);
        }
    }

    /// After something has gone back to a queue.
    fn go_on_with(&mut self, route_id: usize) {
        if self.routes.get(route_id).is_some_and(|route| route.ended) {
            self.carry_on(route_id);
        } else {
            self.dispatch(route_id);
        }
    }

    /// A delivery could not be sent: nobody has seen it.
    pub(super) fn unsent(&mut self, key: LinkKey, ticket: Ticket) {
        let Some(consumer) = self.links.consumer_mut(key) else { return };
        let route_id = consumer.route;
        if let Some(Outstanding::Unsent(waiting) | Outstanding::Queued(waiting)) = consumer.outstanding.remove(ticket.0)
        {
            self.counts.topic -= 1;
            self.put_back(route_id, waiting);
            self.go_on_with(route_id);
        }
    }

    /// A settled delivery from a queue has been written.
    pub(super) fn sent(&mut self, key: LinkKey, ticket: Ticket) {
        let Some(consumer) = self.links.consumer_mut(key) else { return };
        if let Some(Outstanding::Unsent(waiting) | Outstanding::Queued(waiting)) = consumer.outstanding.remove(ticket.0)
        {
            self.stored_bytes -= waiting.cost();
        }
    }

    /// Does what the outcome of a delivery asks for. True if the message went back to its queue.
    pub(super) fn conclude(
        &mut self,
        route_id: usize,
        consumer: LinkKey,
        outstanding: Outstanding,
        outcome: Outcome,
    ) -> bool {
        let mut waiting = match outstanding {
            Outstanding::EndToEnd(origin) => {
                self.resolve(origin, outcome);
                return false;
            }
            Outstanding::Queued(waiting) => waiting,
            Outstanding::Unsent(waiting) => {
                self.put_back(route_id, waiting);
                return true;
            }
        };
        self.stored_bytes -= waiting.cost();
        match outcome {
            Outcome::Accepted | Outcome::Rejected(_) => return false,
            // Even then whoever has it next is not the first, and is told so.
            Outcome::Released => waiting.message.history_mut().add(false, None),
            Outcome::Modified(Modified { delivery_failed, undeliverable_here, annotations }) => {
                waiting.message.history_mut().add(delivery_failed, annotations);
                if undeliverable_here {
                    let shunned_by = waiting.shunned_by.get_or_insert_default();
                    shunned_by.retain(|key| self.links.consumer(*key).is_some());
                    shunned_by.push(consumer);
                }
            }
        }
        self.stored_bytes += waiting.cost();
        self.put_back(route_id, waiting);
        true
    }

    /// One copy of a message has its outcome; with the last the sender has its own.
    pub(super) fn resolve(&mut self, origin_id: usize, outcome: Outcome) {
        let Some(origin) = self.origins.get_mut(origin_id) else { return };
        origin.pending = origin.pending.saturating_sub(1);
        let best = match origin.best.take() {
            Some(best) => better(best, outcome),
            None => outcome,
        };
        if origin.pending > 0 {
            origin.best = Some(best);
            return;
        }
        let Origin { number, producer, delivery, .. } = self.origins.remove(origin_id);
        self.chronicle.told(number, &best);
        self.effects.push_back(Effect::Settle { link: producer, delivery, outcome: best });
    }
}
