//! Requests: a message and the response to it, at a dynamic reply address.

use std::time::{Duration, Instant};

use super::after;
use super::channel::Channel;
use super::error::{Error, ErrorKind, Step};
use super::link::{Receiver, Source};
use crate::content::Message;
use crate::event::LinkId;
use crate::value::Value;

impl Channel {
    /// Sends a message to an address and waits for the response.
    ///
    /// The message gets a `reply-to` (a dynamic address of this channel) and, if it has none, a `message-id`. The
    /// response is the next message at that address whose correlation-id is the `message-id`, or the correlation-id of
    /// the request, or absent. The response is accepted.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fakebroker::{Broker, Message, connector::Connector};
    ///
    /// let broker = Broker::start()?;
    /// let url = broker.url();
    /// let mut server = Connector::from_url(&url)?.open()?;
    /// let questions = server.receiver("questions")?;
    /// let answering = std::thread::spawn(move || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ///     let question = server.receive(&questions, Duration::from_secs(5))?.ok_or("no question")?;
    ///     let properties = &question.properties;
    ///     let mut answer = Message::text("42");
    ///     answer.properties.correlation_id = properties.message_id.clone();
    ///     let reply_to = server.sender(properties.reply_to.as_deref().ok_or("no reply-to")?)?;
    ///     server.send(&reply_to, answer)?.accepted()?;
    ///     Ok(server.accept(&question)?)
    /// });
    ///
    /// let mut channel = Connector::from_url(&url)?.open()?;
    /// let answer = channel.request("questions", "6 x 7?", Duration::from_secs(5))?;
    /// assert_eq!(answer.as_text(), Some("42"));
    /// answering.join().unwrap().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the message is not accepted, no answer comes within `timeout`, the peer makes up no address (RabbitMQ 3
    /// does not), or the connection has ended.
    pub fn request(&mut self, address: &str, message: impl Into<Message>, timeout: Duration) -> Result<Message, Error> {
        let deadline = after(Instant::now(), timeout);
        self.limit = Some((deadline, timeout));
        let result = self.reply_link().and_then(|replies| {
            let answer = self.ask(address, message.into(), &replies, deadline);
            if matches!(answer, Ok(Some(_))) {
                self.replies = Some(replies);
            } else {
                // A response that comes too late is not taken for that of the next request.
                self.abandon_link(replies.link);
            }
            answer
        });
        self.limit = None;
        result?.ok_or_else(|| Error::new(Step::Request, ErrorKind::TimedOut(timeout)))
    }

    fn reply_link(&mut self) -> Result<Receiver, Error> {
        match self.replies.take() {
            Some(replies) if self.is_attached(replies.link) => Ok(replies),
            _ => self.receiver(Source::dynamic()),
        }
    }

    fn ask(
        &mut self,
        address: &str,
        mut message: Message,
        replies: &Receiver,
        deadline: Instant,
    ) -> Result<Option<Message>, Error> {
        let step = Step::Request;
        let Some(reply_to) = replies.address() else {
            return Err(Error::new(step, ErrorKind::Usage("the peer does not say what address it made up".into())));
        };
        message.properties.reply_to = Some(reply_to.to_owned());
        self.named += 1;
        let fresh = || Value::from(format!("request-{}", self.named));
        let id = message.properties.message_id.get_or_insert_with(fresh).clone();
        let own = message.properties.correlation_id.clone();
        let sender = match self.requesters.remove(address) {
            Some(sender) if self.is_attached(sender.link) => sender,
            _ => self.sender(address)?,
        };
        let outcome = self.send(&sender, message);
        self.requesters.insert(address.into(), sender);
        outcome?.accepted().map_err(|error| error.at(step))?;
        while let Some(delivery) = self.receive_by(step, replies, deadline)? {
            self.accept(&delivery)?;
            let answer = delivery.into_message();
            let answers = answer.properties.correlation_id.as_ref();
            if answers.is_none_or(|answers| *answers == id || Some(answers) == own.as_ref()) {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    fn is_attached(&self, link: LinkId) -> bool {
        self.links.contains_key(&link) && self.why_gone(link).is_none()
    }
}
