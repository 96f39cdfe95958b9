//! The commands: what each takes, does and answers. `docs/control.md` is the list for those who write them.
//!
//! A command is read whole before any of it is done: [`COMMANDS`] has a function for each name that takes the command's members
//! and returns what is to be done, and [`Control::obey`] refuses members that are left over in between.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fakebroker::{
    Broker, ConnectionId, Ending, Group, Handle, Link, MessageRecord, Queues, Role, TopologyError, Verify, node_at,
};
use serde_json::{Map, Value as Json, json};

use super::definitions::{self, Definitions};
use super::fields::{Fields, Refusal};
use super::inbox::Inbox;
use super::messages::{self, Detail};
use super::rules::{Rules, read_on_attach, read_on_connect, read_on_message, read_reason};
use super::waiting::Wait;
use super::{pictures, topology, trace};

/// The version of the control lines. A change that breaks clients raises it.
const PROTOCOL: u32 = 3;

/// The longest time that a clock can be advanced by at once: ten years.
const MAX_ADVANCE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The state that commands read and change.
pub(super) struct Control {
    /// A group of one broker, which keeps its port while the broker is down.
    brokers: Arc<Group>,
    is_up: bool,
    rules: Rules,
    inbox: Inbox,
    /// The virtual host that the present command is about, if it names one.
    vhost: Option<String>,
    /// Number of `wait` commands so far; each `wait` is known by its number.
    waits: u64,
}

/// The result of a command.
pub(super) enum Answered {
    /// The answer to print; the next command follows.
    Said(Map<String, Json>),
    /// The program ends, with a close for every client or without.
    Ends(Ending),
}

/// A command that has been read and can be carried out.
type Act = Box<dyn FnOnce(&mut Control) -> Result<Answered, Refusal>>;

/// Takes the members of a command. It does nothing yet: a member that it leaves over is refused.
type Read = fn(&mut Fields) -> Result<Act, Refusal>;

