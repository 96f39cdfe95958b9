//! Links as a test names them: what they are attached to, how they are attached and closed, and what is kept of each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::channel::Channel;
use super::error::{Error, ErrorKind, Step};
use super::receive::Arrived;
use super::send::Posts;
use crate::event::{self, DeliveryKey, Effect, Fault, LinkId, LinkRequest, Manner, Node, NodeKind, Ticket};
use crate::message::Message;

/// Where the messages of a [`Sender`] go. A text is an address.
#[derive(Clone, Debug)]
#[must_use]
pub struct Target {
    node: Node,
}

impl Target {
    /// A node's address.
    pub fn new(address: impl AsRef<str>) -> Target {
        Target { node: Node::Address(address.as_ref().into()) }
    }

    /// A fresh address, which the peer makes up: [`Sender::address`] is it.
    pub fn dynamic() -> Target {
        Target { node: Node::Dynamic(NodeKind::Unspecified) }
    }

    /// Each message says itself where it goes, in its `to`.
    ///
    /// ```
    /// use fakebroker::{Broker, Message, connector::{Connector, Target}};
    ///
    /// let broker = Broker::start()?;
    /// let mut channel = Connector::from_url(&broker.url())?.open()?;
    /// let anywhere = channel.sender(Target::anonymous())?;
    /// channel.send(&anywhere, Message::text("hello").to("queue.a"))?.accepted()?;
    /// assert_eq!(broker.counts().queued, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn anonymous() -> Target {
        Target { node: Node::Anonymous }
    }
}

impl From<&str> for Target {
    fn from(address: &str) -> Target {
        Target::new(address)
    }
}

impl From<&String> for Target {
    fn from(address: &String) -> Target {
        Target::new(address)
    }
}

impl From<String> for Target {
    fn from(address: String) -> Target {
        Target::new(address)
    }
}

/// Where the messages of a [`Receiver`] come from, and how. A text is an address.
///
/// ```
/// use std::time::Duration;
/// use fakebroker::{Broker, connector::{Connector, Source}};
///
/// let broker = Broker::start()?;
/// let mut channel = Connector::from_url(&broker.url())?.open()?;
/// let sender = channel.sender("queue.a")?;
/// channel.send(&sender, "stays there")?.accepted()?;
///
/// let browser = channel.receiver(Source::new("queue.a").browse())?;
/// let copy = channel.receive(&browser, Duration::from_secs(5))?.ok_or("nothing there")?;
/// assert_eq!(copy.as_text(), Some("stays there"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Source {
    node: Node,
    manner: Manner,
    browse: bool,
    credit: u32,
}

impl Source {
    const CREDIT: u32 = 10;

    /// A node's address.
    pub fn new(address: impl AsRef<str>) -> Source {
        Source::of(Node::Address(address.as_ref().into()))
    }

    /// A fresh address, which the peer makes up: [`Receiver::address`] is it.
    pub fn dynamic() -> Source {
        Source::of(Node::Dynamic(NodeKind::Unspecified))
    }

    fn of(node: Node) -> Source {
        Source { node, manner: Manner::Mixed, browse: false, credit: Source::CREDIT }
    }

    /// Takes copies and leaves what is stored in its place. Default: takes it away.
    pub fn browse(mut self) -> Source {
        self.browse = true;
        self
    }

    /// Asks for deliveries that are settled when they come. Default: as they were sent.
    pub fn settled(mut self) -> Source {
        self.manner = Manner::Settled;
        self
    }

    /// How many messages may come before they are asked for by [`Channel::receive`]: the link-credit that is kept up. With 0
    /// each call asks for one. Default: 10.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fakebroker::{Broker, connector::{Connector, Source}};
    ///
    /// let broker = Broker::start()?;
    /// let mut channel = Connector::from_url(&broker.url())?.open()?;
    /// let receiver = channel.receiver(Source::new("queue.a").credit(0))?;
    /// let sender = channel.sender("queue.a")?;
    /// channel.send(&sender, "waits at the broker")?.accepted()?;
    /// assert_eq!(broker.counts().topic, 0, "nobody has asked for it");
    /// assert!(channel.receive(&receiver, Duration::from_secs(5))?.is_some());
    /// assert_eq!(broker.counts().topic, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn credit(mut self, credit: u32) -> Source {
        self.credit = credit;
        self
    }
}

impl From<&str> for Source {
    fn from(address: &str) -> Source {
        Source::new(address)
    }
}

impl From<&String> for Source {
    fn from(address: &String) -> Source {
        Source::new(address)
    }
}

impl From<String> for Source {
    fn from(address: String) -> Source {
        Source::new(address)
    }
}

/// A link of a [`Channel`] that sends. It is a name: dropping it leaves the link where it is, [`Channel::close_sender`]
/// closes it.
#[derive(Debug)]
pub struct Sender {
    pub(super) channel: u64,
    pub(super) link: LinkId,
    address: Option<Arc<str>>,
}

