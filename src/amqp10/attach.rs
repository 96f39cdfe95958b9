//! Links that attach and detach (2.6.3 to 2.6.6), and the end of a session. Part of `session.rs`.

use std::sync::Arc;

use super::arguments;
use super::composite::Composite;
use super::definitions::{Condition, Error, Role, SenderSettleMode, SequenceNo};
use super::delivery_state::Rejected;
use super::directory::Place;
use super::link::{Link, LinkEnd, LinkState, Receiver, Relay, Sender};
use super::performative::{Attach, Detach, End};
use super::session::{Context, LINK, Session};
use super::terminus::{AnySource, AnyTarget, Source, Target, node_kind};
use super::types::saturate;
use super::unmet_fields;
use super::violation::{Scope, Violation};
use crate::event::{ConsumerRequest, Event, Fault, LinkId, Manner, Node, NodeKind, Outcome, Reply};
use crate::live::live;

impl Session {
    /// Takes an attach of the peer's (2.7.3): asks the router for its node, or refuses it at once.
    pub(crate) fn on_attach(&mut self, mut attach: Attach, context: &mut Context<'_>) -> Result<(), Violation> {
        if let Some(handle) = self.awaiting_answer(&attach, context) {
            return self.on_attach_answered(handle, &attach, context);
        }
        if attach.handle > context.config.handle_max {
            return Err(Violation::framing("2.7.2", "handle above handle-max"));
        }
        if self.handles.get(attach.handle).is_some() {
            return Err(Violation::session("2.6.2", Condition::HandleInUse, "a link is attached to this handle"));
        }
        let handle = self.links.vacant_key();
        if saturate(handle) > self.remote_handle_max {
            let what = "no handle left below the peer's handle-max";
            return Err(Violation::session("2.7.2", Condition::ResourceLimitExceeded, what));
        }
        if context.config.deliver_unsettled {
            choose_unsettled(&mut attach);
        }
        let name = attach.name.clone();
        // 2.8.1: our role is the other one.
        let role = attach.role.other();
        // Refused links count until the peer has detached them.
        if context.directory.attached >= context.config.max_links.saturating_mul(2) {
            let what = "too many links on this connection, the refused ones included";
            return Err(Violation::session("2.6.3", Condition::ResourceLimitExceeded, what));
        }
        let too_many = context.directory.attached >= context.config.max_links;
        context.directory.attached += 1;
        let place = Place { channel: self.channel.into(), handle };
        let id = context.directory.add(name.clone(), role, place);
        let node = match too_many {
            true => Err(Error::new(Condition::ResourceLimitExceeded, "too many links on this connection")),
            false => node_of(&attach),
        };
        let node = match node {
            Ok(Some(node)) => {
                let unmet = unmet_fields::of_attach(&attach, self.remote_channel);
                context.note_unmet(unmet).map(|()| Some(node))
            }
            other => other,
        };
        let mut link = Link {
            id,
            name,
            // The state of a link that is refused here; the detach follows the answer.
            state: LinkState::AwaitDetach,
            end: our_end(&attach, matches!(node, Ok(Some(Node::Anonymous))), context),
            flow_due: false,
            unsettled: 0,
            initiated: false,
        };
        let event = node.map(|node| node.map(|node| event_for(&attach, id, self.channel, node, &link.end)));
        self.handles.set(attach.handle, handle);
        let (attach, error) = match event {
            Ok(Some(event)) => {
                context.events.push_back(event);
                link.state = LinkState::AwaitRoute(Box::new(attach));
                self.links.insert(link);
                return Ok(());
            }
            Ok(None) => (attach, None),
            Err(error) => (attach, Some(error)),
        };
        self.links.insert(link);
        match error {
            Some(error) => self.refuse(handle, attach, error, context),
            // 2.7.3: a null terminus is legal. It serves to resume a link, and no link state is kept here.
            None => {
                let error = Error::new(Condition::NotFound, "the attach names no node");
                self.put_refusal(handle, attach, context)?;
                self.detach(handle, error, context)
            }
        }
    }

