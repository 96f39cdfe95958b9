//! The initiating side: sends open (2.4.1), begin (2.5.1) and attach (2.6.3), and takes the peer's answers. From there on both
//! sides are the same. Part of `connection.rs`, `session.rs` and `attach.rs`.

use std::sync::Arc;
use std::time::Instant;

use super::connection::{Connection, Phase};
use super::definitions::{Condition, ReceiverSettleMode, Role, SenderSettleMode, SequenceNo};
use super::delivery_state;
use super::directory::Place;
use super::link::{Link, LinkEnd, LinkState, Receiver, Sender};
use super::performative::{Attach, Begin};
use super::session::{Context, Session};
use super::terminus::{AnySource, AnyTarget, Source, Target};
use super::types::{Symbol, saturate};
use super::violation::Violation;
use crate::budget::Budget;
use crate::config::EngineConfig;
use crate::event::{Event, LinkId, LinkRequest, Manner, Node, NodeKind, Outcome, Reply};
use crate::outbox::Outbox;

impl Connection {
    /// Sends the open (2.4.1) of a connection whose headers have been exchanged. The peer's open is awaited.
    pub(crate) fn open(
        config: Arc<EngineConfig>,
        name: Arc<str>,
        hostname: Option<Arc<str>>,
        now: Instant,
        until: Instant,
        out: &mut Outbox,
    ) -> Connection {
        let mut connection = Connection::new(config, Budget::new(usize::MAX), name, now, until);
        connection.initiated = true;
        connection.phase = Phase::AwaitOpen { until };
        // The peer's max-frame-size is not known yet. An open that does not fit the smallest closes the connection.
        if let Err(violation) = connection.put_open(hostname, out) {
            connection.fail(&violation, now, out);
        }
        connection
    }

    /// Begins a session (2.5.1) and returns its outgoing channel. None if the peer allows no more sessions.
    pub(crate) fn begin(&mut self, now: Instant, out: &mut Outbox) -> Option<usize> {
        let channel = self.channels.vacant(self.channel_max)?;
        let session = Session::new(channel);
        let begin = session.begin(self.config.handle_max);
        if let Err(violation) = self.wire(out).send(channel, &begin) {
            self.fail(&violation, now, out);
        }
        Some(self.channels.insert(session))
    }

    /// Takes the begin that answers ours (2.5.1).
    pub(super) fn on_begin_answered(&mut self, begin: &Begin, channel: u16, ours: u16) -> Result<(), Violation> {
        match self.channels.find(ours.into()) {
            Some(session) if session.remote_channel.is_none() => {
                session.joined(channel, begin);
                self.channels.map(channel, ours);
                self.events.push_back(Event::Reply(Box::new(Reply::Begun { session: ours.into() })));
                Ok(())
            }
            _ => Err(Violation::connection(
                "2.5.1",
                Condition::InvalidField,
                "a begin with remote-channel answers none of ours",
            )),
        }
    }

    /// Ends a session without an error (2.5.5). The peer's end is awaited. Does nothing if the session has ended meanwhile.
    pub(crate) fn end(&mut self, channel: usize, now: Instant, out: &mut Outbox) {
        if self.channels.find(channel).is_none() {
            return;
        }
        let result = self.with_session(channel, out, |session, context| match session.ended {
            true => Ok(()),
            false => session.end(None, context),
        });
        self.settle_result(result, channel, now, out);
    }

    /// Attaches a link to a session (2.6.3). None if the peer allows no more links, or if the session has ended meanwhile.
    pub(crate) fn attach(
        &mut self,
        channel: usize,
        request: &LinkRequest,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<LinkId> {
        self.channels.find(channel)?;
        let mut link = None;
        let result = self.with_session(channel, out, |session, context| {
            link = session.attach(request, context)?;
            Ok(())
        });
        self.settle_result(result, channel, now, out);
        link
    }

    /// Drains a link that receives (2.6.7): asks for all messages that are there now, as far as its credit goes.
    pub(crate) fn drain(&mut self, link: LinkId, out: &mut Outbox) {
        let Some(place) = self.directory.find(link) else { return };
        let _ = self.with_session(place.channel, out, |session, _| {
            session.drain(place.handle);
            Ok(())
        });
    }

    /// Closes a link without an error (2.6.6). Its pending dispositions are written first.
    pub(crate) fn close_link(&mut self, link: LinkId, now: Instant, out: &mut Outbox) {
        let Some(place) = self.directory.find(link) else { return };
        let result = self.with_session(place.channel, out, |session, context| {
            session.finish_turn(&mut context.wire)?;
            session.close_link(place.handle, None, context)
        });
        self.settle_result(result, place.channel, now, out);
    }

    /// Closes the connection without an error (2.4.3) and waits for the peer's close, for `linger` at most.
    pub(crate) fn close_cleanly(&mut self, now: Instant, out: &mut Outbox) {
        self.close(None, now, out);
    }

    fn settle_result(&mut self, result: Result<(), Violation>, channel: usize, now: Instant, out: &mut Outbox) {
        if let Err(violation) = self.contain(result, channel, out) {
            self.fail(&violation, now, out);
        }
    }
}

impl Session {
    /// Sends an attach (2.6.3) and awaits the peer's. None if the peer allows no more links.
    fn attach(&mut self, request: &LinkRequest, context: &mut Context<'_>) -> Result<Option<LinkId>, Violation> {
        let handle = self.links.vacant_key();
        if saturate(handle) > self.remote_handle_max || self.ended {
            return Ok(None);
        }
        let role = if request.sends { Role::Sender } else { Role::Receiver };
        let end = match role {
            // 3.4: a delivery that the peer settles without an outcome is released, as our source says.
            Role::Sender => LinkEnd::Sender(Sender::new(Outcome::Released)),
            Role::Receiver => LinkEnd::Receiver(Receiver::new(SequenceNo::default(), false)),
        };
        let place = Place { channel: self.channel.into(), handle };
        let id = context.directory.add(request.name.clone(), role, place);
        context.directory.attached += 1;
        self.links.insert(Link {
            id,
            name: request.name.clone(),
            state: LinkState::AwaitAttach,
            end,
            flow_due: false,
            unsettled: 0,
            initiated: true,
        });
        context.wire.send(self.channel, &attach_for(request, handle, role, context.config))?;
        Ok(Some(id))
    }

