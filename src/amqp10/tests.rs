//! Tests of the engine against itself: an initiating and an accepting side without a socket, on a clock of the test's, with
//! bytes that arrive in pieces of any size.

use std::collections::{BTreeMap, HashMap};
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::{Connection, Denied, Initiator};
use crate::budget::Budget;
use crate::config::{Config, EngineConfig};
use crate::event::*;
use crate::message::Message;
use crate::outbox::Outbox;
use crate::users::Users;

const FAR: Duration = Duration::from_secs(1 << 20);

/// One side, with as much of a router as it takes: links by name, what came on them, what was answered.
struct Side {
    engine: Connection,
    inbox: BytesMut,
    outbox: Outbox,
    links: BTreeMap<Arc<str>, LinkId>,
    names: HashMap<LinkId, Arc<str>>,
    credit: HashMap<Arc<str>, u32>,
    /// Deliveries that a link which receives was promised to take, all in all.
    promised: HashMap<Arc<str>, u32>,
    /// Credit that every link which receives is given when it is attached.
    window: u32,
    arrived: Vec<(Arc<str>, DeliveryKey, bool, Bytes)>,
    answers: Vec<(u64, Outcome)>,
    replies: Vec<Reply>,
    gone: Vec<Arc<str>>,
}

impl Side {
    fn new(engine: Connection) -> Side {
        Side {
            engine,
            inbox: BytesMut::new(),
            outbox: Outbox::default(),
            links: BTreeMap::new(),
            names: HashMap::new(),
            credit: HashMap::new(),
            promised: HashMap::new(),
            window: 5,
            arrived: Vec::new(),
            answers: Vec::new(),
            replies: Vec::new(),
            gone: Vec::new(),
        }
    }

    fn key(link: LinkId) -> LinkKey {
        LinkKey { connection: ConnectionKey { slot: 0, serial: 0 }, link }
    }

    fn know(&mut self, link: LinkId, name: &Arc<str>) {
        self.links.insert(name.clone(), link);
        self.names.insert(link, name.clone());
    }

    fn apply(&mut self, effect: Effect, now: Instant) {
        self.engine.apply(effect, now, &mut self.outbox);
    }

    /// Reads what is in the inbox and ends the turn.
    fn turn(&mut self, now: Instant) {
        let mut run = Run::default();
        while let Some(event) = self.engine.receive(&mut self.inbox, now, &mut self.outbox, &mut run) {
            if let Event::Messages { link, .. } = event {
                let name = self.names[&link].clone();
                self.arrived.extend(run.arrivals.drain(..).map(|arrival| {
                    let settled = arrival.delivery.is_none();
                    let delivery = arrival.delivery.unwrap_or(DeliveryKey(0));
                    (name.clone(), delivery, settled, arrival.message.payload.contiguous())
                }));
            } else {
                self.on_event(event, now);
            }
        }
        self.engine.finish_turn(now, &mut self.outbox);
        assert_eq!(self.engine.poll_breach(), None, "both keep to the protocol");
    }

    fn on_event(&mut self, event: Event, now: Instant) {
        let window = self.window;
        match event {
            Event::AttachProducer { link, name, node } => {
                self.know(link, &name);
                let Node::Address(address) = node else { panic!("{node:?}") };
                self.apply(
                    Effect::Attached { link: Side::key(link), address: Some(address), kind: NodeKind::Queue },
                    now,
                );
                self.apply(Effect::Grant { link: Side::key(link), credit: window }, now);
            }
            Event::AttachConsumer(request) => {
                self.know(request.link, &request.name);
                let address = Some("there".into());
                self.apply(Effect::Attached { link: Side::key(request.link), address, kind: NodeKind::Queue }, now);
            }
            Event::Credit { link, more, drain } => {
                let credit = self.credit.entry(self.names[&link].clone()).or_default();
                *credit = if drain { 0 } else { u32::try_from(i64::from(*credit) + more).unwrap() };
                if drain {
                    self.apply(Effect::Drained { link: Side::key(link), left: 0 }, now);
                }
            }
            Event::Answer { first, count, outcome, .. } => {
                self.answers.extend((0..count).map(|index| (first.later(index).0, outcome.clone())));
            }
            Event::Reply(reply) => {
                if let Reply::Attached { link, .. } = &*reply
                    && self.names[link].starts_with("receiver")
                {
                    self.apply(Effect::Grant { link: Side::key(*link), credit: window }, now);
                }
                self.replies.push(*reply);
            }
            Event::Detach { gone } => self.gone.extend(gone.iter().filter_map(|link| self.names.remove(link))),
            _ => {}
        }
    }

