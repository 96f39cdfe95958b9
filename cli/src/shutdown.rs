//! The events that end the command.

use std::io;

/// The event that the main thread waits for.
pub(crate) enum Shutdown {
    /// The control channel has failed: no command can come any more.
    Failed(io::Error),
    /// End at once: to the clients, a crash.
    AtOnce,
    /// End with a close for every client.
    Clean,
}
