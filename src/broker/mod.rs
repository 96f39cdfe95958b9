//! What a test holds: [`Builder`] -> [`Bound`] -> [`Broker`]. Everything here is on the test's side; the broker itself runs on
//! its own thread (`event_loop.rs`), told by commands and read through shared counters.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Poll, Waker};
use socket2::{Domain, Socket, Type};

use crate::config::{Config, Distribution, Settlement, Unroutable, User};
use crate::counts::Counts;
use crate::event_loop::{Command, EventLoop, Shared, WAKER};

/// Connections that the kernel may hold until they are accepted.
const BACKLOG: i32 = 1024;

/// A running broker.
///
/// It serves its clients on a thread of its own; nothing that is called here waits for a client. Dropping it stops it, as
/// [`Broker::stop`] does. All methods can be called from several threads.
///
/// ```
/// use fakebroker::Broker;
///
/// let broker = Broker::start()?;
/// println!("point a client at {}", broker.url());
/// assert_eq!(broker.counts().dropped, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Broker {
    handle: Handle,
    thread: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

impl Broker {
    /// Starts a broker on 127.0.0.1 and a free port, with the defaults of [`Builder`]. When this returns, clients can
    /// connect.
    ///
    /// # Errors
    /// When no socket or no thread can be had.
    pub fn start() -> io::Result<Broker> {
        Broker::builder().start()
    }

    /// A broker with settings of your own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The address of the first listener, with its real port.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.handle.addr()
    }

    /// The addresses of all listeners, in the order of [`Builder::listen`].
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        self.handle.addrs()
    }

    /// The address of the first listener as clients like to have it: `amqp://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.handle.url()
    }

    /// The counters as they are now. After a stop: as they were last.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.handle.counts()
    }

    /// A second hand on this broker, for another thread.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Stops at once, like a crash: sockets are closed without a word, what was stored is gone. Returns when the thread has
    /// ended and the port is free. Does nothing if it has stopped already.
    pub fn stop(&self) {
        self.handle.stop();
        self.join();
    }

    /// Closes every connection with the AMQP close (`amqp:connection:forced`) and waits for the clients' answers, but no
    /// longer than [`Builder::linger`]; then stops. Returns when the thread has ended and the port is free.
    pub fn stop_clean(&self) {
        self.handle.stop_clean();
        self.join();
    }

    fn join(&self) {
        // Held until it has ended: whoever else stops it waits here.
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        match thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => log::error!("the broker's event loop failed: {error}"),
            Some(Err(_)) => log::error!("the broker's event loop panicked; this is a defect of fakebroker"),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A hand on a broker that may run elsewhere: on its own thread, or in [`Bound::run`] on one of yours. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
    shared: Arc<Shared>,
    addrs: Arc<[SocketAddr]>,
}

impl Handle {
    /// See [`Broker::addr`].
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        // There is one: `bind` sees to it.
        self.addrs.first().copied().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// See [`Broker::addrs`].
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// See [`Broker::url`].
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://{}", self.addr())
    }

    /// See [`Broker::counts`].
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Tells the broker to stop at once, and returns without waiting for it.
    pub fn stop(&self) {
        self.send(Command::Stop);
    }

    /// Tells the broker to close its connections and stop, and returns without waiting for it.
    pub fn stop_clean(&self) {
        self.send(Command::StopClean);
    }

    fn send(&self, command: Command) {
        // It fails when the loop has ended, and then there is nothing to stop.
        if self.commands.send(command).is_ok() {
            let _ = self.waker.wake();
        }
    }
}

/// A broker that has its address and does not listen yet: connections are refused until it is started.
#[derive(Debug)]
pub struct Bound {
    handle: Handle,
    sockets: Vec<Socket>,
    poll: Poll,
    commands: Receiver<Command>,
    config: Config,
    salt: u64,
}

