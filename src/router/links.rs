//! The state of each link, found by its key without hashing (connections and links have dense slots), and how much each consumer
//! can be given now. That is counted in this file alone.
//!
//! A consumer can be given a message while three things last: its own credit, the window of its channel (shared with the other
//! consumers of the channel), and the room in its connection's outbox. Engines and event loop report what is added to each; what
//! is handed out is subtracted here.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::consumer_settings::ConsumerSettings;
use super::effects::Effects;
use super::exchange::Terminus;
pub(super) use super::node_id::NodeId;
use super::origins::OriginId;
use super::store::Waiting;
use crate::event::{Arrival, ConnectionKey, ConsumerRequest, Delivery, LinkId, LinkKey, Manner, Outcome, Ticket};
use crate::ledger::Ledger;
use crate::live::live;
use crate::message::Message;

/// Approximate bytes that a delivery takes in an outbox besides its payload.
const HEAD: i64 = 64;

/// A link on which a peer sends.
#[derive(Debug)]
pub(super) struct Producer {
    /// The name of the link, as its peer gave it.
    pub(super) name: Arc<str>,
    /// The node that its messages go to. None: each message names its own address, or they go to an exchange.
    pub(super) node: Option<NodeId>,
    /// The exchange that it is attached to.
    pub(super) exchange: Option<Box<Terminus>>,
    /// Whether this producer is in `Router::starved`: a message of its found no room, and the broker has not relaxed since.
    pub(super) starved: bool,
    /// Whether this producer is given credit by the test alone.
    pub(super) withheld: bool,
    /// Nodes that have fallen behind with messages from here, and so keep credit from it.
    pub(super) held_by: Vec<NodeId>,
}

impl Producer {
    pub(super) fn new(name: Arc<str>, node: Option<NodeId>) -> Producer {
        Producer { name, node, exchange: None, starved: false, withheld: false, held_by: Vec::new() }
    }

    /// Whether the router tops up its credit.
    pub(super) fn is_supplied(&self) -> bool {
        self.held_by.is_empty() && !self.withheld && !self.starved
    }
}

/// A link on which a peer receives.
#[derive(Debug)]
pub(super) struct Consumer {
    /// The name of the link, as its peer gave it.
    pub(super) name: Arc<str>,
    pub(super) node: NodeId,
    /// The channel whose window its deliveries use, if any.
    channel: Option<u16>,
    /// Whether its deliveries take from that window. Those that need no acknowledgement only wait for it (0-9-1).
    uses_window: bool,
    manner: Manner,
    /// Whether this consumer browses: it gets copies, and the queue keeps its messages.
    pub(super) browse: bool,
    /// Whether this consumer is not counted as a consumer of its node: it serves single requests (basic.get), or has retired.
    pub(super) passing: bool,
    pub(super) default_outcome: Outcome,
    pub(super) max_message_size: u64,
    /// Consumers of a lower priority are given messages only while those of a higher one can take none.
    pub(super) priority: i64,
    /// Messages that it can take now.
    pub(super) credit: i64,
    /// Whether the peer waits to be told that there is nothing more (link-credit with drain).
    pub(super) drain: bool,
    /// Whether this consumer is in its node's row of consumers that can be given a message.
    pub(super) is_ready: bool,
    /// Unanswered deliveries that need more than a counter when they end.
    pub(super) outstanding: Ledger<Outstanding>,
    /// The first place in a queue that it has not been offered yet: those before it were seen (browsing) or are not for it.
    pub(super) cursor: u64,
    /// The count of all messages handed out when this consumer was last given one. 0: never.
    served: u64,
    /// Whether this consumer is in the list of waiting consumers of its channel or its connection.
    is_waiting: bool,
    /// Deliveries that the event loop has not taken yet.
    pending: Vec<Delivery>,
}

/// An unanswered delivery of a consumer.
#[derive(Debug)]
pub(super) enum Outstanding {
    /// Taken from a queue. Returns there unless it is accepted or rejected.
    Queued(Waiting),
    /// Taken from a queue, settled, and not written in full yet. Returns to the queue if its end is never written.
    Unfinished(Waiting),
    /// A delivery whose outcome its sender waits for.
    EndToEnd(OriginId),
}

