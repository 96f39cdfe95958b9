//! What a test holds: [`Builder`] -> [`Bound`] -> [`Broker`]. Everything here is on the test's side; the broker itself runs on
//! its own thread (`event_loop/`).
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | settings, starting, stopping |
//! | `handle.rs` | what can be asked of a broker and done to it |
//! | `waiting.rs` | waiting until something has happened |
//! | `report.rs` | what is wrong at the end of a test |
//! | `group.rs` | several brokers, for failover |

mod group;
mod handle;
mod report;
mod waiting;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::panic::Location;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::{Poll, Waker};
use socket2::Socket;

use crate::address;
use crate::chronicle::{Sink, TraceFormat};
use crate::config::{Config, Distribution, Settlement, Unroutable, User};
use crate::event_loop::{AtWork, EventLoop, Shared, WAKER};

pub use group::Group;
pub use handle::Handle;
pub use report::{Findings, Report};
pub use waiting::{Situation, WaitError};

/// A running broker.
///
/// It serves its clients on a thread of its own; nothing that is called here waits for a client unless its name says so.
/// Dropping it stops it, as [`Broker::stop`] does. All that a [`Handle`] can do it can do too, and from several threads; its own
/// [`stop`](Broker::stop) and [`stop_clean`](Broker::stop_clean) wait until the broker has stopped, those of a handle do not.
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
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    thread: Option<JoinHandle<io::Result<()>>>,
    /// Its addresses, while it holds them without listening.
    held: Vec<Socket>,
    /// It was started or stopped before: what it has been told since is done.
    has_run: bool,
}

impl Running {
    /// Waits until the thread has ended.
    fn join(&mut self) {
        match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => log::error!("the broker's event loop failed: {error}"),
            Some(Err(_)) => log::error!("the broker's event loop panicked; this is a defect of fakebroker"),
        }
    }
}

/// How a broker goes down: see [`Broker::restart`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// At once: sockets are closed without a word.
    Crash,
    /// With a close for every connection: see [`Broker::stop_clean`].
    Clean,
}

