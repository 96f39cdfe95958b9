//! 2.5.6: session windows, both ways.

use fakebroker::Broker;

use crate::support::*;

/// A peer whose session takes this many transfers, with credit for more on link 0.
#[track_caller]
fn narrow(broker: &Broker, address: &str, max_frame_size: u32, window: u32) -> Peer {
    let open = open().with("max-frame-size", max_frame_size);
    let mut peer = Peer::opened_with(broker, open, begin().with("incoming-window", window));
    peer.attach(attach_receiver("r", 0, address));
    let credit = peer.link_flow(0, 0, 1000).with("incoming-window", window);
    peer.send(credit);
    peer
}

#[test]
fn a_window_of_one_takes_one_transfer_for_each_flow() {
    let broker = Broker::start().unwrap();
    let mut peer = narrow(&broker, "a", 65536, 1);
    peer.expect_nothing();
    let mut sender = Peer::sender(&broker, "a");
    sender.send_accepted(0, &["1", "2", "3"]);
    for text in ["1", "2", "3"] {
        assert_eq!(peer.arrived_texts(), [text]);
        let open = peer.flow().with("incoming-window", 1u32);
        peer.send(open);
    }
    peer.expect_nothing();
}

#[test]
fn a_window_of_none_takes_none() {
    let broker = Broker::start().unwrap();
    let mut peer = narrow(&broker, "a", 65536, 0);
    peer.expect_nothing();
    let mut sender = Peer::sender(&broker, "a");
    sender.send_accepted(0, &["1", "2", "3"]);
    peer.expect_nothing();
    let open = peer.flow().with("incoming-window", 2u32);
    peer.send(open);
    assert_eq!(peer.arrived_texts(), ["1", "2"]);
}

#[test]
fn a_window_counts_from_what_the_peer_has_seen() {
    let broker = Broker::start().unwrap();
    let mut peer = narrow(&broker, "a", 65536, 3);
    peer.expect_nothing();
    let mut sender = Peer::sender(&broker, "a");
    sender.send_accepted(0, &["1", "2", "3", "4", "5", "6"]);
    assert_eq!(peer.arrived_texts(), ["1", "2", "3"]);
    // This flow was on its way when the second and third came: of its three, two are used up.
    peer.send(flow().with("next-incoming-id", 1u32).with("incoming-window", 3u32));
    assert_eq!(peer.arrived_texts(), ["4"]);
    peer.send(flow().with("next-incoming-id", 4u32).with("incoming-window", 10u32));
    assert_eq!(peer.arrived_texts(), ["5", "6"]);
}

#[test]
fn a_large_message_through_a_small_window() {
    let broker = Broker::start().unwrap();
    let payload = section(DATA, (0..1_000_000u32).map(|n| (n % 251) as u8).collect::<Vec<u8>>().into());
    for (max_frame_size, window) in [(4096, 3), (65536, 1), (512, 100)] {
        let mut peer = narrow(&broker, "a", max_frame_size, window);
        peer.expect_nothing();
        let mut sender = Peer::sender(&broker, "a");
        let id = sender.send_payload_in_parts(0, &payload, 60_000);
        assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
        let mut left = window;
        let (received, _) = peer.expect_delivery_with(|peer| {
            left -= 1;
            if left == 0 {
                peer.send(peer.flow().with("incoming-window", window));
                left = window;
            }
        });
        assert!(received == payload, "frames of {max_frame_size}, a window of {window}");
        peer.close();
    }
}

trait Parts {
    fn send_payload_in_parts(&mut self, handle: u32, payload: &[u8], size: usize) -> u32;
}

impl Parts for Peer {
    /// Sends a delivery in parts of a size; its id.
    #[track_caller]
    fn send_payload_in_parts(&mut self, handle: u32, payload: &[u8], size: usize) -> u32 {
        let id = self.next_delivery_id();
        let count = payload.chunks(size).len();
        for (number, part) in payload.chunks(size).enumerate() {
            let start = if number == 0 { transfer(handle, id) } else { continuation(handle) };
            self.send(start.with("more", number + 1 < count).with_payload(part));
        }
        id
    }
}

