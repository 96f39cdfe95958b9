//! A message as the router sees it: bytes that pass through, and what befell them on the way. No protocol.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::value::Value;

/// A fragment below this is copied when it has to be kept: it would pin a read buffer many times its size.
const KEEP_BY_COPY: usize = 16 * 1024;

/// Small payloads that have to be kept share a buffer up to this size. One that is still there keeps the whole buffer, so it
/// must not be much larger than what a waiting message is counted as.
const KEEP_TOGETHER: usize = 1024;

/// Has small messages hold no more memory than a few times what they need, as [`Message::kept`] does, with fewer buffers.
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

/// A whole message. Cloning shares the bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    pub(crate) payload: Payload,
    pub(crate) encoding: Encoding,
    /// AMQP 1.0's message-format, passed on.
    pub(crate) format: u32,
    /// What earlier deliveries of it left behind. None on the first.
    pub(crate) history: Option<Box<History>>,
    /// The exchange that it came by, where the payload does not say so.
    pub(crate) routing: Option<Arc<Routing>>,
}

/// An exchange, and the routing key that a message had there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Routing {
    pub(crate) exchange: Arc<str>,
    pub(crate) key: Arc<str>,
}

/// Reads from a payload what routing may depend on, when it does. Each protocol engine has one for its own encoding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadReader {
    /// Finds the subject, which is the routing key of a message that is sent without one.
    pub(crate) subject: fn(&Payload) -> Option<String>,
    /// Reads the application's own headers, in their order.
    pub(crate) headers: fn(&Payload) -> Vec<(String, Value)>,
}

/// What kind of engine a payload came from: only one of the same kind can read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    #[default]
    Amqp10,
    Amqp091,
}

/// What earlier deliveries of a message left behind; the engine that sends it again shows it in the message's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// Deliveries that failed.
    pub(crate) failures: u32,
    /// Annotations to merge in, oldest first, each encoded by the engine of the receiver that gave them.
    pub(crate) annotations: Vec<Bytes>,
}

impl History {
    /// Annotations that are kept at most, in bytes: what a receiver adds each time it gives a message back is not endless.
    const MAX_ANNOTATIONS: usize = 64 * 1024;

    /// Likewise, in number of times.
    const MAX_TIMES: usize = 64;

    /// Adds a failure, annotations, or both. The oldest annotations go when there are too many.
    pub(crate) fn add(&mut self, failed: bool, annotations: Option<Bytes>) {
        self.failures = self.failures.saturating_add(u32::from(failed));
        self.annotations.extend(annotations);
        while self.annotations.len() > Self::MAX_TIMES || self.len() > Self::MAX_ANNOTATIONS {
            self.annotations.remove(0);
        }
    }

    /// Bytes that it takes.
    pub(crate) fn len(&self) -> usize {
        self.annotations.iter().map(Bytes::len).sum()
    }
}

impl Message {
    /// The message, holding no more memory than it needs: for one that will wait.
    pub(crate) fn kept(mut self) -> Message {
        self.payload = self.payload.kept();
        self
    }

    /// Its history, to add to.
    pub(crate) fn history_mut(&mut self) -> &mut History {
        self.history.get_or_insert_default()
    }
}

/// Bytes in one or more fragments, in order. No larger than one `Bytes`: it is moved often.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    /// All of nearly every message.
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

    /// The same bytes, pinning no more memory than a few times their size.
    pub(crate) fn kept(self) -> Payload {
        if self.len() >= KEEP_BY_COPY {
            return self;
        }
        Payload::from(Bytes::copy_from_slice(&self.contiguous()))
    }

    /// The first fragment: it has the sections that routing needs of nearly all messages.
    pub(crate) fn head(&self) -> Bytes {
        self.fragment(0).cloned().unwrap_or_default()
    }

    /// All bytes in one piece; copies only if there is more than one fragment.
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

/// Puts together a payload whose fragments arrive one by one. Large ones are kept as they are, small ones joined, so that a
/// peer which sends a byte a frame costs bytes and not buffers.
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
