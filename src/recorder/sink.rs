//! The writers that get the trace besides its ring: from the test or the command, as text, JSON lines or a capture.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::pcap::Pcap;
use super::trace_event::{TraceEvent, TraceKind};

/// The format in which a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TraceFormat {
    /// A line of text for each event.
    Text,
    /// A line of JSON for each event: see [`TraceEvent::to_json`].
    Json,
    /// A capture that Wireshark and tshark dissect as AMQP. It has the frames and no decisions; the broker's port is
    /// always 5672.
    Pcap,
}

enum Writer {
    Lines(Box<dyn Write + Send>, TraceFormat),
    Pcap(Pcap<Box<dyn Write + Send>>),
}

/// A writer of the trace. Clones write to the same place.
#[derive(Clone)]
pub(crate) struct Sink(Arc<Mutex<Option<Writer>>>);

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").finish_non_exhaustive()
    }
}

impl Sink {
    pub(crate) fn new(format: TraceFormat, writer: Box<dyn Write + Send>) -> io::Result<Sink> {
        let writer = match format {
            TraceFormat::Text | TraceFormat::Json => Writer::Lines(writer, format),
            TraceFormat::Pcap => Writer::Pcap(Pcap::new(writer)?),
        };
        Ok(Sink(Arc::new(Mutex::new(Some(writer)))))
    }

    /// Whether the writer takes the bytes of frames, and not only their text.
    pub(super) fn takes_bytes(&self) -> bool {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(&*place, Some(Writer::Pcap(_)))
    }

    /// Writes an event. A writer that has failed is not used again.
    pub(super) fn put(&self, event: &TraceEvent, salt: u64, at: Duration, bytes: &[u8]) {
        self.with(|writer| match writer {
            Writer::Lines(writer, TraceFormat::Json) => writeln!(writer, "{}", event.to_json()),
            Writer::Lines(writer, _) => writeln!(writer, "{event}"),
            Writer::Pcap(pcap) => {
                let Some(id) = event.connection.map(|id| salt << 32 | u64::from(id.get())) else { return Ok(()) };
                match &event.kind {
                    TraceKind::Connected { .. } => pcap.connect(id, at),
                    TraceKind::Disconnected => pcap.close(id, at),
                    TraceKind::Frame { incoming, .. } => pcap.bytes(id, *incoming, at, bytes, bytes.len()),
                    TraceKind::Decision { .. } | TraceKind::Note { .. } => Ok(()),
                }
            }
        });
    }

    pub(super) fn flush(&self) {
        self.with(|writer| match writer {
            Writer::Lines(writer, _) => writer.flush(),
            Writer::Pcap(pcap) => pcap.flush(),
        });
    }

    fn with(&self, write: impl FnOnce(&mut Writer) -> io::Result<()>) {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = place.as_mut()
            && let Err(error) = write(writer)
        {
            log::warn!("the trace ends here: {error}");
            *place = None;
        }
    }
}
