//! The library's handles: starting, stopping and holding a broker, from the side of the test that has it.
#![allow(clippy::panic, clippy::unwrap_used)]

mod support;

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use fakebroker::{Bound, Broker, Builder, Counts, Distribution, Ending, Handle, Queues, Settlement, Unroutable};
use support::*;

#[track_caller]
fn expect_works(broker: &impl At) {
    Bystander::new(broker).undisturbed();
}

#[test]
fn starts_on_the_loopback_and_a_free_port() {
    let broker = Broker::start().unwrap();
    assert!(broker.addr().ip().is_loopback());
    assert_ne!(broker.addr().port(), 0);
    assert_eq!(broker.url(), format!("amqp://127.0.0.1:{}", broker.addr().port()));
    assert_eq!(broker.addrs(), [broker.addr()]);
    assert_eq!(broker.counts(), Counts::default());
    expect_works(&broker);
}

#[test]
fn listens_where_it_is_told() {
    let port = Broker::start().unwrap().addr().port();
    let broker = Broker::builder().listen(format!("127.0.0.1:{port}")).start().unwrap();
    assert_eq!(broker.url(), format!("amqp://127.0.0.1:{port}"));
    expect_works(&broker);
    let by_name = Broker::builder().listen("localhost:0").start().unwrap();
    assert!(by_name.addr().ip().is_loopback());
    expect_works(&by_name);
}

#[test]
fn bound_it_refuses_connections_until_it_is_started() {
    let bound = Broker::builder().bind().unwrap();
    let (addr, url, handle) = (bound.addr(), bound.url(), bound.handle());
    assert_ne!(addr.port(), 0);
    expect_refused(&bound);
    assert_eq!((handle.addr(), handle.url(), handle.counts()), (addr, url.clone(), Counts::default()));
    let broker = bound.start().unwrap();
    assert_eq!((broker.addr(), broker.url()), (addr, url));
    expect_works(&broker);
}

#[test]
fn a_bound_broker_that_is_never_started_frees_its_address() {
    let bound = Broker::builder().bind().unwrap();
    let addr = bound.addr();
    drop(bound);
    let broker = Broker::builder().listen(addr.to_string()).start().unwrap();
    assert_eq!(broker.addr(), addr);
}

#[test]
fn a_bound_address_is_nobody_elses() {
    let bound = Broker::builder().bind().unwrap();
    let address = bound.addr().to_string();
    let taken = Broker::builder().listen(&address).bind().expect_err("two brokers have bound one address");
    assert_eq!(taken.kind(), ErrorKind::AddrInUse, "{taken}");
    assert!(taken.to_string().contains(&address), "{taken}");
    assert!(TcpListener::bind(bound.addr()).is_err(), "somebody else listens there");
    expect_works(&bound.start().unwrap());
}

#[test]
fn a_stop_before_the_start_is_not_forgotten() {
    let bound = Broker::builder().bind().unwrap();
    bound.handle().crash();
    in_time(move || bound.run()).unwrap();
    let bound = Broker::builder().bind().unwrap();
    bound.handle().stop();
    in_time(move || bound.run()).unwrap();
}

#[test]
fn a_broker_that_was_stopped_can_be_restarted() {
    let broker = Broker::start().unwrap();
    // The second of two finds nothing to stop, and nor does the restart.
    for ending in [Ending::Crash, Ending::Clean] {
        broker.crash();
        broker.stop();
        expect_refused(&broker);
        broker.restart(ending, Queues::Keep).unwrap();
        expect_works(&broker);
    }
}

#[test]
fn two_listeners_are_one_broker() {
    let bound = Broker::builder().listen("127.0.0.1:0").listen("127.0.0.1:0").bind().unwrap();
    let addrs = bound.addrs().to_vec();
    assert_eq!(addrs.len(), 2);
    assert_ne!(addrs[0], addrs[1]);
    assert_eq!(bound.addr(), addrs[0]);
    addrs.iter().for_each(expect_refused);
    let broker = bound.start().unwrap();
    assert_eq!((broker.addrs(), broker.addr()), (&addrs[..], addrs[0]));

    let mut receiver = Peer::opened(&addrs[0]);
    receiver.attach_receiver("r", 0, "a", 1);
    let mut sender = Peer::opened(&addrs[1]);
    sender.attach_sender("s", 0, "a");
    let id = sender.send_message(0, "across");
    assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
    assert_eq!(text(&receiver.expect_transfer().payload), "across");
    broker.crash();
    addrs.iter().for_each(expect_refused);
}

