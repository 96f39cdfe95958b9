//! `fakebroker receive`: messages to standard output, a line each.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use fakebroker::connector::{Channel, Delivery, Receiver, Source};
use fakebroker::{Body, Message, Value};
use serde_json::{Map, json};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::client::{Failure, Peer, Progress, seconds};

/// How soon a signal is seen while nothing comes.
const SIGNAL_PATIENCE: Duration = Duration::from_millis(200);

/// Receive messages from an address and print them, a line each.
///
/// Runs until SIGINT or SIGTERM, if neither --count nor --timeout ends it. A message is accepted when it has been printed.
#[derive(Debug, clap::Args)]
pub(super) struct Receive {
    #[command(flatten)]
    peer: Peer,

    /// Where from
    address: String,

    /// This many; to get fewer (see --timeout) is exit code 1
    #[arg(long, short = 'n', value_name = "MESSAGES")]
    count: Option<u64>,

    /// Stop when nothing has come for this long
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,

    /// The body alone, or all of the message as an object of JSON
    #[arg(long, value_enum, default_value = "text")]
    format: Format,

    /// Take copies and leave stored messages where they are
    #[arg(long)]
    browse: bool,

    /// Messages that may be on their way here
    #[arg(long, value_name = "MESSAGES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    credit: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Receive {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // A second one ends it at once.
            signal_hook::flag::register_conditional_default(signal, stop.clone())?;
            signal_hook::flag::register(signal, stop.clone())?;
        }
        let mut channel = self.peer.open()?;
        // No more than are wanted: what is not printed should stay where it is.
        let credit = self.count.map_or(self.credit, |count| u32::try_from(count).unwrap_or(u32::MAX).min(self.credit));
        let source = Source::new(&self.address).credit(credit);
        let receiver = channel.receiver(if self.browse { source.browse() } else { source })?;
        let received = self.print_all(&mut channel, &receiver, &stop)?;
        // What has come and was not printed goes back.
        channel.close_receiver(receiver)?;
        channel.disconnect()?;
        match self.count {
            Some(count) if received < count && !stop.load(Ordering::Relaxed) => {
                Err(Failure(format!("received {received} of {count} messages, and then none in time")))
            }
            _ => Ok(()),
        }
    }

    fn print_all(&self, channel: &mut Channel, receiver: &Receiver, stop: &AtomicBool) -> Result<u64, Failure> {
        let mut progress = Progress::new("received", self.count);
        let mut received = 0;
        while self.count.is_none_or(|count| received < count) {
            let Some(delivery) = self.next(channel, receiver, stop)? else { break };
            self.print(&delivery)?;
            channel.accept(&delivery)?;
            received += 1;
            progress.one_more();
        }
        Ok(received)
    }

    /// None when time is up or a signal has come.
    fn next(&self, channel: &mut Channel, receiver: &Receiver, stop: &AtomicBool) -> Result<Option<Delivery>, Failure> {
        let began = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let left = self.timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
            if let Some(delivery) =
                channel.receive(receiver, left.map_or(SIGNAL_PATIENCE, |left| left.min(SIGNAL_PATIENCE)))?
            {
                return Ok(Some(delivery));
            }
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
        }
        Ok(None)
    }

    fn print(&self, message: &Message) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match (self.format, message.as_text()) {
            (Format::Text, Some(text)) => writeln!(out, "{text}")?,
            (Format::Text, None) => writeln!(out, "{}", message.body)?,
            (Format::Json, _) => writeln!(out, "{}", json_of(message))?,
        }
        out.flush()?;
        Ok(())
    }
}

/// The message as an object: the body, and whatever else says something, by the specification's names.
fn json_of(message: &Message) -> serde_json::Value {
    let mut object = Map::new();
    let body = match &message.body {
        Body::Empty => serde_json::Value::Null,
        Body::Value(value) => plain(value),
        Body::Sequence(sections) => sections.iter().flatten().map(plain).collect(),
        Body::Data(_) => match (message.as_text(), message.as_data()) {
            (Some(text), _) => text.into(),
            (None, data) => json!({"hex": hex(&data.unwrap_or_default())}),
        },
    };
    object.insert("body".into(), body);
    let header = &message.header;
    let mut say = |name: &str, value: serde_json::Value| {
        if !value.is_null() {
            object.insert(name.into(), value);
        }
    };
    say("durable", header.durable.then_some(true).into());
    say("priority", header.priority.into());
    say("ttl", header.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)).into());
    say("delivery-count", Some(header.delivery_count).filter(|count| *count > 0).into());
    let properties = &message.properties;
    say("message-id", properties.message_id.as_ref().map(plain).into());
    say("user-id", properties.user_id.as_deref().map(|id| String::from_utf8_lossy(id).into_owned()).into());
    say("to", properties.to.clone().into());
    say("subject", properties.subject.clone().into());
    say("reply-to", properties.reply_to.clone().into());
    say("correlation-id", properties.correlation_id.as_ref().map(plain).into());
    say("content-type", properties.content_type.clone().into());
    say("content-encoding", properties.content_encoding.clone().into());
    say("absolute-expiry-time", properties.absolute_expiry_time.into());
    say("creation-time", properties.creation_time.into());
    say("group-id", properties.group_id.clone().into());
    say("group-sequence", properties.group_sequence.into());
    say("reply-to-group-id", properties.reply_to_group_id.clone().into());
    let application: Map<String, serde_json::Value> =
        message.application_properties.iter().map(|(key, value)| (key.clone(), plain(value))).collect();
    say("application-properties", Some(application).filter(|map| !map.is_empty()).into());
    let annotations = Some(&message.message_annotations).filter(|map| !map.is_empty());
    say("message-annotations", annotations.map(|map| entries(map)).into());
    serde_json::Value::Object(object)
}

/// A value as JSON has it; what JSON has nothing for becomes text.
fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Float(number) => f64::from(*number).into(),
        Value::Double(number) => (*number).into(),
        Value::Char(character) => character.to_string().into(),
        Value::String(text) | Value::Symbol(text) => text.as_str().into(),
        Value::Timestamp(time) => (*time).into(),
        Value::Binary(bytes) => std::str::from_utf8(bytes).map_or_else(|_| json!({"hex": hex(bytes)}), Into::into),
        Value::List(values) | Value::Array(values) => values.iter().map(plain).collect(),
        Value::Map(map) => entries(map),
        other => match (other.as_i64(), other.as_u64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => other.to_string().into(),
        },
    }
}

fn entries(map: &[(Value, Value)]) -> serde_json::Value {
    let key = |key: &Value| key.as_str().map_or_else(|| key.to_string(), str::to_owned);
    serde_json::Value::Object(map.iter().map(|(name, value)| (key(name), plain(value))).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
