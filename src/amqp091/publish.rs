//! 4.2.6 and basic.publish: contents on their way in, frame by frame where they do not come whole; what their publisher is
//! told. A part of `channel.rs`.

use bytes::BufMut;

use super::channel::ChannelState;
use super::connection::Connection;
use super::content::{Content, PROPERTIES_AT, Properties};
use super::frame::{Frame, FrameType};
use super::method::{BASIC, Basic, Connection as ConnectionClass, Method, PUBLISH};
use super::types::{Reader, Version, Writer};
use super::violation::{ReplyCode, Violation};
use crate::event::{Arrival, DeliveryKey, Destination, Event, Outcome, Reason, Text};
use crate::message::{Encoding, Message, Payload, PayloadBuilder};
use crate::outbox::Outbox;

/// A content of which not all has arrived.
#[derive(Debug)]
pub(crate) struct Partial {
    frames: PayloadBuilder,
    /// None until the header has come.
    left: Option<u64>,
}

impl Partial {
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }
}

/// Confirms that have not been written, in order.
#[derive(Debug, Default)]
pub(crate) struct Confirms {
    /// How much was published before confirms were asked for: their count begins behind that.
    before: u64,
    /// All up to this one have been told.
    told: u64,
    /// All from there up to this one can be told in one go.
    ready: u64,
}

impl Confirms {
    pub(super) fn after(published: u64) -> Confirms {
        Confirms { before: published, ..Confirms::default() }
    }
}

impl Connection {
    /// basic.publish, alone in its frame.
    pub(super) fn begin_content(&mut self, frame: &Frame) -> Result<(), Violation> {
        let method =
            Method::read(PUBLISH, &mut Reader::new(frame.payload().get(4..).unwrap_or_default(), self.version))?;
        let number = frame.channel;
        let Some(channel) = self.channel_mut(number).filter(|channel| channel.state == ChannelState::Open) else {
            return Err(Violation::new(ReplyCode::ChannelError, format!("channel {number} is not open")));
        };
        if channel.content.is_some() {
            return Err(Violation::content("a method where content was expected"));
        }
        let Some(Method::Basic(Basic::Publish { .. })) = method else { return Ok(()) };
        let mut partial = Partial { frames: PayloadBuilder::default(), left: None };
        partial.frames.push(frame.bytes.clone());
        channel.content = Some(partial);
        self.partial_bytes += frame.bytes.len();
        self.check_partial_bytes()
    }

    pub(super) fn on_content_frame(&mut self, frame: &Frame) -> Result<(), Violation> {
        let number = frame.channel;
        let limit = self.config.max_message_size;
        let Some(channel) = self.channel_mut(number) else {
            self.check_awake()?;
            return Err(Violation::new(ReplyCode::ChannelError, format!("channel {number} is not open")));
        };
        if channel.state == ChannelState::AwaitCloseOk {
            return Ok(());
        }
        let Some(mut partial) = channel.content.take() else {
            return Err(Violation::content("content where a method was expected"));
        };
        let before = partial.len();
        let result = partial.push(frame, limit);
        self.partial_bytes -= before;
        match result? {
            true => self.published(number, partial.frames.finish()).map_err(|violation| violation.in_method(PUBLISH)),
            false => {
                self.partial_bytes += partial.len();
                if let Some(channel) = self.channel_mut(number) {
                    channel.content = Some(partial);
                }
                self.check_partial_bytes()
            }
        }
    }

    /// Contents before open.
    fn check_awake(&self) -> Result<(), Violation> {
        match self.is_open() {
            true => Ok(()),
            false => Err(Violation::content("content before the connection is open")),
        }
    }

    fn check_partial_bytes(&self) -> Result<(), Violation> {
        let limit = usize::try_from(self.config.max_message_size).unwrap_or(usize::MAX).saturating_mul(2);
        if self.partial_bytes > limit {
            let what = "too much in contents that are still arriving";
            return Err(Violation::new(ReplyCode::ResourceError, what));
        }
        Ok(())
    }

    /// A content is all there: the frames of a publish.
    pub(super) fn published(&mut self, number: u16, payload: Payload) -> Result<(), Violation> {
        let Some(content) = Content::of(&payload) else { return Err(malformed(&payload, self.version)) };
        if content.header.get(..4) != Some(&[0, 60, 0, 0]) {
            return Err(Violation::content("a content header of another class than its method's"));
        }
        if content.is_immediate() {
            return Err(Violation::new(ReplyCode::NotImplemented, "immediate=true"));
        }
        if content.body_size > self.config.max_message_size {
            return Err(too_large());
        }
        self.check_properties(&content)?;
        let to = match content.exchange() {
            // Every queue is bound to the default exchange by its name.
            b"" => Destination::Queue(Text::new(content.routing_key_bytes()).ok_or_else(not_utf8)?),
            _ => Destination::Exchange(content.exchange_address().ok_or_else(not_utf8)?),
        };
        let mandatory = content.is_mandatory();
        let Some(channel) = self.channel_mut(number) else { return Ok(()) };
        channel.published += 1;
        let (link, delivery) = (channel.link, channel.published);
        let settled = !mandatory && channel.confirms.is_none();
        let message = Message { payload, encoding: Encoding::Amqp091, ..Message::default() };
        if mandatory {
            channel.mandatory.insert(delivery, message.clone().kept());
        }
        self.events.push_back(Event::Messages { link, to, credit: u32::MAX });
        self.arrivals.push_back(Arrival { delivery: (!settled).then_some(DeliveryKey(delivery)), message });
        Ok(())
    }

