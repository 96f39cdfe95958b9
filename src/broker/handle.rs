//! The handle of a broker: questions and commands. Each goes to the event loop's thread, which answers it between two
//! events, when its state is consistent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Sender, sync_channel};

use mio::Waker;

use crate::config::{node_at, percent_encoded};
use crate::counts::Counts;
use crate::event::{ConnectionId, DEFAULT_VHOST};
use crate::event_loop::{AtWork, Command, EventLoop, Shared};
use crate::hooks::{Admission, Verdict};
use crate::live::live;
use crate::protocol::MessageRecord;
use crate::recorder::TraceEvent;
use crate::snapshot::{AddressInfo, Connection, Link, UnmetRequest};

/// The node that an address names, as on the wire: see [`node_at`].
pub(super) fn node(address: &str) -> String {
    node_at(address).into_owned()
}

/// A handle of a broker that runs on its own thread, or in [`Bound::run`](crate::Bound::run) on one of yours. Handles
/// are cheap to clone.
///
/// | to | there is |
/// |---|---|
/// | reach it | [`url`](Handle::url), [`addr`](Handle::addr), [`addrs`](Handle::addrs), [`vhost`](Handle::vhost), [`vhosts`](Handle::vhosts) |
/// | look | [`counts`](Handle::counts), [`messages`](Handle::messages), [`all_messages`](Handle::all_messages), [`take_messages`](Handle::take_messages), [`connections`](Handle::connections), [`links`](Handle::links), [`addresses`](Handle::addresses), [`queue_depth`](Handle::queue_depth), [`trace`](Handle::trace), [`trace_pcap`](Handle::trace_pcap) |
/// | see and declare queues, exchanges, bindings | [`queues`](Handle::queues), [`exchanges`](Handle::exchanges), [`bindings`](Handle::bindings), [`published`](Handle::published), [`wait_for_published`](Handle::wait_for_published), [`declare_queue`](Handle::declare_queue), [`declare_exchange`](Handle::declare_exchange), [`bind`](Handle::bind), [`unbind`](Handle::unbind), [`delete_queue`](Handle::delete_queue), [`delete_exchange`](Handle::delete_exchange) |
/// | wait | [`wait_for`](Handle::wait_for), [`wait_for_messages`](Handle::wait_for_messages), [`wait_for_stage`](Handle::wait_for_stage), [`wait_for_receivers`](Handle::wait_for_receivers), [`wait_for_connections`](Handle::wait_for_connections), [`wait_for_settled`](Handle::wait_for_settled) |
/// | put in and take out | [`inject`](Handle::inject), [`inject_to_exchange`](Handle::inject_to_exchange), [`purge`](Handle::purge) |
/// | let senders wait | [`withhold`](Handle::withhold), [`grant`](Handle::grant), [`restore`](Handle::restore) |
/// | end what is open | [`disconnect`](Handle::disconnect), [`disconnect_all`](Handle::disconnect_all), [`close`](Handle::close), [`detach`](Handle::detach) |
/// | be out of order | [`pause`](Handle::pause), [`resume`](Handle::resume), [`block`](Handle::block), [`unblock`](Handle::unblock), [`refuse_connections`](Handle::refuse_connections), [`Broker::restart`](crate::Broker::restart) |
/// | own the time | [`advance`](Handle::advance), [`now`](Handle::now), [`has_manual_clock`](Handle::has_manual_clock) |
/// | decide while it happens | [`on_message`](Handle::on_message), [`on_attach`](Handle::on_attach), [`on_connect`](Handle::on_connect), [`clear_hooks`](Handle::clear_hooks) |
/// | verify | [`verify`](Handle::verify), [`verify_with`](Handle::verify_with), [`unmet_requests`](Handle::unmet_requests) |
/// | end it | [`stop`](Handle::stop), [`crash`](Handle::crash) |
///
/// An address has the form that it has on the wire: `/queues/orders` is the queue `orders` here too, see [`node_at`].
/// Messages, links and addresses that are returned have the node's name.
///
/// What is asked is answered on the broker's thread between two things that clients did, so every answer is of one moment. A
/// broker that has stopped still answers what happened.
///
/// # Panics
/// Methods that wait for the broker's thread panic when they are called on it, that is, from a hook: they would wait for
/// themselves. Like any panic of a hook that one is caught and reported. [`Handle::wait_for`] and [`Handle::verify`] return an
/// error that says so.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
    pub(super) shared: Arc<Shared>,
    addrs: Arc<[SocketAddr]>,
    vhost: Arc<str>,
}

