//! Calls that must return, and addresses that must refuse connections.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::thread;

use super::patience::patience;
use super::socket::At;

/// Runs a call on a thread of its own, so that a call that hangs fails the test.
#[track_caller]
pub fn in_time<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, done) = channel();
    thread::spawn(move || sender.send(what()));
    done.recv_timeout(patience()).expect("it returns in time, and without a panic")
}

#[track_caller]
pub fn expect_refused(broker: &impl At) {
    match TcpStream::connect(broker.at()) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}"),
        Ok(_) => panic!("{} accepts connections", broker.at()),
    }
}