#[test]
fn the_brokers_window_opens_again_before_it_closes() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::greeted(&broker);
    peer.send(open());
    peer.expect_open();
    let mut window = peer.begin(begin()).number("incoming-window");
    assert!(window > 0);
    peer.attach(attach_sender("s", 0, "queue.a"));
    // Parts of one delivery use no more than one credit, so only the window limits them; three times as many as fit in it,
    // never one more than it allows.
    let mut sent: u64 = 0;
    let most = 3 * window;
    let mut reopened = 0;
    while sent < most {
        let batch = (window - sent).min(most - sent).min(200);
        assert!(batch > 0, "{sent} transfers are sent, and the window is shut");
        let parts: Vec<u8> = (sent..sent + batch)
            .flat_map(|number| {
                let start = if number == 0 { transfer(0, 0) } else { continuation(0) };
                start.with("more", number + 1 < most).with_payload(vec![number as u8]).bytes()
            })
            .collect();
        peer.send(parts);
        sent += batch;
        for flow in peer.round_trip().into_iter().filter(|frame| frame.code() == FLOW) {
            // 2.5.6: the window reaches from next-incoming-id, counted in transfers.
            let reach = flow.number("next-incoming-id") + flow.number("incoming-window");
            assert!(reach >= window, "a window never shrinks from its far end: {flow:?}");
            assert!(flow.number("next-incoming-id") <= sent, "{flow:?}");
            reopened += u32::from(reach > window);
            window = reach;
        }
    }
    assert!(reopened >= 2, "the window was opened {reopened} times");
    assert_eq!(broker.counts().queued, 1);
    let mut receiver = Peer::receiver(&broker, "queue.a", 1);
    let expected: Vec<u8> = (0..most).map(|number| number as u8).collect();
    assert_eq!(receiver.expect_transfer().payload, expected);
}

#[test]
fn transfers_of_two_links_share_the_window() {
    let broker = Broker::start().unwrap();
    let mut peer = narrow(&broker, "queue.a", 65536, 2);
    peer.attach(attach_receiver("other", 1, "queue.b"));
    let credit = peer.link_flow(1, 0, 10).with("incoming-window", 2u32);
    peer.send(credit);
    peer.expect_nothing();
    let mut sender = Peer::opened(&broker);
    sender.attach_sender("a", 0, "queue.a");
    sender.attach_sender("b", 1, "queue.b");
    sender.send_accepted(0, &["a1", "a2", "a3"]);
    sender.send_accepted(1, &["b1", "b2", "b3"]);
    let mut got = Vec::new();
    while got.len() < 6 {
        let arrived = peer.arrived_texts();
        assert_eq!(arrived.len(), 2, "{got:?} and {arrived:?}");
        got.extend(arrived);
        let open = peer.flow().with("incoming-window", 2u32);
        peer.send(open);
    }
    for link in ["a", "b"] {
        let of_link: Vec<&String> = got.iter().filter(|text| text.starts_with(link)).collect();
        assert!(of_link.len() == 3 && of_link.is_sorted(), "{got:?}");
    }
}

#[test]
fn one_session_that_is_shut_does_not_shut_another() {
    let broker = Broker::start().unwrap();
    let mut peer = narrow(&broker, "broadcast.a", 65536, 0);
    peer.send(begin().on_channel(1));
    let other = peer.expect_begin().channel;
    peer.send(attach_receiver("other", 0, "broadcast.a").on_channel(1));
    peer.expect_attach();
    peer.send(flow().with("handle", 0u32).with("delivery-count", 0u32).with("link-credit", 10u32).on_channel(1));
    peer.expect_nothing();
    let mut sender = Peer::sender(&broker, "broadcast.a");
    sender.send_accepted(0, &["1", "2"]);
    for _ in 0..2 {
        assert_eq!(peer.expect_transfer().channel, other);
    }
    peer.expect_nothing();
}

#[test]
fn the_peer_says_where_its_transfers_begin() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    peer.attach_sender("s", 0, "queue.a");
    peer.send_accepted(0, &["1", "2"]);
    peer.send(peer.flow().with("echo", true));
    assert_eq!(peer.expect_session_flow().number("next-incoming-id"), 2);
    // 2.5.6: next-incoming-id is what the peer's flow says, whatever has been counted; also over the end of the circle.
    for id in [70u32, u32::MAX] {
        peer.send(peer.flow().with("next-outgoing-id", id).with("echo", true));
        assert_eq!(peer.expect_session_flow().number("next-incoming-id"), u64::from(id));
    }
    peer.send_accepted(0, &["3"]);
    peer.send(flow().with("next-outgoing-id", 0u32).with("echo", true));
    assert_eq!(peer.expect_session_flow().number("next-incoming-id"), 0);
}
