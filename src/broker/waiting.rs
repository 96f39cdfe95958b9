//! Waits until something has happened. The loop wakes the waiting thread; nothing is polled. The error of a wait
//! reports what has happened instead.

use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::time::Duration;

use super::Handle;
use crate::clock::{bounded, system_now};
use crate::counts::Counts;
use crate::event_loop::EventLoop;
use crate::protocol::MessageRecord;
use crate::recorder::{Stage, TraceEvent};
use crate::snapshot::{AddressInfo, Connection, Link};

/// The number of lines of the trace in an error.
const SHOWN_EVENTS: usize = 20;

/// The error of a wait that has timed out. `Display` and `Debug` write a report: the counters, the connections, the
/// links with their credit, the messages that wait, and the last lines of the trace. The place that it names is the
/// line of the test that waited.
///
/// ```text
/// waited 5s in vain for 1 message to arrive for "queue.orders", at tests/shop.rs:43:25
///   counters: queued 1, connections 1, sender_links 1
///   connections:
///     connection 1 from 127.0.0.1:33946, AMQP 1.0, container "shop", host "127.0.0.1"
///   links:
///     sender "orders" of connection 1 at "queue.order", credit 999
///   addresses:
///     "queue.order" (queue): senders 1, receivers 0, waiting 1, arrived 1
///   last events:
///     ...
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct WaitError(Box<Situation>);

/// The report of a [`WaitError`] as data: `error.counts`, `error.links`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Situation {
    /// The line of the test that waited.
    pub at: &'static Location<'static>,
    /// The condition that was waited for, and for how long.
    pub what: String,
    /// The counters at the end.
    pub counts: Counts,
    /// The connections at the end.
    pub connections: Vec<Connection>,
    /// The links at the end.
    pub links: Vec<Link>,
    /// The addresses at the end, with the messages that waited.
    pub addresses: Vec<AddressInfo>,
    /// The last lines of the trace.
    pub events: Vec<TraceEvent>,
    /// Hooks that have panicked, with what they said.
    pub hook_panics: Vec<String>,
    /// Whether the broker did not run, which is why nothing happened.
    pub is_stopped: bool,
}

impl std::error::Error for WaitError {}

impl Deref for WaitError {
    type Target = Situation;

    fn deref(&self) -> &Situation {
        &self.0
    }
}

impl fmt::Debug for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `unwrap` prints the error by Debug.
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if self.is_stopped {
            f.write_str("\n  the broker is not running")?;
        }
        self.hook_panics.iter().try_for_each(|panic| write!(f, "\n  hook: {panic}"))?;
        let counts: Vec<String> =
            self.counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}")).collect();
        write!(f, "\n  counters: {}", if counts.is_empty() { "all 0".into() } else { counts.join(", ") })?;
        list(f, "connections", &self.connections)?;
        list(f, "links", &self.links)?;
        list(f, "addresses", &self.addresses)?;
        list(f, "last events", &self.events)
    }
}

/// Writes a number and its noun: `1 message`, `2 messages`.
pub(super) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, name: &str, items: &[T]) -> fmt::Result {
    if items.is_empty() {
        return write!(f, "\n  {name}: none");
    }
    write!(f, "\n  {name}:")?;
    items.iter().try_for_each(|item| write!(f, "\n    {item}"))
}

impl Handle {
    /// Waits until the counters meet a condition, and returns them as soon as they do. It is woken by the broker.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fakebroker::{Broker, Message};
    ///
    /// let broker = Broker::start()?;
    /// broker.inject("queue.orders", Message::text("one coffee"));
    /// let counts = broker.wait_for(Duration::from_secs(5), |counts| counts.queued == 1)?;
    /// assert_eq!(counts.dropped, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When they do not within `timeout`; the error tells what happened instead. At once when a hook has panicked, or when it
    /// is called from a hook, which could not see anything happen.
    #[track_caller]
    pub fn wait_for(&self, timeout: Duration, mut condition: impl FnMut(&Counts) -> bool) -> Result<Counts, WaitError> {
        let at = Location::caller();
        self.wait("the counters to be as asked", timeout, at, || Some(self.counts()).filter(|counts| condition(counts)))
    }

