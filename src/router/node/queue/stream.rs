//! Streams (`x-queue-type: stream`): reading does not consume. Each consumer is shown copies from an offset on, as a browser is; a
//! message goes when it is too old (`x-max-age`) or the stream too long (`x-max-length-bytes`).

use std::time::{Duration, Instant};

use super::{Queue, QueueType};
use crate::event::{ConsumerRequest, Fault, LinkKey, Manner, Reason};
use crate::router::consumer_settings::StreamOffset;
use crate::router::exchange::Named;
use crate::router::links::Links;
use crate::router::store::Waiting;

/// The age of messages that never go for their age.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Builds the fault for what a stream does not do.
pub(in crate::router) fn not_supported(what: &str, queue: Named<'_>) -> Fault {
    let text = format!("{what} not supported by stream queues {queue}");
    Fault::new(Reason::NotImplemented, text)
}

impl Queue {
    pub(in crate::router) fn is_stream(&self) -> bool {
        self.settings.queue_type == QueueType::Stream
    }

    /// When a message of the stream goes. It is stored for those that never go too, since it says when they came.
    pub(super) fn end_of_age(&self, now: Instant) -> Option<Instant> {
        now.checked_add(self.settings.max_age.unwrap_or(FOR_EVER))
    }

    fn came_at(&self, waiting: &Waiting) -> Option<Instant> {
        waiting.expires?.checked_sub(self.settings.max_age.unwrap_or(FOR_EVER))
    }

    /// Fails if a consumer asks for what a stream does not do. 0-9-1 has a prefetch, 1.0 has credit.
    pub(in crate::router) fn check_reader(&self, queue: Named<'_>, request: &ConsumerRequest) -> Result<(), Fault> {
        if request.passing {
            return Err(not_supported("basic.get", queue));
        }
        match request.prefetch {
            Some(prefetch) if prefetch.own == 0 => {
                let text = format!("consumer prefetch count is not set for '{queue}'");
                Err(Fault::new(Reason::PreconditionFailed, text))
            }
            Some(_) if request.manner == Manner::Settled => Err(not_supported("automatic acknowledgement", queue)),
            _ => Ok(()),
        }
    }

    /// Where a consumer begins that asks for an offset.
    pub(super) fn place_of(&self, offset: StreamOffset) -> u64 {
        let end = self.store.end();
        match offset {
            StreamOffset::First => 0,
            StreamOffset::Next => end,
            StreamOffset::Last => end.saturating_sub(u64::from(!self.store.is_empty())),
            StreamOffset::At(offset) => offset,
            StreamOffset::Since(time) => {
                self.store.first_that(|waiting| self.came_at(waiting).is_some_and(|came| came >= time)).unwrap_or(end)
            }
        }
    }

    /// Makes readers of consumers that attached before the queue was declared.
    pub(super) fn make_readers(&mut self, links: &mut Links) {
        let consumers: Vec<LinkKey> = std::mem::take(&mut self.consumers);
        self.ready.strike_off(&consumers.iter().copied().collect());
        for key in &consumers {
            if let Some(consumer) = links.at_node_mut(*key) {
                (consumer.browse, consumer.is_ready, consumer.cursor) = (true, false, self.store.end());
            }
        }
        self.browsers.extend(consumers);
    }
}
