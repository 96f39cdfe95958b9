//! Exchanges compared with a model that searches a list of bindings, and their cost when nothing is left.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::topic::Words;
use super::*;
use crate::amqp091::CODEC;
use crate::arguments::Arguments;
use crate::message::Payload;
use crate::router::node_id::NodeId;
use crate::value::Value;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const KINDS: [ExchangeKind; 3] = [ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Topic];
const KEYS: [&str; 5] = ["", "x", "x.y", "*.y", "#"];

/// An action of a client. Names are given by their index in the lists above.
#[derive(Clone, Debug)]
enum Step {
    Declare { name: usize, kind: usize, auto_delete: bool },
    Delete { name: usize },
    BindQueue { source: usize, queue: usize, key: usize, argument: i32 },
    UnbindQueue { source: usize, queue: usize, key: usize, argument: i32 },
    BindExchange { source: usize, target: usize, key: usize },
    UnbindExchange { source: usize, target: usize, key: usize },
    DeleteQueue { queue: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (name, key) = (0..NAMES.len(), 0..KEYS.len());
    let (other, queue, argument) = (name.clone(), 0..3_usize, 0..2);
    let place = (name.clone(), queue.clone(), key.clone(), argument);
    let link = (name.clone(), other, key);
    prop_oneof![
        3 => (name.clone(), 0..KINDS.len(), any::<bool>())
            .prop_map(|(name, kind, auto_delete)| Step::Declare { name, kind, auto_delete }),
        1 => name.prop_map(|name| Step::Delete { name }),
        6 => place.clone().prop_map(|(source, queue, key, argument)| Step::BindQueue { source, queue, key, argument }),
        3 => place.prop_map(|(source, queue, key, argument)| Step::UnbindQueue { source, queue, key, argument }),
        4 => link.clone().prop_map(|(source, target, key)| Step::BindExchange { source, target, key }),
        2 => link.prop_map(|(source, target, key)| Step::UnbindExchange { source, target, key }),
        1 => queue.prop_map(|queue| Step::DeleteQueue { queue }),
    ]
}

fn declaration(name: usize, kind: usize, auto_delete: bool) -> ExchangeDeclaration {
    let arguments = Arguments::new([("n".to_owned(), Value::Int(1))]);
    let kind = KINDS[kind];
    ExchangeDeclaration { name: NAMES[name].into(), kind, durable: false, auto_delete, internal: false, arguments }
}

fn to_queue(queue: usize, key: usize, argument: i32) -> Binding {
    let arguments = Arguments::new([("n".to_owned(), Value::Int(argument))]);
    Binding { target: Target::Queue(NodeId(queue)), key: KEYS[key].into(), arguments }
}

fn to_exchange(target: usize, key: usize) -> Binding {
    Binding { target: Target::Exchange(NAMES[target].into()), key: KEYS[key].into(), arguments: Arguments::default() }
}

/// The model, without indexes.
#[derive(Debug, Default)]
struct Model {
    exchanges: Vec<(Arc<str>, ExchangeKind, bool)>,
    bindings: Vec<(Arc<str>, Binding)>,
}

impl Model {
    fn has(&self, name: &str) -> bool {
        self.exchanges.iter().any(|(known, ..)| known.as_ref() == name)
    }

    fn bind(&mut self, source: &str, binding: Binding) {
        let there = match &binding.target {
            Target::Queue(_) => true,
            Target::Exchange(name) => self.has(name),
        };
        if self.has(source) && there && !self.bindings.contains(&(source.into(), binding.clone())) {
            self.bindings.push((source.into(), binding));
        }
    }

    /// Removes bindings, and the auto-delete exchanges that lose their last one.
    fn unbind(&mut self, goes: impl Fn(&str, &Binding) -> bool) {
        let gone: Vec<Arc<str>> = self
            .bindings
            .iter()
            .filter(|(source, binding)| goes(source, binding))
            .map(|(source, _)| source.clone())
            .collect();
        self.bindings.retain(|(source, binding)| !goes(source, binding));
        for source in gone {
            let auto_delete = self.exchanges.iter().any(|(name, _, auto_delete)| *name == source && *auto_delete);
            if auto_delete && !self.bindings.iter().any(|(other, _)| *other == source) {
                self.delete(&source);
            }
        }
    }

