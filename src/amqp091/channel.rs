//! 2.1.5: channels. What each is in the middle of; how they open and close. Methods of exchanges and queues are in
//! `entities.rs`, what is published in `publish.rs`, what is delivered in `consumer.rs`. A part of `connection.rs`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::connection::{Connection, Link, LinkEnd};
use super::consumer::ENDLESS;
use super::entities::Question;
use super::method::{self, Access, Channel as Class, Confirm as ConfirmClass, Method, MethodId};
use super::publish::{Confirms, Partial};
use super::types::{Since09, shortened};
use super::violation::{Details, ReplyCode, Violation};
use crate::event::{Event, Fault, LinkId, Node, Ticket};
use crate::ledger::Ledger;
use crate::message::Message;
use crate::outbox::Outbox;

/// See the module.
#[derive(Debug)]
pub(crate) struct Channel {
    /// What it publishes, and asks of the router, is on this link.
    pub(super) link: LinkId,
    /// All its links, that one included.
    pub(super) links: HashSet<LinkId>,
    pub(super) state: ChannelState,
    /// It is on its connection's list for the end of the turn.
    pub(super) touched: bool,
    /// 4.2.6: a content that is arriving.
    pub(super) content: Option<Partial>,
    /// What the router has been asked, and in which method.
    pub(super) question: Option<(MethodId, Question)>,
    /// The queue that was declared last: an empty name means it.
    pub(super) last_queue: Option<Arc<str>>,
    /// By their tags.
    pub(super) consumers: HashMap<Arc<str>, LinkId>,
    /// What basic.get looks with, by queue, while something that it found is not acknowledged.
    pub(super) getters: HashMap<Arc<str>, LinkId>,
    /// Deliveries by their tags.
    pub(super) unacked: Ledger<Unacked>,
    /// How many of them consumers have.
    pub(super) consumed: u32,
    /// Places in the window of all its consumers that have come free and that the router has not been told of.
    pub(super) returned: i64,
    /// basic.qos: for each consumer from now on, and for all together. 0 is no limit.
    pub(super) prefetch: u16,
    pub(super) prefetch_all: u16,
    /// channel.flow
    pub(super) active: bool,
    pub(super) published: u64,
    pub(super) confirms: Option<Confirms>,
    /// What goes back to its publisher if there is no queue for it.
    pub(super) mandatory: BTreeMap<u64, Message>,
    /// There is no room for what it publishes.
    pub(super) starved: bool,
}

/// ```text
///     channel.open          the router says yes         either side closes
/// ────────────────▶ AwaitRoute ────────────▶ Open ─────────▶ AwaitCloseOk ──▶ (freed)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChannelState {
    AwaitRoute,
    Open,
    /// We have closed it; what still comes on it is discarded.
    AwaitCloseOk,
}

/// A delivery that the client has and has not acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unacked {
    pub(super) link: LinkId,
    pub(super) ticket: Ticket,
    /// It came by basic.get.
    pub(super) got: bool,
}

impl Channel {
    fn new(link: LinkId) -> Channel {
        Channel {
            link,
            links: HashSet::from([link]),
            state: ChannelState::AwaitRoute,
            touched: false,
            content: None,
            question: None,
            last_queue: None,
            consumers: HashMap::new(),
            getters: HashMap::new(),
            unacked: Ledger::starting_at(1),
            consumed: 0,
            returned: 0,
            prefetch: 0,
            prefetch_all: 0,
            active: true,
            published: 0,
            confirms: None,
            mandatory: BTreeMap::new(),
            starved: false,
        }
    }
}

impl Connection {
    pub(super) fn on_channel_method(
        &mut self,
        number: u16,
        method: &Method<'_>,
        out: &mut Outbox,
    ) -> Result<(), Violation> {
        if let Method::Channel(Class::Open { .. }) = method {
            return self.open_channel(number);
        }
        let Some(channel) = self.channel_mut(number) else {
            // Both have closed at once, and theirs has freed it.
            if let Method::Channel(Class::CloseOk {}) = method {
                return Ok(());
            }
            return Err(Violation::new(ReplyCode::ChannelError, format!("channel {number} is not open")));
        };
        if channel.content.is_some() {
            return Err(Violation::content("a method where content was expected"));
        }
        match method {
            Method::Channel(method) => self.on_own_method(number, method, out),
            Method::Exchange(method) => self.on_exchange_method(number, method),
            Method::Queue(method) => self.on_queue_method(number, method),
            Method::Basic(method) => self.on_basic_method(number, method, out),
            Method::Confirm(ConfirmClass::Select { no_wait }) => {
                // Selected again, it counts on.
                channel.confirms.get_or_insert(Confirms::after(channel.published));
                if !no_wait {
                    self.tell(number, &Method::Confirm(ConfirmClass::SelectOk {}), out);
                }
                Ok(())
            }
            Method::Access(Access::Request { .. }) => {
                self.tell(number, &Method::Access(Access::RequestOk { ticket: 1 }), out);
                Ok(())
            }
            Method::Tx(_) => Err(Violation::new(ReplyCode::NotImplemented, "transactions are not supported")),
            Method::Connection(_) | Method::Confirm(_) | Method::Access(_) => Err(not_for_us()),
        }
    }

