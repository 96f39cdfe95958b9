//! The basic class without publish: the consumers of a channel, deliveries, acknowledgements, basic.get and prefetch.
//!
//! The router gives a consumer no more messages than it has credit. Credit is what prefetch leaves: deliveries that are
//! acknowledged in a turn give it back at the end of the turn. The limit that the consumers of a channel share is the
//! channel's window.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;

use super::consumer::{Consumer, ENDLESS, Manners, allowed, push_answer, put_get_empty, put_get_ok};
use super::context::Context;
use super::delivery_times::DeliveryTimes;
use super::directory::{End, Place};
use super::method::{Basic, Method, MethodId};
use super::terms::Terms;
use super::transaction::{HeldAck, Transaction};
use super::types::saturate;
use super::violation::{ReplyCode, Violation};
use crate::arguments::Arguments;
use crate::event::{
    ConsumerRequest, Delivery, Event, Fault, LinkId, Manner, Node, NodeKind, Outcome, Prefetch, REPLY_TO, Reason,
    Ticket,
};
use crate::ledger::Ledger;
use crate::live::live;
use crate::message::Message;
use crate::value::Value;

const CONSUME: MethodId = MethodId { class: 60, method: 20 };
const GET: MethodId = MethodId { class: 60, method: 70 };

/// The names of a consumer, its link and a question in the errors of [`live`]. The link of a consumer is in the
/// directory for as long as the consumer is in its slot.
const A_CONSUMER: &str = "a consumer of a channel";
const A_LINK: &str = "the link of a consumer";
const A_QUESTION: &str = "what a channel has asked the router";

/// The consumers of a channel, and the deliveries that are not acknowledged.
#[derive(Debug)]
pub(super) struct Consumers {
    channel: u16,
    /// All consumers, those of basic.get included.
    consumers: Slab<Consumer>,
    /// The slots of the consumers that the client has named, by consumer tag.
    by_tag: HashMap<Arc<str>, usize>,
    /// The slots of the consumers that the client has named: the highest priority first.
    by_priority: BTreeSet<(Reverse<i64>, usize)>,
    /// The slots of the consumers of basic.get, by queue, while one of their deliveries is not acknowledged.
    getters: HashMap<Arc<str>, usize>,
    /// The deliveries that are not acknowledged, by delivery tag.
    unacked: Ledger<Unacked>,
    /// Deliveries that were acknowledged, on any consumer, since the router was last given window.
    returned: i64,
    /// basic.qos: the limit of each consumer from now on, and of all together. 0 is no limit.
    prefetch: u16,
    prefetch_all: u16,
    /// The basic.consume or basic.get that the router has not answered.
    asked: Option<Asked>,
    /// When the deliveries went out, where they have to be acknowledged in time.
    times: DeliveryTimes,
    /// Whether the end of the turn has something to do: there is credit or window that the router has not been given, or
    /// deliveries whose time has not been noted.
    pub(super) is_due: bool,
    /// The slot of the consumer of replies, and the name to which they are sent.
    replies: Option<(usize, Arc<str>)>,
}

/// A delivery that the client has and has not acknowledged.
#[derive(Clone, Copy, Debug)]
struct Unacked {
    consumer: usize,
    /// The link of the consumer; it tells the consumer from the next one in its slot.
    link: LinkId,
    ticket: Ticket,
    /// Whether the delivery came by basic.get.
    got: bool,
}

#[derive(Debug)]
enum Asked {
    Consume { no_wait: bool },
    Get { got: Option<(Message, bool, Ticket)> },
}

impl Asked {
    fn is_get(&self) -> bool {
        matches!(self, Asked::Get { .. })
    }
}

impl Consumers {
    pub(super) fn new(channel: u16) -> Consumers {
        Consumers {
            channel,
            consumers: Slab::new(),
            by_tag: HashMap::new(),
            by_priority: BTreeSet::new(),
            getters: HashMap::new(),
            unacked: Ledger::starting_at(1),
            returned: 0,
            prefetch: 0,
            prefetch_all: 0,
            asked: None,
            times: DeliveryTimes::default(),
            is_due: false,
            replies: None,
        }
    }