/// All commands by name.
const COMMANDS: &[(&str, Read)] = &[
    ("version", |_| Ok(look(|_| json!({"version": env!("CARGO_PKG_VERSION"), "protocol": PROTOCOL})))),
    ("counts", |_| Ok(look(|broker| json!({"counts": pictures::counts(&broker.counts())})))),
    ("wait", read_wait),
    ("messages", read_messages),
    ("take_messages", read_take_messages),
    ("published", |fields| {
        let (exchange, typed) = (fields.text_of("exchange")?, fields.flag("typed")?.unwrap_or_default());
        Ok(look(move |broker| json!({"published": messages::published(&broker.published(&exchange), typed)})))
    }),
    ("inject", read_inject),
    ("purge", |fields| {
        let address = fields.text_of("address")?;
        Ok(look(move |broker| json!({"purged": broker.purge(&address)})))
    }),
    ("queue_depth", |fields| {
        let address = fields.text_of("address")?;
        Ok(look(move |broker| json!({"depth": broker.queue_depth(&address)})))
    }),
    ("vhost", |fields| {
        let name = fields.text_of("vhost")?;
        Ok(look(move |broker| json!({"url": broker.vhost(&name).url()})))
    }),
    ("vhosts", |_| Ok(look(|broker| json!({"vhosts": broker.vhosts()})))),
    ("connections", |_| Ok(look(|broker| json!({"connections": pictures::connections(&broker.connections())})))),
    ("links", |_| Ok(look(|broker| json!({"links": pictures::links(&broker.links())})))),
    ("addresses", |_| Ok(look(|broker| json!({"addresses": pictures::addresses(&broker.addresses())})))),
    // The name that version 2 had for `addresses`.
    ("routes", |_| Ok(look(|broker| json!({"routes": pictures::addresses(&broker.addresses())})))),
    ("queues", |_| Ok(look(|broker| json!({"queues": topology::queues(&broker.queues())})))),
    ("exchanges", |_| Ok(look(|broker| json!({"exchanges": topology::exchanges(&broker.exchanges())})))),
    ("bindings", |_| Ok(look(|broker| json!({"bindings": topology::bindings(&broker.bindings())})))),
    ("policies", |_| Ok(look(|broker| json!({"policies": topology::policies(&broker.policies())})))),
    ("set_policy", |fields| {
        let policy = topology::read_policy(fields, "apply_to")?;
        Ok(declare(|broker| broker.set_policy(policy).map(|()| json!({}))))
    }),
    ("clear_policy", |fields| {
        let name = fields.text_of("name")?;
        Ok(look(move |broker| json!({"cleared": broker.clear_policy(&name)})))
    }),
    ("declare_queue", |fields| {
        let queue = topology::read_queue(fields)?;
        Ok(declare(|broker| broker.declare_queue(queue).map(|()| json!({}))))
    }),
    ("declare_exchange", |fields| {
        let exchange = topology::read_exchange(fields)?;
        Ok(declare(|broker| broker.declare_exchange(exchange).map(|()| json!({}))))
    }),
    ("bind", |fields| {
        let binding = topology::read_binding(fields)?;
        Ok(declare(|broker| broker.bind(binding).map(|()| json!({}))))
    }),
    ("unbind", |fields| {
        let binding = topology::read_binding(fields)?;
        Ok(declare(|broker| broker.unbind(binding).map(|()| json!({}))))
    }),
    ("import_definitions", read_import_definitions),
    ("delete_queue", |fields| {
        let name = fields.text_of("name")?;
        Ok(declare(move |broker| broker.delete_queue(&name).map(|messages| json!({"messages": messages}))))
    }),
    ("delete_exchange", |fields| {
        let name = fields.text_of("name")?;
        Ok(declare(move |broker| broker.delete_exchange(&name).map(|()| json!({}))))
    }),
    ("trace", |fields| {
        let show = trace::read(fields)?;
        Ok(act(move |control| show(control.broker())))
    }),
    ("verify", |fields| {
        let (dropped, unmet) = (fields.flag("dropped")?, fields.flag("unmet_requests")?);
        let mut what = Verify::new();
        what = if dropped == Some(true) { what.dropped() } else { what };
        what = if unmet == Some(true) { what.unmet_requests() } else { what };
        Ok(look(move |broker| pictures::report(&broker.verify_with(what), &broker.unmet_requests())))
    }),
    ("unmet_requests", |_| {
        Ok(look(|broker| json!({"unmet_requests": pictures::unmet_requests(&broker.unmet_requests())})))
    }),
    ("advance", read_advance),
    ("pause", |_| Ok(act(|control| control.steer(|broker| broker.pause())))),
    ("resume", |_| Ok(act(|control| control.steer(|broker| broker.resume())))),
    ("block", |fields| {
        let reason = fields.text("reason")?.unwrap_or_else(|| "low on memory".to_owned());
        Ok(change(move |broker| broker.block(&reason)))
    }),
    ("unblock", |_| Ok(change(|broker| broker.unblock()))),
    ("refuse_connections", read_refuse_connections),
    ("disconnect", read_disconnect),
    ("close", read_close),
    ("detach", read_detach),
    ("withhold", |fields| {
        let address = fields.text_of("address")?;
        Ok(change(move |broker| broker.withhold(&address)))
    }),
    ("grant", |fields| {
        let (address, messages) = (fields.text_of("address")?, fields.number_of("messages")?);
        Ok(change(move |broker| broker.grant(&address, messages)))
    }),
    ("restore", |fields| {
        let address = fields.text_of("address")?;
        Ok(change(move |broker| broker.restore(&address)))
    }),
    ("on_message", |fields| read_on_message(fields).map(rule)),
    ("on_attach", |fields| read_on_attach(fields).map(rule)),
    ("on_connect", |fields| read_on_connect(fields).map(rule)),
    ("clear_hooks", |_| Ok(rule(|rules: &Rules, broker: &Broker| rules.clear(broker)))),
    ("restart", read_restart),
    ("start", |_| Ok(act(Control::start))),
    ("stop", |fields| Ok(end(Ending::Clean, fields.flag("hold")?.unwrap_or(false)))),
    ("crash", |fields| Ok(end(Ending::Crash, fields.flag("hold")?.unwrap_or(true)))),
    // The names that versions 1 and 2 had for `stop` without and with `hold`.
    ("stop_clean", |_| Ok(end(Ending::Clean, false))),
    ("shutdown", |_| Ok(end(Ending::Clean, true))),
];

