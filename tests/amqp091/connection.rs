//! 2.2.4: connections.

use std::time::Duration;

use fakebroker::Broker;

use crate::support::each_row;
use crate::support091::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_handshake() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::connect(&broker);
    peer.send(HEADER_0_9_1);
    let mut start = peer.expect_on(0, START);
    assert_eq!((start.octet(), start.octet()), (0, 9));
    let properties = start.longstr();
    // A table in a table, booleans and long strings: what the oldest clients read.
    let says = |what: &[u8]| properties.windows(what.len()).any(|window| window == what);
    assert!(says(b"\x0ccapabilitiesF") && says(b"\x12publisher_confirmst\x01") && says(b"\x07productS"));
    assert_eq!(start.longstr(), b"PLAIN AMQPLAIN ANONYMOUS");
    assert_eq!(start.longstr(), b"en_US");
    peer.send(start_ok("PLAIN", "\0guest\0guest", &[]));
    let mut tune = peer.expect_on(0, TUNE);
    assert_eq!((tune.short(), tune.long(), tune.short()), (2047, 131_072, 0));
    peer.send(tune_ok(0, 0, 0));
    peer.send(connection_open("/"));
    assert_eq!(peer.expect_on(0, OPEN_OK).shortstr(), "");
    assert_eq!(broker.counts().connections, 1);
    peer.close();
}

#[test]
fn byte_by_byte_and_all_at_once_are_the_same() {
    let broker = Broker::start().unwrap();
    let frames = [
        HEADER_0_9_1.to_vec(),
        start_ok("PLAIN", "\0guest\0guest", &[]).bytes(),
        tune_ok(0, 0, 0).bytes(),
        connection_open("/").bytes(),
        method(1, CHANNEL_OPEN).shortstr("").bytes(),
        queue_declare(1, "q", &[]).bytes(),
        publish(1, "", "q", &[], &NO_PROPERTIES, b"hello"),
        method(1, GET).short(0).shortstr("q").bits(&[true]).bytes(),
    ]
    .concat();
    for byte_by_byte in [false, true] {
        let mut peer = Peer091::connect(&broker);
        if byte_by_byte {
            peer.send_byte_by_byte(&frames);
        } else {
            peer.send(&frames);
        }
        for expected in [START, TUNE, OPEN_OK, CHANNEL_OPEN_OK, QUEUE_DECLARE_OK, GET_OK] {
            peer.expect(expected);
        }
        assert_eq!(peer.hear(), Heard091::Header { channel: 1, size: 5, properties: vec![0, 0] });
        assert_eq!(peer.hear(), Heard091::Body { channel: 1, bytes: b"hello".to_vec() });
        peer.close();
    }
}

/// AMQPLAIN: the entries of a table, with its size before them or without.
fn amqplain(name: &str, password: &str) -> Vec<u8> {
    [text_entry("LOGIN", name), text_entry("PASSWORD", password)].concat()
}

/// A broker without users, one with users, and one that lets anonymous clients in besides.
fn brokers() -> [Broker; 3] {
    let joe = || Broker::builder().user("joe", "secret");
    [Broker::start().unwrap(), joe().start().unwrap(), joe().allow_anonymous().start().unwrap()]
}

