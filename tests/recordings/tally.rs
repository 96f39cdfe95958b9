//! Counts of the frames that a broker sent on a connection: they say how far a replay may go on, and whether two brokers sent
//! the same.

use std::collections::BTreeMap;

use crate::script::Frames;
use crate::support::*;

/// Heartbeats that are waited for; each takes half the timeout that the client announced.
const HEARTBEATS: u64 = 2;

/// Counts of what matters to the client. Flows are left out: brokers give credit as they like.
#[derive(Default)]
pub(crate) struct Tally {
    /// Headers, and performatives by their names.
    said: BTreeMap<String, u64>,
    /// Deliveries settled, by the outcome's name.
    outcomes: BTreeMap<String, u64>,
    /// Sources by the link's name.
    sources: BTreeMap<String, String>,
    /// Deliveries that are to come once more.
    again: u64,
    frames: Frames,
    client_frames: Frames,
}

impl Tally {
    /// Returns the first count that `other` has not reached yet.
    pub(crate) fn missing_in(&self, other: &Tally) -> Option<String> {
        let said = self.said.iter().map(|(name, count)| (name, self.wanted(name, *count), other.said.get(name)));
        let outcomes = self.outcomes.iter().map(|(name, count)| (name, *count, other.outcomes.get(name)));
        said.chain(outcomes)
            .find(|(_, wanted, have)| have.copied().unwrap_or(0) < *wanted)
            .map(|(name, wanted, have)| format!("{name} {wanted} times, not {}", have.unwrap_or(&0)))
    }

    fn wanted(&self, name: &str, recorded: u64) -> u64 {
        match name {
            "transfer" => recorded + self.again,
            "empty frame" => recorded.min(HEARTBEATS),
            // Some brokers end the sessions before they answer a close, some do not.
            "end" => 0,
            _ => recorded,
        }
    }

    /// Notes what the recorded broker said.
    pub(crate) fn broker_says(&mut self, bytes: &[u8]) {
        for heard in self.frames.take(bytes) {
            if let Heard::Frame(frame) = &heard {
                assert!(error_of(frame).is_none(), "no recording has an error in it yet: {frame:?}");
            }
            self.count(&heard);
        }
    }

    /// Notes what the client gives back to a queue.
    pub(crate) fn client_says(&mut self, bytes: &[u8], gives_again: bool) {
        for heard in self.client_frames.take(bytes) {
            if let Heard::Frame(frame) = heard
                && gives_again
                && frame.code() == DISPOSITION
                && [RELEASED, MODIFIED].contains(&frame.state())
            {
                self.again += deliveries(&frame);
            }
        }
    }

    /// Notes what this broker said, and fails where it is an error.
    pub(crate) fn hear(&mut self, peer: &Peer, heard: &Heard) {
        if let Heard::Frame(frame) = heard
            && error_of(frame).is_some()
        {
            peer.fail(&format!("an error where the recorded session had none: {frame:?}"));
        }
        self.count(heard);
    }

    fn count(&mut self, heard: &Heard) {
        let name = match heard {
            Heard::Header(header) => format!("the header {}", hex(header)),
            Heard::EmptyFrame => "empty frame".to_owned(),
            Heard::Frame(frame) => match frame.code() {
                FLOW => return,
                DISPOSITION => {
                    *self.outcomes.entry(name_of(frame.state())).or_default() += deliveries(frame);
                    return;
                }
                SASL_OUTCOME => format!("sasl-outcome {}", frame.number("code")),
                ATTACH => {
                    if let Some(address) = frame.address("source") {
                        self.sources.insert(frame.text("name"), address);
                    }
                    frame.name()
                }
                _ => frame.name(),
            },
            Heard::Eof => return,
        };
        *self.said.entry(name).or_default() += 1;
    }

    /// The address of a link's source.
    pub(crate) fn source_of(&self, link: &str) -> Option<&str> {
        self.sources.get(link).map(String::as_str)
    }

    /// Deliveries that got another outcome than accepted.
    pub(crate) fn refused(&self) -> u64 {
        let accepted = self.outcomes.get("accepted").unwrap_or(&0);
        self.outcomes.values().sum::<u64>() - accepted
    }

    /// Fails unless `replayed` says the same as this tally at the end.
    #[track_caller]
    pub(crate) fn assert_same(&self, replayed: &Tally, connection: u32) {
        let comparable = |tally: &Tally, again: u64| {
            let mut said = tally.said.clone();
            said.retain(|name, _| !["end", "empty frame"].contains(&name.as_str()));
            if again > 0 {
                *said.entry("transfer".into()).or_default() += again;
            }
            (said, tally.outcomes.clone())
        };
        let (recorded, replayed) = (comparable(self, self.again), comparable(replayed, 0));
        assert_eq!(recorded, replayed, "recorded (left) and replayed, connection {connection}");
    }
}

/// The condition of a detach, end or close that is about an error.
fn error_of(frame: &Performative) -> Option<String> {
    let condition = [DETACH, END, CLOSE].contains(&frame.code()).then(|| frame.condition())?;
    (!condition.is_empty()).then_some(condition)
}

/// Counts the deliveries of a disposition.
fn deliveries(disposition: &Performative) -> u64 {
    let first = disposition.number("first");
    match disposition.get("last") {
        Value::Uint(last) => u64::from(last) - first + 1,
        _ => 1,
    }
}
