//! How a peer leaves, in all the ways that there are, and how it settles what it has.

use fakebroker::Broker;

use super::batch::until;
use super::peer::Peer;
use super::performative::*;
use super::rows::each_row;
use super::wire::Value;

/// What a peer does to leave.
type WayToLeave = fn(Peer);

/// All of them, by name. It has one link, with handle 0.
const WAYS_TO_LEAVE: [(&str, WayToLeave); 6] = [
    ("detach", |mut peer| {
        peer.send(detach(0));
        peer.expect_detach();
    }),
    ("detach without closed", |mut peer| {
        peer.send(detach(0).without("closed"));
        peer.expect_detach();
    }),
    ("end", |mut peer| {
        peer.send(end());
        peer.expect_end();
    }),
    ("close", Peer::close),
    ("hang up", |mut peer| peer.hang_up()),
    ("reset", Peer::reset),
];

/// Runs `check` for each way to leave.
pub fn each_way_to_leave(check: impl FnMut(WayToLeave)) {
    each_row(WAYS_TO_LEAVE, check);
}

/// The same for those ways that all links of a peer go together.
pub fn each_way_to_leave_together(check: impl FnMut(WayToLeave)) {
    let [_, _, together @ ..] = WAYS_TO_LEAVE;
    each_row(together, check);
}

/// Leaves without a word and waits until the broker knows that nobody receives any more.
#[track_caller]
pub fn lose(broker: &Broker, peer: Peer) {
    peer.reset();
    until(broker, "its links are gone", |counts| counts.receiver_links == 0);
}

/// A `rejected` that says why.
pub fn rejected_with(condition: &str, description: &str) -> Value {
    composite(REJECTED, &[("error", error(condition, description))])
}

/// A `modified` that says what.
pub fn modified_with(fields: &[(&str, Value)]) -> Value {
    composite(MODIFIED, fields)
}

impl Peer {
    /// Receives as many messages as there are outcomes, and settles each with its own; the broker knows when this returns.
    #[track_caller]
    pub fn receive_and_settle(&mut self, states: impl IntoIterator<Item = Value>) {
        for state in states {
            let delivery = self.expect_transfer();
            self.settle(&delivery, state);
        }
        self.expect_nothing();
    }
}
