//! A list of entries that are numbered in order as they are added and removed in any order, such as unsettled deliveries.
//!
//! A ledger is a queue with holes: faster than a map, and removal is possible in the middle, unlike in a plain queue. If one old
//! entry keeps a long row of holes, the few entries of that row move to a map, so that memory follows the number of entries.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

/// Minimum number of slots from which on holes are tidied.
const TIDY_FROM: usize = 1024;

/// Entries by number.
#[derive(Debug)]
pub(crate) struct Ledger<T> {
    /// The number of the first slot of `recent`.
    base: u64,
    recent: VecDeque<Option<T>>,
    /// Entries with numbers below `base`.
    old: BTreeMap<u64, T>,
    live: usize,
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Ledger::starting_at(0)
    }
}

impl<T> Ledger<T> {
    /// Creates an empty ledger whose first number is `first`.
    pub(crate) fn starting_at(first: u64) -> Self {
        Ledger { base: first, recent: VecDeque::new(), old: BTreeMap::new(), live: 0 }
    }

    /// Iterates over all entries, oldest first.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.old.values().chain(self.recent.iter().flatten())
    }

    /// Returns the number of the next entry.
    pub(crate) fn next(&self) -> u64 {
        self.base + self.recent.len() as u64
    }

    /// Returns the number of entries.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Adds an entry and returns its number.
    pub(crate) fn push(&mut self, entry: T) -> u64 {
        let number = self.next();
        self.recent.push_back(Some(entry));
        self.live += 1;
        self.tidy_if_due();
        number
    }

    /// Uses up a number without an entry, and returns it.
    pub(crate) fn skip(&mut self) -> u64 {
        let number = self.next();
        if self.recent.is_empty() {
            self.base += 1;
        } else {
            self.recent.push_back(None);
            self.tidy_if_due();
        }
        number
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        match number.checked_sub(self.base) {
            Some(index) => self.recent.get_mut(usize::try_from(index).ok()?)?.as_mut(),
            None => self.old.get_mut(&number),
        }
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let entry = match number.checked_sub(self.base) {
            Some(index) => self.recent.get_mut(usize::try_from(index).ok()?)?.take(),
            None => self.old.remove(&number),
        };
        if entry.is_some() {
            self.live -= 1;
            self.trim();
            self.tidy_if_due();
        }
        entry
    }

    /// Removes the entries in `range`, in order. Takes time proportional to the length of the ledger at most, however wide the
    /// range.
    pub(crate) fn take_each(&mut self, range: RangeInclusive<u64>, mut taken: impl FnMut(u64, T)) {
        let (first, last) = (*range.start(), *range.end());
        if !self.old.is_empty() {
            let old: Vec<u64> = self.numbers_in(range).take_while(|number| *number < self.base).collect();
            for number in old {
                if let Some(entry) = self.old.remove(&number) {
                    self.live -= 1;
                    taken(number, entry);
                }
            }
        }
        let end = last.saturating_add(1).min(self.next()).max(self.base);
        let start = first.max(self.base).min(end);
        let places = |number: u64| usize::try_from(number - self.base).unwrap_or(usize::MAX);
        let slots = self.recent.range_mut(places(start)..places(end));
        for (slot, number) in slots.zip(start..) {
            if let Some(entry) = slot.take() {
                self.live -= 1;
                taken(number, entry);
            }
        }
        self.trim();
        self.tidy_if_due();
    }

    /// Iterates over the numbers in `range` that have entries. Takes time proportional to the length of the ledger at most,
    /// however wide the range.
    pub(crate) fn numbers_in(&self, range: RangeInclusive<u64>) -> impl Iterator<Item = u64> + '_ {
        let (first, last) = (*range.start(), *range.end());
        let old = (first <= last).then(|| self.old.range(range).map(|(number, _)| *number)).into_iter().flatten();
        let end = last.saturating_add(1).min(self.next());
        let start = first.max(self.base).min(end);
        let recent = (start..end).filter(|number| {
            usize::try_from(number - self.base)
                .ok()
                .and_then(|index| self.recent.get(index))
                .is_some_and(Option::is_some)
        });
        old.chain(recent)
    }

    /// Removes the entries for which `keep` returns false.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        if self.live == 0 {
            return;
        }
        self.old.retain(|_, entry| keep(entry));
        for slot in &mut self.recent {
            if slot.as_ref().is_some_and(|entry| !keep(entry)) {
                *slot = None;
            }
        }
        self.live = self.old.len() + self.recent.iter().flatten().count();
        self.trim();
        self.tidy_if_due();
    }

    /// Removes all entries and iterates over them, oldest first. The numbering continues.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.base = self.next();
        self.live = 0;
        let recent = std::mem::take(&mut self.recent);
        std::mem::take(&mut self.old).into_values().chain(recent.into_iter().flatten())
    }

    fn trim(&mut self) {
        while let Some(None) = self.recent.front() {
            self.recent.pop_front();
            self.base += 1;
        }
    }

    #[inline]
    fn tidy_if_due(&mut self) {
        if self.recent.len() > TIDY_FROM && self.recent.len() > 4 * self.live {
            self.tidy();
        }
    }

    /// Moves entries to the map while most slots are holes.
    fn tidy(&mut self) {
        while self.recent.len() > TIDY_FROM && self.recent.len() > 4 * self.live {
            if let Some(Some(entry)) = self.recent.pop_front() {
                self.old.insert(self.base, entry);
            }
            self.base += 1;
            self.trim();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push,
        Skip,
        Remove(u64),
        List(u64, u64),
        Take(u64, u64),
        KeepMultiplesOf(u64),
        Drain,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Push),
            6 => Just(Step::Skip),
            6 => (0..2000u64).prop_map(Step::Remove),
            1 => (0..2000u64, 0..2000u64).prop_map(|(a, b)| Step::List(a, b)),
            1 => (0..40u64, Just(u64::MAX)).prop_map(|(a, b)| Step::List(a, b)),
            2 => (0..2000u64, 0..2000u64).prop_map(|(a, b)| Step::Take(a, b)),
            1 => (0..2000u64, Just(u64::MAX)).prop_map(|(a, b)| Step::Take(a, b)),
            1 => (1..9u64).prop_map(Step::KeepMultiplesOf),
            1 => Just(Step::Drain),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec(step(), 0..2000)) {
            let mut ledger = Ledger::starting_at(7);
            let mut model = BTreeMap::new();
            let mut next = 7;
            for step in steps {
                match step {
                    Step::Push => {
                        prop_assert_eq!(ledger.push(next), next);
                        model.insert(next, next);
                        next += 1;
                    }
                    Step::Skip => {
                        prop_assert_eq!(ledger.skip(), next);
                        next += 1;
                    }
                    Step::Remove(number) => prop_assert_eq!(ledger.remove(number), model.remove(&number)),
                    Step::List(a, b) => {
                        let listed: Vec<u64> = ledger.numbers_in(a..=b).collect();
                        let expected: Vec<u64> = model.keys().copied().filter(|n| (a..=b).contains(n)).collect();
                        prop_assert_eq!(listed, expected);
                    }
                    Step::Take(a, b) => {
                        let mut taken = Vec::new();
                        ledger.take_each(a..=b, |number, entry| taken.push((number, entry)));
                        let expected: Vec<(u64, u64)> =
                            model.iter().filter(|(n, _)| (a..=b).contains(*n)).map(|(n, entry)| (*n, *entry)).collect();
                        model.retain(|n, _| !(a..=b).contains(n));
                        prop_assert_eq!(taken, expected);
                    }
                    Step::KeepMultiplesOf(n) => {
                        ledger.retain(|number| number % n == 0);
                        model.retain(|number, _| number % n == 0);
                    }
                    Step::Drain => {
                        let drained: Vec<u64> = ledger.drain().collect();
                        prop_assert_eq!(drained, std::mem::take(&mut model).into_values().collect::<Vec<u64>>());
                    }
                }
                prop_assert_eq!(ledger.len(), model.len());
                prop_assert_eq!(ledger.next(), next);
            }
        }
    }

    #[test]
    fn what_is_left_of_many_does_not_keep_their_slots() {
        let mut ledger = Ledger::default();
        for number in 0..100_000 {
            assert_eq!(ledger.push(number), number);
        }
        for number in 1..100_000 {
            assert_eq!(ledger.remove(number), Some(number));
        }
        assert!(ledger.recent.len() <= TIDY_FROM, "{} slots for one entry", ledger.recent.len());
    }

    #[test]
    fn one_old_entry_does_not_keep_a_million_holes() {
        let mut ledger = Ledger::default();
        let old = ledger.push("old");
        for _ in 0..1_000_000 {
            let number = ledger.push("new");
            ledger.remove(number);
        }
        assert!(ledger.recent.len() <= TIDY_FROM, "{} slots for one entry", ledger.recent.len());
        assert_eq!(ledger.remove(old), Some("old"));
    }
}