impl Sender {
    /// Where it sends to. None where each message says it itself.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }
}

/// A link of a [`Channel`] that receives. It is a name: dropping it leaves the link where it is,
/// [`Channel::close_receiver`] closes it.
#[derive(Debug)]
pub struct Receiver {
    pub(super) channel: u64,
    pub(super) link: LinkId,
    address: Option<Arc<str>>,
}

impl Receiver {
    /// Where its messages come from. Always there, unless the peer keeps a dynamic address to itself.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }
}

/// What is known of a link.
#[derive(Debug)]
pub(super) enum End {
    Sender(Sending),
    Receiver(Receiving),
}

/// ```text
///            attach from peer         either side detaches
/// Attaching ────────────────▶ Attached ─────────▶ Gone
///     └──── time is up ────▶ Unwanted ──▶ (forgotten)
/// ```
#[derive(Debug)]
pub(super) enum State {
    Attaching,
    Attached,
    /// The peer has not answered in time; should it still do, it is told that it is too late.
    Unwanted,
    /// With the reason.
    Gone(ErrorKind),
}

#[derive(Debug)]
pub(super) struct Sending {
    pub(super) state: State,
    address: Option<Arc<str>>,
    /// Messages that the peer would take now.
    pub(super) credit: u32,
    /// The largest message that it takes, in bytes.
    pub(super) max_message_size: u64,
    pub(super) posts: Posts,
}

#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) state: State,
    address: Option<Arc<str>>,
    /// Credit that is kept up.
    pub(super) window: u32,
    /// Messages that the peer may still send.
    pub(super) credit: u32,
    pub(super) drains: bool,
    /// What has come and nobody has asked for yet.
    pub(super) arrived: VecDeque<Arrived>,
}

impl Sending {
    pub(super) fn answered(&mut self, ticket: Ticket, outcome: event::Outcome) {
        self.posts.answer(ticket, (&outcome).into());
    }
}

impl Receiving {
    pub(super) fn arrived(&mut self, delivery: DeliveryKey, settled: bool, message: Message) {
        self.credit = self.credit.saturating_sub(1);
        self.drains &= self.credit > 0;
        self.arrived.push_back(Arrived { delivery, settled, message });
    }

    /// The peer has used up all credit.
    pub(super) fn drained(&mut self) {
        self.credit = 0;
        self.drains = false;
    }
}

impl End {
    fn state_mut(&mut self) -> &mut State {
        match self {
            End::Sender(sender) => &mut sender.state,
            End::Receiver(receiver) => &mut receiver.state,
        }
    }

    pub(super) fn attached(&mut self, at: Option<Arc<str>>, max: u64) {
        match self {
            End::Sender(sender) => {
                sender.address = at;
                sender.max_message_size = max;
            }
            End::Receiver(receiver) => receiver.address = at,
        }
        let state = self.state_mut();
        if matches!(state, State::Attaching) {
            *state = State::Attached;
        }
    }

    pub(super) fn gone(&mut self, what: &str, fault: Option<Fault>) {
        let state = self.state_mut();
        if matches!(state, State::Attaching | State::Attached) {
            *state = State::Gone(ErrorKind::ended(what, fault));
        }
    }

    pub(super) fn is_unwanted(&self) -> bool {
        match self {
            End::Sender(sender) => matches!(sender.state, State::Unwanted),
            End::Receiver(receiver) => matches!(receiver.state, State::Unwanted),
        }
    }

    /// The reason, if it is no more.
    fn why_gone(&self) -> Option<&ErrorKind> {
        match self {
            End::Sender(sender) => sender.state.why_gone(),
            End::Receiver(receiver) => receiver.state.why_gone(),
        }
    }
}

impl State {
    fn why_gone(&self) -> Option<&ErrorKind> {
        match self {
            State::Gone(why) => Some(why),
            State::Attaching | State::Attached | State::Unwanted => None,
        }
    }
}

impl Channel {
    /// Attaches a link that sends to an address, or to another [`Target`].
    ///
    /// # Errors
    /// When the peer refuses, with its condition (`amqp:not-found`, say), or does not answer in time.
    pub fn sender(&mut self, target: impl Into<Target>) -> Result<Sender, Error> {
        let Target { node } = target.into();
        let posts = Posts::default();
        let end = Sending { state: State::Attaching, address: None, credit: 0, max_message_size: u64::MAX, posts };
        let request = self.request_for(true, node, Manner::Mixed, false);
        let (link, address) = self.attach(&request, End::Sender(end))?;
        Ok(Sender { channel: self.serial, link, address })
    }

