//! The public name of a connection, in tests and traces.

use std::fmt;

use super::link::ConnectionKey;

/// One connection of one broker: 1 for the first that was accepted, 2 for the next. Numbers are not reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u32);

impl ConnectionId {
    /// Returns the number, as traces show it.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    pub(crate) fn of(key: ConnectionKey) -> ConnectionId {
        ConnectionId(key.serial)
    }
}

impl From<u32> for ConnectionId {
    fn from(number: u32) -> ConnectionId {
        ConnectionId(number)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {}", self.0)
    }
}
