//! 2.2 and 5.3.2 for the side that begins: protocol headers and SASL, up to where an open may be sent. What comes then is
//! `connection.rs`, the same for both sides. No socket, no clock, and nobody's password longer than it takes to send it.

use bytes::{Buf, BytesMut};

use super::frame::{self, Frame, FrameType};
use super::handshake::put_sasl;
use super::header::{Header, Protocol};
use super::sasl::{self, SaslFrame};
use super::types::{Decode, Reader, Symbol};
use super::violation::Violation;
use crate::event::Breach;
use crate::outbox::Outbox;

/// See the module.
#[derive(Debug)]
pub(crate) struct Initiator {
    phase: Phase,
}

/// ```text
///                  SASL header                 mechanisms         init             outcome               AMQP header
/// AwaitSaslHeader ────────────▶ AwaitMechanisms ───────▶ Offered ─────▶ AwaitOutcome ──────▶ AwaitHeader ────────────▶ Agreed
///                                  (begun without SASL) ────────────────────────────────────────▲
/// ```
/// Whatever else comes is a [`Denied`], and there is no way on from there.
#[derive(Debug)]
enum Phase {
    AwaitSaslHeader,
    AwaitMechanisms,
    /// It is our turn: [`Initiator::authenticate`].
    Offered(Vec<Symbol>),
    AwaitOutcome,
    AwaitHeader,
    Agreed,
}

/// Why there is no way on.
#[derive(Debug)]
pub(crate) enum Denied {
    /// It answers our header with another, or with something that is none: the first bytes of it.
    Header(Vec<u8>),
    /// It lets nobody in by a mechanism that we have.
    Mechanisms(Vec<Symbol>),
    /// 5.3.3.6: it does not let us in; the code says why.
    Outcome(u8),
    /// User and password are more than fits.
    TooLong,
    /// It does not keep to the protocol.
    Breach(Breach),
}

impl Initiator {
    /// Begins: with SASL, or without if `sasl` is false.
    pub(crate) fn new(sasl: bool, out: &mut Outbox) -> Initiator {
        let (first, phase) = match sasl {
            true => (Protocol::Sasl, Phase::AwaitSaslHeader),
            false => (Protocol::Amqp, Phase::AwaitHeader),
        };
        first.put(out);
        Initiator { phase }
    }

    /// The peer has answered our first header.
    pub(crate) fn is_answered(&self) -> bool {
        !matches!(self.phase, Phase::AwaitSaslHeader | Phase::AwaitHeader)
    }

    /// Both sides are ready for an open.
    pub(crate) fn is_agreed(&self) -> bool {
        matches!(self.phase, Phase::Agreed)
    }

    /// The mechanisms that the peer offers, when it has.
    pub(crate) fn offered(&self) -> Option<&[Symbol]> {
        match &self.phase {
            Phase::Offered(mechanisms) => Some(mechanisms),
            _ => None,
        }
    }

    /// Takes one header or frame off `input`. False if there is none, or if it is our turn.
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
                // 5.3.3.4: neither ANONYMOUS nor PLAIN has one.
                Some(_) => return Err(unexpected("sasl-outcome expected")),
                None => return Ok(false),
            },
            Phase::Offered(_) | Phase::Agreed => return Ok(false),
        };
        Ok(true)
    }

    /// 5.3.3.2: says who we are, by the best of the mechanisms that are offered.
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

/// 2.2: the one header that may come. False if it is not all there yet.
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
