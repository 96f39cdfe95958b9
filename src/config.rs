//! Every knob of the broker, its default and why it is that.
//!
//! Plain data: `broker/` fills it in, the event loop, the engines and the router read their part of it. Nothing here
//! knows a socket, a frame or a message.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use crate::recorder::RecorderConfig;
use crate::users::Users;

/// How an address hands its messages out: set by [`Builder::distribution`](crate::Builder::distribution) for one, by
/// its prefix for many, by [`Builder::default_distribution`](crate::Builder::default_distribution) for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Distribution {
    /// To the receiver that attached first. Counted as `direct`. Any other address, by default.
    Direct,
    /// To one receiver, round-robin among those that have credit. Counted as `topic`. Prefix: `unicast.`.
    Anycast,
    /// A copy to every receiver. Counted as `fanout`, each copy as `fanout_sent`. Prefix: `broadcast.`.
    Multicast,
    /// Stored until a receiver takes it and settles it; receivers compete; what is released, modified or lost goes back
    /// to its place. Counted as `queued`, and as `topic` each time it is forwarded. Prefix: `queue.`.
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

/// When the sender of an unsettled message learns its outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settlement {
    /// As soon as the message is forwarded: `accepted`.
    #[default]
    Immediate,
    /// When the receiver has answered, with the receiver's own outcome. A multicast waits for every copy and is accepted
    /// if one of them was. A queue takes responsibility itself and accepts what it has stored.
    EndToEnd,
}

/// What the sender of a message is told that nobody could receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unroutable {
    /// `rejected` with `amqp:not-found` and a description that names the address.
    #[default]
    Rejected,
    /// `released`: some clients try again later.
    Released,
    /// `modified` with delivery-failed.
    Modified,
    /// Nothing: the delivery stays unsettled, and a client's own timeout is what ends it.
    Silent,
}

/// What the broker as a whole is told.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// `HOST:PORT`, resolved at bind. Empty: the loopback and a free port, since without users nothing else guards it.
    pub(crate) listen: Vec<String>,
    pub(crate) engine: EngineConfig,
    pub(crate) routing: RoutingConfig,
    pub(crate) recorder: RecorderConfig,
    /// Whether the test advances the clock.
    pub(crate) manual_clock: bool,
}

/// What a protocol engine needs to know.
#[derive(Clone, Debug)]
pub(crate) struct EngineConfig {
    /// Who gets in: everybody.
    pub(crate) users: Users,
    /// Our name in `open`. Empty: made at bind, unique to this broker.
    pub(crate) container_id: String,
    /// Properties of our `open`. None by default: a `product` changes how some clients address their messages.
    pub(crate) open_properties: Vec<(String, String)>,
    /// 64 KiB: large enough that a frame's overhead does not matter, small enough to interleave links fairly.
    pub(crate) max_frame_size: u32,
    /// 1023 (that is 1024 sessions): oslo.messaging takes a session a link.
    pub(crate) channel_max: u16,
    /// 65,535: as many links as a session of ours could have.
    pub(crate) handle_max: u32,
    /// Links of one connection, all its sessions together: 65,536.
    pub(crate) max_links: usize,
    /// Off: a test that stops in a debugger should not lose its connections.
    pub(crate) idle_timeout: Option<Duration>,
    /// 128 MiB: above what tests send, below what hurts.
    pub(crate) max_message_size: u64,
    /// From accept to `open`, however the bytes trickle in: 10 s.
    pub(crate) handshake_timeout: Duration,
    /// How long a peer may take to answer our close before its socket is dropped: 5 s.
    pub(crate) linger: Duration,
    /// Look for `to` in every message, even on a link with an address. Off.
    pub(crate) route_by_to: bool,
    /// Deliver unsettled to receivers that leave it open, whatever arrives settled. Off.
    pub(crate) deliver_unsettled: bool,
}

/// What the router needs to know.
#[derive(Clone, Debug)]
pub(crate) struct RoutingConfig {
    pub(crate) multicast_prefix: String,
    pub(crate) anycast_prefix: String,
    pub(crate) queue_prefix: String,
    /// What stands between a prefix and the rest of an address: `.`.
    pub(crate) separator: String,
    /// What an address gets whose prefix says nothing: direct.
    pub(crate) default_distribution: Distribution,
    /// Single addresses, whatever their prefix.
    pub(crate) distributions: HashMap<String, Distribution>,
    /// What the addresses start with that are made for dynamic termini.
    pub(crate) generated_prefix: String,
    pub(crate) unroutable: Unroutable,
    pub(crate) settlement: Settlement,
    /// Credit that a producer gets on attach and is topped up to: 1000. 0: withheld.
    pub(crate) credit_window: u32,
    /// Messages that may wait for a slow receiver before its producers' credit is withheld: 1000.
    pub(crate) backlog_limit: usize,
    /// Bytes that may wait in the whole broker; what comes on top is rejected: 1 GiB.
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
                channel_max: 1023,
                handle_max: 65_535,
                max_links: 65_536,
                idle_timeout: None,
                max_message_size: 128 * 1024 * 1024,
                handshake_timeout: Duration::from_secs(10),
                linger: Duration::from_secs(5),
                route_by_to: false,
                deliver_unsettled: false,
            },
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
            manual_clock: false,
        }
    }
}

/// Addresses of this form name a queue in the way of RabbitMQ 4: the rest is the node's name, percent-encoded.
const QUEUE_PATH: &str = "/queues/";

/// The name of the node that an address means, on the wire and wherever a test names one: that of `/queues/NAME` is the
/// percent-decoded `NAME`, as RabbitMQ 4 has it, and any other address is its node's name. For a hook that compares an address
/// of the test's with what it is shown.
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
    /// The node that an address means: see [`node_at`].
    pub(crate) fn node_at(address: &str) -> Cow<'_, str> {
        node_at(address)
    }

    /// What is done at a node that a peer named in these words: a path among the queues is a queue, whatever its prefix says.
    pub(crate) fn distribution_at(&self, said: &str, node: &str) -> Distribution {
        if said.starts_with(QUEUE_PATH) && !self.distributions.contains_key(node) {
            return Distribution::Queue;
        }
        self.distribution_of(node)
    }

    /// What is done with the messages of `address`: its own setting, else its prefix, else the default.
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

/// Decodes RFC 3986's percent-encoding. What is not an encoded octet, or would not be text, stays as it is.
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
