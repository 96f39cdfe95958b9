//! Addresses of exchanges as RabbitMQ 4 writes them: `/exchanges/NAME` and `/exchanges/NAME/KEY`, both percent-encoded.

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::{percent_decoded, percent_encoded};
use crate::event::{Fault, Reason};

const PREFIX: &str = "/exchanges/";

/// The exchange, and the routing key if there is one, that an address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::router) struct ExchangePath<'a> {
    pub(in crate::router) exchange: Cow<'a, str>,
    /// The routing key. None: each message has its own.
    pub(in crate::router) key: Option<Cow<'a, str>>,
}

/// Whether an address has the form of an exchange's, valid or not.
#[inline]
pub(in crate::router) fn is_exchange_path(address: &str) -> bool {
    address.starts_with(PREFIX)
}

impl<'a> ExchangePath<'a> {
    /// Parses an address for which [`is_exchange_path`] holds. Fails if it names no exchange or has too many parts.
    pub(in crate::router) fn parse(address: &'a str) -> Result<ExchangePath<'a>, Fault> {
        let invalid = |why: &str| Fault::new(Reason::InvalidField, format!("address {address:?} {why}"));
        let rest = address.strip_prefix(PREFIX).ok_or_else(|| invalid("is no exchange's"))?;
        let (exchange, key) = match rest.split_once('/') {
            None => (rest, None),
            Some((_, key)) if key.contains('/') => return Err(invalid("has more than an exchange and a routing key")),
            Some((exchange, key)) => (exchange, Some(key)),
        };
        if exchange.is_empty() {
            return Err(invalid("names no exchange"));
        }
        Ok(ExchangePath { exchange: percent_decoded(exchange), key: key.map(percent_decoded) })
    }
}

/// Returns the address of an exchange with a routing key.
pub(in crate::router) fn address_of(exchange: &str, key: &str) -> Arc<str> {
    format!("{PREFIX}{}/{}", percent_encoded(exchange), percent_encoded(key)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_address() {
        let rows = [
            ("/exchanges/e", Some(("e", None))),
            ("/exchanges/e/", Some(("e", Some("")))),
            ("/exchanges/e/k", Some(("e", Some("k")))),
            ("/exchanges/a%2Fb/%23.%20", Some(("a/b", Some("#. ")))),
            ("/exchanges/", None),
            ("/exchanges//k", None),
            ("/exchanges/e/k/more", None),
        ];
        for (address, expected) in rows {
            assert!(is_exchange_path(address));
            let parsed = ExchangePath::parse(address).ok();
            let parts = parsed.as_ref().map(|path| (path.exchange.as_ref(), path.key.as_deref()));
            assert_eq!(parts, expected, "{address}");
        }
        assert!(!is_exchange_path("/exchanges"));
        assert!(!is_exchange_path("exchanges/e"));
    }

    #[test]
    fn written_as_they_are_read() {
        let address = address_of("a/ä", "k.#");
        assert_eq!(address.as_ref(), "/exchanges/a%2F%C3%A4/k.%23");
        let path = ExchangePath::parse(&address).unwrap();
        assert_eq!((path.exchange.as_ref(), path.key.as_deref()), ("a/ä", Some("k.#")));
    }
}
