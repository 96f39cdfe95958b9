//! 2.1.5: channels. How a channel opens and closes, and which of its parts takes a method or an effect. Knows no
//! connection.

use super::consumers::Consumers;
use super::context::Context;
use super::declarations::Declarations;
use super::directory::{End, Place};
use super::frame::Frame;
use super::method::{self, Access, Basic, Channel as Class, Confirm, Method, MethodId, PUBLISH, Tx};
use super::publisher::{Publisher, is_refused};
use super::transaction::{Transaction, amid_commit, cannot_switch, not_transactional};
use super::types::{Since09, shortened};
use super::violation::{Details, ReplyCode, Violation, not_for_us};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use crate::arguments::{ArgumentOf, Arguments};
use crate::event::{Delivery, Effect, Event, Fault, LinkId, Node, Outcome};
use crate::message::Payload;
use crate::unmet::{self, Unmet};

/// A channel of a connection: its state, its publisher, its consumers and its declarations.
#[derive(Debug)]
pub(super) struct Channel {
    number: u16,
    /// The link on which the channel publishes, declares, binds, purges and deletes.
    link: LinkId,
    state: State,
    /// Whether the channel is on its connection's list for the end of the turn.
    pub(super) is_touched: bool,
    publisher: Publisher,
    consumers: Consumers,
    declarations: Declarations,
    /// The transaction, after tx.select.
    transaction: Option<Box<Transaction>>,
}

/// ```text
///     channel.open          the router says yes         either side closes             close-ok
/// ────────────────▶ AwaitRoute ────────────▶ Open ─────────▶ AwaitCloseOk ────────────────▶ Closed
///                                              └──────────── the peer closes ────────────────▲
///       tx.select                 tx.commit
/// Open ───────────▶ Transactional ──────────▶ Committing
///                        ▲───────────────────────┘
///                        the router has answered for all
/// ```
/// A transactional channel closes like an open one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    AwaitRoute,
    Open,
    /// Open, and what is published and acknowledged is held until tx.commit.
    Transactional,
    /// tx.commit has not been answered.
    Committing,
    /// The channel was closed by the broker; frames on it are discarded until close-ok.
    AwaitCloseOk,
    /// The number of the channel is free.
    Closed,
}

impl Channel {
    /// Opens a channel. Asks the router for the channel's own link; open-ok follows when the link is attached.
    pub(super) fn open(number: u16, context: &mut Context<'_>) -> Channel {
        let link = context.directory.add(Place { channel: number, end: End::Channel });
        let window = Consumers::first_window();
        context.events.push_back(Event::ChannelOpened { channel: number, window, unit: usize::MAX });
        let name = format!("channel {number}").into();
        context.events.push_back(Event::AttachProducer { link, name, node: Node::Anonymous });
        Channel {
            number,
            link,
            state: State::AwaitRoute,
            is_touched: false,
            publisher: Publisher::new(number, link),
            consumers: Consumers::new(number),
            declarations: Declarations::new(number, link),
            transaction: None,
        }
    }

    /// Whether the channel has closed in both directions.
    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// 2.1.5: whether a method is discarded because the channel is closing. Only close and close-ok are not.
    pub(super) fn is_discarding(&self, id: MethodId) -> bool {
        const CLOSE: MethodId = MethodId { class: 20, method: 40 };
        const CLOSE_OK: MethodId = MethodId { class: 20, method: 41 };
        self.state == State::AwaitCloseOk && id != CLOSE && id != CLOSE_OK
    }

    /// Whether the next frame may be a method, and a publish or an acknowledgement would take effect at once.
    pub(super) fn awaits_method(&self) -> bool {
        self.state == State::Open && !self.publisher.is_amid_content()
    }

    /// Whether [`Channel::finish_turn`] has something to do.
    pub(super) fn is_due(&self) -> bool {
        self.consumers.is_due || self.publisher.has_confirms()
    }

    /// The number of unsettled deliveries on one of the channel's links.
    pub(super) fn unsettled(&self, end: End) -> usize {
        match end {
            End::Channel => 0,
            End::Consumer(slot) => self.consumers.unsettled(slot),
        }
    }

