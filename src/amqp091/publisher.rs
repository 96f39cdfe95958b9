//! 4.2.6 and basic.publish: the contents that a channel publishes, whole, frame by frame or by a commit, and the confirms
//! and returns that answer them. Does not know where a message goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::codec::milliseconds;
use super::content::{Content, PROPERTIES_AT, Properties};
use super::context::Context;
use super::copies::Copies;
use super::frame::{self, Frame, FrameType};
use super::method::{BASIC, Basic, Method, PUBLISH};
use super::terms::Terms;
use super::transaction::Transaction;
use super::types::{Reader, Version, Writer};
use super::violation::{ReplyCode, Violation};
use crate::budget::Full;
use crate::event::{Arrival, DeliveryKey, Destination, Event, LinkId, Outcome, REPLY_TO, Reason, Run, Text};
use crate::live::live;
use crate::message::{Encoding, Message, Payload, PayloadBuilder, Routing};
use crate::outbox::Outbox;

/// The publishing side of a channel.
#[derive(Debug)]
pub(super) struct Publisher {
    channel: u16,
    link: LinkId,
    /// 4.2.6: the content that is arriving.
    content: Option<Partial>,
    published: u64,
    confirms: Option<Confirms>,
    /// The messages published with `mandatory`, until their outcome is known.
    mandatory: BTreeMap<u64, Message>,
    /// Whether the router has no room for messages from this channel.
    starved: bool,
    /// The name to which replies to the channel are sent, while it consumes them.
    pub(super) reply_to: Option<Arc<str>>,
}

/// A content of which not all has arrived.
#[derive(Debug)]
struct Partial {
    frames: PayloadBuilder,
    /// The octets of the body that are still to come. None until the header has come.
    left: Option<u64>,
}

/// The confirms of a channel, in the order of its publishes.
#[derive(Debug)]
struct Confirms {
    /// The number of messages published before confirm.select. The first delivery tag is that of the message after.
    before: u64,
    /// The last delivery tag of which all up to it have been confirmed.
    told: u64,
    /// The last delivery tag up to which one basic.ack can confirm.
    ready: u64,
}

impl Publisher {
    pub(super) fn new(channel: u16, link: LinkId) -> Publisher {
        Publisher {
            channel,
            link,
            content: None,
            published: 0,
            confirms: None,
            mandatory: BTreeMap::new(),
            starved: false,
            reply_to: None,
        }
    }

    /// Whether the channel has confirms.
    pub(super) fn is_confirming(&self) -> bool {
        self.confirms.is_some()
    }

    /// Whether a content is arriving, so that a method is not allowed now.
    pub(super) fn is_amid_content(&self) -> bool {
        self.content.is_some()
    }

    /// Whether confirms are to be written at the end of the turn.
    pub(super) fn has_confirms(&self) -> bool {
        self.confirms.as_ref().is_some_and(|confirms| confirms.told != confirms.ready)
    }

    /// Begins to confirm (confirm.select). If confirms are selected already, their count goes on.
    pub(super) fn select_confirms(&mut self) {
        self.confirms.get_or_insert(Confirms { before: self.published, told: 0, ready: 0 });
    }

    /// Takes the method frame of a basic.publish whose content is to come.
    pub(super) fn begin(&mut self, frame: &Frame, context: &mut Context<'_>) -> Result<(), Violation> {
        let arguments = frame.payload().get(4..).unwrap_or_default();
        Method::read(PUBLISH, &mut Reader::new(arguments, context.terms.version))?;
        if self.is_amid_content() {
            return Err(Violation::content("a method where content was expected"));
        }
        let mut partial = Partial { frames: PayloadBuilder::default(), left: None };
        partial.frames.push(frame.bytes.clone());
        self.content = Some(partial);
        take(frame.bytes.len(), context)
    }

    /// Takes a header or body frame. Returns the frames of the publish if it is the last.
    pub(super) fn on_content(
        &mut self,
        frame: &Frame,
        context: &mut Context<'_>,
    ) -> Result<Option<Payload>, Violation> {
        let Some(mut partial) = self.content.take() else {
            return Err(Violation::content("content where a method was expected"));
        };
        let before = partial.frames.len();
        let result = partial.push(frame, context.config.max_message_size);
        context.arriving.give_back(before);
        match result? {
            true => Ok(Some(partial.frames.finish())),
            false => {
                let len = partial.frames.len();
                self.content = Some(partial);
                take(len, context).map_err(|violation| violation.in_method(PUBLISH))?;
                Ok(None)
            }
        }
    }