impl Consumer {
    pub(super) fn new(node: NodeId, browse: bool, request: ConsumerRequest, settings: ConsumerSettings) -> Consumer {
        Consumer {
            name: request.name,
            node,
            channel: request.channel,
            uses_window: request.prefetch.is_none() || request.manner != Manner::Settled,
            manner: request.manner,
            browse,
            passing: request.passing,
            default_outcome: request.default_outcome,
            max_message_size: request.max_message_size,
            priority: settings.priority,
            credit: 0,
            drain: false,
            is_ready: false,
            outstanding: Ledger::default(),
            cursor: 0,
            served: 0,
            is_waiting: false,
            pending: Vec::new(),
        }
    }

    /// Whether a delivery goes out settled, if its message came settled or not.
    pub(super) fn settles(&self, came_settled: bool) -> bool {
        match self.manner {
            Manner::Settled => true,
            Manner::Unsettled => false,
            Manner::Mixed => came_settled,
        }
    }

    pub(super) fn fits(&self, message: &Message) -> bool {
        message.payload.len() as u64 <= self.max_message_size
    }
}

/// A producer or a consumer.
#[derive(Debug)]
pub(super) enum End {
    Producer(Producer),
    Consumer(Box<Consumer>),
}

/// Waiting consumers: the highest priority first, then by when they were last served and by slot.
type Waiters = BTreeMap<(Reverse<i64>, u64, u32), LinkId>;

/// The window that the consumers of one channel share.
#[derive(Debug, Default)]
struct Window {
    units: i64,
    /// Bytes in one unit.
    unit: usize,
    /// Consumers with credit that wait for this window.
    waiting: Waiters,
}

#[derive(Debug, Default)]
struct Connection {
    serial: u32,
    /// Bytes that its outbox takes before the peer has to read some.
    room: i64,
    /// Consumers with credit that wait for room in the outbox.
    waiting: Waiters,
    windows: Vec<Window>,
    links: Vec<Option<(u32, End)>>,
}

impl Connection {
    fn is_open_for(&self, consumer: &Consumer) -> bool {
        // A single request is answered at once; its engine bounds how many of them there are.
        consumer.credit > 0
            && (consumer.passing || (self.room > 0 && self.window_of(consumer).is_none_or(|window| window.units > 0)))
    }

    fn window_of(&self, consumer: &Consumer) -> Option<&Window> {
        self.windows.get(usize::from(consumer.channel?))
    }
}

/// A consumer that can be given a message now, with the window and the room that it uses.
#[derive(Debug)]
pub(super) struct Taker<'a> {
    key: LinkKey,
    pub(super) consumer: &'a mut Consumer,
    window: Option<&'a mut Window>,
    room: &'a mut i64,
    served: &'a mut u64,
}

impl Taker<'_> {
    /// Counts the messages, from the first on, that the consumer can be given one after the other.
    pub(super) fn takes_of(&self, arrivals: &[Arrival]) -> usize {
        let (mut credit, mut room) = (self.consumer.credit, *self.room);
        let mut window = self.window.as_ref().map(|window| (window.units, window.unit));
        let mut count = 0;
        for Arrival { message, .. } in arrivals {
            let is_open = room > 0 && window.is_none_or(|(left, _)| left > 0);
            if credit <= 0 || !(is_open || self.consumer.passing) || !self.consumer.fits(message) {
                break;
            }
            credit -= 1;
            room -= bytes(message);
            if let Some((left, unit)) = &mut window
                && self.consumer.uses_window
            {
                *left -= units(message, *unit);
            }
            count += 1;
        }
        count
    }

    /// Counts the messages, from the first on, that the consumer can be given and that the engine can write in full at once.
    pub(super) fn finishes_of(&self, arrivals: &[Arrival]) -> usize {
        let count = self.takes_of(arrivals);
        let window = self.window.as_ref().filter(|_| self.consumer.uses_window);
        let mut window = window.map(|window| (window.units, window.unit));
        let finishes = |arrival: &&Arrival| {
            window.as_mut().is_none_or(|(left, unit)| {
                *left -= units(&arrival.message, *unit);
                *left >= 0
            })
        };
        arrivals.iter().take(count).take_while(finishes).count()
    }

    /// Whether a message may be larger than what the window lets the engine write at once.
    pub(super) fn may_not_finish(&self, message: &Message) -> bool {
        self.consumer.uses_window
            && self.window.as_ref().is_some_and(|window| units(message, window.unit) > window.units)
    }

    /// Hands the consumer a message and subtracts it from credit, window and room.
    pub(super) fn give(&mut self, message: Message, settled: bool, ticket: Ticket, effects: &mut Effects) {
        let units = self.window.as_ref().map_or(1, |window| units(&message, window.unit));
        self.consumer.credit -= 1;
        *self.room -= bytes(&message);
        if let Some(window) = &mut self.window
            && self.consumer.uses_window
        {
            window.units -= units;
        }
        *self.served += 1;
        self.consumer.served = *self.served;
        if self.consumer.pending.is_empty() {
            self.consumer.pending = effects.begin_delivery(self.key);
        }
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        self.consumer.pending.push(Delivery { message, settled, ticket, units });
    }
}

