//! What the router knows of each link, found by its key without hashing: connections and links have dense slots. And how much
//! each consumer can be given now, which is counted here and nowhere else.
//!
//! A consumer can be given a message while three things last: its own credit, the window of its channel (shared with the other
//! consumers there), and the room in its connection's outbox. Engines and event loop say what is added to each; what is
//! handed out is taken off here.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::effects::Effects;
use super::exchange::Terminus;
pub(super) use super::node_id::NodeId;
use super::origins::OriginId;
use super::store::Waiting;
use crate::event::{Arrival, ConnectionKey, ConsumerRequest, Delivery, LinkId, LinkKey, Manner, Outcome, Ticket};
use crate::ledger::Ledger;
use crate::live::live;
use crate::message::Message;

/// What a delivery takes in an outbox beside its payload, about.
const HEAD: i64 = 64;

/// A link that a peer sends on.
#[derive(Debug)]
pub(super) struct Producer {
    /// What its peer calls it.
    pub(super) name: Arc<str>,
    /// Where its messages go. None: each says so itself, or an exchange does.
    pub(super) node: Option<NodeId>,
    /// The exchange that it sends to.
    pub(super) exchange: Option<Box<Terminus>>,
    /// There was no room for a message of its, and half of all room has not come free since.
    pub(super) starved: bool,
    /// It gets credit only when the test says so.
    pub(super) withheld: bool,
    /// Nodes that have fallen behind with what came from here.
    pub(super) held_by: Vec<NodeId>,
}

impl Producer {
    pub(super) fn new(name: Arc<str>, node: Option<NodeId>) -> Producer {
        Producer { name, node, exchange: None, starved: false, withheld: false, held_by: Vec::new() }
    }

    /// Whether its credit is kept up as it is used.
    pub(super) fn is_supplied(&self) -> bool {
        self.held_by.is_empty() && !self.withheld && !self.starved
    }
}

/// A link that a peer receives on.
#[derive(Debug)]
pub(super) struct Consumer {
    /// What its peer calls it.
    pub(super) name: Arc<str>,
    pub(super) node: NodeId,
    /// The channel whose window its deliveries use, if they use one.
    channel: Option<u16>,
    manner: Manner,
    /// It takes copies and leaves what is stored in its place.
    pub(super) browse: bool,
    /// It does not count as one of its node's: it looks in now and then, or has retired.
    pub(super) passing: bool,
    pub(super) default_outcome: Outcome,
    pub(super) max_message_size: u64,
    /// Messages that it takes from now.
    pub(super) credit: i64,
    /// It wants to be told when there is nothing more for it.
    pub(super) drain: bool,
    /// It stands in its node's row of those that wait for a message.
    pub(super) is_ready: bool,
    /// Deliveries whose answer matters to more than the counters.
    pub(super) outstanding: Ledger<Outstanding>,
    /// Before this place in a queue there is nothing for it: it has seen it (browsing) or may not have it.
    pub(super) cursor: u64,
    /// When it was last given a message, by the count of all that were handed out. 0 is never.
    served: u64,
    /// It has been found to have credit and is kept waiting by its channel or its connection, which remembers it.
    is_waiting: bool,
    /// What it has been handed and the event loop has not taken yet.
    pending: Vec<Delivery>,
}

/// A delivery that a consumer has not answered yet.
#[derive(Debug)]
pub(super) enum Outstanding {
    /// Taken from a queue, and to go back there unless it is accepted or rejected.
    Queued(Waiting),
    /// Taken from a queue and going out settled, piece by piece: it goes back if its end is never written.
    Unfinished(Waiting),
    /// Its sender waits for the outcome.
    EndToEnd(OriginId),
}

