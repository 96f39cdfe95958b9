//! A connection that must not be affected by what a test does to the broker.

use crate::support::At;

use super::{Peer091, publish};

/// A connection that sends itself a message on request.
pub struct Bystander091 {
    peer: Peer091,
    count: u64,
}

impl Bystander091 {
    #[track_caller]
    pub fn new(broker: &impl At) -> Bystander091 {
        let mut peer = Peer091::opened(broker);
        peer.declare("bystander");
        peer.consume("bystander", "b");
        Bystander091 { peer, count: 0 }
    }

    #[track_caller]
    pub fn undisturbed(&mut self) {
        self.count += 1;
        let text = format!("message {}", self.count);
        self.peer.send(publish(1, "", "bystander", &[], &[0, 0], text.as_bytes()));
        let delivery = self.peer.expect_delivery();
        assert_eq!((delivery.text(), delivery.tag), (text.as_str(), self.count));
        self.peer.ack(delivery.tag, false);
    }
}
