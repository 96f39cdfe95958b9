//! The [`Record`]s of what the router decided, kept only if somebody has asked for them, and the numbering of messages.

use std::sync::Arc;

use super::exchange::VhostName;
use crate::event::{
    Arrival, ArrivedRun, DEFAULT_VHOST, Decided, LinkKey, NamedLink, Numbers, Outcome, Published, Record, Records,
    Ticket,
};
use crate::message::Message;

/// Which records are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Decisions about messages.
    pub(crate) decisions: bool,
    /// The messages themselves, the outcomes that senders are sent, and those that receivers give, also of deliveries that the
    /// router keeps nothing of.
    pub(crate) messages: bool,
}

/// The records that have not been taken yet, and the count of messages.
#[derive(Debug, Default)]
pub(super) struct Journal {
    wanted: Wanted,
    records: Records,
    /// Messages that have arrived.
    arrived: u64,
    /// The virtual host of what is recorded. None: the default one.
    vhost: Option<Arc<str>>,
}

impl Journal {
    /// Sets the virtual host of what is recorded from now on.
    pub(super) fn set_vhost(&mut self, vhost: &VhostName) {
        self.vhost = (*vhost.0 != *DEFAULT_VHOST).then(|| vhost.0.clone());
    }

    pub(super) fn set_wanted(&mut self, wanted: Wanted) {
        self.wanted = wanted;
    }

