//! 2.2.4: connection.start, secure, tune and open: the methods until the connection is open; and update-secret after that.
//! Knows no channel.

use std::time::{Duration, Instant};

use super::frame::MIN_FRAME_MAX;
use super::method::{Connection as Class, Method};
use super::table::{Field, Table, TableWriter};
use super::terms::{Capabilities, Terms, put_method};
use super::types::{LongStr, Version};
use super::violation::{ReplyCode, Violation};
use crate::config::EngineConfig;
use crate::outbox::Outbox;
use crate::unmet::{Place, Unmet, UnmetRequests};
use crate::users::{self, Users};

const PLAIN: &str = "PLAIN";
const AMQPLAIN: &str = "AMQPLAIN";
const ANONYMOUS: &str = "ANONYMOUS";

/// The only locale.
const LOCALE: &str = "en_US";

/// The handshake of a connection: the method that it awaits, and its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handshake {
    awaited: Awaited,
    /// The time at which the client must have opened.
    pub(super) until: Instant,
}

/// ```text
///  header      start-ok       secure-ok     tune-ok     open
/// ──────▶ StartOk ──▶ SecureOk ──▶ TuneOk ──▶ Open ──▶ Progress::Opened
///            └────────────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    StartOk,
    /// The client has chosen PLAIN or AMQPLAIN, and sent no response yet.
    SecureOk {
        plain: bool,
    },
    TuneOk,
    Open,
}

/// The progress of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress<'a> {
    GoesOn,
    /// The client has sent open, and awaits open-ok.
    Opened {
        virtual_host: &'a str,
    },
    /// The client is refused. It has been sent close if its capabilities say that it understands one here.
    Refused {
        with_close: bool,
    },
}

/// The parts of a connection that the handshake reads and changes.
pub(super) struct Parts<'a> {
    pub(super) config: &'a EngineConfig,
    pub(super) terms: &'a mut Terms,
    /// The interval of heartbeats, once tune-ok has agreed on one.
    pub(super) heartbeat: &'a mut Option<Duration>,
    pub(super) out: &'a mut Outbox,
    pub(super) unmet: &'a mut UnmetRequests,
}

impl Parts<'_> {
    fn tell(&mut self, method: Class<'_>) {
        put_method(self.out, self.terms.version, 0, &Method::Connection(method));
    }

    fn frame_max_offered(&self) -> u32 {
        self.config.frame_max.max(MIN_FRAME_MAX)
    }
}

impl Handshake {
    /// Answers the client's protocol header with start: properties, capabilities and mechanisms, in field types that
    /// clients of all versions read.
    pub(super) fn begin(until: Instant, parts: &mut Parts<'_>) -> Handshake {
        let capabilities = [
            "publisher_confirms",
            "exchange_exchange_bindings",
            "basic.nack",
            "consumer_cancel_notify",
            "connection.blocked",
            "consumer_priorities",
            "authentication_failure_close",
            "per_consumer_qos",
            "direct_reply_to",
        ];
        let capabilities = capabilities.into_iter().fold(TableWriter::default(), TableWriter::yes);
        let ours = [("product", env!("CARGO_PKG_NAME")), ("version", env!("CARGO_PKG_VERSION"))];
        let chosen = || parts.config.open_properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let ours = ours.into_iter().filter(|(name, _)| chosen().all(|(chosen, _)| chosen != *name));
        let properties = TableWriter::default().table("capabilities", &capabilities);
        let properties = ours.chain(chosen()).fold(properties, |table, (name, value)| table.text(name, value));
        let (version_major, version_minor) = if parts.terms.version == Version::V0_8 { (8, 0) } else { (0, 9) };
        let mechanisms = match parts.config.users.admits_anonymous() {
            true => [PLAIN, AMQPLAIN, ANONYMOUS].join(" "),
            false => [PLAIN, AMQPLAIN].join(" "),
        };
        parts.tell(Class::Start {
            version_major,
            version_minor,
            server_properties: properties.as_table(),
            mechanisms: LongStr(mechanisms.as_bytes()),
            locales: LongStr(LOCALE.as_bytes()),
        });
        Handshake { awaited: Awaited::StartOk, until }
    }