    /// Takes the frame of a basic.publish, whose content is to come.
    pub(super) fn begin_publish(&mut self, frame: &Frame, context: &mut Context<'_>) -> Result<(), Violation> {
        match self.state {
            State::Open | State::Transactional => self.publisher.begin(frame, context),
            State::Committing => Err(amid_commit(PUBLISH)),
            _ => Err(Violation::new(ReplyCode::ChannelError, format!("channel {} is not open", self.number))),
        }
    }

    /// Takes a header or body frame.
    pub(super) fn on_content(&mut self, frame: &Frame, context: &mut Context<'_>) -> Result<(), Violation> {
        match self.state {
            State::AwaitCloseOk => return Ok(()),
            State::Committing => return Err(amid_commit(PUBLISH)),
            _ => {}
        }
        let Some(payload) = self.publisher.on_content(frame, context)? else { return Ok(()) };
        match &mut self.transaction {
            None => self.publish(payload, context),
            Some(transaction) => {
                let held = self.publisher.hold(payload, transaction, context);
                if let Some(exchange) = held.map_err(|violation| violation.in_method(PUBLISH))? {
                    self.declarations.check_publish(exchange, context);
                }
                Ok(())
            }
        }
    }

    /// Takes all frames of a publish at once. Call it only if [`Channel::awaits_method`].
    pub(super) fn publish(&mut self, payload: Payload, context: &mut Context<'_>) -> Result<(), Violation> {
        self.publisher.publish(payload, context).map_err(|violation| violation.in_method(PUBLISH))
    }

    /// Takes the publishes at the start of `input` whose method frame is `method`, as that of the publish before: they
    /// leave in one event with it.
    pub(super) fn gather_publishes(
        &mut self,
        input: &mut BytesMut,
        method: &[u8],
        limit: usize,
        context: &mut Context<'_>,
    ) {
        if self.awaits_method() {
            self.publisher.gather(input, method, limit, context);
        }
    }

    /// Takes a basic.ack. Call it only if [`Channel::awaits_method`].
    pub(super) fn acknowledge(&mut self, tag: u64, multiple: bool, context: &mut Context<'_>) -> Result<(), Violation> {
        self.consumers.acknowledge(tag, multiple, &Outcome::Accepted, context)
    }

    /// Takes a method other than basic.publish.
    pub(super) fn on_method(&mut self, method: &Method<'_>, context: &mut Context<'_>) -> Result<(), Violation> {
        if self.publisher.is_amid_content() {
            return Err(Violation::content("a method where content was expected"));
        }
        if self.state == State::Committing
            && !matches!(method, Method::Channel(Class::Close { .. } | Class::CloseOk {}))
        {
            return Err(amid_commit(method.id()));
        }
        match method {
            Method::Channel(method) => self.on_own_method(method, context),
            Method::Exchange(method) => self.declarations.on_exchange_method(method, context),
            Method::Queue(method) => self.declarations.on_queue_method(method, context),
            Method::Basic(method) => self.on_basic_method(method, context),
            Method::Confirm(Confirm::Select { .. }) if self.transaction.is_some() => {
                Err(cannot_switch("tx", "confirm"))
            }
            Method::Confirm(Confirm::Select { no_wait }) => {
                self.publisher.select_confirms();
                if !no_wait {
                    context.tell(self.number, &Method::Confirm(Confirm::SelectOk {}));
                }
                Ok(())
            }
            Method::Access(Access::Request { .. }) => {
                context.tell(self.number, &Method::Access(Access::RequestOk { ticket: 1 }));
                Ok(())
            }
            Method::Tx(method) => self.on_transaction_method(method, context),
            Method::Connection(_) | Method::Confirm(_) | Method::Access(_) => Err(not_for_us()),
        }
    }

