//! The fixture: [`Builder`] -> [`Bound`] -> [`Broker`]. All of it runs on the test's threads; the broker itself runs on
//! its own (`event_loop/`).
//!
//! | file | what |
//! |---|---|
//! | `builder.rs` | settings |
//! | `mod.rs` | starting, stopping |
//! | `handle.rs` | what can be asked of a broker and done to it |
//! | `injecting.rs` | messages that a test puts in |
//! | `time.rs` | time that passes when a test says so |
//! | `topology.rs` | queues, exchanges and bindings that a test sees and declares |
//! | `waiting.rs` | waiting until something has happened |
//! | `report.rs` | what is wrong at the end of a test |
//! | `group.rs` | several brokers, for failover |

mod blocking;
mod builder;
mod group;
mod handle;
mod injecting;
mod report;
mod time;
mod topology;
mod waiting;

use std::io;
use std::ops::Deref;
use std::panic::Location;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use socket2::Socket;

use crate::address;
use crate::event_loop::{AtWork, EventLoop, Shared};

pub use builder::Builder;
pub use group::Group;
pub use handle::Handle;
pub use report::{Dropped, Findings, Report, Verify};
pub use waiting::{Situation, WaitError};

/// A running broker.
///
/// The broker serves its clients on a thread of its own; a method waits for a client only if its name says so. Two
/// verbs end a broker, here and on [`Handle`] and [`Group`]: `stop` closes every connection in its protocol's way
/// first, `crash` ends at once without a close. Dropping a broker crashes it. A broker has all methods of a [`Handle`],
/// and can be used from several threads; its own [`stop`](Broker::stop) and [`crash`](Broker::crash) wait until the
/// broker has ended, those of a handle do not.
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
    /// The addresses of the broker, while it reserves them without listening.
    held: Vec<Socket>,
    /// Whether the broker was started or stopped before: commands since then are obsolete.
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

/// The way in which a broker ends: see [`Broker::restart`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// At once, without a close: as [`Broker::crash`].
    Crash,
    /// With a close for every connection: as [`Broker::stop`].
    Clean,
}

/// Whether stored messages outlive a restart: see [`Broker::restart`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queues {
    /// Stored messages are kept, those included that a receiver had not settled. So are the queues that 0-9-1 clients and the test
    /// declared (the exclusive ones excepted), their exchanges and bindings.
    Keep,
    /// Stored messages are dropped, with all that was declared, but for what [`Builder::queue`] and its like declare.
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

    /// Ends at once: sockets are closed without a word. Returns when the thread has ended and the port is free. Does nothing if
    /// the broker has ended already. What happened can still be asked for, and [`Broker::restart`] starts it again.
    ///
    /// # Panics
    /// When a hook has panicked, with what it said: see [`Handle::verify`]. Not while the thread panics already.
    #[track_caller]
    pub fn crash(&self) {
        self.halt(Ending::Crash);
        self.tell_panics();
    }

    /// Closes every connection as its protocol does (`amqp:connection:forced`) and waits for the clients' answers, but no
    /// longer than [`Builder::linger`]; then ends. Returns when the thread has ended and the port is free. What happened can
    /// still be asked for, and [`Broker::restart`] starts it again. A [`crash`](Broker::crash) from another thread meanwhile
    /// cuts it short.
    ///
    /// # Panics
    /// As [`Broker::crash`] does.
    #[track_caller]
    pub fn stop(&self) {
        self.halt(Ending::Clean);
        self.tell_panics();
    }

    /// Ends, if it runs, as [`Ending`] says, and starts again on the same port.
    /// When this returns, clients can connect. Counters, log, trace and
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
        self.handle.refuse_from_hook(match ending {
            Ending::Crash => "crash",
            Ending::Clean => "stop",
        });
        let tell = || match ending {
            Ending::Crash => self.handle.crash(),
            Ending::Clean => self.handle.stop(),
        };
        // Even while somebody else waits for a clean end: that cuts it short.
        tell();
        // Held until it has ended: whoever else stops it waits here.
        let mut running = self.running();
        running.has_run = true;
        if running.thread.is_some() {
            // The broker may have been started since, and has not heard of it then.
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
            return self.handle.crash();
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

    /// Listens, and serves on the caller's thread until a [`Handle`] ends it. What has run so cannot be started again.
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
