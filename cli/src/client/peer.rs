//! The common parts of `send`, `receive` and `ping`: the broker to connect to, errors, progress.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use fakebroker::connector::{Channel, Connector, Error};

use crate::parse::seconds;

/// The broker to connect to, and the time that each step may take.
#[derive(Debug, clap::Args)]
pub(crate) struct Peer {
    /// The broker: amqp://USER:PASSWORD@HOST:PORT/VHOST, where all but the host may be left out
    #[arg(value_parser = Connector::from_url)]
    url: Connector,

    /// Connecting and each answer of the broker may take this long
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    step_timeout: Duration,
}

impl Peer {
    pub(crate) fn connector(&self) -> Connector {
        self.url.clone().timeout(self.step_timeout)
    }

    pub(crate) fn open(&self) -> Result<Channel, Failure> {
        Ok(self.connector().open()?)
    }
}

/// An error that ends the command with exit code 1; its text is the one line on standard error.
#[derive(Debug)]
pub(crate) struct Failure(pub(super) String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure(error.to_string())
    }
}

/// Shows on standard error how far a long run has got, if that is a terminal.
pub(crate) struct Progress {
    what: &'static str,
    of: Option<u64>,
    done: u64,
    next: Option<Instant>,
    shown: bool,
}

impl Progress {
    const EVERY: Duration = Duration::from_millis(200);

    pub(crate) fn new(what: &'static str, of: Option<u64>) -> Progress {
        let next = io::stderr().is_terminal().then(|| Instant::now() + Self::EVERY);
        Progress { what, of, done: 0, next, shown: false }
    }

    pub(crate) fn one_more(&mut self) {
        self.done += 1;
        if self.next.is_some_and(|next| Instant::now() >= next) {
            self.next = Some(Instant::now() + Self::EVERY);
            self.shown = true;
            let of = self.of.map_or_else(String::new, |of| format!(" of {of}"));
            let _ = write!(io::stderr(), "\r{} {}{of}", self.what, self.done);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            // Clears the line.
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
