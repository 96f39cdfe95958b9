//! Frames as something that passes by, whatever the protocol: the words for them that engines, event loop and recorder share.

mod frame_text;

pub(crate) use frame_text::{Capped, FrameText};
