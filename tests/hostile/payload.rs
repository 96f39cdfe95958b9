//! 3.2: payloads that are not messages. A link with an address forwards them unread; an anonymous link rejects those without a
//! readable address.

use crate::scene::Scene;
use crate::support::*;
use crate::types::nested_arrays;

/// Payloads from which no `to` can be read. (3.2: sections have an order, and properties come before the body.)
fn unreadable() -> Vec<(&'static str, Vec<u8>)> {
    let body = message("body");
    let properties = section(PROPERTIES, Value::List(vec![Value::Null, Value::Null, "target".into()]));
    let header = section(HEADER, Value::List(vec![true.into()]));
    let annotations = section(MESSAGE_ANNOTATIONS, Value::Map(vec![(symbol("x-k"), 1u32.into())]));
    let behind = |bytes: &[u8]| [bytes, &properties, &body].concat();
    vec![
        ("nothing", vec![]),
        ("garbage", b"garbage".to_vec()),
        ("zeros", vec![0; 100]),
        ("ff", vec![0xff; 100]),
        ("a value that is no section", behind(b"\x40")),
        ("a section of an unknown code", behind(b"\x00\x53\x99\x45")),
        ("half a descriptor", b"\x00\x53".to_vec()),
        ("a descriptor and nothing else", b"\x00\x53\x73".to_vec()),
        ("descriptors without end", vec![0; 5000]),
        ("properties cut short", properties[..properties.len() - 1].to_vec()),
        ("properties that are a map", b"\x00\x53\x73\xc1\x01\x00".to_vec()),
        ("properties of size 0", b"\x00\x53\x73\xc0\x00".to_vec()),
        (
            "properties larger than the message",
            b"\x00\x53\x73\xd0\xff\xff\xff\xff\x00\x00\x00\x03\x40\x40\xa1\x01a".to_vec(),
        ),
        ("properties with more fields than bytes", b"\x00\x53\x73\xc0\x06\xff\x40\x40\xa1\x01a".to_vec()),
        ("properties with a `to` beyond them", b"\x00\x53\x73\xc0\x05\x03\x40\x40\xa1\xfftarget".to_vec()),
        ("a `to` that is not UTF-8", b"\x00\x53\x73\xc0\x07\x03\x40\x40\xa1\x02\xc3\x28".to_vec()),
        ("a header larger than the message", behind(b"\x00\x53\x70\xd0\xff\xff\xff\xff\x00\x00\x00\x00")),
        ("a header of size 0", behind(b"\x00\x53\x70\xd0\x00\x00\x00\x00")),
        ("a header that ends in the properties", behind(b"\x00\x53\x70\xc0\x7f\x01\x41")),
        ("annotations larger than the message", behind(b"\x00\x53\x72\xd1\x7f\xff\xff\xff\x00\x00\x00\x02")),
        ("annotations before header", [&annotations[..], &header, &properties, &body].concat()),
        ("header twice", [&header[..], &header, &properties, &body].concat()),
    ]
}

/// Payloads that are malformed behind the address.
fn disordered() -> Vec<(&'static str, Vec<u8>)> {
    let body = message("body");
    let properties = section(PROPERTIES, Value::List(vec![Value::Null, Value::Null, "target".into()]));
    let other = section(PROPERTIES, Value::List(vec![Value::Null, Value::Null, "elsewhere".into()]));
    let header = section(HEADER, Value::List(vec![true.into()]));
    vec![
        ("header after properties", [&properties[..], &header, &body].concat()),
        ("properties after the body", [&body[..], &properties].concat()),
        ("properties twice", [&properties[..], &other, &body].concat()),
        ("garbage after properties", [&properties[..], b"garbage"].concat()),
        ("a body larger than the message", [&properties[..], b"\x00\x53\x75\xb0\xff\xff\xff\xffx"].concat()),
    ]
}

