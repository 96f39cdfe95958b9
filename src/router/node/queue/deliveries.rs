//! Deliveries of a message from a quorum queue: counted, said to consumers (`x-delivery-count`), and limited (`x-delivery-limit`).

use super::{Queue, QueueType};
use crate::event::LinkKey;
use crate::message::Message;
use crate::router::context::Context;
use crate::router::store::Waiting;

const DELIVERY_COUNT: &str = "x-delivery-count";

impl Queue {
    /// The message as a consumer is given it. That of a quorum queue says how often it was delivered before.
    pub(super) fn delivered(&self, waiting: &Waiting, context: &Context<'_>) -> Message {
        let message = waiting.message.clone();
        match self.settings.queue_type {
            QueueType::Classic => message,
            QueueType::Quorum => {
                let annotate = (context.codec)(message.encoding).annotated;
                let payload = annotate(&message.payload, DELIVERY_COUNT, returns(&message).into());
                Message { payload, ..message }
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

/// How often a message has come back.
fn returns(message: &Message) -> u32 {
    message.history.as_ref().map_or(0, |history| history.returns)
}
