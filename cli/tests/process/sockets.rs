//! Sockets in every state, and more of them than descriptors: processor time, descriptors and memory stay what they are.

use std::time::{Duration, Instant};

use crate::command::Command;
use crate::support::*;

/// Checks that the command rests between events of its own timer: the empty frames that this peer is owed every 200 ms
/// (2.4.5). Its processor time is next to nothing however busy the machine is; a loop that spins takes all it can get.
#[track_caller]
fn expect_rest(command: &Command, clock: &mut Peer) {
    clock.expect_empty_frame();
    let before = command.cpu_time();
    for _ in 0..4 {
        clock.expect_empty_frame();
    }
    let used = command.cpu_time() - before;
    assert!(used < Duration::from_millis(40), "it used {used:?} of a processor while nothing happened");
}

fn clock(command: &Command) -> Peer {
    Peer::opened_with(command, open().with("idle-time-out", 400u32), begin())
}

#[test]
fn never_spins() {
    let mut command = Command::start(&[]);
    let mut bystander = Bystander::new(&command);
    let mut clock = clock(&command);
    // Everything that leaves a socket in an odd state, at once.
    let silent = Peer::connect(&command);
    let mut in_mid_frame = Peer::opened(&command);
    in_mid_frame.send(&attach_sender("s", 0, "a").bytes()[..20]);
    let mut half_closed = Peer::connect(&command);
    half_closed.send(AMQP_HEADER);
    half_closed.hang_up();
    let mut faulty = Peer::opened(&command);
    faulty.send(open());
    faulty.hang_up();
    let mut unanswered = Peer::opened(&command);
    unanswered.send(open());
    unanswered.expect_close_with(ILLEGAL_STATE);
    let mut hasty = Peer::greeted(&command);
    hasty.send(open().with("idle-time-out", 1u32));
    let deaf = Peer::receiver(&command, "deaf", 1_000_000);
    let mut sender = Peer::sender(&command, "deaf");
    let large = message(&"x".repeat(32 * 1024));
    for id in 0..500 {
        // Should the broker read no further, that is one odd socket more.
        if !sender.try_send(transfer(0, id).with("settled", true).with_payload(&large[..])) {
            break;
        }
    }
    Peer::opened(&command).reset();
    bystander.undisturbed();

    expect_rest(&command, &mut clock);
    bystander.undisturbed();
    assert!(command.is_running());
    drop((silent, in_mid_frame, half_closed, faulty, unanswered, hasty, deaf, sender));
}

#[test]
fn without_descriptors_left_it_serves_who_is_there() {
    let mut command = Command::start_with_open_files(40);
    let mut bystander = Bystander::new(&command);
    let mut clock = clock(&command);
    // More than it can accept; the rest waits in the listener's queue.
    let crowd: Vec<_> = (0..100).map(|_| Peer::connect(&command)).collect();
    for _ in 0..20 {
        bystander.undisturbed();
    }
    expect_rest(&command, &mut clock);
    bystander.undisturbed();
    let connections = command.count("connections");
    assert!(connections < 100, "it accepted {connections} with 40 descriptors");
    drop(crowd);
    // There is room again, for whoever waited and for who comes now.
    let peer = Peer::opened(&command);
    peer.close();
    bystander.undisturbed();
    assert!(command.is_running());
}

#[test]
fn ten_thousand_connections_leave_no_descriptor_and_no_memory() {
    let mut command = Command::start(&[]);
    let mut bystander = Bystander::new(&command);
    let come_and_go = |bystander: &mut Bystander, count: u32| {
        for n in 0..count {
            if n % 50 == 0 {
                let mut peer = Peer::sender(&command, &format!("address.{n}"));
                peer.attach_receiver("r", 1, &format!("address.{n}"), 1);
                peer.reset();
            } else {
                Peer::connect(&command).reset();
            }
        }
        bystander.undisturbed();
    };
    come_and_go(&mut bystander, 1000);
    let (files, memory) = (command.open_files(), command.memory());
    come_and_go(&mut bystander, 9000);
    let give_up = Instant::now() + patience();
    while command.count("connections") != 1 {
        bystander.undisturbed();
        assert!(Instant::now() < give_up, "{}", command.ask(r#"{"cmd":"counts"}"#));
    }
    assert!(command.open_files() <= files, "{} files open, {files} before", command.open_files());
    let grown = command.memory().saturating_sub(memory);
    assert!(grown < 4 << 20, "{grown} bytes more than before");
}