    /// Publishes a whole content, by the frames of its publish. While the context holds arrivals, the content must have
    /// the same destination as they have.
    pub(super) fn publish(&mut self, payload: Payload, context: &mut Context<'_>) -> Result<(), Violation> {
        let Checked { content, copies, rewritten, asks_for_reply } = check(&payload, context)?;
        if asks_for_reply {
            return self.publish(self.with_reply_to(&content)?, context);
        }
        // Messages that follow each other to the same destination share an event.
        if context.arrivals.is_empty() {
            let to = destination(&content, copies.as_ref()).ok_or_else(not_utf8)?;
            context.events.push_back(Event::Messages { link: self.link, to, credit: u32::MAX });
        }
        let mandatory = content.is_mandatory();
        let settled = !mandatory && self.confirms.is_none();
        self.push(payload, rewritten, mandatory, settled, context);
        Ok(())
    }

    /// The publish with the name to which replies to this channel are sent. Fails if the channel consumes no replies.
    fn with_reply_to(&self, content: &Content<'_>) -> Result<Payload, Violation> {
        let Some(name) = &self.reply_to else {
            let text = "fast reply consumer does not exist";
            return Err(Violation::new(ReplyCode::PreconditionFailed, text).breach());
        };
        let properties = Properties { reply_to: Some(name.as_bytes()), ..Properties::read(content.properties())? };
        Ok(content.with_properties(&properties))
    }

    /// Adds a message to the event that the context has.
    #[inline]
    fn push(
        &mut self,
        payload: Payload,
        rewritten: Option<(Payload, Arc<Routing>)>,
        mandatory: bool,
        settled: bool,
        context: &mut Context<'_>,
    ) {
        let (payload, routing) = match rewritten {
            Some((payload, routing)) => (payload, Some(routing)),
            None => (payload, None),
        };
        self.published += 1;
        let delivery = DeliveryKey(self.published);
        let message = Message { payload, encoding: Encoding::Amqp091, routing, ..Message::default() };
        if mandatory {
            self.mandatory.insert(self.published, message.clone().kept());
        }
        context.arrivals.push(Arrival { delivery: (!settled).then_some(delivery), message });
    }

    /// Holds a publish until its transaction commits. Returns the name of its exchange, unless that is the default one.
    pub(super) fn hold(
        &mut self,
        payload: Payload,
        transaction: &mut Transaction,
        context: &mut Context<'_>,
    ) -> Result<Option<Arc<str>>, Violation> {
        let Checked { content, copies, asks_for_reply, .. } = check(&payload, context)?;
        if asks_for_reply {
            return self.hold(self.with_reply_to(&content)?, transaction, context);
        }
        destination(&content, copies.as_ref()).ok_or_else(not_utf8)?;
        let exchange = std::str::from_utf8(content.exchange()).ok().filter(|exchange| !exchange.is_empty());
        let exchange = exchange.map(Arc::from);
        transaction.hold(payload)?;
        Ok(exchange)
    }

    /// The key of the next message.
    pub(super) fn next_key(&self) -> u64 {
        self.published + 1
    }

    /// Publishes the next messages of a commit that have one destination, `limit` at most. False if there are none.
    pub(super) fn release(&mut self, transaction: &mut Transaction, limit: usize, context: &mut Context<'_>) -> bool {
        let Some(first) = transaction.next().cloned() else { return false };
        let Ok(Checked { content, copies, .. }) = check(&first, context) else { return false };
        let Some(to) = live(destination(&content, copies.as_ref()), "the destination of a message") else {
            return false;
        };
        context.events.push_back(Event::Messages { link: self.link, to, credit: u32::MAX });
        let limit = if copies.is_some() { 1 } else { limit.max(1) };
        while context.arrivals.len() < limit
            && let Some(Ok(next)) = transaction.next().map(|payload| check(payload, context))
            && next.content.has_destination_of(&content)
            && (next.copies.is_none() || copies.is_some())
        {
            let (mandatory, rewritten) = (next.content.is_mandatory(), next.rewritten);
            let Some(payload) = transaction.release() else { break };
            self.push(payload, rewritten, mandatory, false, context);
        }
        true
    }

