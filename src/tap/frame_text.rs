//! The text of one header or frame: what it said, in one line that a person can read. Each engine has a `describe.rs` that makes
//! these; nothing here knows a protocol.

use std::borrow::Cow;
use std::fmt;

/// One protocol header or frame in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrameText {
    /// None where the protocol has no channels yet.
    pub(crate) channel: Option<u16>,
    /// What it is, in the specification's word: `transfer`, `basic.publish`, `heartbeat`.
    pub(crate) name: Cow<'static, str>,
    /// `handle=0 settled=true`: names and values as the specification spells them, without what was left out.
    pub(crate) fields: String,
    /// Bytes of message content that it carried.
    pub(crate) payload: usize,
}

impl FrameText {
    /// Bytes of something undecodable that are shown.
    const SHOWN: usize = 32;

    /// For bytes that make no sense, and why.
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

/// Text that ends when it has become long enough: what a peer sends is as long as it likes.
#[derive(Default)]
pub(crate) struct Capped {
    text: String,
    is_full: bool,
}

impl Capped {
    /// In bytes.
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
