//! Commands of handles to the loop, which carries each out on its thread, between two events.

use super::{EventLoop, Stop, Wake};
use crate::clock::system_now;
use crate::event::{Fault, Reason};

/// Commands that are carried out in one turn. The sockets are not kept waiting by a thread that sends commands without end.
const TURN_COMMANDS: usize = 64;

/// A command of a handle.
pub(crate) enum Command {
    /// Ends the loop at once.
    Crash,
    /// Ends the loop after a close for every connection.
    Stop,
    /// Calls a function with the loop.
    Do(Box<dyn FnOnce(&mut EventLoop) + Send>),
}

impl EventLoop {
    /// Carries out the commands that have come, a bounded number in a turn.
    pub(super) fn obey(&mut self) {
        self.unobeyed = false;
        for turn in 0.. {
            if turn == TURN_COMMANDS {
                self.unobeyed = true;
                return;
            }
            let Ok(command) = self.commands.try_recv() else { return };
            match command {
                Command::Crash => self.stop = Stop::Now,
                Command::Stop => self.close_and_stop(),
                Command::Do(question) => {
                    question(self);
                    self.apply_effects();
                }
            }
        }
    }

    /// Drops the commands that came while the loop did not run.
    pub(crate) fn forget_commands(&mut self) {
        while self.commands.try_recv().is_ok() {}
    }

    /// Answers the questions that came while the loop ended.
    pub(crate) fn answer_the_last(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Do(question) = command {
                question(self);
            }
        }
    }

    /// Answers a question while the loop does not run, and wakes waiting threads if something has changed.
    pub(crate) fn at_rest<R>(&mut self, question: impl FnOnce(&mut EventLoop) -> R) -> R {
        self.set_now(self.clock.now());
        let answer = question(self);
        self.announce();
        answer
    }

    fn close_and_stop(&mut self) {
        if self.stop != Stop::No {
            return;
        }
        self.stop = Stop::WhenClosed;
        self.paused = false;
        self.close_listeners();
        self.real_timers.set(system_now() + self.config.linger, Wake::Stop);
        self.close_all(&Fault::new(Reason::ConnectionForced, "the broker is stopping"));
    }

    /// Publishes the counters for handles, if they have changed.
    pub(super) fn publish(&mut self) {
        let counts = self.counts();
        if counts != self.published
            && let Some(shared) = self.shared.upgrade()
        {
            self.published = counts;
            shared.publish(counts);
        }
    }

    /// Wakes waiting threads, if something has changed.
    pub(crate) fn announce(&mut self) {
        if std::mem::take(&mut self.stirred)
            && let Some(shared) = self.shared.upgrade()
        {
            if shared.has_waiting() {
                shared.stir();
            }
            self.recorder().flush();
        }
    }
}
