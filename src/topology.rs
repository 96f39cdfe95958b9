//! Queues, exchanges and bindings in a test's words: those that a test declares, and those that it is shown. The router has its
//! own; no protocol is known here.

use std::fmt;

use crate::event::ConnectionId;
use crate::value::Value;

/// Arguments of a declaration or a binding, by name.
pub(crate) type NamedValues = Vec<(String, Value)>;

/// A queue that a test declares, with [`Builder::queue`](crate::Builder::queue) or
/// [`Handle::declare_queue`](crate::Handle::declare_queue). It is durable, not auto-delete, and never exclusive, unless a method
/// says otherwise. A client's declaration of the same queue has to say the same (406 otherwise, as in RabbitMQ).
///
/// ```
/// use fakebroker::{Broker, Queue};
///
/// let orders = Queue::new("orders").argument("x-dead-letter-exchange", "dlx").argument("x-message-ttl", 60_000);
/// let broker = Broker::builder().queue(orders).queue("parking").start()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Queue {
    pub(crate) vhost: Option<String>,
    pub(crate) name: String,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) arguments: NamedValues,
}

impl Queue {
    /// A durable queue without arguments.
    pub fn new(name: impl Into<String>) -> Queue {
        Queue { vhost: None, name: name.into(), durable: true, auto_delete: false, arguments: Vec::new() }
    }

    /// Whether the queue is durable. It outlives a [`restart`](crate::Broker::restart) that keeps queues in any case; a client
    /// that declares the queue has to say the same. Default: true.
    pub fn durable(mut self, durable: bool) -> Queue {
        self.durable = durable;
        self
    }

    /// Whether the queue ends with its last consumer. Default: false.
    pub fn auto_delete(mut self, auto_delete: bool) -> Queue {
        self.auto_delete = auto_delete;
        self
    }

    /// The virtual host, which is made if it is not there. Default: `/`, or that of the handle ([`Handle::vhost`](crate::Handle::vhost)).
    pub fn vhost(mut self, name: impl Into<String>) -> Queue {
        self.vhost = Some(name.into());
        self
    }

    /// Adds an argument, such as `x-message-ttl`; can be given several times. Of several with one name the first counts.
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<Value>) -> Queue {
        self.arguments.push((name.into(), value.into()));
        self
    }
}

impl<T: Into<String>> From<T> for Queue {
    fn from(name: T) -> Queue {
        Queue::new(name)
    }
}

/// An exchange that a test declares, with [`Builder::exchange`](crate::Builder::exchange) or
/// [`Handle::declare_exchange`](crate::Handle::declare_exchange). It is durable, and neither auto-delete nor internal, unless a
/// method says otherwise.
///
/// ```
/// use fakebroker::{Broker, Exchange};
///
/// let broker = Broker::builder().exchange(Exchange::topic("events")).exchange(Exchange::new("dlx", "fanout")).start()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Exchange {
    pub(crate) vhost: Option<String>,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) arguments: NamedValues,
}

impl Exchange {
    /// A durable exchange of a type: `direct`, `fanout`, `topic`, `headers`. One that the broker does not have is refused when
    /// the exchange is declared.
    pub fn new(name: impl Into<String>, kind: impl Into<String>) -> Exchange {
        Exchange {
            vhost: None,
            name: name.into(),
            kind: kind.into(),
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: Vec::new(),
        }
    }

    /// A direct exchange: bindings whose key equals the routing key.
    pub fn direct(name: impl Into<String>) -> Exchange {
        Exchange::new(name, "direct")
    }

    /// A fanout exchange: all bindings.
    pub fn fanout(name: impl Into<String>) -> Exchange {
        Exchange::new(name, "fanout")
    }

    /// A topic exchange: bindings whose pattern matches the routing key.
    pub fn topic(name: impl Into<String>) -> Exchange {
        Exchange::new(name, "topic")
    }

    /// A headers exchange: bindings whose arguments match the headers.
    pub fn headers(name: impl Into<String>) -> Exchange {
        Exchange::new(name, "headers")
    }

    /// Whether the exchange is durable: see [`Queue::durable`]. Default: true.
    pub fn durable(mut self, durable: bool) -> Exchange {
        self.durable = durable;
        self
    }

    /// Whether the exchange ends with its last binding. Default: false.
    pub fn auto_delete(mut self, auto_delete: bool) -> Exchange {
        self.auto_delete = auto_delete;
        self
    }

