//! `--control`: JSON lines, for test authors in any language. Each line on standard input is a command and gets exactly one
//! line back; the end of the input stops the broker, so that it never outlives the test that started it.

use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::sync::mpsc::Sender;

use fakebroker::{Bound, Handle};
use serde_json::{Map, Value, json};

use super::News;

/// Says where the broker is and takes commands from then on, in a thread of their own. With `hold` nothing listens before
/// the command to start.
pub(super) fn serve(bound: Bound, hold: bool, news: Sender<News>) -> io::Result<()> {
    let handle = bound.handle();
    let mut held = None;
    if hold {
        print(&event("bound", bound.addrs()))?;
        held = Some(bound);
    } else {
        let broker = bound.start()?;
        print(&event("listening", broker.addrs()))?;
        let _ = news.send(News::Started(broker));
    }
    std::thread::Builder::new().name("control".into()).spawn(move || {
        let last = obey(&handle, held, &news).unwrap_or_else(News::Failed);
        let _ = news.send(last);
    })?;
    Ok(())
}

/// With several addresses all of them, beside the first.
fn event(name: &str, addrs: &[SocketAddr]) -> Value {
    let urls: Vec<String> = addrs.iter().map(|addr| format!("amqp://{addr}")).collect();
    match urls.as_slice() {
        [url] => json!({"event": name, "url": url}),
        urls => json!({"event": name, "url": urls.first(), "urls": urls}),
    }
}

/// Commands, until one of them or the end of the input ends it all.
fn obey(handle: &Handle, mut held: Option<Bound>, news: &Sender<News>) -> io::Result<News> {
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        let answer = match command(&line).as_deref() {
            Ok("counts") => counts(handle),
            Ok("start") => match held.take() {
                Some(bound) => {
                    let broker = bound.start()?;
                    let answer = json!({"ok": true, "url": broker.url()});
                    let _ = news.send(News::Started(broker));
                    answer
                }
                None => error("it has been started"),
            },
            Ok("stop") => {
                print(&json!({"ok": true}))?;
                return Ok(News::Stop);
            }
            Ok("stop_clean") => {
                print(&json!({"ok": true}))?;
                return Ok(News::StopClean);
            }
            Ok(unknown) => error(&format!("unknown command {unknown:?}")),
            Err(reason) => error(reason),
        };
        print(&answer)?;
        line.clear();
    }
    Ok(News::Stop)
}

/// The name of the command that a line holds.
fn command(line: &[u8]) -> Result<String, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("not JSON: {error}"))?;
    match value.get("cmd") {
        Some(Value::String(name)) => Ok(name.clone()),
        _ => Err("a command is an object with a string \"cmd\"".into()),
    }
}

fn counts(handle: &Handle) -> Value {
    let counts: Map<String, Value> = handle.counts().iter().map(|(name, count)| (name.into(), count.into())).collect();
    json!({"ok": true, "counts": counts})
}

fn error(reason: &str) -> Value {
    json!({"ok": false, "error": reason})
}

fn print(line: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