impl Bound {
    /// See [`Broker::addr`].
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.handle.addr()
    }

    /// See [`Broker::addrs`].
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        self.handle.addrs()
    }

    /// See [`Broker::url`].
    #[must_use]
    pub fn url(&self) -> String {
        self.handle.url()
    }

    /// A hand on it that outlives [`Bound::run`].
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Listens, and serves on a thread of its own. When this returns, clients can connect.
    ///
    /// # Errors
    /// When listening fails or no thread can be had.
    pub fn start(self) -> io::Result<Broker> {
        let handle = self.handle();
        let event_loop = self.listen()?;
        let thread = std::thread::Builder::new()
            .name(format!("fakebroker-{}", handle.addr().port()))
            .spawn(move || event_loop.run())?;
        Ok(Broker { handle, thread: Mutex::new(Some(thread)) })
    }

    /// Listens, and serves on the caller's thread until a [`Handle`] stops it.
    ///
    /// # Errors
    /// When listening or polling fails.
    pub fn run(self) -> io::Result<()> {
        // The waker lives in handles: without one, the last handle's word could go with it before the loop wakes.
        let _handle = self.handle();
        self.listen()?.run()
    }

    fn listen(self) -> io::Result<EventLoop> {
        let mut listeners = Vec::with_capacity(self.sockets.len());
        for (socket, addr) in self.sockets.into_iter().zip(self.handle.addrs.iter()) {
            // Its connections inherit this, and after a stop the address can be taken again at once. Elsewhere than on Unix it
            // would let two brokers share one.
            if cfg!(unix) {
                socket.set_reuse_address(true)?;
            }
            socket.listen(BACKLOG).map_err(|error| io::Error::new(error.kind(), format!("{addr}: {error}")))?;
            listeners.push(TcpListener::from_std(socket.into()));
        }
        EventLoop::new(self.poll, listeners, self.config, self.salt, self.commands, self.handle.shared.clone())
    }
}

