//! `fakebroker receive`: messages to standard output, a line each.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use fakebroker::Message;
use fakebroker::connector::{Channel, Delivery, Receiver, Source};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::peer::{Failure, Peer, Progress};
use crate::parse::seconds;

/// The longest time until a signal is seen while nothing comes.
const SIGNAL_PATIENCE: Duration = Duration::from_millis(200);

/// Receive messages from an address and print them, a line each.
///
/// Runs until SIGINT or SIGTERM, if neither --count nor --timeout ends it. A message is accepted when it has been printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Receive {
    #[command(flatten)]
    peer: Peer,

    /// Where from
    address: String,

    /// This many; to get fewer (see --timeout) is exit code 1
    #[arg(long, short = 'n', value_name = "MESSAGES")]
    count: Option<u64>,

    /// Stop when nothing has come for this long
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,

    /// The body alone, or all of the message as an object of JSON, as --control has it
    #[arg(long, value_enum, default_value = "text")]
    format: Format,

    /// Take copies and leave stored messages where they are
    #[arg(long)]
    browse: bool,

    /// Messages that may be on their way here
    #[arg(long, value_name = "MESSAGES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    credit: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Receive {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // A second one ends it at once.
            signal_hook::flag::register_conditional_default(signal, stop.clone())?;
            signal_hook::flag::register(signal, stop.clone())?;
        }
        let mut channel = self.peer.open()?;
        // No more than are wanted: what is not printed should stay where it is.
        let credit = self.count.map_or(self.credit, |count| u32::try_from(count).unwrap_or(u32::MAX).min(self.credit));
        let source = Source::new(&self.address).credit(credit);
        let receiver = channel.receiver(if self.browse { source.browse() } else { source })?;
        let received = self.print_all(&mut channel, &receiver, &stop)?;
        // What has come and was not printed goes back.
        channel.close_receiver(receiver)?;
        channel.disconnect()?;
        match self.count {
            Some(count) if received < count && !stop.load(Ordering::Relaxed) => {
                Err(Failure(format!("received {received} of {count} messages, and then none in time")))
            }
            _ => Ok(()),
        }
    }

    fn print_all(&self, channel: &mut Channel, receiver: &Receiver, stop: &AtomicBool) -> Result<u64, Failure> {
        let mut progress = Progress::new("received", self.count);
        let mut received = 0;
        while self.count.is_none_or(|count| received < count) {
            let Some(delivery) = self.next(channel, receiver, stop)? else { break };
            self.print(&delivery)?;
            channel.accept(&delivery)?;
            received += 1;
            progress.one_more();
        }
        Ok(received)
    }

    /// None when time is up or a signal has come.
    fn next(&self, channel: &mut Channel, receiver: &Receiver, stop: &AtomicBool) -> Result<Option<Delivery>, Failure> {
        let began = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let left = self.timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
            if let Some(delivery) =
                channel.receive(receiver, left.map_or(SIGNAL_PATIENCE, |left| left.min(SIGNAL_PATIENCE)))?
            {
                return Ok(Some(delivery));
            }
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
        }
        Ok(None)
    }

    fn print(&self, message: &Message) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match (self.format, message.as_text()) {
            (Format::Text, Some(text)) => writeln!(out, "{text}")?,
            (Format::Text, None) => writeln!(out, "{}", message.body)?,
            (Format::Json, _) => writeln!(out, "{}", crate::control::content(message))?,
        }
        out.flush()?;
        Ok(())
    }
}
