//! The class reference: every method of the classes that the broker knows, in one table a class. The encoding of an
//! argument is that of its type (`types.rs`).
//!
//! The tables are those of 0-9-1 with RabbitMQ's extensions. [`Since09`] marks arguments that 0-8 does not have;
//! [`renumbered`] has the methods with another number there.

use std::fmt::{self, Write};

use bytes::{BufMut, BytesMut};

use super::table::Table;
use super::types::{Argument, LongStr, Reader, Result, Since09, Version, Writer};
use crate::tap::Capped;

/// The class and method number of a method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MethodId {
    pub(crate) class: u16,
    pub(crate) method: u16,
}

/// basic.publish, which is the most frequent method and is not read through the tables.
pub(crate) const PUBLISH: MethodId = MethodId { class: 60, method: 40 };

pub(crate) const CONNECTION: u16 = 10;
pub(crate) const BASIC: u16 = 60;

/// Exchanges the numbers of 0-8 and those of the tables: 0-8 has close and close-ok at 60 and 61, where the tables have
/// blocked and unblocked, which 0-8 does not have.
fn renumbered(id: MethodId, version: Version) -> MethodId {
    const PAIRS: [(u16, u16); 4] = [(50, 60), (51, 61), (60, 50), (61, 51)];
    if version != Version::V0_8 || id.class != CONNECTION {
        return id;
    }
    let method = PAIRS.iter().find(|(from, _)| *from == id.method).map_or(id.method, |(_, to)| *to);
    MethodId { class: id.class, method }
}

/// Reads the id at the front of a method frame's payload, and converts it to the numbers of the tables.
pub(crate) fn read_id(reader: &mut Reader<'_>) -> Result<MethodId> {
    let id = MethodId { class: reader.short()?, method: reader.short()? };
    Ok(renumbered(id, reader.version))
}

/// Converts an id to the numbers of a version.
pub(crate) fn wire_id(id: MethodId, version: Version) -> MethodId {
    renumbered(id, version)
}

/// Defines the classes and their methods: for each its reading, writing, name and arguments.
macro_rules! classes {
    ($(
        $(#[$meta:meta])*
        $class:ident $(<$life:lifetime>)? = $class_index:literal $class_name:literal {
            $( $method:ident = $index:literal $name:literal { $( $field:ident : $type:ty ),* $(,)? } )*
        }
    )*) => {
        /// A method of any class.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Method<'a> {
            $( $class($class $(<$life>)?), )*
        }

        impl<'a> Method<'a> {
            /// Reads the arguments of a method. None for an unknown method. Fails if octets are left over.
            pub(crate) fn read(id: MethodId, reader: &mut Reader<'a>) -> Result<Option<Self>> {
                let method = match id.class {
                    $( $class_index => $class::read(id.method, reader)?.map(Method::$class), )*
                    _ => None,
                };
                if method.is_some() {
                    reader.finish()?;
                }
                Ok(method)
            }

            pub(crate) fn id(&self) -> MethodId {
                match self {
                    $( Method::$class(method) => method.id(), )*
                }
            }

            /// The name of the method, such as "basic.publish".
            pub(crate) fn name(&self) -> &'static str {
                match self {
                    $( Method::$class(method) => method.name(), )*
                }
            }

            /// Writes the payload of the method's frame.
            pub(crate) fn write(&self, out: &mut BytesMut, version: Version) {
                let id = wire_id(self.id(), version);
                out.put_u16(id.class);
                out.put_u16(id.method);
                let mut writer = Writer::new(out, version);
                match self {
                    $( Method::$class(method) => method.write_arguments(&mut writer), )*
                }
            }

            /// Calls `show` with each argument and its name.
            pub(crate) fn arguments(&self, show: &mut dyn FnMut(&'static str, &dyn Shown)) {
                match self {
                    $( Method::$class(method) => method.arguments(show), )*
                }
            }
        }

        /// The name of a method, such as "basic.publish". None for an unknown one.
        pub(crate) fn name_of(id: MethodId) -> Option<&'static str> {
            match (id.class, id.method) {
                $( $( ($class_index, $index) => Some(concat!($class_name, ".", $name)), )* )*
                _ => None,
            }
        }

        $(
            $(#[$meta])*
            #[derive(Clone, Debug, PartialEq)]
            pub(crate) enum $class $(<$life>)? {
                $( $method { $( $field: $type ),* }, )*
            }

            impl $(<$life>)? $class $(<$life>)? {
                classes!(@read ($($life)?) $( $method = $index { $( $field: $type ),* } )*);

                pub(crate) fn id(&self) -> MethodId {
                    let method = match self {
                        $( $class::$method { .. } => $index, )*
                    };
                    MethodId { class: $class_index, method }
                }

                fn name(&self) -> &'static str {
                    match self {
                        $( $class::$method { .. } => concat!($class_name, ".", $name), )*
                    }
                }

                #[allow(unused_variables)] // a method may have no arguments
                fn write_arguments(&self, writer: &mut Writer<'_>) {
                    match self {
                        $( $class::$method { $( $field ),* } => { $( $field.write(writer); )* } )*
                    }
                }

                #[allow(unused_variables)]
                fn arguments(&self, show: &mut dyn FnMut(&'static str, &dyn Shown)) {
                    match self {
                        $( $class::$method { $( $field ),* } => { $( show(stringify!($field), $field); )* } )*
                    }
                }
            }
        )*
    };

    (@read ($life:lifetime) $( $method:ident = $index:literal { $( $field:ident : $type:ty ),* } )*) => {
        fn read(method: u16, reader: &mut Reader<$life>) -> Result<Option<Self>> {
            Ok(Some(match method {
                $( $index => Self::$method { $( $field: <$type>::read(reader)? ),* }, )*
                _ => return Ok(None),
            }))
        }
    };
    (@read () $( $method:ident = $index:literal { $( $field:ident : $type:ty ),* } )*) => {
        #[allow(unused_variables)]
        fn read(method: u16, reader: &mut Reader<'_>) -> Result<Option<Self>> {
            Ok(Some(match method {
                $( $index => Self::$method { $( $field: <$type>::read(reader)? ),* }, )*
                _ => return Ok(None),
            }))
        }
    };
}