    /// Whether clients may not publish to the exchange, so that only bindings and dead letters lead there. Default: false.
    pub fn internal(mut self, internal: bool) -> Exchange {
        self.internal = internal;
        self
    }

    /// The virtual host, which is made if it is not there. Default: `/`, or that of the handle ([`Handle::vhost`](crate::Handle::vhost)).
    pub fn vhost(mut self, name: impl Into<String>) -> Exchange {
        self.vhost = Some(name.into());
        self
    }

    /// Adds an argument, such as `alternate-exchange`: see [`Queue::argument`].
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<Value>) -> Exchange {
        self.arguments.push((name.into(), value.into()));
        self
    }
}

/// The target of a binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BoundTo {
    /// The queue of this name.
    Queue(String),
    /// The exchange of this name.
    Exchange(String),
}

impl BoundTo {
    /// The name of the queue or the exchange.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            BoundTo::Queue(name) | BoundTo::Exchange(name) => name,
        }
    }
}

impl fmt::Display for BoundTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoundTo::Queue(name) => write!(f, "queue {name:?}"),
            BoundTo::Exchange(name) => write!(f, "exchange {name:?}"),
        }
    }
}

/// A binding that a test makes or removes, with [`Builder::binding`](crate::Builder::binding),
/// [`Handle::bind`](crate::Handle::bind) or [`Handle::unbind`](crate::Handle::unbind).
///
/// ```
/// use fakebroker::{Binding, Broker};
///
/// let broker = Broker::builder().queue("orders").binding(Binding::new("amq.topic", "order.*", "orders")).start()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Binding {
    pub(crate) vhost: Option<String>,
    pub(crate) exchange: String,
    pub(crate) key: String,
    pub(crate) to: BoundTo,
    pub(crate) arguments: NamedValues,
}

impl Binding {
    /// A binding of a queue to an exchange, with a routing key (a pattern, for a topic exchange; unused by others).
    pub fn new(exchange: impl Into<String>, key: impl Into<String>, queue: impl Into<String>) -> Binding {
        Binding::leading(exchange.into(), key.into(), BoundTo::Queue(queue.into()))
    }

    /// A binding of the exchange `to` to an exchange: what `exchange` routes to it, `to` routes on.
    pub fn to_exchange(exchange: impl Into<String>, key: impl Into<String>, to: impl Into<String>) -> Binding {
        Binding::leading(exchange.into(), key.into(), BoundTo::Exchange(to.into()))
    }

    fn leading(exchange: String, key: String, to: BoundTo) -> Binding {
        Binding { vhost: None, exchange, key, to, arguments: Vec::new() }
    }

    /// The virtual host, which is made if it is not there. Default: `/`, or that of the handle ([`Handle::vhost`](crate::Handle::vhost)).
    pub fn vhost(mut self, name: impl Into<String>) -> Binding {
        self.vhost = Some(name.into());
        self
    }

    /// Adds an argument, such as `x-match` or a header of a headers exchange: see [`Queue::argument`].
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<Value>) -> Binding {
        self.arguments.push((name.into(), value.into()));
        self
    }
}

/// The things that a policy applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApplyTo {
    /// Queues and exchanges.
    #[default]
    All,
    /// Queues of every type.
    Queues,
    /// Queues of the type `classic`.
    ClassicQueues,
    /// Queues of the type `quorum`.
    QuorumQueues,
    /// Queues of the type `stream`.
    Streams,
    /// Exchanges.
    Exchanges,
}

impl ApplyTo {
    const NAMES: [(ApplyTo, &'static str); 6] = [
        (ApplyTo::All, "all"),
        (ApplyTo::Queues, "queues"),
        (ApplyTo::ClassicQueues, "classic_queues"),
        (ApplyTo::QuorumQueues, "quorum_queues"),
        (ApplyTo::Streams, "streams"),
        (ApplyTo::Exchanges, "exchanges"),
    ];

    /// RabbitMQ's name for it, such as `quorum_queues`.
    #[must_use]
    pub fn name(self) -> &'static str {
        ApplyTo::NAMES.iter().find(|(it, _)| *it == self).map_or("", |(_, name)| name)
    }

    /// Finds what RabbitMQ calls so. None: there is nothing of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<ApplyTo> {
        ApplyTo::NAMES.iter().find(|(_, it)| *it == name).map(|(it, _)| *it)
    }
}

