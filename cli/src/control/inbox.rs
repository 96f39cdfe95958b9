//! Queues lines of standard input for the thread that obeys them. Another thread reads them, so that the end of the input is
//! seen while a command waits.

use std::collections::VecDeque;
use std::io::{self, BufRead};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde_json::Value as Json;

use super::fields::Refusal;

/// The number of lines that are read ahead.
const MAX_LINES: usize = 1024;

/// The result of a wait.
type Waited = Result<Json, Refusal>;

/// Lines that have been read and answers of waits that have ended. Clones share both.
#[derive(Clone, Default)]
pub(super) struct Inbox(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    is_over: bool,
    error: Option<io::Error>,
    /// The answer to the `wait` of this number.
    answer: Option<(u64, Waited)>,
}

impl Inbox {
    /// Reads standard input to its end. Blocks while enough lines are read ahead.
    pub(super) fn fill(&self) {
        let mut input = io::stdin().lock();
        let ended = loop {
            let mut line = Vec::new();
            match input.read_until(b'\n', &mut line) {
                Ok(0) => break None,
                Err(error) => break Some(error),
                Ok(_) => self.change(|state| state.lines.push_back(line)),
            }
            drop(self.when(|state| state.lines.len() < MAX_LINES));
        };
        self.change(|state| (state.is_over, state.error) = (true, ended));
    }

    /// Takes the next line, and blocks until there is one. None at the end of the input.
    pub(super) fn line(&self) -> io::Result<Option<Vec<u8>>> {
        let mut state = self.when(|state| state.is_over || !state.lines.is_empty());
        let line = state.lines.pop_front();
        self.0.1.notify_all();
        match state.error.take().filter(|_| line.is_none()) {
            Some(error) => Err(error),
            None => Ok(line),
        }
    }

    /// Answers the `wait` of that number, if it has not been given up.
    pub(super) fn answer(&self, number: u64, answer: Waited) {
        self.change(|state| state.answer = Some((number, answer)));
    }

    /// Blocks until the `wait` of that number is answered. None if the input ends before that.
    pub(super) fn await_answer(&self, number: u64) -> Option<Waited> {
        let is_its = |state: &State| state.answer.as_ref().is_some_and(|(to, _)| *to == number);
        let mut state = self.when(|state| state.is_over || is_its(state));
        state.answer.take().filter(|(to, _)| *to == number).map(|(_, answer)| answer)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.1.notify_all();
    }

    fn when(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.0.1.wait_while(self.state(), |state| !condition(state)).unwrap_or_else(PoisonError::into_inner)
    }
}
