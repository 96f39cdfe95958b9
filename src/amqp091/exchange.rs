//! 3.1.3: one exchange: which of its bindings a message matches. What stands behind a binding is not known here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::host::Declared;
use super::table::{Field, Table};

/// The types of 3.1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExchangeKind {
    /// The routing key is the binding's.
    Direct,
    /// Any message.
    Fanout,
    /// The routing key has the words that the binding's pattern asks for.
    Topic,
    /// The message has the headers that the binding's arguments ask for.
    Headers,
}

impl ExchangeKind {
    pub(crate) fn named(name: &str) -> Option<ExchangeKind> {
        Some(match name {
            "direct" => ExchangeKind::Direct,
            "fanout" => ExchangeKind::Fanout,
            "topic" => ExchangeKind::Topic,
            "headers" => ExchangeKind::Headers,
            _ => return None,
        })
    }
}

/// What a binding leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Target {
    Queue(Arc<str>),
    Exchange(Arc<str>),
}

/// See the module. Those of one target stand together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Binding {
    pub(crate) target: Target,
    pub(crate) key: Box<[u8]>,
    /// The entries of a table.
    pub(crate) arguments: Bytes,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) kind: ExchangeKind,
    /// It has been there from the beginning and stays.
    pub(crate) standard: bool,
    durable: bool,
    /// It goes with the last of its bindings.
    auto_delete: bool,
    /// Only other exchanges publish to it.
    pub(crate) internal: bool,
    /// By their keys.
    bindings: BTreeMap<Box<[u8]>, BTreeSet<Binding>>,
    was_bound: bool,
}

impl Exchange {
    pub(crate) fn standard(kind: ExchangeKind) -> Exchange {
        Exchange {
            kind,
            standard: true,
            durable: true,
            auto_delete: false,
            internal: false,
            bindings: BTreeMap::new(),
            was_bound: false,
        }
    }

    pub(crate) fn new(kind: ExchangeKind, declared: &Declared<'_>) -> Exchange {
        Exchange {
            kind,
            standard: false,
            durable: declared.durable,
            auto_delete: declared.auto_delete,
            internal: declared.internal,
            bindings: BTreeMap::new(),
            was_bound: false,
        }
    }

    /// Whether a second declaration says the same as the first.
    pub(crate) fn is_declared_like(&self, other: &Exchange) -> bool {
        (self.kind, self.durable, self.auto_delete, self.internal)
            == (other.kind, other.durable, other.auto_delete, other.internal)
    }

    pub(crate) fn is_unbound(&self) -> bool {
        self.bindings.is_empty()
    }

    /// It was bound, is not any more, and goes then.
    pub(crate) fn is_done(&self) -> bool {
        self.auto_delete && self.was_bound && self.bindings.is_empty()
    }

    /// The same twice is one binding: then false.
    pub(crate) fn bind(&mut self, binding: Binding) -> bool {
        self.was_bound = true;
        self.bindings.entry(binding.key.clone()).or_default().insert(binding)
    }

    /// True if it was bound.
    pub(crate) fn unbind(&mut self, binding: &Binding) -> bool {
        let Some(bindings) = self.bindings.get_mut(&binding.key) else { return false };
        let unbound = bindings.remove(binding);
        if bindings.is_empty() {
            self.bindings.remove(&binding.key);
        }
        unbound
    }

    /// Takes out all that lead to a target by one key; what those cost.
    pub(crate) fn unbind_all(&mut self, target: &Target, key: &[u8]) -> usize {
        let found: Vec<Binding> = self.by(target, key).cloned().collect();
        found.iter().filter(|binding| self.unbind(binding)).map(Binding::cost).sum()
    }

    pub(crate) fn has(&self, target: &Target, key: &[u8]) -> bool {
        self.by(target, key).next().is_some()
    }

    fn by<'a>(&'a self, target: &'a Target, key: &[u8]) -> impl Iterator<Item = &'a Binding> {
        let first = Binding { target: target.clone(), key: key.into(), arguments: Bytes::new() };
        let bindings = self.bindings.get(key).into_iter().flat_map(move |bindings| bindings.range(first.clone()..));
        bindings.take_while(move |binding| binding.target == *target)
    }

    /// All of them.
    pub(crate) fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.values().flatten()
    }

    /// Hands on what the bindings that match lead to.
    pub(crate) fn targets(&self, key: &[u8], headers: &[u8], each: &mut dyn FnMut(&Target)) {
        match self.kind {
            ExchangeKind::Direct => {
                self.bindings.get(key).into_iter().flatten().for_each(|binding| each(&binding.target));
            }
            ExchangeKind::Fanout => self.bindings.values().flatten().for_each(|binding| each(&binding.target)),
            ExchangeKind::Topic => {
                let key: Vec<&[u8]> = words(key).collect();
                let matching = self.bindings.iter().filter(|(pattern, _)| matches_topic(pattern, &key));
                matching.flat_map(|(_, bindings)| bindings).for_each(|binding| each(&binding.target));
            }
            ExchangeKind::Headers => {
                let Ok(headers) = Table::of_entries(headers) else { return };
                let headers: HashMap<&[u8], Field<'_>> = headers.entries().collect();
                let matching = self.bindings.values().flatten().filter(|binding| binding.matches_headers(&headers));
                matching.for_each(|binding| each(&binding.target));
            }
        }
    }
}

