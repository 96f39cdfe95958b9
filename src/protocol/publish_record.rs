//! A publish to an exchange as a test gets it, with its message decoded.

use std::fmt;
use std::ops::Deref;

use super::message_record::{LinkName, MessageRecord};
use crate::content::Message;
use crate::recorder::LoggedPublish;

/// A message that was published to an exchange, and the queues that it went to. Returned by
/// [`Handle::published`](crate::Handle::published).
///
/// Dereferences to the [`Message`] it holds, and is displayed as one line:
///
/// ```
/// use fakebroker::{Binding, Broker, Message};
///
/// let bound = |queue| Binding::new("amq.fanout", "", queue);
/// let builder = Broker::builder().queue("orders").queue("audit").binding(bound("orders")).binding(bound("audit"));
/// let broker = builder.start()?;
/// broker.inject("/exchanges/amq.fanout/order.new", Message::text("one coffee"));
/// let [publish] = &broker.published("amq.fanout")[..] else { panic!("one publish expected") };
/// assert_eq!(publish.routing_key, "order.new");
/// assert_eq!(publish.queues, ["audit", "orders"]); // one publish, and two arrivals
/// assert_eq!(
///     publish.to_string(),
///     r#"published to exchange "amq.fanout" with routing key "order.new": "one coffee"; to queues "audit", "orders""#
/// );
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PublishRecord {
    /// The exchange. Empty: the default exchange.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// The queues that the message went to, by the bindings of the exchange and of those bound to it, in the order of their
    /// names. None if no binding matched, the exchange refused the message, or a hook decided about it.
    pub queues: Vec<String>,
    /// The numbers of the messages of the log that it became: one for each queue, in their order, or one if there was none. See
    /// [`MessageRecord::number`].
    pub messages: Vec<u64>,
    /// The link or channel that it came on. None if the test injected it, or the broker published it itself: a dead letter.
    pub sender: Option<LinkName>,
    /// The decoded message. Empty if the bytes cannot be decoded: see [`PublishRecord::unreadable`].
    pub message: Message,
    /// The decoding error, if the bytes could not be decoded.
    pub unreadable: Option<String>,
}

impl From<LoggedPublish> for PublishRecord {
    fn from(LoggedPublish { exchange, key, queues, messages, message }: LoggedPublish) -> PublishRecord {
        let MessageRecord { sender, message, unreadable, .. } = MessageRecord::from(message);
        let numbers = messages.first..messages.end();
        let mut arrivals: Vec<_> = queues.iter().map(|queue| queue.as_ref().to_owned()).zip(numbers.clone()).collect();
        arrivals.sort();
        let (queues, messages) = match arrivals.is_empty() {
            true => (Vec::new(), numbers.collect()),
            false => arrivals.into_iter().unzip(),
        };
        PublishRecord {
            exchange: exchange.as_ref().to_owned(),
            routing_key: key.as_ref().to_owned(),
            queues,
            messages,
            sender,
            message,
            unreadable,
        }
    }
}

impl Deref for PublishRecord {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl fmt::Display for PublishRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "published to exchange {:?} with routing key {:?}", self.exchange, self.routing_key)?;
        self.sender.iter().try_for_each(|sender| write!(f, " from {sender}"))?;
        match &self.unreadable {
            Some(why) => write!(f, ", bytes that cannot be read: {why}")?,
            None => write!(f, ": {}", self.message)?,
        }
        let queues: Vec<String> = self.queues.iter().map(|queue| format!("{queue:?}")).collect();
        match queues.len() {
            0 => f.write_str("; to no queue"),
            1 => write!(f, "; to queue {}", queues.concat()),
            _ => write!(f, "; to queues {}", queues.join(", ")),
        }
    }
}