    /// Takes the client's next method, which is not close. Fails if it is not the one awaited.
    pub(super) fn on_method<'a>(
        &mut self,
        method: &Class<'a>,
        parts: &mut Parts<'_>,
    ) -> Result<Progress<'a>, Violation> {
        match (self.awaited, method) {
            (Awaited::StartOk, Class::StartOk { client_properties, mechanism, response, locale }) => {
                note_locale(locale, parts)?;
                self.on_start_ok(*client_properties, mechanism, response.0, parts)
            }
            (Awaited::SecureOk { plain }, Class::SecureOk { response }) => {
                Ok(self.on_response(plain, response.0, parts))
            }
            (Awaited::TuneOk, Class::TuneOk { channel_max, frame_max, heartbeat }) => {
                agree_on(*channel_max, *frame_max, *heartbeat, parts)?;
                self.awaited = Awaited::Open;
                Ok(Progress::GoesOn)
            }
            (Awaited::Open, Class::Open { virtual_host, .. }) => Ok(Progress::Opened { virtual_host }),
            _ => Err(Violation::new(ReplyCode::CommandInvalid, "a method that was not expected here")),
        }
    }

    fn on_start_ok(
        &mut self,
        properties: Table<'_>,
        mechanism: &str,
        response: &[u8],
        parts: &mut Parts<'_>,
    ) -> Result<Progress<'static>, Violation> {
        if let Some(Field::Table(capabilities)) = properties.get("capabilities") {
            parts.terms.capabilities = Capabilities {
                authentication_failure_close: capabilities.flag("authentication_failure_close"),
                consumer_cancel_notify: capabilities.flag("consumer_cancel_notify"),
                connection_blocked: capabilities.flag("connection.blocked"),
            };
        }
        let client = properties.text("connection_name").or_else(|| properties.text("product"));
        parts.terms.client = client.map(Into::into);
        let plain = match mechanism {
            PLAIN => true,
            AMQPLAIN => false,
            // RFC 4505: the response is trace information, and may be empty.
            ANONYMOUS if parts.config.users.admits_anonymous() => {
                return Ok(self.let_in(ANONYMOUS, "anonymous", parts));
            }
            _ => {
                let text = format!("mechanism '{mechanism}' is not offered");
                return Err(Violation::new(ReplyCode::AccessRefused, text).hard());
            }
        };
        if response.is_empty() {
            parts.tell(Class::Secure { challenge: LongStr::default() });
            self.awaited = Awaited::SecureOk { plain };
            return Ok(Progress::GoesOn);
        }
        Ok(self.on_response(plain, response, parts))
    }

    /// Takes a response of PLAIN or AMQPLAIN: lets the client in, or refuses it.
    fn on_response(&mut self, plain: bool, response: &[u8], parts: &mut Parts<'_>) -> Progress<'static> {
        let (mechanism, said) = match plain {
            true => (PLAIN, users::split_plain(response)),
            false => (AMQPLAIN, split_amqplain(response)),
        };
        match said {
            Some((name, password)) if parts.config.users.admits(name, password) => self.let_in(mechanism, name, parts),
            _ => keep_out(mechanism, parts),
        }
    }

    fn let_in(&mut self, mechanism: &str, name: &str, parts: &mut Parts<'_>) -> Progress<'static> {
        log::debug!("{}: {mechanism}: {name} is in", parts.terms.name);
        parts.terms.user = Some(name.into());
        parts.tell(Class::Tune {
            channel_max: parts.terms.channel_max,
            frame_max: parts.frame_max_offered(),
            heartbeat: parts.config.idle_timeout.map_or(0, in_seconds),
        });
        self.awaited = Awaited::TuneOk;
        Progress::GoesOn
    }
}

/// RabbitMQ's connection.update-secret: checks the new secret of an open connection. Fails if it is not one of its user's.
/// Nobody asks for the secret again, so it is not kept.
pub(super) fn check_secret(secret: &[u8], users: &Users, terms: &Terms) -> Result<(), Violation> {
    let user = terms.user.as_deref().unwrap_or_default();
    if std::str::from_utf8(secret).is_ok_and(|secret| users.admits(user, secret)) {
        log::debug!("{}: {user} has a new secret", terms.name);
        return Ok(());
    }
    let mut violation = Violation::new(ReplyCode::NotAllowed, "New secret was refused by one of the backends");
    violation.0.is_breach = false;
    Err(violation)
}

/// Notes a locale that is not offered. Fails in strict mode.
fn note_locale(locale: &str, parts: &mut Parts<'_>) -> Result<(), Violation> {
    let place = Place { method: "connection.start-ok", ..Place::default() };
    let unmet = (!["", LOCALE].contains(&locale)).then(|| Unmet::new(&place, "locale", locale, "texts are in en_US"));
    parts.unmet.add(unmet).map_or(Ok(()), |text| Err(Violation::unmet(text)))
}

/// Refuses the client: with close if its capabilities say that it understands one here, else by closing the socket.
fn keep_out(mechanism: &str, parts: &mut Parts<'_>) -> Progress<'static> {
    log::info!("{}: {mechanism}: refused", parts.terms.name);
    let with_close = parts.terms.capabilities.authentication_failure_close;
    if with_close {
        parts.tell(Class::Close {
            reply_code: ReplyCode::AccessRefused.number(),
            reply_text: "ACCESS_REFUSED - login was refused using that mechanism, name and password",
            class_id: 0,
            method_id: 0,
        });
    }
    Progress::Refused { with_close }
}

/// Takes the client's tune-ok. Zero is no limit of the client's: then the offered one holds. Fails if a value is beyond
/// it.
fn agree_on(channel_max: u16, frame_max: u32, heartbeat: u16, parts: &mut Parts<'_>) -> Result<(), Violation> {
    let not_allowed = |what: String| Err(Violation::new(ReplyCode::NotAllowed, what));
    let (channels_offered, frame_max_offered) = (parts.terms.channel_max, parts.frame_max_offered());
    if channel_max > channels_offered {
        return not_allowed(format!("negotiated channel_max = {channel_max} is higher than {channels_offered}"));
    }
    if frame_max > frame_max_offered {
        return not_allowed(format!("negotiated frame_max = {frame_max} is higher than {frame_max_offered}"));
    }
    if frame_max != 0 && frame_max < MIN_FRAME_MAX {
        return not_allowed(format!("negotiated frame_max = {frame_max} is lower than {MIN_FRAME_MAX}"));
    }
    if channel_max != 0 {
        parts.terms.channel_max = channel_max;
    }
    parts.terms.frame_max = if frame_max == 0 { frame_max_offered } else { frame_max };
    *parts.heartbeat = (heartbeat > 0).then(|| Duration::from_secs(heartbeat.into()));
    Ok(())
}

/// Converts to whole seconds, at least one.
fn in_seconds(duration: Duration) -> u16 {
    u16::try_from(duration.as_secs().max(1)).unwrap_or(u16::MAX)
}

/// Splits the response of AMQPLAIN into name and password: the entries of a table, which some clients send with its
/// size.
fn split_amqplain(response: &[u8]) -> Option<(&str, &str)> {
    let sized = response.split_first_chunk().filter(|(size, rest)| u32::from_be_bytes(**size) as usize == rest.len());
    let table = Table::of_entries(sized.map_or(response, |(_, rest)| rest)).ok()?;
    Some((table.text("LOGIN")?, table.text("PASSWORD")?))
}
