//! The name of the default virtual host, which texts leave out.

use std::fmt;

/// The virtual host that is always there, and that clients get which name none.
pub(crate) const DEFAULT_VHOST: &str = "/";

/// Writes the virtual host of something, unless it is the default one.
pub(crate) fn write_vhost(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if name == DEFAULT_VHOST { Ok(()) } else { write!(f, " in vhost {name:?}") }
}
