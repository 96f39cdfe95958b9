//! The basic class but for publish: consumers, deliveries and their acknowledgements, basic.get, prefetch. A part of
//! `channel.rs`.
//!
//! The router gives a consumer no more than it has credit for. Here credit is what prefetch leaves: what was acknowledged in a
//! turn is given back at its end. The limit that the consumers of a channel share is the channel's window.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::channel::{Unacked, not_for_us};
use super::connection::{Connection, Link, LinkEnd, outcome_of};
use super::content::Content;
use super::entities::Question;
use super::method::{BASIC, Basic, Method};
use super::types::{Version, Writer, saturate};
use super::violation::{ReplyCode, Violation};
use crate::event::{ConsumerRequest, Delivery, Event, LinkId, Manner, Node, Outcome, Ticket};
use crate::message::Message;
use crate::outbox::Outbox;

/// Credit where nothing limits it: more than can ever be used.
pub(super) const ENDLESS: i64 = 1 << 60;

/// What is taken off the credit of a consumer whose channel is not active.
const PAUSED: i64 = 1 << 61;

/// What a limit of basic.qos allows.
fn allowed(limit: u16) -> i64 {
    if limit == 0 { ENDLESS } else { limit.into() }
}

/// What receives on a channel: a client's consumer, or what basic.get looks with.
#[derive(Debug)]
pub(crate) struct Consumer {
    tag: Arc<str>,
    queue: Arc<str>,
    /// basic.get looks into the queue with it.
    is_getter: bool,
    no_ack: bool,
    prefetch: u16,
    /// Deliveries that have been acknowledged and that the router has not been told of.
    returned: i64,
    pub(super) unacked: u32,
    /// It takes no more, and goes with its last acknowledgement.
    retired: bool,
}

/// Writes exchange and routing key of a message. Without both it was sent to its queue itself, as if by the default exchange.
fn put_address(out: &mut BytesMut, address: &[u8], queue: &str) {
    const NEITHER: [u8; 2] = [0, 0];
    if address == NEITHER {
        out.put_u8(0);
        Writer::new(out, Version::V0_9_1).shortstr(queue);
    } else {
        out.put_slice(address);
    }
}

impl Link {
    fn consumer_mut(&mut self) -> Option<&mut Consumer> {
        match &mut self.end {
            LinkEnd::Consumer(consumer) => Some(consumer),
            LinkEnd::Channel => None,
        }
    }
}

impl Connection {
    pub(super) fn on_basic_method(
        &mut self,
        number: u16,
        method: &Basic<'_>,
        out: &mut Outbox,
    ) -> Result<(), Violation> {
        let Some(channel) = self.channel_mut(number) else { return Ok(()) };
        match *method {
            Basic::Qos { prefetch_size, prefetch_count, global } => {
                if prefetch_size != 0 {
                    let text = format!("prefetch_size!=0 ({prefetch_size})");
                    return Err(Violation::new(ReplyCode::NotImplemented, text));
                }
                // As RabbitMQ reads it: for all consumers of the channel, or for each that comes.
                if global {
                    let before = std::mem::replace(&mut channel.prefetch_all, prefetch_count);
                    channel.returned += allowed(prefetch_count) - allowed(before);
                } else {
                    channel.prefetch = prefetch_count;
                }
                self.touch(number);
                self.tell(number, &Method::Basic(Basic::QosOk {}), out);
            }
            Basic::Consume { queue, consumer_tag, no_ack, exclusive, no_wait, .. } => {
                let queue = self.queue_named(number, queue)?;
                let tag = match consumer_tag {
                    "" => self.generate_tag(),
                    tag => tag.into(),
                };
                self.consume(number, queue, tag, no_ack, exclusive, no_wait)?;
            }
            Basic::Cancel { consumer_tag, no_wait } => {
                if let Some(link) = channel.consumers.remove(consumer_tag) {
                    self.retire(link);
                }
                if !no_wait {
                    self.tell(number, &Method::Basic(Basic::CancelOk { consumer_tag }), out);
                }
            }
            // The answer to our own cancel.
            Basic::CancelOk { .. } => {}
            Basic::Get { queue, no_ack, .. } => {
                let queue = self.queue_named(number, queue)?;
                self.get(number, queue, no_ack)?;
            }
            Basic::Ack { delivery_tag, multiple } => {
                self.acknowledge(number, delivery_tag, multiple, &Outcome::Accepted)?;
            }
            Basic::Nack { delivery_tag, multiple, requeue } => {
                self.acknowledge(number, delivery_tag, multiple, &outcome_of(requeue))?;
            }
            Basic::Reject { delivery_tag, requeue } => {
                self.acknowledge(number, delivery_tag, false, &outcome_of(requeue))?;
            }
            Basic::Recover { requeue } | Basic::RecoverAsync { requeue } => {
                if !requeue {
                    return Err(Violation::new(ReplyCode::NotImplemented, "requeue=false"));
                }
                let tags: Vec<u64> = channel.unacked.numbers_in(0..=u64::MAX).collect();
                self.answer_all(number, &tags, &Outcome::Released);
                if matches!(method, Basic::Recover { .. }) {
                    self.tell(number, &Method::Basic(Basic::RecoverOk {}), out);
                }
            }
            // Dealt with where contents begin.
            Basic::Publish { .. } => {}
            Basic::QosOk {}
            | Basic::ConsumeOk { .. }
            | Basic::Return { .. }
            | Basic::Deliver { .. }
            | Basic::GetOk { .. }
            | Basic::GetEmpty { .. }
            | Basic::RecoverOk {} => return Err(not_for_us()),
        }
        Ok(())
    }

