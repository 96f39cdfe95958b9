//! RabbitMQ's consumer timeout: when the deliveries of a channel went out. Knows only their tags.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::violation::{ReplyCode, Violation};

/// The number of times that are exact. Beyond it, deliveries share a time within a small part of the timeout.
const MAX_EXACT: usize = 4096;

/// The part of the timeout within which deliveries may share a time.
const SHARED_PART: u32 = 1024;

/// The times at which the deliveries of a channel went out, in order.
#[derive(Debug, Default)]
pub(super) struct DeliveryTimes(VecDeque<Turn>);

/// The deliveries of a turn, or of several.
#[derive(Debug)]
struct Turn {
    /// The tag behind the last of them.
    end: u64,
    /// The time of the first turn, and that of the last.
    first: Instant,
    last: Instant,
}

impl DeliveryTimes {
    /// Notes that the deliveries before the tag `next` have gone out, those since the last call at `now`.
    pub(super) fn note(&mut self, next: u64, now: Instant, timeout: Duration) {
        let is_full = self.0.len() >= MAX_EXACT;
        match self.0.back_mut() {
            Some(turn) if turn.end >= next => {}
            Some(turn) if is_full && now < turn.first + timeout / SHARED_PART => {
                turn.end = next;
                turn.last = now;
            }
            _ => self.0.push_back(Turn { end: next, first: now, last: now }),
        }
    }

    /// Forgets the times of the deliveries before a tag.
    pub(super) fn forget_before(&mut self, tag: u64) {
        while self.0.front().is_some_and(|turn| turn.end <= tag) {
            self.0.pop_front();
        }
    }

    /// The time at which a delivery went out, if it has been noted and not forgotten.
    pub(super) fn of(&self, tag: u64) -> Option<Instant> {
        let index = self.0.partition_point(|turn| turn.end <= tag);
        self.0.get(index).map(|turn| turn.last)
    }
}

/// The violation that closes a channel of which a delivery was not acknowledged in time.
pub(super) fn overdue(channel: u16, timeout: Duration) -> Violation {
    let text = format!(
        "delivery acknowledgement on channel {channel} timed out. Timeout value used: {} ms. This timeout value can be \
         configured, see consumers doc guide to learn more",
        timeout.as_millis(),
    );
    Violation::new(ReplyCode::PreconditionFailed, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_deliveries_share_times_that_are_hardly_later() {
        let (mut times, start) = (DeliveryTimes::default(), Instant::now());
        let (hour, part) = (Duration::from_secs(3600), Duration::from_secs(4));
        let at = |tag: u64| start + Duration::from_millis(10 * tag);
        for tag in 1..=360_000 {
            times.note(tag + 1, at(tag), hour);
        }
        assert!(times.0.len() < MAX_EXACT + 2 * SHARED_PART as usize, "{}", times.0.len());
        for tag in [1, 4000, 5000, 100_000, 359_000] {
            let noted = times.of(tag).unwrap();
            assert!(noted >= at(tag) && noted < at(tag) + part, "{tag}");
        }
        assert_eq!((times.of(4000), times.of(360_001)), (Some(at(4000)), None));
        times.forget_before(4001);
        assert_eq!(times.of(4001), Some(at(4001)));
        assert_eq!(times.0.front().unwrap().end, 4002);
    }
}
