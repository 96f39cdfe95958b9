//! `--trace` and `--trace-format`: opens the file and hands it to the builder.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use clap::ValueEnum;
use fakebroker::{Builder, TraceFormat};

/// The values of `--trace-format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TraceFormatArg {
    Text,
    Json,
    Pcap,
}

impl From<TraceFormatArg> for TraceFormat {
    fn from(arg: TraceFormatArg) -> Self {
        match arg {
            TraceFormatArg::Text => TraceFormat::Text,
            TraceFormatArg::Json => TraceFormat::Json,
            TraceFormatArg::Pcap => TraceFormat::Pcap,
        }
    }
}

/// Adds a writer of the trace: a file, or standard error if that is `-`.
pub(crate) fn to(builder: Builder, file: &Path, format: Option<TraceFormatArg>) -> io::Result<Builder> {
    let format = format.map_or_else(|| by_ending(file), TraceFormat::from);
    let writer: Box<dyn Write + Send> = match file.to_str() {
        Some("-") => Box::new(io::stderr()),
        _ => {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
            Box::new(File::create(file).map_err(named)?)
        }
    };
    // The broker flushes it after each turn in which something happened.
    builder.trace_to(format, BufWriter::new(writer))
}

fn by_ending(file: &Path) -> TraceFormat {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("json" | "jsonl") => TraceFormat::Json,
        Some("pcap") => TraceFormat::Pcap,
        _ => TraceFormat::Text,
    }
}
