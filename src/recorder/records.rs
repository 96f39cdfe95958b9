//! The records that the router makes of its decisions, and where the recorder keeps each.

use super::Recorder;
use super::messages::LoggedLink;
use crate::event::Record;

impl Recorder {
    /// Keeps a record of the router.
    pub(crate) fn record(&mut self, record: Record) {
        match record {
            Record::Arrived { number, from, address, settled, message } => {
                self.arrived(number, from.map(LoggedLink::from), address, settled, message);
            }
            Record::Waits { number, address } => self.waits(number, address),
            Record::Forwarded { number, to, address } => self.forwarded(number, to.into(), address),
            Record::Dropped { number, address, why } => self.dropped(number, &address, why),
            Record::Lost { number, address, why } => self.lost(number, &address, why),
            Record::Ruled { number, address, what } => self.ruled(number, &address, what),
            Record::Told { number, outcome } => self.told(number, outcome),
            Record::Answered { number, by, outcome } => self.answered(number, &by.into(), outcome),
        }
    }
}