    /// Takes the publishes at the start of `input` whose method frame is `method`, as that of the publish before, and
    /// adds them to its event. Stops at the first that breaks a rule; [`Publisher::publish`] refuses that one.
    pub(super) fn gather(&mut self, input: &mut BytesMut, method: &[u8], limit: usize, context: &mut Context<'_>) {
        let is_shared = |event: &Event| !matches!(event, Event::Messages { to: Destination::Keys(_), .. });
        if !self.mandatory.is_empty() || !context.events.back().is_none_or(is_shared) {
            return;
        }
        let mut ends = [0; Run::MAX];
        let (mut count, mut end) = (0, 0);
        for slot in ends.iter_mut().take(limit.saturating_sub(context.arrivals.len())) {
            let rest = input.get(end..).unwrap_or_default();
            let Some(whole) = frame::whole_publish_like(rest, method, context.terms.frame_max) else { break };
            let is_plain = whole.header.get(..4) == Some(&[0, 60, 0, 0])
                && whole.body_size <= context.config.max_message_size
                && check_properties(whole.header.get(PROPERTIES_AT..).unwrap_or_default(), context.terms)
                    .is_ok_and(|properties| !properties.is_some_and(|it| Copies::are_in(&it) || is_for_replies(&it)));
            if !is_plain {
                break;
            }
            end += whole.len;
            *slot = end;
            count += 1;
        }
        if count == 0 {
            return;
        }
        // All of them share one buffer.
        let frames = input.split_to(end).freeze();
        let mut start = 0;
        for end in ends.into_iter().take(count) {
            self.published += 1;
            let delivery = self.confirms.is_some().then_some(DeliveryKey(self.published));
            let payload = Payload::from(frames.slice(start..end));
            start = end;
            let message = Message { payload, encoding: Encoding::Amqp091, ..Message::default() };
            context.arrivals.push(Arrival { delivery, message });
        }
    }

    /// Takes the outcome of `count` messages that were published one after the other: returns them, confirms them, or
    /// both.
    pub(super) fn settle(&mut self, first: DeliveryKey, count: u32, outcome: &Outcome, context: &mut Context<'_>) {
        if let Some(confirms) = &mut self.confirms
            && *outcome == Outcome::Accepted
            && self.mandatory.is_empty()
            && confirms.before + confirms.ready + 1 == first.0
        {
            confirms.ready += u64::from(count);
            return;
        }
        for delivery in (first.0..).take(count as usize) {
            self.settle_one(delivery, outcome, context);
        }
    }

    fn settle_one(&mut self, delivery: u64, outcome: &Outcome, context: &mut Context<'_>) {
        let unroutable = is_unroutable(outcome);
        if let Some(message) = self.mandatory.remove(&delivery)
            && (unroutable || is_reply(&message))
        {
            put_return(self.channel, &message, context.terms, context.out);
        }
        let Some(confirms) = &mut self.confirms else { return };
        let Some(number) = delivery.checked_sub(confirms.before).filter(|number| *number > 0) else { return };
        let is_done = !is_refused(outcome);
        if is_done && confirms.ready + 1 == number {
            confirms.ready = number;
            return;
        }
        self.put_confirms(context);
        let confirm = match is_done {
            true => Basic::Ack { delivery_tag: number, multiple: false },
            false => Basic::Nack { delivery_tag: number, multiple: false, requeue: false },
        };
        context.tell(self.channel, &Method::Basic(confirm));
        if let Some(confirms) = self.confirms.as_mut().filter(|confirms| !is_done && confirms.told + 1 == number) {
            confirms.told = number;
            confirms.ready = number;
        }
    }

