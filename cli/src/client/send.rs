//! `fakebroker send`: messages from the command line or from standard input.

use std::collections::VecDeque;
use std::io::{self, BufRead, Write};

use fakebroker::connector::{Channel, Posted, Sender};
use fakebroker::{Message, Outcome};

use super::peer::{Failure, Peer, Progress};
use crate::parse::pair;

/// Send messages to an address, and say what became of them.
///
/// Exits with 0 if all of them were accepted.
#[derive(Debug, clap::Args)]
pub(crate) struct Send {
    #[command(flatten)]
    peer: Peer,

    /// Where to
    address: String,

    /// The text of the message; with - each line of standard input is one. [default: its number]
    #[arg(allow_hyphen_values = true)]
    body: Option<String>,

    /// How many; with - no more than this many lines
    #[arg(long, short = 'n', value_name = "MESSAGES")]
    count: Option<u64>,

    /// An application property, as text. Can be given several times
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = pair)]
    property: Vec<(String, String)>,

    /// What it is about
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,

    /// Where an answer should go
    #[arg(long, value_name = "ADDRESS")]
    reply_to: Option<String>,

    /// Send settled: nobody says what becomes of it
    #[arg(long)]
    settled: bool,

    /// Messages under way whose outcome has not come
    #[arg(long, value_name = "MESSAGES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,
}

/// The number of messages sent, and of each outcome.
#[derive(Default)]
struct Tally {
    sent: u64,
    accepted: u64,
    rejected: u64,
    released: u64,
    modified: u64,
    /// The first that was not accepted.
    worst: Option<Outcome>,
}

impl Send {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut channel = self.peer.open()?;
        let sender = channel.sender(&self.address)?;
        let mut tally = Tally::default();
        if self.body.as_deref() == Some("-") {
            let lines = io::stdin().lock().lines().map(|line| Ok(line?));
            let most = self.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
            self.send(&mut channel, &sender, lines.take(most), self.count, &mut tally)?;
        } else {
            let count = self.count.unwrap_or(1);
            let body = |number: u64| self.body.clone().unwrap_or_else(|| number.to_string());
            self.send(&mut channel, &sender, (1..=count).map(|number| Ok(body(number))), Some(count), &mut tally)?;
        }
        channel.disconnect()?;
        self.report(&tally)
    }

    fn send(
        &self,
        channel: &mut Channel,
        sender: &Sender,
        bodies: impl Iterator<Item = Result<String, Failure>>,
        of: Option<u64>,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let mut progress = Progress::new("sent", of);
        let mut under_way: VecDeque<Posted> = VecDeque::new();
        for body in bodies {
            let message = self.message(body?);
            if self.settled {
                channel.send_settled(sender, message)?;
            } else {
                if under_way.len() >= self.window as usize
                    && let Some(oldest) = under_way.pop_front()
                {
                    tally.add(channel.outcome(oldest)?);
                }
                under_way.push_back(channel.post(sender, message)?);
            }
            tally.sent += 1;
            progress.one_more();
        }
        for posted in under_way {
            tally.add(channel.outcome(posted)?);
        }
        Ok(())
    }

    fn message(&self, body: String) -> Message {
        let mut message = Message::text(body);
        for (key, value) in &self.property {
            message = message.property(key, value.as_str());
        }
        message.properties.subject = self.subject.clone();
        message.properties.reply_to = self.reply_to.clone();
        message
    }

    fn report(&self, tally: &Tally) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        if self.settled {
            writeln!(out, "sent {}, settled", tally.sent)?;
            return Ok(());
        }
        let Tally { sent, accepted, rejected, released, modified, worst } = tally;
        write!(out, "sent {sent}: {accepted} accepted")?;
        for (name, count) in [("rejected", rejected), ("released", released), ("modified", modified)] {
            if *count > 0 {
                write!(out, ", {count} {name}")?;
            }
        }
        writeln!(out)?;
        out.flush()?;
        match worst {
            None => Ok(()),
            Some(outcome) => Err(Failure(format!("not accepted: {outcome}"))),
        }
    }
}

impl Tally {
    fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Accepted => &mut self.accepted,
            Outcome::Released => &mut self.released,
            Outcome::Modified { .. } => &mut self.modified,
            // Rejected, and whatever may come: it was not taken.
            _ => &mut self.rejected,
        } += 1;
        if !outcome.is_accepted() {
            self.worst.get_or_insert(outcome);
        }
    }
}
