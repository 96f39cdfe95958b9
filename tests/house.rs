//! How the library is built, checked against its `use` lines: who may know whom, no circles of files, no file that is too long.
//! `docs/how-it-is-built.md` says the same in words. Whoever changes this table changes it there too.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A room (a folder of `src/`, or a file there), and the rooms that its files may name.
const MAY_KNOW: &[(&str, &[&str])] = &[
    // What a test holds.
    (
        "broker",
        &[
            "address",
            "amqp10",
            "clock",
            "config",
            "content",
            "counts",
            "event",
            "event_loop",
            "hooks",
            "live",
            "message",
            "protocol",
            "recorder",
            "snapshot",
            "topology",
        ],
    ),
    (
        "connector",
        &["amqp10", "config", "content", "event", "ledger", "live", "message", "outbox", "protocol", "value"],
    ),
    // The only one with sockets and a clock.
    (
        "event_loop",
        &[
            "address",
            "amqp10",
            "arguments",
            "budget",
            "clock",
            "config",
            "counts",
            "event",
            "hooks",
            "live",
            "message",
            "outbox",
            "protocol",
            "recorder",
            "router",
            "snapshot",
            "tap",
            "timers",
            "topology",
            "transport",
            "unmet",
        ],
    ),
    ("hooks", &["clock", "event", "protocol", "snapshot"]),
    // What needs both engines.
    (
        "protocol",
        &[
            "amqp091", "amqp10", "budget", "config", "content", "event", "message", "outbox", "recorder", "tap",
            "unmet", "value",
        ],
    ),
    // The engines and the router: neither each other, nor who records, nor a socket, nor a clock.
    (
        "amqp10",
        &[
            "arguments",
            "budget",
            "config",
            "content",
            "deaths",
            "event",
            "ledger",
            "live",
            "message",
            "outbox",
            "tap",
            "unmet",
            "users",
            "value",
        ],
    ),
    (
        "amqp091",
        &[
            "arguments",
            "budget",
            "config",
            "deaths",
            "event",
            "ledger",
            "live",
            "message",
            "outbox",
            "tap",
            "unmet",
            "users",
            "value",
        ],
    ),
    (
        "router",
        &[
            "arguments",
            "budget",
            "config",
            "counts",
            "deaths",
            "event",
            "hooks",
            "ledger",
            "live",
            "message",
            "pattern",
            "snapshot",
            "timers",
            "topology",
            "value",
        ],
    ),
    ("recorder", &["event", "live", "message", "tap"]),
    // Data and tools.
    ("config", &["recorder", "topology", "users"]),
    ("topology", &["event", "value"]),
    ("snapshot", &["config", "event", "unmet"]),
    ("event", &["arguments", "message"]),
    ("tap", &["outbox"]),
    ("transport", &["outbox"]),
    ("arguments", &["value"]),
    ("content", &["value"]),
    ("message", &["deaths", "value"]),
    ("address", &[]),
    ("budget", &[]),
    ("clock", &[]),
    ("counts", &[]),
    ("deaths", &[]),
    ("ledger", &[]),
    ("live", &[]),
    ("outbox", &[]),
    ("pattern", &[]),
    ("timers", &[]),
    ("unmet", &[]),
    ("users", &[]),
    ("value", &[]),
];

/// Lines that a file may have.
const LONGEST: usize = 650;

/// Only compiled for tests or for the fuzz targets, which may know everybody.
fn is_for_tests(module: &[String]) -> bool {
    let first = module.first().is_some_and(|room| room == "fuzzing" || room == "recordings");
    first || module.iter().any(|name| ["tests", "dialogue", "fuzzed"].contains(&name.as_str()))
}

fn rust_files(under: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(under).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The files of a crate, by the path of their module, with their text but for comments and tests.
fn modules(src: &str) -> BTreeMap<Vec<String>, String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join(src);
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let module = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let mut path: Vec<String> = file
            .strip_prefix(&src)
            .unwrap()
            .with_extension("")
            .iter()
            .map(|name| name.to_str().unwrap().to_owned())
            .collect();
        path.pop_if(|name| ["mod", "lib", "main"].contains(&name.as_str()));
        let code = code.collect::<Vec<_>>().join("\n");
        // Tests at the end of a file may know everybody.
        let end = code.find("#[cfg(test)]\nmod tests {").unwrap_or(code.len());
        (path, code[..end].to_owned())
    };
    files.into_iter().map(module).collect()
}

/// The paths that begin with `crate::` or `super::` in a file, from the crate's root.
fn paths(module: &[String], code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (start, word) in ["crate::", "super::"].iter().flat_map(|word| code.match_indices(word)) {
        let before = code[..start].chars().next_back();
        // The second of two of them, or the end of another word.
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let mut base = if word == "crate::" { Vec::new() } else { module[..module.len().saturating_sub(1)].to_vec() };
        let mut rest = &code[start + word.len()..];
        while let Some(further) = rest.strip_prefix("super::") {
            base.pop();
            rest = further;
        }
        // Of a list in braces each beginning counts.
        let list = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![rest],
        };
        for path in list {
            let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let path = path.trim().split(|c| !is_of_path(c)).next().unwrap_or_default();
            let names = path.split("::").filter(|name| !name.is_empty()).map(str::to_owned);
            found.push(base.iter().cloned().chain(names).collect());
        }
    }
    found
}

#[test]
fn nobody_knows_whom_it_may_not() {
    let modules = modules("src");
    let mut wrong = Vec::new();
    let mut used: BTreeSet<(String, String)> = BTreeSet::new();
    for (module, code) in &modules {
        let Some(room) = module.first().filter(|_| !is_for_tests(module)) else { continue };
        let Some((_, may)) = MAY_KNOW.iter().find(|(name, _)| name == room) else {
            wrong.push(format!("{room} is not in the table"));
            continue;
        };
        for other in paths(module, code).iter().filter_map(|path| path.first()).filter(|other| *other != room) {
            used.insert((room.clone(), other.clone()));
            if !may.contains(&other.as_str()) {
                wrong.push(format!("{}.rs names {other}, which {room} may not know", module.join("/")));
            }
        }
    }
    for (room, may) in MAY_KNOW {
        for other in may.iter().filter(|other| !used.contains(&((*room).into(), (**other).into()))) {
            wrong.push(format!("{room} does not know {other} any more: take it out of the table"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for src in ["src", "cli/src"] {
        let modules = modules(src);
        let mut imports: BTreeMap<&[String], BTreeSet<&[String]>> = BTreeMap::new();
        for (module, code) in &modules {
            for path in paths(module, code) {
                let longest = (1..=path.len()).rev().find_map(|len| modules.get_key_value(&path[..len]));
                let Some((other, _)) = longest else { continue };
                // A folder and what is in it are one to the other.
                if !module.starts_with(other) && !other.starts_with(module) {
                    imports.entry(module).or_default().insert(other);
                }
            }
        }
        // What imports nothing that is left is in no circle.
        while let Some(module) = imports.iter().find(|(_, to)| to.iter().all(|to| !imports.contains_key(to))) {
            let module = *module.0;
            imports.remove(module);
        }
        assert!(imports.is_empty(), "these import each other, or what does: {imports:#?}");
    }
}

#[test]
fn no_file_is_too_long() {
    let mut files = Vec::new();
    for folder in ["src", "cli/src", "tests"] {
        rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let lines = |file: &PathBuf| fs::read_to_string(file).unwrap().lines().count();
    let too_long: Vec<_> = files.iter().filter(|file| lines(file) > LONGEST).collect();
    assert!(too_long.is_empty(), "past {LONGEST} lines: {too_long:#?}");
}