/// A policy that a test sets, with [`Builder::policy`](crate::Builder::policy) or
/// [`Handle::set_policy`](crate::Handle::set_policy): queues and exchanges whose names match its pattern are given what its
/// definition says, as if by arguments, whether they are there or are declared later. Of several policies that match, the one with
/// the highest priority applies, alone. Where a queue has an argument for the same, the lower of two numbers counts, and the
/// argument of two other values.
///
/// The keys of a definition are [`Policy::KEYS`]; any other is refused. A policy with a key that queues
/// of a type do not have (`delivery-limit`, for classic queues) does not apply to them. Messages that wait when a `message-ttl` is
/// set do not expire by it.
///
/// ```
/// use fakebroker::{ApplyTo, Broker, Policy};
///
/// let policy = Policy::new("orders", "^orders\\.").apply_to(ApplyTo::Queues).define("dead-letter-exchange", "dlx");
/// let broker = Broker::builder().policy(policy).policy(Policy::new("all", ".*").define("max-length", 100)).start()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Policy {
    pub(crate) vhost: Option<String>,
    pub(crate) name: String,
    pub(crate) pattern: String,
    pub(crate) apply_to: ApplyTo,
    pub(crate) priority: i64,
    pub(crate) definition: NamedValues,
}

impl Policy {
    /// The keys that a definition may have.
    pub const KEYS: [&'static str; 9] = [
        "message-ttl",
        "expires",
        "dead-letter-exchange",
        "dead-letter-routing-key",
        "max-length",
        "max-length-bytes",
        "overflow",
        "delivery-limit",
        "alternate-exchange",
    ];

    /// A policy for queues and exchanges whose names match a pattern, with priority 0 and no definition yet, without which it is
    /// refused.
    ///
    /// The pattern is a regular expression that matches anywhere in a name, unless `^` and `$` say otherwise. It may have
    /// characters, `.`, classes (`[a-z]`, `\d`, `\w`, `\s`), alternatives and groups (`(a|b)`), the repetitions `*`, `+`, `?` and
    /// `{2,3}`, and lookaheads (`^(?!amq\.)`). One that has anything else is refused.
    pub fn new(name: impl Into<String>, pattern: impl Into<String>) -> Policy {
        let (name, pattern) = (name.into(), pattern.into());
        Policy { vhost: None, name, pattern, apply_to: ApplyTo::All, priority: 0, definition: Vec::new() }
    }

    /// Sets the things that the policy applies to. Default: [`ApplyTo::All`].
    pub fn apply_to(mut self, apply_to: ApplyTo) -> Policy {
        self.apply_to = apply_to;
        self
    }

    /// Of several policies that match, the one with the highest priority applies; of those, the first by name. Default: 0.
    pub fn priority(mut self, priority: i64) -> Policy {
        self.priority = priority;
        self
    }

    /// The virtual host, which is made if it is not there. Default: `/`, or that of the handle ([`Handle::vhost`](crate::Handle::vhost)).
    pub fn vhost(mut self, name: impl Into<String>) -> Policy {
        self.vhost = Some(name.into());
        self
    }

    /// Adds to the definition, such as `message-ttl` in milliseconds; can be given several times.
    pub fn define(mut self, key: impl Into<String>, value: impl Into<Value>) -> Policy {
        self.definition.push((key.into(), value.into()));
        self
    }

    pub(crate) fn info(&self) -> PolicyInfo {
        let Policy { vhost: _, name, pattern, apply_to, priority, definition } = self.clone();
        PolicyInfo { name, pattern, apply_to, priority, definition }
    }
}

/// A policy that is set. Returned by [`Handle::policies`](crate::Handle::policies).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PolicyInfo {
    /// The name.
    pub name: String,
    /// The pattern of the names that it applies to.
    pub pattern: String,
    /// The things that the policy applies to.
    pub apply_to: ApplyTo,
    /// Its priority over others.
    pub priority: i64,
    /// The values of the policy, by key.
    pub definition: Vec<(String, Value)>,
}

impl fmt::Display for PolicyInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PolicyInfo { name, pattern, apply_to, priority, definition } = self;
        write!(f, "policy {name:?} for {pattern:?} ({}), priority {priority}", apply_to.name())?;
        listed(f, definition)
    }
}