    /// Writes the confirms that have gathered.
    pub(super) fn put_confirms(&mut self, context: &mut Context<'_>) {
        let Some(confirms) = &mut self.confirms else { return };
        let (told, ready) = (confirms.told, confirms.ready);
        if told == ready {
            return;
        }
        confirms.told = ready;
        let ack = Basic::Ack { delivery_tag: ready, multiple: ready > told + 1 };
        context.tell(self.channel, &Method::Basic(ack));
    }

    /// Notes whether the router has no room for messages from this channel.
    pub(super) fn set_starved(&mut self, starved: bool, context: &mut Context<'_>) {
        if std::mem::replace(&mut self.starved, starved) != starved {
            context.blocking.count(starved, context.terms, context.out);
        }
    }

    /// Ends with the channel: writes the confirms that have gathered, and drops the content that is arriving.
    pub(super) fn let_go(&mut self, context: &mut Context<'_>) {
        self.put_confirms(context);
        if let Some(partial) = self.content.take() {
            context.arriving.give_back(partial.frames.len());
        }
        self.set_starved(false, context);
    }
}

impl Partial {
    /// Adds a header or body frame. True when the content is complete.
    fn push(&mut self, frame: &Frame, limit: u64) -> Result<bool, Violation> {
        let payload = frame.payload();
        let left = match (frame.frame_type, self.left) {
            (FrameType::Header, None) => {
                let class = payload.first_chunk().map(|class| u16::from_be_bytes(*class));
                if class != Some(BASIC) {
                    return Err(Violation::content("a content header of another class than its method's"));
                }
                let size = payload.get(4..PROPERTIES_AT).and_then(|size| size.first_chunk());
                let size = size.ok_or_else(|| Violation::content("a content header that is cut off"))?;
                let size = u64::from_be_bytes(*size);
                // A content that is too large is refused before its body is kept.
                if size > limit {
                    return Err(too_large().in_method(PUBLISH));
                }
                size
            }
            (FrameType::Body, Some(left)) => left
                .checked_sub(payload.len() as u64)
                .ok_or_else(|| Violation::content("a body larger than its header says"))?,
            (FrameType::Header, Some(_)) => return Err(Violation::content("a second content header")),
            _ => return Err(Violation::content("a content body without a header")),
        };
        self.left = Some(left);
        // An empty body frame is not kept.
        if frame.frame_type == FrameType::Header || !payload.is_empty() {
            self.frames.push(frame.bytes.clone());
        }
        Ok(left == 0)
    }
}

/// Counts octets of a content that is arriving. Fails if the connection or the broker has no room for them.
fn take(octets: usize, context: &mut Context<'_>) -> Result<(), Violation> {
    context.arriving.take(octets).map_err(|full| match full {
        Full::Connection => Violation::new(ReplyCode::ResourceError, "too much in contents that are still arriving"),
        Full::Broker => Violation::no_room("no room for a content that is still arriving"),
    })
}

/// A publish that breaks no rule.
struct Checked<'a> {
    content: Content<'a>,
    /// Its further routing keys.
    copies: Option<Copies>,
    /// Its frames and its routing without what consumers do not see, if there is such a thing.
    rewritten: Option<(Payload, Arc<Routing>)>,
    /// Whether replies to it are to come to the channel itself (direct reply-to).
    asks_for_reply: bool,
}

/// Checks the frames of a publish.
#[inline]
fn check<'a>(payload: &'a Payload, context: &Context<'_>) -> Result<Checked<'a>, Violation> {
    let Some(content) = Content::of(payload) else { return Err(malformed(payload, context.terms.version)) };
    if content.header.get(..4) != Some(&[0, 60, 0, 0]) {
        return Err(Violation::content("a content header of another class than its method's"));
    }
    if content.is_immediate() {
        return Err(Violation::new(ReplyCode::NotImplemented, "immediate=true"));
    }
    if content.body_size > context.config.max_message_size {
        return Err(too_large());
    }
    let (mut copies, mut rewritten, mut asks_for_reply) = (None, None, false);
    if let Some(properties) = check_properties(content.properties(), context.terms)? {
        asks_for_reply = is_for_replies(&properties);
        copies = Copies::of(&properties)?;
        rewritten = copies.as_ref().and_then(|copies| copies.disclosed(&content, &properties));
    }
    Ok(Checked { content, copies, rewritten, asks_for_reply })
}

