//! For tests: recorded conversations of real clients and brokers, read from `tests/recordings`.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Bytes that one end of a connection sent.
pub(crate) struct Said {
    pub(crate) connection: u64,
    pub(crate) from_client: bool,
    pub(crate) bytes: Vec<u8>,
}

/// Lists the files of the AMQP 1.0 recordings.
pub(crate) fn files() -> Vec<PathBuf> {
    files_in("tests/recordings")
}

/// Lists the recordings in a folder of the repository.
pub(crate) fn files_in(folder: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "txt")).collect()
}

/// Reads a file. Returns its entries in order.
pub(crate) fn read(file: &PathBuf) -> Vec<Said> {
    let recording = std::fs::read_to_string(file).unwrap();
    let mut joined: Vec<String> = Vec::new();
    for line in recording.lines().filter(|line| !line.starts_with('#')) {
        match joined.last_mut() {
            // An indented line continues the one before.
            Some(last) if line.starts_with(' ') => last.push_str(line),
            _ => joined.push(line.to_owned()),
        }
    }
    joined.iter().filter_map(|line| said(line)).collect()
}

/// Parses the start of an entry. None for other lines.
fn said(line: &str) -> Option<Said> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [connection, direction @ (">" | "<"), hex @ ..] = words.as_slice() else { return None };
    let bytes: Vec<u8> = hex.iter().filter(|word| **word != "end").flat_map(|word| bytes(word)).collect();
    Some(Said { connection: connection.parse().unwrap(), from_client: *direction == ">", bytes })
}

/// Parses a word of bytes. `5a*12000` is 12000 bytes 0x5a.
fn bytes(word: &str) -> Vec<u8> {
    let (digits, times) = word.split_once('*').unwrap_or((word, "1"));
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    let bytes: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    bytes.repeat(times.parse().unwrap())
}

/// Joins the bytes that each end of each connection sent. The key is the connection and whether the client sent them.
pub(crate) fn streams(said: &[Said]) -> BTreeMap<(u64, bool), Vec<u8>> {
    let mut streams: BTreeMap<_, Vec<u8>> = BTreeMap::new();
    for Said { connection, from_client, bytes } in said {
        streams.entry((*connection, *from_client)).or_default().extend(bytes);
    }
    streams
}
