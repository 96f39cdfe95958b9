//! What is known of a peer and agreed on with it, and how a method is written to it.

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

/// What is known of the peer and agreed on with it.
#[derive(Debug)]
pub(super) struct Terms {
    /// The peer's socket address, for the log.
    pub(super) name: Arc<str>,
    pub(super) version: Version,
    /// 4.2.3: frames are no larger than this. Before tune-ok that is what every peer takes.
    pub(super) frame_max: u32,
    pub(super) channel_max: u16,
    /// As whom the peer was let in.
    pub(super) user: Option<Arc<str>>,
    /// What the peer calls itself.
    pub(super) client: Option<Arc<str>>,
    pub(super) capabilities: Capabilities,
}

/// What a client can do, as it says in start-ok.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Capabilities {
    pub(super) authentication_failure_close: bool,
    pub(super) consumer_cancel_notify: bool,
    pub(super) connection_blocked: bool,
}
