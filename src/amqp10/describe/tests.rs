//! Frames written by hand, and all that real clients were heard to say.

#![allow(clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::amqp10::content;
use crate::amqp10::frame_head::head;
use crate::recordings;
use crate::tap::{FrameHead, LinkHead};

/// A piece of which nothing is missing.
fn describe(piece: &[u8]) -> FrameText {
    super::describe(piece, piece.len())
}

/// A frame around a body, as 2.3.1 has it.
fn frame(frame_type: u8, channel: u16, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(8 + body.len()).unwrap();
    [&size.to_be_bytes()[..], &[2, frame_type], &channel.to_be_bytes(), body].concat()
}

#[test]
fn headers() {
    let rows: [(&[u8], &str); 6] = [
        (b"AMQP\0\x01\0\0", "header AMQP 1.0.0"),
        (b"AMQP\x03\x01\0\0", "header SASL 1.0.0"),
        (b"AMQP\x02\x01\0\0", "header TLS 1.0.0"),
        (b"AMQP\0\0\x09\x01", "header AMQP 0.9.1"),
        (b"AMQP\x01\x01\x08\0", "header AMQP 1 1.8.0"),
        (b"GET / HTTP/1.1\r\n", "undecodable (not a frame) 474554202f20485454502f312e310d0a (16 bytes)"),
    ];
    for (piece, expected) in rows {
        assert_eq!(describe(piece).to_string(), expected);
        assert_eq!(extent(piece), Some(piece.len()));
    }
}

/// A composite value: its descriptor's code, and its fields as they are encoded.
fn composite(code: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    let size = u8::try_from(body.len() + 1).unwrap();
    [&[0, 0x53, code, 0xc0, size, u8::try_from(fields.len()).unwrap()], &body[..]].concat()
}

const NULL: &[u8] = b"\x40";
const TRUE: &[u8] = b"\x41";
const FALSE: &[u8] = b"\x42";
const ZERO: &[u8] = b"\x43";