    /// A consumer tag that nobody has.
    fn generate_tag(&mut self) -> Arc<str> {
        self.generated_tags += 1;
        format!("amq.ctag-{}-{}", self.name, self.generated_tags).into()
    }

    fn consume(
        &mut self,
        number: u16,
        queue: Arc<str>,
        tag: Arc<str>,
        no_ack: bool,
        exclusive: bool,
        no_wait: bool,
    ) -> Result<(), Violation> {
        let Some(channel) = self.channel_mut(number) else { return Ok(()) };
        if channel.consumers.contains_key(&tag) {
            return Err(Violation::new(ReplyCode::NotAllowed, format!("attempt to reuse consumer tag '{tag}'")));
        }
        let prefetch = channel.prefetch;
        let consumer = Consumer {
            tag: tag.clone(),
            queue: queue.clone(),
            is_getter: false,
            no_ack,
            prefetch,
            returned: 0,
            unacked: 0,
            retired: false,
        };
        let link = self.attach(number, consumer, queue, exclusive)?;
        let question = Question::Consume { tag, link, no_wait };
        if let Some(channel) = self.channel_mut(number) {
            channel.question = Some((question.method(), question));
        }
        Ok(())
    }

    /// Asks the router for a link on which a queue's messages come.
    fn attach(
        &mut self,
        number: u16,
        consumer: Consumer,
        queue: Arc<str>,
        exclusive: bool,
    ) -> Result<LinkId, Violation> {
        if self.links.len() >= self.config.max_links {
            return Err(Violation::new(ReplyCode::ResourceError, "too many consumers on this connection"));
        }
        let (name, passing) = (consumer.tag.clone(), consumer.is_getter);
        let manner = if consumer.no_ack { Manner::Settled } else { Manner::Unsettled };
        let link = self.add_link(number, LinkEnd::Consumer(consumer));
        if let Some(channel) = self.channel_mut(number) {
            channel.links.insert(link);
        }
        self.events.push_back(Event::AttachConsumer(Box::new(ConsumerRequest {
            link,
            // What is not acknowledged is not limited.
            channel: (manner == Manner::Unsettled).then_some(number),
            name,
            node: Node::Queue(queue),
            manner,
            browse: false,
            default_outcome: Outcome::Released,
            max_message_size: u64::MAX,
            exclusive,
            passing,
        })));
        Ok(link)
    }

