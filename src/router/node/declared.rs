//! What a declaration says of a queue: that it stays while nobody uses it, for how long, whose alone it is, and how it is to be.

use crate::arguments::Arguments;
use crate::event::{ConnectionKey, Fault, Reason};
use crate::router::exchange::{Named, check_arguments, check_field};

/// See the module.
#[derive(Debug)]
pub(in crate::router) struct Declared {
    /// It goes with the last of its consumers.
    pub(in crate::router) while_consumed: bool,
    pub(in crate::router) durable: bool,
    /// The connection whose alone it is.
    pub(in crate::router) owner: Option<ConnectionKey>,
    pub(in crate::router) arguments: Arguments,
}

impl Declared {
    /// Whether a connection is kept out.
    pub(in crate::router) fn is_locked_for(&self, connection: ConnectionKey) -> bool {
        self.owner.is_some_and(|owner| owner != connection)
    }

    /// Refuses a second declaration that does not say the same as the first.
    pub(in crate::router) fn check_equivalent(&self, address: &str, other: &Declared) -> Result<(), Fault> {
        let what = Named::Queue(address);
        if self.owner != other.owner {
            return Err(locked(address));
        }
        check_field(what, "durable", self.durable, other.durable)?;
        check_field(what, "auto_delete", self.while_consumed, other.while_consumed)?;
        check_arguments(what, &self.arguments, &other.arguments)
    }
}

/// The queue is another connection's alone, or is not and should be.
pub(in crate::router) fn locked(address: &str) -> Fault {
    let text = format!(
        "cannot obtain exclusive access to locked {}. It could be originally declared on another connection or the \
         exclusive property value does not match that of the original declaration.",
        Named::Queue(address)
    );
    Fault::new(Reason::ResourceLocked, text)
}
