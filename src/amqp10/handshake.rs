//! The accepting side of the handshake: protocol headers (2.2), SASL (5.3.2), and the fields of our open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};

use super::connection::{Connection, Phase};
use super::definitions::Condition;
use super::encodings::string_map;
use super::frame::{self, Frame, FrameType};
use super::header::{Header, Protocol};
use super::performative::{OFFERED, Open};
use super::sasl::{self, SaslFrame, SaslInit, SaslOutcome};
use super::types::{Decode, Encode, Reader, Symbol, saturate};
use super::violation::Violation;
use crate::outbox::Outbox;

impl Connection {
    /// Answers the first header (2.2). `protocol/` has checked that it is supported and allowed.
    pub(super) fn on_first_header(
        &mut self,
        input: &mut BytesMut,
        until: Instant,
        out: &mut Outbox,
    ) -> Result<bool, Violation> {
        let Header::Known(protocol) = Header::read(input) else { return Ok(false) };
        input.advance(Header::SIZE);
        match protocol {
            Protocol::Amqp => {
                Protocol::Amqp.put(out);
                self.phase = Phase::AwaitOpen { until };
            }
            Protocol::Sasl => {
                Protocol::Sasl.put(out);
                put_sasl(out, &sasl::mechanisms(&self.config.users))?;
                self.phase = Phase::AwaitInit { until };
            }
        }
        Ok(true)
    }

    /// Takes the AMQP header that follows SASL (5.3.2). Any other header closes the socket.
    pub(super) fn on_second_header(
        &mut self,
        input: &mut BytesMut,
        until: Instant,
        out: &mut Outbox,
    ) -> Result<bool, Violation> {
        match Header::read(input) {
            Header::Partial => Ok(false),
            Header::Known(Protocol::Amqp) => {
                input.advance(Header::SIZE);
                Protocol::Amqp.put(out);
                self.phase = Phase::AwaitOpen { until };
                Ok(true)
            }
            Header::Known(Protocol::Sasl) | Header::Unknown(_) => {
                log::warn!("{}: closed: the header after SASL is not that of AMQP 1.0.0", self.name);
                Protocol::Amqp.put(out);
                self.phase = Phase::Closed;
                Ok(true)
            }
        }
    }

    /// Authenticates the peer (5.3.2). SASL has no close: after a violation the socket is closed.
    pub(super) fn on_sasl_bytes(
        &mut self,
        input: &mut BytesMut,
        until: Instant,
        out: &mut Outbox,
    ) -> Result<bool, Violation> {
        let init = match frame::split(input, sasl::MAX_SASL_FRAME_SIZE) {
            Ok(None) => return Ok(false),
            Ok(Some(frame)) => read_init(&frame),
            Err(violation) => Err(Violation { section: "5.3.1", ..violation }),
        };
        self.phase = match init {
            Ok(init) => {
                let user = sasl::authenticate(&self.config.users, &init);
                let code = if user.is_some() { sasl::CODE_OK } else { sasl::CODE_AUTH };
                put_sasl(out, &SaslOutcome { code, additional_data: None })?;
                match user {
                    Some(user) => {
                        log::debug!("{}: sasl {}: {user} is in", self.name, init.mechanism.as_str());
                        self.user = Some(user.into());
                        Phase::AwaitSecondHeader { until }
                    }
                    None => {
                        log::info!("{}: sasl {}: refused, outcome code {code}", self.name, init.mechanism.as_str());
                        Phase::Closed
                    }
                }
            }
            Err(violation) => {
                log::warn!("{}: closed during SASL: {violation}", self.name);
                self.breaches.push_back((&violation).into());
                Phase::Closed
            }
        };
        Ok(true)
    }

    /// Writes our open (2.4.1), on either side.
    pub(super) fn put_open(&self, hostname: Option<Arc<str>>, out: &mut Outbox) -> Result<(), Violation> {
        let offered: &[&str] = if self.initiated { &[] } else { &OFFERED };
        let open = Open {
            container_id: self.config.container_id.as_str().into(),
            hostname,
            max_frame_size: self.config.max_frame_size,
            channel_max: self.config.channel_max,
            idle_time_out: self.config.idle_timeout.map(|timeout| saturate_millis(timeout).max(1)),
            outgoing_locales: Vec::new(),
            incoming_locales: Vec::new(),
            offered_capabilities: offered.iter().copied().map(Symbol::new).collect(),
            desired_capabilities: Vec::new(),
            properties: string_map(&self.config.open_properties),
        };
        self.wire(out).send(0, &open)
    }
}

fn saturate_millis(duration: Duration) -> u32 {
    usize::try_from(duration.as_millis()).map_or(u32::MAX, saturate)
}

/// Reads sasl-init (5.3.3.2), the only frame that a client may send here: no mechanism here has a challenge.
fn read_init(frame: &Frame) -> Result<SaslInit, Violation> {
    let illegal = |what| Violation::connection("5.3.2", Condition::IllegalState, what);
    if frame.frame_type != FrameType::Sasl {
        return Err(illegal("AMQP frame before the end of SASL"));
    }
    let mut reader = Reader::new(&frame.body);
    match SaslFrame::decode(&mut reader)? {
        SaslFrame::SaslInit(init) => {
            reader.finish()?;
            Ok(init)
        }
        _ => Err(illegal("sasl-init expected")),
    }
}

pub(super) fn put_sasl(out: &mut Outbox, body: &impl Encode) -> Result<(), Violation> {
    out.append(|out| frame::put(out, FrameType::Sasl, 0, frame::MIN_MAX_FRAME_SIZE, |frame| body.encode(frame)))
}