    /// Answers the peer's attach after the router has found the node.
    pub(crate) fn attached(
        &mut self,
        handle: usize,
        address: Option<Arc<str>>,
        kind: NodeKind,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        let Some(attach) = self.routed_attach(handle, LinkState::Attached) else { return Ok(()) };
        let place = unmet_fields::place_of(&attach, self.remote_channel);
        let mut answer = answer_to(*attach, handle, context.config.max_message_size);
        let unmet = match &mut answer {
            Attach { role: Role::Sender, source: Some(AnySource::Source(source)), .. } => {
                let granted = source.granted(address, kind);
                unmet_fields::of_source(place, &std::mem::replace(source, granted), source)
            }
            Attach { role: Role::Receiver, target: Some(AnyTarget::Target(target)), .. } => {
                let granted = target.granted(address, kind);
                unmet_fields::of_target(place, &std::mem::replace(target, granted), target)
            }
            _ => Vec::new(),
        };
        self.put_attach(answer, context)?;
        match context.note_unmet(unmet) {
            Ok(()) => Ok(()),
            Err(error) => self.detach(handle, error, context),
        }
    }

    /// Answers the peer's attach, and detaches, after the router has refused it.
    pub(crate) fn refused(&mut self, handle: usize, error: Error, context: &mut Context<'_>) -> Result<(), Violation> {
        let Some(attach) = self.routed_attach(handle, LinkState::AwaitDetach) else { return Ok(()) };
        self.put_refusal(handle, *attach, context)?;
        self.detach(handle, error, context)
    }

    /// Ends a link's wait for the router, which answers each attach once. Returns the peer's attach.
    fn routed_attach(&mut self, handle: usize, next: LinkState) -> Option<Box<Attach>> {
        live(self.link_mut(handle)?.route_found(next), "the attach that the router answers")
    }

    /// Writes an attach. If it does not fit the peer's max-frame-size, what only repeats the peer's attach is left out.
    fn put_attach(&self, answer: Attach, context: &mut Context<'_>) -> Result<(), Violation> {
        context.wire.send(self.channel, &answer).or_else(|_| context.wire.send(self.channel, &shortened(answer)))
    }

    /// Answers an attach that breaks a rule (2.6.3). Returns the violation, which detaches the link.
    fn refuse(
        &mut self,
        handle: usize,
        attach: Attach,
        error: Error,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        self.put_refusal(handle, attach, context)?;
        Err(Violation::of(Scope::Link(handle), "2.7.3", error))
    }

    /// Answers an attach that is refused (2.6.3): the terminus on our side is null.
    fn put_refusal(&self, handle: usize, attach: Attach, context: &mut Context<'_>) -> Result<(), Violation> {
        let mut answer = answer_to(attach, handle, context.config.max_message_size);
        match answer.role {
            Role::Sender => answer.source = None,
            Role::Receiver => answer.target = None,
        }
        self.put_attach(answer, context)
    }

    /// Closes a link with an error (2.6.5). Its handle stays in use until the peer has detached too.
    pub(crate) fn detach(&mut self, handle: usize, error: Error, context: &mut Context<'_>) -> Result<(), Violation> {
        self.close_link(handle, Some(error), context)
    }

    /// Closes a link, with an error or without (2.6.5, 2.6.6).
    pub(super) fn close_link(
        &mut self,
        handle: usize,
        error: Option<Error>,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        let gone = self.let_go(handle, context).into_iter().collect();
        context.events.push_back(Event::Detach { gone });
        let error = error.map(|error| error.shortened(context.wire.description_limit()));
        context.wire.send(self.channel, &Detach { handle: saturate(handle), closed: true, error })
    }

    /// Closes a link with an error if it is attached. Its pending dispositions are written first.
    pub(crate) fn detach_attached(
        &mut self,
        handle: usize,
        error: Error,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        if !self.is_attached(handle) {
            return Ok(());
        }
        // Pending dispositions come before the detach.
        self.finish_turn(&mut context.wire)?;
        self.detach(handle, error, context)
    }

    /// Removes a link from directory and ledgers. Returns it if the router knows it.
    fn let_go(&mut self, handle: usize, context: &mut Context<'_>) -> Option<LinkId> {
        self.forget_deliveries(handle, context);
        let link = live(self.links.get_mut(handle), LINK)?;
        context.directory.remove(link.id, &link.name, link.role());
        let before = std::mem::replace(&mut link.state, LinkState::AwaitDetach);
        // A link in AwaitRoute is known as soon as the router gets the event that asks for its node.
        let is_known = !matches!(before, LinkState::AwaitDetach);
        is_known.then_some(link.id)
    }

