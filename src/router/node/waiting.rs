//! What the nodes that do not store have in common: messages that wait for a receiver are lost when the last one that could
//! take them has left.

use crate::router::context::Context;
use crate::router::store::Store;

/// Why what waited is lost.
pub(super) const LEFT: &str = "the last receiver left while it waited";

/// Drops what is larger than `largest`, the size that somebody who is left takes; everything if nobody is left.
pub(super) fn drop_unfit(store: &mut Store, largest: Option<u64>, context: &mut Context<'_>) {
    let Some(largest) = largest else {
        while let Some(waiting) = store.take() {
            context.drop_waiting(waiting, LEFT);
        }
        return;
    };
    while !store.is_empty()
        && let (Some(waiting), _) = store.take_for(|waiting| waiting.message.payload.len() as u64 > largest, 0)
    {
        context.drop_waiting(waiting, "too large for the receivers that are left");
    }
}

/// Takes out everything that waits; how many messages that was.
pub(super) fn purge(store: &mut Store, context: &mut Context<'_>) -> usize {
    let mut purged = 0;
    while let Some(waiting) = store.take() {
        purged += 1;
        context.purge(waiting);
    }
    purged
}
