//! The directory of a connection's links: for the router's name of a link, the channel that has it, and whether the
//! link is the channel's own or a consumer's.
//!
//! Slots are dense, so that the router can index by them. A serial tells a link from the next one in its slot.

use std::sync::Arc;

use slab::Slab;

use super::types::saturate;
use crate::event::LinkId;

/// The place of a link: its channel, and the end of it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) channel: u16,
    pub(super) end: End,
}

/// The end of a link in its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The channel's own link, on which it publishes and asks the router.
    Channel,
    /// The link of the consumer in this slot.
    Consumer(usize),
}

/// The links of a connection. Also generates consumer tags, which are unique on a connection.
#[derive(Debug, Default)]
pub(super) struct Directory {
    places: Slab<(u32, Place)>,
    next_serial: u32,
    generated_tags: u64,
}

impl Directory {
    /// Adds a link and gives it a name.
    pub(super) fn add(&mut self, place: Place) -> LinkId {
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        LinkId { slot: saturate(self.places.insert((serial, place))), serial }
    }

    /// Removes a link. None if the link was gone.
    pub(super) fn remove(&mut self, id: LinkId) -> Option<Place> {
        let place = self.find(id)?;
        self.places.try_remove(id.slot as usize);
        Some(place)
    }

    /// Finds the place of a link. None if the link is gone.
    pub(super) fn find(&self, id: LinkId) -> Option<Place> {
        self.places.get(id.slot as usize).filter(|(serial, _)| *serial == id.serial).map(|(_, place)| *place)
    }

    /// The number of links.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Removes all links, and returns their names.
    pub(super) fn drain(&mut self) -> Vec<LinkId> {
        let links = self.places.drain().zip(0..);
        links.map(|((serial, _), slot)| LinkId { slot, serial }).collect()
    }

    /// Generates a consumer tag that no other consumer has, on this connection or another that is open.
    pub(super) fn generate_tag(&mut self, peer: &str) -> Arc<str> {
        self.generated_tags += 1;
        format!("amq.ctag-{peer}-{}", self.generated_tags).into()
    }
}
