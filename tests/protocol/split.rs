//! A stream of bytes means the same however it is cut into segments.

use std::collections::BTreeMap;
use std::io::Write;

use fakebroker::Broker;
use proptest::prelude::*;

use crate::support::*;

/// A whole conversation from the first header to close, in which much is asked.
fn conversation() -> Vec<u8> {
    let parts = message(&"in parts".repeat(20));
    let drain = flow().with("handle", 8u32).with("delivery-count", 0u32).with("link-credit", 10u32).with("drain", true);
    [
        SASL_HEADER.to_vec(),
        sasl_init("ANONYMOUS", b"trace").bytes(),
        AMQP_HEADER.to_vec(),
        open().with("max-frame-size", 4096u32).bytes(),
        begin().bytes(),
        begin().on_channel(7).with("next-outgoing-id", u32::MAX).bytes(),
        attach_sender("queue", 0, "queue.a").bytes(),
        attach_sender("nowhere", 1, "nowhere").bytes(),
        attach_sender("refused", 2, "a").with("target", Value::Null).bytes(),
        EMPTY_FRAME.to_vec(),
        transfer(0, 0).with_payload(message("one")).bytes(),
        transfer(0, 1).with("more", true).with_payload(&parts[..50]).bytes(),
        transfer(1, 2).with_payload(message("lost")).bytes(),
        continuation(0).with("more", true).with_payload(&parts[50..51]).bytes(),
        continuation(0).with_payload(&parts[51..]).bytes(),
        transfer(0, 3).with("settled", true).with_payload(message("three")).bytes(),
        transfer(0, 4).with("more", true).with_payload(&b"never whole"[..]).bytes(),
        continuation(0).with("aborted", true).bytes(),
        // A frame with an extended header.
        frame(3, 0, 0, &[&[0; 4][..], &transfer(0, 5).with_payload(message("five")).body()].concat()),
        attach_receiver("taker", 8, "queue.a").bytes(),
        drain.bytes(),
        disposition(RECEIVER, 0, accepted()).with("last", 1u32).bytes(),
        disposition(RECEIVER, 2, released()).bytes(),
        attach_sender("elsewhere", 0, "nowhere").on_channel(7).bytes(),
        transfer(0, 0).with_payload(message("lost, too")).on_channel(7).bytes(),
        detach(0).bytes(),
        end().on_channel(7).bytes(),
        end().bytes(),
        close().bytes(),
    ]
    .concat()
}

/// The broker's frames without what depends on timing: how often it gave credit and opened windows, and how many outcomes one
/// disposition had. In order within each session, kind and handle.
#[derive(Debug, PartialEq)]
struct Said {
    headers: Vec<[u8; 8]>,
    frames: Vec<(u16, String)>,
    payload: BTreeMap<u64, Vec<u8>>,
    outcomes: BTreeMap<(u16, u32), String>,
    drained: bool,
    counts: Vec<(&'static str, u64)>,
}

#[track_caller]
fn answers(segments: &[&[u8]]) -> Said {
    // A new one each time, so that all that it names and counts is the same.
    let broker = Broker::builder().container_id("broker").start().unwrap();
    let mut peer = Peer::connect(&broker);
    for segment in segments {
        peer.stream().write_all(segment).unwrap();
    }
    let mut said = Said {
        headers: Vec::new(),
        frames: Vec::new(),
        payload: BTreeMap::new(),
        outcomes: BTreeMap::new(),
        drained: false,
        counts: Vec::new(),
    };
    let mut delivery = 0;
    for heard in peer.drain_to_eof() {
        match heard {
            Heard::Header(header) => said.headers.push(header),
            Heard::EmptyFrame | Heard::Eof => {}
            Heard::Frame(frame) => match frame.code() {
                FLOW => said.drained |= frame.flag("drain") && frame.get("link-credit") == Value::Uint(0),
                TRANSFER => {
                    if let Value::Uint(id) = frame.get("delivery-id") {
                        delivery = id.into();
                    }
                    said.payload.entry(delivery).or_default().extend(&frame.payload);
                }
                DISPOSITION => {
                    for id in covered(&frame) {
                        let told = format!("{:?} {:?}", frame.get("settled"), frame.get("state"));
                        let before = said.outcomes.insert((frame.channel, id), told);
                        assert_eq!(before, None, "one outcome for {id}");
                    }
                }
                _ => said.frames.push((frame.channel, format!("{frame:?}"))),
            },
        }
    }
    said.counts = counted(&broker).into_iter().filter(|(name, _)| *name != "connections").collect();
    said
}

#[test]
fn the_whole_conversation_makes_sense() {
    let said = answers(&[&conversation()]);
    assert_eq!(said.headers, [SASL_HEADER, AMQP_HEADER]);
    let texts: Vec<String> = said.payload.values().map(|payload| text(payload)).collect();
    assert_eq!(texts, ["one".to_owned(), "in parts".repeat(20), "three".into(), "five".into()]);
    assert!(said.drained);
    let last = said.frames.last().unwrap();
    assert!(last.1.contains("close") && !last.1.contains("error"), "{last:?}");
    assert_eq!(
        said.counts,
        [("topic", 4), ("queued", 4), ("dropped", 2), ("accepted", 2), ("released", 1)],
        "what was taken, lost and said"
    );
}

#[test]
fn byte_by_byte() {
    let bytes = conversation();
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(answers(&single), answers(&[&bytes]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cut_anywhere(cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..40)) {
        let bytes = conversation();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let segments: Vec<&[u8]> = cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
        prop_assert_eq!(answers(&segments), answers(&[&bytes]));
    }
}
