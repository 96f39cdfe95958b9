//! The records that the router makes of its decisions, and where the recorder keeps each.

use std::sync::Arc;

use super::Recorder;
use super::entry::{Decision, DecisionKind};
use super::messages::LoggedLink;
use crate::event::{Decided, Numbers, Record, Records};

impl Recorder {
    /// Keeps the records of the router, and empties their lists.
    pub(crate) fn record(&mut self, records: &mut Records) {
        self.messages.add(&mut records.arrived, &mut records.payloads);
        self.publishes.add(&mut records.published, &self.messages);
        for Record { messages, what } in records.decided.drain(..) {
            self.decided(messages, what);
        }
        for (messages, outcome) in records.told.drain(..) {
            self.messages.told(messages, &outcome);
        }
    }

    fn decided(&mut self, messages: Numbers, what: Decided) {
        match what {
            Decided::Waits { address } => {
                self.messages.waits(messages);
                self.trace_decision(messages, address, DecisionKind::Waits);
            }
            Decided::Forwarded { to, address } => {
                let to = LoggedLink::from(to);
                self.messages.forwarded(messages, &to);
                self.trace_decision(messages, address, DecisionKind::Forwarded(to));
            }
            Decided::Dropped { address, why } => {
                let why = super::shown(why);
                self.messages.dropped(messages, &why);
                self.trace_decision(messages, address, DecisionKind::Dropped(why));
            }
            Decided::Lost { address, why } => {
                // The message is dropped if no consumer has it then.
                if self.messages.lost(messages) {
                    self.decided(messages, Decided::Dropped { address, why: why.into() });
                }
            }
            Decided::Ruled { address, what } => {
                self.messages.ruled(messages);
                self.trace_decision(messages, address, DecisionKind::Ruled(what));
            }
            Decided::Answered { by, outcome } => self.messages.answered(messages, &by.into(), &outcome),
        }
    }

    fn trace_decision(&mut self, messages: Numbers, address: Arc<str>, kind: DecisionKind) {
        if self.trace.is_on() {
            self.trace.decided(Decision { messages, address: super::shown(address), kind });
        }
    }
}