    /// The links of all consumers.
    pub(super) fn links(&self) -> impl Iterator<Item = LinkId> {
        self.consumers.iter().map(|(_, consumer)| consumer.link)
    }

    /// Deliveries of a consumer that are not acknowledged.
    pub(super) fn unsettled(&self, slot: usize) -> usize {
        live(self.consumers.get(slot), A_CONSUMER).map_or(0, |consumer| consumer.unacked as usize)
    }

    /// The consumer of a delivery. None if the consumer has ended: its slot may have another.
    fn find_consumer(&mut self, slot: usize, link: LinkId) -> Option<&mut Consumer> {
        self.consumers.get_mut(slot).filter(|consumer| consumer.link == link)
    }

    /// The window of all consumers when the channel opens.
    pub(super) fn first_window() -> i64 {
        ENDLESS
    }

    /// basic.qos, as RabbitMQ reads it: with `global` the limit is that of all consumers of the channel, else that of
    /// each later one.
    pub(super) fn set_prefetch(&mut self, size: u32, count: u16, global: bool) -> Result<(), Violation> {
        if size != 0 {
            return Err(Violation::new(ReplyCode::NotImplemented, format!("prefetch_size!=0 ({size})")));
        }
        if global {
            let before = std::mem::replace(&mut self.prefetch_all, count);
            self.returned += allowed(count) - allowed(before);
            self.is_due = true;
        } else {
            self.prefetch = count;
        }
        Ok(())
    }

    /// basic.consume: asks the router for the messages of a queue.
    pub(super) fn consume(
        &mut self,
        queue: Arc<str>,
        tag: &str,
        (no_ack, exclusive, no_wait): (bool, bool, bool),
        arguments: Arguments,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        if self.by_tag.contains_key(tag) {
            return Err(Violation::new(ReplyCode::NotAllowed, format!("attempt to reuse consumer tag '{tag}'")));
        }
        let tag = match tag {
            "" => context.directory.generate_tag(&context.terms.name),
            tag => tag.into(),
        };
        let (exclusive, arguments) = match queue.as_ref() == REPLY_TO {
            true if !no_ack => return Err(refused_replies("reply consumer cannot acknowledge")),
            true if self.replies.is_some() => return Err(refused_replies("reply consumer already set")),
            // They mean nothing there, as in RabbitMQ.
            true => (false, Arguments::default()),
            false => (exclusive, arguments),
        };
        let priority = arguments.get("x-priority").and_then(Value::as_i64).unwrap_or(0);
        let manners = Manners { no_ack, exclusive, prefetch: self.prefetch, priority };
        let link = self.add_link(context)?;
        self.attach(Consumer::new(link, tag, queue, manners), manners, arguments, context);
        self.asked = Some(Asked::Consume { no_wait });
        Ok(())
    }

    fn add_link(&self, context: &mut Context<'_>) -> Result<LinkId, Violation> {
        if context.directory.len() >= context.config.max_links {
            return Err(Violation::new(ReplyCode::ResourceError, "too many consumers on this connection"));
        }
        let end = End::Consumer(self.consumers.vacant_key());
        Ok(context.directory.add(Place { channel: self.channel, end }))
    }

    /// Asks the router for a link to the messages of a queue.
    fn attach(
        &mut self,
        consumer: Consumer,
        manners: Manners,
        arguments: Arguments,
        context: &mut Context<'_>,
    ) -> usize {
        context.events.push_back(Event::AttachConsumer(Box::new(ConsumerRequest {
            link: consumer.link,
            channel: Some(self.channel),
            name: consumer.tag.clone(),
            node: match consumer.is_for_replies() {
                true => Node::Replies,
                false => Node::Queue(consumer.queue.clone()),
            },
            manner: if manners.no_ack { Manner::Settled } else { Manner::Unsettled },
            browse: false,
            default_outcome: Outcome::Released,
            max_message_size: u64::MAX,
            exclusive: manners.exclusive,
            passing: consumer.is_getter,
            prefetch: Some(Prefetch { own: manners.prefetch, shared: self.prefetch_all }),
            arguments,
        })));
        self.consumers.insert(consumer)
    }

