//! Removal of waiting messages: those of direct and anycast nodes are dropped when the last consumer that could take them is
//! detached.

use crate::router::context::Context;
use crate::router::store::Store;

/// The reason for dropping them, in records.
pub(super) const LEFT: &str = "the last receiver left while it waited";

/// Drops messages larger than `largest`, the largest size that a remaining consumer takes; all of them if no consumer is left.
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

/// Removes everything that waits. Returns the number of messages.
pub(super) fn purge(store: &mut Store, context: &mut Context<'_>) -> usize {
    let mut purged = 0;
    while let Some(waiting) = store.take() {
        purged += 1;
        context.purge(waiting);
    }
    purged
}
