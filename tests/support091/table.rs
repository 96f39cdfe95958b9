//! Properties and tables of contents as they came over the wire, in words for an assertion.

use super::Args;

/// The flags of the properties that stand before the headers and between them and the expiration, as short strings.
const CONTENT_TYPE: u16 = 1 << 15;
const CONTENT_ENCODING: u16 = 1 << 14;
const HEADERS: u16 = 1 << 13;

/// The headers of these properties, as `name=value` in their order. None: there is no table.
pub fn headers_of(properties: &[u8]) -> Option<Vec<String>> {
    let mut args = Args::new(properties.to_vec());
    let flags = args.short();
    for flag in [CONTENT_TYPE, CONTENT_ENCODING] {
        if flags & flag != 0 {
            args.shortstr();
        }
    }
    (flags & HEADERS != 0).then(|| entries(&args.longstr()))
}

fn entries(bytes: &[u8]) -> Vec<String> {
    let mut args = Args::new(bytes.to_vec());
    let mut entries = Vec::new();
    while !args.rest().is_empty() {
        let name = args.shortstr();
        entries.push(format!("{name}={}", value(&mut args)));
    }
    entries
}

fn value(args: &mut Args) -> String {
    match args.octet() {
        b'S' => String::from_utf8(args.longstr()).unwrap(),
        b'l' => args.longlong().cast_signed().to_string(),
        b'I' => args.long().to_string(),
        b't' => (args.octet() != 0).to_string(),
        // When it was depends on the day.
        b'T' => format!("T{}", if args.longlong() > 0 { "" } else { " of 1970" }),
        b'F' => format!("{{{}}}", entries(&args.longstr()).join(", ")),
        b'A' => {
            let mut inner = Args::new(args.longstr());
            let mut items = Vec::new();
            while !inner.rest().is_empty() {
                items.push(value(&mut inner));
            }
            format!("[{}]", items.join(", "))
        }
        other => panic!("a field of type {:?}", char::from(other)),
    }
}

/// Properties with nothing but an expiration.
pub fn expiration(text: &str) -> Vec<u8> {
    [&[0x01, 0x00, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// Properties with nothing but headers.
pub fn headers(entries: &[Vec<u8>]) -> Vec<u8> {
    [&[0x20, 0x00][..], &super::sized(&entries.concat())].concat()
}

/// Properties with nothing but a priority.
pub fn priority(priority: u8) -> Vec<u8> {
    vec![0x08, 0x00, priority]
}