    /// Writes consume-ok and gives the consumer its credit; for basic.get, asks for one message.
    pub(super) fn attached(&mut self, slot: usize, kind: NodeKind, context: &mut Context<'_>) {
        let Some(consumer) = live(self.consumers.get_mut(slot), A_CONSUMER) else { return };
        consumer.is_of_stream = kind == NodeKind::Stream;
        match live(self.asked.as_ref(), A_QUESTION) {
            Some(Asked::Consume { no_wait }) => {
                let no_wait = *no_wait;
                self.asked = None;
                if !no_wait {
                    context.tell(self.channel, &Method::Basic(Basic::ConsumeOk { consumer_tag: &consumer.tag }));
                }
                self.by_tag.insert(consumer.tag.clone(), slot);
                self.by_priority.insert((Reverse(consumer.priority), slot));
                // Deliveries come after consume-ok.
                let more = consumer.first_credit();
                context.events.push_back(Event::Credit { link: consumer.link, more, drain: false });
            }
            Some(Asked::Get { .. }) => {
                context.events.push_back(Event::Credit { link: consumer.link, more: 1, drain: true });
            }
            None => {}
        }
    }

    /// Removes a consumer that the router has refused. Returns the violation that closes the channel.
    pub(super) fn refused(&mut self, slot: usize, fault: &Fault, context: &mut Context<'_>) -> Result<(), Violation> {
        if let Some(consumer) = self.remove(slot) {
            live(context.directory.remove(consumer.link), A_LINK);
        }
        let method = match live(self.asked.take(), A_QUESTION) {
            Some(Asked::Consume { .. }) => CONSUME,
            Some(Asked::Get { .. }) => GET,
            None => MethodId::default(),
        };
        let violation = match (&fault.reason, &fault.description) {
            // A queue that does not do this at all: 540 closes the connection.
            (Reason::NotImplemented, Some(text)) => Violation::unmet(text.as_ref().into()),
            _ => Violation::from(fault).soft(),
        };
        Err(violation.in_method(method))
    }

    /// basic.cancel: the consumer takes no more messages. Its deliveries can still be acknowledged.
    pub(super) fn cancel(&mut self, tag: &str, context: &mut Context<'_>) {
        // The server may have cancelled the consumer meanwhile; an unknown tag is no error either.
        let Some(slot) = self.by_tag.remove(tag) else { return };
        let Some(consumer) = live(self.consumers.get_mut(slot), A_CONSUMER) else { return };
        self.by_priority.remove(&(Reverse(consumer.priority), slot));
        consumer.retired = true;
        if consumer.is_done() {
            self.let_go(slot, context);
        } else {
            context.events.push_back(Event::Retire { link: consumer.link });
        }
    }

    /// Keeps the name to which replies are sent, if the consumer in this slot takes them.
    pub(super) fn take_replies_at(&mut self, slot: usize, address: Option<Arc<str>>) {
        if self.consumers.get(slot).is_some_and(Consumer::is_for_replies) {
            self.replies = address.map(|address| (slot, address));
        }
    }

    /// The name to which replies are sent, while the channel consumes them.
    pub(super) fn reply_to(&self) -> Option<Arc<str>> {
        self.replies.as_ref().map(|(_, name)| name.clone())
    }

    fn remove(&mut self, slot: usize) -> Option<Consumer> {
        let consumer = live(self.consumers.try_remove(slot), A_CONSUMER)?;
        self.replies.take_if(|(replies, _)| *replies == slot);
        if consumer.is_getter && self.getters.get(&consumer.queue) == Some(&slot) {
            self.getters.remove(&consumer.queue);
        }
        Some(consumer)
    }

