//! A run of messages for the router: transfers that follow each other on one link, as long as no answer of the router could make
//! the next one illegal. `connection.rs` asks before each frame whether it may join.

use super::frame;
use super::types::code;
use crate::event::{Arrival, Destination, Event, LinkId, Run};
use crate::live::live;

/// The whole messages of one link that have been read and not handed to the router.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    run: Vec<Arrival>,
    limit: usize,
    /// The source of the messages in `run`.
    source: Option<Source>,
}

#[derive(Debug)]
struct Source {
    link: LinkId,
    to: Destination,
    /// The channel and handle of the transfers, as the peer numbers them.
    channel: u16,
    handle: u32,
    /// The credit that the link has left.
    credit: u32,
}

impl Gathered {
    /// Borrows the run that messages are gathered in.
    pub(crate) fn borrow(&mut self, run: &mut Run) {
        debug_assert!(run.arrivals.is_empty(), "the router has taken what was gathered before");
        self.limit = run.limit;
        std::mem::swap(&mut self.run, &mut run.arrivals);
    }

    /// Gives the run back, with the event for what has been gathered in it.
    pub(crate) fn give_back(&mut self, run: &mut Run) -> Option<Event> {
        std::mem::swap(&mut self.run, &mut run.arrivals);
        let Source { link, to, credit, .. } = self.source.take()?;
        Some(Event::Messages { link, to, credit })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.source.is_none()
    }

    /// Adds a message: the first, or one whose transfer [`Gathered::goes_on_with`] has let pass.
    pub(crate) fn add(
        &mut self,
        link: LinkId,
        to: Destination,
        (channel, handle): (u16, u32),
        credit: u32,
        arrival: Arrival,
    ) {
        self.run.push(arrival);
        match &mut self.source {
            Some(source) => source.credit = credit,
            None => self.source = Some(Source { link, to, channel, handle, credit }),
        }
    }

    /// Returns the link, channel and handle of the run, and how many messages may still join it. None if none may.
    pub(crate) fn place(&self) -> Option<(LinkId, u16, u32, usize)> {
        let Source { link, to: Destination::Link, channel, handle, .. } = self.source.as_ref()? else { return None };
        Some((*link, *channel, *handle, self.limit.saturating_sub(self.run.len())))
    }

    /// Adds a message of the same link, which leaves that much credit.
    #[inline]
    pub(crate) fn push(&mut self, arrival: Arrival, credit: u32) {
        self.run.push(arrival);
        if let Some(source) = live(self.source.as_mut(), "the first of the messages that were gathered") {
            source.credit = credit;
        }
    }

    /// Whether the next frame in `input` is a transfer that may join the run. A frame that has not arrived whole, or in an
    /// unusual encoding, may not.
    #[inline]
    pub(crate) fn goes_on_with(&self, input: &[u8]) -> bool {
        let Some(Source { to: Destination::Link, channel, handle, credit, .. }) = &self.source else { return false };
        // The router may grant credit first.
        if *credit == 0 || self.run.len() >= self.limit {
            return false;
        }
        let [s0, s1, s2, s3, 2, 0, c0, c1, code::DESCRIBED, code::SMALLULONG, 0x14, ref list @ ..] = *input else {
            return false;
        };
        let fields = match *list {
            [code::LIST8, _, _, ref fields @ ..] => fields,
            [code::LIST32, _, _, _, _, _, _, _, _, ref fields @ ..] => fields,
            _ => return false,
        };
        let is_here = input.len() >= u32::from_be_bytes([s0, s1, s2, s3]) as usize;
        is_here && [c0, c1] == channel.to_be_bytes() && is_handle(fields, *handle)
    }
}

/// Whether the first field is this handle, in a usual encoding.
fn is_handle(fields: &[u8], handle: u32) -> bool {
    match *fields {
        [code::UINT0, ..] => handle == 0,
        [code::SMALLUINT, value, ..] => handle == u32::from(value),
        [code::UINT, a, b, c, d, ..] => handle == u32::from_be_bytes([a, b, c, d]),
        _ => false,
    }
}

const _: () = assert!(frame::HEADER == 8, "the patterns above begin with a frame header");
