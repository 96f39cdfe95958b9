//! What the router writes down of its decisions, as [`Record`]s, while somebody wants to know; and the number of each message.

use std::sync::Arc;

use crate::event::{LinkKey, NamedLink, Outcome, Record, Ticket};
use crate::message::Message;

/// What is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// What is decided about messages.
    pub(crate) decisions: bool,
    /// What receivers answer, also where nothing here depends on it.
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

    /// Whether decisions are written down: asked for each message.
    pub(super) fn is_on(&self) -> bool {
        self.wanted.decisions
    }

    /// What has been written down, for who takes it out of the list.
    pub(super) fn records(&mut self) -> &mut Vec<Record> {
        &mut self.records
    }

    /// The number of the next message.
    pub(super) fn next_number(&mut self) -> u64 {
        self.arrived += 1;
        self.arrived
    }

    /// Messages that have arrived.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived
    }

    /// A ticket for a delivery that the router itself keeps nothing of.
    pub(super) fn ticket(&self, number: u64, settled: bool) -> Ticket {
        if settled || !self.wanted.answers { Ticket::NONE } else { Ticket::noted(number) }
    }

    /// Writes down a record, if records are wanted. `record` is called only then.
    #[inline]
    pub(super) fn note(&mut self, record: impl FnOnce() -> Record) {
        if self.wanted.decisions {
            self.records.push(record());
        }
    }

    /// Writes down that a message was handed to a consumer.
    #[inline]
    pub(super) fn forwarded(&mut self, number: u64, link: LinkKey, name: &Arc<str>, address: &Arc<str>) {
        self.note(|| Record::Forwarded {
            number,
            to: NamedLink { link, name: name.clone() },
            address: address.clone(),
        });
    }

    /// Writes down that a message arrived.
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

    /// Writes down that a message waits.
    pub(super) fn waits(&mut self, number: u64, address: &Arc<str>) {
        self.note(|| Record::Waits { number, address: address.clone() });
    }

    /// Writes down that nobody gets a message.
    pub(super) fn dropped(&mut self, number: u64, address: &Arc<str>, why: &str) {
        self.note(|| Record::Dropped { number, address: address.clone(), why: why.into() });
    }

    /// Writes down that one consumer's copy is lost.
    pub(super) fn lost(&mut self, number: u64, address: &Arc<str>, why: &'static str) {
        self.note(|| Record::Lost { number, address: address.clone(), why });
    }

    /// Writes down what a sender is told.
    pub(super) fn told(&mut self, number: u64, outcome: &Outcome) {
        self.note(|| Record::Told { number, outcome: outcome.clone() });
    }
}
