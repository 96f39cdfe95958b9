//! Snapshots of connections, links and addresses, taken on the event loop's thread and handed to the test's.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::Distribution;
use crate::event::{ConnectionId, LinkKey, write_vhost};
use crate::unmet::{Place, Unmet};

/// A connection at the time of the snapshot. Returned by [`Handle::connections`](crate::Handle::connections).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// The id of the connection at this broker.
    pub id: ConnectionId,
    /// The client's socket address.
    pub peer: SocketAddr,
    /// The protocol, such as `AMQP 1.0`. None until the connection is open.
    pub protocol: Option<&'static str>,
    /// The container-id of the client's open. 0-9-1: the `connection_name` of its client properties,
    /// else the `product`.
    pub container: Option<String>,
    /// The hostname of the client's open. 0-9-1: the virtual host.
    pub host: Option<String>,
    /// The virtual host. None until the connection is open.
    pub vhost: Option<String>,
    /// The user that authenticated. None for anonymous clients.
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
        self.vhost.iter().try_for_each(|vhost| write_vhost(f, vhost))?;
        self.user.iter().try_for_each(|user| write!(f, ", user {user:?}"))
    }
}

/// The client's role on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The client sends to the broker.
    Sender,
    /// The client receives from the broker.
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

/// A link at the time of the snapshot. Returned by [`Handle::links`](crate::Handle::links).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    pub(crate) key: LinkKey,
    /// Whether this link is not counted as a receiver of its address. It is shown only while it has unsettled deliveries.
    pub(crate) is_aside: bool,
    /// The connection of the link.
    pub connection: ConnectionId,
    /// The link's name as its client gave it.
    pub name: String,
    /// The client's role.
    pub role: Role,
    /// The virtual host of its connection.
    pub vhost: String,
    /// The address that it is attached to. None for a sender to the anonymous terminus.
    pub address: Option<String>,
    /// Link credit: the number of messages that the sending end may still send.
    pub credit: u32,
    /// Number of unsettled deliveries.
    pub unsettled: usize,
    /// Number of messages that wait for this receiver alone: its copies at a multicast address.
    pub waiting: usize,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} of {} ", self.role, self.name, self.connection)?;
        match &self.address {
            Some(address) => write!(f, "at {address:?}")?,
            None => write!(f, "without an address")?,
        }
        write_vhost(f, &self.vhost)?;
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

/// An address with links or stored messages at the time of the snapshot. Returned by
/// [`Handle::addresses`](crate::Handle::addresses).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressInfo {
    /// The virtual host that it is in.
    pub vhost: String,
    /// The address.
    pub address: String,
    /// The distribution of its messages.
    pub distribution: Distribution,
    /// Number of links on which clients send to it.
    pub senders: usize,
    /// Number of links on which clients receive from it.
    pub receivers: usize,
    /// Number of messages that wait there, without unsettled deliveries that a receiver may give back.
    pub waiting: usize,
    /// Number of messages that have arrived since the node was made.
    pub arrived: u64,
}

impl fmt::Display for AddressInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AddressInfo { vhost, address, distribution, senders, receivers, waiting, arrived } = self;
        write!(f, "{address:?}")?;
        write_vhost(f, vhost)?;
        write!(f, " ({distribution}): senders {senders}, receivers {receivers}, waiting {waiting}, ")?;
        write!(f, "arrived {arrived}")
    }
}

/// A client's violation of its protocol. Returned by [`Handle::verify`](crate::Handle::verify).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The connection of the client.
    pub connection: ConnectionId,
    /// The client's socket address.
    pub peer: SocketAddr,
    /// The section of AMQP 1.0 that was violated, such as `2.6.7`, or the method of 0-9-1, such as `basic.ack`.
    pub section: &'static str,
    /// The condition that the client was sent: a symbol of 1.0 such as `amqp:session:window-violation`, or a reply code with its
    /// constant in 0-9-1, such as `504 CHANNEL_ERROR`.
    pub condition: String,
    /// The description that the client was sent.
    pub description: String,
}

impl Violation {
    /// Returns `section 2.6.7` or `method basic.ack`.
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

/// Something that a client asked for and does not get, though it broke no rule of its protocol: see
/// [`Handle::unmet_requests`](crate::Handle::unmet_requests).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnmetRequest {
    /// On which connection. None: the test asked for it, in a declaration of its own.
    pub connection: Option<ConnectionId>,
    /// On which channel: the client's number. None for a request about the connection.
    pub channel: Option<u16>,
    /// For which link (1.0) or consumer (0-9-1): the client's name for it.
    pub link: Option<String>,
    /// For which node, queue or exchange.
    pub address: Option<String>,
    /// In which performative or method: `attach`, `queue.declare`.
    pub method: &'static str,
    /// The field, argument or capability: `x-stream-filter`.
    pub name: String,
    /// The value that was asked for, in words, shortened if it is long. Empty where the name says all.
    pub value: String,
    /// Why it has no effect.
    pub why: &'static str,
    /// How often it was asked for.
    pub count: u64,
}

impl UnmetRequest {
    pub(crate) fn new(connection: Option<ConnectionId>, unmet: &Unmet, count: u64) -> UnmetRequest {
        let text = |text: &Arc<str>| text.as_ref().to_owned();
        let Unmet { place, name, value, why } = unmet;
        UnmetRequest {
            connection,
            channel: place.channel,
            link: place.link.as_ref().map(text),
            address: place.address.as_ref().map(text),
            method: place.method,
            name: text(name),
            value: text(value),
            why,
            count,
        }
    }

    fn unmet(&self) -> Unmet {
        let shared = |text: &String| Arc::from(text.as_str());
        let (link, address) = (self.link.as_ref().map(shared), self.address.as_ref().map(shared));
        let place = Place { method: self.method, channel: self.channel, link, address };
        Unmet { place, name: shared(&self.name), value: shared(&self.value), why: self.why }
    }
}

impl fmt::Display for UnmetRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.connection {
            Some(connection) => write!(f, "{connection}")?,
            None => write!(f, "the test")?,
        }
        self.channel.iter().try_for_each(|channel| write!(f, ", channel {channel}"))?;
        write!(f, ": {}", self.unmet())?;
        if self.count > 1 { write!(f, " ({} times)", self.count) } else { Ok(()) }
    }
}
