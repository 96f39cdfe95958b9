//! Handles (2.6.2): maps the peer's handle of a link to ours, since each side chooses its own.

use std::collections::BTreeMap;

use crate::live::live;

/// The name of the map's entries for [`live`].
const SLOT: &str = "the slot of a handle";

/// The map from the peer's handles to ours. Handles that are assigned in sequence, as by nearly all peers, are in a vector,
/// others in a tree: memory follows the number of links, however large the handles are.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    row: Vec<Option<u32>>,
    others: BTreeMap<u32, u32>,
    count: usize,
}

impl Handles {
    pub(crate) fn get(&self, remote: u32) -> Option<usize> {
        let in_row = usize::try_from(remote).ok().and_then(|index| self.row.get(index));
        let local = match in_row {
            Some(local) => (*local)?,
            None => *self.others.get(&remote)?,
        };
        usize::try_from(local).ok()
    }

    /// Adds a handle of the peer's that is not in use.
    pub(crate) fn set(&mut self, remote: u32, local: usize) {
        let (index, local) = (usize::try_from(remote).unwrap_or(usize::MAX), super::types::saturate(local));
        self.count += 1;
        if index >= self.row.len() {
            if index > 8 + 2 * self.count {
                self.others.insert(remote, local);
                return;
            }
            self.row.resize(index + 1, None);
            // Move the handles into the row that have a place there now.
            let beyond = self.others.split_off(&remote);
            for (remote, local) in std::mem::replace(&mut self.others, beyond) {
                let slot = usize::try_from(remote).ok().and_then(|index| self.row.get_mut(index));
                if let Some(slot) = live(slot, SLOT) {
                    *slot = Some(local);
                }
            }
        }
        if let Some(slot) = live(self.row.get_mut(index), SLOT) {
            *slot = Some(local);
        }
    }

    pub(crate) fn clear(&mut self, remote: u32) {
        let in_row = usize::try_from(remote).ok().and_then(|index| self.row.get_mut(index));
        let was = match in_row {
            Some(slot) => slot.take(),
            None => self.others.remove(&remote),
        };
        self.count -= usize::from(was.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((any::<bool>(), prop_oneof![0..40u32, 0..400u32, any::<u32>()]), 0..400)) {
            let mut handles = Handles::default();
            let mut model = BTreeMap::new();
            for (local, (add, remote)) in steps.into_iter().enumerate() {
                if add && !model.contains_key(&remote) {
                    handles.set(remote, local);
                    model.insert(remote, local);
                } else {
                    handles.clear(remote);
                    model.remove(&remote);
                }
                prop_assert_eq!(handles.get(remote), model.get(&remote).copied());
                prop_assert!(handles.row.len() <= 8 + 2 * 400 + 1);
            }
            for (remote, local) in model {
                prop_assert_eq!(handles.get(remote), Some(local));
            }
        }
    }
}