#[test]
fn an_address_in_use_is_named() {
    let first = Broker::start().unwrap();
    let address = first.addr().to_string();
    let taken = Broker::builder().listen("127.0.0.1:0").listen(&address).bind().unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse, "{taken}");
    assert!(taken.to_string().contains(&address), "{taken}");
    let taken = Broker::builder().listen(&address).start().unwrap_err();
    assert!(taken.to_string().contains(&address), "{taken}");
    // The one that has it does not mind.
    expect_works(&first);
}

#[test]
fn an_address_that_makes_no_sense_is_named() {
    for address in ["", "nonsense", "127.0.0.1", "127.0.0.1:port", "127.0.0.1:99999"] {
        let error = Broker::builder().listen(address).bind().unwrap_err();
        assert!(error.to_string().contains(address), "{address:?}: {error}");
    }
}

#[test]
fn stop_is_a_crash_to_its_clients() {
    let broker = Broker::start().unwrap();
    let mut busy = Peer::receiver(&broker, "a", 10);
    let mut silent = Peer::connect(&broker);
    let mut greeted = Peer::greeted(&broker);
    let broker = in_time(move || {
        broker.crash();
        broker
    });
    // Not a word before the end, from `Peer::expect_eof`.
    busy.expect_eof();
    silent.expect_eof();
    greeted.expect_eof();
    expect_refused(&broker);
}

#[test]
fn what_was_stored_is_gone_after_a_stop() {
    let broker = Broker::start().unwrap();
    let address = broker.addr().to_string();
    let mut sender = Peer::sender(&broker, "queue.a");
    let id = sender.send_message(0, "from before");
    assert_eq!(sender.expect_outcome_of(id).state(), ACCEPTED);
    broker.crash();
    let broker = Broker::builder().listen(address).start().unwrap();
    let _receiver = Peer::ready_receiver(&broker, "queue.a", 10);
}

#[test]
fn a_port_can_be_used_again_at_once() {
    let mut broker = Broker::start().unwrap();
    let address = broker.addr().to_string();
    let mut before: Vec<Peer> = Vec::new();
    for turn in 0..50 {
        let mut clients: Vec<Peer> = (0..3).map(|_| Peer::opened(&broker)).collect();
        clients[0].attach_receiver("r", 0, "a", 10);
        // At this end, too, connections to that port are left in every state there is.
        before.retain_mut(|_| turn % 2 == 0);
        match turn % 3 {
            0 => broker.crash(),
            1 => drop(broker),
            _ => {
                let stops = thread::spawn(move || broker.stop());
                for client in &mut clients {
                    client.expect_close_with(CONNECTION_FORCED);
                    client.send(close());
                    client.expect_eof();
                }
                stops.join().unwrap();
            }
        }
        before.extend(clients);
        broker = Broker::builder().listen(&address).start().unwrap_or_else(|error| panic!("in turn {turn}: {error}"));
        assert_eq!(broker.addr().to_string(), address);
    }
    expect_works(&broker);
}

#[test]
fn a_clean_stop_says_why_and_waits_for_the_answers() {
    let broker = Broker::start().unwrap();
    let mut answers = Peer::opened(&broker);
    let mut also = Peer::opened(&broker);
    let mut half_way = Peer::greeted(&broker);
    let (sender, done) = channel();
    thread::spawn(move || {
        broker.stop();
        sender.send(broker).is_ok()
    });
    answers.expect_close_with(CONNECTION_FORCED);
    also.expect_close_with(CONNECTION_FORCED);
    assert!(done.try_recv().is_err(), "it does not wait for the answers");
    answers.send(close());
    answers.expect_eof();
    also.send(close());
    also.expect_eof();
    // 2.4.1: an open comes before a close, even now.
    half_way.expect_open();
    half_way.expect_close_with(CONNECTION_FORCED);
    half_way.send([open().bytes(), close().bytes()].concat());
    half_way.expect_eof();
    let broker = done.recv_timeout(patience()).expect("it returns when all have answered");
    expect_refused(&broker);
    assert_eq!(broker.counts().connections, 0);
}

