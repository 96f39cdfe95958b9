//! How the router's decisions come into the record.

use super::Recorder;
use super::messages::LinkName;
use crate::event::{Party, Record};

impl Recorder {
    /// Keeps a decision of the router.
    pub(crate) fn record(&mut self, record: Record) {
        let name = |Party { link, name }: Party| LinkName::new(link, &name);
        match record {
            Record::Arrived { number, from, address, settled, message } => {
                self.arrived(number, from.map(name), &address, settled, &message);
            }
            Record::Waits { number, address } => self.waits(number, &address),
            Record::Forwarded { number, to, address } => self.forwarded(number, to.link, &to.name, &address),
            Record::Dropped { number, address, why } => self.dropped(number, &address, why),
            Record::Lost { number, address, why } => self.lost(number, &address, why),
            Record::Ruled { number, address, what } => self.ruled(number, &address, what),
            Record::Told { number, outcome } => self.told(number, &outcome),
            Record::Answered { number, by, outcome } => self.answered(number, by.link, &by.name, &outcome),
        }
    }
}
