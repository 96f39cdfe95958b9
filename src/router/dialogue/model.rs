//! Random steps compared with a simple model: every message waits, is with a consumer, was delivered or was dropped, and is
//! counted once; no consumer is handed more than its credit; nothing is left after all links have been detached.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::Dialogue;
use crate::config::Settlement;
use crate::event::*;

const NODES: [&str; 4] = ["here", "unicast.here", "queue.here", "broadcast.here"];
const BROADCAST: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Sender { node: usize },
    Receiver { node: usize, manner: Manner, max_size: u64, browse: bool },
    Send { link: Index, sizes: Vec<usize>, settled: bool },
    Credit { link: Index, more: i64, drain: bool },
    Answer { link: Index, which: Index, outcome: Outcome },
    Room { connection: Index, bytes: usize },
    Window { connection: Index, more: i64 },
    Retire { link: Index },
    Detach { link: Index },
    Disconnect { connection: Index },
    Purge { node: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let outcome = prop_oneof![
        4 => Just(Outcome::Accepted),
        1 => Just(Outcome::Rejected(None)),
        2 => Just(Outcome::Released),
        2 => any::<bool>().prop_map(|undeliverable_here| Outcome::Modified(Modified {
            delivery_failed: true,
            undeliverable_here,
            annotations: None,
        })),
    ];
    let manner = prop_oneof![Just(Manner::Settled), Just(Manner::Unsettled), Just(Manner::Mixed)];
    let max_size = prop_oneof![3 => Just(u64::MAX), 1 => Just(20)];
    prop_oneof![
        2 => (0..NODES.len()).prop_map(|node| Step::Sender { node }),
        3 => (0..NODES.len(), manner, max_size, prop::bool::weighted(0.1))
            .prop_map(|(node, manner, max_size, browse)| Step::Receiver { node, manner, max_size, browse }),
        9 => (index(), prop::collection::vec(8..60usize, 1..6), any::<bool>())
            .prop_map(|(link, sizes, settled)| Step::Send { link, sizes, settled }),
        8 => (index(), -2..6i64, prop::bool::weighted(0.2))
            .prop_map(|(link, more, drain)| Step::Credit { link, more, drain }),
        9 => (index(), index(), outcome).prop_map(|(link, which, outcome)| Step::Answer { link, which, outcome }),
        2 => (index(), 0..300usize).prop_map(|(connection, bytes)| Step::Room { connection, bytes }),
        2 => (index(), 0..4i64).prop_map(|(connection, more)| Step::Window { connection, more }),
        1 => index().prop_map(|link| Step::Retire { link }),
        1 => index().prop_map(|link| Step::Detach { link }),
        1 => index().prop_map(|connection| Step::Disconnect { connection }),
        1 => (0..NODES.len()).prop_map(|node| Step::Purge { node }),
    ]
}

/// The state of a message of a node that has each message once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Waiting or dropped; the router's counters say which.
    Kept,
    /// With a consumer of a queue, unanswered.
    Out,
    Ended,
}

#[derive(Clone, Debug)]
struct Receiver {
    node: usize,
    max_size: u64,
    browse: bool,
    retired: bool,
}

/// The expected state.
struct Model {
    talk: Dialogue,
    end_to_end: bool,
    senders: BTreeMap<String, usize>,
    receivers: BTreeMap<String, Receiver>,
    connections: Vec<String>,
    /// Connections whose channel has a window.
    opened: BTreeSet<String>,
    /// Messages of all nodes but the multicast one.
    places: BTreeMap<String, Place>,
    /// Number of outcomes that senders wait for.
    untold: usize,
    purged: usize,
    /// Messages of the multicast node that had no consumer.
    unserved: u64,
    made: usize,
}

impl Model {
    fn new(settlement: Settlement, storage_limit: usize) -> Model {
        let talk = Dialogue::with(|config| {
            config.settlement = settlement;
            config.storage_limit = storage_limit;
            config.backlog_limit = 5;
        });
        Model {
            talk,
            end_to_end: settlement == Settlement::EndToEnd,
            senders: BTreeMap::new(),
            receivers: BTreeMap::new(),
            connections: ["x", "y", "z"].map(str::to_owned).to_vec(),
            opened: BTreeSet::new(),
            places: BTreeMap::new(),
            untold: 0,
            purged: 0,
            unserved: 0,
            made: 0,
        }
    }

