//! Who is there and what waits where: plain pictures of the live state, taken on the loop's thread and handed to the test's.

use std::fmt;
use std::net::SocketAddr;

use crate::config::Distribution;
use crate::event::{ConnectionId, LinkKey};

/// A connection as it was when the picture was taken: see [`Handle::connections`](crate::Handle::connections).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// Its name at this broker.
    pub id: ConnectionId,
    /// The client's end of the socket.
    pub peer: SocketAddr,
    /// What it speaks, `AMQP 1.0` for example. None until its connection is open.
    pub protocol: Option<&'static str>,
    /// What the client calls itself: its container-id.
    pub container: Option<String>,
    /// What the client calls the broker: the hostname of its open, the virtual host.
    pub host: Option<String>,
    /// As whom it authenticated.
    pub user: Option<String>,
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.id, self.peer)?;
        match self.protocol {
            Some(protocol) => write!(f, ", {protocol}")?,
            None => write!(f, ", not open yet")?,
        }
        self.container.iter().try_for_each(|container| write!(f, ", container {container:?}"))?;
        self.host.iter().try_for_each(|host| write!(f, ", host {host:?}"))?;
        self.user.iter().try_for_each(|user| write!(f, ", user {user:?}"))
    }
}

/// What a client does on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It sends to the broker.
    Sender,
    /// It receives from the broker.
    Receiver,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Sender => "sender",
            Role::Receiver => "receiver",
        })
    }
}

/// A link as it was when the picture was taken: see [`Handle::links`](crate::Handle::links).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    pub(crate) key: LinkKey,
    /// It does not count as a receiver of its address: it is worth showing only while it has something to settle.
    pub(crate) is_aside: bool,
    /// Whose it is.
    pub connection: ConnectionId,
    /// What the client calls it.
    pub name: String,
    /// What the client does on it.
    pub role: Role,
    /// Where it is attached. None for a sender whose messages say themselves where they go.
    pub address: Option<String>,
    /// Messages that may still pass: what the broker lets a sender send, what a receiver asked the broker for.
    pub credit: u32,
    /// Deliveries that have passed and are not settled.
    pub unsettled: usize,
    /// Messages that wait at the broker for this receiver alone: its copies of what was multicast.
    pub waiting: usize,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} of {} ", self.role, self.name, self.connection)?;
        match &self.address {
            Some(address) => write!(f, "at {address:?}")?,
            None => write!(f, "without an address")?,
        }
        write!(f, ", credit {}", self.credit)?;
        if self.unsettled > 0 {
            write!(f, ", {} unsettled", self.unsettled)?;
        }
        if self.waiting > 0 {
            write!(f, ", {} waiting", self.waiting)?;
        }
        Ok(())
    }
}

/// An address that somebody is attached to or that stores messages, as it was when the picture was taken: see
/// [`Handle::addresses`](crate::Handle::addresses).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressInfo {
    /// The address.
    pub address: String,
    /// What is done with its messages.
    pub distribution: Distribution,
    /// Links that clients send to it on.
    pub senders: usize,
    /// Links that clients receive from it on.
    pub receivers: usize,
    /// Messages that wait there, those not counted that a receiver has and may give back.
    pub waiting: usize,
    /// Messages that have arrived for it since it came into being.
    pub arrived: u64,
}

impl fmt::Display for AddressInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AddressInfo { address, distribution, senders, receivers, waiting, arrived } = self;
        write!(f, "{address:?} ({distribution}): senders {senders}, receivers {receivers}, waiting {waiting}, ")?;
        write!(f, "arrived {arrived}")
    }
}

/// What a client did against the rules of its protocol, as [`Handle::verify`](crate::Handle::verify) reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// On which connection.
    pub connection: ConnectionId,
    /// The client's end of the socket.
    pub peer: SocketAddr,
    /// Where its protocol's specification demands otherwise: a section such as `2.6.7`, or a method of 0-9-1 such as
    /// `basic.ack`.
    pub section: &'static str,
    /// What the client was told, in the words of its protocol: a symbol of 1.0 such as `amqp:session:window-violation`, or
    /// reply code and constant of 0-9-1, `504 CHANNEL_ERROR`.
    pub condition: String,
    /// What it was told, in words.
    pub description: String,
}

impl Violation {
    /// `section 2.6.7` or `method basic.ack`.
    pub(crate) fn place(&self) -> String {
        let kind = if self.section.starts_with(|first: char| first.is_ascii_digit()) { "section" } else { "method" };
        format!("{kind} {}", self.section)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { connection, peer, condition, description, .. } = self;
        write!(f, "{connection} from {peer}: {description} ({condition}, {})", self.place())
    }
}
