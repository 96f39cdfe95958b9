//! A connection that floods the broker does not keep another one waiting for longer than a turn, in bytes. No
//! clock: the broker is stopped while both write, and one receiver sees in which order it then took them up.

use std::io::Write;
use std::process;
use std::time::Instant;

use socket2::SockRef;

use crate::command::Command;
use crate::support::{Peer, message, patience, transfer};

/// What README says: bytes that are read in one turn.
const TURN_BYTES: usize = 256 * 1024;

/// Frames of about a kilobyte, fewer than a session's window takes.
const FLOOD: u32 = 1000;

fn signal(name: &str, broker: &Command) {
    let status = process::Command::new("kill").args([name, &broker.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Stops the broker; a signal is only under way when `kill` returns.
fn stop(broker: &Command) {
    signal("-STOP", broker);
    let deadline = Instant::now() + patience();
    while !all_threads_stopped(broker) {
        assert!(Instant::now() < deadline, "the broker does not stop");
        std::thread::yield_now();
    }
}

fn all_threads_stopped(broker: &Command) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", broker.id())).unwrap();
    tasks.flatten().all(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap();
        // The state follows the name, which is in brackets.
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    })
}

#[test]
fn a_flood_keeps_nobody_waiting_beyond_its_turn() {
    let broker = Command::start(&["--credit-window", "1000000"]);
    let mut receiver = Peer::opened(&broker);
    receiver.attach_receiver("flood", 0, "flood", 1_000_000);
    receiver.attach_receiver("ping", 1, "ping", 1_000_000);
    let mut flood = Peer::opened(&broker);
    flood.attach_sender("flood", 0, "flood");
    SockRef::from(flood.stream()).set_send_buffer_size(4 * 1024 * 1024).unwrap();
    let mut ping = Peer::opened(&broker);
    ping.attach_sender("ping", 0, "ping");
    let flood_handle = 0;

    let mut id = 0;
    for _ in 0..20 {
        let mut bytes = Vec::new();
        for _ in 0..FLOOD {
            let frame = transfer(0, id).with("settled", true).with_payload(message(&"x".repeat(1000)));
            bytes.extend(frame.bytes());
            id += 1;
        }
        let frame = bytes.len() / FLOOD as usize;

        stop(&broker);
        let waiting = flood.send_what_fits(&bytes);
        assert!(waiting > 3 * TURN_BYTES, "only {waiting} bytes fit the socket: no flood");
        ping.send_message(0, "ping");
        signal("-CONT", &broker);
        flood.stream().write_all(&bytes[waiting..]).unwrap();

        let mut before = 0;
        let mut after = 0;
        let mut seen = false;
        while !seen || before + after < FLOOD {
            let transfer = receiver.expect_transfer();
            match (transfer.number("handle") == flood_handle, seen) {
                (true, false) => before += 1,
                (true, true) => after += 1,
                (false, _) => seen = true,
            }
        }
        let kept_waiting = before as usize * frame;
        // The rest of a turn that was under way. In the next the ping is first.
        assert!(kept_waiting <= TURN_BYTES, "the ping came after {kept_waiting} bytes of the flood");
    }
}
