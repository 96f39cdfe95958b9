//! [`live`]: the lookup of what must exist, where its absence is a defect of the broker.
//!
//! The lookup of what may be gone (a link that the peer has detached) is called `find_...` and returns an `Option`: None is a
//! normal case.

/// Returns `found`. None fails a debug build; a release logs an error that names `what`, and the caller does nothing.
#[inline]
pub(crate) fn live<T>(found: Option<T>, what: &str) -> Option<T> {
    if found.is_none() {
        report_missing(what);
    }
    found
}

#[cold]
fn report_missing(what: &str) {
    debug_assert!(false, "{what} is not there");
    log::error!("{what} is not there; this is an error of the broker");
}
