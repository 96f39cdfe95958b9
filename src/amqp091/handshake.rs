//! 2.2.4: start, secure, tune and open. A part of `connection.rs`; knows no channel.

use std::time::{Duration, Instant};

use super::connection::{Capabilities, Connection, Phase};
use super::frame::MIN_FRAME_MAX;
use super::method::{Connection as Class, Method};
use super::table::{Field, Table, TableWriter};
use super::types::{LongStr, Version};
use super::violation::{ReplyCode, Violation};
use crate::outbox::Outbox;
use crate::users;

const PLAIN: &str = "PLAIN";
const AMQPLAIN: &str = "AMQPLAIN";
const ANONYMOUS: &str = "ANONYMOUS";

/// The only virtual host.
const VIRTUAL_HOST: &str = "/";

impl Connection {
    /// Our first word: what we are and what we can do, in the types that clients of all ages read.
    pub(super) fn put_start(&self, out: &mut Outbox) {
        let capabilities = [
            "publisher_confirms",
            "exchange_exchange_bindings",
            "basic.nack",
            "consumer_cancel_notify",
            "connection.blocked",
            "per_consumer_qos",
            "authentication_failure_close",
        ];
        let capabilities = capabilities.into_iter().fold(TableWriter::default(), TableWriter::yes);
        let properties = TableWriter::default()
            .table("capabilities", &capabilities)
            .text("product", env!("CARGO_PKG_NAME"))
            .text("version", env!("CARGO_PKG_VERSION"));
        let (version_major, version_minor) = if self.version == Version::V0_8 { (8, 0) } else { (0, 9) };
        let mechanisms = match self.config.users.admits_anonymous() {
            true => [PLAIN, AMQPLAIN, ANONYMOUS].join(" "),
            false => [PLAIN, AMQPLAIN].join(" "),
        };
        let start = Class::Start {
            version_major,
            version_minor,
            server_properties: properties.as_table(),
            mechanisms: LongStr(mechanisms.as_bytes()),
            locales: LongStr(b"en_US"),
        };
        self.tell(0, &Method::Connection(start), out);
    }

    pub(super) fn on_start_ok(
        &mut self,
        properties: Table<'_>,
        mechanism: &str,
        response: &[u8],
        until: Instant,
        out: &mut Outbox,
    ) -> Result<(), Violation> {
        if let Some(Field::Table(capabilities)) = properties.get("capabilities") {
            self.capabilities = Capabilities {
                authentication_failure_close: capabilities.flag("authentication_failure_close"),
                consumer_cancel_notify: capabilities.flag("consumer_cancel_notify"),
                connection_blocked: capabilities.flag("connection.blocked"),
            };
        }
        let client = properties.text("connection_name").or_else(|| properties.text("product"));
        self.client = client.map(Into::into);
        let plain = match mechanism {
            PLAIN => true,
            AMQPLAIN => false,
            ANONYMOUS if self.config.users.admits_anonymous() => {
                // RFC 4505: the response is a trace, and may be empty.
                self.let_in(ANONYMOUS, "anonymous", until, out);
                return Ok(());
            }
            _ => {
                let text = format!("mechanism '{mechanism}' is not offered");
                return Err(Violation::new(ReplyCode::AccessRefused, text).hard());
            }
        };
        if response.is_empty() {
            self.tell(0, &Method::Connection(Class::Secure { challenge: LongStr::default() }), out);
            self.phase = Phase::AwaitSecureOk { until, plain };
            return Ok(());
        }
        self.on_response(plain, response, until, out);
        Ok(())
    }

    /// The name and password that the client says, in the form of PLAIN or of AMQPLAIN.
    pub(super) fn on_response(&mut self, plain: bool, response: &[u8], until: Instant, out: &mut Outbox) {
        let (mechanism, said) = match plain {
            true => (PLAIN, users::split_plain(response)),
            false => (AMQPLAIN, split_amqplain(response)),
        };
        match said {
            Some((name, password)) if self.config.users.admits(name, password) => {
                self.let_in(mechanism, name, until, out);
            }
            _ => self.keep_out(mechanism, until, out),
        }
    }

    fn let_in(&mut self, mechanism: &str, name: &str, until: Instant, out: &mut Outbox) {
        log::debug!("{}: {mechanism}: {name} is in", self.name);
        self.user = Some(name.into());
        let tune = Class::Tune {
            channel_max: self.channel_max,
            frame_max: self.frame_max,
            heartbeat: self.config.idle_time_out.map_or(0, in_seconds),
        };
        self.tell(0, &Method::Connection(tune), out);
        self.phase = Phase::AwaitTuneOk { until };
    }

    /// Refuses the client: with a close if it has said that it understands one here, else by closing the socket.
    fn keep_out(&mut self, mechanism: &str, until: Instant, out: &mut Outbox) {
        log::info!("{}: {mechanism}: refused", self.name);
        if self.capabilities.authentication_failure_close {
            let close = Class::Close {
                reply_code: ReplyCode::AccessRefused.number(self.version),
                reply_text: "ACCESS_REFUSED - login was refused using that mechanism, name and password",
                class_id: 0,
                method_id: 0,
            };
            self.tell(0, &Method::Connection(close), out);
            self.phase = Phase::AwaitCloseOk { until };
        } else {
            self.phase = Phase::Closed;
        }
    }

    pub(super) fn on_tune_ok(&mut self, channel_max: u16, frame_max: u32, heartbeat: u16) -> Result<(), Violation> {
        let not_allowed = |what: String| Err(Violation::new(ReplyCode::NotAllowed, what));
        // Zero is no limit: then ours holds.
        if channel_max > self.channel_max {
            return not_allowed(format!("negotiated channel_max = {channel_max} is higher than {}", self.channel_max));
        }
        if frame_max > self.frame_max {
            return not_allowed(format!("negotiated frame_max = {frame_max} is higher than {}", self.frame_max));
        }
        if frame_max != 0 && frame_max < MIN_FRAME_MAX {
            return not_allowed(format!("negotiated frame_max = {frame_max} is lower than {MIN_FRAME_MAX}"));
        }
        if channel_max != 0 {
            self.channel_max = channel_max;
        }
        if frame_max != 0 {
            self.frame_max = frame_max;
        }
        self.heartbeat = (heartbeat > 0).then(|| Duration::from_secs(heartbeat.into()));
        Ok(())
    }

    pub(super) fn on_open(&mut self, virtual_host: &str, out: &mut Outbox) -> Result<(), Violation> {
        // Some clients leave it out where they mean the one that everybody has.
        if virtual_host != VIRTUAL_HOST && !virtual_host.is_empty() {
            return Err(Violation::new(ReplyCode::NotAllowed, format!("vhost {virtual_host} not found")));
        }
        self.tell(0, &Method::Connection(Class::OpenOk { known_hosts: "" }), out);
        self.opened(VIRTUAL_HOST);
        Ok(())
    }
}

/// Whole seconds, and at least one.
fn in_seconds(duration: Duration) -> u16 {
    u16::try_from(duration.as_secs().max(1)).unwrap_or(u16::MAX)
}

/// The entries of a table, without its size; some write it all the same.
fn split_amqplain(response: &[u8]) -> Option<(&str, &str)> {
    let sized = response.split_first_chunk().filter(|(size, rest)| u32::from_be_bytes(**size) as usize == rest.len());
    let table = Table::of_entries(sized.map_or(response, |(_, rest)| rest)).ok()?;
    Some((table.text("LOGIN")?, table.text("PASSWORD")?))
}
