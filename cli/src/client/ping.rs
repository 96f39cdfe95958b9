//! `fakebroker ping`: connects to a broker, authenticates, and measures round trips.

use std::io::{self, Write};
use std::time::Instant;

use super::peer::{Failure, Peer};

/// Connect, authenticate, open, and measure a round trip; say who answers.
///
/// Exits with 0 if all of that worked. Whatever did not is named in the error.
#[derive(Debug, clap::Args)]
pub(crate) struct Ping {
    #[command(flatten)]
    peer: Peer,

    /// Round trips
    #[arg(long, short = 'n', value_name = "TIMES", default_value_t = 1)]
    count: u32,
}

impl Ping {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let began = Instant::now();
        let connected = self.peer.connector().connect()?;
        writeln!(out, "connect        {:?}", began.elapsed())?;

        let began = Instant::now();
        let authenticated = connected.authenticate()?;
        writeln!(out, "authenticate   {:?}", began.elapsed())?;

        let began = Instant::now();
        let mut channel = authenticated.open_channel()?;
        writeln!(out, "open           {:?}", began.elapsed())?;

        let peer = channel.peer();
        writeln!(out, "container      {:?}", peer.container)?;
        for (name, value) in &peer.properties {
            // However many of them, and however large: a line each, of a size.
            writeln!(out, "{name:<14} {:?}", value.chars().take(200).collect::<String>())?;
        }
        writeln!(out, "max-frame-size {}", peer.max_frame_size)?;
        writeln!(out, "mechanisms     {}", peer.mechanisms.join(", "))?;
        if !peer.capabilities.is_empty() {
            writeln!(out, "capabilities   {}", peer.capabilities.join(", "))?;
        }
        for _ in 0..self.count {
            let took = channel.round_trip()?;
            writeln!(out, "round trip     {took:?}")?;
        }
        channel.disconnect()?;
        Ok(())
    }
}
