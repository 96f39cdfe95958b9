//! [`live`]: the lookup of what must be there, where its absence is an error of the broker.
//!
//! A lookup of what may have left (a link that the peer has detached) is another kind: an `Option` whose name says so.

/// Returns `found`. None fails a debug build; a release logs an error that names `what`, and the caller does nothing.
#[inline]
pub(crate) fn live<T>(found: Option<T>, what: &str) -> Option<T> {
    if found.is_none() {
        debug_assert!(false, "{what} is not there");
        log::error!("{what} is not there; this is an error of the broker");
    }
    found
}
