//! Policies: what queues and exchanges are given by their names, beside their arguments. They are merged when a policy, a queue or
//! an exchange is set, not when a message comes.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use super::Router;
use super::dead_letters::DeadLetterRoute;
use super::links::NodeId;
use super::node::{Declared, Overflow, QueueType, Settings};
use crate::config::Distribution;
use crate::event::{Fault, LinkKey, REPLY_TO, Reason};
use crate::pattern::Pattern;
use crate::topology::{ApplyTo, Policy, PolicyInfo};
use crate::value::Value;

/// The longest name that a policy can match, in bytes: RabbitMQ has no longer ones.
const MAX_NAME: usize = 255;

/// The values of a policy, by key. None where it has none.
#[derive(Debug, Default)]
struct Definition {
    message_ttl: Option<Duration>,
    expires: Option<Duration>,
    dead_letter_exchange: Option<Arc<str>>,
    dead_letter_key: Option<Arc<str>>,
    max_length: Option<u64>,
    max_bytes: Option<u64>,
    overflow: Option<Overflow>,
    delivery_limit: Option<u64>,
    alternate: Option<Arc<str>>,
}

impl Definition {
    /// Reads a definition. The error is RabbitMQ's, if it refuses this too.
    fn read(policy: &Policy) -> Result<Definition, String> {
        if policy.definition.is_empty() {
            return Err("no policy provided".into());
        }
        let mut read = Definition::default();
        for (index, (key, value)) in policy.definition.iter().enumerate() {
            if policy.definition.iter().take(index).any(|(before, _)| before == key) {
                return Err(format!("{key} duplicate keys not allowed"));
            }
            read.set(key, value)?;
        }
        Ok(read)
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        let no = |what: &str| format!("{value} is not a valid {what}");
        let number = |what: &str, least: u64| value.as_u64().filter(|number| *number >= least).ok_or_else(|| no(what));
        let text = |what: &str| value.as_str().map(Arc::from).ok_or_else(|| no(what));
        match key {
            "message-ttl" => self.message_ttl = Some(Duration::from_millis(number("message TTL", 0)?)),
            "expires" => self.expires = Some(Duration::from_millis(number("queue expiry", 1)?)),
            "dead-letter-exchange" => self.dead_letter_exchange = Some(text("dead letter exchange name")?),
            "dead-letter-routing-key" => self.dead_letter_key = Some(text("dead letter routing key")?),
            "max-length" => self.max_length = Some(number("maximum length", 0)?),
            "max-length-bytes" => self.max_bytes = Some(number("maximum length in bytes", 0)?),
            "delivery-limit" => self.delivery_limit = Some(number("delivery limit", 0)?),
            "alternate-exchange" => self.alternate = Some(text("alternate exchange name")?),
            "overflow" => {
                let overflow = value.as_str().and_then(Overflow::named);
                self.overflow = Some(overflow.ok_or_else(|| no("overflow value"))?);
            }
            other => return Err(format!("{other} is not a policy setting that has an effect here")),
        }
        Ok(())
    }

    /// Adds what the policy says to the arguments of a queue, as RabbitMQ does: the lower of two numbers counts, and the
    /// argument of two other values.
    fn merge(&self, own: Settings, says_overflow: bool) -> Settings {
        let (exchange, key) = own.dead_letters.map_or((None, None), |route| (Some(route.exchange), route.key));
        let key = key.or_else(|| self.dead_letter_key.clone());
        let exchange = exchange.or_else(|| self.dead_letter_exchange.clone());
        Settings {
            message_ttl: lower(own.message_ttl, self.message_ttl),
            expires: lower(own.expires, self.expires),
            dead_letters: exchange.map(|exchange| DeadLetterRoute { exchange, key }),
            max_length: lower(own.max_length, self.max_length),
            max_bytes: lower(own.max_bytes, self.max_bytes),
            overflow: self.overflow.filter(|_| !says_overflow).unwrap_or(own.overflow),
            delivery_limit: lower(own.delivery_limit, self.delivery_limit),
            ..own
        }
    }
}

/// The lower of two numbers, or the one that is there.
fn lower<T: Ord>(own: Option<T>, other: Option<T>) -> Option<T> {
    own.into_iter().chain(other).min()
}

/// A policy that has been read.
#[derive(Debug)]
struct Compiled {
    policy: Policy,
    pattern: Pattern,
    definition: Definition,
}

impl Compiled {
    fn new(policy: Policy) -> Result<Compiled, Fault> {
        let refused = |why: String| {
            let text = format!("invalid policy '{}': {why}", policy.name);
            Fault::new(Reason::PreconditionFailed, text)
        };
        let pattern = Pattern::new(&policy.pattern);
        let pattern = pattern.map_err(|why| refused(format!("pattern '{}': {why}", policy.pattern)))?;
        let definition = Definition::read(&policy).map_err(refused)?;
        Ok(Compiled { policy, pattern, definition })
    }

