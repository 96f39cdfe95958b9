//! The record of what happened, as data: the message log (`messages.rs`) and the trace, which has line by line what was on the
//! wire and what was decided (`trace.rs`). Both are rings: the oldest entry goes when they are full. Knows no protocol, no
//! address and no socket, and decides nothing.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | what the broker tells, and what a test asks |
//! | `messages.rs` | the log of messages: each with its bytes and what became of it |
//! | `trace.rs` | the ring of frames, decisions and notes |
//! | `entry.rs` | what is in that ring, and how it is taken apart into lines |
//! | `trace_event.rs` | one line of the trace, as text and as JSON |
//! | `sink.rs` | writers that get each line of the trace at once |
//! | `pcap.rs` | frames as a capture file |

mod entry;
mod messages;
mod pcap;
mod records;
mod sink;
mod trace;
mod trace_event;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::event::{ConnectionId, Outcome};
use crate::message::Message;
use crate::tap::{Frame, FrameReader};

use entry::Decision;
use messages::Messages;
pub use messages::Stage;
pub(crate) use messages::{LoggedLink, LoggedMessage, LoggedState};
pub(crate) use sink::Sink;
pub use sink::TraceFormat;
pub(crate) use trace::Start;
use trace::Trace;
pub use trace_event::{TraceEvent, TraceKind};

/// How much is kept, and where the trace goes besides.
#[derive(Clone, Debug)]
pub(crate) struct RecorderConfig {
    /// Messages: 1000. With [`RecorderConfig::MESSAGE_BYTES`] that is bounded whatever their size.
    pub(crate) messages: usize,
    /// Lines of the trace: 1000, and likewise.
    pub(crate) events: usize,
    /// Whether frames are kept whole, whatever their size. Otherwise [`RecorderConfig::PAYLOAD_BYTES`] of a payload are.
    pub(crate) whole_frames: bool,
    /// Where the trace goes besides.
    pub(crate) sinks: Vec<Sink>,
}

impl RecorderConfig {
    /// Bytes that all messages in the log have together: 16 MiB.
    const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

    /// Bytes that all frames in the trace have together: 4 MiB.
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
    /// How many messages had arrived for an address when a test took them out of the log last.
    taken_until: HashMap<Arc<str>, u64>,
    trace: Trace,
    /// Somebody wants to know: asked for each message.
    is_on: bool,
}

impl Recorder {
    /// `salt` should differ between brokers: several may write to one place.
    pub(crate) fn new(config: RecorderConfig, salt: u64, start: Start) -> Recorder {
        let mut recorder = Recorder {
            messages: Messages::new(config.messages, RecorderConfig::MESSAGE_BYTES),
            taken_until: HashMap::new(),
            trace: Trace::new(config, salt, start),
            is_on: false,
        };
        recorder.set_now(start.0);
        recorder
    }

    /// The time of what is told next.
    pub(crate) fn set_now(&mut self, now: Instant) {
        self.trace.set_now(now);
        self.is_on = self.messages.is_on() || self.trace.is_on();
    }

    /// Whether frames are wanted. When not, there is no need to look for them.
    pub(crate) fn traces(&self) -> bool {
        self.trace.is_on()
    }

    /// Whether anything is kept of messages or of what is decided about them.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether the message log is kept.
    pub(crate) fn logs_messages(&self) -> bool {
        self.messages.is_on()
    }

    /// A message arrived. They are numbered in a row.
    fn arrived(&mut self, number: u64, from: Option<LoggedLink>, address: Arc<str>, settled: bool, message: Message) {
        self.messages.add(number, from, address, settled, message);
    }

    /// It waits at an address.
    fn waits(&mut self, number: u64, address: Arc<str>) {
        self.messages.waits(number);
        if self.trace.is_on() {
            self.trace.decided(Decision::Waits { number, address: shown(address) });
        }
    }

    /// It goes out to a consumer.
    fn forwarded(&mut self, number: u64, to: LoggedLink, address: Arc<str>) {
        if !self.trace.is_on() {
            return self.messages.forwarded(number, to);
        }
        if self.messages.is_on() {
            self.messages.forwarded(number, to.clone());
        }
        self.trace.decided(Decision::Forwarded { number, to, address: shown(address) });
    }

    /// Nobody gets it.
    fn dropped(&mut self, number: u64, address: &str, why: Arc<str>) {
        let why = shown(why);
        self.messages.dropped(number, &why);
        if self.trace.is_on() {
            self.trace.decided(Decision::Dropped { number, address: cut(address).into(), why });
        }
    }