    fn let_go(&mut self, slot: usize, context: &mut Context<'_>) -> Option<Consumer> {
        let consumer = self.remove(slot)?;
        live(context.directory.remove(consumer.link), A_LINK)?;
        context.events.push_back(Event::Detach { gone: vec![consumer.link] });
        Some(consumer)
    }

    /// Removes a consumer whose queue is no more. Its deliveries can still be acknowledged, without effect.
    pub(super) fn ended(&mut self, slot: usize, context: &mut Context<'_>) {
        let Some(consumer) = self.let_go(slot, context) else { return };
        if self.by_tag.get(&consumer.tag) != Some(&slot) || consumer.is_getter {
            return;
        }
        self.by_tag.remove(&consumer.tag);
        self.by_priority.remove(&(Reverse(consumer.priority), slot));
        if context.terms.capabilities.consumer_cancel_notify {
            let cancel = Basic::Cancel { consumer_tag: &consumer.tag, no_wait: true };
            context.tell(self.channel, &Method::Basic(cancel));
        }
    }

    /// basic.get: asks for one message, on a link that does not count as a consumer of the queue.
    pub(super) fn get(&mut self, queue: Arc<str>, no_ack: bool, context: &mut Context<'_>) -> Result<(), Violation> {
        let known = self.getters.get(&queue).filter(|_| !no_ack);
        if let Some(getter) = known.and_then(|slot| live(self.consumers.get(*slot), A_CONSUMER)) {
            context.events.push_back(Event::Credit { link: getter.link, more: 1, drain: true });
        } else {
            let link = self.add_link(context)?;
            let getter = Consumer::getter(link, queue.clone(), no_ack);
            let manners = Manners { no_ack, ..Manners::default() };
            let slot = self.attach(getter, manners, Arguments::default(), context);
            if !no_ack {
                self.getters.insert(queue, slot);
            }
        }
        self.asked = Some(Asked::Get { got: None });
        Ok(())
    }

    /// Answers basic.get when the router has sent all it has for it; `left` messages remain in the queue.
    pub(super) fn drained(&mut self, slot: usize, left: usize, context: &mut Context<'_>) {
        let Some(Asked::Get { got }) = live(self.asked.take_if(|asked| asked.is_get()), A_QUESTION) else { return };
        self.is_due |= context.config.consumer_timeout.is_some();
        let Some(getter) = live(self.consumers.get_mut(slot), A_CONSUMER) else { return };
        if let Some((message, settled, ticket)) = got {
            let (consumer, link) = (slot, getter.link);
            let tag = match settled {
                true => self.unacked.skip(),
                false => self.unacked.push(Unacked { consumer, link, ticket, got: true }),
            };
            let wire = (&mut *context.out, context.terms);
            if !put_get_ok(self.channel, tag, &getter.queue, &message, saturate(left), wire) {
                self.unacked.remove(tag);
                getter.give_up(settled, ticket, context);
                put_get_empty(self.channel, context);
            } else if !settled {
                getter.unacked += 1;
            } else if ticket != Ticket::NONE {
                context.events.push_back(Event::Sent { link, ticket });
            }
        } else {
            put_get_empty(self.channel, context);
        }
        if getter.is_done() {
            self.let_go(slot, context);
        }
    }

