//! The work of the broker's thread, in processor time and in turns, which hardly depends on how busy the machine is.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use fakebroker::{Admission, Broker};

use super::patience::patience;
use super::peer::Peer;

/// Returns the processor time that the thread with this folder in `/proc/PID/task` has used.
pub fn cpu_time_of(task: &Path) -> Duration {
    // The first number of schedstat; proc(5).
    let schedstat = std::fs::read_to_string(task.join("schedstat")).unwrap();
    Duration::from_nanos(schedstat.split(' ').next().unwrap().parse().unwrap())
}

/// The thread of a broker.
pub struct BrokerThread {
    task: PathBuf,
}

impl BrokerThread {
    /// Finds the thread by a hook and a connection, both of which are removed on return.
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

    /// Returns the processor time that `work` costs the broker.
    pub fn spends(&self, work: impl FnOnce()) -> Duration {
        let before = cpu_time_of(&self.task);
        work();
        cpu_time_of(&self.task) - before
    }

    /// Returns how often the thread has gone to sleep, which is once for each turn of the loop.
    pub fn turns(&self) -> u64 {
        let status = std::fs::read_to_string(self.task.join("status")).unwrap();
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        count.trim().parse().unwrap()
    }
}

/// Checks that eight times the load costs the broker at most `times` as much: 8 is linear, 64 quadratic, caches that overflow
/// are in between. `work` gets a broker and the amount of load.
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
