//! Queues, exchanges, bindings and policies: what a test sees of them, and declares without a client.

use std::panic::Location;
use std::time::Duration;

use super::waiting::{WaitError, counted};
use super::{Builder, Handle};
use crate::event::Fault;
use crate::event_loop::EventLoop;
use crate::protocol::{PublishRecord, reply_code};
use crate::topology::{
    Binding, BindingInfo, Exchange, ExchangeInfo, Policy, PolicyInfo, Queue, QueueInfo, TopologyError,
};

impl Builder {
    /// A queue that the broker has from its start; can be given several times. It is declared again when a
    /// [`restart`](crate::Broker::restart) has dropped queues. One that is refused is an error of [`Builder::bind`].
    /// Default: none.
    ///
    /// ```
    /// # use fakebroker::{Broker, Queue};
    /// let broker = Broker::builder().queue("orders").queue(Queue::new("jobs").argument("x-max-priority", 5)).start()?;
    /// assert_eq!(broker.queues().len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn queue(mut self, queue: impl Into<Queue>) -> Self {
        self.topology().queues.push(queue.into());
        self
    }

    /// An exchange that the broker has from its start, as [`Builder::queue`] is; can be given several times. Default: those
    /// that every broker has, `amq.direct` and its like.
    pub fn exchange(mut self, exchange: Exchange) -> Self {
        self.topology().exchanges.push(exchange);
        self
    }

    /// A binding that the broker has from its start, as [`Builder::queue`] is; can be given several times, before or after the
    /// queue and the exchanges. Default: none.
    ///
    /// ```
    /// # use fakebroker::{Binding, Broker, Exchange, Message};
    /// let broker = Broker::builder()
    ///     .exchange(Exchange::topic("events"))
    ///     .queue("orders")
    ///     .binding(Binding::new("events", "order.*", "orders"))
    ///     .start()?;
    /// broker.inject("/exchanges/events/order.new", Message::text("one coffee"));
    /// assert_eq!(broker.queue_depth("orders"), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn binding(mut self, binding: Binding) -> Self {
        self.topology().bindings.push(binding);
        self
    }

    /// A policy that the broker has from its start, as [`Builder::queue`] is; can be given several times. Default: none.
    ///
    /// ```
    /// # use fakebroker::{Broker, Message, Policy};
    /// let broker = Broker::builder().policy(Policy::new("short", "^log").define("max-length", 1)).queue("log").start()?;
    /// broker.inject("/queues/log", Message::text("one"));
    /// broker.inject("/queues/log", Message::text("two"));
    /// assert_eq!(broker.queue_depth("log"), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn policy(mut self, policy: Policy) -> Self {
        self.topology().policies.push(policy);
        self
    }
}

