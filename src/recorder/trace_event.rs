//! One line of the trace, as a person reads it and as a program does.

use std::fmt;
use std::time::Duration;

use crate::event::ConnectionId;

/// One line of the trace. `Display` is how it reads; [`TraceEvent::to_json`] is the same for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceEvent {
    /// When, since the broker was made.
    pub at: Duration,
    /// On which connection.
    pub connection: Option<ConnectionId>,
    /// What.
    pub kind: TraceKind,
}

/// What a line of the trace is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceKind {
    /// A client connected.
    Connected {
        /// Its end of the socket.
        peer: String,
    },
    /// The connection is gone.
    Disconnected,
    /// A protocol header or a frame.
    Frame {
        /// From the client to the broker; else the other way.
        incoming: bool,
        /// The channel that it is on. A protocol header is on none.
        channel: Option<u16>,
        /// The performative or the method: `transfer`, `basic.publish`.
        name: String,
        /// Its fields with their values, as the specification spells them; those that are absent are left out.
        fields: String,
        /// Bytes of message in it.
        payload: usize,
    },
    /// The router decided something about a message.
    Decision {
        /// What, and why.
        text: String,
    },
    /// Something else happened: a hook panicked, the test took a step, a client broke the protocol.
    Note {
        /// What.
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
    /// One line of JSON: `at` (seconds), `connection`, `event` (`connected`, `disconnected`, `frame`, `decision`, `note`) and
    /// what belongs to it: `peer`; `incoming`, `channel`, `name`, `fields`, `payload`; `text`.
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

/// Text as JSON has it, in quotes.
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
