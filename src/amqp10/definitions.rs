//! Definitions (2.8): roles, settle modes, sequence numbers, errors and their conditions.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::composite::composite;
use super::types::{CodecError, Decode, Encode, RawMap, Reader, Result, Symbol};
use crate::event::{Fault, Reason};

/// The role of one end of a link (2.8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Sender,
    Receiver,
}

impl Role {
    /// Returns the role of the other end.
    pub(crate) fn other(self) -> Role {
        match self {
            Role::Sender => Role::Receiver,
            Role::Receiver => Role::Sender,
        }
    }
}

impl Decode for Role {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(if bool::decode(reader)? { Role::Receiver } else { Role::Sender })
    }
}

impl Encode for Role {
    fn encode(&self, out: &mut BytesMut) {
        (*self == Role::Receiver).encode(out);
    }
}

/// The settlement mode of a sender (2.8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SenderSettleMode {
    Unsettled,
    Settled,
    Mixed,
}

impl Decode for SenderSettleMode {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(match u8::decode(reader)? {
            0 => SenderSettleMode::Unsettled,
            1 => SenderSettleMode::Settled,
            2 => SenderSettleMode::Mixed,
            _ => return Err(CodecError::Invalid("snd-settle-mode is 0, 1 or 2")),
        })
    }
}

impl Encode for SenderSettleMode {
    fn encode(&self, out: &mut BytesMut) {
        let mode: u8 = match self {
            SenderSettleMode::Unsettled => 0,
            SenderSettleMode::Settled => 1,
            SenderSettleMode::Mixed => 2,
        };
        mode.encode(out);
    }
}

/// The settlement mode of a receiver (2.8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiverSettleMode {
    First,
    Second,
}

impl Decode for ReceiverSettleMode {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(match u8::decode(reader)? {
            0 => ReceiverSettleMode::First,
            1 => ReceiverSettleMode::Second,
            _ => return Err(CodecError::Invalid("rcv-settle-mode is 0 or 1")),
        })
    }
}

impl Encode for ReceiverSettleMode {
    fn encode(&self, out: &mut BytesMut) {
        let mode: u8 = match self {
            ReceiverSettleMode::First => 0,
            ReceiverSettleMode::Second => 1,
        };
        mode.encode(out);
    }
}

/// A sequence number (2.8.10), which wraps at 2^32 and is compared by RFC 1982. No other type here subtracts sequence numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SequenceNo(pub(crate) u32);

impl SequenceNo {
    #[must_use]
    pub(crate) fn plus(self, count: u32) -> SequenceNo {
        SequenceNo(self.0.wrapping_add(count))
    }

    #[must_use]
    pub(crate) fn next(self) -> SequenceNo {
        self.plus(1)
    }

    /// Returns how far `self` is ahead of `other`. None if it is behind.
    pub(crate) fn ahead_of(self, other: SequenceNo) -> Option<u32> {
        let distance = self.0.wrapping_sub(other.0);
        (distance < 1 << 31).then_some(distance)
    }

    /// Returns the 64-bit count with these low 32 bits that is nearest to `next`, and less than 2^31 above it. None if it would
    /// be negative.
    pub(crate) fn widen(self, next: u64) -> Option<u64> {
        #[expect(clippy::cast_possible_truncation, reason = "the low half is what is compared")]
        let low = SequenceNo(next as u32);
        match self.ahead_of(low) {
            Some(ahead) => Some(next + u64::from(ahead)),
            None => next.checked_sub(u64::from(low.0.wrapping_sub(self.0))),
        }
    }

    /// Returns the low 32 bits of a 64-bit count.
    #[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
    pub(crate) fn narrow(count: u64) -> SequenceNo {
        SequenceNo(count as u32)
    }
}

impl Decode for SequenceNo {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        u32::decode(reader).map(SequenceNo)
    }
}

impl Encode for SequenceNo {
    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }
}

/// The error conditions of 2.8.15 to 2.8.18.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    InternalError,
    NotFound,
    DecodeError,
    ResourceLimitExceeded,
    NotAllowed,
    UnauthorizedAccess,
    InvalidField,
    NotImplemented,
    IllegalState,
    FrameSizeTooSmall,
    ConnectionForced,
    FramingError,
    WindowViolation,
    ErrantLink,
    HandleInUse,
    UnattachedHandle,
    TransferLimitExceeded,
    MessageSizeExceeded,
    Stolen,
    ResourceLocked,
    ResourceDeleted,
    PreconditionFailed,
    /// Any other condition, as it came.
    Other(Arc<str>),
}

