//! Encoders for the frames of the load, with the encodings that clients choose.

/// Encodes a frame with this body.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = ((body.len() + 8) as u32).to_be_bytes().to_vec();
    frame.extend([2, 0, 0, 0]);
    frame.extend(body);
    frame
}

/// Encodes a performative with these encoded fields.
pub(crate) fn performative(code: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body: Vec<u8> = fields.concat();
    let mut frame_body = vec![0, 0x53, code, 0xd0];
    frame_body.extend(((body.len() + 4) as u32).to_be_bytes());
    frame_body.extend((fields.len() as u32).to_be_bytes());
    frame_body.extend(body);
    frame(&frame_body)
}

pub(crate) const NULL: &[u8] = &[0x40];

pub(crate) fn uint(value: u32) -> Vec<u8> {
    let mut bytes = vec![0x70];
    bytes.extend(value.to_be_bytes());
    bytes
}

fn string(text: &str) -> Vec<u8> {
    let mut bytes = vec![0xa1, text.len() as u8];
    bytes.extend(text.bytes());
    bytes
}

fn terminus(code: u8, address: &str) -> Vec<u8> {
    let address = string(address);
    let mut bytes = vec![0, 0x53, code, 0xc0, address.len() as u8 + 1, 1];
    bytes.extend(address);
    bytes
}

/// Encodes header, open and begin, which a client may send without waiting.
pub(crate) fn hello() -> Vec<u8> {
    greeting(NULL)
}

/// Encodes the server's header, open and begin, with the client's channel.
pub(crate) fn welcome() -> Vec<u8> {
    greeting(&[0x60, 0, 0])
}

fn greeting(remote_channel: &[u8]) -> Vec<u8> {
    let window = uint(0x7fff_ffff);
    [
        b"AMQP\0\x01\0\0".to_vec(),
        performative(0x10, &[&string("load"), NULL, &uint(65536)]),
        performative(0x11, &[remote_channel, &uint(0), &window, &window]),
    ]
    .concat()
}

/// Encodes an attach of a receiver or a sender, with a snd-settle-mode if there is one.
pub(crate) fn attach(name: &str, handle: u32, receiver: bool, settle_mode: Option<u8>, address: &str) -> Vec<u8> {
    let name = string(name);
    let role = [if receiver { 0x41 } else { 0x42 }];
    let settle_mode = settle_mode.map_or(NULL.to_vec(), |mode| vec![0x50, mode]);
    let (source, target) = (terminus(0x28, address), terminus(0x29, address));
    let (handle, first) = (uint(handle), uint(0));
    let fields: [&[u8]; 10] = [&name, &handle, &role, &settle_mode, NULL, &source, &target, NULL, NULL, &first];
    // A receiver has no initial-delivery-count.
    performative(0x12, &fields[..if receiver { 7 } else { 10 }])
}

pub(crate) fn attach_sender(handle: u32, address: &str) -> Vec<u8> {
    attach(&format!("s{handle}"), handle, false, None, address)
}

pub(crate) fn attach_receiver(handle: u32, address: &str) -> Vec<u8> {
    attach(&format!("r{handle}"), handle, true, None, address)
}

pub(crate) fn credit(handle: u32, delivery_count: u32, credit: u32) -> Vec<u8> {
    let window = uint(0x7fff_ffff);
    performative(0x13, &[&uint(0), &window, &uint(0), &window, &uint(handle), &uint(delivery_count), &uint(credit)])
}

/// Encodes a disposition that settles a range as accepted.
pub(crate) fn accept(first: u32, last: u32) -> Vec<u8> {
    performative(0x15, &[&[0x41], &uint(first), &uint(last), &[0x41], &[0, 0x53, 0x24, 0x45]])
}

/// The encoded transfers of a message on handle 0. The delivery-id is inserted at `id_at` and, as the tag, at `tag_at` of the
/// first frame.
pub(crate) struct Template {
    pub(crate) bytes: Vec<u8>,
    pub(crate) id_at: usize,
    pub(crate) tag_at: usize,
}

/// Encodes a message of `size` bytes, its section included.
pub(crate) fn transfer(size: usize, settled: bool) -> Template {
    const MAX_PAYLOAD: usize = 65536 - 64;
    let mut payload = vec![0, 0x53, 0x75, 0xb0];
    payload.extend(((size - 8) as u32).to_be_bytes());
    payload.resize(size, b'x');
    let mut bytes = Vec::new();
    for (index, piece) in payload.chunks(MAX_PAYLOAD).enumerate() {
        let more = if (index + 1) * MAX_PAYLOAD < size { 0x41 } else { 0x42 };
        let fields: Vec<u8> = if index == 0 {
            let settled = if settled { 0x41 } else { 0x42 };
            // handle, delivery-id, delivery-tag, message-format, settled, more
            vec![0x43, 0x70, 0, 0, 0, 0, 0xa0, 4, 0, 0, 0, 0, 0x43, settled, more]
        } else {
            vec![0x43, 0x40, 0x40, 0x40, 0x40, more]
        };
        let mut body = vec![0, 0x53, 0x14, 0xc0, fields.len() as u8 + 1, 6];
        body.extend(fields);
        body.extend(piece);
        bytes.extend(frame(&body));
    }
    Template { bytes, id_at: 8 + 6 + 2, tag_at: 8 + 6 + 8 }
}

impl Template {
    /// Appends the message with this delivery-id.
    pub(crate) fn put(&self, id: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        for at in [self.id_at, self.tag_at] {
            out[start + at..start + at + 4].copy_from_slice(&id.to_be_bytes());
        }
    }
}
