//! The channel: one connection with one session, and the state of its links. It has the place of the broker's router:
//! it takes the engine's events ([`Event`]) and applies effects ([`Effect`]). Frames, handles and delivery-ids are the
//! engine's.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::error::{Error, ErrorKind, Step};
use super::link::{End, Receiver, Receiving, Sender, Sending};
use super::stream::{Received, Stream};
use super::{Connector, after};
use crate::amqp10::Connection;
use crate::config::EngineConfig;
use crate::event::{ConnectionKey, Effect, Event, Fault, LinkId, LinkKey, Reason, Reply, Run};
use crate::live::live;

/// The key of the only connection.
const HERE: ConnectionKey = ConnectionKey { slot: 0, serial: 0 };

/// The name of a link in the errors of [`live`].
pub(super) const A_LINK: &str = "a link of the channel";

/// The serial of the next channel. A serial tells the links of one channel from those of another.
static CHANNELS: AtomicU64 = AtomicU64::new(0);

/// The peer, as its `open` describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Its container-id.
    pub container: String,
    /// The properties of its `open` that are text: `product`, `version` and the like.
    pub properties: Vec<(String, String)>,
    /// The capabilities that it offers.
    pub capabilities: Vec<String>,
    /// The largest frame that it takes, in bytes.
    pub max_frame_size: u32,
    /// The SASL mechanisms that it offers. None where there was no SASL layer.
    pub mechanisms: Vec<String>,
}

/// An open connection with a session: sends and receives on links. See [the module](super) for an example.
///
/// Dropping a channel closes the socket without a close, as a client that crashes would; [`Channel::disconnect`] closes
/// cleanly. After an error of the whole connection every call fails with the same error.
#[derive(Debug)]
pub struct Channel {
    pub(super) serial: u64,
    pub(super) connector: Connector,
    pub(super) stream: Stream,
    pub(super) engine: Connection,
    pub(super) session: usize,
    pub(super) links: HashMap<LinkId, End>,
    /// The error of the whole connection, if there was one.
    pub(super) dead: Option<ErrorKind>,
    /// The number of names given to links and requests.
    pub(super) named: u64,
    /// The links of [`Channel::request`], by address.
    pub(super) requesters: HashMap<Arc<str>, Sender>,
    pub(super) replies: Option<Receiver>,
    /// The deadline and the timeout of a request, which hold for all of its steps.
    pub(super) limit: Option<(Instant, Duration)>,
    peer: Peer,
    opened: bool,
    /// The session that the peer began last, and the one that it ended last.
    begun: Option<usize>,
    ended: Option<usize>,
}

impl Channel {
    pub(super) fn open(
        connector: &Connector,
        config: Arc<EngineConfig>,
        mut stream: Stream,
        peer: Peer,
    ) -> Result<Channel, Error> {
        let step = Step::OpenChannel;
        let now = Instant::now();
        let deadline = after(now, connector.timeout_for(step));
        let name = stream.peer_name().into();
        let hostname = Some(connector.hostname().into());
        // The channel keeps the deadlines; the engine's own is for peers that nobody waits for.
        let until = after(now, Duration::MAX);
        let engine = Connection::open(config, name, hostname, now, until, &mut stream.outbox);
        let mut channel = Channel {
            serial: CHANNELS.fetch_add(1, Ordering::Relaxed),
            connector: connector.clone(),
            stream,
            engine,
            session: 0,
            links: HashMap::new(),
            dead: None,
            named: 0,
            requesters: HashMap::new(),
            replies: None,
            limit: None,
            peer,
            opened: false,
            begun: None,
            ended: None,
        };
        channel.wait_for(step, deadline, |channel| channel.opened.then_some(Ok(())))?;
        channel.session = channel.begin(step, deadline)?;
        Ok(channel)
    }

    fn begin(&mut self, step: Step, deadline: Instant) -> Result<usize, Error> {
        (self.begun, self.ended) = (None, None);
        let Some(session) = self.engine.begin(Instant::now(), &mut self.stream.outbox) else {
            return Err(Error::new(step, ErrorKind::Usage("the peer allows no more sessions".into())));
        };
        self.wait_for(step, deadline, |channel| (channel.begun == Some(session)).then_some(Ok(())))?;
        Ok(session)
    }

    /// The peer, as its `open` describes it.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Begins a session and ends it again, which every peer answers. Returns how long the peer's begin took.
    ///
    /// # Errors
    /// When the connection has failed, or no answer comes within the step's timeout.
    pub fn round_trip(&mut self) -> Result<Duration, Error> {
        let step = Step::RoundTrip;
        let (began, deadline) = self.begin_step(step)?;
        let session = self.begin(step, deadline)?;
        let took = began.elapsed();
        self.engine.end(session, Instant::now(), &mut self.stream.outbox);
        self.wait_for(step, deadline, |channel| (channel.ended == Some(session)).then_some(Ok(())))?;
        Ok(took)
    }