    /// Removes all links, without a detach for each. Returns those that the router knows.
    pub(crate) fn let_all_go(&mut self, context: &mut Context<'_>) -> Vec<LinkId> {
        self.forget_unsettled();
        let handles: Vec<usize> = self.links.iter().map(|(handle, _)| handle).collect();
        handles.into_iter().filter_map(|handle| self.let_go(handle, context)).collect()
    }

    /// Takes a detach of the peer's, which may answer ours (2.7.7), and frees the handle.
    pub(crate) fn on_detach(&mut self, detach: &Detach, context: &mut Context<'_>) -> Result<(), Violation> {
        let handle = self.local_handle(detach.handle)?;
        let Some(link) = self.link(handle) else { return Ok(()) };
        if link.initiated {
            let fault = detach.error.clone().map(Fault::from);
            context.events.push_back(Event::Reply(Box::new(Reply::Detached { link: link.id, fault })));
        }
        if !matches!(link.state, LinkState::AwaitDetach) {
            let gone = self.let_go(handle, context).into_iter().collect();
            context.events.push_back(Event::Detach { gone });
            // Pending dispositions come before the detach.
            self.finish_turn(&mut context.wire)?;
            // 2.6.6: closed if the peer closes. A peer that only detaches can attach again, to a new link: no link state is kept.
            let answer = Detach { handle: saturate(handle), closed: detach.closed, error: None };
            context.wire.send(self.channel, &answer)?;
        }
        self.handles.clear(detach.handle);
        if live(self.links.try_remove(handle), LINK).is_some() {
            context.directory.attached -= 1;
        }
        // Deliveries of other links may have waited for one of this link's.
        self.pump(context);
        Ok(())
    }

    /// Ends the session and all its links (2.5.5), with the error that is the reason, if there is one.
    pub(crate) fn end(&mut self, error: Option<Error>, context: &mut Context<'_>) -> Result<(), Violation> {
        let gone = self.let_all_go(context);
        context.events.push_back(Event::Detach { gone });
        self.finish_turn(&mut context.wire)?;
        self.ended = true;
        let error = error.map(|error| error.shortened(context.wire.description_limit()));
        context.wire.send(self.channel, &End { error })
    }
}

/// Returns the node that an attach asks for, or why it cannot be attached to. None if the terminus on our side is null.
fn node_of(attach: &Attach) -> Result<Option<Node>, Error> {
    let invalid = |what: &str| Error::new(Condition::InvalidField, what);
    let unknown = || Error::new(Condition::NotImplemented, "terminus of a type that is not supported");
    match attach.role {
        Role::Sender => {
            if attach.initial_delivery_count.is_none() {
                return Err(invalid("a sender's attach has an initial-delivery-count"));
            }
            match &attach.target {
                Some(AnyTarget::Target(target)) if target.dynamic => {
                    Ok(Some(Node::Dynamic(node_kind(&target.capabilities))))
                }
                Some(AnyTarget::Target(Target { address: Some(address), .. })) => named(address).map(Some),
                Some(AnyTarget::Target(_)) => Ok(Some(Node::Anonymous)),
                Some(AnyTarget::Coordinator(_)) => {
                    Err(Error::new(Condition::NotImplemented, "transactions are not supported"))
                }
                Some(AnyTarget::Unknown(_)) => Err(unknown()),
                None => Ok(None),
            }
        }
        Role::Receiver => match &attach.source {
            Some(AnySource::Source(source)) if source.dynamic => {
                Ok(Some(Node::Dynamic(node_kind(&source.capabilities))))
            }
            Some(AnySource::Source(source)) => {
                source.browses().map_err(|_| invalid("distribution-mode is move or copy"))?;
                let address = source.address.as_ref();
                named(address.ok_or_else(|| invalid("a source has an address or is dynamic"))?).map(Some)
            }
            Some(AnySource::Unknown(_)) => Err(unknown()),
            None => Ok(None),
        },
    }
}

fn named(address: &Arc<str>) -> Result<Node, Error> {
    if address.is_empty() {
        return Err(Error::new(Condition::InvalidField, "an address is not empty"));
    }
    Ok(Node::Address(address.clone()))
}

