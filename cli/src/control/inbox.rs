//! Lines of standard input on their way to whoever obeys them. They are read by a thread of its own, so that the end of the
//! input is seen while a command waits.

use std::collections::VecDeque;
use std::io::{self, BufRead};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde_json::Value as Json;

use super::fields::Refusal;

/// Lines that are read ahead.
const MAX_LINES: usize = 1024;

/// What came of a wait.
type Waited = Result<Json, Refusal>;

/// See the module. Clones are the same inbox.
#[derive(Clone, Default)]
pub(super) struct Inbox(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    is_over: bool,
    error: Option<io::Error>,
    /// To the command of that number, which waits.
    answer: Option<(u64, Waited)>,
}

impl Inbox {
    /// Reads standard input to its end.
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

    /// The next line. None when there is no more.
    pub(super) fn line(&self) -> io::Result<Option<Vec<u8>>> {
        let mut state = self.when(|state| state.is_over || !state.lines.is_empty());
        let line = state.lines.pop_front();
        self.0.1.notify_all();
        match state.error.take().filter(|_| line.is_none()) {
            Some(error) => Err(error),
            None => Ok(line),
        }
    }

    /// Answers the command of that number, if it waits still.
    pub(super) fn answer(&self, number: u64, answer: Waited) {
        self.change(|state| state.answer = Some((number, answer)));
    }

    /// The answer to the command of that number. None if the input ends before there is one.
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
