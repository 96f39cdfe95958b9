//! Part 1: malformed values.

use crate::scene::Scene;
use crate::support::*;

/// Builds a flow with one property whose value is these bytes.
fn property(value: &[u8]) -> Vec<u8> {
    flow().with("properties", Value::Map(vec![(symbol("x"), raw(value))])).bytes()
}

/// Builds a flow whose properties are these bytes.
fn properties(map: &[u8]) -> Vec<u8> {
    flow().with("properties", raw(map)).bytes()
}

/// Builds a flow whose list of fields is these bytes.
fn fields(list: &[u8]) -> Vec<u8> {
    body(&[b"\x00\x53\x13", list].concat())
}

fn body(bytes: &[u8]) -> Vec<u8> {
    frame(2, 0, 0, bytes)
}

/// Nests lists, in the four-byte encoding, so that any depth is possible.
fn nested_lists(depth: usize) -> Vec<u8> {
    (1..depth).fold(vec![0x45], |inner, _| {
        let size = inner.len() as u32 + 4;
        [b"\xd0", &size.to_be_bytes()[..], &1u32.to_be_bytes(), &inner].concat()
    })
}

/// Nests maps of one entry, in the value.
fn nested_maps(depth: usize) -> Vec<u8> {
    (0..depth).fold(vec![0x40], |inner, _| {
        let size = inner.len() as u32 + 5;
        [b"\xd1", &size.to_be_bytes()[..], &2u32.to_be_bytes(), b"\x40", &inner].concat()
    })
}

/// Nests arrays.
pub(crate) fn nested_arrays(depth: usize) -> Vec<u8> {
    // An array's elements share one constructor, which stands before them: the outer ones come without theirs.
    let innermost = b"\x00\x00\x00\x05\x00\x00\x00\x01\x40".to_vec();
    let elements = (1..depth).fold(innermost, |inner, _| {
        let size = inner.len() as u32 + 5;
        [&size.to_be_bytes()[..], &1u32.to_be_bytes(), b"\xf0", &inner].concat()
    });
    [b"\xf0", &elements[..]].concat()
}

