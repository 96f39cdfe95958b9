//! The report at the end of a test: violations, deliveries that are not settled, and links and connections that were
//! not closed.

use std::fmt;
use std::ops::Deref;
use std::panic::Location;

use super::Handle;
use crate::live::live;
use crate::protocol::LinkName;
use crate::recorder::{LoggedMessage, LoggedState};
use crate::snapshot::{Connection, Link, UnmetRequest, Violation};

/// The checks of [`Handle::verify_with`] besides those of [`Handle::verify`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verify {
    dropped: bool,
    unmet_requests: bool,
}

impl Verify {
    /// No further checks.
    #[must_use]
    pub fn new() -> Verify {
        Verify::default()
    }

    /// Adds messages that were dropped, because no receiver was there or by a hook: those of the log that a test has
    /// not taken.
    #[must_use]
    pub fn dropped(mut self) -> Verify {
        self.dropped = true;
        self
    }

    /// Adds requests of clients that are not honoured: see [`Handle::unmet_requests`].
    #[must_use]
    pub fn unmet_requests(mut self) -> Verify {
        self.unmet_requests = true;
        self
    }
}

/// A message that was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// The number of the message, from 1 for each broker. The trace has the same number.
    pub number: u64,
    /// The address that the message was sent to.
    pub address: String,
    /// The sender. None for a message that the test injected.
    pub sender: Option<LinkName>,
    /// The reason why the message was dropped.
    pub why: String,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} at {:?}", self.number, self.address)?;
        if let Some(sender) = &self.sender {
            write!(f, " from {sender}")?;
        }
        write!(f, ": {}", self.why)
    }
}

impl From<LoggedMessage> for Dropped {
    fn from(record: LoggedMessage) -> Dropped {
        let why = match record.state {
            LoggedState::Dropped(why) => Some(why.as_ref().to_owned()),
            _ => None,
        };
        Dropped {
            number: record.number,
            address: record.address.as_ref().to_owned(),
            sender: record.from.map(LinkName::from),
            why: live(why, "why a message was dropped").unwrap_or_default(),
        }
    }
}

/// The findings of [`Handle::verify`]. `Display` and `Debug` write a line for each.
///
/// ```text
/// verified at tests/shop.rs:47:12:
///   unsettled deliveries: receiver "orders" of connection 1 at "queue.orders", credit 7, 1 unsettled
///   connection never closed: connection 1 from 127.0.0.1:42014, AMQP 1.0, container "shop", host "127.0.0.1"
///   link never detached: receiver "orders" of connection 1 at "queue.orders", credit 7, 1 unsettled
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Report(Box<Findings>);

/// The findings of a [`Report`] as data: `report.violations`, `report.open_links`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// The line of the test that verified.
    pub at: &'static Location<'static>,
    /// Violations of the protocol by clients.
    pub violations: Vec<Violation>,
    /// Hooks that panicked, with what they said.
    pub hook_panics: Vec<String>,
    /// Links with deliveries that are not settled.
    pub unsettled: Vec<Link>,
    /// Connections that neither end has closed.
    pub open_connections: Vec<Connection>,
    /// Links that are still attached.
    pub open_links: Vec<Link>,
    /// Connections that went without a close.
    pub unclosed_connections: Vec<Connection>,
    /// Messages that were dropped, if [`Verify::dropped`] asked for them.
    pub dropped: Vec<Dropped>,
    /// Requests of clients that are not honoured. They are no failure, unless [`Verify::unmet_requests`] asked for them
    /// or the broker is [strict](crate::Builder::strict).
    pub unmet_requests: Vec<UnmetRequest>,
    /// Whether this was called from a hook, where there is no answer.
    pub is_in_hook: bool,
}

impl std::error::Error for Report {}

impl Deref for Report {
    type Target = Findings;

    fn deref(&self) -> &Findings {
        &self.0
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `unwrap` prints the error by Debug.
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "verified at {}:", self.at)?;
        let mut all =
            |name: &str, items: &[&dyn fmt::Display]| items.iter().try_for_each(|item| write!(f, "\n  {name}: {item}"));
        fn of<T: fmt::Display>(items: &[T]) -> Vec<&dyn fmt::Display> {
            items.iter().map(|item| item as &dyn fmt::Display).collect()
        }
        all("protocol violation", &of(&self.violations))?;
        all("hook", &of(&self.hook_panics))?;
        all("unsettled deliveries", &of(&self.unsettled))?;
        all("connection never closed", &of(&self.open_connections))?;
        all("link never detached", &of(&self.open_links))?;
        all("connection lost without a close", &of(&self.unclosed_connections))?;
        all("dropped", &of(&self.dropped))?;
        all("asked for and not given", &of(&self.unmet_requests))?;
        if self.is_in_hook { f.write_str("\n  a hook cannot ask for this: it would wait for itself") } else { Ok(()) }
    }
}

