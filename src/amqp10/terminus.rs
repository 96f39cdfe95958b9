//! Sources and targets (3.5): what a peer asks for, and what it is granted.

use std::sync::Arc;

use super::composite::{Composite, Descriptor, composite};
use super::delivery_state::{OUTCOMES, Outcome, Released};
use super::encodings::map_of_one;
use super::types::{CodecError, Decode, Encode, Raw, RawMap, Reader, Result, Symbol};
use crate::event::NodeKind;

composite! {
    /// The source of a link (3.5.3).
    #[derive(Default)]
    Source = 0x28 "amqp:source:list" {
        // azure-servicebus treats a terminus without fields as null.
        address: spelled Arc<str>,
        durable: default u32 = 0,
        expiry_policy: optional Symbol,
        timeout: default u32 = 0,
        dynamic: default bool = false,
        dynamic_node_properties: optional RawMap,
        distribution_mode: optional Symbol,
        filter: optional RawMap,
        default_outcome: optional Outcome,
        outcomes: multiple Symbol,
        capabilities: multiple Symbol,
    }

    /// The target of a link (3.5.4).
    #[derive(Default)]
    Target = 0x29 "amqp:target:list" {
        address: spelled Arc<str>,
        durable: default u32 = 0,
        expiry_policy: optional Symbol,
        timeout: default u32 = 0,
        dynamic: default bool = false,
        dynamic_node_properties: optional RawMap,
        capabilities: multiple Symbol,
    }

    /// The lifetime of a dynamic node that is deleted when the link that created it closes (3.5.10).
    DeleteOnClose = 0x2b "amqp:delete-on-close:list" {}

    /// The target for transactions (4.5.1), decoded so that the refusal can name it.
    Coordinator = 0x30 "amqp:coordinator:list" {
        capabilities: multiple Symbol,
    }
}

/// The target field of an attach.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AnyTarget {
    Target(Target),
    Coordinator(Coordinator),
    /// A target of another type.
    Unknown(Raw),
}

impl Decode for AnyTarget {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let descriptor = Descriptor::peek(reader)?;
        if Target::is(descriptor) {
            Target::decode(reader).map(AnyTarget::Target)
        } else if Coordinator::is(descriptor) {
            Coordinator::decode(reader).map(AnyTarget::Coordinator)
        } else {
            Raw::decode(reader).map(AnyTarget::Unknown)
        }
    }
}

impl Encode for AnyTarget {
    fn encode(&self, out: &mut bytes::BytesMut) {
        match self {
            AnyTarget::Target(target) => target.encode(out),
            AnyTarget::Coordinator(coordinator) => coordinator.encode(out),
            AnyTarget::Unknown(raw) => raw.encode(out),
        }
    }
}

/// The source field of an attach.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AnySource {
    Source(Box<Source>),
    /// A source of another type.
    Unknown(Raw),
}

impl Decode for AnySource {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        if Source::is(Descriptor::peek(reader)?) {
            Ok(AnySource::Source(Box::new(Source::decode(reader)?)))
        } else {
            Raw::decode(reader).map(AnySource::Unknown)
        }
    }
}

impl Encode for AnySource {
    fn encode(&self, out: &mut bytes::BytesMut) {
        match self {
            AnySource::Source(source) => source.encode(out),
            AnySource::Unknown(raw) => raw.encode(out),
        }
    }
}

/// Returns the kind of dynamic node that capabilities ask for: `temporary-queue` and `temporary-topic` (JMS clients), `queue` and
/// `topic`.
pub(crate) fn node_kind(capabilities: &[Symbol]) -> NodeKind {
    let asks_for = |what: &str| {
        capabilities.iter().any(|symbol| symbol.as_str().strip_prefix("temporary-").unwrap_or(symbol.as_str()) == what)
    };
    if asks_for("queue") {
        NodeKind::Queue
    } else if asks_for("topic") {
        NodeKind::Topic
    } else {
        NodeKind::Unspecified
    }
}

/// The expiry-policy that every terminus is granted (3.5.6): no state of detached links is kept.
const LINK_DETACH: &str = "link-detach";

/// Returns the properties of a dynamic node (3.5.9).
fn dynamic_node_properties() -> RawMap {
    map_of_one("lifetime-policy", &DeleteOnClose {})
}

/// Returns those of the requested capabilities that a node of this kind has.
fn granted_capabilities(asked: &[Symbol], kind: NodeKind, dynamic: bool) -> Vec<Symbol> {
    let (lasting, temporary) = match kind {
        NodeKind::Queue | NodeKind::Stream => ("queue", "temporary-queue"),
        NodeKind::Topic => ("topic", "temporary-topic"),
        NodeKind::Unspecified => return Vec::new(),
    };
    let is_granted = |symbol: &&Symbol| symbol.as_str() == lasting || (dynamic && symbol.as_str() == temporary);
    asked.iter().filter(is_granted).cloned().collect()
}

/// Returns the distribution-mode of a node of this kind (3.5.7): copy for a topic, a stream or a browsed queue, else move.
fn granted_mode(asked: &Source, kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Topic | NodeKind::Stream => "copy",
        NodeKind::Queue if asked.browses() == Ok(true) => "copy",
        NodeKind::Queue | NodeKind::Unspecified => "move",
    }
}

impl Target {
    /// Returns the target that is granted to a peer which asks for this one (3.5.4): only what the broker honours.
    pub(crate) fn granted(&self, address: Option<Arc<str>>, kind: NodeKind) -> Target {
        Target {
            address,
            expiry_policy: Some(Symbol::new(LINK_DETACH)),
            dynamic: self.dynamic,
            dynamic_node_properties: self.dynamic.then(dynamic_node_properties),
            capabilities: granted_capabilities(&self.capabilities, kind, self.dynamic),
            ..Target::default()
        }
    }
}

impl Source {
    /// Returns the source that is granted to a peer which asks for this one (3.5.3): only what the broker honours.
    pub(crate) fn granted(&self, address: Option<Arc<str>>, kind: NodeKind) -> Source {
        let default_outcome = self.default_outcome.clone().unwrap_or(Outcome::Released(Released {}));
        Source {
            address,
            expiry_policy: Some(Symbol::new(LINK_DETACH)),
            dynamic: self.dynamic,
            dynamic_node_properties: self.dynamic.then(dynamic_node_properties),
            distribution_mode: self.distribution_mode.as_ref().map(|_| Symbol::new(granted_mode(self, kind))),
            default_outcome: Some(default_outcome),
            outcomes: self.granted_outcomes(),
            capabilities: granted_capabilities(&self.capabilities, kind, self.dynamic),
            ..Source::default()
        }
    }

    /// Returns the outcomes that are both requested and defined; all, if none were requested.
    fn granted_outcomes(&self) -> Vec<Symbol> {
        let asked =
            |outcome: &str| self.outcomes.is_empty() || self.outcomes.iter().any(|asked| asked.as_str() == outcome);
        OUTCOMES.into_iter().filter(|outcome| asked(outcome)).map(Symbol::new).collect()
    }

    /// Whether the peer browses: asks for distribution-mode copy (3.5.7).
    pub(crate) fn browses(&self) -> Result<bool> {
        match self.distribution_mode.as_ref().map(Symbol::as_str) {
            None | Some("move") => Ok(false),
            Some("copy") => Ok(true),
            Some(_) => Err(CodecError::Invalid("distribution-mode is move or copy")),
        }
    }
}