    fn open_channel(&mut self, number: u16) -> Result<(), Violation> {
        let index = usize::from(number);
        if number > self.channel_max {
            return Err(Violation::new(ReplyCode::ChannelError, "channel above channel-max"));
        }
        if self.channel_mut(number).is_some() {
            return Err(Violation::new(ReplyCode::ChannelError, "second 'channel.open' seen"));
        }
        let link = self.add_link(number, LinkEnd::Channel);
        if self.channels.len() <= index {
            self.channels.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.channels.get_mut(index) {
            *slot = Some(Box::new(Channel::new(link)));
        }
        let name = format!("channel {number}").into();
        self.events.push_back(Event::ChannelOpened { channel: number, window: ENDLESS, unit: usize::MAX });
        self.events.push_back(Event::AttachProducer { link, name, node: Node::Anonymous });
        Ok(())
    }

    fn on_own_method(&mut self, number: u16, method: &Class<'_>, out: &mut Outbox) -> Result<(), Violation> {
        match method {
            Class::Close { reply_code, reply_text, .. } => {
                log::debug!("{}: channel {number} closed by the peer: {reply_code} {reply_text}", self.name);
                self.put_confirms(number, out);
                self.let_channel_go(number, out);
                self.tell(number, &Method::Channel(Class::CloseOk {}), out);
                self.free_channel(number);
                Ok(())
            }
            Class::CloseOk {} => match self.channel_mut(number) {
                Some(channel) if channel.state == ChannelState::AwaitCloseOk => {
                    self.free_channel(number);
                    Ok(())
                }
                _ => Err(Violation::new(ReplyCode::CommandInvalid, "close-ok for what was not closed")),
            },
            Class::Flow { active } => {
                self.set_active(number, *active);
                self.tell(number, &Method::Channel(Class::FlowOk { active: *active }), out);
                self.touch(number);
                Ok(())
            }
            Class::FlowOk { .. } => Ok(()),
            Class::Open { .. } | Class::OpenOk { .. } => Err(not_for_us()),
        }
    }

    /// A link of ours can be used now.
    pub(super) fn attached(&mut self, id: LinkId, number: u16, out: &mut Outbox) {
        match self.link_mut(id) {
            Some(Link { end: LinkEnd::Channel, .. }) => {
                if let Some(channel) = self.channel_mut(number) {
                    channel.state = ChannelState::Open;
                    self.tell(number, &Method::Channel(Class::OpenOk { channel_id: Since09::default() }), out);
                }
            }
            Some(_) => self.consumer_attached(id, number, out),
            None => {}
        }
    }

    /// The router cannot do what it was asked for.
    pub(super) fn refused(
        &mut self,
        id: LinkId,
        number: u16,
        fault: &Fault,
        out: &mut Outbox,
    ) -> Result<(), Violation> {
        let is_consumer = matches!(self.link_mut(id), Some(Link { end: LinkEnd::Consumer(_), .. }));
        if is_consumer {
            self.remove_link(id);
        }
        let Some(channel) = self.channel_mut(number) else { return Ok(()) };
        if is_consumer {
            channel.links.remove(&id);
        }
        match channel.question.take() {
            Some((method, question)) => self.question_refused(number, method, &question, fault, out),
            // Nothing was asked for: the channel is in the middle of a publish.
            None if channel.state == ChannelState::Open => {
                Err(Violation::from(fault).in_method(method::PUBLISH).soft())
            }
            // The channel itself.
            None => {
                channel.state = ChannelState::Open;
                Err(Violation::from(fault).soft())
            }
        }
    }

    /// The router ends a link.
    pub(super) fn detached(
        &mut self,
        id: LinkId,
        number: u16,
        fault: &Fault,
        out: &mut Outbox,
    ) -> Result<(), Violation> {
        match self.link_mut(id) {
            Some(Link { end: LinkEnd::Channel, .. }) => {
                let violation = Violation::from(fault);
                self.close_channel(number, &violation.0, out);
                Ok(())
            }
            Some(_) => {
                self.consumer_ended(id, number, out);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// We close a channel. Its number stays taken until the peer has said close-ok.
    pub(super) fn close_channel(&mut self, number: u16, details: &Details, out: &mut Outbox) {
        match self.channel_mut(number) {
            Some(channel) if channel.state != ChannelState::AwaitCloseOk => channel.state = ChannelState::AwaitCloseOk,
            _ => return,
        }
        self.put_confirms(number, out);
        self.let_channel_go(number, out);
        let (text, id) = (details.reply_text(), method::wire_id(details.method, self.version));
        let close = Class::Close {
            reply_code: details.code.number(self.version),
            reply_text: shortened(&text),
            class_id: id.class,
            method_id: id.method,
        };
        self.tell(number, &Method::Channel(close), out);
    }

    /// Its links go; what was delivered on it and not acknowledged goes back.
    fn let_channel_go(&mut self, number: u16, out: &mut Outbox) {
        let mut links = self.channel_mut(number).map(|channel| std::mem::take(&mut channel.links)).unwrap_or_default();
        links.retain(|link| self.remove_link(*link));
        let gone: Vec<LinkId> = links.into_iter().collect();
        if let Some(partial) = self.channel_mut(number).and_then(|channel| channel.content.take()) {
            self.partial_bytes -= partial.len();
        }
        self.set_starved(number, false, out);
        if !gone.is_empty() {
            self.events.push_back(Event::Detach { gone });
        }
    }

    fn free_channel(&mut self, number: u16) {
        if let Some(slot) = self.channels.get_mut(usize::from(number)) {
            *slot = None;
        }
    }
}

/// A method that only a server sends.
pub(super) fn not_for_us() -> Violation {
    Violation::new(ReplyCode::CommandInvalid, "a method that only a server sends")
}
