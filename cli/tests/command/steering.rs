//! What can be done to the broker, to connections, links and credit.

use serde_json::json;

use crate::program::*;
use crate::support::*;

#[test]
fn paused_it_serves_nobody() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peer = Peer::opened(&addr);
    program.obeys(json!({"cmd": "pause"}));
    peer.send(attach_sender("s", 0, "queue.a"));
    assert_eq!(program.obeys(json!({"cmd": "links"})), json!({"links": []}));
    assert!(
        program
            .refuses(json!({"cmd": "wait", "for": "counts", "equal": {"sender_links": 1}, "timeout": 0.05}))
            .contains("in vain")
    );
    program.obeys(json!({"cmd": "resume"}));
    peer.expect_attach();
}

#[test]
fn connections_are_dropped() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peers = [Peer::opened(&addr), Peer::opened(&addr), Peer::opened(&addr)];
    assert_eq!(program.obeys(json!({"cmd": "disconnect", "connection": 2})), json!({"disconnected": 1}));
    peers[1].expect_eof();
    assert_eq!(program.obeys(json!({"cmd": "disconnect", "connection": 2})), json!({"disconnected": 0}));
    peers[0].expect_nothing();
    assert_eq!(program.obeys(json!({"cmd": "disconnect"})), json!({"disconnected": 2}));
    peers[0].expect_eof();
    peers[2].expect_eof();
    expect_works(addr);
}

#[test]
fn connections_are_closed() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peers = [Peer::opened(&addr), Peer::opened(&addr)];
    let command = json!({"cmd": "close", "connection": 1, "condition": "my:reason", "description": "because"});
    assert_eq!(program.obeys(command.clone()), json!({"closed": 1}));
    let told = peers[0].expect_close_with("my:reason");
    assert!(format!("{told:?}").contains("because"), "{told:?}");
    peers[0].send(close());
    peers[0].expect_eof();
    peers[0].hang_up();
    program.waits_for(json!({"for": "connections", "count": 1}));
    assert_eq!(program.obeys(json!({"cmd": "close", "connection": 7})), json!({"closed": 0}));
    assert_eq!(program.obeys(json!({"cmd": "close"})), json!({"closed": 1}));
    peers[1].expect_close_with(CONNECTION_FORCED);
}

#[test]
fn links_are_detached() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut peer = Peer::opened(&addr);
    peer.attach_sender("s", 0, "queue.a");
    peer.attach_sender("t", 1, "queue.a");
    peer.attach_receiver("r", 2, "queue.b", 1);
    for nobody in [
        json!({"name": "x"}),
        json!({"name": "s", "role": "receiver"}),
        json!({"address": "queue"}),
        json!({"connection": 2}),
    ] {
        let mut command = nobody;
        command["cmd"] = json!("detach");
        assert_eq!(program.obeys(command), json!({"detached": 0}));
    }
    let command = json!({
        "cmd": "detach", "connection": 1, "name": "s", "address": "queue.a", "role": "sender", "condition": "my:reason",
        "description": "because",
    });
    assert_eq!(program.obeys(command), json!({"detached": 1}));
    let told = peer.expect_detach_with("my:reason");
    assert_eq!(told.number("handle"), 0, "{told:?}");
    peer.send(detach(0));
    assert_eq!(program.obeys(json!({"cmd": "detach", "address": "queue.b"})), json!({"detached": 1}));
    let told = peer.expect_detach_with("amqp:link:detach-forced");
    assert_eq!(told.number("handle"), 2, "{told:?}");
    assert_eq!(program.obeys(json!({"cmd": "detach"})), json!({"detached": 1}));
}

#[test]
fn connections_are_refused_and_accepted_again() {
    let (mut program, addr) = Program::controlled(&[]);
    let mut there = Bystander::new(&addr);
    for refuse in [json!({"cmd": "refuse_connections"}), json!({"cmd": "refuse_connections", "refuse": true})] {
        program.obeys(refuse);
        expect_refused(&addr);
        there.undisturbed();
        program.obeys(json!({"cmd": "refuse_connections", "refuse": false}));
        expect_works(addr);
    }
}

#[test]
fn it_crashes_and_comes_back() {
    let (mut program, addr) = Program::controlled(&[]);
    program.obeys(json!({"cmd": "inject", "address": "queue.a", "text": "kept"}));
    let stop = json!({"cmd": "stop", "hold": true});
    let crash = json!({"cmd": "crash", "hold": true});
    for command in [json!({"cmd": "crash"}), crash, stop.clone(), json!({"cmd": "shutdown"})] {
        let mut peer = Peer::opened(&addr);
        program.tell(format!("{command}\n"));
        if command["cmd"] != "crash" {
            peer.expect_close_with(CONNECTION_FORCED);
            peer.send(close());
        }
        peer.expect_eof();
        assert_eq!(program.json(), json!({"ok": true}));
        expect_refused(&addr);
        // What happened can be asked for, what needs a broker cannot.
        assert_eq!(
            program.obeys(json!({"cmd": "messages", "address": "queue.a"}))["messages"][0]["text"],
            json!("kept")
        );
        assert!(program.refuses(stop.clone()).contains("not running"));
        for needs in ["crash", "shutdown", "pause", "resume", "refuse_connections"] {
            assert!(program.refuses(json!({"cmd": needs})).contains("not running"));
        }
        assert_eq!(program.obeys(json!({"cmd": "start"})), json!({"url": format!("amqp://{addr}")}));
        expect_works(addr);
        assert_eq!(program.obeys(json!({"cmd": "queue_depth", "address": "queue.a"})), json!({"depth": 1}));
    }
}

