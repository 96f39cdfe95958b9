//! The command. What it promises: its first line on standard output says where it listens, flushed, when it accepts
//! connections; SIGINT and SIGTERM stop it cleanly, exit code 0; an address that cannot be had is one line on standard error,
//! exit code 1; wrong usage is exit code 2; the log goes to standard error.
//!
//! It knows the library by its public names only. `args.rs` is what can be said on the command line, `control.rs` what can be
//! said on standard input.

mod args;
mod control;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};

use clap::Parser;
use fakebroker::{Bound, Broker};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use args::Args;

/// What ends the command.
enum Stop {
    /// At once, like a crash.
    Now,
    /// With a close for every client.
    Clean,
}

pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    env_logger::Builder::new().filter_level(args.verbosity()).parse_default_env().init();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fakebroker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> io::Result<()> {
    let (sender, stops) = channel();
    // Before anybody is told that we are ready: from then on a signal is expected to be handled.
    watch_signals(sender.clone())?;
    let bound = args.builder().bind()?;
    let broker = if args.control() {
        let Some(broker) = control::serve(bound, args.hold(), sender)? else { return Ok(()) };
        broker
    } else {
        plain(bound)?
    };
    wait(&broker, stops);
    Ok(())
}

fn plain(bound: Bound) -> io::Result<Broker> {
    let broker = bound.start()?;
    let mut out = io::stdout().lock();
    for addr in broker.addrs() {
        writeln!(out, "listening on amqp://{addr}")?;
    }
    out.flush()?;
    Ok(broker)
}

/// Until something stops it. Whoever asks twice means at once.
fn wait(broker: &Broker, stops: Receiver<Stop>) {
    if let Ok(Stop::Clean) = stops.recv() {
        let handle = broker.handle();
        std::thread::spawn(move || {
            if stops.recv().is_ok() {
                handle.stop();
            }
        });
        broker.stop_clean();
    } else {
        broker.stop();
    }
}

fn watch_signals(stops: Sender<Stop>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            if stops.send(Stop::Clean).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
