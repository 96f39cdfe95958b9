//! The name of a connection for those who look on: a test, a trace.

use std::fmt;

use super::link::ConnectionKey;

/// One connection of one broker, in the order in which they were accepted, from 1. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u32);

impl ConnectionId {
    /// The number, as it stands in a trace.
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