    fn is_for_queues(&self, of_type: QueueType) -> bool {
        let is_for_type = match self.policy.apply_to {
            ApplyTo::All | ApplyTo::Queues => true,
            ApplyTo::ClassicQueues => of_type == QueueType::Classic,
            ApplyTo::QuorumQueues => of_type == QueueType::Quorum,
            ApplyTo::Streams => of_type == QueueType::Stream,
            ApplyTo::Exchanges => false,
        };
        // A policy with one key that queues of a type do not have applies to none of them.
        is_for_type && !self.policy.definition.iter().any(|(key, _)| of_type.lacks(&format!("x-{key}")))
    }

    fn is_for_exchanges(&self) -> bool {
        matches!(self.policy.apply_to, ApplyTo::All | ApplyTo::Exchanges)
    }
}

/// The policies of a virtual host, by priority, the highest first, and by name.
#[derive(Debug, Default)]
pub(super) struct Policies(Vec<Compiled>);

impl Policies {
    fn set(&mut self, policy: Policy) -> Result<(), Fault> {
        let compiled = Compiled::new(policy)?;
        self.clear(&compiled.policy.name);
        self.0.push(compiled);
        self.0.sort_by(|a, b| {
            (Reverse(a.policy.priority), &a.policy.name).cmp(&(Reverse(b.policy.priority), &b.policy.name))
        });
        Ok(())
    }

    fn clear(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|compiled| compiled.policy.name != name);
        self.0.len() < before
    }

    /// The definition of the one policy that applies: of those that match, the one with the highest priority.
    fn matching(&self, name: &str, is_for: impl Fn(&Compiled) -> bool) -> Option<&Definition> {
        if name.len() > MAX_NAME {
            return None;
        }
        let found = self.0.iter().find(|compiled| is_for(compiled) && compiled.pattern.matches(name));
        found.map(|compiled| &compiled.definition)
    }

    /// Returns the settings of a queue that has `own` ones by its declaration.
    pub(super) fn merged(&self, name: &str, declared: Option<&Declared>, own: Settings) -> Settings {
        // These are no queues in RabbitMQ.
        if name.starts_with(REPLY_TO) {
            return own;
        }
        let says_overflow = declared.is_some_and(|declared| declared.arguments.get("x-overflow").is_some());
        match self.matching(name, |compiled| compiled.is_for_queues(own.queue_type)) {
            Some(definition) => definition.merge(own, says_overflow),
            None => own,
        }
    }

    /// Returns the alternate of an exchange that its policy names.
    fn alternate(&self, exchange: &str) -> Option<Arc<str>> {
        self.matching(exchange, Compiled::is_for_exchanges)?.alternate.clone()
    }
}

impl Router {
    /// Sets a policy, in place of one of the same name. It applies to the queues and exchanges that are there and to later ones.
    pub(crate) fn set_policy(&mut self, policy: Policy) -> Result<(), Fault> {
        self.policies.set(policy)?;
        self.apply_policies();
        Ok(())
    }

    /// Removes a policy. False if there is none of this name.
    pub(crate) fn clear_policy(&mut self, name: &str) -> bool {
        let was_there = self.policies.clear(name);
        if was_there {
            self.apply_policies();
        }
        was_there
    }

    /// Lists all policies, by name.
    pub(crate) fn policies(&self) -> Vec<PolicyInfo> {
        let mut infos: Vec<PolicyInfo> = self.policies.0.iter().map(|compiled| compiled.policy.info()).collect();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        infos
    }

    /// Adds a node at an address that has none. A queue has the settings of its policy from the start.
    pub(super) fn add_node(&mut self, address: Arc<str>, distribution: Distribution, owner: Option<LinkKey>) -> NodeId {
        let id = self.addresses.add(address, distribution, owner);
        if !self.policies.0.is_empty() {
            self.apply_policy_to(id);
        }
        id
    }

    /// Gives an exchange that has just been declared the alternate of its policy.
    pub(super) fn apply_policy_to_exchange(&mut self, name: &str) {
        if !self.policies.0.is_empty() {
            self.exchanges.set_alternate(name, self.policies.alternate(name));
        }
    }

    /// Gives all queues and exchanges what their policies say now.
    fn apply_policies(&mut self) {
        let exchanges: Vec<String> = self.exchanges.iter().map(|(name, _)| name.to_owned()).collect();
        for name in exchanges {
            self.exchanges.set_alternate(&name, self.policies.alternate(&name));
        }
        let ids: Vec<NodeId> = self.addresses.iter().map(|(id, _)| id).collect();
        ids.into_iter().for_each(|id| self.apply_policy_to(id));
    }

    /// Gives a queue what its policy says now. Does nothing for a node of another kind, and for a queue that has it.
    fn apply_policy_to(&mut self, id: NodeId) {
        let Some(entry) = self.addresses.find_by_id(id).filter(|entry| !entry.ended) else { return };
        let Some(queue) = entry.node.queue() else { return };
        let declared = queue.declared.as_ref();
        let own = match declared.map(|declared| Settings::of(self.vhost.queue(&entry.address), declared)) {
            None => Settings::default(),
            Some(Ok(own)) => own,
            Some(Err(_)) => {
                debug_assert!(false, "a declaration that was accepted");
                return;
            }
        };
        let settings = self.policies.merged(&entry.address, declared, own);
        if settings == queue.settings {
            return;
        }
        self.work(id, |node, context| {
            if let Some(queue) = node.queue_mut() {
                queue.change_settings(settings, context);
            }
        });
        self.carry_on(id);
    }
}