/// The commands that have an optional member `vhost`: they act on what is in that virtual host, which is made if it is not there.
const IN_VHOST: &[&str] = &[
    "wait",
    "messages",
    "take_messages",
    "inject",
    "purge",
    "queue_depth",
    "addresses",
    "routes",
    "queues",
    "exchanges",
    "bindings",
    "published",
    "policies",
    "set_policy",
    "clear_policy",
    "import_definitions",
    "declare_queue",
    "declare_exchange",
    "bind",
    "unbind",
    "delete_queue",
    "delete_exchange",
    "withhold",
    "grant",
    "restore",
];

impl Control {
    pub(super) fn new(brokers: Arc<Group>, is_up: bool, inbox: Inbox) -> Control {
        Control { brokers, is_up, rules: Rules::default(), inbox, vhost: None, waits: 0 }
    }

    fn broker(&self) -> &Broker {
        &self.brokers[0]
    }

    /// Returns a handle for the virtual host that the command is about.
    fn handle(&self) -> Handle {
        match &self.vhost {
            Some(name) => self.broker().vhost(name),
            None => self.broker().handle(),
        }
    }

    /// Carries out a command, unless it has a member that it does not know: then nothing is done.
    pub(super) fn obey(&mut self, command: &str, mut fields: Fields) -> Result<Answered, Refusal> {
        let known = COMMANDS.iter().find(|(name, _)| *name == command);
        let (_, read) = known.ok_or_else(|| format!("unknown command {command:?}"))?;
        let vhost = if IN_VHOST.contains(&command) { fields.text("vhost")? } else { None };
        let act = read(&mut fields)?;
        fields.end()?;
        self.vhost = vhost;
        act(self)
    }

    /// Runs a wait in a thread of its own, so that the end of the input can cut it short.
    fn wait(&mut self, wait: Wait) -> Result<Json, Refusal> {
        // A condition that holds now is reported even after the end of the input.
        let handle = self.handle();
        if let Ok(answer) = wait.until(&handle, Duration::ZERO) {
            return Ok(answer);
        }
        self.waits += 1;
        let (number, inbox) = (self.waits, self.inbox.clone());
        let look = move || {
            inbox.answer(number, wait.until(&handle, wait.timeout));
        };
        std::thread::Builder::new().name("wait".into()).spawn(look).map_err(|error| error.to_string())?;
        self.inbox.await_answer(number).unwrap_or_else(|| Err("the input has ended, and so does the wait".into()))
    }

    /// Does something to a broker that has to be up.
    fn steer(&self, steer: impl FnOnce(&Broker)) -> Result<Json, Refusal> {
        self.expect_up()?;
        steer(self.broker());
        Ok(json!({}))
    }

    fn expect_up(&self) -> Result<(), Refusal> {
        if self.is_up { Ok(()) } else { Err("the broker is not running".into()) }
    }

    fn start(&mut self) -> Result<Json, Refusal> {
        if self.is_up {
            return Err("it has been started".into());
        }
        self.brokers.start(0).map_err(|error| error.to_string())?;
        self.is_up = true;
        Ok(json!({"url": self.broker().url()}))
    }

    fn restart(&mut self, ending: Ending, queues: Queues) -> Result<Json, Refusal> {
        let restarted = self.brokers.restart(0, ending, queues);
        self.is_up = restarted.is_ok();
        restarted.map(|()| json!({})).map_err(|error| error.to_string())
    }

    fn take_down(&mut self, ending: Ending) -> Result<(), Refusal> {
        self.is_up = false;
        let held = match ending {
            Ending::Crash => self.brokers.crash(0),
            Ending::Clean => self.brokers.stop(0),
        };
        held.map_err(|error| error.to_string())
    }
}

/// An act with an answer.
fn act(act: impl FnOnce(&mut Control) -> Result<Json, Refusal> + 'static) -> Act {
    Box::new(|control| {
        Ok(Answered::Said(match act(control)? {
            Json::Object(answer) => answer,
            _ => Map::new(),
        }))
    })
}