    /// All that is to be written.
    fn take_output(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !self.outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); 8];
            let used = self.outbox.fill(&mut slices);
            let before = bytes.len();
            slices[..used].iter().for_each(|slice| bytes.extend_from_slice(slice));
            self.outbox.consume(bytes.len() - before);
        }
        bytes
    }
}

/// A client and a server, and what is under way between them.
struct Pair {
    now: Instant,
    client: Side,
    server: Side,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
}

fn config(users: &[(&str, &str)], idle_timeout: Option<Duration>, max_frame_size: u32) -> Arc<EngineConfig> {
    let mut known = Users::default();
    users.iter().for_each(|(name, password)| known.add((*name).into(), (*password).into()));
    Arc::new(EngineConfig {
        users: known,
        container_id: "one".into(),
        idle_timeout,
        max_frame_size,
        ..Config::default().engine
    })
}

impl Pair {
    /// Two that are past the headers.
    fn new(client: &Arc<EngineConfig>, server: &Arc<EngineConfig>) -> Pair {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        let mut initiator = Initiator::new(false, &mut outbox);
        let mut accepting =
            Side::new(Connection::new(server.clone(), Budget::new(usize::MAX), "client".into(), now, now + FAR));
        accepting.inbox.extend_from_slice(b"AMQP\x00\x01\x00\x00");
        accepting.turn(now);
        let mut input = BytesMut::from(&accepting.take_output()[..]);
        initiator.receive(&mut input, &mut outbox).unwrap();
        assert!(initiator.is_agreed());
        let mut outbox = Outbox::default();
        let engine = Connection::open(client.clone(), "server".into(), None, now, now + FAR, &mut outbox);
        let mut asking = Side::new(engine);
        asking.outbox = outbox;
        let mut pair = Pair { now, client: asking, server: accepting, to_server: Vec::new(), to_client: Vec::new() };
        pair.settle_down();
        assert_eq!(pair.client.engine.begin(now, &mut pair.client.outbox), Some(0));
        pair.settle_down();
        assert!(matches!(pair.client.replies[..], [Reply::Opened { .. }, Reply::Begun { session: 0 }]));
        pair
    }

    /// Puts what both have written under way.
    fn write(&mut self) {
        self.to_server.extend(self.client.take_output());
        self.to_client.extend(self.server.take_output());
    }

    /// Up to `count` bytes arrive on one side, which answers.
    fn carry(&mut self, to_server: bool, count: usize) {
        self.write();
        let (bytes, side) = match to_server {
            true => (&mut self.to_server, &mut self.server),
            false => (&mut self.to_client, &mut self.client),
        };
        let arrived: Vec<u8> = bytes.drain(..count.min(bytes.len())).collect();
        side.inbox.extend_from_slice(&arrived);
        side.turn(self.now);
    }

    /// Everything arrives, until nobody has anything to say.
    fn settle_down(&mut self) {
        for _ in 0..10_000 {
            self.client.turn(self.now);
            self.server.turn(self.now);
            self.write();
            if self.to_server.is_empty() && self.to_client.is_empty() {
                return;
            }
            self.carry(true, usize::MAX);
            self.carry(false, usize::MAX);
        }
        panic!("they do not come to an end");
    }

