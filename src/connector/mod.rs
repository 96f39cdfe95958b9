//! The connector: a blocking AMQP 1.0 client for tests and small programs, on the same protocol engine as the broker.
//!
//! All work is done on the caller's thread, and no call waits longer than its timeout. To connect takes three steps,
//! each of which can be taken and can fail on its own: [`Connector::connect`], [`Connected::authenticate`],
//! [`Authenticated::open_channel`]; [`Connector::open`] takes all three. The result is a [`Channel`], which sends and
//! receives on links.
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
//! A [`Sender`] or [`Receiver`] is a name for a link; the channel does the work, and needs `&mut` for it. A channel can
//! be moved to another thread. Threads that send and receive at the same time take one each.
//!
//! Nothing is sent between calls. The heartbeats that a peer asks for (its idle timeout) are sent while a call waits; a
//! channel that is idle for longer is closed by such a peer. [`Channel::round_trip`] sends something.
//!
//! The connector works with any AMQP 1.0 peer. There is no TLS, and a PLAIN password is sent in the clear.

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

/// The settings of a connection: where to connect, as which user, and how long to wait. See [the module](self).
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
        // The password is left out: it does not belong in a log.
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
    /// Creates a connector for `localhost`, port 5672, user `guest` with the password `guest`, no virtual host, and 10
    /// s for each step.
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

    /// The host: a name or an IP address. Default: `localhost`.
    pub fn host(mut self, host: impl Into<String>) -> Connector {
        self.host = host.into();
        self
    }

    /// The port. Default: 5672.
    pub fn port(mut self, port: u16) -> Connector {
        self.port = port;
        self
    }

    /// The user name, where the peer offers PLAIN. Default: `guest`.
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

    /// The container-id. Default: unique.
    pub fn container_id(mut self, container_id: impl Into<String>) -> Connector {
        self.container_id = Some(container_id.into());
        self
    }

    /// Whether there is a SASL layer; without one, [`Connected::authenticate`] sends nothing. Default: true.
    pub fn sasl(mut self, sasl: bool) -> Connector {
        self.sasl = sasl;
        self
    }

    /// The idle timeout: the peer has to send something within this time, or the connection is closed. Zero: off.
    /// Default: off.
    pub fn idle_timeout(mut self, idle_timeout: Duration) -> Connector {
        self.idle_timeout = (!idle_timeout.is_zero()).then_some(idle_timeout.min(FAR));
        self
    }

    /// The timeout of each step. Default: 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Connector {
        self.timeout = timeout;
        self.timeouts.clear();
        self
    }

    /// The timeout of one step. [`Step::Receive`] and [`Step::Request`] have a timeout with each call instead. The
    /// resolution of a host's name is part of [`Step::Connect`], but has the system's timeout.
    pub fn timeout_of(mut self, step: Step, timeout: Duration) -> Connector {
        self.timeouts.retain(|(known, _)| *known != step);
        self.timeouts.push((step, timeout));
        self
    }

    /// Takes the first step: TCP, and the protocol header.
    ///
    /// # Errors
    /// When nobody listens there or the name is unknown ([`ErrorKind::Io`]), when the peer speaks another version
    /// ([`ErrorKind::Refused`]) or no AMQP at all ([`ErrorKind::Protocol`]).
    pub fn connect(&self) -> Result<Connected, Error> {
        steps::connect(self)
    }

    /// Takes all three steps.
    ///
    /// # Errors
    /// The errors of [`Connector::connect`], [`Connected::authenticate`] and [`Authenticated::open_channel`];
    /// [`Error::step`] says whose.
    pub fn open(&self) -> Result<Channel, Error> {
        self.connect()?.authenticate()?.open_channel()
    }

    fn timeout_for(&self, step: Step) -> Duration {
        self.timeouts.iter().find(|(known, _)| *known == step).map_or(self.timeout, |(_, timeout)| *timeout)
    }
}

/// The longest time that is waited. An `Instant` has an end.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// Adds a time, of at most [`FAR`], to a moment.
fn after(now: Instant, time: Duration) -> Instant {
    now + time.min(FAR)
}
