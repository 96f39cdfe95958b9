//! The virtual hosts of the broker: a router for each. What is in one of them (exchanges, queues, links, messages) is in no other.
//!
//! All of them count against one budget, and share counters and numbers of messages: the recorder has messages in the order in
//! which they arrived, wherever that was. So one router at a time has all of these ([`Baton`]), and hands them over when another
//! one is called. With one virtual host that never happens, and nothing is looked up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::budget::Budget;
use crate::config::RoutingConfig;
use crate::event::{ConnectionKey, DEFAULT_VHOST, Effect, LinkKey};
use crate::protocol::message_codec;
use crate::router::{Baton, Router};

/// The index of a virtual host. 0 is the default one.
type Index = usize;

/// The router of a virtual host that is not the default one.
#[derive(Debug)]
struct Further {
    name: Arc<str>,
    router: Router,
    /// Whether it is in [`Vhosts::called`].
    is_pending: bool,
}

/// The routers of all virtual hosts. A virtual host stays for as long as the broker.
#[derive(Debug)]
pub(super) struct Vhosts {
    /// The router of the virtual host `/`.
    main: Router,
    further: Vec<Further>,
    by_name: HashMap<Arc<str>, Index>,
    /// The virtual host of each connection that is not in the default one.
    members: HashMap<ConnectionKey, Index>,
    /// The one whose router has what all share.
    current: Index,
    /// Virtual hosts whose routers may have effects since they were called last. The default one is never here.
    pending: Vec<Index>,
    /// Virtual hosts whose producers wait for room in the budget.
    starved: Vec<Index>,
    plan: Plan,
}

/// The parts that a further router is made from.
#[derive(Debug)]
struct Plan {
    config: RoutingConfig,
    salt: u64,
    dated: (Instant, Duration),
    budget: Budget,
}

impl Plan {
    fn router(&self, name: &Arc<str>) -> Router {
        Router::new(name, self.config.clone(), self.salt, self.dated, self.budget.clone(), message_codec)
    }
}

impl Vhosts {
    /// Creates the default virtual host, and those of these names.
    pub(super) fn new(
        names: &[String],
        config: RoutingConfig,
        salt: u64,
        dated: (Instant, Duration),
        budget: Budget,
    ) -> Vhosts {
        let plan = Plan { config, salt, dated, budget };
        let mut vhosts = Vhosts {
            main: plan.router(&DEFAULT_VHOST.into()),
            further: Vec::new(),
            by_name: HashMap::new(),
            members: HashMap::new(),
            current: 0,
            pending: Vec::new(),
            starved: Vec::new(),
            plan,
        };
        names.iter().for_each(|name| vhosts.add(name));
        vhosts
    }

    /// Adds a virtual host, unless it is there.
    pub(super) fn add(&mut self, name: &str) {
        if self.find(name).is_none() {
            let name: Arc<str> = name.into();
            let router = self.plan.router(&name);
            self.further.push(Further { name: name.clone(), router, is_pending: false });
            self.by_name.insert(name, self.further.len());
        }
    }

    fn find(&self, name: &str) -> Option<Index> {
        if name == DEFAULT_VHOST { Some(0) } else { self.by_name.get(name).copied() }
    }

    /// Returns the name of the virtual host that is called as a peer's hostname is; the default one's if there is none.
    pub(super) fn called(&self, host: Option<&str>) -> Arc<str> {
        host.filter(|host| self.by_name.contains_key(*host)).unwrap_or(DEFAULT_VHOST).into()
    }

