//! The [`Record`]s of what the router decided, kept only if somebody has asked for them, and the numbering of messages.

use std::sync::Arc;

use crate::event::{LinkKey, NamedLink, Outcome, Record, Ticket};
use crate::message::Message;

/// Which records are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Decisions about messages.
    pub(crate) decisions: bool,
    /// Outcomes that receivers give, also of deliveries that the router keeps nothing of.
    pub(crate) answers: bool,
}

/// The records that have not been taken yet, and the count of messages.
#[derive(Debug, Default)]
pub(super) struct Journal {
    wanted: Wanted,
    records: Vec<Record>,
    /// Messages that have arrived.
    arrived: u64,
}

impl Journal {
    pub(super) fn set_wanted(&mut self, wanted: Wanted) {
        self.wanted = wanted;
    }

    /// Whether decisions are recorded.
    pub(super) fn is_on(&self) -> bool {
        self.wanted.decisions
    }

    /// Returns the records that have gathered. The caller empties the list.
    pub(super) fn records(&mut self) -> &mut Vec<Record> {
        &mut self.records
    }

    /// Counts a message and returns its number.
    pub(super) fn next_number(&mut self) -> u64 {
        self.arrived += 1;
        self.arrived
    }

    /// Returns how many messages have arrived.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Returns the ticket for a delivery of which the router keeps nothing but, if it is recorded, its number.
    pub(super) fn ticket(&self, number: u64, settled: bool) -> Ticket {
        if settled || !self.wanted.answers { Ticket::NONE } else { Ticket::noted(number) }
    }

    /// Adds a record if records are kept. `record` is called only then.
    #[inline]
    pub(super) fn note(&mut self, record: impl FnOnce() -> Record) {
        if self.wanted.decisions {
            self.records.push(record());
        }
    }

    /// Records that a message was handed to a consumer.
    #[inline]
    pub(super) fn forwarded(&mut self, number: u64, link: LinkKey, name: &Arc<str>, address: &Arc<str>) {
        self.note(|| Record::Forwarded {
            number,
            to: NamedLink { link, name: name.clone() },
            address: address.clone(),
        });
    }

    /// Records that a message arrived.
    pub(super) fn came(
        &mut self,
        number: u64,
        from: Option<NamedLink>,
        address: &Arc<str>,
        settled: bool,
        message: &Message,
    ) {
        self.note(|| Record::Arrived { number, from, address: address.clone(), settled, message: message.clone() });
    }

    /// Records that a message waits.
    pub(super) fn waits(&mut self, number: u64, address: &Arc<str>) {
        self.note(|| Record::Waits { number, address: address.clone() });
    }

    /// Records that a message was dropped.
    pub(super) fn dropped(&mut self, number: u64, address: &Arc<str>, why: &str) {
        self.note(|| Record::Dropped { number, address: address.clone(), why: why.into() });
    }

    /// Records that one consumer's copy of a message was dropped.
    pub(super) fn lost(&mut self, number: u64, address: &Arc<str>, why: &'static str) {
        self.note(|| Record::Lost { number, address: address.clone(), why });
    }

    /// Records the outcome that a sender is sent.
    pub(super) fn told(&mut self, number: u64, outcome: &Outcome) {
        self.note(|| Record::Told { number, outcome: outcome.clone() });
    }
}
