//! Several brokers with addresses that are known beforehand, for tests of failover.

use std::io;
use std::net::SocketAddr;
use std::ops::Index;
use std::time::Duration;

use super::{Broker, Ending, Queues};

/// Several brokers, each on a port of its own that is known, and reserved for it while it does not run: then
/// connections to it are refused. The brokers share nothing. Made by [`Broker::group`] or
/// [`Builder::group`](crate::Builder::group).
///
/// ```
/// use fakebroker::Broker;
///
/// let brokers = Broker::group(2)?;
/// let [first, second] = &brokers.urls()[..] else { panic!("two") };
/// brokers.start(0)?; // a client that is given both addresses finds the first
/// brokers.crash(0)?;
/// brokers.start(1)?; // ... and now the second
/// brokers[1].inject("queue.orders", fakebroker::Message::text("each is a broker like any other"));
/// brokers.pause(1); // there, and silent
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Group {
    brokers: Vec<Broker>,
}

impl Group {
    pub(super) fn new(brokers: Vec<Broker>) -> Group {
        Group { brokers }
    }

    /// The number of brokers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.brokers.len()
    }

    /// Whether the group has no broker.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.brokers.is_empty()
    }

    /// The broker of this index. None if there are fewer.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Broker> {
        self.brokers.get(index)
    }

    /// The brokers, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Broker> {
        self.brokers.iter()
    }

    /// The address of each.
    #[must_use]
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.iter().map(|broker| broker.addr()).collect()
    }

    /// The URL of each: `amqp://127.0.0.1:PORT`.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.iter().map(|broker| broker.url()).collect()
    }

    /// Starts a broker that does not run. When this returns, clients can connect.
    ///
    /// # Errors
    /// When listening fails or no thread can be had.
    ///
    /// # Panics
    /// When there is no such broker, as all methods here do that take the number of one.
    pub fn start(&self, index: usize) -> io::Result<()> {
        self[index].launch()
    }

    /// Starts all brokers that do not run.
    ///
    /// # Errors
    /// See [`Group::start`].
    pub fn start_all(&self) -> io::Result<()> {
        self.iter().try_for_each(Broker::launch)
    }

    /// Ends a broker at once, without a close for its clients: see [`Broker::crash`]. It keeps what it stores, and
    /// [`Group::start`] starts it again.
    ///
    /// # Errors
    /// When its port cannot be held for it.
    pub fn crash(&self, index: usize) -> io::Result<()> {
        self[index].halt(Ending::Crash);
        self[index].hold()
    }

    /// Ends a broker with a close for each of its clients: see [`Broker::stop`]. It keeps what it stores, and
    /// [`Group::start`] starts it again.
    ///
    /// # Errors
    /// When its port cannot be held for it.
    pub fn stop(&self, index: usize) -> io::Result<()> {
        self[index].halt(Ending::Clean);
        self[index].hold()
    }

    /// Ends a broker and starts it again: see [`Broker::restart`].
    ///
    /// # Errors
    /// See [`Broker::restart`].
    pub fn restart(&self, index: usize, ending: Ending, queues: Queues) -> io::Result<()> {
        self[index].restart(ending, queues)
    }

    /// Advances the clock of each broker, one after the other: see [`Handle::advance`](crate::Handle::advance).
    ///
    /// # Panics
    /// As [`Handle::advance`](crate::Handle::advance) does.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        self.iter().for_each(|broker| broker.advance(by));
    }

    /// Pauses a broker: see [`Handle::pause`](crate::Handle::pause).
    #[track_caller]
    pub fn pause(&self, index: usize) {
        self[index].pause();
    }

    /// Resumes a broker that was paused.
    #[track_caller]
    pub fn resume(&self, index: usize) {
        self[index].resume();
    }
}

impl Index<usize> for Group {
    type Output = Broker;

    #[expect(clippy::indexing_slicing, reason = "it is what indexing is")]
    fn index(&self, index: usize) -> &Broker {
        &self.brokers[index]
    }
}

impl<'a> IntoIterator for &'a Group {
    type Item = &'a Broker;
    type IntoIter = std::slice::Iter<'a, Broker>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