    /// A copy of it that waited for one consumer is lost. If nobody has it then, it is dropped.
    fn lost(&mut self, number: u64, address: &str, why: &str) {
        if self.messages.lost(number) {
            self.dropped(number, address, why.into());
        }
    }

    /// A hook decided what becomes of it.
    fn ruled(&mut self, number: u64, address: &str, what: &'static str) {
        self.messages.ruled(number);
        if self.trace.is_on() {
            self.trace.decided(Decision::Ruled { number, address: cut(address).into(), what });
        }
    }

    /// Its sender was given an outcome.
    fn told(&mut self, number: u64, outcome: Outcome) {
        self.messages.told(number, outcome);
    }

    /// A consumer gave an outcome.
    fn answered(&mut self, number: u64, by: &LoggedLink, outcome: Outcome) {
        self.messages.answered(number, by, outcome);
    }

    /// A peer came.
    pub(crate) fn connected(&mut self, id: ConnectionId, peer: &Arc<str>) {
        if self.trace.is_on() {
            self.trace.connected(id, peer);
        }
    }

    /// It went.
    pub(crate) fn disconnected(&mut self, id: ConnectionId) {
        if self.trace.is_on() {
            self.trace.disconnected(id);
        }
    }

    /// A header or a frame has come that the engine has not read yet. When it has, [`Recorder::read`] has to be told.
    pub(crate) fn received(&mut self, reader: &'static FrameReader, frame: &Frame<'_>) {
        self.trace.received(reader, frame);
    }

    /// An engine has read so many bytes of what has come: what is decided from here on is about these.
    pub(crate) fn read(&mut self, id: ConnectionId, bytes: usize) {
        self.trace.read(id, bytes);
    }

    /// An engine does not go on reading now: what it has not read will be told again.
    pub(crate) fn forget_unread(&mut self) {
        self.trace.forget_unread();
    }

    /// A header or a frame goes to a peer.
    pub(crate) fn sent(&mut self, id: ConnectionId, reader: &'static FrameReader, frame: &Frame<'_>) {
        self.trace.sent(id, reader, frame);
    }

    /// Something else that a reader should know of.
    pub(crate) fn noted(&mut self, id: Option<ConnectionId>, what: &str) {
        if self.trace.is_on() {
            self.trace.noted(id, what);
        }
    }

    /// What has been written to files is there when this returns.
    pub(crate) fn flush(&mut self) {
        self.trace.flush();
    }

    /// The messages of an address that are in the log, oldest first.
    pub(crate) fn messages(&self, address: &str) -> Vec<LoggedMessage> {
        self.messages.of(address)
    }

    /// All messages that are in the log, oldest first.
    pub(crate) fn all_messages(&self) -> Vec<LoggedMessage> {
        self.messages.all()
    }

    /// Messages of the log that nobody was there for.
    pub(crate) fn dropped_messages(&self) -> Vec<LoggedMessage> {
        self.messages.dropped_ones()
    }

    /// Takes the messages of an address out of the log, oldest first. `arrived` have arrived for it until now.
    pub(crate) fn take_messages(&mut self, address: &str, arrived: u64) -> Vec<LoggedMessage> {
        let taken = self.messages.of(address);
        self.messages.forget(address);
        self.taken_until.insert(address.into(), arrived);
        taken
    }

    /// How many messages of an address have come so far, of the `arrived` that have arrived for it and were not taken. Those that
    /// are in the log no longer, or never were, have arrived and are not known to have come farther.
    pub(crate) fn come_to(&self, address: &str, stage: Stage, arrived: u64) -> u64 {
        let (there, reached) = self.messages.count(address, stage);
        let taken = self.taken_until.get(address).copied().unwrap_or(0);
        match stage {
            Stage::Arrived => reached + arrived.saturating_sub(taken).saturating_sub(there),
            Stage::Delivered | Stage::Settled => reached,
        }
    }

    /// Messages that the log had no room for any more.
    pub(crate) fn forgotten(&self) -> u64 {
        self.messages.forgotten()
    }

    /// The trace, oldest first.
    pub(crate) fn trace(&self) -> Vec<TraceEvent> {
        self.trace.events()
    }

    /// The frames in it as a capture file.
    pub(crate) fn pcap(&self) -> Vec<u8> {
        self.trace.pcap()
    }
}

/// The beginning of a text that a peer made as long as it liked: a line has to end.
fn cut(text: &str) -> &str {
    const MAX: usize = 1024;
    let end = (0..=text.len().min(MAX)).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// Likewise, the same one if it is short.
fn shown(text: Arc<str>) -> Arc<str> {
    let cut = cut(&text);
    if cut.len() == text.len() { text } else { format!("{cut}…").into() }
}
