//! The header that a queue adds to a delivery: `x-stream-offset` in a stream, `x-delivery-count` in a quorum queue, which also limits them
//! (`x-delivery-limit`).

use super::{Queue, QueueType};
use crate::event::LinkKey;
use crate::message::{Encoding, Message, MessageCodec};
use crate::router::context::Context;
use crate::router::store::Waiting;

const DELIVERY_COUNT: &str = "x-delivery-count";
const STREAM_OFFSET: &str = "x-stream-offset";

impl Queue {
    /// Returns the message as a consumer is given it. That of a quorum queue says how often it was delivered before, that of a stream where
    /// it stands.
    #[inline]
    pub(super) fn delivered(&self, waiting: &Waiting, codec: fn(Encoding) -> MessageCodec) -> Message {
        match self.settings.queue_type {
            QueueType::Classic => waiting.message.clone(),
            QueueType::Quorum => annotated(waiting, DELIVERY_COUNT, returns(&waiting.message).into(), codec),
            QueueType::Stream => {
                annotated(waiting, STREAM_OFFSET, i64::try_from(waiting.sequence).unwrap_or(i64::MAX), codec)
            }
        }
    }

    /// Whether a message that has come back is not delivered again.
    pub(super) fn is_used_up(&self, waiting: &Waiting) -> bool {
        self.settings.delivery_limit.is_some_and(|limit| u64::from(returns(&waiting.message)) > limit)
    }

    /// Whether a message that a consumer gives back goes behind all others. Messages that are lost with their consumer return to
    /// their places; so do all where a limit ends their returns.
    pub(super) fn returns_to_the_end(&self, consumer: LinkKey, context: &Context<'_>) -> bool {
        self.settings.queue_type == QueueType::Quorum
            && self.settings.delivery_limit.is_none()
            && context.links.find_consumer(consumer).is_some()
    }
}

/// Returns a message with an annotation more.
fn annotated(waiting: &Waiting, name: &'static str, number: i64, codec: fn(Encoding) -> MessageCodec) -> Message {
    let message = waiting.message.clone();
    let payload = (codec(message.encoding).annotated)(&message.payload, name, number);
    Message { payload, ..message }
}

/// Returns the number of times that a message has come back.
fn returns(message: &Message) -> u32 {
    message.history.as_ref().map_or(0, |history| history.returns)
}
