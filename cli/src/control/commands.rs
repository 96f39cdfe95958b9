//! The commands: what each takes, does and answers. `docs/control.md` is the list for those who write them.

use std::sync::Arc;
use std::time::Duration;

use fakebroker::{Broker, ConnectionId, Ending, Group, Link, Queues, Role, Verify, node_at};
use serde_json::{Map, Value as Json, json};

use super::fields::{Fields, Refusal};
use super::inbox::Inbox;
use super::messages::{self, Detail};
use super::rules::{Rules, read_reason};
use super::waiting::Wait;
use super::{pictures, trace};

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

impl Control {
    pub(super) fn new(brokers: Arc<Group>, is_up: bool, inbox: Inbox) -> Control {
        Control { brokers, is_up, rules: Rules::default(), inbox, waits: 0 }
    }

    fn broker(&self) -> &Broker {
        &self.brokers[0]
    }

    pub(super) fn obey(&mut self, command: &str, mut fields: Fields) -> Result<Answered, Refusal> {
        let answer = match command {
            // Version 1 of these lines had these two, and ignored other members.
            "counts" => json!({"counts": pictures::counts(&self.broker().counts())}),
            "start" => self.start()?,
            "stop" | "crash" | "stop_clean" | "shutdown" => return self.end(command, &mut fields),
            "advance" => self.advance(&mut fields)?,
            "restart" | "pause" | "resume" | "refuse_connections" => self.run(command, &mut fields)?,
            "disconnect" | "close" | "detach" | "withhold" | "grant" | "restore" => self.steer(command, &mut fields)?,
            "on_message" | "on_attach" | "on_connect" | "clear_hooks" => self.rule(command, &mut fields)?,
            _ => self.look(command, &mut fields)?,
        };
        match answer {
            Json::Object(answer) => Ok(Answered::Said(answer)),
            _ => Ok(Answered::Said(Map::new())),
        }
    }

    /// Commands that look and wait.
    fn look(&mut self, command: &str, fields: &mut Fields) -> Result<Json, Refusal> {
        let broker = self.broker();
        Ok(match command {
            "version" => {
                fields.end()?;
                json!({"version": env!("CARGO_PKG_VERSION"), "protocol": PROTOCOL})
            }
            "wait" => return self.wait(Wait::read(fields)?),
            "messages" => {
                let (address, detail) = (fields.text("address")?, Detail::read(fields)?);
                fields.end()?;
                let records = address.map_or_else(|| broker.all_messages(), |address| broker.messages(&address));
                json!({"messages": messages::all(&records, detail), "forgotten": broker.forgotten_messages()})
            }
            "take_messages" => {
                let (address, detail) = (fields.text_of("address")?, Detail::read(fields)?);
                fields.end()?;
                let records = broker.take_messages(&address);
                json!({"messages": messages::all(&records, detail), "forgotten": broker.forgotten_messages()})
            }
            "inject" => {
                let (address, message) = (fields.text_of("address")?, messages::read(fields)?);
                fields.end()?;
                messages::outcome(broker.inject(&address, message).as_ref())
            }
            "purge" => {
                let address = fields.text_of("address")?;
                fields.end()?;
                json!({"purged": broker.purge(&address)})
            }
            "queue_depth" => {
                let address = fields.text_of("address")?;
                fields.end()?;
                json!({"depth": broker.queue_depth(&address)})
            }
            "connections" => {
                fields.end()?;
                json!({"connections": pictures::connections(&broker.connections())})
            }
            "links" => {
                fields.end()?;
                json!({"links": pictures::links(&broker.links())})
            }
            // Version 2 called it `routes`, and still has its answer.
            "addresses" | "routes" => {
                fields.end()?;
                json!({command: pictures::addresses(&broker.addresses())})
            }
            "trace" => trace::show(broker, fields)?,
            "verify" => {
                let dropped = fields.flag("dropped")?.unwrap_or(false);
                fields.end()?;
                pictures::report(&broker.verify_with(if dropped { Verify::new().dropped() } else { Verify::new() }))
            }
            unknown => return Err(format!("unknown command {unknown:?}")),
        })
    }

    /// Runs a wait in a thread of its own, so that the end of the input can cut it short.
    fn wait(&mut self, wait: Wait) -> Result<Json, Refusal> {
        // A condition that holds now is reported even after the end of the input.
        if let Ok(answer) = wait.until(self.broker(), Duration::ZERO) {
            return Ok(answer);
        }
        self.waits += 1;
        let (number, inbox, handle) = (self.waits, self.inbox.clone(), self.broker().handle());
        let look = move || {
            inbox.answer(number, wait.until(&handle, wait.timeout));
        };
        std::thread::Builder::new().name("wait".into()).spawn(look).map_err(|error| error.to_string())?;
        self.inbox.await_answer(number).unwrap_or_else(|| Err("the input has ended, and so does the wait".into()))
    }

