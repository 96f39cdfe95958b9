//! The exchange and queue classes. Turns each method into a question to the router, whose answer comes before the next
//! frame is read.

use std::sync::Arc;

use super::context::Context;
use super::method::{Exchange, Method, MethodId, PUBLISH, Queue};
use super::table::Table;
use super::types::saturate;
use super::violation::{ReplyCode, Violation, not_for_us};
use crate::arguments::{ArgumentOf, Arguments};
use crate::event::{
    BindingRequest, BindingTarget, Declaration, Event, ExchangeDeclaration, ExchangeKind, Fault, Lifetime, LinkId,
    Reason, TopologyChange, TopologyRequest,
};
use crate::live::live;
use crate::unmet::Place;

/// The declarations, bindings, purges and deletions of a channel.
#[derive(Debug)]
pub(super) struct Declarations {
    channel: u16,
    link: LinkId,
    /// The question that the router has not answered, and its method.
    question: Option<(MethodId, Question)>,
    /// The queue that was declared last on the channel; an empty name means it.
    last_queue: Option<Arc<str>>,
}

/// A question to the router, with what the answer to the client needs.
#[derive(Debug)]
enum Question {
    Declare {
        no_wait: bool,
    },
    /// A change to exchanges or bindings. None if the client does not wait for the answer.
    Change {
        answer: Option<Method<'static>>,
    },
    Purge {
        no_wait: bool,
    },
    Delete {
        no_wait: bool,
    },
}

impl Declarations {
    pub(super) fn new(channel: u16, link: LinkId) -> Declarations {
        Declarations { channel, link, question: None, last_queue: None }
    }

