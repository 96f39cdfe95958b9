//! The order in which connections are read, and the end of a turn's reading.
//!
//! Next is the connection that the loop has worked for least: clients that send little come before clients that keep the broker
//! busy, which share the rest evenly. A turn ends when its work is done, whoever it was for: output is written, and the sockets
//! are polled again. A read that has begun by then is finished, unless it leads to more work than small messages do. So a client
//! that sends its first bytes waits for one turn at most, however many others flood the broker.
//!
//! Work is counted, not measured: bytes read, and what they led to. One unit is a byte of a routed message, one or two
//! nanoseconds.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::event::{Effect, Event, Run};

/// Work after which a turn begins no other read.
const TURN_WORK: u64 = 224 * 1024;

/// Work beyond that after which a read that has begun is interrupted. Two full reads of small messages, 171,000 each, fit into a
/// turn: an interrupted read costs two writes instead of one, and its rest has to wait in a buffer of its own. A turn takes half a
/// millisecond at most.
const LAST_READ_WORK: u64 = 128 * 1024;

/// Work by which an idle connection can be ahead of busy ones. Idle time beyond that does not add up.
const HEAD_START: u64 = 64 * 1024;

/// Work for the system calls of a read and its answer. It counts for the turn, not for the connection, since clients that send
/// little would pay most.
const READ: u64 = 4000;

/// Work for a connection that is accepted.
const ACCEPT: u64 = 8000;

/// Work for a message, a disposition or credit, once when it is read and once for each link that it is written to.
const MESSAGE: u64 = 100;

/// Work for an attach, a declaration or any other change of links, nodes and sessions.
const CHANGE: u64 = 2000;

/// Work for a byte of a reply. Small requests with small replies (an empty flow with echo, a begin) cost more than their bytes.
const REPLY_BYTE: u64 = 5;

/// The work done for one connection, by which connections are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Account(u64);

/// The keys of connections that have something to be read, the one with the least work first.
#[derive(Debug)]
pub(super) struct ReadQueue<K> {
    /// The serial decides between equal accounts: first come, first served.
    waiting: BinaryHeap<Reverse<(Account, u64, K)>>,
    next_serial: u64,
    /// The account of the connection that was read last, about that of all busy connections.
    level: Account,
    /// Work done since the broker was made.
    done: u64,
    turn_ends_at: u64,
}

impl<K: Ord> Default for ReadQueue<K> {
    fn default() -> Self {
        let (waiting, level) = (BinaryHeap::new(), Account::default());
        ReadQueue { waiting, next_serial: 0, level, done: 0, turn_ends_at: 0 }
    }
}

impl<K: Ord> ReadQueue<K> {
    pub(super) fn begin_turn(&mut self) {
        self.turn_ends_at = self.done + TURN_WORK;
    }

    /// Whether this turn begins no other read.
    pub(super) fn is_turn_over(&self) -> bool {
        self.done >= self.turn_ends_at
    }

    /// Whether a read that has begun has to go on in a later turn.
    pub(super) fn must_interrupt(&self) -> bool {
        self.done >= self.turn_ends_at + LAST_READ_WORK
    }

    /// Adds a connection, which must not be in the queue.
    pub(super) fn push(&mut self, key: K, account: &mut Account) {
        *account = Account(self.level.0.saturating_sub(HEAD_START)).max(*account);
        self.waiting.push(Reverse((*account, self.next_serial, key)));
        self.next_serial += 1;
    }