    /// The router has attached a consumer.
    pub(super) fn consumer_attached(&mut self, id: LinkId, number: u16, out: &mut Outbox) {
        let Some(channel) = self.channel_mut(number) else { return };
        match channel.question.take() {
            Some((_, Question::Consume { tag, link, no_wait })) if link == id => {
                if !no_wait {
                    let answer = Basic::ConsumeOk { consumer_tag: &tag };
                    self.tell(number, &Method::Basic(answer), out);
                }
                if let Some(channel) = self.channel_mut(number) {
                    channel.consumers.insert(tag, id);
                }
                // Deliveries come after consume-ok.
                self.give_first_credit(id, number);
            }
            question => {
                channel.question = question;
                self.events.push_back(Event::Credit { link: id, more: 1, drain: true });
            }
        }
    }

    /// A consumer takes no more. What it has can still be acknowledged.
    fn retire(&mut self, id: LinkId) {
        let Some(consumer) = self.link_mut(id).and_then(Link::consumer_mut) else { return };
        consumer.retired = true;
        if consumer.unacked > 0 {
            self.events.push_back(Event::Retire { link: id });
        } else {
            self.let_consumer_go(id);
        }
    }

    fn let_consumer_go(&mut self, id: LinkId) {
        let number = self.link_mut(id).map(|link| link.channel);
        if let Some(channel) = number.and_then(|number| self.channel_mut(number)) {
            channel.links.remove(&id);
        }
        if self.remove_link(id) {
            self.events.push_back(Event::Detach { gone: vec![id] });
        }
    }

    /// The queue of a consumer is no more. What it has can still be acknowledged, to nobody.
    pub(super) fn consumer_ended(&mut self, id: LinkId, number: u16, out: &mut Outbox) {
        let Some(consumer) = self.link_mut(id).and_then(Link::consumer_mut) else { return };
        let (tag, queue, is_getter) = (consumer.tag.clone(), consumer.queue.clone(), consumer.is_getter);
        self.let_consumer_go(id);
        let Some(channel) = self.channel_mut(number) else { return };
        if is_getter {
            // One of the same name is another queue.
            channel.getters.remove(&queue);
            return;
        }
        let known = channel.consumers.get(&tag) == Some(&id);
        if known {
            channel.consumers.remove(&tag);
        }
        if known && self.capabilities.consumer_cancel_notify {
            let cancel = Basic::Cancel { consumer_tag: &tag, no_wait: true };
            self.tell(number, &Method::Basic(cancel), out);
        }
    }

    /// basic.get: looks once, on a link that does not count as a consumer's.
    fn get(&mut self, number: u16, queue: Arc<str>, no_ack: bool) -> Result<(), Violation> {
        let Some(channel) = self.channel_mut(number) else { return Ok(()) };
        let known = channel.getters.get(&queue).copied().filter(|_| !no_ack);
        let question = Question::Get { got: None };
        channel.question = Some((question.method(), question));
        if let Some(link) = known {
            self.events.push_back(Event::Credit { link, more: 1, drain: true });
            return Ok(());
        }
        let consumer = Consumer {
            tag: "basic.get".into(),
            queue: queue.clone(),
            is_getter: true,
            no_ack,
            prefetch: 0,
            returned: 0,
            unacked: 0,
            retired: true,
        };
        let link = self.attach(number, consumer, queue.clone(), false)?;
        if let Some(channel) = self.channel_mut(number)
            && !no_ack
        {
            channel.getters.insert(queue, link);
        }
        Ok(())
    }

