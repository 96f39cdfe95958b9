//! Sends messages and waits for their outcomes, one at a time or many.

use std::collections::VecDeque;
use std::time::Instant;

use super::channel::Channel;
use super::error::{Error, ErrorKind, Step};
use super::link::{End, Sender, Sending};
use crate::amqp10::content;
use crate::content::Message;
use crate::event::{self, Effect, LinkId, Ticket};
use crate::message;
use crate::protocol::Outcome;

impl Outcome {
    /// Whether the outcome is accepted.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        *self == Outcome::Accepted
    }

    /// Turns an outcome other than accepted into an error.
    ///
    /// ```
    /// use fakebroker::{Broker, connector::Connector};
    ///
    /// let broker = Broker::start()?;
    /// let mut channel = Connector::from_url(&broker.url())?.open()?;
    /// let nowhere = channel.sender("nobody.receives")?;
    /// let error = channel.send(&nowhere, "hello")?.accepted().unwrap_err();
    /// assert_eq!(error.condition(), Some("amqp:not-found"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NotAccepted`].
    pub fn accepted(self) -> Result<(), Error> {
        match self {
            Outcome::Accepted => Ok(()),
            other => Err(Error::new(Step::Send, ErrorKind::NotAccepted(other))),
        }
    }
}

/// A message that has been sent and whose outcome has not been asked for: see [`Channel::post`].
#[derive(Debug)]
#[must_use = "the outcome can be asked for with it"]
pub struct Posted {
    channel: u64,
    link: LinkId,
    ticket: u64,
}

impl Channel {
    /// Sends a message and waits for its outcome. A text is a message too.
    ///
    /// # Errors
    /// When the peer gives no credit or no outcome within the step's timeout, when the message is larger than it takes, or
    /// when link or connection have ended. A message that was not accepted is no error here: see [`Outcome::accepted`].
    pub fn send(&mut self, sender: &Sender, message: impl Into<Message>) -> Result<Outcome, Error> {
        let (_, deadline) = self.begin_step(Step::Send)?;
        let ticket = self.put(sender, &message.into(), false, deadline)?;
        self.flush(Step::Send, deadline)?;
        self.outcome_by(sender.link, ticket, deadline)
    }

    /// Sends a message settled: its outcome is not known.
    ///
    /// # Errors
    /// As [`Channel::send`]; it only waits until the message has been written.
    pub fn send_settled(&mut self, sender: &Sender, message: impl Into<Message>) -> Result<(), Error> {
        let (_, deadline) = self.begin_step(Step::Send)?;
        self.put(sender, &message.into(), true, deadline)?;
        self.flush(Step::Send, deadline)?;
        // No outcome will come: wait until all of the message has been written.
        if self.engine.unwritten() > 0 {
            let link = sender.link;
            self.wait_for(Step::Send, deadline, |channel| match channel.engine.unwritten() {
                0 => Some(channel.why_gone(link).map_or(Ok(()), Err)),
                _ => None,
            })?;
            self.flush(Step::Send, deadline)?;
        }
        Ok(())
    }

    /// Sends a message without waiting for its outcome, which [`Channel::outcome`] waits for.
    ///
    /// ```
    /// use fakebroker::{Broker, connector::Connector};
    ///
    /// let broker = Broker::start()?;
    /// let mut channel = Connector::from_url(&broker.url())?.open()?;
    /// let sender = channel.sender("queue.a")?;
    /// let (first, second) = (channel.post(&sender, "one")?, channel.post(&sender, "two")?);
    /// channel.outcome(second)?.accepted()?;
    /// channel.outcome(first)?.accepted()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Channel::send`]; it only waits for credit.
    pub fn post(&mut self, sender: &Sender, message: impl Into<Message>) -> Result<Posted, Error> {
        let (_, deadline) = self.begin_step(Step::Send)?;
        let ticket = self.put(sender, &message.into(), false, deadline)?;
        self.flush(Step::Send, deadline)?;
        Ok(Posted { channel: self.serial, link: sender.link, ticket })
    }

    /// Waits for the outcome of a message that was posted.
    ///
    /// # Errors
    /// When none comes within the timeout of [`Step::Send`], or when link or connection have ended.
    pub fn outcome(&mut self, posted: Posted) -> Result<Outcome, Error> {
        self.check_own(Step::Send, posted.channel)?;
        let (_, deadline) = self.begin_step(Step::Send)?;
        self.outcome_by(posted.link, posted.ticket, deadline)
    }

