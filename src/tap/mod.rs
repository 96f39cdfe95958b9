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

use crate::outbox::{Outbox, Pieces};

pub(crate) use frame::{Direction, FrameHead, FrameReader, Frames, LinkHead};
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
    /// Calls `see` with the headers and frames of an inbox that are there whole and have not been seen, and returns how many bytes
    /// the engine may read now. With `only_header` that is no more than the first of them: what follows a protocol header is
    /// not understood before the engine has read it.
    pub(crate) fn incoming<'a>(
        &mut self,
        inbox: &'a [u8],
        reader: &FrameReader,
        only_header: bool,
        mut see: impl FnMut(Frames<'a>),
    ) -> usize {
        let most = if only_header { 1 } else { Frames::MAX };
        while let Some(unseen) = inbox.get(self.received..).filter(|unseen| !unseen.is_empty()) {
            let frames = match first_frames(unseen, reader, most) {
                FirstFrames::Small { bytes, count } => Frames::small(bytes, count),
                FirstFrames::Other { extent } => match extent.and_then(|extent| unseen.get(..extent)) {
                    Some(bytes) => Frames::one(bytes, Pieces::default(), bytes.len()),
                    None => break,
                },
            };
            self.received += frames.len();
            see(frames);
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

    /// Calls `see` with the headers and frames that have been put into an outbox since the last time.
    pub(crate) fn outgoing<'a>(&mut self, outbox: &'a Outbox, reader: &FrameReader, mut see: impl FnMut(Frames<'a>)) {
        let mut pieces = outbox.pieces(self.sent);
        self.sent = outbox.len();
        let mut piece = pieces.next().unwrap_or_default();
        while !piece.is_empty() {
            let frames = match first_frames(piece, reader, Frames::MAX) {
                FirstFrames::Small { bytes, count } => Frames::small(bytes, count),
                FirstFrames::Other { extent } => {
                    let extent = extent.unwrap_or(piece.len());
                    Frames::one(piece.get(..extent).unwrap_or(piece), pieces.clone(), extent)
                }
            };
            let mut left = frames.len();
            see(frames);
            // Moves on to where the last of them ends.
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

/// The first header or frame of a piece of a stream, or the first few if they are small.
enum FirstFrames<'a> {
    /// Small ones that are there whole: all these bytes.
    Small { bytes: &'a [u8], count: usize },
    /// One that is large or not there whole. None if there are too few bytes to know where it ends.
    Other { extent: Option<usize> },
}

/// Finds the first header or frame, and up to `most` if they are small.
fn first_frames<'a>(bytes: &'a [u8], reader: &FrameReader, most: usize) -> FirstFrames<'a> {
    let (mut rest, mut count) = (bytes, 0);
    while count < most && !rest.is_empty() {
        let extent = (reader.extent)(rest).map(|extent| extent.max(1));
        match extent.filter(|extent| *extent <= Frames::SMALL).and_then(|extent| rest.get(extent..)) {
            Some(others) => rest = others,
            None if count == 0 => return FirstFrames::Other { extent },
            None => break,
        }
        count += 1;
    }
    FirstFrames::Small { bytes: bytes.get(..bytes.len() - rest.len()).unwrap_or(bytes), count }
}
