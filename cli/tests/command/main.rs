//! The `fakebroker` program, held to its contract: its first line, its exit codes, signals, the control channel.
#![allow(clippy::panic, clippy::unwrap_used)]

#[path = "../../../tests/support/mod.rs"]
mod support;
#[path = "../../../tests/support091/mod.rs"]
mod support091;

mod client;
mod control;
mod definitions;
mod errors;
mod flags;
mod looking;
mod options;
mod policies;
mod program;
mod rules;
mod steering;
mod topology;
mod values;
mod vhosts;
mod waiting;

use std::net::SocketAddr;

use program::*;
use support::*;

#[test]
fn its_first_line_is_the_url_and_then_it_serves() {
    let (program, addr) = Program::listening(&[]);
    assert_ne!(addr.port(), 0);
    expect_works(addr);
    drop(program);
}

#[test]
fn it_does_not_need_its_standard_input() {
    let (mut program, addr) = Program::listening(&[]);
    program.input = None;
    expect_works(addr);
}

#[test]
fn a_signal_stops_it_cleanly() {
    for name in ["INT", "TERM"] {
        let (mut program, addr) = Program::listening(&[]);
        let mut peer = Peer::opened(&addr);
        program.signal(name);
        peer.expect_close_with(CONNECTION_FORCED);
        // Nobody new is let in meanwhile.
        expect_refused(&addr);
        peer.send(close());
        peer.expect_eof();
        program.expect_exit(0);
        program.expect_no_more_output();
        assert_eq!(program.errors(), [""; 0], "after SIG{name}");
    }
}

#[test]
fn a_signal_right_after_the_first_line_is_handled() {
    for _ in 0..20 {
        let (mut program, _) = Program::listening(&[]);
        program.signal("TERM");
        program.expect_exit(0);
    }
}

#[test]
fn a_second_signal_means_at_once() {
    // An hour is what it would wait for the answer.
    let (mut program, addr) = Program::listening(&["--linger", "3600"]);
    let mut mute = Peer::opened(&addr);
    program.signal("INT");
    mute.expect_close_with(CONNECTION_FORCED);
    program.signal("INT");
    program.expect_exit(0);
}

#[test]
fn a_port_in_use_is_one_line_and_exit_code_1() {
    let (_first, addr) = Program::listening(&[]);
    let address = addr.to_string();
    for arguments in
        [&["--listen", &address][..], &["--listen", &address, "--control"], &["--listen", &address, "-vvv"]]
    {
        let (code, lines, errors) = run(arguments);
        assert_eq!((code, lines), (1, Vec::new()), "{errors:?}");
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains(&address), "{errors:?}");
    }
    expect_works(addr);
}

