//! The bytes that wait to be written to one socket. Engines append, the transport consumes; neither sees the other.
//!
//! Small pieces are copied into one growing buffer, large ones are chained uncopied.

use std::collections::{VecDeque, vec_deque};
use std::io::IoSlice;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

/// Minimum size of a piece that is chained instead of copied.
const CHAIN_FROM: usize = 4 * 1024;

/// Maximum capacity of a buffer that is not worth lending.
const KEEP_CAPACITY: usize = 1024;

/// The bytes for one socket, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    chained: VecDeque<Bytes>,
    open: BytesMut,
    len: usize,
    answers: usize,
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.len + self.open.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes that were appended since the outbox was last empty, without deliveries: replies that a peer can cause
    /// without giving credit.
    pub(crate) fn answers(&self) -> usize {
        self.answers
    }

    /// Appends what `write` writes, and removes it if `write` fails. `write` gets an empty buffer part.
    pub(crate) fn append<E>(&mut self, write: impl FnOnce(&mut BytesMut) -> Result<(), E>) -> Result<(), E> {
        let start = self.open.len();
        let result = write(&mut self.open);
        match result {
            Ok(()) => self.answers += self.open.len() - start,
            Err(_) => self.open.truncate(start),
        }
        result
    }

    /// Appends the head of a delivery's frame.
    pub(crate) fn append_delivery(&mut self, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.open);
    }

    /// Appends a piece of a delivery's payload.
    pub(crate) fn append_payload(&mut self, fragment: &Bytes, range: Range<usize>) {
        if range.len() < CHAIN_FROM {
            self.open.extend_from_slice(fragment.get(range).unwrap_or_default());
        } else {
            self.seal();
            self.len += range.len();
            self.chained.push_back(fragment.slice(range));
        }
    }

    /// Counts `bytes` of an appended delivery as a reply, because no credit was used for it (basic.get).
    pub(crate) fn count_as_answer(&mut self, bytes: usize) {
        self.answers += bytes;
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.len += self.open.len();
            self.chained.push_back(self.open.split().freeze());
        }
    }

    /// Fills `slices` with the first pieces. Returns how many it used.
    pub(crate) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut used = 0;
        for (slot, piece) in slices.iter_mut().zip(self.pieces(0)) {
            *slot = IoSlice::new(piece);
            used += 1;
        }
        used
    }

    /// Returns the pieces that contain all but the first `skipped` bytes. None of them is empty. What one call to
    /// [`Outbox::append`] or [`Outbox::append_delivery`] appended lies in one piece.
    pub(crate) fn pieces(&self, mut skipped: usize) -> Pieces<'_> {
        let mut pieces = Pieces { first: &[], chained: self.chained.iter(), open: &self.open };
        while let Some(piece) = pieces.next() {
            if skipped < piece.len() {
                pieces.first = piece.get(skipped..).unwrap_or_default();
                break;
            }
            skipped -= piece.len();
        }
        pieces
    }

    /// Removes the first `written` bytes.
    pub(crate) fn consume(&mut self, mut written: usize) {
        while let Some(first) = self.chained.front_mut() {
            let part = written.min(first.len());
            written -= part;
            self.len -= part;
            first.advance(part);
            if !first.is_empty() {
                return;
            }
            self.chained.pop_front();
        }
        if written >= self.open.len() {
            // Keeps the capacity for the next turn.
            self.open.clear();
            self.answers = 0;
        } else {
            self.open.advance(written);
        }
    }

    /// Hands over the buffer for use by other outboxes, if the outbox is empty and the buffer is large.
    pub(crate) fn lend(&mut self) -> Option<BytesMut> {
        (self.is_empty() && self.open.capacity() > KEEP_CAPACITY).then(|| std::mem::take(&mut self.open))
    }

    /// Whether the outbox has no buffer of its own.
    pub(crate) fn is_bare(&self) -> bool {
        self.open.capacity() == 0
    }

    /// Takes a buffer that another outbox has lent.
    pub(crate) fn borrow(&mut self, buffer: BytesMut) {
        if self.is_bare() {
            self.open = buffer;
        }
    }
}

/// The bytes of an outbox in pieces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces<'a> {
    first: &'a [u8],
    chained: vec_deque::Iter<'a, Bytes>,
    open: &'a [u8],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if !self.first.is_empty() {
            return Some(std::mem::take(&mut self.first));
        }
        let next = match self.chained.next() {
            Some(piece) => piece,
            None => std::mem::take(&mut self.open),
        };
        (!next.is_empty()).then_some(next)
    }
}
