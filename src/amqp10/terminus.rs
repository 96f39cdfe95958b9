//! 3.5: sources and targets: what a link is attached to.

use std::sync::Arc;

use super::composite::{Composite, Descriptor, composite};
use super::delivery_state::Outcome;
use super::types::{CodecError, Decode, Encode, Raw, RawMap, Reader, Result, Symbol};
use crate::event::NodeKind;

composite! {
    /// 3.5.3
    #[derive(Default)]
    Source = 0x28 "amqp:source:list" {
        // azure-servicebus takes a terminus without any field for none at all.
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

    /// 3.5.4
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

    /// 4.5.1: where transactions would be declared.
    Coordinator = 0x30 "amqp:coordinator:list" {
        capabilities: multiple Symbol,
    }
}

/// The target field of an attach.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AnyTarget {
    Target(Target),
    Coordinator(Coordinator),
    /// Of a type that we do not know.
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
    /// Of a type that we do not know.
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

/// What a dynamic node should be like, by the capabilities that JMS clients ask for (`temporary-queue`, `temporary-topic`)
/// and others in the same words without the `temporary-`.
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

impl Source {
    /// 3.5.5: takes copies and leaves the messages where they are.
    pub(crate) fn browses(&self) -> Result<bool> {
        match self.distribution_mode.as_ref().map(Symbol::as_str) {
            None | Some("move") => Ok(false),
            Some("copy") => Ok(true),
            Some(_) => Err(CodecError::Invalid("distribution-mode is move or copy")),
        }
    }
}
