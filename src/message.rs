//! A message as the router sees it: encoded, with its history. No protocol.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::deaths::Deaths;
use crate::value::Value;

/// Payload fragments smaller than this are copied when they are kept, because each would pin a much larger read buffer.
const KEEP_BY_COPY: usize = 16 * 1024;

/// Maximum size of a buffer that small kept payloads share. One payload pins the whole buffer, so it must not be much larger
/// than the cost that a waiting message is counted with.
const KEEP_TOGETHER: usize = 1024;

/// Copies small payloads into shared buffers, so that they pin no more memory than a few times their size. Uses fewer buffers
/// than [`Message::kept`] for each.
pub(crate) fn keep_together<'a>(messages: impl Iterator<Item = &'a mut Message>) {
    let mut shared = BytesMut::new();
    let mut sharing: Vec<&mut Message> = Vec::new();
    for message in messages {
        let size = message.payload.len();
        match &message.payload {
            Payload::One(bytes) if size <= KEEP_TOGETHER / 2 => {
                if shared.len() + size > KEEP_TOGETHER {
                    share(shared.split().freeze(), &mut sharing);
                }
                shared.extend_from_slice(bytes);
                sharing.push(message);
            }
            _ => message.payload = std::mem::take(&mut message.payload).kept(),
        }
    }
    share(shared.freeze(), &mut sharing);
}

/// Gives each message its part of a buffer.
fn share(mut buffer: Bytes, sharing: &mut Vec<&mut Message>) {
    for message in sharing.drain(..) {
        message.payload = Payload::One(buffer.split_to(message.payload.len()));
    }
}

/// A whole message. Clones share the bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    pub(crate) payload: Payload,
    pub(crate) encoding: Encoding,
    /// The message-format of an AMQP 1.0 transfer, passed on unread.
    pub(crate) format: u32,
    /// The history of earlier deliveries. None on the first.
    pub(crate) history: Option<Box<History>>,
    /// Exchange and routing key that the message was sent with, if they are not in the payload.
    pub(crate) routing: Option<Arc<Routing>>,
}

/// An exchange and a routing key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Routing {
    pub(crate) exchange: Arc<str>,
    pub(crate) key: Arc<str>,
    /// Further routing keys that receivers are not shown (the header BCC).
    pub(crate) hidden: Box<[Arc<str>]>,
}

impl Routing {
    /// The approximate bytes that it takes.
    pub(crate) fn cost(&self) -> usize {
        let hidden = self.hidden.iter().map(|key| size_of::<Arc<str>>() + key.len()).sum::<usize>();
        self.exchange.len() + self.key.len() + hidden
    }
}

/// Reads from a payload what the router may depend on, and writes what it adds. Each protocol engine has one for its own
/// encoding; the router asks only when something depends on the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageCodec {
    /// Finds the subject, which is the routing key of a message that is sent without one.
    pub(crate) subject: fn(&Payload) -> Option<String>,
    /// Returns the application's headers, in order.
    pub(crate) headers: fn(&Payload) -> Vec<(String, Value)>,
    /// Finds the property that tells the message from others.
    pub(crate) identity: fn(&Payload, Identity) -> Option<Value>,
    /// Finds the exchange and the routing key that the payload itself says.
    pub(crate) routing: fn(&Payload) -> Option<Routing>,
    /// Reads what a queue depends on.
    pub(crate) storing: fn(&Payload) -> Storing,
    /// Reads where the message was dead-lettered before.
    pub(crate) deaths: fn(&Payload) -> Deaths,
    /// Writes a dead-lettered message: its deaths, the exchange and routing key that it goes to now, and no expiration.
    pub(crate) dead_lettered: fn(&Payload, &DeadLettered<'_>) -> Payload,
    /// Writes a message with a number that a queue or an exchange adds to it, under this name.
    pub(crate) annotated: fn(&Payload, &'static str, i64) -> Payload,
}

/// A property that may tell a message from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    MessageId,
    CorrelationId,
    /// When it was made.
    Timestamp,
}

impl Identity {
    const ALL: [(Identity, &str); 3] = [
        (Identity::MessageId, "message_id"),
        (Identity::CorrelationId, "correlation_id"),
        (Identity::Timestamp, "timestamp"),
    ];

    /// Returns the property of this name.
    pub(crate) fn named(name: &str) -> Option<Identity> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(property, _)| property)
    }
}

/// The fields of a message that a queue depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Storing {
    /// Milliseconds after which it expires, by its own word.
    pub(crate) ttl: Option<u64>,
    pub(crate) priority: Option<u8>,
    /// Bytes of its body.
    pub(crate) body: u64,
}

/// The changes to a message that is dead-lettered.
#[derive(Debug)]
pub(crate) struct DeadLettered<'a> {
    pub(crate) deaths: &'a Deaths,
    pub(crate) to: &'a Routing,
    /// Whether it keeps its further routing keys (the header CC).
    pub(crate) keeps_copies: bool,
}