    fn on_own_method(&mut self, method: &Class<'_>, context: &mut Context<'_>) -> Result<(), Violation> {
        match method {
            Class::Close { reply_code, reply_text, .. } => {
                let (name, number) = (&context.terms.name, self.number);
                log::debug!("{name}: channel {number} closed by the peer: {reply_code} {reply_text}");
                self.let_go(context);
                context.tell(self.number, &Method::Channel(Class::CloseOk {}));
                self.state = State::Closed;
                Ok(())
            }
            Class::CloseOk {} if self.state == State::AwaitCloseOk => {
                self.state = State::Closed;
                Ok(())
            }
            Class::CloseOk {} => Err(Violation::new(ReplyCode::CommandInvalid, "close-ok for what was not closed")),
            Class::Flow { active: false } => Err(Violation::new(ReplyCode::NotImplemented, "active=false")),
            Class::Flow { active: true } => {
                context.tell(self.number, &Method::Channel(Class::FlowOk { active: true }));
                Ok(())
            }
            Class::FlowOk { .. } => Err(Violation::new(ReplyCode::CommandInvalid, "flow-ok for what was not asked")),
            Class::Open { .. } => Err(Violation::new(ReplyCode::ChannelError, "second 'channel.open' seen")),
            Class::OpenOk { .. } => Err(not_for_us()),
        }
    }

    fn on_transaction_method(&mut self, method: &Tx, context: &mut Context<'_>) -> Result<(), Violation> {
        let answer = match (method, &mut self.transaction) {
            (Tx::Select {}, _) if self.publisher.is_confirming() => return Err(cannot_switch("confirm", "tx")),
            (Tx::Select {}, transaction) => {
                self.state = State::Transactional;
                transaction.get_or_insert_with(|| Box::new(Transaction::new(context.arriving.holding())));
                Tx::SelectOk {}
            }
            (Tx::Commit {} | Tx::Rollback {}, None) => return Err(not_transactional()),
            (Tx::Commit {}, Some(transaction)) => {
                self.state = State::Committing;
                transaction.begin_commit(self.publisher.next_key());
                return Ok(());
            }
            (Tx::Rollback {}, Some(transaction)) => {
                transaction.roll_back();
                // The deliveries that it has acknowledged are to be acknowledged in time again.
                self.consumers.is_due = true;
                Tx::RollbackOk {}
            }
            (Tx::SelectOk {} | Tx::CommitOk {} | Tx::RollbackOk {}, _) => return Err(not_for_us()),
        };
        context.tell(self.number, &Method::Tx(answer));
        Ok(())
    }

    /// Carries on with a commit: sends the router the next messages, `limit` at most, or after the last one the
    /// acknowledgements. Returns whether there may be more.
    pub(super) fn carry_on_commit(&mut self, limit: usize, context: &mut Context<'_>) -> Result<bool, Violation> {
        // A message of the commit may have closed the channel.
        let Some(transaction) = self.transaction.as_mut().filter(|_| self.state == State::Committing) else {
            return Ok(false);
        };
        if self.publisher.release(transaction, limit, context) {
            return Ok(true);
        }
        self.consumers.release_acks(transaction.finish_release(), context);
        self.end_commit(context)?;
        Ok(false)
    }

    /// Writes commit-ok if the router has answered for all messages of a commit.
    fn end_commit(&mut self, context: &mut Context<'_>) -> Result<(), Violation> {
        let Some(result) = self.transaction.as_mut().and_then(|transaction| transaction.end_commit()) else {
            return Ok(());
        };
        self.state = State::Transactional;
        result?;
        context.tell(self.number, &Method::Tx(Tx::CommitOk {}));
        Ok(())
    }

    /// Takes basic.ack, basic.nack or basic.reject.
    fn answer(
        &mut self,
        tag: u64,
        multiple: bool,
        outcome: Outcome,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        if outcome != Outcome::Accepted {
            self.consumers.check_can_give_back(tag, multiple, context.terms)?;
        }
        match &mut self.transaction {
            None => self.consumers.acknowledge(tag, multiple, &outcome, context),
            Some(transaction) => self.consumers.hold_ack(tag, multiple, outcome, transaction),
        }
    }

    /// Notes what a basic.consume asks for and does not get.
    fn note_consumer(
        &self,
        queue: &Arc<str>,
        tag: &str,
        no_local: bool,
        arguments: &Arguments,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        let (link, address) = ((!tag.is_empty()).then(|| tag.into()), Some(queue.clone()));
        let place = unmet::Place { method: "basic.consume", channel: Some(self.number), link, address };
        if no_local {
            let why = "a consumer is sent what its own connection published, too";
            context.note_unmet([Unmet::new(&place, "no-local", true, why)])?;
        }
        context.note_arguments(ArgumentOf::Consumer, &place, arguments)
    }

