//! 2.6.2: handles. The peer's handle of a link leads to ours; neither side chooses the other's.

/// See the module. As long as the largest handle that the peer has used, which `handle-max` bounds.
#[derive(Debug, Default)]
pub(crate) struct Handles(Vec<Option<u32>>);

impl Handles {
    pub(crate) fn get(&self, remote: u32) -> Option<usize> {
        let local = self.0.get(usize::try_from(remote).ok()?).copied().flatten()?;
        usize::try_from(local).ok()
    }

    pub(crate) fn set(&mut self, remote: u32, local: usize) {
        let Ok(index) = usize::try_from(remote) else { return };
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        if let Some(slot) = self.0.get_mut(index) {
            *slot = u32::try_from(local).ok();
        }
    }

    pub(crate) fn clear(&mut self, remote: u32) {
        if let Some(slot) = usize::try_from(remote).ok().and_then(|index| self.0.get_mut(index)) {
            *slot = None;
        }
    }
}
