//! The manual clock, which moves when a test advances it.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::Handle;

impl Handle {
    /// Advances the broker's clock. Everything that becomes due on the way happens, in order, each at its own time and
    /// in a turn of its own (the answer of a client comes in real time, and is not waited for). Octets that had arrived
    /// before are read before. When this returns, all of it has happened and has been written, as far as the sockets
    /// take it. The clock of a broker that is paused or does not run moves too; what has become due happens when the
    /// broker goes on.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fakebroker::{Broker, Connector, Verdict};
    /// # let broker = Broker::builder().manual_clock().start()?;
    /// # let mut client = Connector::from_url(&broker.url())?.open()?;
    /// let orders = client.sender("queue.orders")?;
    /// broker.on_message(|_| Verdict::Delay(Duration::from_secs(60)));
    /// let order = client.post(&orders, "one coffee")?;
    /// broker.wait_for_messages(Duration::from_secs(5), "queue.orders", 1)?;
    ///
    /// broker.advance(Duration::from_secs(59));
    /// assert_eq!(broker.queue_depth("queue.orders"), 0);
    /// broker.advance(Duration::from_secs(1));
    /// assert_eq!(broker.queue_depth("queue.orders"), 1);
    /// client.outcome(order)?.accepted()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// When the broker has the system's clock: see [`Builder::manual_clock`](crate::Builder::manual_clock). Like every method
    /// that waits for the broker, when it is called from a hook.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        assert!(self.has_manual_clock(), "only a manual clock can be advanced: see Builder::manual_clock");
        let (sender, done) = sync_channel(0);
        self.ask(move |event_loop| event_loop.advance(by, sender));
        // Nothing is sent: the channel closes when the loop has advanced.
        let _ = done.recv();
    }

    /// Whether the clock is one that [`Handle::advance`] advances.
    #[must_use]
    #[track_caller]
    pub fn has_manual_clock(&self) -> bool {
        self.ask(|event_loop| event_loop.has_manual_clock())
    }

    /// The time by the broker's clock, since the broker was made. The times of the trace are measured so.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fakebroker::Broker;
    /// let broker = Broker::builder().manual_clock().start()?;
    /// assert_eq!(broker.now(), Duration::ZERO);
    /// broker.advance(Duration::from_secs(3600));
    /// assert_eq!(broker.now(), Duration::from_secs(3600));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn now(&self) -> Duration {
        self.ask(|event_loop| event_loop.age())
    }
}