/// Validates the properties of a publish, and returns them if there are any. Consumers receive them octet for octet, so malformed
/// ones are refused here.
fn check_properties<'a>(properties: &'a [u8], terms: &Terms) -> Result<Option<Properties<'a>>, Violation> {
    // Many publishes have no properties.
    if properties == [0, 0] {
        return Ok(None);
    }
    let properties = Properties::read(properties)?;
    if let Some(expiration) = properties.expiration
        && let Err(why) = milliseconds(expiration)
    {
        let text = format!("invalid expiration '{}': {why}", String::from_utf8_lossy(expiration));
        return Err(Violation::new(ReplyCode::PreconditionFailed, text).breach());
    }
    if let Some(mode) = properties.delivery_mode.filter(|mode| ![1, 2].contains(mode)) {
        let text = format!("invalid message: {{delivery_mode_unknown,{mode}}}");
        return Err(Violation::new(ReplyCode::PreconditionFailed, text).breach());
    }
    if let Some(user) = properties.user_id
        && Some(user) != terms.user.as_deref().map(str::as_bytes)
    {
        let (user, own) = (String::from_utf8_lossy(user), terms.user.as_deref().unwrap_or_default());
        let text = format!("user_id property set to '{user}' but authenticated user was '{own}'");
        return Err(Violation::new(ReplyCode::PreconditionFailed, text).breach());
    }
    Ok(Some(properties))
}

/// Whether the broker has not dealt with a message of this outcome. One that cannot be routed has been dealt with.
pub(super) fn is_refused(outcome: &Outcome) -> bool {
    *outcome != Outcome::Accepted && !is_unroutable(outcome)
}

/// The destination of a publish. None if its exchange or its routing key is not UTF-8.
fn destination(content: &Content<'_>, copies: Option<&Copies>) -> Option<Destination> {
    match (copies, content.exchange()) {
        (Some(copies), _) => copies.destination(content),
        // Every queue is bound to the default exchange by its name.
        (None, b"") => Text::new(content.routing_key_bytes()).map(Destination::Queue),
        (None, _) => content.exchange_address().map(Destination::Exchange),
    }
}

/// Whether replies to a message are to come to the channel itself.
fn is_for_replies(properties: &Properties<'_>) -> bool {
    properties.reply_to == Some(REPLY_TO.as_bytes())
}

/// Whether a message is a reply to a channel. As in RabbitMQ such a message counts as routed to no queue.
fn is_reply(message: &Message) -> bool {
    let content = Content::of(&message.payload);
    content
        .is_some_and(|content| content.exchange().is_empty() && content.routing_key().starts_with(REPLY_TO.as_bytes()))
}

fn is_unroutable(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Rejected(Some(fault)) if fault.reason == Reason::NotFound)
}

fn too_large() -> Violation {
    Violation::new(ReplyCode::ContentTooLarge, "message larger than the broker takes")
}

fn not_utf8() -> Violation {
    Violation::new(ReplyCode::SyntaxError, "a short string that is not UTF-8")
}

/// The violation of frames that [`Content::of`] cannot read.
fn malformed(payload: &Payload, version: Version) -> Violation {
    let head = payload.head();
    let size = frame::payload_size(&head, 0).unwrap_or(0);
    let method = head.get(frame::HEADER..frame::HEADER + size).unwrap_or_default();
    let arguments = method.get(4..).unwrap_or_default();
    match Method::read(PUBLISH, &mut Reader::new(arguments, version)) {
        Err(malformed) => malformed.into(),
        Ok(_) => Violation::content("a content header that is cut off"),
    }
}

/// Writes basic.return with a message that could not be routed.
fn put_return(channel: u16, message: &Message, terms: &Terms, out: &mut Outbox) {
    let Some(content) = live(Content::of(&message.payload), "the content of a message") else { return };
    let before = out.len();
    content.put(out, channel, terms.frame_max, |out, address| {
        out.put_u16(BASIC);
        out.put_u16(50);
        let code = ReplyCode::NoRoute;
        out.put_u16(code.number());
        Writer::new(out, terms.version).shortstr(code.as_str());
        out.put_slice(address);
    });
    out.count_as_answer(out.len() - before);
}
