//! Sockets that fail or stall. The loop must neither spin nor leak, and other connections must be served.

use fakebroker::Broker;

use crate::scene::Scene;
use crate::support::*;

#[test]
fn a_reset_anywhere_leaves_nothing_behind() {
    let mut scene = Scene::new();
    let header = AMQP_HEADER.to_vec();
    let opened = [&header[..], &open().bytes(), &begin().bytes()].concat();
    let sending = [&opened[..], &attach_sender("s", 0, "a").bytes()].concat();
    let receiving = [&opened[..], &attach_receiver("r", 0, "queue.reset").bytes()].concat();
    let piece = transfer(0, 0).with("more", true).with_payload(message("hello"));
    let rows = [
        ("before anything", vec![]),
        ("in the header", header[..3].to_vec()),
        ("after the header", header.clone()),
        ("in the open", [&header[..], &open().bytes()[..7]].concat()),
        ("after the begin", opened),
        ("in an attach", sending[..sending.len() - 5].to_vec()),
        ("as a sender", sending.clone()),
        ("as a receiver", receiving),
        ("in a transfer", [&sending[..], &piece.bytes()[..20]].concat()),
        ("between transfers", [&sending[..], &piece.bytes()].concat()),
        ("after a fault", [&sending[..], &open().bytes()].concat()),
        ("after close", [&sending[..], &close().bytes()].concat()),
    ];
    each_row(rows, |bytes| {
        for _ in 0..10 {
            let mut peer = Peer::connect(&scene.broker);
            peer.send(&bytes);
            peer.reset();
        }
        // The same when the broker has surely read and answered what was sent.
        let mut peer = Peer::connect(&scene.broker);
        peer.send(&bytes);
        scene.undisturbed();
        peer.reset();
        scene.until_alone();
    });
    let counts = scene.broker.counts();
    assert_eq!((counts.sender_links, counts.receiver_links), (1, 1), "the bystander's");
}

#[test]
fn a_half_closed_socket_gets_its_answers_and_is_closed() {
    let mut scene = Scene::new();
    // Everything and FIN in one go: the answers come all the same.
    let mut peer = Peer::connect(&scene.broker);
    let frames = [open(), begin(), attach_sender("s", 0, "queue.half"), transfer(0, 0).with_payload(message("hello"))];
    let frames: Vec<u8> = frames.iter().flat_map(Performative::bytes).collect();
    peer.send([&AMQP_HEADER[..], &frames].concat());
    peer.hang_up();
    peer.expect_header(AMQP_HEADER);
    peer.expect_open();
    peer.expect_begin();
    peer.expect_attach();
    peer.drain_to_eof();
    assert_eq!(scene.broker.counts().queued, 1);

    let mut peer = scene.peer();
    peer.hang_up();
    peer.drain_to_eof();
    scene.undisturbed();
    scene.until_alone();
}

#[test]
fn a_receiver_that_goes_with_unsettled_messages_gives_them_back() {
    let mut scene = Scene::new();
    let mut sender = scene.peer();
    sender.attach_sender("s", 0, "queue.back");
    let id = sender.send_message(0, "hello");
    sender.expect_outcome_of(id);
    type Leave = fn(Peer);
    let rows: [(&str, Leave); 3] =
        [("RST", |peer| peer.reset()), ("FIN", |mut peer| peer.hang_up()), ("a fault", |mut peer| peer.send(open()))];
    each_row(rows, |leave| {
        let mut peer = scene.peer();
        peer.attach_receiver("r", 0, "queue.back", 1);
        assert_eq!(text(&peer.expect_transfer().payload), "hello");
        leave(peer);
        scene.undisturbed();
    });
    let mut peer = scene.peer();
    peer.attach_receiver("r", 0, "queue.back", 1);
    assert_eq!(text(&peer.expect_transfer().payload), "hello");
}

