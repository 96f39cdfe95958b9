//! Messages of random sizes, cut at random, over random frame sizes and windows: all arrive, byte for byte, in order.

use fakebroker::Broker;
use proptest::prelude::*;

use crate::support::*;

/// A message by its size and a seed, and into what parts it is cut.
#[derive(Clone, Debug)]
struct Sent {
    size: usize,
    seed: u32,
    cuts: Vec<usize>,
    settled: bool,
    /// On which of two links.
    link: u32,
}

impl Sent {
    fn payload(&self) -> Vec<u8> {
        (0..self.size as u32)
            .map(|index| (index.wrapping_add(self.seed).wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect()
    }

    /// Its transfers, none larger than a frame may be.
    fn transfers(&self, id: u32, max_frame_size: usize) -> Vec<Vec<u8>> {
        let payload = self.payload();
        let mut cuts: Vec<usize> = self.cuts.iter().map(|cut| cut % (self.size + 1)).collect();
        cuts.extend([0, self.size]);
        cuts.sort_unstable();
        let room = max_frame_size - 64;
        let mut parts: Vec<&[u8]> = Vec::new();
        for ends in cuts.windows(2) {
            parts.extend(payload[ends[0]..ends[1]].chunks(room));
        }
        if parts.is_empty() {
            parts.push(&[]);
        }
        let count = parts.len();
        let transfer = |(number, part): (usize, &&[u8])| {
            let start = match number {
                0 => transfer(self.link, id).with("settled", self.settled),
                _ => continuation(self.link).with("settled", self.settled),
            };
            start.with("more", number + 1 < count).with_payload(*part).bytes()
        };
        parts.iter().enumerate().map(transfer).collect()
    }
}

prop_compose! {
    fn sent()(
        size in prop_oneof![3 => 0..64usize, 3 => 0..2000usize, 1 => 0..100_000usize],
        seed in any::<u32>(),
        cuts in prop::collection::vec(any::<usize>(), 0..4),
        settled in any::<bool>(),
        link in 0..2u32,
    ) -> Sent {
        Sent { size, seed, cuts, settled, link }
    }
}

#[derive(Clone, Debug)]
struct Run {
    address: &'static str,
    broker_frames: u32,
    sender_frames: u32,
    receiver_frames: u32,
    window: u32,
    /// Transfers of the two links are sent by turns while both have any.
    interleave: bool,
    messages: Vec<Sent>,
}

fn frame_size() -> impl Strategy<Value = u32> {
    prop_oneof![Just(512u32), 512..2000u32, Just(65536u32)]
}

prop_compose! {
    fn run()(
        address in prop_oneof![Just("plain"), Just("unicast.a"), Just("broadcast.a"), Just("queue.a")],
        broker_frames in frame_size(),
        sender_frames in frame_size(),
        receiver_frames in frame_size(),
        window in prop_oneof![1..10u32, Just(WIDE)],
        interleave in any::<bool>(),
        messages in prop::collection::vec(sent(), 1..20),
    ) -> Run {
        Run { address, broker_frames, sender_frames, receiver_frames, window, interleave, messages }
    }
}

fn check(run: &Run) {
    let broker = Broker::builder().max_frame_size(run.broker_frames).start().unwrap();
    let opening = open().with("max-frame-size", run.receiver_frames);
    let mut receiver = Peer::opened_with(&broker, opening, begin().with("incoming-window", run.window));
    receiver.attach(attach_receiver("r", 0, run.address));
    let credit = receiver.link_flow(0, 0, 1000).with("incoming-window", run.window);
    receiver.send(credit);
    receiver.expect_nothing();
    let opening = open().with("max-frame-size", run.sender_frames);
    let mut sender = Peer::opened_with(&broker, opening, begin());
    sender.attach_sender("one", 0, run.address);
    sender.attach_sender("other", 1, run.address);

    // By link, each in order; what is whole first arrives first, so the order of all is known only without interleaving.
    let all: Vec<(u32, Vec<Vec<u8>>)> = run
        .messages
        .iter()
        .zip(0..)
        .map(|(message, id)| (message.link, message.transfers(id, run.broker_frames as usize)))
        .collect();
    let frames: Vec<u8> = match run.interleave {
        false => all.iter().flat_map(|(_, transfers)| transfers.concat()).collect(),
        true => interleaved(&all),
    };
    sender.send(frames);

    let mut received = Vec::new();
    let mut left = run.window;
    while received.len() < run.messages.len() {
        let mut payload = Vec::<u8>::new();
        loop {
            let part = receiver.expect_transfer();
            payload.extend(&part.payload);
            left -= 1;
            if left == 0 {
                let open = receiver.flow().with("incoming-window", run.window);
                receiver.send(open);
                left = run.window;
            }
            if !part.flag("more") {
                break;
            }
        }
        received.push(payload);
    }
    let expected: Vec<Vec<u8>> = run.messages.iter().map(Sent::payload).collect();
    if run.interleave {
        for link in 0..2 {
            let of_link: Vec<&Vec<u8>> = run
                .messages
                .iter()
                .zip(&expected)
                .filter(|(sent, _)| sent.link == link)
                .map(|(_, bytes)| bytes)
                .collect();
            let mut rest = received.iter();
            // As a subsequence, since two messages may be alike.
            assert!(of_link.iter().all(|bytes| rest.any(|other| other == *bytes)), "link {link} in order");
        }
        let (mut received, mut expected) = (received, expected);
        received.sort();
        expected.sort();
        assert!(received == expected, "each once, byte for byte");
    } else {
        assert!(received == expected, "each once, byte for byte, in order");
    }
    // Each unsettled one has its outcome, each once, and no settled one has any.
    let mut told = Vec::new();
    let unsettled: Vec<u32> =
        run.messages.iter().zip(0..).filter(|(sent, _)| !sent.settled).map(|(_, id)| id).collect();
    while told.len() < unsettled.len() {
        let outcome = sender.expect_disposition();
        assert_eq!(outcome.state(), ACCEPTED);
        told.extend(covered(&outcome));
    }
    told.sort_unstable();
    assert_eq!(told, unsettled);
    sender.expect_nothing();
    receiver.expect_nothing();
}

/// The transfers of two links by turns. Ids are given in the order of the first transfers (2.6.12), so a delivery begins
/// only after all with lower ids have begun.
fn interleaved(all: &[(u32, Vec<Vec<u8>>)]) -> Vec<u8> {
    let mut out = Vec::new();
    // One delivery under way on each link: what is left of it.
    let mut under_way: [Vec<Vec<u8>>; 2] = [Vec::new(), Vec::new()];
    for (link, transfers) in all {
        let own = *link as usize;
        // 2.6.14: a link sends one delivery after another.
        out.extend(std::mem::take(&mut under_way[own]).concat());
        let mut transfers = transfers.iter().cloned();
        out.extend(transfers.next().unwrap_or_default());
        under_way[own] = transfers.collect();
        for queue in &mut under_way {
            if !queue.is_empty() {
                out.extend(queue.remove(0));
            }
        }
    }
    out.extend(under_way.concat().concat());
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages_arrive_whole_and_in_order(run in run()) {
        check(&run);
    }
}
