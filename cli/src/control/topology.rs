//! Queues, exchanges, bindings and policies in JSON: those that a command declares, and those that an answer shows.

use fakebroker::{
    ApplyTo, Binding, BindingInfo, BoundTo, Exchange, ExchangeInfo, Policy, PolicyInfo, Queue, QueueInfo, Value,
};
use serde_json::{Map, Value as Json, json};

use super::fields::{Fields, Refusal, instead};
use super::values;

pub(super) fn queues(queues: &[QueueInfo]) -> Json {
    let one = |queue: &QueueInfo| {
        json!({
            "name": queue.name,
            "type": queue.kind,
            "declared": queue.declared,
            "durable": queue.durable,
            "auto_delete": queue.auto_delete,
            "exclusive": queue.is_exclusive(),
            "owner": queue.owner.map(|owner| owner.get()),
            "arguments": shown(&queue.arguments),
            "messages": queue.messages,
            "unacknowledged": queue.unacknowledged,
            "consumers": queue.consumers,
        })
    };
    queues.iter().map(one).collect()
}

pub(super) fn exchanges(exchanges: &[ExchangeInfo]) -> Json {
    let one = |exchange: &ExchangeInfo| {
        json!({
            "name": exchange.name,
            "type": exchange.kind,
            "predeclared": exchange.predeclared,
            "durable": exchange.durable,
            "auto_delete": exchange.auto_delete,
            "internal": exchange.internal,
            "arguments": shown(&exchange.arguments),
        })
    };
    exchanges.iter().map(one).collect()
}

pub(super) fn bindings(bindings: &[BindingInfo]) -> Json {
    let one = |binding: &BindingInfo| {
        let (queue, to_exchange) = match &binding.to {
            BoundTo::Queue(name) => (Some(name), None),
            BoundTo::Exchange(name) => (None, Some(name)),
        };
        json!({
            "exchange": binding.exchange,
            "routing_key": binding.routing_key,
            "queue": queue,
            "to_exchange": to_exchange,
            "arguments": shown(&binding.arguments),
        })
    };
    bindings.iter().map(one).collect()
}

pub(super) fn policies(policies: &[PolicyInfo]) -> Json {
    let one = |policy: &PolicyInfo| {
        json!({
            "name": policy.name,
            "pattern": policy.pattern,
            "apply_to": policy.apply_to.name(),
            "priority": policy.priority,
            "definition": shown(&policy.definition),
        })
    };
    policies.iter().map(one).collect()
}

fn shown(arguments: &[(String, Value)]) -> Map<String, Json> {
    arguments.iter().map(|(name, value)| (name.clone(), values::write(value, false))).collect()
}

/// Reads the members of `declare_queue`.
pub(super) fn read_queue(fields: &mut Fields) -> Result<Queue, Refusal> {
    let mut queue = Queue::new(fields.text_of("name")?);
    queue = queue.durable(fields.flag("durable")?.unwrap_or(true));
    queue = queue.auto_delete(fields.flag("auto_delete")?.unwrap_or(false));
    Ok(read_arguments(fields)?.into_iter().fold(queue, |queue, (name, value)| queue.argument(name, value)))
}

/// Reads the members of `declare_exchange`.
pub(super) fn read_exchange(fields: &mut Fields) -> Result<Exchange, Refusal> {
    let mut exchange = Exchange::new(fields.text_of("name")?, fields.text_of("type")?);
    exchange = exchange.durable(fields.flag("durable")?.unwrap_or(true));
    exchange = exchange.auto_delete(fields.flag("auto_delete")?.unwrap_or(false));
    exchange = exchange.internal(fields.flag("internal")?.unwrap_or(false));
    Ok(read_arguments(fields)?.into_iter().fold(exchange, |exchange, (name, value)| exchange.argument(name, value)))
}

/// Reads the members of `bind` and `unbind`.
pub(super) fn read_binding(fields: &mut Fields) -> Result<Binding, Refusal> {
    let (exchange, key) = (fields.text_of("exchange")?, fields.text("routing_key")?.unwrap_or_default());
    let binding = match (fields.text("queue")?, fields.text("to_exchange")?) {
        (Some(queue), None) => Binding::new(exchange, key, queue),
        (None, Some(to)) => Binding::to_exchange(exchange, key, to),
        (None, None) => return Err("\"queue\" is missing: a string is expected, or \"to_exchange\"".into()),
        (Some(_), Some(_)) => return Err("there are \"queue\" and \"to_exchange\": one of them is expected".into()),
    };
    Ok(read_arguments(fields)?.into_iter().fold(binding, |binding, (name, value)| binding.argument(name, value)))
}

/// Reads the members of `set_policy`. `apply_to` is the name of the member that says what it applies to.
pub(crate) fn read_policy(fields: &mut Fields, apply_to: &str) -> Result<Policy, Refusal> {
    let mut policy = Policy::new(fields.text_of("name")?, fields.text_of("pattern")?);
    let priority = |json: Json| json.as_i64().ok_or_else(|| instead("a whole number", &json));
    policy = policy.priority(fields.read("priority", priority)?.unwrap_or_default());
    let applies =
        |json: Json| json.as_str().and_then(ApplyTo::named).ok_or_else(|| instead("what it applies to", &json));
    policy = policy.apply_to(fields.read(apply_to, applies)?.unwrap_or_default());
    let definition = read_values(fields, "definition")?.ok_or("\"definition\" is missing: an object is expected")?;
    Ok(definition.into_iter().fold(policy, |policy, (key, value)| policy.define(key, value)))
}

pub(crate) fn read_arguments(fields: &mut Fields) -> Result<Vec<(String, Value)>, Refusal> {
    Ok(read_values(fields, "arguments")?.unwrap_or_default())
}

fn read_values(fields: &mut Fields, member: &str) -> Result<Option<Vec<(String, Value)>>, Refusal> {
    let read = |(name, json)| match values::read(json) {
        Ok(value) => Ok((name, value)),
        Err(why) => Err(format!("\"{member}.{name}\": {why}")),
    };
    fields.object(member)?.map(|members| members.into_iter().map(read).collect()).transpose()
}
