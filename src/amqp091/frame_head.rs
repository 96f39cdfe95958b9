//! 4.2.3: the head of a frame: its kind and channel, and the consumer tag, delivery tag and queue or routing key of its
//! method. For observers of frames; the engine decodes frames whole.

use super::frame::HEADER;
use super::method::{self, Basic, Method, Queue};
use super::types::{Reader, Version};
use crate::tap::{FrameHead, LinkHead};

/// The head of a protocol header or of a frame of 0-9 or 0-9-1. The payload of a body may be missing. None for other
/// bytes.
pub(crate) fn head(frame: &[u8]) -> Option<FrameHead<'_>> {
    head_as(Version::V0_9_1, frame)
}

/// The head of a protocol header or of a frame of 0-8, where some methods have other numbers.
pub(crate) fn head_0_8(frame: &[u8]) -> Option<FrameHead<'_>> {
    head_as(Version::V0_8, frame)
}

/// The start of a body frame's payload. None for other frames.
pub(crate) fn payload_at(frame: &[u8]) -> Option<usize> {
    (frame.first() == Some(&3) && frame.len() >= HEADER).then_some(HEADER)
}

fn head_as(version: Version, frame: &[u8]) -> Option<FrameHead<'_>> {
    if frame.starts_with(b"AMQP") {
        return Some(FrameHead { kind: "header", ..FrameHead::default() });
    }
    let &[frame_type, c0, c1, ..] = frame.first_chunk::<HEADER>()?;
    let head = FrameHead { channel: Some(u16::from_be_bytes([c0, c1])), ..FrameHead::default() };
    match frame_type {
        1 => method_head(head, version, frame.get(HEADER..frame.len() - 1)?),
        2 => Some(FrameHead { kind: "header", ..head }),
        3 => Some(FrameHead { kind: "body", payload_at: Some(HEADER), ..head }),
        8 => Some(FrameHead { kind: "heartbeat", ..head }),
        _ => None,
    }
}

fn method_head<'a>(head: FrameHead<'a>, version: Version, payload: &'a [u8]) -> Option<FrameHead<'a>> {
    let mut reader = Reader::new(payload, version);
    let id = method::read_id(&mut reader).ok()?;
    let method = Method::read(id, &mut reader).ok()??;
    let head = FrameHead { kind: method.name(), ..head };
    Some(match method {
        Method::Basic(basic) => basic_head(head, &basic),
        Method::Queue(
            Queue::Declare { queue, .. }
            | Queue::DeclareOk { queue, .. }
            | Queue::Bind { queue, .. }
            | Queue::Unbind { queue, .. }
            | Queue::Purge { queue, .. }
            | Queue::Delete { queue, .. },
        ) => FrameHead { address: Some(queue), ..head },
        _ => head,
    })
}

fn basic_head<'a>(head: FrameHead<'a>, basic: &Basic<'a>) -> FrameHead<'a> {
    match *basic {
        Basic::Consume { queue, consumer_tag, .. } => {
            FrameHead { link: Some(LinkHead::ConsumerTag(consumer_tag)), address: Some(queue), ..head }
        }
        Basic::ConsumeOk { consumer_tag } | Basic::Cancel { consumer_tag, .. } | Basic::CancelOk { consumer_tag } => {
            FrameHead { link: Some(LinkHead::ConsumerTag(consumer_tag)), ..head }
        }
        Basic::Publish { routing_key, .. } | Basic::Return { routing_key, .. } => {
            FrameHead { address: Some(routing_key), ..head }
        }
        Basic::Deliver { consumer_tag, delivery_tag, routing_key, .. } => FrameHead {
            link: Some(LinkHead::ConsumerTag(consumer_tag)),
            delivery: Some(delivery_tag),
            address: Some(routing_key),
            ..head
        },
        Basic::Get { queue, .. } => FrameHead { address: Some(queue), ..head },
        Basic::GetOk { delivery_tag, routing_key, .. } => {
            FrameHead { delivery: Some(delivery_tag), address: Some(routing_key), ..head }
        }
        Basic::Ack { delivery_tag, .. } | Basic::Nack { delivery_tag, .. } | Basic::Reject { delivery_tag, .. } => {
            FrameHead { delivery: Some(delivery_tag), ..head }
        }
        _ => head,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_frames() {
        let on = |channel| FrameHead { channel: Some(channel), ..FrameHead::default() };
        let rows: [(&[u8], Option<FrameHead<'_>>); 9] = [
            (b"AMQP\x00\x00\x09\x01", Some(FrameHead { kind: "header", ..FrameHead::default() })),
            (
                b"\x01\x00\x01\x00\x00\x00\x0a\x00\x3c\x00\x28\x00\x00\x00\x01q\x01\xce",
                Some(FrameHead { kind: "basic.publish", address: Some("q"), ..on(1) }),
            ),
            (
                b"\x01\x00\x02\x00\x00\x00\x12\x00\x3c\x00\x3c\x01t\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x01k\xce",
                Some(FrameHead {
                    kind: "basic.deliver",
                    link: Some(LinkHead::ConsumerTag("t")),
                    delivery: Some(7),
                    address: Some("k"),
                    ..on(2)
                }),
            ),
            (b"\x03\x00\x01\x00\x00\x00\x05hello\xce", Some(FrameHead { kind: "body", payload_at: Some(7), ..on(1) })),
            (b"\x03\x00\x01\x00\x00\x00\x05", Some(FrameHead { kind: "body", payload_at: Some(7), ..on(1) })),
            (b"\x08\x00\x00\x00\x00\x00\x00\xce", Some(FrameHead { kind: "heartbeat", ..on(0) })),
            (b"\x01\x00\x07\x00\x00\x00\x04\x00\x09\x00\x09\xce", None),
            (b"\x01\x00\x07\x00\x00\x00\x00", None),
            (b"GET / HTTP/1.1", None),
        ];
        for (frame, expected) in rows {
            assert_eq!(head(frame), expected, "{frame:?}");
        }
        let close_ok = b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x3d\xce";
        assert_eq!(head_0_8(close_ok).map(|head| head.kind), Some("connection.close-ok"));
    }
}
