//! The context of a channel: what it and its parts use of their connection while they handle a frame or an effect.

use std::collections::VecDeque;

use super::blocking::Blocking;
use super::directory::Directory;
use super::method::Method;
use super::terms::{Terms, put_method};
use super::violation::Violation;
use crate::arguments::{ArgumentOf, Arguments, why_unmet};
use crate::budget::Arriving;
use crate::config::EngineConfig;
use crate::event::{Arrival, Event};
use crate::outbox::Outbox;
use crate::unmet::{Place, Unmet, UnmetRequests};

/// The parts of a connection that a channel may use.
pub(super) struct Context<'a> {
    pub(super) config: &'a EngineConfig,
    pub(super) terms: &'a Terms,
    pub(super) out: &'a mut Outbox,
    pub(super) events: &'a mut VecDeque<Event>,
    /// The messages of the `Event::Messages` that is in `events`.
    pub(super) arrivals: &'a mut Vec<Arrival>,
    pub(super) directory: &'a mut Directory,
    /// Counts the octets of contents of which not all has arrived.
    pub(super) arriving: &'a mut Arriving,
    pub(super) blocking: &'a mut Blocking,
    pub(super) unmet: &'a mut UnmetRequests,
}

impl Context<'_> {
    /// Writes a method.
    pub(super) fn tell(&mut self, channel: u16, method: &Method<'_>) {
        put_method(self.out, self.terms.version, channel, method);
    }

    /// Notes requests that are not honoured. Fails in strict mode.
    pub(super) fn note_unmet(&mut self, requests: impl IntoIterator<Item = Unmet>) -> Result<(), Violation> {
        match self.unmet.add(requests) {
            None => Ok(()),
            Some(text) => Err(Violation::unmet(text)),
        }
    }

    /// Notes the arguments that have no effect here. Fails in strict mode.
    pub(super) fn note_arguments(
        &mut self,
        of: ArgumentOf,
        place: &Place,
        arguments: &Arguments,
    ) -> Result<(), Violation> {
        let unmet = |(name, value)| Some(Unmet::new(place, name, value, why_unmet(of, name, value)?));
        self.note_unmet(arguments.iter().filter_map(unmet))
    }
}