    fn on_basic_method(&mut self, method: &Basic<'_>, context: &mut Context<'_>) -> Result<(), Violation> {
        let outcome_of = |requeue| if requeue { Outcome::Released } else { Outcome::Rejected(None) };
        let answer = match *method {
            Basic::Qos { prefetch_size, prefetch_count, global } => {
                self.consumers.set_prefetch(prefetch_size, prefetch_count, global)?;
                Basic::QosOk {}
            }
            Basic::Consume { queue, consumer_tag, no_local, no_ack, exclusive, no_wait, arguments, .. } => {
                let queue = self.declarations.queue_named(queue)?;
                let arguments = Arguments::new(arguments.0.values());
                self.note_consumer(&queue, consumer_tag, no_local, &arguments, context)?;
                return self.consumers.consume(queue, consumer_tag, (no_ack, exclusive, no_wait), arguments, context);
            }
            Basic::Cancel { consumer_tag, no_wait } => {
                self.consumers.cancel(consumer_tag, context);
                self.publisher.reply_to = self.consumers.reply_to();
                if no_wait {
                    return Ok(());
                }
                Basic::CancelOk { consumer_tag }
            }
            Basic::Get { queue, no_ack, .. } => {
                let queue = self.declarations.queue_named(queue)?;
                return self.consumers.get(queue, no_ack, context);
            }
            Basic::Ack { delivery_tag, multiple } => {
                return self.answer(delivery_tag, multiple, Outcome::Accepted, context);
            }
            Basic::Nack { delivery_tag, multiple, requeue } => {
                return self.answer(delivery_tag, multiple, outcome_of(requeue), context);
            }
            Basic::Reject { delivery_tag, requeue } => {
                return self.answer(delivery_tag, false, outcome_of(requeue), context);
            }
            Basic::Recover { requeue: false } | Basic::RecoverAsync { requeue: false } => {
                return Err(Violation::new(ReplyCode::NotImplemented, "requeue=false"));
            }
            Basic::Recover { .. } => {
                self.consumers.recover(self.transaction.as_deref_mut(), context);
                Basic::RecoverOk {}
            }
            Basic::RecoverAsync { .. } => {
                self.consumers.recover(self.transaction.as_deref_mut(), context);
                return Ok(());
            }
            // cancel-ok answers a basic.cancel of the broker's; basic.publish is taken by begin_publish.
            Basic::CancelOk { .. } | Basic::Publish { .. } => return Ok(()),
            Basic::QosOk {}
            | Basic::ConsumeOk { .. }
            | Basic::Return { .. }
            | Basic::Deliver { .. }
            | Basic::GetOk { .. }
            | Basic::GetEmpty { .. }
            | Basic::RecoverOk {} => return Err(not_for_us()),
        };
        context.tell(self.number, &Method::Basic(answer));
        Ok(())
    }

    /// Applies an effect to one of the channel's links.
    pub(super) fn apply(&mut self, end: End, effect: Effect, context: &mut Context<'_>) -> Result<(), Violation> {
        match (effect, end) {
            (Effect::Deliver { mut deliveries, .. }, end) => self.deliver(end, &mut deliveries, context),
            (Effect::Settle { first, count, outcome, .. }, End::Channel) => {
                self.publisher.settle(first, count, &outcome, context);
                if self.state == State::Committing
                    && let Some(transaction) = &mut self.transaction
                {
                    transaction.answered(first, count, is_refused(&outcome));
                    return self.end_commit(context);
                }
            }
            // basic.return and confirms follow from the outcome; without either the publisher is told nothing.
            (Effect::Unroutable { .. }, End::Channel) => {}
            (Effect::Grant { credit, .. } | Effect::GrantMore { credit, .. }, End::Channel) => {
                self.publisher.set_starved(credit == 0, context);
            }
            (Effect::Drained { left, .. }, End::Consumer(slot)) => self.consumers.drained(slot, left, context),
            (Effect::Attached { .. }, End::Channel) => self.attached(context),
            (Effect::Attached { kind, address, .. }, End::Consumer(slot)) => {
                self.consumers.take_replies_at(slot, address);
                self.consumers.attached(slot, kind, context);
                self.publisher.reply_to = self.consumers.reply_to();
            }
            (Effect::Refused { fault, .. }, End::Channel) => return self.refused(&fault, context),
            (Effect::Refused { fault, .. }, End::Consumer(slot)) => {
                return self.consumers.refused(slot, &fault, context);
            }
            (Effect::Detach { fault, .. }, End::Channel) => self.close(&Violation::from(&*fault).0, context),
            (Effect::Detach { .. }, End::Consumer(slot)) => {
                self.consumers.ended(slot, context);
                self.publisher.reply_to = self.consumers.reply_to();
            }
            (Effect::Declared { address, messages, consumers, .. }, End::Channel) => {
                self.declarations.declared(address, messages, consumers, context);
            }
            (Effect::Deleted { messages, .. } | Effect::Purged { messages, .. }, End::Channel) => {
                self.declarations.emptied(messages, context);
            }
            (Effect::TopologyChanged { .. }, End::Channel) => self.declarations.changed(context),
            (effect, end) => debug_assert!(false, "{effect:?} is not for {end:?}"),
        }
        Ok(())
    }

