//! Tests that run each file of each corpus in `fuzz/corpus` through its target, and the conversion of recordings to such files.

use std::path::PathBuf;

use super::{amqp_10, amqp_091, codecs_10, codecs_091, translation};
use crate::tap::FrameReader;
use crate::{amqp10, amqp091, recordings};

fn folder(target: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus")).join(target)
}

fn replay(name: &str, target: fn(&[u8])) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "the corpus of {name} is empty");
    for file in files {
        // The name is shown if the target fails.
        println!("{}", file.display());
        target(&std::fs::read(&file).unwrap());
    }
}

#[test]
fn corpus_of_amqp_10() {
    replay("amqp_10", amqp_10);
}

#[test]
fn corpus_of_amqp_091() {
    replay("amqp_091", amqp_091);
}

#[test]
fn corpus_of_codecs_10() {
    replay("codecs_10", codecs_10);
}

#[test]
fn corpus_of_codecs_091() {
    replay("codecs_091", codecs_091);
}

#[test]
fn corpus_of_translation() {
    replay("translation", translation);
}

/// Writes an input to a file named by a hash of its bytes.
fn put(target: &str, input: &[u8]) {
    let hash = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    std::fs::write(folder(target).join(format!("seed-{hash:016x}")), input).unwrap();
}

/// Returns one piece of a framed input.
fn piece(first: u8, body: &[u8]) -> Vec<u8> {
    match u8::try_from(body.len()) {
        Ok(size) if size < 0xff => [&[first, size], body].concat(),
        _ => [&[first, 0xff][..], &u16::try_from(body.len()).unwrap().to_be_bytes(), body].concat(),
    }
}

/// Returns the headers and frames of a stream.
fn frames<'a>(mut stream: &'a [u8], reader: &FrameReader) -> Vec<&'a [u8]> {
    let mut frames = Vec::new();
    while let Some(extent) = (reader.extent)(stream)
        && let Some((frame, rest)) = stream.split_at_checked(extent).filter(|_| extent > 0)
    {
        frames.push(frame);
        stream = rest;
    }
    frames
}

/// The size from which inputs are left out, since they help a fuzzer little.
const MAX_SEED: usize = 3000;

#[test]
#[ignore = "writes the seeds in fuzz/corpus anew, from the recordings"]
fn seeds_from_recordings() {
    let mut seen = std::collections::BTreeSet::new();
    let mut put_once = |target: &str, kind: Vec<u8>, input: &[u8]| {
        if input.len() < MAX_SEED && seen.insert((target.to_owned(), kind)) {
            put(target, input);
        }
    };
    let sides = |folder: &str| {
        let files = recordings::files_in(folder).into_iter();
        let streams = files.flat_map(|file| recordings::streams(&recordings::read(&file)));
        streams.filter(|((_, from_client), _)| *from_client).map(|(_, stream)| stream).collect::<Vec<_>>()
    };
    for stream in sides("tests/recordings") {
        let mut framed = vec![2];
        for frame in frames(&stream, &amqp10::FRAMES) {
            match *frame {
                [_, _, _, _, 2, 0, _, channel, ref body @ ..] if channel < 4 => {
                    framed.extend(piece(channel, body));
                    put_once("codecs_10", body.iter().take(4).chain([&channel]).copied().collect(), body);
                    put_once("codecs_10", [b"f", body.get(..3).unwrap_or_default()].concat(), frame);
                }
                _ => framed.extend(piece(0x80, frame)),
            }
            let head = (amqp10::FRAMES.head)(frame);
            if let Some(payload) = head.and_then(|head| frame.get(head.payload_at?..)) {
                let kind: Vec<u8> = payload.iter().take(40).copied().collect();
                put_once("codecs_10", kind.clone(), payload);
                put_once("translation", kind, &[&[0], payload].concat());
            }
        }
        put_once("amqp_10", framed.clone(), &framed);
        put_once("amqp_10", stream.clone(), &[&[0, 0], &stream[..]].concat());
    }
    for stream in sides("tests/amqp091/recordings") {
        let mut framed = vec![2];
        for frame in frames(&stream, &amqp091::FRAMES) {
            match *frame {
                [kind, 0, channel, _, _, _, _, ref body @ .., 0xce] if kind < 8 && channel < 4 => {
                    framed.extend(piece(kind << 4 | channel, body));
                    put_once("codecs_091", [&[kind], body.get(..4).unwrap_or_default()].concat(), body);
                    put_once("codecs_091", vec![kind], frame);
                    if let (2, Some(properties)) = (kind, body.get(12..)) {
                        put_once("codecs_091", properties.to_vec(), properties);
                        let size = u8::try_from(properties.len()).unwrap();
                        put_once("translation", properties.to_vec(), &[&[1, size], properties, b"body"].concat());
                    }
                }
                _ => framed.extend(piece(0x80, frame)),
            }
        }
        put_once("amqp_091", framed.clone(), &framed);
        put_once("amqp_091", stream.clone(), &[&[0, 0], &stream[..]].concat());
    }
}