    /// Returns the handle of the link, attached by us, that an attach of the peer's answers.
    pub(super) fn awaiting_answer(&self, attach: &Attach, context: &Context<'_>) -> Option<usize> {
        let place = context.directory.find_named(&attach.name, attach.role.other())?;
        (place.channel == usize::from(self.channel) && self.awaits_attach(place.handle)).then_some(place.handle)
    }

    pub(super) fn awaits_attach(&self, handle: usize) -> bool {
        self.link(handle).is_some_and(|link| matches!(link.state, LinkState::AwaitAttach))
    }

    /// Takes the attach that answers ours (2.6.3). With a null terminus it refuses the link, and a detach follows.
    pub(super) fn on_attach_answered(
        &mut self,
        handle: usize,
        attach: &Attach,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        if attach.handle > context.config.handle_max {
            return Err(Violation::framing("2.7.2", "handle above handle-max"));
        }
        if self.handles.get(attach.handle).is_some() {
            return Err(Violation::session("2.6.2", Condition::HandleInUse, "a link is attached to this handle"));
        }
        self.handles.set(attach.handle, handle);
        let Some(link) = self.link_mut(handle) else { return Ok(()) };
        let address = match (&mut link.end, &attach.target, &attach.source) {
            (LinkEnd::Sender(_), Some(AnyTarget::Target(target)), _) => target.address.clone(),
            (LinkEnd::Receiver(receiver), _, Some(AnySource::Source(source))) => {
                let Some(delivery_count) = attach.initial_delivery_count else {
                    let what = "a sender's attach has an initial-delivery-count";
                    return Err(Violation::link(handle, "2.7.3", Condition::InvalidField, what));
                };
                receiver.delivery_count = delivery_count;
                source.address.clone()
            }
            _ => {
                link.state = LinkState::Refused;
                return Ok(());
            }
        };
        link.state = LinkState::Attached;
        // 2.7.3: zero means no limit, as null does.
        let max_message_size = attach.max_message_size.filter(|max| *max > 0).unwrap_or(u64::MAX);
        context.events.push_back(Event::Reply(Box::new(Reply::Attached { link: link.id, address, max_message_size })));
        Ok(())
    }

    fn drain(&mut self, handle: usize) {
        if let Some(receiver) = self.receiver_mut(handle)
            && receiver.credit > 0
        {
            receiver.drain = true;
            self.flow_is_due(handle);
        }
    }
}

fn attach_for(request: &LinkRequest, handle: usize, role: Role, config: &EngineConfig) -> Attach {
    let (address, kind) = match &request.node {
        Node::Address(address) | Node::Queue(address) => (Some(address.clone()), None),
        Node::Dynamic(kind) => (None, Some(*kind)),
        Node::Anonymous | Node::Replies => (None, None),
    };
    let dynamic = kind.is_some();
    let capabilities = match kind {
        Some(NodeKind::Queue | NodeKind::Stream) => vec![Symbol::new("temporary-queue")],
        Some(NodeKind::Topic) => vec![Symbol::new("temporary-topic")],
        Some(NodeKind::Unspecified) | None => Vec::new(),
    };
    let (source, target) = match role {
        Role::Sender => (Source::default(), Target { address, dynamic, capabilities, ..Target::default() }),
        Role::Receiver => (Source { address, dynamic, capabilities, ..Source::default() }, Target::default()),
    };
    let source = Source {
        distribution_mode: request.browse.then(|| Symbol::new("copy")),
        default_outcome: Some(Outcome::Released.into()),
        outcomes: delivery_state::OUTCOMES.map(Symbol::new).to_vec(),
        ..source
    };
    Attach {
        name: request.name.clone(),
        handle: saturate(handle),
        role,
        snd_settle_mode: match request.manner {
            Manner::Settled => SenderSettleMode::Settled,
            Manner::Unsettled => SenderSettleMode::Unsettled,
            Manner::Mixed => SenderSettleMode::Mixed,
        },
        rcv_settle_mode: ReceiverSettleMode::First,
        source: Some(AnySource::Source(Box::new(source))),
        target: Some(AnyTarget::Target(target)),
        unsettled: None,
        incomplete_unsettled: false,
        initial_delivery_count: request.sends.then(SequenceNo::default),
        max_message_size: (!request.sends).then_some(config.max_message_size),
        offered_capabilities: Vec::new(),
        desired_capabilities: Vec::new(),
        properties: None,
    }
}