    /// Takes a method of the exchange class.
    pub(super) fn on_exchange_method(
        &mut self,
        method: &Exchange<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Violation> {
        let id = Method::Exchange(method.clone()).id();
        let (no_wait, answer, change) = match *method {
            Exchange::Declare { exchange, passive: true, no_wait, .. } => {
                (no_wait, Exchange::DeclareOk {}, TopologyChange::Find(exchange.into()))
            }
            Exchange::Declare { exchange, kind, durable, auto_delete, internal, no_wait, arguments, .. } => {
                let Some(kind) = ExchangeKind::named(kind) else {
                    return Err(Violation::new(ReplyCode::CommandInvalid, format!("unknown exchange type '{kind}'")));
                };
                if durable {
                    log::debug!("{}: exchange {exchange:?} is not durable: nothing is", context.terms.name);
                }
                let arguments = Arguments::new(arguments.values());
                let name: Arc<str> = exchange.into();
                let place = self.place("exchange.declare", Some(name.clone()));
                context.note_arguments(ArgumentOf::Exchange, &place, &arguments)?;
                let declaration = ExchangeDeclaration { name, kind, durable, auto_delete, internal, arguments };
                (no_wait, Exchange::DeclareOk {}, TopologyChange::Declare(declaration))
            }
            Exchange::Delete { exchange, if_unused, no_wait, .. } => {
                (no_wait, Exchange::DeleteOk {}, TopologyChange::Delete { name: exchange.into(), if_unused })
            }
            Exchange::Bind { destination, source, routing_key, no_wait, arguments, .. } => {
                let target = BindingTarget::Exchange(destination.into());
                let request = binding(source, target, routing_key, arguments);
                (no_wait, Exchange::BindOk {}, TopologyChange::Bind(request))
            }
            Exchange::Unbind { destination, source, routing_key, no_wait, arguments, .. } => {
                let target = BindingTarget::Exchange(destination.into());
                let request = binding(source, target, routing_key, arguments);
                (no_wait, Exchange::UnbindOk {}, TopologyChange::Unbind(request))
            }
            Exchange::DeclareOk {} | Exchange::DeleteOk {} | Exchange::BindOk {} | Exchange::UnbindOk {} => {
                return Err(not_for_us());
            }
        };
        self.ask_for_change(id, (!no_wait).then_some(Method::Exchange(answer)), change, context);
        Ok(())
    }

    /// Takes a method of the queue class.
    pub(super) fn on_queue_method(&mut self, method: &Queue<'_>, context: &mut Context<'_>) -> Result<(), Violation> {
        let id = Method::Queue(method.clone()).id();
        match *method {
            Queue::Declare { queue, passive, durable, exclusive, auto_delete, no_wait, arguments, .. } => {
                let address = match queue {
                    "" if !passive => None,
                    name => Some(name.into()),
                };
                if durable && !passive {
                    log::debug!("{}: queue {queue:?} is not durable: nothing is", context.terms.name);
                }
                let lifetime = Lifetime { exclusive, while_consumed: auto_delete };
                let arguments = Arguments::new(arguments.values());
                if !passive {
                    let place = self.place("queue.declare", address.clone());
                    context.note_arguments(ArgumentOf::Queue, &place, &arguments)?;
                }
                let link = self.link;
                let declaration = Declaration { link, address, passive, lifetime, durable, arguments };
                self.ask(id, Question::Declare { no_wait }, Event::Declare(Box::new(declaration)), context);
            }
            Queue::Bind { queue, exchange, routing_key, no_wait, arguments, .. } => {
                let request = self.queue_binding(queue, exchange, routing_key, arguments)?;
                let answer = (!no_wait).then_some(Method::Queue(Queue::BindOk {}));
                self.ask_for_change(id, answer, TopologyChange::Bind(request), context);
            }
            Queue::Unbind { queue, exchange, routing_key, arguments, .. } => {
                let request = self.queue_binding(queue, exchange, routing_key, arguments)?;
                let answer = Method::Queue(Queue::UnbindOk {});
                self.ask_for_change(id, Some(answer), TopologyChange::Unbind(request), context);
            }
            Queue::Purge { queue, no_wait, .. } => {
                let address = self.queue_named(queue)?;
                self.ask(id, Question::Purge { no_wait }, Event::Purge { link: self.link, address }, context);
            }
            Queue::Delete { queue, if_unused, if_empty, no_wait, .. } => {
                let address = self.queue_named(queue)?;
                let event = Event::Delete { link: self.link, address, if_unused, if_empty };
                self.ask(id, Question::Delete { no_wait }, event, context);
            }
            Queue::DeclareOk { .. }
            | Queue::BindOk {}
            | Queue::UnbindOk {}
            | Queue::PurgeOk { .. }
            | Queue::DeleteOk { .. } => return Err(not_for_us()),
        }
        Ok(())
    }

    fn place(&self, method: &'static str, address: Option<Arc<str>>) -> Place {
        Place { method, channel: Some(self.channel), link: None, address }
    }

    fn queue_binding(
        &self,
        queue: &str,
        exchange: &str,
        routing_key: &str,
        arguments: Table<'_>,
    ) -> Result<BindingRequest, Violation> {
        let address = self.queue_named(queue)?;
        // 1.7.2.3: with neither a queue nor a routing key given, the routing key is the name of the queue.
        let key = if queue.is_empty() && routing_key.is_empty() { address.as_ref() } else { routing_key };
        Ok(binding(exchange, BindingTarget::Queue(address.clone()), key, arguments))
    }

    /// The queue of this name; of the last queue declared on the channel if the name is empty. Fails if there is none.
    pub(super) fn queue_named(&self, name: &str) -> Result<Arc<str>, Violation> {
        if !name.is_empty() {
            return Ok(name.into());
        }
        let last = self.last_queue.clone();
        last.ok_or_else(|| Violation::new(ReplyCode::NotFound, "no previously declared queue"))
    }

    fn ask(&mut self, method: MethodId, question: Question, event: Event, context: &mut Context<'_>) {
        debug_assert!(self.question.is_none(), "each question is answered before the next");
        self.question = Some((method, question));
        context.events.push_back(event);
    }

    fn ask_for_change(
        &mut self,
        method: MethodId,
        answer: Option<Method<'static>>,
        change: TopologyChange,
        context: &mut Context<'_>,
    ) {
        let event = Event::Topology(Box::new(TopologyRequest { link: self.link, change }));
        self.ask(method, Question::Change { answer }, event, context);
    }

    /// Asks whether the client may publish to an exchange, to which a publish of a transaction goes.
    pub(super) fn check_publish(&mut self, exchange: Arc<str>, context: &mut Context<'_>) {
        self.ask_for_change(PUBLISH, None, TopologyChange::CheckPublish(exchange), context);
    }

    /// Takes the question that the router has answered.
    fn answered(&mut self) -> Option<Question> {
        live(self.question.take(), "what a channel has asked the router").map(|(_, question)| question)
    }

    /// Writes declare-ok: the router has the queue.
    pub(super) fn declared(&mut self, queue: Arc<str>, messages: usize, consumers: usize, context: &mut Context<'_>) {
        let Some(Question::Declare { no_wait }) = self.answered() else { return };
        if !no_wait {
            let (message_count, consumer_count) = (saturate(messages), saturate(consumers));
            let answer = Queue::DeclareOk { queue: &queue, message_count, consumer_count };
            context.tell(self.channel, &Method::Queue(answer));
        }
        self.last_queue = Some(queue);
    }

    /// Writes the answer to a change of exchanges or bindings: the router has made it.
    pub(super) fn changed(&mut self, context: &mut Context<'_>) {
        if let Some(Question::Change { answer: Some(answer) }) = self.answered() {
            context.tell(self.channel, &answer);
        }
    }

    /// Writes purge-ok or delete-ok: the router has removed `messages` messages.
    pub(super) fn emptied(&mut self, messages: usize, context: &mut Context<'_>) {
        let message_count = saturate(messages);
        let answer = match self.answered() {
            Some(Question::Purge { no_wait: false }) => Queue::PurgeOk { message_count },
            Some(Question::Delete { no_wait: false }) => Queue::DeleteOk { message_count },
            // The client does not wait for the answer.
            _ => return,
        };
        context.tell(self.channel, &Method::Queue(answer));
    }

    /// Takes a refusal of the open question. None if no question is open: then something else was refused.
    pub(super) fn refused(&mut self, fault: &Fault, context: &mut Context<'_>) -> Option<Result<(), Violation>> {
        let (method, question) = self.question.take()?;
        let violation = Violation::from(fault).in_method(method);
        Some(match (question, &fault.reason) {
            // As at RabbitMQ: to delete a queue that does not exist succeeds.
            (Question::Delete { no_wait }, Reason::NotFound) => {
                if !no_wait {
                    context.tell(self.channel, &Method::Queue(Queue::DeleteOk { message_count: 0 }));
                }
                Ok(())
            }
            // A limit on exchanges or bindings ends the connection, as the class of the reply code says.
            (Question::Change { .. }, Reason::ResourceLimitExceeded) => Err(violation),
            (_, Reason::NotImplemented) => Err(Violation::unmet(violation.0.text.as_ref().into()).in_method(method)),
            _ => Err(violation.soft()),
        })
    }
}

fn binding(source: &str, target: BindingTarget, key: &str, arguments: Table<'_>) -> BindingRequest {
    BindingRequest { source: source.into(), target, key: key.into(), arguments: Arguments::new(arguments.values()) }
}
