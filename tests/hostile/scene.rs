//! A broker with a bystander: a connection that the case under test must not affect.

use std::time::Instant;

use fakebroker::{Broker, Builder};

use crate::support::*;

pub(crate) struct Scene {
    pub(crate) broker: Broker,
    pub(crate) bystander: Bystander,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        Scene::of(Broker::builder())
    }

    pub(crate) fn of(builder: Builder) -> Scene {
        let broker = builder.start().unwrap();
        let bystander = Bystander::new(&broker);
        Scene { broker, bystander }
    }

    /// Starts a broker that gives no credit, not even to the bystander.
    pub(crate) fn without_credit() -> Scene {
        let broker = Broker::builder().credit_window(0).start().unwrap();
        let bystander = Bystander::without_credit(&broker);
        Scene { broker, bystander }
    }

    /// Opens a peer with a session on channel 0.
    #[track_caller]
    pub(crate) fn peer(&self) -> Peer {
        Peer::opened(&self.broker)
    }

    #[track_caller]
    pub(crate) fn undisturbed(&mut self) {
        self.bystander.undisturbed();
    }

    /// Waits until only the bystander is connected. The bystander sends itself messages meanwhile.
    #[track_caller]
    pub(crate) fn until_alone(&mut self) {
        self.until("only the bystander is connected", |broker| broker.counts().connections == 1);
    }

    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut happened: impl FnMut(&Broker) -> bool) {
        let deadline = Instant::now() + patience();
        while !happened(&self.broker) {
            assert!(Instant::now() < deadline, "waited in vain until {what}: {:?}", self.broker.counts());
            // Each message is a turn of the loop, so this waits by the broker's own clock.
            self.bystander.undisturbed();
        }
        self.bystander.undisturbed();
    }
}

/// Gives up what a peer has begun on link 0. Returns the peer if its connection stays open, with a session and without links.
pub(crate) type GiveUp = fn(Peer) -> Option<Peer>;

/// The ways to give up a delivery without saying so: detach, end, close, and loss of the connection.
pub(crate) const WAYS_TO_GIVE_UP: [(&str, GiveUp); 6] = [
    ("detach", |mut peer| {
        peer.send(detach(0));
        peer.expect_detach();
        Some(peer)
    }),
    ("end", |mut peer| {
        peer.send(end());
        peer.expect_end();
        peer.begin(begin());
        Some(peer)
    }),
    ("close", |peer| {
        peer.close();
        None
    }),
    ("FIN", |mut peer| {
        peer.hang_up();
        peer.drain_to_eof();
        None
    }),
    ("RST", |peer| {
        peer.reset();
        None
    }),
    ("a fault", |mut peer| {
        peer.send(frame_with_size(0, 2, 0, 0, b""));
        peer.expect_closed_with(FRAMING_ERROR);
        None
    }),
];
