//! Expectations of the peer. Each has a deadline and fails with the whole conversation.

use std::time::Instant;

use super::peer::{Heard, Peer};
use super::performative::*;
use super::socket::hex;
use super::wire::Value;

impl Peer {
    #[track_caller]
    pub fn expect_header(&mut self, header: [u8; 8]) {
        match self.hear() {
            Heard::Header(heard) if heard == header => {}
            other => self.fail(&format!("the header {} was expected; came {other:?}", hex(&header))),
        }
    }

    /// Expects a frame with this descriptor code. Skips empty frames, and flows unless a flow is expected.
    #[track_caller]
    pub fn expect(&mut self, code: u64) -> Performative {
        let deadline = self.deadline();
        self.expect_by(deadline, code)
    }

    #[track_caller]
    fn expect_by(&mut self, deadline: Instant, code: u64) -> Performative {
        loop {
            match self.hear_by(deadline) {
                Heard::Frame(frame) if frame.code() == code => return frame,
                Heard::Frame(frame) if frame.code() == FLOW => {}
                Heard::EmptyFrame => {}
                other => self.fail(&format!("{} was expected; came {other:?}", name_of(code))),
            }
        }
    }

    #[track_caller]
    pub fn expect_open(&mut self) -> Performative {
        self.expect(OPEN)
    }

    #[track_caller]
    pub fn expect_begin(&mut self) -> Performative {
        self.expect(BEGIN)
    }

    #[track_caller]
    pub fn expect_attach(&mut self) -> Performative {
        self.expect(ATTACH)
    }

    #[track_caller]
    pub fn expect_flow(&mut self) -> Performative {
        self.expect(FLOW)
    }

    #[track_caller]
    pub fn expect_transfer(&mut self) -> Performative {
        self.expect(TRANSFER)
    }

    #[track_caller]
    pub fn expect_disposition(&mut self) -> Performative {
        self.expect(DISPOSITION)
    }

    #[track_caller]
    pub fn expect_detach(&mut self) -> Performative {
        self.expect(DETACH)
    }

    #[track_caller]
    pub fn expect_end(&mut self) -> Performative {
        self.expect(END)
    }

    #[track_caller]
    pub fn expect_close(&mut self) -> Performative {
        self.expect(CLOSE)
    }

    #[track_caller]
    pub fn expect_empty_frame(&mut self) {
        match self.hear() {
            Heard::EmptyFrame => {}
            other => self.fail(&format!("an empty frame was expected; came {other:?}")),
        }
    }

    /// Expects a flow that gives a link credit. Returns the credit.
    #[track_caller]
    pub fn expect_credit(&mut self) -> u32 {
        let deadline = self.deadline();
        loop {
            let flow = self.expect_by(deadline, FLOW);
            if let (Value::Uint(_), Value::Uint(credit @ 1..)) = (flow.get("handle"), flow.get("link-credit")) {
                return credit;
            }
        }
    }

    /// Expects a flow of the session (2.7.4: without a handle).
    #[track_caller]
    pub fn expect_session_flow(&mut self) -> Performative {
        let deadline = self.deadline();
        loop {
            let flow = self.expect_by(deadline, FLOW);
            if flow.get("handle") == Value::Null {
                return flow;
            }
        }
    }

    /// Expects a flow of a link.
    #[track_caller]
    pub fn expect_link_flow(&mut self) -> Performative {
        let deadline = self.deadline();
        loop {
            let flow = self.expect_by(deadline, FLOW);
            if flow.get("handle") != Value::Null {
                return flow;
            }
        }
    }

    /// Expects the disposition of this delivery. Skips those of other deliveries.
    #[track_caller]
    pub fn expect_outcome_of(&mut self, delivery_id: u32) -> Performative {
        let deadline = self.deadline();
        loop {
            let disposition = self.expect_by(deadline, DISPOSITION);
            let first = disposition.number("first") as u32;
            let last = match disposition.get("last") {
                Value::Uint(last) => last,
                _ => first,
            };
            if delivery_id.wrapping_sub(first) <= last.wrapping_sub(first) {
                return disposition;
            }
        }
    }

    #[track_caller]
    pub fn expect_sasl_outcome(&mut self, code: u8) {
        let outcome = self.expect(SASL_OUTCOME);
        if outcome.get("code") != Value::Ubyte(code) {
            self.fail(&format!("a sasl-outcome with code {code} was expected; came {outcome:?}"));
        }
    }

