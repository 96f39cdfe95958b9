//! A connection that must not be affected by what a test does to the broker.

use std::sync::atomic::{AtomicU32, Ordering};

use super::peer::Peer;
use super::performative::{ACCEPTED, RECEIVER, accepted, disposition};
use super::section::text;
use super::socket::At;

/// A peer that sends itself messages through the broker, on one session with a link each way, at an address of its own.
pub struct Bystander {
    peer: Peer,
    sends: bool,
    messages: u64,
}

impl Bystander {
    #[track_caller]
    pub fn new(broker: &impl At) -> Bystander {
        static BYSTANDERS: AtomicU32 = AtomicU32::new(0);
        let address = format!("bystander.{}", BYSTANDERS.fetch_add(1, Ordering::Relaxed));
        let mut peer = Peer::opened(broker);
        peer.attach_receiver("in", 0, &address, 1_000_000);
        peer.attach_sender("out", 1, &address);
        Bystander { peer, sends: true, messages: 0 }
    }

    /// Opens a bystander that sends no messages, for a broker that gives no credit: it only makes round trips.
    #[track_caller]
    pub fn without_credit(broker: &impl At) -> Bystander {
        Bystander { peer: Peer::opened(broker), sends: false, messages: 0 }
    }

    /// Number of messages that it has sent itself and accepted.
    pub fn sent(&self) -> u64 {
        self.messages
    }

    /// Sends itself a message and receives it, on the same connection as before.
    #[track_caller]
    pub fn undisturbed(&mut self) {
        if self.sends {
            self.send_to_itself();
        }
        // Its acceptance is counted, too, by the time this returns.
        self.peer.expect_nothing();
    }

    #[track_caller]
    fn send_to_itself(&mut self) {
        let sent = format!("message {}", self.messages);
        self.messages += 1;
        let id = self.peer.send_message(1, &sent);
        // Delivery and outcome come in either order.
        let mut delivered = false;
        let mut settled = false;
        while !delivered || !settled {
            match self.peer.hear() {
                super::Heard::Frame(frame) if frame.code() == super::TRANSFER => {
                    assert_eq!(text(&frame.payload), sent, "the bystander's message");
                    self.peer.send(disposition(RECEIVER, frame.number("delivery-id") as u32, accepted()));
                    delivered = true;
                }
                super::Heard::Frame(frame) if frame.code() == super::DISPOSITION && frame.flag("role") => {
                    assert_eq!((frame.number("first"), frame.state()), (id.into(), ACCEPTED), "{frame:?}");
                    settled = true;
                }
                super::Heard::Frame(frame) if frame.code() == super::FLOW => {}
                super::Heard::EmptyFrame => {}
                other => self.peer.fail(&format!("the bystander is disturbed by {other:?}")),
            }
        }
    }
}
