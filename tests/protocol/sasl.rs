//! 2.2 and 5.3: protocol headers and the SASL layer, with and without, in pieces and all at once.

use fakebroker::Broker;

use crate::support::*;

fn mechanisms(offer: &Performative) -> Vec<Value> {
    match offer.get("sasl-server-mechanisms") {
        Value::Array(symbols) => symbols,
        one => vec![one],
    }
}

/// The rest of a conversation whose header, open and begin are already sent.
#[track_caller]
fn expect_opened(peer: &mut Peer) {
    peer.expect_header(AMQP_HEADER);
    peer.expect_open();
    peer.expect_begin();
}

fn rest() -> Vec<u8> {
    [AMQP_HEADER.to_vec(), open().bytes(), begin().bytes()].concat()
}

#[test]
fn without_sasl() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::connect(&broker);
    peer.send(AMQP_HEADER);
    peer.expect_header(AMQP_HEADER);
    peer.send(open());
    peer.expect_open();
    peer.close();
}

#[test]
fn without_sasl_in_one_segment() {
    let broker = Broker::start().unwrap();
    let mut peer = Peer::connect(&broker);
    peer.send(rest());
    expect_opened(&mut peer);
    peer.close();
}

#[test]
fn anonymous() {
    let broker = Broker::start().unwrap();
    let (mut peer, offer) = Peer::offered_mechanisms(&broker);
    assert_eq!(mechanisms(&offer), [symbol("PLAIN"), symbol("ANONYMOUS")]);
    // 5.3.3.2: the response is a trace, whatever it says.
    peer.send(sasl_init("ANONYMOUS", b"somebody@somewhere"));
    peer.expect_sasl_outcome(0);
    peer.send(rest());
    expect_opened(&mut peer);
    peer.close();
}

#[test]
fn plain() {
    let broker = Broker::builder().user("ada", "s\u{e9}cret").user("bob", "").start().unwrap();
    for response in ["\0ada\0s\u{e9}cret", "ada\0ada\0s\u{e9}cret", "\0bob\0"] {
        let (mut peer, offer) = Peer::offered_mechanisms(&broker);
        assert_eq!(mechanisms(&offer), [symbol("PLAIN")], "with users there is no other way in");
        peer.send(sasl_init("PLAIN", response.as_bytes()).with("hostname", "anything"));
        peer.expect_sasl_outcome(0);
        peer.send(rest());
        expect_opened(&mut peer);
        peer.close();
    }
}

#[test]
fn who_gets_in() {
    let joe = || Broker::builder().user("joe", "secret");
    let brokers = [Broker::start().unwrap(), joe().start().unwrap(), joe().allow_anonymous().start().unwrap()];
    const EVERYWHERE: [bool; 3] = [true, true, true];
    const WITHOUT_USERS: [bool; 3] = [true, false, false];
    const WITHOUT_A_NAME: [bool; 3] = [true, false, true];
    const NOWHERE: [bool; 3] = [false, false, false];
    let plain = |response: &[u8]| Some(sasl_init("PLAIN", response));
    let rows = [
        ("joe", (plain(b"\0joe\0secret"), Some("joe"), EVERYWHERE)),
        ("joe as himself", (plain(b"joe\0joe\0secret"), Some("joe"), EVERYWHERE)),
        ("guest", (plain(b"\0guest\0guest"), Some("guest"), WITHOUT_USERS)),
        ("joe with a wrong password", (plain(b"\0joe\0Secret"), Some("joe"), WITHOUT_USERS)),
        ("joe without a password", (plain(b"\0joe\0"), Some("joe"), WITHOUT_USERS)),
        ("no name and no password", (plain(b"\0\0"), Some(""), WITHOUT_USERS)),
        ("anonymous", (Some(sasl_init("ANONYMOUS", b"trace")), Some("anonymous"), WITHOUT_A_NAME)),
        ("without SASL", (None, None, WITHOUT_A_NAME)),
        ("joe as somebody else", (plain(b"ann\0joe\0secret"), None, NOWHERE)),
        ("no name at all", (plain(b""), None, NOWHERE)),
        ("another mechanism", (Some(sasl_init("EXTERNAL", b"joe")), None, NOWHERE)),
    ];
    each_row(rows, |(init, user, where_in)| {
        for (broker, gets_in) in brokers.iter().zip(where_in) {
            let mut peer = match &init {
                Some(init) => {
                    let (mut peer, _) = Peer::offered_mechanisms(broker);
                    peer.send(init);
                    peer.expect_sasl_outcome(if gets_in { 0 } else { 1 });
                    peer
                }
                None => Peer::connect(broker),
            };
            if gets_in {
                peer.send(rest());
                expect_opened(&mut peer);
                assert_eq!(broker.connections().last().unwrap().user.as_deref(), user);
                peer.close();
            } else if init.is_none() {
                peer.send(rest());
                // 2.2: the header that would do.
                peer.expect_header(SASL_HEADER);
                peer.expect_eof();
            } else {
                peer.expect_eof();
            }
        }
    });
}

