//! What the recorder is shown of each connection's bytes: headers and frames, as they were read and written. The engines know
//! nothing of it; when nobody wants a trace, nothing is looked at.

use super::EventLoop;
use crate::event::ConnectionId;
use crate::outbox::Outbox;
use crate::protocol::Language;
use crate::recorder::Recorder;

/// How much of a connection's outbox has been shown before it could be written.
#[derive(Debug, Default)]
pub(super) struct Tap {
    shown: usize,
}

impl Tap {
    /// All that is in the outbox has been shown, and some of it is gone.
    pub(super) fn written(&mut self, outbox: &Outbox) {
        self.shown = outbox.len();
    }
}

/// A copy of an inbox, shown as the engine works through it.
#[derive(Debug)]
pub(super) struct View {
    bytes: Vec<u8>,
    shown: usize,
}

impl EventLoop {
    /// What there is to show of an inbox. None if nobody wants to see it, or if there is no whole frame in it.
    pub(super) fn view(&self, slot: usize, inbox: &[u8]) -> Option<View> {
        if !self.recorder.traces() {
            return None;
        }
        let extent = (self.peers.get(slot)?.frontend.language().extent)(inbox)?;
        (extent <= inbox.len()).then(|| View { bytes: inbox.to_vec(), shown: 0 })
    }

    /// The engine has left `left` bytes of the inbox.
    pub(super) fn show_received(&mut self, slot: usize, view: &mut View, left: usize) {
        // What was decided about the frames before comes first.
        self.recorder();
        let Some(peer) = self.peers.get(slot) else { return };
        let end = view.bytes.len().saturating_sub(left);
        let consumed = view.bytes.get(view.shown..end).unwrap_or_default();
        view.shown = end;
        show(&mut self.recorder, ConnectionId::of(peer.key), true, peer.frontend.language(), consumed);
    }

    /// Shows what has been put into an outbox since the last time.
    pub(super) fn show_sent(&mut self, slot: usize) {
        if !self.recorder.traces() {
            return;
        }
        self.recorder();
        let Some(peer) = self.peers.get(slot).filter(|peer| peer.outbox.len() > peer.tap.shown) else { return };
        let mut bytes = Vec::new();
        peer.outbox.copy_to(peer.tap.shown, &mut bytes);
        show(&mut self.recorder, ConnectionId::of(peer.key), false, peer.frontend.language(), &bytes);
    }
}

/// Splits bytes into headers and frames, and tells of each.
fn show(recorder: &mut Recorder, id: ConnectionId, incoming: bool, language: Language, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // What is not a frame is shown as it is, all of it.
        let extent = (language.extent)(bytes).unwrap_or(bytes.len()).clamp(1, bytes.len());
        let (piece, rest) = bytes.split_at(extent);
        recorder.frame(id, incoming, language.describe, piece);
        bytes = rest;
    }
}
