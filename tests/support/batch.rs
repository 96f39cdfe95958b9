//! Helpers for several messages at a time: sending, settling and receiving by text.

use std::collections::BTreeMap;
use std::ops::Range;

use fakebroker::{Broker, Counts};

use super::patience::patience;
use super::peer::Peer;
use super::performative::*;
use super::rows::row;
use super::section::text;
use super::wire::Value;

impl Peer {
    /// Sends unsettled messages of one data section each, in one segment. Returns their delivery-ids.
    #[track_caller]
    pub fn send_texts(&mut self, handle: u32, texts: &[&str]) -> Range<u32> {
        let first = self.next_delivery_id();
        let frames = texts
            .iter()
            .zip(first..)
            .map(|(text, id)| transfer(handle, id).with_payload(super::section::message(text)).bytes());
        let frames: Vec<u8> = frames.flatten().collect();
        self.send(frames);
        first..first.wrapping_add(texts.len() as u32)
    }

    /// Sends messages as [`Peer::send_texts`] does, and waits until all of them are accepted.
    #[track_caller]
    pub fn send_accepted(&mut self, handle: u32, texts: &[&str]) {
        let ids = self.send_texts(handle, texts);
        for outcome in self.outcomes_of(ids) {
            if outcome.state() != ACCEPTED || !outcome.flag("settled") {
                self.fail(&format!("accepted and settled was expected; came {outcome:?}"));
            }
        }
    }

    /// Expects one outcome for each of these deliveries, in any number of dispositions. Returns them in the order of the
    /// deliveries.
    #[track_caller]
    pub fn outcomes_of(&mut self, ids: Range<u32>) -> Vec<Performative> {
        let mut outcomes = BTreeMap::new();
        while outcomes.len() < ids.len() {
            let disposition = self.expect_disposition();
            if !disposition.flag("role") {
                self.fail("the broker is the receiver of these deliveries");
            }
            for id in covered(&disposition) {
                if !ids.contains(&id) || outcomes.insert(id, disposition.clone()).is_some() {
                    self.fail(&format!("one outcome for each of {ids:?} was expected; came another of {id}"));
                }
            }
        }
        outcomes.into_values().collect()
    }

    /// Reads the transfers of one delivery. Returns its payload and the number of transfers. Calls `between` after each transfer
    /// but the last.
    #[track_caller]
    pub fn expect_delivery_with(&mut self, mut between: impl FnMut(&mut Peer)) -> (Vec<u8>, usize) {
        let mut payload = Vec::new();
        let mut count = 0;
        loop {
            let part = self.expect_transfer();
            payload.extend(&part.payload);
            count += 1;
            if !part.flag("more") {
                return (payload, count);
            }
            between(self);
        }
    }

    /// Reads the transfers of one delivery. Returns its payload and the number of transfers.
    #[track_caller]
    pub fn expect_delivery(&mut self) -> (Vec<u8>, usize) {
        self.expect_delivery_with(|_| {})
    }

    /// Expects transfers of whole messages. Returns their texts.
    #[track_caller]
    pub fn receive_texts(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| text(&self.expect_transfer().payload)).collect()
    }

    /// Returns the texts of all messages that have arrived.
    #[track_caller]
    pub fn arrived_texts(&mut self) -> Vec<String> {
        let heard = self.round_trip();
        heard.iter().filter(|frame| frame.code() == TRANSFER).map(|frame| text(&frame.payload)).collect()
    }

    /// Settles a delivery that this peer received.
    #[track_caller]
    pub fn settle(&mut self, delivery: &Performative, state: Value) {
        self.send(disposition(RECEIVER, delivery.number("delivery-id") as u32, state));
    }
}

/// Lists the delivery-ids of a disposition (2.7.6: without `last`, `first` alone).
pub fn covered(disposition: &Performative) -> Vec<u32> {
    let first = disposition.number("first") as u32;
    let last = match disposition.get("last") {
        Value::Uint(last) => last,
        _ => first,
    };
    (0..=last.wrapping_sub(first)).map(|step| first.wrapping_add(step)).collect()
}

/// Waits until `happened` holds for the counters.
#[track_caller]
pub fn until(broker: &Broker, what: &str, happened: impl Fn(&Counts) -> bool) {
    if let Err(error) = broker.wait_for(patience(), happened) {
        panic!("{}in vain until {what}: {error}", row());
    }
}

/// Lists the counters that are not zero, by name.
pub fn counted(broker: &Broker) -> Vec<(&'static str, u64)> {
    broker.counts().iter().filter(|(_, count)| *count > 0).collect()
}
