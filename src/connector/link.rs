//! The links of a channel: sources and targets, the names by which a test holds links, and their state.

use std::collections::VecDeque;
use std::sync::Arc;

use super::error::ErrorKind;
use crate::event::{self, Arrival, DeliveryKey, Fault, LinkId, Manner, Node, NodeKind, Ticket};
use crate::ledger::Ledger;
use crate::live::live;
use crate::message::Message;
use crate::protocol::Outcome;

/// The target of a [`Sender`]: where its messages go. A text is an address.
#[derive(Clone, Debug)]
#[must_use]
pub struct Target {
    pub(super) node: Node,
}

impl Target {
    /// The node with this address.
    pub fn new(address: impl AsRef<str>) -> Target {
        Target { node: Node::Address(address.as_ref().into()) }
    }

    /// A dynamic node, whose address the peer makes up: [`Sender::address`] returns it.
    pub fn dynamic() -> Target {
        Target { node: Node::Dynamic(NodeKind::Unspecified) }
    }

    /// The anonymous terminus: each message goes to the address in its `to`.
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

/// The source of a [`Receiver`]: where its messages come from, and how. A text is an address.
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

    /// The node with this address.
    pub fn new(address: impl AsRef<str>) -> Source {
        Source::of(Node::Address(address.as_ref().into()))
    }

    /// A dynamic node, whose address the peer makes up: [`Receiver::address`] returns it.
    pub fn dynamic() -> Source {
        Source::of(Node::Dynamic(NodeKind::Unspecified))
    }

    fn of(node: Node) -> Source {
        Source { node, manner: Manner::Mixed, browse: false, credit: Source::CREDIT }
    }

    /// Browses: takes copies, and leaves stored messages in their place. Default: takes messages away.
    pub fn browse(mut self) -> Source {
        self.browse = true;
        self
    }

    /// Asks for deliveries that are sent settled. Default: settled as they were sent to the node.
    pub fn settled(mut self) -> Source {
        self.manner = Manner::Settled;
        self
    }

    /// The link-credit that is kept up: the number of messages that may come before [`Channel::receive`] is called.
    /// With 0 each call gives a credit of one. Default: 10.
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

/// A link of a [`Channel`](crate::connector::Channel) that sends. A sender is a name: dropping it leaves the link
/// attached, [`close_sender`](crate::connector::Channel::close_sender) closes it.
#[derive(Debug)]
pub struct Sender {
    pub(super) channel: u64,
    pub(super) link: LinkId,
    pub(super) address: Option<Arc<str>>,
}

impl Sender {
    /// The address that the link sends to. None for the anonymous terminus.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }
}

/// A link of a [`Channel`](crate::connector::Channel) that receives. A receiver is a name: dropping it leaves the link
/// attached, [`close_receiver`](crate::connector::Channel::close_receiver) closes it.
#[derive(Debug)]
pub struct Receiver {
    pub(super) channel: u64,
    pub(super) link: LinkId,
    pub(super) address: Option<Arc<str>>,
}

impl Receiver {
    /// The address that the link receives from. None if the peer does not tell a dynamic address.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }
}

/// The state that a channel has of a link.
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
    /// The peer has not answered the attach in time, or the link is being closed. An attach that still comes is
    /// answered with a detach.
    Unwanted,
    /// The link has ended, for this reason.
    Gone(ErrorKind),
}

#[derive(Debug)]
pub(super) struct Sending {
    pub(super) state: State,
    pub(super) address: Option<Arc<str>>,
    /// The credit that the peer has given.
    pub(super) credit: u32,
    /// The size of the largest message that the peer takes, in bytes.
    pub(super) max_message_size: u64,
    pub(super) posts: Posts,
}

#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) state: State,
    pub(super) address: Option<Arc<str>>,
    /// The credit that is kept up.
    pub(super) window: u32,
    /// The credit that the peer has left.
    pub(super) credit: u32,
    pub(super) drains: bool,
    /// Deliveries that have come and were not asked for yet.
    pub(super) arrived: VecDeque<Arrived>,
}

/// A delivery that was not asked for yet.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) delivery: DeliveryKey,
    pub(super) settled: bool,
    pub(super) message: Message,
}

/// The messages sent on a link whose outcomes have not been taken.
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

    /// Takes the outcome of a message. None if it has not come.
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

    /// Notes that the peer has used up its credit.
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

    /// The reason why the link has ended, if it has.
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