/// What a broker should be like. Every option has a default that suits most tests.
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
    /// Listens at `HOST:PORT`, port 0 for a free one; can be given several times. Default: `127.0.0.1:0`.
    ///
    /// Without users everybody who can reach the address is let in.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.config.listen.push(address.into());
        self
    }

    /// Lets this user in, by SASL PLAIN, and nobody without a name and a password; can be given several times. Default: no
    /// users, SASL ANONYMOUS, or no SASL at all.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.config.engine.users.push(User { name: name.into(), password: password.into() });
        self
    }

    /// What is done with the messages of addresses that no prefix and no [`Builder::distribution`] decides. Default:
    /// [`Distribution::Direct`].
    pub fn default_distribution(mut self, distribution: Distribution) -> Self {
        self.config.routing.default_distribution = distribution;
        self
    }

    /// What is done with the messages of one address, whatever its prefix.
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

    /// What stands between a prefix and the rest of an address. Default: `.`.
    pub fn separator(mut self, separator: impl Into<String>) -> Self {
        self.config.routing.separator = separator.into();
        self
    }

    /// What the addresses begin with that are made for dynamic sources and targets. Default: `dynamic`.
    pub fn generated_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.config.routing.generated_prefix = prefix.into();
        self
    }

    /// What the sender of a message is told that nobody can receive. Default: [`Unroutable::Rejected`].
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

    /// When the sender of a message learns its outcome. Default: [`Settlement::Immediate`].
    pub fn settlement(mut self, settlement: Settlement) -> Self {
        self.config.routing.settlement = settlement;
        self
    }

    /// Credit, in messages, that a sender gets when it attaches and is topped up to when half of it is used. 0: withheld.
    /// Default: 1000.
    pub fn credit_window(mut self, messages: u32) -> Self {
        self.config.routing.credit_window = messages;
        self
    }

    /// Messages that may wait for a slow receiver before senders get no more credit. Queues are not concerned. Default: 1000.
    pub fn backlog_limit(mut self, messages: usize) -> Self {
        self.config.routing.backlog_limit = messages;
        self
    }

    /// Bytes that all waiting and stored messages may take, about 100 a message included; what does not fit is rejected with
    /// `amqp:resource-limit-exceeded`. Default: 1 GiB.
    pub fn storage_limit(mut self, bytes: usize) -> Self {
        self.config.routing.storage_limit = bytes;
        self
    }

    /// Bytes of the largest frame that clients may send; below 512, it is 512. Default: 64 KiB.
    pub fn max_frame_size(mut self, bytes: u32) -> Self {
        self.config.engine.max_frame_size = bytes.max(512);
        self
    }

    /// The highest channel number that clients may use; there are as many sessions and one more. Default: 1023.
    pub fn channel_max(mut self, channel: u16) -> Self {
        self.config.engine.channel_max = channel;
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

    /// Within this time clients must send something. It is what the broker's open says; a client is closed after twice as
    /// long, as section 2.4.5 recommends. Zero: off. Default: off.
    pub fn idle_time_out(mut self, time_out: Duration) -> Self {
        self.config.engine.idle_time_out = (!time_out.is_zero()).then_some(bounded(time_out));
        self
    }

    /// Bytes of the largest message that clients may send. 0: no limit. Default: 128 MiB.
    pub fn max_message_size(mut self, bytes: u64) -> Self {
        self.config.engine.max_message_size = if bytes == 0 { u64::MAX } else { bytes };
        self
    }

    /// The broker's container-id. Default: one that differs from every other broker's.
    pub fn container_id(mut self, id: impl Into<String>) -> Self {
        self.config.engine.container_id = id.into();
        self
    }

    /// A property in the broker's open; can be given several times. Default: none, since a `product` changes how some
    /// clients address their messages. Keys are ASCII.
    pub fn open_property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.engine.open_properties.push((key.into(), value.into()));
        self
    }

    /// Time that a client has from its connect to its open. Default: 10 s.
    pub fn handshake_time_out(mut self, time_out: Duration) -> Self {
        self.config.engine.handshake_time_out = bounded(time_out);
        self
    }

    /// Time that a client has to answer a close before its socket is dropped; also the bound of [`Broker::stop_clean`].
    /// Default: 5 s.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.config.engine.linger = bounded(linger);
        self
    }

    /// Takes the address, without listening: connections are refused until the broker is started.
    ///
    /// # Errors
    /// When an address cannot be resolved or is in use.
    pub fn bind(self) -> io::Result<Bound> {
        let mut config = self.config;
        if config.listen.is_empty() {
            config.listen.push("127.0.0.1:0".into());
        }
        let sockets = config.listen.iter().map(|address| bind(address)).collect::<io::Result<Vec<Socket>>>()?;
        let addrs = sockets.iter().map(local_addr).collect::<io::Result<Vec<SocketAddr>>>()?;
        // The standard library's way to a number that nobody else has.
        let salt = RandomState::new().build_hasher().finish();
        if config.engine.container_id.is_empty() {
            config.engine.container_id = format!("fakebroker-{salt:016x}");
        }
        let poll = Poll::new()?;
        let (sender, commands) = channel();
        let handle = Handle {
            commands: sender,
            waker: Arc::new(Waker::new(poll.registry(), WAKER)?),
            shared: Arc::new(Shared::default()),
            addrs: addrs.into(),
        };
        Ok(Bound { handle, sockets, poll, commands, config, salt })
    }

    /// Takes the address, listens and serves on a thread of its own. When this returns, clients can connect.
    ///
    /// # Errors
    /// When an address cannot be resolved or is in use, or no thread can be had.
    pub fn start(self) -> io::Result<Broker> {
        self.bind()?.start()
    }
}

/// Times that are as good as never are never: an `Instant` has an end.
fn bounded(time: Duration) -> Duration {
    time.min(Duration::from_secs(10 * 365 * 24 * 60 * 60))
}

/// Binds the first address of those that `address` resolves to that can be had.
fn bind(address: &str) -> io::Result<Socket> {
    let said = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, format!("{address}: no such address"));
    for resolved in address.to_socket_addrs().map_err(said)? {
        match bind_resolved(resolved) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = said(error),
        }
    }
    Err(last)
}

/// Nobody else can have an address that is held, unless it had to be taken over from connections that linger.
fn bind_resolved(address: SocketAddr) -> io::Result<Socket> {
    match bind_socket(address, false) {
        Err(error) if cfg!(unix) && error.kind() == io::ErrorKind::AddrInUse => bind_socket(address, true),
        result => result,
    }
}

fn bind_socket(address: SocketAddr, reuse: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if reuse {
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn local_addr(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an internet address"))
}