impl Consumer {
    pub(super) fn new(node: NodeId, browse: bool, request: ConsumerRequest) -> Consumer {
        Consumer {
            name: request.name,
            node,
            channel: request.channel,
            manner: request.manner,
            browse,
            passing: request.passing,
            default_outcome: request.default_outcome,
            max_message_size: request.max_message_size,
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

    /// Whether a delivery goes out settled that came in so or not.
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

/// Either kind of link.
#[derive(Debug)]
pub(super) enum End {
    Producer(Producer),
    Consumer(Box<Consumer>),
}

/// Consumers that are kept waiting, by when they were served last and their slots.
type Waiters = BTreeMap<(u64, u32), LinkId>;

/// What the consumers of one channel can be sent together.
#[derive(Debug, Default)]
struct Window {
    units: i64,
    /// Bytes of one unit.
    unit: usize,
    /// Consumers with credit that it keeps waiting.
    waiting: Waiters,
}

#[derive(Debug, Default)]
struct Connection {
    serial: u32,
    /// Bytes that its outbox takes before its peer has to read some.
    room: i64,
    /// Consumers with credit that wait for room.
    waiting: Waiters,
    windows: Vec<Window>,
    links: Vec<Option<(u32, End)>>,
}

impl Connection {
    fn is_open_for(&self, consumer: &Consumer) -> bool {
        // Who asks for one message at a time is answered at once; that it cannot flood us is its engine's matter.
        consumer.credit > 0
            && (consumer.passing || (self.room > 0 && self.window_of(consumer).is_none_or(|window| window.units > 0)))
    }

    fn window_of(&self, consumer: &Consumer) -> Option<&Window> {
        self.windows.get(usize::from(consumer.channel?))
    }
}

/// A consumer that can be given a message now.
#[derive(Debug)]
pub(super) struct Taker<'a> {
    key: LinkKey,
    pub(super) consumer: &'a mut Consumer,
    window: Option<&'a mut Window>,
    room: &'a mut i64,
    served: &'a mut u64,
}

impl Taker<'_> {
    /// How many of these messages, from the first, it can be given one after the other.
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
            if let Some((left, unit)) = &mut window {
                *left -= units(message, *unit);
            }
            count += 1;
        }
        count
    }

    /// How many of these messages, from the first, it can be given and will be written to their end at once.
    pub(super) fn finishes_of(&self, arrivals: &[Arrival]) -> usize {
        let count = self.takes_of(arrivals);
        let mut window = self.window.as_ref().map(|window| (window.units, window.unit));
        let finishes = |arrival: &&Arrival| {
            window.as_mut().is_none_or(|(left, unit)| {
                *left -= units(&arrival.message, *unit);
                *left >= 0
            })
        };
        arrivals.iter().take(count).take_while(finishes).count()
    }

    /// Whether a message may be larger than what can be written of it at once.
    pub(super) fn may_not_finish(&self, message: &Message) -> bool {
        self.window.as_ref().is_some_and(|window| units(message, window.unit) > window.units)
    }

    /// Hands it a message.
    pub(super) fn give(&mut self, message: Message, settled: bool, ticket: Ticket, effects: &mut Effects) {
        let units = self.window.as_ref().map_or(1, |window| units(&message, window.unit));
        self.consumer.credit -= 1;
        *self.room -= bytes(&message);
        if let Some(window) = &mut self.window {
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

/// Bytes that a message takes in an outbox, about.
fn bytes(message: &Message) -> i64 {
    i64::try_from(message.payload.len()).unwrap_or(i64::MAX / 2) + HEAD
}

/// Units of a window that a message takes.
fn units(message: &Message, unit: usize) -> i64 {
    let len = message.payload.len();
    // Nearly all fit one.
    if len <= unit { 1 } else { i64::try_from(len.div_ceil(unit.max(1))).unwrap_or(i64::MAX) }
}

/// All links, by connection slot and link slot.
#[derive(Debug, Default)]
pub(super) struct Links {
    connections: Vec<Connection>,
    /// Messages that were handed out.
    served: u64,
}

impl Links {
    fn connection(&self, key: ConnectionKey) -> Option<&Connection> {
        self.connections.get(key.slot as usize).filter(|connection| connection.serial == key.serial)
    }

    fn connection_mut(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        self.connections.get_mut(key.slot as usize).filter(|connection| connection.serial == key.serial)
    }

    /// The link of this name. None if it is gone: names may be stale.
    pub(super) fn find(&self, key: LinkKey) -> Option<&End> {
        let (serial, end) = self.connection(key.connection)?.links.get(key.link.slot as usize)?.as_ref()?;
        (*serial == key.link.serial).then_some(end)
    }

    fn find_mut(&mut self, key: LinkKey) -> Option<&mut End> {
        let connection = self.connection_mut(key.connection)?;
        let (serial, end) = connection.links.get_mut(key.link.slot as usize)?.as_mut()?;
        (*serial == key.link.serial).then_some(end)
    }

    /// The producer of this name, if it is still there.
    pub(super) fn producer_mut(&mut self, key: LinkKey) -> Option<&mut Producer> {
        match self.find_mut(key)? {
            End::Producer(producer) => Some(producer),
            End::Consumer(_) => None,
        }
    }

    /// The consumer of this name, if it is still there.
    pub(super) fn consumer(&self, key: LinkKey) -> Option<&Consumer> {
        match self.find(key)? {
            End::Consumer(consumer) => Some(consumer),
            End::Producer(_) => None,
        }
    }

    /// The consumer of this name, if it is still there.
    pub(super) fn consumer_mut(&mut self, key: LinkKey) -> Option<&mut Consumer> {
        match self.find_mut(key)? {
            End::Consumer(consumer) => Some(consumer),
            End::Producer(_) => None,
        }
    }

    /// A consumer that stands at a node, which must be there as long as it does.
    pub(super) fn at_node(&mut self, key: LinkKey) -> Option<&mut Consumer> {
        live(self.consumer_mut(key), "a consumer of a node")
    }

    /// The consumer, if it can be given a message now. One that only its channel or its connection keeps from that is
    /// remembered: see [`Links::next_waiting`].
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
        // What is asked for one by one is counted in no window.
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
            let place = (consumer.served, key.link.slot);
            match window.filter(|_| is_closed) {
                Some(window) => window.waiting.insert(place, key.link),
                None => waiting.insert(place, key.link),
            };
        }
        None
    }

    /// Whether a consumer can be given a message now.
    pub(super) fn can_take(&self, key: LinkKey) -> bool {
        self.connection(key.connection)
            .zip(self.consumer(key))
            .is_some_and(|(connection, consumer)| connection.is_open_for(consumer))
    }

    /// Whether a consumer can be given this message now.
    pub(super) fn can_take_this(&self, key: LinkKey, message: &Message) -> bool {
        self.connection(key.connection)
            .zip(self.consumer(key))
            .is_some_and(|(connection, consumer)| consumer.fits(message) && connection.is_open_for(consumer))
    }

    /// Whether a consumer with credit is kept waiting by its channel or its connection.
    pub(super) fn is_blocked(&self, key: LinkKey) -> bool {
        self.consumer(key).is_some_and(|consumer| consumer.credit > 0) && !self.can_take(key)
    }

    /// What a consumer has been handed since the last time.
    pub(super) fn take_pending(&mut self, key: LinkKey) -> Option<Vec<Delivery>> {
        let pending = std::mem::take(&mut self.consumer_mut(key)?.pending);
        (!pending.is_empty()).then_some(pending)
    }

    /// A channel begins with this window.
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

    /// The window of a channel becomes wider, or narrower.
    pub(super) fn widen(&mut self, key: ConnectionKey, channel: u16, more: i64) {
        let connection = self.connection_mut(key);
        if let Some(window) = connection.and_then(|connection| connection.windows.get_mut(usize::from(channel))) {
            window.units = window.units.saturating_add(more);
        }
    }

    /// The outbox of a connection takes this many bytes.
    pub(super) fn set_room(&mut self, key: ConnectionKey, room: i64) {
        self.slot_of(key).room = room;
    }

    /// Sets the room of a connection that has some left. False if it has none.
    pub(super) fn refill(&mut self, key: ConnectionKey, room: i64) -> bool {
        let connection = self.slot_of(key);
        let has_some = connection.room > 0;
        if has_some {
            connection.room = room;
        }
        has_some
    }

    /// The channels of a connection that keep consumers waiting though their windows are open.
    pub(super) fn waiting_channels(&self, key: ConnectionKey) -> Vec<u16> {
        let windows = self.connection(key).map(|connection| connection.windows.as_slice()).unwrap_or_default();
        let waits = |window: &Window| window.units > 0 && !window.waiting.is_empty();
        windows.iter().zip(0..).filter(|(window, _)| waits(window)).map(|(_, channel)| channel).collect()
    }

    /// Takes out a consumer that its channel, or its connection if `channel` is none, kept waiting and keeps waiting no more:
    /// the one that was served longest ago.
    pub(super) fn next_waiting(&mut self, key: ConnectionKey, channel: Option<u16>) -> Option<LinkKey> {
        let connection = self.connection_mut(key).filter(|connection| connection.room > 0)?;
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
            // Those that have gone since are passed over.
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

    /// The connection's place, made if this is the first that is heard of it.
    fn slot_of(&mut self, key: ConnectionKey) -> &mut Connection {
        let index = key.slot as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, Connection::default);
        }
        // Just made long enough.
        #[expect(clippy::indexing_slicing, reason = "resized above")]
        let connection = &mut self.connections[index];
        if connection.serial != key.serial {
            *connection = Connection { serial: key.serial, ..Connection::default() };
        }
        connection
    }

    /// Takes a link out. None if it is gone already.
    pub(super) fn remove(&mut self, key: LinkKey) -> Option<End> {
        self.find(key)?;
        let connection = self.connection_mut(key.connection)?;
        connection.links.get_mut(key.link.slot as usize)?.take().map(|(_, end)| end)
    }

    /// All links, each with what it is.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkKey, &End)> {
        self.connections.iter().zip(0..).flat_map(|(connection, slot)| {
            let key = ConnectionKey { slot, serial: connection.serial };
            connection.links.iter().zip(0..).filter_map(move |(link, slot)| {
                let (serial, end) = link.as_ref()?;
                Some((LinkKey { connection: key, link: LinkId { slot, serial: *serial } }, end))
            })
        })
    }

    /// The links of a connection.
    pub(super) fn of(&self, key: ConnectionKey) -> Vec<LinkKey> {
        let links = self.connection(key).map(|connection| connection.links.as_slice()).unwrap_or_default();
        links
            .iter()
            .zip(0..)
            .filter_map(|(link, slot)| link.as_ref().map(|(serial, _)| LinkId { slot, serial: *serial }))
            .map(|link| LinkKey { connection: key, link })
            .collect()
    }

    pub(super) fn forget(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connection_mut(key) {
            *connection = Connection { serial: key.serial, ..Connection::default() };
        }
    }
}
