//! The tap: shows each header and frame between a socket and an engine to an observer, whatever the protocol.
//!
//! The event loop calls a connection's [`Tap`] before the engine reads from an inbox and before a socket is written from an
//! outbox. The tap finds where frames begin and end, and calls back with each, without a copy. While no observer wants frames the
//! loop does not call it.
//!
//! The engine may read only what [`Tap::incoming`] has let pass: there a frame could be held, dropped or changed before it is
//! read, and in [`Tap::outgoing`] before it is written.

mod frame;
mod frame_text;

use crate::outbox::Outbox;

pub(crate) use frame::{Direction, Frame, FrameHead, FrameReader, LinkHead};
pub(crate) use frame_text::{Capped, FrameText};

/// The positions up to which the bytes of one connection have been seen, each way.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    /// Bytes at the front of the inbox that have been seen and that the engine has not read yet.
    received: usize,
    /// Bytes at the front of the outbox that have been seen and that are not written yet.
    sent: usize,
}

impl Tap {
    /// Calls `see` with each header and frame of an inbox that is there whole and has not been seen, and returns how many bytes
    /// the engine may read now. With `only_header` that is no more than the first of them: what follows a protocol header is
    /// not understood before the engine has read it.
    pub(crate) fn incoming<'a>(
        &mut self,
        inbox: &'a [u8],
        reader: &FrameReader,
        only_header: bool,
        mut see: impl FnMut(Frame<'a>),
    ) -> usize {
        while let Some(unseen) = inbox.get(self.received..).filter(|unseen| !unseen.is_empty())
            && let Some(extent) = (reader.extent)(unseen)
            && let Some(bytes) = unseen.get(..extent.max(1))
        {
            see(Frame::new(bytes, Default::default(), bytes.len()));
            self.received += bytes.len();
            if only_header {
                return self.received;
            }
        }
        inbox.len()
    }

    /// Records that the engine has read this many bytes.
    pub(crate) fn received(&mut self, bytes: usize) {
        self.received = self.received.saturating_sub(bytes);
    }

    /// Forgets which unread bytes have been seen. They are shown again when the engine goes on reading.
    pub(crate) fn forget_unread(&mut self) {
        self.received = 0;
    }

    /// Calls `see` with each header and frame that has been put into an outbox since the last time.
    pub(crate) fn outgoing<'a>(&mut self, outbox: &'a Outbox, reader: &FrameReader, mut see: impl FnMut(Frame<'a>)) {
        let mut pieces = outbox.pieces(self.sent);
        self.sent = outbox.len();
        let mut piece = pieces.next().unwrap_or_default();
        while !piece.is_empty() {
            let extent = (reader.extent)(piece).unwrap_or(piece.len()).max(1);
            see(Frame::new(piece.get(..extent).unwrap_or(piece), pieces.clone(), extent));
            // Moves on to where the frame ends.
            let mut left = extent;
            while left >= piece.len() {
                left -= piece.len();
                match pieces.next() {
                    Some(next) => piece = next,
                    None => return,
                }
            }
            piece = piece.get(left..).unwrap_or_default();
        }
    }

    /// Records that some of an outbox has been written. Bytes that were put into it before are not shown any more.
    pub(crate) fn written(&mut self, outbox: &Outbox) {
        self.sent = outbox.len();
    }
}
