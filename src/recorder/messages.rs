//! The message log: the last messages that arrived, each with its bytes, which are not decoded here, and with what has
//! been done with it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::event::{ConnectionId, NamedLink, Outcome};
use crate::live::live;
use crate::message::{Encoding, Message, Payload};

/// The size from which a payload is kept in its buffer. A smaller one is copied, so that it does not hold on to a large
/// buffer.
const COPY_BELOW: usize = 4 * 1024;

/// The number of receivers that are kept of one message, which can be returned and delivered without end.
const MAX_RECEIPTS: usize = 1000;

/// A link, by its connection and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoggedLink {
    pub(crate) connection: ConnectionId,
    /// The name of the link.
    pub(crate) link: Arc<str>,
}

impl From<NamedLink> for LoggedLink {
    fn from(NamedLink { link, name }: NamedLink) -> LoggedLink {
        LoggedLink { connection: ConnectionId::of(link.connection), link: name }
    }
}

impl fmt::Display for LoggedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", self.link, self.connection)
    }
}

/// The state of a message in the log.
#[derive(Clone, Debug, Default)]
pub(crate) enum LoggedState {
    #[default]
    Undecided,
    Waiting,
    Forwarded,
    /// No receiver got the message, for this reason.
    Dropped(Arc<str>),
    /// A hook decided the outcome that the sender gets.
    Ruled,
}

/// A stage on the way of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The message has arrived and was not dropped: it is stored, was delivered, is held by a hook or was decided by
    /// one.
    Arrived,
    /// The message was delivered to a receiver.
    Delivered,
    /// Each receiver that got the message has settled it, with any outcome, and it waits for no other. A queue may have
    /// it again, if it was released. A delivery that is sent settled is never answered, and never gets to this stage:
    /// wait for [`Stage::Delivered`].
    Settled,
}

/// A message of the log as it is handed out, its bytes not decoded.
#[derive(Clone, Debug)]
pub(crate) struct LoggedMessage {
    pub(crate) number: u64,
    /// The sender. None if the test put the message in.
    pub(crate) from: Option<LoggedLink>,
    pub(crate) address: Arc<str>,
    pub(crate) settled: bool,
    pub(crate) encoding: Encoding,
    pub(crate) payload: Bytes,
    pub(crate) state: LoggedState,
    /// The outcome that the sender was sent.
    pub(crate) outcome: Option<Outcome>,
    /// The receiver of each delivery, and its outcome.
    pub(crate) receivers: Vec<(LoggedLink, Option<Outcome>)>,
}

impl LoggedMessage {
    /// Describes a message that is not in the log yet.
    pub(crate) fn preview(
        number: u64,
        from: Option<LoggedLink>,
        address: &str,
        settled: bool,
        message: &Message,
    ) -> LoggedMessage {
        LoggedMessage {
            number,
            from,
            address: address.into(),
            settled,
            encoding: message.encoding,
            payload: message.payload.contiguous(),
            state: LoggedState::Undecided,
            outcome: None,
            receivers: Vec::new(),
        }
    }
}

/// A message in the log. Its buffers are reused when it falls out.
#[derive(Debug, Default)]
struct Entry {
    taken: bool,
    /// Whether the message was ever stored, delivered or decided.
    kept: bool,
    from: Option<LoggedLink>,
    /// The address; None before the first use of the entry.
    address: Option<Arc<str>>,
    settled: bool,
    encoding: Encoding,
    /// The payload, if it is small; a large one is in `large`.
    small: Vec<u8>,
    large: Option<Payload>,
    state: LoggedState,
    /// The number of copies that wait.
    waiting: usize,
    outcome: Option<Outcome>,
    receivers: Vec<(LoggedLink, Option<Outcome>)>,
}

impl Entry {
    fn is_at(&self, address: &str) -> bool {
        self.address.as_deref() == Some(address)
    }

    fn len(&self) -> usize {
        self.small.len() + self.large.as_ref().map_or(0, Payload::len)
    }
}

/// The ring of messages: the oldest falls out when it is full.
#[derive(Debug)]
pub(super) struct Messages {
    limit: usize,
    max_bytes: usize,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The number of the first entry.
    first: u64,
    forgotten: u64,
}

impl Messages {
    pub(super) fn new(limit: usize, max_bytes: usize) -> Messages {
        Messages { limit, max_bytes, entries: VecDeque::new(), bytes: 0, first: 1, forgotten: 0 }
    }

    pub(super) fn is_on(&self) -> bool {
        self.limit > 0
    }

    pub(super) fn add(
        &mut self,
        number: u64,
        from: Option<LoggedLink>,
        address: Arc<str>,
        settled: bool,
        message: Message,
    ) {
        if !self.is_on() {
            return;
        }
        let (size, encoding) = (message.payload.len(), message.encoding);
        while !self.entries.is_empty() && self.bytes + size > self.max_bytes {
            self.forget_first();
            self.entries.pop_front();
        }
        // The newest message takes the buffers of the oldest.
        if self.entries.len() >= self.limit {
            self.forget_first();
            self.entries.rotate_left(1);
        } else {
            self.entries.push_back(Entry::default());
        }
        debug_assert_eq!(number, self.first + self.entries.len() as u64 - 1, "messages are numbered in a row");
        self.bytes += size;
        let Some(entry) = live(self.entries.back_mut(), "the newest message of the log") else { return };
        entry.small.clear();
        entry.receivers.clear();
        entry.large = None;
        match message.payload {
            Payload::One(bytes) if size < COPY_BELOW => entry.small.extend_from_slice(&bytes),
            payload if size < COPY_BELOW => entry.large = Some(payload.kept()),
            payload => entry.large = Some(payload),
        }
        (entry.taken, entry.kept) = (false, false);
        entry.from = from;
        entry.address = Some(address);
        entry.settled = settled;
        entry.encoding = encoding;
        entry.state = LoggedState::Undecided;
        entry.waiting = 0;
        entry.outcome = None;
    }