    fn delete(&mut self, name: &str) {
        self.exchanges.retain(|(known, ..)| known.as_ref() != name);
        self.bindings.retain(|(source, _)| source.as_ref() != name);
        self.unbind(|_, binding| matches!(&binding.target, Target::Exchange(target) if target.as_ref() == name));
    }

    fn route(&self, from: &str, key: &str) -> BTreeSet<NodeId> {
        let mut next = vec![from.to_owned()];
        let (mut visited, mut queues) = (BTreeSet::new(), BTreeSet::new());
        while let Some(name) = next.pop() {
            let Some((_, kind, _)) = self.exchanges.iter().find(|(known, ..)| **known == *name) else { continue };
            if !visited.insert(name.clone()) {
                continue;
            }
            for (_, binding) in self.bindings.iter().filter(|(source, _)| **source == *name) {
                let matches = match kind {
                    ExchangeKind::Direct => *binding.key == *key,
                    ExchangeKind::Topic => Words::of(key).match_pattern(&binding.key),
                    _ => true,
                };
                match &binding.target {
                    _ if !matches => {}
                    Target::Queue(queue) => drop(queues.insert(*queue)),
                    Target::Exchange(name) => next.push(name.as_ref().to_owned()),
                }
            }
        }
        queues
    }
}

fn take(step: &Step, exchanges: &mut Exchanges, model: &mut Model) {
    match *step {
        Step::Declare { name, kind, auto_delete } => {
            let was_there = model.has(NAMES[name]);
            let declared = exchanges.declare(declaration(name, kind, auto_delete));
            if !was_there {
                assert!(declared.is_ok());
                model.exchanges.push((NAMES[name].into(), KINDS[kind], auto_delete));
            }
        }
        Step::Delete { name } => {
            exchanges.delete(NAMES[name], false).unwrap();
            model.delete(NAMES[name]);
        }
        Step::BindQueue { source, queue, key, argument } => {
            let _ = exchanges.bind(NAMES[source], to_queue(queue, key, argument));
            model.bind(NAMES[source], to_queue(queue, key, argument));
        }
        Step::BindExchange { source, target, key } => {
            let _ = exchanges.bind(NAMES[source], to_exchange(target, key));
            model.bind(NAMES[source], to_exchange(target, key));
        }
        Step::UnbindQueue { source, queue, key, argument } => {
            let binding = to_queue(queue, key, argument);
            exchanges.unbind(NAMES[source], &binding);
            model.unbind(|from, known| from == NAMES[source] && *known == binding);
        }
        Step::UnbindExchange { source, target, key } => {
            let binding = to_exchange(target, key);
            exchanges.unbind(NAMES[source], &binding);
            model.unbind(|from, known| from == NAMES[source] && *known == binding);
        }
        Step::DeleteQueue { queue } => {
            exchanges.forget_queue(NodeId(queue));
            model.unbind(|_, binding| binding.target == Target::Queue(NodeId(queue)));
        }
    }
}

proptest! {
    #[test]
    fn routes_are_those_that_a_search_finds_and_nothing_is_left_behind(steps in prop::collection::vec(step(), 0..40)) {
        let mut exchanges = Exchanges::new(VhostName("/".into()));
        let mut model = Model::default();
        for step in &steps {
            take(step, &mut exchanges, &mut model);
            for name in NAMES {
                prop_assert_eq!(exchanges.find(name).is_ok(), model.has(name), "{} after {:?}", name, step);
                for key in ["", "x", "x.y", "z.y"] {
                    // The second lookup is answered from the cache.
                    for _ in 0..2 {
                        let found = exchanges.route(name, &RoutedBy::new(&[key], CODEC, &Payload::default()));
                        let found: BTreeSet<NodeId> = found.into_iter().flat_map(|route| route.queues.to_vec()).collect();
                        prop_assert_eq!(found, model.route(name, key), "{} {:?} after {:?}", name, key, step);
                    }
                }
            }
        }
        for name in NAMES {
            exchanges.delete(name, false).unwrap();
        }
        prop_assert_eq!(exchanges.cost, 0);
        prop_assert!(exchanges.bound.is_empty());
    }
}
