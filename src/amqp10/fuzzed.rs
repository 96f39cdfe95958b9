//! The fuzz target for the codecs of 1.0: properties that hold for any bytes.
#![allow(clippy::panic, clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};

use super::performative::Performative;
use super::sasl;
use super::types::{Decode, Encode, Reader};
use super::{content, section, transfer};
use crate::message::{History, Payload};
use crate::value::Value;

fn encoded(value: &impl Encode) -> Vec<u8> {
    let mut out = BytesMut::new();
    value.encode(&mut out);
    out.to_vec()
}

/// Checks that a decoded value survives encoding and decoding. Compares bytes, since not all values equal themselves.
fn goes_round<T: Decode + Encode + std::fmt::Debug>(value: &T) {
    let once = encoded(value);
    let mut reader = Reader::new(&once);
    let again = T::decode(&mut reader).unwrap_or_else(|error| panic!("{value:?} as {once:x?}: {error}"));
    assert!(reader.is_empty(), "{value:?} as {once:x?} has bytes left over");
    assert_eq!(encoded(&again), once, "{value:?} and {again:?}");
}

fn values(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Ok(value) = Value::decode(&mut reader) else { return };
    // Stepping over a value ends where decoding it does.
    let mut checked = Reader::new(bytes);
    checked.any().unwrap();
    assert_eq!(checked.rest(), reader.rest());
    if !matches!(value, Value::Described(_)) {
        let mut hopper = Reader::new(bytes);
        hopper.hop().unwrap();
        assert_eq!(hopper.rest(), reader.rest());
    }
    goes_round(&value);
}

fn performatives(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let slow = Performative::decode(&mut reader);
    if let Ok(performative) = &slow {
        goes_round(performative);
    }
    // The fast decoder agrees with the general one.
    if let Some((transfer, payload_at)) = transfer::decode(bytes) {
        assert_eq!(slow.unwrap(), Performative::Transfer(transfer));
        assert_eq!(reader.rest(), bytes.get(payload_at..).unwrap());
    }
}

fn messages(bytes: &[u8]) {
    let payload = Payload::from(Bytes::copy_from_slice(bytes));
    section::destination(&payload);
    section::subject(&payload);
    let read = content::decode(bytes);
    let annotations = encoded(&Value::Map(vec![(Value::symbol("x-a"), Value::Bool(true))]));
    let history = History { failures: 1, annotations: vec![annotations.into()], ..History::default() };
    let again = section::with_history(&payload, &history).contiguous();
    let Ok(message) = read else { return };
    let read = content::decode(&again).unwrap_or_else(|error| panic!("{again:x?}: {error}"));
    assert_eq!(read.header.delivery_count, message.header.delivery_count.saturating_add(1));
    let once = content::encode(&message);
    let read = content::decode(&once).unwrap_or_else(|error| panic!("{message:?} as {once:x?}: {error}"));
    assert_eq!(content::encode(&read), once, "{message:?} and {read:?}");
}

/// Decodes bytes as each kind of thing that 1.0 has.
pub(crate) fn codecs(bytes: &[u8]) {
    values(bytes);
    performatives(bytes);
    let _ = sasl::SaslFrame::decode(&mut Reader::new(bytes));
    messages(bytes);
}