/// Sends each frame on a connection of its own, which the broker must close with this condition.
fn closes_with(condition: &str, rows: Vec<(&'static str, Vec<u8>)>) {
    let mut scene = Scene::new();
    each_row(rows, |bytes| {
        let mut peer = scene.peer();
        peer.send(bytes);
        peer.expect_closed_with(condition);
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn constructors_and_descriptors() {
    let described_descriptor = |times: usize| [vec![0x00; times], vec![0x53, 0x13, 0x45]].concat();
    closes_with(
        DECODE_ERROR,
        vec![
            // 1.2: format codes that are not in 1.6.
            ("the unknown constructor 01", body(b"\x01")),
            ("the unknown constructor 46", property(b"\x46")),
            ("the unknown constructor 57", property(b"\x57\x00")),
            ("the unknown constructor ff", property(b"\xff")),
            ("an unknown constructor as a field", fields(b"\xc0\x02\x01\x3f")),
            ("an unknown constructor in an array", property(b"\xe0\x03\x01\x3f\x00")),
            // 2.3.2: a frame body is a performative, a described list.
            ("a body of null", body(b"\x40")),
            ("a body that is a list without a descriptor", body(b"\x45")),
            ("a body that is a string", body(b"\xa1\x04open")),
            ("a body that is a described map", body(b"\x00\x53\x13\xc1\x01\x00")),
            ("a body that is a described null", body(b"\x00\x53\x13\x40")),
            ("a body that is a descriptor and nothing else", body(b"\x00\x53\x13")),
            ("a body that is half a descriptor", body(b"\x00\x53")),
            ("a body that is 00", body(b"\x00")),
            ("an unknown numeric descriptor", body(b"\x00\x53\x99\x45")),
            ("the unknown descriptor 0", body(b"\x00\x44\x45")),
            ("the highest numeric descriptor", body(b"\x00\x80\xff\xff\xff\xff\xff\xff\xff\xff\x45")),
            ("a descriptor that is no performative's", body(b"\x00\x53\x24\x45")),
            ("a descriptor of another domain", body(b"\x00\x80\x00\x00\x00\x01\x00\x00\x00\x13\x45")),
            ("an unknown symbolic descriptor", body(b"\x00\xa3\x08x:y:list\x45")),
            ("a symbolic descriptor in the wrong case", body(b"\x00\xa3\x0eAMQP:flow:list\x45")),
            ("a descriptor that is a string", body(b"\x00\xa1\x0eamqp:flow:list\x45")),
            ("a descriptor that is a uint", body(b"\x00\x52\x13\x45")),
            ("a descriptor that is null", body(b"\x00\x40\x45")),
            ("a described descriptor", body(&described_descriptor(2))),
            ("a descriptor described 5,000 times", body(&described_descriptor(5000))),
            ("a property's descriptor described 5,000 times", property(&described_descriptor(5000))),
            ("descriptors to the end of the frame", body(&[0x00; 60_000])),
            ("a property of descriptors to its end", property(&[0x00; 60_000])),
            ("a value described 5,000 times", property(&[b"\x00\x43".repeat(5000), vec![0x40]].concat())),
        ],
    );
}

#[test]
fn sizes_and_counts() {
    closes_with(
        DECODE_ERROR,
        vec![
            // 1.6.22 to 1.6.24: larger than what is there.
            ("list8 larger than the frame", fields(b"\xc0\xff\x01\x43")),
            ("list8 with more items than bytes", fields(b"\xc0\x02\x09\x43")),
            ("list8 with one item more than is there", fields(b"\xc0\x05\x05\x43\x43\x43\x43")),
            ("list8 with bytes after its items", fields(b"\xc0\x06\x04\x43\x43\x43\x43\x43")),
            ("list8 of size 0", fields(b"\xc0\x00")),
            ("list8 without its size", fields(b"\xc0")),
            ("list8 without its count", fields(b"\xc0\x01")),
            ("list32 larger than the frame", fields(b"\xd0\xff\xff\xff\xff\x00\x00\x00\x01\x43")),
            ("list32 of a count without end", fields(b"\xd0\x00\x00\x00\x05\xff\xff\xff\xff\x43")),
            ("list32 of size 3", fields(b"\xd0\x00\x00\x00\x03\x00\x00\x00")),
            ("list32 of size 0", fields(b"\xd0\x00\x00\x00\x00")),
            ("a nested list larger than its list", property(b"\xc0\x03\x01\xc0\x7f")),
            ("map8 larger than the frame", properties(b"\xc1\xff\x02\x40\x40")),
            ("map8 with more entries than bytes", properties(b"\xc1\x03\x40\x40\x40")),
            ("map8 of size 0", properties(b"\xc1\x00")),
            ("map32 larger than the frame", properties(b"\xd1\xff\xff\xff\xff\x00\x00\x00\x02\x40\x40")),
            ("map32 of a count without end", properties(b"\xd1\x00\x00\x00\x06\xff\xff\xff\xfe\x40\x40")),
            ("map32 of size 0", properties(b"\xd1\x00\x00\x00\x00")),
            ("a map with bytes after its entries", properties(b"\xc1\x04\x02\x40\x40\x40")),
            // 1.6.23: a key without a value.
            ("an odd map", properties(b"\xc1\x04\x01\xa3\x01x")),
            ("an odd map of three", properties(b"\xc1\x08\x03\xa3\x01x\x40\xa3\x01y")),
            ("an odd map inside a property", property(b"\xc1\x02\x01\x40")),
            ("array8 larger than the frame", property(b"\xe0\xff\x01\x70")),
            ("array8 with more elements than bytes", property(b"\xe0\x06\x09\x70\x00\x00\x00\x01")),
            ("array8 of size 0", property(b"\xe0\x00")),
            ("array32 larger than the frame", property(b"\xf0\xff\xff\xff\xff\x00\x00\x00\x01\x70")),
            ("array32 of a count without end", property(b"\xf0\x00\x00\x00\x09\xff\xff\xff\xff\x70\x00\x00\x00\x01")),
            ("an array with bytes after its elements", property(b"\xe0\x04\x01\x50\x01\x02")),
            // Elements without a width cost the sender nothing; we take 65,536 of them.
            ("nulls without end", property(b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40")),
            ("trues without end", property(b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x41")),
            ("zeros without end", property(b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x43")),
            ("empty lists without end", property(b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x45")),
            ("65,537 nulls", property(b"\xf0\x00\x00\x00\x05\x00\x01\x00\x01\x40")),
            ("described nulls without end", property(b"\xf0\x00\x00\x00\x07\xff\xff\xff\xff\x00\x44\x40")),
            // 1.6.19 to 1.6.21: longer than the rest.
            ("str8 longer than the rest", property(b"\xa1\x09short")),
            ("str32 longer than the rest", property(b"\xb1\xff\xff\xff\xffshort")),
            ("sym8 longer than the rest", property(b"\xa3\x09short")),
            ("sym32 longer than the rest", property(b"\xb3\xff\xff\xff\xffshort")),
            ("vbin8 longer than the rest", property(b"\xa0\x09short")),
            ("vbin32 longer than the rest", property(b"\xb0\xff\xff\xff\xffshort")),
            ("str32 without its size", property(b"\xb1\x00\x00")),
            ("a string that ends with the frame and not with its map", properties(b"\xc1\x04\x02\x40\xa1\x02ab")),
            ("a uint of two bytes", property(b"\x70\x00\x00")),
            ("a uuid of fifteen bytes", property(&[b"\x98", &[7; 15][..]].concat())),
        ],
    );
}

#[test]
fn contents() {
    closes_with(
        DECODE_ERROR,
        vec![
            // 1.6.20: UTF-8.
            ("a string with a lone continuation byte", property(b"\xa1\x01\x80")),
            ("a string with a broken sequence", property(b"\xa1\x02\xc3\x28")),
            ("a string with an overlong slash", property(b"\xa1\x02\xc0\xaf")),
            ("a string with a surrogate", property(b"\xa1\x03\xed\xa0\x80")),
            ("a string cut in a sequence", property(b"\xa1\x02\xe2\x82")),
            ("a string over 10FFFF", property(b"\xa1\x04\xf4\x90\x80\x80")),
            ("a string32 that is not UTF-8", property(b"\xb1\x00\x00\x00\x02\xc3\x28")),
            ("a link name that is not UTF-8", attach("", 0, SENDER).with("name", raw(b"\xa1\x02\xc3\x28")).bytes()),
            // 1.6.21: ASCII.
            ("a symbol of UTF-8", property(b"\xa3\x02\xc3\xa9")),
            ("a symbol with the byte 80", property(b"\xa3\x02x\x80")),
            ("a symbol32 with the byte ff", property(b"\xb3\x00\x00\x00\x01\xff")),
            ("a key with the byte ff", properties(b"\xc1\x05\x02\xa3\x01\xff\x40")),
            // 1.6.2
            ("a boolean of 02", property(b"\x56\x02")),
            ("a boolean of ff as drain", flow().with("drain", raw(b"\x56\xff")).bytes()),
            ("a role of 02", disposition(RECEIVER, 0, accepted()).with("role", raw(b"\x56\x02")).bytes()),
            ("a boolean of 02 in an array", property(b"\xe0\x04\x02\x56\x01\x02")),
            // 1.6.16: UTF-32.
            ("a char of 110000", property(b"\x73\x00\x11\x00\x00")),
            ("a char of ffffffff", property(b"\x73\xff\xff\xff\xff")),
            ("a char over 10FFFF in an array", property(b"\xe0\x06\x01\x73\x00\x11\x00\x00")),
        ],
    );
}

#[test]
fn nesting() {
    closes_with(
        DECODE_ERROR,
        vec![
            // We follow 32 levels.
            ("lists 40 deep", property(&nested_lists(40))),
            ("lists 5,000 deep", property(&nested_lists(5_000))),
            ("lists 5,000 deep instead of fields", fields(&nested_lists(5_000))),
            ("maps 40 deep", property(&nested_maps(40))),
            ("maps 5,000 deep", property(&nested_maps(5_000))),
            ("arrays 40 deep", property(&nested_arrays(40))),
            ("arrays 5,000 deep", property(&nested_arrays(5_000))),
            (
                "lists 5,000 deep as a key",
                properties(&{
                    let key = nested_lists(5_000);
                    [b"\xd1", &(key.len() as u32 + 5).to_be_bytes()[..], &2u32.to_be_bytes(), &key, b"\x40"].concat()
                }),
            ),
            (
                "lists 5,000 deep as an address",
                attach_sender("s", 0, "").with("target", terminus(TARGET, raw(&nested_lists(5_000)))).bytes(),
            ),
            ("lists 5,000 deep as a delivery state", disposition(RECEIVER, 0, raw(&nested_lists(5_000))).bytes()),
        ],
    );
}

#[test]
fn fields_of_the_wrong_type() {
    let sender = || attach_sender("s", 0, "a");
    closes_with(
        DECODE_ERROR,
        vec![
            ("begin's next-outgoing-id as a string", begin().on_channel(1).with("next-outgoing-id", "1").bytes()),
            ("begin's incoming-window as a ulong", begin().on_channel(1).with("incoming-window", 1u64).bytes()),
            ("begin's remote-channel as a uint", begin().on_channel(1).with("remote-channel", 0u32).bytes()),
            ("attach's name as a symbol", sender().with("name", symbol("s")).bytes()),
            ("attach's name as a binary", sender().with("name", &b"s"[..]).bytes()),
            ("attach's handle as a ulong", sender().with("handle", 0u64).bytes()),
            ("attach's handle as an int", sender().with("handle", 0i32).bytes()),
            ("attach's role as a ubyte", sender().with("role", 0u8).bytes()),
            ("attach's snd-settle-mode as a uint", sender().with("snd-settle-mode", 0u32).bytes()),
            ("attach's source as a string", sender().with("source", "a").bytes()),
            ("attach's target as a list", sender().with("target", Value::List(vec!["a".into()])).bytes()),
            ("attach's unsettled as a list", sender().with("unsettled", Value::List(vec![])).bytes()),
            ("attach's properties as a list", sender().with("properties", Value::List(vec![])).bytes()),
            ("flow's incoming-window as a ushort", flow().with("incoming-window", 9u16).bytes()),
            ("flow's drain as a list", flow().with("drain", Value::List(vec![Value::Null])).bytes()),
            ("transfer's delivery-id as a ulong", transfer(0, 0).with("delivery-id", 0u64).bytes()),
            ("transfer's delivery-tag as a string", transfer(0, 0).with("delivery-tag", "0").bytes()),
            ("transfer's more as a uint", transfer(0, 0).with("more", 1u32).bytes()),
            ("disposition's first as a string", disposition(RECEIVER, 0, accepted()).with("first", "0").bytes()),
            ("disposition's state as a string", disposition(RECEIVER, 0, "accepted".into()).bytes()),
            ("detach's closed as a string", detach(0).with("closed", "true").bytes()),
            ("end's error as a string", end().with("error", "why").bytes()),
            ("close's error as a symbol", close().with("error", symbol(INTERNAL_ERROR)).bytes()),
        ],
    );
    let mut scene = Scene::new();
    let rows = [
        ("open's container-id as a symbol", open().with("container-id", symbol("peer"))),
        ("open's container-id as a uint", open().with("container-id", 1u32)),
        ("open's hostname as a symbol", open().with("hostname", symbol("host"))),
        ("open's max-frame-size as a ushort", open().with("max-frame-size", 512u16)),
        ("open's channel-max as a uint", open().with("channel-max", 9u32)),
        ("open's idle-time-out as a ulong", open().with("idle-time-out", 9u64)),
        ("open's properties as a list", open().with("properties", Value::List(vec![]))),
        ("open's desired-capabilities as a string", open().with("desired-capabilities", "x")),
    ];
    each_row(rows, |open| {
        let mut peer = Peer::greeted(&scene.broker);
        peer.send(open);
        peer.expect_refused_with(DECODE_ERROR);
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn fields_that_are_not_there_or_too_many() {
    let sender = || attach_sender("s", 0, "a");
    closes_with(
        DECODE_ERROR,
        vec![
            ("one field more in begin", begin().on_channel(1).with_extra_field(1u32).bytes()),
            ("one field more in attach", sender().with_extra_field(1u32).bytes()),
            ("one field more in flow", flow().with_extra_field(true).bytes()),
            ("one field more in transfer", transfer(0, 0).with_extra_field(true).bytes()),
            ("one field more in disposition", disposition(RECEIVER, 0, accepted()).with_extra_field(true).bytes()),
            ("one field more in detach", detach(0).with_extra_field(true).bytes()),
            ("one field more in end", end().with_extra_field(true).bytes()),
            ("one field more in close", close().with_extra_field(true).bytes()),
            ("200 fields more in end", body(&[&b"\x00\x53\x17\xc0\xc9\xc8"[..], &[0x40; 200]].concat())),
        ],
    );
    let mut scene = Scene::new();
    // 1.4: mandatory fields may be neither null nor left out. How far the fault reaches is not said.
    let rows = [
        ("begin without next-outgoing-id", begin().on_channel(1).without("next-outgoing-id")),
        ("begin without incoming-window", begin().on_channel(1).without("incoming-window")),
        ("begin without outgoing-window", begin().on_channel(1).without("outgoing-window")),
        ("an empty begin", Performative::new(BEGIN).on_channel(1)),
        ("attach without name", sender().without("name")),
        ("attach without handle", sender().without("handle")),
        ("attach without role", sender().without("role")),
        ("an empty attach", Performative::new(ATTACH)),
        ("flow without incoming-window", flow().without("incoming-window")),
        ("flow without next-outgoing-id", flow().without("next-outgoing-id")),
        ("flow without outgoing-window", flow().without("outgoing-window")),
        ("an empty flow", Performative::new(FLOW)),
        ("transfer without handle", transfer(0, 0).without("handle")),
        ("an empty transfer", Performative::new(TRANSFER)),
        ("disposition without role", disposition(RECEIVER, 0, accepted()).without("role")),
        ("disposition without first", disposition(RECEIVER, 0, accepted()).without("first")),
        ("an empty disposition", Performative::new(DISPOSITION)),
        ("detach without handle", detach(0).without("handle")),
        ("an empty detach", Performative::new(DETACH)),
        ("an error without condition", end().with("error", Composite::new(ERROR).to_value())),
    ];
    each_row(rows, |performative| {
        let mut peer = scene.peer();
        peer.send(performative);
        peer.expect_error_with(INVALID_FIELD);
        scene.undisturbed();
    });
    let rows = [
        ("open without container-id", (open().without("container-id"), INVALID_FIELD)),
        ("open with a null container-id", (open().without("container-id").with("hostname", "host"), INVALID_FIELD)),
        ("one field more in open", (open().with_extra_field(true), DECODE_ERROR)),
    ];
    each_row(rows, |(open, condition)| {
        let mut peer = Peer::greeted(&scene.broker);
        peer.send(open);
        peer.expect_refused_with(condition);
        scene.undisturbed();
    });
    scene.until_alone();
}

#[test]
fn a_performative_cut_at_any_byte() {
    let mut scene = Scene::new();
    let attach = attach_sender("link", 300, "address").with("properties", Value::Map(vec![(symbol("k"), 7u32.into())]));
    for performative in [attach, transfer(0, 0), disposition(RECEIVER, 0, accepted()), begin().on_channel(1)] {
        let whole = performative.body();
        // Nothing at all is an empty frame, which is fine.
        for cut in 1..whole.len() {
            let mut peer = scene.peer();
            peer.send(frame(2, 0, performative.channel, &whole[..cut]));
            peer.expect_closed_with(DECODE_ERROR);
        }
        scene.undisturbed();
    }
    scene.until_alone();
}