/// An act that needs a handle alone, and cannot fail.
fn look(look: impl FnOnce(&Handle) -> Json + 'static) -> Act {
    act(|control| Ok(look(&control.handle())))
}

/// An act on the broker that has nothing to tell.
fn change(change: impl FnOnce(&Handle) + 'static) -> Act {
    look(|broker| {
        change(broker);
        json!({})
    })
}

/// An act on queues, exchanges and bindings, which the broker may refuse.
fn declare(declare: impl FnOnce(&Handle) -> Result<Json, TopologyError> + 'static) -> Act {
    act(|control| declare(&control.handle()).map_err(|error| error.to_string()))
}

/// An act on the rules.
fn rule(change: impl FnOnce(&Rules, &Broker) + 'static) -> Act {
    act(|control| {
        change(&control.rules, control.broker());
        Ok(json!({}))
    })
}

/// Ends the broker, with a close for every connection or without a word. With `hold` the program goes on, with the port, until
/// `start`; without it ends too.
fn end(ending: Ending, hold: bool) -> Act {
    if !hold {
        return Box::new(move |_| Ok(Answered::Ends(ending)));
    }
    act(move |control| {
        control.expect_up()?;
        control.take_down(ending).map(|()| json!({}))
    })
}

fn read_wait(fields: &mut Fields) -> Result<Act, Refusal> {
    let wait = Wait::read(fields)?;
    Ok(act(move |control| control.wait(wait)))
}

fn read_messages(fields: &mut Fields) -> Result<Act, Refusal> {
    let (address, detail) = (fields.text("address")?, Detail::read(fields)?);
    Ok(act(move |control| {
        let (broker, vhost) = (control.handle(), control.vhost.as_ref());
        let is_asked = |record: &MessageRecord| vhost.is_none_or(|name| record.vhost == *name);
        let all = || broker.all_messages().into_iter().filter(is_asked).collect();
        let records: Vec<MessageRecord> = address.map_or_else(all, |address| broker.messages(&address));
        Ok(json!({"messages": messages::all(&records, detail), "forgotten": broker.forgotten_messages()}))
    }))
}

fn read_take_messages(fields: &mut Fields) -> Result<Act, Refusal> {
    let (address, detail) = (fields.text_of("address")?, Detail::read(fields)?);
    Ok(look(move |broker| {
        let records = broker.take_messages(&address);
        json!({"messages": messages::all(&records, detail), "forgotten": broker.forgotten_messages()})
    }))
}

fn read_inject(fields: &mut Fields) -> Result<Act, Refusal> {
    let (exchange, key) = (fields.text("exchange")?, fields.text("routing_key")?);
    let address = match (&exchange, &key) {
        (Some(_), _) if fields.text("address")?.is_some() => {
            return Err("there are \"address\" and \"exchange\": one of them is expected".into());
        }
        (Some(_), _) => String::new(),
        (None, Some(_)) => return Err("\"exchange\" is missing: a string is expected with \"routing_key\"".into()),
        (None, None) => fields.text_of("address")?,
    };
    let message = messages::read(fields)?;
    Ok(look(move |broker| {
        let outcome = match exchange {
            Some(exchange) => broker.inject_to_exchange(&exchange, &key.unwrap_or_default(), message),
            None => broker.inject(&address, message),
        };
        messages::outcome(outcome.as_ref())
    }))
}

/// Imports a file of RabbitMQ's definitions, or what would stand in it.
fn read_import_definitions(fields: &mut Fields) -> Result<Act, Refusal> {
    let read: Box<dyn FnOnce() -> Result<Definitions, Refusal>> =
        match (fields.text("file")?, fields.object("definitions")?) {
            (Some(file), None) => Box::new(move || definitions::read_file(Path::new(&file))),
            (None, Some(members)) => Box::new(|| definitions::read(Json::Object(members))),
            (None, None) => return Err("\"file\" is missing: a string is expected, or \"definitions\"".into()),
            (Some(_), Some(_)) => return Err("there are \"file\" and \"definitions\": one is expected".into()),
        };
    Ok(act(move |control| {
        let found = read()?;
        let (queues, exchanges, bindings) = (found.queues.len(), found.exchanges.len(), found.bindings.len());
        let (policies, left_out) = (found.policies.len(), found.left_out.clone());
        found.declare(&control.handle())?;
        Ok(json!({
            "queues": queues,
            "exchanges": exchanges,
            "bindings": bindings,
            "policies": policies,
            "left_out": left_out,
        }))
    }))
}

