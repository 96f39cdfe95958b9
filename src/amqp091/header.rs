//! 4.2.2: the protocol header: eight octets with the version that a client speaks.

use std::convert::Infallible;

use super::types::Version;
use crate::outbox::Outbox;

const HEADER_0_9_1: &[u8; Header::SIZE] = b"AMQP\x00\x00\x09\x01";

/// The result of reading the first octets of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// The octets begin a known header.
    Partial,
    Known(Version),
    Unknown,
}

impl Header {
    pub(crate) const SIZE: usize = 8;

    /// Whether octets that are not a known header may come from a client of 0-9-1 or an earlier version.
    pub(crate) fn is_resembled_by(input: &[u8]) -> bool {
        // Before 0-9-1: class 1, instance 1, and a version. With the version 0.0 it is a header of 1.0 with an unknown
        // protocol id.
        let is_earlier = input.starts_with(b"AMQP\x01\x01") && !input.ends_with(b"\x00\x00");
        input.starts_with(b"AMQP\x00\x00") || is_earlier
    }

    /// 4.2.2: writes the header of the version that such a client should speak.
    pub(crate) fn put(out: &mut Outbox) {
        let _ = out.append(|bytes| {
            bytes.extend_from_slice(HEADER_0_9_1);
            Ok::<(), Infallible>(())
        });
    }

    /// Reads a header. An octet that is wrong decides at once; the others need not have come.
    pub(crate) fn read(input: &[u8]) -> Header {
        let begun = input.get(..Self::SIZE).unwrap_or(input);
        let known = [
            (HEADER_0_9_1, Version::V0_9_1),
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