    /// basic.get has found what there was.
    pub(super) fn drained(&mut self, id: LinkId, left: usize, out: &mut Outbox) {
        let frame_max = self.frame_max;
        let Some(link) = self.link_mut(id) else { return };
        let number = link.channel;
        let Some(queue) = link.consumer_mut().map(|consumer| consumer.queue.clone()) else { return };
        let Some(channel) = self.channel_mut(number) else { return };
        let got = match channel.question.take() {
            Some((_, Question::Get { got, .. })) => got,
            other => {
                channel.question = other;
                return;
            }
        };
        let Some((message, settled, ticket)) = got else {
            self.tell(number, &Method::Basic(Basic::GetEmpty { cluster_id: "" }), out);
            self.tidy_getter(id);
            return;
        };
        let tag = match settled {
            true => channel.unacked.skip(),
            false => channel.unacked.push(Unacked { link: id, ticket, got: true }),
        };
        let before = out.len();
        let redelivered = message.history.is_some();
        let written = Content::of(&message.payload).is_some_and(|content| {
            content.put(out, number, frame_max, |out, address| {
                out.put_u16(BASIC);
                out.put_u16(71);
                out.put_u64(tag);
                out.put_u8(u8::from(redelivered));
                put_address(out, address, &queue);
                out.put_u32(saturate(left));
            })
        });
        out.count_as_answer(out.len() - before);
        self.delivered(id, number, tag, settled, ticket, written);
        if !written {
            self.tell(number, &Method::Basic(Basic::GetEmpty { cluster_id: "" }), out);
        }
        self.tidy_getter(id);
    }

    /// What basic.get looks with goes when nothing that it found is unacknowledged.
    fn tidy_getter(&mut self, id: LinkId) {
        let Some(link) = self.link_mut(id) else { return };
        let number = link.channel;
        let Some(consumer) = link.consumer_mut().filter(|consumer| consumer.unacked == 0) else { return };
        if !consumer.is_getter {
            return;
        }
        let queue = consumer.queue.clone();
        if let Some(channel) = self.channel_mut(number)
            && channel.getters.get(&queue) == Some(&id)
        {
            channel.getters.remove(&queue);
        }
        self.let_consumer_go(id);
    }

    /// The router has messages for a consumer.
    pub(crate) fn deliver(&mut self, id: LinkId, deliveries: &mut Vec<Delivery>, out: &mut Outbox) {
        for Delivery { message, settled, ticket, .. } in deliveries.drain(..) {
            if self.link_mut(id).is_some() {
                self.deliver_one(id, &message, settled, ticket, out);
            }
        }
    }

    fn deliver_one(&mut self, id: LinkId, message: &Message, settled: bool, ticket: Ticket, out: &mut Outbox) {
        let Some(link) = self.links.get_mut(id.slot as usize) else { return };
        let number = link.channel;
        let LinkEnd::Consumer(consumer) = &mut link.end else { return };
        let Some(Some(channel)) = self.channels.get_mut(usize::from(number)) else { return };
        if consumer.is_getter {
            if let Some((_, Question::Get { got, .. })) = &mut channel.question {
                *got = Some((message.clone(), settled, ticket));
            }
            return;
        }
        let tag = match settled {
            true => channel.unacked.skip(),
            false => channel.unacked.push(Unacked { link: id, ticket, got: false }),
        };
        let redelivered = message.history.is_some();
        let consumer_tag = consumer.tag.as_bytes();
        let written = Content::of(&message.payload).is_some_and(|content| {
            content.put(out, number, self.frame_max, |out, address| {
                out.put_slice(&[0, 60, 0, 60, u8::try_from(consumer_tag.len()).unwrap_or(0)]);
                out.put_slice(consumer_tag);
                out.put_u64(tag);
                out.put_u8(u8::from(redelivered));
                put_address(out, address, &consumer.queue);
            })
        });
        self.delivered(id, number, tag, settled, ticket, written);
    }

    /// A delivery has been written, or cannot be.
    fn delivered(&mut self, id: LinkId, number: u16, tag: u64, settled: bool, ticket: Ticket, written: bool) {
        let Some(Some(channel)) = self.channels.get_mut(usize::from(number)) else { return };
        if !written {
            log::warn!("{}: a message whose header does not fit frame-max is not delivered", self.name);
            channel.unacked.remove(tag);
            // It has used up credit.
            if !settled && let Some(consumer) = self.links.get_mut(id.slot as usize).and_then(Link::consumer_mut) {
                consumer.returned += 1;
                channel.returned += i64::from(!consumer.is_getter);
            }
            self.touch(number);
            let lost = match settled {
                true => Event::Sent { link: id, ticket },
                false => Event::Answer { link: id, first: ticket, count: 1, outcome: Outcome::Rejected(None) },
            };
            self.events.push_back(lost);
            return;
        }
        if settled {
            if ticket != Ticket::NONE {
                self.events.push_back(Event::Sent { link: id, ticket });
            }
            return;
        }
        if let Some(consumer) = self.links.get_mut(id.slot as usize).and_then(Link::consumer_mut) {
            consumer.unacked += 1;
            channel.consumed += u32::from(!consumer.is_getter);
        }
    }

