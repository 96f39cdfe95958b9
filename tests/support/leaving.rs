//! The ways in which a peer can leave, and ways to settle what it has received.

use fakebroker::Broker;

use super::batch::until;
use super::peer::Peer;
use super::performative::*;
use super::rows::each_row;
use super::wire::Value;

/// Makes a peer leave.
type WayToLeave = fn(Peer);

/// All ways to leave, by name, for a peer with one link on handle 0.
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

/// Runs `check` for each way in which all links of a peer are detached together.
pub fn each_way_to_leave_together(check: impl FnMut(WayToLeave)) {
    let [_, _, together @ ..] = WAYS_TO_LEAVE;
    each_row(together, check);
}

/// Resets the connection and waits until the broker has no receiver any more.
#[track_caller]
pub fn lose(broker: &Broker, peer: Peer) {
    peer.reset();
    until(broker, "its links are gone", |counts| counts.receiver_links == 0);
}

/// Builds a `rejected` state with an error.
pub fn rejected_with(condition: &str, description: &str) -> Value {
    composite(REJECTED, &[("error", error(condition, description))])
}

/// Builds a `modified` state with fields.
pub fn modified_with(fields: &[(&str, Value)]) -> Value {
    composite(MODIFIED, fields)
}

impl Peer {
    /// Receives as many messages as there are outcomes, and settles each with its own. The broker has processed them on return.
    #[track_caller]
    pub fn receive_and_settle(&mut self, states: impl IntoIterator<Item = Value>) {
        for state in states {
            let delivery = self.expect_transfer();
            self.settle(&delivery, state);
        }
        self.expect_nothing();
    }
}
