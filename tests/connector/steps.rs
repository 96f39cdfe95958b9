//! Each step up to a channel, and every way in which a peer can fail it: the error says which step, and what the peer said.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use fakebroker::Broker;
use fakebroker::connector::{Connector, Error, ErrorKind, Step};

use super::server::*;
use crate::support::*;

/// Returns the name of an error's kind.
fn kind(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Io(_) => "io",
        ErrorKind::TimedOut(_) => "timeout",
        ErrorKind::Refused { .. } => "refused",
        ErrorKind::Protocol(_) => "protocol",
        ErrorKind::NotAccepted(_) => "not accepted",
        ErrorKind::Usage(_) => "usage",
        _ => "another",
    }
}

/// The error of a connector that opens a channel where `script` is played.
#[track_caller]
fn error_of(script: impl FnOnce(Peer) + Send + 'static) -> Error {
    let server = Server::play(script);
    let error = server.connector().open().unwrap_err();
    server.done();
    error
}

#[track_caller]
fn assert_error(error: &Error, step: Step, expected: &str, words: &str) {
    assert_eq!((error.step(), kind(error)), (step, expected), "{error}");
    assert!(error.to_string().contains(words), "{words:?} expected in: {error}");
}

#[test]
fn nobody_listens() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Connector::new().host("127.0.0.1").port(addr.port()).connect().unwrap_err();
    assert_error(&error, Step::Connect, "io", "refused");
}

