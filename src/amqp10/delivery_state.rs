//! Delivery states (3.4): the outcome of a delivery, or how far it got.

use super::composite::{Composite, choice, composite};
use super::definitions::Error;
use super::types::{Raw, RawMap};
use crate::event;

composite! {
    /// How much of a delivery has been received (3.4.1).
    Received = 0x23 "amqp:received:list" {
        section_number: mandatory u32,
        section_offset: mandatory u64,
    }

    /// The delivery was accepted (3.4.2).
    Accepted = 0x24 "amqp:accepted:list" {}

    /// The delivery was rejected (3.4.3).
    Rejected = 0x25 "amqp:rejected:list" {
        error: optional Error,
    }

    /// The delivery was released (3.4.4).
    Released = 0x26 "amqp:released:list" {}

    /// The delivery was modified (3.4.5).
    Modified = 0x27 "amqp:modified:list" {
        delivery_failed: default bool = false,
        undeliverable_here: default bool = false,
        message_annotations: optional RawMap,
    }

    /// The state of a delivery in a transaction (4.5.8), decoded so that the refusal can name it.
    TransactionalState = 0x34 "amqp:transactional-state:list" {
        txn_id: mandatory Raw,
        outcome: optional Raw,
    }

    /// The outcome of a declare (4.5.5), decoded so that the refusal can name it.
    Declared = 0x33 "amqp:declared:list" {
        txn_id: mandatory Raw,
    }
}

choice! {
    /// The terminal states (3.4).
    Outcome { Accepted, Rejected, Released, Modified }

    /// All delivery states (3.4).
    DeliveryState { Accepted, Rejected, Released, Modified, Received, TransactionalState, Declared }
}

/// The names of the terminal states (3.4), as the outcomes field of a source lists them.
pub(crate) const OUTCOMES: [&str; 4] = [Accepted::NAME, Rejected::NAME, Released::NAME, Modified::NAME];

impl DeliveryState {
    /// Returns the state without the error or the annotations that its receiver added.
    pub(crate) fn without_details(self) -> DeliveryState {
        match self {
            DeliveryState::Rejected(_) => DeliveryState::Rejected(Rejected { error: None }),
            DeliveryState::Modified(modified) => {
                DeliveryState::Modified(Modified { message_annotations: None, ..modified })
            }
            other => other,
        }
    }

    /// Returns the outcome. None if the state is not terminal.
    pub(crate) fn into_outcome(self) -> Option<Outcome> {
        match self {
            DeliveryState::Accepted(state) => Some(Outcome::Accepted(state)),
            DeliveryState::Rejected(state) => Some(Outcome::Rejected(state)),
            DeliveryState::Released(state) => Some(Outcome::Released(state)),
            DeliveryState::Modified(state) => Some(Outcome::Modified(state)),
            DeliveryState::Received(_) | DeliveryState::TransactionalState(_) | DeliveryState::Declared(_) => None,
        }
    }
}

impl From<Outcome> for event::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Accepted(_) => event::Outcome::Accepted,
            Outcome::Rejected(rejected) => event::Outcome::Rejected(rejected.error.map(|error| Box::new(error.into()))),
            Outcome::Released(_) => event::Outcome::Released,
            Outcome::Modified(modified) => event::Outcome::Modified(event::Modified {
                delivery_failed: modified.delivery_failed,
                undeliverable_here: modified.undeliverable_here,
                annotations: modified.message_annotations.map(|RawMap(bytes)| bytes),
            }),
        }
    }
}

impl From<event::Outcome> for Outcome {
    fn from(outcome: event::Outcome) -> Self {
        match outcome {
            event::Outcome::Accepted => Outcome::Accepted(Accepted {}),
            event::Outcome::Rejected(fault) => {
                Outcome::Rejected(Rejected { error: fault.map(|fault| Error::from(*fault)) })
            }
            event::Outcome::Released => Outcome::Released(Released {}),
            event::Outcome::Modified(modified) => Outcome::Modified(Modified {
                delivery_failed: modified.delivery_failed,
                undeliverable_here: modified.undeliverable_here,
                message_annotations: modified.annotations.map(RawMap),
            }),
        }
    }
}

impl From<Outcome> for DeliveryState {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Accepted(state) => DeliveryState::Accepted(state),
            Outcome::Rejected(state) => DeliveryState::Rejected(state),
            Outcome::Released(state) => DeliveryState::Released(state),
            Outcome::Modified(state) => DeliveryState::Modified(state),
        }
    }
}
