//! The exchange and queue classes, as a channel asks for them. What is asked for is the router's to do, which answers before
//! the next frame is read. A part of `channel.rs`.

use std::sync::Arc;

use super::channel::not_for_us;
use super::connection::Connection;
use super::method::{Exchange, Method, MethodId, Queue};
use super::table::Table;
use super::types::saturate;
use super::violation::{ReplyCode, Violation};
use crate::arguments::Arguments;
use crate::event::{
    BindingRequest, BindingTarget, Declaration, Event, ExchangeDeclaration, ExchangeKind, Fault, Lifetime, LinkId,
    Reason, Ticket, TopologyChange, TopologyRequest,
};
use crate::message::Message;
use crate::outbox::Outbox;

/// What the router has been asked for a channel.
#[derive(Debug)]
pub(crate) enum Question {
    Declare {
        no_wait: bool,
    },
    /// Exchanges or bindings; with what it is answered.
    Change {
        method: MethodId,
        answer: Option<Method<'static>>,
    },
    Purge {
        no_wait: bool,
    },
    Delete {
        no_wait: bool,
    },
    Consume {
        tag: Arc<str>,
        link: LinkId,
        no_wait: bool,
    },
    Get {
        got: Option<(Message, bool, Ticket)>,
    },
}

impl Connection {
    pub(super) fn on_exchange_method(&mut self, number: u16, method: &Exchange<'_>) -> Result<(), Violation> {
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
                    log::debug!("{}: exchange {exchange:?} is not durable: nothing is", self.name);
                }
                let arguments = Arguments::new(arguments.values());
                let name = exchange.into();
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
        self.ask_for_change(number, id, (!no_wait).then_some(Method::Exchange(answer)), change);
        Ok(())
    }

    pub(super) fn on_queue_method(&mut self, number: u16, method: &Queue<'_>) -> Result<(), Violation> {
        let id = Method::Queue(method.clone()).id();
        match *method {
            Queue::Declare { queue, passive, durable, exclusive, auto_delete, no_wait, arguments, .. } => {
                let address = match queue {
                    "" if passive => Some(self.queue_named(number, "")?),
                    "" => None,
                    name => Some(name.into()),
                };
                if durable && !passive {
                    log::debug!("{}: queue {queue:?} is not durable: nothing is", self.name);
                }
                let lifetime = Lifetime { exclusive, while_consumed: auto_delete };
                let arguments = Arguments::new(arguments.values());
                self.ask(number, Question::Declare { no_wait }, |link| {
                    Event::Declare(Box::new(Declaration { link, address, passive, lifetime, durable, arguments }))
                });
            }
            Queue::Bind { queue, exchange, routing_key, no_wait, arguments, .. } => {
                let request = self.queue_binding(number, queue, exchange, routing_key, arguments)?;
                let answer = (!no_wait).then_some(Method::Queue(Queue::BindOk {}));
                self.ask_for_change(number, id, answer, TopologyChange::Bind(request));
            }
            Queue::Unbind { queue, exchange, routing_key, arguments, .. } => {
                let request = self.queue_binding(number, queue, exchange, routing_key, arguments)?;
                let answer = Method::Queue(Queue::UnbindOk {});
                self.ask_for_change(number, id, Some(answer), TopologyChange::Unbind(request));
            }
            Queue::Purge { queue, no_wait, .. } => {
                let address = self.queue_named(number, queue)?;
                self.ask(number, Question::Purge { no_wait }, |link| Event::Purge { link, address });
            }
            Queue::Delete { queue, if_unused, if_empty, no_wait, .. } => {
                let address = self.queue_named(number, queue)?;
                self.ask(number, Question::Delete { no_wait }, |link| Event::Delete {
                    link,
                    address,
                    if_unused,
                    if_empty,
                });
            }
            Queue::DeclareOk { .. }
            | Queue::BindOk {}
            | Queue::UnbindOk {}
            | Queue::PurgeOk { .. }
            | Queue::DeleteOk { .. } => return Err(not_for_us()),
        }
        Ok(())
    }

    fn queue_binding(
        &mut self,
        number: u16,
        queue: &str,
        exchange: &str,
        routing_key: &str,
        arguments: Table<'_>,
    ) -> Result<BindingRequest, Violation> {
        let address = self.queue_named(number, queue)?;
        // With neither name given, the key is the queue's too.
        let key: Arc<str> =
            if queue.is_empty() && routing_key.is_empty() { address.clone() } else { routing_key.into() };
        Ok(binding(exchange, BindingTarget::Queue(address), &key, arguments))
    }

    /// The queue of this name; an empty one means the last that was declared on the channel.
    pub(super) fn queue_named(&mut self, number: u16, name: &str) -> Result<Arc<str>, Violation> {
        if !name.is_empty() {
            return Ok(name.into());
        }
        let last = self.channel_mut(number).and_then(|channel| channel.last_queue.clone());
        last.ok_or_else(|| Violation::new(ReplyCode::NotFound, "no previously declared queue"))
    }

    /// Asks the router on the channel's own link.
    fn ask(&mut self, number: u16, question: Question, event: impl FnOnce(LinkId) -> Event) {
        let method = question.method();
        if let Some(channel) = self.channel_mut(number) {
            channel.question = Some((method, question));
            let link = channel.link;
            self.events.push_back(event(link));
        }
    }

    fn ask_for_change(
        &mut self,
        number: u16,
        method: MethodId,
        answer: Option<Method<'static>>,
        change: TopologyChange,
    ) {
        let question = Question::Change { method, answer };
        self.ask(number, question, |link| Event::Topology(Box::new(TopologyRequest { link, change })));
    }

    /// The router has the queue that was declared.
    pub(super) fn declared(
        &mut self,
        number: u16,
        queue: Arc<str>,
        messages: usize,
        consumers: usize,
        out: &mut Outbox,
    ) {
        let Some(channel) = self.channel_mut(number) else { return };
        match channel.question.take() {
            Some((_, Question::Declare { no_wait })) => {
                channel.last_queue = Some(queue.clone());
                let (message_count, consumer_count) = (saturate(messages), saturate(consumers));
                if !no_wait {
                    let answer = Queue::DeclareOk { queue: &queue, message_count, consumer_count };
                    self.tell(number, &Method::Queue(answer), out);
                }
            }
            other => channel.question = other,
        }
    }

    /// Exchanges and bindings are as the channel asked for.
    pub(super) fn topology_changed(&mut self, number: u16, out: &mut Outbox) {
        let question = self.channel_mut(number).and_then(|channel| channel.question.take());
        if let Some((_, Question::Change { answer: Some(answer), .. })) = question {
            self.tell(number, &answer, out);
        }
    }

    /// A queue has been purged or deleted.
    pub(super) fn emptied(&mut self, number: u16, messages: usize, out: &mut Outbox) {
        let message_count = saturate(messages);
        let question = self.channel_mut(number).and_then(|channel| channel.question.take());
        let answer = match question.map(|(_, question)| question) {
            Some(Question::Purge { no_wait: false }) => Queue::PurgeOk { message_count },
            Some(Question::Delete { no_wait: false }) => Queue::DeleteOk { message_count },
            _ => return,
        };
        self.tell(number, &Method::Queue(answer), out);
    }

    /// What was asked for cannot be.
    pub(super) fn question_refused(
        &mut self,
        number: u16,
        method: MethodId,
        question: &Question,
        fault: &Fault,
        out: &mut Outbox,
    ) -> Result<(), Violation> {
        match (question, &fault.reason) {
            // As RabbitMQ has it: what is not there is deleted, and unbound.
            (Question::Delete { no_wait }, Reason::NotFound) => {
                if !no_wait {
                    self.tell(number, &Method::Queue(Queue::DeleteOk { message_count: 0 }), out);
                }
                Ok(())
            }
            // Too many of them end the connection, as the reply code says.
            (Question::Change { .. }, Reason::ResourceLimitExceeded) => Err(Violation::from(fault).in_method(method)),
            _ => Err(Violation::from(fault).in_method(method).soft()),
        }
    }
}

impl Question {
    /// The method that leads to it.
    pub(super) fn method(&self) -> MethodId {
        let (class, method) = match self {
            Question::Declare { .. } => (50, 10),
            Question::Change { method, .. } => return *method,
            Question::Purge { .. } => (50, 30),
            Question::Delete { .. } => (50, 40),
            Question::Consume { .. } => (60, 20),
            Question::Get { .. } => (60, 70),
        };
        MethodId { class, method }
    }
}

fn binding(source: &str, target: BindingTarget, key: &str, arguments: Table<'_>) -> BindingRequest {
    BindingRequest { source: source.into(), target, key: key.into(), arguments: Arguments::new(arguments.values()) }
}
