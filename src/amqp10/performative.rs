//! The nine performatives (2.7).

use std::sync::Arc;

use super::composite::{choice, composite};
use super::definitions::{Error, ReceiverSettleMode, Role, SenderSettleMode, SequenceNo};
use super::delivery_state::DeliveryState;
use super::terminus::{AnySource, AnyTarget};
use super::types::{DeliveryTag, RawMap, Symbol};

/// How RabbitMQ names a virtual host in open.
const VIRTUAL_HOST: &str = "vhost:";

/// The capabilities that our open offers, as a broker's.
pub(super) const OFFERED: [&str; 1] = ["ANONYMOUS-RELAY"];

composite! {
    /// Opens a connection (2.7.1).
    Open = 0x10 "amqp:open:list" {
        container_id: mandatory Arc<str>,
        hostname: optional Arc<str>,
        max_frame_size: default u32 = u32::MAX,
        channel_max: default u16 = u16::MAX,
        idle_time_out: optional u32,
        outgoing_locales: multiple Symbol,
        incoming_locales: multiple Symbol,
        offered_capabilities: multiple Symbol,
        desired_capabilities: multiple Symbol,
        properties: optional RawMap,
    }

    /// Begins a session (2.7.2).
    Begin = 0x11 "amqp:begin:list" {
        remote_channel: optional u16,
        next_outgoing_id: mandatory SequenceNo,
        incoming_window: mandatory u32,
        outgoing_window: mandatory u32,
        handle_max: default u32 = u32::MAX,
        offered_capabilities: multiple Symbol,
        desired_capabilities: multiple Symbol,
        properties: optional RawMap,
    }

    /// Attaches a link (2.7.3).
    Attach = 0x12 "amqp:attach:list" {
        name: mandatory Arc<str>,
        handle: mandatory u32,
        role: mandatory Role,
        snd_settle_mode: default SenderSettleMode = SenderSettleMode::Mixed,
        rcv_settle_mode: default ReceiverSettleMode = ReceiverSettleMode::First,
        source: optional AnySource,
        target: optional AnyTarget,
        unsettled: optional RawMap,
        incomplete_unsettled: default bool = false,
        initial_delivery_count: optional SequenceNo,
        max_message_size: optional u64,
        offered_capabilities: multiple Symbol,
        desired_capabilities: multiple Symbol,
        properties: optional RawMap,
    }

    /// Updates the state of a session or link (2.7.4).
    Flow = 0x13 "amqp:flow:list" {
        next_incoming_id: optional SequenceNo,
        incoming_window: mandatory u32,
        next_outgoing_id: mandatory SequenceNo,
        outgoing_window: mandatory u32,
        handle: optional u32,
        delivery_count: optional SequenceNo,
        link_credit: optional u32,
        available: optional u32,
        drain: default bool = false,
        echo: default bool = false,
        properties: optional RawMap,
    }

    /// Transfers a message, or a part of it (2.7.5).
    Transfer = 0x14 "amqp:transfer:list" {
        handle: mandatory u32,
        delivery_id: optional SequenceNo,
        delivery_tag: optional DeliveryTag,
        message_format: optional u32,
        settled: optional bool,
        more: default bool = false,
        rcv_settle_mode: optional ReceiverSettleMode,
        state: optional Box<DeliveryState>,
        resume: default bool = false,
        aborted: default bool = false,
        batchable: default bool = false,
    }

    /// Tells the state of deliveries (2.7.6).
    Disposition = 0x15 "amqp:disposition:list" {
        role: mandatory Role,
        first: mandatory SequenceNo,
        last: optional SequenceNo,
        settled: default bool = false,
        state: optional DeliveryState,
        batchable: default bool = false,
    }

    /// Detaches a link (2.7.7).
    Detach = 0x16 "amqp:detach:list" {
        handle: mandatory u32,
        closed: default bool = false,
        error: optional Error,
    }

    /// Ends a session (2.7.8).
    End = 0x17 "amqp:end:list" {
        error: optional Error,
    }

    /// Closes a connection (2.7.9).
    Close = 0x18 "amqp:close:list" {
        error: optional Error,
    }
}

impl Open {
    /// Returns the virtual host that the peer asks for by a hostname of the form `vhost:NAME`.
    pub(super) fn virtual_host(&self) -> Option<&str> {
        self.hostname.as_deref()?.strip_prefix(VIRTUAL_HOST)
    }
}

choice! {
    /// The body of a frame.
    Performative { Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close }
}
