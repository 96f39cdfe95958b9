//! The settings of a broker, each with its default. Binds the addresses, and makes the broker.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use mio::{Poll, Waker};
use socket2::Socket;

use super::topology::refusal;
use super::{Bound, Broker, Group, Handle};
use crate::address;
use crate::clock::bounded;
use crate::config::{Config, Distribution, Settlement, Unroutable};
use crate::event_loop::{EventLoop, Shared, WAKER};
use crate::recorder::{Sink, TraceFormat};
use crate::topology::Topology;

/// The settings of a broker. Every option has a default that suits most tests.
///
/// ```
/// use fakebroker::{Broker, Distribution, Unroutable};
///
/// let broker = Broker::builder()
///     .user("joe", "secret")
///     .distribution("orders", Distribution::Queue)
///     .unroutable(Unroutable::Released)
///     .start()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Builder {
    config: Config,
}

impl Builder {
    pub(super) fn topology(&mut self) -> &mut Topology {
        &mut self.config.topology
    }

    /// Listens at `HOST:PORT`, port 0 for a free one; can be given several times. Default: `127.0.0.1:0`.
    ///
    /// Every client that can reach the address is admitted, unless there are users: see [`Builder::user`].
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.config.listen.push(address.into());
        self
    }

    /// A virtual host beside `/`; can be given several times. Each has its own exchanges, queues and addresses. Default: none;
    /// a client that asks for another one is refused, and [`Handle::vhost`] makes one at any time.
    pub fn vhost(mut self, name: impl Into<String>) -> Self {
        self.config.vhosts.push(name.into());
        self
    }

    /// Adds a user; can be given several times. With users, only they are admitted. Default: no users, and every client
    /// is admitted, with any name and password (PLAIN, in 0-9-1 AMQPLAIN too) or with none (ANONYMOUS, in 1.0 no SASL
    /// layer at all).
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.config.engine.users.add(name.into(), password.into());
        self
    }

    /// Admits clients that give no name, although there are users; a client that gives a name has to be a user all the
    /// same. Default: not admitted if there are users.
    ///
    /// ```
    /// # use fakebroker::{Broker, Connector};
    /// let broker = Broker::builder().user("joe", "secret").allow_anonymous().start()?;
    /// let guest = Connector::from_url(&broker.url())?.user("guest").password("guest");
    /// assert_eq!(guest.open().unwrap_err().condition(), Some("sasl:auth"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_anonymous(mut self) -> Self {
        self.config.engine.users.allow_anonymous();
        self
    }

    /// The distribution of addresses that no prefix and no [`Builder::distribution`] decides. Default:
    /// [`Distribution::Direct`].
    pub fn default_distribution(mut self, distribution: Distribution) -> Self {
        self.config.routing.default_distribution = distribution;
        self
    }

    /// The distribution of one address, whatever its prefix; can be given for several.
    ///
    /// ```
    /// # use fakebroker::{Broker, Distribution, Message};
    /// let broker = Broker::builder().distribution("orders", Distribution::Queue).start()?;
    /// broker.inject("orders", Message::text("one coffee"));
    /// assert_eq!(broker.queue_depth("orders"), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn distribution(mut self, address: impl Into<String>, distribution: Distribution) -> Self {
        self.config.routing.distributions.insert(address.into(), distribution);
        self
    }

    /// Addresses with this prefix, followed by the separator, are multicast. Empty: none are. Default: `broadcast`.
    pub fn multicast_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.config.routing.multicast_prefix = prefix.into();
        self
    }

    /// Addresses with this prefix, followed by the separator, are anycast. Empty: none are. Default: `unicast`.
    pub fn anycast_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.config.routing.anycast_prefix = prefix.into();
        self
    }

    /// Addresses with this prefix, followed by the separator, are queues. Empty: none are. Default: `queue`.
    pub fn queue_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.config.routing.queue_prefix = prefix.into();
        self
    }

    /// The separator between a prefix and the rest of an address. Default: `.`.
    pub fn separator(mut self, separator: impl Into<String>) -> Self {
        self.config.routing.separator = separator.into();
        self
    }

    /// The prefix of the addresses that are made up for dynamic sources and targets. Default: `dynamic`.
    pub fn generated_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.config.routing.generated_prefix = prefix.into();
        self
    }

    /// The outcome of a message that no receiver can get. Default: [`Unroutable::Rejected`].
    ///
    /// ```
    /// # use fakebroker::{Broker, Message, Outcome, Unroutable};
    /// let broker = Broker::builder().unroutable(Unroutable::Released).start()?;
    /// assert_eq!(broker.inject("orders", Message::text("for nobody")), Some(Outcome::Released));
    /// assert_eq!(broker.counts().dropped, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unroutable(mut self, unroutable: Unroutable) -> Self {
        self.config.routing.unroutable = unroutable;
        self
    }

    /// Routes every message by its own `to`, even on a link that is attached to an address; one that has none goes to the
    /// link's address. Default: no; only links without an address are routed so.
    pub fn route_by_to(mut self, by_to: bool) -> Self {
        self.config.engine.route_by_to = by_to;
        self
    }

    /// Delivers every message unsettled, also one that arrived settled, so that each receiver's outcome is seen; not to a
    /// receiver that asked for settled deliveries (`snd-settle-mode` settled, `no-ack` in 0-9-1). Default: no; a message goes
    /// out as it came in.
    ///
    /// ```
    /// # use fakebroker::{Broker, Connector, Outcome};
    /// # const SOON: std::time::Duration = std::time::Duration::from_secs(5);
    /// let broker = Broker::builder().deliver_unsettled(true).start()?;
    /// let mut client = Connector::from_url(&broker.url())?.open()?;
    /// let (orders, inbox) = (client.sender("orders")?, client.receiver("orders")?);
    /// client.send_settled(&orders, "one coffee")?;
    ///
    /// let order = client.receive(&inbox, SOON)?.ok_or("no order")?;
    /// client.release(&order)?;
    /// broker.wait_for_settled(SOON)?;
    /// assert_eq!(broker.messages("orders")[0].receivers[0].outcome, Some(Outcome::Released));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn deliver_unsettled(mut self, unsettled: bool) -> Self {
        self.config.engine.deliver_unsettled = unsettled;
        self
    }

    /// The moment at which the sender of a message gets its outcome. Default: [`Settlement::Immediate`].
    ///
    /// ```
    /// # use fakebroker::{Broker, Connector, Message, Outcome, Settlement};
    /// # const SOON: std::time::Duration = std::time::Duration::from_secs(5);
    /// let broker = Broker::builder().settlement(Settlement::EndToEnd).start()?;
    /// let mut client = Connector::from_url(&broker.url())?.open()?;
    /// let orders = client.receiver("orders")?;
    /// broker.wait_for_receivers(SOON, "orders", 1)?;
    /// assert_eq!(broker.inject("orders", Message::text("one coffee")), None); // not yet
    ///
    /// let order = client.receive(&orders, SOON)?.ok_or("no order")?;
    /// client.release(&order)?;
    /// broker.wait_for_settled(SOON)?;
    /// assert_eq!(broker.messages("orders")[0].outcome, Some(Outcome::Released));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settlement(mut self, settlement: Settlement) -> Self {
        self.config.routing.settlement = settlement;
        self
    }

    /// Credit, in messages, that a sender gets when it attaches and is topped up to when half of it is used. 0: none, but by
    /// [`Handle::grant`]. Default: 1000.
    pub fn credit_window(mut self, messages: u32) -> Self {
        self.config.routing.credit_window = messages;
        self
    }

    /// Messages that may wait for a slow receiver before senders get no more credit. Queues are not concerned. Default: 1000.
    pub fn backlog_limit(mut self, messages: usize) -> Self {
        self.config.routing.backlog_limit = messages;
        self
    }

    /// Bytes that all waiting and stored messages may take, about 100 a message included, those of which not all has arrived
    /// and those that a transaction holds; what does not fit is rejected with `amqp:resource-limit-exceeded`. A sender whose
    /// message does not fit while it arrives is detached with that condition (0-9-1: its channel is closed with 506), unless
    /// the message is no larger than a frame may be. A channel is also closed with 506 if its transaction has no room.
    /// Default: 1 GiB.
    pub fn storage_limit(mut self, bytes: usize) -> Self {
        self.config.routing.storage_limit = bytes;
        self
    }

    /// Bytes of the largest frame that clients may send; below 512 (0-9-1: 4096), it is that. Default: 64 KiB; for 0-9-1
    /// 128 KiB, as RabbitMQ's.
    pub fn max_frame_size(mut self, bytes: u32) -> Self {
        self.config.engine.max_frame_size = bytes.max(512);
        self.config.engine.frame_max = bytes;
        self
    }

    /// The highest channel number that clients may use; 1.0 has as many sessions and one more. Default: 1023; for 0-9-1 2047,
    /// as RabbitMQ's.
    pub fn channel_max(mut self, channel: u16) -> Self {
        self.config.engine.channel_max = channel;
        self.config.engine.highest_channel = channel;
        self
    }

    /// The highest handle that clients may use in a session. Default: 65,535.
    pub fn handle_max(mut self, handle: u32) -> Self {
        self.config.engine.handle_max = handle;
        self
    }

    /// Links that a connection may have, all its sessions together; one more is refused. Default: 65,536.
    pub fn max_links(mut self, links: usize) -> Self {
        self.config.engine.max_links = links;
        self
    }

    /// The idle timeout that the broker's open has: clients must send something within this time. A client is closed
    /// after twice as long, as section 2.4.5 recommends. For 0-9-1 it is the heartbeat that tune suggests, in whole seconds;
    /// the one that the client's tune-ok asks for is kept, also when this is off. Zero: off. Default: off.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.config.engine.idle_timeout = (!timeout.is_zero()).then_some(bounded(timeout));
        self
    }

    /// The time within which a 0-9-1 client has to acknowledge each delivery, after which its channel is closed with 406, as
    /// RabbitMQ does after half an hour. Zero: off. Default: off, so that a test that stops in a debugger keeps its channels.
    pub fn consumer_timeout(mut self, timeout: Duration) -> Self {
        self.config.engine.consumer_timeout = (!timeout.is_zero()).then_some(bounded(timeout));
        self
    }

    /// Bytes of the largest message that clients may send. 0: no limit. Default: 128 MiB.
    pub fn max_message_size(mut self, bytes: u64) -> Self {
        self.config.engine.max_message_size = if bytes == 0 { u64::MAX } else { bytes };
        self
    }

    /// The broker's container-id, as its open says it. Default: one that differs from every other broker's.
    pub fn container_id(mut self, id: impl Into<String>) -> Self {
        self.config.engine.container_id = id.into();
        self
    }

    /// A property in the broker's open; can be given several times. Default: none, since a `product` changes how some
    /// clients address their messages. Keys are ASCII. In 0-9-1 it is a server property of connection.start, and takes the
    /// place of `product` and `version`, which are those of this crate: clients that look for RabbitMQ want
    /// `open_property("product", "RabbitMQ")` and a `version` such as `3.13.7`.
    pub fn open_property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.engine.open_properties.push((key.into(), value.into()));
        self
    }

    /// Messages that [`Handle::messages`] remembers; when one more comes, the oldest is forgotten and counted by
    /// [`Handle::forgotten_messages`]. Whatever their number, they have 16 MiB together, but the last one is there however large
    /// it is. 0: none. Default: 1000.
    pub fn message_log(mut self, messages: usize) -> Self {
        self.config.recorder.messages = messages;
        self
    }

    /// Lines that [`Handle::trace`] remembers. Whatever their number, the frames in them have 4 MiB together. 0: none, and
    /// then it costs nothing. Default: 1000.
    pub fn trace_log(mut self, lines: usize) -> Self {
        self.config.recorder.events = lines;
        self
    }

    /// Keeps the frames in the trace whole, so that [`Handle::trace_pcap`] has every byte. Otherwise the trace keeps
    /// the first 512 bytes of the message in a frame of more than 1 KiB: its lines are the same, and a capture has the
    /// size of the packet. [`Builder::trace_to`] always writes whole frames. Default: no.
    pub fn trace_whole_frames(mut self, whole: bool) -> Self {
        self.config.recorder.whole_frames = whole;
        self
    }

    /// Writes the trace here as well, as it happens; can be given several times. The writer is called on the broker's thread,
    /// with many small pieces. Default: nowhere.
    ///
    /// ```
    /// use fakebroker::{Broker, TraceFormat};
    ///
    /// let broker = Broker::builder().trace_to(TraceFormat::Text, std::io::stderr())?.start()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the head of a capture cannot be written.
    pub fn trace_to(mut self, format: TraceFormat, writer: impl io::Write + Send + 'static) -> io::Result<Self> {
        self.config.recorder.sinks.push(Sink::new(format, Box::new(writer))?);
        Ok(self)
    }

    /// Time that a client has from its connect to its open. Default: 10 s.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.config.engine.handshake_timeout = bounded(timeout);
        self
    }

    /// Time that a client has to answer a close before its socket is dropped; also the bound of [`Broker::stop`].
    /// Default: 5 s.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.config.engine.linger = bounded(linger);
        self
    }

    /// Stops the broker's clock, which then moves by [`Handle::advance`] alone: heartbeats, idle timeouts, delays by
    /// hooks, and the timeouts of a handshake and a close follow it, and so do the times of the trace.
    /// [`Handle::wait_for`] and its like, and a clean stop that waits for clients' answers, keep to real time. Default:
    /// no, the clock is the system's.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fakebroker::{Broker, Connector};
    /// const HOUR: Duration = Duration::from_secs(3600);
    /// let broker = Broker::builder().idle_timeout(HOUR).manual_clock().start()?;
    /// let mut silent = Connector::from_url(&broker.url())?.open()?;
    /// broker.advance(2 * HOUR); // after twice the timeout
    /// let error = silent.round_trip().unwrap_err();
    /// assert_eq!(error.condition(), Some("amqp:resource-limit-exceeded"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn manual_clock(mut self) -> Self {
        self.config.manual_clock = true;
        self
    }

    /// Refuses requests that are not honoured and otherwise only noted ([`Handle::unmet_requests`]): with
    /// `amqp:not-implemented` in 1.0, with 540 NOT_IMPLEMENTED in 0-9-1, and the name of the field or argument.
    /// [`Handle::verify`] then fails for them as well. Default: no.
    pub fn strict(mut self, strict: bool) -> Self {
        self.config.engine.strict = strict;
        self
    }

    /// Takes the address, without listening: connections are refused until the broker is started.
    ///
    /// # Errors
    /// When an address cannot be resolved or is in use, or a queue, an exchange or a binding is refused (`InvalidInput`, with a
    /// [`TopologyError`](crate::TopologyError)).
    pub fn bind(self) -> io::Result<Bound> {
        let mut config = self.config;
        if config.listen.is_empty() {
            config.listen.push("127.0.0.1:0".into());
        }
        let sockets = config.listen.iter().map(|name| address::bind(name)).collect::<io::Result<Vec<Socket>>>()?;
        let addrs: Arc<[SocketAddr]> = sockets.iter().map(address::local_addr).collect::<io::Result<_>>()?;
        // A random number from the standard library.
        let salt = RandomState::new().build_hasher().finish();
        if config.engine.container_id.is_empty() {
            config.engine.container_id = format!("fakebroker-{salt:016x}");
        }
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, commands) = channel();
        let shared = Arc::new(Shared::default());
        let mut event_loop = EventLoop::new(poll, addrs.clone(), config, salt, commands, Arc::downgrade(&shared));
        let declared = event_loop.declare_configured();
        declared.map_err(|fault| io::Error::new(io::ErrorKind::InvalidInput, refusal(&fault)))?;
        *shared.resting() = Some(Box::new(event_loop));
        Ok(Bound { handle: Handle::new(sender, waker, shared, addrs), sockets })
    }

    /// Takes addresses for so many brokers with these settings, and starts none of them.
    ///
    /// # Errors
    /// When an address cannot be resolved or is in use: with a port other than 0 there can be only one broker.
    pub fn group(self, count: usize) -> io::Result<Group> {
        (0..count).map(|_| self.clone().bind().map(Bound::held)).collect::<io::Result<_>>().map(Group::new)
    }

    /// Takes the address, listens and serves on a thread of its own. When this returns, clients can connect.
    ///
    /// # Errors
    /// When an address cannot be resolved or is in use, or no thread can be had.
    pub fn start(self) -> io::Result<Broker> {
        self.bind()?.start()
    }
}
