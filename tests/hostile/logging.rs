//! Every fault is logged once, with the peer's address and the reason.

use std::net::SocketAddr;
use std::sync::{Mutex, Once};

use fakebroker::Broker;
use log::{LevelFilter, Log, Metadata, Record};

use crate::scene::Scene;
use crate::support::*;

/// Lines at info level and above that any broker of this process logged.
static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Collector;

impl Log for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= LevelFilter::Info
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            LOGGED.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn collect() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        log::set_logger(&Collector).unwrap();
        log::set_max_level(LevelFilter::Info);
    });
}

/// Returns the lines about one peer.
fn logged_about(peer: SocketAddr) -> Vec<String> {
    // A port may be a prefix of another's.
    let is_about = |line: &&String| {
        line.match_indices(&peer.to_string())
            .any(|(at, found)| !line[at + found.len()..].starts_with(|next: char| next.is_ascii_digit()))
    };
    LOGGED.lock().unwrap().iter().filter(is_about).cloned().collect()
}

#[test]
fn a_fault_is_logged_once_with_peer_reason_and_section() {
    collect();
    let mut scene = Scene::new();
    let rows = [
        ("framing", (frame_with_size(0, 2, 0, 0, b"").to_vec(), FRAMING_ERROR, "2.3.1")),
        ("decoding", (frame(2, 0, 0, b"\x40"), DECODE_ERROR, "1.6")),
        ("state", (open().bytes(), ILLEGAL_STATE, "2.4.1")),
        ("session", (detach(7).bytes(), UNATTACHED_HANDLE, "2.6.2")),
        ("link", (attach_sender("s", 0, "").bytes(), INVALID_FIELD, "2.7.3")),
    ];
    each_row(rows, |(bytes, condition, section)| {
        let mut peer = scene.peer();
        peer.send(bytes);
        peer.expect_error_with(condition);
        peer.try_send(close());
        peer.drain_to_eof();
        scene.undisturbed();
        let lines = logged_about(peer.local_addr());
        let faults: Vec<_> = lines.iter().filter(|line| line.contains(condition)).collect();
        assert_eq!(faults.len(), 1, "{lines:?}");
        assert!(faults[0].ends_with(&format!(", see section {section}")), "{lines:?}");
    });
}

#[test]
fn a_failed_login_is_logged_without_the_password() {
    collect();
    let broker = Broker::builder().user("guest", "s3cr3t").start().unwrap();
    let (mut peer, _) = Peer::offered_mechanisms(&broker);
    peer.send(sasl_init("PLAIN", b"\0guest\0passw0rd"));
    peer.expect_sasl_outcome(1);
    peer.expect_eof();
    let lines = logged_about(peer.local_addr());
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(!lines[0].contains("passw0rd") && !lines[0].contains("s3cr3t"), "{lines:?}");
}

#[test]
fn a_wrong_header_is_logged() {
    collect();
    let mut scene = Scene::new();
    let mut peer = Peer::connect(&scene.broker);
    peer.send(b"GET / HTTP/1.1\r\n\r\n");
    peer.expect_header(AMQP_HEADER);
    peer.expect_eof();
    scene.undisturbed();
    let lines = logged_about(peer.local_addr());
    assert_eq!(lines.len(), 1, "{lines:?}");
}