/// Returns the approximate bytes that a message takes in an outbox.
fn bytes(message: &Message) -> i64 {
    i64::try_from(message.payload.len()).unwrap_or(i64::MAX / 2) + HEAD
}

/// Returns the units of a window that a message takes.
fn units(message: &Message, unit: usize) -> i64 {
    let len = message.payload.len();
    // Nearly all messages fit one unit.
    if len <= unit { 1 } else { i64::try_from(len.div_ceil(unit.max(1))).unwrap_or(i64::MAX) }
}

/// All links, by connection slot and link slot.
#[derive(Debug, Default)]
pub(super) struct Links {
    connections: Vec<Connection>,
    /// Messages handed out so far, to all consumers.
    served: u64,
}

impl Links {
    fn find_connection(&self, key: ConnectionKey) -> Option<&Connection> {
        self.connections.get(key.slot as usize).filter(|connection| connection.serial == key.serial)
    }

    fn find_connection_mut(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        self.connections.get_mut(key.slot as usize).filter(|connection| connection.serial == key.serial)
    }

    /// Finds a link. None if it has been detached: keys may be stale.
    pub(super) fn find(&self, key: LinkKey) -> Option<&End> {
        let (serial, end) = self.find_connection(key.connection)?.links.get(key.link.slot as usize)?.as_ref()?;
        (*serial == key.link.serial).then_some(end)
    }

    fn find_mut(&mut self, key: LinkKey) -> Option<&mut End> {
        let connection = self.find_connection_mut(key.connection)?;
        let (serial, end) = connection.links.get_mut(key.link.slot as usize)?.as_mut()?;
        (*serial == key.link.serial).then_some(end)
    }

    /// Finds a producer. None if it has been detached.
    pub(super) fn find_producer_mut(&mut self, key: LinkKey) -> Option<&mut Producer> {
        match self.find_mut(key)? {
            End::Producer(producer) => Some(producer),
            End::Consumer(_) => None,
        }
    }

    /// Finds a consumer. None if it has been detached.
    pub(super) fn find_consumer(&self, key: LinkKey) -> Option<&Consumer> {
        match self.find(key)? {
            End::Consumer(consumer) => Some(consumer),
            End::Producer(_) => None,
        }
    }

    /// Finds a consumer. None if it has been detached.
    pub(super) fn find_consumer_mut(&mut self, key: LinkKey) -> Option<&mut Consumer> {
        match self.find_mut(key)? {
            End::Consumer(consumer) => Some(consumer),
            End::Producer(_) => None,
        }
    }

    /// Returns a consumer that is in its node's lists, and so must exist.
    pub(super) fn at_node(&self, key: LinkKey) -> Option<&Consumer> {
        live(self.find_consumer(key), "a consumer of a node")
    }

    /// Returns a consumer that is in its node's lists, and so must exist.
    pub(super) fn at_node_mut(&mut self, key: LinkKey) -> Option<&mut Consumer> {
        live(self.find_consumer_mut(key), "a consumer of a node")
    }

