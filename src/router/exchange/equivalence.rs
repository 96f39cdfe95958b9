//! The comparison of a later declaration with the first, with RabbitMQ's texts for what differs.

use std::fmt;
use std::sync::Arc;

use crate::arguments::Arguments;
use crate::event::{Fault, Reason};
use crate::value::Value;

/// The name of a router's virtual host, for the texts of faults.
#[derive(Clone, Debug)]
pub(in crate::router) struct VhostName(pub(in crate::router) Arc<str>);

impl VhostName {
    pub(in crate::router) fn queue<'a>(&'a self, name: &'a str) -> Named<'a> {
        Named { kind: "queue", name, vhost: &self.0 }
    }

    pub(in crate::router) fn exchange<'a>(&'a self, name: &'a str) -> Named<'a> {
        Named { kind: "exchange", name, vhost: &self.0 }
    }
}

/// A queue or an exchange, as the texts of faults name it.
#[derive(Clone, Copy, Debug)]
pub(in crate::router) struct Named<'a> {
    kind: &'static str,
    name: &'a str,
    vhost: &'a str,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}' in vhost '{}'", self.kind, self.name, self.vhost)
    }
}

impl Named<'_> {
    pub(in crate::router) fn not_found(self) -> Fault {
        Fault::new(Reason::NotFound, format!("no {self}"))
    }
}

/// Refuses a field whose value `received` differs from the declared `current`.
pub(in crate::router) fn check_field<T: PartialEq + fmt::Display>(
    what: Named<'_>,
    field: &str,
    current: T,
    received: T,
) -> Result<(), Fault> {
    if current == received {
        return Ok(());
    }
    Err(inequivalent(what, field, &format!("'{received}'"), &format!("'{current}'")))
}

/// Refuses arguments that differ from those of the first declaration, by the first of `names` that does. Others are not compared.
pub(in crate::router) fn check_arguments(
    what: Named<'_>,
    names: &[&str],
    current: &Arguments,
    received: &Arguments,
) -> Result<(), Fault> {
    let Some(name) = names.iter().find(|name| current.differ_in(received, name)) else { return Ok(()) };
    let (current, received) = match (current.get(name), received.get(name)) {
        (Some(current), Some(received)) => (format!("'{}'", Bare(current)), format!("'{}'", Bare(received))),
        (current, received) => (with_type(current), with_type(received)),
    };
    Err(inequivalent(what, name, &received, &current))
}

fn inequivalent(what: Named<'_>, field: &str, received: &str, current: &str) -> Fault {
    let text = format!("inequivalent arg '{field}' for {what}: received {received} but current is {current}");
    Fault::new(Reason::PreconditionFailed, text)
}

/// Reads an argument that must be text.
pub(in crate::router) fn text_argument(
    exchange: Named<'_>,
    arguments: &Arguments,
    name: &str,
) -> Result<Option<Arc<str>>, Fault> {
    let Some(value) = arguments.get(name) else { return Ok(None) };
    match value.as_str() {
        Some(text) => Ok(Some(text.into())),
        None => {
            let wrong = type_name(value);
            Err(Fault::new(
                Reason::PreconditionFailed,
                format!("invalid type '{wrong}' for arg '{name}' in {exchange}"),
            ))
        }
    }
}

fn with_type(value: Option<&Value>) -> String {
    match value {
        None => "none".to_owned(),
        Some(value) => format!("the value '{}' of type '{}'", Bare(value), type_name(value)),
    }
}

/// A value that is displayed without the quotation marks of text.
struct Bare<'a>(&'a Value);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            Some(text) => f.write_str(text),
            None => self.0.fmt(f),
        }
    }
}

/// Returns RabbitMQ's name for the type of a value.
pub(in crate::router) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "void",
        Value::Bool(_) => "bool",
        Value::Ubyte(_) => "unsignedbyte",
        Value::Ushort(_) => "unsignedshort",
        Value::Uint(_) => "unsignedint",
        Value::Byte(_) => "byte",
        Value::Short(_) => "short",
        Value::Int(_) => "signedint",
        Value::Long(_) | Value::Ulong(_) => "long",
        Value::Float(_) => "float",
        Value::Double(_) => "double",
        Value::Decimal32(_) | Value::Decimal64(_) | Value::Decimal128(_) => "decimal",
        Value::Timestamp(_) => "timestamp",
        Value::Binary(_) => "binary",
        Value::String(_) | Value::Symbol(_) | Value::Char(_) | Value::Uuid(_) => "longstr",
        Value::List(_) | Value::Array(_) => "array",
        Value::Map(_) | Value::Described(_) => "table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vhost() -> VhostName {
        VhostName("/".into())
    }

    fn refused(current: &[(&str, Value)], received: &[(&str, Value)]) -> String {
        let arguments =
            |entries: &[(&str, Value)]| Arguments::new(entries.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
        let arguments = (arguments(current), arguments(received));
        let fault = check_arguments(vhost().queue("q"), &["x-message-ttl"], &arguments.0, &arguments.1).unwrap_err();
        fault.description.unwrap().to_string()
    }

    #[test]
    fn in_rabbitmqs_words() {
        let fault = check_field(vhost().exchange("e"), "durable", false, true).unwrap_err();
        assert_eq!(
            fault.description.as_deref(),
            Some("inequivalent arg 'durable' for exchange 'e' in vhost '/': received 'true' but current is 'false'")
        );
        let ttl = |value: i32| [("x-message-ttl", Value::Int(value))];
        let rows = [
            (refused(&ttl(1000), &ttl(2000)), "received '2000' but current is '1000'"),
            (refused(&ttl(1000), &[]), "received none but current is the value '1000' of type 'signedint'"),
            (
                refused(&[], &[("x-message-ttl", "a".into())]),
                "received the value 'a' of type 'longstr' but current is none",
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(text, format!("inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': {expected}"));
        }
    }
}