    /// They are passed on as they are, to clients who trust that they can be read.
    fn check_properties(&self, content: &Content<'_>) -> Result<(), Violation> {
        // No flags, no properties: so it is in many.
        if content.properties() == [0, 0] {
            return Ok(());
        }
        let properties = Properties::read(content.properties())?;
        if let Some(user) = properties.user_id
            && Some(user) != self.user.as_deref().map(str::as_bytes)
        {
            let text = format!("user_id property set to '{}' but authenticated user was another", user.escape_ascii());
            return Err(Violation::new(ReplyCode::PreconditionFailed, text).breach());
        }
        Ok(())
    }

    /// The router has an outcome for something that was published.
    pub(super) fn settle(&mut self, number: u16, delivery: u64, outcome: &Outcome, out: &mut Outbox) {
        let (version, frame_max) = (self.version, self.frame_max);
        let Some(channel) = self.channel_mut(number) else { return };
        let unroutable = is_unroutable(outcome);
        if let Some(message) = channel.mandatory.remove(&delivery)
            && unroutable
        {
            put_return(number, &message, version, frame_max, out);
        }
        let count = |confirms: &Confirms| delivery.checked_sub(confirms.before).filter(|count| *count > 0);
        let Some(delivery) = channel.confirms.as_ref().and_then(count) else { return };
        // What nobody wants has been dealt with.
        if *outcome == Outcome::Accepted || unroutable {
            self.confirm(number, delivery, out);
            return;
        }
        self.put_confirms(number, out);
        let nack = Basic::Nack { delivery_tag: delivery, multiple: false, requeue: false };
        self.tell(number, &Method::Basic(nack), out);
        if let Some(confirms) = self.confirms_mut(number)
            && confirms.told + 1 == delivery
        {
            confirms.told = delivery;
            confirms.ready = delivery;
        }
    }

    fn confirms_mut(&mut self, number: u16) -> Option<&mut Confirms> {
        self.channel_mut(number)?.confirms.as_mut()
    }

    /// Tells it at the end of the turn, with those before it, if it is their turn.
    fn confirm(&mut self, number: u16, delivery: u64, out: &mut Outbox) {
        let Some(confirms) = self.confirms_mut(number) else { return };
        if confirms.ready + 1 == delivery {
            confirms.ready = delivery;
            self.touch(number);
            return;
        }
        self.put_confirms(number, out);
        self.tell(number, &Method::Basic(Basic::Ack { delivery_tag: delivery, multiple: false }), out);
    }

    /// Writes the confirms that have gathered.
    pub(super) fn put_confirms(&mut self, number: u16, out: &mut Outbox) {
        let Some(confirms) = self.confirms_mut(number) else { return };
        let (told, ready) = (confirms.told, confirms.ready);
        if told == ready {
            return;
        }
        confirms.told = ready;
        let ack = Basic::Ack { delivery_tag: ready, multiple: ready > told + 1 };
        self.tell(number, &Method::Basic(ack), out);
    }

    /// The router has room for what a channel publishes, or has none any more.
    pub(super) fn set_starved(&mut self, number: u16, starved: bool, out: &mut Outbox) {
        let Some(channel) = self.channel_mut(number) else { return };
        match (std::mem::replace(&mut channel.starved, starved), starved) {
            (false, true) => self.starved += 1,
            (true, false) => self.starved -= 1,
            _ => return,
        }
        // It says so of all channels at once.
        let blocked = self.starved > 0;
        if !self.capabilities.connection_blocked || std::mem::replace(&mut self.blocked, blocked) == blocked {
            return;
        }
        let notice = match blocked {
            true => ConnectionClass::Blocked { reason: "the broker's storage limit is reached" },
            false => ConnectionClass::Unblocked {},
        };
        self.tell(0, &Method::Connection(notice), out);
    }
}

impl Partial {
    /// True when it is complete.
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
                // Refused before any of it is kept.
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
        // One that carries nothing is not kept.
        if frame.frame_type == FrameType::Header || !payload.is_empty() {
            self.frames.push(frame.bytes.clone());
        }
        Ok(left == 0)
    }
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

/// What is wrong with frames that make no publish.
fn malformed(payload: &Payload, version: Version) -> Violation {
    let head = payload.head();
    let size = super::frame::payload_size(&head, 0).unwrap_or(0);
    let method = head.get(super::frame::HEADER..super::frame::HEADER + size).unwrap_or_default();
    let arguments = method.get(4..).unwrap_or_default();
    match Method::read(PUBLISH, &mut Reader::new(arguments, version)) {
        Err(malformed) => malformed.into(),
        Ok(_) => Violation::content("a content header that is cut off"),
    }
}

/// basic.return: back to its publisher.
fn put_return(number: u16, message: &Message, version: Version, frame_max: u32, out: &mut Outbox) {
    let Some(content) = Content::of(&message.payload) else { return };
    let before = out.len();
    content.put(out, number, frame_max, |out, address| {
        out.put_u16(BASIC);
        out.put_u16(50);
        let code = ReplyCode::NoRoute;
        out.put_u16(code.number(version));
        Writer::new(out, version).shortstr(code.as_str());
        out.put_slice(address);
    });
    out.count_as_answer(out.len() - before);
}