    /// Ends the broker: `stop` with a close for every connection, `crash` without a word. With `hold` the program goes on, with
    /// the port, until `start`; without it ends too. `stop_clean` and `shutdown` are the names that versions 1 and 2 had for `stop`
    /// without and with `hold`.
    fn end(&mut self, command: &str, fields: &mut Fields) -> Result<Answered, Refusal> {
        let (ending, hold) = match command {
            "crash" => (Ending::Crash, fields.flag("hold")?.unwrap_or(true)),
            "shutdown" => (Ending::Clean, true),
            "stop_clean" => (Ending::Clean, false),
            _ => (Ending::Clean, fields.flag("hold")?.unwrap_or(false)),
        };
        // Version 1 had `stop` and `stop_clean`, and ignored other members.
        if hold || !matches!(command, "stop" | "stop_clean") {
            fields.end()?;
        }
        if !hold {
            return Ok(Answered::Ends(ending));
        }
        self.expect_up()?;
        self.take_down(ending)?;
        Ok(Answered::Said(Map::new()))
    }

    /// Commands for the broker as a whole: restart, pause.
    fn run(&mut self, command: &str, fields: &mut Fields) -> Result<Json, Refusal> {
        let endings = [("crash", Ending::Crash), ("clean", Ending::Clean)];
        match command {
            "restart" => {
                let ending = fields.choice("ending", &endings)?.unwrap_or(Ending::Crash);
                let queues = fields.choice("queues", &[("keep", Queues::Keep), ("drop", Queues::Drop)])?;
                fields.end()?;
                let restarted = self.brokers.restart(0, ending, queues.unwrap_or(Queues::Keep));
                self.is_up = restarted.is_ok();
                restarted.map_err(|error| error.to_string())?;
            }
            "refuse_connections" => {
                let refuse = fields.flag("refuse")?.unwrap_or(true);
                fields.end()?;
                self.expect_up()?;
                self.broker().refuse_connections(refuse).map_err(|error| error.to_string())?;
            }
            _ => {
                fields.end()?;
                self.expect_up()?;
                match command {
                    "pause" => self.broker().pause(),
                    _ => self.broker().resume(),
                }
            }
        }
        Ok(json!({}))
    }

    /// Lets time pass. The lines behind it wait until it has.
    fn advance(&self, fields: &mut Fields) -> Result<Json, Refusal> {
        let seconds = fields.seconds_of("seconds", MAX_ADVANCE)?;
        fields.end()?;
        if !self.broker().has_manual_clock() {
            return Err("only a manual clock can be advanced: see --manual-clock".into());
        }
        self.broker().advance(seconds);
        Ok(json!({"now": self.broker().now().as_secs_f64()}))
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

    fn take_down(&mut self, ending: Ending) -> Result<(), Refusal> {
        self.is_up = false;
        let held = match ending {
            Ending::Crash => self.brokers.crash(0),
            Ending::Clean => self.brokers.stop(0),
        };
        held.map_err(|error| error.to_string())
    }

    /// Commands for connections, links and credit.
    fn steer(&mut self, command: &str, fields: &mut Fields) -> Result<Json, Refusal> {
        let broker = self.broker();
        Ok(match command {
            "disconnect" => {
                let connection = fields.number::<u32>("connection")?;
                fields.end()?;
                json!({"disconnected": match connection {
                    Some(id) => usize::from(broker.disconnect(id.into())),
                    None => broker.disconnect_all(),
                }})
            }
            "close" => {
                let connection = fields.number::<u32>("connection")?.map(ConnectionId::from);
                let (condition, description) = read_reason(fields, "amqp:connection:forced")?;
                fields.end()?;
                let ids = broker.connections().into_iter().map(|known| known.id);
                let chosen = ids.filter(|id| connection.is_none_or(|connection| connection == *id));
                json!({"closed": chosen.filter(|id| broker.close(*id, &condition, &description)).count()})
            }
            "detach" => {
                let chosen = read_links(fields)?;
                let (condition, description) = read_reason(fields, "amqp:link:detach-forced")?;
                fields.end()?;
                let links = broker.links().into_iter().filter(chosen);
                json!({"detached": links.filter(|link| broker.detach(link, &condition, &description)).count()})
            }
            _ => {
                let address = fields.text_of("address")?;
                match command {
                    "grant" => {
                        let messages = fields.number_of("messages")?;
                        fields.end()?;
                        broker.grant(&address, messages);
                    }
                    "withhold" => {
                        fields.end()?;
                        broker.withhold(&address);
                    }
                    _ => {
                        fields.end()?;
                        broker.restore(&address);
                    }
                }
                json!({})
            }
        })
    }

    fn rule(&mut self, command: &str, fields: &mut Fields) -> Result<Json, Refusal> {
        let handle = self.broker();
        match command {
            "on_message" => self.rules.on_message(handle, fields)?,
            "on_attach" => self.rules.on_attach(handle, fields)?,
            "on_connect" => self.rules.on_connect(handle, fields)?,
            _ => {
                fields.end()?;
                self.rules.clear(handle);
            }
        }
        Ok(json!({}))
    }
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