#[test]
fn who_gets_in() {
    let brokers = brokers();
    const EVERYWHERE: [bool; 3] = [true, true, true];
    const WITHOUT_USERS: [bool; 3] = [true, false, false];
    const WITHOUT_A_NAME: [bool; 3] = [true, false, true];
    const NOWHERE: [bool; 3] = [false, false, false];
    let plain = |response: &[u8]| ("PLAIN", response.to_vec());
    let by_table = |response: Vec<u8>| ("AMQPLAIN", response);
    let rows = [
        ("joe", (plain(b"\0joe\0secret"), "joe", EVERYWHERE)),
        ("joe by AMQPLAIN", (by_table(amqplain("joe", "secret")), "joe", EVERYWHERE)),
        ("joe by AMQPLAIN with a size", (by_table(sized(&amqplain("joe", "secret"))), "joe", EVERYWHERE)),
        ("guest", (plain(b"\0guest\0guest"), "guest", WITHOUT_USERS)),
        ("guest by AMQPLAIN", (by_table(amqplain("guest", "guest")), "guest", WITHOUT_USERS)),
        ("joe with a wrong password", (plain(b"\0joe\0Secret"), "joe", WITHOUT_USERS)),
        ("joe without a password", (plain(b"\0joe\0"), "joe", WITHOUT_USERS)),
        ("no name and no password", (plain(b"\0\0"), "", WITHOUT_USERS)),
        ("somebody by AMQPLAIN", (by_table(amqplain("jim", "secret")), "jim", WITHOUT_USERS)),
        ("anonymous", (("ANONYMOUS", b"trace".to_vec()), "anonymous", WITHOUT_A_NAME)),
        ("anonymous without a trace", (("ANONYMOUS", Vec::new()), "anonymous", WITHOUT_A_NAME)),
        ("no table", (by_table(b"\0joe\0secret".to_vec()), "", NOWHERE)),
        ("a table without a password", (by_table(text_entry("LOGIN", "joe")), "", NOWHERE)),
        ("not UTF-8", (plain(b"\0joe\0\xff"), "", NOWHERE)),
        ("three NULs", (plain(b"\0joe\0secret\0"), "", NOWHERE)),
        ("a mechanism that nobody offers", (("EXTERNAL", b"\0joe\0secret".to_vec()), "", NOWHERE)),
        ("a mechanism in lower case", (("plain", b"\0joe\0secret".to_vec()), "", NOWHERE)),
    ];
    each_row(rows, |((mechanism, response), user, where_in)| {
        for (broker, gets_in) in brokers.iter().zip(where_in) {
            // One that can be told why, and one that cannot.
            for capabilities in [&["authentication_failure_close"][..], &[]] {
                let mut peer = Peer091::greeted(broker, HEADER_0_9_1);
                peer.send(start_ok(mechanism, &response, capabilities));
                let is_offered = !matches!(mechanism, "EXTERNAL" | "plain" | "ANONYMOUS");
                if gets_in {
                    peer.expect(TUNE);
                    peer.send(tune_ok(0, 0, 0));
                    peer.send(connection_open("/"));
                    peer.expect(OPEN_OK);
                    assert_eq!(broker.connections().last().unwrap().user.as_deref(), Some(user));
                    peer.close();
                } else if capabilities.is_empty() && is_offered {
                    peer.expect_eof();
                } else {
                    peer.expect_closed_with(403);
                }
            }
        }
    });
}

#[test]
fn what_gets_nobody_in_is_not_offered() {
    for (broker, offered) in
        brokers().iter().zip(["PLAIN AMQPLAIN ANONYMOUS", "PLAIN AMQPLAIN", "PLAIN AMQPLAIN ANONYMOUS"])
    {
        let mut peer = Peer091::connect(broker);
        peer.send(HEADER_0_9_1);
        let mut start = peer.expect_on(0, START);
        assert_eq!((start.octet(), start.octet()), (0, 9));
        start.longstr();
        assert_eq!(start.longstr(), offered.as_bytes());
    }
}

#[test]
fn a_client_that_says_nothing_is_asked() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::greeted(&broker, HEADER_0_9_1);
    peer.send(start_ok("PLAIN", "", &[]));
    assert_eq!(peer.expect_on(0, SECURE).longstr(), b"");
    peer.send(method(0, SECURE_OK).longstr("\0guest\0guest"));
    peer.expect(TUNE);
}

#[test]
fn tuning_keeps_to_what_was_offered() {
    let broker = Broker::start().unwrap();
    let rows = [
        ("all as offered", ((2047, 131_072), true)),
        ("no limits", ((0, 0), true)),
        ("less", ((1, 4096), true)),
        ("more channels", ((2048, 0), false)),
        ("larger frames", ((0, 131_073), false)),
        ("frames too small", ((0, 4095), false)),
    ];
    each_row(rows, |((channel_max, frame_max), fine)| {
        let mut peer = Peer091::greeted(&broker, HEADER_0_9_1);
        peer.send(start_ok("PLAIN", "\0guest\0guest", &[]));
        peer.expect(TUNE);
        peer.send(tune_ok(channel_max, frame_max, 0));
        peer.send(connection_open("/"));
        if fine {
            peer.expect(OPEN_OK);
        } else {
            peer.expect_closed_with(530);
        }
    });
}

