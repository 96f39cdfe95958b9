//! What needs to know both protocol engines, and so stands above them: which protocol a connection speaks, and messages read
//! and translated. No socket, and nothing of the router.
//!
//! | file | what |
//! |---|---|
//! | `frontend.rs` | which protocol is this: one enum over the engines |
//! | `translation.rs` | a message of one protocol in the words of the other |
//! | `message_record.rs` | a message of the log, read for people |

mod frontend;
mod message_record;
mod translation;

pub(crate) use frontend::{Frontend, head_reader};
pub use message_record::{LinkName, MessageRecord, MessageState, Outcome, Receipt};
#[cfg(any(test, fuzzing))]
pub(crate) use translation::translated;