    /// Waits until so many links or more receive from an address: that a program under test is ready, for example.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fakebroker::{Broker, Connector, Message};
    /// # let broker = Broker::start()?;
    /// let mut client = Connector::from_url(&broker.url())?.open()?;
    /// let news = client.receiver("broadcast.news")?;
    /// // What is multicast is for those who are there.
    /// broker.wait_for_receivers(Duration::from_secs(5), "broadcast.news", 1)?;
    /// broker.inject("broadcast.news", Message::text("it rains"));
    /// assert!(client.receive(&news, Duration::from_secs(5))?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`Handle::wait_for`].
    #[track_caller]
    pub fn wait_for_receivers(&self, timeout: Duration, address: &str, count: usize) -> Result<(), WaitError> {
        let what = format!("{} to receive from {address:?}", counted(count as u64, "link"));
        let asked = super::handle::node(address);
        self.wait_until(&what, timeout, Location::caller(), move |event_loop| {
            (event_loop.router().receivers_at(&asked) >= count).then_some(())
        })
    }

    /// Waits until so many messages or more have arrived for an address and were not dropped, since the broker was made or
    /// [`Handle::take_messages`] took those that were there; returns those that are in the log: see [`Handle::messages`]. One
    /// that has fallen out of the log counts whatever became of it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fakebroker::{Broker, Message};
    /// # let broker = Broker::start()?;
    /// broker.inject("queue.orders", Message::text("one coffee"));
    /// let orders = broker.wait_for_messages(Duration::from_secs(5), "queue.orders", 1)?;
    /// assert_eq!(orders[0].as_text(), Some("one coffee"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`Handle::wait_for`].
    #[track_caller]
    pub fn wait_for_messages(
        &self,
        timeout: Duration,
        address: &str,
        count: u64,
    ) -> Result<Vec<MessageRecord>, WaitError> {
        self.wait_for_stage(timeout, address, count, Stage::Arrived)
    }

    /// Waits until so many messages or more of an address have come so far; counts and returns them as
    /// [`Handle::wait_for_messages`] does, but [`Stage::Delivered`] and [`Stage::Settled`] are known only of those that are in
    /// the log: no more can be waited for than it holds.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fakebroker::{Broker, Connector, Message, Stage};
    /// # let broker = Broker::start()?;
    /// # let mut client = Connector::from_url(&broker.url())?.open()?;
    /// let orders = client.receiver("queue.orders")?;
    /// broker.inject("queue.orders", Message::text("one coffee"));
    /// broker.wait_for_stage(Duration::from_secs(5), "queue.orders", 1, Stage::Delivered)?;
    ///
    /// let order = client.receive(&orders, Duration::from_secs(5))?.ok_or("no order")?;
    /// client.accept(&order)?;
    /// broker.wait_for_stage(Duration::from_secs(5), "queue.orders", 1, Stage::Settled)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`Handle::wait_for`].
    #[track_caller]
    pub fn wait_for_stage(
        &self,
        timeout: Duration,
        address: &str,
        count: u64,
        stage: Stage,
    ) -> Result<Vec<MessageRecord>, WaitError> {
        let verb = match stage {
            Stage::Arrived => "to arrive for",
            Stage::Delivered => "to be delivered from",
            Stage::Settled => "to be settled by receivers at",
        };
        let what = format!("{} {verb} {address:?}", counted(count, "message"));
        let asked = super::handle::node(address);
        let records = self.wait_until(&what, timeout, Location::caller(), move |event_loop| {
            (event_loop.come_to(&asked, stage) >= count).then(|| event_loop.messages(&asked))
        })?;
        Ok(records.into_iter().map(MessageRecord::from).collect())
    }

