//! Every setting of the broker, with its default and the reason for it.
//!
//! Plain data: `broker/` fills it in; event loop, engines and router read their part. Sockets, frames and messages are not known
//! here.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use crate::recorder::RecorderConfig;
use crate::topology::Topology;
use crate::users::Users;

/// How an address distributes its messages. Set by [`Builder::distribution`](crate::Builder::distribution) for one address, by
/// an address's prefix, and by [`Builder::default_distribution`](crate::Builder::default_distribution) for all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Distribution {
    /// To the receiver that attached first. Counted as `direct`. The default.
    Direct,
    /// To one receiver with credit, round-robin. Counted as `topic`. Prefix: `unicast.`.
    Anycast,
    /// A copy to every receiver. Counted as `fanout`, each copy as `fanout_sent`. Prefix: `broadcast.`.
    Multicast,
    /// Stored until a receiver has settled it; receivers compete. A message that is released or modified, or whose receiver
    /// detaches, returns to its place. Counted as `queued` on arrival and as `topic` for each delivery. Prefix: `queue.`.
    Queue,
}

impl std::fmt::Display for Distribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Distribution::Direct => "direct",
            Distribution::Anycast => "anycast",
            Distribution::Multicast => "multicast",
            Distribution::Queue => "queue",
        })
    }
}

/// When the sender of an unsettled message is sent its outcome. Set by [`Builder::settlement`](crate::Builder::settlement).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settlement {
    /// When the broker has taken the message over: `accepted`. The default.
    #[default]
    Immediate,
    /// When the receiver has settled the delivery: the receiver's outcome. A multicast waits for all copies and is accepted if
    /// one of them was. A queue accepts when it has stored the message.
    EndToEnd,
}

/// The outcome of a message without a receiver. Set by [`Builder::unroutable`](crate::Builder::unroutable).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unroutable {
    /// `rejected` with `amqp:not-found` and a description that names the address. The default.
    #[default]
    Rejected,
    /// `released`, upon which some clients send again.
    Released,
    /// `modified` with delivery-failed.
    Modified,
    /// None: the delivery stays unsettled until the client gives up.
    Silent,
}

/// The configuration of a broker.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Addresses to listen on, `HOST:PORT`, resolved at bind. Empty: 127.0.0.1 and a free port; loopback, because by default no
    /// password protects the broker.
    pub(crate) listen: Vec<String>,
    pub(crate) engine: EngineConfig,
    /// The names of the virtual hosts beside the default one.
    pub(crate) vhosts: Vec<String>,
    pub(crate) routing: RoutingConfig,
    pub(crate) recorder: RecorderConfig,
    /// Queues, exchanges and bindings that are declared at the start, and again when a restart has dropped them.
    pub(crate) topology: Topology,
    /// Whether the test advances the clock. Default: false.
    pub(crate) manual_clock: bool,
}

/// The settings of the protocol engines.
#[derive(Clone, Debug)]
pub(crate) struct EngineConfig {
    /// Users that may connect. None: everybody may.
    pub(crate) users: Users,
    /// The container-id of our open. Empty: generated at bind, unique to this broker.
    pub(crate) container_id: String,
    /// The properties of our open, and of 0-9-1's start. Default: none, because a `product` changes how some clients address their messages.
    pub(crate) open_properties: Vec<(String, String)>,
    /// Maximum frame size in bytes. Default: 64 KiB, large enough for little overhead, small enough to interleave links.
    pub(crate) max_frame_size: u32,
    /// The frame-max of 0-9-1 in bytes. Default: 128 KiB, as RabbitMQ's.
    pub(crate) frame_max: u32,
    /// The channel-max of our open. Default: 1023 (1024 sessions), because oslo.messaging uses one session for each link.
    pub(crate) channel_max: u16,
    /// The channel-max of 0-9-1. Default: 2047, as RabbitMQ's.
    pub(crate) highest_channel: u16,
    /// The handle-max of our begin. Default: 65,535.
    pub(crate) handle_max: u32,
    /// Maximum number of links of a connection, in all its sessions. Default: 65,536.
    pub(crate) max_links: usize,
    /// The idle time-out. Default: none, so that a test that stops in a debugger keeps its connections.
    pub(crate) idle_timeout: Option<Duration>,
    /// The time within which a delivery of 0-9-1 has to be acknowledged. Default: none, for the same reason.
    pub(crate) consumer_timeout: Option<Duration>,
    /// Maximum size of a message in bytes. Default: 128 MiB, more than tests send and less than would exhaust memory.
    pub(crate) max_message_size: u64,
    /// Time from accept to open. Bytes that arrive do not extend it. Default: 10 s.
    pub(crate) handshake_timeout: Duration,
    /// Time for the peer to answer our close, after which the socket is closed. Default: 5 s.
    pub(crate) linger: Duration,
    /// Whether `to` decides the route of a message even on a link with an address. Default: false.
    pub(crate) route_by_to: bool,
    /// Whether receivers with snd-settle-mode mixed are sent all deliveries unsettled, even of messages that came settled.
    /// Default: false.
    pub(crate) deliver_unsettled: bool,
    /// Refuse what is not honoured, where it would only be noted. Off: real clients ask for much that they can do without.
    pub(crate) strict: bool,
}

