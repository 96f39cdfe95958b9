//! 2.4: open and close.

use fakebroker::Broker;

use crate::support::*;

#[test]
fn open_says_what_the_broker_takes() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::greeted(&broker);
    peer.send(open());
    let open = peer.expect_open();
    assert_eq!(open.number("max-frame-size"), 65536);
    assert_eq!(open.number("channel-max"), 1023);
    assert_eq!(open.get("idle-time-out"), Value::Null);
    // Some clients change their addressing where they see a product.
    assert_eq!(open.get("properties"), Value::Null);
    assert!(!open.text("container-id").is_empty());
}

#[test]
fn what_open_says_can_be_chosen() {
    let broker = Broker::builder()
        .container_id("me")
        .open_property("product", "something else")
        .max_frame_size(4096)
        .channel_max(7)
        .idle_timeout(std::time::Duration::from_secs(60))
        .start()
        .unwrap();
    let mut peer = Peer::greeted(&broker);
    peer.send(open());
    let open = peer.expect_open();
    assert_eq!(open.text("container-id"), "me");
    assert_eq!((open.number("max-frame-size"), open.number("channel-max")), (4096, 7));
    assert_eq!(open.number("idle-time-out"), 60_000);
    assert_eq!(open.get("properties"), Value::Map(vec![(symbol("product"), "something else".into())]));
}

#[test]
fn every_field_of_open_and_begin_is_taken() {
    let broker = Broker::start().unwrap();
    let properties =
        Value::Map(vec![(symbol("product"), "peer".into()), (symbol("nested"), Value::List(vec![Value::Null]))]);
    let capabilities = Value::Array(vec![symbol("ANONYMOUS-RELAY"), symbol("x-more")]);
    let open = open()
        .with("hostname", "any")
        .with("max-frame-size", u32::MAX)
        .with("channel-max", u16::MAX)
        .with("idle-time-out", 100_000u32)
        .with("outgoing-locales", symbol("en-US"))
        .with("incoming-locales", Value::Array(vec![symbol("en-US"), symbol("de")]))
        .with("offered-capabilities", capabilities.clone())
        .with("desired-capabilities", symbol("one"))
        .with("properties", properties.clone());
    let begin = begin()
        .with("handle-max", u32::MAX)
        .with("offered-capabilities", capabilities)
        .with("desired-capabilities", Value::Array(vec![]))
        .with("properties", properties);
    // An empty array still has a constructor: symbols.
    let begin = begin.with("desired-capabilities", raw(&[0xe0, 0x02, 0x00, 0xa3]));
    let mut peer = Peer::opened_with(&broker, open, begin);
    peer.attach_sender("s", 0, "queue.a");
    peer.send_accepted(0, &["1"]);
    peer.close();
}

#[test]
fn the_peer_closes() {
    let broker = Broker::start().unwrap();
    for error in [Value::Null, error("amqp:internal-error", "the client fell over"), error("x-own:error", "")] {
        let mut peer = Peer::receiver(&broker, "a", 10);
        peer.send(close().with("error", error));
        // Not its error: the broker has none.
        assert_eq!(peer.expect_close().get("error"), Value::Null);
        peer.expect_eof();
    }
    until(&broker, "they are gone", |counts| (counts.connections, counts.receiver_links) == (0, 0));
}

#[test]
fn the_broker_closes() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::ready_receiver(&broker, "a", 10);
    std::thread::scope(|scope| {
        scope.spawn(|| broker.stop());
        peer.expect_closed_with(CONNECTION_FORCED);
    });
    assert_eq!(broker.counts().connections, 0);
}

#[test]
fn both_close_at_once() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    peer.send(close());
    std::thread::scope(|scope| {
        scope.spawn(|| broker.stop());
        // 2.4.6: each close answers the other.
        peer.expect_close();
        peer.expect_eof();
    });
}

#[test]
fn close_before_anything_else() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::connect(&broker);
    peer.send([AMQP_HEADER.to_vec(), open().bytes(), close().bytes()].concat());
    peer.expect_header(AMQP_HEADER);
    peer.expect_open();
    peer.expect_close();
    peer.expect_eof();
}

#[test]
fn what_came_before_close_is_taken_over() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::sender(&broker, "queue.a");
    let batch: Vec<u8> = (0..100).flat_map(|id| transfer(0, id).with_payload(message("hello")).bytes()).collect();
    peer.send([batch, close().bytes()].concat());
    peer.drain_to_eof();
    assert_eq!(broker.counts().queued, 100);
}

#[test]
fn a_hundred_connections_at_once() {
    let broker = Broker::start().unwrap();
    let mut peers: Vec<Peer> = (0..100).map(|_| Peer::opened(&broker)).collect();
    for peer in &mut peers {
        peer.attach_receiver("r", 0, "broadcast.a", 10);
        peer.expect_nothing();
    }
    let mut sender = Peer::sender(&broker, "broadcast.a");
    sender.send_accepted(0, &["1"]);
    assert_eq!(broker.counts().connections, 101);
    for mut peer in peers {
        assert_eq!(peer.receive_texts(1), ["1"]);
        peer.close();
    }
}