    /// Closes the connection, and waits for the peer's close.
    ///
    /// # Errors
    /// When it had closed before, with its reason, or does not answer within the step's timeout. The socket is closed
    /// anyway.
    pub fn disconnect(mut self) -> Result<(), Error> {
        let step = Step::Disconnect;
        let (now, deadline) = self.begin_step(step)?;
        self.engine.close_cleanly(now, &mut self.stream.outbox);
        self.wait_for(step, deadline, |channel| match channel.engine.is_closed() {
            true => Some(Ok(())),
            false => None,
        })
    }

    /// The time, and the deadline of a step that begins now. Fails if the connection has failed.
    pub(super) fn begin_step(&self, step: Step) -> Result<(Instant, Instant), Error> {
        if let Some(dead) = &self.dead {
            return Err(Error::new(step, dead.again()));
        }
        let now = Instant::now();
        let deadline = after(now, self.connector.timeout_for(step));
        Ok((now, self.limit.map_or(deadline, |(limit, _)| limit.min(deadline))))
    }

    pub(super) fn key(&self, link: LinkId) -> LinkKey {
        LinkKey { connection: HERE, link }
    }

    pub(super) fn apply(&mut self, effect: Effect) {
        self.engine.apply(effect, Instant::now(), &mut self.stream.outbox);
    }

    /// Like [`Channel::wait`], but fails when time is up.
    pub(super) fn wait_for<T>(
        &mut self,
        step: Step,
        deadline: Instant,
        done: impl FnMut(&mut Channel) -> Option<Result<T, ErrorKind>>,
    ) -> Result<T, Error> {
        if let Some(result) = self.wait(step, deadline, done)? {
            return Ok(result);
        }
        let limited = self.limit.filter(|(limit, _)| *limit == deadline).map(|(_, timeout)| timeout);
        let timeout = limited.unwrap_or_else(|| self.connector.timeout_for(step));
        Err(Error::new(step, ErrorKind::TimedOut(timeout)))
    }

    /// Reads and writes until `done` returns something, which is called after all events that have come. None when time
    /// is up.
    pub(super) fn wait<T>(
        &mut self,
        step: Step,
        deadline: Instant,
        mut done: impl FnMut(&mut Channel) -> Option<Result<T, ErrorKind>>,
    ) -> Result<Option<T>, Error> {
        // The error of a write. What the peer sent before is still read.
        let mut broken = None;
        let mut at_end = false;
        // Whether the peer takes no more octets now: what it has sent is read first.
        let mut listening = false;
        loop {
            let now = Instant::now();
            self.engine.handle_timeout(now, &mut self.stream.outbox);
            self.process(now);
            self.engine.finish_turn(now, &mut self.stream.outbox);
            self.process(now);
            if at_end {
                self.dead.get_or_insert_with(|| broken.take().unwrap_or_else(ErrorKind::hung_up));
            }
            if broken.is_none() && !listening {
                match self.stream.write(deadline) {
                    Ok(taken) => listening = !taken,
                    Err(error) => broken = Some(ErrorKind::Io(error)),
                }
            }
            if let Some(result) = done(self) {
                return result.map(Some).map_err(|kind| Error::new(step, kind));
            }
            if let Some(dead) = &self.dead {
                return Err(Error::new(step, dead.again()));
            }
            let until = if listening { now } else { self.engine.deadline().map_or(deadline, |at| at.min(deadline)) };
            match self.stream.read(until) {
                Ok(Received::Bytes) => {}
                Ok(Received::Nothing) => {
                    listening = false;
                    if Instant::now() >= deadline {
                        return Ok(None);
                    }
                }
                Ok(Received::End) => at_end = true,
                Err(error) => {
                    broken.get_or_insert(ErrorKind::Io(error));
                    at_end = true;
                }
            }
        }
    }

    /// Writes the output that has gathered.
    pub(super) fn flush(&mut self, step: Step, deadline: Instant) -> Result<(), Error> {
        self.engine.finish_turn(Instant::now(), &mut self.stream.outbox);
        if self.stream.outbox.is_empty() {
            return Ok(());
        }
        let written = self.stream.write(deadline);
        // A connection that has failed already has told its error: nothing more need arrive.
        if self.dead.is_some() || matches!(written, Ok(true)) {
            return Ok(());
        }
        // The peer may wait for its own output to be read, or have sent the reason of its end.
        self.wait_for(step, deadline, |channel| channel.stream.outbox.is_empty().then_some(Ok(())))
    }