    /// Writes deliveries to one of the channel's consumers. Empties the list.
    pub(super) fn deliver(&mut self, end: End, deliveries: &mut Vec<Delivery>, context: &mut Context<'_>) {
        match end {
            End::Consumer(slot) => self.consumers.deliver(slot, deliveries, context),
            End::Channel => debug_assert!(false, "a channel is sent nothing"),
        }
    }

    /// Writes open-ok: the router has attached the channel's own link.
    fn attached(&mut self, context: &mut Context<'_>) {
        self.state = State::Open;
        context.tell(self.number, &Method::Channel(Class::OpenOk { channel_id: Since09::default() }));
    }

    /// Takes a refusal on the channel's own link: of a declaration, of a message, or of the link itself.
    fn refused(&mut self, fault: &Fault, context: &mut Context<'_>) -> Result<(), Violation> {
        if let Some(result) = self.declarations.refused(fault, context) {
            return result;
        }
        let violation = Violation::from(fault).soft();
        match self.state {
            // No declaration is open, so the last message published is refused.
            State::Open | State::Transactional | State::Committing => Err(violation.in_method(PUBLISH)),
            _ => {
                self.state = State::Open;
                Err(violation)
            }
        }
    }

    /// Ends the turn: writes the confirms that have gathered, and gives consumers the credit that acknowledgements have
    /// freed.
    pub(super) fn finish_turn(&mut self, now: Instant, context: &mut Context<'_>) {
        self.is_touched = false;
        if let Some(timeout) = context.config.consumer_timeout {
            self.consumers.note_time(now, timeout);
        }
        self.publisher.put_confirms(context);
        if self.consumers.is_due {
            self.consumers.grant(context);
        }
    }

    /// The time at which the oldest delivery went out that is not acknowledged, if times are noted.
    pub(super) fn oldest_since(&mut self) -> Option<Instant> {
        self.consumers.oldest_since(self.transaction.as_deref())
    }

    /// Closes the channel with channel.close. Its number stays in use until close-ok.
    pub(super) fn close(&mut self, details: &Details, context: &mut Context<'_>) {
        if matches!(self.state, State::AwaitCloseOk | State::Closed) {
            return;
        }
        self.state = State::AwaitCloseOk;
        self.let_go(context);
        let version = context.terms.version;
        let ((reply_code, text), id) = (details.reply(version), method::wire_id(details.method, version));
        let close = Class::Close { reply_code, reply_text: shortened(&text), class_id: id.class, method_id: id.method };
        context.tell(self.number, &Method::Channel(close));
    }

    /// Detaches the channel's links. The router takes back the deliveries that are not acknowledged.
    fn let_go(&mut self, context: &mut Context<'_>) {
        self.publisher.let_go(context);
        let links: Vec<LinkId> = self.consumers.links().chain([self.link]).collect();
        // The links were removed before if the channel was closing when its peer closed it.
        let gone: Vec<LinkId> = links.into_iter().filter(|link| context.directory.remove(*link).is_some()).collect();
        if !gone.is_empty() {
            context.events.push_back(Event::Detach { gone });
        }
        self.consumers = Consumers::new(self.number);
        self.transaction = None;
    }

    /// Octets of what the transaction holds.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> usize {
        self.transaction.as_ref().map_or(0, |transaction| transaction.bytes())
    }
}