impl Condition {
    const KNOWN: [(Condition, &'static str); 22] = [
        (Condition::InternalError, "amqp:internal-error"),
        (Condition::NotFound, "amqp:not-found"),
        (Condition::DecodeError, "amqp:decode-error"),
        (Condition::ResourceLimitExceeded, "amqp:resource-limit-exceeded"),
        (Condition::NotAllowed, "amqp:not-allowed"),
        (Condition::UnauthorizedAccess, "amqp:unauthorized-access"),
        (Condition::InvalidField, "amqp:invalid-field"),
        (Condition::NotImplemented, "amqp:not-implemented"),
        (Condition::IllegalState, "amqp:illegal-state"),
        (Condition::FrameSizeTooSmall, "amqp:frame-size-too-small"),
        (Condition::ConnectionForced, "amqp:connection:forced"),
        (Condition::FramingError, "amqp:connection:framing-error"),
        (Condition::WindowViolation, "amqp:session:window-violation"),
        (Condition::ErrantLink, "amqp:session:errant-link"),
        (Condition::HandleInUse, "amqp:session:handle-in-use"),
        (Condition::UnattachedHandle, "amqp:session:unattached-handle"),
        (Condition::TransferLimitExceeded, "amqp:link:transfer-limit-exceeded"),
        (Condition::MessageSizeExceeded, "amqp:link:message-size-exceeded"),
        (Condition::Stolen, "amqp:link:stolen"),
        (Condition::ResourceLocked, "amqp:resource-locked"),
        (Condition::ResourceDeleted, "amqp:resource-deleted"),
        (Condition::PreconditionFailed, "amqp:precondition-failed"),
    ];

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Condition::Other(name) => name,
            known => Self::KNOWN.iter().find(|(condition, _)| condition == known).map_or("", |(_, name)| name),
        }
    }
}

impl From<Symbol> for Condition {
    fn from(symbol: Symbol) -> Condition {
        Self::KNOWN
            .iter()
            .find(|(_, name)| *name == symbol.as_str())
            .map_or_else(|| Condition::Other(symbol.into_inner()), |(condition, _)| condition.clone())
    }
}

impl Decode for Condition {
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Symbol::decode(reader).map(Condition::from)
    }
}

impl Encode for Condition {
    fn encode(&self, out: &mut BytesMut) {
        Symbol::new(self.as_str()).encode(out);
    }
}

composite! {
    /// An error (2.8.14).
    Error = 0x1d "amqp:error:list" {
        condition: mandatory Condition,
        description: optional Arc<str>,
        // azure-servicebus reads this field without a check whether it is there.
        info: spelled RawMap,
    }
}

impl Error {
    pub(crate) fn new(condition: Condition, description: impl Into<Arc<str>>) -> Error {
        Error { condition, description: Some(description.into()), info: None }
    }

    /// Returns the error with a description of at most `limit` bytes, so that it fits the peer's max-frame-size.
    pub(crate) fn shortened(mut self, limit: usize) -> Error {
        if let Some(text) = &self.description
            && text.len() > limit
        {
            let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            self.description = text.get(..end).map(Arc::from);
        }
        self
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.condition.as_str())?;
        self.description.iter().try_for_each(|description| write!(f, ": {description}"))
    }
}

/// Returns the symbol of a reason (2.8.14).
pub(crate) fn spelled(reason: &Reason) -> String {
    Condition::from(reason.clone()).as_str().to_owned()
}

impl From<Reason> for Condition {
    fn from(reason: Reason) -> Condition {
        match reason {
            Reason::NotFound => Condition::NotFound,
            Reason::DecodeError => Condition::DecodeError,
            Reason::InvalidField => Condition::InvalidField,
            Reason::ResourceLimitExceeded | Reason::QueueFull => Condition::ResourceLimitExceeded,
            Reason::MessageSizeExceeded => Condition::MessageSizeExceeded,
            Reason::ConnectionForced => Condition::ConnectionForced,
            Reason::NotImplemented => Condition::NotImplemented,
            Reason::ResourceLocked => Condition::ResourceLocked,
            Reason::PreconditionFailed => Condition::PreconditionFailed,
            Reason::ResourceDeleted => Condition::ResourceDeleted,
            Reason::NotAllowed => Condition::NotAllowed,
            Reason::NoVirtualHost => Condition::UnauthorizedAccess,
            Reason::Other(name) => Condition::from(Symbol::new(name)),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        Error { condition: fault.reason.into(), description: fault.description, info: fault.info.map(RawMap) }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault {
            reason: Reason::Other(error.condition.as_str().into()),
            description: error.description,
            info: error.info.map(|RawMap(bytes): RawMap| -> Bytes { bytes }),
        }
    }
}