#[test]
fn an_address_that_does_not_exist_is_exit_code_1() {
    // A documentation address: nobody's machine has it.
    let (code, lines, errors) = run(&["--listen", "192.0.2.1:5672"]);
    assert_eq!((code, lines, errors.len()), (1, Vec::new(), 1), "{errors:?}");
    assert!(errors[0].contains("192.0.2.1:5672"), "{errors:?}");
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let rows: [&[&str]; 27] = [
        &["--nonsense"],
        &["positional"],
        &["--listen"],
        &["--listen", "no-port"],
        &["--listen", "127.0.0.1:99999"],
        &["--user", "joe"],
        &["--default-distribution", "sideways"],
        &["--distribution", "a"],
        &["--distribution", "a=sideways"],
        &["--unroutable", "maybe"],
        &["--settlement", "never"],
        &["--credit-window", "-1"],
        &["--credit-window", "4294967296"],
        &["--channel-max", "65536"],
        &["--max-frame-size", "large"],
        &["--handle-max", "4294967296"],
        &["--open-property", "product"],
        &["--open-property", "prodüct=x"],
        &["--idle-timeout", "-1"],
        &["--linger", "soon"],
        &["--hold"],
        &["--message-log", "5"],
        &["--trace-log", "5"],
        &["--trace-whole-frames"],
        &["--control", "--message-log", "many"],
        &["--trace-format", "text"],
        &["--trace", "-", "--trace-format", "poem"],
    ];
    let mut wrong = Vec::new();
    for row in rows {
        let (code, lines, errors) = run(row);
        if code != 2 || !lines.is_empty() || errors.is_empty() {
            wrong.push(format!("{row:?}: exit code {code}, {lines:?}, {errors:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn help_and_version() {
    let (code, lines, errors) = run(&["--help"]);
    assert_eq!((code, errors), (0, Vec::new()));
    assert!(lines.iter().any(|line| line.trim_start().starts_with("--listen <HOST:PORT>")), "{lines:#?}");
    let (code, lines, errors) = run(&["--version"]);
    assert_eq!((code, errors), (0, Vec::new()));
    assert_eq!(lines, [concat!("fakebroker ", env!("CARGO_PKG_VERSION"))]);
}

#[test]
fn it_listens_at_every_address_it_is_given() {
    let program = Program::start(&["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
    let addrs = [program.line(), program.line()].map(|line| -> SocketAddr {
        line.strip_prefix("listening on amqp://").unwrap_or_else(|| panic!("{line:?}")).parse().unwrap()
    });
    assert_ne!(addrs[0], addrs[1]);
    let mut receiver = Peer::opened(&addrs[0]);
    receiver.attach_receiver("r", 0, "a", 1);
    let mut sender = Peer::opened(&addrs[1]);
    sender.attach_sender("s", 0, "a");
    sender.send_message(0, "across");
    assert_eq!(text(&receiver.expect_transfer().payload), "across");
}

#[test]
fn users_are_let_in_by_their_passwords() {
    let (_program, addr) = Program::listening(&["--user", "joe:s3cr:t", "--user", "ann:other"]);
    for (response, code) in [("\0joe\0s3cr:t", 0), ("\0ann\0other", 0), ("\0joe\0other", 1), ("\0joe\0s3cr", 1)] {
        let (mut peer, mechanisms) = Peer::offered_mechanisms(&addr);
        let offered = mechanisms.get("sasl-server-mechanisms");
        assert!([symbol("PLAIN"), Value::Array(vec![symbol("PLAIN")])].contains(&offered), "{offered:?}");
        peer.send(sasl_init("PLAIN", response.as_bytes()));
        peer.expect_sasl_outcome(code);
    }
}

#[test]
fn anonymous_clients_can_be_let_in_besides() {
    let (_program, addr) = Program::listening(&["--user", "joe:secret", "--allow-anonymous"]);
    Peer::opened(&addr).close();
    for (init, code) in [
        (sasl_init("ANONYMOUS", b""), 0),
        (sasl_init("PLAIN", b"\0joe\0secret"), 0),
        (sasl_init("PLAIN", b"\0guest\0guest"), 1),
    ] {
        let (mut peer, _) = Peer::offered_mechanisms(&addr);
        peer.send(init);
        peer.expect_sasl_outcome(code);
    }
}

#[test]
fn it_logs_on_standard_error_and_only_when_asked() {
    let session = |addr: SocketAddr| {
        let mut peer = Peer::opened(&addr);
        peer.attach_receiver("r", 0, "somebody", 1);
        peer.attach_sender("s", 1, "somebody");
        let id = peer.send_message(1, "m");
        peer.expect_transfer();
        assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
        peer.attach_sender("t", 2, "nobody.there");
        let id = peer.send_message(2, "m");
        assert_eq!(peer.expect_outcome_of(id).state(), REJECTED);
        peer.close();
    };
    let logged = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut program = Program::start_with(&[&["--listen", "127.0.0.1:0"], arguments].concat(), environment);
        session(program.line().strip_prefix("listening on amqp://").unwrap().parse().unwrap());
        program.signal("TERM");
        program.expect_exit(0);
        program.expect_no_more_output();
        program.errors().to_vec()
    };
    let by_default = logged(&[], &[]);
    assert!(by_default.is_empty(), "{by_default:?}");
    let (once, thrice) = (logged(&["-v"], &[]), logged(&["-v", "-vv"], &[]));
    assert!(once.iter().any(|line| line.contains("nobody.there")), "the address of a dropped message: {once:?}");
    assert!(thrice.len() > once.len(), "{once:#?}\n{thrice:#?}");
    assert!(!logged(&[], &[("RUST_LOG", "debug")]).is_empty());
}
