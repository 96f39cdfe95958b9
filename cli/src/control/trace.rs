//! `trace`: the last lines of the trace, as text or as objects, or all its frames in a capture file.

use fakebroker::{Broker, TraceFormat};
use serde_json::{Value as Json, json};

use super::fields::{Fields, Refusal};

/// Shows the trace of a broker.
pub(super) type Show = Box<dyn FnOnce(&Broker) -> Result<Json, Refusal>>;

pub(super) fn read(fields: &mut Fields) -> Result<Show, Refusal> {
    let formats = [("text", TraceFormat::Text), ("json", TraceFormat::Json), ("pcap", TraceFormat::Pcap)];
    let format = fields.choice("format", &formats)?.unwrap_or(TraceFormat::Text);
    if format == TraceFormat::Pcap {
        let file = fields.text_of("file")?;
        return Ok(Box::new(move |broker| {
            let capture = broker.trace_pcap();
            std::fs::write(&file, &capture).map_err(|error| format!("{file}: {error}"))?;
            Ok(json!({"bytes": capture.len()}))
        }));
    }
    let last = fields.number::<usize>("last")?;
    Ok(Box::new(move |broker| {
        let events = broker.trace();
        let shown = events.get(events.len().saturating_sub(last.unwrap_or(usize::MAX))..).unwrap_or_default();
        let lines = shown.iter().map(|event| match format {
            // The library's lines are JSON; one that is not becomes a JSON string.
            TraceFormat::Json => serde_json::from_str(&event.to_json()).unwrap_or_else(|_| event.to_string().into()),
            _ => Json::from(event.to_string()),
        });
        Ok(json!({"trace": lines.collect::<Json>()}))
    }))
}
