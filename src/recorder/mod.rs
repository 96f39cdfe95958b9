//! The record of what happened, as data: the message log (`messages.rs`) and the trace (`trace.rs`), which has a line
//! for each frame and each decision. Both are rings, from which the oldest entry falls out. Knows no protocol, no
//! address and no socket, and decides nothing.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the recorder: what the broker records, and what a test reads |
//! | `messages.rs` | the message log |
//! | `publishes.rs` | the exchange, the routing key and the queues of messages in the log |
//! | `trace.rs` | the ring of frames, decisions and notes |
//! | `entry.rs` | the entries of that ring, and their lines |
//! | `trace_event.rs` | one line of the trace, as text and as JSON |
//! | `records.rs` | decisions of the router as records |
//! | `sink.rs` | writers that get each line of the trace |
//! | `pcap.rs` | the frames of the trace as a capture file |

mod entry;
mod messages;
mod pcap;
mod publishes;
mod records;
mod sink;
mod trace;
mod trace_event;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::event::ConnectionId;
use crate::tap::{FrameReader, Frames};

use messages::Messages;
pub use messages::Stage;
pub(crate) use messages::{LoggedLink, LoggedMessage, LoggedState, Place};
pub(crate) use publishes::LoggedPublish;
use publishes::Publishes;
pub(crate) use sink::Sink;
pub use sink::TraceFormat;
pub(crate) use trace::Start;
use trace::Trace;
pub use trace_event::{TraceEvent, TraceKind};

/// The sizes of the message log and the trace, and the writers that get the trace as well.
#[derive(Clone, Debug)]
pub(crate) struct RecorderConfig {
    /// Messages that the log keeps. Default: 1000. [`RecorderConfig::MESSAGE_BYTES`] bounds their bytes.
    pub(crate) messages: usize,
    /// Lines that the trace keeps. Default: 1000. [`RecorderConfig::TRACE_BYTES`] bounds their bytes.
    pub(crate) events: usize,
    /// Whether frames are kept whole, whatever their size. Otherwise [`RecorderConfig::PAYLOAD_BYTES`] of a payload are.
    pub(crate) whole_frames: bool,
    /// Writers that get each line of the trace.
    pub(crate) sinks: Vec<Sink>,
}

impl RecorderConfig {
    /// Bytes of all messages in the log together: 16 MiB.
    const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

    /// Bytes of all frames in the trace together: 4 MiB.
    const TRACE_BYTES: usize = 4 * 1024 * 1024;

    /// Bytes of the payload of a large frame that the trace keeps: 512.
    const PAYLOAD_BYTES: usize = 512;
}

impl Default for RecorderConfig {
    fn default() -> Self {
        RecorderConfig { messages: 1000, events: 1000, whole_frames: false, sinks: Vec::new() }
    }
}

/// The message log and the trace of one broker.
#[derive(Debug)]
pub(crate) struct Recorder {
    messages: Messages,
    publishes: Publishes,
    /// By virtual host and address: the number of messages that had arrived when a test last took those in the log.
    taken_until: HashMap<Arc<str>, HashMap<Arc<str>, u64>>,
    trace: Trace,
    /// Whether the log or the trace keeps anything; asked for each message.
    is_on: bool,
}

impl Recorder {
    /// Creates a recorder. `salt` tells the connections of brokers apart that write to one capture.
    pub(crate) fn new(config: RecorderConfig, salt: u64, start: Start) -> Recorder {
        let mut recorder = Recorder {
            messages: Messages::new(config.messages, RecorderConfig::MESSAGE_BYTES),
            publishes: Publishes::default(),
            taken_until: HashMap::new(),
            trace: Trace::new(config, salt, start),
            is_on: false,
        };
        recorder.set_now(start.0);
        recorder
    }

    /// Sets the time of the records to come.
    pub(crate) fn set_now(&mut self, now: Instant) {
        self.trace.set_now(now);
        self.is_on = self.messages.is_on() || self.trace.is_on();
    }

    /// Whether the trace wants frames. If not, the event loop does not look for them.
    pub(crate) fn traces(&self) -> bool {
        self.trace.is_on()
    }

    /// Whether the log or the trace keeps anything.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether the message log is kept.
    pub(crate) fn logs_messages(&self) -> bool {
        self.messages.is_on()
    }

