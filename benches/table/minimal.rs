//! The minimal broker: a process that does for a message only what no broker can leave out.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::load::{ATTACH, FLOW, Frames, TRANSFER};
use crate::wire;

/// Credit of a sender, topped up when half of it is used, as the broker does.
const WINDOW: u32 = 1000;

pub(crate) fn run() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    println!("minimal://{}", listener.local_addr().expect("address"));
    let mut receivers = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nodelay(true).expect("nodelay");
        let mut peer = Frames::new(stream);
        if shake_hands(&mut peer) {
            receivers.push(peer);
        } else {
            let receiver = receivers.pop().expect("a receiver attaches before its sender");
            connect(peer, receiver);
        }
    }
}

/// Answers header, open, begin and attach. Returns whether the peer's link is a receiver.
fn shake_hands(peer: &mut Frames) -> bool {
    let mut link = None;
    while link.is_none() {
        let open = peer.read(|frame| {
            if frame.code == ATTACH {
                link = name_and_role(frame.fields);
            }
        });
        assert!(open, "closed before its attach");
    }
    let (name, receiver) = link.unwrap_or_default();
    peer.send(&[wire::welcome(), wire::attach(&name, 0, !receiver, None, "bench")].concat());
    receiver
}

/// Returns the first and the third field of an attach: the name, and whether the link is a receiver.
fn name_and_role(mut fields: &[u8]) -> Option<(String, bool)> {
    let &[0xa1, len] = take(&mut fields)? else { return None };
    let (name, mut fields) = fields.split_at_checked(len.into())?;
    uint(&mut fields)?;
    Some((String::from_utf8(name.to_vec()).ok()?, boolean(&mut fields)?))
}

/// Starts the two threads of a pair.
fn connect(sender: Frames, receiver: Frames) {
    let credit = Arc::new(AtomicU32::new(0));
    let to = receiver.stream();
    let limit = Arc::clone(&credit);
    let forwarder = thread::spawn(move || forward(sender, to, &limit));
    thread::spawn(move || listen(receiver, &credit, forwarder.thread()));
}

/// Reads the receiver's frames for its credit. `limit` is the delivery-count up to which it has some.
fn listen(mut receiver: Frames, limit: &AtomicU32, forwarder: &thread::Thread) {
    while receiver.read(|frame| {
        if let (FLOW, [_, _, _, _, Some(_), Some(count), Some(credit)]) = (frame.code, frame.numbers::<7>()) {
            limit.store(count.wrapping_add(credit), Ordering::Release);
            forwarder.unpark();
        }
    }) {}
}

/// Forwards the sender's messages, accepts them, and tops up its credit.
fn forward(mut sender: Frames, mut to: TcpStream, limit: &AtomicU32) {
    use std::io::Write;
    let mut out = Vec::with_capacity(512 * 1024);
    let mut granted = WINDOW;
    let mut count = 0;
    sender.send(&wire::credit(0, count, WINDOW));
    loop {
        let (first, mut settled) = (count, true);
        let open = sender.read(|frame| {
            if frame.code != TRANSFER {
                return;
            }
            let transfer = Transfer::decode(frame.fields).expect("a transfer");
            assert!(transfer.handle == 0 && count < granted, "no such link, or no credit");
            if transfer.delivery_id.is_some() && count == limit.load(Ordering::Acquire) {
                to.write_all(&out).expect("write");
                out.clear();
                while count == limit.load(Ordering::Acquire) {
                    thread::park();
                }
            }
            transfer.put_head(count, frame.payload.len(), &mut out);
            out.extend_from_slice(frame.payload);
            settled &= transfer.settled;
            count += u32::from(!transfer.more);
        });
        to.write_all(&out).expect("write");
        out.clear();
        let mut answers = Vec::new();
        if count > first && !settled {
            answers.extend(wire::accept(first, count - 1));
        }
        if granted - count <= WINDOW / 2 {
            granted = count + WINDOW;
            answers.extend(wire::credit(0, count, WINDOW));
        }
        if !open {
            return;
        }
        if !answers.is_empty() {
            sender.send(&answers);
        }
    }
}

/// The fields of a transfer that are needed here.
struct Transfer<'a> {
    handle: u32,
    delivery_id: Option<u32>,
    tag: &'a [u8],
    settled: bool,
    more: bool,
}

impl<'a> Transfer<'a> {
    fn decode(mut fields: &'a [u8]) -> Option<Transfer<'a>> {
        let fields = &mut fields;
        let handle = uint(fields)??;
        let delivery_id = uint(fields)?;
        let tag = binary(fields)?;
        let _message_format = uint(fields)?;
        let (settled, more) = (boolean(fields)?, boolean(fields)?);
        Some(Transfer { handle, delivery_id, tag, settled, more })
    }

    /// Appends the head of the outgoing frame: frame header, descriptor, and fields with a new delivery-id.
    fn put_head(&self, id: u32, payload: usize, out: &mut Vec<u8>) {
        let constructor = |value| if value { 0x41 } else { 0x42 };
        let more = constructor(self.more);
        if self.delivery_id.is_none() {
            out.extend(((8 + 12 + payload) as u32).to_be_bytes());
            out.extend([2, 0, 0, 0, 0, 0x53, TRANSFER, 0xc0, 7, 6, 0x43, 0x40, 0x40, 0x40, 0x40, more]);
            return;
        }
        let [a, b, c, d] = id.to_be_bytes();
        let tag = self.tag.len() as u8;
        out.extend(((8 + 17 + self.tag.len() + payload) as u32).to_be_bytes());
        out.extend([2, 0, 0, 0, 0, 0x53, TRANSFER, 0xc0, 12 + tag, 6, 0x43, 0x70, a, b, c, d, 0xa0, tag]);
        out.extend_from_slice(self.tag);
        out.extend([0x43, constructor(self.settled), more]);
    }
}

/// Takes the next `N` bytes of `fields`.
fn take<'a, const N: usize>(fields: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (value, rest) = fields.split_first_chunk()?;
    *fields = rest;
    Some(value)
}

/// Decodes a uint in any of its encodings, or null.
fn uint(fields: &mut &[u8]) -> Option<Option<u32>> {
    Some(match take(fields)? {
        [0x40] => None,
        [0x43] => Some(0),
        [0x52] => take::<1>(fields).map(|&[value]| value.into()),
        [0x70] => Some(u32::from_be_bytes(*take(fields)?)),
        _ => return None,
    })
}

/// Decodes a binary in any of its encodings. Null is an empty one.
fn binary<'a>(fields: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = match take(fields)? {
        [0x40] => 0,
        [0xa0] => usize::from(take::<1>(fields)?[0]),
        [0xb0] => u32::from_be_bytes(*take(fields)?) as usize,
        _ => return None,
    };
    let (value, rest) = fields.split_at_checked(len)?;
    *fields = rest;
    Some(value)
}

/// Decodes a boolean in any of its encodings. Null and an absent field are false.
fn boolean(fields: &mut &[u8]) -> Option<bool> {
    match take(fields) {
        None | Some([0x40 | 0x42]) => Some(false),
        Some([0x41]) => Some(true),
        Some([0x56]) => take(fields).map(|[value]| *value == 1),
        _ => None,
    }
}