    /// Attaches a link that receives from an address, or from another [`Source`].
    ///
    /// # Errors
    /// When the peer refuses, with its condition (`amqp:not-found`, say), or does not answer in time.
    pub fn receiver(&mut self, source: impl Into<Source>) -> Result<Receiver, Error> {
        let Source { node, manner, browse, credit } = source.into();
        let end = Receiving {
            state: State::Attaching,
            address: None,
            window: credit,
            credit: 0,
            drains: false,
            arrived: VecDeque::new(),
        };
        let request = self.request_for(false, node, manner, browse);
        let (link, address) = self.attach(&request, End::Receiver(end))?;
        let (_, deadline) = self.begin_step(Step::Attach)?;
        self.top_up(link);
        self.flush(Step::Attach, deadline)?;
        Ok(Receiver { channel: self.serial, link, address })
    }

    /// Closes a link that sends, and waits until the peer has closed it too. Outcomes that have not come are lost.
    ///
    /// # Errors
    /// When the peer does not answer in time.
    pub fn close_sender(&mut self, sender: Sender) -> Result<(), Error> {
        self.close_link(sender.channel, sender.link)
    }

    /// Closes a link that receives, and waits until the peer has closed it too. What has come and was not settled goes back
    /// to where it was.
    ///
    /// # Errors
    /// When the peer does not answer in time.
    pub fn close_receiver(&mut self, receiver: Receiver) -> Result<(), Error> {
        self.close_link(receiver.channel, receiver.link)
    }

    fn request_for(&mut self, sends: bool, node: Node, manner: Manner, browse: bool) -> LinkRequest {
        self.named += 1;
        let kind = if sends { "sender" } else { "receiver" };
        let name = match &node {
            Node::Address(address) | Node::Queue(address) => format!("{kind}-{} {address}", self.named),
            Node::Dynamic(_) | Node::Anonymous => format!("{kind}-{}", self.named),
        };
        LinkRequest { name: name.into(), sends, node, manner, browse }
    }

    fn attach(&mut self, request: &LinkRequest, end: End) -> Result<(LinkId, Option<Arc<str>>), Error> {
        let step = Step::Attach;
        let (now, deadline) = self.begin_step(step)?;
        let Some(link) = self.engine.attach(self.session, request, now, &mut self.stream.outbox) else {
            return Err(Error::new(step, ErrorKind::Usage("the peer allows no more links".into())));
        };
        self.links.insert(link, end);
        let result = self.wait_for(step, deadline, |channel| match channel.links.get(&link)? {
            End::Sender(Sending { state: State::Attached, address, .. })
            | End::Receiver(Receiving { state: State::Attached, address, .. }) => Some(Ok((link, address.clone()))),
            _ => channel.why_gone(link).map(Err),
        });
        if result.is_err() {
            match self.links.get_mut(&link).map(End::state_mut) {
                Some(state @ State::Attaching) => *state = State::Unwanted,
                _ => drop(self.links.remove(&link)),
            }
        }
        result
    }

    fn close_link(&mut self, of: u64, link: LinkId) -> Result<(), Error> {
        let step = Step::Detach;
        self.check_own(step, of)?;
        let (_, deadline) = self.begin_step(step)?;
        self.abandon_link(link);
        self.wait_for(step, deadline, |channel| (!channel.links.contains_key(&link)).then_some(Ok(())))
    }

    /// Begins to close a link. What still comes on it is not kept.
    pub(super) fn abandon_link(&mut self, link: LinkId) {
        let Some(mut end) = self.links.remove(&link).filter(|end| end.why_gone().is_none()) else { return };
        *end.state_mut() = State::Unwanted;
        self.links.insert(link, end);
        self.engine.close_link(link, Instant::now(), &mut self.stream.outbox);
    }

    /// The reason, if a link is no more. That of the whole connection comes first.
    pub(super) fn why_gone(&self, link: LinkId) -> Option<ErrorKind> {
        let ended = || self.links.get(&link).and_then(End::why_gone);
        self.dead.as_ref().or_else(ended).map(ErrorKind::again)
    }

    /// A link of another channel means nothing here.
    pub(super) fn check_own(&self, step: Step, of: u64) -> Result<(), Error> {
        if of == self.serial {
            return Ok(());
        }
        Err(Error::new(step, ErrorKind::Usage("the link is one of another channel".into())))
    }

    /// Keeps up the credit of a link that receives.
    pub(super) fn top_up(&mut self, link: LinkId) {
        let key = self.key(link);
        let Some(End::Receiver(receiver)) = self.links.get_mut(&link) else { return };
        let here = u32::try_from(receiver.arrived.len()).unwrap_or(u32::MAX);
        let wanted = receiver.window.saturating_sub(here);
        // Half is soon enough.
        if receiver.drains || wanted == 0 || receiver.credit > wanted / 2 {
            return;
        }
        receiver.credit = wanted;
        self.apply(Effect::Grant { link: key, credit: wanted });
    }
}
