//! Topic exchanges: patterns and routing keys are words separated by dots.

/// The words of a routing key, split once for all patterns.
pub(super) struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    pub(super) fn of(key: &'a str) -> Words<'a> {
        Words(words(key).collect())
    }

    /// Whether a pattern matches: `*` stands for one word, `#` for zero or more. Takes time proportional to the product of both
    /// numbers of words at most.
    pub(super) fn match_pattern(&self, pattern: &str) -> bool {
        let (mut pattern, mut k) = (words(pattern), 0);
        // Where to continue if the last `#` takes one word more.
        let mut retry = None;
        loop {
            match (pattern.next(), self.0.get(k)) {
                (None, None) => return true,
                (Some("#"), _) => retry = Some((pattern.clone(), k)),
                (Some("*"), Some(_)) => k += 1,
                (Some(word), Some(other)) if word == *other => k += 1,
                _ => match &mut retry {
                    Some((after, from)) if *from < self.0.len() => {
                        *from += 1;
                        (pattern, k) = (after.clone(), *from);
                    }
                    _ => return false,
                },
            }
        }
    }
}

/// Splits at dots. An empty key has no words.
fn words(key: &str) -> impl Iterator<Item = &str> + Clone {
    key.split('.').filter(|_| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, key: &str) -> bool {
        Words::of(key).match_pattern(pattern)
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

    /// Matches as the definition reads, by recursion.
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