#[test]
fn virtual_hosts() {
    let broker = Broker::start().unwrap();
    let rows = [("the usual one", "/", true), ("none", "", true), ("another", "other", false), ("longer", "//", false)];
    each_row(rows.map(|(name, host, fine)| (name, (host, fine))), |(host, fine)| {
        let mut peer = Peer091::greeted(&broker, HEADER_0_9_1);
        peer.send(start_ok("PLAIN", "\0guest\0guest", &[]));
        peer.expect(TUNE);
        peer.send(tune_ok(0, 0, 0));
        peer.send(connection_open(host));
        if fine {
            peer.expect(OPEN_OK);
        } else {
            peer.expect_closed_with(530);
        }
    });
}

#[test]
fn heartbeats_come_at_half_the_time() {
    let broker = Broker::builder().manual_clock().start().unwrap();
    let mut peer = Peer091::tuned(&broker, 0, 0, 60);
    // Longer than two heartbeats of a minute: it lives because it hears ours.
    for _ in 0..5 {
        broker.advance(29 * SECOND);
        assert_eq!(peer.heard_by_now(), None);
        broker.advance(SECOND);
        assert_eq!(peer.heard_by_now(), Some(Heard091::Heartbeat));
        peer.send(frame091(HEARTBEAT, 0, b""));
        peer.until_carried_over();
    }
    peer.close();
}

#[test]
fn who_is_silent_for_two_heartbeats_is_gone_without_a_close() {
    let broker = Broker::builder().manual_clock().start().unwrap();
    let mut peer = Peer091::tuned(&broker, 0, 0, 10);
    broker.advance(Duration::from_millis(19_999));
    assert_eq!(broker.counts().connections, 1);
    broker.advance(Duration::from_millis(1));
    assert_eq!(broker.counts().connections, 0);
    for _ in 0..3 {
        assert_eq!(peer.hear_any(), Heard091::Heartbeat);
    }
    assert_eq!(peer.hear_any(), Heard091::Eof);
    let report = broker.verify().unwrap_err();
    let sections: Vec<&str> = report.violations.iter().map(|violation| violation.section).collect();
    assert_eq!(sections, ["4.2.7"]);
}

#[test]
fn before_tune_frames_are_as_small_as_every_peer_takes() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::greeted(&broker, HEADER_0_9_1);
    let empty = start_ok("PLAIN", "\0guest\0guest", &[]);
    let room = 4096 - empty.bytes().len();
    // An entry has a name, a type and a size of its own: 4096 octets, and not one more.
    let padded = method(0, START_OK).table(&[text_entry("p", &"x".repeat(room - 7))]);
    let start_ok = padded.shortstr("PLAIN").longstr("\0guest\0guest").shortstr("en_US");
    assert_eq!(start_ok.bytes().len(), 4096);
    peer.send(start_ok);
    peer.expect(TUNE);
}

#[test]
fn our_idle_timeout_is_offered_as_heartbeat() {
    let broker = Broker::builder().idle_timeout(Duration::from_secs(7)).start().unwrap();
    let mut peer = Peer091::greeted(&broker, HEADER_0_9_1);
    peer.send(start_ok("PLAIN", "\0guest\0guest", &[]));
    let mut tune = peer.expect(TUNE);
    assert_eq!((tune.short(), tune.long(), tune.short()), (2047, 131_072, 7));
}

#[test]
fn limits_are_those_of_the_builder_in_both_protocols() {
    let broker = Broker::builder().max_frame_size(8192).channel_max(7).start().unwrap();
    let mut peer = Peer091::greeted(&broker, HEADER_0_9_1);
    peer.send(start_ok("PLAIN", "\0guest\0guest", &[]));
    let mut tune = peer.expect(TUNE);
    assert_eq!((tune.short(), tune.long(), tune.short()), (7, 8192, 0));
    // The smallest frame-max that the specification has.
    let broker = Broker::builder().max_frame_size(512).start().unwrap();
    let mut peer = Peer091::greeted(&broker, HEADER_0_9_1);
    peer.send(start_ok("PLAIN", "\0guest\0guest", &[]));
    let mut tune = peer.expect(TUNE);
    assert_eq!((tune.short(), tune.long()), (2047, 4096));
}

