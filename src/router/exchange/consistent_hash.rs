//! Consistent-hash exchanges (`x-consistent-hash`, a plugin of RabbitMQ): a message goes to one of the bound queues, chosen by a hash
//! of its routing key, a header or a property. The key of a binding is the weight of its queue.
//!
//! The hash of a message and a queue, scaled by the queue's weight, is the queue's score, and the highest score wins (weighted
//! rendezvous hashing). So a queue that is bound or unbound changes the way of no message but those that it gets or had.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bindings::{Binding, Target};
use super::equivalence::{Named, text_argument};
use super::routed_by::RoutedBy;
use crate::arguments::{Arguments, canonical};
use crate::event::{Fault, Reason};
use crate::message::Identity;

const HEADER: &str = "hash-header";
const PROPERTY: &str = "hash-property";

/// The part of a message that is hashed.
#[derive(Debug)]
enum HashOn {
    RoutingKey,
    Header(Arc<str>),
    Property(Identity),
}

/// The weight of a target, and the binding key that says it.
#[derive(Debug)]
struct Share {
    key: Arc<str>,
    weight: f64,
}

/// The part of a message that is hashed, and the weights of the targets.
#[derive(Debug)]
pub(super) struct Hashing {
    on: HashOn,
    shares: BTreeMap<Target, Share>,
}

impl Hashing {
    /// Reads the arguments of a declaration.
    pub(super) fn of(exchange: Named<'_>, arguments: &Arguments) -> Result<Hashing, Fault> {
        let refused = |text: String| Fault::new(Reason::PreconditionFailed, text);
        let header = text_argument(exchange, arguments, HEADER)?;
        let property = text_argument(exchange, arguments, PROPERTY)?;
        let on = match (header, property) {
            (None, None) => HashOn::RoutingKey,
            (Some(header), None) => HashOn::Header(header),
            (None, Some(name)) => match Identity::named(&name) {
                Some(property) => HashOn::Property(property),
                None => return Err(refused(format!("Unsupported property: {name}"))),
            },
            (Some(_), Some(_)) => return Err(refused(format!("{HEADER} and {PROPERTY} are mutually exclusive"))),
        };
        Ok(Hashing { on, shares: BTreeMap::new() })
    }

    /// Adds the weight of a new binding. Of several bindings of one target the first counts, as in RabbitMQ.
    pub(super) fn add(&mut self, binding: &Binding) {
        if let Ok(weight) = weight_of(&binding.key) {
            let share = || Share { key: binding.key.clone(), weight };
            self.shares.entry(binding.target.clone()).or_insert_with(share);
        }
    }

    /// Removes the weight of a target that is bound by this key no more.
    pub(super) fn remove(&mut self, target: &Target, key: &str) {
        if self.shares.get(target).is_some_and(|share| share.key.as_ref() == key) {
            self.shares.remove(target);
        }
    }

    /// The target of a message. None if nothing is bound.
    pub(super) fn target(&self, by: &RoutedBy<'_>) -> Option<&Target> {
        let hash = match &self.on {
            HashOn::RoutingKey => hash(by.keys().first().unwrap_or(&"").as_bytes()),
            HashOn::Header(name) => {
                let found = by.headers().iter().find(|(known, _)| known == name.as_ref());
                hash(&found.map(|(_, value)| canonical(value)).unwrap_or_default())
            }
            HashOn::Property(property) => {
                hash(&by.identity(*property).map(|value| canonical(&value)).unwrap_or_default())
            }
        };
        let score = |(target, share): (&Target, &Share)| share.weight / -ratio(mixed(hash ^ hash_of(target))).ln();
        let better = |a: &(&Target, f64), b: &(&Target, f64)| a.1.total_cmp(&b.1);
        let scored = self.shares.iter().map(|(target, share)| (target, score((target, share))));
        scored.max_by(better).map(|(target, _)| target)
    }
}

/// Reads a binding key as a weight. Fails with RabbitMQ's texts if it is none.
pub(super) fn weight_of(key: &str) -> Result<f64, Fault> {
    let refused = |text: String| Fault::new(Reason::PreconditionFailed, text);
    let digits = key.strip_prefix(['+', '-']).unwrap_or(key);
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match key.parse::<f64>().ok().filter(|_| is_whole) {
        Some(weight) if weight >= 1.0 => Ok(weight),
        Some(_) => Err(refused("The binding key must be greater than 0".to_owned())),
        None => Err(refused(format!("The binding key must be an integer: <<{key:?}>>"))),
    }
}

/// FNV-1a, which is the same on all machines.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn hash_of(target: &Target) -> u64 {
    mixed(match target {
        Target::Queue(queue) => hash(&queue.0.to_be_bytes()),
        Target::Exchange(name) => hash(name.as_bytes()),
    })
}

/// Spreads a difference in any bit over all bits (the last step of MurmurHash3).
fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

/// A hash as a number between 0 and 1, neither of them included.
#[expect(clippy::cast_precision_loss, reason = "53 bits are what a double has")]
fn ratio(hash: u64) -> f64 {
    ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}