    /// Returns a name for a link of one of the connections, in turn.
    fn name(&mut self) -> String {
        self.made += 1;
        let connection = &self.connections[self.made % self.connections.len()];
        format!("{connection}.{}", self.made)
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Sender { node } => {
                let name = self.name();
                self.talk.sender_at(&name, NODES[node]);
                self.senders.insert(name, node);
            }
            Step::Receiver { node, manner, max_size, browse } => {
                let name = self.name();
                self.talk.receiver(&name, Node::Address(NODES[node].into()), |request| {
                    (request.manner, request.max_message_size, request.browse) = (manner, max_size, browse);
                    request.channel = Some(1);
                });
                let browse = browse && NODES[node].starts_with("queue");
                self.receivers.insert(name, Receiver { node, max_size, browse, retired: false });
            }
            Step::Send { link, sizes, settled } => self.send(&link, &sizes, settled),
            Step::Credit { link, more, drain } => {
                let Some(name) = pick(&link, self.receivers.iter().filter(|(_, it)| !it.retired)) else { return };
                match drain {
                    true => self.talk.drain(&name, more.max(0)),
                    false => self.talk.credit(&name, more),
                }
            }
            Step::Answer { link, which, outcome } => {
                let Some(name) = pick(&link, self.receivers.iter()) else { return };
                let handed = self.talk.has(&name);
                if handed.is_empty() {
                    return;
                }
                let text = which.get(&handed).clone();
                if self.talk.finish(&name, &text) {
                    self.places.insert(text, Place::Ended);
                    return;
                }
                let Receiver { node, browse, .. } = self.receivers[&name];
                if NODES[node].starts_with("queue") && !browse {
                    let back = matches!(outcome, Outcome::Released | Outcome::Modified(_));
                    self.places.insert(text.clone(), if back { Place::Kept } else { Place::Ended });
                }
                self.talk.answer(&name, &text, outcome);
            }
            Step::Room { connection, bytes } => {
                let connection = connection.get(&self.connections).clone();
                self.talk.room(&connection, bytes);
            }
            Step::Window { connection, more } => {
                let connection = connection.get(&self.connections).clone();
                let is_new = self.opened.insert(connection.clone());
                self.talk.does(&format!("{connection}.window"), |_| match is_new {
                    true => Event::ChannelOpened { channel: 1, window: more, unit: 30 },
                    false => Event::Window { channel: 1, more },
                });
            }
            Step::Retire { link } => {
                let Some(name) = pick(&link, self.receivers.iter().filter(|(_, it)| it.node == 2 && !it.browse)) else {
                    return;
                };
                self.receivers.get_mut(&name).unwrap().retired = true;
                self.talk.credit_is_gone(&name);
                self.talk.does(&name, |link| Event::Retire { link });
            }
            Step::Detach { link } => {
                let all: BTreeMap<&String, ()> =
                    self.senders.keys().chain(self.receivers.keys()).map(|name| (name, ())).collect();
                let Some(name) = pick(&link, all.iter().map(|(name, ())| (*name, &()))) else { return };
                self.gone(&name);
                self.talk.detach(&[&name]);
            }
            Step::Disconnect { connection } => {
                let at = connection.index(self.connections.len());
                let old = std::mem::replace(&mut self.connections[at], format!("n{}", self.made));
                self.made += 1;
                let prefix = format!("{old}.");
                let names: Vec<String> = self.senders.keys().chain(self.receivers.keys()).cloned().collect();
                names.iter().filter(|name| name.starts_with(&prefix)).for_each(|name| self.gone(name));
                self.talk.connection(&old);
                self.talk.disconnect(&old);
            }
            Step::Purge { node } => {
                let purged = self.talk.purge(NODES[node]);
                self.purged += if node == BROADCAST { 0 } else { purged };
            }
        }
    }

    fn send(&mut self, link: &Index, sizes: &[usize], settled: bool) {
        let Some(name) = pick(link, self.senders.iter()) else { return };
        let node = self.senders[&name];
        let texts: Vec<String> = sizes
            .iter()
            .map(|size| {
                self.made += 1;
                format!("{:-<size$}", format!("{node}:{}", self.made))
            })
            .collect();
        for text in &texts {
            if node != BROADCAST {
                self.places.insert(text.clone(), Place::Kept);
            }
        }
        if !settled {
            self.untold += texts.len();
        }
        let before = self.talk.router.counts().dropped;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.talk.send_to(&name, Destination::Link, &texts, settled);
        if node == BROADCAST {
            self.unserved += self.talk.router.counts().dropped - before;
        }
    }

    /// Applies the detach of a link to the model.
    fn gone(&mut self, name: &str) {
        self.senders.remove(name);
        let Some(Receiver { node, browse, .. }) = self.receivers.remove(name) else { return };
        if NODES[node].starts_with("queue") && !browse {
            for text in self.talk.has(name) {
                self.places.insert(text, Place::Kept);
            }
        }
    }

    /// Applies what has been handed out and sent, and checks the totals.
    fn check(&mut self) {
        for (name, text, is_end) in self.talk.take_deliveries_seen() {
            let Some(receiver) = self.receivers.get(&name) else { panic!("{name} is gone and gets {text}") };
            assert!(text.len() as u64 <= receiver.max_size, "{text} is too large for {name}");
            assert!(text.starts_with(&format!("{}:", receiver.node)), "{text} is not for {name}");
            if receiver.browse || receiver.node == BROADCAST {
                continue;
            }
            let keeps = NODES[receiver.node].starts_with("queue") && !is_end;
            let before = self.places.insert(text.clone(), if keeps { Place::Out } else { Place::Ended });
            assert_eq!(before, Some(Place::Kept), "{text} comes to {name}");
        }
        self.untold = self.untold.checked_sub(self.talk.take_told()).expect("an outcome for each delivery, once");
        let audit = self.talk.router.audit();
        if !self.end_to_end {
            assert_eq!((self.untold, audit.origins), (0, 0), "everybody is told at once");
        }
        assert_eq!(self.untold, audit.origins, "who has not been told is remembered");
        let of = |place: Place| self.places.values().filter(|it| **it == place).count();
        let depth: usize = NODES[..BROADCAST].iter().map(|node| self.talk.router.depth(node)).sum();
        let dropped = usize::try_from(self.talk.router.counts().dropped - self.unserved).unwrap();
        assert_eq!(of(Place::Kept), depth + dropped + self.purged, "each message is somewhere");
    }
}

fn pick<'a, T: 'a>(index: &Index, all: impl Iterator<Item = (&'a String, &'a T)>) -> Option<String> {
    let names: Vec<&String> = all.map(|(name, _)| name).collect();
    (!names.is_empty()).then(|| (*index.get(&names)).clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_is_somewhere(
        steps in prop::collection::vec(step(), 1..120),
        end_to_end in any::<bool>(),
        storage_limit in prop_oneof![Just(1 << 20), Just(1500)],
    ) {
        let settlement = if end_to_end { Settlement::EndToEnd } else { Settlement::Immediate };
        let mut model = Model::new(settlement, storage_limit);
        for step in steps {
            model.take(step);
            model.check();
        }
        model.talk.end();
    }
}