/// The encoding of a payload, named after the engine that reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    #[default]
    Amqp10,
    Amqp091,
}

/// The results of earlier deliveries of a message, which the engine merges into the header and annotations of the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// Number of failed deliveries.
    pub(crate) failures: u32,
    /// Number of deliveries from which the message came back, failed or not.
    pub(crate) returns: u32,
    /// Annotations to merge, oldest first, each encoded by the engine of the receiver that gave them.
    pub(crate) annotations: Vec<Bytes>,
}

impl History {
    /// Maximum total bytes of kept annotations, because receivers may add some each time.
    const MAX_ANNOTATIONS: usize = 64 * 1024;

    /// Maximum number of kept sets of annotations.
    const MAX_TIMES: usize = 64;

    /// Adds a delivery from which the message came back: a failure, annotations, both or neither. Removes the oldest annotations beyond the limits.
    pub(crate) fn add(&mut self, failed: bool, annotations: Option<Bytes>) {
        self.failures = self.failures.saturating_add(u32::from(failed));
        self.returns = self.returns.saturating_add(1);
        self.annotations.extend(annotations);
        while self.annotations.len() > Self::MAX_TIMES || self.len() > Self::MAX_ANNOTATIONS {
            self.annotations.remove(0);
        }
    }

    /// Returns the bytes that it takes.
    pub(crate) fn len(&self) -> usize {
        self.annotations.iter().map(Bytes::len).sum()
    }
}

impl Message {
    /// Returns the message with its payload copied if it would pin much more memory than it needs. Call it for a message that
    /// will wait.
    pub(crate) fn kept(mut self) -> Message {
        self.payload = self.payload.kept();
        self
    }

    /// Returns the history, and makes an empty one if there is none.
    pub(crate) fn history_mut(&mut self) -> &mut History {
        self.history.get_or_insert_default()
    }
}

/// A payload in one or more fragments, in order. No larger than one `Bytes`, because it is moved often.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    /// The only fragment, as in most messages.
    One(Bytes),
    Many(Arc<Fragments>),
}

/// See [`Payload`].
#[derive(Debug)]
pub(crate) struct Fragments {
    fragments: Vec<Bytes>,
    len: usize,
}

impl Payload {
    pub(crate) fn len(&self) -> usize {
        match self {
            Payload::One(bytes) => bytes.len(),
            Payload::Many(many) => many.len,
        }
    }

    pub(crate) fn fragment(&self, index: usize) -> Option<&Bytes> {
        match self {
            Payload::One(bytes) => (index == 0).then_some(bytes),
            Payload::Many(many) => many.fragments.get(index),
        }
    }

    pub(crate) fn is_one_fragment(&self) -> bool {
        matches!(self, Payload::One(_))
    }

    /// Returns the payload, copied if it would pin more memory than a few times its size.
    pub(crate) fn kept(self) -> Payload {
        if self.len() >= KEEP_BY_COPY {
            return self;
        }
        Payload::from(Bytes::copy_from_slice(&self.contiguous()))
    }

    /// Returns the first fragment, which in most messages has the sections that routing needs.
    pub(crate) fn head(&self) -> Bytes {
        self.fragment(0).cloned().unwrap_or_default()
    }

    /// Returns all bytes in one piece. Copies if there is more than one fragment.
    pub(crate) fn contiguous(&self) -> Bytes {
        match self {
            Payload::One(bytes) => bytes.clone(),
            Payload::Many(many) => {
                let mut whole = BytesMut::with_capacity(many.len);
                many.fragments.iter().for_each(|fragment| whole.extend_from_slice(fragment));
                whole.freeze()
            }
        }
    }
}

impl Default for Payload {
    fn default() -> Payload {
        Payload::One(Bytes::new())
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Payload {
        Payload::One(bytes)
    }
}

/// Joins a payload from fragments as they arrive. Large fragments are chained, small ones copied, so that a peer that sends one
/// byte a frame costs bytes and not buffers.
#[derive(Debug, Default)]
pub(crate) struct PayloadBuilder {
    done: Vec<Bytes>,
    open: BytesMut,
    len: usize,
}

impl PayloadBuilder {
    const JOIN_BELOW: usize = KEEP_BY_COPY;

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, fragment: Bytes) {
        self.len += fragment.len();
        if fragment.len() < Self::JOIN_BELOW {
            self.open.put_slice(&fragment);
        } else {
            self.close_open();
            self.done.push(fragment);
        }
    }

    fn close_open(&mut self) {
        if !self.open.is_empty() {
            self.done.push(self.open.split().freeze());
        }
    }

    pub(crate) fn finish(mut self) -> Payload {
        self.close_open();
        match <[Bytes; 1]>::try_from(self.done) {
            Ok([one]) => Payload::One(one),
            Err(fragments) if fragments.is_empty() => Payload::default(),
            Err(fragments) => Payload::Many(Arc::new(Fragments { fragments, len: self.len })),
        }
    }
}