#[test]
fn it_restarts() {
    let (mut program, addr) = Program::controlled(&[]);
    program.obeys(json!({"cmd": "inject", "address": "queue.a", "text": "m"}));
    let mut peer = Peer::opened(&addr);
    program.obeys(json!({"cmd": "restart"}));
    peer.expect_eof();
    expect_works(addr);
    assert_eq!(program.obeys(json!({"cmd": "queue_depth", "address": "queue.a"})), json!({"depth": 1}));

    let mut peer = Peer::opened(&addr);
    program.tell(format!("{}\n", json!({"cmd": "restart", "ending": "clean", "queues": "keep"})));
    peer.expect_close_with(CONNECTION_FORCED);
    peer.send(close());
    peer.expect_eof();
    assert_eq!(program.json(), json!({"ok": true}));
    assert_eq!(program.obeys(json!({"cmd": "queue_depth", "address": "queue.a"})), json!({"depth": 1}));

    program.obeys(json!({"cmd": "restart", "ending": "crash", "queues": "drop"}));
    assert_eq!(program.obeys(json!({"cmd": "queue_depth", "address": "queue.a"})), json!({"depth": 0}));
    // Also one that is down, that refuses connections, or that is paused.
    for before in ["crash", "refuse_connections", "pause"] {
        program.obeys(json!({"cmd": before}));
        program.obeys(json!({"cmd": "restart"}));
        expect_works(addr);
    }
}

#[test]
fn down_it_can_be_stopped() {
    for command in [json!({"cmd": "stop"}), json!({"cmd": "stop_clean"}), json!({"cmd": "crash", "hold": false})] {
        let (mut program, _) = Program::controlled(&[]);
        program.obeys(json!({"cmd": "crash"}));
        program.obeys(command);
        program.expect_exit(0);
    }
}

#[test]
fn held_it_can_be_restarted_too() {
    let mut program = Program::start(&["--control", "--hold"]);
    let addr = addr_of(&program.json());
    assert!(program.refuses(json!({"cmd": "crash"})).contains("not running"));
    program.obeys(json!({"cmd": "restart"}));
    expect_works(addr);
}

#[test]
fn credit_is_withheld_and_granted() {
    let (mut program, addr) = Program::controlled(&["--credit-window", "12"]);
    program.obeys(json!({"cmd": "withhold", "address": "queue.a"}));
    let mut peer = Peer::opened(&addr);
    peer.send(attach_sender("s", 0, "queue.a"));
    peer.expect_attach();
    peer.expect_nothing();
    program.obeys(json!({"cmd": "grant", "address": "queue.a", "messages": 2}));
    assert_eq!(peer.expect_credit(), 2);
    program.obeys(json!({"cmd": "restore", "address": "queue.a"}));
    assert_eq!(peer.expect_credit(), 12);
}

#[test]
fn time_passes_when_it_is_told() {
    let (mut program, addr) = Program::controlled(&["--manual-clock", "--idle-timeout", "3600"]);
    program.obeys(json!({"cmd": "on_message", "verdict": "delay", "seconds": 60}));
    let mut peer = Peer::opened(&addr);
    peer.attach_sender("s", 0, "queue.a");
    let id = peer.send_message(0, "m");
    assert_eq!(program.obeys(json!({"cmd": "advance", "seconds": 59.5})), json!({"now": 59.5}));
    assert_eq!(program.obeys(json!({"cmd": "queue_depth", "address": "queue.a"})), json!({"depth": 0}));
    assert_eq!(program.obeys(json!({"cmd": "advance", "seconds": 0.5})), json!({"now": 60.0}));
    assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
    program.obeys(json!({"cmd": "advance", "seconds": 7200}));
    peer.expect_close_with(RESOURCE_LIMIT_EXCEEDED);
}

#[test]
fn the_systems_clock_cannot_be_advanced() {
    let (mut program, addr) = Program::controlled(&[]);
    let told = program.refuses(json!({"cmd": "advance", "seconds": 1}));
    assert_eq!(told, "only a manual clock can be advanced: see --manual-clock");
    assert!(program.refuses(json!({"cmd": "advance"})).contains("seconds"));
    assert!(program.refuses(json!({"cmd": "advance", "seconds": -1})).contains("seconds"));
    expect_works(addr);
}
