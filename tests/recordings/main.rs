//! Sessions of real clients, recorded with other brokers, are replayed to this one: it finds no error where the real session
//! had none, and what it says amounts to the same.
//!
//! The recordings are the `.txt` files beside this one: `1 connects`, then the chunks in the order they were seen, `1 >` from
//! the client of connection 1 and `1 <` to it, in hexadecimal; `5a*12000` is 12000 times that byte, `end` the end of the stream.
//! Chunks are what was read from a socket at a time, not frames.
//!
//! What a client says refers to what its broker said before: dispositions to deliveries, a flow's next-incoming-id to the
//! transfers so far. So a chunk is sent when this broker has said as much as the recorded one had by then ([`Tally`]). The one
//! thing that is changed is an address that the recorded broker made for a dynamic terminus: it becomes the one that this
//! broker made, of the same length.
#![allow(clippy::panic, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod script;
mod tally;

use std::collections::BTreeMap;
use std::time::Instant;

use fakebroker::{Broker, Builder, Distribution, Unroutable};

use script::{Said, Step, dynamic_addresses};
use support::*;
use tally::Tally;

/// The segments in which the client's bytes are sent.
#[derive(Clone, Copy, PartialEq)]
enum Pace {
    AsRecorded,
    ByteByByte,
}

/// One connection of the session, as recorded so far and as replayed so far.
struct Line {
    peer: Peer,
    recorded: Tally,
    replayed: Tally,
    ended: bool,
}

struct Replay {
    broker: Broker,
    /// Whether deliveries from queues that are released or modified are delivered again, which the recorded brokers did not do.
    gives_again: bool,
    lines: BTreeMap<u32, Line>,
    /// Recorded address of a dynamic terminus -> name of its link.
    dynamic: BTreeMap<String, String>,
    pace: Pace,
}

impl Replay {
    fn step(&mut self, step: Step) {
        match step {
            Step::Connects(connection) => {
                let peer = Peer::connect(&self.broker);
                let line = Line { peer, recorded: Tally::default(), replayed: Tally::default(), ended: false };
                assert!(self.lines.insert(connection, line).is_none(), "connection {connection} connects twice");
            }
            Step::ToBroker(connection, Said::Bytes(bytes)) => {
                let bytes = self.with_our_addresses(bytes);
                let pace = self.pace;
                let line = self.lines.get_mut(&connection).unwrap();
                line.catch_up();
                line.recorded.client_says(&bytes, self.gives_again);
                match pace {
                    Pace::AsRecorded => line.peer.send(bytes),
                    Pace::ByteByByte => line.peer.send_byte_by_byte(bytes),
                }
            }
            Step::ToBroker(connection, Said::End) => {
                let line = self.lines.get_mut(&connection).unwrap();
                line.catch_up();
                line.peer.hang_up();
            }
            Step::ToClient(connection, Said::Bytes(bytes)) => {
                self.lines.get_mut(&connection).unwrap().recorded.broker_says(&bytes);
            }
            Step::ToClient(connection, Said::End) => self.lines.get_mut(&connection).unwrap().expect_end(),
        }
    }

    /// Puts the address that this broker gave a link in the place of the recorded one.
    fn with_our_addresses(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        for (recorded, link) in &self.dynamic {
            let Some(ours) = self.lines.values().find_map(|line| line.replayed.source_of(link)) else { continue };
            assert_eq!(ours.len(), recorded.len(), "the length of {ours}, for {recorded}");
            while let Some(at) = bytes.windows(recorded.len()).position(|window| window == recorded.as_bytes()) {
                bytes[at..at + ours.len()].copy_from_slice(ours.as_bytes());
            }
        }
        bytes
    }
}

impl Line {
    /// Waits until this broker has said as much as the recorded one.
    fn catch_up(&mut self) {
        let deadline = Instant::now() + patience();
        while let Some(missing) = self.recorded.missing_in(&self.replayed) {
            match self.peer.hear_until(deadline) {
                None => self.peer.fail(&format!("the recorded broker had said {missing} by now")),
                Some(Heard::Eof) => self.peer.fail(&format!("the stream ended where {missing} was recorded")),
                Some(heard) => self.replayed.hear(&self.peer, &heard),
            }
        }
    }

