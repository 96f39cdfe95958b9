//! Bytes waiting for one socket. Engines append, the transport takes away; neither sees the other.
//!
//! Small pieces are copied into one growing buffer (cheaper than a chained slice), large ones are chained as they are.

use std::collections::{VecDeque, vec_deque};
use std::io::IoSlice;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

/// A piece from this size up is chained instead of copied.
const CHAIN_FROM: usize = 4 * 1024;

/// A buffer no larger than this is not worth handing round.
const KEEP_CAPACITY: usize = 1024;

/// The bytes that wait for one socket, in order.
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

    /// Bytes of everything but deliveries that were queued since it was empty last: what a peer can make us say without
    /// having given credit for it.
    pub(crate) fn answers(&self) -> usize {
        self.answers
    }

    /// Appends what `write` writes and takes it back if that fails. `write` sees only its own bytes to be.
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

    /// Of what has been appended as a delivery so many bytes were asked for without credit.
    pub(crate) fn count_as_answer(&mut self, bytes: usize) {
        self.answers += bytes;
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.len += self.open.len();
            self.chained.push_back(self.open.split().freeze());
        }
    }

    /// Fills `slices` with what comes first; returns how many it used.
    pub(crate) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut used = 0;
        for (slot, piece) in slices.iter_mut().zip(self.pieces(0)) {
            *slot = IoSlice::new(piece);
            used += 1;
        }
        used
    }

    /// The pieces that all but the first `skipped` bytes lie in. None of them is empty. What was appended in one call to
    /// [`Outbox::append`] or [`Outbox::append_delivery`] lies in one piece.
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

    /// Forgets the first `written` bytes.
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

    /// Hands over its buffer for others to use, if it is empty and the buffer has grown large.
    pub(crate) fn lend(&mut self) -> Option<BytesMut> {
        (self.is_empty() && self.open.capacity() > KEEP_CAPACITY).then(|| std::mem::take(&mut self.open))
    }

    /// Whether a buffer would be welcome.
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

/// Bytes of an outbox, piece by piece.
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
