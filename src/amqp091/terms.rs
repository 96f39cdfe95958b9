//! The terms of a connection: what is known of the peer and agreed on with it. Also writes methods in a version's
//! encoding.

use std::convert::Infallible;
use std::sync::Arc;

use super::frame::{self, FrameType};
use super::method::Method;
use super::types::Version;
use crate::outbox::Outbox;

/// Writes a method in a frame.
pub(super) fn put_method(out: &mut Outbox, version: Version, channel: u16, method: &Method<'_>) {
    let _ = out.append(|out| {
        frame::put(out, FrameType::Method, channel, |out| method.write(out, version));
        Ok::<(), Infallible>(())
    });
}

/// The terms of a connection: what is known of the peer and agreed on with it.
#[derive(Debug)]
pub(super) struct Terms {
    /// The peer's socket address, for the log.
    pub(super) name: Arc<str>,
    pub(super) version: Version,
    /// 4.2.3: the size of the largest frame, in either direction. Before tune-ok it is the size that every peer
    /// accepts.
    pub(super) frame_max: u32,
    pub(super) channel_max: u16,
    /// The name of the user that the peer authenticated as.
    pub(super) user: Option<Arc<str>>,
    /// The name that the peer gives itself: its `connection_name` or `product`.
    pub(super) client: Option<Arc<str>>,
    /// The virtual host that the connection is open on.
    pub(super) virtual_host: Arc<str>,
    pub(super) capabilities: Capabilities,
}

/// The capabilities of a client, as its start-ok declares them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Capabilities {
    pub(super) authentication_failure_close: bool,
    pub(super) consumer_cancel_notify: bool,
    pub(super) connection_blocked: bool,
}
