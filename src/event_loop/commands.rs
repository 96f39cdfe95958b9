//! What handles ask the loop to do. Each command is obeyed on the loop's thread, between two events.

use super::{EventLoop, Stop, Wake};
use crate::clock::system_now;
use crate::event::{Fault, Reason};

/// Commands that are obeyed in one turn: a thread that asks without end must not keep the sockets waiting.
const TURN_COMMANDS: usize = 64;

/// A command of a handle.
pub(crate) enum Command {
    /// Ends at once.
    Crash,
    /// Ends after a close for every connection.
    Stop,
    /// Calls this.
    Do(Box<dyn FnOnce(&mut EventLoop) + Send>),
}

impl EventLoop {
    /// Obeys the commands that have come, a bounded number in a turn.
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

    /// Drops what the loop was told while it did not run: it has stopped already.
    pub(crate) fn forget_commands(&mut self) {
        while self.commands.try_recv().is_ok() {}
    }

    /// Answers what was asked while the loop came to its end. A stop has been obeyed by then.
    pub(crate) fn answer_the_last(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Do(question) = command {
                question(self);
            }
        }
    }

    /// Answers a question while the loop does not run, and tells those who wait if something is different then.
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

    /// Tells those who wait that something has happened, if it has.
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
