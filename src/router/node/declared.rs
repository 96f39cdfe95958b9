//! The declaration of a queue: durable, auto-delete, exclusive, and its arguments.

use crate::arguments::Arguments;
use crate::event::{ConnectionKey, Fault, Reason};
use crate::router::exchange::{Named, check_arguments, check_field};

/// The fields of a declaration, kept to compare later declarations with.
#[derive(Debug)]
pub(in crate::router) struct Declared {
    /// Whether the queue is deleted with its last consumer (auto-delete).
    pub(in crate::router) while_consumed: bool,
    pub(in crate::router) durable: bool,
    /// The connection that an exclusive queue belongs to.
    pub(in crate::router) owner: Option<ConnectionKey>,
    pub(in crate::router) arguments: Arguments,
}

impl Declared {
    /// Whether the queue is exclusive to another connection.
    pub(in crate::router) fn is_locked_for(&self, connection: ConnectionKey) -> bool {
        self.owner.is_some_and(|owner| owner != connection)
    }

    pub(in crate::router) fn check_equivalent(
        &self,
        what: Named<'_>,
        other: &Declared,
        arguments: &[&str],
    ) -> Result<(), Fault> {
        if self.owner != other.owner {
            return Err(locked(what));
        }
        check_field(what, "durable", self.durable, other.durable)?;
        check_field(what, "auto_delete", self.while_consumed, other.while_consumed)?;
        check_arguments(what, arguments, &self.arguments, &other.arguments)
    }
}

/// Builds the fault for a queue that is exclusive to another connection, or whose exclusive field differs.
pub(in crate::router) fn locked(queue: Named<'_>) -> Fault {
    let text = format!(
        "cannot obtain exclusive access to locked {queue}. It could be originally declared on another connection or the \
         exclusive property value does not match that of the original declaration."
    );
    Fault::new(Reason::ResourceLocked, text)
}
