//! Unmet requests: what a peer asks for and does not get, though no rule of the protocol is broken. Engines add them as data where
//! they decode a request; the event loop takes them at the end of a turn. What a request means is not known here.

use std::fmt::{self, Display, Write};
use std::sync::Arc;

/// Bytes that are kept of a value.
const SHOWN: usize = 200;

/// Unmet requests that one connection can have in a turn (our choice). Those beyond are not listed.
const MAX_IN_TURN: usize = 256;

/// Where a request was made: the words of its protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The performative or method: `attach`, `queue.declare`.
    pub(crate) method: &'static str,
    /// None for a request that concerns the connection.
    pub(crate) channel: Option<u16>,
    /// The link's name, or the consumer's tag.
    pub(crate) link: Option<Arc<str>>,
    /// The node or exchange that the request is about.
    pub(crate) address: Option<Arc<str>>,
}

/// A request that is neither honoured nor refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Unmet {
    pub(crate) place: Place,
    /// The field, argument or capability.
    pub(crate) name: Arc<str>,
    /// The value that was asked for, in words and cut after [`SHOWN`] bytes. Empty where the name says all.
    pub(crate) value: Arc<str>,
    pub(crate) why: &'static str,
}

impl Unmet {
    pub(crate) fn new(place: &Place, name: impl Into<Arc<str>>, value: impl Display, why: &'static str) -> Unmet {
        let mut shown = Cut::default();
        // An error only says that the text is long enough.
        let _ = write!(shown, "{value}");
        Unmet { place: place.clone(), name: name.into(), value: shown.0.into(), why }
    }

    /// Returns the text that a strict broker tells the peer. The name comes first: a reply text of 0-9-1 is short.
    fn refusal(&self) -> String {
        let Unmet { name, value, why, .. } = self;
        let equals = if value.is_empty() { "" } else { " = " };
        format!("{name}{equals}{value} is not honoured here: {why}")
    }
}

impl Display for Unmet {
    /// Writes all but the channel.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unmet { place: Place { method, link, address, .. }, name, value, why } = self;
        f.write_str(method)?;
        link.iter().try_for_each(|link| write!(f, " of {link:?}"))?;
        address.iter().try_for_each(|address| write!(f, " at {address:?}"))?;
        write!(f, ", {name}")?;
        if !value.is_empty() {
            write!(f, " = {value}")?;
        }
        write!(f, ": {why}")
    }
}

/// Text that ends after [`SHOWN`] bytes.
#[derive(Default)]
struct Cut(String);

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = SHOWN.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        self.0.push_str(text.get(..end).unwrap_or_default());
        self.0.push('…');
        Err(fmt::Error)
    }
}

/// The unmet requests of one connection that nobody has taken yet.
#[derive(Debug)]
pub(crate) struct UnmetRequests {
    waiting: Vec<Unmet>,
    /// Whether a request that is not honoured has to be refused.
    is_strict: bool,
}

impl UnmetRequests {
    pub(crate) fn new(is_strict: bool) -> UnmetRequests {
        UnmetRequests { waiting: Vec::new(), is_strict }
    }

    /// Adds requests. In strict mode returns what the peer has to be told, if there are any: the first of them, in words.
    pub(crate) fn add(&mut self, requests: impl IntoIterator<Item = Unmet>) -> Option<String> {
        let mut refusal = None;
        for request in requests {
            if self.is_strict && refusal.is_none() {
                refusal = Some(request.refusal());
            }
            if self.waiting.len() < MAX_IN_TURN {
                self.waiting.push(request);
            }
        }
        refusal
    }

    pub(crate) fn take(&mut self) -> Vec<Unmet> {
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unmet(value: &str) -> Unmet {
        let place = Place { method: "queue.declare", channel: Some(1), address: Some("q".into()), link: None };
        Unmet::new(&place, "x-delivery-limit", value, "a message may come back any number of times")
    }

    #[test]
    fn what_it_says_is_short() {
        assert_eq!(
            unmet("5").to_string(),
            "queue.declare at \"q\", x-delivery-limit = 5: a message may come back any number of times"
        );
        assert_eq!(
            unmet("").to_string(),
            "queue.declare at \"q\", x-delivery-limit: a message may come back any number of times"
        );
        assert_eq!(unmet(&"ü".repeat(1000)).value.as_ref(), format!("{}…", "ü".repeat(100)));
    }

    #[test]
    fn a_turn_has_a_limit() {
        let mut requests = UnmetRequests::new(false);
        assert_eq!(requests.add((0..1000).map(|number| unmet(&number.to_string()))), None);
        assert_eq!(requests.take().len(), MAX_IN_TURN);
        assert_eq!(requests.take(), []);
    }

    #[test]
    fn strict_is_to_refuse_the_first() {
        let mut requests = UnmetRequests::new(true);
        assert_eq!(requests.add([]), None);
        let refusal = requests.add([unmet("1"), unmet("2")]).unwrap_or_default();
        assert_eq!(refusal, "x-delivery-limit = 1 is not honoured here: a message may come back any number of times");
        assert_eq!(requests.take().len(), 2);
    }
}
