//! 2.6.14: partly arrived messages count against the storage limit of the broker until they are complete or given up.

use fakebroker::Broker;

use crate::scene::{GiveUp, Scene, WAYS_TO_GIVE_UP};
use crate::support::*;

const STORAGE_LIMIT: usize = 102_000;

/// Bytes of a message that each peer sends, and the number of peers whose parts fit.
const PART: usize = 20_000;
const FIT: usize = STORAGE_LIMIT / PART;

/// Bytes of a message in one transfer.
const PIECE: usize = 400;

/// Starts a broker with little room. Its frames are small, because a connection may keep one frame's bytes beyond the limit.
fn small() -> Scene {
    Scene::of(Broker::builder().storage_limit(STORAGE_LIMIT).max_frame_size(512))
}

fn payload(size: usize) -> Vec<u8> {
    section(DATA, vec![b'x'; size - 8].into())
}

/// Encodes the transfers of the next delivery, or of the first part of it if `more`.
fn transfers(peer: &Peer, payload: &[u8], more: bool) -> Vec<u8> {
    let count = payload.len().div_ceil(PIECE);
    let transfer = |(index, piece): (usize, &[u8])| {
        let transfer = if index == 0 { transfer(0, peer.next_delivery_id()) } else { continuation(0) };
        transfer.with("more", more || index + 1 < count).with_payload(piece).bytes()
    };
    payload.chunks(PIECE).enumerate().flat_map(transfer).collect()
}

/// Builds a transfer in the middle of a delivery.
fn going_on(piece: &[u8]) -> Performative {
    continuation(0).with("more", true).with_payload(piece)
}

/// Opens a peer that has sent part of a message on link 0.
fn beginner(scene: &Scene) -> Peer {
    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "queue.large");
    peer.send(transfers(&peer, &payload(2 * PART)[..PART], true));
    peer
}

/// Stores a message that takes all of the room, with what the broker counts besides its bytes, while the bystander and `open`
/// other connections are open.
#[track_caller]
fn everything_is_free(scene: &mut Scene, open: usize) {
    scene.until("the others have gone", |broker| broker.counts().connections == 1 + open as u64);
    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "queue.whole");
    peer.send(transfers(&peer, &payload(STORAGE_LIMIT - 500), false));
    assert_eq!(peer.expect_outcome_of(0).state(), ACCEPTED);
    assert_eq!(scene.broker.purge("queue.whole"), 1);
    peer.close();
    scene.undisturbed();
}

#[test]
fn messages_that_are_arriving_stay_within_the_storage_limit_together() {
    let mut scene = small();
    let mut begun: Vec<Peer> = (0..FIT)
        .map(|_| {
            let mut peer = beginner(&scene);
            peer.round_trip();
            peer
        })
        .collect();
    let mut refused = Vec::new();
    for _ in 0..20 {
        let mut peer = beginner(&scene);
        peer.expect_detach_with(RESOURCE_LIMIT_EXCEEDED);
        // No more than the link is gone.
        peer.send(detach(0));
        peer.round_trip();
        refused.push(peer);
        scene.undisturbed();
    }
    // One gives up, so another can go on.
    begun[0].send(continuation(0).with("aborted", true));
    begun[0].expect_link_flow();
    let rest = payload(2 * PART).split_off(PART);
    let (most, last) = rest.split_at(PART - PIECE);
    begun[1].send(most.chunks(PIECE).flat_map(|piece| going_on(piece).bytes()).collect::<Vec<u8>>());
    begun[1].send(continuation(0).with_payload(last));
    assert_eq!(begun[1].expect_outcome_of(0).state(), ACCEPTED);
    assert_eq!(scene.broker.purge("queue.large"), 1);
    drop(begun);
    everything_is_free(&mut scene, refused.len());
    drop(refused);
    // Nobody is to blame for that.
    let found = scene.broker.verify().unwrap_err();
    assert_eq!(found.violations, []);
}

#[test]
fn however_a_message_is_given_up_its_room_is_free_again() {
    let mut scene = small();
    let said_so: [(&str, GiveUp); 2] = [
        ("aborted", |mut peer| {
            peer.send(continuation(0).with("aborted", true));
            peer.expect_link_flow();
            Some(peer)
        }),
        ("no continuation", |mut peer| {
            peer.send(continuation(0).with("delivery-id", 7u32).with("more", true));
            peer.expect_detach_with(INVALID_FIELD);
            Some(peer)
        }),
    ];
    each_row(said_so.into_iter().chain(WAYS_TO_GIVE_UP), |give_up| {
        let left = give_up(beginner(&scene));
        everything_is_free(&mut scene, left.iter().len());
    });
}
