//! `connection.blocked` of RabbitMQ, on command of the test.

use super::Handle;

impl Handle {
    /// Blocks the 0-9-1 clients that publish, as RabbitMQ does when memory or disk run low: a client that begins to
    /// publish from now on is sent `connection.blocked` with this reason, if its capabilities say that it understands it, and what
    /// it sends is not read until [`Handle::unblock`]: that publish and all behind it. Clients that only consume are not told. 1.0 has credit instead: see [`Handle::withhold`].
    ///
    /// ```
    /// # use fakebroker::Broker;
    /// let broker = Broker::start()?;
    /// broker.block("low on memory");
    /// // ... the program under test publishes, is told, and must bear it ...
    /// broker.unblock();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn block(&self, reason: &str) {
        let reason = reason.to_owned();
        self.ask(move |event_loop| event_loop.block(Some(&reason)));
    }

    /// Takes back [`Handle::block`]: clients that were told so are sent `connection.unblocked`, and what they have sent is read.
    #[track_caller]
    pub fn unblock(&self) {
        self.ask(|event_loop| event_loop.block(None));
    }
}