    /// Waits until exactly so many clients are connected and their connections open. 0: until all have gone, before
    /// [`Handle::verify`] for example.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fakebroker::{Broker, Connector};
    /// # let broker = Broker::start()?;
    /// let client = Connector::from_url(&broker.url())?.container_id("shop").open()?;
    /// let connections = broker.wait_for_connections(Duration::from_secs(5), 1)?;
    /// assert_eq!(connections[0].container.as_deref(), Some("shop"));
    /// client.disconnect()?;
    /// broker.wait_for_connections(Duration::from_secs(5), 0)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`Handle::wait_for`].
    #[track_caller]
    pub fn wait_for_connections(&self, timeout: Duration, count: usize) -> Result<Vec<Connection>, WaitError> {
        let what = format!("{} to be open", counted(count as u64, "connection"));
        self.wait_until(&what, timeout, Location::caller(), move |event_loop| {
            let connections = event_loop.connections();
            let open = connections.iter().filter(|connection| connection.protocol.is_some()).count();
            (open == count && connections.len() == count).then_some(connections)
        })
    }

    /// Waits until every delivery is settled, on all links and in both directions. Messages that wait in a queue are none: nobody
    /// has them.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fakebroker::{Broker, Connector, Message};
    /// # let broker = Broker::start()?;
    /// # let mut client = Connector::from_url(&broker.url())?.open()?;
    /// let orders = client.receiver("queue.orders")?;
    /// broker.inject("queue.orders", Message::text("one coffee"));
    /// let order = client.receive(&orders, Duration::from_secs(5))?.ok_or("no order")?;
    /// assert_eq!(broker.links()[0].unsettled, 1);
    /// client.accept(&order)?;
    /// broker.wait_for_settled(Duration::from_secs(5))?;
    /// assert_eq!(broker.counts().accepted, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`Handle::wait_for`].
    #[track_caller]
    pub fn wait_for_settled(&self, timeout: Duration) -> Result<(), WaitError> {
        self.wait_until("all deliveries to be settled", timeout, Location::caller(), |event_loop| {
            event_loop.links().iter().all(|link| link.unsettled == 0).then_some(())
        })
    }

    /// Waits until `look` returns something, which is called on the loop's thread.
    pub(super) fn wait_until<T: Send + 'static>(
        &self,
        what: &str,
        timeout: Duration,
        at: &'static Location<'static>,
        look: impl FnMut(&mut EventLoop) -> Option<T> + Clone + Send + 'static,
    ) -> Result<T, WaitError> {
        self.wait(what, timeout, at, || {
            let mut look = look.clone();
            self.ask(move |event_loop| look(event_loop))
        })
    }

    fn wait<T>(
        &self,
        what: &str,
        timeout: Duration,
        at: &'static Location<'static>,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<T, WaitError> {
        if self.is_in_hook() {
            return Err(WaitError::bare(at, format!("waiting for {what} in a hook at {at} would never end")));
        }
        let deadline = system_now() + bounded(timeout);
        let found = self.shared.watch(deadline, || {
            let panicked = || self.ask(|event_loop| !event_loop.hooks().panics.is_empty());
            match look() {
                Some(found) => Some(Some(found)),
                None => panicked().then_some(None),
            }
        });
        match found {
            Some(Some(found)) => Ok(found),
            Some(None) => Err(self.explain(at, format!("waiting for {what} at {at} was cut short: a hook panicked"))),
            None => Err(self.explain(at, format!("waited {timeout:?} in vain for {what}, at {at}"))),
        }
    }

    /// Creates the error of a wait, with the state of the broker.
    fn explain(&self, at: &'static Location<'static>, what: String) -> WaitError {
        let is_stopped = self.shared.resting().is_some();
        self.ask(move |event_loop| {
            let mut events = event_loop.recorder().trace();
            events.drain(..events.len().saturating_sub(SHOWN_EVENTS));
            WaitError(Box::new(Situation {
                at,
                what,
                counts: event_loop.counts(),
                connections: event_loop.connections(),
                links: event_loop.links(),
                addresses: event_loop.addresses(),
                events,
                hook_panics: event_loop.hooks().tell(),
                is_stopped,
            }))
        })
    }
}

impl WaitError {
    fn bare(at: &'static Location<'static>, what: String) -> WaitError {
        WaitError(Box::new(Situation {
            at,
            what,
            counts: Counts::default(),
            connections: Vec::new(),
            links: Vec::new(),
            addresses: Vec::new(),
            events: Vec::new(),
            hook_panics: Vec::new(),
            is_stopped: false,
        }))
    }
}