/// An argument as the trace shows it.
pub(crate) trait Shown {
    fn show(&self, out: &mut Capped) -> fmt::Result;

    /// Shows the argument without its secret. `plain` says that it is a response of PLAIN.
    fn show_secret(&self, plain: bool, out: &mut Capped) -> fmt::Result {
        let _ = plain;
        out.write_str("***")
    }

    /// Whether the argument is left out because it says nothing.
    fn is_left_out(&self) -> bool {
        false
    }

    /// Whether the argument is the name of the mechanism PLAIN.
    fn is_plain(&self) -> bool {
        false
    }
}

classes! {
    /// connection: negotiates, opens and closes a connection.
    Connection<'a> = 10 "connection" {
        Start = 10 "start" {
            version_major: u8, version_minor: u8, server_properties: Table<'a>, mechanisms: LongStr<'a>, locales: LongStr<'a>,
        }
        StartOk = 11 "start-ok" {
            client_properties: Table<'a>, mechanism: &'a str, response: LongStr<'a>, locale: &'a str,
        }
        Secure = 20 "secure" { challenge: LongStr<'a> }
        SecureOk = 21 "secure-ok" { response: LongStr<'a> }
        Tune = 30 "tune" { channel_max: u16, frame_max: u32, heartbeat: u16 }
        TuneOk = 31 "tune-ok" { channel_max: u16, frame_max: u32, heartbeat: u16 }
        Open = 40 "open" { virtual_host: &'a str, capabilities: &'a str, insist: bool }
        OpenOk = 41 "open-ok" { known_hosts: &'a str }
        Close = 50 "close" { reply_code: u16, reply_text: &'a str, class_id: u16, method_id: u16 }
        CloseOk = 51 "close-ok" {}
        Blocked = 60 "blocked" { reason: &'a str }
        Unblocked = 61 "unblocked" {}
        UpdateSecret = 70 "update-secret" { new_secret: LongStr<'a>, reason: &'a str }
        UpdateSecretOk = 71 "update-secret-ok" {}
    }

    /// channel: opens and closes a channel.
    Channel<'a> = 20 "channel" {
        Open = 10 "open" { out_of_band: &'a str }
        OpenOk = 11 "open-ok" { channel_id: Since09<LongStr<'a>> }
        Flow = 20 "flow" { active: bool }
        FlowOk = 21 "flow-ok" { active: bool }
        Close = 40 "close" { reply_code: u16, reply_text: &'a str, class_id: u16, method_id: u16 }
        CloseOk = 41 "close-ok" {}
    }

    /// access, in 0-8 and 0-9: realms, which brokers do not implement. Every request is granted a ticket.
    Access<'a> = 30 "access" {
        Request = 10 "request" {
            realm: &'a str, exclusive: bool, passive: bool, active: bool, write: bool, read: bool,
        }
        RequestOk = 11 "request-ok" { ticket: u16 }
    }

    /// exchange: declares, deletes and binds exchanges.
    Exchange<'a> = 40 "exchange" {
        Declare = 10 "declare" {
            ticket: u16, exchange: &'a str, kind: &'a str, passive: bool, durable: bool, auto_delete: bool, internal: bool,
            no_wait: bool, arguments: Table<'a>,
        }
        DeclareOk = 11 "declare-ok" {}
        Delete = 20 "delete" { ticket: u16, exchange: &'a str, if_unused: bool, no_wait: bool }
        DeleteOk = 21 "delete-ok" {}
        Bind = 30 "bind" {
            ticket: u16, destination: &'a str, source: &'a str, routing_key: &'a str, no_wait: bool, arguments: Table<'a>,
        }
        BindOk = 31 "bind-ok" {}
        Unbind = 40 "unbind" {
            ticket: u16, destination: &'a str, source: &'a str, routing_key: &'a str, no_wait: bool, arguments: Table<'a>,
        }
        UnbindOk = 51 "unbind-ok" {}
    }

    /// queue: declares, deletes, binds and purges queues.
    Queue<'a> = 50 "queue" {
        Declare = 10 "declare" {
            ticket: u16, queue: &'a str, passive: bool, durable: bool, exclusive: bool, auto_delete: bool, no_wait: bool,
            arguments: Table<'a>,
        }
        DeclareOk = 11 "declare-ok" { queue: &'a str, message_count: u32, consumer_count: u32 }
        Bind = 20 "bind" {
            ticket: u16, queue: &'a str, exchange: &'a str, routing_key: &'a str, no_wait: bool, arguments: Table<'a>,
        }
        BindOk = 21 "bind-ok" {}
        Unbind = 50 "unbind" {
            ticket: u16, queue: &'a str, exchange: &'a str, routing_key: &'a str, arguments: Table<'a>,
        }
        UnbindOk = 51 "unbind-ok" {}
        Purge = 30 "purge" { ticket: u16, queue: &'a str, no_wait: bool }
        PurgeOk = 31 "purge-ok" { message_count: u32 }
        Delete = 40 "delete" { ticket: u16, queue: &'a str, if_unused: bool, if_empty: bool, no_wait: bool }
        DeleteOk = 41 "delete-ok" { message_count: u32 }
    }

    /// basic: publishes, delivers and acknowledges messages.
    Basic<'a> = 60 "basic" {
        Qos = 10 "qos" { prefetch_size: u32, prefetch_count: u16, global: bool }
        QosOk = 11 "qos-ok" {}
        Consume = 20 "consume" {
            ticket: u16, queue: &'a str, consumer_tag: &'a str, no_local: bool, no_ack: bool, exclusive: bool, no_wait: bool,
            arguments: Since09<Table<'a>>,
        }
        ConsumeOk = 21 "consume-ok" { consumer_tag: &'a str }
        Cancel = 30 "cancel" { consumer_tag: &'a str, no_wait: bool }
        CancelOk = 31 "cancel-ok" { consumer_tag: &'a str }
        Publish = 40 "publish" { ticket: u16, exchange: &'a str, routing_key: &'a str, mandatory: bool, immediate: bool }
        Return = 50 "return" { reply_code: u16, reply_text: &'a str, exchange: &'a str, routing_key: &'a str }
        Deliver = 60 "deliver" {
            consumer_tag: &'a str, delivery_tag: u64, redelivered: bool, exchange: &'a str, routing_key: &'a str,
        }
        Get = 70 "get" { ticket: u16, queue: &'a str, no_ack: bool }
        GetOk = 71 "get-ok" {
            delivery_tag: u64, redelivered: bool, exchange: &'a str, routing_key: &'a str, message_count: u32,
        }
        GetEmpty = 72 "get-empty" { cluster_id: &'a str }
        Ack = 80 "ack" { delivery_tag: u64, multiple: bool }
        Reject = 90 "reject" { delivery_tag: u64, requeue: bool }
        RecoverAsync = 100 "recover-async" { requeue: bool }
        Recover = 110 "recover" { requeue: bool }
        RecoverOk = 111 "recover-ok" {}
        Nack = 120 "nack" { delivery_tag: u64, multiple: bool, requeue: bool }
    }

    /// confirm: RabbitMQ's publisher confirms.
    Confirm = 85 "confirm" {
        Select = 10 "select" { no_wait: bool }
        SelectOk = 11 "select-ok" {}
    }

    /// tx: publishes and acknowledgements that take effect together.
    Tx = 90 "tx" {
        Select = 10 "select" {}
        SelectOk = 11 "select-ok" {}
        Commit = 20 "commit" {}
        CommitOk = 21 "commit-ok" {}
        Rollback = 30 "rollback" {}
        RollbackOk = 31 "rollback-ok" {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes written by hand, field by field, and what they say.
    fn rows() -> Vec<(&'static [u8], Version, Method<'static>)> {
        vec![
            (
                b"\x00\x3c\x00\x28\x00\x00\x01e\x02rk\x01",
                Version::V0_9_1,
                Method::Basic(Basic::Publish {
                    ticket: 0,
                    exchange: "e",
                    routing_key: "rk",
                    mandatory: true,
                    immediate: false,
                }),
            ),
            (
                // Five bits in one octet, then a table.
                b"\x00\x32\x00\x0a\x00\x00\x01q\x0d\x00\x00\x00\x04\x01kt\x01",
                Version::V0_9_1,
                Method::Queue(Queue::Declare {
                    ticket: 0,
                    queue: "q",
                    passive: true,
                    durable: false,
                    exclusive: true,
                    auto_delete: true,
                    no_wait: false,
                    arguments: Table::of_entries(b"\x01kt\x01").unwrap(),
                }),
            ),
            (b"\x00\x0a\x00\x33", Version::V0_9_1, Method::Connection(Connection::CloseOk {})),
            (b"\x00\x0a\x00\x3d", Version::V0_8, Method::Connection(Connection::CloseOk {})),
            (b"\x00\x14\x00\x0b", Version::V0_8, Method::Channel(Channel::OpenOk { channel_id: Since09::default() })),
            (
                b"\x00\x14\x00\x0b\x00\x00\x00\x00",
                Version::V0_9,
                Method::Channel(Channel::OpenOk { channel_id: Since09::default() }),
            ),
            (b"\x00\x5a\x00\x0a", Version::V0_9_1, Method::Tx(Tx::Select {})),
        ]
    }

    fn read(bytes: &[u8], version: Version) -> Result<Option<Method<'_>>> {
        let mut reader = Reader::new(bytes, version);
        let id = read_id(&mut reader)?;
        Method::read(id, &mut reader)
    }

    #[test]
    fn methods_are_read_and_written_as_the_tables_say() {
        for (bytes, version, method) in rows() {
            assert_eq!(read(bytes, version), Ok(Some(method.clone())), "{}", method.name());
            let mut out = BytesMut::new();
            method.write(&mut out, version);
            assert_eq!(&out[..], bytes, "{}", method.name());
        }
    }

    #[test]
    fn a_method_cut_off_or_too_long_is_refused() {
        for (bytes, version, method) in rows() {
            for end in 0..bytes.len() {
                assert!(read(&bytes[..end], version).is_err(), "{} cut off at {end}", method.name());
            }
            assert!(read(&[bytes, b"\0"].concat(), version).is_err(), "{} with a byte too many", method.name());
        }
    }

    #[test]
    fn unknown_methods_are_unknown() {
        for bytes in [b"\x00\x3c\x00\x29", b"\x00\x63\x00\x0a", b"\x00\x00\x00\x00"] {
            assert_eq!(read(bytes, Version::V0_9_1), Ok(None));
        }
    }
}
