//! Starting and stopping leaves no thread and no descriptor behind. Alone in its process, since it counts what the process has.
#![cfg(target_os = "linux")]
#![allow(clippy::panic, clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use fakebroker::{Broker, Ending, Message, Queues, Verdict};
use support::*;

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

fn threads_and_descriptors() -> (usize, usize) {
    (count("/proc/self/task"), count("/proc/self/fd"))
}

/// All the ways in which a broker comes and goes, in turn.
fn come_and_go(turn: u32) {
    match turn % 14 {
        0 => {
            let broker = Broker::start().unwrap();
            let client = Peer::receiver(&broker, "a", 1);
            let silent = Peer::connect(&broker);
            broker.crash();
            drop((client, silent));
        }
        1 => Broker::start().unwrap().stop(),
        2 => drop(Broker::builder().listen("127.0.0.1:0").listen("127.0.0.1:0").start().unwrap()),
        3 => drop(Broker::builder().bind().unwrap()),
        4 => {
            let bound = Broker::builder().bind().unwrap();
            bound.handle().crash();
            bound.run().unwrap();
        }
        5 => {
            let broker = Broker::builder().linger(Duration::from_millis(1)).start().unwrap();
            let mut never_answers = Peer::opened(&broker);
            broker.stop();
            never_answers.expect_close_with(CONNECTION_FORCED);
        }
        6 => {
            // A handle that is kept longer than the broker.
            let handle = Broker::start().unwrap().handle();
            handle.crash();
        }
        7 => {
            // Down and up in each way, with a client that is cut off and one that is told.
            let broker = Broker::builder().linger(Duration::from_millis(1)).start().unwrap();
            for (ending, queues) in [(Ending::Crash, Queues::Keep), (Ending::Clean, Queues::Drop)] {
                let mut client = Peer::receiver(&broker, "queue.a", 1);
                broker.inject("queue.a", Message::data("1"));
                client.expect_transfer();
                broker.restart(ending, queues).unwrap();
            }
            broker.crash();
            broker.crash();
        }
        8 => {
            let brokers = Broker::group(2).unwrap();
            brokers.start(0).unwrap();
            let client = Peer::opened(&brokers[0]);
            brokers.crash(0).unwrap();
            brokers.start_all().unwrap();
            brokers.stop(1).unwrap();
            drop((client, brokers));
        }
        9 => {
            let broker = Broker::start().unwrap();
            let client = Peer::opened(&broker);
            broker.refuse_connections(true).unwrap();
            broker.disconnect_all();
            // With what it held, or listening again.
            if (turn / 14).is_multiple_of(2) {
                broker.refuse_connections(false).unwrap();
            }
            drop((broker, client));
        }
        10 => {
            let broker = Broker::start().unwrap();
            let mut client = Peer::opened(&broker);
            broker.pause();
            client.send(begin().on_channel(1));
            broker.crash();
        }
        11 => {
            // A message that a hook holds up, by a hook that holds the broker's handle.
            let broker = Broker::start().unwrap();
            let handle = broker.handle();
            broker.on_message(move |_| {
                let _ = handle.counts();
                Verdict::Delay(Duration::from_secs(3600))
            });
            let mut client = Peer::sender(&broker, "queue.a");
            client.send_message(0, "1");
            client.expect_nothing();
            broker.crash();
        }
        12 => {
            // Somebody waits on a thread of its own, and sees it restart.
            let broker = Broker::start().unwrap();
            let handle = broker.handle();
            let waiting = std::thread::spawn(move || handle.wait_for(patience(), |counts| counts.queued == 1));
            broker.restart(Ending::Crash, Queues::Keep).unwrap();
            broker.inject("queue.a", Message::data("1"));
            waiting.join().unwrap().unwrap();
        }
        _ => {
            let broker = Broker::start().unwrap();
            let address = broker.addr().to_string();
            Broker::builder().listen("127.0.0.1:0").listen(address).start().unwrap_err();
        }
    }
}

#[test]
fn a_thousand_brokers_leave_nothing() {
    (0..28).for_each(come_and_go);
    let before = threads_and_descriptors();
    // While one runs, there is more of both: the measure measures.
    let broker = Broker::start().unwrap();
    let running = threads_and_descriptors();
    assert!(running.0 > before.0 && running.1 > before.1, "{running:?}, {before:?} before");
    drop(broker);

    (0..1000).for_each(come_and_go);
    // A thread that was joined is still seen for a moment.
    let give_up = Instant::now() + patience();
    loop {
        let after = threads_and_descriptors();
        if after.0 <= before.0 && after.1 <= before.1 {
            return;
        }
        assert!(Instant::now() < give_up, "threads and descriptors: {after:?}, {before:?} before");
        std::thread::yield_now();
    }
}
