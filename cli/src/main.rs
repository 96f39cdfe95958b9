//! The `fakebroker` command: the broker as a program, for tests in any language.
//!
//! Promises: the first line on standard output names the address, flushed, when the broker accepts connections; SIGINT and
//! SIGTERM stop the broker cleanly with exit code 0; an address that cannot be bound is one line on standard error and exit
//! code 1; wrong usage is exit code 2; the log goes to standard error.
//!
//! `args.rs` has the options of the broker (`declarations.rs`: queues, exchanges and bindings among them;
//! `control/definitions.rs`: those of a file), `trace.rs` the file of a trace, `control/` the commands on standard input.
//! `client/` has the subcommands `send`, `receive` and `ping`.

mod args;
mod client;
mod control;
mod declarations;
mod parse;
mod shutdown;
mod trace;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use clap::Parser;
use fakebroker::{Broker, Group};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use args::Args;
use client::Client;
use shutdown::Shutdown;

/// An AMQP broker for tests.
///
/// Prints `listening on amqp://HOST:PORT` when it accepts connections, and runs until SIGINT or SIGTERM. With a subcommand it
/// is a client.
#[derive(Debug, Parser)]
#[command(name = "fakebroker", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Line {
    #[command(flatten)]
    broker: Args,

    #[command(subcommand)]
    client: Option<Client>,
}

/// Logs to standard error; each line begins with the seconds since the start, as in a trace.
fn log_to_standard_error(verbosity: log::LevelFilter) {
    let start = Instant::now();
    env_logger::Builder::new()
        .filter_level(verbosity)
        .parse_default_env()
        .format(move |out, record| {
            let (at, level, target) = (start.elapsed().as_secs_f64(), record.level(), record.target());
            writeln!(out, "{at:>10.6} {level:<5} {target}: {}", record.args())
        })
        .init();
}

fn main() -> ExitCode {
    let Line { broker, client } = Line::parse();
    log_to_standard_error(broker.verbosity());
    let result = match client {
        Some(client) => client.run().map_err(|failure| failure.to_string()),
        None => run(&broker).map_err(|error| error.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fakebroker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> io::Result<()> {
    let (sender, news) = channel();
    // Signals are watched before the first line goes out: whoever has read it may send one.
    watch_signals(sender.clone())?;
    // A group of one keeps its port while the broker is down.
    let brokers = Arc::new(args.builder()?.group(1)?);
    if args.control() {
        control::serve(Arc::clone(&brokers), args.hold(), sender)?;
    } else {
        plain(&brokers)?;
    }
    match news.recv() {
        Ok(Shutdown::Failed(error)) => return Err(error),
        Ok(Shutdown::Clean) => stop(&brokers[0], news),
        Ok(Shutdown::AtOnce) | Err(_) => brokers[0].crash(),
    }
    Ok(())
}

fn plain(brokers: &Group) -> io::Result<()> {
    brokers.start(0)?;
    let mut out = io::stdout().lock();
    for addr in brokers[0].addrs() {
        writeln!(out, "listening on amqp://{addr}")?;
    }
    out.flush()
}

/// Stops the broker, with a close for every client; a second request meanwhile ends it at once.
fn stop(broker: &Broker, news: Receiver<Shutdown>) {
    let handle = broker.handle();
    std::thread::spawn(move || {
        if news.recv().is_ok() {
            handle.crash();
        }
    });
    broker.stop();
}

fn watch_signals(news: Sender<Shutdown>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            if news.send(Shutdown::Clean).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
