//! The channels of a connection (2.5): its sessions, each under its outgoing channel, and the map from incoming channels, which
//! the peer chooses, to them.

use slab::Slab;

use super::session::Session;
use crate::live::live;

/// The name of the map's entries for [`live`].
const SLOT: &str = "the slot of a channel";

/// The sessions of a connection. A session is here from its begin until both sides have ended it.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// By outgoing channel.
    sessions: Slab<Session>,
    /// By incoming channel: the outgoing channel of the session.
    incoming: Vec<Option<u16>>,
}

impl Channels {
    /// Returns the outgoing channel that the next session gets. None if that is above `channel_max`.
    pub(crate) fn vacant(&self, channel_max: u16) -> Option<u16> {
        u16::try_from(self.sessions.vacant_key()).ok().filter(|outgoing| *outgoing <= channel_max)
    }

    /// Adds a session under its outgoing channel, which is [`Channels::vacant`], and returns that channel.
    pub(crate) fn insert(&mut self, session: Session) -> usize {
        self.sessions.insert(session)
    }

    /// Maps an incoming channel that is not in use to a session.
    pub(crate) fn map(&mut self, incoming: u16, outgoing: u16) {
        let index = usize::from(incoming);
        if self.incoming.len() <= index {
            self.incoming.resize(index + 1, None);
        }
        if let Some(slot) = live(self.incoming.get_mut(index), SLOT) {
            *slot = Some(outgoing);
        }
    }

    /// Returns the outgoing channel of the session on an incoming channel. None if no session has begun there.
    #[inline]
    pub(crate) fn find_outgoing(&self, incoming: u16) -> Option<usize> {
        self.incoming.get(usize::from(incoming)).copied().flatten().map(usize::from)
    }

    /// Returns a session by its outgoing channel. None if it has ended meanwhile.
    pub(crate) fn find(&mut self, outgoing: usize) -> Option<&mut Session> {
        self.sessions.get_mut(outgoing)
    }

    /// Returns a session that cannot have ended: that of an incoming channel in use, or of a link in the directory.
    #[inline]
    pub(crate) fn session(&self, outgoing: usize) -> Option<&Session> {
        live(self.sessions.get(outgoing), "a session in use")
    }

    /// Returns the session mutably, as [`Channels::session`] does.
    #[inline]
    pub(crate) fn session_mut(&mut self, outgoing: usize) -> Option<&mut Session> {
        live(self.sessions.get_mut(outgoing), "a session in use")
    }

    /// Removes a session that both sides have ended (2.5.5). Its two channels may be used again.
    pub(crate) fn remove(&mut self, incoming: u16, outgoing: usize) -> Option<Session> {
        if let Some(slot) = live(self.incoming.get_mut(usize::from(incoming)), SLOT) {
            *slot = None;
        }
        live(self.sessions.try_remove(outgoing), "a session that ends")
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().map(|(_, session)| session)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.sessions.iter_mut().map(|(_, session)| session)
    }
}
