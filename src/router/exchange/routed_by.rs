//! The parts of a message that exchanges look at: its routing keys, and its headers and properties where an exchange asks for them.

use std::cell::{Cell, OnceCell};

use crate::message::{Identity, MessageCodec, Payload};
use crate::value::Value;

/// The routing keys of a message, and its payload, which is read when an exchange asks for more than keys.
#[derive(Debug)]
pub(in crate::router) struct RoutedBy<'a> {
    keys: &'a [&'a str],
    codec: MessageCodec,
    payload: &'a Payload,
    headers: OnceCell<Vec<(String, Value)>>,
    /// Whether the payload has been read.
    is_read: Cell<bool>,
    may_wait: bool,
}

impl<'a> RoutedBy<'a> {
    /// Takes the routing keys of a message (that of its publish first), and its payload.
    pub(in crate::router) fn new(keys: &'a [&'a str], codec: MessageCodec, payload: &'a Payload) -> RoutedBy<'a> {
        RoutedBy { keys, codec, payload, headers: OnceCell::new(), is_read: Cell::new(false), may_wait: true }
    }

    /// The message has waited: no exchange delays it any more.
    pub(in crate::router) fn without_delays(self) -> RoutedBy<'a> {
        RoutedBy { may_wait: false, ..self }
    }

    /// Whether exchanges may delay the message.
    pub(super) fn may_wait(&self) -> bool {
        self.may_wait
    }

    pub(super) fn keys(&self) -> &'a [&'a str] {
        self.keys
    }

    pub(super) fn headers(&self) -> &[(String, Value)] {
        self.is_read.set(true);
        self.headers.get_or_init(|| (self.codec.headers)(self.payload))
    }

    pub(super) fn identity(&self, property: Identity) -> Option<Value> {
        self.is_read.set(true);
        (self.codec.identity)(self.payload, property)
    }

    /// The routing key, if nothing else has been asked for.
    pub(super) fn only_key(&self) -> Option<&'a str> {
        match self.keys {
            [key] if !self.is_read.get() => Some(key),
            _ => None,
        }
    }
}
