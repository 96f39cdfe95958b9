//! Receives deliveries one at a time, and settles them.

use std::ops::Deref;
use std::time::{Duration, Instant};

use super::after;
use super::channel::Channel;
use super::error::{Error, ErrorKind, Step};
use super::link::{Arrived, End, Receiver};
use crate::amqp10::content;
use crate::content::Message;
use crate::event::{self, DeliveryKey, Effect, Fault, LinkId, Reason};

/// A message that has come. Unless it is settled, its sender awaits an outcome: [`Channel::accept`] and its like.
///
/// A delivery reads like the [`Message`] in it: `delivery.as_text()`, `delivery.properties.subject`.
#[derive(Debug)]
pub struct Delivery {
    channel: u64,
    link: LinkId,
    delivery: DeliveryKey,
    settled: bool,
    message: Message,
}

impl Delivery {
    /// Returns the message.
    #[must_use]
    pub fn into_message(self) -> Message {
        self.message
    }

    /// Whether the delivery was sent settled: then its sender awaits no outcome.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settled
    }
}

impl Deref for Delivery {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

/// The fields of the outcome modified: see [`Channel::modify`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modification {
    /// Whether this counts as a failed delivery: the header's `delivery_count` grows.
    pub delivery_failed: bool,
    /// Whether the message is not to be delivered here again.
    pub undeliverable_here: bool,
}

impl Channel {
    /// Takes the next delivery of a link. None if none comes within `timeout`; with [`Duration::ZERO`] only one that
    /// has come by now counts.
    ///
    /// # Errors
    /// When link or connection have ended. A message that cannot be decoded is rejected with `amqp:decode-error`, and is an
    /// error ([`ErrorKind::Protocol`]) that concerns nothing else.
    pub fn receive(&mut self, receiver: &Receiver, timeout: Duration) -> Result<Option<Delivery>, Error> {
        self.receive_by(Step::Receive, receiver, after(Instant::now(), timeout))
    }

    pub(super) fn receive_by(
        &mut self,
        step: Step,
        receiver: &Receiver,
        deadline: Instant,
    ) -> Result<Option<Delivery>, Error> {
        self.check_own(step, receiver.channel)?;
        let link = receiver.link;
        let next = |channel: &mut Channel| match channel.links.get_mut(&link) {
            Some(End::Receiver(receiving)) => match receiving.arrived.pop_front() {
                Some(arrived) => Some(Ok(arrived)),
                None => channel.why_gone(link).map(Err),
            },
            _ => Some(Err(ErrorKind::Usage("the link has been closed".into()))),
        };
        let arrived = match next(self) {
            Some(result) => Some(result.map_err(|kind| Error::new(step, kind))?),
            None => {
                self.ask_for_one(link);
                self.wait(step, deadline, next)?
            }
        };
        self.top_up(link);
        self.flush(step, after(Instant::now(), self.connector.timeout_for(step)))?;
        let Some(Arrived { delivery, settled, message }) = arrived else { return Ok(None) };
        match content::decode(&message.payload.contiguous()) {
            Ok(message) => Ok(Some(Delivery { channel: self.serial, link, delivery, settled, message })),
            Err(_) => {
                let fault = Fault::new(Reason::DecodeError, "the message cannot be decoded");
                self.settle_one(step, link, delivery, event::Outcome::Rejected(Some(Box::new(fault))))?;
                Err(Error::new(step, ErrorKind::Protocol("a message that cannot be decoded, see section 3.2".into())))
            }
        }
    }

    /// Gives a credit of one to a link whose window is 0.
    fn ask_for_one(&mut self, link: LinkId) {
        let key = self.key(link);
        if let Some(receiving) = self.receiving(link)
            && receiving.credit == 0
            && receiving.window == 0
        {
            receiving.credit = 1;
            self.apply(Effect::Grant { link: key, credit: 1 });
        }
    }