#[test]
fn a_clean_stop_is_bounded() {
    let linger = Duration::from_millis(200);
    let broker = Broker::builder().linger(linger).start().unwrap();
    let silent = Peer::connect(&broker);
    let mut mute = Peer::opened(&broker);
    let mut also_mute = Peer::opened(&broker);
    let begun = Instant::now();
    let broker = in_time(move || {
        broker.stop();
        broker
    });
    assert!(begun.elapsed() >= linger, "it took {:?}", begun.elapsed());
    mute.expect_close_with(CONNECTION_FORCED);
    mute.expect_eof();
    also_mute.expect_close_with(CONNECTION_FORCED);
    expect_refused(&broker);
    drop(silent);
}

#[test]
fn a_clean_stop_can_be_cut_short() {
    let broker = Broker::builder().linger(Duration::from_secs(3600)).start().unwrap();
    let mut mute = Peer::opened(&broker);
    let handle = broker.handle();
    let (sender, done) = channel();
    thread::spawn(move || {
        broker.stop();
        sender.send(()).unwrap();
    });
    mute.expect_close_with(CONNECTION_FORCED);
    handle.crash();
    done.recv_timeout(patience()).expect("the stop ends the wait");
    mute.expect_eof();
}

#[test]
fn without_clients_a_clean_stop_takes_no_time() {
    let broker = Broker::builder().linger(Duration::from_secs(3600)).start().unwrap();
    in_time(move || broker.stop());
}

#[test]
fn dropping_it_stops_it() {
    let broker = Broker::start().unwrap();
    let addr = broker.addr();
    let mut peer = Peer::opened(&broker);
    in_time(move || drop(broker));
    peer.expect_eof();
    expect_refused(&addr);
}

#[test]
fn a_handle_does_not_keep_it_alive() {
    let broker = Broker::start().unwrap();
    let handle = broker.handle();
    in_time(move || drop(broker));
    expect_refused(&handle.addr());
    // And does no harm.
    handle.crash();
    handle.stop();
    assert_eq!(handle.counts().connections, 0);
}

#[test]
fn stopping_again_does_nothing() {
    in_time(|| {
        let broker = Broker::start().unwrap();
        broker.crash();
        broker.crash();
        broker.stop();
        broker.crash();
        drop(broker);
        let broker = Broker::start().unwrap();
        broker.stop();
        broker.stop();
        broker.crash();
    });
}

#[test]
fn several_threads_may_stop_it_at_once() {
    in_time(|| {
        let broker = Broker::start().unwrap();
        thread::scope(|scope| {
            for n in 0..8 {
                let broker = &broker;
                scope.spawn(move || if n % 2 == 0 { broker.crash() } else { broker.stop() });
            }
        });
        expect_refused(&broker);
    });
}

#[test]
fn the_counts_outlive_it() {
    let broker = Broker::start().unwrap();
    let handle = broker.handle();
    let mut peer = Peer::sender(&broker, "nobody");
    peer.attach_receiver("r", 1, "somebody", 1);
    let id = peer.send_message(0, "lost");
    assert_eq!(peer.expect_outcome_of(id).state(), REJECTED);
    let live = broker.counts();
    assert_eq!((live.dropped, live.connections, live.sender_links, live.receiver_links), (1, 1, 1, 1));
    broker.crash();
    // What happened stays; who was there is gone.
    assert_eq!(broker.counts().dropped, 1);
    assert_eq!(broker.counts().connections, 0);
    assert_eq!(handle.counts(), broker.counts());
    drop(broker);
    assert_eq!(handle.counts().dropped, 1);
}

#[test]
fn a_handle_works_from_another_thread() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::opened(&broker);
    let handle = broker.handle();
    let counts = thread::spawn({
        let handle = handle.clone();
        move || {
            let counts = handle.counts();
            handle.crash();
            counts
        }
    });
    assert_eq!(counts.join().unwrap().connections, 1);
    peer.expect_eof();
    in_time(move || broker.crash());
}