    /// Sends messages, with at most `window` of them awaiting their outcomes. Returns all outcomes, in the order of the
    /// messages. The timeout of [`Step::Send`] is that of each message.
    ///
    /// ```
    /// use fakebroker::{Broker, Outcome, connector::Connector};
    ///
    /// let broker = Broker::start()?;
    /// let mut channel = Connector::from_url(&broker.url())?.open()?;
    /// let sender = channel.sender("queue.a")?;
    /// let outcomes = channel.send_all(&sender, (0..1000).map(|n| format!("number {n}")), 100)?;
    /// assert!(outcomes.iter().all(Outcome::is_accepted));
    /// assert_eq!(broker.counts().queued, 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Channel::send`], for the first of them that fails; those before it have been sent.
    pub fn send_all<M: Into<Message>>(
        &mut self,
        sender: &Sender,
        messages: impl IntoIterator<Item = M>,
        window: usize,
    ) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = Vec::new();
        let mut under_way = VecDeque::new();
        for message in messages {
            if under_way.len() >= window.max(1)
                && let Some(ticket) = under_way.pop_front()
            {
                let (_, deadline) = self.begin_step(Step::Send)?;
                outcomes.push(self.outcome_by(sender.link, ticket, deadline)?);
            }
            // The output is written when there is enough of it, or an outcome to wait for.
            let (_, deadline) = self.begin_step(Step::Send)?;
            under_way.push_back(self.put(sender, &message.into(), false, deadline)?);
        }
        for ticket in under_way {
            let (_, deadline) = self.begin_step(Step::Send)?;
            outcomes.push(self.outcome_by(sender.link, ticket, deadline)?);
        }
        Ok(outcomes)
    }

    /// Waits for credit and gives the engine a message. Returns its ticket.
    fn put(&mut self, sender: &Sender, message: &Message, settled: bool, deadline: Instant) -> Result<u64, Error> {
        const ENOUGH: usize = 64 * 1024;
        let step = Step::Send;
        self.check_own(step, sender.channel)?;
        let link = sender.link;
        let payload = content::encode(message);
        let size = payload.len() as u64;
        let message = message::Message { payload: payload.into(), ..message::Message::default() };
        let ready = |channel: &mut Channel| match channel.links.get(&link) {
            Some(End::Sender(sender)) if sender.credit > 0 => Some(Ok(())),
            Some(_) => channel.why_gone(link).map(Err),
            None => Some(Err(ErrorKind::Usage("the link has been closed".into()))),
        };
        match ready(self) {
            Some(result) => result.map_err(|kind| Error::new(step, kind))?,
            None => self.wait_for(step, deadline, ready)?,
        }
        let Some(sending) = self.sending(link) else { return Ok(Ticket::NONE.0) };
        if size > sending.max_message_size {
            let what = format!("the message has {size} bytes, the peer takes {}", sending.max_message_size);
            return Err(Error::new(step, ErrorKind::Usage(what)));
        }
        sending.credit -= 1;
        let ticket = if settled { Ticket::NONE.0 } else { sending.posts.ledger.push(None) };
        let deliveries = vec![event::Delivery { message, settled, ticket: Ticket(ticket), units: 1 }];
        self.apply(Effect::Deliver { link: self.key(link), deliveries });
        if self.stream.outbox.len() > ENOUGH {
            self.flush(step, deadline)?;
        }
        Ok(ticket)
    }

    fn outcome_by(&mut self, link: LinkId, ticket: u64, deadline: Instant) -> Result<Outcome, Error> {
        let come = |channel: &mut Channel| match channel.links.get_mut(&link) {
            Some(End::Sender(Sending { posts, .. })) => match posts.take(ticket) {
                Some(outcome) => Some(Ok(outcome)),
                None => channel.why_gone(link).map(Err),
            },
            _ => Some(Err(ErrorKind::Usage("the link has been closed".into()))),
        };
        match come(self) {
            Some(result) => result.map_err(|kind| Error::new(Step::Send, kind)),
            None => self.wait_for(Step::Send, deadline, come),
        }
    }
}
