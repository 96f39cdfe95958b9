//! The message log: the last messages that arrived, each with its bytes, which are not decoded here, and with what has
//! been done with it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::event::{ArrivedRun, ConnectionId, DEFAULT_VHOST, NamedLink, Numbers, Outcome, Payloads};
use crate::live::live;
use crate::message::{Encoding, Message, Payload};

/// The number of receivers that are kept of one message, which can be returned and delivered without end.
const MAX_RECEIPTS: usize = 1000;

/// The number of buffers of removed runs that are kept, and the largest of them in bytes.
const SPARES: usize = 16;
const MAX_SPARE: usize = 32 * 1024;

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

/// An address in a virtual host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place<'a> {
    pub(crate) vhost: &'a str,
    pub(crate) address: &'a str,
}

/// Whether a virtual host, None for the default one, has this name.
pub(super) fn is_in(vhost: &Option<Arc<str>>, name: &str) -> bool {
    vhost.as_deref().unwrap_or(DEFAULT_VHOST) == name
}

/// A message of the log as it is handed out, its bytes not decoded.
#[derive(Clone, Debug)]
pub(crate) struct LoggedMessage {
    pub(crate) number: u64,
    /// The sender. None if the test put the message in.
    pub(crate) from: Option<LoggedLink>,
    /// The virtual host. None: the default one.
    pub(crate) vhost: Option<Arc<str>>,
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
        vhost: Option<Arc<str>>,
        address: &str,
        settled: bool,
        message: &Message,
    ) -> LoggedMessage {
        LoggedMessage {
            number,
            from,
            vhost,
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

/// The state of a message in the log.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// Whether the message was ever stored, delivered or decided.
    kept: bool,
    state: LoggedState,
    /// The number of copies that wait.
    waiting: usize,
    outcome: Option<Outcome>,
    receivers: Vec<(LoggedLink, Option<Outcome>)>,
}

impl Progress {
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
}

/// The payloads of a run's messages, as [`Payloads`] has those of several runs.
#[derive(Debug, Default)]
struct KeptPayloads {
    sizes: Vec<usize>,
    small: Vec<u8>,
    /// The large payloads of the messages that are still in the log.
    large: VecDeque<Payload>,
}

/// Messages that arrived one after another from one sender for one address.
#[derive(Debug)]
struct LoggedRun {
    arrived: ArrivedRun,
    /// Whether the test took the messages out of the log.
    taken: bool,
    kept: KeptPayloads,
    /// The number of messages at the start that have fallen out of the log.
    gone: usize,
    /// The state of all messages, while it is the same.
    common: Progress,
    /// The state of each message; empty while it is the same.
    each: Vec<Progress>,
}

impl LoggedRun {
    /// Returns the number of the first message that is in the log.
    fn first(&self) -> u64 {
        self.arrived.messages.first + self.gone as u64
    }

    fn end(&self) -> u64 {
        self.arrived.messages.end()
    }

    /// Returns how many messages of the run are in the log.
    fn len(&self) -> usize {
        self.arrived.messages.count - self.gone
    }

    fn is_at(&self, place: Place<'_>) -> bool {
        !self.taken && *self.arrived.address == *place.address && is_in(&self.arrived.vhost, place.vhost)
    }

    /// Returns the state of the message at an index of the run.
    fn progress(&self, index: usize) -> &Progress {
        self.each.get(index).unwrap_or(&self.common)
    }

    /// Changes the state of those messages of the run that are among `messages` and still in the log.
    fn change(&mut self, messages: Numbers, change: &mut impl FnMut(&mut Progress)) {
        let (from, to) = (messages.first.max(self.first()), messages.end().min(self.end()));
        if self.each.is_empty() {
            if (from, to) == (self.first(), self.end()) {
                return change(&mut self.common);
            }
            self.each = vec![self.common.clone(); self.arrived.messages.count];
        }
        let skipped = usize::try_from(from - self.arrived.messages.first).unwrap_or(usize::MAX);
        let count = usize::try_from(to.saturating_sub(from)).unwrap_or_default();
        self.each.iter_mut().skip(skipped).take(count).for_each(change);
    }

    /// Removes the first `count` messages from the log. Returns the bytes of their payloads.
    fn forget(&mut self, count: usize) -> usize {
        let sizes = live(self.kept.sizes.get(self.gone..self.gone + count), "the oldest messages of the log");
        let sizes = sizes.unwrap_or_default();
        if !self.kept.large.is_empty() {
            let large = sizes.iter().filter(|size| **size >= Payloads::COPY_BELOW).count();
            self.kept.large.drain(..large.min(self.kept.large.len()));
        }
        self.gone += count;
        sizes.iter().sum()
    }

    /// Calls `see` with the index and the payload of each message that is in the log.
    fn each_payload(&self, mut see: impl FnMut(usize, &dyn Fn() -> Bytes)) {
        let KeptPayloads { sizes, small, large } = &self.kept;
        let (mut end, mut large) = (0, large.iter());
        for (index, size) in sizes.iter().enumerate() {
            let is_small = *size < Payloads::COPY_BELOW;
            end += if is_small { *size } else { 0 };
            if index < self.gone {
                continue;
            }
            let payload = if is_small { None } else { large.next() };
            see(index, &|| match payload {
                Some(payload) => payload.contiguous(),
                None => Bytes::copy_from_slice(small.get(end - size..end).unwrap_or_default()),
            });
        }
    }

    fn record(&self, index: usize, payload: Bytes) -> LoggedMessage {
        let LoggedRun { arrived: ArrivedRun { messages, from, vhost, address, settled, encoding }, .. } = self;
        let progress = self.progress(index);
        LoggedMessage {
            number: messages.first + index as u64,
            from: from.clone().map(LoggedLink::from),
            vhost: vhost.clone(),
            address: address.clone(),
            settled: *settled,
            encoding: *encoding,
            payload,
            state: progress.state.clone(),
            outcome: progress.outcome.clone(),
            receivers: progress.receivers.clone(),
        }
    }
}

/// The ring of messages, in runs: the oldest message falls out when it is full, so that the first run may be there in part.
#[derive(Debug)]
pub(super) struct Messages {
    limit: usize,
    max_bytes: usize,
    runs: VecDeque<LoggedRun>,
    /// The number of messages in all runs.
    len: usize,
    /// The bytes of all payloads.
    bytes: usize,
    forgotten: u64,
    /// Empty buffers of removed runs, for new runs.
    spare: Vec<KeptPayloads>,
}

impl Messages {
    pub(super) fn new(limit: usize, max_bytes: usize) -> Messages {
        Messages { limit, max_bytes, runs: VecDeque::new(), len: 0, bytes: 0, forgotten: 0, spare: Vec::new() }
    }

    pub(super) fn is_on(&self) -> bool {
        self.limit > 0
    }

    /// Adds runs of messages, whose payloads are in `payloads`. Empties both lists.
    pub(super) fn add(&mut self, arrived: &mut Vec<ArrivedRun>, payloads: &mut Payloads) {
        let (mut sizes, mut small, mut large) = (&payloads.sizes[..], &payloads.small[..], payloads.large.drain(..));
        for arrived in arrived.drain(..) {
            let mut kept = self.spare.pop().unwrap_or_default();
            let count = arrived.messages.count;
            let own = live(sizes.split_off(..count), "the sizes of messages that arrived").unwrap_or_default();
            kept.sizes.extend_from_slice(own);
            let count_large = match large.len() {
                0 => 0,
                _ => kept.sizes.iter().filter(|size| **size >= Payloads::COPY_BELOW).count(),
            };
            kept.large.extend(large.by_ref().take(count_large));
            let bytes = kept.sizes.iter().sum::<usize>();
            let large_bytes = kept.large.iter().map(Payload::len).sum::<usize>();
            let own =
                live(small.split_off(..bytes - large_bytes), "the bytes of messages that arrived").unwrap_or_default();
            kept.small.extend_from_slice(own);
            self.len += count;
            self.bytes += bytes;
            let is_next = |last: &LoggedRun| last.end() == arrived.messages.first;
            debug_assert!(self.runs.back().is_none_or(is_next), "messages are numbered in a row");
            self.runs.push_back(LoggedRun {
                arrived,
                taken: false,
                kept,
                gone: 0,
                common: Progress::default(),
                each: Vec::new(),
            });
            self.shrink();
        }
        drop(large);
        payloads.clear();
    }

    /// Removes the oldest messages that there is no room for.
    fn shrink(&mut self) {
        while self.len > self.limit || (self.bytes > self.max_bytes && self.len > 1) {
            let Some(first) = live(self.runs.front_mut(), "the oldest run of the log") else { return };
            // Messages that have to go for their bytes go one at a time.
            let count = self.len.saturating_sub(self.limit).clamp(1, first.len());
            self.bytes -= first.forget(count);
            self.len -= count;
            self.forgotten += if first.taken { 0 } else { count as u64 };
            if first.len() == 0
                && let Some(LoggedRun { mut kept, .. }) = self.runs.pop_front()
                && self.spare.len() < SPARES
                && kept.small.capacity() <= MAX_SPARE
            {
                kept.sizes.clear();
                kept.small.clear();
                self.spare.push(kept);
            }
        }
    }

    /// Changes the state of these messages, as far as they are in the log.
    fn change(&mut self, messages: Numbers, mut change: impl FnMut(&mut Progress)) {
        let start = self.runs.partition_point(|run| run.end() <= messages.first);
        for run in self.runs.range_mut(start..).take_while(|run| run.first() < messages.end()) {
            run.change(messages, &mut change);
        }
    }

    pub(super) fn waits(&mut self, messages: Numbers) {
        self.change(messages, |progress| {
            progress.kept = true;
            progress.waiting += 1;
            if matches!(progress.state, LoggedState::Undecided) {
                progress.state = LoggedState::Waiting;
            }
        });
    }

    /// Notes that a copy for one receiver is lost. True if no receiver has the message and no other copy waits.
    pub(super) fn lost(&mut self, messages: Numbers) -> bool {
        let mut is_dropped = false;
        self.change(messages, |progress| {
            progress.waiting = progress.waiting.saturating_sub(1);
            is_dropped = progress.waiting == 0 && matches!(progress.state, LoggedState::Waiting);
        });
        is_dropped
    }

    pub(super) fn forwarded(&mut self, messages: Numbers, to: &LoggedLink) {
        self.change(messages, |progress| {
            progress.kept = true;
            progress.state = LoggedState::Forwarded;
            progress.waiting = progress.waiting.saturating_sub(1);
            if progress.receivers.len() < MAX_RECEIPTS {
                progress.receivers.push((to.clone(), None));
            }
        });
    }

    pub(super) fn dropped(&mut self, messages: Numbers, why: &Arc<str>) {
        self.change(messages, |progress| progress.state = LoggedState::Dropped(why.clone()));
    }

    pub(super) fn ruled(&mut self, messages: Numbers) {
        self.change(messages, |progress| {
            progress.kept = true;
            progress.state = LoggedState::Ruled;
        });
    }

    pub(super) fn told(&mut self, messages: Numbers, outcome: &Outcome) {
        self.change(messages, |progress| progress.outcome = Some(outcome.clone()));
    }

    pub(super) fn answered(&mut self, messages: Numbers, by: &LoggedLink, outcome: &Outcome) {
        let is_its = |(to, answer): &&mut (LoggedLink, Option<Outcome>)| answer.is_none() && to == by;
        self.change(messages, |progress| {
            // The last delivery: an earlier one may have gone to another link of this name. None beyond MAX_RECEIPTS.
            if let Some((_, answer)) = progress.receivers.iter_mut().rfind(is_its) {
                *answer = Some(outcome.clone());
            }
        });
    }

    /// The messages that were not taken and that `wanted` accepts, oldest first.
    fn records(&self, wanted: impl Fn(&LoggedRun, &Progress) -> bool) -> Vec<LoggedMessage> {
        let mut records = Vec::new();
        for run in self.runs.iter().filter(|run| !run.taken) {
            run.each_payload(|index, payload| {
                if wanted(run, run.progress(index)) {
                    records.push(run.record(index, payload()));
                }
            });
        }
        records
    }

    /// The number of the first message that is in the log, or of the first that may come.
    pub(super) fn first(&self) -> u64 {
        self.runs.front().map_or(0, LoggedRun::first)
    }

    /// The message of this number, whether it was taken or not.
    pub(super) fn at(&self, number: u64) -> Option<LoggedMessage> {
        let run = self.runs.get(self.runs.partition_point(|run| run.end() <= number))?;
        let wanted = usize::try_from(number.checked_sub(run.first())?).ok()? + run.gone;
        let mut found = None;
        run.each_payload(|index, payload| {
            if index == wanted {
                found = Some(run.record(index, payload()));
            }
        });
        found
    }

    pub(super) fn of(&self, place: Place<'_>) -> Vec<LoggedMessage> {
        self.records(|run, _| run.is_at(place))
    }

    pub(super) fn all(&self) -> Vec<LoggedMessage> {
        self.records(|_, _| true)
    }

    /// The messages that no receiver got.
    pub(super) fn dropped_ones(&self) -> Vec<LoggedMessage> {
        self.records(|_, progress| progress.is_dropped())
    }

    /// The number of messages of an address in the log, and how many of them have reached a stage.
    pub(super) fn count(&self, place: Place<'_>, stage: Stage) -> (u64, u64) {
        let (mut all, mut reached) = (0, 0);
        for run in self.runs.iter().filter(|run| run.is_at(place)) {
            all += run.len() as u64;
            let indexes = run.gone..run.arrived.messages.count;
            reached += indexes.filter(|index| run.progress(*index).has_reached(stage)).count() as u64;
        }
        (all, reached)
    }

    pub(super) fn forget(&mut self, place: Place<'_>) {
        for run in self.runs.iter_mut().filter(|run| run.is_at(place)) {
            run.taken = true;
        }
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}
