//! Values against bytes that were written by hand, and against themselves.

use super::*;
use proptest::prelude::*;

fn encoded(value: &Value) -> Vec<u8> {
    let mut out = BytesMut::new();
    value.encode(&mut out);
    out.to_vec()
}

fn decoded(bytes: &[u8]) -> Result<Value> {
    let mut reader = Reader::new(bytes);
    let value = Value::decode(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// A value, its shortest encoding, and the others.
type Row = (Value, &'static [u8], Vec<&'static [u8]>);

/// 1.6: every type.
fn table() -> Vec<Row> {
    let uuid = *b"0123456789abcdef";
    let array = |items: Vec<Value>| Value::Array(items);
    vec![
        (Value::Null, b"\x40", vec![]),
        (true.into(), b"\x41", vec![b"\x56\x01"]),
        (false.into(), b"\x42", vec![b"\x56\x00"]),
        (0xff_u8.into(), b"\x50\xff", vec![]),
        (0x1234_u16.into(), b"\x60\x12\x34", vec![]),
        (0_u32.into(), b"\x43", vec![b"\x52\x00", b"\x70\x00\x00\x00\x00"]),
        (0xff_u32.into(), b"\x52\xff", vec![b"\x70\x00\x00\x00\xff"]),
        (0x100_u32.into(), b"\x70\x00\x00\x01\x00", vec![]),
        (0_u64.into(), b"\x44", vec![b"\x53\x00", b"\x80\0\0\0\0\0\0\0\0"]),
        (0xff_u64.into(), b"\x53\xff", vec![b"\x80\0\0\0\0\0\0\0\xff"]),
        (0x100_u64.into(), b"\x80\0\0\0\0\0\0\x01\0", vec![]),
        ((-2_i8).into(), b"\x51\xfe", vec![]),
        ((-2_i16).into(), b"\x61\xff\xfe", vec![]),
        ((-128).into(), b"\x54\x80", vec![b"\x71\xff\xff\xff\x80"]),
        (128.into(), b"\x71\0\0\0\x80", vec![]),
        ((-128_i64).into(), b"\x55\x80", vec![b"\x81\xff\xff\xff\xff\xff\xff\xff\x80"]),
        (128_i64.into(), b"\x81\0\0\0\0\0\0\0\x80", vec![]),
        (1.0_f32.into(), b"\x72\x3f\x80\0\0", vec![]),
        (1.0_f64.into(), b"\x82\x3f\xf0\0\0\0\0\0\0", vec![]),
        (Value::Decimal32(*b"abcd"), b"\x74abcd", vec![]),
        (Value::Decimal64(*b"abcdefgh"), b"\x84abcdefgh", vec![]),
        (Value::Decimal128(uuid), b"\x940123456789abcdef", vec![]),
        ('€'.into(), b"\x73\0\0\x20\xac", vec![]),
        (Value::Timestamp(-1), b"\x83\xff\xff\xff\xff\xff\xff\xff\xff", vec![]),
        (Value::Uuid(uuid), b"\x980123456789abcdef", vec![]),
        (b"ab".into(), b"\xa0\x02ab", vec![b"\xb0\0\0\0\x02ab"]),
        ("ü".into(), b"\xa1\x02\xc3\xbc", vec![b"\xb1\0\0\0\x02\xc3\xbc"]),
        (Value::symbol("ab"), b"\xa3\x02ab", vec![b"\xb3\0\0\0\x02ab"]),
        (Value::List(vec![]), b"\x45", vec![b"\xc0\x01\0", b"\xd0\0\0\0\x04\0\0\0\0"]),
        (
            vec![Value::Null, 1_u8.into()].into(),
            b"\xc0\x04\x02\x40\x50\x01",
            vec![b"\xd0\0\0\0\x07\0\0\0\x02\x40\x50\x01"],
        ),
        (Value::Map(vec![]), b"\xc1\x01\0", vec![b"\xd1\0\0\0\x04\0\0\0\0"]),
        ([("k", true)].into(), b"\xc1\x05\x02\xa1\x01k\x41", vec![b"\xd1\0\0\0\x0b\0\0\0\x02\xb1\0\0\0\x01k\x41"]),
        (array(vec![]), b"\xe0\x02\0\x40", vec![b"\xe0\x01\0", b"\xf0\0\0\0\x05\0\0\0\0\xa3"]),
        (
            array(vec![0_u32.into(), 1_u32.into()]),
            b"\xe0\x04\x02\x52\x00\x01",
            vec![b"\xf0\0\0\0\x0d\0\0\0\x02\x70\0\0\0\0\0\0\0\x01"],
        ),
        (array(vec![0_u32.into(), 256_u32.into()]), b"\xe0\x0a\x02\x70\0\0\0\0\0\0\x01\0", vec![]),
        (array(vec![true.into(), false.into()]), b"\xe0\x04\x02\x56\x01\x00", vec![]),
        (array(vec![true.into(), true.into()]), b"\xe0\x04\x02\x56\x01\x01", vec![b"\xe0\x02\x02\x41"]),
        (array(vec![Value::Null; 3]), b"\xe0\x02\x03\x40", vec![]),
        (
            array(vec![Value::symbol("a"), Value::symbol("bc")]),
            b"\xe0\x07\x02\xa3\x01a\x02bc",
            vec![b"\xe0\x0d\x02\xb3\0\0\0\x01a\0\0\0\x02bc"],
        ),
        (
            array(vec![Value::List(vec![]), vec![Value::Null].into()]),
            b"\xe0\x13\x02\xd0\0\0\0\x04\0\0\0\0\0\0\0\x05\0\0\0\x01\x40",
            vec![b"\xe0\x07\x02\xc0\x01\0\x02\x01\x40"],
        ),
        (
            array(vec![array(vec![1_u8.into()]), array(vec![])]),
            b"\xe0\x15\x02\xf0\0\0\0\x06\0\0\0\x01\x50\x01\0\0\0\x05\0\0\0\0\x40",
            vec![b"\xe0\x09\x02\xe0\x03\x01\x50\x01\x02\0\x40"],
        ),
        (
            array(vec![Value::described(1_u64, "a"), Value::described(1_u64, "b")]),
            b"\xe0\x09\x02\0\x53\x01\xa1\x01a\x01b",
            vec![],
        ),
        (
            Value::described(0x24_u64, Value::List(vec![])),
            b"\0\x53\x24\x45",
            vec![b"\0\x80\0\0\0\0\0\0\0\x24\xc0\x01\0"],
        ),
        (Value::described(Value::symbol("d"), 1_u8), b"\0\xa3\x01d\x50\x01", vec![]),
    ]
}

#[test]
fn every_encoding_is_read_and_the_shortest_written() {
    for (value, shortest, others) in table() {
        assert_eq!(encoded(&value).escape_ascii().to_string(), shortest.escape_ascii().to_string(), "{value:?}");
        for bytes in std::iter::once(shortest).chain(others) {
            assert_eq!(decoded(bytes).as_ref(), Ok(&value), "{}", bytes.escape_ascii());
            for end in 0..bytes.len() {
                assert!(decoded(&bytes[..end]).is_err(), "{} cut at {end}", bytes.escape_ascii());
            }
            assert!(decoded(&[bytes, b"\x40"].concat()).is_err(), "{} and one more", bytes.escape_ascii());
        }
    }
}

#[test]
fn long_ones_get_the_wide_encoding() {
    let long = "x".repeat(256);
    assert!(encoded(&long.as_str().into()).starts_with(b"\xb1\0\0\x01\0x"));
    assert!(encoded(&long.as_bytes().into()).starts_with(b"\xb0\0\0\x01\0x"));
    assert!(encoded(&vec![Value::Null; 254].into()).starts_with(b"\xc0\xff\xfe\x40"));
    assert!(encoded(&vec![Value::Null; 255].into()).starts_with(b"\xd0\0\0\x01\x03\0\0\0\xff\x40"));
    assert_eq!(encoded(&Value::Array(vec![Value::Null; 256])), b"\xf0\0\0\0\x05\0\0\x01\0\x40");
}

#[test]
fn an_array_of_several_types_is_written_as_a_list() {
    let mixed = || Value::Array(vec![1_u8.into(), "a".into()]);
    assert_eq!(decoded(&encoded(&mixed())), Ok(vec![Value::Ubyte(1), "a".into()].into()));
    // Also where it is the element of an array, or described as one.
    let outer = Value::Array(vec![Value::Array(vec![1_u8.into()]), mixed()]);
    let expected = vec![Value::Array(vec![1_u8.into()]), vec![Value::Ubyte(1), "a".into()].into()];
    assert_eq!(decoded(&encoded(&outer)), Ok(expected.into()));
    let described = Value::Array(vec![Value::described(1_u64, 1_u8), Value::described(2_u64, 1_u8)]);
    let expected = vec![Value::described(1_u64, 1_u8), Value::described(2_u64, 1_u8)];
    assert_eq!(decoded(&encoded(&described)), Ok(expected.into()));
}

#[test]
fn nothing_is_made_of_what_cost_nothing() {
    let rows: [(&str, Vec<u8>); 10] = [
        ("a list of more than there is", b"\xd0\0\0\0\x05\xff\xff\xff\xff\x40".to_vec()),
        ("an array of 4 billion nulls", b"\xf0\0\0\0\x05\xff\xff\xff\xff\x40".to_vec()),
        ("an array of 65,537 nulls", b"\xf0\0\0\0\x05\0\x01\0\x01\x40".to_vec()),
        // 2 x 40,000 nulls, each array below the limit.
        ("two arrays", [&b"\xc0\x15\x02"[..], &b"\xf0\0\0\0\x05\0\0\x9c\x40\x40".repeat(2)].concat()),
        ("an array of 20,000 with a descriptor of 200 bytes", {
            let descriptor = [&b"\0\xa3\xc8"[..], &[b'd'; 200]].concat();
            let body = [&20_000_u32.to_be_bytes()[..], &descriptor, b"\x50", &[1; 20_000]].concat();
            [&b"\xf0"[..], &u32::try_from(body.len()).unwrap().to_be_bytes(), &body].concat()
        }),
        ("an array of 20,000 with a descriptor of 20,000 nulls", {
            let descriptor = b"\0\xf0\0\0\0\x05\0\0\x4e\x20\x40";
            let body = [&20_000_u32.to_be_bytes()[..], descriptor, b"\x50", &[1; 20_000]].concat();
            [&b"\xf0"[..], &u32::try_from(body.len()).unwrap().to_be_bytes(), &body].concat()
        }),
        ("described 5,000 times", b"\0".repeat(5_000)),
        ("lists 33 deep", [b"\xd0\0\0\0\xff\0\0\0\x01".repeat(40), vec![0x40; 255]].concat()),
        ("a map with an odd count", b"\xc1\x03\x01\x40\x40".to_vec()),
        ("a char that is none", b"\x73\0\x11\0\0".to_vec()),
    ];
    for (what, bytes) in rows {
        assert!(decoded(&bytes).is_err(), "{what}");
    }
    // As many as are allowed.
    assert_eq!(decoded(b"\xf0\0\0\0\x05\0\x01\0\0\x40").map(|nulls| nulls.as_list().map(<[_]>::len)), Ok(Some(65_536)));
}

/// Values as they come out of the decoder: arrays have elements of one type, floats are numbers.
pub(in crate::amqp10) fn any_value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![any::<i64>(), -200..300_i64];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u8>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        any::<u16>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        number.clone().prop_map(|number| Value::Uint(number as u32)),
        number.clone().prop_map(|number| Value::Int(number as i32)),
        number.clone().prop_map(|number| Value::Ulong(number as u64)),
        number.prop_map(Value::Long),
        (-1e9..1e9_f32).prop_map(Value::Float),
        (-1e9..1e9).prop_map(Value::Double),
        any::<[u8; 4]>().prop_map(Value::Decimal32),
        any::<[u8; 8]>().prop_map(Value::Decimal64),
        any::<[u8; 16]>().prop_map(Value::Decimal128),
        any::<char>().prop_map(Value::Char),
        any::<i64>().prop_map(Value::Timestamp),
        any::<[u8; 16]>().prop_map(Value::Uuid),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::Binary),
        ".{0,100}".prop_map(Value::String),
        "[ -~]{0,300}".prop_map(Value::Symbol),
    ];
    let descriptor = prop_oneof![any::<u64>().prop_map(Value::Ulong), "[a-z:]{0,40}".prop_map(Value::Symbol)];
    leaf.prop_recursive(4, 200, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
            prop::collection::vec((inner.clone(), inner.clone()), 0..8).prop_map(Value::Map),
            (inner.clone(), 0..8_usize).prop_map(|(item, count)| Value::Array(vec![item; count])),
            prop::collection::vec(any::<u32>().prop_map(Value::Uint), 0..8).prop_map(Value::Array),
            prop::collection::vec("[a-z]{0,300}".prop_map(Value::Symbol), 0..8).prop_map(Value::Array),
            (descriptor.clone(), inner).prop_map(|(descriptor, value)| Value::described(descriptor, value)),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in any_value()) {
        let bytes = encoded(&value);
        prop_assert_eq!(decoded(&bytes), Ok(value));
        // The checks of what passes through are the same.
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(reader.any().map(<[u8]>::len), Ok(bytes.len()));
    }

    #[test]
    fn a_cut_value_is_an_error(value in any_value(), at in any::<prop::sample::Index>()) {
        let bytes = encoded(&value);
        prop_assert!(decoded(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn garbage_is_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decoded(&bytes);
    }
}
