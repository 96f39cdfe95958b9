//! RabbitMQ's `definitions.json`: its virtual hosts, and the queues, exchanges, bindings and policies in them. What else is in it is listed as
//! left out.

use std::path::Path;

use fakebroker::{Binding, Builder, Exchange, Handle, Policy, Queue};
use serde_json::{Map, Value as Json};

use super::fields::Fields;
use super::topology::{read_arguments, read_policy};

/// The exchanges that RabbitMQ has of itself.
const PREDECLARED: [&str; 9] = [
    "",
    "amq.direct",
    "amq.fanout",
    "amq.headers",
    "amq.match",
    "amq.topic",
    "amq.rabbitmq.trace",
    "amq.rabbitmq.log",
    "amq.rabbitmq.event",
];

/// Members that say where a file comes from, and nothing that could be declared.
const ABOUT_THE_FILE: [&str; 8] = [
    "rabbit_version",
    "rabbitmq_version",
    "product_name",
    "product_version",
    "rabbitmq_definition_format",
    "original_vhost_name",
    "original_cluster_name",
    "explanation",
];

/// Definitions that have been read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Definitions {
    pub(crate) vhosts: Vec<String>,
    pub(crate) queues: Vec<Queue>,
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) policies: Vec<Policy>,
    /// What is in the file and is not declared, a line each, with the reason.
    pub(crate) left_out: Vec<String>,
}

/// Reads a file. The error names it, and the line or the member that is wrong.
pub(crate) fn read_file(path: &Path) -> Result<Definitions, String> {
    let named = |why: String| format!("{}: {why}", path.display());
    let bytes = std::fs::read(path).map_err(|error| named(error.to_string()))?;
    // The error of the parser names line and column.
    let json = serde_json::from_slice(&bytes).map_err(|error| named(format!("not JSON: {error}")))?;
    read(json).map_err(named)
}

/// Reads definitions.
pub(crate) fn read(json: Json) -> Result<Definitions, String> {
    let Json::Object(mut members) = json else { return Err(no_definitions()) };
    let known = ["queues", "exchanges", "bindings", "vhosts", "users", "policies"];
    if !known.iter().any(|name| members.contains_key(*name)) {
        return Err(no_definitions());
    }
    let mut found = Definitions::default();
    for mut item in items(&mut members, "exchanges")? {
        if let Some(exchange) = read_exchange(&mut item)? {
            found.exchanges.push(exchange);
        }
        item.note_unknown(&mut found.left_out);
    }
    for mut item in items(&mut members, "queues")? {
        if let Some(queue) = read_queue(&mut item, &mut found.left_out)? {
            found.queues.push(queue);
        }
        item.note_unknown(&mut found.left_out);
    }
    for mut item in items(&mut members, "bindings")? {
        if let Some(binding) = read_binding(&mut item)? {
            found.bindings.push(binding);
        }
        item.note_unknown(&mut found.left_out);
    }
    for mut item in items(&mut members, "policies")? {
        if let Some(policy) = read_defined(&mut item, &mut found.left_out)? {
            found.policies.push(policy);
        }
        item.note_unknown(&mut found.left_out);
    }
    for mut item in items(&mut members, "vhosts")? {
        found.vhosts.push(item.fields.text_of("name")?);
        for unused in ["description", "tags", "metadata", "tracing", "default_queue_type"] {
            item.fields.take(unused);
        }
        item.note_unknown(&mut found.left_out);
    }
    members.retain(|name, _| !ABOUT_THE_FILE.contains(&name.as_str()));
    found.left_out.extend(members.into_iter().filter_map(|(name, json)| left_out(&name, &json)));
    Ok(found)
}

fn no_definitions() -> String {
    "these are no definitions: an object with \"queues\", \"exchanges\" or \"bindings\" is expected".into()
}

/// Says what of a list that is not read is left out. None if the list is empty.
fn left_out(name: &str, json: &Json) -> Option<String> {
    const SHOWN: usize = 5;
    let items = match json {
        Json::Array(items) if items.is_empty() => return None,
        Json::Array(items) => items.as_slice(),
        _ => &[],
    };
    let label = |item: &Json| {
        let label = ["name", "user"].iter().find_map(|member| item.get(member)?.as_str());
        label.map(|label| format!("{label:?}"))
    };
    let mut labels: Vec<String> = items.iter().filter_map(label).take(SHOWN).collect();
    if items.len() > SHOWN {
        labels.push(format!("{} in all", items.len()));
    }
    let labels = if labels.is_empty() { String::new() } else { format!(" ({})", labels.join(", ")) };
    Some(format!("{name}{labels}: not imported"))
}

/// An entry of one of the lists.
struct Item {
    /// Where it stands: `queues[0]`.
    path: String,
    fields: Fields,
}

impl Item {
    fn note_unknown(&mut self, left_out: &mut Vec<String>) {
        if let Err(why) = self.fields.end() {
            left_out.push(why);
        }
    }
}

