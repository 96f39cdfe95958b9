//! 4.2.2: the protocol header: eight octets that say which version a client speaks.

use super::types::Version;

/// What the first octets of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// So far it could become one of ours.
    Partial,
    Known(Version),
    Unknown,
}

impl Header {
    pub(crate) const SIZE: usize = 8;

    /// Decides as soon as an octet is wrong, without waiting for all eight.
    pub(crate) fn read(input: &[u8]) -> Header {
        let begun = input.get(..Self::SIZE).unwrap_or(input);
        let known = [
            (b"AMQP\x00\x00\x09\x01", Version::V0_9_1),
            (b"AMQP\x01\x01\x00\x09", Version::V0_9),
            (b"AMQP\x01\x01\x08\x00", Version::V0_8),
        ];
        match known.into_iter().find(|(header, _)| header.starts_with(begun)) {
            None => Header::Unknown,
            Some((_, version)) if begun.len() == Self::SIZE => Header::Known(version),
            Some(_) => Header::Partial,
        }
    }
}