    /// Whether decisions are recorded.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.wanted.decisions
    }

    /// Returns the records that have gathered. The caller empties the lists.
    pub(super) fn records(&mut self) -> &mut Records {
        &mut self.records
    }

    /// Counts a message and returns its number.
    #[inline]
    pub(super) fn next_number(&mut self) -> u64 {
        self.arrived += 1;
        self.arrived
    }

    /// Returns the virtual host of what is recorded. None: the default one.
    pub(super) fn vhost(&self) -> Option<Arc<str>> {
        self.vhost.clone()
    }

    /// Returns how many messages have arrived.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Returns the ticket for a delivery of which the router keeps nothing but, if it is recorded, its number.
    #[inline]
    pub(super) fn ticket(&self, number: u64, settled: bool) -> Ticket {
        if settled || !self.wanted.messages { Ticket::NONE } else { Ticket::noted(number) }
    }

    /// Adds a message to the last record if that says the same of the message before (`is_same`); else adds a record.
    #[inline]
    fn note(&mut self, number: u64, is_same: impl FnOnce(&Decided) -> bool, what: impl FnOnce() -> Decided) {
        if !self.wanted.decisions {
            return;
        }
        match self.records.decided.last_mut() {
            Some(last) if last.messages.precedes(number) && is_same(&last.what) => last.messages.count += 1,
            _ => self.records.decided.push(Record { messages: Numbers::one(number), what: what() }),
        }
    }

    /// Records that a message was handed to a consumer.
    #[inline]
    pub(super) fn forwarded(&mut self, number: u64, link: LinkKey, name: &Arc<str>, address: &Arc<str>) {
        self.note(
            number,
            |last| matches!(last, Decided::Forwarded { to, address: at } if to.link == link && Arc::ptr_eq(at, address)),
            || Decided::Forwarded { to: NamedLink { link, name: name.clone() }, address: address.clone() },
        );
    }

    /// Records that messages arrived, of which the first has the number `first`.
    pub(super) fn came_in_a_row(
        &mut self,
        first: u64,
        from: &Option<NamedLink>,
        address: &Arc<str>,
        arrivals: &[Arrival],
    ) {
        if !self.wanted.messages {
            return;
        }
        let kind = |arrival: &Arrival| (arrival.delivery.is_none(), arrival.message.encoding);
        let mut first = first;
        for alike in arrivals.chunk_by(|a, b| kind(a) == kind(b)) {
            self.records.payloads.extend(alike.iter().map(|arrival| &arrival.message.payload));
            let Some((settled, encoding)) = alike.first().map(kind) else { continue };
            let messages = Numbers { first, count: alike.len() };
            let (from, address) = (from.clone(), address.clone());
            let vhost = self.vhost.clone();
            self.records.arrived.push(ArrivedRun { messages, from, vhost, address, settled, encoding });
            first = messages.end();
        }
    }

    /// Whether the messages themselves are recorded.
    #[inline]
    pub(super) fn keeps_messages(&self) -> bool {
        self.wanted.messages
    }

    /// Records that `count` messages are about to arrive that were published to an exchange, each at all of `queues`.
    pub(super) fn published(&mut self, exchange: &str, key: &str, count: usize, queues: &[&Arc<str>]) {
        if !self.wanted.messages || count == 0 {
            return;
        }
        let first = self.arrived + 1;
        match (self.records.published.last_mut(), queues) {
            (Some(last), [queue])
                if last.end() == first
                    && matches!(&last.queues[..], [same] if Arc::ptr_eq(same, queue))
                    && (&*last.exchange, &*last.key) == (exchange, key) =>
            {
                last.count += count;
            }
            _ => self.records.published.push(Published {
                vhost: self.vhost.clone(),
                exchange: exchange.into(),
                key: key.into(),
                first,
                count,
                queues: queues.iter().map(|queue| Arc::clone(queue)).collect(),
            }),
        }
    }

    /// Records that messages were handed to a consumer, without a look at the record before.
    pub(super) fn forwarded_in_a_row(&mut self, messages: Numbers, link: LinkKey, name: &Arc<str>, address: &Arc<str>) {
        if self.wanted.decisions && messages.count > 0 {
            let what = Decided::Forwarded { to: NamedLink { link, name: name.clone() }, address: address.clone() };
            self.records.decided.push(Record { messages, what });
        }
    }

    /// Records that a message arrived.
    #[inline]
    pub(super) fn came(
        &mut self,
        number: u64,
        from: &Option<NamedLink>,
        address: &Arc<str>,
        settled: bool,
        message: &Message,
    ) {
        if !self.wanted.messages {
            return;
        }
        self.records.payloads.extend(std::iter::once(&message.payload));
        match self.records.arrived.last_mut() {
            Some(last)
                if last.messages.precedes(number)
                    && last.settled == settled
                    && last.encoding == message.encoding
                    && Arc::ptr_eq(&last.address, address)
                    && last.from.as_ref().map(|from| from.link) == from.as_ref().map(|from| from.link) =>
            {
                last.messages.count += 1;
            }
            _ => self.records.arrived.push(ArrivedRun {
                messages: Numbers::one(number),
                from: from.clone(),
                vhost: self.vhost.clone(),
                address: address.clone(),
                settled,
                encoding: message.encoding,
            }),
        }
    }

    /// Records that a message waits.
    pub(super) fn waits(&mut self, number: u64, address: &Arc<str>) {
        self.note(
            number,
            |last| matches!(last, Decided::Waits { address: at } if Arc::ptr_eq(at, address)),
            || Decided::Waits { address: address.clone() },
        );
    }

    /// Records that a message was dropped.
    pub(super) fn dropped(&mut self, number: u64, address: &Arc<str>, why: &str) {
        self.note(number, |_| false, || Decided::Dropped { address: address.clone(), why: why.into() });
    }

    /// Records that one consumer's copy of a message was dropped.
    pub(super) fn lost(&mut self, number: u64, address: &Arc<str>, why: &'static str) {
        self.note(number, |_| false, || Decided::Lost { address: address.clone(), why });
    }

    /// Records that a hook decided what becomes of a message.
    pub(super) fn ruled(&mut self, number: u64, address: &Arc<str>, what: &'static str) {
        self.note(number, |_| false, || Decided::Ruled { address: address.clone(), what });
    }

    /// Records the outcome that a consumer gave.
    pub(super) fn answered(&mut self, number: u64, link: LinkKey, name: &Arc<str>, outcome: &Outcome) {
        self.note(
            number,
            |last| matches!(last, Decided::Answered { by, outcome: same } if by.link == link && same == outcome),
            || Decided::Answered { by: NamedLink { link, name: name.clone() }, outcome: outcome.clone() },
        );
    }

    /// Records the outcome that a sender is sent.
    #[inline]
    pub(super) fn told(&mut self, number: u64, outcome: &Outcome) {
        if !self.wanted.messages {
            return;
        }
        match self.records.told.last_mut() {
            Some((messages, last)) if messages.precedes(number) && last == outcome => messages.count += 1,
            _ => self.records.told.push((Numbers::one(number), outcome.clone())),
        }
    }
}