/// The settings of the router.
#[derive(Clone, Debug)]
pub(crate) struct RoutingConfig {
    pub(crate) multicast_prefix: String,
    pub(crate) anycast_prefix: String,
    pub(crate) queue_prefix: String,
    /// The separator between a prefix and the rest of an address. Default: `.`.
    pub(crate) separator: String,
    /// The distribution of addresses without a known prefix. Default: direct.
    pub(crate) default_distribution: Distribution,
    /// The distribution of single addresses, whatever their prefix.
    pub(crate) distributions: HashMap<String, Distribution>,
    /// The prefix of generated addresses of dynamic nodes.
    pub(crate) generated_prefix: String,
    pub(crate) unroutable: Unroutable,
    pub(crate) settlement: Settlement,
    /// Credit that a producer is given on attach, and topped up to. 0: none. Default: 1000.
    pub(crate) credit_window: u32,
    /// Number of messages that may wait for a slow receiver before credit is taken from its senders. Default: 1000.
    pub(crate) backlog_limit: usize,
    /// Bytes that may wait in the whole broker. Messages beyond that are rejected. Default: 1 GiB.
    pub(crate) storage_limit: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: Vec::new(),
            engine: EngineConfig {
                users: Users::default(),
                container_id: String::new(),
                open_properties: Vec::new(),
                max_frame_size: 64 * 1024,
                frame_max: 128 * 1024,
                channel_max: 1023,
                highest_channel: 2047,
                handle_max: 65_535,
                max_links: 65_536,
                idle_timeout: None,
                consumer_timeout: None,
                max_message_size: 128 * 1024 * 1024,
                handshake_timeout: Duration::from_secs(10),
                linger: Duration::from_secs(5),
                route_by_to: false,
                deliver_unsettled: false,
                strict: false,
            },
            vhosts: Vec::new(),
            routing: RoutingConfig {
                multicast_prefix: "broadcast".into(),
                anycast_prefix: "unicast".into(),
                queue_prefix: "queue".into(),
                separator: ".".into(),
                default_distribution: Distribution::Direct,
                distributions: HashMap::new(),
                generated_prefix: "dynamic".into(),
                unroutable: Unroutable::default(),
                settlement: Settlement::default(),
                credit_window: 1000,
                backlog_limit: 1000,
                storage_limit: 1024 * 1024 * 1024,
            },
            recorder: RecorderConfig::default(),
            topology: Topology::default(),
            manual_clock: false,
        }
    }
}

/// The prefix of RabbitMQ 4's addresses of queues. The percent-encoded name of the queue follows.
const QUEUE_PATH: &str = "/queues/";

/// Returns the name of the node that an address refers to, on the wire and in this API. `/queues/NAME` refers to the
/// percent-decoded `NAME`, as in RabbitMQ 4; any other address is the name of its node. Use it in a hook to compare an address
/// of the test's with the one shown.
///
/// ```
/// assert_eq!(fakebroker::node_at("/queues/orders%2Fnew"), "orders/new");
/// assert_eq!(fakebroker::node_at("orders"), "orders");
/// ```
#[must_use]
pub fn node_at(address: &str) -> Cow<'_, str> {
    match address.strip_prefix(QUEUE_PATH) {
        None => Cow::Borrowed(address),
        Some(name) => percent_decoded(name),
    }
}

impl RoutingConfig {
    /// Returns the name of the node that an address refers to: see [`node_at`].
    pub(crate) fn node_at(address: &str) -> Cow<'_, str> {
        node_at(address)
    }

    /// Returns the distribution of the node `node` that a peer addressed as `said`. An address of the form `/queues/NAME` means
    /// a queue, whatever the prefix.
    pub(crate) fn distribution_at(&self, said: &str, node: &str) -> Distribution {
        if said.starts_with(QUEUE_PATH) && !self.distributions.contains_key(node) {
            return Distribution::Queue;
        }
        self.distribution_of(node)
    }

    /// Returns the distribution of an address: its own setting, else that of its prefix, else the default.
    pub(crate) fn distribution_of(&self, address: &str) -> Distribution {
        if let Some(distribution) = self.distributions.get(address) {
            return *distribution;
        }
        let by_prefix = [
            (&self.multicast_prefix, Distribution::Multicast),
            (&self.anycast_prefix, Distribution::Anycast),
            (&self.queue_prefix, Distribution::Queue),
        ];
        let starts_with =
            |prefix: &str| address.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(&self.separator));
        by_prefix
            .into_iter()
            .find(|(prefix, _)| !prefix.is_empty() && starts_with(prefix))
            .map_or(self.default_distribution, |(_, distribution)| distribution)
    }
}

/// Percent-encodes a part of an address or a URL. Unreserved characters stay as they are (RFC 3986, 2.3).
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Decodes percent-encoding (RFC 3986, 2.1). An invalid escape, or one that would not yield UTF-8, stays as it is.
pub(crate) fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let octet = match rest {
            [b'%', digits @ ..] => digits.get(..2).and_then(|digits| {
                let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
                u8::from_str_radix(digits, 16).ok()
            }),
            _ => None,
        };
        decoded.push(octet.unwrap_or(*first));
        rest = octet.and_then(|_| rest.get(3..)).unwrap_or(others);
    }
    String::from_utf8(decoded).map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_have_a_path_too() {
        let rows = [
            ("queue.a", "queue.a"),
            ("/queues/queue.a", "queue.a"),
            ("/queues/a%2Fb%20c", "a/b c"),
            ("/queues/%c3%a4", "ä"),
            ("/queues/%ff", "%ff"),
            ("/queues/100%", "100%"),
            ("/queues/%+1%2", "%+1%2"),
            ("/queue/a", "/queue/a"),
        ];
        for (address, node) in rows {
            assert_eq!(RoutingConfig::node_at(address), node, "{address}");
        }
    }
}
