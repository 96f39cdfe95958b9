//! The directory of a connection's links: maps the id by which the router knows a link, and the link's name, to its session and
//! handle.
//!
//! Slots are dense, so that the router can index by them; a serial tells a link from the next one in its slot. The links of all
//! sessions are counted here too.

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;

use super::definitions::Role;
use crate::event::LinkId;
use crate::live::live;

/// The place of a link: the outgoing channel of its session, and our handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) channel: usize,
    pub(crate) handle: usize,
}

/// The attached links of a connection, by id and by name.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    places: Slab<(u32, Place)>,
    /// The link that has a name, of which there is one in each direction (2.6.1).
    names: HashMap<(Arc<str>, Role), LinkId>,
    next_serial: u32,
    /// Links of all sessions, including those that wait for the peer's detach.
    pub(crate) attached: usize,
}

impl Directory {
    pub(crate) fn add(&mut self, name: Arc<str>, role: Role, place: Place) -> LinkId {
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        let slot = self.places.insert((serial, place));
        let id = LinkId { slot: super::types::saturate(slot), serial };
        self.names.insert((name, role), id);
        id
    }

    /// Removes a link that is detached. Does nothing if it has been removed before, when the other side detached it.
    pub(crate) fn remove(&mut self, id: LinkId, name: &Arc<str>, role: Role) {
        if self.find(id).is_none() {
            return;
        }
        self.places.try_remove(id.slot as usize);
        let key = (name.clone(), role);
        // The name may belong to the link that stole it.
        if self.names.get(&key) == Some(&id) {
            self.names.remove(&key);
        }
    }

    /// Returns the place of a link. None if the link has been detached meanwhile.
    pub(crate) fn find(&self, id: LinkId) -> Option<Place> {
        self.places.get(id.slot as usize).filter(|(serial, _)| *serial == id.serial).map(|(_, place)| *place)
    }

    /// Returns the place of the link that has a name, if there is one.
    pub(crate) fn find_named(&self, name: &Arc<str>, role: Role) -> Option<Place> {
        let id = self.names.get(&(name.clone(), role))?;
        live(self.find(*id), "the link that has a name")
    }
}
