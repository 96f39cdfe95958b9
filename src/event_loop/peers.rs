//! The connections of the loop, each under its key.
//!
//! A key is noted where a connection has something to do later: to be read, to end its turn, to be sent more. The connection may
//! have ended by then: [`Peers::find`]. Only the end of a turn ([`EventLoop::finish`](super::EventLoop::finish)) and a test's
//! disconnect end one, so that what is looked up while a connection is being worked for is there: [`Peers::at`].

use slab::Slab;

use super::Peer;
use crate::event::{ConnectionId, ConnectionKey};
use crate::live::live;

/// The name of a connection for [`live`].
const AT_WORK: &str = "a connection that is being worked for";

/// All connections. The slot of a connection's key is its place here.
#[derive(Debug, Default)]
pub(super) struct Peers(Slab<Peer>);

impl Peers {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.0.iter().map(|(_, peer)| peer)
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = Peer> {
        self.0.into_iter().map(|(_, peer)| peer)
    }

    pub(super) fn keys(&self) -> Vec<ConnectionKey> {
        self.iter().map(|peer| peer.key).collect()
    }

    /// Returns the slot that the next connection gets.
    pub(super) fn next_slot(&self) -> usize {
        self.0.vacant_key()
    }

    /// Adds a connection whose key has the slot [`Peers::next_slot`].
    pub(super) fn insert(&mut self, peer: Peer) {
        self.0.insert(peer);
    }

    /// Returns a connection. None if it has ended meanwhile.
    #[inline]
    pub(super) fn find(&mut self, key: ConnectionKey) -> Option<&mut Peer> {
        self.0.get_mut(key.slot as usize).filter(|peer| peer.key == key)
    }

    /// Returns the connection that has a slot now, if there is one.
    pub(super) fn find_slot(&mut self, slot: usize) -> Option<&mut Peer> {
        self.0.get_mut(slot)
    }

    /// Returns the key of the connection that a test names. None if it has ended meanwhile.
    pub(super) fn find_key(&self, id: ConnectionId) -> Option<ConnectionKey> {
        self.iter().map(|peer| peer.key).find(|key| ConnectionId::of(*key) == id)
    }

    /// Returns a connection that cannot have ended: one that has been found, and is being worked for.
    #[inline]
    pub(super) fn at(&mut self, key: ConnectionKey) -> Option<&mut Peer> {
        let peer = live(self.0.get_mut(key.slot as usize), AT_WORK)?;
        debug_assert_eq!(peer.key, key, "another connection has the slot");
        Some(peer)
    }

    /// Removes a connection that cannot have ended.
    pub(super) fn remove(&mut self, key: ConnectionKey) -> Option<Peer> {
        live(self.0.try_remove(key.slot as usize), AT_WORK)
    }
}