    /// Writes deliveries to a consumer. Empties the list.
    pub(super) fn deliver(&mut self, slot: usize, deliveries: &mut Vec<Delivery>, context: &mut Context<'_>) {
        let Some(consumer) = live(self.consumers.get_mut(slot), A_CONSUMER) else { return };
        if consumer.is_getter {
            // get-ok says how many messages are left, which comes with Effect::Drained.
            let asked = self.asked.as_mut().filter(|asked| asked.is_get());
            if let Some(Asked::Get { got }) = live(asked, A_QUESTION) {
                debug_assert!(got.is_none() && deliveries.len() == 1, "basic.get asks for one message");
                *got = deliveries.pop().map(|delivery| (delivery.message, delivery.settled, delivery.ticket));
            }
            return;
        }
        self.is_due |= context.config.consumer_timeout.is_some();
        let link = consumer.link;
        for Delivery { message, settled, ticket, .. } in deliveries.drain(..) {
            let tag = match settled {
                true => self.unacked.skip(),
                false => self.unacked.push(Unacked { consumer: slot, link, ticket, got: false }),
            };
            let written = consumer.put_small_delivery(self.channel, tag, &message, context)
                || consumer.put_delivery(self.channel, tag, &message, context);
            if !written {
                self.unacked.remove(tag);
                self.is_due = true;
                self.returned += i64::from(!settled);
                consumer.give_up(settled, ticket, context);
            } else if !settled {
                consumer.unacked += 1;
            } else if ticket != Ticket::NONE {
                context.events.push_back(Event::Sent { link, ticket });
            }
        }
    }

    /// Fails if a delivery that a peer gives back or rejects is of a stream, as in RabbitMQ: streams keep their messages.
    pub(super) fn check_can_give_back(&mut self, tag: u64, multiple: bool, terms: &Terms) -> Result<(), Violation> {
        let tags = match (multiple, tag) {
            (true, 0) => 0..=u64::MAX,
            (true, last) => 0..=last,
            (false, one) => one..=one,
        };
        if !self.consumers.iter().any(|(_, consumer)| consumer.is_of_stream) {
            return Ok(());
        }
        let tags: Vec<u64> = self.unacked.numbers_in(tags).collect();
        for tag in tags {
            let Some(Unacked { consumer, link, .. }) = self.unacked.get_mut(tag).copied() else { continue };
            if let Some(consumer) = self.find_consumer(consumer, link).filter(|consumer| consumer.is_of_stream) {
                let what = "basic.nack and basic.reject not supported by stream queues";
                let (queue, vhost) = (&consumer.queue, &terms.virtual_host);
                return Err(Violation::unmet(format!("{what} queue '{queue}' in vhost '{vhost}'")));
            }
        }
        Ok(())
    }

    /// basic.ack, basic.nack and basic.reject. Fails if no delivery has the tag.
    pub(super) fn acknowledge(
        &mut self,
        tag: u64,
        multiple: bool,
        outcome: &Outcome,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        // 1.8.3.13: tag 0 with multiple is all deliveries.
        if multiple && tag == 0 {
            self.answer_up_to(u64::MAX, outcome, context);
            return Ok(());
        }
        let known = match multiple {
            false => self.answer_one(tag, outcome, context),
            true => {
                let known = self.unacked.get_mut(tag).is_some();
                if known {
                    self.answer_up_to(tag, outcome, context);
                }
                known
            }
        };
        if known { Ok(()) } else { Err(unknown_tag(tag)) }
    }

    /// basic.ack, basic.nack and basic.reject in a transaction, which holds them. Fails if no delivery has the tag.
    pub(super) fn hold_ack(
        &mut self,
        tag: u64,
        multiple: bool,
        outcome: Outcome,
        transaction: &mut Transaction,
    ) -> Result<(), Violation> {
        if multiple && tag == 0 {
            transaction.hold_acks_up_to(self.last_tag(), outcome);
            return Ok(());
        }
        if transaction.has_acked(tag) || self.unacked.get_mut(tag).is_none() {
            return Err(unknown_tag(tag));
        }
        match multiple {
            true => transaction.hold_acks_up_to(tag, outcome),
            false => transaction.hold_ack(tag, outcome),
        }
        Ok(())
    }

    /// Answers the deliveries whose acknowledgements a transaction has held.
    pub(super) fn release_acks(&mut self, acks: Vec<HeldAck>, context: &mut Context<'_>) {
        for HeldAck { tag, multiple, outcome } in acks {
            if multiple {
                self.answer_up_to(tag, &outcome, context);
            } else {
                self.answer_one(tag, &outcome, context);
            }
        }
    }

