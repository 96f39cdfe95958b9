//! `--control`: commands as JSON lines on standard input, for tests in any language. Each gets exactly one line back,
//! in order. At the end of the input the broker crashes, so that it does not outlive the test that started it.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | prints the first line, and the answer to each command |
//! | `inbox.rs` | the queue of lines that have been read |
//! | `fields.rs` | the members of a command, and their errors |
//! | `commands.rs` | the commands; `waiting.rs` and `trace.rs` the long ones |
//! | `rules.rs` | rules, which take the place of hooks |
//! | `messages.rs`, `values.rs`, `base64.rs` | messages and AMQP values in JSON |
//! | `topology.rs` | queues, exchanges and bindings in JSON |
//! | `pictures.rs` | connections, links and addresses in JSON |

mod base64;
mod commands;
pub(crate) mod definitions;
mod fields;
mod inbox;
mod messages;
mod pictures;
mod rules;
mod topology;
mod trace;
mod values;
mod waiting;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use fakebroker::{Ending, Group};
use serde_json::{Map, Value as Json, json};

use crate::shutdown::Shutdown;
use commands::{Answered, Control};
pub(crate) use fields::Fields;
use inbox::Inbox;
pub(super) use messages::content;
pub(crate) use topology::read_policy;
pub(crate) use values::read as read_value;

/// Prints the first line, then takes commands in threads of their own. With `hold` the broker does not listen before the command
/// `start`.
pub(super) fn serve(brokers: Arc<Group>, hold: bool, news: Sender<Shutdown>) -> io::Result<()> {
    if !hold {
        brokers.start(0)?;
    }
    print(&event(if hold { "bound" } else { "listening" }, brokers[0].addrs()))?;
    let inbox = Inbox::default();
    let lines = inbox.clone();
    std::thread::Builder::new().name("input".into()).spawn(move || lines.fill())?;
    std::thread::Builder::new().name("control".into()).spawn(move || {
        let control = Control::new(brokers, !hold, inbox.clone());
        let last = obey(control, &inbox).unwrap_or_else(Shutdown::Failed);
        let _ = news.send(last);
    })?;
    Ok(())
}

/// The first line: `url` is the first address; `urls` are all of them, if there are several.
fn event(name: &str, addrs: &[SocketAddr]) -> Json {
    let urls: Vec<String> = addrs.iter().map(|addr| format!("amqp://{addr}")).collect();
    match urls.as_slice() {
        [url] => json!({"event": name, "url": url}),
        urls => json!({"event": name, "url": urls.first(), "urls": urls}),
    }
}

/// Obeys commands until one of them, or the end of the input, ends the program.
fn obey(mut control: Control, inbox: &Inbox) -> io::Result<Shutdown> {
    while let Some(line) = inbox.line()? {
        let answered = command(&line).and_then(|(name, fields)| control.obey(&name, fields));
        match answered {
            Ok(Answered::Said(mut answer)) => {
                answer.insert("ok".into(), true.into());
                print(&Json::Object(answer))?;
            }
            Ok(Answered::Ends(ending)) => {
                print(&json!({"ok": true}))?;
                return Ok(match ending {
                    Ending::Crash => Shutdown::AtOnce,
                    Ending::Clean => Shutdown::Clean,
                });
            }
            Err(reason) => print(&json!({"ok": false, "error": reason}))?,
        }
    }
    Ok(Shutdown::AtOnce)
}

/// Reads a line: the command's name and its other members.
fn command(line: &[u8]) -> Result<(String, Fields), String> {
    let json: Json = serde_json::from_slice(line).map_err(|error| format!("not JSON: {error}"))?;
    let mut members = match json {
        Json::Object(members) => members,
        _ => Map::new(),
    };
    match members.remove("cmd") {
        Some(Json::String(name)) => Ok((name, Fields::new(members))),
        _ => Err("a command is an object with a string \"cmd\"".into()),
    }
}

fn print(line: &Json) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
