//! Messages that a test puts in without a client.

use super::Handle;
use crate::amqp10::content::encode;
use crate::content::Message;
use crate::event::Text;
use crate::event_loop::EventLoop;
use crate::protocol::Outcome;
use crate::{event, message};

impl Handle {
    /// Puts a message in as if a client had sent it, unsettled. Returns what that client would have been told by now: none if
    /// it would still be waiting. It does not pass [`Handle::on_message`]. What a receiver is sent of it goes out after this
    /// returns. At `/exchanges/NAME/KEY` it goes by the exchange NAME with the routing key KEY, both percent-encoded: see
    /// [`Handle::inject_to_exchange`].
    ///
    /// ```
    /// # use fakebroker::{Broker, Message, Outcome};
    /// # let broker = Broker::start()?;
    /// assert_eq!(broker.inject("queue.orders", Message::text("one coffee")), Some(Outcome::Accepted));
    /// let outcome = broker.inject("orders", Message::text("one tea")); // not a queue, and nobody receives
    /// assert!(matches!(outcome, Some(Outcome::Rejected { condition, .. }) if condition == "amqp:not-found"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn inject(&self, address: &str, message: Message) -> Option<Outcome> {
        let address = Text::from(address);
        self.put_in(&message, move |event_loop, message| event_loop.router().inject(address, message))
    }

    /// Puts a message in at an exchange, with a routing key, as [`Handle::inject`] does at an address. An empty name is the
    /// default exchange, which leads to the queue that the routing key names, if that exists. The headers of 0-9-1 are the
    /// application properties of the message: [`Message::property`].
    ///
    /// ```
    /// # use fakebroker::{Binding, Broker, Message, Outcome};
    /// let broker = Broker::builder().queue("orders").binding(Binding::new("amq.topic", "order/*.#", "orders")).start()?;
    /// let order = Message::json(r#"{"cups": 1}"#).property("table", 7);
    /// assert_eq!(broker.inject_to_exchange("amq.topic", "order/*.new", order), Some(Outcome::Accepted));
    /// assert_eq!(broker.inject_to_exchange("", "orders", Message::text("one tea")), Some(Outcome::Accepted));
    /// assert_eq!(broker.queue_depth("orders"), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn inject_to_exchange(&self, exchange: &str, routing_key: &str, message: Message) -> Option<Outcome> {
        let (exchange, key) = (exchange.to_owned(), routing_key.to_owned());
        self.put_in(&message, move |event_loop, message| event_loop.router().inject_by(&exchange, &key, message))
    }

    #[track_caller]
    fn put_in(
        &self,
        message: &Message,
        put: impl FnOnce(&mut EventLoop, message::Message) -> Option<event::Outcome> + Send + 'static,
    ) -> Option<Outcome> {
        let message = message::Message { payload: encode(message).into(), ..message::Message::default() };
        self.ask(move |event_loop| {
            let outcome = put(event_loop, message);
            event_loop.settle_in();
            outcome.as_ref().map(Outcome::from)
        })
    }
}