    fn expect_end(&mut self) {
        self.catch_up();
        let deadline = Instant::now() + patience();
        loop {
            match self.peer.hear_until(deadline) {
                None => self.peer.fail("the recorded stream ended here"),
                Some(Heard::Eof) => break,
                Some(heard) => self.replayed.hear(&self.peer, &heard),
            }
        }
        self.ended = true;
    }
}

/// Replays a recording at one pace, and compares.
fn replay(recording: &str, builder: Builder, gives_again: bool, pace: Pace) {
    let steps = script::read(recording);
    let dynamic = dynamic_addresses(&steps);
    let mut builder = builder;
    for address in dynamic.keys() {
        // Ours are PREFIX.xxxxxxxx.N.
        builder = builder.generated_prefix("g".repeat(address.len() - ".xxxxxxxx.N".len()));
    }
    let broker = builder.start().unwrap();
    let mut replay = Replay { broker, gives_again, lines: BTreeMap::new(), dynamic, pace };
    for step in steps {
        replay.step(step);
    }
    let mut unroutable = 0;
    for (connection, line) in &replay.lines {
        assert!(line.ended, "connection {connection} of the recording has no end");
        line.recorded.assert_same(&line.replayed, *connection);
        unroutable += line.recorded.refused();
    }
    let counts = replay.broker.counts();
    assert_eq!(counts.dropped, unroutable, "{counts:?}");
}

/// A test for each recording, at both paces. `like` configures the broker as the recorded one behaved.
macro_rules! recordings {
    ($($name:ident: $like:expr, gives_again: $gives_again:expr;)*) => {$(
        mod $name {
            use super::*;

            const RECORDING: &str = include_str!(concat!(stringify!($name), ".txt"));

            #[test]
            fn as_recorded() {
                replay(RECORDING, $like, $gives_again, Pace::AsRecorded);
            }

            #[test]
            fn byte_by_byte() {
                replay(RECORDING, $like, $gives_again, Pace::ByteByByte);
            }
        }
    )*

        /// A recording that no test replays would go unnoticed.
        #[test]
        fn every_recording_is_replayed() {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
            let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut found: Vec<String> =
                names.filter_map(|name| name.strip_suffix(".txt").map(str::to_owned)).collect();
            found.sort();
            let mut replayed = vec![$(stringify!($name)),*];
            replayed.sort();
            assert_eq!(found, replayed);
        }
    };
}

fn oslo() -> Builder {
    Broker::builder()
}

/// Proton's example broker keeps messages at every address until somebody wants them.
fn stores() -> Builder {
    Broker::builder().default_distribution(Distribution::Queue)
}

recordings! {
    oslo_messaging_patterns: oslo(), gives_again: false;
    // The recorded broker sent as unsettled what had come settled; the client's dispositions of it are of no delivery here.
    oslo_messaging_patterns_unsettled: oslo(), gives_again: false;
    oslo_notification: oslo(), gives_again: false;
    oslo_notification_modified: oslo().unroutable(Unroutable::Modified), gives_again: false;
    oslo_notification_released: oslo().unroutable(Unroutable::Released), gives_again: false;
    oslo_auth_plain_ok: oslo().user("joe", "secret"), gives_again: false;
    // Ends with outcome code 1, as recorded.
    oslo_auth_plain_fail: oslo().user("joe", "secret"), gives_again: false;
    // The client asks for a heartbeat every half second.
    oslo_heartbeat_vhost: oslo(), gives_again: false;
    oslo_send_timeout: oslo(), gives_again: false;
    // Both receive what they send while they send it and give some of it back, which proton's example broker forgets. So does
    // a direct address; a queue would deliver it again, and count the deliveries otherwise from then on.
    proton_blocking: Broker::builder(), gives_again: false;
    rhea: Broker::builder(), gives_again: false;
    // Here the receiver comes when all is sent. What it releases and modifies, at its end, comes once more.
    azure_pyamqp: stores(), gives_again: true;
    uamqp: stores(), gives_again: true;
}