fn our_end(attach: &Attach, anonymous: bool, context: &Context<'_>) -> LinkEnd {
    match attach.role {
        Role::Sender => {
            let by_to = context.config.route_by_to || anonymous;
            let mut receiver = Receiver::new(attach.initial_delivery_count.unwrap_or_default(), by_to);
            receiver.settle_mode = attach.rcv_settle_mode;
            receiver.relay = anonymous.then(|| Box::new(Relay { rejects: allows_rejected(attach), last: None }));
            LinkEnd::Receiver(receiver)
        }
        Role::Receiver => {
            let default_outcome = match &attach.source {
                Some(AnySource::Source(source)) => {
                    source.default_outcome.clone().map_or(Outcome::Released, Outcome::from)
                }
                _ => Outcome::Released,
            };
            LinkEnd::Sender(Sender::new(default_outcome))
        }
    }
}

/// Replaces snd-settle-mode mixed, which leaves the choice to the sender, by unsettled (2.8.2).
fn choose_unsettled(attach: &mut Attach) {
    if attach.role == Role::Receiver && attach.snd_settle_mode == SenderSettleMode::Mixed {
        attach.snd_settle_mode = SenderSettleMode::Unsettled;
    }
}

/// Whether the peer's source allows the outcome rejected. A source without outcomes allows all (3.5.3).
fn allows_rejected(attach: &Attach) -> bool {
    let Some(AnySource::Source(source)) = &attach.source else { return true };
    source.outcomes.is_empty() || source.outcomes.iter().any(|outcome| outcome.as_str() == Rejected::NAME)
}

fn event_for(attach: &Attach, link: LinkId, channel: u16, node: Node, end: &LinkEnd) -> Event {
    match end {
        LinkEnd::Receiver(_) => Event::AttachProducer { link, name: attach.name.clone(), node },
        LinkEnd::Sender(sender) => Event::AttachConsumer(Box::new(ConsumerRequest {
            link,
            channel: Some(channel),
            name: attach.name.clone(),
            node,
            manner: match attach.snd_settle_mode {
                SenderSettleMode::Settled => Manner::Settled,
                SenderSettleMode::Unsettled => Manner::Unsettled,
                SenderSettleMode::Mixed => Manner::Mixed,
            },
            browse: matches!(&attach.source, Some(AnySource::Source(source)) if source.browses() == Ok(true)),
            default_outcome: sender.default_outcome.clone(),
            // 2.7.3: zero means no limit, as null does.
            max_message_size: attach.max_message_size.filter(|max| *max > 0).unwrap_or(u64::MAX),
            exclusive: false,
            passing: false,
            prefetch: None,
            arguments: arguments::of_attach(attach),
        })),
    }
}

/// Returns our attach that answers the peer's, before the termini say what is granted.
fn answer_to(attach: Attach, handle: usize, max_message_size: u64) -> Attach {
    let role = attach.role.other();
    Attach {
        name: attach.name,
        handle: saturate(handle),
        role,
        snd_settle_mode: attach.snd_settle_mode,
        // 2.8.3: as the peer asks. Deliveries in mode second are settled with their outcome all the same: some clients
        // (azure-servicebus) ask for second, never settle, and wait for a settled disposition.
        rcv_settle_mode: attach.rcv_settle_mode,
        source: attach.source,
        target: attach.target,
        // 2.6.13: no state of detached links is kept, so there is nothing to resume.
        unsettled: None,
        incomplete_unsettled: false,
        initial_delivery_count: (role == Role::Sender).then(SequenceNo::default),
        max_message_size: Some(max_message_size).filter(|max| role == Role::Receiver && *max < u64::MAX),
        offered_capabilities: Vec::new(),
        desired_capabilities: Vec::new(),
        properties: None,
    }
}

/// Leaves out of our attach what only repeats the peer's.
fn shortened(answer: Attach) -> Attach {
    let source = answer.source.map(|source| match source {
        AnySource::Source(source) => {
            let Source { address, dynamic, .. } = *source;
            AnySource::Source(Box::new(Source {
                address: address.filter(|_| answer.role == Role::Sender),
                dynamic,
                ..Source::default()
            }))
        }
        unknown @ AnySource::Unknown(_) => unknown,
    });
    let target = answer.target.map(|target| match target {
        AnyTarget::Target(Target { address, dynamic, .. }) => AnyTarget::Target(Target {
            address: address.filter(|_| answer.role == Role::Receiver),
            dynamic,
            ..Target::default()
        }),
        other => other,
    });
    Attach { source, target, ..answer }
}