#[test]
fn performatives() {
    let source = composite(
        0x28,
        &[
            b"\xa1\x01q",
            b"\x52\x02",
            NULL,
            NULL,
            NULL,
            b"\xc1\x16\x02\xa3\x0flifetime-policy\0\x53\x2b\x45",
            NULL,
            b"\xc1\x0b\x02\xa3\x01f\0\xa3\x02x:\x50\x01",
        ],
    );
    let not_found = composite(0x1d, &[b"\xa3\x0eamqp:not-found", b"\xa1\x03no!"]);
    let with_info = composite(0x1d, &[b"\xa3\x0damqp:stolen:x", NULL, b"\xc1\x05\x02\xa3\x01k\x43"]);
    let rows: [(Vec<u8>, &str); 15] = [
        (vec![], "ch 7 heartbeat"),
        (
            composite(0x10, &[b"\xa1\x01c", NULL, b"\x70\0\0\x10\0", b"\x60\0\x07"]),
            r#"ch 7 open container-id="c" max-frame-size=4096 channel-max=7"#,
        ),
        (
            b"\0\xa3\x0famqp:begin:list\xc0\x06\x04\x40\x43\x52\x05\x43".to_vec(),
            "ch 7 begin next-outgoing-id=0 incoming-window=5 outgoing-window=0",
        ),
        (
            composite(0x12, &[b"\xa1\x01l", ZERO, TRUE, b"\x50\x01", b"\x50\x00", &source, b"\0\x53\x29\x45"]),
            "ch 7 attach name=\"l\" handle=0 role=receiver snd-settle-mode=settled rcv-settle-mode=first \
             source={address=\"q\" durable=unsettled-state dynamic-node-properties={lifetime-policy: delete-on-close} \
             filter={f: x:(1)}} target={}",
        ),
        (
            composite(0x12, &[b"\xa1\x01l", ZERO, FALSE, NULL, NULL, NULL, b"\0\x53\x30\x45"]),
            r#"ch 7 attach name="l" handle=0 role=sender target=coordinator"#,
        ),
        (
            composite(0x13, &[NULL, ZERO, ZERO, ZERO, ZERO, ZERO, b"\x52\x0a", NULL, TRUE]),
            "ch 7 flow incoming-window=0 next-outgoing-id=0 outgoing-window=0 handle=0 delivery-count=0 link-credit=10 \
             drain=true",
        ),
        (
            [&composite(0x14, &[ZERO, b"\x52\x03", b"\xa0\x01\x03", ZERO, TRUE])[..], b"hello"].concat(),
            r#"ch 7 transfer handle=0 delivery-id=3 delivery-tag=b"\x03" message-format=0 settled=true (5 bytes)"#,
        ),
        (
            composite(0x15, &[FALSE, ZERO, NULL, TRUE, b"\0\x53\x24\x45"]),
            "ch 7 disposition role=sender first=0 settled=true state=accepted",
        ),
        (
            composite(0x15, &[TRUE, ZERO, b"\x52\x04", TRUE, &composite(0x25, &[&not_found])]),
            r#"ch 7 disposition role=receiver first=0 last=4 settled=true state=rejected{error=amqp:not-found "no!"}"#,
        ),
        (
            composite(0x15, &[TRUE, ZERO, NULL, FALSE, &composite(0x27, &[TRUE, NULL])]),
            "ch 7 disposition role=receiver first=0 settled=false state=modified{delivery-failed=true}",
        ),
        (composite(0x16, &[ZERO, TRUE]), "ch 7 detach handle=0 closed=true"),
        (b"\0\x53\x17\x45".to_vec(), "ch 7 end"),
        (composite(0x18, &[&with_info]), "ch 7 close error=amqp:stolen:x info={k: 0}"),
        // Values of the wrong type, and a field too many.
        (
            composite(0x16, &[b"\xa1\x01h", b"\x50\x07", ZERO, TRUE]),
            r#"ch 7 detach handle="h" closed=7 error=0 4=true"#,
        ),
        (composite(0x15, &[b"\x50\x02", b"\0\x53\x24\x40"]), "ch 7 disposition role=2 first=0x24(null)"),
    ];
    for (body, expected) in rows {
        let piece = frame(0, 7, &body);
        assert_eq!(describe(&piece).to_string(), expected);
        assert_eq!(extent(&piece), Some(piece.len()));
    }
}

