//! 4.2.6: partly arrived contents count against the storage limit of the broker until they are complete or given up.

use fakebroker::Broker;

use crate::support::{each_row, until};
use crate::support091::*;

const STORAGE_LIMIT: usize = 102_000;

/// Octets of a content that each peer sends, and the number of peers whose parts fit.
const PART: usize = 20_000;
const FIT: usize = STORAGE_LIMIT / PART;

/// Octets in one body frame.
const PIECE: usize = 4000;

/// Starts a broker with little room. Its frames are small, because a connection may keep one frame's octets beyond the limit.
fn small() -> (Broker, Bystander091) {
    let broker = Broker::builder().storage_limit(STORAGE_LIMIT).max_frame_size(4096).start().unwrap();
    let bystander = Bystander091::new(&broker);
    (broker, bystander)
}

/// Sends the frames of a publish up to `sent` octets of its body, the method in a segment of its own.
fn begin(peer: &mut Peer091, size: usize, sent: usize) {
    peer.send(method(1, PUBLISH).short(0).shortstr("").shortstr("q").bits(&[]));
    peer.send(content_header(1, size as u64, &NO_PROPERTIES));
    go_on(peer, sent);
}

/// Sends more of the body.
fn go_on(peer: &mut Peer091, octets: usize) {
    peer.send(vec![b'x'; octets].chunks(PIECE).flat_map(|piece| body(1, piece)).collect::<Vec<u8>>());
}

/// Opens a peer that has sent part of a content on channel 1.
fn beginner(broker: &Broker) -> Peer091 {
    let mut peer = Peer091::opened(broker);
    peer.declare("q");
    begin(&mut peer, 2 * PART, PART);
    peer
}

/// Stores a message that takes all of the room, with what the broker counts besides its octets, while the bystander and `open`
/// other connections are open.
#[track_caller]
fn everything_is_free(broker: &Broker, bystander: &mut Bystander091, open: usize) {
    until(broker, "the others have gone", |counts| counts.connections == 1 + open as u64);
    let mut peer = Peer091::opened(broker);
    peer.send(method(1, CONFIRM).bits(&[false]));
    peer.expect(CONFIRM_OK);
    let size = STORAGE_LIMIT - 1000;
    begin(&mut peer, size, size);
    assert_eq!(peer.expect(ACK).longlong(), 1);
    assert_eq!(broker.purge("q"), 1);
    peer.close();
    bystander.undisturbed();
}

#[test]
fn contents_that_are_arriving_stay_within_the_storage_limit_together() {
    let (broker, mut bystander) = small();
    let mut begun: Vec<Peer091> = (0..FIT)
        .map(|_| {
            let mut peer = beginner(&broker);
            peer.open_channel(2);
            peer
        })
        .collect();
    let mut refused = Vec::new();
    for _ in 0..20 {
        let mut peer = beginner(&broker);
        peer.expect_channel_closed_with(1, 506);
        // No more than the channel is gone.
        peer.open_channel(2);
        refused.push(peer);
        bystander.undisturbed();
    }
    // One gives up, so another can go on.
    begun.pop().unwrap().close();
    go_on(&mut begun[0], PART);
    begun[0].round_trip();
    assert_eq!(begun[0].get("q", true).unwrap().body.len(), 2 * PART);
    drop(begun);
    everything_is_free(&broker, &mut bystander, refused.len());
    drop(refused);
    // Nobody is to blame for that.
    let found = broker.verify().unwrap_err();
    assert_eq!(found.violations, []);
}

#[test]
fn however_a_content_is_given_up_its_room_is_free_again() {
    let (broker, mut bystander) = small();
    type GiveUp = fn(Peer091);
    let rows: [(&str, GiveUp); 6] = [
        ("the connection is closed", |peer| peer.close()),
        ("FIN", |mut peer| {
            peer.hang_up();
            peer.expect_eof();
        }),
        ("RST", |peer| peer.reset()),
        ("a method in between", |mut peer| {
            peer.send(queue_declare(1, "other", &[]));
            peer.expect_closed_with(505);
        }),
        ("too much of it", |mut peer| {
            go_on(&mut peer, PART - PIECE);
            peer.send(body(1, &[b'x'; PIECE + 1]));
            peer.expect_closed_with(505);
        }),
        ("a second header", |mut peer| {
            peer.send(content_header(1, 1, &NO_PROPERTIES));
            peer.expect_closed_with(505);
        }),
    ];
    each_row(rows, |give_up| {
        give_up(beginner(&broker));
        everything_is_free(&broker, &mut bystander, 0);
    });
}
