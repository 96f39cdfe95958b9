//! Reads the arguments of a declaration or of a consumer, and refuses what cannot be one in RabbitMQ's words.

use std::sync::Arc;
use std::time::Duration;

use crate::arguments::Arguments;
use crate::event::{Fault, Reason};
use crate::router::exchange::{Named, type_name};
use crate::value::Value;

/// Milliseconds that a time to live may have (RabbitMQ's limit: ten years).
const MAX_MILLIS: u64 = 315_360_000_000;

/// Reads arguments and refuses what cannot be one.
#[derive(Clone, Copy)]
pub(super) struct ArgumentReader<'a> {
    /// The queue, for the text of a refusal.
    pub(super) queue: Named<'a>,
    pub(super) arguments: &'a Arguments,
}

impl ArgumentReader<'_> {
    pub(super) fn refused(&self, name: &str, why: &str) -> Fault {
        let text = format!("invalid arg '{name}' for {}: {why}", self.queue);
        Fault::new(Reason::PreconditionFailed, text)
    }

    pub(super) fn wrong_type(&self, name: &str, value: &Value) -> Fault {
        self.refused(name, &format!("{{unacceptable_type,{}}}", type_name(value)))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<Arc<str>>, Fault> {
        match self.arguments.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(|text| Some(text.into())).ok_or_else(|| self.wrong_type(name, value)),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        match self.arguments.get(name) {
            None => Ok(None),
            Some(value) => value.as_bool().map(Some).ok_or_else(|| self.wrong_type(name, value)),
        }
    }

    /// The name of an exchange.
    pub(super) fn exchange(&self, name: &str) -> Result<Option<Arc<str>>, Fault> {
        let Some(value) = self.arguments.get(name) else { return Ok(None) };
        let text = || format!("invalid type '{}' for arg '{name}' in {}", type_name(value), self.queue);
        let exchange = value.as_str().map(|exchange| Some(exchange.into()));
        exchange.ok_or_else(|| Fault::new(Reason::PreconditionFailed, text()))
    }

    /// A whole number that is not negative.
    pub(super) fn whole(&self, name: &str) -> Result<Option<u64>, Fault> {
        let Some(value) = self.arguments.get(name) else { return Ok(None) };
        if let Some(number) = value.as_u64() {
            return Ok(Some(number));
        }
        match value.as_i64() {
            Some(negative) => Err(self.refused(name, &format!("{{value_negative,{negative}}}"))),
            None => Err(self.no_integer(name, value)),
        }
    }

    /// A whole number above 0.
    pub(super) fn positive(&self, name: &str) -> Result<Option<u64>, Fault> {
        match self.whole(name)? {
            Some(0) => Err(self.refused(name, "{value_zero,0}")),
            number => Ok(number),
        }
    }

    fn no_integer(&self, name: &str, value: &Value) -> Fault {
        self.refused(name, &format!("\"expected integer, got {}\"", type_name(value)))
    }

    pub(super) fn millis(&self, name: &str) -> Result<Option<Duration>, Fault> {
        match self.whole(name)? {
            Some(millis) if millis > MAX_MILLIS => Err(self.refused(name, &format!("{{value_too_large,{millis}}}"))),
            millis => Ok(millis.map(Duration::from_millis)),
        }
    }

    /// A whole number of any sign. One that does not fit is the nearest that does.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Fault> {
        let Some(value) = self.arguments.get(name) else { return Ok(None) };
        let number = value.as_i64().or_else(|| value.as_u64().map(|_| i64::MAX));
        number.map(Some).ok_or_else(|| self.no_integer(name, value))
    }
}

/// Reads a time as RabbitMQ has it: a number above 0 and a unit (Y, M, D, h, m, s).
pub(super) fn interval(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds: u64 = match unit {
        'Y' => 365 * 24 * 3600,
        'M' => 30 * 24 * 3600,
        'D' => 24 * 3600,
        'h' => 3600,
        'm' => 60,
        's' => 1,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    let number = digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    number.filter(|number: &u64| *number > 0).map(|number| Duration::from_secs(number.saturating_mul(seconds)))
}
