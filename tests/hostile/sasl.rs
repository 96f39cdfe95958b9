//! 5.3: SASL. After a failure, none of the AMQP frames behind it are processed.

use fakebroker::Broker;

use crate::scene::Scene;
use crate::support::*;

fn guarded() -> Broker {
    Broker::builder().user("guest", "secret").start().unwrap()
}

fn plain(response: &[u8]) -> Vec<u8> {
    sasl_init("PLAIN", response).bytes()
}

/// Returns what a client sends behind SASL without waiting for the outcome.
fn amqp() -> Vec<u8> {
    [&AMQP_HEADER[..], &open().bytes(), &begin().bytes()].concat()
}

/// Expects the end of the stream without an AMQP frame. Returns the SASL frames that came.
#[track_caller]
fn shut_out(peer: &mut Peer) -> Vec<Performative> {
    let mut frames = Vec::new();
    for heard in peer.drain_to_eof() {
        if let Heard::Frame(frame) = heard {
            if frame.code() < SASL_MECHANISMS {
                peer.fail(&format!("no AMQP frame may come before SASL is done; came {frame:?}"));
            }
            frames.push(frame);
        }
    }
    frames
}

fn is_outcome(frame: &Performative, code: u8) -> bool {
    frame.code() == SASL_OUTCOME && frame.get("code") == Value::Ubyte(code)
}

#[test]
fn mechanisms_are_what_can_be_used() {
    // 1.4: a "multiple" field with one value may be that value or an array of it.
    let only_plain = [symbol("PLAIN"), Value::Array(vec![symbol("PLAIN")])];
    let open = Broker::start().unwrap();
    let (mut peer, offered) = Peer::offered_mechanisms(&open);
    let both = Value::Array(vec![symbol("PLAIN"), symbol("ANONYMOUS")]);
    assert_eq!(offered.get("sasl-server-mechanisms"), both);
    peer.send(sasl_init("ANONYMOUS", b""));
    peer.expect_sasl_outcome(0);

    // With users, and nobody else allowed: what cannot be used is not offered.
    let guarded = guarded();
    let (mut peer, offered) = Peer::offered_mechanisms(&guarded);
    assert!(only_plain.contains(&offered.get("sasl-server-mechanisms")), "{offered:?}");
    peer.send(plain(b"\0guest\0secret"));
    peer.expect_sasl_outcome(0);
    peer.send(amqp());
    peer.expect_header(AMQP_HEADER);
    peer.expect_open();
    peer.expect_begin();
    peer.close();
}