#[test]
fn an_anonymous_link_rejects_what_it_cannot_read() {
    let mut scene = Scene::new();
    let mut receiver = scene.peer();
    receiver.attach_receiver("r", 0, "target", 1000);
    let mut peer = scene.peer();
    peer.send(attach_anonymous("s", 0));
    peer.expect_attach();
    peer.expect_credit();
    each_row(unreadable(), |payload| {
        let id = peer.send_payload(0, payload.clone());
        let outcome = peer.expect_outcome_of(id);
        assert_eq!((outcome.state(), outcome.condition()), (REJECTED, DECODE_ERROR.to_owned()), "{outcome:?}");

        // Settled there is nobody to tell; and in pieces it is no better.
        peer.send(transfer(0, id + 1).with("settled", true).with_payload(payload.clone()));
        let (one, two) = payload.split_at(payload.len() / 2);
        peer.send(transfer(0, id + 2).with("more", true).with_payload(one));
        peer.send(continuation(0).with_payload(two));
        assert_eq!(peer.expect_outcome_of(id + 2).condition(), DECODE_ERROR);
        receiver.expect_nothing();
        scene.undisturbed();
    });
    // What can be read and says nothing, or goes where nobody is.
    let rows = [
        ("a body alone", message("body")),
        ("properties without `to`", [section(PROPERTIES, Value::List(vec!["id".into()])), message("body")].concat()),
        ("an empty `to`", message_to("", "body")),
        ("a `to` where nobody is", message_to("nowhere", "body")),
    ];
    each_row(rows, |payload| {
        let id = peer.send_payload(0, payload);
        let outcome = peer.expect_outcome_of(id);
        assert_eq!(outcome.state(), REJECTED, "{outcome:?}");
        assert!(!outcome.condition().is_empty(), "{outcome:?}");
        receiver.expect_nothing();
        scene.undisturbed();
    });
    // Never a wrong route: where the first properties say, or nowhere.
    each_row(disordered(), |payload| {
        let id = peer.send_payload(0, payload.clone());
        match peer.expect_outcome_of(id).state() {
            ACCEPTED => assert_eq!(receiver.expect_transfer().payload, payload),
            REJECTED => receiver.expect_nothing(),
            other => panic!("accepted or rejected was expected, not {}", name_of(other)),
        }
        scene.undisturbed();
    });
    // The link is as good as ever.
    let id = peer.send_payload(0, message_to("target", "hello"));
    assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
    assert_eq!(text(&receiver.expect_transfer().payload), "hello");
}

#[test]
fn a_link_with_an_address_forwards_what_it_is_given() {
    let mut scene = Scene::new();
    let mut receiver = scene.peer();
    receiver.attach_receiver("r", 0, "anything", 1000);
    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "anything");
    let mut rows = unreadable();
    rows.extend(disordered());
    rows.push(("another address in `to`", message_to("elsewhere", "hello")));
    each_row(rows, |payload| {
        let id = peer.send_payload(0, payload.clone());
        assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
        assert_eq!(receiver.expect_transfer().payload, payload);
        scene.undisturbed();
    });
    assert_eq!(scene.broker.counts().dropped, 0);
}

#[test]
fn a_queue_keeps_what_it_is_given() {
    let mut scene = Scene::new();
    let mut peer = scene.peer();
    peer.attach_sender("s", 0, "queue.anything");
    peer.attach_receiver("r", 1, "queue.anything", 0);
    let mut rows = unreadable();
    rows.extend(disordered());
    let deep = section(MESSAGE_ANNOTATIONS, Value::Map(vec![(symbol("x"), raw(&nested_arrays(5000)))]));
    rows.push(("annotations 5,000 deep", [deep, message("body")].concat()));
    let mut delivery_count = 0;
    each_row(rows, |payload| {
        let id = peer.send_payload(0, payload.clone());
        assert_eq!(peer.expect_outcome_of(id).state(), ACCEPTED);
        peer.grant(1, delivery_count, 1);
        let first = peer.expect_transfer();
        assert_eq!(first.payload, payload);
        // Handed back with a mark that would have to go into its header: it comes again, whatever it is.
        let mut modified = Composite::new(MODIFIED);
        modified.set("delivery-failed", true.into());
        let annotations = Value::Map(vec![(symbol("x-seen"), 1u32.into())]);
        modified.set("message-annotations", annotations);
        peer.send(disposition(RECEIVER, first.number("delivery-id") as u32, modified.to_value()));
        peer.grant(1, delivery_count + 1, 1);
        let again = peer.expect_transfer();
        peer.send(disposition(RECEIVER, again.number("delivery-id") as u32, accepted()));
        delivery_count += 2;
        scene.undisturbed();
    });
}
