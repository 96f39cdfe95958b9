//! A queue that goes when nobody has used it for some time (`x-expires`).

use std::time::{Duration, Instant};

/// Since when nobody has used a queue.
#[derive(Debug, Default)]
pub(super) struct Disuse {
    /// None: somebody consumes from it.
    since: Option<Instant>,
}

impl Disuse {
    /// Starts counting from now, unless somebody consumes.
    pub(super) fn restart(&mut self, now: Instant, is_consumed: bool) {
        self.since = (!is_consumed).then_some(now);
    }

    /// When a queue goes that may be unused for this long.
    pub(super) fn ends(&self, after: Option<Duration>) -> Option<Instant> {
        self.since?.checked_add(after?)
    }
}
