//! What is wrong at the end of a test, although every assertion of its own may have held.

use std::fmt;
use std::ops::Deref;
use std::panic::Location;

use super::Handle;
use crate::snapshot::{Connection, Link, Violation};

/// What [`Handle::verify`] found. It prints, with `Display` and `Debug` alike, a line for each thing.
///
/// ```text
/// verified at tests/shop.rs:47:12:
///   unsettled deliveries: receiver "orders" of connection 1 at "queue.orders", credit 7, 1 unsettled
///   connection never closed: connection 1 from 127.0.0.1:42014, AMQP 1.0, container "shop", host "127.0.0.1"
///   link never detached: receiver "orders" of connection 1 at "queue.orders", credit 7, 1 unsettled
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Report(Box<Findings>);

/// What a [`Report`] tells, for programs: `report.violations`, `report.open_links`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// Where it was asked for.
    pub at: &'static Location<'static>,
    /// What clients did against the rules of their protocols.
    pub violations: Vec<Violation>,
    /// Hooks that panicked, with what they said.
    pub hook_panics: Vec<String>,
    /// Links with deliveries that are not settled.
    pub unsettled: Vec<Link>,
    /// Connections that neither end has closed.
    pub open_connections: Vec<Connection>,
    /// Links that are attached still.
    pub open_links: Vec<Link>,
    /// Connections that went without a close.
    pub unclosed_connections: Vec<Connection>,
    /// It was asked for in a hook, where there is no answer.
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
        // It is what `unwrap` prints.
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
        if self.is_in_hook { f.write_str("\n  a hook cannot ask for this: it would wait for itself") } else { Ok(()) }
    }
}

impl Findings {
    fn is_empty(&self) -> bool {
        let Findings {
            at: _,
            violations,
            hook_panics,
            unsettled,
            open_connections,
            open_links,
            unclosed_connections,
            is_in_hook,
        } = self;
        violations.is_empty()
            && hook_panics.is_empty()
            && unsettled.is_empty()
            && open_connections.is_empty()
            && open_links.is_empty()
            && unclosed_connections.is_empty()
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
    /// section of the specification.
    #[track_caller]
    pub fn verify(&self) -> Result<(), Report> {
        let at = Location::caller();
        let findings = if self.is_in_hook() {
            Findings { is_in_hook: true, ..Findings::empty(at) }
        } else {
            self.ask(move |event_loop| {
                let links = event_loop.links();
                Findings {
                    violations: event_loop.violations().to_vec(),
                    hook_panics: event_loop.hooks().tell(),
                    unsettled: links.iter().filter(|link| link.unsettled > 0).cloned().collect(),
                    open_connections: event_loop.unclosed_yet(),
                    open_links: links,
                    unclosed_connections: event_loop.unclosed().to_vec(),
                    ..Findings::empty(at)
                }
            })
        };
        if findings.is_empty() { Ok(()) } else { Err(Report(Box::new(findings))) }
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
            is_in_hook: false,
        }
    }
}
