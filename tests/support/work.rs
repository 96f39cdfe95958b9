//! What the broker's thread works, in processor time and in turns: next to nothing of it depends on how busy the machine is.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use fakebroker::{Admission, Broker};

use super::patience::patience;
use super::peer::Peer;

/// Processor time that the thread behind a folder of `/proc/PID/task` has used.
pub fn cpu_time_of(task: &Path) -> Duration {
    // The first number of schedstat; proc(5).
    let schedstat = std::fs::read_to_string(task.join("schedstat")).unwrap();
    Duration::from_nanos(schedstat.split(' ').next().unwrap().parse().unwrap())
}

/// The thread that a broker runs on.
pub struct BrokerThread {
    task: PathBuf,
}

impl BrokerThread {
    /// Finds it by a hook and a connection, both of which are gone when this returns.
    #[track_caller]
    pub fn of(broker: &Broker) -> BrokerThread {
        let (sender, told) = channel();
        broker.on_connect(move |_| {
            let _ = sender.send(std::fs::read_link("/proc/thread-self").unwrap());
            Admission::Allow
        });
        Peer::opened(broker).reset();
        let task = Path::new("/proc").join(told.recv_timeout(patience()).expect("the broker sees the connection"));
        broker.clear_hooks();
        broker.wait_for(patience(), |counts| counts.connections == 0).unwrap();
        BrokerThread { task }
    }

    /// Processor time that `work` costs the broker.
    pub fn spends(&self, work: impl FnOnce()) -> Duration {
        let before = cpu_time_of(&self.task);
        work();
        cpu_time_of(&self.task) - before
    }

    /// How often it has gone to sleep: a turn of its loop each.
    pub fn turns(&self) -> u64 {
        let status = std::fs::read_to_string(self.task.join("status")).unwrap();
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        count.trim().parse().unwrap()
    }
}

/// Checks that eight times as much of something costs the broker no more than `times` as much. 8 is linear, 64 quadratic; caches
/// that no longer suffice are in between. `work` gets a broker and how much of it to do.
#[track_caller]
pub fn expect_eight_times_as_much_costs_at_most(
    times: u32,
    small: usize,
    start: impl Fn() -> Broker,
    work: impl Fn(&Broker, usize),
) {
    let cost = |size: usize| {
        let broker = start();
        let thread = BrokerThread::of(&broker);
        thread.spends(|| work(&broker, size))
    };
    let (small_cost, large_cost) = (cost(small), cost(8 * small));
    assert!(
        large_cost <= small_cost * times,
        "{small} cost {small_cost:?} of processor time, {} cost {large_cost:?}: more than {times} times as much",
        8 * small
    );
}
