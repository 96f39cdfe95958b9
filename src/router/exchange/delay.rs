//! Delayed-message exchanges (`x-delayed-message`, a plugin of RabbitMQ): a message whose header `x-delay` is a time waits that long
//! before it is routed, as the type in the argument `x-delayed-type` says. `../delayed.rs` has the messages that wait.

use std::sync::Arc;

use crate::arguments::Arguments;
use crate::event::{ExchangeKind, Fault, Reason};
use crate::value::Value;

const TYPE: &str = "x-delayed-type";

/// A message that waits at an exchange for some milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::router) struct Delay {
    pub(in crate::router) exchange: Arc<str>,
    pub(in crate::router) millis: u32,
}

/// Reads the type by which an exchange routes when the time has come.
pub(super) fn rule(arguments: &Arguments) -> Result<ExchangeKind, Fault> {
    let refused = |text: String| Fault::new(Reason::PreconditionFailed, text);
    let Some(name) = arguments.get(TYPE).and_then(Value::as_str) else {
        return Err(refused(format!("Invalid argument, '{TYPE}' must be an existing exchange type")));
    };
    let kind = ExchangeKind::named(name).filter(|kind| *kind != ExchangeKind::Delayed);
    kind.ok_or_else(|| refused(format!("unknown exchange type '{name}'")))
}

/// Reads the header `x-delay`, in milliseconds. None if the message does not wait: there is no such header, it is no number, it is
/// not positive, or it does not fit 32 bits (about 49 days), as with the plugin.
pub(super) fn millis(headers: &[(String, Value)]) -> Option<u32> {
    let (_, value) = headers.iter().find(|(name, _)| name == "x-delay")?;
    let millis = match (value.as_i64(), value.as_f64(), value.as_str()) {
        (Some(whole), ..) => whole,
        #[expect(clippy::cast_possible_truncation, reason = "the fraction goes, and what is too large stays too large")]
        (None, Some(number), _) => number as i64,
        (None, None, text) => text?.parse().ok()?,
    };
    u32::try_from(millis).ok().filter(|millis| *millis > 0)
}
