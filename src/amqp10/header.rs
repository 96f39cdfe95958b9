//! The protocol header (2.2): eight bytes that name the protocol that follows.

use crate::outbox::Outbox;
use crate::users::Users;

/// The protocols that are supported, each with a header (2.2, 5.3.1).
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

    /// Whether a peer may begin with this header. With that of AMQP it skips SASL and has no user name.
    pub(crate) fn is_allowed_first(self, users: &Users) -> bool {
        self == Protocol::Sasl || users.admits_anonymous()
    }
}

/// The result of reading a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// The beginning of a supported header; more bytes are needed.
    Partial,
    Known(Protocol),
    /// Other bytes, with the header that they resemble most.
    Unknown(Protocol),
}

impl Header {
    pub(crate) const SIZE: usize = 8;

    /// Reads a header. Decides at the first wrong byte, without waiting for all eight.
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
