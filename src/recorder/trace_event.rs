//! One line of the trace, as text and as JSON.

use std::fmt;
use std::time::Duration;

use crate::event::ConnectionId;

/// One line of the trace. `Display` writes it as text, [`TraceEvent::to_json`] as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceEvent {
    /// The time since the broker was made, by its clock.
    pub at: Duration,
    /// The connection. None for a line that belongs to none.
    pub connection: Option<ConnectionId>,
    /// The event.
    pub kind: TraceKind,
}

/// The event of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceKind {
    /// A client connected.
    Connected {
        /// The client's socket address.
        peer: String,
    },
    /// The connection has ended.
    Disconnected,
    /// A protocol header or a frame.
    Frame {
        /// Whether the frame is from the client to the broker.
        incoming: bool,
        /// The channel. A protocol header has none.
        channel: Option<u16>,
        /// The name of the performative or method: `transfer`, `basic.publish`.
        name: String,
        /// The fields with their values, as the specification spells them, without those that are absent.
        fields: String,
        /// The number of bytes of message in the frame.
        payload: usize,
    },
    /// The router decided something about a message.
    Decision {
        /// The decision, and its reason.
        text: String,
    },
    /// A note: a hook panicked, the test took a step, a client broke the protocol.
    Note {
        /// The text of the note.
        text: String,
    },
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.6} ", self.at.as_secs_f64())?;
        match self.connection {
            Some(id) => write!(f, "{:>3} ", id.get())?,
            None => f.write_str("    ")?,
        }
        match &self.kind {
            TraceKind::Connected { peer } => write!(f, "connected from {peer}"),
            TraceKind::Disconnected => f.write_str("disconnected"),
            TraceKind::Frame { incoming, channel, name, fields, payload } => {
                f.write_str(if *incoming { "-> " } else { "<- " })?;
                channel.iter().try_for_each(|channel| write!(f, "ch {channel} "))?;
                f.write_str(name)?;
                if !fields.is_empty() {
                    write!(f, " {fields}")?;
                }
                if *payload > 0 { write!(f, " ({payload} bytes)") } else { Ok(()) }
            }
            TraceKind::Decision { text } | TraceKind::Note { text } => f.write_str(text),
        }
    }
}

impl TraceEvent {
    /// Writes the line as JSON: `at` (seconds), `connection`, `event` (`connected`, `disconnected`, `frame`,
    /// `decision`, `note`) and its members: `peer`; `incoming`, `channel`, `name`, `fields`, `payload`; `text`.
    #[must_use]
    pub fn to_json(&self) -> String {
        use fmt::Write;
        let mut line = format!("{{\"at\":{:.6}", self.at.as_secs_f64());
        // Writing to a string does not fail.
        let mut put = |arguments: fmt::Arguments<'_>| {
            let _ = line.write_fmt(arguments);
        };
        if let Some(id) = self.connection {
            put(format_args!(",\"connection\":{}", id.get()));
        }
        match &self.kind {
            TraceKind::Connected { peer } => put(format_args!(",\"event\":\"connected\",\"peer\":{}", escaped(peer))),
            TraceKind::Disconnected => put(format_args!(",\"event\":\"disconnected\"")),
            TraceKind::Frame { incoming, channel, name, fields, payload } => {
                put(format_args!(",\"event\":\"frame\",\"incoming\":{incoming}"));
                if let Some(channel) = channel {
                    put(format_args!(",\"channel\":{channel}"));
                }
                let (name, fields) = (escaped(name), escaped(fields));
                put(format_args!(",\"name\":{name},\"fields\":{fields},\"payload\":{payload}"));
            }
            TraceKind::Decision { text } => put(format_args!(",\"event\":\"decision\",\"text\":{}", escaped(text))),
            TraceKind::Note { text } => put(format_args!(",\"event\":\"note\",\"text\":{}", escaped(text))),
        }
        put(format_args!("}}"));
        line
    }
}

/// Encodes a text as a JSON string.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
