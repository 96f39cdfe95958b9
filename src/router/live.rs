//! Lookups of two kinds. A name may be stale, since its owner may have left meanwhile: the lookup is called `find` or is an
//! `Option`, and None is nothing special. Or the thing must be there as long as whoever names it: that is said with [`live`],
//! and None is an error of this program.

/// What must be there. A test that finds it missing fails; a release says so in the log and takes the caller's safe way out.
#[inline]
pub(super) fn live<T>(found: Option<T>, what: &str) -> Option<T> {
    if found.is_none() {
        debug_assert!(false, "{what} is not there");
        log::error!("{what} is not there; this is an error of the broker");
    }
    found
}