fn items(members: &mut Map<String, Json>, name: &str) -> Result<Vec<Item>, String> {
    let list = match members.remove(name) {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Array(list)) => list,
        Some(_) => return Err(format!("\"{name}\": an array is expected")),
    };
    let item = |(index, json)| {
        let path = format!("{name}[{index}]");
        match json {
            Json::Object(members) => Ok(Item { fields: Fields::of(&path, members), path }),
            _ => Err(format!("\"{path}\": an object is expected")),
        }
    };
    list.into_iter().enumerate().map(item).collect()
}

fn read_queue(item: &mut Item, left_out: &mut Vec<String>) -> Result<Option<Queue>, String> {
    let fields = &mut item.fields;
    let (vhost, name) = (fields.text("vhost")?, fields.text_of("name")?);
    let queue = Queue::new(&name)
        .durable(fields.flag("durable")?.unwrap_or(true))
        .auto_delete(fields.flag("auto_delete")?.unwrap_or(false));
    let queue = read_arguments(fields)?.into_iter().fold(queue, |queue, (name, value)| queue.argument(name, value));
    let queue = vhost.into_iter().fold(queue, Queue::vhost);
    if fields.flag("exclusive")?.unwrap_or(false) {
        left_out.push(format!("{}: queue {name:?} is exclusive to a connection", item.path));
        return Ok(None);
    }
    Ok(Some(queue))
}

fn read_exchange(item: &mut Item) -> Result<Option<Exchange>, String> {
    let fields = &mut item.fields;
    let (vhost, name) = (fields.text("vhost")?, fields.text_of("name")?);
    let exchange = Exchange::new(&name, fields.text_of("type")?)
        .durable(fields.flag("durable")?.unwrap_or(true))
        .auto_delete(fields.flag("auto_delete")?.unwrap_or(false))
        .internal(fields.flag("internal")?.unwrap_or(false));
    let exchange =
        read_arguments(fields)?.into_iter().fold(exchange, |exchange, (name, value)| exchange.argument(name, value));
    let exchange = vhost.into_iter().fold(exchange, Exchange::vhost);
    Ok((!PREDECLARED.contains(&name.as_str())).then_some(exchange))
}

fn read_binding(item: &mut Item) -> Result<Option<Binding>, String> {
    let fields = &mut item.fields;
    let (source, destination) = (fields.text_of("source")?, fields.text_of("destination")?);
    let (vhost, key) = (fields.text("vhost")?, fields.text("routing_key")?.unwrap_or_default());
    let to_exchange = fields.choice("destination_type", &[("queue", false), ("exchange", true)])?.unwrap_or(false);
    // RabbitMQ's name for key and arguments in one, which says nothing further.
    fields.text("properties_key")?;
    // The default exchange is bound to every queue.
    let is_default = source.is_empty();
    let binding = match to_exchange {
        true => Binding::to_exchange(source, key, destination),
        false => Binding::new(source, key, destination),
    };
    let binding =
        read_arguments(fields)?.into_iter().fold(binding, |binding, (name, value)| binding.argument(name, value));
    let binding = vhost.into_iter().fold(binding, Binding::vhost);
    Ok((!is_default).then_some(binding))
}

/// Reads a policy, without the keys that have no effect here. None: nothing is left of it.
fn read_defined(item: &mut Item, left_out: &mut Vec<String>) -> Result<Option<Policy>, String> {
    let Some(Json::Object(mut definition)) = item.fields.take("definition") else {
        return Err(format!("\"{}.definition\": an object is expected", item.path));
    };
    let unknown = definition.keys().filter(|key| !Policy::KEYS.contains(&key.as_str()));
    left_out.extend(unknown.map(|key| format!("\"{}.definition.{key}\": not honoured", item.path)));
    definition.retain(|key, _| Policy::KEYS.contains(&key.as_str()));
    let is_empty = definition.is_empty();
    item.fields.put("definition", Json::Object(definition));
    let vhost = item.fields.text("vhost")?;
    let policy = read_policy(&mut item.fields, "apply-to")?;
    Ok((!is_empty).then(|| vhost.into_iter().fold(policy, Policy::vhost)))
}

impl Definitions {
    /// Adds all to what the broker has from its start.
    pub(crate) fn apply(&self, builder: Builder) -> Builder {
        let builder = self.vhosts.iter().fold(builder, Builder::vhost);
        let builder = self.policies.iter().cloned().fold(builder, Builder::policy);
        let builder = self.queues.iter().cloned().fold(builder, Builder::queue);
        let builder = self.exchanges.iter().cloned().fold(builder, Builder::exchange);
        self.bindings.iter().cloned().fold(builder, Builder::binding)
    }

    /// Declares all. What comes before a refusal has been declared then.
    pub(crate) fn declare(self, broker: &Handle) -> Result<(), String> {
        self.vhosts.iter().for_each(|name| drop(broker.vhost(name)));
        for policy in self.policies {
            broker.set_policy(policy).map_err(|error| error.to_string())?;
        }
        for exchange in self.exchanges {
            broker.declare_exchange(exchange).map_err(|error| error.to_string())?;
        }
        for queue in self.queues {
            broker.declare_queue(queue).map_err(|error| error.to_string())?;
        }
        for binding in self.bindings {
            broker.bind(binding).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
