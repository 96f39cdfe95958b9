//! The command `wait`: its conditions, and for how long.

use std::time::Duration;

use fakebroker::{Counts, Handle, Stage};
use serde_json::{Value as Json, json};

use super::fields::{Fields, Refusal};
use super::messages::{self, Detail};
use super::pictures;

/// The timeout of a `wait` that names none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest timeout that is taken.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// A `wait` command, read.
pub(super) struct Wait {
    pub(super) timeout: Duration,
    what: What,
    /// The condition in words.
    text: String,
}

enum What {
    Counts { at_least: Vec<(String, u64)>, equal: Vec<(String, u64)> },
    Receivers { address: String, count: usize },
    Messages { address: String, count: u64, stage: Stage, detail: Detail },
    Published { exchange: String, count: u64, typed: bool },
    Connections(usize),
    Settled,
}

#[derive(Clone, Copy)]
enum Word {
    Counts,
    Receivers,
    Messages,
    Published,
    Connections,
    Settled,
}

impl Wait {
    pub(super) fn read(fields: &mut Fields) -> Result<Wait, Refusal> {
        let words = [
            ("counts", Word::Counts),
            ("receivers", Word::Receivers),
            ("messages", Word::Messages),
            ("published", Word::Published),
            ("connections", Word::Connections),
            ("settled", Word::Settled),
        ];
        let (what, text) = match fields.choice_of("for", &words)? {
            Word::Counts => read_counts(fields)?,
            Word::Receivers => {
                let (address, count) = (fields.text_of("address")?, fields.number("count")?.unwrap_or(1));
                let text = format!("{} to receive from {address:?}", counted(count as u64, "link"));
                (What::Receivers { address, count }, text)
            }
            Word::Messages => {
                let (address, count) = (fields.text_of("address")?, fields.number("count")?.unwrap_or(1));
                let stages = [
                    ("arrived", (Stage::Arrived, "to arrive for")),
                    ("delivered", (Stage::Delivered, "to be delivered from")),
                    ("settled", (Stage::Settled, "to be settled by receivers at")),
                ];
                let (stage, verb) = fields.choice("stage", &stages)?.unwrap_or(stages[0].1);
                let text = format!("{} {verb} {address:?}", counted(count, "message"));
                (What::Messages { address, count, stage, detail: Detail::read(fields)? }, text)
            }
            Word::Published => {
                let (exchange, count) = (fields.text_of("exchange")?, fields.number("count")?.unwrap_or(1));
                let text = format!("{} to be published to exchange {exchange:?}", counted(count, "message"));
                (What::Published { exchange, count, typed: fields.flag("typed")?.unwrap_or_default() }, text)
            }
            Word::Connections => {
                let count = fields.number_of("count")?;
                (What::Connections(count), format!("{} to be open", counted(count as u64, "connection")))
            }
            Word::Settled => (What::Settled, "all deliveries to be settled".to_owned()),
        };
        let timeout = fields.seconds("timeout", MAX_TIMEOUT)?.unwrap_or(DEFAULT_TIMEOUT);
        Ok(Wait { timeout, what, text })
    }

    /// Blocks until the condition holds, at most for `timeout`; the error then says what happened instead.
    pub(super) fn until(&self, handle: &Handle, timeout: Duration) -> Result<Json, Refusal> {
        let waited = match &self.what {
            What::Counts { at_least, equal } => {
                let holds = |counts: &Counts| {
                    let count =
                        |name: &str| counts.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| count);
                    at_least.iter().all(|(name, number)| count(name) >= *number)
                        && equal.iter().all(|(name, number)| count(name) == *number)
                };
                handle.wait_for(timeout, holds).map(|counts| json!({"counts": pictures::counts(&counts)}))
            }
            What::Receivers { address, count } => {
                handle.wait_for_receivers(timeout, address, *count).map(|()| json!({}))
            }
            What::Messages { address, count, stage, detail } => {
                let records = handle.wait_for_stage(timeout, address, *count, *stage);
                records.map(|records| json!({"messages": messages::all(&records, *detail)}))
            }
            What::Published { exchange, count, typed } => {
                let publishes = handle.wait_for_published(timeout, exchange, *count);
                publishes.map(|publishes| json!({"published": messages::published(&publishes, *typed)}))
            }
            What::Connections(count) => {
                let connections = handle.wait_for_connections(timeout, *count);
                connections.map(|connections| json!({"connections": pictures::connections(&connections)}))
            }
            What::Settled => handle.wait_for_settled(timeout).map(|()| json!({})),
        };
        waited.map_err(|error| {
            // The library names the caller's line, here this file's; the command's words replace it.
            let what = format!("waited {:?} in vain for {}", self.timeout, self.text);
            error.to_string().replacen(&error.what, &what, 1)
        })
    }
}

fn read_counts(fields: &mut Fields) -> Result<(What, String), Refusal> {
    let (at_least, equal) = (numbers(fields, "at_least")?, numbers(fields, "equal")?);
    if at_least.is_empty() && equal.is_empty() {
        return Err("\"at_least\" or \"equal\" is missing: an object of counters is expected".into());
    }
    let say = |verb: &str, numbers: &[(String, u64)]| -> Vec<String> {
        numbers.iter().map(|(name, number)| format!("{name} {verb} {number}")).collect()
    };
    let text = [say("to be at least", &at_least), say("to be", &equal)].concat().join(", ");
    Ok((What::Counts { at_least, equal }, text))
}

/// Reads an object of counters and numbers.
fn numbers(fields: &mut Fields, name: &str) -> Result<Vec<(String, u64)>, Refusal> {
    let Some(mut inner) = fields.inner(name)? else { return Ok(Vec::new()) };
    let mut numbers = Vec::new();
    for (counter, _) in Counts::default().iter() {
        numbers.extend(inner.number(counter)?.map(|number| (counter.to_owned(), number)));
    }
    inner.end()?;
    Ok(numbers)
}

/// Writes `1 message`, `2 messages`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