/// The queues, exchanges, bindings and policies that a broker has from its start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topology {
    pub(crate) queues: Vec<Queue>,
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) policies: Vec<Policy>,
}

/// A refusal of a declaration, a binding or a deletion, with the code and the text that a 0-9-1 client gets for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopologyError {
    /// The reply code, such as 406.
    pub code: u16,
    /// The constant of the code, such as `PRECONDITION_FAILED`.
    pub condition: &'static str,
    /// The refusal and its reason, in RabbitMQ's words.
    pub description: String,
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} - {}", self.code, self.condition, self.description)
    }
}

impl std::error::Error for TopologyError {}

/// A queue at the time of the snapshot. Returned by [`Handle::queues`](crate::Handle::queues).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct QueueInfo {
    /// The name, which is the queue's address too.
    pub name: String,
    /// The type: the argument `x-queue-type`, `classic` without one.
    pub kind: String,
    /// Whether a client or the test has declared it. Otherwise it exists because its address is a queue's, for as long as
    /// somebody is attached or messages wait; all flags are then false.
    pub declared: bool,
    /// Whether it was declared durable.
    pub durable: bool,
    /// Whether it ends with its last consumer.
    pub auto_delete: bool,
    /// The connection that an exclusive queue belongs to. None: not exclusive.
    pub owner: Option<ConnectionId>,
    /// The arguments of its declaration, by name.
    pub arguments: Vec<(String, Value)>,
    /// Messages that wait.
    pub messages: usize,
    /// Messages that a consumer has and has not settled.
    pub unacknowledged: usize,
    /// Consumers, without those that browse.
    pub consumers: usize,
}

impl QueueInfo {
    /// Whether the queue is exclusive to a connection.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.owner.is_some()
    }
}

impl fmt::Display for QueueInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue {:?} ({})", self.name, self.kind)?;
        words(f, &[(!self.declared, "not declared"), (self.durable, "durable"), (self.auto_delete, "auto-delete")])?;
        self.owner.iter().try_for_each(|owner| write!(f, ", exclusive to {owner}"))?;
        listed(f, &self.arguments)?;
        let QueueInfo { messages, unacknowledged, consumers, .. } = self;
        write!(f, ": messages {messages}, unacknowledged {unacknowledged}, consumers {consumers}")
    }
}

/// An exchange at the time of the snapshot. Returned by [`Handle::exchanges`](crate::Handle::exchanges).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExchangeInfo {
    /// The name.
    pub name: String,
    /// The type: `direct`, `fanout`, `topic`, `headers`.
    pub kind: String,
    /// Whether every broker has it: `amq.direct` and its like.
    pub predeclared: bool,
    /// Whether it was declared durable.
    pub durable: bool,
    /// Whether it ends with its last binding.
    pub auto_delete: bool,
    /// Whether clients may not publish to it.
    pub internal: bool,
    /// The arguments of its declaration, by name.
    pub arguments: Vec<(String, Value)>,
}

impl fmt::Display for ExchangeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exchange {:?} ({})", self.name, self.kind)?;
        let ExchangeInfo { predeclared, durable, auto_delete, internal, .. } = *self;
        let flags =
            [(predeclared, "predeclared"), (durable, "durable"), (auto_delete, "auto-delete"), (internal, "internal")];
        words(f, &flags)?;
        listed(f, &self.arguments)
    }
}

/// A binding at the time of the snapshot. Returned by [`Handle::bindings`](crate::Handle::bindings).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BindingInfo {
    /// The exchange that messages come from.
    pub exchange: String,
    /// The routing key, or the pattern.
    pub routing_key: String,
    /// Where they go.
    pub to: BoundTo,
    /// The arguments of the binding, by name.
    pub arguments: Vec<(String, Value)>,
}

impl fmt::Display for BindingInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exchange {:?}, key {:?}, to {}", self.exchange, self.routing_key, self.to)?;
        listed(f, &self.arguments)
    }
}

fn words(f: &mut fmt::Formatter<'_>, flags: &[(bool, &str)]) -> fmt::Result {
    flags.iter().filter(|(is_so, _)| *is_so).try_for_each(|(_, word)| write!(f, ", {word}"))
}

fn listed(f: &mut fmt::Formatter<'_>, arguments: &[(String, Value)]) -> fmt::Result {
    arguments.iter().try_for_each(|(name, value)| write!(f, ", {name} = {value}"))
}