    /// Expects a close with this condition. Does not answer it.
    #[track_caller]
    pub fn expect_close_with(&mut self, condition: &str) -> Performative {
        self.expect_fault(CLOSE, condition)
    }

    #[track_caller]
    pub fn expect_end_with(&mut self, condition: &str) -> Performative {
        self.expect_fault(END, condition)
    }

    /// Expects a detach with this condition that closes the link (2.6.5).
    #[track_caller]
    pub fn expect_detach_with(&mut self, condition: &str) -> Performative {
        let detach = self.expect_fault(DETACH, condition);
        if !detach.flag("closed") {
            self.fail("the detach should close the link");
        }
        detach
    }

    /// Expects a close with this condition, answers it, and expects the end of the stream.
    #[track_caller]
    pub fn expect_closed_with(&mut self, condition: &str) {
        self.expect_close_with(condition);
        self.try_send(close());
        self.expect_eof();
    }

    /// Expects a detach, end or close with this condition, where the specification leaves open which.
    #[track_caller]
    pub fn expect_error_with(&mut self, condition: &str) -> Performative {
        self.expect_one_of(&[DETACH, END, CLOSE], condition)
    }

    /// Expects the broker's open (2.4.1: it comes before a close), a close with this condition, and the end of the stream after
    /// our close.
    #[track_caller]
    pub fn expect_refused_with(&mut self, condition: &str) {
        self.expect_open();
        self.expect_closed_with(condition);
    }

    #[track_caller]
    fn expect_fault(&mut self, code: u64, condition: &str) -> Performative {
        self.expect_one_of(&[code], condition)
    }

    #[track_caller]
    fn expect_one_of(&mut self, codes: &[u64], condition: &str) -> Performative {
        let deadline = self.deadline();
        loop {
            match self.hear_by(deadline) {
                Heard::Frame(frame) if codes.contains(&frame.code()) && frame.condition() == condition => return frame,
                Heard::Frame(frame) if matches!(frame.code(), FLOW | TRANSFER | DISPOSITION | ATTACH) => {}
                Heard::EmptyFrame => {}
                other => {
                    let names: Vec<_> = codes.iter().map(|code| name_of(*code)).collect();
                    self.fail(&format!("{} with {condition:?} was expected; came {other:?}", names.join(" or ")))
                }
            }
        }
    }

    /// Expects the end of the stream, with nothing before it but empty frames.
    #[track_caller]
    pub fn expect_eof(&mut self) {
        let deadline = self.deadline();
        loop {
            match self.hear_by(deadline) {
                Heard::Eof => return,
                Heard::EmptyFrame => {}
                other => self.fail(&format!("the end of the stream was expected; came {other:?}")),
            }
        }
    }

    /// Reads to the end of the stream. Returns everything that came before.
    #[track_caller]
    pub fn drain_to_eof(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        let deadline = self.deadline();
        loop {
            match self.hear_by(deadline) {
                Heard::Eof => return heard,
                other => heard.push(other),
            }
        }
    }

    /// Closes the connection and expects the broker's close without an error, and the end of the stream.
    #[track_caller]
    pub fn close(mut self) {
        self.send(close());
        self.expect_fault(CLOSE, "");
        self.expect_eof();
    }

    /// Makes a round trip: sends a request and returns all frames that came before the answer.
    #[track_caller]
    pub fn round_trip(&mut self) -> Vec<Performative> {
        // A session of its own for the question, which nothing else can be mistaken for. The broker may write
        // its begin before what else is due in the same turn, but not the end that is only then asked for.
        let channel = self.spare_channel;
        self.send(begin().on_channel(channel));
        let mut heard = Vec::new();
        let mut theirs = None;
        let deadline = self.deadline();
        loop {
            match self.hear_by(deadline) {
                Heard::Frame(frame)
                    if frame.code() == BEGIN && frame.get("remote-channel") == Value::Ushort(channel) =>
                {
                    theirs = Some(frame.channel);
                    self.send(end().on_channel(channel));
                }
                Heard::Frame(frame) if frame.code() == END && Some(frame.channel) == theirs => return heard,
                Heard::Frame(frame) => heard.push(frame),
                Heard::EmptyFrame => {}
                other => self.fail(&format!("a begin or an end was expected; came {other:?}")),
            }
        }
    }

    /// Makes a round trip in which nothing but flows may come.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        let heard: Vec<_> = self.round_trip().into_iter().filter(|frame| frame.code() != FLOW).collect();
        if !heard.is_empty() {
            self.fail(&format!("nothing was expected; came {heard:?}"));
        }
    }
}
