//! One consumer of a channel, or the consumer with which basic.get takes a message: its credit, and the frames of its
//! deliveries.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::content::{Content, Small};
use super::context::Context;
use super::frame;
use super::method::{BASIC, Basic, Method};
use super::terms::Terms;
use super::types::{Version, Writer, saturate};
use crate::event::{Event, LinkId, Outcome, REPLY_TO, Ticket};
use crate::live::live;
use crate::message::Message;
use crate::outbox::Outbox;

/// The credit of a consumer without a limit: more than can ever be used.
pub(super) const ENDLESS: i64 = 1 << 60;

/// The credit that a limit of basic.qos allows. 0 is no limit.
pub(super) fn allowed(limit: u16) -> i64 {
    if limit == 0 { ENDLESS } else { limit.into() }
}

/// The exchange and routing key of a message that came by no exchange: two empty short strings.
const NEITHER: [u8; 2] = [0, 0];

/// A consumer, with the link on which the router sends it messages.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) link: LinkId,
    pub(super) tag: Arc<str>,
    pub(super) queue: Arc<str>,
    /// Whether the consumer is that of basic.get.
    pub(super) is_getter: bool,
    /// Whether its queue is a stream.
    pub(super) is_of_stream: bool,
    /// The order in which the consumers of a channel are given credit: the highest first.
    pub(super) priority: i64,
    no_ack: bool,
    prefetch: u16,
    /// Deliveries that were acknowledged since the router was last given credit.
    pub(super) returned: i64,
    pub(super) unacked: u32,
    /// Whether the consumer takes no more messages. It goes with its last acknowledgement.
    pub(super) retired: bool,
}

/// The options of basic.consume.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manners {
    pub(super) no_ack: bool,
    pub(super) exclusive: bool,
    pub(super) prefetch: u16,
    pub(super) priority: i64,
}

impl Consumer {
    /// Creates the consumer of a basic.consume.
    pub(super) fn new(link: LinkId, tag: Arc<str>, queue: Arc<str>, manners: Manners) -> Consumer {
        Consumer {
            link,
            tag,
            queue,
            is_getter: false,
            is_of_stream: false,
            priority: manners.priority,
            no_ack: manners.no_ack,
            prefetch: manners.prefetch,
            returned: 0,
            unacked: 0,
            retired: false,
        }
    }

    /// Creates the consumer of basic.get.
    pub(super) fn getter(link: LinkId, queue: Arc<str>, no_ack: bool) -> Consumer {
        let manners = Manners { no_ack, ..Manners::default() };
        let consumer = Consumer::new(link, "basic.get".into(), queue, manners);
        Consumer { is_getter: true, retired: true, ..consumer }
    }

    /// The credit that the consumer begins with. Without acknowledgements none comes back, so there is no limit.
    pub(super) fn first_credit(&self) -> i64 {
        if self.no_ack { ENDLESS } else { allowed(self.prefetch) }
    }

    /// Whether the consumer takes the replies to its channel (direct reply-to).
    pub(super) fn is_for_replies(&self) -> bool {
        !self.is_getter && self.queue.as_ref() == REPLY_TO
    }

    /// Whether the consumer can be removed.
    pub(super) fn is_done(&self) -> bool {
        self.retired && self.unacked == 0
    }

    /// Writes a delivery whose content is one small piece, with the frames of the content copied as they are. False,
    /// and nothing is written, if the content is larger or in several pieces.
    pub(super) fn put_small_delivery(
        &self,
        channel: u16,
        tag: u64,
        message: &Message,
        context: &mut Context<'_>,
    ) -> bool {
        let Some(small) = Small::of(&message.payload, context.terms.frame_max) else { return false };
        let redelivered = u8::from(message.history.is_some());
        let consumer_tag = self.tag.as_bytes();
        let has_address = small.address != NEITHER;
        if !has_address && self.queue.len() > 255 {
            return false;
        }
        let queue_len = if has_address { 0 } else { self.queue.len() };
        let address_len = if has_address { small.address.len() } else { 2 + queue_len };
        let size = 4 + 1 + consumer_tag.len() + 9 + address_len;
        let [c0, c1] = channel.to_be_bytes();
        let [s0, s1, s2, s3] = saturate(size).to_be_bytes();
        let tag_len = u8::try_from(consumer_tag.len()).unwrap_or(0);
        context.out.append_delivery(|out| {
            out.reserve(size + frame::OVERHEAD + small.content.len());
            out.extend_from_slice(&[1, c0, c1, s0, s1, s2, s3, 0, 60, 0, 60, tag_len]);
            out.extend_from_slice(consumer_tag);
            let [t0, t1, t2, t3, t4, t5, t6, t7] = tag.to_be_bytes();
            out.extend_from_slice(&[t0, t1, t2, t3, t4, t5, t6, t7, redelivered]);
            if has_address {
                out.extend_from_slice(small.address);
            } else {
                out.extend_from_slice(&[0, u8::try_from(queue_len).unwrap_or(0)]);
                out.extend_from_slice(self.queue.as_bytes());
            }
            frame::put_end(out);
            small.put_content(out, channel);
        });
        true
    }

