//! `--control`: JSON lines, for test authors in any language. Each line on standard input is a command and gets exactly one
//! line back; the end of the input stops the broker, so that it never outlives the test that started it.

use std::io::{self, BufRead, Write};
use std::sync::mpsc::Sender;

use fakebroker::{Bound, Broker, Handle};
use serde_json::{Map, Value, json};

use super::Stop;

/// Says where the broker is and takes commands from then on, in a thread of their own. With `hold` returns only when the
/// broker has been started; None if it never was.
pub(super) fn serve(bound: Bound, hold: bool, stops: Sender<Stop>) -> io::Result<Option<Broker>> {
    let broker = if hold {
        print(&json!({"event": "bound", "url": bound.url()}))?;
        let Some(broker) = wait_for_start(bound)? else { return Ok(None) };
        broker
    } else {
        let broker = bound.start()?;
        print(&json!({"event": "listening", "url": broker.url()}))?;
        broker
    };
    let handle = broker.handle();
    std::thread::Builder::new().name("control".into()).spawn(move || {
        let stop = obey(&handle).unwrap_or(Stop::Now);
        let _ = stops.send(stop);
    })?;
    Ok(Some(broker))
}

/// Commands while the address is held. None if the input ended or the command was to stop.
fn wait_for_start(bound: Bound) -> io::Result<Option<Broker>> {
    let handle = bound.handle();
    for line in io::stdin().lock().lines() {
        match command(&line?).as_deref() {
            Ok("start") => {
                let broker = bound.start()?;
                print(&json!({"ok": true, "url": broker.url()}))?;
                return Ok(Some(broker));
            }
            Ok("stop" | "stop_clean") => {
                print(&json!({"ok": true}))?;
                return Ok(None);
            }
            Ok("counts") => print(&counts(&handle))?,
            Ok(unknown) => print(&error(&format!("unknown command {unknown:?} before start")))?,
            Err(reason) => print(&error(reason))?,
        }
    }
    Ok(None)
}

/// Commands while the broker runs, until one of them or the end of the input stops it.
fn obey(handle: &Handle) -> io::Result<Stop> {
    for line in io::stdin().lock().lines() {
        match command(&line?).as_deref() {
            Ok("counts") => print(&counts(handle))?,
            Ok("stop") => {
                print(&json!({"ok": true}))?;
                return Ok(Stop::Now);
            }
            Ok("stop_clean") => {
                print(&json!({"ok": true}))?;
                return Ok(Stop::Clean);
            }
            Ok("start") => print(&error("it has been started"))?,
            Ok(unknown) => print(&error(&format!("unknown command {unknown:?}")))?,
            Err(reason) => print(&error(reason))?,
        }
    }
    Ok(Stop::Now)
}

/// The name of the command that a line holds.
fn command(line: &str) -> Result<String, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))?;
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