    /// Requeues all deliveries that are not acknowledged, not even by the transaction.
    pub(super) fn recover(&mut self, transaction: Option<&mut Transaction>, context: &mut Context<'_>) {
        let Some(transaction) = transaction else { return self.answer_up_to(u64::MAX, &Outcome::Released, context) };
        let first = transaction.acked_up_to().saturating_add(1);
        let tags: Vec<u64> = self.unacked.numbers_in(first..=u64::MAX).collect();
        for tag in tags.into_iter().filter(|tag| !transaction.has_acked(*tag)) {
            self.answer_one(tag, &Outcome::Released, context);
        }
        transaction.set_acked_up_to(self.last_tag());
    }

    /// The last delivery tag.
    fn last_tag(&self) -> u64 {
        self.unacked.next() - 1
    }

    fn answer_up_to(&mut self, last: u64, outcome: &Outcome, context: &mut Context<'_>) {
        let tags: Vec<u64> = self.unacked.numbers_in(0..=last).collect();
        for tag in tags {
            self.answer_one(tag, outcome, context);
        }
    }

    /// Answers one delivery. False if there is none with this tag.
    fn answer_one(&mut self, tag: u64, outcome: &Outcome, context: &mut Context<'_>) -> bool {
        let Some(Unacked { consumer: slot, link, ticket, got }) = self.unacked.remove(tag) else { return false };
        self.is_due = true;
        self.returned += i64::from(!got);
        let Some(consumer) = self.find_consumer(slot, link) else { return true };
        consumer.unacked -= 1;
        consumer.returned += 1;
        let is_done = consumer.is_done();
        push_answer(link, ticket, outcome, context);
        if is_done {
            self.let_go(slot, context);
        }
        true
    }

    /// Notes the time of the deliveries of this turn.
    pub(super) fn note_time(&mut self, now: Instant, timeout: Duration) {
        self.times.note(self.unacked.next(), now, timeout);
    }

    /// The time at which the oldest delivery went out that is not acknowledged, not even by the transaction.
    pub(super) fn oldest_since(&mut self, transaction: Option<&Transaction>) -> Option<Instant> {
        let first = transaction.map_or(0, |transaction| transaction.acked_up_to().saturating_add(1));
        let is_left = |tag: &u64| transaction.is_none_or(|transaction| !transaction.has_acked(*tag));
        let since = self.unacked.numbers_in(first..=u64::MAX).find(is_left).and_then(|tag| self.times.of(tag));
        // A rollback brings back those that the transaction has acknowledged.
        let oldest = self.unacked.numbers_in(0..=u64::MAX).next();
        self.times.forget_before(oldest.unwrap_or(u64::MAX));
        since
    }

    /// Gives the router the credit of each consumer, and the window of all, that acknowledgements have freed.
    pub(super) fn grant(&mut self, context: &mut Context<'_>) {
        self.is_due = false;
        for (_, slot) in &self.by_priority {
            let Some(consumer) = live(self.consumers.get_mut(*slot), A_CONSUMER) else { continue };
            let more = std::mem::take(&mut consumer.returned);
            if more != 0 {
                context.events.push_back(Event::Credit { link: consumer.link, more, drain: false });
            }
        }
        let more = std::mem::take(&mut self.returned);
        if more != 0 {
            context.events.push_back(Event::Window { channel: self.channel, more });
        }
    }
}

/// Refuses to acknowledge a delivery that does not exist or has been acknowledged.
fn unknown_tag(tag: u64) -> Violation {
    Violation::new(ReplyCode::PreconditionFailed, format!("unknown delivery tag {tag}")).breach()
}

fn refused_replies(text: &str) -> Violation {
    Violation::new(ReplyCode::PreconditionFailed, text).breach()
}