impl Binding {
    /// What it costs beside its arguments, about.
    const OVERHEAD: usize = 512;

    pub(crate) fn cost(&self) -> usize {
        Binding::OVERHEAD + self.arguments.len()
    }

    /// 3.1.3.4: `x-match` says whether all are asked for or any; names that begin with `x-` are not looked at.
    fn matches_headers(&self, headers: &HashMap<&[u8], Field<'_>>) -> bool {
        let Ok(wanted) = Table::of_entries(&self.arguments) else { return false };
        let any = matches!(wanted.text("x-match"), Some("any" | "any-with-x"));
        let with_x = matches!(wanted.text("x-match"), Some("any-with-x" | "all-with-x"));
        let mut asked =
            wanted.entries().filter(|(name, _)| *name != b"x-match" && (with_x || !name.starts_with(b"x-")));
        let has = |(name, value): (&[u8], Field<'_>)| {
            headers.get(name).is_some_and(|found| value == Field::Void || same(value, *found))
        };
        if any { asked.any(has) } else { asked.all(has) }
    }
}

/// Numbers are the same whatever their size.
fn same(a: Field<'_>, b: Field<'_>) -> bool {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn integer(field: Field<'_>) -> Option<i64> {
    Some(match field {
        Field::Byte(value) => value.into(),
        Field::UnsignedByte(value) => value.into(),
        Field::Short(value) => value.into(),
        Field::UnsignedShort(value) => value.into(),
        Field::Int(value) => value.into(),
        Field::UnsignedInt(value) => value.into(),
        Field::Long(value) => value,
        _ => return None,
    })
}

/// 3.1.3.3: words with dots between them; `*` is one word, `#` any number of them. Takes no longer than pattern times key.
fn matches_topic(pattern: &[u8], key: &[&[u8]]) -> bool {
    let (mut pattern, mut k) = (words(pattern), 0);
    // Where to go on if the last `#` takes a word more.
    let mut retry = None;
    loop {
        match (pattern.next(), key.get(k)) {
            (None, None) => return true,
            (Some(b"#"), _) => retry = Some((pattern.clone(), k)),
            (Some(b"*"), Some(_)) => k += 1,
            (Some(word), Some(other)) if word == *other => k += 1,
            _ => match &mut retry {
                Some((after, from)) if *from < key.len() => {
                    *from += 1;
                    (pattern, k) = (after.clone(), *from);
                }
                _ => return false,
            },
        }
    }
}

/// An empty key has no words.
fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    key.split(|byte| *byte == b'.').filter(|_| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, key: &str) -> bool {
        matches_topic(pattern.as_bytes(), &words(key.as_bytes()).collect::<Vec<_>>())
    }

    #[test]
    fn topic_patterns_match_words() {
        let rows = [
            ("a.b", "a.b", true),
            ("a.b", "a.c", false),
            ("a.b", "a", false),
            ("a", "a.b", false),
            ("*", "a", true),
            ("*", "", false),
            ("*", "a.b", false),
            ("*.b", "a.b", true),
            ("#", "", true),
            ("#", "a", true),
            ("#", "a.b.c", true),
            ("a.#", "a", true),
            ("a.#", "a.b.c", true),
            ("a.#", "b", false),
            ("#.c", "a.b.c", true),
            ("#.c", "c", true),
            ("#.c", "a.c.b", false),
            ("a.#.c", "a.c", true),
            ("a.#.c", "a.b.b.c", true),
            ("#.b.#", "a.b.c", true),
            ("#.b.#.d", "a.b.c.b.d", true),
            ("*.#", "", false),
            ("#.*", "a", true),
            ("", "", true),
            ("", "a", false),
            ("a..b", "a..b", true),
            ("a.*.b", "a..b", true),
            ("stock.*.nyse", "stock.usd.nyse", true),
        ];
        for (pattern, key, expected) in rows {
            assert_eq!(matches(pattern, key), expected, "{pattern:?} and {key:?}");
        }
    }

    /// As the specification says it, word by word.
    fn by_definition(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern, key) {
            ([], []) => true,
            (["#", rest @ ..], _) => by_definition(rest, key) || (!key.is_empty() && by_definition(pattern, &key[1..])),
            (["*", rest @ ..], [_, others @ ..]) => by_definition(rest, others),
            ([word, rest @ ..], [other, others @ ..]) => word == other && by_definition(rest, others),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn topics_match_by_definition(
            pattern in prop::collection::vec(prop_oneof![Just("#"), Just("*"), Just("a"), Just("b")], 1..8),
            key in prop::collection::vec(prop_oneof![Just("a"), Just("b")], 1..10),
        ) {
            let expected = by_definition(&pattern, &key);
            prop_assert_eq!(matches(&pattern.join("."), &key.join(".")), expected);
        }
    }

    #[test]
    fn many_wildcards_take_no_time() {
        let pattern = "#.a.".repeat(40) + "b";
        let key = "a.".repeat(60) + "a";
        assert!(!matches(&pattern, &key));
    }
}