    /// Removes the connection that is next.
    pub(super) fn pop(&mut self) -> Option<K> {
        let Reverse((account, _, key)) = self.waiting.pop()?;
        self.level = self.level.max(account);
        self.done += READ;
        Some(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn count_accept(&mut self) {
        self.done += ACCEPT;
    }

    /// Counts bytes that were read without leading to an event, and replies of all kinds.
    pub(super) fn count_bytes(&mut self, read: usize, replied: usize) {
        self.done += read as u64 + REPLY_BYTE * replied as u64;
    }

    /// Counts an event, the messages of its run and the bytes that led to it.
    pub(super) fn count_event(&mut self, event: &Event, run: &Run, read: usize) {
        self.done += read as u64
            + match event {
                Event::Messages { .. } => MESSAGE * run.arrivals.len() as u64,
                Event::Answer { .. } | Event::Sent { .. } | Event::Credit { .. } | Event::Window { .. } => MESSAGE,
                _ => CHANGE,
            };
    }

    /// Counts an effect.
    pub(super) fn count_effect(&mut self, effect: &Effect) {
        self.done += match effect {
            Effect::Deliver { deliveries, .. } => MESSAGE * deliveries.len() as u64,
            Effect::Settle { .. } | Effect::Grant { .. } | Effect::GrantMore { .. } | Effect::Drained { .. } => MESSAGE,
            _ => CHANGE,
        };
    }

    /// Returns the work done until now, for [`ReadQueue::charge`].
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// Charges a connection for the work since [`ReadQueue::done`] returned `done`.
    pub(super) fn charge(&self, account: &mut Account, done: u64) {
        account.0 += self.done - done;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connections that each have this much to be read, at so much a read; who is read in each turn.
    struct Scene {
        queue: ReadQueue<usize>,
        accounts: Vec<Account>,
    }

    impl Scene {
        fn new(connections: usize) -> Scene {
            Scene { queue: ReadQueue::default(), accounts: vec![Account::default(); connections] }
        }

        fn push(&mut self, slot: usize) {
            self.queue.push(slot, &mut self.accounts[slot]);
        }

        /// Takes one turn, in which `read` says what a read costs and whether there is more. Returns who was read.
        fn turn(&mut self, read: impl Fn(usize) -> (usize, bool)) -> Vec<usize> {
            let mut order = Vec::new();
            self.queue.begin_turn();
            while !self.queue.is_turn_over()
                && let Some(slot) = self.queue.pop()
            {
                let before = self.queue.done();
                let (bytes, more) = read(slot);
                self.queue.count_bytes(bytes, 0);
                self.queue.charge(&mut self.accounts[slot], before);
                order.push(slot);
                if more {
                    self.push(slot);
                }
            }
            order
        }
    }

    const CHUNK: usize = 64 * 1024;

    #[test]
    fn one_alone_has_the_whole_turn() {
        let mut scene = Scene::new(1);
        scene.push(0);
        assert_eq!(scene.turn(|_| (CHUNK, true)).len(), 4);
        assert_eq!(scene.turn(|_| (CHUNK, true)).len(), 4);
    }

    #[test]
    fn two_full_reads_of_small_messages_are_not_interrupted() {
        // One is 130 bytes on the wire; it comes in and goes to one link.
        let full_read = CHUNK + CHUNK / 130 * 2 * MESSAGE as usize;
        let mut scene = Scene::new(10);
        (0..10).for_each(|slot| scene.push(slot));
        for _ in 0..10 {
            assert_eq!(scene.turn(|_| (full_read, true)).len(), 2);
            assert!(!scene.queue.must_interrupt());
        }
    }

    #[test]
    fn a_read_that_leads_to_much_work_is_interrupted() {
        let mut scene = Scene::new(1);
        scene.push(0);
        scene.turn(|_| (10 * CHUNK, true));
        assert!(scene.queue.must_interrupt());
    }

    #[test]
    fn floods_share_evenly_over_the_turns() {
        let mut scene = Scene::new(20);
        (0..20).for_each(|slot| scene.push(slot));
        let mut reads = [0; 20];
        for _ in 0..20 {
            scene.turn(|_| (CHUNK, true)).into_iter().for_each(|slot| reads[slot] += 1);
        }
        assert_eq!(reads, [4; 20]);
    }

    #[test]
    fn who_says_little_is_first_in_the_next_turn() {
        let mut scene = Scene::new(101);
        (0..100).for_each(|slot| scene.push(slot));
        // Everybody has been read twice.
        (0..50).for_each(|_| drop(scene.turn(|_| (CHUNK, true))));
        for _ in 0..1000 {
            scene.push(100);
            let order = scene.turn(|slot| if slot == 100 { (200, false) } else { (CHUNK, true) });
            let place = order.iter().position(|slot| *slot == 100);
            assert_eq!(place, Some(0), "{order:?}");
        }
    }

    #[test]
    fn who_was_away_has_saved_nothing() {
        let mut scene = Scene::new(2);
        scene.push(0);
        (0..100).for_each(|_| drop(scene.turn(|_| (CHUNK, true))));
        scene.push(1);
        let order = scene.turn(|_| (CHUNK, true));
        assert_eq!(order, [1, 1, 0, 1], "a head start of one read, and then half of it");
    }

    #[test]
    fn dear_reads_count_as_more() {
        let mut scene = Scene::new(2);
        (0..2).for_each(|slot| scene.push(slot));
        let mut reads = [0; 2];
        for _ in 0..100 {
            scene
                .turn(|slot| (if slot == 0 { CHUNK } else { 8 * CHUNK }, true))
                .into_iter()
                .for_each(|slot| reads[slot] += 1);
        }
        assert!(reads[0] > 7 * reads[1], "{reads:?}");
    }
}
