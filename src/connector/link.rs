//! Links as a test names them, what they are attached to, and what a channel keeps of each.

use std::collections::VecDeque;
use std::sync::Arc;

use super::error::ErrorKind;
use crate::event::{self, Arrival, DeliveryKey, Fault, LinkId, Manner, Node, NodeKind, Ticket};
use crate::ledger::Ledger;
use crate::live::live;
use crate::message::Message;
use crate::protocol::Outcome;

/// Where the messages of a [`Sender`] go. A text is an address.
#[derive(Clone, Debug)]
#[must_use]
pub struct Target {
    pub(super) node: Node,
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
    pub(super) node: Node,
    pub(super) manner: Manner,
    pub(super) browse: bool,
    pub(super) credit: u32,
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

    /// How many messages may come before [`Channel::receive`] asks for them: the link-credit that is kept up. With 0 each call
    /// asks for one. Default: 10.
    ///
    /// [`Channel::receive`]: crate::connector::Channel::receive
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

/// A link of a [`Channel`](crate::connector::Channel) that sends. It is a name: dropping it leaves the link where it is,
/// [`close_sender`](crate::connector::Channel::close_sender) closes it.
#[derive(Debug)]
pub struct Sender {
    pub(super) channel: u64,
    pub(super) link: LinkId,
    pub(super) address: Option<Arc<str>>,
}

impl Sender {
    /// Where it sends to. None where each message says it itself.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }
}

/// A link of a [`Channel`](crate::connector::Channel) that receives. It is a name: dropping it leaves the link where it is,
/// [`close_receiver`](crate::connector::Channel::close_receiver) closes it.
#[derive(Debug)]
pub struct Receiver {
    pub(super) channel: u64,
    pub(super) link: LinkId,
    pub(super) address: Option<Arc<str>>,
}

impl Receiver {
    /// Where its messages come from. Always there, unless the peer keeps a dynamic address to itself.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }
}

/// What a channel keeps of a link.
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
    pub(super) address: Option<Arc<str>>,
    /// Messages that the peer would take now.
    pub(super) credit: u32,
    /// The largest message that it takes, in bytes.
    pub(super) max_message_size: u64,
    pub(super) posts: Posts,
}

#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) state: State,
    pub(super) address: Option<Arc<str>>,
    /// Credit that is kept up.
    pub(super) window: u32,
    /// Messages that the peer may still send.
    pub(super) credit: u32,
    pub(super) drains: bool,
    /// What has come and nobody has asked for yet.
    pub(super) arrived: VecDeque<Arrived>,
}

/// A delivery that nobody has asked for yet.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) delivery: DeliveryKey,
    pub(super) settled: bool,
    pub(super) message: Message,
}

/// The messages of one link whose outcomes nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct Posts {
    pub(super) ledger: Ledger<Option<Outcome>>,
}

impl Posts {
    pub(super) fn answer(&mut self, Ticket(number): Ticket, outcome: Outcome) {
        if let Some(post) = live(self.ledger.get_mut(number), "a message that is not answered") {
            *post = Some(outcome);
        }
    }

    /// The outcome, once it has come.
    pub(super) fn take(&mut self, number: u64) -> Option<Outcome> {
        self.ledger.get_mut(number)?.as_ref()?;
        self.ledger.remove(number)?
    }
}

impl Sending {
    pub(super) fn answered(&mut self, ticket: Ticket, outcome: event::Outcome) {
        self.posts.answer(ticket, (&outcome).into());
    }
}

impl Receiving {
    pub(super) fn arrived(&mut self, Arrival { delivery, message }: Arrival) {
        self.credit = self.credit.saturating_sub(1);
        self.drains &= self.credit > 0;
        let settled = delivery.is_none();
        self.arrived.push_back(Arrived { delivery: delivery.unwrap_or(DeliveryKey(0)), settled, message });
    }

    /// The peer has used up all credit.
    pub(super) fn drained(&mut self) {
        self.credit = 0;
        self.drains = false;
    }
}

impl End {
    pub(super) fn as_sending(&mut self) -> Option<&mut Sending> {
        match self {
            End::Sender(sender) => Some(sender),
            End::Receiver(_) => None,
        }
    }

    pub(super) fn as_receiving(&mut self) -> Option<&mut Receiving> {
        match self {
            End::Receiver(receiver) => Some(receiver),
            End::Sender(_) => None,
        }
    }

    pub(super) fn state_mut(&mut self) -> &mut State {
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
    pub(super) fn why_gone(&self) -> Option<&ErrorKind> {
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