#[test]
fn a_reader_that_stops_costs_bounded_memory() {
    const SIZE: usize = 16 * 1024;
    let mut scene = Scene::of(Broker::builder().backlog_limit(50).credit_window(20));
    let mut reader = scene.peer();
    reader.attach_receiver("r", 0, "stopped", 1_000_000);
    let mut sender = scene.peer();
    sender.attach(attach_sender("s", 0, "stopped"));
    let mut credit = sender.expect_credit();
    let mut sent = 0;
    let body = "x".repeat(SIZE);
    loop {
        while credit > 0 {
            let id = sender.next_delivery_id();
            sender.send(transfer(0, id).with("settled", true).with_payload(message(&body)));
            sent += 1;
            credit -= 1;
        }
        // Kernels buffer a few megabytes; after that nothing moves, and there is no more credit, asked as often
        // as you like.
        let mut flows = (0..10).flat_map(|_| {
            scene.bystander.undisturbed();
            sender.round_trip()
        });
        let granted = flows.find(|frame| frame.code() == FLOW && frame.get("handle") != Value::Null);
        match granted {
            Some(flow) => {
                let limit = flow.number("delivery-count") as u32;
                credit = limit.wrapping_add(flow.number("link-credit") as u32).wrapping_sub(sent);
            }
            None => break,
        }
        assert!(sent < 4000, "{sent} messages of {SIZE} bytes were taken for a reader that does not read");
    }
    // Once it reads again all that was sent arrives, and credit flows.
    for _ in 0..sent {
        reader.expect_delivery();
    }
    sender.expect_credit();
    scene.undisturbed();
}

#[test]
fn a_peer_that_asks_and_does_not_read_is_not_answered_without_end() {
    let mut scene = Scene::new();
    let mut peer = scene.peer();
    // Each begin is answered, so they cannot be merged as flows can.
    let questions = (1..1000).flat_map(|n| [begin().on_channel(n).bytes(), end().on_channel(n).bytes()].concat());
    let questions: Vec<u8> = questions.collect();
    // Either the broker stops reading or it hangs up; it cannot go on like this for ever.
    let limit = 256 << 20;
    let asked = peer.send_until_unread(&questions, limit, || scene.undisturbed());
    assert!(asked < limit, "{asked} bytes of questions were read without an answer being taken");
    scene.undisturbed();
    drop(peer);
    scene.until_alone();
}

#[test]
fn ten_thousand_connections_come_and_go() {
    let mut scene = Scene::new();
    for n in 0..10_000 {
        if n % 50 == 0 {
            // An answer now and then keeps us from running ahead of the listener's queue.
            Peer::greeted(&scene.broker).reset();
        } else {
            Peer::connect(&scene.broker).reset();
        }
        if n % 1000 == 0 {
            scene.undisturbed();
        }
    }
    scene.until_alone();
    scene.peer().close();
}

/// Runs a peer in a process of its own, which the parent test kills. The parent says where to connect.
#[test]
#[ignore = "run as a child process by the test that kills it"]
fn victim() {
    let Ok(addr) = std::env::var("FAKEBROKER_VICTIM_OF") else { return };
    let addr: std::net::SocketAddr = addr.parse().unwrap();
    let mut peer = Peer::sender(&addr, "queue.victim");
    peer.attach_receiver("r", 1, "queue.victim", 10);
    peer.send_message(0, "hello");
    peer.send(transfer(0, peer.next_delivery_id()).with("more", true).with_payload(message("half")));
    // Until killed; should the parent be gone too, the broker is, and that is the end as well.
    peer.drain_to_eof();
}

#[test]
fn a_peer_that_is_killed_leaves_nothing_behind() {
    let mut scene = Scene::new();
    let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sockets::victim", "--ignored", "--nocapture"])
        .env("FAKEBROKER_VICTIM_OF", scene.broker.addr().to_string())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    scene.until("the victim has stored its message", |broker| {
        let counts = broker.counts();
        (counts.connections, counts.queued, counts.receiver_links) == (2, 1, 2)
    });
    victim.kill().unwrap();
    victim.wait().unwrap();
    scene.until_alone();
    // What it had not settled goes to the next.
    let mut peer = scene.peer();
    peer.attach_receiver("r", 0, "queue.victim", 10);
    assert_eq!(text(&peer.expect_transfer().payload), "hello");
    peer.expect_nothing();
}