    /// Returns the consumer if it can be given a message now. One with credit that only its channel or its connection blocks is
    /// added to the waiting consumers there: see [`Links::next_waiting`].
    pub(super) fn taker(&mut self, key: LinkKey) -> Option<Taker<'_>> {
        let connection = self.connections.get_mut(key.connection.slot as usize)?;
        if connection.serial != key.connection.serial {
            return None;
        }
        let Connection { room, waiting, windows, links, .. } = connection;
        let Some((serial, End::Consumer(consumer))) = links.get_mut(key.link.slot as usize)? else { return None };
        if *serial != key.link.serial {
            return None;
        }
        // Single requests use no window.
        let channel = consumer.channel.filter(|_| !consumer.passing);
        let window = channel.and_then(|channel| windows.get_mut(usize::from(channel)));
        let is_closed = window.as_ref().is_some_and(|window| window.units <= 0);
        if consumer.credit <= 0 {
            return None;
        }
        if consumer.passing || (*room > 0 && !is_closed) {
            return Some(Taker { key, consumer, window, room, served: &mut self.served });
        }
        if !std::mem::replace(&mut consumer.is_waiting, true) {
            let place = (Reverse(consumer.priority), consumer.served, key.link.slot);
            match window.filter(|_| is_closed) {
                Some(window) => window.waiting.insert(place, key.link),
                None => waiting.insert(place, key.link),
            };
        }
        None
    }

    /// Whether a consumer can be given a message now.
    pub(super) fn can_take(&self, key: LinkKey) -> bool {
        self.find_connection(key.connection)
            .zip(self.find_consumer(key))
            .is_some_and(|(connection, consumer)| connection.is_open_for(consumer))
    }

    /// Whether a consumer can be given this message now.
    pub(super) fn can_take_this(&self, key: LinkKey, message: &Message) -> bool {
        self.find_connection(key.connection)
            .zip(self.find_consumer(key))
            .is_some_and(|(connection, consumer)| consumer.fits(message) && connection.is_open_for(consumer))
    }

    /// Whether a consumer has credit and is blocked by its channel or its connection.
    pub(super) fn is_blocked(&self, key: LinkKey) -> bool {
        self.find_consumer(key).is_some_and(|consumer| consumer.credit > 0) && !self.can_take(key)
    }

    /// Takes the deliveries that have gathered for a consumer. None if there are none, or the consumer has been detached.
    pub(super) fn take_pending(&mut self, key: LinkKey) -> Option<Vec<Delivery>> {
        let pending = std::mem::take(&mut self.find_consumer_mut(key)?.pending);
        (!pending.is_empty()).then_some(pending)
    }

    /// Opens a channel with a window of `units` units of `unit` bytes.
    pub(super) fn open_channel(&mut self, key: ConnectionKey, channel: u16, units: i64, unit: usize) {
        let windows = &mut self.slot_of(key).windows;
        let index = usize::from(channel);
        if windows.len() <= index {
            windows.resize_with(index + 1, Window::default);
        }
        if let Some(window) = windows.get_mut(index) {
            *window = Window { units, unit, waiting: Waiters::new() };
        }
    }

    /// Adds `more` units, which may be negative, to the window of a channel.
    pub(super) fn widen(&mut self, key: ConnectionKey, channel: u16, more: i64) {
        // The connection may have been detached meanwhile.
        let Some(connection) = self.find_connection_mut(key) else { return };
        if let Some(window) = live(connection.windows.get_mut(usize::from(channel)), "an open channel") {
            window.units = window.units.saturating_add(more);
        }
    }

    /// Sets how many bytes the outbox of a connection takes.
    pub(super) fn set_room(&mut self, key: ConnectionKey, room: i64) {
        self.slot_of(key).room = room;
    }

    /// Sets the room of a connection and returns true, unless it has none left.
    pub(super) fn refill(&mut self, key: ConnectionKey, room: i64) -> bool {
        let connection = self.slot_of(key);
        let has_some = connection.room > 0;
        if has_some {
            connection.room = room;
        }
        has_some
    }

    /// Lists the channels of a connection that have an open window and waiting consumers.
    pub(super) fn waiting_channels(&self, key: ConnectionKey) -> Vec<u16> {
        let windows = self.find_connection(key).map(|connection| connection.windows.as_slice()).unwrap_or_default();
        let waits = |window: &Window| window.units > 0 && !window.waiting.is_empty();
        windows.iter().zip(0..).filter(|(window, _)| waits(window)).map(|(_, channel)| channel).collect()
    }

    /// Takes out the waiting consumer of a channel (of the connection, if `channel` is none) that is served next: of those with
    /// the highest priority the one that was served longest ago. None if there is none or the window or the room is used up.
    pub(super) fn next_waiting(&mut self, key: ConnectionKey, channel: Option<u16>) -> Option<LinkKey> {
        let connection = self.find_connection_mut(key).filter(|connection| connection.room > 0)?;
        let row = match channel {
            None => &mut connection.waiting,
            Some(channel) => {
                let window = connection.windows.get_mut(usize::from(channel))?;
                if window.units <= 0 {
                    return None;
                }
                &mut window.waiting
            }
        };
        while let Some((_, link)) = row.pop_first() {
            let link_slot = connection.links.get_mut(link.slot as usize).and_then(Option::as_mut);
            // Consumers that have been detached meanwhile are skipped.
            if let Some((serial, End::Consumer(consumer))) = link_slot
                && *serial == link.serial
            {
                consumer.is_waiting = false;
                return Some(LinkKey { connection: key, link });
            }
        }
        None
    }

    pub(super) fn add_producer(&mut self, key: LinkKey, producer: Producer) {
        self.add(key, End::Producer(producer));
    }

    pub(super) fn add_consumer(&mut self, key: LinkKey, consumer: Consumer) {
        self.add(key, End::Consumer(Box::new(consumer)));
    }

    fn add(&mut self, key: LinkKey, end: End) {
        let links = &mut self.slot_of(key.connection).links;
        let index = key.link.slot as usize;
        if links.len() <= index {
            links.resize_with(index + 1, || None);
        }
        if let Some(slot) = links.get_mut(index) {
            debug_assert!(slot.is_none(), "a slot is freed before it is taken again");
            *slot = Some((key.link.serial, end));
        }
    }

    /// Returns the entry of a connection, and makes it if this is the first event of the connection.
    fn slot_of(&mut self, key: ConnectionKey) -> &mut Connection {
        let index = key.slot as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, Connection::default);
        }
        #[expect(clippy::indexing_slicing, reason = "resized above")]
        let connection = &mut self.connections[index];
        if connection.serial != key.serial {
            *connection = Connection { serial: key.serial, ..Connection::default() };
        }
        connection
    }

    /// Removes a link. None if it has been removed before.
    pub(super) fn remove(&mut self, key: LinkKey) -> Option<End> {
        self.find(key)?;
        let connection = self.find_connection_mut(key.connection)?;
        connection.links.get_mut(key.link.slot as usize)?.take().map(|(_, end)| end)
    }

    /// Iterates over all links.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkKey, &End)> {
        self.connections.iter().zip(0..).flat_map(|(connection, slot)| {
            let key = ConnectionKey { slot, serial: connection.serial };
            connection.links.iter().zip(0..).filter_map(move |(link, slot)| {
                let (serial, end) = link.as_ref()?;
                Some((LinkKey { connection: key, link: LinkId { slot, serial: *serial } }, end))
            })
        })
    }

    /// Lists the links of a connection.
    pub(super) fn of(&self, key: ConnectionKey) -> Vec<LinkKey> {
        let links = self.find_connection(key).map(|connection| connection.links.as_slice()).unwrap_or_default();
        links
            .iter()
            .zip(0..)
            .filter_map(|(link, slot)| link.as_ref().map(|(serial, _)| LinkId { slot, serial: *serial }))
            .map(|link| LinkKey { connection: key, link })
            .collect()
    }

    pub(super) fn forget(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.find_connection_mut(key) {
            *connection = Connection { serial: key.serial, ..Connection::default() };
        }
    }
}