#[test]
fn a_frame_out_of_turn_closes() {
    let mut scene = Scene::new();
    let guarded = guarded();
    let mechanisms = Performative::new(SASL_MECHANISMS).with("sasl-server-mechanisms", symbol("ANONYMOUS"));
    let outcome = Performative::new(SASL_OUTCOME).with("code", 0u8);
    let rows = [
        // 5.3.1: an empty SASL frame has no meaning.
        ("an empty SASL frame", frame(2, 1, 0, b"")),
        ("an empty AMQP frame", EMPTY_FRAME.to_vec()),
        ("an AMQP frame inside SASL", open().bytes()),
        ("an open in a frame of SASL type", frame(2, 1, 0, &open().body())),
        ("an init in a frame of AMQP type", frame(2, 0, 0, &sasl_init("ANONYMOUS", b"").body())),
        ("an init in a frame of unknown type", frame(2, 2, 0, &sasl_init("ANONYMOUS", b"").body())),
        // 5.3.2: these are the server's.
        ("mechanisms from the client", mechanisms.bytes()),
        ("a challenge from the client", Performative::new(SASL_CHALLENGE).with("challenge", &b"?"[..]).bytes()),
        ("an outcome from the client", outcome.bytes()),
        ("a response without a challenge", sasl_response(b"\0guest\0secret").bytes()),
        // The bypass: AMQP begins as if SASL were over.
        ("an AMQP header before the outcome", Vec::new()),
        ("a second SASL header", SASL_HEADER.to_vec()),
        ("a frame shorter than its header", frame_with_size(7, 2, 1, 0, b"")),
        ("a data offset of 1", frame(1, 1, 0, &sasl_init("ANONYMOUS", b"").body())),
        ("a data offset beyond the frame", frame(255, 1, 0, &sasl_init("ANONYMOUS", b"").body())),
        ("a body that is no composite", frame(2, 1, 0, &[0x40])),
        ("a body with an unknown descriptor", frame(2, 1, 0, &[0x00, 0x53, 0x4f, 0x45])),
        ("a body cut short", frame(2, 1, 0, &[0x00, 0x53, 0x41, 0xc0, 0x0b, 0x01, 0xa3, 0x09, b'A', b'N'])),
        ("bytes after the init", frame(2, 1, 0, &[sasl_init("ANONYMOUS", b"").body(), vec![0x40]].concat())),
        ("an init without a mechanism", Performative::new(SASL_INIT).with("initial-response", &b""[..]).bytes()),
        ("a mechanism that is a string", sasl_init("", b"").with("mechanism", "ANONYMOUS").bytes()),
    ];
    each_row(rows, |bytes| {
        for broker in [&scene.broker, &guarded] {
            let mut peer = Peer::connect(broker);
            peer.try_send([&SASL_HEADER[..], &bytes, &amqp()].concat());
            let frames = shut_out(&mut peer);
            assert!(!frames.iter().any(|frame| is_outcome(frame, 0)), "no success: {frames:?}");
        }
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn a_frame_out_of_turn_after_the_outcome_closes() {
    let mut scene = Scene::new();
    // 5.3.2: after a good outcome comes the AMQP header and nothing else.
    let rows = [
        ("a second init", sasl_init("ANONYMOUS", b"").bytes()),
        ("a response", sasl_response(b"").bytes()),
        ("an open without a header", open().bytes()),
        ("a SASL header again", SASL_HEADER.to_vec()),
        ("a TLS header", TLS_HEADER.to_vec()),
    ];
    each_row(rows, |bytes| {
        // In one segment with the init, so that it comes before the client can know the outcome.
        let mut peer = Peer::connect(&scene.broker);
        let init = sasl_init("ANONYMOUS", b"").bytes();
        peer.try_send([&SASL_HEADER[..], &init, &bytes, &amqp()].concat());
        shut_out(&mut peer);

        let (mut peer, _) = Peer::offered_mechanisms(&scene.broker);
        peer.send(init);
        peer.expect_sasl_outcome(0);
        peer.try_send([bytes, amqp()].concat());
        shut_out(&mut peer);
        scene.undisturbed();
    });
    scene.until_alone();
}

/// Builds a valid PLAIN init whose hostname makes the frame this long.
fn init_of_size(size: usize) -> Vec<u8> {
    let init = |hostname: usize| sasl_init("PLAIN", b"\0guest\0secret").with("hostname", "h".repeat(hostname)).bytes();
    // From 256 bytes on all lengths take four bytes, so the rest is linear.
    let bytes = init(size + 1000 - init(1000).len());
    assert_eq!(bytes.len(), size);
    bytes
}

#[test]
fn the_size_of_a_frame_is_bounded() {
    let broker = guarded();
    // 5.3.1 allows 512 bytes; clients with long tokens get 8 KiB from us.
    each_row([("512 bytes", 512), ("513 bytes", 513), ("8 KiB", 8192)], |size| {
        let (mut peer, _) = Peer::offered_mechanisms(&broker);
        peer.send(init_of_size(size));
        peer.expect_sasl_outcome(0);
        peer.send(AMQP_HEADER);
        peer.expect_header(AMQP_HEADER);
    });
    let rows = [
        ("one byte over 8 KiB", init_of_size(8193)),
        ("1 MiB", init_of_size(1 << 20)),
        ("a size of 1 MiB and nothing behind it", frame_with_size(1 << 20, 2, 1, 0, b"")),
        ("a size of 4 GiB", frame_with_size(u32::MAX, 2, 1, 0, b"")),
        ("a size of 0", frame_with_size(0, 2, 1, 0, b"")),
    ];
    each_row(rows, |bytes| {
        let (mut peer, _) = Peer::offered_mechanisms(&broker);
        peer.try_send(bytes);
        let frames = shut_out(&mut peer);
        assert!(!frames.iter().any(|frame| is_outcome(frame, 0)), "no success: {frames:?}");
    });
}

#[test]
fn what_means_nothing_in_a_frame_header_is_ignored() {
    let broker = guarded();
    let body = sasl_init("PLAIN", b"\0guest\0secret").body();
    let rows = [
        // 5.3.1: bytes 6 and 7 are ignored, and so is the extended header.
        ("bytes 6 and 7", frame(2, 1, 0xbeef, &body)),
        ("an extended header", frame(4, 1, 0, &[b"whatever", &body[..]].concat())),
    ];
    each_row(rows, |bytes| {
        let (mut peer, _) = Peer::offered_mechanisms(&broker);
        peer.send_byte_by_byte(bytes);
        peer.expect_sasl_outcome(0);
    });
}

#[test]
fn what_does_not_authenticate_gets_code_1_and_is_closed() {
    let mut scene = Scene::new();
    let guarded = guarded();
    let open = &scene.broker;
    let null = sasl_init("PLAIN", b"").without("initial-response").bytes();
    let rows = [
        ("an unknown mechanism", (open, sasl_init("GSSAPI", b"x").bytes())),
        ("a mechanism without a name", (open, sasl_init("", b"").bytes())),
        ("ANONYMOUS in the wrong case", (open, sasl_init("anonymous", b"").bytes())),
        ("PLAIN without its three parts where there are no users", (open, plain(b"guest"))),
        ("an unknown mechanism where PLAIN is offered", (&guarded, sasl_init("EXTERNAL", b"guest").bytes())),
        ("PLAIN in the wrong case", (&guarded, sasl_init("plain", b"\0guest\0secret").bytes())),
        ("ANONYMOUS where only PLAIN is offered", (&guarded, sasl_init("ANONYMOUS", b"").bytes())),
        // RFC 4616: authorization id, NUL, user, NUL, password.
        ("a null response", (&guarded, null)),
        ("an empty response", (&guarded, plain(b""))),
        ("a response without NUL", (&guarded, plain(b"guest secret"))),
        ("a response with one NUL", (&guarded, plain(b"guest\0secret"))),
        ("a response with three NULs", (&guarded, plain(b"\0guest\0secret\0"))),
        ("a response that is not UTF-8", (&guarded, plain(b"\0guest\0\xff\xfe"))),
        ("a user that is not UTF-8", (&guarded, plain(b"\0\xc3\x28\0secret"))),
        ("an empty user and password", (&guarded, plain(b"\0\0"))),
        ("an empty password", (&guarded, plain(b"\0guest\0"))),
        ("a wrong password", (&guarded, plain(b"\0guest\0Secret"))),
        ("a password that is a prefix", (&guarded, plain(b"\0guest\0secre"))),
        ("a password that goes on", (&guarded, plain(b"\0guest\0secrets"))),
        ("an unknown user", (&guarded, plain(b"\0nobody\0secret"))),
        ("a user in the wrong case", (&guarded, plain(b"\0Guest\0secret"))),
    ];
    each_row(rows, |(broker, init)| {
        let (mut peer, _) = Peer::offered_mechanisms(broker);
        peer.send(&init);
        peer.expect_sasl_outcome(1);
        peer.expect_eof();

        // A connection's worth of frames pipelined behind the init: never processed.
        let mut peer = Peer::connect(broker);
        peer.try_send([&SASL_HEADER[..], &init, &amqp()].concat());
        let frames = shut_out(&mut peer);
        assert!(frames.iter().any(|frame| is_outcome(frame, 1)), "code 1 is said: {frames:?}");
        scene.bystander.undisturbed();
    });
    assert_eq!(guarded.counts().sender_links, 0);
    scene.until_alone();
}

#[test]
fn wrong_password_and_unknown_user_get_the_same_answer() {
    let broker = guarded();
    let answer = |response: &[u8]| {
        let (mut peer, _) = Peer::offered_mechanisms(&broker);
        peer.send(plain(response));
        peer.drain_to_eof()
    };
    assert_eq!(answer(b"\0guest\0wrong"), answer(b"\0nobody\0wrong"));
    assert_eq!(answer(b"\0guest\0wrong"), answer(b"\0nobody\0secret"));
}

#[test]
fn an_end_in_the_middle_of_sasl_leaves_nothing_behind() {
    let mut scene = Scene::new();
    let init = sasl_init("ANONYMOUS", b"").bytes();
    let rows = [
        ("after the header", SASL_HEADER.to_vec()),
        ("in the init's header", [&SASL_HEADER[..], &init[..5]].concat()),
        ("in the init's body", [&SASL_HEADER[..], &init[..12]].concat()),
        ("after the init", [&SASL_HEADER[..], &init].concat()),
        ("in the second header", [&SASL_HEADER[..], &init, b"AMQ"].concat()),
    ];
    each_row(rows, |bytes| {
        let mut peer = Peer::connect(&scene.broker);
        peer.send(&bytes);
        peer.hang_up();
        shut_out(&mut peer);
        let mut peer = Peer::connect(&scene.broker);
        peer.send(&bytes);
        peer.reset();
        scene.until_alone();
    });
}