#[test]
fn a_broker_says_which_product_it_is() {
    let own: &[&[u8]] = &[b"\x07productS\0\0\0\x0afakebroker", b"\x07versionS"];
    let chosen: &[&[u8]] =
        &[b"\x07productS\0\0\0\x08RabbitMQ", b"\x07versionS\0\0\0\x063.13.7", b"\x04siteS\0\0\0\x01x"];
    let builder = Broker::builder().open_property("product", "RabbitMQ").open_property("version", "3.13.7");
    let rows = [("its own", (Broker::builder(), own)), ("another", (builder.open_property("site", "x"), chosen))];
    each_row(rows, |(builder, expected)| {
        let broker = builder.start().unwrap();
        let mut peer = Peer091::connect(&broker);
        peer.send(HEADER_0_9_1);
        let start = peer.expect_on(0, START);
        let properties = start.rest()[2..].to_vec();
        let count = |what: &[u8]| properties.windows(what.len()).filter(|window| window == &what).count();
        for what in expected {
            assert_eq!(count(what), 1, "{}", what.escape_ascii());
        }
        assert_eq!((count(b"\x07product"), count(b"\x07version")), (1, 1));
    });
}

#[test]
fn a_secret_is_updated() {
    let joe = || Broker::builder().user("joe", "secret").user("joe", "next").user("ann", "hers");
    let refused = "NOT_ALLOWED - New secret was refused by one of the backends";
    let rows = [
        ("without users", (Broker::builder(), &b"anything"[..], true)),
        ("the next one", (joe(), b"next", true)),
        ("as before", (joe(), b"secret", true)),
        ("a wrong one", (joe(), b"Next", false)),
        ("somebody else's", (joe(), b"hers", false)),
        ("none", (joe(), b"", false)),
        ("no text", (joe(), b"nex\xff", false)),
    ];
    each_row(rows, |(builder, secret, fine)| {
        let broker = builder.start().unwrap();
        let mut peer = Peer091::greeted(&broker, HEADER_0_9_1);
        peer.send(start_ok("PLAIN", "\0joe\0secret", &[]));
        peer.expect(TUNE);
        peer.send(tune_ok(0, 4096, 0));
        peer.send(connection_open("/"));
        peer.expect(OPEN_OK);
        peer.send(method(0, UPDATE_SECRET).longstr(secret).shortstr("the token expires"));
        if fine {
            peer.expect_on(0, UPDATE_SECRET_OK);
            peer.open_channel(1);
            peer.expect_nothing();
        } else {
            assert_eq!(peer.expect_closed_with(530), refused);
        }
        let shown = broker.trace().iter().map(ToString::to_string).find(|line| line.contains("update-secret")).unwrap();
        assert!(secret.is_empty() || shown.contains("***"), "{shown}");
        assert!(!shown.contains("next"), "{shown}");
    });
}

#[test]
fn a_secret_out_of_place_is_refused() {
    let broker = Broker::start().unwrap();
    let update = |channel| method(channel, UPDATE_SECRET).longstr("x").shortstr("");
    let rows = [
        ("on a channel", (update(1).bytes(), 503)),
        ("cut off", (method(0, UPDATE_SECRET).short(0).bytes(), 502)),
        ("the answer", (method(0, UPDATE_SECRET_OK).bytes(), 503)),
    ];
    each_row(rows, |(bytes, code)| {
        let mut peer = Peer091::opened(&broker);
        peer.send(bytes);
        peer.expect_closed_with(code);
    });
    let mut peer = Peer091::greeted(&broker, HEADER_0_9_1);
    peer.send(update(0));
    peer.expect_closed_with(503);
}

#[test]
fn a_broker_that_stops_says_so() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer091::opened(&broker);
    let stopping = std::thread::spawn(move || broker.stop());
    let text = peer.expect_closed_with(320);
    assert!(text.starts_with("CONNECTION_FORCED"), "{text}");
    stopping.join().unwrap();
}

#[test]
fn what_is_pipelined_behind_a_wrong_password_is_never_read() {
    let broker = Broker::builder().user("guest", "guest").start().unwrap();
    let mut peer = Peer091::greeted(&broker, HEADER_0_9_1);
    peer.send(
        [
            start_ok("PLAIN", "\0guest\0wrong", &["authentication_failure_close"]).bytes(),
            tune_ok(0, 0, 0).bytes(),
            connection_open("/").bytes(),
            method(1, CHANNEL_OPEN).shortstr("").bytes(),
        ]
        .concat(),
    );
    peer.expect_closed_with(403);
    assert_eq!(broker.counts().sender_links, 0);
}
