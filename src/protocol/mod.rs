//! Everything that needs both protocol engines: the choice of a connection's engine, and the decoding and translation of
//! messages. No socket, and nothing of the router.
//!
//! | file | contents |
//! |---|---|
//! | `frontend.rs` | an enum over the engines, chosen by the protocol header |
//! | `translation.rs` | translation of a message between the protocols |
//! | `message_record.rs` | a message of the log, decoded for a test |
//! | `publish_record.rs` | a publish to an exchange, with the message decoded |

mod frontend;
mod message_record;
mod publish_record;
mod translation;

pub(crate) use frontend::{Frontend, message_codec, reply_code};
pub use message_record::{LinkName, MessageRecord, MessageState, Outcome, Receipt};
pub use publish_record::PublishRecord;
#[cfg(any(test, fuzzing))]
pub(crate) use translation::translated;
