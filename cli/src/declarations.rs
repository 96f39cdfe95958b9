//! Queues, exchanges and bindings on the command line: a name, and what belongs to it behind commas. Policies are JSON: a pattern
//! may have any character.

use fakebroker::{Binding, Exchange, Policy, Queue, Value};
use serde_json::Value as Json;

use crate::control::{Fields, read_policy, read_value};

/// Reads `NAME[,ARGUMENT=VALUE...]`.
pub(crate) fn queue(text: &str) -> Result<Queue, String> {
    let (name, further) = parts(text);
    if name.is_empty() {
        return Err("NAME[,ARGUMENT=VALUE...] expected".into());
    }
    further.iter().try_fold(Queue::new(name), |queue, part| {
        let (name, value) = argument(part)?;
        Ok(match name {
            "durable" => queue.durable(flag(name, &value)?),
            "auto_delete" => queue.auto_delete(flag(name, &value)?),
            name => queue.argument(name, value),
        })
    })
}

/// Reads `NAME:TYPE[,ARGUMENT=VALUE...]`.
pub(crate) fn exchange(text: &str) -> Result<Exchange, String> {
    let (first, further) = parts(text);
    let (name, kind) = first.rsplit_once(':').ok_or("NAME:TYPE[,ARGUMENT=VALUE...] expected")?;
    further.iter().try_fold(Exchange::new(name, kind), |exchange, part| {
        let (name, value) = argument(part)?;
        Ok(match name {
            "durable" => exchange.durable(flag(name, &value)?),
            "auto_delete" => exchange.auto_delete(flag(name, &value)?),
            "internal" => exchange.internal(flag(name, &value)?),
            name => exchange.argument(name, value),
        })
    })
}

/// Reads `EXCHANGE:KEY:QUEUE[,ARGUMENT=VALUE...]`. The key may have colons. With `to_exchange=NAME` and no queue the binding leads
/// to an exchange.
pub(crate) fn binding(text: &str) -> Result<Binding, String> {
    const FORM: &str = "EXCHANGE:KEY:QUEUE[,ARGUMENT=VALUE...] expected";
    let (first, further) = parts(text);
    let (exchange, rest) = first.split_once(':').ok_or(FORM)?;
    let (key, queue) = rest.rsplit_once(':').ok_or(FORM)?;
    let arguments = further.iter().map(|part| argument(part)).collect::<Result<Vec<_>, String>>()?;
    let to = arguments.iter().find(|(name, _)| *name == "to_exchange").and_then(|(_, value)| value.as_str());
    let binding = match (queue.is_empty(), to) {
        (false, None) => Binding::new(exchange, key, queue),
        (true, Some(to)) => Binding::to_exchange(exchange, key, to),
        _ => return Err("one of QUEUE and to_exchange=NAME expected".into()),
    };
    let own = arguments.iter().filter(|(name, _)| *name != "to_exchange");
    Ok(own.fold(binding, |binding, (name, value)| binding.argument(*name, value.clone())))
}

/// Reads an object with the members of the command `set_policy`.
pub(crate) fn policy(text: &str) -> Result<Policy, String> {
    let members = match serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))? {
        Json::Object(members) => members,
        _ => return Err("an object is expected".into()),
    };
    let mut fields = Fields::of("policy", members);
    let vhost = fields.text("vhost")?;
    let policy = read_policy(&mut fields, "apply_to")?;
    fields.end()?;
    Ok(vhost.into_iter().fold(policy, Policy::vhost))
}

fn parts(text: &str) -> (&str, Vec<&str>) {
    let mut parts = text.split(',');
    (parts.next().unwrap_or_default(), parts.collect())
}

/// Reads `ARGUMENT=VALUE`. A value that is JSON is what that says, as in the control lines; any other is text.
fn argument(text: &str) -> Result<(&str, Value), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not ARGUMENT=VALUE"))?;
    let read = match serde_json::from_str(value) {
        Ok(json) => read_value(json).map_err(|why| format!("{name}: {why}"))?,
        Err(_) => value.into(),
    };
    Ok((name, read))
}

fn flag(name: &str, value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        other => Err(format!("{name} is true or false, not {other}")),
    }
}
