//! Headers exchanges: a binding's arguments are the headers that it requires; `x-match` says whether a message needs all of them
//! or any.

use std::collections::HashMap;

use super::equivalence::type_name;
use crate::arguments::{Arguments, is_same};
use crate::event::{Fault, Reason};
use crate::value::Value;

const X_MATCH: &str = "x-match";

/// The value of `x-match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mode {
    any: bool,
    /// Whether headers whose names begin with `x-` count too.
    with_x: bool,
}

impl Mode {
    fn of(arguments: &Arguments) -> Option<Mode> {
        let said = arguments.get(X_MATCH).map_or(Some("all"), Value::as_str)?;
        let (any, with_x) = match said {
            "all" => (false, false),
            "any" => (true, false),
            "all-with-x" => (false, true),
            "any-with-x" => (true, true),
            _ => return None,
        };
        Some(Mode { any, with_x })
    }
}

/// Refuses an unknown value of `x-match`.
pub(super) fn check(arguments: &Arguments) -> Result<(), Fault> {
    let (Some(said), None) = (arguments.get(X_MATCH), Mode::of(arguments)) else { return Ok(()) };
    // RabbitMQ's texts.
    let what = match said.as_str() {
        Some("") => "Invalid x-match field value <<>>; expected all, any, all-with-x, or any-with-x".to_owned(),
        Some(text) => {
            format!("Invalid x-match field value <<{text:?}>>; expected all, any, all-with-x, or any-with-x")
        }
        None if *said == Value::Null => {
            "Invalid x-match field type void (value undefined); expected longstr".to_owned()
        }
        None => format!("Invalid x-match field type {} (value {said}); expected longstr", type_name(said)),
    };
    Err(Fault::new(Reason::PreconditionFailed, what))
}

/// The headers of a message, by name.
pub(super) struct Headers<'a>(HashMap<&'a str, &'a Value>);

impl<'a> Headers<'a> {
    /// Indexes headers by name. Of several with one name the first counts.
    pub(super) fn of(entries: &'a [(String, Value)]) -> Headers<'a> {
        Headers(entries.iter().rev().map(|(name, value)| (name.as_str(), value)).collect())
    }

    /// Whether the message matches a binding's arguments. A null requires a header of that name with any value.
    pub(super) fn match_arguments(&self, arguments: &Arguments) -> bool {
        let Some(Mode { any, with_x }) = Mode::of(arguments) else { return false };
        let mut asked = arguments.iter().filter(|(name, _)| *name != X_MATCH && (with_x || !name.starts_with("x-")));
        let has = |(name, value): (&str, &Value)| {
            self.0.get(name).is_some_and(|found| value.is_null() || is_same(value, found))
        };
        if any { asked.any(has) } else { asked.all(has) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(entries: &[(&str, Value)]) -> Arguments {
        Arguments::new(entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())))
    }

    #[test]
    fn all_or_any_of_them() {
        let message = [("a".to_owned(), Value::Int(1)), ("x-b".to_owned(), "text".into())];
        let (a, other, x) = (("a", Value::Long(1)), ("a", Value::Int(2)), ("x-b", Value::from("text")));
        let mode = |name: &str| (X_MATCH, Value::from(name));
        let rows = [
            (vec![], true),
            (vec![mode("any")], false),
            (vec![a.clone()], true),
            (vec![other.clone()], false),
            (vec![("a", Value::Null)], true),
            (vec![("none", Value::Null)], false),
            // Ignored, because its name begins with `x-`.
            (vec![a.clone(), ("x-none", Value::Null)], true),
            (vec![mode("all-with-x"), a.clone(), ("x-none", Value::Null)], false),
            (vec![mode("all-with-x"), a.clone(), x.clone()], true),
            (vec![mode("any"), other.clone(), x.clone()], false),
            (vec![mode("any-with-x"), other, x], true),
        ];
        for (asked, expected) in rows {
            let asked = arguments(&asked);
            assert!(check(&asked).is_ok());
            assert_eq!(Headers::of(&message).match_arguments(&asked), expected, "{asked:?}");
        }
    }

    #[test]
    fn x_match_says_one_of_four_things() {
        for value in [Value::from("some"), "".into(), true.into(), 1.into()] {
            assert!(check(&arguments(&[(X_MATCH, value)])).is_err());
        }
    }
}