impl Handle {
    /// All queues, by name: those that were declared, and those that exist because their address is a queue's.
    ///
    /// ```
    /// # use fakebroker::{Broker, Message, Queue};
    /// let broker = Broker::builder().queue(Queue::new("orders").argument("x-message-ttl", 60_000)).start()?;
    /// broker.inject("/queues/orders", Message::text("one coffee"));
    /// let [orders] = &broker.queues()[..] else { panic!("one queue expected") };
    /// assert_eq!((orders.name.as_str(), orders.messages, orders.durable), ("orders", 1, true));
    /// assert_eq!(orders.arguments, [("x-message-ttl".to_owned(), 60_000.into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn queues(&self) -> Vec<QueueInfo> {
        self.ask(|event_loop| event_loop.router().queues())
    }

    /// All exchanges, by name. The default exchange, which has no name and leads to every queue by its name, is not among them.
    ///
    /// ```
    /// # use fakebroker::Broker;
    /// # let broker = Broker::start()?;
    /// let declared: Vec<_> = broker.exchanges().into_iter().filter(|exchange| !exchange.predeclared).collect();
    /// assert_eq!(declared, []);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn exchanges(&self) -> Vec<ExchangeInfo> {
        self.ask(|event_loop| event_loop.router().exchanges())
    }

    /// All bindings, by exchange, key and what they lead to. Those of the default exchange are not among them.
    ///
    /// ```
    /// # use fakebroker::{Binding, BoundTo, Broker};
    /// let broker = Broker::builder().queue("orders").binding(Binding::new("amq.topic", "order.*", "orders")).start()?;
    /// let [binding] = &broker.bindings()[..] else { panic!("one binding expected") };
    /// assert_eq!((binding.exchange.as_str(), binding.routing_key.as_str()), ("amq.topic", "order.*"));
    /// assert_eq!(binding.to, BoundTo::Queue("orders".into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn bindings(&self) -> Vec<BindingInfo> {
        self.ask(|event_loop| event_loop.router().bindings())
    }

    /// Declares a queue, as a client would. One that exists has to be equal in all that is declared.
    ///
    /// ```
    /// # use fakebroker::{Broker, Queue};
    /// # let broker = Broker::start()?;
    /// broker.declare_queue("orders")?;
    /// let error = broker.declare_queue(Queue::new("orders").durable(false)).unwrap_err();
    /// assert_eq!((error.code, error.condition), (406, "PRECONDITION_FAILED"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As RabbitMQ refuses a client: 406 for an argument that cannot be one or that differs from the first declaration, 405 for a
    /// queue that is exclusive to a connection, 403 for a reserved name. An argument without effect is noted
    /// ([`Handle::unmet_requests`]), and refused with 540 by a [`strict`](Builder::strict) broker.
    #[track_caller]
    pub fn declare_queue(&self, queue: impl Into<Queue>) -> Result<(), TopologyError> {
        let queue = queue.into();
        self.change(move |event_loop| event_loop.declare_queue(queue))
    }

    /// Declares an exchange, as a client would: see [`Handle::declare_queue`].
    ///
    /// # Errors
    /// As those of [`Handle::declare_queue`], and 503 for a type that the broker does not have.
    #[track_caller]
    pub fn declare_exchange(&self, exchange: Exchange) -> Result<(), TopologyError> {
        self.change(move |event_loop| event_loop.declare_exchange(exchange))
    }

    /// Binds a queue or an exchange to an exchange. A binding that exists stays as it is.
    ///
    /// ```
    /// # use fakebroker::{Binding, Broker};
    /// # let broker = Broker::start()?;
    /// broker.declare_queue("orders")?;
    /// broker.bind(Binding::new("amq.topic", "order.*", "orders"))?;
    /// let error = broker.bind(Binding::new("amq.topic", "#", "order")).unwrap_err();
    /// assert_eq!(error.to_string(), "404 NOT_FOUND - no queue 'order' in vhost '/'");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// 404 if the exchange or the queue does not exist, 405 if the queue is exclusive to a connection, 403 for the default
    /// exchange, 406 for arguments that a binding of this exchange cannot have.
    #[track_caller]
    pub fn bind(&self, binding: Binding) -> Result<(), TopologyError> {
        self.change(move |event_loop| event_loop.bind(binding))
    }

    /// Removes a binding, which has to be equal in key and arguments. Does nothing if there is none, as in RabbitMQ.
    ///
    /// # Errors
    /// As those of [`Handle::bind`], but for what does not exist.
    #[track_caller]
    pub fn unbind(&self, binding: Binding) -> Result<(), TopologyError> {
        self.change(move |event_loop| event_loop.unbind(binding))
    }

    /// Deletes a queue with its messages and bindings, and ends its consumers. Returns how many messages waited; 0 if there is no
    /// such queue, as in RabbitMQ.
    ///
    /// # Errors
    /// 405 if the queue is exclusive to a connection.
    #[track_caller]
    pub fn delete_queue(&self, name: &str) -> Result<usize, TopologyError> {
        let name = name.to_owned();
        self.change(move |event_loop| event_loop.router().delete_queue(&name))
    }

    /// Deletes an exchange with its bindings. Does nothing if there is none, as in RabbitMQ.
    ///
    /// # Errors
    /// 403 for an exchange that every broker has.
    #[track_caller]
    pub fn delete_exchange(&self, name: &str) -> Result<(), TopologyError> {
        let name = name.to_owned();
        self.change(move |event_loop| event_loop.delete_exchange(&name))
    }

    /// Sets a policy, in place of one of the same name. It applies at once to the queues and exchanges that are there, and to those
    /// that are declared later; a queue that is too long by it is shortened before this returns.
    ///
    /// ```
    /// # use fakebroker::{Broker, Policy};
    /// # let broker = Broker::start()?;
    /// broker.set_policy(Policy::new("retry", "^work\\.").define("dead-letter-exchange", "retry"))?;
    /// assert!(broker.clear_policy("retry"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// 406 if the pattern or the definition has something that is not understood or can not be.
    #[track_caller]
    pub fn set_policy(&self, policy: Policy) -> Result<(), TopologyError> {
        self.change(move |event_loop| event_loop.set_policy(policy))
    }

    /// Removes a policy: what it gave to queues and exchanges is taken back at once. False if there is none of this name.
    #[track_caller]
    pub fn clear_policy(&self, name: &str) -> bool {
        let name = name.to_owned();
        self.ask(move |event_loop| {
            let was_there = event_loop.router().clear_policy(&name);
            event_loop.settle_in();
            was_there
        })
    }

    /// All policies, by name.
    #[must_use]
    #[track_caller]
    pub fn policies(&self) -> Vec<PolicyInfo> {
        self.ask(|event_loop| event_loop.router().policies())
    }

    /// Returns the messages that were published to an exchange, oldest first, each with its routing key and the queues that it
    /// went to: by 0-9-1 clients, by 1.0 clients at `/exchanges/NAME`, by the test, and by the broker itself (dead letters). An
    /// empty name is the default exchange of 0-9-1. A publish is listed while the last of its messages is in the log
    /// ([`Builder::message_log`](Builder::message_log)), whether that was taken or not.
    ///
    /// ```
    /// # use fakebroker::{Binding, Broker, Message};
    /// let broker = Broker::builder().queue("orders").binding(Binding::new("amq.topic", "order.*", "orders")).start()?;
    /// broker.inject("/exchanges/amq.topic/order.new", Message::text("one coffee"));
    /// broker.inject("/exchanges/amq.topic/invoice", Message::text("paid"));
    /// let routes: Vec<_> = broker.published("amq.topic").into_iter().map(|it| (it.routing_key, it.queues)).collect();
    /// assert_eq!(routes, [("order.new".to_owned(), vec!["orders".to_owned()]), ("invoice".to_owned(), vec![])]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn published(&self, exchange: &str) -> Vec<PublishRecord> {
        let exchange = exchange.to_owned();
        let publishes = self.ask(move |event_loop| event_loop.published(&exchange));
        publishes.into_iter().map(PublishRecord::from).collect()
    }

    /// Waits until so many messages or more were published to an exchange since the broker was made, wherever they went, and
    /// returns those that are in the log: see [`Handle::published`].
    ///
    /// # Errors
    /// See [`Handle::wait_for`]. Without a message log nothing is counted.
    #[track_caller]
    pub fn wait_for_published(
        &self,
        timeout: Duration,
        exchange: &str,
        count: u64,
    ) -> Result<Vec<PublishRecord>, WaitError> {
        let what = format!("{} to be published to exchange {exchange:?}", counted(count, "message"));
        let asked = exchange.to_owned();
        let publishes = self.wait_until(&what, timeout, Location::caller(), move |event_loop| {
            (event_loop.published_count(&asked) >= count).then(|| event_loop.published(&asked))
        })?;
        Ok(publishes.into_iter().map(PublishRecord::from).collect())
    }

    /// Makes a change and applies what follows from it.
    #[track_caller]
    fn change<R: Send + 'static>(
        &self,
        change: impl FnOnce(&mut EventLoop) -> Result<R, Fault> + Send + 'static,
    ) -> Result<R, TopologyError> {
        self.ask(move |event_loop| {
            let changed = change(event_loop);
            event_loop.settle_in();
            changed.map_err(|fault| refusal(&fault))
        })
    }
}

/// Returns a fault in the words that a 0-9-1 client gets.
pub(super) fn refusal(fault: &Fault) -> TopologyError {
    let (code, condition) = reply_code(&fault.reason);
    TopologyError { code, condition, description: fault.description.clone().unwrap_or_default().to_string() }
}