    fn process(&mut self, now: Instant) {
        let mut run = Run::default();
        while let Some(event) = self.engine.receive(&mut self.stream.inbox, now, &mut self.stream.outbox, &mut run) {
            self.on_event(event, &mut run);
        }
        while let Some(breach) = self.engine.poll_breach() {
            self.dead.get_or_insert_with(|| breach.into());
        }
    }

    /// Takes an event of the engine.
    fn on_event(&mut self, event: Event, run: &mut Run) {
        match event {
            Event::Reply(reply) => self.on_reply(*reply),
            Event::Credit { link, more, drain } => {
                if let Some(sender) = self.sending(link) {
                    // 2.6.7: what was sent has gone, so a peer that drains is answered that there is no more.
                    let credit = i64::from(sender.credit).saturating_add(more).max(0);
                    sender.credit = if drain { 0 } else { u32::try_from(credit).unwrap_or(u32::MAX) };
                }
                if drain {
                    self.apply(Effect::Drained { link: self.key(link), left: 0 });
                }
            }
            Event::Messages { link, .. } => {
                let arrivals = run.arrivals.drain(..);
                if let Some(receiver) = self.receiving(link) {
                    arrivals.for_each(|arrival| receiver.arrived(arrival));
                }
            }
            Event::Answer { link, first, count, outcome } => {
                if let Some(sender) = self.sending(link) {
                    (0..count).for_each(|index| sender.answered(first.later(index), outcome.clone()));
                }
            }
            Event::Detach { gone } => {
                for link in gone {
                    if let Some(end) = live(self.links.get_mut(&link), A_LINK) {
                        end.gone("the link ended with its session", None);
                    }
                }
            }
            // A client has no nodes to attach to.
            Event::AttachProducer { link, .. } => self.refuse(link),
            Event::AttachConsumer(request) => self.refuse(request.link),
            // Events that only a broker takes, or that other protocols have.
            Event::Opened(_)
            | Event::Sent { .. }
            | Event::ChannelOpened { .. }
            | Event::Window { .. }
            | Event::Retire { .. }
            | Event::Declare(_)
            | Event::Delete { .. }
            | Event::Purge { .. }
            | Event::Topology(_)
            | Event::Leave => {}
        }
    }

    /// The state of a link that sends. The engine names the link, or the caller has not closed it.
    pub(super) fn sending(&mut self, link: LinkId) -> Option<&mut Sending> {
        live(self.links.get_mut(&link).and_then(End::as_sending), A_LINK)
    }

    /// The state of a link that receives. The engine names the link, or the caller has not closed it.
    pub(super) fn receiving(&mut self, link: LinkId) -> Option<&mut Receiving> {
        live(self.links.get_mut(&link).and_then(End::as_receiving), A_LINK)
    }

    fn refuse(&mut self, link: LinkId) {
        let fault = Box::new(Fault::new(Reason::NotFound, "nothing can be attached to at a client"));
        self.apply(Effect::Refused { link: self.key(link), fault });
    }

    fn on_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Opened { container, max_frame_size, offers, properties } => {
                self.opened = true;
                self.peer.container = container.to_string();
                self.peer.max_frame_size = max_frame_size;
                self.peer.capabilities = offers.iter().map(ToString::to_string).collect();
                self.peer.properties =
                    properties.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
            }
            Reply::Begun { session } => self.begun = Some(session),
            Reply::Attached { link, address, max_message_size } => {
                if let Some(end) = live(self.links.get_mut(&link), A_LINK) {
                    end.attached(address, max_message_size);
                    if end.is_unwanted() {
                        self.engine.close_link(link, Instant::now(), &mut self.stream.outbox);
                    }
                }
            }
            Reply::Drained { link } => {
                if let Some(receiver) = self.receiving(link) {
                    receiver.drained();
                }
            }
            Reply::Detached { link, fault } => match self.links.get_mut(&link) {
                Some(end) if end.is_unwanted() => {
                    self.links.remove(&link);
                }
                Some(end) => end.gone("the peer has detached the link", fault),
                // 2.6.5: the answer to the detach of a link that broke a rule; the channel has removed it.
                None => {}
            },
            Reply::Ended { session, .. } if session != self.session => self.ended = Some(session),
            Reply::Ended { fault, .. } => {
                self.dead.get_or_insert_with(|| ErrorKind::ended("the peer has ended the session", fault));
            }
            Reply::Closed { fault } => {
                self.dead.get_or_insert_with(|| ErrorKind::ended("the peer has closed the connection", fault));
            }
        }
    }
}
