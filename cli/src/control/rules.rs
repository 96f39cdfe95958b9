//! Rules that stand in for hooks: what a test would write as a closure, said in JSON. Of the rules that fit, the oldest
//! decides; where none does, it is as if there were no hook.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fakebroker::{Admission, Broker, Connection, Link, MessageRecord, Verdict, node_at};

use super::fields::{Fields, Refusal};

/// All rules, by what they are for. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Rules(Arc<Mutex<Sets>>);

#[derive(Default)]
struct Sets {
    message: Vec<Rule<Verdict>>,
    attach: Vec<Rule<Admission>>,
    connect: Vec<Rule<Admission>>,
}

struct Rule<V> {
    /// Facts by name, and the pattern that each has to match.
    wanted: Vec<(&'static str, String)>,
    verdict: V,
    /// The number of times that the rule still decides. None: always.
    left: Option<u64>,
}

/// The longest delay of a message.
const MAX_DELAY: Duration = Duration::from_secs(3600);

impl Rules {
    fn sets(&self) -> MutexGuard<'_, Sets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clear(&self, broker: &Broker) {
        broker.clear_hooks();
        *self.sets() = Sets::default();
    }
}

/// A rule that has been read: adds it, and has the broker ask the rules of its kind.
pub(super) type Add = Box<dyn FnOnce(&Rules, &Broker)>;

pub(super) fn read_on_message(fields: &mut Fields) -> Result<Add, Refusal> {
    let rule = Rule::read(fields, &["vhost", "address", "name", "subject", "body"], read_verdict)?;
    Ok(Box::new(move |rules, broker| {
        rules.sets().message.push(rule);
        let rules = rules.clone();
        broker.on_message(move |record| {
            let fact = |name: &str| fact_of_message(record, name);
            decide(&mut rules.sets().message, fact).unwrap_or(Verdict::Forward)
        });
    }))
}

pub(super) fn read_on_attach(fields: &mut Fields) -> Result<Add, Refusal> {
    let rule = Rule::read(fields, &["vhost", "address", "name", "role"], |fields| {
        read_admission(fields, "amqp:unauthorized-access")
    })?;
    Ok(Box::new(move |rules, broker| {
        rules.sets().attach.push(rule);
        let rules = rules.clone();
        broker.on_attach(move |link| {
            let fact = |name: &str| fact_of_link(link, name);
            decide(&mut rules.sets().attach, fact).unwrap_or(Admission::Allow)
        });
    }))
}

pub(super) fn read_on_connect(fields: &mut Fields) -> Result<Add, Refusal> {
    let rule = Rule::read(fields, &["container", "host", "vhost", "user"], |fields| {
        read_admission(fields, "amqp:unauthorized-access")
    })?;
    Ok(Box::new(move |rules, broker| {
        rules.sets().connect.push(rule);
        let rules = rules.clone();
        broker.on_connect(move |connection| {
            let fact = |name: &str| fact_of_connection(connection, name);
            decide(&mut rules.sets().connect, fact).unwrap_or(Admission::Allow)
        });
    }))
}

fn fact_of_message(record: &MessageRecord, name: &str) -> Option<String> {
    match name {
        "vhost" => Some(record.vhost.clone()),
        "address" => Some(record.address.clone()),
        "name" => record.sender.as_ref().map(|sender| sender.link.clone()),
        "subject" => record.properties.subject.clone(),
        "body" => record.as_text().map(str::to_owned),
        _ => None,
    }
}

fn fact_of_link(link: &Link, name: &str) -> Option<String> {
    match name {
        "vhost" => Some(link.vhost.clone()),
        "address" => link.address.clone(),
        "name" => Some(link.name.clone()),
        "role" => Some(link.role.to_string()),
        _ => None,
    }
}

fn fact_of_connection(connection: &Connection, name: &str) -> Option<String> {
    match name {
        "container" => connection.container.clone(),
        "host" => connection.host.clone(),
        "vhost" => connection.vhost.clone(),
        "user" => connection.user.clone(),
        _ => None,
    }
}