    /// Drains a link: asks for all messages that the peer has for it now, as far as the credit goes, and waits until
    /// they have come. Returns the number of deliveries that [`Channel::receive`] then returns without waiting.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fakebroker::{Broker, connector::{Connector, Source}};
    ///
    /// let broker = Broker::start()?;
    /// let mut channel = Connector::from_url(&broker.url())?.open()?;
    /// let sender = channel.sender("queue.a")?;
    /// channel.send(&sender, "the only one")?.accepted()?;
    /// let receiver = channel.receiver(Source::new("queue.a").credit(100))?;
    /// assert_eq!(channel.drain(&receiver)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the peer does not say within the step's timeout that this was all, or when link or connection have ended.
    pub fn drain(&mut self, receiver: &Receiver) -> Result<usize, Error> {
        let step = Step::Drain;
        self.check_own(step, receiver.channel)?;
        let (_, deadline) = self.begin_step(step)?;
        let link = receiver.link;
        self.top_up(link);
        self.ask_for_one(link);
        if let Some(receiving) = self.receiving(link)
            && receiving.credit > 0
        {
            receiving.drains = true;
            self.engine.drain(link, &mut self.stream.outbox);
        }
        self.wait_for(step, deadline, |channel| match channel.links.get(&link) {
            Some(End::Receiver(receiving)) if !receiving.drains => Some(Ok(receiving.arrived.len())),
            Some(_) => channel.why_gone(link).map(Err),
            None => Some(Err(ErrorKind::Usage("the link has been closed".into()))),
        })
    }

    /// Settles a delivery as accepted.
    ///
    /// The outcome is sent at once, and the peer does not answer it. A delivery that is settled stays as it is.
    ///
    /// # Errors
    /// When link or connection have ended.
    pub fn accept(&mut self, delivery: &Delivery) -> Result<(), Error> {
        self.settle(delivery, event::Outcome::Accepted)
    }

    /// Settles a delivery as rejected. `condition` is a symbol such as `amqp:decode-error`.
    ///
    /// # Errors
    /// As [`Channel::accept`].
    pub fn reject(&mut self, delivery: &Delivery, condition: &str, description: &str) -> Result<(), Error> {
        let fault = Fault::new(Reason::Other(condition.into()), description);
        self.settle(delivery, event::Outcome::Rejected(Some(Box::new(fault))))
    }

    /// Settles a delivery as released: it returns to its node.
    ///
    /// # Errors
    /// As [`Channel::accept`].
    pub fn release(&mut self, delivery: &Delivery) -> Result<(), Error> {
        self.settle(delivery, event::Outcome::Released)
    }

    /// Settles a delivery as modified: it returns to its node, changed as `how` says.
    ///
    /// # Errors
    /// As [`Channel::accept`].
    pub fn modify(&mut self, delivery: &Delivery, how: Modification) -> Result<(), Error> {
        let Modification { delivery_failed, undeliverable_here } = how;
        let modified = event::Modified { delivery_failed, undeliverable_here, annotations: None };
        self.settle(delivery, event::Outcome::Modified(modified))
    }

    fn settle(&mut self, delivery: &Delivery, outcome: event::Outcome) -> Result<(), Error> {
        self.check_own(Step::Settle, delivery.channel)?;
        if delivery.settled {
            return Ok(());
        }
        if let Some(why) = self.why_gone(delivery.link) {
            return Err(Error::new(Step::Settle, why));
        }
        self.settle_one(Step::Settle, delivery.link, delivery.delivery, outcome)
    }

    fn settle_one(
        &mut self,
        step: Step,
        link: LinkId,
        delivery: DeliveryKey,
        outcome: event::Outcome,
    ) -> Result<(), Error> {
        let (_, deadline) = self.begin_step(step)?;
        self.apply(Effect::Settle { link: self.key(link), first: delivery, count: 1, outcome });
        self.flush(step, deadline)
    }
}