    /// basic.ack, nack and reject.
    fn acknowledge(&mut self, number: u16, tag: u64, multiple: bool, outcome: &Outcome) -> Result<(), Violation> {
        let Some(channel) = self.channel_mut(number) else { return Ok(()) };
        // Tag 0 means all that there are.
        if multiple && tag == 0 {
            let tags: Vec<u64> = channel.unacked.numbers_in(0..=u64::MAX).collect();
            self.answer_all(number, &tags, outcome);
            return Ok(());
        }
        if channel.unacked.get_mut(tag).is_none() {
            let text = format!("unknown delivery tag {tag}");
            return Err(Violation::new(ReplyCode::PreconditionFailed, text).breach());
        }
        if multiple {
            let tags: Vec<u64> = channel.unacked.numbers_in(0..=tag).collect();
            self.answer_all(number, &tags, outcome);
        } else {
            self.answer_all(number, &[tag], outcome);
        }
        Ok(())
    }

    fn answer_all(&mut self, number: u16, tags: &[u64], outcome: &Outcome) {
        for tag in tags {
            let Some(Some(channel)) = self.channels.get_mut(usize::from(number)) else { return };
            let Some(Unacked { link: id, ticket, got }) = channel.unacked.remove(*tag) else { continue };
            channel.consumed -= u32::from(!got);
            let link = self.links.get_mut(id.slot as usize).filter(|link| link.serial == id.serial);
            // Its queue may be no more.
            let Some(consumer) = link.and_then(Link::consumer_mut) else { continue };
            consumer.unacked -= 1;
            let done = consumer.retired && consumer.unacked == 0;
            consumer.returned += 1;
            channel.returned += i64::from(!got);
            self.events.push_back(Event::Answer { link: id, first: ticket, count: 1, outcome: outcome.clone() });
            if done && got {
                self.tidy_getter(id);
            } else if done {
                self.let_consumer_go(id);
            }
        }
        self.touch(number);
    }

    /// Gives a consumer that has just been attached the credit that it begins with.
    fn give_first_credit(&mut self, id: LinkId, number: u16) {
        let Some(channel) = self.channel_mut(number) else { return };
        let paused = if channel.active { 0 } else { PAUSED };
        let Some(consumer) = self.link_mut(id).and_then(Link::consumer_mut) else { return };
        let first = if consumer.no_ack { ENDLESS } else { allowed(consumer.prefetch) };
        self.events.push_back(Event::Credit { link: id, more: first - paused, drain: false });
    }

    /// channel.flow: the consumers of a channel are sent nothing more, or go on.
    pub(super) fn set_active(&mut self, number: u16, active: bool) {
        let Some(channel) = self.channel_mut(number) else { return };
        if std::mem::replace(&mut channel.active, active) == active {
            return;
        }
        let more = if active { PAUSED } else { -PAUSED };
        let consumers: Vec<LinkId> = channel.consumers.values().copied().collect();
        self.events.extend(consumers.into_iter().map(|link| Event::Credit { link, more, drain: false }));
    }

    /// Tells the router how much more each consumer of a channel takes, where something was acknowledged.
    pub(super) fn grant_credit(&mut self, number: u16) {
        let Some(Some(channel)) = self.channels.get_mut(usize::from(number)) else { return };
        for id in channel.consumers.values() {
            let link = self.links.get_mut(id.slot as usize).filter(|link| link.serial == id.serial);
            let Some(consumer) = link.and_then(Link::consumer_mut) else { continue };
            let more = std::mem::take(&mut consumer.returned);
            if more != 0 {
                self.events.push_back(Event::Credit { link: *id, more, drain: false });
            }
        }
        let more = std::mem::take(&mut channel.returned);
        if more != 0 {
            self.events.push_back(Event::Window { channel: number, more });
        }
    }
}
