//! What exchanges look at in a message: its routing keys, and its headers where an exchange asks for them.

use std::cell::OnceCell;

use crate::value::Value;

/// The routing keys of a message, and its headers, which are read when an exchange asks for them first.
pub(in crate::router) struct RoutedBy<'a> {
    keys: &'a [&'a str],
    read: &'a dyn Fn() -> Vec<(String, Value)>,
    headers: OnceCell<Vec<(String, Value)>>,
}

impl<'a> RoutedBy<'a> {
    /// Takes the routing keys of a message (that of its publish first), and a function that reads its headers.
    pub(in crate::router) fn new(keys: &'a [&'a str], read: &'a dyn Fn() -> Vec<(String, Value)>) -> RoutedBy<'a> {
        RoutedBy { keys, read, headers: OnceCell::new() }
    }

    pub(super) fn keys(&self) -> &'a [&'a str] {
        self.keys
    }

    pub(super) fn headers(&self) -> &[(String, Value)] {
        self.headers.get_or_init(self.read)
    }

    /// The routing key, if nothing else has been asked for.
    pub(super) fn only_key(&self) -> Option<&'a str> {
        match self.keys {
            [key] if self.headers.get().is_none() => Some(key),
            _ => None,
        }
    }
}
