//! The initiating side of the handshake: protocol headers (2.2) and SASL (5.3.2), until an open may be sent. From there on both
//! sides are `connection.rs`. A password is not kept after it has been sent.

use bytes::{Buf, BytesMut};

use super::frame::{self, Frame, FrameType};
use super::handshake::put_sasl;
use super::header::{Header, Protocol};
use super::sasl::{self, SaslFrame};
use super::types::{Decode, Reader, Symbol};
use super::violation::Violation;
use crate::event::Breach;
use crate::outbox::Outbox;

/// The initiating side of the handshake. Call receive() until is_agreed(), and authenticate() when mechanisms are offered.
#[derive(Debug)]
pub(crate) struct Initiator {
    phase: Phase,
}

/// ```text
///                  SASL header                 mechanisms         init             outcome               AMQP header
/// AwaitSaslHeader ────────────▶ AwaitMechanisms ───────▶ Offered ─────▶ AwaitOutcome ──────▶ AwaitHeader ────────────▶ Agreed
///                                  (begun without SASL) ────────────────────────────────────────▲
/// ```
/// Anything else that arrives is a [`Denied`]: the handshake has failed.
#[derive(Debug)]
enum Phase {
    AwaitSaslHeader,
    AwaitMechanisms,
    /// The peer offers these; [`Initiator::authenticate`] is to be called.
    Offered(Vec<Symbol>),
    AwaitOutcome,
    AwaitHeader,
    Agreed,
}

/// Why a handshake has failed.
#[derive(Debug)]
pub(crate) enum Denied {
    /// The peer answered our header with another one, or with something else: its first bytes.
    Header(Vec<u8>),
    /// The peer offers no supported mechanism.
    Mechanisms(Vec<Symbol>),
    /// The peer refused the authentication, with this outcome code (5.3.3.6).
    Outcome(u8),
    /// User and password do not fit a SASL frame.
    TooLong,
    /// The peer broke the protocol.
    Breach(Breach),
}

impl Initiator {
    /// Sends the first header: that of SASL, or of AMQP if `sasl` is false.
    pub(crate) fn new(sasl: bool, out: &mut Outbox) -> Initiator {
        let (first, phase) = match sasl {
            true => (Protocol::Sasl, Phase::AwaitSaslHeader),
            false => (Protocol::Amqp, Phase::AwaitHeader),
        };
        first.put(out);
        Initiator { phase }
    }

    /// Whether the peer has answered our first header.
    pub(crate) fn is_answered(&self) -> bool {
        !matches!(self.phase, Phase::AwaitSaslHeader | Phase::AwaitHeader)
    }

    /// Whether an open may be sent.
    pub(crate) fn is_agreed(&self) -> bool {
        matches!(self.phase, Phase::Agreed)
    }

    /// The mechanisms that the peer offers. None before it has, and once one has been chosen.
    pub(crate) fn offered(&self) -> Option<&[Symbol]> {
        match &self.phase {
            Phase::Offered(mechanisms) => Some(mechanisms),
            _ => None,
        }
    }

    /// Takes one header or frame off `input`. False if none is complete, or if authenticate() is to be called first.
    pub(crate) fn receive(&mut self, input: &mut BytesMut, out: &mut Outbox) -> Result<bool, Denied> {
        self.phase = match self.phase {
            Phase::AwaitSaslHeader => match take_header(input, Protocol::Sasl)? {
                true => Phase::AwaitMechanisms,
                false => return Ok(false),
            },
            Phase::AwaitHeader => match take_header(input, Protocol::Amqp)? {
                true => Phase::Agreed,
                false => return Ok(false),
            },
            Phase::AwaitMechanisms => match take_frame(input)? {
                Some(SaslFrame::SaslMechanisms(offer)) => Phase::Offered(offer.sasl_server_mechanisms),
                Some(_) => return Err(unexpected("sasl-mechanisms expected")),
                None => return Ok(false),
            },
            Phase::AwaitOutcome => match take_frame(input)? {
                Some(SaslFrame::SaslOutcome(outcome)) if outcome.code == sasl::CODE_OK => {
                    Protocol::Amqp.put(out);
                    Phase::AwaitHeader
                }
                Some(SaslFrame::SaslOutcome(outcome)) => return Err(Denied::Outcome(outcome.code)),
                // 5.3.3.3: neither ANONYMOUS nor PLAIN has a challenge.
                Some(_) => return Err(unexpected("sasl-outcome expected")),
                None => return Ok(false),
            },
            Phase::Offered(_) | Phase::Agreed => return Ok(false),
        };
        Ok(true)
    }

    /// Sends user and password by the best of the offered mechanisms (5.3.3.2). Does nothing before they are offered.
    pub(crate) fn authenticate(
        &mut self,
        user: &str,
        password: &str,
        hostname: &str,
        out: &mut Outbox,
    ) -> Result<(), Denied> {
        let Phase::Offered(mechanisms) = &mut self.phase else { return Ok(()) };
        let Some(init) = sasl::init(mechanisms, user, password, hostname) else {
            return Err(Denied::Mechanisms(std::mem::take(mechanisms)));
        };
        put_sasl(out, &init).map_err(|_| Denied::TooLong)?;
        self.phase = Phase::AwaitOutcome;
        Ok(())
    }
}

/// Takes the expected header off `input` (2.2). False if it is not complete; any other header is an error.
fn take_header(input: &mut BytesMut, expected: Protocol) -> Result<bool, Denied> {
    match Header::read(input) {
        Header::Partial => Ok(false),
        Header::Known(protocol) if protocol == expected => {
            input.advance(Header::SIZE);
            Ok(true)
        }
        Header::Known(_) | Header::Unknown(_) => {
            Err(Denied::Header(input.get(..Header::SIZE).unwrap_or(input).to_vec()))
        }
    }
}

fn take_frame(input: &mut BytesMut) -> Result<Option<SaslFrame>, Denied> {
    let read = |input: &mut BytesMut| {
        let Some(frame) = frame::split(input, sasl::MAX_SASL_FRAME_SIZE)? else { return Ok(None) };
        read_frame(&frame).map(Some)
    };
    read(input).map_err(|violation: Violation| Denied::Breach((&violation).into()))
}

fn read_frame(frame: &Frame) -> Result<SaslFrame, Violation> {
    if frame.frame_type != FrameType::Sasl {
        return Err(Violation::framing("5.3.1", "AMQP frame before the end of SASL"));
    }
    let mut reader = Reader::new(&frame.body);
    let body = SaslFrame::decode(&mut reader)?;
    reader.finish()?;
    Ok(body)
}

fn unexpected(what: &str) -> Denied {
    let condition = super::definitions::Condition::IllegalState;
    Denied::Breach((&Violation::connection("5.3.2", condition, what)).into())
}