    /// Returns to the router a delivery that cannot be written, and to the consumer its credit.
    pub(super) fn give_up(&mut self, settled: bool, ticket: Ticket, context: &mut Context<'_>) {
        log::warn!("{}: a message whose header does not fit frame-max is not delivered", context.terms.name);
        if settled {
            context.events.push_back(Event::Sent { link: self.link, ticket });
        } else {
            self.returned += 1;
            push_answer(self.link, ticket, &Outcome::Rejected(None), context);
        }
    }

    /// Writes a delivery. False, and nothing is written, if its content header does not fit frame-max.
    pub(super) fn put_delivery(&self, channel: u16, tag: u64, message: &Message, context: &mut Context<'_>) -> bool {
        let redelivered = message.history.is_some();
        let consumer_tag = self.tag.as_bytes();
        live(Content::of(&message.payload), "the content of a message").is_some_and(|content| {
            content.put(context.out, channel, context.terms.frame_max, |out, address| {
                out.put_slice(&[0, 60, 0, 60, u8::try_from(consumer_tag.len()).unwrap_or(0)]);
                out.put_slice(consumer_tag);
                let [t0, t1, t2, t3, t4, t5, t6, t7] = tag.to_be_bytes();
                out.put_slice(&[t0, t1, t2, t3, t4, t5, t6, t7, u8::from(redelivered)]);
                put_address(out, address, &self.queue);
            })
        })
    }
}

/// Answers a delivery. The answer joins the event before it if that has the same outcome and ends with the ticket
/// before.
pub(super) fn push_answer(link: LinkId, ticket: Ticket, outcome: &Outcome, context: &mut Context<'_>) {
    if let Some(Event::Answer { link: same, first, count, outcome: before }) = context.events.back_mut()
        && *same == link
        && first.later(*count) == ticket
        && (matches!((&*before, outcome), (Outcome::Accepted, Outcome::Accepted)) || before == outcome)
    {
        *count += 1;
        return;
    }
    context.events.push_back(Event::Answer { link, first: ticket, count: 1, outcome: outcome.clone() });
}

/// Writes get-ok with a message; `left` more wait in the queue. False, and nothing is written, if its content header
/// does not fit frame-max.
pub(super) fn put_get_ok(
    channel: u16,
    tag: u64,
    queue: &str,
    message: &Message,
    left: u32,
    (out, terms): (&mut Outbox, &Terms),
) -> bool {
    let before = out.len();
    let redelivered = message.history.is_some();
    let written = live(Content::of(&message.payload), "the content of a message").is_some_and(|content| {
        content.put(out, channel, terms.frame_max, |out, address| {
            out.put_u16(BASIC);
            out.put_u16(71);
            out.put_u64(tag);
            out.put_u8(u8::from(redelivered));
            put_address(out, address, queue);
            out.put_u32(left);
        })
    });
    out.count_as_answer(out.len() - before);
    written
}

pub(super) fn put_get_empty(channel: u16, context: &mut Context<'_>) {
    context.tell(channel, &Method::Basic(Basic::GetEmpty { cluster_id: "" }));
}

/// Writes the exchange and the routing key of a message. A message that has neither was sent to its queue itself: it is
/// shown as sent through the default exchange.
fn put_address(out: &mut BytesMut, address: &[u8], queue: &str) {
    if address == NEITHER {
        out.put_u8(0);
        Writer::new(out, Version::V0_9_1).shortstr(queue);
    } else {
        out.put_slice(address);
    }
}
