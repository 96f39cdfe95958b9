//! Sessions of real clients, recorded with RabbitMQ, are replayed to this broker: frame by frame it says the same.
//!
//! The recordings are the `.txt` files in `recordings/`: `1 connects`, then the chunks in the order they were seen, `1 >` from
//! the client of connection 1 and `1 <` to it, in hexadecimal; `end` is the end of the stream; an indented line goes on with
//! the one before. What is sent waits for what had been said by then. Free to differ are the server's properties and the
//! words of an error.

use std::collections::BTreeMap;
use std::time::Duration;

use fakebroker::Broker;

use crate::support091::*;

/// Joins lines that go on.
fn lines(recording: &str) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for line in recording.lines().filter(|line| !line.starts_with('#')) {
        match joined.last_mut() {
            Some(last) if line.starts_with(' ') => last.push_str(line.trim()),
            _ => joined.push(line.to_owned()),
        }
    }
    joined
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Returns the parts of a frame that have to be equal.
fn essence(heard: Heard091) -> String {
    match heard {
        Heard091::Method { channel, id: START, arguments } => {
            let mut start = Args::new(arguments);
            let version = (start.octet(), start.octet());
            start.longstr();
            let mut mechanisms: Vec<String> =
                String::from_utf8(start.longstr()).unwrap().split(' ').map(str::to_owned).collect();
            mechanisms.sort();
            format!("{channel} start {version:?} {mechanisms:?}")
        }
        Heard091::Method { channel, id: id @ (CLOSE | CLOSE_0_8 | CHANNEL_CLOSE), arguments } => {
            let mut close = Args::new(arguments);
            let code = close.short();
            close.shortstr();
            format!("{channel} {id:?} {code} {:?}", close.rest())
        }
        other => format!("{other:?}"),
    }
}

struct Line {
    peer: Peer091,
    /// Of what the recorded broker said, what is no whole frame yet.
    recorded: Vec<u8>,
}

fn replay(recording: &str, byte_by_byte: bool) {
    let broker = Broker::builder()
        // The recorded RabbitMQ has this one user.
        .user("guest", "guest")
        .max_frame_size(131_072)
        .channel_max(2047)
        .idle_timeout(Duration::from_secs(60))
        .start()
        .unwrap();
    let mut all: BTreeMap<String, Line> = BTreeMap::new();
    for line in lines(recording) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = words[0].to_owned();
        if words[1] == "connects" {
            let mut peer = Peer091::connect(&broker);
            peer.frame_max = 131_072;
            assert!(all.insert(number, Line { peer, recorded: Vec::new() }).is_none());
            continue;
        }
        let Line { peer, recorded } = all.get_mut(&number).unwrap();
        match (words[1], words[2]) {
            (">", "end") => peer.hang_up(),
            (">", hex) if byte_by_byte => peer.send_byte_by_byte(bytes(hex)),
            (">", hex) => peer.send(bytes(hex)),
            ("<", "end") => {
                assert!(recorded.is_empty(), "the recording ends in a frame");
                peer.expect_eof();
            }
            ("<", hex) => {
                recorded.extend(bytes(hex));
                while let Some((heard, used)) = parse(recorded).unwrap() {
                    recorded.drain(..used);
                    assert_eq!(essence(peer.hear()), essence(heard), "connection {number}");
                }
            }
            other => panic!("a line of a recording: {other:?}"),
        }
    }
    crate::support::until(&broker, "all are gone", |counts| counts.connections == 0);
}

/// A test for each recording, at both paces.
macro_rules! recordings {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            const RECORDING: &str = include_str!(concat!("recordings/", stringify!($name), ".txt"));

            #[test]
            fn as_recorded() {
                super::replay(RECORDING, false);
            }

            #[test]
            fn byte_by_byte() {
                super::replay(RECORDING, true);
            }
        }
    )*

        /// A recording that no test replays would go unnoticed.
        #[test]
        fn every_recording_is_replayed() {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/amqp091/recordings");
            let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut found: Vec<String> =
                names.filter_map(|name| name.strip_suffix(".txt").map(str::to_owned)).collect();
            found.sort();
            assert_eq!(found, [$(stringify!($name)),*]);
        }
    };
}

recordings! {
    pika_0_9_1,
    pika_0_9_1_channel_error,
    txamqp_0_8,
    txamqp_0_8_more,
}
