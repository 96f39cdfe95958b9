//! The trace goes to the `log` crate when somebody listens there, and costs nothing there when nobody does. Alone in its
//! process, since a process has one logger.
#![allow(clippy::panic, clippy::unwrap_used)]

mod support;

use std::sync::Mutex;

use fakebroker::Broker;
use log::{Level, LevelFilter, Log, Metadata, Record};
use support::*;

static LINES: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());

struct Kept;

impl Log for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.target() == "fakebroker::trace" {
            LINES.lock().unwrap().push((record.level(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// Takes the lines since the last call.
fn new_lines() -> Vec<String> {
    let lines = std::mem::take(&mut *LINES.lock().unwrap());
    assert!(lines.iter().all(|(level, _)| *level == Level::Trace));
    lines.into_iter().map(|(_, line)| line).collect()
}

#[test]
fn it_goes_there_at_the_level_of_a_trace_while_somebody_listens() {
    log::set_logger(&Kept).unwrap();
    log::set_max_level(LevelFilter::Debug);
    for remembered in [1000, 0] {
        let broker = Broker::builder().trace_log(remembered).start().unwrap();
        let mut there = Bystander::new(&broker);
        there.undisturbed();
        assert_eq!(new_lines(), Vec::<String>::new());

        log::set_max_level(LevelFilter::Trace);
        there.undisturbed();
        broker.pause();
        let lines = new_lines();
        assert!(lines.iter().any(|line| line.contains("1 -> ch 0 transfer handle=1 ")), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains(" goes to \"in\" of connection 1")), "{lines:#?}");
        let kept: Vec<String> = broker.trace().iter().map(|event| event.to_string()).collect();
        match remembered {
            0 => assert_eq!(kept, Vec::<String>::new()),
            _ => assert_eq!(kept[kept.len() - lines.len()..], lines),
        }
        broker.resume();

        log::set_max_level(LevelFilter::Debug);
        there.undisturbed();
        drop(broker);
        LINES.lock().unwrap().clear();
    }
}