impl Findings {
    /// Whether there is nothing that fails a test.
    fn is_clean(&self, unmet_fails: bool) -> bool {
        let Findings {
            at: _,
            violations,
            hook_panics,
            unsettled,
            open_connections,
            open_links,
            unclosed_connections,
            dropped,
            unmet_requests,
            is_in_hook,
        } = self;
        violations.is_empty()
            && hook_panics.is_empty()
            && unsettled.is_empty()
            && open_connections.is_empty()
            && open_links.is_empty()
            && unclosed_connections.is_empty()
            && dropped.is_empty()
            && (unmet_requests.is_empty() || !unmet_fails)
            && !is_in_hook
    }
}

impl Handle {
    /// Whether clients have left everything in order: for the end of a test, when they should have closed. A close that is on its
    /// way is waited for with [`Handle::wait_for_connections`]. It never panics.
    ///
    /// ```
    /// use fakebroker::Broker;
    ///
    /// let broker = Broker::start()?;
    /// // ... a test whose clients close what they opened ...
    /// broker.verify()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A report of what is not: unsettled deliveries, links and connections that were never closed (those that are open now, and
    /// those that went without a close, unless the broker ended them), hooks that panicked, protocol violations with the
    /// section of the specification. It lists what clients asked for and do not get, and fails for that alone if the broker is
    /// [strict](crate::Builder::strict).
    #[track_caller]
    pub fn verify(&self) -> Result<(), Report> {
        self.verify_at(Location::caller(), Verify::new())
    }

    /// Like [`Handle::verify`], and looks for what `what` says as well.
    ///
    /// ```
    /// use fakebroker::{Broker, Message, Verify};
    ///
    /// let broker = Broker::start()?;
    /// broker.inject("queues.orders", Message::text("one coffee")); // not where anybody receives
    /// broker.verify()?;
    /// let report = broker.verify_with(Verify::new().dropped()).unwrap_err();
    /// assert_eq!(report.dropped[0].address, "queues.orders");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`Handle::verify`].
    #[track_caller]
    pub fn verify_with(&self, what: Verify) -> Result<(), Report> {
        self.verify_at(Location::caller(), what)
    }

    fn verify_at(&self, at: &'static Location<'static>, what: Verify) -> Result<(), Report> {
        let (findings, unmet_fails) = if self.is_in_hook() {
            (Findings { is_in_hook: true, ..Findings::empty(at) }, false)
        } else {
            self.ask(move |event_loop| {
                let links = event_loop.links();
                let dropped = if what.dropped { event_loop.recorder().dropped_messages() } else { Vec::new() };
                let unmet_fails = what.unmet_requests || event_loop.is_strict();
                let findings = Findings {
                    violations: event_loop.violations().to_vec(),
                    hook_panics: event_loop.hooks().tell(),
                    unsettled: links.iter().filter(|link| link.unsettled > 0).cloned().collect(),
                    open_connections: event_loop.unclosed_yet(),
                    open_links: links,
                    unclosed_connections: event_loop.unclosed().to_vec(),
                    dropped: dropped.into_iter().map(Dropped::from).collect(),
                    unmet_requests: event_loop.unmet_requests(),
                    ..Findings::empty(at)
                };
                (findings, unmet_fails)
            })
        };
        if findings.is_clean(unmet_fails) { Ok(()) } else { Err(Report(Box::new(findings))) }
    }
}

impl Findings {
    fn empty(at: &'static Location<'static>) -> Findings {
        Findings {
            at,
            violations: Vec::new(),
            hook_panics: Vec::new(),
            unsettled: Vec::new(),
            open_connections: Vec::new(),
            open_links: Vec::new(),
            unclosed_connections: Vec::new(),
            dropped: Vec::new(),
            unmet_requests: Vec::new(),
            is_in_hook: false,
        }
    }
}
