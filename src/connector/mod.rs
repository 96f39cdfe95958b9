//! The connector: a blocking AMQP 1.0 client for tests and small programs, on the same protocol engine as the broker.
//!
//! One thread, the caller's; no call waits longer than its timeout. Connecting has three steps, each of which can be taken
//! and can fail on its own: [`Connector::connect`], [`Connected::authenticate`], [`Authenticated::open_channel`];
//! [`Connector::open`] takes all three. What comes out is a [`Channel`], which sends and receives on links.
//!
//! ```
//! use std::time::Duration;
//! use fakebroker::{Broker, connector::Connector};
//!
//! let broker = Broker::start()?;
//! let mut channel = Connector::from_url(&broker.url())?.open()?;
//!
//! let orders = channel.sender("queue.orders")?;
//! channel.send(&orders, "one coffee")?.accepted()?; // waits for the outcome
//!
//! let inbox = channel.receiver("queue.orders")?;
//! let order = channel.receive(&inbox, Duration::from_secs(5))?.ok_or("no order came")?;
//! assert_eq!(order.as_text(), Some("one coffee"));
//! channel.accept(&order)?;
//!
//! channel.disconnect()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Senders and receivers are names for links, and the channel does the work: it needs `&mut`, so that the compiler sees to it
//! that one thing happens at a time. A channel can be moved to another thread; threads that send and receive at once take one
//! each.
//!
//! Nothing happens between calls. A peer that wants to hear something now and then (its idle timeout) hears it while a call
//! waits; a channel that is left alone for longer is closed by such a peer. [`Channel::round_trip`] is something to say.
//!
//! It speaks to any AMQP 1.0 peer. There is no TLS, and a PLAIN password crosses the socket as it is.

mod attach;
mod channel;
mod error;
mod link;
mod receive;
mod request;
mod send;
mod steps;
mod stream;
mod url;

use std::time::{Duration, Instant};

pub use channel::{Channel, Peer};
pub use error::{Error, ErrorKind, Step};
pub use link::{Receiver, Sender, Source, Target};
pub use receive::{Delivery, Modification};
pub use send::Posted;
pub use steps::{Authenticated, Connected};

/// Where to connect, as whom, and how long to wait. See [the module](self).
///
/// ```
/// use std::time::Duration;
/// use fakebroker::{Broker, connector::{Connector, Step}};
///
/// let broker = Broker::builder().user("joe", "secret").start()?;
/// let connector = Connector::new()
///     .host("127.0.0.1")
///     .port(broker.addr().port())
///     .user("joe")
///     .password("secret")
///     .timeout(Duration::from_secs(5))
///     .timeout_of(Step::Connect, Duration::from_secs(1));
///
/// let connected = connector.connect()?;
/// let authenticated = connected.authenticate()?;
/// let channel = authenticated.open_channel()?;
/// assert_eq!(broker.counts().connections, 1);
/// channel.disconnect()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Connector {
    host: String,
    port: u16,
    user: String,
    password: String,
    virtual_host: Option<String>,
    container_id: Option<String>,
    sasl: bool,
    idle_timeout: Option<Duration>,
    timeout: Duration,
    timeouts: Vec<(Step, Duration)>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A password does not belong in a log.
        f.debug_struct("Connector")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("virtual_host", &self.virtual_host)
            .finish_non_exhaustive()
    }
}

impl Default for Connector {
    fn default() -> Connector {
        Connector::new()
    }
}

impl Connector {
    /// A connector for `localhost`, port 5672, user `guest` with the password `guest`, no virtual host, and 10 s for each
    /// step.
    pub fn new() -> Connector {
        Connector {
            host: "localhost".into(),
            port: 5672,
            user: "guest".into(),
            password: "guest".into(),
            virtual_host: None,
            container_id: None,
            sasl: true,
            idle_timeout: None,
            timeout: Duration::from_secs(10),
            timeouts: Vec::new(),
        }
    }

    /// A name or an IP address. Default: `localhost`.
    pub fn host(mut self, host: impl Into<String>) -> Connector {
        self.host = host.into();
        self
    }

    /// The port. Default: 5672.
    pub fn port(mut self, port: u16) -> Connector {
        self.port = port;
        self
    }

    /// As whom, where the peer takes PLAIN. Default: `guest`.
    pub fn user(mut self, user: impl Into<String>) -> Connector {
        self.user = user.into();
        self
    }

    /// The user's password. Default: `guest`.
    pub fn password(mut self, password: impl Into<String>) -> Connector {
        self.password = password.into();
        self
    }

    /// The virtual host, sent as the hostname of `open`. Default: what [`Connector::host`] says. RabbitMQ 3 wants it to be
    /// spelt `vhost:NAME`, and takes its default otherwise.
    pub fn virtual_host(mut self, virtual_host: impl Into<String>) -> Connector {
        self.virtual_host = Some(virtual_host.into());
        self
    }

    /// What we call ourselves. Default: unique.
    pub fn container_id(mut self, container_id: impl Into<String>) -> Connector {
        self.container_id = Some(container_id.into());
        self
    }

    /// Whether there is a SASL layer; without one, [`Connected::authenticate`] says nothing. Default: true.
    pub fn sasl(mut self, sasl: bool) -> Connector {
        self.sasl = sasl;
        self
    }

    /// The peer has to say something within this time, or the connection is closed. Zero: off. Default: off.
    pub fn idle_timeout(mut self, idle_timeout: Duration) -> Connector {
        self.idle_timeout = (!idle_timeout.is_zero()).then_some(idle_timeout.min(FAR));
        self
    }

    /// How long each step may take. Default: 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Connector {
        self.timeout = timeout;
        self.timeouts.clear();
        self
    }

    /// How long one of the steps may take. [`Step::Receive`] and [`Step::Request`] have a timeout with each call instead.
    /// Looking up a host's name is part of [`Step::Connect`], but takes as long as the system takes for it.
    pub fn timeout_of(mut self, step: Step, timeout: Duration) -> Connector {
        self.timeouts.retain(|(known, _)| *known != step);
        self.timeouts.push((step, timeout));
        self
    }

    /// The first step: TCP, and the protocol header.
    ///
    /// # Errors
    /// When nobody listens there or the name is unknown ([`ErrorKind::Io`]), when the peer speaks another version
    /// ([`ErrorKind::Refused`]) or no AMQP at all ([`ErrorKind::Protocol`]).
    pub fn connect(&self) -> Result<Connected, Error> {
        steps::connect(self)
    }

    /// All three steps at once.
    ///
    /// # Errors
    /// Those of [`Connector::connect`], [`Connected::authenticate`] and [`Authenticated::open_channel`];
    /// [`Error::step`] says whose.
    pub fn open(&self) -> Result<Channel, Error> {
        self.connect()?.authenticate()?.open_channel()
    }

    fn timeout_for(&self, step: Step) -> Duration {
        self.timeouts.iter().find(|(known, _)| *known == step).map_or(self.timeout, |(_, timeout)| *timeout)
    }
}

/// As good as never: an `Instant` has an end.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// A moment that never comes sooner than asked, however far away.
fn after(now: Instant, time: Duration) -> Instant {
    now + time.min(FAR)
}
