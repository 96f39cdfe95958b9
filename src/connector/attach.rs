//! Attaches and closes links, and keeps up their credit.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::channel::{A_LINK, Channel};
use super::error::{Error, ErrorKind, Step};
use super::link::{End, Posts, Receiver, Receiving, Sender, Sending, Source, State, Target};
use crate::event::{Effect, LinkId, LinkRequest, Manner, Node};
use crate::live::live;

impl Channel {
    /// Attaches a link that sends to an address, or to another [`Target`].
    ///
    /// # Errors
    /// When the peer refuses, with its condition (`amqp:not-found`, say), or does not answer in time.
    pub fn sender(&mut self, target: impl Into<Target>) -> Result<Sender, Error> {
        let Target { node } = target.into();
        let posts = Posts::default();
        let end = Sending { state: State::Attaching, address: None, credit: 0, max_message_size: u64::MAX, posts };
        let request = self.request_for(true, node, Manner::Mixed, false);
        let (link, address) = self.attach(&request, End::Sender(end))?;
        Ok(Sender { channel: self.serial, link, address })
    }

    /// Attaches a link that receives from an address, or from another [`Source`].
    ///
    /// # Errors
    /// When the peer refuses, with its condition (`amqp:not-found`, say), or does not answer in time.
    pub fn receiver(&mut self, source: impl Into<Source>) -> Result<Receiver, Error> {
        let Source { node, manner, browse, credit } = source.into();
        let end = Receiving {
            state: State::Attaching,
            address: None,
            window: credit,
            credit: 0,
            drains: false,
            arrived: VecDeque::new(),
        };
        let request = self.request_for(false, node, manner, browse);
        let (link, address) = self.attach(&request, End::Receiver(end))?;
        let (_, deadline) = self.begin_step(Step::Attach)?;
        self.top_up(link);
        self.flush(Step::Attach, deadline)?;
        Ok(Receiver { channel: self.serial, link, address })
    }

    /// Closes a link that sends, and waits until the peer has closed it too. Outcomes that have not come are lost.
    ///
    /// # Errors
    /// When the peer does not answer in time.
    pub fn close_sender(&mut self, sender: Sender) -> Result<(), Error> {
        self.close_link(sender.channel, sender.link)
    }

    /// Closes a link that receives, and waits until the peer has closed it too. Deliveries that are not settled return
    /// to their node.
    ///
    /// # Errors
    /// When the peer does not answer in time.
    pub fn close_receiver(&mut self, receiver: Receiver) -> Result<(), Error> {
        self.close_link(receiver.channel, receiver.link)
    }

    fn request_for(&mut self, sends: bool, node: Node, manner: Manner, browse: bool) -> LinkRequest {
        self.named += 1;
        let kind = if sends { "sender" } else { "receiver" };
        let name = match &node {
            Node::Address(address) | Node::Queue(address) => format!("{kind}-{} {address}", self.named),
            Node::Dynamic(_) | Node::Replies | Node::Anonymous => format!("{kind}-{}", self.named),
        };
        LinkRequest { name: name.into(), sends, node, manner, browse }
    }

    fn attach(&mut self, request: &LinkRequest, end: End) -> Result<(LinkId, Option<Arc<str>>), Error> {
        let step = Step::Attach;
        let (now, deadline) = self.begin_step(step)?;
        let Some(link) = self.engine.attach(self.session, request, now, &mut self.stream.outbox) else {
            return Err(Error::new(step, ErrorKind::Usage("the peer allows no more links".into())));
        };
        self.links.insert(link, end);
        let result = self.wait_for(step, deadline, |channel| match channel.links.get(&link)? {
            End::Sender(Sending { state: State::Attached, address, .. })
            | End::Receiver(Receiving { state: State::Attached, address, .. }) => Some(Ok((link, address.clone()))),
            _ => channel.why_gone(link).map(Err),
        });
        if result.is_err() {
            match self.links.get_mut(&link).map(End::state_mut) {
                Some(state @ State::Attaching) => *state = State::Unwanted,
                _ => drop(self.links.remove(&link)),
            }
        }
        result
    }

    fn close_link(&mut self, of: u64, link: LinkId) -> Result<(), Error> {
        let step = Step::Detach;
        self.check_own(step, of)?;
        let (_, deadline) = self.begin_step(step)?;
        self.abandon_link(link);
        self.wait_for(step, deadline, |channel| (!channel.links.contains_key(&link)).then_some(Ok(())))
    }

    /// Begins to close a link. What still arrives on it is discarded.
    pub(super) fn abandon_link(&mut self, link: LinkId) {
        let Some(end) = live(self.links.get_mut(&link), A_LINK) else { return };
        if end.why_gone().is_some() {
            self.links.remove(&link);
            return;
        }
        *end.state_mut() = State::Unwanted;
        self.engine.close_link(link, Instant::now(), &mut self.stream.outbox);
    }

    /// The reason why a link has ended, or the whole connection. None if neither has.
    pub(super) fn why_gone(&self, link: LinkId) -> Option<ErrorKind> {
        let ended = || self.links.get(&link).and_then(End::why_gone);
        self.dead.as_ref().or_else(ended).map(ErrorKind::again)
    }

    /// Refuses a link of another channel.
    pub(super) fn check_own(&self, step: Step, of: u64) -> Result<(), Error> {
        if of == self.serial {
            return Ok(());
        }
        Err(Error::new(step, ErrorKind::Usage("the link is one of another channel".into())))
    }

    /// Tops up the credit of a link that receives, once half of it is used.
    pub(super) fn top_up(&mut self, link: LinkId) {
        let key = self.key(link);
        let Some(receiver) = self.receiving(link) else { return };
        let here = u32::try_from(receiver.arrived.len()).unwrap_or(u32::MAX);
        let wanted = receiver.window.saturating_sub(here);
        if receiver.drains || wanted == 0 || receiver.credit > wanted / 2 {
            return;
        }
        receiver.credit = wanted;
        self.apply(Effect::Grant { link: key, credit: wanted });
    }
}
