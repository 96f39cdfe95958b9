//! 2.2: the protocol header: eight bytes that say what follows.

use crate::outbox::Outbox;
use crate::users::Users;

/// 2.2, 5.3.1: the protocols with a header that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Amqp,
    Sasl,
}

impl Protocol {
    fn header(self) -> [u8; Header::SIZE] {
        match self {
            Protocol::Amqp => *b"AMQP\x00\x01\x00\x00",
            Protocol::Sasl => *b"AMQP\x03\x01\x00\x00",
        }
    }

    pub(crate) fn put(self, out: &mut Outbox) {
        let header = self.header();
        let _ = out.append(|bytes| {
            bytes.extend_from_slice(&header);
            Ok::<(), std::convert::Infallible>(())
        });
    }

    /// Whether a peer may begin with this header. With the one of AMQP it skips SASL, and says no name.
    pub(crate) fn is_allowed_first(self, users: &Users) -> bool {
        self == Protocol::Sasl || users.admits_anonymous()
    }
}

/// What the first bytes of a stream, or those after SASL, are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// The beginning of a header that we speak; more bytes are needed.
    Partial,
    Known(Protocol),
    /// Anything else, with the header that it resembles most.
    Unknown(Protocol),
}

impl Header {
    pub(crate) const SIZE: usize = 8;

    /// Decides as soon as a byte is wrong, without waiting for all eight.
    pub(crate) fn read(input: &[u8]) -> Header {
        let begun = input.get(..Self::SIZE).unwrap_or(input);
        let nearest = if begun.get(4) == Some(&3) { Protocol::Sasl } else { Protocol::Amqp };
        let fitting = [Protocol::Amqp, Protocol::Sasl].into_iter().find(|known| known.header().starts_with(begun));
        match fitting {
            None => Header::Unknown(nearest),
            Some(known) if begun.len() == Self::SIZE => Header::Known(known),
            Some(_) => Header::Partial,
        }
    }
}
