//! The exchange and queue classes, as a channel asks for them. Exchanges and bindings are the virtual host's; queues are the
//! router's, which is asked and answers before the next frame is read. A part of `channel.rs`.

use std::sync::Arc;

use bytes::Bytes;

use super::channel::not_for_us;
use super::connection::Connection;
use super::exchange::{Binding, Target};
use super::host::{Declared, VirtualHost};
use super::method::{Exchange, Method, MethodId, Queue};
use super::types::saturate;
use super::violation::{ReplyCode, Violation};
use crate::event::{Declaration, Event, Fault, Lifetime, LinkId, Reason, Ticket};
use crate::message::Message;
use crate::outbox::Outbox;

/// What the router has been asked for a channel.
#[derive(Debug)]
pub(crate) enum Question {
    Declare { queue: Arc<str>, no_wait: bool },
    Bind { source: Arc<str>, binding: Binding, no_wait: bool },
    Unbind { source: Arc<str>, binding: Binding },
    Purge { no_wait: bool },
    Delete { no_wait: bool },
    Consume { tag: Arc<str>, link: LinkId, no_wait: bool },
    Get { got: Option<(Message, bool, Ticket)> },
}

impl Connection {
    pub(super) fn on_exchange_method(
        &mut self,
        number: u16,
        method: &Exchange<'_>,
        out: &mut Outbox,
        host: &mut VirtualHost,
    ) -> Result<(), Violation> {
        let (no_wait, answer) = match *method {
            Exchange::Declare { exchange, passive: true, no_wait, .. } => {
                host.check_exchange(exchange)?;
                (no_wait, Exchange::DeclareOk {})
            }
            Exchange::Declare { exchange, kind, durable, auto_delete, internal, no_wait, .. } => {
                host.declare(&Declared { name: exchange, kind, durable, auto_delete, internal })?;
                if durable {
                    log::debug!("{}: exchange {exchange:?} is not durable: nothing is", self.name);
                }
                (no_wait, Exchange::DeclareOk {})
            }
            Exchange::Delete { exchange, if_unused, no_wait, .. } => {
                host.delete(exchange, if_unused)?;
                (no_wait, Exchange::DeleteOk {})
            }
            Exchange::Bind { destination, source, routing_key, no_wait, arguments, .. } => {
                host.bind(source, binding(Target::Exchange(destination.into()), routing_key, arguments.as_bytes()))?;
                (no_wait, Exchange::BindOk {})
            }
            Exchange::Unbind { destination, source, routing_key, no_wait, arguments, .. } => {
                let binding = binding(Target::Exchange(destination.into()), routing_key, arguments.as_bytes());
                host.unbind(source, &binding)?;
                (no_wait, Exchange::UnbindOk {})
            }
            Exchange::DeclareOk {} | Exchange::DeleteOk {} | Exchange::BindOk {} | Exchange::UnbindOk {} => {
                return Err(not_for_us());
            }
        };
        if !no_wait {
            self.tell(number, &Method::Exchange(answer), out);
        }
        Ok(())
    }

    pub(super) fn on_queue_method(
        &mut self,
        number: u16,
        method: &Queue<'_>,
        host: &mut VirtualHost,
    ) -> Result<(), Violation> {
        match *method {
            Queue::Declare { queue, passive, durable, exclusive, auto_delete, no_wait, .. } => {
                let address: Arc<str> = match queue {
                    "" if passive => self.queue_named(number, "")?,
                    "" => host.generate("gen"),
                    name => name.into(),
                };
                if !passive && !queue.is_empty() {
                    VirtualHost::check_name("queue", queue)?;
                }
                if durable && !passive {
                    log::debug!("{}: queue {address:?} is not durable: nothing is", self.name);
                }
                let lifetime = Lifetime { exclusive, while_consumed: auto_delete };
                self.ask(number, Question::Declare { queue: address.clone(), no_wait }, |link| {
                    Event::Declare(Box::new(Declaration { link, address, lifetime, passive }))
                });
            }
            Queue::Bind { queue, exchange, routing_key, no_wait, arguments, .. } => {
                let address = self.queue_named(number, queue)?;
                host.check_source(exchange)?;
                // With neither name given, the key is the queue's too.
                let key = if queue.is_empty() && routing_key.is_empty() { &address } else { routing_key };
                let binding = binding(Target::Queue(address.clone()), key, arguments.as_bytes());
                let question = Question::Bind { source: exchange.into(), binding, no_wait };
                self.ask(number, question, |link| is_there(link, address));
            }
            Queue::Unbind { queue, exchange, routing_key, arguments, .. } => {
                let address = self.queue_named(number, queue)?;
                host.check_source(exchange)?;
                let key = if queue.is_empty() && routing_key.is_empty() { &address } else { routing_key };
                let binding = binding(Target::Queue(address.clone()), key, arguments.as_bytes());
                let question = Question::Unbind { source: exchange.into(), binding };
                self.ask(number, question, |link| is_there(link, address));
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

    /// A queue is there.
    pub(super) fn declared(
        &mut self,
        number: u16,
        messages: usize,
        consumers: usize,
        out: &mut Outbox,
        host: &mut VirtualHost,
    ) -> Result<(), Violation> {
        let Some(channel) = self.channel_mut(number) else { return Ok(()) };
        let Some((method, question)) = channel.question.take() else { return Ok(()) };
        let (no_wait, answer) = match question {
            Question::Declare { queue, no_wait } => {
                channel.last_queue = Some(queue.clone());
                let (message_count, consumer_count) = (saturate(messages), saturate(consumers));
                if !no_wait {
                    let answer = Queue::DeclareOk { queue: &queue, message_count, consumer_count };
                    self.tell(number, &Method::Queue(answer), out);
                }
                return Ok(());
            }
            Question::Bind { source, binding, no_wait } => {
                host.bind(&source, binding).map_err(|violation| violation.in_method(method))?;
                (no_wait, Queue::BindOk {})
            }
            Question::Unbind { source, binding } => {
                host.unbind(&source, &binding).map_err(|violation| violation.in_method(method))?;
                (false, Queue::UnbindOk {})
            }
            other => {
                channel.question = Some((method, other));
                return Ok(());
            }
        };
        if !no_wait {
            self.tell(number, &Method::Queue(answer), out);
        }
        Ok(())
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
            (Question::Unbind { .. }, Reason::NotFound) => {
                self.tell(number, &Method::Queue(Queue::UnbindOk {}), out);
                Ok(())
            }
            _ => Err(Violation::from(fault).in_method(method).soft()),
        }
    }
}

impl Question {
    /// The method that leads to it.
    pub(super) fn method(&self) -> MethodId {
        let (class, method) = match self {
            Question::Declare { .. } => (50, 10),
            Question::Bind { .. } => (50, 20),
            Question::Unbind { .. } => (50, 50),
            Question::Purge { .. } => (50, 30),
            Question::Delete { .. } => (50, 40),
            Question::Consume { .. } => (60, 20),
            Question::Get { .. } => (60, 70),
        };
        MethodId { class, method }
    }
}

fn is_there(link: LinkId, address: Arc<str>) -> Event {
    Event::Declare(Box::new(Declaration { link, address, lifetime: Lifetime::default(), passive: true }))
}

fn binding(target: Target, key: &str, arguments: &[u8]) -> Binding {
    Binding { target, key: key.as_bytes().into(), arguments: Bytes::copy_from_slice(arguments) }
}