    /// Counts the first entry as out of the log. The caller removes or reuses it.
    fn forget_first(&mut self) {
        if let Some(first) = live(self.entries.front(), "the oldest message of the log") {
            self.first += 1;
            self.bytes -= first.len();
            self.forgotten += u64::from(!first.taken);
        }
    }

    /// The entry of a message. None if it has fallen out of the log.
    fn find(&mut self, number: u64) -> Option<&mut Entry> {
        let index = number.checked_sub(self.first)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    pub(super) fn waits(&mut self, number: u64) {
        if let Some(entry) = self.find(number) {
            entry.kept = true;
            entry.waiting += 1;
            if matches!(entry.state, LoggedState::Undecided) {
                entry.state = LoggedState::Waiting;
            }
        }
    }

    /// Notes that a copy for one receiver is lost. True if no receiver has the message and no other copy waits.
    pub(super) fn lost(&mut self, number: u64) -> bool {
        let Some(entry) = self.find(number) else { return false };
        entry.waiting = entry.waiting.saturating_sub(1);
        entry.waiting == 0 && matches!(entry.state, LoggedState::Waiting)
    }

    pub(super) fn forwarded(&mut self, number: u64, to: LoggedLink) {
        if let Some(entry) = self.find(number) {
            entry.kept = true;
            entry.state = LoggedState::Forwarded;
            entry.waiting = entry.waiting.saturating_sub(1);
            if entry.receivers.len() < MAX_RECEIPTS {
                entry.receivers.push((to, None));
            }
        }
    }

    pub(super) fn dropped(&mut self, number: u64, why: &Arc<str>) {
        if let Some(entry) = self.find(number) {
            entry.state = LoggedState::Dropped(why.clone());
        }
    }

    pub(super) fn ruled(&mut self, number: u64) {
        if let Some(entry) = self.find(number) {
            entry.kept = true;
            entry.state = LoggedState::Ruled;
        }
    }

    pub(super) fn told(&mut self, number: u64, outcome: Outcome) {
        if let Some(entry) = self.find(number) {
            entry.outcome = Some(outcome);
        }
    }

    pub(super) fn answered(&mut self, number: u64, by: &LoggedLink, outcome: Outcome) {
        let Some(entry) = self.find(number) else { return };
        let is_its = |(to, answer): &&mut (LoggedLink, Option<Outcome>)| answer.is_none() && to == by;
        // The last delivery: an earlier one may have gone to another link of this name. None beyond MAX_RECEIPTS.
        if let Some((_, answer)) = entry.receivers.iter_mut().rfind(is_its) {
            *answer = Some(outcome);
        }
    }

    /// The messages that were not taken and that `wanted` accepts, oldest first.
    fn records(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<LoggedMessage> {
        let numbered = self.entries.iter().zip(self.first..);
        let wanted = numbered.filter(|(entry, _)| !entry.taken && wanted(entry));
        wanted.map(|(entry, number)| entry.record(number)).collect()
    }

    pub(super) fn of(&self, address: &str) -> Vec<LoggedMessage> {
        self.records(|entry| entry.is_at(address))
    }

    pub(super) fn all(&self) -> Vec<LoggedMessage> {
        self.records(|_| true)
    }

    /// The messages that no receiver got.
    pub(super) fn dropped_ones(&self) -> Vec<LoggedMessage> {
        self.records(Entry::is_dropped)
    }

    /// The number of messages of an address in the log, and how many of them have reached a stage.
    pub(super) fn count(&self, address: &str, stage: Stage) -> (u64, u64) {
        let there = self.entries.iter().filter(|entry| !entry.taken && entry.is_at(address));
        there.fold((0, 0), |(all, reached), entry| (all + 1, reached + u64::from(entry.has_reached(stage))))
    }

    pub(super) fn forget(&mut self, address: &str) {
        for entry in self.entries.iter_mut().filter(|entry| entry.is_at(address)) {
            entry.taken = true;
        }
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl Entry {
    fn is_dropped(&self) -> bool {
        !self.kept && matches!(self.state, LoggedState::Dropped(_))
    }

    fn has_reached(&self, stage: Stage) -> bool {
        let is_answered = |(_, answer): &(LoggedLink, Option<Outcome>)| answer.is_some();
        match stage {
            Stage::Arrived => !self.is_dropped(),
            Stage::Delivered => !self.receivers.is_empty(),
            Stage::Settled => self.waiting == 0 && !self.receivers.is_empty() && self.receivers.iter().all(is_answered),
        }
    }

    fn record(&self, number: u64) -> LoggedMessage {
        let payload = match &self.large {
            Some(payload) => payload.contiguous(),
            None => Bytes::copy_from_slice(&self.small),
        };
        LoggedMessage {
            number,
            from: self.from.clone(),
            address: self.address.clone().unwrap_or_else(|| "".into()),
            settled: self.settled,
            encoding: self.encoding,
            payload,
            state: self.state.clone(),
            outcome: self.outcome.clone(),
            receivers: self.receivers.clone(),
        }
    }
}