/// Lets time pass. The lines behind it wait until it has.
fn read_advance(fields: &mut Fields) -> Result<Act, Refusal> {
    let seconds = fields.seconds_of("seconds", MAX_ADVANCE)?;
    Ok(act(move |control| {
        let broker = control.broker();
        if !broker.has_manual_clock() {
            return Err("only a manual clock can be advanced: see --manual-clock".into());
        }
        broker.advance(seconds);
        Ok(json!({"now": broker.now().as_secs_f64()}))
    }))
}

fn read_restart(fields: &mut Fields) -> Result<Act, Refusal> {
    let ending = fields.choice("ending", &[("crash", Ending::Crash), ("clean", Ending::Clean)])?;
    let queues = fields.choice("queues", &[("keep", Queues::Keep), ("drop", Queues::Drop)])?;
    let (ending, queues) = (ending.unwrap_or(Ending::Crash), queues.unwrap_or(Queues::Keep));
    Ok(act(move |control| control.restart(ending, queues)))
}

fn read_refuse_connections(fields: &mut Fields) -> Result<Act, Refusal> {
    let refuse = fields.flag("refuse")?.unwrap_or(true);
    Ok(act(move |control| {
        control.expect_up()?;
        let refused = control.broker().refuse_connections(refuse);
        refused.map(|()| json!({})).map_err(|error| error.to_string())
    }))
}

fn read_disconnect(fields: &mut Fields) -> Result<Act, Refusal> {
    let connection = fields.number::<u32>("connection")?;
    Ok(look(move |broker| {
        json!({"disconnected": match connection {
            Some(id) => usize::from(broker.disconnect(id.into())),
            None => broker.disconnect_all(),
        }})
    }))
}

fn read_close(fields: &mut Fields) -> Result<Act, Refusal> {
    let connection = fields.number::<u32>("connection")?.map(ConnectionId::from);
    let (condition, description) = read_reason(fields, "amqp:connection:forced")?;
    Ok(look(move |broker| {
        let ids = broker.connections().into_iter().map(|known| known.id);
        let chosen = ids.filter(|id| connection.is_none_or(|connection| connection == *id));
        json!({"closed": chosen.filter(|id| broker.close(*id, &condition, &description)).count()})
    }))
}

fn read_detach(fields: &mut Fields) -> Result<Act, Refusal> {
    let chosen = read_links(fields)?;
    let (condition, description) = read_reason(fields, "amqp:link:detach-forced")?;
    Ok(look(move |broker| {
        let links = broker.links().into_iter().filter(chosen);
        json!({"detached": links.filter(|link| broker.detach(link, &condition, &description)).count()})
    }))
}

/// Reads which links a command is for: those that match all of its members.
fn read_links(fields: &mut Fields) -> Result<impl Fn(&Link) -> bool + use<>, Refusal> {
    let connection = fields.number::<u32>("connection")?.map(ConnectionId::from);
    let (name, address) = (fields.text("name")?, fields.text("address")?.map(|said| node_at(&said).into_owned()));
    let role = fields.choice("role", &[("sender", Role::Sender), ("receiver", Role::Receiver)])?;
    Ok(move |link: &Link| {
        connection.is_none_or(|connection| connection == link.connection)
            && name.as_ref().is_none_or(|name| *name == link.name)
            && address.as_ref().is_none_or(|address| link.address.as_ref() == Some(address))
            && role.is_none_or(|role| role == link.role)
    })
}

#[cfg(test)]
mod tests {
    use super::COMMANDS;

    #[test]
    fn each_command_has_one_name_and_is_documented() {
        let text = include_str!("../../../docs/control.md");
        for (index, (name, _)) in COMMANDS.iter().enumerate() {
            assert!(text.contains(&format!("`{name}`")), "{name}");
            assert!(COMMANDS.iter().take(index).all(|(other, _)| other != name), "{name}");
        }
    }
}
