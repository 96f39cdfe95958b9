//! Reads a recording.

use std::collections::BTreeMap;

use crate::support::*;

/// Bytes that one end sent.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Bytes(Vec<u8>),
    End,
}

/// A line of the recording, with the number of its connection.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Connects(u32),
    ToBroker(u32, Said),
    ToClient(u32, Said),
}

pub(crate) fn read(recording: &str) -> Vec<Step> {
    let mut joined: Vec<String> = Vec::new();
    for line in recording.lines().filter(|line| !line.starts_with('#')) {
        match joined.last_mut() {
            // An indented line goes on with the one before.
            Some(last) if line.starts_with(' ') => last.push_str(line),
            _ => joined.push(line.to_owned()),
        }
    }
    joined.iter().map(|line| step(line).unwrap_or_else(|| panic!("a line of a recording: {line}"))).collect()
}

fn step(line: &str) -> Option<Step> {
    let mut words = line.split_whitespace();
    let connection = words.next()?.parse().ok()?;
    let make = match words.next()? {
        "connects" => return Some(Step::Connects(connection)),
        ">" => Step::ToBroker,
        "<" => Step::ToClient,
        _ => return None,
    };
    let words: Vec<&str> = words.collect();
    if words == ["end"] {
        return Some(make(connection, Said::End));
    }
    let parts = words.into_iter().map(bytes).collect::<Option<Vec<_>>>()?;
    Some(make(connection, Said::Bytes(parts.concat())))
}

fn bytes(word: &str) -> Option<Vec<u8>> {
    let (hex, times) = match word.split_once('*') {
        Some((hex, times)) => (hex, times.parse().ok()?),
        None => (word, 1),
    };
    let pairs = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok());
    Some(pairs.collect::<Option<Vec<u8>>>()?.repeat(times))
}

/// Takes whole headers and frames off the front of what one side has said on a connection.
#[derive(Default)]
pub(crate) struct Frames {
    unread: Vec<u8>,
}

impl Frames {
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<Heard> {
        self.unread.extend(bytes);
        let mut taken = Vec::new();
        while let Some((size, heard)) = first(&self.unread) {
            self.unread.drain(..size);
            taken.push(heard);
        }
        taken
    }
}

fn first(bytes: &[u8]) -> Option<(usize, Heard)> {
    let head: [u8; 8] = bytes.get(..8)?.try_into().unwrap();
    if bytes.starts_with(b"AMQP") {
        return Some((8, Heard::Header(head)));
    }
    let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let mut body = bytes.get(head[4] as usize * 4..size)?;
    if body.is_empty() {
        return Some((size, Heard::EmptyFrame));
    }
    let value = decode(&mut body).expect("a recorded frame");
    let composite = Composite::of(&value).expect("a recorded performative");
    let channel = u16::from_be_bytes([head[6], head[7]]);
    Some((size, Heard::Frame(Performative { composite, channel, payload: body.to_vec() })))
}

/// The addresses that the recorded broker made for dynamic sources, with the names of their links.
pub(crate) fn dynamic_addresses(steps: &[Step]) -> BTreeMap<String, String> {
    let mut asked = Vec::new();
    let mut given = BTreeMap::new();
    let (mut to_broker, mut to_client) = (BTreeMap::<u32, Frames>::new(), BTreeMap::<u32, Frames>::new());
    for step in steps {
        match step {
            Step::ToBroker(connection, Said::Bytes(bytes)) => {
                for attach in attaches(to_broker.entry(*connection).or_default().take(bytes)) {
                    let source = attach.inner("source");
                    if source.is_some_and(|source| source.get("dynamic") == Value::Bool(true)) {
                        asked.push(attach.text("name"));
                    }
                }
            }
            Step::ToClient(connection, Said::Bytes(bytes)) => {
                for attach in attaches(to_client.entry(*connection).or_default().take(bytes)) {
                    let name = attach.text("name");
                    if asked.contains(&name) {
                        given.insert(attach.address("source").expect("the address of a dynamic source"), name);
                    }
                }
            }
            _ => {}
        }
    }
    assert_eq!(given.len(), asked.len(), "each dynamic source gets an address");
    given
}

fn attaches(heard: Vec<Heard>) -> Vec<Performative> {
    let attaches = heard.into_iter().filter_map(|heard| match heard {
        Heard::Frame(frame) if frame.code() == ATTACH => Some(frame),
        _ => None,
    });
    attaches.collect()
}
