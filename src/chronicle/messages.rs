//! The log of messages: the last ones that arrived, and what became of each. What they say is read when somebody asks.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::{LinkKey, Outcome};
use crate::message::{Encoding, Message, Payload};
use crate::seen::{self, Fate, Receipt, Seen};
use crate::snapshot::ConnectionId;
use crate::translate;

/// A payload from this size up is kept as it is; a smaller one is copied, so that it does not pin the buffer it came in.
const COPY_BELOW: usize = 16 * 1024;

/// Receivers of one message that are remembered: who gives it back without end must not fill the memory.
const MAX_RECEIPTS: usize = 1000;

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Party {
    connection: u32,
    name: Arc<str>,
}

impl Party {
    pub(crate) fn new(key: LinkKey, name: &Arc<str>) -> Party {
        Party { connection: key.connection.serial, name: name.clone() }
    }
}

impl From<&Party> for seen::Party {
    fn from(party: &Party) -> seen::Party {
        seen::Party { connection: ConnectionId::new(party.connection), link: party.name.as_ref().to_owned() }
    }
}

#[derive(Debug)]
enum State {
    Undecided,
    Waiting,
    Forwarded,
    Dropped(Arc<str>),
    Ruled,
}

/// A message in the log. When it falls out, its buffers serve the next.
#[derive(Debug)]
struct Entry {
    taken: bool,
    from: Option<Party>,
    address: Arc<str>,
    settled: bool,
    encoding: Encoding,
    /// Its payload; in `whole` instead if it is large.
    small: Vec<u8>,
    whole: Option<Message>,
    state: State,
    /// Copies of it that wait.
    waiting: usize,
    outcome: Option<Outcome>,
    receivers: Vec<(Party, Option<Outcome>)>,
}

impl Entry {
    fn len(&self) -> usize {
        self.small.len() + self.whole.as_ref().map_or(0, |message| message.payload.len())
    }
}

/// See the module.
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
        from: Option<Party>,
        address: &Arc<str>,
        settled: bool,
        message: &Message,
    ) {
        if !self.is_on() {
            return;
        }
        let size = message.payload.len();
        let mut spare = None;
        while self.entries.len() >= self.limit || (self.bytes + size > self.max_bytes && !self.entries.is_empty()) {
            let Some(old) = self.entries.pop_front() else { break };
            self.first += 1;
            self.bytes -= old.len();
            self.forgotten += u64::from(!old.taken);
            spare = Some((old.small, old.receivers));
        }
        let (mut small, mut receivers) = spare.unwrap_or_default();
        small.clear();
        receivers.clear();
        let mut whole = None;
        match &message.payload {
            Payload::One(bytes) if size < COPY_BELOW => small.extend_from_slice(bytes),
            _ => whole = Some(Message { payload: message.payload.clone().kept(), ..Message::default() }),
        }
        self.bytes += size;
        debug_assert_eq!(number, self.first + self.entries.len() as u64, "messages are numbered in a row");
        self.entries.push_back(Entry {
            taken: false,
            from,
            address: address.clone(),
            settled,
            encoding: message.encoding,
            small,
            whole,
            state: State::Undecided,
            waiting: 0,
            outcome: None,
            receivers,
        });
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let index = number.checked_sub(self.first)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    pub(super) fn waits(&mut self, number: u64) {
        if let Some(entry) = self.entry(number) {
            entry.waiting += 1;
            if matches!(entry.state, State::Undecided) {
                entry.state = State::Waiting;
            }
        }
    }

    /// What waited for one receiver is lost with it. True if nobody has the message and it waits nowhere else.
    pub(super) fn lost(&mut self, number: u64) -> bool {
        let Some(entry) = self.entry(number) else { return false };
        entry.waiting = entry.waiting.saturating_sub(1);
        entry.waiting == 0 && matches!(entry.state, State::Waiting)
    }

    pub(super) fn forwarded(&mut self, number: u64, to: Party) {
        if let Some(entry) = self.entry(number) {
            entry.state = State::Forwarded;
            entry.waiting = entry.waiting.saturating_sub(1);
            if entry.receivers.len() < MAX_RECEIPTS {
                entry.receivers.push((to, None));
            }
        }
    }

    pub(super) fn dropped(&mut self, number: u64, why: &Arc<str>) {
        if let Some(entry) = self.entry(number) {
            entry.state = State::Dropped(why.clone());
        }
    }

    pub(super) fn ruled(&mut self, number: u64) {
        if let Some(entry) = self.entry(number) {
            entry.state = State::Ruled;
        }
    }

    pub(super) fn told(&mut self, number: u64, outcome: &Outcome) {
        if let Some(entry) = self.entry(number) {
            entry.outcome = Some(outcome.clone());
        }
    }

    pub(super) fn answered(&mut self, number: u64, by: LinkKey, name: &Arc<str>, outcome: &Outcome) {
        let Some(entry) = self.entry(number) else { return };
        let is_its = |(party, answer): &&mut (Party, Option<Outcome>)| {
            answer.is_none() && party.connection == by.connection.serial && party.name == *name
        };
        // The last: a link of this name may have had it before, and have gone without a word.
        if let Some((_, answer)) = entry.receivers.iter_mut().rfind(is_its) {
            *answer = Some(outcome.clone());
        }
    }

    pub(super) fn of(&self, address: &str) -> Vec<Seen> {
        let numbered = self.entries.iter().zip(self.first..);
        let wanted = numbered.filter(|(entry, _)| !entry.taken && *entry.address == *address);
        wanted.map(|(entry, number)| entry.seen(number)).collect()
    }

    pub(super) fn forget(&mut self, address: &str) {
        for entry in self.entries.iter_mut().filter(|entry| *entry.address == *address) {
            entry.taken = true;
        }
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl Entry {
    fn seen(&self, number: u64) -> Seen {
        let raw =
            self.whole.as_ref().map_or_else(|| self.small.clone(), |message| message.payload.contiguous().to_vec());
        let fate = match &self.state {
            State::Undecided => Fate::Undecided,
            State::Waiting => Fate::Waiting,
            State::Forwarded => Fate::Forwarded,
            State::Dropped(why) => Fate::Dropped(why.as_ref().to_owned()),
            State::Ruled => Fate::Decided,
        };
        let receipt = |(party, outcome): &(Party, Option<Outcome>)| Receipt {
            receiver: party.into(),
            outcome: outcome.as_ref().map(seen::Outcome::from),
        };
        Seen {
            fate,
            receivers: self.receivers.iter().map(receipt).collect(),
            outcome: self.outcome.as_ref().map(seen::Outcome::from),
            ..read(number, self.from.as_ref(), &self.address, self.settled, self.encoding, raw)
        }
    }
}

/// See [`super::Chronicle::preview`].
pub(super) fn preview(number: u64, from: Option<Party>, address: &str, settled: bool, message: &Message) -> Seen {
    read(number, from.as_ref(), address, settled, message.encoding, message.payload.contiguous().to_vec())
}

fn read(number: u64, from: Option<&Party>, address: &str, settled: bool, encoding: Encoding, raw: Vec<u8>) -> Seen {
    let (message, unreadable) = match translate::read(encoding, &raw) {
        Ok(message) => (message, None),
        Err(why) => (Default::default(), Some(why)),
    };
    Seen {
        number,
        address: address.to_owned(),
        sender: from.map(seen::Party::from),
        settled,
        message,
        raw,
        unreadable,
        fate: Fate::Undecided,
        receivers: Vec::new(),
        outcome: None,
    }
}