#[test]
fn run_serves_on_the_callers_thread() {
    for clean in [false, true] {
        let bound = Broker::builder().bind().unwrap();
        let handle = bound.handle();
        expect_refused(&bound);
        let (sender, done) = channel();
        thread::spawn(move || sender.send(bound.run()));
        let mut peer = until_connected(&handle);
        assert_eq!(handle.counts().connections, 1);
        assert!(done.try_recv().is_err(), "it returned before it was stopped");
        if clean {
            handle.stop();
            peer.expect_close_with(CONNECTION_FORCED);
            peer.send(close());
        } else {
            handle.crash();
        }
        peer.expect_eof();
        done.recv_timeout(patience()).expect("it returns when it is stopped").unwrap();
        expect_refused(&handle.addr());
    }
}

/// Only the other thread knows when `Bound::run` listens; until then it refuses.
fn until_connected(handle: &Handle) -> Peer {
    let give_up = Instant::now() + patience();
    while let Err(error) = TcpStream::connect(handle.addr()) {
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
        assert!(Instant::now() < give_up, "it does not listen");
        thread::yield_now();
    }
    let peer = Peer::opened(&handle.addr());
    // The first connection was for the answer alone.
    while handle.counts().connections != 1 {
        assert!(Instant::now() < give_up, "{:?}", handle.counts());
        thread::yield_now();
    }
    peer
}

#[test]
fn two_brokers_share_nothing() {
    let one = Broker::start().unwrap();
    let two = Broker::start().unwrap();
    assert_ne!(one.addr(), two.addr());
    let mut at_one = Peer::receiver(&one, "a", 10);
    at_one.attach_receiver("q", 1, "queue.a", 10);
    let mut at_two = Peer::sender(&two, "a");
    at_two.attach_sender("q", 1, "queue.a");
    let unroutable = at_two.send_message(0, "for nobody");
    assert_eq!(at_two.expect_outcome_of(unroutable).state(), REJECTED);
    let stored = at_two.send_message(1, "stays");
    assert_eq!(at_two.expect_outcome_of(stored).state(), ACCEPTED);
    at_one.expect_nothing();
    assert_eq!((one.counts().queued, one.counts().dropped), (0, 0));
    assert_eq!((two.counts().queued, two.counts().dropped), (1, 1));

    // Nor do they make the same names.
    let [first, second] = [(&one, "container-id"), (&two, "container-id")].map(|(broker, field)| {
        let mut peer = Peer::greeted(broker);
        peer.send(open());
        let container = peer.expect_open().text(field);
        peer.begin(begin());
        let dynamic = attach("d", 0, RECEIVER).with("source", dynamic(SOURCE)).with("target", target("t"));
        (container, peer.attach(dynamic).address("source").unwrap())
    });
    assert_ne!(first.0, second.0);
    assert_ne!(first.1, second.1);

    one.crash();
    expect_works(&two);
}

#[test]
fn handles_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<Broker>();
    sent::<Handle>();
    sent::<Bound>();
    shared::<Builder>();
    shared::<Counts>();
    shared::<(Distribution, Settlement, Unroutable)>();
}

#[test]
fn a_builder_can_be_used_again() {
    let builder = Broker::builder().user("joe", "secret").container_id("same");
    let (one, two) = (builder.clone().start().unwrap(), builder.start().unwrap());
    for broker in [&one, &two] {
        let (mut peer, _) = Peer::offered_mechanisms(broker);
        peer.send(sasl_init("PLAIN", b"\0joe\0secret"));
        peer.expect_sasl_outcome(0);
        peer.send(AMQP_HEADER);
        peer.expect_header(AMQP_HEADER);
        peer.send(open());
        assert_eq!(peer.expect_open().text("container-id"), "same");
    }
}

#[test]
fn timeouts_that_never_end_are_fine() {
    let broker = Broker::builder()
        .handshake_timeout(Duration::MAX)
        .linger(Duration::MAX)
        .idle_timeout(Duration::MAX)
        .start()
        .unwrap();
    let peer = Peer::opened(&broker);
    peer.close();
}

#[test]
fn after_a_stop_nobody_is_there() {
    let broker = Broker::start().unwrap();
    let _peer = Peer::sender(&broker, "queue.a");
    broker.crash();
    let counts = broker.counts();
    assert_eq!((counts.connections, counts.sender_links), (0, 0));
}