impl<V> Rule<V> {
    fn read(
        fields: &mut Fields,
        names: &[&'static str],
        verdict: impl FnOnce(&mut Fields) -> Result<V, Refusal>,
    ) -> Result<Rule<V>, Refusal> {
        let mut wanted = Vec::new();
        for name in names {
            let pattern = fields.text(name)?;
            // What is shown has the node's name, however the client said it.
            let pattern = if *name == "address" { pattern.map(|said| node_at(&said).into_owned()) } else { pattern };
            wanted.extend(pattern.map(|pattern| (*name, pattern)));
        }
        Ok(Rule { wanted, verdict: verdict(fields)?, left: fields.number("times")? })
    }
}

/// Takes the verdict of the first rule that fits, and counts it.
fn decide<V: Clone>(rules: &mut [Rule<V>], fact: impl Fn(&str) -> Option<String>) -> Option<V> {
    let fits = |(name, pattern): &(&str, String)| fact(name).is_some_and(|text| is_match(pattern, &text));
    let rule = rules.iter_mut().find(|rule| rule.left != Some(0) && rule.wanted.iter().all(fits))?;
    rule.left = rule.left.map(|times| times - 1);
    Some(rule.verdict.clone())
}

/// Whether a text matches a pattern, in which `*` stands for any text.
fn is_match(pattern: &str, text: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == text };
    let (middle, end) = rest.rsplit_once('*').map_or(("", rest), |(middle, end)| (middle, end));
    let between = text.strip_prefix(begin).and_then(|text| text.strip_suffix(end));
    // Taking the first place for each piece leaves the most room for the next.
    let mut pieces = middle.split('*');
    between.is_some_and(|between| {
        pieces.try_fold(between, |rest, piece| rest.split_once(piece).map(|(_, rest)| rest)).is_some()
    })
}

#[derive(Clone, Copy)]
enum Word {
    Forward,
    Drop,
    Accept,
    Reject,
    Release,
    Modify,
    Ignore,
    Delay,
}

fn read_verdict(fields: &mut Fields) -> Result<Verdict, Refusal> {
    let words = [
        ("forward", Word::Forward),
        ("drop", Word::Drop),
        ("accept", Word::Accept),
        ("reject", Word::Reject),
        ("release", Word::Release),
        ("modify", Word::Modify),
        ("ignore", Word::Ignore),
        ("delay", Word::Delay),
    ];
    Ok(match fields.choice_of("verdict", &words)? {
        Word::Forward => Verdict::Forward,
        Word::Drop => Verdict::Drop,
        Word::Accept => Verdict::Accept,
        Word::Reject => {
            let (condition, description) = read_reason(fields, "amqp:not-allowed")?;
            Verdict::Reject { condition, description }
        }
        Word::Release => Verdict::Release,
        Word::Modify => Verdict::Modify {
            delivery_failed: fields.flag("delivery_failed")?.unwrap_or(true),
            undeliverable_here: fields.flag("undeliverable_here")?.unwrap_or(false),
        },
        Word::Ignore => Verdict::Ignore,
        Word::Delay => Verdict::Delay(fields.seconds_of("seconds", MAX_DELAY)?),
    })
}

fn read_admission(fields: &mut Fields, condition: &str) -> Result<Admission, Refusal> {
    if fields.choice_of("verdict", &[("allow", true), ("refuse", false)])? {
        return Ok(Admission::Allow);
    }
    let (condition, description) = read_reason(fields, condition)?;
    Ok(Admission::Refuse { condition, description })
}

/// Reads `condition` and `description`: what a client is told.
pub(super) fn read_reason(fields: &mut Fields, condition: &str) -> Result<(String, String), Refusal> {
    let given = fields.read("condition", |json| {
        let text = super::fields::text(json)?;
        if text.is_ascii() { Ok(text) } else { Err(format!("{text:?} is no symbol: it is not ASCII")) }
    })?;
    Ok((given.unwrap_or_else(|| condition.to_owned()), fields.text("description")?.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::is_match;

    #[test]
    fn a_star_stands_for_any_text() {
        let rows = [
            ("queue.a", "queue.a", true),
            ("queue.a", "queue.ab", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("queue.*", "queue.", true),
            ("queue.*", "queue.a.b", true),
            ("queue.*", "a.queue.b", false),
            ("*.a", "queue.a", true),
            ("*.a", "queue.ab", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*poison*", "some poison here", true),
            ("*poison*", "some", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a*b*b*c", "abc", false),
            ("**", "x", true),
            ("ü*", "über", true),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(is_match(pattern, text), expected, "{pattern:?} {text:?}");
        }
    }
}