#[test]
fn headers_that_do_not_do() {
    let http = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    let rows: [(&str, (&'static [u8], &str, &str)); 6] = [
        ("0-9-1", (b"AMQP\x00\x00\x09\x01", "refused", "AMQP 0-9-1")),
        ("0-8", (b"AMQP\x01\x01\x08\x00", "refused", "AMQP 1-8-0")),
        ("no SASL", (b"AMQP\x00\x01\x00\x00", "refused", "without SASL")),
        ("a web server", (http, "protocol", "HTTP/1.1")),
        ("zeros", (&[0; 100], "protocol", "does not speak AMQP")),
        ("the beginning of one", (b"AMQP\x03", "io", "hung up")),
    ];
    each_row(rows, |(answer, expected, words)| {
        let error = error_of(move |mut peer| {
            peer.expect_header(SASL_HEADER);
            peer.send(answer);
            peer.hang_up();
            peer.drain_to_eof();
        });
        assert_error(&error, Step::Connect, expected, words);
    });
}

#[test]
fn silence_ends_each_step_in_time() {
    type Script = fn(&mut Peer);
    let rows: [(&str, (Step, Script)); 4] = [
        ("connect", (Step::Connect, |_| {})),
        ("authenticate", (Step::Authenticate, |peer| peer.send(SASL_HEADER))),
        (
            "authenticate, asked",
            (Step::Authenticate, |peer| {
                peer.send(SASL_HEADER);
                peer.send(mechanisms(&["PLAIN"]));
            }),
        ),
        (
            "open",
            (Step::OpenChannel, |peer| {
                peer.send(SASL_HEADER);
                peer.send(mechanisms(&["PLAIN"]));
                peer.expect_header(SASL_HEADER);
                peer.expect(SASL_INIT);
                peer.send(sasl_outcome(0));
                peer.send(AMQP_HEADER);
            }),
        ),
    ];
    each_row(rows, |(step, script)| {
        let server = Server::play(move |mut peer| {
            script(&mut peer);
            peer.drain_to_eof();
        });
        let error = server.connector().timeout_of(step, Duration::from_millis(100)).open().unwrap_err();
        assert_error(&error, step, "timeout", "100ms");
        assert!(error.is_timeout());
        server.done();
    });
}

#[test]
fn a_step_that_trickles_in_is_not_given_more_time() {
    let server = Server::play(|mut peer| {
        for byte in SASL_HEADER {
            // A byte now and then: the deadline is for all of them.
            if !peer.try_send([byte]) || peer.hear_until(Instant::now() + Duration::from_millis(60)) == Some(Heard::Eof)
            {
                break;
            }
        }
        peer.drain_to_eof();
    });
    let connector = server.connector().timeout_of(Step::Connect, Duration::from_millis(100));
    let error = connector.connect().unwrap_err();
    assert_error(&error, Step::Connect, "timeout", "100ms");
    server.done();
}

#[test]
fn sasl_says_who_we_are() {
    let rows: [(&str, (&'static [&'static str], &str, &'static [u8])); 4] = [
        ("both", (&["ANONYMOUS", "PLAIN"], "PLAIN", b"\0joe\0s\xc3\xa9cret")),
        ("among others", (&["EXTERNAL", "PLAIN", "AMQPLAIN"], "PLAIN", b"\0joe\0s\xc3\xa9cret")),
        ("PLAIN alone", (&["PLAIN"], "PLAIN", b"\0joe\0s\xc3\xa9cret")),
        ("ANONYMOUS alone", (&["ANONYMOUS"], "ANONYMOUS", b"anonymous")),
    ];
    each_row(rows, |(offered, chosen, response)| {
        let server = Server::play(move |mut peer| {
            peer.expect_header(SASL_HEADER);
            peer.send([&SASL_HEADER[..], &mechanisms(offered).bytes()].concat());
            let init = peer.expect(SASL_INIT);
            assert_eq!(init.text("mechanism"), chosen);
            assert_eq!(init.get("initial-response"), response.into());
            assert_eq!(init.text("hostname"), "orders");
            peer.send([&sasl_outcome(0).bytes()[..], &AMQP_HEADER].concat());
            peer.expect_header(AMQP_HEADER);
            let asked = peer.expect_open();
            assert_eq!(asked.text("hostname"), "orders");
            assert_eq!(asked.text("container-id"), "me");
            assert_eq!(asked.get("offered-capabilities"), Value::Null);
            peer.send(open().with("container-id", "the server"));
            answer_begin(&mut peer);
            answer_close(peer);
        });
        let connector =
            server.connector().user("joe").password("s\u{e9}cret").virtual_host("orders").container_id("me");
        let channel = connector.open().unwrap();
        assert_eq!(channel.peer().container, "the server");
        assert_eq!(channel.peer().mechanisms, offered);
        channel.disconnect().unwrap();
        server.done();
    });
}

#[test]
fn one_mechanism_need_not_be_an_array() {
    let server = Server::play(|mut peer| {
        peer.send(SASL_HEADER);
        peer.send(Performative::new(SASL_MECHANISMS).with("sasl-server-mechanisms", symbol("ANONYMOUS")));
        peer.expect_header(SASL_HEADER);
        peer.expect(SASL_INIT);
        peer.send(sasl_outcome(0));
        peer.expect_header(AMQP_HEADER);
        peer.send(AMQP_HEADER);
        open_up(&mut peer);
        answer_close(peer);
    });
    server.open().disconnect().unwrap();
    server.done();
}

#[test]
fn sasl_that_does_not_let_us_in() {
    let offer = || mechanisms(&["PLAIN"]).bytes();
    let rows: Vec<(&'static str, (Vec<u8>, &str, &str))> = vec![
        ("code 1", ([offer(), sasl_outcome(1).bytes()].concat(), "refused", "sasl:auth: user or password is wrong")),
        ("code 2", ([offer(), sasl_outcome(2).bytes()].concat(), "refused", "sasl:sys: ")),
        ("code 3", ([offer(), sasl_outcome(3).bytes()].concat(), "refused", "sasl:sys-perm")),
        ("code 4", ([offer(), sasl_outcome(4).bytes()].concat(), "refused", "sasl:sys-temp")),
        ("code 9", ([offer(), sasl_outcome(9).bytes()].concat(), "refused", "(outcome code 9)")),
        ("nothing of ours", (mechanisms(&["EXTERNAL", "GSSAPI"]).bytes(), "refused", "EXTERNAL, GSSAPI")),
        ("nothing at all", (mechanisms(&[]).bytes(), "refused", "sasl:mechanisms")),
        ("an outcome first", (sasl_outcome(0).bytes(), "protocol", "sasl-mechanisms expected, see section 5.3.2")),
        (
            "a challenge",
            (
                [offer(), Performative::new(SASL_CHALLENGE).with("challenge", &b"who?"[..]).bytes()].concat(),
                "protocol",
                "sasl-outcome expected",
            ),
        ),
        ("an open", (open().bytes(), "protocol", "AMQP frame before the end of SASL")),
        ("a frame too large", (frame_with_size(1 << 20, 2, 1, 0, &[]), "protocol", "larger than max-frame-size")),
        ("no frame", (vec![0xff; 16], "protocol", "framing-error")),
        ("half a frame", (offer()[..10].to_vec(), "io", "hung up")),
        ("nothing more", (Vec::new(), "io", "hung up")),
    ];
    each_row(rows, |(answer, expected, words)| {
        let error = error_of(move |mut peer| {
            peer.expect_header(SASL_HEADER);
            peer.send(SASL_HEADER);
            peer.send(answer);
            peer.hang_up();
            peer.drain_to_eof();
        });
        assert_error(&error, Step::Authenticate, expected, words);
    });
}

#[test]
fn after_sasl_comes_another_header() {
    let error = error_of(|mut peer| {
        peer.send(SASL_HEADER);
        peer.send(mechanisms(&["ANONYMOUS"]));
        peer.send(sasl_outcome(0));
        peer.send(SASL_HEADER);
        peer.drain_to_eof();
    });
    assert_error(&error, Step::Authenticate, "refused", "protocol id 3");
}

#[test]
fn a_channel_that_is_not_had() {
    let refusal = || close().with("error", error("amqp:not-allowed", "no such host"));
    let rows: Vec<(&'static str, (Vec<u8>, &str, &str))> = vec![
        ("closed", ([open().bytes(), refusal().bytes()].concat(), "refused", "amqp:not-allowed: no such host")),
        ("closed before the open", (refusal().bytes(), "refused", "amqp:not-allowed: no such host")),
        ("closed before the open, unsaid", (close().bytes(), "refused", "has closed the connection")),
        ("closed, unsaid", ([open().bytes(), close().bytes()].concat(), "refused", "has closed the connection")),
        (
            "a begin first",
            (begin().bytes(), "protocol", "the first frame of a connection is an open, see section 2.4.1"),
        ),
        ("two opens", ([open().bytes(), open().bytes()].concat(), "protocol", "a second open")),
        ("an open elsewhere", (open().on_channel(1).bytes(), "protocol", "channel other than 0")),
        (
            "a begin for another",
            (
                [open().bytes(), begin().with("remote-channel", Value::Ushort(7)).bytes()].concat(),
                "protocol",
                "answers none of ours",
            ),
        ),
        ("garbage", ([open().bytes(), vec![0xff; 32]].concat(), "protocol", "framing-error")),
        ("nonsense", (frame(2, 0, 0, &[0x00, 0x53, 0x10, 0xc0]), "protocol", "decode-error")),
        ("hung up", (open().bytes(), "io", "hung up")),
        ("hung up at once", (Vec::new(), "io", "hung up")),
        ("hung up in mid-frame", (open().bytes()[..9].to_vec(), "io", "hung up")),
    ];
    each_row(rows, |(answer, expected, words)| {
        let error = error_of(move |mut peer| {
            let_in(&mut peer);
            peer.expect_open();
            peer.send(answer);
            peer.hang_up();
            peer.drain_to_eof();
        });
        assert_error(&error, Step::OpenChannel, expected, words);
    });
}

#[test]
fn without_sasl() {
    let server = Server::play(|mut peer| {
        peer.expect_header(AMQP_HEADER);
        peer.send(AMQP_HEADER);
        open_up(&mut peer);
        answer_close(peer);
    });
    let channel = server.connector().sasl(false).open().unwrap();
    assert!(channel.peer().mechanisms.is_empty());
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn everything_a_byte_at_a_time() {
    let server = Server::play(|mut peer| {
        peer.send_byte_by_byte(SASL_HEADER);
        peer.send_byte_by_byte(mechanisms(&["ANONYMOUS"]));
        peer.expect_header(SASL_HEADER);
        peer.expect(SASL_INIT);
        peer.send_byte_by_byte([&sasl_outcome(0).bytes()[..], &AMQP_HEADER].concat());
        peer.expect_header(AMQP_HEADER);
        peer.expect_open();
        peer.send_byte_by_byte(open().with("max-frame-size", 1000u32));
        let asked = peer.expect_begin();
        peer.send_byte_by_byte(begin().with("remote-channel", Value::Ushort(asked.channel)));
        answer_close(peer);
    });
    let channel = server.open();
    assert_eq!(channel.peer().max_frame_size, 1000);
    channel.disconnect().unwrap();
    server.done();
}

#[test]
fn what_the_peer_says_of_itself() {
    let server = Server::play(|mut peer| {
        let_in(&mut peer);
        peer.expect_open();
        let properties = Value::Map(vec![
            (symbol("product"), "Something".into()),
            (symbol("version"), "1.2".into()),
            (symbol("answer"), 42i32.into()),
        ]);
        let offered = Value::Array(vec![symbol("ANONYMOUS-RELAY"), symbol("more")]);
        peer.send(open().with("properties", properties).with("offered-capabilities", offered));
        answer_begin(&mut peer);
        peer.drain_to_eof();
    });
    let channel = server.open();
    let said: Vec<(&str, &str)> =
        channel.peer().properties.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(said, [("product", "Something"), ("version", "1.2")]);
    assert_eq!(channel.peer().capabilities, ["ANONYMOUS-RELAY", "more"]);
    drop(channel);
    server.done();
}

#[test]
fn the_broker_itself() {
    let broker = Broker::builder().user("joe", "secret").start().unwrap();
    let connector = Connector::from_url(&broker.url()).unwrap().user("joe");
    for (password, expected) in [("secret", None), ("wrong", Some("sasl:auth"))] {
        let result = connector.clone().password(password).open();
        assert_eq!(result.as_ref().err().and_then(Error::condition), expected, "{password}");
    }
    // The peer insists on SASL, and answers with its header.
    let error = connector.sasl(false).connect().unwrap_err();
    assert_error(&error, Step::Connect, "refused", "protocol id 3");
}

#[test]
fn a_user_that_fits_no_frame() {
    let broker = Broker::builder().user("joe", "secret").start().unwrap();
    let connected = Connector::from_url(&broker.url()).unwrap().user("j".repeat(1000)).connect().unwrap();
    assert_error(&connected.authenticate().unwrap_err(), Step::Authenticate, "usage", "do not fit");
}

#[test]
fn disconnect_is_bounded() {
    let server = Server::opened(|mut peer| {
        peer.expect_close();
        // And no answer.
        peer.drain_to_eof();
    });
    let channel = server.connector().timeout_of(Step::Disconnect, Duration::from_millis(100)).open().unwrap();
    assert_error(&channel.disconnect().unwrap_err(), Step::Disconnect, "timeout", "100ms");
    server.done();
}

#[test]
fn disconnect_from_who_is_gone() {
    let server = Server::opened(|mut peer| {
        peer.expect_close();
        peer.hang_up();
        peer.drain_to_eof();
    });
    assert_error(&server.open().disconnect().unwrap_err(), Step::Disconnect, "io", "hung up");
    server.done();
}

#[test]
fn a_dropped_channel_says_nothing() {
    let server = Server::opened(|mut peer| {
        // No close: the end of the stream, and nothing before it.
        peer.expect_eof();
    });
    drop(server.open());
    server.done();
}

#[test]
fn a_round_trip() {
    let server = Server::opened(|mut peer| {
        answer_begin(&mut peer);
        let ended = peer.expect_end();
        peer.send(end().on_channel(ended.channel));
        answer_close(peer);
    });
    let mut channel = server.open();
    assert!(channel.round_trip().unwrap() > Duration::ZERO);
    channel.disconnect().unwrap();
    server.done();
}
