//! Queues, exchanges, bindings and policies that a test declares: read as a client's declaration is, and handed to the router.

use std::sync::Arc;

use super::EventLoop;
use crate::arguments::{ArgumentOf, Arguments, why_unmet};
use crate::event::{
    BindingRequest, BindingTarget, DEFAULT_VHOST, Declaration, ExchangeDeclaration, ExchangeKind, Fault, Lifetime,
    LinkKey, Reason, TopologyChange,
};
use crate::topology::{Binding, BoundTo, Exchange, NamedValues, Policy, Queue, Topology};
use crate::unmet::{Place, Unmet, UnmetRequests};

/// The longest name or key, in bytes: what a short string of 0-9-1 has.
const MAX_NAME: usize = 255;

impl EventLoop {
    /// Declares what the broker has from its start.
    pub(crate) fn declare_configured(&mut self) -> Result<(), Fault> {
        let Topology { exchanges, queues, bindings, policies } = self.topology.clone();
        for mut policy in policies {
            policy.vhost.get_or_insert_with(|| DEFAULT_VHOST.into());
            self.set_policy(policy)?;
        }
        for mut exchange in exchanges {
            exchange.vhost.get_or_insert_with(|| DEFAULT_VHOST.into());
            self.declare_exchange(exchange)?;
        }
        for mut queue in queues {
            queue.vhost.get_or_insert_with(|| DEFAULT_VHOST.into());
            self.declare_queue(queue)?;
        }
        for mut binding in bindings {
            binding.vhost.get_or_insert_with(|| DEFAULT_VHOST.into());
            self.bind(binding)?;
        }
        self.set_asked(DEFAULT_VHOST.into());
        Ok(())
    }

    /// Has what follows be about a virtual host; None: about that of the handle that asks.
    fn enter(&mut self, vhost: Option<String>) {
        if let Some(name) = vhost {
            self.add_vhost(&name);
            self.set_asked(name.into());
        }
    }

    /// Declares a queue.
    pub(crate) fn declare_queue(&mut self, queue: Queue) -> Result<(), Fault> {
        let Queue { vhost, name, durable, auto_delete, arguments } = queue;
        self.enter(vhost);
        let address: Arc<str> = named("queue", name)?;
        let arguments = self.checked("queue.declare", ArgumentOf::Queue, &address, arguments)?;
        let lifetime = Lifetime { exclusive: false, while_consumed: auto_delete };
        let link = LinkKey::NOBODY.link;
        let declaration = Declaration { link, address: Some(address), passive: false, lifetime, durable, arguments };
        self.router().declare_queue(declaration)
    }

    /// Declares an exchange.
    pub(crate) fn declare_exchange(&mut self, exchange: Exchange) -> Result<(), Fault> {
        let Exchange { vhost, name, kind, durable, auto_delete, internal, arguments } = exchange;
        self.enter(vhost);
        let name: Arc<str> = short("exchange", name)?;
        let unknown = || Fault::new(Reason::Other("COMMAND_INVALID".into()), format!("unknown exchange type '{kind}'"));
        let kind = ExchangeKind::named(&kind).ok_or_else(unknown)?;
        let arguments = self.checked("exchange.declare", ArgumentOf::Exchange, &name, arguments)?;
        let declaration = ExchangeDeclaration { name, kind, durable, auto_delete, internal, arguments };
        self.router().change_for_test(TopologyChange::Declare(declaration))
    }

    /// Makes a binding.
    pub(crate) fn bind(&mut self, mut binding: Binding) -> Result<(), Fault> {
        self.enter(binding.vhost.take());
        let request = request(binding)?;
        self.router().change_for_test(TopologyChange::Bind(request))
    }

    /// Removes a binding.
    pub(crate) fn unbind(&mut self, mut binding: Binding) -> Result<(), Fault> {
        self.enter(binding.vhost.take());
        let request = request(binding)?;
        self.router().change_for_test(TopologyChange::Unbind(request))
    }

    /// Sets a policy.
    pub(crate) fn set_policy(&mut self, mut policy: Policy) -> Result<(), Fault> {
        self.enter(policy.vhost.take());
        self.router().set_policy(policy)
    }

    /// Deletes an exchange.
    pub(crate) fn delete_exchange(&mut self, name: &str) -> Result<(), Fault> {
        self.router().change_for_test(TopologyChange::Delete { name: name.into(), if_unused: false })
    }

    /// Reads arguments. Those that are not honoured are noted as a client's would be, and refused by a strict broker.
    fn checked(
        &mut self,
        method: &'static str,
        of: ArgumentOf,
        address: &Arc<str>,
        arguments: NamedValues,
    ) -> Result<Arguments, Fault> {
        let arguments = Arguments::new(arguments);
        let place = Place { method, address: Some(address.clone()), ..Place::default() };
        let unmet = |(name, value)| Some(Unmet::new(&place, name, value, why_unmet(of, name, value)?));
        let mut requests = UnmetRequests::new(self.is_strict());
        let refusal = requests.add(arguments.iter().filter_map(unmet));
        self.add_unmet(None, requests.take());
        match refusal {
            Some(refusal) => Err(Fault::new(Reason::NotImplemented, refusal)),
            None => Ok(arguments),
        }
    }
}

fn request(Binding { vhost: _, exchange, key, to, arguments }: Binding) -> Result<BindingRequest, Fault> {
    let target = match to {
        BoundTo::Queue(name) => BindingTarget::Queue(named("queue", name)?),
        BoundTo::Exchange(name) => BindingTarget::Exchange(short("exchange", name)?),
    };
    let (source, key) = (short("exchange", exchange)?, short("routing key", key)?);
    Ok(BindingRequest { source, target, key, arguments: Arguments::new(arguments) })
}

/// Returns a name of at least one byte.
fn named(what: &str, name: String) -> Result<Arc<str>, Fault> {
    if name.is_empty() {
        return Err(Fault::new(Reason::InvalidField, format!("the {what} has no name")));
    }
    short(what, name)
}

/// Returns a text that fits a short string of 0-9-1.
fn short(what: &str, text: String) -> Result<Arc<str>, Fault> {
    if text.len() > MAX_NAME {
        return Err(Fault::new(Reason::InvalidField, format!("the {what} is longer than {MAX_NAME} bytes")));
    }
    Ok(text.into())
}