#[test]
fn what_gets_nobody_in_is_not_offered() {
    let joe = || Broker::builder().user("joe", "secret");
    let rows = [
        ("without users", (Broker::builder(), &["PLAIN", "ANONYMOUS"][..])),
        ("with users", (joe(), &["PLAIN"])),
        ("with users, and anonymous clients allowed", (joe().allow_anonymous(), &["PLAIN", "ANONYMOUS"])),
        ("anonymous clients allowed without users", (Broker::builder().allow_anonymous(), &["PLAIN", "ANONYMOUS"])),
    ];
    each_row(rows, |(builder, expected)| {
        let broker = builder.start().unwrap();
        let (_peer, offer) = Peer::offered_mechanisms(&broker);
        let expected: Vec<Value> = expected.iter().map(|name| symbol(name)).collect();
        assert_eq!(mechanisms(&offer), expected);
    });
}

#[test]
fn all_of_it_in_one_segment() {
    let open_broker = Broker::start().unwrap();
    let guarded = Broker::builder().user("ada", "secret").start().unwrap();
    let rows = [(&open_broker, sasl_init("ANONYMOUS", b"")), (&guarded, sasl_init("PLAIN", b"\0ada\0secret"))];
    for (broker, init) in rows {
        let attach = attach_sender("s", 0, "queue.a");
        let bytes = [SASL_HEADER.to_vec(), init.bytes(), rest(), attach.bytes()].concat();
        // In one segment, then in as many as there are bytes.
        for whole in [true, false] {
            let mut peer = Peer::connect(broker);
            match whole {
                true => peer.send(bytes.clone()),
                false => peer.send_byte_by_byte(bytes.clone()),
            }
            peer.expect_header(SASL_HEADER);
            peer.expect(SASL_MECHANISMS);
            peer.expect_sasl_outcome(0);
            expect_opened(&mut peer);
            peer.expect_attach();
            peer.expect_credit();
            peer.close();
        }
    }
}

#[test]
fn a_whole_session_in_one_segment() {
    let broker = Broker::start().unwrap();
    let bytes = [
        rest(),
        attach_sender("s", 0, "queue.a").bytes(),
        attach_receiver("r", 1, "queue.a").bytes(),
        flow().with("handle", 1u32).with("delivery-count", 0u32).with("link-credit", 5u32).bytes(),
        detach(1).bytes(),
        end().bytes(),
        close().bytes(),
    ];
    let mut peer = Peer::connect(&broker);
    peer.send(bytes.concat());
    expect_opened(&mut peer);
    peer.expect_attach();
    peer.expect_attach();
    peer.expect_detach();
    peer.expect_end();
    let close = peer.expect_close();
    assert_eq!(close.get("error"), Value::Null);
    peer.expect_eof();
}