/// What becomes of stored messages when a broker is restarted: see [`Broker::restart`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queues {
    /// They are there again, those included that a receiver had and had not settled. So are the queues that 0-9-1 clients
    /// declared (the exclusive ones excepted), their exchanges and bindings.
    Keep,
    /// They are gone, with all that was declared.
    Drop,
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

    /// Several brokers with addresses that are known beforehand, none of them started: see [`Group`].
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn group(count: usize) -> io::Result<Group> {
        Broker::builder().group(count)
    }

    /// A second hand on this broker, for another thread or task. It does not keep the broker running.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Stops at once, like a crash: sockets are closed without a word. Returns when the thread has ended and the port is free.
    /// Does nothing if it has stopped already. What happened can still be asked for, and [`Broker::restart`] starts it again.
    ///
    /// # Panics
    /// When a hook has panicked, with what it said: see [`Handle::verify`]. Not while the thread panics already.
    #[track_caller]
    pub fn stop(&self) {
        self.halt(Ending::Crash);
        self.tell_panics();
    }

    /// Closes every connection as its protocol does (`amqp:connection:forced`) and waits for the clients' answers, but no
    /// longer than [`Builder::linger`]; then stops. Returns when the thread has ended and the port is free.
    ///
    /// # Panics
    /// As [`Broker::stop`] does.
    #[track_caller]
    pub fn stop_clean(&self) {
        self.halt(Ending::Clean);
        self.tell_panics();
    }

    /// Stops, if it runs, and starts again on the same port. When this returns, clients can connect. Counters, log, trace and
    /// hooks go on; nobody is connected; what was stored is there again or gone, as [`Queues`] says.
    ///
    /// ```
    /// use fakebroker::{Broker, Ending, Message, Queues};
    ///
    /// let broker = Broker::start()?;
    /// broker.inject("queue.orders", Message::text("one coffee"));
    /// broker.restart(Ending::Crash, Queues::Keep)?;
    /// assert_eq!(broker.queue_depth("queue.orders"), 1);
    /// broker.restart(Ending::Clean, Queues::Drop)?;
    /// assert_eq!(broker.queue_depth("queue.orders"), 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the port has been taken by somebody else meanwhile, or no thread can be had.
    pub fn restart(&self, ending: Ending, queues: Queues) -> io::Result<()> {
        self.halt(ending);
        if queues == Queues::Drop {
            self.ask(EventLoop::drop_queues);
        }
        self.launch()
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the thread, and waits until it has.
    #[track_caller]
    fn halt(&self, ending: Ending) {
        self.handle.refuse_from_hook("stop");
        let tell = || match ending {
            Ending::Crash => self.handle.stop(),
            Ending::Clean => self.handle.stop_clean(),
        };
        // Even while somebody else waits for a clean end: that cuts it short.
        tell();
        // Held until it has ended: whoever else stops it waits here.
        let mut running = self.running();
        running.has_run = true;
        if running.thread.is_some() {
            // It may have been started since, and then it has not heard.
            tell();
            running.join();
        }
    }

    /// Starts the thread, if it does not run.
    fn launch(&self) -> io::Result<()> {
        let mut running = self.running();
        if running.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        running.join();
        let held = match std::mem::take(&mut running.held) {
            held if held.is_empty() => address::hold(self.addrs())?,
            held => held,
        };
        let is_again = std::mem::replace(&mut running.has_run, true);
        let event_loop = listening(&self.handle, held, is_again)?;
        let handle = self.handle.clone();
        let name = format!("fakebroker-{}", self.addr().port());
        let serve = move || {
            // All of it: its waker has to live as long as the loop listens to it, whoever else lets go.
            let handle = handle;
            serve(event_loop, &handle.shared)
        };
        running.thread = Some(std::thread::Builder::new().name(name).spawn(serve)?);
        Ok(())
    }

    /// Takes the addresses without listening, so that nobody else gets them while it does not run.
    fn hold(&self) -> io::Result<()> {
        let mut running = self.running();
        if running.thread.is_none() && running.held.is_empty() {
            running.held = address::hold(self.addrs())?;
        }
        Ok(())
    }

    /// A hook that panicked was an assertion that failed: the test fails with it.
    #[track_caller]
    fn tell_panics(&self) {
        if std::thread::panicking() {
            return;
        }
        let panics = self.ask(|event_loop| event_loop.hooks().untold());
        if !panics.is_empty() {
            fail(&panics.join("; "), Location::caller());
        }
    }
}

#[expect(clippy::panic, reason = "a test that has gone wrong is told so")]
fn fail(what: &str, at: &Location<'_>) -> ! {
    panic!("{what} (told at {at})")
}

impl Deref for Broker {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // From a hook there is no waiting; its thread ends when it can.
        if AtWork::is_for(&self.handle.shared) {
            self.handle.clear_hooks_later();
            return self.handle.stop();
        }
        self.halt(Ending::Crash);
        let_go_of_hooks(&self.handle.shared);
        self.tell_panics();
    }
}

/// A broker that will not run again asks nobody. A hook may hold a handle, and so what holds the hook.
fn let_go_of_hooks(shared: &Shared) {
    let hooks = shared.resting().as_mut().map(|event_loop| event_loop.take_hooks());
    // Not while the loop is held: what they let go of may be anything.
    drop(hooks);
}

/// Takes the loop from where it rests, and has it listen. One that has run before does not do what it was told meanwhile.
fn listening(handle: &Handle, held: Vec<Socket>, is_again: bool) -> io::Result<Box<EventLoop>> {
    let listeners = address::listen(held, handle.addrs())?;
    let mut resting = handle.shared.resting();
    let mut event_loop = resting.take().ok_or_else(|| io::Error::other("the broker's event loop is lost"))?;
    if is_again {
        event_loop.forget_commands();
    }
    match event_loop.listen(listeners) {
        Ok(()) => Ok(event_loop),
        Err(error) => {
            *resting = Some(event_loop);
            Err(error)
        }
    }
}

