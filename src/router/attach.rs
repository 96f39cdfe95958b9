//! Links come and go, and with them the routes that they use.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::links::{Consumer, End, Producer};
use super::{ConsumerRequest, Distribution, Effect, LinkKey, Node, NodeKind, Route, Router, RoutingConfig, Ticket};

impl Router {
    pub(super) fn attach_producer(&mut self, key: LinkKey, name: Arc<str>, node: Node) {
        let asked = address_asked(&node);
        let exchange = match &node {
            Node::Address(address) => match self.terminus_at(address) {
                Ok(terminus) => terminus,
                Err(fault) => return self.refuse(key, fault),
            },
            _ => None,
        };
        let route = match node {
            Node::Anonymous => None,
            _ if exchange.is_some() => None,
            named => Some(self.route_for(named, key)),
        };
        let (address, kind) = match route.and_then(|route| self.routes.get(route)) {
            Some(route) => (Some(route.address.clone()), kind_of(route)),
            None => (None, NodeKind::Unspecified),
        };
        if let Some(route) = route.and_then(|route| self.routes.get_mut(route)) {
            route.producers += 1;
        }
        let withheld = address.as_ref().or(asked.as_ref()).is_some_and(|address| self.withheld.contains(address));
        let exchange = exchange.map(Box::new);
        self.links.add_producer(key, Producer { withheld, exchange, ..Producer::new(name, route) });
        self.counts.sender_links += 1;
        self.effects.push_back(Effect::Attached { link: key, address: asked.or(address), kind });
        if let Some(route) = route
            && self.routes.get(route).is_some_and(Route::is_slow)
        {
            self.hold(key, route);
        }
        self.top_up(key);
    }

    pub(super) fn attach_consumer(&mut self, key: LinkKey, request: ConsumerRequest) {
        let route_id = match self.route_for_consumer(key, &request) {
            Ok(route_id) => route_id,
            Err(fault) => {
                self.effects.push_back(Effect::Refused { link: key, fault: Box::new(fault) });
                return;
            }
        };
        let Some(route) = self.routes.get_mut(route_id) else { return };
        // Only what is stored can be looked at without being taken.
        let browse = request.browse && route.distribution == Distribution::Queue;
        if request.passing {
            route.aside.push(key);
        } else {
            self.counts.receiver_links += 1;
            if browse {
                route.browsers.push(key);
            } else {
                route.consumers.push(key);
            }
        }
        let address = address_asked(&request.node).or_else(|| Some(route.address.clone()));
        let kind = kind_of(route);
        self.links.add_consumer(key, Consumer::new(route_id, browse, request));
        self.effects.push_back(Effect::Attached { link: key, address, kind });
    }

    /// The route for a node that a link wants; made if there is none.
    pub(super) fn route_for(&mut self, node: Node, owner: LinkKey) -> usize {
        let (address, distribution, owner) = match node {
            Node::Address(address) => match RoutingConfig::node_at(&address) {
                Cow::Borrowed(same) if same.len() == address.len() => (address, None, None),
                other => {
                    let distribution = self.config.distribution_at(&address, &other);
                    (Arc::from(other), Some(distribution), None)
                }
            },
            Node::Dynamic(kind) => {
                self.generated += 1;
                let RoutingConfig { generated_prefix, separator, .. } = &self.config;
                let address =
                    format!("{generated_prefix}{separator}{:08x}{separator}{}", self.salt >> 32, self.generated);
                let distribution = match kind {
                    NodeKind::Queue => Some(Distribution::Queue),
                    NodeKind::Topic => Some(Distribution::Multicast),
                    NodeKind::Unspecified => None,
                };
                (address.into(), distribution, Some(owner))
            }
            // Anonymous producers have no route, there are no anonymous consumers, and only consumers ask for queues.
            Node::Anonymous | Node::Queue(_) => ("".into(), None, None),
        };
        if let Some(route) = self.addresses.get(&address) {
            return *route;
        }
        let distribution = distribution.unwrap_or_else(|| self.config.distribution_of(&address));
        let route = self.routes.insert(Route::new(address.clone(), distribution, owner));
        self.addresses.insert(address, route);
        route
    }

    /// Links are gone. All of them leave their routes before what they had is given to others.
    pub(crate) fn detach(&mut self, gone: Vec<(LinkKey, Vec<Ticket>)>) {
        let mut routes = Vec::new();
        let mut consumers = Vec::new();
        let mut deserted = Vec::new();
        let mut leaving: HashMap<usize, HashSet<LinkKey>> = HashMap::new();
        let mut starved_left = false;
        for (key, unsent) in gone {
            match self.links.remove(key) {
                Some(End::Producer(producer)) => {
                    starved_left |= producer.starved;
                    self.counts.sender_links -= 1;
                    if let Some(route) = producer.route.and_then(|route| self.routes.get_mut(route)) {
                        route.producers -= 1;
                    }
                    for route in producer.held_by {
                        if let Some(route) = self.routes.get_mut(route) {
                            route.held.remove(&key);
                        }
                    }
                    routes.extend(producer.route.map(|route| (route, key)));
                }
                Some(End::Consumer(consumer)) => {
                    self.counts.receiver_links -= u64::from(!consumer.passing);
                    if !consumer.passing {
                        deserted.push(consumer.route);
                    }
                    leaving.entry(consumer.route).or_default().insert(key);
                    routes.push((consumer.route, key));
                    consumers.push((key, consumer, unsent));
                }
                None => {}
            }
        }
        if starved_left {
            self.starved.retain(|key| self.links.end(*key).is_some());
        }
        for (route, leaving) in leaving {
            if let Some(route) = self.routes.get_mut(route) {
                route.strike_off(&leaving);
            }
        }
        for (key, consumer, unsent) in consumers {
            self.take_back(key, *consumer, &unsent);
        }
        deserted.into_iter().for_each(|route| self.end_if_deserted(route));
        for (route, key) in &routes {
            self.end_dynamic_node(*route, *key);
        }
        // Once for each: what waits there is looked through.
        let mut routes: Vec<usize> = routes.into_iter().map(|(route, _)| route).collect();
        routes.sort_unstable();
        routes.dedup();
        for route in routes {
            self.carry_on(route);
            self.tidy(route);
        }
    }

    /// A dynamic node ends with the link that made it.
    fn end_dynamic_node(&mut self, route_id: usize, gone: LinkKey) {
        let Some(route) = self.routes.get_mut(route_id).filter(|route| route.owner == Some(gone)) else { return };
        route.owner = None;
        // Somebody has declared it since: it stays.
        if route.declared.is_some() {
            return;
        }
        // What waits is dropped with the next look at it.
        route.ended = true;
        self.forget_address(route_id);
    }
}

fn kind_of(route: &Route) -> NodeKind {
    match route.distribution {
        Distribution::Queue => NodeKind::Queue,
        Distribution::Multicast => NodeKind::Topic,
        Distribution::Direct | Distribution::Anycast => NodeKind::Unspecified,
    }
}

/// A link is told the address that it asked for, where there is more than one way to say it.
fn address_asked(node: &Node) -> Option<Arc<str>> {
    match node {
        Node::Address(address) => Some(address.clone()),
        Node::Queue(_) | Node::Dynamic(_) | Node::Anonymous => None,
    }
}
