//! What the router knows of each link, found by its key without hashing: connections and links have dense slots.

use std::sync::Arc;

use crate::event::{ConnectionKey, ConsumerRequest, LinkId, LinkKey, Manner, Outcome};
use crate::ledger::Ledger;
use crate::message::Message;

use super::store::{Backlog, Waiting};
use super::topology::Terminus;

/// A link that a peer sends on.
#[derive(Debug)]
pub(super) struct Producer {
    /// What its peer calls it.
    pub(super) name: Arc<str>,
    /// None: each message says where it goes, or an exchange does.
    pub(super) route: Option<usize>,
    /// The exchange that it sends to.
    pub(super) exchange: Option<Box<Terminus>>,
    pub(super) credit: u32,
    /// There was no room for a message of its, and half of all room has not come free since.
    pub(super) starved: bool,
    /// It gets credit only when the test says so.
    pub(super) withheld: bool,
    /// Routes that have fallen behind with what came from here.
    pub(super) held_by: Vec<usize>,
}

impl Producer {
    pub(super) fn new(name: Arc<str>, route: Option<usize>) -> Producer {
        Producer { name, route, exchange: None, credit: 0, starved: false, withheld: false, held_by: Vec::new() }
    }
}

/// A link that a peer receives on.
#[derive(Debug)]
pub(super) struct Consumer {
    /// What its peer calls it.
    pub(super) name: Arc<str>,
    pub(super) route: usize,
    manner: Manner,
    /// It takes copies and leaves what is stored in its place.
    pub(super) browse: bool,
    /// It does not count as one of its route's: it looks in now and then, or has retired.
    pub(super) passing: bool,
    pub(super) default_outcome: Outcome,
    pub(super) max_message_size: u64,
    pub(super) credit: u32,
    pub(super) drain: bool,
    /// It stands in its route's `ready` row.
    pub(super) is_ready: bool,
    /// It stands in `Router::unfinished`.
    pub(super) is_unfinished: bool,
    /// What waits for this one alone: copies of what was multicast.
    pub(super) backlog: Backlog,
    /// Deliveries whose answer matters to more than the counters.
    pub(super) outstanding: Ledger<Outstanding>,
    /// Before this place in a queue there is nothing for it: it has seen it (browsing) or may not have it.
    pub(super) cursor: u64,
}

/// A delivery that a consumer has not answered yet.
#[derive(Debug)]
pub(super) enum Outstanding {
    /// Taken from a queue, and to go back there unless it is accepted or rejected.
    Queued(Waiting),
    /// Likewise, on its way out settled, and to go back if it is not sent.
    Unsent(Waiting),
    /// Its sender waits for the outcome.
    EndToEnd(usize),
}

impl Consumer {
    pub(super) fn new(route: usize, browse: bool, request: ConsumerRequest) -> Consumer {
        Consumer {
            name: request.name,
            route,
            manner: request.manner,
            browse,
            passing: request.passing,
            default_outcome: request.default_outcome,
            max_message_size: request.max_message_size,
            credit: 0,
            drain: false,
            is_ready: false,
            is_unfinished: false,
            backlog: Backlog::default(),
            outstanding: Ledger::default(),
            cursor: 0,
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

#[derive(Debug, Default)]
struct Connection {
    serial: u32,
    congested: bool,
    links: Vec<Option<(u32, End)>>,
}

/// All links, by connection slot and link slot.
#[derive(Debug, Default)]
pub(super) struct Links(Vec<Connection>);

impl Links {
    fn connection(&self, key: ConnectionKey) -> Option<&Connection> {
        self.0.get(key.slot as usize).filter(|connection| connection.serial == key.serial)
    }

    pub(super) fn end(&self, key: LinkKey) -> Option<&End> {
        let (serial, end) = self.connection(key.connection)?.links.get(key.link.slot as usize)?.as_ref()?;
        (*serial == key.link.serial).then_some(end)
    }

    fn end_mut(&mut self, key: LinkKey) -> Option<&mut End> {
        let connection = self.0.get_mut(key.connection.slot as usize)?;
        if connection.serial != key.connection.serial {
            return None;
        }
        let (serial, end) = connection.links.get_mut(key.link.slot as usize)?.as_mut()?;
        (*serial == key.link.serial).then_some(end)
    }

    pub(super) fn producer_mut(&mut self, key: LinkKey) -> Option<&mut Producer> {
        match self.end_mut(key)? {
            End::Producer(producer) => Some(producer),
            End::Consumer(_) => None,
        }
    }

    pub(super) fn consumer(&self, key: LinkKey) -> Option<&Consumer> {
        match self.end(key)? {
            End::Consumer(consumer) => Some(consumer),
            End::Producer(_) => None,
        }
    }

    pub(super) fn consumer_mut(&mut self, key: LinkKey) -> Option<&mut Consumer> {
        match self.end_mut(key)? {
            End::Consumer(consumer) => Some(consumer),
            End::Producer(_) => None,
        }
    }

    /// The consumer, if it can be given a message now.
    pub(super) fn taker(&self, key: LinkKey) -> Option<&Consumer> {
        let connection = self.connection(key.connection)?;
        match connection.links.get(key.link.slot as usize)? {
            // Who asks for one message at a time is answered even so; that it cannot flood us is its engine's matter.
            Some((serial, End::Consumer(consumer)))
                if *serial == key.link.serial && consumer.credit > 0 && (!connection.congested || consumer.passing) =>
            {
                Some(consumer)
            }
            _ => None,
        }
    }

    /// Whether a consumer can be given a message now.
    pub(super) fn can_take(&self, key: LinkKey) -> bool {
        self.taker(key).is_some()
    }

    pub(super) fn is_congested(&self, key: ConnectionKey) -> bool {
        self.connection(key).is_some_and(|connection| connection.congested)
    }

    pub(super) fn set_congested(&mut self, key: ConnectionKey, congested: bool) {
        // A stale name is dropped.
        if let Some(connection) = self.0.get_mut(key.slot as usize).filter(|connection| connection.serial == key.serial)
        {
            connection.congested = congested;
        }
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
            *slot = Some((key.link.serial, end));
        }
    }

    /// The connection's place, made if this is the first that is heard of it.
    fn slot_of(&mut self, key: ConnectionKey) -> &mut Connection {
        let index = key.slot as usize;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, Connection::default);
        }
        // Just made long enough.
        #[expect(clippy::indexing_slicing, reason = "resized above")]
        let connection = &mut self.0[index];
        if connection.serial != key.serial {
            *connection = Connection { serial: key.serial, ..Connection::default() };
        }
        connection
    }

    pub(super) fn remove(&mut self, key: LinkKey) -> Option<End> {
        self.end_mut(key)?;
        let connection = self.0.get_mut(key.connection.slot as usize)?;
        connection.links.get_mut(key.link.slot as usize)?.take().map(|(_, end)| end)
    }

    /// All links, each with what it is.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkKey, &End)> {
        self.0.iter().zip(0..).flat_map(|(connection, slot)| {
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
        if self.connection(key).is_some() {
            self.slot_of(key).links = Vec::new();
        }
    }
}