/// Serves until it is told to stop; then the loop rests, to be asked what happened, or to go on.
fn serve(mut event_loop: Box<EventLoop>, shared: &Shared) -> io::Result<()> {
    let at_work = AtWork::begin(shared);
    let result = event_loop.run();
    let mut resting = shared.resting();
    event_loop.answer_the_last();
    *resting = Some(event_loop);
    drop(resting);
    drop(at_work);
    shared.stir();
    result
}

/// A broker that has its address and does not listen yet: connections are refused until it is started. All that a
/// [`Handle`] can do it can do too.
///
/// ```
/// use fakebroker::{Broker, Connector, Message};
///
/// let bound = Broker::builder().bind()?;
/// let connector = Connector::from_url(&bound.url())?;
/// assert!(connector.open().is_err()); // for clients that must bear it
/// bound.inject("queue.orders", Message::text("before anybody came"));
///
/// let broker = bound.start()?;
/// connector.open()?;
/// assert_eq!(broker.queue_depth("queue.orders"), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Bound {
    handle: Handle,
    sockets: Vec<Socket>,
}

impl Deref for Bound {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Bound {
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
        let broker = self.held();
        broker.launch()?;
        Ok(broker)
    }

    /// Listens, and serves on the caller's thread until a [`Handle`] stops it.
    ///
    /// # Errors
    /// When listening or polling fails.
    pub fn run(self) -> io::Result<()> {
        // The waker lives in handles: without one, the last handle's word could go with it before the loop wakes.
        let Bound { handle, sockets } = self;
        let result = serve(listening(&handle, sockets, false)?, &handle.shared);
        let_go_of_hooks(&handle.shared);
        result
    }

    /// A broker that holds its addresses and does not run.
    fn held(self) -> Broker {
        Broker { handle: self.handle, running: Mutex::new(Running { held: self.sockets, ..Running::default() }) }
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

    /// What is done with the messages of one address, whatever its prefix; can be given for several.
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

    /// When the sender of a message learns its outcome. Default: [`Settlement::Immediate`].
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

    /// The broker's container-id, as its open says it. Default: one that differs from every other broker's.
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

    /// Messages that [`Handle::messages`] remembers; when one more comes, the oldest is forgotten and counted by
    /// [`Handle::forgotten_messages`]. Whatever their number, they have 16 MiB together, but the last one is there however large
    /// it is. 0: none. Default: 1000.
    pub fn message_log(mut self, messages: usize) -> Self {
        self.config.chronicle.messages = messages;
        self
    }

    /// Lines that [`Handle::trace`] remembers. Whatever their number, the frames in them have 4 MiB together. 0: none, and
    /// then it costs nothing. Default: 1000.
    pub fn trace_log(mut self, lines: usize) -> Self {
        self.config.chronicle.events = lines;
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
        self.config.chronicle.sinks.push(Sink::new(format, Box::new(writer))?);
        Ok(self)
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
        let sockets = config.listen.iter().map(|name| address::bind(name)).collect::<io::Result<Vec<Socket>>>()?;
        let addrs: Arc<[SocketAddr]> = sockets.iter().map(address::local_addr).collect::<io::Result<_>>()?;
        // The standard library's way to a number that nobody else has.
        let salt = RandomState::new().build_hasher().finish();
        if config.engine.container_id.is_empty() {
            config.engine.container_id = format!("fakebroker-{salt:016x}");
        }
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, commands) = channel();
        let shared = Arc::new(Shared::default());
        let event_loop = EventLoop::new(poll, addrs.clone(), config, salt, commands, Arc::downgrade(&shared));
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

/// Times that are as good as never are never: an `Instant` has an end.
fn bounded(time: Duration) -> Duration {
    time.min(Duration::from_secs(10 * 365 * 24 * 60 * 60))
}