impl Handle {
    pub(super) fn new(
        commands: Sender<Command>,
        waker: Arc<Waker>,
        shared: Arc<Shared>,
        addrs: Arc<[SocketAddr]>,
    ) -> Handle {
        Handle { commands, waker, shared, addrs, vhost: DEFAULT_VHOST.into() }
    }

    /// The address of the first listener, with its real port.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        // `bind` takes one if no address was given.
        let first = live(self.addrs.first().copied(), "an address to listen at");
        first.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// The addresses of all listeners, in the order of [`Builder::listen`](crate::Builder::listen).
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The URL of the first listener: `amqp://127.0.0.1:PORT`, followed by `/NAME` for a handle of another virtual host than `/`.
    #[must_use]
    pub fn url(&self) -> String {
        match &*self.vhost {
            DEFAULT_VHOST => format!("amqp://{}", self.addr()),
            name => format!("amqp://{}/{}", self.addr(), percent_encoded(name)),
        }
    }

    /// A handle for the virtual host of this name, which is made if it is not there. What the handle is asked by address
    /// ([`inject`](Handle::inject), [`messages`](Handle::messages), [`queue_depth`](Handle::queue_depth), ...) it looks for in
    /// this virtual host, and its [`url`](Handle::url) leads there. All else is the broker's, as with every handle.
    ///
    /// A virtual host has its own exchanges, queues and addresses; counters, hooks, limits and the log are shared. Each test may
    /// have one of its own in a broker that all use.
    ///
    /// ```
    /// # use fakebroker::{Broker, Connector, Message};
    /// let broker = Broker::start()?;
    /// let mine = broker.vhost("test-17");
    /// let mut client = Connector::from_url(&mine.url())?.open()?;
    /// let orders = client.sender("queue.orders")?;
    /// client.send(&orders, "one coffee")?.accepted()?;
    /// assert_eq!((mine.queue_depth("queue.orders"), broker.queue_depth("queue.orders")), (1, 0));
    /// assert_eq!(mine.messages("queue.orders")[0].vhost, "test-17");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn vhost(&self, name: &str) -> Handle {
        let name: Arc<str> = if name.is_empty() { DEFAULT_VHOST } else { name }.into();
        let added = name.clone();
        self.ask(move |event_loop| event_loop.add_vhost(&added));
        Handle { vhost: name, ..self.clone() }
    }

    /// The names of all virtual hosts: `/` first, then in the order in which they were made.
    #[must_use]
    #[track_caller]
    pub fn vhosts(&self) -> Vec<String> {
        self.ask(|event_loop| event_loop.vhost_names().iter().map(|name| name.as_ref().to_owned()).collect())
    }

    /// The counters as they are now, without asking the broker's thread. After a stop: as they were last.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Tells the broker to end at once, without a close for its clients: see [`Broker::crash`](crate::Broker::crash).
    /// Returns without waiting for it. [`Broker::restart`](crate::Broker::restart) starts it again; a broker that
    /// [`Bound::run`](crate::Bound::run) served cannot be started again.
    pub fn crash(&self) {
        self.send(Command::Crash);
    }

    /// Tells the broker to close every connection as its protocol does, and to end then: see
    /// [`Broker::stop`](crate::Broker::stop). Returns without waiting for it. Whether the broker can be started again: see
    /// [`Handle::crash`].
    pub fn stop(&self) {
        self.send(Command::Stop);
    }

    fn send(&self, command: Command) {
        // Sending fails when the loop is lost; then there is nothing to stop.
        if self.commands.send(command).is_ok() {
            let _ = self.waker.wake();
        }
    }

    /// Whether this is the broker's own thread.
    pub(super) fn is_in_hook(&self) -> bool {
        AtWork::is_for(&self.shared)
    }

    #[track_caller]
    pub(super) fn refuse_from_hook(&self, what: &str) {
        assert!(!self.is_in_hook(), "{what} was called from a hook: it would wait for the thread that it is on");
    }

    /// Asks the loop a question, on its thread if it runs, else on the caller's.
    #[track_caller]
    pub(super) fn ask<R: Send + 'static>(&self, question: impl FnOnce(&mut EventLoop) -> R + Send + 'static) -> R {
        self.refuse_from_hook("a method that waits for the broker");
        let (sender, answer) = sync_channel(1);
        let vhost = self.vhost.clone();
        let question = move |event_loop: &mut EventLoop| {
            event_loop.set_asked(vhost);
            question(event_loop)
        };
        {
            // The lock is held while the question is sent: a loop that ends answers the questions sent before.
            let mut resting = self.shared.resting();
            if let Some(event_loop) = resting.as_mut() {
                let _at_work = AtWork::begin(&self.shared);
                return event_loop.at_rest(question);
            }
            self.send(Command::Do(Box::new(move |event_loop| {
                // Sending fails when the caller is gone.
                let _ = sender.send(question(event_loop));
            })));
        }
        match answer.recv() {
            Ok(answer) => answer,
            Err(_) => super::fail(
                "the broker's event loop has panicked; this is a defect of fakebroker",
                std::panic::Location::caller(),
            ),
        }
    }

    /// The messages that were sent to an address, oldest first: those of the log, which has the last
    /// [`Builder::message_log`](crate::Builder::message_log) of all addresses.
    ///
    /// ```
    /// use fakebroker::{Broker, Message, Outcome};
    ///
    /// let broker = Broker::start()?;
    /// broker.inject("queue.orders", Message::text("one coffee").subject("order").property("table", 7));
    ///
    /// let [order] = &broker.messages("queue.orders")[..] else { panic!("one order expected") };
    /// assert_eq!(order.as_text(), Some("one coffee"));
    /// assert_eq!(order.properties.subject.as_deref(), Some("order"));
    /// assert_eq!(order.outcome, Some(Outcome::Accepted));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn messages(&self, address: &str) -> Vec<MessageRecord> {
        let address = node(address);
        let records = self.ask(move |event_loop| event_loop.messages(&address));
        records.into_iter().map(MessageRecord::from).collect()
    }

    /// The messages of all addresses that are in the log, oldest first: see [`Handle::messages`].
    ///
    /// ```
    /// # use fakebroker::{Broker, Message};
    /// # let broker = Broker::start()?;
    /// broker.inject("queue.orders", Message::text("one coffee"));
    /// broker.inject("queue.order", Message::text("one tea"));
    /// let addresses: Vec<String> = broker.all_messages().into_iter().map(|record| record.address).collect();
    /// assert_eq!(addresses, ["queue.orders", "queue.order"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn all_messages(&self) -> Vec<MessageRecord> {
        let records = self.ask(|event_loop| event_loop.recorder().all_messages());
        records.into_iter().map(MessageRecord::from).collect()
    }

    /// Takes the messages of an address out of the log and returns them: asked again, only what has come since is there, and
    /// [`Handle::wait_for_messages`] counts only that. The broker's queues are not touched.
    ///
    /// ```
    /// # use fakebroker::{Broker, Message};
    /// # let broker = Broker::start()?;
    /// broker.inject("queue.orders", Message::text("one coffee"));
    /// assert_eq!(broker.take_messages("queue.orders").len(), 1);
    /// broker.inject("queue.orders", Message::text("one tea"));
    /// let [tea] = &broker.take_messages("queue.orders")[..] else { panic!("one message expected") };
    /// assert_eq!(tea.as_text(), Some("one tea"));
    /// assert_eq!(broker.queue_depth("queue.orders"), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn take_messages(&self, address: &str) -> Vec<MessageRecord> {
        let address = node(address);
        let records = self.ask(move |event_loop| event_loop.take_messages(&address));
        records.into_iter().map(MessageRecord::from).collect()
    }

    /// The number of messages that have fallen out of the log and that no test had taken.
    #[must_use]
    #[track_caller]
    pub fn forgotten_messages(&self) -> u64 {
        self.ask(|event_loop| event_loop.recorder().forgotten())
    }

    /// The connections, in the order in which they were accepted. Those that are not open yet are among them.
    ///
    /// ```
    /// # use fakebroker::{Broker, Connector};
    /// # let broker = Broker::start()?;
    /// let client = Connector::from_url(&broker.url())?.container_id("shop").open()?;
    /// let [connection] = &broker.connections()[..] else { panic!("one connection expected") };
    /// assert_eq!(connection.container.as_deref(), Some("shop"));
    /// assert_eq!(connection.protocol, Some("AMQP 1.0"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn connections(&self) -> Vec<Connection> {
        self.ask(|event_loop| event_loop.connections())
    }

    /// All links, in the order of their connections and of their attaches.
    ///
    /// ```
    /// # use fakebroker::{Broker, Connector, Role};
    /// # let broker = Broker::start()?;
    /// # let mut client = Connector::from_url(&broker.url())?.open()?;
    /// let orders = client.sender("queue.orders")?;
    /// let [link] = &broker.links()[..] else { panic!("one link expected") };
    /// assert_eq!((link.role, link.address.as_deref()), (Role::Sender, Some("queue.orders")));
    /// assert_eq!((link.credit, link.unsettled), (1000, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn links(&self) -> Vec<Link> {
        self.ask(|event_loop| event_loop.links())
    }

    /// All addresses with links or with messages that wait, in the order of their names.
    ///
    /// ```
    /// # use fakebroker::{Broker, Distribution, Message};
    /// # let broker = Broker::start()?;
    /// broker.inject("queue.orders", Message::text("one coffee"));
    /// let [info] = &broker.addresses()[..] else { panic!("one address expected") };
    /// assert_eq!((info.address.as_str(), info.distribution), ("queue.orders", Distribution::Queue));
    /// assert_eq!((info.receivers, info.waiting), (0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn addresses(&self) -> Vec<AddressInfo> {
        self.ask(|event_loop| event_loop.router().addresses())
    }

    /// Returns the requests of clients that are not met, though they broke no rule: arguments without effect, filters that are not
    /// applied, capabilities that are not offered. The first 1000 different ones since the broker was made, in the order in which
    /// they were first asked for; the trace has each as it comes. With [`Builder::strict`](crate::Builder::strict) clients are
    /// refused. `docs/what-is-honoured.md` has the list of what is honoured, refused and noted.
    ///
    /// ```
    /// # use fakebroker::Broker;
    /// let broker = Broker::start()?;
    /// // ... a client consumes from a stream with x-stream-filter ...
    /// for request in broker.unmet_requests() {
    ///     println!("{request}"); // connection 1, channel 1: basic.consume of "c" at "log", x-stream-filter = red: streams are not filtered
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn unmet_requests(&self) -> Vec<UnmetRequest> {
        self.ask(|event_loop| event_loop.unmet_requests())
    }

    /// Messages that wait at an address. Those that a receiver has and has not settled are not among them, nor are copies of
    /// what was multicast: those wait for their receivers, see [`Link::waiting`].
    #[must_use]
    #[track_caller]
    pub fn queue_depth(&self, address: &str) -> usize {
        let address = node(address);
        self.ask(move |event_loop| event_loop.router().depth(&address))
    }

    /// Takes out what waits at an address, copies for slow receivers of a multicast included; what a receiver has and has not
    /// settled stays its. Returns how many messages and copies that was. In the log they are dropped, `dropped` does not count
    /// them.
    #[track_caller]
    pub fn purge(&self, address: &str) -> usize {
        let address = node(address);
        self.ask(move |event_loop| {
            let purged = event_loop.router().purge(&address);
            event_loop.settle_in();
            purged
        })
    }

    /// Returns the trace, frames and decisions, oldest first: the last
    /// [`Builder::trace_log`](crate::Builder::trace_log) lines. Each prints as one line: when, on which connection, and `->` for
    /// what clients sent, `<-` for what they were sent.
    ///
    /// ```
    /// # use fakebroker::{Broker, Connector};
    /// # let broker = Broker::start()?;
    /// # let client = Connector::from_url(&broker.url())?.open()?;
    /// client.disconnect()?;
    /// for event in broker.trace() {
    ///     println!("{event}"); // 0.000983   1 -> ch 0 open container-id="shop" hostname="127.0.0.1" ...
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn trace(&self) -> Vec<TraceEvent> {
        self.ask(|event_loop| event_loop.recorder().trace())
    }

    /// The frames of the trace as a capture file, for Wireshark or tshark. Whatever port the broker has, there it is 5672. Of a
    /// long message it has the beginning, unless [`Builder::trace_whole_frames`](crate::Builder::trace_whole_frames) says
    /// otherwise.
    ///
    /// ```no_run
    /// # let broker = fakebroker::Broker::start()?;
    /// std::fs::write("orders.pcap", broker.trace_pcap())?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn trace_pcap(&self) -> Vec<u8> {
        self.ask(|event_loop| event_loop.recorder().pcap())
    }

    /// Serves nobody until [`Handle::resume`]: nothing is read, written or accepted, while all sockets stay open. Clients see a
    /// broker that hangs; their heartbeats run out. Questions are still answered.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fakebroker::{Broker, Connector};
    /// # let broker = Broker::start()?;
    /// broker.pause();
    /// // The operating system accepts the connection; then there is silence.
    /// let impatient = Connector::from_url(&broker.url())?.timeout(Duration::from_millis(20));
    /// assert!(impatient.open().unwrap_err().is_timeout());
    /// broker.resume();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn pause(&self) {
        self.ask(EventLoop::pause);
    }

    /// Goes on where [`Handle::pause`] stopped.
    #[track_caller]
    pub fn resume(&self) {
        self.ask(EventLoop::resume);
    }

    /// Drops a connection without a word, as a broken network would. False if it is gone already. What its client had and had not
    /// settled goes back to its queue.
    #[track_caller]
    pub fn disconnect(&self, connection: ConnectionId) -> bool {
        self.ask(move |event_loop| event_loop.disconnect(connection))
    }

    /// Drops all connections without a word. Returns how many there were.
    #[track_caller]
    pub fn disconnect_all(&self) -> usize {
        self.ask(EventLoop::disconnect_all)
    }

    /// Closes a connection with an error, as its protocol does. False if it is gone already.
    ///
    /// ```
    /// # use fakebroker::{Broker, Connector};
    /// # let broker = Broker::start()?;
    /// # let mut client = Connector::from_url(&broker.url())?.open()?;
    /// let connection = broker.connections()[0].id;
    /// broker.close(connection, "amqp:connection:forced", "maintenance");
    /// let error = client.round_trip().unwrap_err();
    /// assert_eq!(error.condition(), Some("amqp:connection:forced"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn close(&self, connection: ConnectionId, condition: &str, description: &str) -> bool {
        let (condition, description) = (condition.to_owned(), description.to_owned());
        self.ask(move |event_loop| event_loop.close(connection, &condition, &description))
    }

    /// Detaches a link with an error, as its protocol does. False if it is gone already.
    ///
    /// ```
    /// # use fakebroker::{Broker, Connector};
    /// # let broker = Broker::start()?;
    /// # let mut client = Connector::from_url(&broker.url())?.open()?;
    /// let orders = client.sender("queue.orders")?;
    /// for link in broker.links() {
    ///     broker.detach(&link, "amqp:link:detach-forced", "maintenance");
    /// }
    /// let error = client.send(&orders, "one coffee").unwrap_err();
    /// assert_eq!(error.condition(), Some("amqp:link:detach-forced"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn detach(&self, link: &Link, condition: &str, description: &str) -> bool {
        let (key, condition, description) = (link.key, condition.to_owned(), description.to_owned());
        self.ask(move |event_loop| event_loop.detach(key, &condition, &description))
    }

    /// Refuses new connections, or accepts them again. The port stays the broker's. Who is connected stays so.
    /// The refusal lasts until the broker stops; a broker that does not run refuses connections anyway.
    ///
    /// ```
    /// # use fakebroker::{Broker, Connector};
    /// # let broker = Broker::start()?;
    /// let connector = Connector::from_url(&broker.url())?;
    /// let before = connector.open()?;
    /// broker.refuse_connections(true)?;
    /// assert!(connector.open().is_err());
    /// broker.refuse_connections(false)?;
    /// connector.open()?;
    /// before.disconnect()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the port cannot be listened on again.
    #[track_caller]
    pub fn refuse_connections(&self, refuse: bool) -> io::Result<()> {
        self.ask(move |event_loop| event_loop.refuse_connections(refuse))
    }

    /// From now on who sends to this address gets no credit but by [`Handle::grant`]; what they had is taken back. What is
    /// on its way already is still taken. Links without an address are not concerned.
    ///
    /// ```
    /// # use fakebroker::{Broker, Connector};
    /// # let broker = Broker::start()?;
    /// # let mut client = Connector::from_url(&broker.url())?.open()?;
    /// broker.withhold("queue.orders");
    /// let orders = client.sender("queue.orders")?;
    /// assert_eq!(broker.links()[0].credit, 0); // a send would wait now
    ///
    /// broker.grant("queue.orders", 1);
    /// client.send(&orders, "one coffee")?.accepted()?;
    /// assert_eq!(broker.links()[0].credit, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn withhold(&self, address: &str) {
        let address = node(address);
        self.ask(move |event_loop| {
            event_loop.router().withhold(&address);
            event_loop.settle_in();
        });
    }

    /// Lets each who sends to this address now send so many messages more, once.
    #[track_caller]
    pub fn grant(&self, address: &str, messages: u32) {
        let address = node(address);
        self.ask(move |event_loop| {
            event_loop.router().grant(&address, messages);
            event_loop.settle_in();
        });
    }

    /// Takes back [`Handle::withhold`]: who sends to this address gets credit as usual.
    #[track_caller]
    pub fn restore(&self, address: &str) {
        let address = node(address);
        self.ask(move |event_loop| {
            event_loop.router().restore(&address);
            event_loop.settle_in();
        });
    }

    /// Has this closure decide about each message that arrives from now on, whatever its address, before it is routed. It is
    /// called on the broker's thread, which does nothing else meanwhile, and it must not wait for the broker. One that
    /// panics is caught and taken out; [`Handle::verify`], [`Handle::wait_for`] and [`Broker::stop`](crate::Broker::stop)
    /// report it, so it may assert something. A new one takes the old one's place. What is possible: see [`Verdict`].
    ///
    /// ```
    /// use fakebroker::{Broker, Verdict};
    ///
    /// let broker = Broker::start()?;
    /// broker.on_message(|message| match message.as_text() {
    ///     Some("poison") => Verdict::reject("amqp:not-allowed", "not here"),
    ///     _ => Verdict::Forward,
    /// });
    ///
    /// // It may keep what it likes between calls: here, every message fails once.
    /// let mut numbers = std::collections::HashSet::new();
    /// broker.on_message(move |message| match &message.properties.message_id {
    ///     Some(id) if numbers.insert(id.to_string()) => Verdict::modify(),
    ///     _ => Verdict::Forward,
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn on_message(&self, hook: impl FnMut(&MessageRecord) -> Verdict + Send + 'static) {
        self.ask(|event_loop| event_loop.hooks().on_message = Some(Box::new(hook)));
    }

    /// Has this closure decide about each link that a client attaches from now on; how it is called: see
    /// [`Handle::on_message`]. The link that it is shown has no credit yet, and an address only if the client named one.
    ///
    /// ```
    /// # use fakebroker::{Admission, Broker, Connector};
    /// # let broker = Broker::start()?;
    /// # let mut client = Connector::from_url(&broker.url())?.open()?;
    /// broker.on_attach(|link| match link.address.as_deref() {
    ///     Some("queue.secret") => Admission::refuse("amqp:unauthorized-access", "not for you"),
    ///     _ => Admission::Allow,
    /// });
    /// let error = client.receiver("queue.secret").unwrap_err();
    /// assert_eq!(error.condition(), Some("amqp:unauthorized-access"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn on_attach(&self, hook: impl FnMut(&Link) -> Admission + Send + 'static) {
        self.ask(|event_loop| event_loop.hooks().on_attach = Some(Box::new(hook)));
    }

    /// Has this closure decide about each connection that is opened from now on, when the client has authenticated and said
    /// who it is; how it is called: see [`Handle::on_message`].
    ///
    /// ```
    /// # use fakebroker::{Admission, Broker, Connector};
    /// # let broker = Broker::start()?;
    /// broker.on_connect(|connection| match connection.container.as_deref() {
    ///     Some("shop") => Admission::Allow,
    ///     _ => Admission::refuse("amqp:not-allowed", "only the shop"),
    /// });
    /// let connector = Connector::from_url(&broker.url())?;
    /// assert!(connector.clone().container_id("shop").open().is_ok());
    /// let error = connector.container_id("bank").open().unwrap_err();
    /// assert_eq!(error.condition(), Some("amqp:not-allowed"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn on_connect(&self, hook: impl FnMut(&Connection) -> Admission + Send + 'static) {
        self.ask(|event_loop| event_loop.hooks().on_connect = Some(Box::new(hook)));
    }

    /// Has the broker take all hooks out when it is done with the one that this is called from.
    pub(super) fn clear_hooks_later(&self) {
        self.send(Command::Do(Box::new(|event_loop| drop(event_loop.take_hooks()))));
    }

    /// Takes all hooks out: from now on everything is as if there had been none.
    #[track_caller]
    pub fn clear_hooks(&self) {
        drop(self.ask(EventLoop::take_hooks));
    }
}
