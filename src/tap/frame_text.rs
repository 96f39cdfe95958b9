//! The text of one header or frame, one line for a person to read. Each engine has a `describe.rs` that makes it.

use std::borrow::Cow;
use std::fmt;

/// The text of one protocol header or frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrameText {
    /// None where the protocol has no channels yet.
    pub(crate) channel: Option<u16>,
    /// The specification's name: `transfer`, `basic.publish`, `heartbeat`.
    pub(crate) name: Cow<'static, str>,
    /// The fields that are present, with the specification's names: `handle=0 settled=true`.
    pub(crate) fields: String,
    /// Bytes of message content in the frame.
    pub(crate) payload: usize,
}

impl FrameText {
    /// Bytes of an undecodable frame that are shown.
    const SHOWN: usize = 32;

    /// Makes the text of bytes that cannot be decoded, with the reason.
    pub(crate) fn undecodable(channel: Option<u16>, why: &str, bytes: &[u8]) -> FrameText {
        let mut fields = format!("({why})");
        if let Some(shown) = bytes.get(..bytes.len().min(Self::SHOWN)).filter(|shown| !shown.is_empty()) {
            fields.push(' ');
            shown.iter().for_each(|byte| fields.push_str(&format!("{byte:02x}")));
            fields.push_str(if shown.len() < bytes.len() { "…" } else { "" });
        }
        FrameText { channel, name: Cow::Borrowed("undecodable"), fields, payload: bytes.len() }
    }
}

impl fmt::Display for FrameText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.channel.iter().try_for_each(|channel| write!(f, "ch {channel} "))?;
        f.write_str(&self.name)?;
        if !self.fields.is_empty() {
            write!(f, " {}", self.fields)?;
        }
        if self.payload > 0 {
            write!(f, " ({} bytes)", self.payload)?;
        }
        Ok(())
    }
}

/// Text of limited length, since frames can be of any length.
#[derive(Default)]
pub(crate) struct Capped {
    text: String,
    is_full: bool,
}

impl Capped {
    /// The limit, in bytes.
    const MAX: usize = 4096;

    pub(crate) fn into_string(self) -> String {
        self.text + if self.is_full { "…" } else { "" }
    }
}

impl fmt::Write for Capped {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.is_full {
            return Err(fmt::Error);
        }
        let room = Self::MAX - self.text.len();
        if text.len() <= room {
            self.text.push_str(text);
            return Ok(());
        }
        let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        self.text.push_str(text.get(..end).unwrap_or_default());
        self.is_full = true;
        Err(fmt::Error)
    }
}
