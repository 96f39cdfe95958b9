//! Where the links of a connection are: the router's name for a link on one side, its channel and what it is there on the
//! other.
//!
//! Slots are dense, so that the router can index by them; a serial tells a link from the next one in its slot.

use std::sync::Arc;

use slab::Slab;

use super::types::saturate;
use crate::event::LinkId;

/// The channel of a link, and which of its links it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) channel: u16,
    pub(super) end: End,
}

/// What a link is to its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// What the channel publishes, and asks of the router.
    Channel,
    /// One of its consumers, by the slot that it has there.
    Consumer(usize),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Directory {
    places: Slab<(u32, Place)>,
    next_serial: u32,
    generated_tags: u64,
}

impl Directory {
    /// Names a new link.
    pub(super) fn add(&mut self, place: Place) -> LinkId {
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        LinkId { slot: saturate(self.places.insert((serial, place))), serial }
    }

    /// Forgets a link. None if it was gone.
    pub(super) fn remove(&mut self, id: LinkId) -> Option<Place> {
        let place = self.find(id)?;
        self.places.try_remove(id.slot as usize);
        Some(place)
    }

    /// The place of a link. None if it is gone.
    pub(super) fn find(&self, id: LinkId) -> Option<Place> {
        self.places.get(id.slot as usize).filter(|(serial, _)| *serial == id.serial).map(|(_, place)| *place)
    }

    /// How many links there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Forgets all links at once.
    pub(super) fn drain(&mut self) -> Vec<LinkId> {
        let links = self.places.drain().zip(0..);
        links.map(|((serial, _), slot)| LinkId { slot, serial }).collect()
    }

    /// A consumer tag that no other consumer has, on this connection or another that is there now.
    pub(super) fn generate_tag(&mut self, peer: &str) -> Arc<str> {
        self.generated_tags += 1;
        format!("amq.ctag-{peer}-{}", self.generated_tags).into()
    }
}