    fn attach(&mut self, name: &str, sends: bool) {
        let request = LinkRequest {
            name: name.into(),
            sends,
            node: Node::Address("there".into()),
            manner: Manner::Mixed,
            browse: false,
        };
        let link = self.client.engine.attach(0, &request, self.now, &mut self.client.outbox).unwrap();
        self.client.know(link, &request.name);
    }

    /// Time passes, a little at a time, with what is due.
    fn wait(&mut self, time: Duration, carry: bool) {
        let until = self.now + time;
        while self.now < until {
            self.now += Duration::from_millis(100);
            self.client.engine.handle_timeout(self.now, &mut self.client.outbox);
            self.server.engine.handle_timeout(self.now, &mut self.server.outbox);
            if carry {
                self.settle_down();
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Attach(bool),
    /// Of a link that sends on that side, if it has credit.
    Deliver {
        client: bool,
        link: prop::sample::Index,
        size: usize,
        settled: bool,
    },
    /// Of what arrived on that side, and was not settled yet.
    Settle {
        client: bool,
        which: prop::sample::Index,
        released: bool,
    },
    Grant {
        client: bool,
        link: prop::sample::Index,
        credit: u32,
    },
    Carry {
        to_server: bool,
        count: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        1 => any::<bool>().prop_map(Step::Attach),
        4 => (any::<bool>(), index(), 0..3000usize, any::<bool>())
            .prop_map(|(client, link, size, settled)| Step::Deliver { client, link, size, settled }),
        3 => (any::<bool>(), index(), any::<bool>())
            .prop_map(|(client, which, released)| Step::Settle { client, which, released }),
        2 => (any::<bool>(), index(), 0..8u32).prop_map(|(client, link, credit)| Step::Grant { client, link, credit }),
        8 => (any::<bool>(), prop_oneof![1..40usize, 1..4000usize])
            .prop_map(|(to_server, count)| Step::Carry { to_server, count }),
    ]
}

fn link_name(sends: bool, number: usize) -> String {
    format!("{}-{number}", if sends { "sender" } else { "receiver" })
}

/// The messages that a side has sent and their outcomes, for comparison with the other side.
#[derive(Default)]
struct Account {
    sent: BTreeMap<Arc<str>, Vec<Vec<u8>>>,
    /// By ticket: the link and the place on it.
    tickets: Vec<(Arc<str>, usize)>,
    /// By link and place, of what the other side settled.
    told: BTreeMap<(Arc<str>, usize), Outcome>,
    settled: Vec<bool>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_arrives_and_what_is_said_is_heard(
        steps in prop::collection::vec(step(), 1..150),
        frames in (512..2000u32, 512..2000u32),
    ) {
        let mut pair = Pair::new(&config(&[], None, frames.0), &config(&[], None, frames.1));
        let mut accounts = [Account::default(), Account::default()];
        let mut attached = 0;
        for sends in [true, false, true, false] {
            attached += 1;
            pair.attach(&link_name(sends, attached), sends);
        }
        pair.settle_down();
        for step in steps {
            let now = pair.now;
            match step {
                Step::Attach(sends) => {
                    attached += 1;
                    pair.attach(&link_name(sends, attached), sends);
                }
                Step::Deliver { client, link, size, settled } => {
                    let side = if client { &mut pair.client } else { &mut pair.server };
                    let able: Vec<Arc<str>> =
                        side.credit.iter().filter(|(_, credit)| **credit > 0).map(|(name, _)| name.clone()).collect();
                    if able.is_empty() { continue; }
                    let name = link.get(&able).clone();
                    let account = &mut accounts[usize::from(client)];
                    let payload: Vec<u8> = (0..size).map(|n| (n + account.tickets.len()) as u8).collect();
                    let row = account.sent.entry(name.clone()).or_default();
                    account.tickets.push((name.clone(), row.len()));
                    account.settled.push(settled);
                    row.push(payload.clone());
                    let ticket = if settled { Ticket::NONE } else { Ticket(account.tickets.len() as u64 - 1) };
                    *side.credit.get_mut(&name).unwrap() -= 1;
                    let message = Message { payload: Bytes::from(payload).into(), ..Message::default() };
                    let link = Side::key(side.links[&name]);
                    let deliveries = vec![Delivery { message, settled, ticket, units: 1 }];
                    side.apply(Effect::Deliver { link, deliveries }, now);
                    while let Some(event) = side.engine.poll_event() {
                        side.on_event(event, now);
                    }
                }
                Step::Settle { client, which, released } => {
                    let side = if client { &mut pair.client } else { &mut pair.server };
                    let account = &mut accounts[usize::from(!client)];
                    // The place of each on its link.
                    let mut places: HashMap<Arc<str>, usize> = HashMap::new();
                    let open: Vec<(Arc<str>, usize, DeliveryKey)> = side.arrived.iter().filter_map(|(name, key, settled, _)| {
                        let place = places.entry(name.clone()).or_default();
                        *place += 1;
                        let at = (name.clone(), *place - 1);
                        (!settled && !account.told.contains_key(&at)).then_some((at.0, at.1, *key))
                    }).collect();
                    if open.is_empty() { continue; }
                    let (name, place, delivery) = which.get(&open).clone();
                    let outcome = if released { Outcome::Released } else { Outcome::Accepted };
                    account.told.insert((name.clone(), place), outcome.clone());
                    let link = Side::key(side.links[&name]);
                    side.apply(Effect::Settle { link, first: delivery, count: 1, outcome }, now);
                }
                Step::Grant { client, link, credit } => {
                    let side = if client { &mut pair.client } else { &mut pair.server };
                    let prefix = if client { "receiver" } else { "sender" };
                    let able: Vec<Arc<str>> =
                        side.links.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
                    if able.is_empty() {
                        continue;
                    }
                    let name = link.get(&able);
                    let here = side.arrived.iter().filter(|(one, ..)| one == name).count() as u32;
                    // 2.6.7: credit that is taken back crosses what is under way; nothing is taken back here.
                    let promised = side.promised.entry(name.clone()).or_insert(side.window);
                    *promised = (*promised).max(here + 5 + credit);
                    let effect = Effect::Grant { link: Side::key(side.links[name]), credit: *promised - here };
                    side.apply(effect, now);
                }
                Step::Carry { to_server, count } => pair.carry(to_server, count),
            }
        }
        pair.settle_down();
        for (account, sender, receiver) in
            [(&accounts[1], &pair.client, &pair.server), (&accounts[0], &pair.server, &pair.client)]
        {
            let mut arrived: BTreeMap<Arc<str>, Vec<Vec<u8>>> = BTreeMap::new();
            for (name, _, _, payload) in &receiver.arrived {
                arrived.entry(name.clone()).or_default().push(payload.to_vec());
            }
            prop_assert_eq!(&account.sent, &arrived, "each link brings what was sent on it, in order");
            let heard: BTreeMap<(Arc<str>, usize), Outcome> = sender.answers.iter()
                .map(|(ticket, outcome)| (account.tickets[*ticket as usize].clone(), outcome.clone()))
                .collect();
            prop_assert_eq!(heard.len(), sender.answers.len(), "one answer for each");
            prop_assert_eq!(&heard, &account.told);
        }
        // A goodbye from either side.
        if attached % 2 == 0 {
            pair.client.engine.close_cleanly(pair.now, &mut pair.client.outbox);
        } else {
            let fault = Fault::new(Reason::ConnectionForced, "enough");
            pair.server.engine.close_with(fault, pair.now, &mut pair.server.outbox);
        }
        pair.settle_down();
        prop_assert!(pair.client.engine.is_closed() && pair.server.engine.is_closed());
        prop_assert_eq!(pair.client.gone.len(), attached);
        let closed = matches!(pair.client.replies.last(), Some(Reply::Closed { fault: Some(_) }));
        prop_assert_eq!(closed, attached % 2 == 1, "the client is told why");
    }

    #[test]
    fn a_handshake_in_any_pieces(cuts in prop::collection::vec(1..40usize, 1..60), known: bool, sasl_users: bool) {
        let users: &[(&str, &str)] = if sasl_users { &[("joe", "secret")] } else { &[] };
        let now = Instant::now();
        let mut server = Side::new(Connection::new(config(users, None, 4096), Budget::new(usize::MAX), "client".into(), now, now + FAR));
        let (mut input, mut out) = (BytesMut::new(), Outbox::default());
        let mut initiator = Initiator::new(true, &mut out);
        let password = if known { "secret" } else { "guess" };
        let mut cuts = cuts.into_iter().cycle();
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        let mut denied = None;
        // However small the pieces: more rounds than the two have bytes to say.
        for _ in 0..2000 {
            let mut side = Side::new(Connection::new(config(users, None, 4096), Budget::new(usize::MAX), "-".into(), now, now + FAR));
            side.outbox = std::mem::take(&mut out);
            to_server.extend(side.take_output());
            let count = cuts.next().unwrap().min(to_server.len());
            server.inbox.extend_from_slice(&to_server.drain(..count).collect::<Vec<u8>>());
            server.turn(now);
            to_client.extend(server.take_output());
            let count = cuts.next().unwrap().min(to_client.len());
            input.extend_from_slice(&to_client.drain(..count).collect::<Vec<u8>>());
            while denied.is_none() {
                match initiator.receive(&mut input, &mut out) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => denied = Some(error),
                }
            }
            if initiator.offered().is_some() {
                initiator.authenticate("joe", password, "here", &mut out).unwrap();
            }
        }
        match (sasl_users, known) {
            (true, false) => prop_assert!(matches!(denied, Some(Denied::Outcome(1))), "{denied:?}"),
            _ => prop_assert!(denied.is_none() && initiator.is_agreed(), "{denied:?}"),
        }
    }
}

#[test]
fn heartbeats_keep_an_idle_pair_together() {
    let side = config(&[], Some(Duration::from_secs(1)), 4096);
    let mut pair = Pair::new(&side, &side);
    pair.wait(Duration::from_secs(600), true);
    assert!(pair.client.engine.is_open() && pair.server.engine.is_open());
    // A line that carries nothing any more is noticed, on both sides.
    pair.wait(Duration::from_secs(3), false);
    assert!(!pair.client.engine.is_open() && !pair.server.engine.is_open());
}

#[test]
fn a_drain_brings_what_there_is() {
    let mut pair = Pair::new(&config(&[], None, 4096), &config(&[], None, 4096));
    pair.attach("receiver", false);
    pair.settle_down();
    let link = pair.client.links["receiver"];
    pair.client.engine.drain(link, &mut pair.client.outbox);
    pair.settle_down();
    assert!(matches!(pair.client.replies.last(), Some(Reply::Drained { link: drained }) if *drained == link));
    assert_eq!(pair.server.credit["receiver"], 0);
}

#[test]
fn a_link_is_closed_by_either_side() {
    let mut pair = Pair::new(&config(&[], None, 4096), &config(&[], None, 4096));
    pair.attach("sender-1", true);
    pair.attach("sender-2", true);
    pair.settle_down();
    let (first, second) = (pair.client.links["sender-1"], pair.client.links["sender-2"]);
    pair.client.engine.close_link(first, pair.now, &mut pair.client.outbox);
    let fault = Box::new(Fault::new(Reason::NotFound, "gone"));
    let there = pair.server.links["sender-2"];
    pair.server.apply(Effect::Detach { link: Side::key(there), fault }, pair.now);
    pair.settle_down();
    let ends: Vec<(LinkId, bool)> = (pair.client.replies.iter())
        .filter_map(|reply| match reply {
            Reply::Detached { link, fault } => Some((*link, fault.is_some())),
            _ => None,
        })
        .collect();
    assert!(ends.contains(&(first, false)) && ends.contains(&(second, true)) && ends.len() == 2, "{ends:?}");
    assert_eq!((pair.client.gone.len(), pair.server.gone.len()), (2, 2));
}

/// The names of the frames that a side has written.
fn written(side: &mut Side) -> Vec<String> {
    let bytes = side.take_output();
    let mut rest = &bytes[..];
    let mut names = Vec::new();
    while let Some((frame, more)) = (super::FRAMES.extent)(rest).and_then(|extent| rest.split_at_checked(extent)) {
        names.push((super::FRAMES.describe)(frame, frame.len()).name.into_owned());
        rest = more;
    }
    names
}

/// A pair whose server has handed out a message and has not read on, to the next message, which is too large for it.
fn pair_before_a_violation() -> Pair {
    let server = EngineConfig { max_message_size: 100, ..EngineConfig::clone(&config(&[], None, 4096)) };
    let mut pair = Pair::new(&config(&[], None, 4096), &Arc::new(server));
    pair.attach("sender", true);
    pair.settle_down();
    let link = Side::key(pair.client.links["sender"]);
    let deliveries = [10, 200].map(|size| {
        let message = Message { payload: Bytes::from(vec![0; size]).into(), ..Message::default() };
        Delivery { message, settled: false, ticket: Ticket(size as u64), units: 1 }
    });
    pair.client.apply(Effect::Deliver { link, deliveries: deliveries.into() }, pair.now);
    pair.write();
    let Pair { server, to_server, now, .. } = &mut pair;
    server.inbox.extend_from_slice(&std::mem::take(to_server));
    let mut run = Run::default();
    let event = server.engine.receive(&mut server.inbox, *now, &mut server.outbox, &mut run);
    assert!(matches!(event, Some(Event::Messages { .. })), "{event:?}");
    assert_eq!(run.arrivals.len(), 1);
    pair
}

#[test]
fn nothing_follows_a_close_that_comes_between_a_message_and_a_violation() {
    let Pair { mut server, now, .. } = pair_before_a_violation();
    server.engine.close_with(Fault::new(Reason::ConnectionForced, "enough"), now, &mut server.outbox);
    server.turn(now);
    assert_eq!(written(&mut server), ["close"]);
}

#[test]
fn a_link_is_detached_once_by_the_router_and_a_violation() {
    let Pair { mut server, now, .. } = pair_before_a_violation();
    let fault = Box::new(Fault::new(Reason::NotFound, "gone"));
    server.apply(Effect::Detach { link: Side::key(server.links["sender"]), fault }, now);
    server.turn(now);
    assert_eq!(written(&mut server), ["detach"]);
}

#[test]
fn a_link_that_the_router_is_about_to_hear_of_goes_with_its_connection() {
    let mut pair = Pair::new(&config(&[], None, 4096), &config(&[], None, 4096));
    pair.attach("sender", true);
    pair.settle_down();
    // Again, under its name: the first link goes, then the second comes.
    pair.attach("sender", true);
    pair.write();
    let Pair { mut server, to_server, now, .. } = pair;
    server.inbox.extend_from_slice(&to_server);
    let event = server.engine.receive(&mut server.inbox, now, &mut server.outbox, &mut Run::default());
    assert!(matches!(event, Some(Event::Detach { .. })), "{event:?}");
    server.engine.close_with(Fault::new(Reason::ConnectionForced, "enough"), now, &mut server.outbox);
    let Some(Event::AttachProducer { link, .. }) = server.engine.poll_event() else { panic!("an attach is under way") };
    let Some(Event::Detach { gone }) = server.engine.poll_event() else { panic!("the connection closes") };
    assert_eq!(gone, [link]);
}