#[test]
fn sasl_without_its_secrets() {
    let init = |mechanism: &str, response: &[u8]| {
        let mechanism = [&[0xa3, u8::try_from(mechanism.len()).unwrap()], mechanism.as_bytes()].concat();
        composite(0x41, &[&mechanism, response, b"\xa1\x01h"])
    };
    let rows: [(Vec<u8>, &str); 10] = [
        (
            composite(0x40, &[b"\xe0\x12\x02\xa3\x05PLAIN\x09ANONYMOUS"]),
            "sasl-mechanisms sasl-server-mechanisms=[PLAIN, ANONYMOUS]",
        ),
        (
            init("PLAIN", b"\xa0\x0d\0guest\0s3cr3t"),
            r#"sasl-init mechanism=PLAIN initial-response=b"\x00guest\x00***" hostname="h""#,
        ),
        (
            init("PLAIN", b"\xa0\x0e\0guest\0\0s3cr3t"),
            r#"sasl-init mechanism=PLAIN initial-response=b"\x00guest\x00***" hostname="h""#,
        ),
        (init("PLAIN", b"\xa0\x07\0s3cr3t"), r#"sasl-init mechanism=PLAIN initial-response=b"***" hostname="h""#),
        (init("PLAIN", b"\xa1\x06s3cr3t"), r#"sasl-init mechanism=PLAIN initial-response=*** hostname="h""#),
        (init("XOAUTH2", b"\xa0\x06s3cr3t"), r#"sasl-init mechanism=XOAUTH2 initial-response=*** hostname="h""#),
        (init("ANONYMOUS", b"\xa0\x02me"), r#"sasl-init mechanism=ANONYMOUS initial-response=b"me" hostname="h""#),
        (composite(0x42, &[b"\xa0\x01c"]), r#"sasl-challenge challenge=b"c""#),
        (composite(0x43, &[b"\xa0\x06s3cr3t"]), "sasl-response response=***"),
        (composite(0x44, &[b"\x50\x00"]), "sasl-outcome code=ok"),
    ];
    for body in [&b"\0\x53\x41\xc1\x0c\x02\xa1\x01p\xa1\x06s3cr3t"[..], b"\0\x53\x49\xa0\x06s3cr3t"] {
        let expected = format!("undecodable (SASL frame of an unknown kind) ({} bytes)", body.len());
        assert_eq!(describe(&frame(1, 0, body)).to_string(), expected);
    }
    for (body, expected) in rows {
        let piece = frame(1, 0, &body);
        assert_eq!(describe(&piece).to_string(), expected);
        // Nor is a secret shown of a piece that was cut off, does not decode or has bytes behind it.
        for end in 8..piece.len() {
            assert_eq!(
                describe(&piece[..end]).to_string(),
                format!("undecodable (part of a SASL frame) ({end} bytes)")
            );
            if end == 8 {
                continue;
            }
            let shown = describe(&frame(1, 0, &piece[8..end])).to_string();
            assert_eq!(shown, format!("undecodable (SASL frame that does not decode) ({} bytes)", end - 8));
        }
        let shown = describe(&frame(1, 0, &[&body[..], b"s3cr3t"].concat())).to_string();
        assert_eq!(shown, format!("{expected} (6 bytes)"));
    }
}

#[test]
fn what_makes_no_sense() {
    let rows: [(Vec<u8>, &str); 7] = [
        (frame(0, 1, b"\x40"), "ch 1 undecodable (value without a descriptor) 40 (1 bytes)"),
        (frame(0, 1, b"\0\x53\x10\xc0\xff"), "ch 1 undecodable (value ends too early) 005310c0ff (5 bytes)"),
        (frame(0, 1, &[0xff; 40]), &format!("ch 1 undecodable (unknown constructor) {}… (40 bytes)", "ff".repeat(32))),
        (frame(2, 1, b"\x45"), "undecodable (frame of an unknown type) 45 (1 bytes)"),
        (frame(0, 1, b"\0\x53\x70\x45"), "ch 1 0x70 []"),
        (frame(0, 1, b"\0\xa3\x03x:y\xa1\x01z"), "ch 1 x:y \"z\""),
        (b"\0\0".to_vec(), "undecodable (not a frame) 0000 (2 bytes)"),
    ];
    for (piece, expected) in rows {
        assert_eq!(describe(&piece).to_string(), expected);
    }
}

#[test]
fn extents() {
    let rows: [(&[u8], Option<usize>); 11] = [
        (b"", None),
        (b"AMQP\0\x01\0", None),
        (b"\0\0\0\x08\x02\0\0", None),
        (b"\0\0\0\x08\x02\0\0\0", Some(8)),
        // More is to come, or more is there.
        (b"\0\0\x01\0\x02\0\0\0", Some(256)),
        (b"\0\0\0\x08\x02\0\0\0\0\0\0\x08\x02\0\0\0", Some(8)),
        (b"AMQP\0\x01\0\0\0\0\0\x08", Some(8)),
        // Too small, too large, an offset before or behind, an unknown type: all of it.
        (b"\0\0\0\x07\x02\0\0\0..", Some(10)),
        (b"\xff\xff\xff\xff\x02\0\0\0..", Some(10)),
        (b"\0\0\0\x08\x01\0\0\0..", Some(10)),
        (b"\0\0\0\x08\x02\x07\0\0..", Some(10)),
    ];
    for (begun, expected) in rows {
        assert_eq!(extent(begun), expected, "{}", begun.escape_ascii());
    }
}

#[test]
fn a_line_has_an_end() {
    let long = [&b"\0\x53\x10\xd0\0\0\x75\x34\0\0\x27\x10"[..], &b"\xa1\x01x".repeat(10_000)].concat();
    let line = describe(&frame(0, 0, &long)).to_string();
    assert!(line.ends_with('…') && line.len() < 5000, "{} bytes", line.len());
    let descriptor = [&b"\0\xf0\0\0\0\x05\0\0\x27\x10\x40"[..], b"\x45"].concat();
    let line = describe(&frame(0, 0, &descriptor)).to_string();
    assert!(line.contains("null, null") && line.len() < 5000, "{} bytes", line.len());
}

/// The headers and frames of a stream, each with its line.
fn lines(mut stream: &[u8]) -> Vec<(&[u8], FrameText)> {
    let mut lines = Vec::new();
    while !stream.is_empty() {
        let size = extent(stream).expect("a recording has whole frames");
        let (piece, rest) = stream.split_at_checked(size).expect("a recording has whole frames");
        lines.push((piece, describe(piece)));
        stream = rest;
    }
    lines
}

/// Calls `see` with all that was recorded, and where.
fn each_recorded(mut see: impl FnMut(&[u8], &FrameText, &str)) {
    let mut count = 0;
    for path in recordings::files() {
        for ((connection, from_client), stream) in recordings::streams(&recordings::read(&path)) {
            for (piece, line) in lines(&stream) {
                let direction = if from_client { '>' } else { '<' };
                see(piece, &line, &format!("{}: {connection} {direction} {line}", path.display()));
                count += 1;
            }
        }
    }
    assert!(count > 900, "{count} headers and frames");
}

#[test]
fn everything_that_was_recorded() {
    each_recorded(|_, line, place| {
        let known = TYPES.iter().any(|known| line.name == known.name);
        assert!(known || line.name == "heartbeat" || line.name.starts_with("header "), "{place}");
        // Composite types inside are known too.
        assert!(!line.fields.contains("0x") && !line.fields.contains(":list("), "{place}");
    });
}

#[test]
fn messages_that_were_recorded() {
    let mut count = 0;
    each_recorded(|piece, line, place| {
        let whole = line.fields.contains("delivery-id=") && !line.fields.contains("more=true");
        if line.name == "transfer" && whole {
            let message = content::decode(&piece[piece.len() - line.payload..]);
            let message = message.unwrap_or_else(|error| panic!("{place}: {error:?}"));
            assert_eq!(content::decode(&content::encode(&message)), Ok(message), "{place}");
            count += 1;
        }
    });
    assert!(count > 100, "{count} messages");
}

#[test]
fn the_head_of_what_was_recorded() {
    let (mut addresses, mut payloads) = (0, 0);
    each_recorded(|piece, line, place| {
        let head = head(piece).unwrap_or_else(|| panic!("{place}"));
        assert!(
            line.name == head.kind || head.kind == "header" && line.name.starts_with("header "),
            "{place}: {head:?}"
        );
        assert_eq!(head.channel, line.channel, "{place}");
        let start = head.payload_at.unwrap_or(piece.len());
        assert_eq!(piece.len() - start, line.payload, "{place}");
        if let Some(LinkHead::Handle(handle)) = head.link {
            assert!(line.fields.contains(&format!("handle={handle}")), "{place}");
        }
        if let Some(address) = head.address {
            assert!(line.fields.contains(&format!("address={address:?}")), "{place}");
            addresses += 1;
        }
        if head.payload_at.is_some() {
            payloads += 1;
            // However much of the payload is missing, all else is there.
            for count in [start, start + line.payload / 2] {
                let begun = piece.get(..count).unwrap();
                let cut = crate::amqp10::frame_head::head(begun).unwrap_or_else(|| panic!("{place}"));
                assert_eq!(cut, head, "{place}");
                assert_eq!(super::describe(begun, piece.len()), *line, "{place}");
            }
        }
    });
    assert!(addresses > 50 && payloads > 100, "{addresses} addresses, {payloads} payloads");
}

#[test]
fn the_head_of_a_frame() {
    let transfer = frame(0, 3, b"\0\x53\x14\xc0\x09\x05\x52\x02\x52\x07\xa0\x01t\x43\x42\0\x53\x75\xa0\x01x");
    let expected = FrameHead {
        kind: "transfer",
        channel: Some(3),
        link: Some(LinkHead::Handle(2)),
        delivery: Some(7),
        address: None,
        payload_at: Some(22),
    };
    assert_eq!(head(&transfer), Some(expected));
    let target = b"\0\x53\x29\xc0\x04\x01\xa1\x01a";
    let attach = [&b"\0\x53\x12\xc0\x12\x07\xa1\x01n\x43\x42\x40\x40\x40"[..], target].concat();
    let expected = FrameHead {
        kind: "attach",
        channel: Some(0),
        link: Some(LinkHead::Handle(0)),
        address: Some("a"),
        ..Default::default()
    };
    assert_eq!(head(&frame(0, 0, &attach)), Some(expected));
    for nothing in [&b"GET / HTTP/1.1"[..], b"", &frame(0, 0, b"\x41"), &frame(0, 0, b"\0\x53\x14\xc0\x02\x01\x52")] {
        assert_eq!(head(nothing), None, "{nothing:?}");
    }
}

#[test]
fn a_recording_reads_well() {
    let path = recordings::files().into_iter().find(|path| path.ends_with("rhea.txt")).unwrap();
    let streams = recordings::streams(&recordings::read(&path));
    let said = |from_client: bool| -> Vec<String> {
        lines(&streams[&(1, from_client)]).iter().map(|(_, line)| line.to_string()).collect()
    };
    let client = said(true);
    assert_eq!(client.len(), 38, "{client:#?}");
    let expected = [
        r#"header SASL 1.0.0"#,
        r#"sasl-init mechanism=ANONYMOUS initial-response=b"\x00anonymous" hostname="127.0.0.1""#,
        r#"header AMQP 1.0.0"#,
        r#"ch 0 open container-id="rhea-client" idle-time-out=8000"#,
        r#"ch 0 begin next-outgoing-id=0 incoming-window=2048 outgoing-window=4294967295"#,
        r#"ch 0 attach name="rcv1" handle=0 role=receiver source={address="rq"} target={}"#,
    ];
    assert_eq!(client[..6], expected);
    let last = [
        r#"ch 0 transfer handle=1 delivery-id=6 delivery-tag=b"6" message-format=0 settled=false more=false (10030 bytes)"#,
        r#"ch 0 disposition role=receiver first=0 last=0 settled=true state=accepted"#,
        r#"ch 0 disposition role=receiver first=1 last=2 settled=true state=rejected{error=app:no "no thanks"}"#,
    ];
    assert_eq!(client[14..17], last);
    let broker = said(false);
    assert_eq!(broker.len(), 38, "{broker:#?}");
    let expected = [
        r#"sasl-outcome code=ok"#,
        r#"header AMQP 1.0.0"#,
        r#"ch 0 open container-id="" max-frame-size=32768 channel-max=32767 offered-capabilities=[ANONYMOUS-RELAY]"#,
    ];
    assert_eq!(broker[2..5], expected);
    assert_eq!(broker[9], r#"ch 0 transfer handle=0 delivery-id=0 delivery-tag=b"1" message-format=0 (119 bytes)"#);
}

proptest! {
    #[test]
    fn garbage_is_cut_and_described(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        match extent(&bytes) {
            Some(size) => prop_assert!(size > 0 && size <= MAX_FRAME),
            None => prop_assert!(bytes.len() < 8),
        }
        prop_assert!(!describe(&bytes).name.is_empty());
        prop_assert!(!describe(&frame(0, 0, &bytes)).name.is_empty());
        let _ = (head(&bytes), head(&frame(0, 0, &bytes)));
    }
}