    /// Records that a client has connected.
    pub(crate) fn connected(&mut self, id: ConnectionId, peer: &Arc<str>) {
        if self.trace.is_on() {
            self.trace.connected(id, peer);
        }
    }

    /// Records that a client has disconnected.
    pub(crate) fn disconnected(&mut self, id: ConnectionId) {
        if self.trace.is_on() {
            self.trace.disconnected(id);
        }
    }

    /// Takes headers or frames that have come and that the engine has not read. Call [`Recorder::read`] when it has.
    pub(crate) fn received(&mut self, reader: &'static FrameReader, frames: &Frames<'_>) {
        self.trace.received(reader, frames);
    }

    /// Records what the engine has read of the frames that have come. Decisions from here on follow from these.
    pub(crate) fn read(&mut self, id: ConnectionId, bytes: usize) {
        self.trace.read(id, bytes);
    }

    /// Forgets frames that the engine has not read: it stops reading in this turn, and they will be taken again.
    pub(crate) fn forget_unread(&mut self) {
        self.trace.forget_unread();
    }

    /// Records headers or frames that are sent to a client.
    pub(crate) fn sent(&mut self, id: ConnectionId, reader: &'static FrameReader, frames: &Frames<'_>) {
        self.trace.sent(id, reader, frames);
    }

    /// Records a note.
    pub(crate) fn noted(&mut self, id: Option<ConnectionId>, what: &str) {
        if self.trace.is_on() {
            self.trace.noted(id, what);
        }
    }

    /// Flushes all writers.
    pub(crate) fn flush(&mut self) {
        self.trace.flush();
    }

    /// The messages of an address that are in the log, oldest first.
    pub(crate) fn messages(&self, place: Place<'_>) -> Vec<LoggedMessage> {
        self.messages.of(place)
    }

    /// Returns the publishes to an exchange that are in the log, oldest first.
    pub(crate) fn published(&self, exchange: Place<'_>) -> Vec<LoggedPublish> {
        self.publishes.to(exchange, &self.messages)
    }

    /// The number of messages that were ever published to an exchange.
    pub(crate) fn published_count(&self, exchange: Place<'_>) -> u64 {
        self.publishes.count(exchange)
    }

    /// All messages that are in the log, oldest first.
    pub(crate) fn all_messages(&self) -> Vec<LoggedMessage> {
        self.messages.all()
    }

    /// The messages of the log that no receiver got.
    pub(crate) fn dropped_messages(&self) -> Vec<LoggedMessage> {
        self.messages.dropped_ones()
    }

    /// Takes the messages of an address out of the log, oldest first. `arrived` is the number that have arrived for it.
    pub(crate) fn take_messages(&mut self, place: Place<'_>, arrived: u64) -> Vec<LoggedMessage> {
        let taken = self.messages.of(place);
        self.messages.forget(place);
        self.taken_until.entry(place.vhost.into()).or_default().insert(place.address.into(), arrived);
        taken
    }

    /// Counts the messages of an address that have reached a stage, of the `arrived` that have arrived for it and were
    /// not taken. Messages that have fallen out of the log, or were never in it, count as arrived and no more.
    pub(crate) fn come_to(&self, place: Place<'_>, stage: Stage, arrived: u64) -> u64 {
        let (there, reached) = self.messages.count(place, stage);
        let taken = self.taken_until.get(place.vhost).and_then(|taken| taken.get(place.address)).copied().unwrap_or(0);
        match stage {
            Stage::Arrived => reached + arrived.saturating_sub(taken).saturating_sub(there),
            Stage::Delivered | Stage::Settled => reached,
        }
    }

    /// The number of messages that have fallen out of the log.
    pub(crate) fn forgotten(&self) -> u64 {
        self.messages.forgotten()
    }

    /// The trace, oldest first.
    pub(crate) fn trace(&self) -> Vec<TraceEvent> {
        self.trace.events()
    }

    /// The frames of the trace as a capture file.
    pub(crate) fn pcap(&self) -> Vec<u8> {
        self.trace.pcap()
    }
}

/// Cuts a text of a client's to the length of a line.
fn cut(text: &str) -> &str {
    const MAX: usize = 1024;
    let end = (0..=text.len().min(MAX)).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// Cuts a text, and returns the same one if it is short.
fn shown(text: Arc<str>) -> Arc<str> {
    let cut = cut(&text);
    if cut.len() == text.len() { text } else { format!("{cut}…").into() }
}