    /// Returns the names of all virtual hosts, the default one first.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        let further = self.further.iter().map(|further| further.name.clone());
        std::iter::once(DEFAULT_VHOST.into()).chain(further).collect()
    }

    /// Moves a connection, which has no links yet, to a virtual host. `room` is that of [`Router::set_room`]. False if there is
    /// no such virtual host.
    pub(super) fn enter(&mut self, connection: ConnectionKey, name: &str, room: usize) -> bool {
        match self.find(name) {
            None => false,
            Some(0) => true,
            Some(index) => {
                self.main.connection_gone(connection);
                self.members.insert(connection, index);
                self.at(index).set_room(connection, room);
                true
            }
        }
    }

    /// Returns the router that has what all share.
    #[inline]
    pub(super) fn current(&mut self) -> &mut Router {
        let index = self.current;
        self.get(index)
    }

    #[inline]
    fn get(&mut self, index: Index) -> &mut Router {
        match index.checked_sub(1).and_then(|index| self.further.get_mut(index)) {
            Some(further) => &mut further.router,
            None => &mut self.main,
        }
    }

    /// Returns the router of a virtual host, after it has got what all share.
    fn at(&mut self, index: Index) -> &mut Router {
        if index != self.current {
            let baton: Baton = self.current().hand_over();
            self.get(index).take_over(baton);
            self.current = index;
        }
        if let Some(further) = index.checked_sub(1).and_then(|index| self.further.get_mut(index))
            && !std::mem::replace(&mut further.is_pending, true)
        {
            self.pending.push(index);
        }
        self.get(index)
    }

    /// Returns the router of a virtual host by its name: the default one's if there is none of this name.
    pub(super) fn named(&mut self, name: &str) -> &mut Router {
        let index = self.find(name).unwrap_or(0);
        self.at(index)
    }

    /// Returns the router of a connection's virtual host.
    #[inline]
    pub(super) fn of(&mut self, connection: ConnectionKey) -> &mut Router {
        if self.further.is_empty() {
            return &mut self.main;
        }
        let index = self.index_of(connection);
        self.at(index)
    }

    fn index_of(&self, connection: ConnectionKey) -> Index {
        self.members.get(&connection).copied().unwrap_or(0)
    }

    /// Calls `work` with each router, the default one's first.
    pub(super) fn each(&mut self, mut work: impl FnMut(&mut Router)) {
        (0..=self.further.len()).for_each(|index| work(self.at(index)));
    }

    fn all(&self) -> impl Iterator<Item = &Router> {
        std::iter::once(&self.main).chain(self.further.iter().map(|further| &further.router))
    }

    /// Returns the next effect on a link. [`Vhosts::current`] is the router that it came from.
    #[inline]
    pub(super) fn poll_effect(&mut self) -> Option<Effect> {
        if self.further.is_empty() {
            return self.main.poll_effect();
        }
        self.poll_effect_of_any()
    }

    fn poll_effect_of_any(&mut self) -> Option<Effect> {
        while let Some(index) = self.pending.last().copied() {
            if let Some(effect) = self.at(index).poll_effect() {
                return Some(effect);
            }
            self.pending.pop();
            let Some(further) = index.checked_sub(1).and_then(|index| self.further.get_mut(index)) else { continue };
            further.is_pending = false;
            if further.router.has_starved() && !self.starved.contains(&index) {
                self.starved.push(index);
            }
        }
        if !self.starved.is_empty() && self.plan.budget.is_relaxed() {
            for index in std::mem::take(&mut self.starved) {
                self.at(index);
            }
            return self.poll_effect_of_any();
        }
        self.at(0).poll_effect()
    }

    /// When something is due next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.all().filter_map(Router::next_deadline).min()
    }

    /// Does what is due at `now`, and puts off what the turn before had no time for.
    pub(super) fn fire_deadlines(&mut self, now: Instant) {
        for index in 0..=self.further.len() {
            let router = self.get(index);
            if router.has_work_left() || router.next_deadline().is_some_and(|at| at <= now) {
                let router = self.at(index);
                router.set_now(now);
                router.fire_deadlines();
            }
        }
    }

    /// Whether a router has work left for the next turn.
    pub(super) fn has_work_left(&self) -> bool {
        self.all().any(Router::has_work_left)
    }

    /// Detaches links, those of each virtual host at once.
    pub(super) fn detach(&mut self, gone: Vec<LinkKey>) {
        for (index, gone) in self.by_vhost(gone, |link| link.connection) {
            self.at(index).detach(gone);
        }
    }

    /// Ends connections, those of each virtual host at once.
    pub(super) fn connections_gone(&mut self, connections: Vec<ConnectionKey>) {
        for (index, gone) in self.by_vhost(connections, |connection| *connection) {
            for connection in &gone {
                self.members.remove(connection);
            }
            self.at(index).connections_gone(gone);
        }
    }

    fn by_vhost<T>(&self, items: Vec<T>, connection: impl Fn(&T) -> ConnectionKey) -> BTreeMap<Index, Vec<T>> {
        let mut sorted = BTreeMap::<Index, Vec<T>>::new();
        for item in items {
            sorted.entry(self.index_of(connection(&item))).or_default().push(item);
        }
        sorted
    }
}
